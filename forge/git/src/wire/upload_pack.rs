//! Fetching: reads what a client wants, asks whether it may have that, and hands the request to whoever builds packs.
//!
//! Invariant: no pack builder sees a request before every `want` in it was admitted. Building is the one seam here:
//! [`stock`] is its first implementation, and another is chosen where `stock::` stands in this file.

use std::collections::BTreeSet;
use std::sync::Arc;

use notes_schema::Oid;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::pktline::{self, Packet, PktError, PktReader};
use super::{Host, Protocol, Service, WireError, ls_refs, reach, stock};

/// The most that one request may say, in bytes: some 300,000 wants or haves.
const MAX_REQUEST: u64 = 16 << 20;

/// A fetch as far as this side must understand it.
#[derive(Default)]
struct Fetch {
    wants: BTreeSet<Oid>,
    /// Whether it names or implies refs that the pack builder reads from disk.
    reads_refs: bool,
    /// Its lines as they came, framed.
    lines: Vec<u8>,
}

/// A whole conversation after the advertisement.
pub async fn converse<R, W>(host: Arc<dyn Host>, protocol: Protocol, reader: R, mut writer: W) -> Result<(), WireError>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    let mut reader = PktReader::new(reader, protocol == Protocol::V2, MAX_REQUEST);
    let done = match protocol {
        Protocol::V2 => loop {
            match command(&host, &mut reader, &mut writer).await {
                Ok(true) => reader.renew(),
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        },
        Protocol::V0 | Protocol::V1 => match needs(&host, &mut reader).await {
            Ok(Some(fetch)) => {
                stock::stateful(host.git_dir(), fetch.lines, reader.into_inner(), MAX_REQUEST, &mut writer).await
            }
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        },
    };
    told(done, writer).await
}

/// One request of smart HTTP.
pub async fn once<R, W>(host: Arc<dyn Host>, protocol: Protocol, body: R, mut writer: W) -> Result<(), WireError>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    let mut reader = PktReader::new(body, protocol == Protocol::V2, MAX_REQUEST);
    let done = match protocol {
        Protocol::V2 => command(&host, &mut reader, &mut writer).await.map(|_| ()),
        Protocol::V0 | Protocol::V1 => match needs(&host, &mut reader).await {
            Ok(Some(fetch)) => round(&host, fetch, reader, &mut writer).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        },
    };
    told(done, writer).await
}

/// One round of a negotiation under v0 over HTTP: the body repeats all that was said before.
async fn round<R, W>(host: &Arc<dyn Host>, fetch: Fetch, reader: PktReader<R>, writer: &mut W) -> Result<(), WireError>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    let mut request = fetch.lines;
    let left = MAX_REQUEST.saturating_sub(request.len() as u64);
    reader.into_inner().take(left + 1).read_to_end(&mut request).await?;
    if request.len() as u64 > MAX_REQUEST {
        return Err(PktError::Budget(MAX_REQUEST).into());
    }
    stock::stateless(host.git_dir(), Protocol::V0, request, writer).await
}

/// Tells the client why its conversation ends, if it does and if it can be told.
async fn told<W: AsyncWrite + Unpin>(done: Result<(), WireError>, mut writer: W) -> Result<(), WireError> {
    if let Err(error) = &done
        && let Some(why) = error.public()
    {
        writer.write_all(&pktline::error(&why)).await?;
    }
    writer.flush().await?;
    done
}

/// One command of v2. False when the client has ended the conversation instead.
async fn command<R, W>(host: &Arc<dyn Host>, reader: &mut PktReader<R>, writer: &mut W) -> Result<bool, WireError>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    let Some((name, arguments)) = read_command(reader).await? else {
        return Ok(false);
    };
    match name.as_str() {
        "ls-refs" => {
            let wish = ls_refs::parse(&arguments)?;
            let shown = super::advertisement(host, Service::UploadPack, wish.prefixes.clone()).await?;
            writer.write_all(&ls_refs::answer(&shown, &wish)).await?;
            writer.flush().await?;
        }
        "fetch" => {
            let fetch = Fetch::version2(arguments)?;
            admit(host, &fetch).await?;
            let mut request = Vec::with_capacity(fetch.lines.len() + 64);
            pktline::line(&mut request, "command=fetch");
            pktline::line(&mut request, "object-format=sha1");
            request.extend_from_slice(pktline::DELIM);
            request.extend_from_slice(&fetch.lines);
            request.extend_from_slice(pktline::FLUSH);
            stock::stateless(host.git_dir(), Protocol::V2, request, writer).await?;
        }
        other => {
            return Err(WireError::Refused(format!("unknown command `{other}`: ls-refs and fetch are known")));
        }
    }
    Ok(true)
}

/// A command's name and its framed arguments.
async fn read_command<R>(reader: &mut PktReader<R>) -> Result<Option<(String, Vec<u8>)>, WireError>
where
    R: AsyncRead + Unpin,
{
    let (mut name, mut arguments, mut in_arguments, mut first) = (None, Vec::new(), false, true);
    loop {
        match reader.next().await? {
            None if first => return Ok(None),
            None => return Err(PktError::Ended("the rest of a command").into()),
            Some(Packet::Flush) if first => return Ok(None),
            Some(Packet::Flush) => break,
            Some(Packet::Delim) if in_arguments => return Err(WireError::Refused("a second delimiter".to_owned())),
            Some(Packet::Delim) => in_arguments = true,
            Some(Packet::Data(line)) if in_arguments => pktline::data(&mut arguments, line),
            Some(Packet::Data(line)) => capability(&String::from_utf8_lossy(pktline::text(line)), &mut name)?,
        }
        first = false;
    }
    let name = name.ok_or_else(|| WireError::Refused("no command requested".to_owned()))?;
    Ok(Some((name, arguments)))
}

