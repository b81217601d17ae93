//! `hideRefs`: which refs a service neither shows nor touches.
//!
//! Invariant: the last pattern that fits decides, as in git: `!` shows again what an earlier one hid, and `^` means the
//! full name, which here is the name itself, because no namespace is served.

use super::config::Values;
use crate::wire::Service;

/// The patterns of one service, in the order of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Hidden(Vec<(bool, String)>);

impl Hidden {
    /// `transfer.hideRefs` together with the service's own, as they stand in the file.
    pub(super) fn of(values: &Values, service: Service) -> Hidden {
        let own = match service {
            Service::UploadPack => "uploadpack.hiderefs",
            Service::ReceivePack => "receive.hiderefs",
        };
        let given = values.iter().filter(|(key, _)| *key == own || *key == "transfer.hiderefs");
        Hidden(given.filter_map(|(_, value)| value).map(Self::pattern).collect())
    }

    fn pattern(text: &str) -> (bool, String) {
        let text = text.trim_end_matches('/');
        let (hides, text) = match text.strip_prefix('!') {
            Some(rest) => (false, rest),
            None => (true, text),
        };
        (hides, text.strip_prefix('^').unwrap_or(text).to_owned())
    }

    /// Whether `name` is hidden.
    pub(super) fn hides(&self, name: &str) -> bool {
        let fits =
            |pattern: &str| name.strip_prefix(pattern).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.0.iter().rev().find(|(_, pattern)| fits(pattern)).is_some_and(|(hides, _)| *hides)
    }

    /// Whether anything can be hidden at all.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(text: &str) -> Hidden {
        Hidden::of(&Values::parse(text.as_bytes()).unwrap(), Service::UploadPack)
    }

    #[test]
    fn the_last_pattern_that_fits_decides() {
        let some = hidden(
            "[transfer]\nhideRefs = refs/pull/\n[uploadpack]\nhideRefs = !refs/pull/7\n[receive]\nhideRefs = refs/heads\n\
             [transfer]\nhideRefs = ^refs/pull/7/merge\n",
        );
        for (name, hides) in [
            ("refs/pull/1/head", true),
            ("refs/pull/7/head", false),
            ("refs/pull/7/merge", true),
            ("refs/pullx", false),
            ("refs/pull", true),
            ("refs/heads/main", false),
            ("HEAD", false),
        ] {
            assert_eq!(some.hides(name), hides, "{name}");
        }
        assert!(hidden("[uploadpack]\nhideRefs = refs\n").hides("refs/heads/x"));
        assert!(hidden("[receive]\nhideRefs = refs\n").is_empty());
    }
}
