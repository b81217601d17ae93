//! Following another forge with `git fetch` alone: where it is, what stock git is asked to bring, and the mark that makes a
//! data directory a mirror.
//!
//! Invariant: what was fetched is believed by nobody before [`Forge::follow`](crate::forge::Forge::follow) has checked it;
//! fetching adds objects and moves no ref.

mod fetch;

use std::fmt;
use std::fs;
use std::io;
use std::net::Ipv6Addr;
use std::path::Path;
use std::str::FromStr;

use notes_schema::ProjectName;

use crate::answer::{Code, Refusal};
pub use fetch::{FetchError, objects, shown, tidy, tip};

/// The file in a data directory that says which forge it follows.
const FILE: &str = "upstream";
/// The longest address.
/// Limit: address to follow | {:bytes}
const LONGEST: usize = 1024;

/// Where the followed forge is: `http://host:port`, `https://…` or `ssh://[user@]host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream(String);

/// What is wrong with an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadUpstream {
    /// Neither http(s) nor ssh.
    #[error("it must begin with http://, https:// or ssh://")]
    Scheme,
    /// Something that is no host, or more than one.
    #[error("behind the scheme it must be a host, and a port where it is not the usual one")]
    Host,
    /// It is shown to whoever writes to the mirror.
    #[error("it holds a password, and it is shown to others: give that to `git credential` instead")]
    Password,
}

impl FromStr for Upstream {
    type Err = BadUpstream;

    fn from_str(text: &str) -> Result<Self, BadUpstream> {
        let text = text.trim().trim_end_matches('/');
        let (scheme, rest) = text.split_once("://").ok_or(BadUpstream::Scheme)?;
        let (user, host) = rest.split_once('@').map_or((None, rest), |(user, host)| (Some(user), host));
        match (scheme, user) {
            ("http" | "https" | "ssh", None) => {}
            ("ssh", Some(user)) if is_word(user) => {}
            ("http" | "https" | "ssh", Some(_)) => return Err(BadUpstream::Password),
            _ => return Err(BadUpstream::Scheme),
        }
        if text.len() > LONGEST || host_and_port(host).is_none() {
            return Err(BadUpstream::Host);
        }
        Ok(Upstream(text.to_owned()))
    }
}

/// `host`, `host:port`, `[address]` or `[address]:port`; the host without brackets.
fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').filter(|(host, _)| host.parse::<Ipv6Addr>().is_ok())?,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port = match rest {
        "" => None,
        _ => Some(rest.strip_prefix(':')?.parse().ok()?),
    };
    (text.starts_with('[') || is_word(host)).then_some((host, port))
}

/// A host or user as it may stand in a command line: it cannot pass for an option, and needs no quotes.
fn is_word(text: &str) -> bool {
    !text.starts_with('-') && !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Upstream {
    /// The forge that the data directory `data` follows, if it is a mirror.
    pub fn of(data: &Path) -> io::Result<Option<Upstream>> {
        match fs::read_to_string(data.join(FILE)) {
            Ok(text) => text.parse().map(Some).map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Makes `data` a mirror of this forge.
    pub fn mark(&self, data: &Path) -> io::Result<()> {
        git::disk::replace_file(data, FILE, format!("{self}\n").as_bytes())
    }

    /// Where a repository is fetched from.
    pub fn url_of(&self, project: &ProjectName) -> String {
        format!("{self}/{project}")
    }

    /// What every write to the mirror is refused with. Its next command is one for a shell.
    pub fn refusal(&self) -> Refusal {
        let next = match self.0.strip_prefix("ssh://") {
            None => format!("curl -s {self}/skill.md"),
            Some(rest) => {
                let (user, host) = rest.split_once('@').map_or(("", rest), |(user, host)| (user, host));
                let (host, port) = host_and_port(host).unwrap_or((host, None));
                let at = if user.is_empty() { "" } else { "@" };
                format!("ssh -p {} {user}{at}{host} help", port.unwrap_or(22))
            }
        };
        let why = format!("this is a mirror, which only reads; {self} is where to write");
        Refusal::new(Code::NotAllowed, "write", why, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_scheme_a_host_and_a_port() {
        for good in ["http://127.0.0.1:8080", "https://forge.example/", "ssh://forge@[::1]:2222", "ssh://host:22"] {
            assert_eq!(good.parse::<Upstream>().unwrap().to_string(), good.trim_end_matches('/'), "{good}");
        }
        for (bad, why) in [
            ("forge.example", BadUpstream::Scheme),
            ("ext::sh -c id", BadUpstream::Scheme),
            ("file:///srv/git", BadUpstream::Scheme),
            ("http://a:secret@host", BadUpstream::Password),
            ("ssh://a:secret@host", BadUpstream::Password),
            ("ssh://-oProxyCommand=id", BadUpstream::Host),
            ("ssh://host;id:22", BadUpstream::Host),
            ("http://host/project", BadUpstream::Host),
            ("http://host:99999", BadUpstream::Host),
            ("http://:80", BadUpstream::Host),
            ("http://[::1", BadUpstream::Host),
            ("http://[id;x]:80", BadUpstream::Host),
        ] {
            assert_eq!(bad.parse::<Upstream>(), Err(why), "{bad}");
        }
        for (url, next) in [
            ("ssh://forge@[::1]:2222", "ssh -p 2222 forge@::1 help"),
            ("ssh://host", "ssh -p 22 host help"),
            ("https://[::1]", "curl -s https://[::1]/skill.md"),
        ] {
            assert_eq!(url.parse::<Upstream>().unwrap().refusal().next, next);
        }
    }

    #[test]
    fn the_mark_is_read_back_and_none_is_no_mirror() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(Upstream::of(data.path()).unwrap(), None);
        let upstream: Upstream = "ssh://host:22".parse().unwrap();
        upstream.mark(data.path()).unwrap();
        assert_eq!(Upstream::of(data.path()).unwrap(), Some(upstream));
        fs::write(data.path().join(FILE), "nonsense").unwrap();
        assert!(Upstream::of(data.path()).is_err());
    }
}