fn capability(line: &str, name: &mut Option<String>) -> Result<(), WireError> {
    match line.split_once('=').unwrap_or((line, "")) {
        ("command", command) if name.is_none() => *name = Some(command.to_owned()),
        ("object-format", "sha1") | ("agent" | "server-option" | "session-id", _) => {}
        ("object-format", other) => return Err(wrong_format(other)),
        _ => return Err(WireError::Refused(format!("unknown capability `{line}`"))),
    }
    Ok(())
}

/// The refusal of a client that speaks another hash.
pub fn wrong_format(asked: &str) -> WireError {
    WireError::Refused(format!("object-format `{asked}` is not supported: repositories here are sha1"))
}

/// What a client under v0 or v1 needs, admitted. `None` when it wants nothing.
async fn needs<R>(host: &Arc<dyn Host>, reader: &mut PktReader<R>) -> Result<Option<Fetch>, WireError>
where
    R: AsyncRead + Unpin,
{
    let mut fetch = Fetch::default();
    loop {
        match reader.next().await? {
            Some(Packet::Data(line)) => {
                fetch.version0_line(pktline::text(line))?;
                pktline::data(&mut fetch.lines, line);
            }
            Some(Packet::Flush) if !fetch.wants.is_empty() => break,
            Some(Packet::Flush) => return Ok(None),
            None if fetch.lines.is_empty() => return Ok(None),
            None | Some(Packet::Delim) => return Err(PktError::Ended("the end of the wants").into()),
        }
    }
    fetch.lines.extend_from_slice(pktline::FLUSH);
    admit(host, &fetch).await?;
    Ok(Some(fetch))
}

impl Fetch {
    fn version2(lines: Vec<u8>) -> Result<Fetch, WireError> {
        let mut fetch = Fetch::default();
        for line in pktline::payloads(&lines).map(pktline::text) {
            match line {
                b"done" | b"thin-pack" | b"no-progress" | b"ofs-delta" | b"wait-for-done" => {}
                b"include-tag" => fetch.reads_refs = true,
                _ => match split(line) {
                    (b"want", id) => fetch.want(id)?,
                    (b"have", id) => drop(oid(id)?),
                    _ => fetch.option(line)?,
                },
            }
        }
        fetch.lines = lines;
        Ok(fetch)
    }

    fn version0_line(&mut self, line: &[u8]) -> Result<(), WireError> {
        let (b"want", rest) = split(line) else {
            return self.option(line);
        };
        let (id, capabilities) = split(rest);
        if self.wants.is_empty() {
            for word in capabilities.split(|&b| b == b' ') {
                match word.strip_prefix(b"object-format=") {
                    Some(b"sha1") => {}
                    Some(other) => return Err(wrong_format(&String::from_utf8_lossy(other))),
                    None => self.reads_refs |= word == b"include-tag",
                }
            }
        } else if !capabilities.is_empty() {
            return Err(unexpected(line));
        }
        self.want(id)
    }

    /// Lines that all versions know.
    fn option(&mut self, line: &[u8]) -> Result<(), WireError> {
        match split(line) {
            (b"shallow", id) => drop(oid(id)?),
            (b"deepen", depth) if is_number(depth) => {}
            (b"deepen-relative", b"") => {}
            (b"deepen-since", time) if is_number(time) => self.reads_refs = true,
            (b"deepen-not", name) if !name.is_empty() => self.reads_refs = true,
            (b"filter", spec) if !spec.is_empty() => {}
            _ => return Err(unexpected(line)),
        }
        Ok(())
    }

    fn want(&mut self, id: &[u8]) -> Result<(), WireError> {
        self.wants.insert(oid(id)?);
        Ok(())
    }
}

/// The first word and the rest.
fn split(line: &[u8]) -> (&[u8], &[u8]) {
    match line.iter().position(|&b| b == b' ') {
        Some(at) => (&line[..at], &line[at + 1..]),
        None => (line, b""),
    }
}

fn oid(hex: &[u8]) -> Result<Oid, WireError> {
    let text = String::from_utf8_lossy(hex);
    text.parse().map_err(|e: notes_schema::NameError| WireError::Refused(format!("upload-pack: {e}")))
}

fn is_number(text: &[u8]) -> bool {
    !text.is_empty() && text.len() <= 19 && text.iter().all(u8::is_ascii_digit)
}

fn unexpected(line: &[u8]) -> WireError {
    WireError::Refused(format!("upload-pack: unexpected line: `{}`", String::from_utf8_lossy(line)))
}

/// Refuses a fetch that wants what is neither shown nor reachable from it; readies the refs on disk where they matter.
async fn admit(host: &Arc<dyn Host>, fetch: &Fetch) -> Result<(), WireError> {
    let (asked, wants, reads_refs) = (host.clone(), fetch.wants.clone(), fetch.reads_refs);
    let others = super::blocking(move || {
        if reads_refs {
            asked.flush_refs()?;
        }
        Ok::<_, std::io::Error>(wants.into_iter().filter(|&id| !asked.may_want(id)).collect::<BTreeSet<_>>())
    })
    .await?
    .map_err(|e| WireError::inside(format!("the refs cannot be flushed: {e}")))?;
    match reach::unreachable(host, others).await? {
        Some(id) => Err(WireError::Refused(format!("upload-pack: not our ref {id}"))),
        None => Ok(()),
    }
}
