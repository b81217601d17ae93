//! What is done in the pictures' project: issues that were answered, and those that are planned.

/// An issue and what answered it.
pub(super) struct Landed {
    pub(super) title: &'static str,
    pub(super) body: &'static str,
    pub(super) plan: &'static str,
    pub(super) pull: &'static str,
    /// Commits: what is said of each, and the file of `tests/fixtures/desk` that it brings.
    pub(super) commits: &'static [(&'static str, &'static str)],
}

/// In the order in which they landed.
pub(super) const LANDED: &[Landed] = &[
    Landed {
        title: "When is an invoice due?",
        body: "Everybody works it out by hand. Fourteen days after it was written, and the next working day where that is \
               a Saturday or Sunday.",
        plan: "--milestone 1.0 --priority high --label feature",
        pull: "Say when an invoice is due",
        commits: &[
            ("Work out when an invoice is due", "invoice/due.py"),
            ("Test it over a weekend", "tests/test_due.py"),
        ],
    },
    Landed {
        title: "Numbers of invoices must have no gaps",
        body: "Tax law wants them without gaps. Two processes took the same number last week.",
        plan: "--milestone 1.0 --priority urgent --label bug",
        pull: "Take the next number under a lock",
        commits: &[("Take the next number under a lock", "invoice/number.py")],
    },
    Landed {
        title: "Draw a line above the sums",
        body: "`net` stands right below the last line, so it reads as one more of them.",
        plan: "--milestone 1.0 --label feature",
        pull: "Draw a line above the sums",
        commits: &[("Draw a line above the sums", "columns/rule.py")],
    },
    Landed {
        title: "Say how amounts are rounded",
        body: "It stands in three doc strings, each a little different.",
        plan: "--milestone 1.0 --label docs",
        pull: "Say in one place how amounts are rounded",
        commits: &[("Say in one place how amounts are rounded", "docs/rounding.md")],
    },
    Landed {
        title: "Old answers are never forgotten",
        body: "The cache of our geocoder has 40,000 files of last year. `clear()` drops today's as well.",
        plan: "--milestone 1.0 --label feature",
        pull: "Forget answers by their age",
        commits: &[("Find answers that are older than a day", "keepsake/age.py"), ("Drop them", "tests/test_age.py")],
    },
    Landed {
        title: "Show amounts with their currency",
        body: "`1.200,00 €` for some of us, `£1,200.00` for others.",
        plan: "--milestone 1.0 --label feature",
        pull: "Write amounts with their currency",
        commits: &[("Write amounts with their currency", "invoice/currency.py")],
    },
    Landed {
        title: "A damaged cache stops the night's run",
        body: "Half a file was left by a full disk, and `json.load` raised out of `lookup`.",
        plan: "--milestone 1.0 --priority high --label bug",
        pull: "Test that half a file is no answer",
        commits: &[("Test that half a file is no answer", "tests/test_damaged.py")],
    },
    Landed {
        title: "Tabs in descriptions move the amounts",
        body: "A description that was pasted from a spreadsheet has tabs in it.",
        plan: "--milestone 1.0 --label bug",
        pull: "Test that a tab is one space",
        commits: &[("Test that a tab is one space", "tests/test_tabs.py")],
    },
    Landed {
        title: "Tell new people where to begin",
        body: "The README has no word on how to run the tests.",
        plan: "--milestone 1.0 --label docs",
        pull: "Say where to begin",
        commits: &[("Say where to begin", "CONTRIBUTING.md")],
    },
    Landed {
        title: "Several invoices on one sheet",
        body: "At the end of the month all of a customer's invoices go into one letter, with one sum below.",
        plan: "--milestone 1.1 --label feature",
        pull: "Add up several invoices",
        commits: &[("Add up several invoices", "invoice/sheet.py")],
    },
    Landed {
        title: "Centred columns stand one too far left",
        body: "With an odd number of spaces left, the other tools put the larger half in front.",
        plan: "--milestone 1.1 --priority low --label bug",
        pull: "Test where the odd space goes",
        commits: &[("Test where the odd space goes", "tests/test_centre.py")],
    },
    Landed {
        title: "Which answers take the most room?",
        body: "A list of the ten largest would do.",
        plan: "--milestone 1.1 --label feature",
        pull: "Name the largest answers",
        commits: &[("Name the largest answers", "keepsake/room.py")],
    },
];

/// What is planned: title, text, and the flags that plan it.
pub(super) const PLANNED: &[(&str, &str, &str)] = &[
    (
        "Credit notes for single lines",
        "Today a credit note takes the whole invoice back. Most of ours take back one line of ten.",
        "--milestone 1.1 --priority high --label feature",
    ),
    (
        "Long descriptions push the amounts out of line",
        "A line of 60 characters is as wide as the whole invoice. It should be cut, or better, go on below.",
        "--milestone 1.1 --priority urgent --label bug",
    ),
    (
        "Keep answers in one file instead of thousands",
        "Backups of the cache take longer than filling it again. One SQLite file might do.",
        "--milestone 1.1 --label performance",
    ),
    (
        "Read line items from CSV",
        "Time sheets come as CSV, and are typed in by hand.",
        "--milestone 2.0 --label feature",
    ),
    (
        "Tax that changes within the year",
        "Where a rate changed on 1 July, the date of the service decides, not that of the invoice.",
        "--milestone 2.0 --priority high --label feature",
    ),
    (
        "Right-to-left names in tables",
        "They line up, but the columns trade places.",
        "--milestone 2.0 --priority low --label bug",
    ),
    (
        "Is Python 3.8 still wanted?",
        "It is out of support since 2024. `match` would make `keys.py` shorter.",
        "--label question",
    ),
];
