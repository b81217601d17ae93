//! Finds tokens and private keys in the files of a push. What is found refuses it, so only formats that hardly anything
//! else has are looked for: values that merely look random are everywhere in code.
//!
//! Invariant: one pass over the bytes, text or not, in time that grows linearly; a finding never carries the value.

use std::sync::{LazyLock, OnceLock};

use notes_schema::{Oid, Sha256};
use regex::bytes::Regex;

use super::{Allowed, Also, KEY_BEGIN, KEY_END, KEY_RULE, PATTERNS, is_placeholder, key_stops, looks_random};

/// Most bytes of new files that one push is searched for.
/// Limit: new files of one push that are searched for secrets | {:bytes}; a `remote:` line says how many files were
/// not
const MOST_BYTES: u64 = 256 << 20;
/// Most places that are kept; with more, the rest of the files counts as not searched.
/// Limit: places found in them that the default branch does not list | {}; the rest of the files counts as not
/// searched, and is named so
const MOST_PLACES: usize = 10_000;
/// Longest token, and longest private key, in bytes; of a longer one this much is looked at.
/// Limit: one token in a file that is searched | {:bytes}; of a longer one this much is looked at
const LONGEST_TOKEN: usize = 8 << 10;
/// Limit: one private key in a file that is searched | {:bytes}; of a longer one this much is looked at
const LONGEST_KEY: usize = 64 << 10;

/// The rules of [`PATTERNS`] that refuse a file, and with what their values begin.
const KNOWN: &[(&str, &[&str])] = &[
    ("aws-access-key", &["AKIA", "ASIA", "ABIA", "ACCA"]),
    ("github-token", &["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"]),
    ("gitlab-token", &["glpat-", "glptt-", "glcbt-", "gldt-", "glrt-", "glsoat-", "glft-", "gloas-"]),
    ("slack-token", &["xoxa-", "xoxb-", "xoxe-", "xoxo-", "xoxp-", "xoxr-", "xoxs-", "xapp-"]),
    ("slack-webhook", &["hooks.slack.com/"]),
    ("stripe-key", &["sk_live_", "sk_test_", "rk_live_", "rk_test_", "whsec_"]),
    ("npm-token", &["npm_"]),
    ("pypi-token", &["pypi-"]),
    ("crates-io-token", &["cio"]),
    ("huggingface-token", &["hf_"]),
    ("google-api-key", &["AIza"]),
    ("model-api-key", &["sk-"]),
    ("sendgrid-key", &["SG."]),
    ("jwt", &["eyJ"]),
];

/// What may stand between a key's marker and its body: so many signs and headers.
/// Limit: signs and headers between a private key's marker and its body | {}; behind more, it is a marker without a
/// key
const MOST_FILLING: usize = 80;
/// Longest header that is skipped, in bytes.
/// Limit: one header between them | {:bytes}; behind a longer one, it is a marker without a key
const LONGEST_HEADER: usize = 120;
const HEADERS: &[&[u8]] = &[b"Proc-Type:", b"DEK-Info:", b"Version:", b"Comment:", b"Hash:"];
/// Shortest body, in bytes: the marker alone stands in every program that reads keys.
const SHORTEST_BODY: usize = 40;

struct Known {
    rule: &'static str,
    begins: &'static [&'static str],
    pattern: &'static str,
    /// Made when the first value begins like one: it takes longer than a push.
    whole: OnceLock<Regex>,
    also: Also,
}

/// Where one of them may begin: the only pattern that most files are asked.
static BEGINS: LazyLock<Regex> = LazyLock::new(|| {
    let all = KNOWN.iter().flat_map(|(_, begins)| *begins).chain([&KEY_BEGIN]);
    compile(&all.map(|text| regex::escape(text)).collect::<Vec<_>>().join("|"))
});

static KINDS: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let known = |&(rule, begins): &(&'static str, &'static [&'static str])| {
        let (_, pattern, also) =
            *PATTERNS.iter().find(|(name, ..)| *name == rule).expect("invariant: rules of the table");
        Known { rule, begins, pattern, whole: OnceLock::new(), also }
    };
    KNOWN.iter().map(known).collect()
});

static ENDS: LazyLock<Regex> = LazyLock::new(|| compile(KEY_END));

