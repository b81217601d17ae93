//! Reads the commands of a push: `<old> <new> <ref>`, the client's capabilities and its push options.
//!
//! Invariant: counts and sizes are bounded while reading. The all-zero id ends here, and so does any name that is no
//! [`FullName`]: it is kept for the report alone.

use std::collections::HashSet;

use notes_schema::Oid;
use tokio::io::AsyncRead;

use super::pktline::{self, Packet, PktError, PktReader};
use super::receive_pack::Terms;
use super::report::{Ballot, Entry};
use super::{Certificate, PushOffer, RefUpdate, WireError};
use crate::name::{FullName, Funny};

/// The most bytes that commands, a certificate and options may take.
/// Limit: commands of one push, its certificate and its options | {:bytes}
pub const MAX_BYTES: u64 = 32 << 20;
/// The longest name that is still reported on; none longer than 255 bytes is accepted.
/// Limit: name in a command of a push that is still reported on | {:bytes}; behind a longer one the request ends
const MAX_NAME: usize = 1024;
/// The most push options, and the longest one.
/// Limit: push options of one push | {}
const MAX_OPTIONS: usize = 64;
/// Limit: one push option | {:bytes}
const MAX_OPTION: usize = 4096;
/// The most boundary commits that a push from a shallow clone may name.
/// Limit: ends of a shallow pusher's history | {}
const MAX_SHALLOW: usize = 100_000;

/// What the client can do and asks for. Filled while reading, so that a refusal knows how to be told.
#[derive(Default)]
pub struct Capabilities {
    /// It waits for a report.
    pub report: bool,
    /// It reads side-bands.
    pub side_band: bool,
    /// It wants no progress.
    pub quiet: bool,
    /// All or nothing.
    pub atomic: bool,
    options: bool,
}

/// A push, up to its pack.
pub struct Request {
    /// The commands, with verdicts on those that cannot be meant.
    pub ballot: Ballot,
    /// Whether a pack follows.
    pub has_pack: bool,
    /// Push options.
    pub options: Vec<String>,
    /// What was signed.
    pub certificate: Option<Certificate>,
    /// Commits whose parents the client does not have.
    pub shallow: HashSet<Oid>,
}

/// Reads a push up to its pack; `None` when the client pushes nothing.
pub async fn read<R>(
    reader: &mut PktReader<R>,
    can: &mut Capabilities,
    terms: &Terms,
) -> Result<Option<Request>, WireError>
where
    R: AsyncRead + Unpin,
{
    let (mut commands, mut shallow, mut certificate) = (Commands::new(terms.offer.commands), HashSet::new(), None);
    let mut first = true;
    loop {
        let line = match reader.next().await? {
            Some(Packet::Data(line)) => line,
            Some(Packet::Flush) => break,
            None if first => return Ok(None),
            None | Some(Packet::Delim) => return Err(PktError::Ended("more commands or a flush").into()),
        };
        let (line, capabilities) = match line.iter().position(|&b| b == 0) {
            Some(at) => (&line[..at], Some(&line[at + 1..])),
            None => (line, None),
        };
        if let (true, Some(words)) = (commands.entries.is_empty(), capabilities) {
            can.read(pktline::text(words), &terms.offer)?;
        }
        first = false;
        let line = pktline::text(line);
        if let Some(id) = line.strip_prefix(b"shallow ") {
            shallow.extend(parse_id(id)?);
            limit(shallow.len(), MAX_SHALLOW, "shallow lines")?;
            continue;
        }
        if line == b"push-cert" {
            let (bytes, ended) = read_certificate(reader).await?;
            certificate = Some(Certificate::parse(&bytes, terms.asked.as_ref(), super::now())?);
            if ended {
                break;
            }
            continue;
        }
        commands.add(line)?;
    }
    if let Some(certificate) = &certificate {
        if !commands.entries.is_empty() {
            return refused("protocol error: got both push certificate and unsigned commands");
        }
        certificate.commands().try_for_each(|line| commands.add(line))?;
    }
    let Commands { mut entries, has_pack, .. } = commands;
    if entries.is_empty() {
        return Ok(None);
    }
    let options = if can.options { read_options(reader).await? } else { Vec::new() };
    if certificate.as_ref().is_some_and(|signed| signed.options != options) {
        entries.iter_mut().for_each(|entry| entry.refuse("inconsistent push options"));
    }
    Ok(Some(Request { ballot: Ballot::new(entries, can.atomic), has_pack, options, certificate, shallow }))
}

/// Commands as they are read.
struct Commands {
    entries: Vec<Entry>,
    has_pack: bool,
    most: usize,
}

impl Commands {
    fn new(most: usize) -> Commands {
        Commands { entries: Vec::new(), has_pack: false, most }
    }

    fn add(&mut self, line: &[u8]) -> Result<(), WireError> {
        let (entry, brings_objects) = command(line)?;
        self.has_pack |= brings_objects;
        self.entries.push(entry);
        limit(self.entries.len(), self.most, "commands; push in several parts")
    }
}

/// The bytes of a certificate, and whether a flush ended the commands with it.
async fn read_certificate<R: AsyncRead + Unpin>(reader: &mut PktReader<R>) -> Result<(Vec<u8>, bool), WireError> {
    let mut bytes = Vec::new();
    loop {
        match reader.next().await? {
            Some(Packet::Data(b"push-cert-end\n")) => return Ok((bytes, false)),
            Some(Packet::Data(line)) => bytes.extend_from_slice(line),
            Some(Packet::Flush) => return Ok((bytes, true)),
            None | Some(Packet::Delim) => return Err(PktError::Ended("the rest of a push certificate").into()),
        }
    }
}

