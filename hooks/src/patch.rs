//! The patch of an attempt: what git says of two trees, in one zstd frame.
//!
//! Invariant: what a frame claims to hold and the window that it asks for are compared with what is allowed before
//! anything is allocated for them; whatever it claims, no more is inflated.

use std::io::Read as _;

use notes_schema::trace;
use ruzstd::decoding::StreamingDecoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use crate::secrets::{self, Allowed};
use crate::{Repo, Undecided};

/// Most bytes that the patches of one record may inflate to.
/// No limit: see what it is made from.
pub const MOST: u64 = trace::limits::INFLATED;
/// Largest window of a frame: as much as every decoder is asked to support.
/// Limit: window of a patch's zstd frame | {:bytes}
const WINDOW: u64 = 8 << 20;

/// What git is asked for two trees: the one form of a patch that is replayed. Every file is text, so that all of it can be
/// read and searched; ids are whole, so that it says what it starts from; nothing is renamed.
pub const FORM: &[&str] = &[
    "-c",
    "core.quotePath=true",
    "-c",
    "diff.suppressBlankEmpty=false",
    "diff-tree",
    "-r",
    "-p",
    "--text",
    "--full-index",
    "--no-renames",
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "--unified=3",
    "--inter-hunk-context=0",
    "--submodule=short",
    "--ignore-submodules=none",
    "--src-prefix=a/",
    "--dst-prefix=b/",
];

/// A stream that holds no patch, as the end of a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// It would be too large.
    #[error("claims to inflate to {0} bytes, and {MOST} are allowed")]
    Large(u64),
    /// It cannot be read.
    #[error("is no single zstd frame with a window of at most 8 MiB: {0}")]
    Broken(String),
}

/// The text of a patch.
pub fn inflate(frame: &[u8]) -> Result<Vec<u8>, BadFrame> {
    let claimed = trace::claimed(frame);
    if claimed > MOST {
        return Err(BadFrame::Large(claimed));
    }
    let broken = |why: String| BadFrame::Broken(why.chars().take(200).collect());
    let mut rest = frame;
    let decoder = StreamingDecoder::new_with_max_window_size(&mut rest, WINDOW).map_err(|e| broken(e.to_string()))?;
    let mut text = Vec::new();
    // One byte more, to tell a frame that holds more than it claims.
    let mut bounded = decoder.take(claimed + 1);
    bounded.read_to_end(&mut text).map_err(|e| broken(e.to_string()))?;
    drop(bounded);
    if text.len() as u64 > claimed {
        return Err(broken("it holds more than it claims".to_owned()));
    }
    if rest.is_empty() { Ok(text) } else { Err(broken(format!("{} bytes follow it", rest.len()))) }
}

/// The same, where a repository has to bear the work.
pub(crate) fn unpack(repo: &dyn Repo, frame: &[u8]) -> Result<Result<Vec<u8>, BadFrame>, Undecided> {
    repo.spend(trace::claimed(frame).min(MOST))?;
    Ok(inflate(frame))
}

/// A patch as a record carries it.
pub fn deflate(text: &[u8]) -> Vec<u8> {
    compress_to_vec(text, CompressionLevel::Fastest)
}