fn compile(pattern: &str) -> Regex {
    Regex::new(pattern).expect("invariant: the patterns are constant and tested")
}

/// One place of a file that looks like a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file's content.
    pub blob: Oid,
    /// Which rule found it.
    pub rule: &'static str,
    /// In which line, from 1.
    pub line: usize,
    /// The digest of the value, as a list of fixtures names it.
    pub digest: Sha256,
}

/// What was found in the new files of one push.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Searched {
    /// Every place, in the order of the files.
    pub places: Vec<Place>,
    /// How many files were not searched, or not to their end, for there was too much.
    pub skipped: u64,
    allowed: Allowed,
    bytes: u64,
    too_much: bool,
    too_many: bool,
}

impl Searched {
    /// A search that passes over listed fixtures: however many there are, they use up no place.
    pub fn allowing(allowed: Allowed) -> Self {
        Searched { allowed, ..Searched::default() }
    }

    /// Searches one more file.
    pub fn file(&mut self, blob: Oid, bytes: &[u8]) {
        let all = self.bytes.saturating_add(bytes.len() as u64);
        if self.places.len() >= MOST_PLACES {
            return self.skip_too_many();
        }
        if all > MOST_BYTES {
            self.too_much = true;
            self.skipped += 1;
            return;
        }
        self.bytes = all;
        let (mut at, mut counted, mut line) = (0, 0, 1);
        let mut ends = Ends::default();
        while let Some(begin) = BEGINS.find_at(bytes, at) {
            if self.places.len() >= MOST_PLACES {
                return self.skip_too_many();
            }
            at = begin.end();
            let secret = match begin.as_bytes() == KEY_BEGIN.as_bytes() {
                true => key_at(bytes, begin.start(), &mut ends),
                false => token_at(bytes, begin.start(), begin.as_bytes()),
            };
            let Some((rule, value)) = secret else { continue };
            at = at.max(begin.start() + value.len());
            let digest = Sha256::of(value);
            if self.allowed.has_digest(&digest) {
                continue;
            }
            line += bytes[counted..begin.start()].iter().filter(|byte| **byte == b'\n').count();
            counted = begin.start();
            self.places.push(Place { blob, rule, line, digest });
        }
    }

    fn skip_too_many(&mut self) {
        self.too_many = true;
        self.skipped += 1;
    }

    /// What is to be said of files that were not searched.
    pub fn gap(&self) -> Option<String> {
        let bytes = self.too_much.then(|| format!("{} MiB of one push are searched", MOST_BYTES >> 20));
        let places = self.too_many.then(|| format!("the search ends at {MOST_PLACES} places that no list names"));
        let why = [bytes, places].into_iter().flatten().collect::<Vec<_>>().join(", and ");
        (self.skipped > 0).then(|| format!("{} new files were not searched for secrets: {why}", self.skipped))
    }
}

/// The token that begins at `at` with `begin`, if it is one.
fn token_at<'b>(bytes: &'b [u8], at: usize, begin: &[u8]) -> Option<(&'static str, &'b [u8])> {
    // In the middle of a word it is part of the word. That also keeps the time linear: no two begin in one word.
    let in_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte == b'-';
    if at.checked_sub(1).is_some_and(|before| in_word(&bytes[before])) {
        return None;
    }
    let window = &bytes[at..bytes.len().min(at + LONGEST_TOKEN)];
    let known = KINDS.iter().find(|known| known.begins.iter().any(|text| text.as_bytes() == begin))?;
    let whole = known.whole.get_or_init(|| compile(&format!("^(?:{})", known.pattern)));
    let captures = whole.captures(window)?;
    let value = captures.get(1).or(captures.get(0))?.as_bytes();
    let text = std::str::from_utf8(value).ok()?;
    let holds = match known.also {
        Also::Nothing => true,
        // `sk-ssh-ed25519-cert-v01` is put together of words.
        Also::Random | Also::NoPlaceholder | Also::Entropy => {
            looks_random(text) && text.split('-').any(|part| part.len() >= 16)
        }
    };
    (holds && !is_made_up(text)).then_some((known.rule, value))
}

