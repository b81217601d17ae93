//! Atom feeds, read by an XML parser and held against the events that they tell of.

use std::collections::BTreeSet;

use roxmltree::{Document, Node};
use serde_json::Value;
use tests::Forge;
use tests::agent::{list, number, text};
use tests::flow::{found_project, land, open_issue};

const ATOM: &str = "http://www.w3.org/2005/Atom";

/// An entry as a reader sees it.
#[derive(Debug)]
struct Entry {
    id: String,
    title: String,
    summary: String,
    updated: String,
}

#[track_caller]
fn one<'a>(node: Node<'a, 'a>, name: &str) -> &'a str {
    let all: Vec<Node> = node.children().filter(|child| child.has_tag_name((ATOM, name))).collect();
    assert_eq!(all.len(), 1, "{name}");
    all[0].text().unwrap_or("")
}

/// The entries of a feed. What RFC 4287 demands of every feed is looked at on the way.
#[track_caller]
fn feed(forge: &Forge, path: &str) -> Vec<Entry> {
    let (status, body) = forge.get(path);
    assert_eq!(status, 200, "{path}: {body}");
    let document = Document::parse(&body).unwrap_or_else(|error| panic!("{path}: {error}\n{body}"));
    let root = document.root_element();
    assert!(root.has_tag_name((ATOM, "feed")), "{body}");
    let is_absolute = |url: &str| url.starts_with(&forge.http_url("/"));
    let dated = |moment: &str| moment.len() == 20 && moment.ends_with('Z') && moment.as_bytes()[10] == b'T';
    assert!(is_absolute(one(root, "id")) && !one(root, "title").is_empty() && dated(one(root, "updated")), "{body}");
    let links = root.children().filter(|child| child.has_tag_name((ATOM, "link")));
    let links: Vec<_> = links.map(|link| (link.attribute("rel").unwrap(), link.attribute("href").unwrap())).collect();
    assert!(links.contains(&("self", &forge.http_url(path))), "{links:?}");
    assert!(root.children().any(|child| child.has_tag_name((ATOM, "author"))));
    let entries = root.children().filter(|child| child.has_tag_name((ATOM, "entry")));
    let entry = |node: Node| {
        let [id, title, summary, updated] =
            ["id", "title", "summary", "updated"].map(|name| one(node, name).to_owned());
        assert!(is_absolute(&id) && dated(&updated), "{id} {updated}");
        Entry { id, title, summary, updated }
    };
    let entries: Vec<Entry> = entries.map(entry).collect();
    let ids: BTreeSet<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!(ids.len(), entries.len(), "an id stands twice: {entries:?}");
    assert!(entries.is_sorted_by(|a, b| a.updated >= b.updated), "the newest first: {entries:?}");
    assert!(entries.first().is_none_or(|newest| newest.updated == one(root, "updated")));
    entries
}

fn ids(entries: &[Entry]) -> BTreeSet<String> {
    entries.iter().map(|entry| entry.id.clone()).collect()
}

