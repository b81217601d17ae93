//! What an `exec` request asks for.
//!
//! Invariant: a path is unquoted and handed on as text; nothing of it is ever given to a shell.

use git::wire::Service;

/// Longest command line, in bytes; longer text belongs on stdin.
/// Limit: command line of an SSH channel | {:bytes}
const LONGEST: usize = 64 << 10;

/// One `exec` request, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    /// One of git's services on a repository, named as in its URL.
    Git(Service, String),
    /// A command line for the forge.
    Command(String),
}

/// Why a request was not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum LineError {
    /// Too long.
    #[error("the command line is longer than {LONGEST} bytes; give long text on stdin")]
    TooLong,
    /// Not text.
    #[error("the command line is not UTF-8")]
    NotText,
    /// A git service without exactly one path.
    #[error("git's services take one path in quotes")]
    Path,
}

const SERVICES: [(&str, Service); 4] = [
    ("git-upload-pack", Service::UploadPack),
    ("git upload-pack", Service::UploadPack),
    ("git-receive-pack", Service::ReceivePack),
    ("git receive-pack", Service::ReceivePack),
];

/// Reads an `exec` request.
pub(super) fn parse(bytes: &[u8]) -> Result<Request, LineError> {
    if bytes.len() > LONGEST {
        return Err(LineError::TooLong);
    }
    let line = std::str::from_utf8(bytes).map_err(|_| LineError::NotText)?.trim();
    for (name, service) in SERVICES {
        if let Some(rest) = line.strip_prefix(name)
            && (rest.is_empty() || rest.starts_with(' '))
        {
            let path = unquote(rest.trim()).filter(|path| !path.is_empty()).ok_or(LineError::Path)?;
            return Ok(Request::Git(service, path));
        }
    }
    Ok(Request::Command(line.to_owned()))
}

/// Undoes the quoting of git clients (`'it'\''s'`); one word without quotes is taken as it stands.
fn unquote(text: &str) -> Option<String> {
    if let Some(inner) = text.strip_prefix('"') {
        let inner = inner.strip_suffix('"')?;
        return (!inner.contains(['"', '\\', '$', '`'])).then(|| inner.to_owned());
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        match c {
            '\'' => quoted = !quoted,
            '\\' if !quoted => out.push(chars.next()?),
            c if !quoted && c.is_whitespace() => return None,
            c => out.push(c),
        }
    }
    (!quoted).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(line: &str) -> Option<String> {
        match parse(line.as_bytes()) {
            Ok(Request::Git(_, path)) => Some(path),
            _ => None,
        }
    }

    #[test]
    fn git_clients_quote_in_several_ways() {
        assert_eq!(path("git-upload-pack '/parser.git'").as_deref(), Some("/parser.git"));
        assert_eq!(path("git receive-pack 'parser'").as_deref(), Some("parser"));
        assert_eq!(path("git-receive-pack parser").as_deref(), Some("parser"));
        assert_eq!(path("git-upload-pack \"parser\"").as_deref(), Some("parser"));
        assert_eq!(path(r"git-upload-pack 'it'\''s'").as_deref(), Some("it's"));
        assert_eq!(path(r"git-upload-pack 'a'\!'b'").as_deref(), Some("a!b"));
    }

    #[test]
    fn a_path_is_one_whole_word() {
        for bad in [
            "git-upload-pack",
            "git-upload-pack ''",
            "git-upload-pack a b",
            "git-upload-pack 'a",
            "git-upload-pack \"a",
            "git-upload-pack 'a' --exec=x",
            "git-receive-pack \"$HOME\"",
        ] {
            assert_eq!(parse(bad.as_bytes()), Err(LineError::Path), "{bad}");
        }
    }

    #[test]
    fn everything_else_is_a_command() {
        for line in ["feed --json", "git-upload-archive 'x'", "git-upload-packs 'x'", "", "git"] {
            assert_eq!(parse(line.as_bytes()), Ok(Request::Command(line.to_owned())));
        }
        assert_eq!(parse(&[0xff]), Err(LineError::NotText));
        assert_eq!(parse(&vec![b'a'; LONGEST + 1]), Err(LineError::TooLong));
    }
}