/// The private key that begins at `at`, as long as [`super::find`] has it, so that one digest lists it for both.
fn key_at<'b>(bytes: &'b [u8], at: usize, ends: &mut Ends) -> Option<(&'static str, &'b [u8])> {
    let window = &bytes[..bytes.len().min(at + LONGEST_KEY)];
    if !has_body(after_marker(&window[at..])?) {
        return None;
    }
    let end = ends.after(bytes, at + KEY_BEGIN.len()).filter(|end| end + KEY_END.len() <= window.len());
    Some((KEY_RULE, &window[at..key_stops(window, at, end)]))
}

/// Where keys end. What was found is remembered, or else a file of keys without an end would be read for each of them.
#[derive(Default)]
struct Ends {
    asked: bool,
    next: Option<usize>,
}

impl Ends {
    /// The first end at or after `at`, which never goes back.
    fn after(&mut self, bytes: &[u8], at: usize) -> Option<usize> {
        if !self.asked || self.next.is_some_and(|next| next < at) {
            self.next = ENDS.find_at(bytes, at).map(|end| end.start());
            self.asked = true;
        }
        self.next
    }
}

/// What follows the whole marker `-----BEGIN … PRIVATE KEY-----`, if `text` begins with one.
fn after_marker(text: &[u8]) -> Option<&[u8]> {
    /// No limit: the longest kind that there is.
    const LONGEST_KIND: usize = 40;
    /// No limit: the longest label that there is.
    const LONGEST_LABEL: usize = LONGEST_KIND + "PRIVATE KEY BLOCK".len();
    let text = text.get(KEY_BEGIN.len()..)?;
    let len = text.iter().take(LONGEST_LABEL + 1).position(|b| *b == b'-')?;
    let label = text[..len].strip_suffix(b" BLOCK").unwrap_or(&text[..len]);
    let kind = label.strip_suffix(b"PRIVATE KEY")?;
    let named =
        kind.len() <= LONGEST_KIND && kind.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b' ');
    text[len..].strip_prefix(b"-----").filter(|_| named)
}

/// Whether a key's body follows: base64, after line breaks (written out, too), quotes, comment signs and headers. Another
/// marker ends it, so that no two markers look at the same bytes.
fn has_body(mut text: &[u8]) -> bool {
    let mut filled = 0;
    while let Some(first) = text.first().filter(|_| filled <= MOST_FILLING) {
        let long = text.iter().take(SHORTEST_BODY).take_while(|b| is_base64(b)).count();
        if long == SHORTEST_BODY {
            return true;
        }
        let skipped = match text {
            [b'\\', b'n' | b'r', ..] => 2,
            _ if first.is_ascii_alphanumeric() => match header_len(text) {
                Some(len) => len,
                None => return false,
            },
            // Slashes are comment signs; a row of them counts as one.
            _ if long > 0 => text[..long].iter().take_while(|b| !b.is_ascii_alphanumeric()).count(),
            _ => 1,
        };
        // Of a sign of several bytes the first counts.
        filled += usize::from(!matches!(first, 0x80..0xC0));
        text = &text[skipped..];
    }
    false
}

fn is_base64(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}

/// How long the header is that `text` begins with, with its line break.
fn header_len(text: &[u8]) -> Option<usize> {
    let name = HEADERS.iter().find(|name| text.starts_with(name))?;
    let value = text[name.len()..].iter().take(LONGEST_HEADER + 1).position(|b| *b == b'\n')?;
    let header = &text[..name.len() + value + 1];
    let marked = header.windows(KEY_BEGIN.len()).any(|part| part == KEY_BEGIN.as_bytes());
    (!marked).then_some(header.len())
}

