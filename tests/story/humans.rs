//! Agents and humans on the same issues: both sides' figures, from what was imported and what agents then did with it.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tests::agent::{number, text};
use tests::flow::{Work, found_project};
use tests::{Agent, tool, until};

use super::contests::{Days, agents, answer, stage};
use super::import::import;

const DAY_MS: u64 = 86_400_000;
/// When the issues were opened where they came from.
const OPENED_MS: u64 = 1_785_578_400_000;

/// The change that mends the answer, and the test that asks for it, as `git diff` prints them.
fn patches(host: &Agent, dir: &Path) -> [String; 2] {
    [("answer", "42\n"), ("sealed", "grep -q 42 answer\n")].map(|(path, is)| {
        fs::write(dir.join(path), is).unwrap();
        host.git(dir, &["add", "-N", path]).ok();
        let patch = host.git(dir, &["diff", "--no-renames"]).ok().stdout;
        host.git(dir, &["reset", "-q", "--hard"]).ok();
        patch
    })
}

/// An issue of elsewhere that is a contest here; it took humans so many days to close, if they did.
fn item(n: u64, (base, [golden, tests]): (&str, &[String; 2]), days: Option<u64>) -> Value {
    let source = json!({ "created_ms": OPENED_MS, "closed_ms": days.map(|days| OPENED_MS + days * DAY_MS) });
    let sealed = json!({ "golden": golden, "tests": tests, "fail_to_pass": ["sealed"] });
    let contest =
        json!({ "base": base, "command": "sh check.sh", "lang": "rust", "difficulty": "easy", "sealed": sealed });
    let (key, title) = (format!("tracker:{n}"), format!("The answer is wrong, again ({n})"));
    json!({ "key": key, "title": title, "source": source, "contest": contest })
}

fn figures(reader: &Agent) -> Value {
    reader.json("leaderboard humans")
}

#[test]
fn what_humans_and_agents_made_of_imported_issues_stands_side_by_side() {
    let days = Days::start();
    let [host, alpha, beta] = agents(&days.forge, ["host", "alpha", "beta"]);
    let dir = found_project(&host, "drill", &[("answer", "41\n"), ("check.sh", "grep -q 42 answer\n")]);
    let base = host.git(&dir, &["rev-parse", "HEAD"]).ok().text().to_owned();
    host.ssh("leaderboard humans").ok().says("nothing to compare");
    // Two that humans closed, after two days and after ten, and one that nobody did.
    let code = (base.as_str(), &patches(&host, &dir));
    let items = [item(1, code, Some(2)), item(2, code, Some(10)), item(3, code, None)];
    let lines: Vec<String> = items.iter().map(Value::to_string).collect();
    let file = host.home().join("items.jsonl");
    fs::write(&file, lines.join("\n")).unwrap();
    let items = ["items", file.to_str().unwrap(), "--project", "drill", "--with-contests"];
    import(&host, &items).ok().says("drill: 3 issues added");
    // What was opened here is no measure of humans.
    host.json("issue new drill --title Ours --difficulty easy --command sh check.sh");

    // Of two agents one solves the first and the third, nobody the second, and both solve what is ours.
    for (n, answers) in [(1, ["42\n", "7\n"]), (2, ["8\n", "9\n"]), (3, ["42\n", "6\n"]), (4, ["42\n", "42 too\n"])] {
        for (agent, said) in [&alpha, &beta].into_iter().zip(answers) {
            let work = Work::start(agent, &format!("drill#{n}"));
            if said.contains("42") {
                answer(&work, said);
            } else {
                work.deliver("answer", said);
            }
        }
    }
    assert_eq!(number(&figures(&host), "/contests"), 0, "nothing is compared before it is ranked");
    days.later(25);
    until("the contests are ranked", || (1..=4).all(|n| stage(&host, &format!("drill#{n}")) == "ranked"));
    let both = figures(&host);
    let is = |key: &str, value: i64| assert_eq!(number(&both, &format!("/{key}")), value, "{key}: {both:#}");
    is("contests", 3);
    is("agents_solved", 2);
    is("humans_solved", 2);
    is("agents_permille", 666);
    is("humans_permille", 666);
    is("submissions", 6);
    is("submissions_solved", 2);
    is("humans_ms", 6 * DAY_MS as i64);
    // Each took the moments between its start and its push, which the submissions say too.
    let took = |n: u64| {
        let board = host.json(&format!("submission drill/{n}"));
        let lines = board["submissions"].as_array().unwrap().clone();
        let solver = lines.iter().find(|line| line["solved"] == true).unwrap().clone();
        number(&solver, "/took_ms")
    };
    let (first, third) = (took(1), took(3));
    is("agents_ms", first.min(third) + (first.max(third) - first.min(third)) / 2);
    assert_eq!(text(&both, "/issues/0/ref"), "drill#3");
    assert!(both["issues"][0]["humans_ms"].is_null() && both["issues"][1]["agents_ms"].is_null(), "{both:#}");

    let said = host.ssh("leaderboard humans").ok();
    let said = said.says("3 contests on imported issues").says("agents: solved 2 of 3 (66.6%), median time ");
    let said = said.says("2 of 6 submissions solved theirs").says("humans: solved 2 of 3 (66.6%), median time 6d 00h");
    said.says("not closed by humans").says("humans 10d 00h");
    let (status, page) = days.forge.get("/humans");
    assert_eq!(status, 200);
    for words in ["66.6 %", "6 d 00 h", "The answer is wrong, again (2)"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("drill/issues/4"), "{page}");
    tool(&["verify", days.forge.data().to_str().unwrap()]).ok();
}
