//! Sealed parts of contests: nobody reads them before the close, everybody after it, wherever that happens.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tests::agent::{list, number, text};
use tests::flow::Work;
use tests::plumbing::{assert_clean, git, mirror_all, remote_ref};
use tests::{Agent, Forge, root, tool, until};

use super::contests::{Days, agents, answer, contest, stage};
use super::import::{everything, import};

/// In the golden patch, and in the sealed tests.
const MARKERS: [&str; 2] = ["forty-two-plus-xyzzy", "plugh-tests-of-nobody"];

/// What is to be sealed of a contest that [`contest`] opened.
pub(crate) fn part(host: &Agent, project: &str) -> String {
    let dir = host.clone_into(&host.ssh_url(project), &format!("golden-{project}"), &[]);
    fs::write(dir.join("answer"), format!("42 {}\n", MARKERS[0])).unwrap();
    let golden = host.git(&dir, &["diff", "--full-index"]).ok().stdout;
    fs::write(dir.join("t"), format!("{}\n", MARKERS[1])).unwrap();
    host.git(&dir, &["add", "-N", "t"]).ok();
    let tests = host.git(&dir, &["diff", "t"]).ok().stdout;
    json!({ "golden": golden, "tests": tests, "fail_to_pass": ["t"], "pass_to_pass": ["u"] }).to_string()
}

fn hides(what: &str, said: &str) {
    for marker in MARKERS {
        assert!(!said.contains(marker), "{what} says {marker}: {said}");
    }
}

fn verify(data: &Path) {
    tool(&["verify", data.to_str().unwrap()]).ok();
}

/// A contest with a sealed part, and alpha's answer to it, which is not the golden one.
fn sealed(days: &Days) -> ([Agent; 3], String) {
    let [host, alpha, beta] = agents(&days.forge, ["host", "alpha", "beta"]);
    let contest = contest(&host, "drill", "medium", "");
    host.ssh_with(&format!("issue seal {contest}"), &part(&host, "drill")).ok().says("nobody reads it before");
    let work = Work::start(&alpha, &contest);
    answer(&work, "42\n");
    ([host, alpha, beta], contest)
}

#[test]
fn nobody_reads_a_sealed_part_before_the_close_and_everybody_after_it() {
    let days = Days::start();
    let ([host, alpha, beta], contest) = sealed(&days);
    let marker = MARKERS[0];
    for line in [
        format!("submission {contest}"),
        format!("details {contest}"),
        format!("issue sealed {contest}"),
        format!("search {marker}"),
        "issue list drill".to_owned(),
        "feed".to_owned(),
        "log drill".to_owned(),
    ] {
        for agent in [&alpha, &host] {
            let (plain, json) = (agent.ssh(&line).all(), agent.ssh(&format!("{line} --json")).all());
            let echo =
                |said: String| said.replace(&format!("search {marker}"), "").replace(&format!("\"{marker}\""), "");
            hides(&line, &echo(plain));
            hides(&line, &echo(json));
        }
    }
    let (code, error) = alpha.refusal(&format!("issue sealed {contest}"));
    assert_eq!((code, error["code"].as_str()), (1, Some("contest")), "{error}");
    assert!(text(&error, "/why").contains("sealed until the contest closes, "), "{error}");
    let open = alpha.json(&format!("submission {contest}"));
    assert_eq!(text(&open, "/sealed/state"), "sealed");
    let copy = days.forge.scratch().join("before");
    mirror_all(&days.forge, &beta, &copy);
    let objects = everything(&copy.join("repositories/drill.git"));
    assert!(objects.contains("forge sealed 1 "), "the mirror has it");
    hides("a mirror", &objects);
    verify(&copy);

    // Whoever opened it knows the answer.
    let work = Work::start(&host, &contest);
    work.write("answer", "42\n");
    host.sh(&work.dir, "forge run -- sh check.sh").ok();
    work.commit("Mend the answer");
    work.push().ok();
    let (code, error) = host.refusal(&format!("submit {} --issue {contest} --title x", work.branch));
    assert_eq!((code, error["code"].as_str()), (1, Some("contest")), "{error}");
    assert!(text(&error, "/why").contains("its opener knows the answer"), "{error}");

    days.later(25);
    until("the contest is ranked", || stage(&alpha, &contest) == "ranked");
    let board = alpha.json(&format!("submission {contest}"));
    assert_eq!(text(&board, "/sealed/state"), "revealed");
    let golden = &list(&board, "/sealed/golden")[0];
    assert_eq!((text(golden, "/agent"), number(golden, "/files_permille")), ("alpha".to_owned(), 1000));
    let tokens = number(golden, "/tokens_permille");
    assert!((1..1000).contains(&tokens), "{golden}");
    assert_eq!(golden["same_patch"], false);
    assert_eq!(number(&board, "/submissions/0/alike_permille"), tokens);
    beta.ssh(&format!("submission {contest}")).ok().says("same patch").says("issue sealed drill/1");
    let shown = beta.ssh(&format!("issue sealed {contest}")).ok();
    shown.says(MARKERS[0]).says(MARKERS[1]).says("```diff").says("- t\n").says("- u\n");
    assert_eq!(text(&beta.json(&format!("issue sealed {contest}")), "/fail_to_pass/0"), "t");

    // What a mirror fetched is opened there, by what it fetched alone.
    let copy = days.forge.scratch().join("after");
    mirror_all(&days.forge, &beta, &copy);
    let repository = copy.join("repositories/drill.git");
    let log = git(&repository, &["log", "--format=%s", "-3", "refs/forge/issues/1"]).ok().stdout;
    let at = |what: &str| log.find(what).unwrap_or_else(|| panic!("no {what} in {log}"));
    assert!(at("contest ranked") < at("revealed what was sealed") && at("revealed") < at("contest closed"), "{log}");
    verify(&copy);
    let mut mirror = days.forge.beside_stopped(&copy);
    mirror.try_up(&Days::told_of(&days.ahead)).unwrap();
    for line in [format!("issue sealed {contest}"), format!("submission {contest}")] {
        let [there, here] = [&mirror, &days.forge].map(|forge| alpha.at(forge).ssh(&line).ok().stdout);
        assert_eq!(there, here);
    }
    assert_clean(&repository);
    verify(days.forge.data());
}

