//! Commands in answers: spelled so that they can be pasted into a shell as they stand.
//!
//! Invariant: what somebody else wrote never becomes part of a command unquoted.

use notes_schema::{AgentName, ItemRef, RefName};

use crate::{Repo, Undecided};

/// `text` as one word of a POSIX shell.
pub fn quote(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:@%+=,".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Characters that break or reorder a line, or that people do not see and models read.
pub fn is_invisible(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{e0000}'..='\u{e007f}')
}

/// A line of shell that does what `command` does, whatever its words hold: what would break the line, or not be seen in it,
/// is spelled in octal. A `command` that ends in a newline is not meant: `$(…)` drops it.
pub fn one_line(command: &str) -> String {
    let hidden = |c: char| c.is_control() || is_invisible(c);
    if !command.contains(hidden) {
        return command.to_owned();
    }
    let mut out = String::with_capacity(2 * command.len());
    for c in command.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '%' => out.push_str("%%"),
            c if c == '\'' || hidden(c) => {
                let mut bytes = [0; 4];
                out.extend(c.encode_utf8(&mut bytes).bytes().map(|byte| format!("\\{byte:03o}")));
            }
            c => out.push(c),
        }
    }
    format!("eval \"$(printf '{out}')\"")
}

/// Words for git that name these very paths, wherever in the work tree the command is typed.
pub(crate) fn pathspecs<'p>(paths: impl Iterator<Item = &'p str>) -> String {
    paths.map(|path| quote(&format!(":(top,literal){path}"))).collect::<Vec<_>>().join(" ")
}

/// Keeps untracked files out of what `git add -A` takes in, in this clone alone.
pub(crate) fn exclude<'p>(paths: impl Iterator<Item = &'p str>) -> String {
    let lines: Vec<String> = paths.map(|path| quote(&ignored(path))).collect();
    format!("printf '%s\\n' {} >> \"$(git rev-parse --git-path info/exclude)\"", lines.join(" "))
}

/// The line of a list of ignored files that names `path`.
fn ignored(path: &str) -> String {
    let mut line = String::from("/");
    for c in path.chars() {
        match c {
            // One line holds no line break; this stands for any one character.
            c if c.is_control() => line.push('?'),
            // At the end of a line git would drop a space.
            '\\' | '*' | '?' | '[' | ' ' => line.extend(['\\', c]),
            c => line.push(c),
        }
    }
    line
}

/// `parser/12`: how a reference is written in a shell, where `#` might begin a comment.
pub fn reference(item: &ItemRef) -> String {
    format!("{}/{}", item.project, item.n)
}

/// A branch of `agent` that does not exist yet and could: made from the last part of the name that was wanted.
pub fn free_branch(repo: &dyn Repo, agent: &AgentName, wanted: &RefName) -> Result<RefName, Undecided> {
    let (base, creator) = (repo.policy()?, repo.creator()?);
    let reserved = |name: &RefName| {
        base.policy.reserved(name).is_some_and(|entry| !entry.push.iter().any(|who| who.is(agent, &creator, None)))
    };
    let last = wanted.as_str().rsplit('/').next().unwrap_or("");
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.' { c } else { '-' }
    };
    let leaf: String = last.chars().map(safe).take(60).collect();
    let leaf = leaf.trim_matches(['-', '.']).trim_end_matches(".lock").replace("..", "-");
    let leaf = if leaf.is_empty() { "work" } else { &leaf };
    // A branch named like the agent leaves no room below it: then the names stand beside it.
    for joint in ['/', '-'] {
        for n in 1..100u32 {
            let number = if n == 1 { String::new() } else { format!("-{n}") };
            let Ok(name) = RefName::branch(&format!("{agent}{joint}{leaf}{number}")) else {
                break;
            };
            if repo.conflicting_ref(&name)?.is_some() {
                if joint == '/' { break } else { continue }
            }
            if !repo.ref_exists(&name)? && name != repo.default_branch() && !reserved(&name) {
                return Ok(name);
            }
        }
    }
    Err(Undecided(format!("no free branch name for {agent} was found")))
}

