//! Finds what looks like a secret in text, and strikes it out.
//!
//! Invariant: time grows linearly with the text; a finding never carries the value. Struck-out text holds nothing that
//! is found again.

mod allowed;
mod files;

use std::sync::LazyLock;

use regex::{Regex, RegexSet};

pub use allowed::{Allowed, LONGEST as LONGEST_LIST, PATH as ALLOW_PATH};
pub use files::{Place, Searched};

/// One place that looks like a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which rule found it.
    pub rule: &'static str,
    /// Where it begins, in bytes.
    pub offset: usize,
    /// How long it is, in bytes.
    pub len: usize,
}

/// What else must hold for a match to be a secret.
#[derive(Clone, Copy)]
enum Also {
    /// The form alone is proof enough.
    Nothing,
    /// The value looks random: letters and digits, many different ones.
    Random,
    /// The value is no placeholder.
    NoPlaceholder,
    /// Each character of the value tells much: mixed case, digits, and hardly any repetition.
    Entropy,
}

/// Name, pattern (group 1 is the value, or else the whole match), and what else must hold.
const PATTERNS: &[(&str, &str, Also)] = &[
    ("aws-access-key", r"(?-u:\b)((?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16})(?-u:\b)", Also::Nothing),
    ("github-token", r"(?-u:\b)(gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_[A-Za-z0-9_]{22,255})", Also::Nothing),
    ("gitlab-token", r"(?-u:\b)(gl(?:pat|ptt|cbt|dt|rt|soat|ft|oas)-[A-Za-z0-9_-]{20,300})", Also::Nothing),
    ("slack-token", r"(?-u:\b)(xox[abeoprs]-[A-Za-z0-9-]{10,250}|xapp-[A-Za-z0-9-]{20,250})", Also::Nothing),
    ("slack-webhook", r"(hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/_-]{20,200})", Also::Nothing),
    (
        "stripe-key",
        r"(?-u:\b)((?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,250}|whsec_[A-Za-z0-9+/=]{24,250})",
        Also::Nothing,
    ),
    ("npm-token", r"(?-u:\b)(npm_[A-Za-z0-9]{36,255})", Also::Nothing),
    ("pypi-token", r"(?-u:\b)(pypi-[A-Za-z0-9_-]{50,})", Also::Nothing),
    ("crates-io-token", r"(?-u:\b)(cio[A-Za-z0-9]{32})(?-u:\b)", Also::Random),
    ("huggingface-token", r"(?-u:\b)(hf_[A-Za-z0-9]{30,100})", Also::Nothing),
    ("google-api-key", r"(?-u:\b)(AIza[A-Za-z0-9_-]{35})", Also::Nothing),
    ("model-api-key", r"(?-u:\b)(sk-[A-Za-z0-9_-]{20,300})", Also::Random),
    ("sendgrid-key", r"(?-u:\b)(SG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,128})", Also::Nothing),
    ("jwt", r"(?-u:\b)(eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,})", Also::Nothing),
    ("bearer", r"(?i:(?-u:\b)bearer[ \t]+)([A-Za-z0-9._~+/-]{16,}=*)", Also::Random),
    ("basic-auth", r"(?i:authorization[ \t]*[:=][ \t]*basic[ \t]+)([A-Za-z0-9+/]{8,}=*)", Also::Nothing),
    ("url-password", r"[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s/:@\[\]]{0,100}:([^\s/@\[\]]{3,200})@", Also::NoPlaceholder),
    (
        "assignment",
        concat!(
            r"(?i:password|passwd|passphrase|secret|token|api[_-]?key|apikey|access[_-]?key|private[_-]?key|",
            r"signing[_-]?key|credentials?|pwd|(?:auth|encryption|master|session|license|account)[_-]?key)",
            r"[A-Za-z0-9_]{0,20}",
            "[\"']?[ \\t]*(?:=>|:=|[=:])[ \\t]*[\"']?",
            "([^\\s\"'`,;&<>(){}\\[\\]]{8,300})"
        ),
        Also::Random,
    ),
    (
        "command-option",
        r"--?(?i:password|passwd|secret|token|api-?key|access-key)[ \t]+([^-\s\[\]][^\s\[\]]{7,300})",
        Also::Random,
    ),
    // `DEPLOY_HASH=…` in capitals, as environments are printed; what it is called does not matter then.
    ("environment-value", "(?-u:\\b)[A-Z][A-Z0-9_]{2,60}=[\"']?([A-Za-z0-9+/_-]{32,200}={0,2})", Also::Entropy),
];