#[test]
fn what_is_sealed_is_sealed_once_before_anybody_starts_by_who_may() {
    let forge = Forge::start();
    let [host, alpha] = agents(&forge, ["host", "alpha"]);
    let contest = contest(&host, "drill", "easy", "");
    let good = part(&host, "drill");
    let line = format!("issue seal {contest}");
    alpha.ssh_with(&line, &good).exits(4).says("only host who opened it");
    host.ssh_with(&line, "").exits(2).says("stdin holds nothing");
    host.ssh_with(&line, "{}").exits(2).says("golden");
    let other = json!({ "golden": "no patch\n", "tests": "", "fail_to_pass": [] }).to_string();
    host.ssh_with(&line, &other).exits(1).says("does not apply");
    let unfit = good.replace("-41", "-43");
    host.ssh_with(&line, &unfit).exits(1).says("its golden patch does not apply");
    let unfit = good.replace(&format!("+{}", MARKERS[1]), "+another");
    host.ssh_with(&line, &unfit).exits(1).says("its tests do not apply");
    let plain = text(&host.json("issue new drill --title Plain"), "/ref");
    host.ssh_with(&format!("issue seal {plain}"), &good).exits(1).says("no open contest");
    host.ssh(&format!("issue sealed {plain}")).exits(3);
    assert!(!forge.data().join("secrets/seal.key").exists(), "nothing was sealed");
    host.ssh_with(&line, &good).ok();
    host.ssh_with(&line, &good).exits(1).says("sealed of it already");
    let late = text(&host.json("issue new drill --title Late --difficulty easy --command true"), "/ref");
    alpha.json(&format!("start {late}"));
    host.ssh_with(&format!("issue seal {late}"), &good).exits(1).says("somebody has started it");
    verify(forge.data());
}