fn refused<T>(why: impl Into<String>) -> Result<T, WireError> {
    Err(WireError::Refused(why.into()))
}

fn limit(count: usize, most: usize, what: &str) -> Result<(), WireError> {
    if count > most { refused(format!("a push may have at most {most} {what}")) } else { Ok(()) }
}

impl Capabilities {
    fn read(&mut self, words: &[u8], offer: &PushOffer) -> Result<(), WireError> {
        for word in String::from_utf8_lossy(words).split(' ') {
            match word {
                "report-status" | "report-status-v2" => self.report = true,
                "side-band-64k" => self.side_band = true,
                "quiet" => self.quiet = true,
                // What was not offered is not done, as in git.
                "atomic" => self.atomic = offer.atomic,
                "push-options" => self.options = offer.options,
                _ => match word.strip_prefix("object-format=") {
                    Some("sha1") | None => {}
                    Some(other) => return Err(super::fetch::wrong_format(other)),
                },
            }
        }
        Ok(())
    }
}

fn parse_id(hex: &[u8]) -> Result<Option<Oid>, WireError> {
    Oid::parse_nullable(&String::from_utf8_lossy(hex)).map_err(|e| WireError::Refused(e.to_string()))
}

/// One command, and whether it brings objects.
fn command(line: &[u8]) -> Result<(Entry, bool), WireError> {
    let mut words = line.splitn(3, |&b| b == b' ');
    let (Some(old), Some(new), Some(name)) = (words.next(), words.next(), words.next()) else {
        let shown = String::from_utf8_lossy(line);
        return refused(format!("protocol error: expected old/new/ref, got `{shown}`"));
    };
    let (old, new) = (parse_id(old)?, parse_id(new)?);
    limit(name.len(), MAX_NAME, "bytes in a ref's name")?;
    let shown = pktline::visible(&String::from_utf8_lossy(name));
    let parsed = std::str::from_utf8(name).map_err(|_| Funny).and_then(FullName::pushed);
    let entry = match parsed {
        Ok(_) if old.is_none() && new.is_none() => Entry::refused(shown, "deletes what does not exist"),
        Ok(name) => Entry::open(shown, RefUpdate { name, old, new }),
        Err(funny) => {
            let why = format!("{funny}\nerror: refusing to create funny ref '{shown}' remotely");
            Entry::refused(shown, &why)
        }
    };
    Ok((entry, new.is_some()))
}

async fn read_options<R: AsyncRead + Unpin>(reader: &mut PktReader<R>) -> Result<Vec<String>, WireError> {
    let mut options = Vec::new();
    loop {
        match reader.next().await? {
            Some(Packet::Data(line)) => {
                let line = pktline::text(line);
                limit(line.len(), MAX_OPTION, "bytes in a push option")?;
                let Ok(option) = std::str::from_utf8(line) else {
                    return refused("a push option is not UTF-8");
                };
                options.push(option.to_owned());
                limit(options.len(), MAX_OPTIONS, "push options")?;
            }
            Some(Packet::Flush) => return Ok(options),
            None | Some(Packet::Delim) => return Err(PktError::Ended("more push options or a flush").into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZERO: &str = "0000000000000000000000000000000000000000";
    const ONE: &str = "1111111111111111111111111111111111111111";

    async fn parse(lines: &[String]) -> Result<Option<Request>, WireError> {
        let mut bytes = Vec::new();
        lines.iter().for_each(|l| pktline::data(&mut bytes, l.as_bytes()));
        bytes.extend_from_slice(pktline::FLUSH);
        let mut reader = PktReader::new(&bytes[..], false, MAX_BYTES);
        let terms = Terms { offer: PushOffer::default(), asked: None };
        read(&mut reader, &mut Capabilities::default(), &terms).await
    }

    #[tokio::test]
    async fn commands_that_cannot_be_meant_are_refused_one_by_one() {
        let request = parse(&[
            format!("{ZERO} {ONE} refs/heads/good\0report-status"),
            format!("{ZERO} {ZERO} refs/heads/nothing"),
            format!("{ZERO} {ONE} refs/heads/../../x"),
            format!("{ZERO} {ONE} HEAD"),
            format!("shallow {ONE}"),
        ])
        .await
        .unwrap()
        .unwrap();
        assert!(request.has_pack);
        let open = request.ballot.open();
        assert_eq!((open.len(), open[0].name.as_str(), open[0].old), (1, "refs/heads/good", None));
        let report = String::from_utf8(request.ballot.report()).unwrap();
        assert!(report.contains("ng HEAD funny refname"), "{report}");
        assert!(report.contains("ng refs/heads/../../x funny refname"), "{report}");
    }

    #[tokio::test]
    async fn a_broken_or_boundless_push_is_refused_whole() {
        let good = format!("{ZERO} {ONE} refs/heads/x");
        for (lines, why) in [
            (vec!["hello".to_owned()], "expected old/new/ref"),
            (vec![format!("{ZERO} xyz refs/heads/x")], "40 hexadecimal"),
            (vec![format!("{good}\0object-format=sha256")], "sha256"),
            (vec!["push-cert\0push-cert=x".to_owned(), "hello".to_owned()], "malformed push certificate"),
            (vec![format!("{ZERO} {ONE} refs/{}", "x".repeat(2000))], "1024 bytes"),
            (vec![good.clone(); PushOffer::default().commands + 1], "10000 commands"),
        ] {
            let error = parse(&lines).await.err().unwrap().to_string();
            assert!(error.contains(why), "{error}");
        }
        assert!(parse(&[]).await.unwrap().is_none());
    }
}