struct Pattern {
    rule: &'static str,
    regex: Regex,
    also: Also,
}

static COMPILED: LazyLock<Vec<Pattern>> = LazyLock::new(|| {
    let compile = |&(rule, text, also): &(&'static str, &str, Also)| Pattern {
        rule,
        regex: Regex::new(text).expect("invariant: the patterns are constant and tested"),
        also,
    };
    PATTERNS.iter().map(compile).collect()
});

/// All patterns in one pass: most lines match none of them.
static ANY: LazyLock<RegexSet> = LazyLock::new(|| {
    let patterns = PATTERNS.iter().map(|(_, text, _)| text);
    RegexSet::new(patterns).expect("invariant: the patterns are constant and tested")
});

const KEY_RULE: &str = "private-key";
const KEY_BEGIN: &str = "-----BEGIN ";
const KEY_END: &str = "-----END ";

/// The name of every rule.
pub fn rules() -> impl Iterator<Item = &'static str> {
    std::iter::once(KEY_RULE).chain(PATTERNS.iter().map(|(rule, ..)| *rule))
}

/// Everything in `text` that looks like a secret, in order, without overlaps.
pub fn find(text: &str) -> Vec<Finding> {
    find_except(text, &Allowed::default())
}

/// The same without the values that are listed as fixtures. A private key is named whole, so it is listed whole.
pub fn find_except(text: &str, allowed: &Allowed) -> Vec<Finding> {
    let mut found = private_keys(text);
    found.retain(|finding| !allowed.has(&text[finding.offset..finding.offset + finding.len]));
    let matched: Vec<usize> = if ANY.is_match(text) { ANY.matches(text).into_iter().collect() } else { Vec::new() };
    for pattern in matched.into_iter().map(|at| &COMPILED[at]) {
        for captures in pattern.regex.captures_iter(text) {
            let Some(value) = captures.get(1).or(captures.get(0)) else {
                continue;
            };
            let holds = match pattern.also {
                Also::Nothing => true,
                Also::Random => looks_random(value.as_str()),
                Also::NoPlaceholder => !is_placeholder(value.as_str()),
                Also::Entropy => has_entropy(value.as_str()),
            };
            if holds && !allowed.has(value.as_str()) {
                found.push(Finding { rule: pattern.rule, offset: value.start(), len: value.len() });
            }
        }
    }
    // The rule that begins first names an overlap; among those that begin together, the first in the table.
    found.sort_by_key(|finding| finding.offset);
    let mut merged: Vec<Finding> = Vec::with_capacity(found.len());
    for finding in found {
        match merged.last_mut() {
            Some(last) if finding.offset < last.offset + last.len => {
                last.len = last.len.max(finding.offset + finding.len - last.offset);
            }
            Some(_) | None => merged.push(finding),
        }
    }
    merged
}

/// `text` with every finding replaced by `[redacted:<rule>]`, and how often each rule struck, sorted by its name.
pub fn redact(text: &str) -> (String, Vec<(String, u64)>) {
    let mut redactor = Redactor::default();
    let clean = redactor.strike(text);
    (clean, redactor.counts())
}

/// Strikes secrets out of text that comes in pieces, line by line: a private key may go over many of them.
#[derive(Debug, Default)]
pub struct Redactor {
    allowed: Allowed,
    counts: std::collections::BTreeMap<&'static str, u64>,
    inside_key: bool,
}

impl Redactor {
    /// One that leaves listed fixtures alone.
    pub fn allowing(allowed: Allowed) -> Self {
        Redactor { allowed, ..Redactor::default() }
    }

