//! `docs/authority.md`, cell by cell: what stands there is done through every door that it exists at, against a running
//! forge, and what happens is compared with it. What is refused changes nothing.
//!
//! The document is made from the code that decides, and a test of that room holds them together; so this story fails for a
//! route, command or ref that decides otherwise than it declares.

mod actors;
mod asking;
mod refs;

use std::collections::BTreeMap;

use tests::{Forge, out, root};

use actors::{Cast, Who};

/// What a cell says: `yes`, or the word of the refusal.
type Cell = String;

/// A table: its title, and for each of its rows a cell by column.
struct Table {
    title: String,
    rows: Vec<(String, BTreeMap<String, Cell>)>,
}

fn tables() -> Vec<Table> {
    let text = std::fs::read_to_string(root().join("docs/authority.md")).unwrap();
    let text = text.split("<!-- table -->").nth(1).unwrap().split("<!-- /table -->").next().unwrap();
    let table = |part: &str| {
        let mut lines = part.lines();
        let title = lines.next().unwrap().to_owned();
        let mut lines = lines.filter(|line| line.starts_with('|'));
        let cells = |line: &str| -> Vec<String> {
            line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()
        };
        let columns = cells(lines.next().unwrap());
        let row = |line: &str| {
            let cells = cells(line);
            assert_eq!(cells.len(), columns.len(), "{line}");
            (cells[0].clone(), columns.iter().cloned().zip(cells).skip(2).collect())
        };
        Table { title, rows: lines.skip(1).map(row).collect() }
    };
    text.split("\n## ").skip(1).map(table).collect()
}

/// One thing to do and what should come of it.
struct Trial<'a> {
    who: &'a Who,
    row: &'a str,
    cell: &'a Cell,
}

/// Every cell of the tables called so, for everybody who comes in there, refusals first: they change nothing, so that what
/// is there is the same afterwards.
fn trials<'a>(tables: &'a [Table], title: &str, cast: &'a Cast) -> Vec<Trial<'a>> {
    let table = tables.iter().find(|table| table.title == title).unwrap_or_else(|| panic!("no table {title}"));
    assert!(!table.rows.is_empty(), "{title} is empty");
    let mut all = Vec::new();
    for who in &cast.everybody {
        for (row, cells) in &table.rows {
            let cell = cells.get(who.column).unwrap_or_else(|| panic!("{title} has no column {}", who.column));
            all.push(Trial { who, row, cell });
        }
    }
    all
}

/// Does all of it, refusals first, and names every cell that is not as it stands.
fn drive(cast: &Cast, titles: [&str; 3]) {
    let tables = tables();
    let [commands, routes, services] = titles.map(|title| trials(&tables, title, cast));
    let mut wrong = Vec::new();
    let before = cast.everything();
    for refused in [true, false] {
        let now = |trial: &&Trial<'_>| (trial.cell != "yes") == refused && trial.cell != "–";
        // What takes away what others need comes last.
        let last =
            |trial: &&Trial<'_>| ["`merge`", "`pr close`", "`register`"].iter().any(|w| trial.row.starts_with(w));
        for trial in commands.iter().filter(now).filter(|trial| !last(trial)) {
            wrong.extend(asking::command(cast, trial));
        }
        let over_http = routes.iter().filter(|trial| trial.who.over_http());
        over_http.filter(now).for_each(|trial| wrong.extend(asking::route(cast, trial)));
        services.iter().filter(now).for_each(|trial| wrong.extend(asking::service(cast, trial)));
        for trial in commands.iter().filter(now).filter(last) {
            wrong.extend(asking::command(cast, trial));
        }
        if refused {
            let after = cast.everything();
            let moved = after.lines().filter(|line| !before.lines().any(|other| other == *line));
            wrong.extend(moved.map(|line| format!("what was refused changed something: {line}")));
        }
    }
    assert!(wrong.is_empty(), "{} cells are not as docs/authority.md says:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_cell_of_the_table_of_authority_is_what_happens() {
    let mut forge = Forge::start();
    // Nobody takes the name of an operator: it is somebody's before it is named.
    forge.agent("olga");
    assert_eq!(forge.stop(), 0);
    forge.try_up(&[("FORGE_OPERATORS", "olga")]).unwrap();
    let cast = Cast::assemble(&forge);
    refs::drive(&forge, &cast, &trials(&tables(), "Refs", &cast));
    drive(&cast, ["Commands", "Routes", "Services of git"]);
    // Who shows no key has no session at all.
    let mut keyless = cast.eve.command("ssh");
    keyless.args(["-o", "PubkeyAuthentication=no", "forge", "help"]);
    out::run(&mut keyless, None).exits(255).says("Permission denied");

    assert_eq!(forge.stop(), 0);
    forge.try_up(&[("FORGE_READ", "registered"), ("FORGE_OPERATORS", "olga")]).unwrap();
    let cast = cast.again(&forge);
    drive(
        &cast,
        [
            "Commands, where reading is closed",
            "Routes, where reading is closed",
            "Services of git, where reading is closed",
        ],
    );
    // Where no project is named, one that a token is not good for is not looked into.
    let limited = cast.everybody.iter().find(|who| who.column == "token for another project").unwrap();
    let (status, said) = cast.curl(limited, "/action", &["--data-binary", &format!("trace {}", cast.head)]);
    assert_eq!(status, 404, "{said}");
}
