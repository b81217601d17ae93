//! Names that some file system takes for `.git`, `.gitmodules` or `.gitattributes`, and what those files must not say.

use super::fsck::{Fault, shown};

/// Largest `.gitmodules` that is read.
/// Limit: `.gitmodules` of a push | {:bytes}
const LARGEST_MODULES: usize = 1 << 20;
/// Largest `.gitattributes`, and its longest line: git ignores what goes beyond.
/// Limit: `.gitattributes` of a push | {:bytes}
const LARGEST_ATTRIBUTES: usize = 100 << 20;
/// Limit: one line of a `.gitattributes` | {:bytes}
const LONGEST_ATTRIBUTE_LINE: usize = 2048;

/// Whether a checkout of `name` could end up in `.git`.
pub(super) fn is_git(name: &[u8]) -> bool {
    hfs_name(name) == ".git" || ntfs_tails(name).any(ntfs_git)
}

/// Whether `name` could be read as `.gitmodules`.
pub(super) fn is_gitmodules(name: &[u8]) -> bool {
    hfs_name(name) == ".gitmodules" || ntfs_tails(name).any(|tail| ntfs_file(tail, b"gitmodules", b"gi7eba"))
}

/// Whether `name` could be read as `.gitattributes`.
pub(super) fn is_gitattributes(name: &[u8]) -> bool {
    hfs_name(name) == ".gitattributes" || ntfs_file(name, b"gitattributes", b"gi7d29")
}

/// As HFS+ sees it: without code points that it ignores, in small letters, up to the first byte that is no UTF-8.
fn hfs_name(name: &[u8]) -> String {
    let valid = name.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    let ignored = |c: &char| matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}');
    // Longer than any name in question: enough to tell them apart.
    valid.chars().filter(|c| !ignored(c)).take(32).map(|c| c.to_ascii_lowercase()).collect()
}

/// The name and whatever follows a backslash in it: Windows takes that for a path.
fn ntfs_tails(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    let inner = name.iter().enumerate().filter(|(_, b)| **b == b'\\').map(|(at, _)| &name[at + 1..]);
    std::iter::once(name).chain(inner)
}

