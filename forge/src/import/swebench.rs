//! `swebench`: rows of SWE-bench and Multi-SWE-bench, one JSON object a line, and of the starter pack, which has more.
//!
//! Hints are left out: they are what was said on the way to the fix. So are the title and text of a Multi-SWE-bench row,
//! which are those of the pull request that is the fix; the issues that it resolved are the statement.

use serde_json::Value;

use super::fields::{self, given, list, maybe_text, maybe_time, maybe_url, text};
use super::item::LONGEST_LABEL;
use super::leak::{self, Marks};
use super::{Contest, Fault, Item, Read, Sealed, Source};

/// How data sets spell difficulties, and how we do.
const DIFFICULTIES: &[(&str, &str)] = &[
    ("easy", "easy"),
    ("medium", "medium"),
    ("hard", "hard"),
    ("<15 min fix", "easy"),
    ("15 min - 1 hour", "medium"),
    ("1-4 hours", "hard"),
    (">4 hours", "hard"),
];

/// One row.
pub(super) fn read(row: &Value) -> Result<Option<Read>, Fault> {
    if !row.is_object() {
        return Err(Fault::new("row", "it is no object"));
    }
    let repo = repo(row)?;
    let number = fix_number(row)?;
    let instance = instance(row, &repo, number)?;
    let bundle = maybe_text(row, "bundle")?.map(bundle).transpose()?;
    let contest = contest(row)?;
    let (title, body) = statement(row)?;
    let (title, body) = fields::titled(title.trim(), body.trim()).map_err(|_| {
        Fault::new(
            if given(row, "problem_statement").is_some() { "problem_statement" } else { "resolved_issues" },
            "it is empty",
        )
    })?;
    let labels = [contest.lang.as_deref(), contest.difficulty.as_deref()];
    let mut item = Item {
        key: format!("swebench:{instance}"),
        title,
        body,
        labels: fields::fitting_labels(labels.into_iter().flatten()),
        source: Source {
            url: issue_url(row)?,
            author: None,
            created_ms: maybe_time(row, "created_at")?,
            closed_ms: None,
        },
        fix: None,
        comments: Vec::new(),
        contest: Some(contest),
    };
    let mut marks = Marks::of(&repo);
    // In the data sets it is the number of the pull request that is the fix; rows with a bundle were made for here.
    if let Some(number) = number.filter(|_| bundle.is_none()) {
        marks.pull(&repo, number);
    }
    leak::seal(&mut item, &marks);
    item.check()?;
    Ok(Some(Read { item, bundle }))
}

/// `owner/repo`.
fn repo(row: &Value) -> Result<String, Fault> {
    let repo = match maybe_text(row, "org")? {
        Some(org) => format!("{org}/{}", text(row, "repo")?),
        None => text(row, "repo")?.to_owned(),
    };
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    match repo.split_once('/') {
        Some((owner, name)) if plain(owner) && plain(name) => Ok(repo),
        _ => Err(Fault::new("repo", "it is not `owner/repo`")),
    }
}

/// `number`, or what stands at the end of `instance_id`.
fn fix_number(row: &Value) -> Result<Option<u64>, Fault> {
    if let Some(number) = given(row, "number") {
        let number = number.as_u64().or_else(|| number.as_str().and_then(notes_schema::names::parse_number));
        return number.map(Some).ok_or_else(|| Fault::new("number", "it is no number"));
    }
    let instance = maybe_text(row, "instance_id")?.unwrap_or("");
    Ok(instance.rsplit('-').next().and_then(notes_schema::names::parse_number))
}

fn instance(row: &Value, repo: &str, number: Option<u64>) -> Result<String, Fault> {
    let instance = match (maybe_text(row, "instance_id")?, number) {
        (Some(instance), _) => instance.to_owned(),
        (None, Some(number)) => format!("{}-{number}", repo.replacen('/', "__", 1)),
        (None, None) => return Err(Fault::new("instance_id", "it is missing")),
    };
    let plain = !instance.is_empty() && instance.bytes().all(|b| b.is_ascii_graphic());
    if plain { Ok(instance) } else { Err(Fault::new("instance_id", "it is not one plain word")) }
}

/// A file beside the rows.
fn bundle(name: &str) -> Result<String, Fault> {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    match plain && !name.starts_with(['.', '-']) && !name.is_empty() {
        true => Ok(name.to_owned()),
        false => Err(Fault::new("bundle", "it is no name of a file beside the rows")),
    }
}

