use std::collections::BTreeMap;

use super::*;
use crate::testing::{Fake, agent, name, oid, record};

use event::CheckState::{Error, Failure, Pending, Success};
use event::Verdict::{Approve, Comment, RequestChanges};

/// The parts of a candidate by alpha, branch `alpha/fix`, pull request 47, head 4 with tree 5.
struct Parts {
    repo: Fake,
    records: Vec<Record>,
    levels: BTreeMap<Sha256, Level>,
    reviews: Vec<Review>,
    mergeable: Mergeability,
    changed: Result<Vec<Changed>, Undecided>,
    checks: Vec<Check>,
    landing: Option<Landing>,
    merging: Option<(&'static str, Strategy)>,
}

fn parts() -> Parts {
    let reviews = vec![review("beta", Approve, 4)];
    Parts {
        repo: Fake::new(),
        records: vec![record()],
        levels: BTreeMap::new(),
        reviews,
        mergeable: Mergeability::Clean,
        changed: Ok(Vec::new()),
        checks: Vec::new(),
        landing: Some(Landing { tree: oid(5), broken_policy: None }),
        merging: None,
    }
}

/// The parts under a policy, with a change of `path`.
fn under(policy: &str, path: &str) -> Parts {
    let mut parts = parts();
    parts.repo.says(policy);
    assert_eq!(parts.repo.base.broken, None);
    parts.changed = Ok(vec![changed(path)]);
    parts
}

fn changed(path: &str) -> Changed {
    Changed { path: path.into(), size: 10, before: Some(oid(3)) }
}

fn review(who: &str, verdict: event::Verdict, head: u8) -> Review {
    Review { agent: agent(who), verdict, head: oid(head) }
}

impl Parts {
    fn with<T>(&self, look: impl FnOnce(&Fake, &Candidate<'_>) -> T) -> T {
        let (branch, author, pull) = (name("refs/heads/alpha/fix"), agent("alpha"), "parser#47".parse().unwrap());
        let merging = self.merging.map(|(by, strategy)| (agent(by), strategy));
        let accepted = |record: &Record| {
            let digest = record.digest();
            Accepted { record: record.clone(), digest, level: self.levels.get(&digest).copied().unwrap_or(Level::P1) }
        };
        let records: Vec<Accepted> = self.records.iter().map(accepted).collect();
        let candidate = Candidate {
            pull: Some(&pull),
            branch: &branch,
            author: &author,
            issue: Some(12),
            head: oid(4),
            tree: oid(5),
            records: &records,
            reviews: &self.reviews,
            mergeable: &self.mergeable,
            target: &name("refs/heads/main"),
            base: oid(3),
            changed: &self.changed,
            checks: &self.checks,
            landing: self.landing.as_ref(),
            merging: merging.as_ref().map(|(by, strategy)| Merging { by, strategy: *strategy }),
        };
        look(&self.repo, &candidate)
    }

    fn merge(&self) -> Result<Proof, Refusal> {
        self.with(|repo, candidate| check_merge(repo, candidate))
    }

    fn submit(&self) -> Result<Proof, Refusal> {
        self.with(|repo, candidate| check_submit(repo, candidate))
    }

    fn state(&self, rule: &str) -> State {
        let lines = self.with(|repo, candidate| gate(repo, candidate));
        lines.into_iter().find(|line| line.rule == rule).unwrap().state
    }
}

/// A record of alpha's whose one attempt was changed.
fn run(change: impl FnOnce(&mut notes_schema::trace::Attempt)) -> Record {
    let mut record = record();
    change(&mut record.attempts[0]);
    record.head_tree = record.last().tree;
    record.check().unwrap();
    record
}

fn tests(passed: u64, failed: u64) -> Option<notes_schema::trace::Tests> {
    Some(notes_schema::trace::Tests { framework: "tap".into(), passed, failed, ..Default::default() })
}

#[test]
fn what_is_complete_lands_and_carries_its_proof() {
    let parts = Parts { records: vec![run(|a| a.tests = tests(3, 0))], ..parts() };
    let proof = parts.merge().unwrap();
    assert_eq!(proof, parts.submit().unwrap());
    assert_eq!((proof.level, proof.command.as_str()), (Level::P1, "cargo test"));
    assert_eq!(proof.record, Some(parts.records[0].digest()));
    assert_eq!(proof.tests.unwrap().passed, 3);
    let lines = parts.with(|repo, candidate| gate(repo, candidate));
    assert_eq!(
        lines.iter().map(|l| l.rule).collect::<Vec<_>>(),
        [
            "policy",
            "files",
            "proof",
            "base",
            "tests",
            "cited-paths",
            "level",
            "tests-touched",
            "checks",
            "approval",
            "no-changes-requested",
            "merger",
            "mergeable",
            "landed"
        ]
    );
    let told: Vec<&str> = lines.iter().filter(|line| !line.quiet).map(|line| line.rule).collect();
    assert_eq!(told, ["proof", "tests", "approval", "no-changes-requested", "mergeable"]);
    assert!(lines.iter().all(|line| line.ok && !line.why.is_empty() && !line.next.is_empty()));
}

#[test]
fn records_that_prove_nothing_are_refused_at_both_moments() {
    let again = "forge run --again && git push";
    let other_tree = || run(|a| a.tree = oid(9));
    let by_beta = || {
        let mut record = record();
        record.agent = agent("beta");
        record
    };
    let for_another_issue = || {
        let mut record = record();
        record.issue = Some(13);
        record
    };
    let redacted = || run(|a| a.argv.push("--token=[redacted:assignment]".to_owned()));
    let start = "c=$(ssh forge start parser/12) && printf '%s\\n' \"$c\" | sed -n '/^git config /p' | sh -e && forge run \
                 --again && git push";
    let check = format!("forge run -- git diff --check {} HEAD && git push", oid(3));
    let cases: Vec<(&str, Vec<Record>, &str, &str)> = vec![
        ("none", vec![], "E00", &check),
        ("only beta's", vec![by_beta()], "E00", &check),
        ("for another issue", vec![for_another_issue()], "E00", start),
        ("for another issue, on the tip", vec![other_tree(), for_another_issue()], "E08", start),
        ("on another tree", vec![other_tree()], "E08", again),
        ("exit 101", vec![run(|a| a.exit = Some(101))], "E09", again),
        ("killed", vec![run(|a| (a.exit, a.signal) = (None, Some(9)))], "E09", again),
        ("timed out", vec![run(|a| a.timed_out = true)], "E09", again),
        ("no test ran", vec![run(|a| a.tests = tests(0, 0))], "E09", again),
        ("failures hidden by the exit status", vec![run(|a| a.tests = tests(5, 1))], "E09", again),
        ("redacted, after a good one", vec![record(), redacted()], "E09", again),
        ("redacted, after a failure", vec![run(|a| a.exit = Some(1)), redacted()], "E09", again),
        ("redacted", vec![redacted()], "E09", &check),
        ("cut", vec![run(|a| a.argv.push("[more arguments left out]".to_owned()))], "E09", &check),
        ("passed, then failed on the same tree", vec![record(), run(|a| a.exit = Some(1))], "E09", again),
    ];
    for (which, records, code, next) in cases {
        let parts = Parts { records, ..parts() };
        for refusal in [parts.submit().unwrap_err(), parts.merge().unwrap_err()] {
            assert_eq!((refusal.rule.as_str(), refusal.next.as_str()), (code, next), "{which}");
        }
        assert_eq!(parts.with(|repo, candidate| proof_of(repo, candidate)), Ok(Proof::none()), "{which}");
    }
}

#[test]
fn a_run_on_the_tips_tree_counts_whatever_ran_on_other_trees_later() {
    for records in
        [vec![run(|a| a.exit = Some(1)), record()], vec![record(), run(|a| (a.tree, a.exit) = (oid(9), Some(1)))]]
    {
        assert!(Parts { records, ..parts() }.submit().is_ok());
    }
}

#[test]
fn the_differing_paths_are_named_and_cleaned() {
    let mut parts = Parts { records: vec![run(|a| a.tree = oid(9))], ..parts() };
    parts.repo.paths = Ok((1..=9).map(|n| format!("src/{n}\n.rs")).collect());
    parts.repo.found.extend((1..=9).map(|n| (format!("src/{n}\n.rs"), crate::Found::Other)));
    let why = parts.submit().unwrap_err().why;
    assert!(
        why.ends_with("they differ in `src/1 .rs`, `src/2 .rs`, `src/3 .rs`, `src/4 .rs`, `src/5 .rs` and more"),
        "{why}"
    );
    parts.repo.paths = Err(Undecided("the tested tree is not here".into()));
    let refusal = parts.submit().unwrap_err();
    assert_eq!(refusal.rule, "E08", "that it differs is certain all the same");
    let next = format!("git add -A && git commit -q --allow-empty -m 'What the run was on' && {AGAIN}");
    assert_eq!(refusal.next, next, "the work tree may still be what was run");
}

#[test]
fn files_that_only_the_work_tree_of_the_run_had_are_named_and_committed() {
    let mut parts = Parts { records: vec![run(|a| a.tree = oid(9))], ..parts() };
    parts.repo.paths = Ok(["a", "kept", "b\n", "c", "d"].map(str::to_owned).to_vec());
    parts.repo.found.insert("kept".into(), crate::Found::Other);
    let refusal = parts.submit().unwrap_err();
    let ends =
        "; the tip lacks `a`, `b `, `c` and more: commit what belongs to it, and name the rest in `.git/info/exclude`";
    assert!(refusal.why.ends_with(ends), "{refusal}");
    let next = format!("git add -A && git commit -q --allow-empty -m 'What the run was on' && {AGAIN}");
    assert_eq!(refusal.next, next);
}

#[test]
fn reviews_count_only_when_live() {
    type Case<'a> = (&'a str, Vec<Review>, &'a str);
    let cases: Vec<Case<'_>> = vec![
        ("none", vec![], "approval"),
        ("another's", vec![review("beta", Approve, 4)], ""),
        ("one's own", vec![review("alpha", Approve, 4)], "approval"),
        ("of an earlier head", vec![review("beta", Approve, 3)], "approval"),
        ("a comment", vec![review("beta", Comment, 4)], "approval"),
        ("a comment after approving", vec![review("beta", Approve, 4), review("beta", Comment, 4)], ""),
        ("taken back", vec![review("beta", Approve, 4), review("beta", RequestChanges, 4)], "approval"),
        ("against", vec![review("beta", Approve, 4), review("gamma", RequestChanges, 4)], "no-changes-requested"),
        ("settled", vec![review("beta", RequestChanges, 4), review("beta", Approve, 4)], ""),
        ("against an earlier head", vec![review("gamma", RequestChanges, 3), review("beta", Approve, 4)], ""),
    ];
    for (which, reviews, rule) in cases {
        let parts = Parts { reviews, ..parts() };
        assert_eq!(parts.merge().err().map_or(String::new(), |r| r.rule), rule, "{which}");
        assert!(parts.submit().is_ok(), "reviews come after submit: {which}");
    }
}

#[test]
fn conflicts_block_the_merge_and_unknown_is_no_yes() {
    let conflicts = Parts { mergeable: Mergeability::Conflicts(vec!["src/lib.rs".into()]), ..parts() };
    let refusal = conflicts.merge().unwrap_err();
    assert_eq!(
        refusal.line(),
        "mergeable merge parser#47: conflicts with main in `src/lib.rs`; next: git pull --no-rebase --no-edit origin main"
    );
    let unknown = Parts { mergeable: Mergeability::Unknown("an object is missing".into()), ..parts() };
    assert_eq!(unknown.merge().unwrap_err().why, "could not decide: an object is missing");
    assert_eq!(unknown.state("mergeable"), State::Error);
    let done = Parts { mergeable: Mergeability::Done, ..parts() };
    assert_eq!(done.state("mergeable"), State::NotApplicable);
}

const REVIEW: &str = "ssh forge review approve parser/47";
const AGAIN: &str = "forge run --again && git push";
const CHECKS: &str = "ssh forge check list parser";
const SHOW: &str = "ssh forge pr parser/47";

/// What a policy and a change make of work that would land without it.
#[test]
fn a_policy_asks_for_more() {
    let weigh = |mut parts: Parts| {
        parts.repo.standing.insert(agent("beta"), crate::policy::Standing::Gold);
        parts
    };
    let merging = |by, strategy, parts: Parts| Parts { merging: Some((by, strategy)), ..parts };
    let said = |by: &str, tree, state| Check { name: "ci".into(), tree: oid(tree), state, by: agent(by) };
    let check = |tree, state, parts: Parts| Parts { checks: vec![said("robot", tree, state)], ..parts };
    let ci = |checks| Parts { checks, ..under("[require]\nchecks = [\"ci\"]", "a") };
    let lands = |tree, parts: Parts| Parts { landing: Some(Landing { tree: oid(tree), broken_policy: None }), ..parts };
    let tiers = "[risk]\nmedium = [\"src/\"]\nhigh = [\"src/auth/\"]\n[require.medium]\napprovals = 2\n[require.high]\nweight = 9\n";
    let tests = "[tests]\npaths = [\"tests/**\"]\n[require.tests]\n";
    let both = |parts: Parts| Parts { reviews: vec![review("beta", Approve, 4), review("gamma", Approve, 4)], ..parts };
    let sign = "git config forge.signingkey ~/.ssh/forge && forge run --again && git push";
    let again = "ssh forge challenge parser/47";
    let cases: Vec<(&str, Parts, &str, &str)> = vec![
        ("an empty policy", under("", "src/a"), "", ""),
        ("two approvals", under("[require]\napprovals = 2", "a"), "approval", REVIEW),
        ("two approvals, given", both(under("[require]\napprovals = 2", "a")), "", ""),
        ("no approval", Parts { reviews: vec![], ..under("[require]\napprovals = 0", "a") }, "", ""),
        ("a weight above Bronze", under("[require]\nweight = 3", "a"), "approval", REVIEW),
        ("a weight that Gold has", weigh(under("[require]\nweight = 3", "a")), "", ""),
        ("low risk", under(tiers, "docs/a"), "", ""),
        ("medium risk", under(tiers, "src/a"), "approval", REVIEW),
        ("medium risk, approved", both(under(tiers, "src/a")), "", ""),
        ("high risk", both(under(tiers, "src/auth/a")), "approval", REVIEW),
        ("another branch's demands", under("[[ref]]\nname = \"refs/heads/release/*\"\napprovals = 5", "a"), "", ""),
        ("this branch's demands", under("[[ref]]\nname = \"refs/heads/ma*\"\napprovals = 5", "a"), "approval", REVIEW),
        ("P2", under("[require]\nlevel = \"P2\"", "a"), "level", sign),
        ("P3 of high risk alone", under("[risk]\nhigh = [\"src/\"]\n[require.high]\nlevel = \"P3\"", "a"), "", ""),
        (
            "P3 of high risk",
            under("[risk]\nhigh = [\"src/\"]\n[require.high]\nlevel = \"P3\"", "src/a"),
            "level",
            again,
        ),
        (
            "another command",
            under("[require]\ncommands = [\"make check\"]", "a"),
            "E09",
            "forge run -- make check && git push",
        ),
        ("this command", under("[require]\ncommands = [\"make check\", \"cargo test *\"]", "a"), "", ""),
        ("counts, none read", under("[require]\ncounts = true", "a"), "E09", AGAIN),
        (
            "counts",
            Parts { records: vec![run(|a| a.tests = tests_of(3))], ..under("[require]\ncounts = true", "a") },
            "",
            "",
        ),
        ("a check that nobody ran", ci(vec![]), "checks", CHECKS),
        ("a check that failed", ci(vec![said("robot", 5, Failure)]), "checks", SHOW),
        ("a check that broke", ci(vec![said("robot", 5, Error)]), "checks", SHOW),
        ("a check that is under way", ci(vec![said("robot", 5, Pending)]), "checks", "ssh forge feed --wait"),
        ("a check of another tree", ci(vec![said("robot", 9, Success)]), "checks", CHECKS),
        ("a check that passed", ci(vec![said("robot", 5, Success)]), "", ""),
        ("a check that passed at last", ci(vec![said("robot", 5, Failure), said("robot", 5, Success)]), "", ""),
        ("a check that failed at last", ci(vec![said("robot", 5, Success), said("other", 5, Failure)]), "checks", SHOW),
        ("a check of one's own", ci(vec![said("alpha", 5, Success)]), "checks", CHECKS),
        (
            "a failure that its author denies",
            ci(vec![said("robot", 5, Failure), said("alpha", 5, Success)]),
            "checks",
            SHOW,
        ),
        (
            "a check of another name",
            ci(vec![Check { name: "lint".into(), ..said("robot", 5, Success) }]),
            "checks",
            CHECKS,
        ),
        ("tests untouched", under(&format!("{tests}approvals = 2"), "src/a"), "", ""),
        ("tests touched", under(&format!("{tests}approvals = 2"), "tests/a"), "E13", REVIEW),
        ("tests touched, approved", both(under(&format!("{tests}approvals = 2"), "tests/a")), "", ""),
        ("tests touched, level", under(&format!("{tests}level = \"P3\""), "tests/a"), "E13", again),
        ("tests touched, counts", under(&format!("{tests}counts = true"), "tests/a"), "E13", AGAIN),
        (
            "tests touched, check",
            check(5, Failure, under(&format!("{tests}checks = [\"ci\"]"), "tests/a")),
            "E13",
            SHOW,
        ),
        (
            "tests touched, check passed",
            check(5, Success, under(&format!("{tests}checks = [\"ci\"]"), "tests/a")),
            "",
            "",
        ),
        ("merged by its author", merging("alpha", Strategy::Merge, under("[merge]\nby = [\"@author\"]", "a")), "", ""),
        (
            "merged by another",
            merging("beta", Strategy::Merge, under("[merge]\nby = [\"@author\"]", "a")),
            "merger",
            "ssh forge pr parser/47",
        ),
        (
            "merged by the maintainer",
            merging("maker", Strategy::Merge, under("[merge]\nby = [\"@maintainer\"]", "a")),
            "",
            "",
        ),
        (
            "a strategy that is not allowed",
            merging("alpha", Strategy::Merge, under("[merge]\nstrategies = [\"squash\"]", "a")),
            "strategy",
            "ssh forge merge parser/47 --strategy squash",
        ),
        ("a moved target", lands(9, under("", "a")), "", ""),
        (
            "a moved target where it counts",
            lands(9, under("[merge]\nlanded = \"P1\"", "a")),
            "E08",
            "git pull --no-rebase --no-edit origin main && forge run --again && git push",
        ),
        ("an unmoved target where it counts", under("[merge]\nlanded = \"P1\"", "a"), "", ""),
        (
            "a moved target, run together",
            Parts {
                records: vec![run(|a| a.tree = oid(9)), record()],
                ..lands(9, under("[merge]\nlanded = \"P1\"", "a"))
            },
            "",
            "",
        ),
    ];
    for (which, parts, rule, next) in cases {
        let got = parts.merge().err();
        let got = got.as_ref().map_or(("", ""), |refusal| (refusal.rule.as_str(), refusal.next.as_str()));
        assert_eq!(got, (rule, next), "{which}: {:?}", parts.merge().err());
    }
}

fn tests_of(passed: u64) -> Option<notes_schema::trace::Tests> {
    tests(passed, 0)
}

#[test]
fn files_are_asked_about_at_submit_and_merge() {
    let cases = [
        ("[files]\nforbidden = [\"*.pem\"]", "forbidden-path", "git restore --staged --worktree --source=0303"),
        ("[files]\nlargest = 9", "size-cap", "git restore --staged --worktree --source=0303"),
        (
            "[[scope]]\npaths = [\"*.pem\"]\nagents = [\"gamma\"]",
            "write-scope",
            "git restore --staged --worktree --source=0303",
        ),
        ("[files]\nmost = 1", "size-cap", "git diff --stat 0303"),
    ];
    for (policy, rule, next) in cases {
        let mut parts = under(policy, "a.pem");
        parts.changed = Ok(vec![changed("a.pem"), changed("b")]);
        for refusal in [parts.submit().unwrap_err(), parts.merge().unwrap_err()] {
            assert_eq!(refusal.rule, rule);
            assert!(refusal.next.starts_with(next), "{}", refusal.next);
        }
        parts.changed = Err(Undecided("too many files".into()));
        assert_eq!(parts.merge().unwrap_err().rule, "files", "no decision is a refusal");
    }
    let flagged = under("", "tests/a.rs");
    assert_eq!(flagged.state("tests-touched"), State::Satisfied, "E13 alone refuses nothing");
    let unread = Parts { changed: Err(Undecided("too many files".into())), ..parts() };
    assert!(unread.merge().is_ok(), "where no policy asks, nothing hangs on it");
}

#[test]
fn a_record_names_a_base_below_the_tip() {
    let begun = |commit: u8, tree: Option<u8>| {
        let mut record = record();
        (record.base_commit, record.base_tree) = (Some(oid(commit)), tree.map(oid));
        let mut parts = Parts { records: vec![record], ..parts() };
        parts.repo.trees.insert(oid(3), oid(30));
        parts.submit().err().map(|refusal| (refusal.rule, refusal.next))
    };
    let next = "git config forge.base \"$(git merge-base HEAD origin/main)\" && forge run --again && git push";
    let e06 = Some(("E06".to_owned(), next.to_owned()));
    assert_eq!(begun(3, None), None);
    assert_eq!(begun(3, Some(30)), None);
    assert_eq!(begun(3, Some(31)), e06, "another tree than the commit's");
    assert_eq!(begun(9, None), e06, "no such commit");
    assert_eq!(begun(66, None), e06, "a commit of another line");
}

#[test]
fn what_a_record_cites_is_in_its_tree() {
    let cites = |cwd: &str, lock: Option<&str>| {
        let mut record = run(|a| a.cwd = cwd.into());
        let lockfiles = lock.map(|content| ("Cargo.lock".to_owned(), notes_schema::Sha256::of(content.as_bytes())));
        record.env =
            Some(notes_schema::trace::Environment { lockfiles: lockfiles.into_iter().collect(), ..Default::default() });
        let mut parts = Parts { records: vec![record], ..parts() };
        parts.repo.found.insert("src".into(), crate::Found::Directory);
        parts.repo.found.insert("Cargo.lock".into(), crate::Found::File(notes_schema::Sha256::of(b"locked")));
        parts.submit().err().map(|refusal| (refusal.rule, refusal.next))
    };
    let e10 = |next: &str| Some(("E10".to_owned(), next.to_owned()));
    let check =
        format!("cd \"$(git rev-parse --show-toplevel)\" && forge run -- git diff --check {} HEAD && git push", oid(3));
    assert_eq!(cites("", None), None);
    assert_eq!(cites("src", Some("locked")), None);
    assert_eq!(cites("elsewhere", None), e10(&check));
    assert_eq!(cites("Cargo.lock", None), e10(&check), "a file is no directory");
    assert_eq!(cites("", Some("other")), e10(AGAIN));
}

#[test]
fn a_run_in_no_directory_of_the_tree_leads_to_one_that_can_be_repeated() {
    let elsewhere = || run(|a| a.cwd = "elsewhere".into());
    let next = |records| Parts { records, ..parts() }.submit().unwrap_err().next;
    assert_eq!(next(vec![record(), elsewhere()]), AGAIN, "what ran before");
    assert!(next(vec![elsewhere(), elsewhere()]).contains("git diff --check"), "both are nowhere");
    let mut recorded = elsewhere();
    recorded.recorder = Some(notes_schema::trace::Tool { name: "forge".into(), version: "1".into() });
    assert_eq!(next(vec![recorded]), AGAIN, "the recorder repeats it from the top");
}

#[test]
fn where_the_policy_names_commands_every_refusal_of_a_run_names_the_first() {
    let policy = "[require]\ncommands = [\"./check\", \"cargo test *\"]";
    let next = |records| Parts { records, ..under(policy, "a") }.submit().unwrap_err().next;
    let required = "forge run -- ./check && git push";
    assert_eq!(next(vec![]), required);
    assert_eq!(next(vec![run(|a| a.argv.push("--token=[redacted:assignment]".to_owned()))]), required);
    assert_eq!(next(vec![run(|a| a.argv = vec!["true".into()])]), required);
    let below = next(vec![run(|a| a.cwd = "src".into())]);
    assert_eq!(below, format!("cd \"$(git rev-parse --show-toplevel)\" && {required}"));
}

#[test]
fn a_policy_that_would_land_broken_is_refused_and_the_one_that_judges_is_cited() {
    let mut parts = under("", "a");
    let error = crate::policy::Policy::parse(b"[x]").unwrap_err();
    parts.landing = Some(Landing { tree: oid(5), broken_policy: Some(error) });
    let refusal = parts.merge().unwrap_err();
    assert_eq!(refusal.rule, "policy");
    assert!(refusal.why.starts_with("`.forge/policy.toml` line 1, key `x`: "), "{refusal}");
    let parts = under("[risk]\nhigh = [\"a\"]", "a");
    let lines = parts.with(|repo, candidate| gate(repo, candidate));
    assert_eq!(
        lines[0].why,
        format!("judged by `.forge/policy.toml` (blob {}); risk high because of `a`", oid(0xee).short())
    );
    let mut broken = super::tests::parts();
    broken.repo.says("[x]");
    broken.merging = Some(("beta", Strategy::Merge));
    assert_eq!(broken.merge().unwrap_err().rule, "merger", "only the maintainer mends a broken policy");
    broken.merging = Some(("maker", Strategy::Merge));
    assert!(broken.merge().is_ok());
}

#[test]
fn without_a_demand_no_record_is_needed_and_a_proof_is_still_told() {
    let parts = Parts { records: vec![], ..under("[require]\nlevel = \"P0\"", "a") };
    assert_eq!(parts.merge().map(|proof| proof.level), Ok(Level::P0));
    let parts = under("[require]\nlevel = \"P0\"", "a");
    assert_eq!(parts.merge().map(|proof| proof.level), Ok(Level::P1));
    let failed = Parts { records: vec![run(|a| a.exit = Some(1))], ..under("[require]\nlevel = \"P0\"", "a") };
    assert_eq!(failed.merge().unwrap_err().rule, "E09", "what did run and failed is not passed over");
}

#[test]
fn a_later_run_of_another_command_takes_no_proof_away() {
    let mut parts = under("[require]\ncommands = [\"cargo test\"]", "a");
    parts.records = vec![record(), run(|a| a.argv = vec!["ls".into()])];
    assert_eq!(parts.merge().map(|proof| proof.command), Ok("cargo test".to_owned()));
    parts.records = vec![run(|a| a.cwd = "empty".into())];
    assert_eq!(parts.merge().unwrap_err().rule, "E09", "below the top it is another command");
}

#[test]
fn a_level_that_is_demanded_is_asked_of_the_record_that_proves() {
    let sign = "git config forge.signingkey ~/.ssh/forge && forge run --again && git push";
    let again = "ssh forge challenge parser/47";
    let other_tree = "ssh forge pr parser/47";
    for (level, demanded, next) in [
        (Level::P2, "P2", None),
        (Level::P3, "P2", None),
        (Level::P3, "P3", None),
        (Level::P1, "P2", Some(sign)),
        (Level::P2, "P3", Some(again)),
        (Level::PX, "P3", Some(other_tree)),
        (Level::PX, "P1", Some(other_tree)),
        // What is refuted is worse than nothing at all.
        (Level::PX, "P0", Some(other_tree)),
    ] {
        let mut parts = under(&format!("[require]\nlevel = \"{demanded}\""), "a");
        parts.levels.insert(record().digest(), level);
        let merged = parts.merge();
        let found = merged.as_ref().map(|proof| proof.level).map_err(|refusal| refusal.next.as_str());
        assert_eq!(found, next.map_or(Ok(level), Err), "{level} where {demanded} is demanded");
        assert_eq!(parts.submit().map(|proof| proof.level), Ok(level), "work is submitted before others run it");
    }
    let mut other = under("[require]\nlevel = \"P2\"", "a");
    other.levels.insert(Sha256::of(b"another record"), Level::P3);
    assert_eq!(other.merge().unwrap_err().rule, "level");
}

#[test]
fn a_record_about_anothers_work_proves_none_of_its_makers_own() {
    let mut about = record();
    about.subject = Some("challenge/1".into());
    let parts = Parts { records: vec![about], ..parts() };
    assert_eq!(parts.submit().unwrap_err().rule, "E00");
}