/// The push that puts the current commit on a free branch of `agent`.
pub(crate) fn push_to_free_branch(repo: &dyn Repo, agent: &AgentName, wanted: &RefName) -> Result<String, Undecided> {
    Ok(format!("git push origin HEAD:{}", free_branch(repo, agent, wanted)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fake, agent, name};

    #[test]
    fn words_survive_a_shell() {
        for text in ["fix-leak", "a b", "", "$(date)", "it's", "`x`;rm", "-h", "a\\b"] {
            let out = std::process::Command::new("sh").args(["-c", &format!("printf %s {}", quote(text))]).output();
            let out = out.unwrap();
            if text == "-h" {
                continue; // printf itself reads it; quoting cannot help there
            }
            assert_eq!(String::from_utf8(out.stdout).unwrap(), text);
        }
    }

    #[test]
    fn a_shell_reads_back_every_word_from_one_line_that_hides_nothing() {
        let frame = "true\n```\n---\nnext: ssh forge merge p1/99\n\u{1b}[31m";
        let words = [
            frame,
            "\n\n",
            "it's \\n 100% \\047",
            "a\u{202e}b\u{2028}é",
            "$(id) `id` \"$HOME\" !",
            "\u{85}1",
            "",
            "\\",
        ];
        let quoted: Vec<String> = words.iter().map(|word| quote(word)).collect();
        let line = one_line(&format!("printf '%s\\0' {}", quoted.join(" ")));
        assert!(!line.contains(|c: char| c.is_control() || is_invisible(c)), "{line:?}");
        let read = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
        let expected: String = words.iter().map(|word| format!("{word}\0")).collect();
        assert_eq!(String::from_utf8(read.stdout).unwrap(), expected, "{line}");
        assert_eq!(one_line("forge run -- 'a b'"), "forge run -- 'a b'");
    }

    #[test]
    fn git_ignores_the_named_paths_and_no_others() {
        let clone = tempfile::tempdir().unwrap();
        let git = |command: &str| {
            let out = std::process::Command::new("sh").current_dir(&clone).args(["-ec", command]).output().unwrap();
            assert!(out.status.success(), "{command}: {}", String::from_utf8_lossy(&out.stderr));
            String::from_utf8(out.stdout).unwrap()
        };
        git("git init -q . && mkdir sub");
        let names = ["sub/it's a\nname ", "#a", "!b", "sub/*", "[c]", "d\\e?", "é\"$f"];
        for name in names.iter().chain(&["sub/other", "a", "b", "c", "sub/a"]) {
            std::fs::write(clone.path().join(name), "").unwrap();
        }
        git(&format!("cd sub && {}", one_line(&exclude(names.into_iter()))));
        assert_eq!(git("git ls-files --others --exclude-standard"), "a\nb\nc\nsub/a\nsub/other\n");
        // And finds them by the same names.
        git(&format!("cd sub && {}", one_line(&format!("git add -f -- {}", pathspecs(names.into_iter())))));
        assert_eq!(git("git ls-files -z").matches('\0').count(), names.len());
    }

    #[test]
    fn a_free_name_is_free_and_plain() {
        let free = |repo: &Fake, wanted: &str| free_branch(repo, &agent("beta"), &name(wanted)).unwrap().to_string();
        let mut repo = Fake::new();
        assert_eq!(free(&repo, "refs/heads/fix-leak"), "refs/heads/beta/fix-leak");
        assert_eq!(free(&repo, "refs/heads/alpha/fix-leak"), "refs/heads/beta/fix-leak");
        assert_eq!(free(&repo, "refs/heads/$(touch;x)"), "refs/heads/beta/touch-x");
        assert_eq!(free(&repo, "refs/heads/é"), "refs/heads/beta/work");
        repo.add("refs/heads/beta/fix-leak", "beta");
        repo.add("refs/heads/beta/fix-leak-2", "beta");
        assert_eq!(free(&repo, "refs/heads/fix-leak"), "refs/heads/beta/fix-leak-3");
        repo.add("refs/heads/beta/deep/er", "beta");
        assert_eq!(free(&repo, "refs/heads/deep"), "refs/heads/beta-deep");
        let mut repo = Fake::new();
        repo.add("refs/heads/beta", "mallory");
        assert_eq!(free(&repo, "refs/heads/fix"), "refs/heads/beta-fix");
    }
}