/// Title and text.
fn statement(row: &Value) -> Result<(&str, String), Fault> {
    if let Some(statement) = maybe_text(row, "problem_statement")? {
        let (title, body) = statement.trim_start().split_once('\n').unwrap_or((statement, ""));
        return Ok((title, body.to_owned()));
    }
    let issues = list(row, "resolved_issues")?;
    let mut parts: Vec<(&str, &str)> = Vec::new();
    for (at, issue) in issues.iter().enumerate() {
        let read = || Ok((text(issue, "title")?, maybe_text(issue, "body")?.unwrap_or("")));
        parts.push(read().map_err(|fault: Fault| fault.inside(&format!("resolved_issues[{at}]")))?);
    }
    let Some(((title, body), others)) = parts.split_first() else {
        return Err(Fault::new("problem_statement", "it is missing, and so is resolved_issues"));
    };
    let others: String = others.iter().map(|(title, body)| format!("\n\n## {title}\n\n{body}")).collect();
    Ok((title, format!("{body}{others}")))
}

fn issue_url(row: &Value) -> Result<Option<String>, Fault> {
    maybe_url(row, "issue_url")
}

fn contest(row: &Value) -> Result<Contest, Fault> {
    let base = match given(row, "base") {
        Some(base) if base.is_object() => fields::maybe_commit(base, "sha").map_err(|fault| fault.inside("base"))?,
        _ => fields::maybe_commit(row, "base_commit")?,
    };
    let golden = if given(row, "fix_patch").is_some() { "fix_patch" } else { "patch" };
    let lang = if given(row, "language").is_some() { "language" } else { "lang" };
    let lang = maybe_text(row, lang)?.map(|lang| fields::line(&lang.to_lowercase(), LONGEST_LABEL));
    Ok(Contest {
        lang: lang.filter(|lang| !lang.is_empty()),
        difficulty: maybe_text(row, "difficulty")?.filter(|text| !text.is_empty()).map(difficulty).transpose()?,
        base: base.ok_or_else(|| Fault::new("base_commit", "it is missing"))?,
        command: maybe_text(row, "test_command")?.map(str::to_owned),
        sealed: Sealed {
            golden: patch(row, golden)?,
            tests: patch(row, "test_patch")?,
            fail_to_pass: match tests(row, &["FAIL_TO_PASS", "f2p_tests", "fixed_tests"])? {
                Some(tests) if !tests.is_empty() => tests,
                Some(_) => return Err(Fault::new("FAIL_TO_PASS", "it names no test")),
                None => return Err(Fault::new("FAIL_TO_PASS", "it is missing")),
            },
            pass_to_pass: tests(row, &["PASS_TO_PASS", "p2p_tests"])?.unwrap_or_default(),
        },
    })
}

fn difficulty(text: &str) -> Result<String, Fault> {
    let text = text.trim().to_lowercase();
    let known = DIFFICULTIES.iter().find(|(theirs, _)| *theirs == text);
    let known = known.ok_or_else(|| Fault::new("difficulty", "it is none of easy, medium and hard"))?;
    Ok(known.1.to_owned())
}

fn patch(row: &Value, field: &str) -> Result<String, Fault> {
    let patch = text(row, field)?;
    let is_patch = patch.starts_with("diff --git ") || patch.contains("\ndiff --git ") || patch.contains("--- ");
    match is_patch {
        true => Ok(patch.to_owned()),
        false => Err(Fault::new(field, "it is no patch")),
    }
}

/// Names of tests: a list, a JSON list in a string, or an object whose keys they are; under the first of `names` that is
/// there.
fn tests(row: &Value, names: &[&str]) -> Result<Option<Vec<String>>, Fault> {
    let Some((field, value)) = names.iter().find_map(|name| Some((*name, given(row, name)?))) else { return Ok(None) };
    let wrong = || Fault::new(field, "neither a list nor a JSON list in a string");
    let parsed: Value;
    let value = match value {
        Value::String(text) => {
            parsed = serde_json::from_str(text).map_err(|_| wrong())?;
            &parsed
        }
        value => value,
    };
    let names = match value {
        Value::Array(list) => list.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<Vec<String>>>(),
        Value::Object(map) => Some(map.keys().cloned().collect()),
        _ => None,
    };
    names.map(Some).ok_or_else(wrong)
}

#[cfg(test)]
mod tests_of_rows {
    use serde_json::json;

    use super::*;