    /// The next line (with or without its line break), struck out.
    pub fn line(&mut self, line: &str) -> String {
        if self.inside_key {
            let Some(end) = line.find(KEY_END) else {
                // A key that never ends must not swallow the log: its lines hold base64 and headers alone.
                if is_key_body(line.as_bytes()) {
                    return String::new();
                }
                self.inside_key = false;
                return self.strike(line);
            };
            self.inside_key = false;
            let rest = &line[end + KEY_END.len()..];
            let rest = rest.find("-----").map_or("", |at| &rest[at + 5..]);
            return if rest.trim().is_empty() { String::new() } else { self.line(rest) };
        }
        // The last key of the line goes on where no end follows its marker.
        let ended = line.rfind(KEY_END).map_or(0, |end| end + KEY_END.len());
        self.inside_key = key_begins(line, ended).is_some();
        self.strike(line)
    }

    /// How often each rule struck so far, sorted by its name.
    pub fn counts(&self) -> Vec<(String, u64)> {
        self.counts.iter().map(|(rule, count)| ((*rule).to_owned(), *count)).collect()
    }

    fn strike(&mut self, text: &str) -> String {
        let mut clean = text.to_owned();
        // What is put in can complete another pattern with what stands around it; that ends after a few rounds.
        for _ in 0..8 {
            let found = find_except(&clean, &self.allowed);
            if found.is_empty() {
                return clean;
            }
            let mut next = String::with_capacity(clean.len());
            let mut at = 0;
            for finding in &found {
                *self.counts.entry(finding.rule).or_default() += 1;
                next.push_str(&clean[at..finding.offset]);
                next.push_str("[redacted:");
                next.push_str(finding.rule);
                next.push(']');
                at = finding.offset + finding.len;
            }
            next.push_str(&clean[at..]);
            clean = next;
        }
        if find_except(&clean, &self.allowed).is_empty() { clean } else { "[redacted]".to_owned() }
    }
}

/// Where `-----BEGIN … PRIVATE KEY` stands at or after `from`.
fn key_begins(text: &str, from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(found) = text[at..].find(KEY_BEGIN) {
        let begin = at + found;
        let label = text[begin + KEY_BEGIN.len()..].split("-----").next().unwrap_or("");
        let label: String = label.chars().take(60).collect();
        if label.contains("PRIVATE KEY") && !label.contains('\n') {
            return Some(begin);
        }
        at = begin + KEY_BEGIN.len();
    }
    None
}

fn private_keys(text: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut at = 0;
    let mut ends_left = true;
    while let Some(begin) = key_begins(text, at) {
        let after_label = begin + KEY_BEGIN.len();
        let end = if ends_left { text[after_label..].find(KEY_END).map(|end| after_label + end) } else { None };
        ends_left = end.is_some();
        let stop = key_stops(text.as_bytes(), begin, end);
        found.push(Finding { rule: KEY_RULE, offset: begin, len: stop - begin });
        at = stop;
    }
    found
}

/// Where the key that begins at `begin` stops; `end` is where the next [`KEY_END`] stands. Nothing beyond the next marker
/// is looked at, or else a line of keys would be read once for each of them.
fn key_stops(text: &[u8], begin: usize, end: Option<usize>) -> usize {
    let line_end = |from: usize| text[from..].iter().position(|b| *b == b'\n').map_or(text.len(), |at| from + at);
    if let Some(end) = end {
        let label = end + KEY_END.len();
        let mut rest = text[label..].windows(5).enumerate();
        return match rest.find(|(_, five)| *five == b"-----" || five[0] == b'\n') {
            Some((at, b"-----")) => label + at + 5,
            Some((at, _)) => label + at,
            None => line_end(label),
        };
    }
    let first = line_end(begin + KEY_BEGIN.len());
    let body = text[first..].split_inclusive(|b| *b == b'\n').skip(1).take_while(|line| is_key_body(line));
    let stop = first + usize::from(first < text.len()) + body.map(<[u8]>::len).sum::<usize>();
    if text[..stop].ends_with(b"\n") { stop - 1 } else { stop }
}

/// Whether a line could stand inside a PEM block.
fn is_key_body(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    let header = [&b"Proc-Type:"[..], b"DEK-Info:", b"Comment:"].iter().any(|name| line.starts_with(name));
    header || line.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='))
}

/// Whether a value stands for a secret instead of being one.
fn is_placeholder(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    let same = value.bytes().all(|b| value.as_bytes().first() == Some(&b));
    let word = ["password", "passwd", "pass", "secret", "token", "xxx", "example", "changeme", "redacted", "user"];
    same || value.starts_with(['$', '<', '{', '%', '*', '[']) || word.contains(&lower.as_str())
}

