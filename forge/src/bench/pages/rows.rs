//! Pages of code against the git command that prints what they show, in turns.
//!
//! Invariant: ours is the whole page, drawn and packed, over a socket; git's is the plain text, from a repository packed and
//! with a commit-graph as well as git can, its process included: that is what a page made by running git costs at least.

use super::ground::{Ground, PROJECT, Targets};
use super::look;
use crate::bench::error::BenchError;
use crate::bench::report::Row;
use crate::bench::stock;
use crate::bench::timing::{Pair, milliseconds};

/// A page may take as long as the git command alone.
const MARK: f64 = 1.0;

/// One kind of page.
struct Kind {
    name: &'static str,
    /// What the reference is called.
    against: &'static str,
    page: fn(&Targets, usize) -> String,
    /// Its words behind `git`, where `TIP` is the commit.
    git: fn(&Targets, usize) -> Vec<String>,
}

const TIP: &str = "TIP";

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

const KINDS: &[Kind] = &[
    Kind {
        name: "blob",
        against: "git cat-file blob",
        page: |of, at| format!("blob/{}", of.some[at]),
        git: |of, at| words(&["cat-file", "blob", &format!("{TIP}:{}", of.some[at])]),
    },
    Kind {
        name: "blame",
        against: "git blame --porcelain",
        page: |of, at| format!("blame/{}", of.hot[at]),
        git: |of, at| words(&["blame", "--porcelain", TIP, "--", &of.hot[at]]),
    },
    Kind {
        name: "log",
        against: "git log -50",
        page: |_, _| "log".to_owned(),
        git: |_, _| words(&["log", "-50", "--format=%H %P %an %at %s", TIP]),
    },
    Kind {
        name: "log of a path that changes often",
        against: "git log -50 -- path",
        page: |of, at| format!("log/{}", of.hot[at]),
        git: |of, at| words(&["log", "-50", "--format=%H %P %an %at %s", TIP, "--", &of.hot[at]]),
    },
    Kind {
        name: "log of a path that seldom does",
        against: "git log -50 -- path",
        page: |of, at| format!("log/{}", of.some[at]),
        git: |of, at| words(&["log", "-50", "--format=%H %P %an %at %s", TIP, "--", &of.some[at]]),
    },
    Kind {
        name: "commit",
        against: "git show",
        page: |of, at| format!("commit/{}", of.commits[at]),
        git: |of, at| words(&["show", &of.commits[at]]),
    },
    Kind {
        name: "compare",
        against: "git diff A...B",
        page: |of, at| format!("compare/{}...{}", of.ranges[at].0, of.ranges[at].1),
        git: |of, at| words(&["diff", &format!("{}...{}", of.ranges[at].0, of.ranges[at].1)]),
    },
    Kind {
        name: "find",
        against: "git grep -n -F -C1",
        page: |of, at| format!("find?q={}", of.texts[at]),
        git: |of, at| words(&["grep", "-n", "-F", "-C1", "-e", &of.texts[at], TIP]),
    },
    Kind {
        name: UNKNOWN,
        against: "git grep -n -F -C1",
        page: |of, at| format!("find?q={}", of.texts[at]),
        git: |of, at| words(&["grep", "-n", "-F", "-C1", "-e", &of.texts[at], TIP]),
    },
];

/// Before the first look of each round at this one it is forgotten what searches learned of files.
const UNKNOWN: &str = "find where nobody searched";

/// Two rows for each kind: asked for the first time, and again. Round 0 only warms up.
pub(super) fn rows(ground: &Ground, rounds: usize, say: &dyn Fn(&str)) -> Result<Vec<Row>, BenchError> {
    let mut rows = Vec::new();
    for kind in KINDS {
        say(kind.name);
        let (mut first, mut again) = (Pair::default(), Pair::default());
        for at in 0..=rounds {
            if kind.name == UNKNOWN {
                ground.ours.forget_searches()?;
            }
            let path = format!("/{PROJECT}/{}", (kind.page)(&ground.targets, at));
            // A connection that is idle while git looks is closed by the server.
            let mut client = ground.ours.connect()?;
            let mut ask = || milliseconds(|| look::get(&mut client, &path)).map(|(took, _)| took);
            let (new, kept) = (ask()?, ask()?);
            let args: Vec<String> =
                (kind.git)(&ground.targets, at).iter().map(|word| word.replace(TIP, &ground.tip)).collect();
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let (stocks, _) = milliseconds(|| stock::replay(stock::command(&ground.source, &args), b""))?;
            if at > 0 {
                first.add(new, stocks);
                again.add(kept, stocks);
            }
        }
        rows.push(Row::cost(&format!("{}, first", kind.name), "ms", first.medians(), kind.against, MARK));
        rows.push(Row::cost(&format!("{}, again", kind.name), "ms", again.medians(), kind.against, MARK));
    }
    Ok(rows)
}
