//! `docs/authority.md`: every command, route, service of git and change of a ref against every actor, as the functions
//! that decide answer. A story drives each cell of it through every door (`tests/story/authority.rs`).

use std::fmt::Write as _;

use git::wire::Service;
use hooks::access::{self, Change, Space};
use notes_schema::{ProjectName, RefName};

use super::*;
use crate::commands::COMMANDS;
use crate::web::routes::{Asks, Method, Route};
use crate::web::{pages, routes};

/// Everything between this and its end is made here.
const BEGIN: &str = "<!-- table -->\n";
const END: &str = "<!-- /table -->\n";

/// How a column's actor comes in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Door {
    Ssh,
    Http,
    Both,
}

struct Column {
    name: &'static str,
    door: Door,
    /// `None` for a token that is void: it is nobody.
    actor: Option<Actor>,
    rank: Rank,
    maintainer: bool,
}

fn columns() -> Vec<Column> {
    let agent = |name: &str, credential: &str, scope| {
        Some(Actor::Agent(AgentActor { name: name.parse().unwrap(), credential: credential.to_owned(), scope }))
    };
    let stranger = || Some(Actor::Stranger(PublicKey { openssh: String::new(), fingerprint: "SHA256:x".to_owned() }));
    let token = |scope| agent("alpha", "token:t", scope);
    let one = |name, door, actor| Column { name, door, actor, rank: Rank::default(), maintainer: false };
    let ranked = |name, who, rank| Column { rank, ..one(name, Door::Both, agent(who, "key:k", Scope::default())) };
    vec![
        one("anonymous", Door::Http, Some(Actor::Anonymous)),
        one("stranger", Door::Ssh, stranger()),
        one("revoked key", Door::Ssh, stranger()),
        one("agent", Door::Both, agent("alpha", "key:k", Scope::default())),
        one(
            "token for another project",
            Door::Http,
            token(Scope { project: "other".parse().ok(), ..Scope::default() }),
        ),
        one(
            "token for `refs/heads/alpha/*`",
            Door::Http,
            token(Scope { refs: Some("refs/heads/alpha/*".to_owned()), ..Scope::default() }),
        ),
        one("token for `whoami`", Door::Http, token(Scope { verbs: vec!["whoami".to_owned()], ..Scope::default() })),
        Column { maintainer: true, ..one("maintainer", Door::Both, agent("beta", "key:k", Scope::default())) },
        ranked("vouched agent", "vera", Rank { vouched: true, ..Rank::default() }),
        ranked("operator", "olga", Rank { operator: true, ..Rank::default() }),
        one("revoked token", Door::Http, None),
    ]
}

fn word(outcome: Result<(), Refusal>) -> String {
    outcome.map_or_else(|refusal| refusal.rule, |()| "yes".to_owned())
}

fn project() -> ProjectName {
    "parser".parse().unwrap()
}

/// What `column` is answered that asks for `operation`, of a thing that is its own or not.
fn asked(column: &Column, operation: Operation, own: bool, read: Read) -> Result<(), Refusal> {
    let refused = || Refusal::new(Code::NotAllowed, operation.verb, "", "help");
    let actor = column.actor.as_ref().ok_or_else(refused)?;
    permit(actor, column.rank, operation, None, read)?;
    if operation.of != Of::Forge {
        permit(actor, column.rank, operation, Some(&project()), read)?;
    }
    let stands = stands(operation.of, Ties { maintainer: column.maintainer, own });
    if stands { Ok(()) } else { Err(refused()) }
}

/// A row: what is asked for, what it needs, and a cell for each column.
struct Row(String, String, Vec<String>);

type RowsOf = fn(Read) -> Vec<Row>;

