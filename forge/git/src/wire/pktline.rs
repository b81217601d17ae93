//! Pkt-lines, the framing of git's protocols, and the side-band that multiplexes a stream over them.
//!
//! Invariant: a length is checked before anything is allocated for it, and a reader never takes more bytes from one
//! request than its budget.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};

/// The largest pkt-line, its four digits included.
/// Limit: one pkt-line, its four digits included | {:bytes}
pub const MAX_LINE: usize = 65_520;
/// The largest payload of one pkt-line.
/// No limit: a pkt-line without its digits.
pub const MAX_DATA: usize = MAX_LINE - 4;
/// The largest payload of one side-band packet: a pkt-line less the byte that names the band.
/// No limit: a pkt-line without its digits and band.
pub const MAX_BAND: usize = MAX_DATA - 1;
/// The longest text shown to a client in one line.
/// Limit: text shown to a git client in one line | {} characters, the rest is cut off
const MAX_TEXT: usize = 2_000;

/// Ends a request, a list or an answer.
pub const FLUSH: &[u8] = b"0000";
/// Ends a section in protocol v2.
pub const DELIM: &[u8] = b"0001";

/// What is wrong with the framing of a request.
#[derive(Debug, thiserror::Error)]
pub enum PktError {
    /// The peer stopped inside a line.
    #[error("the connection ended in the middle of a pkt-line")]
    Truncated,
    /// The peer stopped where more had to follow.
    #[error("the connection ended where {0} had to follow")]
    Ended(&'static str),
    /// The four bytes in front are no length.
    #[error("`{0}` is no pkt-line length: it takes four hexadecimal digits")]
    NoLength(String),
    /// `0001`, `0002` or `0003` where this protocol has no use for it.
    #[error("the special pkt-line {0:04x} is not allowed here")]
    Special(usize),
    /// Longer than git allows.
    #[error("a pkt-line of {0} bytes is longer than the {MAX_LINE} that git allows")]
    TooLong(usize),
    /// All lines together exceed the request's budget.
    #[error("the request is larger than {0} bytes; ask for less at once")]
    Budget(u64),
    /// The connection itself.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
}

/// One pkt-line as read.
#[derive(Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A payload; may be empty.
    Data(&'a [u8]),
    /// `0000`.
    Flush,
    /// `0001`, in protocol v2 alone.
    Delim,
}

/// Reads pkt-lines and nothing beyond the line asked for, so that a pack may follow.
pub struct PktReader<R> {
    inner: BufReader<R>,
    delimiters: bool,
    limit: u64,
    left: u64,
    line: Vec<u8>,
}

impl<R: AsyncRead + Unpin> PktReader<R> {
    /// A reader of at most `limit` bytes; `delimiters` says whether `0001` is known, as it is in protocol v2.
    pub fn new(inner: R, delimiters: bool, limit: u64) -> Self {
        PktReader { inner: BufReader::with_capacity(32 << 10, inner), delimiters, limit, left: limit, line: Vec::new() }
    }

    /// Starts a new budget: the next request on the same connection begins.
    pub fn renew(&mut self) {
        self.left = self.limit;
    }

    /// The stream behind the lines read so far; nothing is lost.
    pub fn into_inner(self) -> BufReader<R> {
        self.inner
    }

    /// The next line; `None` when the peer stopped between two lines.
    pub async fn next(&mut self) -> Result<Option<Packet<'_>>, PktError> {
        let Some(length) = self.read_length().await? else {
            return Ok(None);
        };
        match length {
            0 => Ok(Some(Packet::Flush)),
            1 if self.delimiters => Ok(Some(Packet::Delim)),
            1..=3 => Err(PktError::Special(length)),
            _ => {
                self.line.resize(length - 4, 0);
                self.inner.read_exact(&mut self.line).await.map_err(truncated)?;
                Ok(Some(Packet::Data(&self.line)))
            }
        }
    }