#[test]
fn a_restored_backup_reveals_and_a_copy_without_secrets_says_that_it_cannot() {
    let days = Days::start();
    let ([_, alpha, beta], contest) = sealed(&days);
    let (saved, copy) = (days.forge.scratch().join("saved"), days.forge.scratch().join("copy"));
    tool(&["backup", saved.to_str().unwrap(), "--data", days.forge.data().to_str().unwrap()]).ok();
    mirror_all(&days.forge, &beta, &copy);
    days.later(25);
    until("the contest is ranked", || stage(&alpha, &contest) == "ranked");
    let here = alpha.ssh(&format!("issue sealed {contest}")).ok().stdout;

    let data = days.forge.scratch().join("restored");
    tool(&["restore", saved.to_str().unwrap(), "--data", data.to_str().unwrap()]).ok();
    let mut second = days.forge.beside_stopped(&data);
    second.try_up(&Days::told_of(&days.ahead)).unwrap();
    let there = alpha.at(&second);
    until("it is ranked there", || stage(&there, &contest) == "ranked");
    assert_eq!(there.ssh(&format!("issue sealed {contest}")).ok().stdout, here);
    verify(&data);

    let mut third = days.forge.beside_stopped(&copy);
    third.try_up(&Days::told_of(&days.ahead)).unwrap();
    let there = alpha.at(&third);
    until("it is closed there", || stage(&there, &contest) == "closed");
    let board = there.json(&format!("submission {contest}"));
    assert_eq!(text(&board, "/sealed/state"), "cannot-be-revealed");
    assert!(board["submissions"][0]["place"].is_null(), "{board}");
    there.ssh(&format!("submission {contest}")).ok().says("secrets/seal.key");
    there.ssh(&format!("issue sealed {contest}")).exits(1).says("which its operator must put back");
    // It serves on, and takes writes.
    there.json("issue new drill --title Another");
    verify(&copy);
    fs::copy(days.forge.data().join("secrets/seal.key"), copy.join("secrets/seal.key")).unwrap();
    until("it is ranked at last", || stage(&there, &contest) == "ranked");
    assert_eq!(there.ssh(&format!("issue sealed {contest}")).ok().stdout, here);
    verify(&copy);
}

#[test]
fn an_imported_contest_knows_its_golden_patch_when_it_sees_it() {
    let days = Days::start();
    let [host, alpha, beta] = agents(&days.forge, ["host", "alpha", "beta"]);
    host.json("project new parser");
    let packed = root().join("tests/starter/packed");
    let rows = packed.join("rows.jsonl");
    let args = ["swebench", rows.to_str().unwrap(), "--only", "synstack__invoice-1", "--with-contests"];
    // There is no code to begin at.
    import(&host, &args).exits(1).says("nothing was imported");
    assert_eq!(list(&host.json("issue list parser --state all"), "/items").len(), 0);
    import(&host, &[&args[..], &["--bundle", packed.to_str().unwrap()]].concat()).ok().says("1 issue added");
    let row = fs::read_to_string(&rows).unwrap();
    let row = row.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let row = row.into_iter().find(|row| row["instance_id"] == "synstack__invoice-1").unwrap();
    let board = alpha.json("submission parser/1");
    assert_eq!(text(&board, "/base"), text(&row, "/base_commit"));
    assert_eq!(text(&board, "/command"), text(&row, "/test_command"));
    assert_eq!((text(&board, "/difficulty"), text(&board, "/sealed/state")), ("easy".to_owned(), "sealed".to_owned()));
    assert_eq!(remote_ref(&beta, "parser", "refs/heads/main"), Some(text(&row, "/base_commit")));
    let copy = days.forge.scratch().join("copy");
    mirror_all(&days.forge, &beta, &copy);
    let objects = everything(&copy.join("repositories/parser.git"));
    let patch = text(&row, "/patch");
    let added = patch.lines().filter(|line| line.starts_with('+') && line.len() > 24).map(|line| &line[1..]);
    let added: Vec<&str> = added.filter(|line| !line.starts_with("++")).collect();
    assert!(!added.is_empty() && added.iter().all(|line| !objects.contains(line)), "{added:?}");

    let [first, second] = [&alpha, &beta].map(|agent| Work::start(agent, "parser#1"));
    fs::write(alpha.home().join("golden"), &patch).unwrap();
    first.git(&["apply", "../golden"]).ok();
    first.record("true").ok();
    first.commit("Round as the statement says");
    first.push().ok();
    first.submit();
    second.deliver("README.md", "something else\n");
    days.later(25);
    until("the contest is ranked", || stage(&alpha, "parser#1") == "ranked");
    let board = beta.json("submission parser/1");
    let line = |agent: &str| list(&board, "/submissions").iter().find(|line| line["agent"] == agent).unwrap();
    assert_eq!(number(line("alpha"), "/alike_permille"), 1000, "{board}");
    assert!(number(line("beta"), "/alike_permille") < 500, "{board}");
    let golden = list(&board, "/sealed/golden").iter().find(|line| line["agent"] == "alpha").unwrap();
    assert_eq!(golden["same_patch"], true, "{golden}");
    assert_eq!(text(&beta.json("issue sealed parser/1"), "/golden"), patch);
    verify(days.forge.data());
}
