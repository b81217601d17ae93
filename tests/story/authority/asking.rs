//! What each row is on a wire: a command's line, a route's request, a service's client.

use super::Trial;
use super::actors::{CONTEST, Cast, Who, me, numbers};

/// What to ask for, what for on stdin, and how it may end besides well where it is permitted.
type Line = (String, String, &'static [i32]);

/// Names that differ with each use.
fn fresh() -> u64 {
    static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

/// The name in backticks, and whose thing is meant.
fn split(row: &str) -> (&str, bool) {
    let name = row.split('`').nth(1).unwrap();
    (name, row.ends_with("(own)") || row.ends_with("(registered)"))
}

/// Who the thing of a row belongs to: whoever asks, or gamma.
fn owner(who: &Who, own: bool) -> &str {
    if own { me(who) } else { "gamma" }
}

fn line(cast: &Cast, who: &Who, row: &str) -> Line {
    let (name, own) = split(row);
    let owner = owner(who, own);
    let (issue, pull) = numbers(owner);
    let head = &cast.head;
    let plain = |line: String| (line, String::new(), &[][..]);
    let or = |codes: &'static [i32], line: String| (line, String::new(), codes);
    match name {
        "help" | "recorder" | "whoami" | "login" | "logout" | "key list" | "feed" | "my-work" | "project list"
        | "leaderboard" | "today" | "needs" => plain(name.to_owned()),
        "register" => plain(format!("register newcomer-{}", fresh())),
        // One agent has it from the first time on.
        "key add" => {
            let key = std::fs::read_to_string(cast.eve.home().join("../../spare.pub")).unwrap();
            ("key add -".to_owned(), key, &[5])
        }
        "key revoke" => or(&[3], "key revoke token:01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned()),
        "token" => plain("token --ttl 60s".to_owned()),
        "search" => plain("search leak".to_owned()),
        "details" => plain(format!("details parser/{issue}")),
        "reply" => plain(format!("reply parser/{issue} a word")),
        "project new" => plain(format!("project new made-{}", fresh())),
        "project show" | "join" | "issue list" | "pr list" | "check list" | "log" | "tree" | "show" | "archive"
        | "branch list" | "tag list" => plain(format!("{name} parser")),
        "issue new" => plain("issue new parser --title Another".to_owned()),
        "issue close" | "issue reopen" => plain(format!("{name} parser/{issue}")),
        // They are no contests.
        "issue seal" => {
            let part = r#"{"golden":"","tests":"x","fail_to_pass":[]}"#;
            (format!("issue seal parser/{issue}"), part.to_owned(), &[1])
        }
        "issue sealed" => or(&[3], format!("issue sealed parser/{issue}")),
        "import" => {
            let item = format!(r#"{{"key":"github:owner/parser#{}","title":"From elsewhere"}}"#, fresh());
            ("import parser".to_owned(), item, &[])
        }
        "start" => plain(format!("start parser/{issue}")),
        // Another credential of the same agent was first.
        "abandon" => or(&[5], format!("abandon parser/{issue}")),
        // The branch holds nothing that the default branch lacks.
        "submit" => or(&[1], format!("submit {owner}/ready --project parser --title Ready")),
        "verify" => plain("verify".to_owned()),
        "submission" => plain(format!("submission parser/{CONTEST}")),
        "vote" => plain(format!("vote parser/{pull} up")),
        "accept" => plain(format!("accept parser/{pull}")),
        "pr" => plain(format!("pr parser/{pull}")),
        "pr close" => or(&[5], format!("pr close parser/{pull}")),
        "review" => plain(format!("review approve parser/{pull}")),
        // Nobody said anything under that number.
        "apply" => or(&[3], format!("apply parser/{pull} 999999")),
        "merge" => or(&[1, 5], format!("merge parser/{pull}")),
        "trace" => plain(format!("trace {head} --project parser")),
        "challenge" => plain(format!("challenge parser/{pull}")),
        "note" => plain(format!("note parser/{pull} practice a word")),
        "check register" => plain("check register parser ci/new gamma".to_owned()),
        "check drop" => or(&[3], "check drop parser ci/new gamma".to_owned()),
        "check show" => plain(format!("check show parser {head}")),
        "check post" => plain(format!("check post parser {head} ci/{owner} success {}", fresh())),
        "cat" | "blame" => plain(format!("{name} parser:README.md")),
        "grep" => plain("grep parser parser".to_owned()),
        "diff" => plain("diff parser main..main".to_owned()),
        "profile" => plain("profile alpha".to_owned()),
        "vouch" => ("vouch nina -".to_owned(), cast.consent.clone(), &[]),
        "admin vouch" => plain("admin vouch nina --owner acme".to_owned()),
        other => panic!("a command that this story cannot give yet: say here how ({other})"),
    }
}

/// The exit code of a cell.
fn exit(cell: &str) -> i32 {
    match cell {
        "not-allowed" => 4,
        "stale" => 5,
        other => panic!("no exit code for {other}"),
    }
}

/// The statuses of an exit code.
fn statuses(code: i32) -> &'static [u16] {
    match code {
        1 => &[422],
        3 => &[404],
        4 => &[401, 403],
        5 => &[409],
        other => panic!("no status for {other}"),
    }
}

/// `Some` where the door did otherwise than the cell says.
fn compare(trial: &Trial<'_>, what: &str, good: bool, said: &str) -> Option<String> {
    let said: String = said.chars().take(300).collect();
    (!good).then(|| format!("{} | {} | {}: {what}\n    {said}", trial.row, trial.who.shown(), trial.cell))
}

pub fn command(cast: &Cast, trial: &Trial<'_>) -> Option<String> {
    let (line, stdin, codes) = line(cast, trial.who, trial.row);
    if trial.who.over_http() {
        let (status, said) = cast.curl(trial.who, "/action", &["--data-binary", &format!("{line}\n{stdin}")]);
        let good = match trial.cell.as_str() {
            "yes" => status == 200 || codes.iter().any(|code| statuses(*code).contains(&status)),
            cell => statuses(exit(cell)).contains(&status),
        };
        return compare(trial, &format!("{line}: {status}"), good, &said);
    }
    let out = match &trial.who.twin {
        Some(twin) if line.starts_with("register ") => twin.ssh(&line),
        _ => cast.ssh(trial.who, &line, &stdin),
    };
    let good = match trial.cell.as_str() {
        "yes" => out.code == 0 || codes.contains(&out.code),
        cell => out.code == exit(cell),
    };
    compare(trial, &format!("{line}: {}", out.code), good, &out.all())
}

pub fn route(cast: &Cast, trial: &Trial<'_>) -> Option<String> {
    let (name, own) = split(trial.row);
    let owner = owner(trial.who, own);
    let (issue, pull) = numbers(owner);
    let (method, path) = name.split_once(' ').unwrap();
    // What a page asks for beside is asked for with it.
    let path = path.split(", with ").next().unwrap();
    let (prefixes, path) = match path.strip_prefix("{,") {
        Some(rest) => {
            let (more, path) = rest.split_once('}').unwrap();
            (std::iter::once("").chain(more.split(',')).collect(), path)
        }
        None => (vec![""], path),
    };
    let mut path = match path {
        "/submission/{project}/{n}/status" => format!("/submission/parser/{CONTEST}/status"),
        "/submission/{project}/status" => format!("/submission/parser%23{CONTEST}/status"),
        "/agents/{}" => "/agents/alpha".to_owned(),
        "/{}/issues/{}" => format!("/parser/issues/{issue}"),
        "/{}/trace/{}" => format!("/parser/trace/{}", cast.head),
        "/{}/tree/{*}" => "/parser/tree/src".to_owned(),
        "/{}/commit/{*}" => format!("/parser/commit/{}", cast.head),
        "/{}/compare/{*}" => "/parser/compare/main..main".to_owned(),
        "/{}/archive/{*}" => "/parser/archive/main.tar.gz".to_owned(),
        "/{}/pulls/{}" => format!("/parser/pulls/{pull}"),
        path => path.replacen("{}", "parser", 1),
    };
    if path.ends_with("/{asset}") {
        // Its address changes with what it says: pages name it.
        let (_, page) = cast.curl(trial.who, "/login", &["-H", "Accept: text/html"]);
        let named = page.split("src=\"").nth(1).and_then(|rest| rest.split('"').next());
        path = named.expect("the page has a script").to_owned();
    }
    // A form that ends something ends nothing here where it may: its command has rows of its own.
    let is_form = method == "POST" && (path.contains("{n}") || path.ends_with("/issues/new"));
    let ends = ["/merge", "/apply", "/close", "/reopen", "/accept"].iter().any(|last| path.ends_with(last));
    let item = if path.contains("/pulls/") { pull } else { issue };
    let item = if ends && trial.cell == "yes" { "999999".to_owned() } else { item.to_string() };
    for (part, value) in [
        ("{n}", item.as_str()),
        ("{project}", "parser"),
        ("{id}", "parser"),
        ("{owner}", "forge"),
        ("{repo}", "parser"),
        ("{commit}", &cast.head),
        ("{*rest}", "info/packs"),
        ("{*}", "README.md"),
    ] {
        path = path.replace(part, value);
    }
    assert!(!path.contains(['{', '}']), "a path that this story cannot fill yet: say here how ({path})");
    let check = format!(r#"{{"state":"success","context":"ci/{owner}","description":"{}"}}"#, fresh());
    let newcomer = format!(r#"{{"name":"newcomer-{}"}}"#, fresh());
    let kind = |service: &str| format!("Content-Type: application/x-{service}-request");
    let (kind, body) = match path.rsplit('/').next().unwrap() {
        "register" => ("Content-Type: application/json".to_owned(), newcomer),
        service @ ("git-upload-pack" | "git-receive-pack") => (kind(service), "0000".to_owned()),
        _ if is_form => {
            let form = "Content-Type: application/x-www-form-urlencoded".to_owned();
            (form, "text=a+word&verdict=approve&vote=up&comment=1&title=Another".to_owned())
        }
        _ => ("Content-Type: application/json".to_owned(), check),
    };
    let post = ["-H", kind.as_str(), "--data-binary", body.as_str()];
    let args: &[&str] = if method == "POST" { &post } else { &[] };
    for prefix in prefixes {
        let (status, said) = cast.curl(trial.who, &format!("{prefix}{path}"), args);
        let good = match trial.cell.as_str() {
            // Words for clients of another age, which are the same for everybody.
            "yes" if name.ends_with("/HEAD") || name.contains("/objects/") => said.contains("smart protocol"),
            "yes" if is_form && ends => status == 404,
            "yes" if is_form => status == 303,
            "yes" => matches!(status, 200 | 201),
            cell => statuses(exit(cell)).contains(&status),
        };
        if let Some(wrong) = compare(trial, &format!("{method} {prefix}{path}: {status}"), good, &said) {
            return Some(wrong);
        }
    }
    None
}

pub fn service(cast: &Cast, trial: &Trial<'_>) -> Option<String> {
    let words: Vec<&str> = split(trial.row).0.split(' ').collect();
    let project = words.get(2).copied().unwrap_or("parser");
    let (service, out) = match words[1] {
        "fetch" => ("git-upload-pack", cast.git(trial.who, project, &["ls-remote"], &[])),
        _ => {
            let to = format!("HEAD:refs/heads/{}/dry", trial.who.agent.name);
            ("git-receive-pack", cast.git(trial.who, project, &["push", "--dry-run"], &[&to]))
        }
    };
    let mut good = out.is_ok() == (trial.cell == "yes");
    let mut what = format!("{}: {}", out.what, out.code);
    if trial.cell != "yes" {
        // What git hides: the code.
        let code = match trial.who.over_http() {
            true => i32::from(cast.curl(trial.who, &format!("/{project}/info/refs?service={service}"), &[]).0),
            false => cast.ssh(trial.who, &format!("{service} '{project}'"), "").code,
        };
        good &= match trial.who.over_http() {
            true => statuses(exit(trial.cell)).iter().any(|status| i32::from(*status) == code),
            false => code == exit(trial.cell),
        };
        what.push_str(&format!(", {code}"));
    }
    compare(trial, &what, good, &out.all())
}