    async fn read_length(&mut self) -> Result<Option<usize>, PktError> {
        let mut digits = [0; 4];
        if self.inner.read(&mut digits[..1]).await? == 0 {
            return Ok(None);
        }
        self.inner.read_exact(&mut digits[1..]).await.map_err(truncated)?;
        let length = digits.iter().try_fold(0, |n, &b| Some(n * 16 + char::from(b).to_digit(16)? as usize));
        let length = length.ok_or_else(|| PktError::NoLength(visible(&String::from_utf8_lossy(&digits))))?;
        if length > MAX_LINE {
            return Err(PktError::TooLong(length));
        }
        self.left = self.left.checked_sub(length.max(4) as u64).ok_or(PktError::Budget(self.limit))?;
        Ok(Some(length))
    }
}

fn truncated(error: io::Error) -> PktError {
    if error.kind() == io::ErrorKind::UnexpectedEof { PktError::Truncated } else { PktError::Io(error) }
}

/// A line of text without the line break that may end it.
pub fn text(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}

/// Appends `payload` as one pkt-line, or as several where it is longer than one can be.
pub fn data(out: &mut Vec<u8>, payload: &[u8]) {
    for part in payload.chunks(MAX_DATA) {
        out.extend_from_slice(format!("{:04x}", part.len() + 4).as_bytes());
        out.extend_from_slice(part);
    }
}

/// Appends a line of text as one pkt-line, with a line break.
pub fn line(out: &mut Vec<u8>, text: &str) {
    data(out, format!("{text}\n").as_bytes());
}

/// The pkt-line by which a whole conversation is refused: git shows it as `fatal: remote error: <why>`.
pub fn error(why: &str) -> Vec<u8> {
    let mut out = Vec::new();
    data(&mut out, format!("ERR {}", visible(why)).as_bytes());
    out
}

/// The payloads of lines that [`data`] framed.
pub fn payloads(mut framed: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let digits = std::str::from_utf8(framed.get(..4)?).ok()?;
        let length = usize::from_str_radix(digits, 16).ok()?;
        let payload = framed.get(4..length)?;
        framed = &framed[length..];
        Some(payload)
    })
}

/// Text fit for a terminal: one line, of bounded length, without characters that move the cursor, break the line or turn
/// it round.
pub fn visible(text: &str) -> String {
    let moves = |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let plain = |c: char| if moves(c) { ' ' } else { c };
    text.trim_end().chars().take(MAX_TEXT).map(plain).collect()
}

/// The largest payload of one packet of the first `side-band`: a line of 1000 bytes, its digits and its band included.
const SMALL_BAND: usize = 995;

/// The writing end of `side-band-64k`, or of the bare stream for a client that did not ask for it.
pub struct SideBand<W> {
    inner: W,
    on: bool,
    largest: usize,
}

impl<W: AsyncWrite + Unpin> SideBand<W> {
    /// Wraps `inner`; when `on` is false only [`SideBand::payload`] writes anything.
    pub fn new(inner: W, on: bool) -> Self {
        SideBand { inner, on, largest: MAX_BAND }
    }

    /// Wraps `inner` for a client that only reads the small packets of the first `side-band`.
    pub fn small(inner: W) -> Self {
        SideBand { inner, on: true, largest: SMALL_BAND }
    }

    /// Words of our own for the person or agent at the other end; a line may end in a carriage return to be replaced.
    pub async fn words(&mut self, text: &str) -> io::Result<()> {
        if self.on {
            self.band(2, text.as_bytes()).await?;
            self.inner.flush().await?;
        }
        Ok(())
    }

    /// The answer itself.
    pub async fn payload(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.on {
            return self.band(1, bytes).await;
        }
        self.inner.write_all(bytes).await
    }

    /// Lines for the person or agent at the other end, shown as `remote: …`.
    pub async fn progress(&mut self, text: &str) -> io::Result<()> {
        if !self.on {
            return Ok(());
        }
        for line in text.lines() {
            self.band(2, format!("{}\n", visible(line)).as_bytes()).await?;
        }
        self.inner.flush().await
    }