/// Whether a value of the right form was typed to show the form.
fn is_made_up(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    let said = ["example", "placeholder", "redacted", "dummy", "sample", "your", "fake", "xxxx"];
    let ascends = value.as_bytes().windows(2).filter(|pair| pair[1] == pair[0].wrapping_add(1)).count();
    let mut seen = [false; 256];
    value.bytes().for_each(|byte| seen[usize::from(byte)] = true);
    let different = seen.iter().filter(|seen| **seen).count();
    is_placeholder(value)
        || said.iter().any(|word| lower.contains(word))
        || ascends * 2 >= value.len()
        || different < 10
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::secrets::{find, tests::of_each_rule};

    fn oid() -> Oid {
        Oid::from_bytes([7; 20])
    }

    fn found(bytes: &[u8]) -> Vec<(&'static str, usize)> {
        let mut searched = Searched::default();
        searched.file(oid(), bytes);
        searched.places.into_iter().map(|place| (place.rule, place.line)).collect()
    }

    #[test]
    fn each_known_format_is_found_with_the_digest_that_the_list_has() {
        let mut seen = BTreeSet::new();
        for (rule, text) in of_each_rule() {
            let file = format!("\0\u{fe}\nx = \"{text}\"\n");
            let known = rule == KEY_RULE || KNOWN.iter().any(|(name, _)| *name == rule);
            let mut searched = Searched::default();
            searched.file(oid(), file.as_bytes());
            assert_eq!(searched.places.len(), usize::from(known), "{rule}: {file}");
            let Some(place) = searched.places.first() else { continue };
            let same = find(&text).remove(0);
            let digest = Sha256::of(&text.as_bytes()[same.offset..same.offset + same.len]);
            assert_eq!((place.rule, place.line, place.digest), (rule, 2, digest), "{text}");
            seen.insert(rule);
        }
        assert_eq!(seen, KNOWN.iter().map(|(rule, _)| *rule).chain([KEY_RULE]).collect(), "each has a case");
    }

    #[test]
    fn every_beginning_is_one_of_its_rule() {
        let tail = "a1B2c3D4e5F6g7H8j9K0".repeat(5);
        for known in KINDS.iter() {
            for begin in known.begins {
                let text = match known.rule {
                    "aws-access-key" => format!("{begin}{}", &tail[..16].to_uppercase()),
                    "slack-webhook" => format!("{begin}services/T0{tail}"),
                    "crates-io-token" => format!("{begin}{}", &tail[..32]),
                    "sendgrid-key" => format!("{begin}{}.{}", &tail[..22], &tail[..43]),
                    "jwt" => format!("{begin}{tail}.eyJ{tail}.{tail}"),
                    _ => format!("{begin}{tail}"),
                };
                assert_eq!(found(text.as_bytes()), [(known.rule, 1)], "{text}");
                assert_eq!(found(format!("x{text}").as_bytes()), [], "in the middle of a word: {text}");
            }
        }
    }

    #[test]
    fn forms_without_a_secret_in_them_pass() {
        for text in [
            "AKIAIOSFODNN7EXAMPLE",
            "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
            "sk-your-api-key-goes-here-1234",
            "sk-ssh-ed25519-cert-v01@openssh.com",
            "-----BEGIN RSA PRIVATE KEY-----",
            "if line == \"-----BEGIN PRIVATE KEY-----\" { read_key(lines) } else { Err(Error::NoKeyThatIsUnderstoodHere) }",
            "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
            "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEMFkwEwYHKoZIzj0CAQYIKoZI\n",
            "precious and cioppino, eyJust a word, task-management, hf_ and npm_install",
            "password = \"hunter2hunter2\" and DEPLOY=a1B2c3D4e5F6g7H8j9K0Zz8Yy7Xx6Ww5Vv4",
        ] {
            assert_eq!(found(text.as_bytes()), [], "{text}");
        }
    }

    #[test]
    fn keys_are_found_in_any_dress() {
        let body = "a1B2c3D4e5F6g7H8j9K0".repeat(3);
        for text in [
            format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{body}\n-----END OPENSSH PRIVATE KEY-----\n"),
            format!("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0A\n\n{body}\n"),
            format!("/// -----BEGIN EC PRIVATE KEY-----\n/// {body}\n"),
            format!("{{\"private_key\": \"-----BEGIN PRIVATE KEY-----\\n{body}\\n-----END PRIVATE KEY-----\\n\"}}"),
            format!("-----BEGIN PGP PRIVATE KEY BLOCK-----\r\nVersion: GnuPG\r\n\r\n{body}\r\n"),
        ] {
            assert_eq!(found(text.as_bytes()), [(KEY_RULE, 1)], "{text}");
        }
    }

    #[test]
    fn what_stands_before_the_body_is_bounded() {
        let body = "a1B2c3D4e5F6g7H8j9K0".repeat(2);
        let key = |filling: &str, body: &str| found(format!("-----BEGIN PRIVATE KEY-----{filling}{body}").as_bytes());
        for filling in ["\n", "\\r\\n", "\n/// ", "\n│ ", &"\n".repeat(80), &"Hash: x\n".repeat(80), "\u{fe}\n", "+/+ "]
        {
            assert_eq!(key(filling, &body), [(KEY_RULE, 1)], "{filling:?}");
            assert_eq!(key(filling, &body[1..]), [], "{filling:?}: one less");
        }
        for filling in [&"\n".repeat(81), &"Hash: x\n".repeat(81), "\nHash ", "\nx ", &format!("Hash:{:121}\n", "")] {
            assert_eq!(key(filling, &body), [], "{filling:?}");
        }
        for label in ["private key", "PRIVATE KEYS", "PRIVATE KEY--x", &format!("{:41}PRIVATE KEY", "")] {
            assert_eq!(found(format!("-----BEGIN {label}-----\n{body}").as_bytes()), [], "{label}");
        }
        let inner = format!("-----BEGIN PRIVATE KEY-----\nHash:-----BEGIN PRIVATE KEY-----\n{body}\n");
        assert_eq!(found(inner.as_bytes()), [(KEY_RULE, 2)], "a header hides no key");
    }

    /// Were bytes read again for each marker before them, this would take minutes.
    #[test]
    fn files_of_markers_are_read_once() {
        let body = "a1B2c3D4e5F6g7H8j9K0".repeat(2);
        let marker = "-----BEGIN PRIVATE KEY-----";
        for (piece, found_most) in [
            (format!("Hash:{marker}\n"), false),
            (format!("{marker}{body}-----END PRIVATE KEY-----"), true),
            (format!("{marker}{body}\n-\n"), true),
            (format!("{marker}\n{}", "Hash: x\n".repeat(81)), false),
            (format!("{marker}{}", "/".repeat(39)), false),
            ("-----BEGIN ".to_owned(), false),
        ] {
            let times = (8 << 20) / piece.len();
            let mut searched = Searched::default();
            searched.file(oid(), piece.repeat(times).as_bytes());
            assert_eq!(searched.places.len(), if found_most { MOST_PLACES.min(times) } else { 0 }, "{piece:?}");
        }
    }

    #[test]
    fn what_is_beyond_the_budget_is_counted() {
        let mut searched = Searched { bytes: MOST_BYTES - 10, ..Searched::default() };
        searched.file(oid(), b"0123456789");
        assert_eq!(searched.gap(), None);
        searched.file(oid(), b"0");
        assert_eq!(
            searched.gap().unwrap(),
            "1 new files were not searched for secrets: 256 MiB of one push are searched"
        );
        let token = format!("ghp_{}\n", "a1B2c3D4e5F6g7H8j9K0".repeat(2));
        let mut searched = Searched::default();
        searched.file(oid(), token.repeat(MOST_PLACES + 5).as_bytes());
        searched.file(oid(), b"");
        assert_eq!((searched.places.len(), searched.skipped), (MOST_PLACES, 2));
        let places = "the search ends at 10000 places that no list names";
        assert_eq!(searched.gap().unwrap(), format!("2 new files were not searched for secrets: {places}"));
        let mut searched = Searched { bytes: MOST_BYTES - token.len() as u64 * 10_001, ..Searched::default() };
        searched.file(oid(), b"0".repeat(MOST_BYTES as usize >> 4).as_slice());
        searched.file(oid(), token.repeat(10_001).as_bytes());
        let both = format!("256 MiB of one push are searched, and {places}");
        assert_eq!(searched.gap().unwrap(), format!("2 new files were not searched for secrets: {both}"));
    }

    #[test]
    fn listed_fixtures_use_up_no_place() {
        let token = |tail: &str| format!("ghp_{}{tail}", "a1B2c3D4e5F6g7H8j9K0".repeat(2));
        let (allowed, _) = Allowed::parse(&Sha256::of(token("").as_bytes()).to_string());
        let mut searched = Searched::allowing(allowed);
        let fixtures = format!("{}\n", token("")).repeat(MOST_PLACES + 5);
        searched.file(oid(), format!("{fixtures}{}", token("x")).as_bytes());
        searched.file(oid(), token("y").as_bytes());
        let found: Vec<_> = searched.places.iter().map(|place| (place.line, place.digest)).collect();
        let digest = |tail: &str| Sha256::of(token(tail).as_bytes());
        assert_eq!(found, [(MOST_PLACES + 6, digest("x")), (1, digest("y"))]);
        assert_eq!(searched.gap(), None);
    }
}
