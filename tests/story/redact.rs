//! `forge redact`: what people wrote is taken out of a forge again, its files included; everybody can see that it was, and
//! nobody is told another history in its place.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use tests::agent::text;
use tests::flow::{self, Work};
use tests::plumbing::{self, copy_tree, git};
use tests::{Agent, Forge, Out, tool};

use super::follow::mirror_once;
use super::mirror::verify;

/// What must go. It looks like no secret that a rule of the gate would find.
const SECRET: &str = "horse-battery-9431";
const BECAUSE: &str = "a password that somebody pasted";
const SHOWN: &str = "[redacted by the operator: a password that somebody pasted]";

/// Whether an object of a repository holds `what`, be it reached or not.
fn in_objects(repository: &Path, what: &str) -> bool {
    let all = git(repository, &["cat-file", "--batch-all-objects", "--batch", "--unordered"]).ok();
    // A pack without an index would be passed over.
    let packs = plumbing::packs(repository, "");
    assert!(packs.iter().all(|pack| pack.with_extension("idx").exists()), "{packs:?}");
    all.stdout.contains(what)
}

/// The first file below `dir` that holds `what` as it is.
fn in_files(dir: &Path, what: &str) -> Option<String> {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let found = match path.is_dir() {
            true => in_files(&path, what),
            false => {
                let mut bytes = Vec::new();
                fs::File::open(&path).unwrap().read_to_end(&mut bytes).unwrap();
                let holds = bytes.windows(what.len()).any(|window| window == what.as_bytes());
                holds.then(|| path.display().to_string())
            }
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

/// A forge in which somebody wrote the secret: in the title and text of an issue, in a comment, and in a review, whose text
/// stands in the notes on a commit too.
fn told() -> (Forge, [Agent; 2], String) {
    let forge = Forge::start();
    let agents = ["alpha", "beta"].map(|name| forge.agent(name));
    let [alpha, beta] = &agents;
    flow::found_project(beta, "parser", &[("README.md", "parser\n")]);
    let issue = text(
        &alpha
            .ssh_with(
                &format!("issue --json new parser --title 'Login with {SECRET} fails'"),
                &format!("Log:\n{SECRET}\n"),
            )
            .ok()
            .json(),
        "/ref",
    );
    beta.json(&format!("reply {issue} I can see {SECRET} there"));
    beta.json(&format!("reply {issue} Kept as it is"));
    let pull = Work::start(alpha, &flow::open_issue(beta, "parser", "Please")).deliver("a.txt", "a\n");
    beta.json(&format!("review request-changes {pull} not with {SECRET} in it"));
    beta.json(&format!("review approve {pull} reads well"));
    alpha.json(&format!("merge {pull}"));
    (forge, agents, issue)
}

fn redact(data: &Path, words: &[&str]) -> Out {
    let mut args = vec!["redact", "parser", "--data", data.to_str().unwrap()];
    args.extend(words);
    tool(&args)
}

/// Everything that holds it, of the events in [`told`].
const ALL: [&str; 3] = ["issues/1:1", "issues/1:2", "pulls/3:2"];

fn carried_out(data: &Path) -> Out {
    redact(data, &[&ALL[..], &["--because", BECAUSE]].concat()).ok()
}

fn log(repository: &Path, name: &str) -> String {
    git(repository, &["log", "--format=%an %s%n%b", name]).ok().stdout
}

#[test]
fn what_was_redacted_is_in_no_file_and_no_answer_and_mirrors_follow_on_a_word() {
    let (mut forge, agents, issue) = told();
    let [alpha, beta] = &agents;
    let (data, mirrored) = (forge.data().to_owned(), forge.scratch().join("mirrored"));
    let parser = forge.repository("parser");
    mirror_once(&forge.http_url(""), &mirrored).ok();
    alpha.ssh(&format!("search {SECRET}")).ok().says(&issue);
    let clone = alpha.clone_into(&forge.http_url("/parser"), "mirror.git", &["--mirror"]);
    // It runs: nothing is redacted under it.
    redact(&data, &["issues/1"]).exits(1).says("in use by another running forge").says("next: ");
    assert_eq!(forge.stop(), 0);
    verify(&data).ok().keeps_quiet_about("redacted");
    let merged = || git(&parser, &["rev-parse", "refs/heads/main", "refs/pull/3/head"]).ok().stdout;
    let (code, rating) = (merged(), tool(&["ratings", "replay", "--data", data.to_str().unwrap()]).ok().stdout);
    let kept = git(&parser, &["cat-file", "blob", "refs/forge/issues/1:event"]).ok().stdout;
    assert!(in_objects(&parser, SECRET) && in_files(&data, SECRET).is_some());
    assert!(git(&parser, &["notes", "--ref=forge/reviews", "list"]).ok().stdout.lines().count() > 0);

    // What would go is shown first, and what cannot is refused.
    redact(&data, &["issues/1"]).ok().says("issues/1:1 alpha: opened: Login with").says("issues/1:3 beta: commented (");
    for (words, why) in [
        (&["issues/1:9", "--because", "x"][..], "issues/1 has no event 9"),
        (&["issues/1:1"][..], "--because must be one line"),
        (&["issues/1:1", "--because", "two\nlines"][..], "--because must be one line"),
    ] {
        redact(&data, words).exits(1).says(why).says("next: ");
    }
    redact(&data, &["issues/one:1"]).exits(2);
    let forge_git = ["redact", "forge", "projects/forge:1", "--data", data.to_str().unwrap(), "--because", "x"];
    tool(&forge_git).exits(1).says("forge.git is not redacted");
    redact(&mirrored, &["issues/1:1", "--because", "x"]).exits(1).says("is a mirror of");
    let dry =
        redact(&data, &[&ALL[..], &["--dry-run"]].concat()).ok().says("pulls/3:2 beta:").says("next: forge redact");
    assert!(!dry.stdout.contains("still there"), "{dry}");
    assert!(in_objects(&parser, SECRET));
    verify(&data).ok().keeps_quiet_about("redacted");

    carried_out(&data).says("good: 3 events redacted").says("epoch 2");
    assert!(!in_objects(&parser, SECRET) && !in_objects(&forge.repository("forge"), SECRET));
    assert_eq!(in_files(&data, SECRET), None);
    plumbing::assert_clean(&parser);
    let names = fs::read_dir(data.join("repositories")).unwrap().count();
    assert_eq!(names, 2, "nothing is left beside");
    verify(&data).ok().says("3 events redacted").says("redacted parser issues/1 event 2, was ").says(BECAUSE);
    redact(&data, &["issues/1:1", "--because", "x"]).exits(1).says("is redacted already");
    // Code, ratings and kept events are what they were, and people read why something is not.
    assert_eq!(merged(), code);
    assert_eq!(tool(&["ratings", "replay", "--data", data.to_str().unwrap()]).ok().stdout, rating);
    assert_eq!(git(&parser, &["cat-file", "blob", "refs/forge/issues/1:event"]).ok().stdout, kept);
    let read = log(&parser, "refs/forge/issues/1");
    assert!(
        read.contains("alpha opened: [redacted]") && read.contains(SHOWN) && read.contains("Kept as it is"),
        "{read}"
    );
    assert!(log(&parser, "refs/forge/ledger").contains("issues/1: opened: [redacted] — alpha"));
    let notes = git(&parser, &["log", "--notes=forge/reviews", "-3", "refs/pull/3/head"]).ok().stdout;
    assert!(
        notes.contains("[redacted by the operator: ") && notes.contains("beta approved (pulls/3): reads well"),
        "{notes}"
    );

    forge.up();
    let details =
        alpha.ssh(&format!("details {issue}")).ok().says(SHOWN).says("Kept as it is").keeps_quiet_about(SECRET);
    assert!(details.stdout.contains(r"# parser#1: \[redacted\]"), "{details}");
    alpha.ssh("feed").ok().says("redacted").keeps_quiet_about(SECRET);
    alpha.ssh("details parser#3").ok().keeps_quiet_about(SECRET);
    alpha.ssh(&format!("search {SECRET}")).ok().keeps_quiet_about(&issue);
    let (status, page) = forge.get("/parser/issues/1");
    assert!(status == 200 && page.contains(SHOWN) && !page.contains(SECRET), "{page}");
    beta.json(&format!("reply {issue} And on it goes"));
    alpha.git(&clone, &["fetch", "-q", "--prune", "origin"]).ok();
    assert!(log(&clone, "refs/forge/issues/1").contains(SHOWN));

    // A mirror stops before it, says what is to be judged, and goes on when that was done. The old ledger stays, unserved.
    let ledger =
        |data: &Path| git(&data.join("repositories/parser.git"), &["rev-parse", "refs/forge/ledger"]).ok().stdout;
    let seen = ledger(&mirrored);
    let stopped = mirror_once(&forge.http_url(""), &mirrored).exits(1).says("opens epoch 2 for a redaction");
    stopped.says("issues/1 event 1, issues/1 event 2, pulls/3 event 2").says("--accept-epoch");
    assert_eq!(ledger(&mirrored), seen);
    verify(&mirrored).ok();
    let accept = |to: &Path| {
        let url = forge.http_url("");
        tool(&["mirror", &url, "--data", to.to_str().unwrap(), "--once", "--accept-epoch"])
    };
    accept(&mirrored).ok().says("good: ");
    mirror_once(&forge.http_url(""), &mirrored).ok();
    verify(&mirrored).ok().says("3 events redacted");
    let copy = mirrored.join("repositories/parser.git");
    let noted = fs::read_to_string(copy.join("unredacted")).unwrap();
    assert!(noted.contains(seen.trim()), "{noted}");
    git(&copy, &["cat-file", "-e", seen.trim()]).ok();
    assert!(!git(&copy, &["for-each-ref"]).ok().stdout.contains(seen.trim()));
    let mut mirror = forge.mirror(&mirrored, &forge.http_url(""));
    mirror.up();
    alpha.at(&mirror).ssh(&format!("details {issue}")).ok().says(SHOWN).keeps_quiet_about(SECRET);
    alpha.at(&mirror).ssh(&format!("search {SECRET}")).ok().keeps_quiet_about(&issue);
    let anew = alpha.at(&mirror).clone_into(&mirror.http_url("/parser"), "anew.git", &["--mirror"]);
    assert!(!in_objects(&anew, SECRET));
    assert_eq!(mirror.stop(), 0);
    // One that begins now has no need of a word, and nothing of what was.
    let fresh = forge.scratch().join("fresh");
    mirror_once(&forge.http_url(""), &fresh).ok();
    assert!(!in_objects(&fresh.join("repositories/parser.git"), SECRET));
    verify(&fresh).ok().says("3 events redacted");

    // It goes through a backup like anything else.
    let (saved, restored) = (forge.scratch().join("saved"), forge.scratch().join("restored"));
    assert_eq!(forge.stop(), 0);
    tool(&["backup", saved.to_str().unwrap(), "--data", data.to_str().unwrap()]).ok();
    tool(&["restore", saved.to_str().unwrap(), "--data", restored.to_str().unwrap()]).ok();
    let mut second = forge.beside(&restored);
    alpha.at(&second).ssh(&format!("details {issue}")).ok().says(SHOWN);
    assert_eq!(second.stop(), 0);
    verify(&restored).ok().says("3 events redacted");
}

#[test]
fn a_copy_from_before_a_redaction_is_named_and_not_served_and_an_undeclared_one_is_none() {
    let (mut forge, agents, issue) = told();
    assert_eq!(forge.stop(), 0);
    let before = forge.scratch().join("before");
    copy_tree(forge.data(), &before);
    carried_out(forge.data());
    let mixed = forge.scratch().join("mixed");
    let mix = |parser: &Path, root: &Path| {
        drop(fs::remove_dir_all(&mixed));
        copy_tree(parser, &mixed);
        fs::remove_dir_all(mixed.join("repositories/forge.git")).unwrap();
        copy_tree(&root.join("repositories/forge.git"), &mixed.join("repositories/forge.git"));
    };
    // The old ledger beside a forge.git that says what is redacted in it.
    mix(&before, forge.data());
    verify(&mixed).fails().says("FAULT parser: issues/1 event 1: forge.git declares it redacted");
    let mut served = forge.beside(&mixed);
    agents[0].at(&served).ssh(&format!("details {issue}")).fails().keeps_quiet_about(SECRET);
    assert_eq!(served.stop(), 0);
    // The new one beside a forge.git that says nothing.
    mix(forge.data(), &before);
    verify(&mixed).fails().says("FAULT parser: ");
}

#[test]
fn a_kill_while_something_is_redacted_leaves_the_old_or_the_new_whole() {
    let (mut forge, agents, issue) = told();
    let alpha = &agents[0];
    assert_eq!(forge.stop(), 0);
    let points = tool(&["fault-points"]).ok().stdout;
    let points: Vec<&str> = points.lines().filter(|point| point.starts_with("redaction-")).collect();
    assert_eq!(points.len(), 5, "{points:?}");
    for (at, point) in points.iter().enumerate() {
        let data = forge.scratch().join(point);
        copy_tree(forge.data(), &data);
        let line = format!(
            "FORGE_FAILPOINT={point} forge redact parser {} --data {} --because '{BECAUSE}'",
            ALL.join(" "),
            data.display()
        );
        alpha.sh(forge.scratch(), &line).exits(128 + 6);
        // The declaration is the commit point; before it everything is as it was.
        if at == 0 {
            verify(&data).ok().keeps_quiet_about("redacted");
        }
        let mut again = forge.beside(&data);
        let details = alpha.at(&again).ssh(&format!("details {issue}")).ok();
        assert_eq!(details.stdout.contains(SECRET), at == 0, "{point}: {details}");
        assert_eq!(details.stdout.contains(SHOWN), at > 0, "{point}: {details}");
        assert_eq!(again.stop(), 0);
        assert_eq!(fs::read_dir(data.join("repositories")).unwrap().count(), 2, "{point}");
        if at == 0 {
            carried_out(&data);
        }
        assert!(!in_objects(&data.join("repositories/parser.git"), SECRET), "{point}");
        assert_eq!(in_files(&data, SECRET), None, "{point}");
        verify(&data).ok().says("3 events redacted");
    }
}