/// The first thing in a patch that looks like a secret: its rule, and its line from 1. Lines that go or stay are searched as
/// well as those that come: the patch makes all of them public.
pub fn find_secret(text: &[u8], allowed: &Allowed) -> Option<(&'static str, usize)> {
    let text = String::from_utf8_lossy(text);
    let mut bare = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        // Without git's marks in front, so that values of several lines stand as they stand in their file.
        bare.push_str(line.strip_prefix(['+', '-', ' ']).unwrap_or(line));
    }
    let found = secrets::find_except(&bare, allowed);
    found.first().map(|finding| (finding.rule, bare[..finding.offset].matches('\n').count() + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ZEROS: &[u8] = include_bytes!("../../notes-schema/golden/zeros-64-mib.zst");
    const PATCH: &[u8] = include_bytes!("../../notes-schema/golden/small-patch.zst");

    #[test]
    fn frames_of_the_zstd_program_and_stored_ones_are_read() {
        let text = inflate(PATCH).unwrap();
        assert!(String::from_utf8(text).unwrap().contains('\n'));
        // As the script writes them: stored, with the size in the head.
        assert_eq!(inflate(b"\x28\xb5\x2f\xfd\xa0\x03\0\0\0\x19\0\0abc").unwrap(), b"abc");
        assert_eq!(inflate(b"\x28\xb5\x2f\xfd\xa0\0\0\0\0\x01\0\0").unwrap(), b"");
        assert_eq!(inflate(&deflate(b"")).unwrap(), b"");
    }

    #[test]
    fn bombs_windows_and_what_follows_are_refused() {
        assert_eq!(inflate(ZEROS), Err(BadFrame::Large(64 << 20)));
        // 64 GiB of window, and nothing in it.
        let window = inflate(b"\x28\xb5\x2f\xfd\x00\xd0\x01\0\0").unwrap_err();
        assert!(window.to_string().contains("window"), "{window}");
        // The head states 1 byte, and the block repeats 100.
        let more = inflate(b"\x28\xb5\x2f\xfd\x20\x01\x23\x03\0x").unwrap_err();
        assert!(matches!(more, BadFrame::Broken(_)), "{more}");
        let two = [deflate(b"a"), deflate(b"b")].concat();
        assert!(inflate(&two).unwrap_err().to_string().contains("bytes follow it"));
        for nothing in [&b""[..], b"diff --git", &PATCH[..PATCH.len() - 2]] {
            assert!(matches!(inflate(nothing), Err(BadFrame::Broken(_))), "{nothing:?}");
        }
    }

    #[test]
    fn secrets_are_found_in_lines_that_come_go_or_stay() {
        let token = format!("ghp_{}", "a1B2".repeat(9));
        let key = "+-----BEGIN RSA PRIVATE KEY-----\n+MIIabc\n+-----END RSA PRIVATE KEY-----\n";
        let found = |text: &str| find_secret(text.as_bytes(), &Allowed::default());
        for mark in ["+", "-", " "] {
            assert_eq!(found(&format!("@@ -1 +1 @@\n{mark}x={token}\n")), Some(("github-token", 2)));
        }
        assert_eq!(found(&format!("@@ -1 +1 @@\n{key}")), Some(("private-key", 2)));
        assert_eq!(found("@@ -1 +1 @@\n-one\n+two\n"), None);
        let listed = notes_schema::Sha256::of(token.as_bytes()).to_string();
        assert_eq!(find_secret(format!("+x={token}\n").as_bytes(), &Allowed::parse(&listed).0), None);
        // A key is listed as it stands in its file.
        let value = "-----BEGIN RSA PRIVATE KEY-----\nMIIabc\n-----END RSA PRIVATE KEY-----";
        let listed = notes_schema::Sha256::of(value.as_bytes()).to_string();
        assert_eq!(find_secret(key.as_bytes(), &Allowed::parse(&listed).0), None);
    }

    proptest! {
        #[test]
        fn whatever_goes_in_comes_out(text in prop::collection::vec(any::<u8>(), 0..3000), times in 1usize..100) {
            let text = text.repeat(times);
            prop_assert_eq!(inflate(&deflate(&text)).unwrap(), text);
        }

        #[test]
        fn no_frame_panics(at in any::<prop::sample::Index>(), byte: u8, bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut changed = PATCH.to_vec();
            let at = at.index(PATCH.len());
            changed[at] = byte;
            let _ = inflate(&changed);
            let _ = inflate(&[&PATCH[..at], &bytes].concat());
            let _ = inflate(&[&b"\x28\xb5\x2f\xfd"[..], &bytes].concat());
        }
    }
}