/// Whether a value looks random rather than like a word, path, number, type or expression.
fn looks_random(value: &str) -> bool {
    let value = value.trim_end_matches(['.', ':', '!', '?', '\\']);
    if value.len() < 8 || is_placeholder(value) || value.contains("::") || value.contains("->") || value.contains("://")
    {
        return false;
    }
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let letters = value.bytes().filter(u8::is_ascii_alphabetic).count();
    if digits == 0 || letters < 2 {
        return false;
    }
    // `src/lib.rs:12:5` and `target/debug/deps/story-0123`: paths have dots and slashes where secrets have none.
    let looks_like_path =
        value.contains('/') && (value.contains('.') || value.starts_with('/') || value.contains("deps/"));
    let mut seen = [false; 256];
    value.bytes().for_each(|b| seen[usize::from(b)] = true);
    let different = seen.iter().filter(|seen| **seen).count();
    !looks_like_path && different >= 6
}

/// Bits of information per character that a random value has at least, in thousandths. Hexadecimal has 4000 at most, so
/// digests and ids of objects stay below.
const ENTROPY: u64 = 4200;

fn has_entropy(value: &str) -> bool {
    let has = |test: fn(&u8) -> bool| value.bytes().any(|b| test(&b));
    let mixed = has(u8::is_ascii_digit) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
    let ascends = value.as_bytes().windows(2).filter(|pair| pair[1] == pair[0].wrapping_add(1)).count();
    // `ABCDEFG…0123456789`: an alphabet is no secret.
    mixed && !value.starts_with("sha") && ascends * 2 < value.len() && entropy(value) >= ENTROPY
}