    const PATCH: &str = "diff --git a/a b/a\n--- a/a\n+++ b/a\n@@ -1 +1 @@\n-a\n+b\n";
    const BASE: &str = "3f1c2ab0123456789012345678901234567890ab";

    fn row() -> Value {
        json!({
            "instance_id": "owner__parser-57", "repo": "owner/parser", "base_commit": BASE,
            "problem_statement": "It leaks\n\nSee owner/parser#57.\nEvery time.", "hints_text": "the fix is in lib.rs",
            "patch": PATCH, "test_patch": PATCH, "created_at": "2026-08-01T10:00:00Z",
            "FAIL_TO_PASS": "[\"a\", \"b\"]", "PASS_TO_PASS": ["c"], "difficulty": "15 min - 1 hour"
        })
    }

    fn multi() -> Value {
        json!({
            "org": "owner", "repo": "parser", "number": 57, "title": "Fix the leak", "body": "By freeing it.",
            "base": { "label": "main", "ref": "main", "sha": BASE }, "lang": "Rust", "created_at": 1_785_578_400,
            "resolved_issues": [{ "number": 12, "title": "It leaks", "body": "Every time." }, { "number": 13, "title": "So does that" }],
            "fix_patch": PATCH, "test_patch": PATCH, "f2p_tests": { "a": {}, "b": {} }, "p2p_tests": {}
        })
    }

    fn item(row: &Value) -> Item {
        read(row).unwrap().unwrap().item
    }

    #[test]
    fn a_row_is_a_statement_and_a_sealed_part() {
        let item = item(&row());
        assert_eq!((item.key.as_str(), item.title.as_str()), ("swebench:owner__parser-57", "It leaks"));
        assert_eq!(item.body, "Every time.");
        assert_eq!(item.labels, ["medium"]);
        assert_eq!(item.source.created_ms, Some(1_785_578_400_000));
        let contest = item.contest.unwrap();
        assert_eq!(contest.base.to_string(), BASE);
        assert_eq!(
            (contest.sealed.fail_to_pass, contest.sealed.pass_to_pass),
            (vec!["a".into(), "b".into()], vec!["c".into()])
        );
        assert!(item.comments.is_empty(), "hints are left out");
    }

    #[test]
    fn of_a_row_with_several_issues_the_pull_request_is_left_out() {
        let item = item(&multi());
        assert_eq!((item.key.as_str(), item.title.as_str()), ("swebench:owner__parser-57", "It leaks"));
        assert_eq!(item.body, "Every time.\n\n## So does that");
        let public = serde_json::to_string(&Item { contest: None, ..item.clone() }).unwrap();
        assert!(!public.contains("freeing") && !public.contains("Fix the leak"), "{public}");
        assert_eq!(item.labels, ["rust"]);
        assert_eq!(item.contest.unwrap().sealed.fail_to_pass, ["a", "b"]);
    }

    #[test]
    fn what_is_malformed_is_named() {
        let same = "neither a list nor a JSON list in a string";
        for (field, value, said) in [
            ("FAIL_TO_PASS", json!("a, b"), format!("FAIL_TO_PASS: {same}")),
            ("FAIL_TO_PASS", json!([1]), format!("FAIL_TO_PASS: {same}")),
            ("FAIL_TO_PASS", json!([]), "FAIL_TO_PASS: it names no test".into()),
            ("FAIL_TO_PASS", Value::Null, "FAIL_TO_PASS: it is missing".into()),
            ("PASS_TO_PASS", json!(7), format!("PASS_TO_PASS: {same}")),
            ("base_commit", json!("main"), "base_commit: it is no commit".into()),
            ("patch", json!("see above"), "patch: it is no patch".into()),
            ("test_patch", Value::Null, "test_patch: it is missing".into()),
            ("repo", json!("../parser/x"), "repo: it is not".into()),
            ("difficulty", json!("so so"), "difficulty: it is none".into()),
            ("problem_statement", json!(" \n"), "problem_statement: it is empty".into()),
            ("instance_id", json!("a b"), "instance_id: it is not".into()),
            ("bundle", json!("../x"), "bundle: it is no name".into()),
            ("created_at", json!("soon"), "created_at: no time".into()),
        ] {
            let mut row = row();
            row[field] = value;
            let fault = read(&row).unwrap_err().to_string();
            assert!(fault.starts_with(&said), "{fault} / {said}");
        }
        let mut row = multi();
        row["resolved_issues"] = json!([{ "body": "x" }]);
        assert_eq!(read(&row).unwrap_err().to_string(), "resolved_issues[0].title: it is missing");
    }
}
