//! The contests of the pictures: issues of the starter pack, and small ones of the same projects.

use std::fs;

use tests::flow::Work;

use super::{apply, fixture, run, starter};

/// A contest: what it is about, and who does what in it.
pub(super) struct Drill {
    pub(super) project: &'static str,
    pub(super) words: &'static str,
    /// Where in the starter pack it comes from.
    pub(super) from: &'static str,
    pub(super) difficulty: &'static str,
    pub(super) command: &'static str,
    /// What measures: a file of `tests/fixtures/desk`.
    pub(super) bench: Option<&'static str>,
    /// Tests and golden patch are sealed; else the tests are in sight.
    pub(super) sealed: bool,
    /// Another issue of a project that is here: its title, and the files that answer it.
    pub(super) brings: Option<(&'static str, &'static [&'static str])>,
    /// Who takes part.
    pub(super) who: &'static [&'static str],
    /// Who of them does not solve it.
    pub(super) fails: &'static [&'static str],
}

const GO: &str = "go test ./...";
const RUST: &str = "cargo test --offline --no-fail-fast";
const PYTHON: &str = "python3 -m unittest -v";

const PLAIN: Drill = Drill {
    project: "",
    words: "",
    from: "",
    difficulty: "easy",
    command: PYTHON,
    bench: None,
    sealed: false,
    brings: None,
    who: &[],
    fails: &[],
};

/// In the order in which they are held.
pub(super) const DRILLS: &[Drill] = &[
    Drill {
        project: "again",
        words: "Tries again, later each time",
        from: "go/again",
        command: GO,
        who: &["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "mu"],
        fails: &["epsilon", "zeta", "mu"],
        ..PLAIN
    },
    Drill {
        project: "release-order",
        words: "Which release comes before which",
        from: "rust/release-order",
        command: RUST,
        who: &["alpha", "beta", "gamma", "delta", "epsilon", "zeta"],
        fails: &["beta", "delta", "zeta"],
        ..PLAIN
    },
    Drill {
        project: "invoice",
        words: "What stands at the bottom of an invoice",
        from: "python/invoice",
        who: &["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "nu"],
        fails: &["alpha", "zeta"],
        ..PLAIN
    },
    Drill {
        project: "shelf",
        words: "Serves the files of a directory and no others",
        from: "go/shelf",
        difficulty: "medium",
        command: GO,
        who: &["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "theta"],
        fails: &["delta", "epsilon", "zeta", "theta"],
        ..PLAIN
    },
    Drill {
        project: "invoice",
        from: "python/invoice",
        brings: Some(("Add up several invoices", &["invoice/sheet.py"])),
        who: &["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "mu"],
        fails: &["beta", "mu"],
        ..PLAIN
    },
    Drill {
        project: "ttl-lru",
        words: "A cache that knows what is old",
        from: "rust/ttl-lru",
        difficulty: "medium",
        command: RUST,
        who: &["alpha", "beta", "gamma", "delta", "epsilon", "zeta"],
        fails: &["gamma", "delta", "epsilon", "zeta"],
        ..PLAIN
    },
    Drill {
        project: "taskline",
        words: "A queue with priorities",
        from: "go/taskline",
        difficulty: "medium",
        command: GO,
        who: &["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta"],
        fails: &["beta", "epsilon", "zeta", "eta"],
        ..PLAIN
    },
    Drill {
        project: "token-bucket",
        words: "How often a client may ask",
        from: "rust/token-bucket",
        difficulty: "medium",
        command: RUST,
        who: &["alpha", "beta", "gamma", "delta", "epsilon", "zeta"],
        fails: &["alpha", "delta", "zeta"],
        ..PLAIN
    },
    Drill {
        project: "again",
        from: "go/again",
        command: GO,
        brings: Some(("Say in the README what is not tried again", &["docs/rounding.md"])),
        who: &["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "nu"],
        fails: &["epsilon"],
        ..PLAIN
    },
    Drill {
        project: "columns",
        words: "Lays text out in columns, for terminals",
        from: "python/columns",
        difficulty: "medium",
        bench: Some("bench.py"),
        sealed: true,
        who: &["alpha", "beta", "gamma", "delta", "epsilon", "zeta"],
        ..PLAIN
    },
    Drill {
        project: "columns",
        from: "python/columns",
        brings: Some(("Draw a line between rows", &["columns/rule.py"])),
        who: &["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "mu", "nu"],
        fails: &["zeta", "nu"],
        ..PLAIN
    },
];

/// The one that is open as the pictures are taken.
pub(super) const OPEN: Drill = Drill {
    project: "keepsake",
    words: "Keeps the answers of slow functions",
    from: "python/keepsake",
    difficulty: "medium",
    sealed: true,
    who: &["gamma", "delta", "beta"],
    fails: &["delta"],
    ..PLAIN
};

impl Drill {
    /// Whether its project begins with it.
    pub(super) fn begins(&self) -> bool {
        self.brings.is_none()
    }

    /// Does in a clone what `name` does: changes, runs on record, commits.
    pub(super) fn solve(&self, name: &str, work: &Work) {
        let fails = self.fails.contains(&name);
        match self.brings {
            _ if fails => work.write("NOTES.md", &format!("Looked at by {name}: not where it seems to be.\n")),
            None => apply(work, &starter(self.from).join("golden.patch")),
            Some((_, paths)) => {
                for path in paths {
                    work.write(path, &fixture(path));
                }
            }
        }
        if self.sealed && self.project == "columns" {
            vary(name, work);
        }
        if let Some(bench) = self.bench {
            run(work, "", &format!("python3 {bench}")).ok();
        }
        if !run(work, "", self.command).is_ok() {
            // It builds: that much is on record.
            let builds = match self.command {
                GO => "go vet ./...",
                RUST => "cargo check --offline",
                _ => "python3 -m compileall -q .",
            };
            run(work, "", builds).ok();
        }
        work.commit(if fails { "Write down what was found" } else { "Mend it where it breaks" });
    }
}

/// Answers to one question that differ as those of several people do.
fn vary(name: &str, work: &Work) {
    let path = "columns/cells.py";
    let cells = fs::read_to_string(work.dir.join(path)).unwrap();
    let changed = match name {
        // Most text is plain.
        "alpha" => {
            cells.replace("    return sum(", "    if text.isascii():\n        return len(text)\n    return sum(")
        }
        "gamma" => cells
            .replace("import unicodedata", "import functools\nimport unicodedata")
            .replace("def _columns", "@functools.lru_cache(maxsize=4096)\ndef _columns"),
        // Invisible characters are forgotten.
        "epsilon" => cells.replace("(\"Mn\", \"Me\", \"Cf\")", "(\"Mn\", \"Me\")"),
        // Wide ones are counted, and cut as if they were not.
        "delta" => cells.replace("room -= _columns(character)", "room -= 1"),
        "zeta" => {
            cells.replace("    return 2 if", "    # W and F of UAX 11; A is narrow in terminals.\n    return 2 if")
        }
        _ => cells,
    };
    work.write(path, &changed);
}