/// Shannon's entropy of the bytes, in thousandths of a bit per byte.
fn entropy(value: &str) -> u64 {
    let mut counts = [0u32; 256];
    value.bytes().for_each(|b| counts[usize::from(b)] += 1);
    let len = value.len() as f64;
    let bits: f64 = counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| f64::from(*count) / len)
        .map(|share| -share * share.log2())
        .sum();
    (bits * 1000.0) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use notes_schema::Sha256;

    use super::*;

    /// Letters and digits that no scanner of this repository takes for a real token, since they are put together here.
    fn random(len: usize) -> String {
        "a1B2c3D4e5F6g7H8j9K0".chars().cycle().take(len).collect()
    }

    /// A secret of each rule.
    pub(super) fn of_each_rule() -> Vec<(&'static str, String)> {
        let pem =
            |label: &str| format!("-----BEGIN {label}-----\n{}\n{}\n-----END {label}-----", random(64), random(20));
        vec![
            ("private-key", pem("OPENSSH PRIVATE KEY")),
            ("private-key", pem("RSA PRIVATE KEY")),
            ("aws-access-key", format!("AKIA{}", random(16).to_uppercase())),
            ("github-token", format!("ghp_{}", random(36))),
            ("github-token", format!("github_pat_{}", random(40))),
            ("gitlab-token", format!("glpat-{}", random(20))),
            ("slack-token", format!("xoxb-{}", random(24))),
            ("slack-webhook", format!("https://hooks.slack.com/services/T0{}/B0/{}", random(8), random(24))),
            ("stripe-key", format!("sk_live_{}", random(24))),
            ("npm-token", format!("npm_{}", random(36))),
            ("pypi-token", format!("pypi-{}", random(80))),
            ("crates-io-token", format!("cio{}", random(32))),
            ("huggingface-token", format!("hf_{}", random(34))),
            ("google-api-key", format!("AIza{}", random(35))),
            ("model-api-key", format!("sk-proj-{}", random(40))),
            ("sendgrid-key", format!("SG.{}.{}", random(22), random(43))),
            ("jwt", format!("eyJ{}.eyJ{}.{}", random(20), random(30), random(43))),
            ("bearer", format!("Authorization: Bearer {}", random(32))),
            ("basic-auth", format!("authorization: basic {}==", random(22))),
            ("url-password", "postgres://app:hunter2@db:5432/x".to_owned()),
            ("assignment", format!("DB_PASSWORD={}", random(12))),
            ("assignment", format!("\"api_key\": \"{}\"", random(20))),
            ("assignment", format!("client_secret = '{}'", random(20))),
            ("command-option", format!("curl --token {}", random(20))),
            ("assignment", format!("DB_PWD={}", random(12))),
            ("assignment", format!("encryption-key: {}", random(12))),
            ("environment-value", format!("DEPLOY={}Zz8Yy7Xx6Ww5Vv4", random(20))),
        ]
    }

    fn found(text: &str) -> Vec<&'static str> {
        find(text).into_iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn every_rule_finds_its_own_kind_and_nothing_is_left() {
        let cases = of_each_rule();
        let mut seen = std::collections::BTreeSet::new();
        for (rule, text) in &cases {
            let text = format!("before {text} after\n");
            assert_eq!(found(&text), [*rule], "{text}");
            let (clean, counts) = redact(&text);
            assert_eq!(counts, [((*rule).to_owned(), 1)]);
            assert!(clean.starts_with("before ") && clean.ends_with(" after\n") && find(&clean).is_empty(), "{clean}");
            assert!(!clean.contains(&random(8)) && !clean.contains("hunter2"), "{clean}");
            seen.insert(*rule);
        }
        assert_eq!(seen, rules().collect(), "each rule has a case");
    }

    #[test]
    fn ordinary_output_is_left_alone() {
        for text in [
            "   Compiling proc-macro2 v1.0.101",
            "     Running unittests src/lib.rs (target/debug/deps/notes_schema-e709e0befe61a3d9)",
            "test result: ok. 25 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.16s",
            "error[E0425]: cannot find value `token1234` in this scope\n  --> src/lexer.rs:12:5",
            "thread 'lexer::token::tests::reads_42' panicked at src/token.rs:88:9:",
            "  left: Token { kind: Ident(\"x1\"), span: 0..12 }",
            "commit 3f1c2ab0123456789012345678901234567890ab",
            "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "next_token: TokenKind::Ident(Symbol(12))",
            "password: String,",
            "let token = lexer.next_token();",
            "secret = \"changeme\"",
            "token=$GITHUB_TOKEN api_key={{ api_key }} password=********",
            "https://user@example.com/path:8080 http://127.0.0.1:8080/x@y",
            "ssh://forge:2222/parser git@github.com:x/y.git",
            "bearer authentication is required here",
            "task-management-system-of-2024",
            "-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----",
            "-----BEGIN SSH SIGNATURE-----",
            "unexpected token: expected `;` at line 12345678",
            "nonce 000102030405060708090a0b0c0d0e0f",
            "COMMIT=3f1c2ab0123456789012345678901234567890ab SHELL=/usr/bin/some/long/path/to/a/shell/Of/1",
            "INTEGRITY=sha512-kYzJ3bTq0hN5wE7rVxM1cPaLd9GfUo2iSs8QeRtB4nHlWjZxCvBmKyTgDfRsAqWe",
            "ALPHABET=ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            "CARGO_MANIFEST_DIR=/home/agent/Project1/target/debug/build/x",
            "github.com/x/y v1.2.3 h1:kYzJ3bTq0hN5wE7rVxM1cPaLd9GfUo2iSs8QeRtB4nH=",
            "checksum = \"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"",
        ] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn listed_fixtures_are_left_alone_and_nothing_else() {
        let (fixture, real) = (format!("ghp_{}", random(36)), format!("ghp_{}", random(37)));
        let list = format!("# Tokens of the tests.\n{}  lexer\n\nnot a digest\n", Sha256::of(fixture.as_bytes()));
        let (allowed, wrong) = Allowed::parse(&list);
        assert_eq!(wrong, Some(4));
        let text = format!("{fixture} {real} x={fixture}{fixture}\n");
        let found = find_except(&text, &allowed);
        assert_eq!(found.len(), 2, "the real one, and the one that only begins like the fixture: {found:?}");
        let mut redactor = Redactor::allowing(allowed);
        let clean = redactor.line(&text);
        assert!(clean.starts_with(&format!("{fixture} [redacted:github-token] ")), "{clean}");
        assert_eq!(redactor.counts(), [("github-token".to_owned(), 2)]);
        let (none, wrong) = Allowed::parse(&format!("{}{list}", " ".repeat(LONGEST_LIST)));
        assert!(!none.has(&fixture) && wrong == Some(0), "a list that is too long lists nothing");
    }

    #[test]
    fn a_key_is_struck_out_line_by_line() {
        let mut redactor = Redactor::default();
        let lines = [
            "x\n",
            "-----BEGIN RSA PRIVATE KEY-----\n",
            "Proc-Type: 4,ENCRYPTED\n",
            "\n",
            "QUJD\n",
            "-----END RSA PRIVATE KEY-----\n",
            "y\n",
        ];
        let clean: String = lines.iter().map(|line| redactor.line(line)).collect();
        assert_eq!(clean, "x\n[redacted:private-key]\ny\n");
        assert_eq!(redactor.counts(), [("private-key".to_owned(), 1)]);
        // A second one begins where the first ends.
        let (begin, end) = ("-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----");
        let whole = format!("{begin}x{end}");
        for text in
            [format!("{whole}{begin}\nQUJD\n{end}\ny\n"), format!("{begin}\nQUJD\n{end} {begin}\nQUJD\n{end}\ny\n")]
        {
            let mut redactor = Redactor::default();
            let clean: String = text.split_inclusive('\n').map(|line| redactor.line(line)).collect();
            assert!(!clean.contains("QUJD") && clean.ends_with("y\n"), "{clean}");
        }
        // One that never ends swallows only what could be part of it.
        let mut redactor = Redactor::default();
        let clean: String =
            ["-----BEGIN PRIVATE KEY-----\n", "QUJD\n", "test a ... ok\n"].iter().map(|l| redactor.line(l)).collect();
        assert_eq!(clean, "[redacted:private-key]\ntest a ... ok\n");
    }

    /// Were the rest read again for each key or marker, this would take minutes.
    #[test]
    fn long_text_of_markers_is_read_once() {
        let key = "-----BEGIN PRIVATE KEY-----x-----END PRIVATE KEY-----";
        for (piece, each) in [
            (key, true),
            ("-----BEGIN PRIVATE KEY-----\n", false),
            ("-----BEGIN PRIVATE KEY-----", false),
            ("-----BEGIN -----END ", false),
            ("-----BEGIN PRIVATE KEY-----END ", false),
            ("Comment:-----BEGIN PRIVATE KEY-----\n", false),
        ] {
            let times = (8 << 20) / piece.len();
            let keys = private_keys(&piece.repeat(times));
            assert!(!each || keys.len() == times && keys.iter().all(|found| found.len == key.len()), "{piece:?}");
            assert!(keys.windows(2).all(|two| two[0].offset + two[0].len <= two[1].offset), "{piece:?}");
        }
        let line = key.repeat(8 << 20 >> 6);
        assert_eq!(find(&line).len(), 8 << 20 >> 6);
    }

    #[test]
    fn an_unfinished_key_is_found_to_its_last_line() {
        let text = "-----BEGIN PRIVATE KEY-----\nQUJD\nREVG\nnot a key line\n";
        assert_eq!(redact(text).0, "[redacted:private-key]\nnot a key line\n");
    }

    proptest! {
        #[test]
        fn findings_are_inside_and_nothing_survives_redaction(
            pieces in prop::collection::vec(prop_oneof![
                Just("-----BEGIN PRIVATE KEY-----".to_owned()), Just("-----END PRIVATE KEY-----".to_owned()),
                Just("password=".to_owned()), Just("token: \"".to_owned()), Just("://u:".to_owned()), Just("@".to_owned()),
                Just(random(40)), Just("\n".to_owned()), Just("Bearer ".to_owned()), Just("--token ".to_owned()),
                Just("eyJ".to_owned()), Just(".".to_owned()), ".{0,12}", "[a-zA-Z0-9_=:/-]{0,40}",
            ], 0..12)
        ) {
            let text = pieces.concat();
            for finding in find(&text) {
                prop_assert!(text.get(finding.offset..finding.offset + finding.len).is_some());
            }
            let (clean, counts) = redact(&text);
            prop_assert!(find(&clean).is_empty(), "{clean:?}");
            prop_assert_eq!(counts.is_empty(), clean == text);
            let mut redactor = Redactor::default();
            let lines: String = text.split_inclusive('\n').map(|line| redactor.line(line)).collect();
            prop_assert!(lines.split_inclusive('\n').all(|line| find(line).is_empty()), "{lines:?}");
        }
    }
}