/// The rows of an operation: two where it matters whose the thing is.
fn rows(name: &str, operation: Operation, read: Read, at: impl Fn(&Column) -> bool) -> Vec<Row> {
    let whose: &[(&str, bool)] = match operation.of {
        Of::Forge | Of::Project | Of::Maintainer => &[("", false)],
        Of::OpenerOrMaintainer | Of::Owner | Of::Others => &[(" (own)", true), (" (another's)", false)],
        Of::Registered => &[(" (registered)", true), (" (not registered)", false)],
    };
    let row = |&(suffix, own): &(&str, bool)| {
        let cell = |column: &Column| match at(column) {
            true => word(asked(column, operation, own, read)),
            false => "–".to_owned(),
        };
        let needs = format!("{:?} of {:?}", operation.needs, operation.of);
        Row(format!("`{name}`{suffix}"), needs, columns().iter().map(cell).collect())
    };
    whose.iter().map(row).collect()
}

fn commands(read: Read) -> Vec<Row> {
    COMMANDS.iter().flat_map(|command| rows(command.name, command.operation(), read, |_| true)).collect()
}

fn over_http(column: &Column) -> bool {
    column.door != Door::Ssh
}

fn routes(read: Read) -> Vec<Row> {
    let of = |Route { method, under, path, asks, .. }: &Route| {
        let prefix = if under.len() > 1 { format!("{{{}}}", under.join(",")) } else { under.concat() };
        let name = format!("{} {prefix}{path}", if *method == Method::Get { "GET" } else { "POST" });
        let git = |service| authority_git(service);
        match asks {
            // The words are there before anybody asks who wants them.
            Asks::Words => {
                let cell = |column: &Column| if over_http(column) { "yes" } else { "–" }.to_owned();
                vec![Row(format!("`{name}`"), "Nothing".to_owned(), columns().iter().map(cell).collect())]
            }
            Asks::Command(command) => rows(&name, command.operation(), read, over_http),
            // Each of its own rows above; and what is shown says who may.
            Asks::AnyCommand | Asks::Session => Vec::new(),
            Asks::Git(service) => rows(&name, git(*service), read, over_http),
            Asks::AnyGit => [Service::UploadPack, Service::ReceivePack]
                .iter()
                .flat_map(|service| {
                    rows(&format!("{name}?service={}", service.as_str()), git(*service), read, over_http)
                })
                .collect(),
        }
    };
    let pages = pages::table::TABLE.iter().flat_map(|page| {
        let part = |part: &&str| match *part {
            "*" => "/{}".to_owned(),
            "**" => "/{*}".to_owned(),
            part => format!("/{part}"),
        };
        let path: String = page.path.iter().map(part).collect();
        let also = page.also.iter().map(|ask| (format!("GET {path}, with {}", ask.command.name), ask));
        let all = std::iter::once((format!("GET {path}"), &page.ask)).chain(also).collect::<Vec<_>>();
        all.into_iter().flat_map(move |(name, ask)| rows(&name, ask.command.operation(), read, over_http))
    });
    routes::all().flat_map(of).chain(pages).collect()
}

fn authority_git(service: Service) -> Operation {
    super::git(service, &project())
}

fn services(read: Read) -> Vec<Row> {
    let all = [
        ("git fetch", authority_git(Service::UploadPack)),
        ("git fetch forge", super::git(Service::UploadPack, &ProjectName::forge())),
        ("git push", authority_git(Service::ReceivePack)),
        ("git push forge", super::git(Service::ReceivePack, &ProjectName::forge())),
    ];
    all.into_iter().flat_map(|(name, operation)| rows(name, operation, read, |_| true)).collect()
}

/// A ref as one column's actor sees it: `{me}` is its name, and gamma is another.
const REFS: &[(&str, &str, &[&str])] = &[
    ("`refs/heads/main`, unborn", "refs/heads/main", &["create"]),
    ("`refs/heads/main`", "refs/heads/main", &["update", "force", "delete"]),
    ("own branch", "refs/heads/{me}/own", &["create", "update", "force", "delete"]),
    ("another's branch", "refs/heads/gamma/own", &["update", "force", "delete"]),
    ("own tag", "refs/tags/{me}-own", &["create", "update", "force", "delete"]),
    ("another's tag", "refs/tags/gamma-own", &["update", "force", "delete"]),
    ("own `refs/notes/forge/in/*`", "refs/notes/forge/in/{me}/01J", &["create", "update", "delete"]),
    ("another's `refs/notes/forge/in/*`", "refs/notes/forge/in/gamma/01J", &["create", "update", "delete"]),
    ("`refs/forge/*`", "refs/forge/ledger", &["create", "update", "delete"]),
    ("`refs/pull/*`", "refs/pull/1/head", &["create", "update", "delete"]),
    ("`refs/notes/forge/*`", "refs/notes/forge/reviews", &["create", "update", "delete"]),
    ("`refs/for/*`", "refs/for/main", &["create"]),
    ("any other ref", "refs/notes/commits", &["create"]),
];