#[test]
fn feeds_tell_of_the_events_that_the_ledger_holds() {
    let forge = Forge::start();
    let (alpha, beta) = (forge.agent("alpha"), forge.agent("beta"));
    found_project(&alpha, "parser", &[("x", "old\n")]);
    let landed = land(&beta, &alpha, "parser", "y", "new\n");
    let issue = open_issue(&alpha, "parser", "It leaks </title><b>&amp; ]]>");
    alpha.ssh_with(&format!("reply {issue}"), "bell \u{7} and \u{202e}turned\u{ffff} <i>").ok();
    let details = alpha.json(&format!("details {issue}"));
    let path = |reference: &str, kind: &str| reference.replacen('#', &format!("/{kind}/"), 1);
    let at = |reference: &str, kind: &str| forge.http_url(&format!("/{}", path(reference, kind)));
    let pull = landed.pull.replacen('/', "#", 1);
    let issue = text(&details, "/ref");

    // A thread: every event of it, by its number.
    let thread = feed(&forge, &format!("/{}.atom", path(&issue, "issues")));
    let events = |details: &Value, page: &str| -> BTreeSet<String> {
        list(details, "/events").iter().map(|event| format!("{page}#s{}", number(event, "/seq"))).collect()
    };
    assert_eq!(ids(&thread), events(&details, &at(&issue, "issues")));
    assert!(thread[0].summary.contains("bell ‹U+0007› and ‹U+202E›turned‹U+FFFF› <i>"), "{thread:?}");
    let of_pull = alpha.json(&format!("details {pull}"));
    let thread = feed(&forge, &format!("/{}.atom", path(&pull, "pulls")));
    assert_eq!(ids(&thread), events(&of_pull, &at(&pull, "pulls")));

    // A project, and the whole forge: the newest event of each item.
    let recent: BTreeSet<String> = list(&alpha.json("project show parser"), "/recent")
        .iter()
        .map(|recent| {
            let (reference, kind) = (text(recent, "/ref"), text(recent, "/kind"));
            let all = alpha.json(&format!("details {reference}"));
            assert_eq!(number(list(&all, "/events").last().unwrap(), "/seq"), number(recent, "/seq"));
            format!("{}#s{}", at(&reference, &format!("{kind}s")), number(recent, "/seq"))
        })
        .collect();
    assert!(recent.len() >= 3, "{recent:?}");
    assert_eq!(ids(&feed(&forge, "/parser.atom")), recent);
    assert_eq!(ids(&feed(&forge, "/index.atom")), recent);

    // Lists: an item is one entry, dated by its last event, and the view is the page's.
    let issues = feed(&forge, "/parser/issues.atom");
    assert_eq!(ids(&issues), BTreeSet::from([at(&issue, "issues")]));
    assert_eq!(issues[0].title, format!("{issue}: It leaks </title><b>&amp; ]]>"));
    assert_eq!(issues[0].updated, feed(&forge, &format!("/{}.atom", path(&issue, "issues")))[0].updated);
    assert_eq!(feed(&forge, "/parser/issues.atom?state=all").len(), 2);
    assert!(feed(&forge, "/parser/pulls.atom").is_empty());
    assert_eq!(ids(&feed(&forge, "/parser/pulls.atom?state=merged")), BTreeSet::from([at(&pull, "pulls")]));
    assert!(ids(&feed(&forge, "/search.atom?q=leaks")).contains(&at(&issue, "issues")));

    // Commits, and what moved a rating.
    let log = alpha.json("log parser");
    let commits = list(&log, "/commits").iter().map(|line| text(line, "/commit"));
    let commits: BTreeSet<String> = commits.map(|id| forge.http_url(&format!("/parser/commit/{id}"))).collect();
    assert_eq!(ids(&feed(&forge, "/parser/log.atom")), commits);
    assert!(!feed(&forge, "/parser/log/y?as=atom").is_empty());
    let profile = alpha.json("profile beta");
    let agent = feed(&forge, "/agents/beta.atom");
    for change in list(&profile, "/history") {
        let id = forge.http_url(&format!("/agents/beta#s{}", number(change, "/seq")));
        assert!(agent.iter().any(|entry| entry.id == id), "{id}: {agent:?}");
    }
    assert!(!list(&profile, "/history").is_empty() && agent.iter().any(|entry| entry.id == at(&pull, "pulls")));

    // The page names its feed twice: for readers, and for people. A page that lists nothing has none.
    let (_, page) = forge.get("/parser/issues?state=all");
    assert_eq!(page.matches("href=\"/parser/issues.atom?state=all\"").count(), 2, "{page}");
    assert!(page.contains("type=\"application/atom+xml\""), "{page}");
    let (status, said) = forge.get("/leaderboard.atom");
    assert!(status == 404 && said.contains("next: "), "{status} {said}");
    let (status, said) = forge.get("/nothing.atom");
    assert!(status == 404 && said.contains("next: project list"), "{status} {said}");
}

#[test]
fn a_feed_that_did_not_change_is_not_sent_again() {
    let forge = Forge::start();
    let alpha = forge.agent("alpha");
    found_project(&alpha, "parser", &[("x", "old\n")]);
    let issue = open_issue(&alpha, "parser", "One");
    for path in ["/parser/issues.atom", "/parser.atom", &format!("/{}.atom", issue.replacen(['#', '/'], "/issues/", 1))]
    {
        let url = forge.http_url(path);
        let head = forge.curl(&["-o", "/dev/null", "-D", "-", &url]).ok();
        let head = head.text().to_ascii_lowercase();
        assert!(head.contains("content-type: application/atom+xml"), "{head}");
        let tag = head.lines().find_map(|line| line.strip_prefix("etag: w/")).unwrap().trim().to_owned();
        let known = format!("If-None-Match: W/{tag}");
        assert!(forge.curl(&["-H", &known, &url]).ok().text().trim().ends_with("304"), "{path}");
        alpha.ssh(&format!("reply {issue} More about {}", path.replace('/', " "))).ok();
        assert!(forge.curl(&["-H", &known, &url]).ok().text().trim().ends_with("200"), "{path}");
    }
}