fn starts_with_ignoring_case(name: &[u8], prefix: &[u8]) -> bool {
    name.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

fn ntfs_git(name: &[u8]) -> bool {
    let Some(prefix) = [&b".git"[..], b"git~1"].into_iter().find(|p| starts_with_ignoring_case(name, p)) else {
        return false;
    };
    ntfs_end(&name[prefix.len()..])
}

/// NTFS drops dots and spaces at the end, and takes what follows a colon for a stream of the same file.
fn ntfs_end(rest: &[u8]) -> bool {
    let dropped = rest.iter().take_while(|b| matches!(b, b'.' | b' ')).count();
    matches!(rest.get(dropped), None | Some(b':' | b'\\' | b'/'))
}

/// `.name` itself, its short form `name~1` to `~4`, or the hashed short form that NTFS falls back to.
fn ntfs_file(name: &[u8], long: &[u8], hashed: &[u8; 6]) -> bool {
    if name.first() == Some(&b'.') && starts_with_ignoring_case(&name[1..], long) {
        return ntfs_end(&name[1 + long.len()..]);
    }
    let Some(short) = name.get(..8) else { return false };
    if short[..6].eq_ignore_ascii_case(&long[..6]) && short[6] == b'~' && matches!(short[7], b'1'..=b'4') {
        return ntfs_end(&name[8..]);
    }
    let Some(tilde) = short.iter().position(|&b| b == b'~').filter(|&at| at < 7) else {
        return false;
    };
    short[..tilde].eq_ignore_ascii_case(&hashed[..tilde.min(6)])
        && matches!(short[tilde + 1], b'1'..=b'9')
        && short[tilde + 2..].iter().all(u8::is_ascii_digit)
        && ntfs_end(&name[8..])
}

/// Whether a `.gitattributes` is one that git reads in full.
pub(super) fn check_attributes(data: &[u8]) -> Result<(), Fault> {
    if data.len() > LARGEST_ATTRIBUTES {
        return Err(("gitattributesLarge", format!("a .gitattributes has {} bytes", data.len())));
    }
    match data.split(|&b| b == b'\n').find(|line| line.len() >= LONGEST_ATTRIBUTE_LINE) {
        Some(line) => Err(("gitattributesLineLength", format!("a .gitattributes has a line of {} bytes", line.len()))),
        None => Ok(()),
    }
}

/// Whether a `.gitmodules` could make a client run or overwrite something.
pub(super) fn check_modules(data: &[u8]) -> Result<(), Fault> {
    if data.len() > LARGEST_MODULES {
        return Err(("gitmodulesLarge", format!("a .gitmodules has {} bytes", data.len())));
    }
    let mut faults = Ok(());
    each_setting(data, |submodule, key, value| {
        if faults.is_ok() {
            faults = setting(submodule, key, value);
        }
    });
    faults
}

fn setting(submodule: &[u8], key: &[u8], value: &[u8]) -> Result<(), Fault> {
    if submodule.is_empty() || submodule.split(|b| matches!(b, b'/' | b'\\')).any(|part| part == b"..") {
        return Err(("gitmodulesName", format!("a submodule is called {}", shown(submodule))));
    }
    match key {
        b"url" if !url_is_harmless(value) => Err(("gitmodulesUrl", format!("the url {} is not allowed", shown(value)))),
        b"path" if value.starts_with(b"-") => {
            Err(("gitmodulesPath", format!("the path {} is an option", shown(value))))
        }
        b"update" if value.trim_ascii_start().starts_with(b"!") => {
            Err(("gitmodulesUpdate", format!("the update {} is a command", shown(value))))
        }
        _ => Ok(()),
    }
}

fn url_is_harmless(url: &[u8]) -> bool {
    let decoded = percent_decoded(url);
    if url.starts_with(b"-") || decoded.iter().any(|b| matches!(b, b'\n' | 0)) {
        return false;
    }
    if url.starts_with(b"./") || url.starts_with(b"../") {
        let mut rest = url;
        let mut climbs = false;
        while let Some(after) = rest.strip_prefix(b"../").or_else(|| rest.strip_prefix(b"./")) {
            climbs |= rest.starts_with(b"../");
            rest = after;
        }
        return !(climbs && matches!(rest.first(), Some(b':' | b'/')));
    }
    let scheme = url.iter().take_while(|b| b.is_ascii_alphanumeric()).count();
    let after = &url[scheme..];
    if after.starts_with(b"::") {
        return false;
    }
    match after.strip_prefix(b"://") {
        // A host must stand there, or a credential helper could be asked for the wrong one.
        Some(rest) if matches!(url.first(), Some(b'h' | b'f')) && !url.starts_with(b"file") => {
            let host = rest.split(|b| matches!(b, b'/' | b'?' | b'#')).next().unwrap_or_default();
            let host = host.rsplit(|&b| b == b'@').next().unwrap_or_default();
            !host.is_empty() && !host.starts_with(b":") && host.iter().all(|b| b.is_ascii_graphic())
        }
        _ => true,
    }
}

fn percent_decoded(url: &[u8]) -> Vec<u8> {
    let digit = |at: usize| url.get(at).and_then(|b| (*b as char).to_digit(16));
    let mut out = Vec::with_capacity(url.len());
    let mut at = 0;
    while at < url.len() {
        match (url[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

/// Calls `found(submodule, key, value)` for each setting of a submodule. Passes over what it cannot read, so that nothing
/// hides behind a mistake.
fn each_setting(data: &[u8], mut found: impl FnMut(&[u8], &[u8], &[u8])) {
    let mut rest = data;
    let mut submodule: Option<Vec<u8>> = None;
    while !rest.is_empty() {
        rest = rest.trim_ascii_start();
        match rest.first() {
            None => return,
            Some(b'#' | b';') => rest = after_line(rest),
            Some(b'[') => (submodule, rest) = section(rest),
            Some(_) => {
                let length = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'-').count();
                let key = rest[..length].to_ascii_lowercase();
                let line = &rest[length..];
                let blanks = line.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
                let Some(b'=') = line.get(blanks) else {
                    rest = after_line(rest);
                    continue;
                };
                let (text, after) = value(&line[blanks + 1..]);
                rest = after;
                if let Some(submodule) = &submodule {
                    found(submodule, &key, &text);
                }
            }
        }
    }
}

fn after_line(rest: &[u8]) -> &[u8] {
    rest.iter().position(|&b| b == b'\n').map_or(&[], |at| &rest[at + 1..])
}

/// The name in `[submodule "name"]`, and what follows.
fn section(rest: &[u8]) -> (Option<Vec<u8>>, &[u8]) {
    let close = rest.iter().position(|b| matches!(b, b'"' | b']' | b'\n')).unwrap_or(rest.len());
    let word = rest[1..close].trim_ascii();
    if rest.get(close) != Some(&b'"') {
        // `[submodule.name]` is the same, in an older spelling.
        let dotted = word.split_at_checked(10).filter(|(head, _)| head.eq_ignore_ascii_case(b"submodule."));
        return (dotted.map(|(_, name)| name.to_ascii_lowercase()), &rest[(close + 1).min(rest.len())..]);
    }
    let mut name = Vec::new();
    let mut at = close + 1;
    while let Some(&byte) = rest.get(at) {
        at += 1;
        match byte {
            b'"' | b'\n' => break,
            b'\\' => {
                name.extend(rest.get(at));
                at += 1;
            }
            _ => name.push(byte),
        }
    }
    let tail = &rest[at.min(rest.len())..];
    let tail = tail.trim_ascii_start().strip_prefix(b"]").unwrap_or(tail);
    (word.eq_ignore_ascii_case(b"submodule").then_some(name), tail)
}

/// A value, unquoted, and what follows its line.
fn value(rest: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut text = Vec::new();
    let mut kept = 0;
    let mut quoted = false;
    let mut at = 0;
    while let Some(&byte) = rest.get(at) {
        at += 1;
        match byte {
            b'\n' => break,
            b'#' | b';' if !quoted => return (trimmed(text, kept), after_line(&rest[at..])),
            b'"' => {
                quoted = !quoted;
                kept = text.len();
            }
            b'\\' => {
                match rest.get(at) {
                    Some(b'\n') | None => {}
                    Some(b'n') => text.push(b'\n'),
                    Some(b't') => text.push(b'\t'),
                    Some(b'b') => text.push(8),
                    Some(&other) => text.push(other),
                }
                kept = text.len();
                at += 1;
            }
            b' ' | b'\t' | b'\r' if !quoted => {
                if !text.is_empty() {
                    text.push(byte);
                }
            }
            _ => {
                text.push(byte);
                kept = text.len();
            }
        }
    }
    (trimmed(text, kept), &rest[at.min(rest.len())..])
}

fn trimmed(mut text: Vec<u8>, kept: usize) -> Vec<u8> {
    text.truncate(kept);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_disguises_of_git() {
        for name in [
            &b".git"[..],
            b".GIT",
            b".git.",
            b".git ",
            b".git . ",
            b"git~1",
            b"GIT~1",
            b".git:x",
            b"a\\.git",
            b".git\\b",
            ".g\u{200c}it".as_bytes(),
            "\u{feff}.git".as_bytes(),
            b".git\xff",
            b".git::$INDEX_ALLOCATION",
        ] {
            assert!(is_git(name), "{}", shown(name));
        }
        for name in [&b".gitignore"[..], b"git", b".github", b"git~2", b".gi", b"a.git", b".git-x", b"\\", b""] {
            assert!(!is_git(name), "{}", shown(name));
        }
    }

    #[test]
    fn tells_disguises_of_gitmodules() {
        for name in
            [&b".gitmodules"[..], b".GITMODULES", b".gitmodules .", b"gitmod~1", b"GI7EBA~1", b"gi7eb~12", b"~1000000"]
        {
            assert!(is_gitmodules(name), "{}", shown(name));
        }
        for name in [&b".gitmodules2"[..], b"gitmod~5", b"gitmodules", b"gi7ebb~1", b"gi7eba~0", b"gi7eba~"] {
            assert!(!is_gitmodules(name), "{}", shown(name));
        }
        assert!(is_gitattributes(b".gitattributes") && is_gitattributes(b"GI7D29~1"));
    }

    fn rule(text: &str) -> Option<&'static str> {
        check_modules(text.as_bytes()).err().map(|(rule, _)| rule)
    }

    #[test]
    fn refuses_dangerous_submodules() {
        assert_eq!(rule("[submodule \"a\"]\n\tpath = a\n\turl = https://example.org/a.git\n"), None);
        assert_eq!(rule("[submodule \"a\"]\n\turl = ../a.git # here\n[other]\n\turl = -x\n"), None);
        assert_eq!(rule("[submodule \"../a\"]\n\tpath = a\n"), Some("gitmodulesName"));
        assert_eq!(rule("[submodule \"a\"]\n\tpath = -a\n"), Some("gitmodulesPath"));
        assert_eq!(rule("[submodule \"a\"]\n\turl = --upload-pack=x\n"), Some("gitmodulesUrl"));
        assert_eq!(rule("[submodule \"a\"]\n\turl = \"-\"x\n"), Some("gitmodulesUrl"));
        assert_eq!(rule("[submodule \"a\"]\n\turl = https://\n"), Some("gitmodulesUrl"));
        assert_eq!(rule("[submodule \"a\"]\n\turl = ../../:x\n"), Some("gitmodulesUrl"));
        assert_eq!(rule("[submodule \"a\"]\n\turl = https://a/%0ahost=b\n"), Some("gitmodulesUrl"));
        assert_eq!(rule("nonsense\n[submodule \"a\"] UPDATE = !touch x\n"), Some("gitmodulesUpdate"));
        assert_eq!(rule("<<<<<<< HEAD\n[submodule \"a\"]\n=======\n"), None);
    }

    #[test]
    fn reads_any_bytes() {
        for text in [
            "[",
            "[submodule \"",
            "[submodule \"\\",
            "[submodule \"a\"]\nurl=\\",
            "a",
            "[]",
            "=",
            "[submodule \"a\"] url = \"x",
        ] {
            let _ = check_modules(text.as_bytes());
        }
    }
}