    /// Ends the conversation with an error: on band 3, or as an `ERR` line.
    pub async fn fail(&mut self, why: &str) -> io::Result<()> {
        if self.on {
            self.band(3, format!("{}\n", visible(why)).as_bytes()).await?;
        } else {
            self.inner.write_all(&error(why)).await?;
        }
        self.inner.flush().await
    }

    /// Says nothing, so that no one between takes a long silence for a dead connection.
    pub async fn keep_alive(&mut self) -> io::Result<()> {
        if self.on {
            self.inner.write_all(b"0005\x02").await?;
            self.inner.flush().await?;
        }
        Ok(())
    }

    /// Ends the side-band and sends everything.
    pub async fn finish(&mut self) -> io::Result<()> {
        if self.on {
            self.inner.write_all(FLUSH).await?;
        }
        self.inner.flush().await
    }

    async fn band(&mut self, band: u8, bytes: &[u8]) -> io::Result<()> {
        for part in bytes.chunks(self.largest) {
            let mut packet = format!("{:04x}", part.len() + 5).into_bytes();
            packet.push(band);
            packet.extend_from_slice(part);
            self.inner.write_all(&packet).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_all(bytes: &[u8], delimiters: bool, limit: u64) -> Result<Vec<String>, PktError> {
        let mut reader = PktReader::new(bytes, delimiters, limit);
        let mut seen = Vec::new();
        while let Some(packet) = reader.next().await? {
            seen.push(match packet {
                Packet::Data(line) => String::from_utf8_lossy(line).into_owned(),
                Packet::Flush => "<flush>".to_owned(),
                Packet::Delim => "<delim>".to_owned(),
            });
        }
        Ok(seen)
    }

    #[tokio::test]
    async fn what_was_written_is_read_again() {
        let mut bytes = Vec::new();
        line(&mut bytes, "want");
        bytes.extend_from_slice(b"00040001");
        data(&mut bytes, &[b'x'; MAX_DATA]);
        bytes.extend_from_slice(FLUSH);
        let seen = read_all(&bytes, true, 1 << 20).await.unwrap();
        assert_eq!(seen[..3], ["want\n", "", "<delim>"]);
        assert_eq!((seen[3].len(), seen[4].as_str()), (MAX_DATA, "<flush>"));
    }

    #[tokio::test]
    async fn every_illegal_length_is_named() {
        for (bytes, delimiters, why) in [
            (&b"0001"[..], false, "special pkt-line 0001"),
            (b"0002", true, "special pkt-line 0002"),
            (b"0003", true, "special pkt-line 0003"),
            (b"+004", true, "`+004` is no pkt-line length"),
            (b"00\x1bz", true, "`00 z` is no pkt-line length"),
            (b"fff1", true, "65521 bytes is longer"),
            (b"00", true, "middle of a pkt-line"),
            (b"0009abc", true, "middle of a pkt-line"),
            (b"0008abcd0008abcd", true, "larger than 15 bytes"),
        ] {
            let error = read_all(bytes, delimiters, 15).await.unwrap_err().to_string();
            assert!(error.contains(why), "{bytes:?}: {error}");
        }
    }

    #[tokio::test]
    async fn nothing_behind_a_line_is_lost() {
        let mut reader = PktReader::new(&b"0005aPACK"[..], false, 100);
        assert_eq!(reader.next().await.unwrap(), Some(Packet::Data(b"a")));
        let mut rest = String::new();
        reader.into_inner().read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "PACK");
    }

    #[tokio::test]
    async fn side_band_text_cannot_move_the_cursor() {
        let mut out = SideBand::new(Vec::new(), true);
        out.progress("one\x1b[2J\ntwo").await.unwrap();
        assert_eq!(out.inner, b"000d\x02one [2J\n0009\x02two\n");
        let mut bare = SideBand::new(Vec::new(), false);
        bare.progress("unseen").await.unwrap();
        bare.fail("no").await.unwrap();
        assert_eq!(bare.inner, b"000aERR no");
    }
}