fn changes() -> Vec<Row> {
    let mut all = Vec::new();
    for (label, name, changes) in REFS {
        for change in *changes {
            let kind = match *change {
                "create" => Change::Create,
                "delete" => Change::Delete,
                _ => Change::Move,
            };
            let space = Space::of(&name.replace("{me}", "alpha").parse().unwrap(), &RefName::branch("main").unwrap());
            let cells = columns().iter().map(|column| word(changed(column, name, space, kind))).collect();
            all.push(Row(format!("{change} {label}"), format!("{:?}", access::needs(space, kind)), cells));
        }
    }
    all
}

fn changed(column: &Column, name: &str, space: Space, change: Change) -> Result<(), Refusal> {
    asked(column, authority_git(Service::ReceivePack), false, Read::Public)?;
    let agent = column.actor.as_ref().and_then(Actor::agent).unwrap();
    permit_ref(agent, &name.replace("{me}", agent.name.as_str()))?;
    let own = name.contains("{me}");
    let ties = access::Ties { owner: own, founder: column.maintainer, named: own };
    match access::needs(space, change).met(ties) {
        true => Ok(()),
        false => Err(Refusal::new(Code::Refused, "push", "", "").by_rule(space.rule())),
    }
}

fn write(out: &mut String, title: &str, rows: &[Row]) {
    let names: Vec<&str> = columns().iter().map(|column| column.name).collect();
    let _ = writeln!(out, "\n## {title}\n\n| | needs | {} |", names.join(" | "));
    let _ = writeln!(out, "|---|---|{}", "---|".repeat(names.len()));
    for Row(name, needs, cells) in rows {
        let _ = writeln!(out, "| {name} | {needs} | {} |", cells.join(" | "));
    }
}

fn document() -> String {
    let mut out = String::new();
    let kinds: [(&str, RowsOf); 3] = [("Commands", commands), ("Routes", routes), ("Services of git", services)];
    for (title, of) in kinds {
        write(&mut out, title, &of(Read::Public));
    }
    write(&mut out, "Refs", &changes());
    for (title, of) in kinds {
        let differing = of(Read::Registered).into_iter().zip(of(Read::Public)).filter(|(a, b)| a.2 != b.2);
        write(
            &mut out,
            &format!("{title}, where reading is closed"),
            &differing.map(|(row, _)| row).collect::<Vec<_>>(),
        );
    }
    out
}

/// `UPDATE_DOCS=1 cargo test -p forge authority` writes it anew.
#[test]
fn the_document_is_what_the_code_decides() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/authority.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("docs/authority.md marks where the tables stand");
    let (_, after) = rest.split_once(END).expect("docs/authority.md marks where the tables end");
    let wanted = format!("{before}{BEGIN}{}\n{END}{after}", document());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
        return;
    }
    assert!(text == wanted, "docs/authority.md is out of date; run with UPDATE_DOCS=1");
}

#[test]
fn every_kind_of_ref_is_in_the_table() {
    let main = RefName::branch("main").unwrap();
    for space in access::SPACES {
        let of = |name: &str| Space::of(&name.replace("{me}", "alpha").parse().unwrap(), &main);
        let changes: Vec<&str> =
            REFS.iter().filter(|(_, name, _)| of(name) == space).flat_map(|r| r.2).copied().collect();
        // What can never be there can be neither moved nor deleted.
        let never = matches!(space, Space::Magic | Space::Other);
        let wanted: &[&str] = if never { &["create"] } else { &["create", "update", "delete"] };
        assert!(wanted.iter().all(|change| changes.contains(change)), "{space:?}");
    }
}
