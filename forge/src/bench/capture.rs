//! Requests as stock git makes them: pushes taken from `git send-pack`, fetches of protocol v2 line by line as git sends
//! them.

use std::path::Path;
use std::process::Stdio;

use super::error::{BenchError, io};
use super::stock;

/// A push, ready to be sent to any server that has what it builds on.
#[derive(Debug, Clone)]
pub struct PushRequest {
    /// The ref that it sets.
    pub name: String,
    /// Others that it sets as well.
    pub others: Vec<String>,
    /// The body of the request.
    pub body: Vec<u8>,
}

/// What `git push` sends when it pushes `source` (a ref of the repository `dir`) to the new ref `name` of a server that
/// advertises `advertised`: made by the very program that `git push` runs.
pub fn push(dir: &Path, advertised: &[u8], source: &str, name: &str) -> Result<PushRequest, BenchError> {
    push_all(dir, advertised, &[(source.to_owned(), name.to_owned())])
}

/// The same of several refs, each with its name there; the first gives the push its name.
pub fn push_all(dir: &Path, advertised: &[u8], refs: &[(String, String)]) -> Result<PushRequest, BenchError> {
    let refspecs: Vec<String> = refs.iter().map(|(source, name)| format!("{source}:{name}")).collect();
    let mut args = vec!["send-pack", "--stateless-rpc", "--thin", "captured"];
    args.extend(refspecs.iter().map(String::as_str));
    let mut command = stock::command(dir, &args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let what = format!("git send-pack {}", refspecs.join(" "));
    let mut child = command.spawn().map_err(io(&what))?;
    let advertised = advertised.to_vec();
    let stdin = child.stdin.take();
    let writer = std::thread::spawn(move || {
        use std::io::Write as _;
        stdin.map_or(Ok(()), |mut stdin| stdin.write_all(&advertised))
    });
    let out = child.wait_with_output().map_err(io(&what))?;
    let _ = writer.join();
    // Nobody answers it, so it ends with an error; what counts is that its request is whole.
    let body = unframe(&out.stdout).ok_or_else(|| BenchError::Program {
        command: what,
        said: String::from_utf8_lossy(&out.stderr).trim().to_owned(),
    })?;
    let mut names = refs.iter().map(|(_, name)| name.clone());
    Ok(PushRequest { name: names.next().unwrap_or_default(), others: names.collect(), body })
}

/// Takes off the outer packet lines in which `send-pack --stateless-rpc` hands its request to the HTTP helper.
fn unframe(mut framed: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let (payload, after) = packet(framed)?;
        if framed.starts_with(b"0000") {
            return (!body.is_empty()).then_some(body);
        }
        body.extend_from_slice(payload);
        framed = after;
    }
}

/// What stock git advertises to a push.
pub fn advertisement(dir: &Path) -> Result<Vec<u8>, BenchError> {
    stock::replay(stock::command(dir, &["receive-pack", "--http-backend-info-refs", "."]), b"")
}

/// Whether a report says that the ref `name` landed.
pub fn landed(report: &[u8], name: &str) -> Result<(), BenchError> {
    let ok = format!("ok {name}");
    match report.windows(ok.len()).any(|window| window == ok.as_bytes()) {
        true => Ok(()),
        false => Err(BenchError::Answer {
            what: format!("the push of {name}"),
            answer: String::from_utf8_lossy(report).chars().filter(|c| !c.is_control()).take(300).collect(),
        }),
    }
}

fn line(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(format!("{:04x}{text}\n", text.len() + 5).as_bytes());
}

fn request(command: &str, arguments: &[String]) -> Vec<u8> {
    let mut out = Vec::new();
    line(&mut out, &format!("command={command}"));
    line(&mut out, "agent=git/2.39.5");
    line(&mut out, "object-format=sha1");
    out.extend_from_slice(b"0001");
    for argument in arguments {
        line(&mut out, argument);
    }
    out.extend_from_slice(b"0000");
    out
}

/// `git ls-refs` as `git fetch` sends it, for refs that begin with one of `prefixes`.
pub fn ls_refs(prefixes: &[&str]) -> Vec<u8> {
    let mut arguments = vec!["peel".to_owned(), "symrefs".to_owned()];
    arguments.extend(prefixes.iter().map(|prefix| format!("ref-prefix {prefix}")));
    request("ls-refs", &arguments)
}

/// What a clone asks for `wants`, or a fetch with `haves`: as many as git sends in its first round.
pub fn fetch(wants: &[String], haves: &[String]) -> Vec<u8> {
    let mut arguments: Vec<String> = ["thin-pack", "no-progress", "include-tag", "ofs-delta"].map(str::to_owned).into();
    arguments.extend(wants.iter().map(|id| format!("want {id}")));
    arguments.extend(haves.iter().map(|id| format!("have {id}")));
    if haves.is_empty() {
        arguments.push("done".to_owned());
    }
    request("fetch", &arguments)
}

/// How many objects the pack in an answer to [`fetch`] says that it holds.
pub fn objects_of(answer: &[u8]) -> Result<u32, BenchError> {
    let mut pack = Vec::new();
    let mut rest = answer;
    // The header of a pack may be spread over packets.
    while let Some((payload, after)) = packet(rest)
        && pack.len() < 12
    {
        if let Some((1, data)) = payload.split_first() {
            pack.extend_from_slice(data);
        }
        rest = after;
    }
    let count = pack.get(8..12).filter(|_| pack.starts_with(b"PACK")).and_then(|bytes| bytes.try_into().ok());
    count.map(u32::from_be_bytes).ok_or_else(|| BenchError::Answer {
        what: "a fetch".to_owned(),
        answer: String::from_utf8_lossy(answer).chars().filter(|c| !c.is_control()).take(300).collect(),
    })
}

/// The first packet and what follows it.
pub fn packet(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = std::str::from_utf8(bytes.get(..4)?).ok()?;
    match usize::from_str_radix(length, 16).ok()? {
        0..=2 => Some((&[], &bytes[4..])),
        3 => None,
        length => Some((bytes.get(4..length)?, bytes.get(length..)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_request_is_taken() {
        assert_eq!(unframe(b"0007abc0006de0000").as_deref(), Some(b"abcde".as_slice()));
        for torn in [b"0007abc".as_slice(), b"0007ab", b"", b"0000", b"0003", b"zzzz"] {
            assert_eq!(unframe(torn), None);
        }
    }

    #[test]
    fn a_report_without_the_ref_is_an_error() {
        assert!(landed(b"...0019ok refs/heads/x\n", "refs/heads/x").is_ok());
        assert!(landed(b"...ng refs/heads/x no\n", "refs/heads/x").is_err());
        let spread = b"000dpackfile\n0010\x01PACK\0\0\0\x02\0\0\x010008\x02say0007\x01\x02x0000";
        assert_eq!(objects_of(spread).unwrap(), 258);
        assert!(objects_of(b"ERR no").is_err());
    }
}
