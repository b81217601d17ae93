use super::*;
use crate::testing::name;

fn error(text: &str) -> String {
    Policy::parse(text.as_bytes()).unwrap_err().to_string()
}

fn good(text: &str) -> Policy {
    Policy::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn nothing_said_is_as_it_always_was() {
    assert_eq!(good(""), Policy::default());
    let policy = Policy::default();
    assert_eq!((policy.require.level, policy.require.approvals, policy.landed), (Level::P1, 1, Level::P0));
    assert!(!policy.asks_about_paths() && policy.refs.is_empty());
}

#[test]
fn every_key_is_read() {
    let policy = good(
        r#"
[require]
level = "P2"
counts = true
checks = ["ci"]
approvals = 2
weight = 5
commands = ["cargo test *", "./check"]
[require.medium]
approvals = 3
[require.high]
weight = 0x10
[require.tests]
level = "P3"
[risk]
medium = ["src/"]
high = ["src/auth/**"]
[tests]
paths = ["check"]
[merge]
by = ["@maintainer", "beta"]
strategies = ["squash", "rebase"]
landed = "P1"
[files]
forbidden = ["**/*.pem"]
largest = 1_000
most = 20
[weights]
bronze = 0
silver = 4
gold = 9
[[ref]]
name = "refs/heads/release/*"
push = ["@maintainer"]
approvals = 4
checks = ["ci", "release"]
[[scope]]
paths = ["docs/"]
agents = ["gamma"]
"#,
    );
    assert_eq!((policy.require.level, policy.require.counts, policy.require.weight), (Level::P2, true, 5));
    assert_eq!((policy.strategy, policy.landed), (Strategy::Squash, Level::P1), "the first that is allowed");
    assert_eq!((policy.largest_file, policy.most_files), (1000, 20));
    assert_eq!(policy.weights, Weights { bronze: 0, silver: 4, gold: 9 });
    assert_eq!(policy.risk(["src/a", "src/auth/b"].into_iter()), (Risk::High, Some("src/auth/b")));
    assert_eq!(policy.risk(["src/a"].into_iter()), (Risk::Medium, Some("src/a")));
    assert_eq!(policy.risk(["a"].into_iter()), (Risk::Low, None));
    let (main, release) = (name("refs/heads/main"), name("refs/heads/release/1"));
    assert_eq!(policy.demands(&main, Risk::Low).approvals, 2);
    assert_eq!(policy.demands(&main, Risk::Medium).approvals, 3);
    let high = policy.demands(&main, Risk::High);
    assert_eq!((high.approvals, high.weight, high.level), (3, 16, Level::P2));
    let demands = policy.demands(&release, Risk::Low);
    assert_eq!((demands.approvals, demands.checks), (4, vec!["ci".to_owned(), "release".to_owned()]));
    let run = |words: &str| words.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let counts = |words: &str| policy.commands.iter().any(|command| command.is(&run(words)));
    assert!(counts("cargo test") && counts("cargo test --workspace") && counts("./check"));
    assert!(!counts("cargo") && !counts("./check x") && !counts("true cargo test"));
}

#[test]
fn a_tier_or_ref_never_lowers_the_bar() {
    let policy =
        good("[require]\napprovals = 2\n[require.high]\napprovals = 0\nlevel = \"P0\"\n[risk]\nhigh = [\"**\"]\n");
    let demands = policy.demands(&name("refs/heads/main"), Risk::High);
    assert_eq!((demands.approvals, demands.level), (2, Level::P1));
}

#[test]
fn what_is_wrong_is_named_with_line_and_key() {
    let cases = [
        (
            "a = 1",
            "line 1, key `a`: there is no such key; here stand require, merge, files, risk, tests, weights, secrets, work, ref, scope",
        ),
        (
            "[require]\nlevle = \"P1\"",
            "line 2, key `require.levle`: there is no such key; here stand level, counts, checks, approvals, weight, commands",
        ),
        ("\n\nlevel = \"P1\"", "line 3, key `level`: there is no such key; `level` stands in `require`"),
        ("[require]\n\nlevel = \"P9\"", "line 3, key `require.level`: must be P0, P1, P2 or P3"),
        ("[require]\nlevel = 1", "line 2, key `require.level`: must be text, not integer"),
        ("[require]\napprovals = 21", "line 2, key `require.approvals`: must be from 0 to 20"),
        ("[require]\napprovals = -1", "line 2, key `require.approvals`: must be from 0 to 20"),
        ("[require]\ncounts = 1", "line 2, key `require.counts`: must be true or false, not integer"),
        ("[require]\ncommands = [\" \"]", "line 2, key `require.commands`: \" \" is no command"),
        (
            "[require.low]\nlevel = \"P1\"",
            "line 1, key `require.low`: there is no such key; here stand level, counts, checks, approvals, weight, commands",
        ),
        (
            "[require.medium]\ncommands = [\"x\"]",
            "line 2, key `require.medium.commands`: there is no such key; `commands` stands in `require`",
        ),
        ("require = 1", "line 1, key `require`: must be a table"),
        ("[ref]\nname = \"x\"", "line 1, key `ref`: must be tables `[[ref]]`"),
        ("[[ref]]\npush = [\"alpha\"]", "line 1, key `ref.name`: must be there"),
        ("[[scope]]\npaths = [\"x\"]", "line 1, key `scope.agents`: must be there"),
        (
            "[files]\nforbidden = [\"/x\"]",
            "line 2, key `files.forbidden`: \"/x\": a glob begins with no slash, and holds no two in a row and no control character",
        ),
        ("[merge]\nby = [\"No Body\"]", "line 2, key `merge.by`: \"No Body\" is no agent's name"),
        ("[merge]\nby = []", "line 2, key `merge.by`: must name at least one"),
        (
            "[merge]\nstrategies = [\"squash\"]\nstrategy = \"merge\"",
            "line 3, key `merge.strategy`: is not among `merge.strategies`",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(error(text), expected, "{text}");
    }
    for (text, start) in [
        ("[merge]\nby = [\"*\"\nlanded = \"P1\"", "line "),
        ("[merge]\nlanded = \"P0\"\nlanded = \"P1\"", "line 3, key `landed`: "),
        ("[merge]\nlanded = ", "line 2, key `landed`: "),
    ] {
        assert!(error(text).starts_with(start), "{}", error(text));
    }
}

#[test]
fn what_is_too_large_is_refused_before_it_is_read() {
    let megabyte = format!("[require]\nchecks = [{}]", "\"x\", ".repeat(200_000));
    assert!(error(&megabyte).contains("may have 65536"), "{}", error(&megabyte));
    assert!(error(&format!("[require]\nchecks = [{}]", "\"x\",".repeat(65))).contains("may hold 64"));
    assert!(error(&"[[ref]]\nname = \"x\"\n".repeat(33)).contains("may be 32"));
    let scope = format!("[[scope]]\nagents = [\"*\"]\npaths = [{}]\n", "\"x\",".repeat(60));
    assert!(error(&scope.repeat(5)).contains("may hold 256"));
    assert!(error(&format!("[require]\nchecks = [\"{}\"]", "x".repeat(201))).contains("1 to 200 bytes"));
    for deep in
        [format!("x = {}", "[".repeat(30_000)), "a.".repeat(20_000) + "b = 1", format!("[{}b]", "a.".repeat(20_000))]
    {
        assert!(Policy::parse(deep.as_bytes()).is_err());
    }
    assert_eq!(Policy::parse(b"a = \"\n\xff\"").unwrap_err().line, 2);
}

#[test]
fn a_broken_base_leaves_the_maintainer_a_way_to_mend_it() {
    let blob = crate::testing::oid(7);
    let base = Base::of(Some((blob, b"[requires]")));
    assert_eq!((base.policy.merge_by.as_slice(), base.blob), ([Who::Maintainer].as_slice(), Some(blob)));
    assert_eq!(base.policy.require, Policy::default().require);
    assert!(base.broken.is_some());
    assert_eq!(Base::of(None), Base::default());
}

#[test]
fn refuted_is_never_enough() {
    assert!(reaches(Level::P0, Level::P0) && reaches(Level::P3, Level::P1));
    assert!(!reaches(Level::P1, Level::P2) && !reaches(Level::PX, Level::P0) && !reaches(Level::PX, Level::P3));
}

/// `UPDATE_DOCS=1 cargo test -p hooks policy` writes the table anew.
#[test]
fn the_documentation_has_every_key() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/policy.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- keys -->\n", "<!-- /keys -->\n");
    let (before, rest) = text.split_once(begin).expect("docs/policy.md marks where the keys stand");
    let (_, after) = rest.split_once(end).expect("docs/policy.md marks where the keys end");
    let wanted = format!("{before}{begin}{}{end}{after}", documentation());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    assert!(
        text == wanted || std::env::var_os("UPDATE_DOCS").is_some(),
        "docs/policy.md is out of date; run with UPDATE_DOCS=1"
    );
}

/// The examples of the documentation are files that would be accepted.
#[test]
fn the_examples_of_the_documentation_are_good() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/policy.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let examples: Vec<&str> = text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(!examples.is_empty());
    examples.into_iter().for_each(|example| drop(good(example)));
}
