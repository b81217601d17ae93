//! Pages of what no page is made for: files of a hundred megabytes, a line of ten, directories of a hundred thousand entries
//! and six hundred deep, files that would run, colour or mislead. Each has an answer of some size that says what it left out,
//! and nothing of it runs.
//!
//! The server's memory is watched as in every story: it fails where it held more than its caps allow.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde_json::Value;
use tests::agent::{list, number, text};
use tests::{Agent, Forge, plumbing, repository};

/// As large as a file may be that is sent; and a little larger.
const SENT: usize = 100 << 20;
const ENTRIES: usize = 100_000;
const DEEP: usize = 600;
/// No page is larger than this, whatever it shows.
const LARGEST_PAGE: usize = 4 << 20;

const ANSI: &str = "\u{1b}[31mred\u{1b}[0m \u{1b}]0;title\u{7} \u{1b}[2Jgone \u{202e}txt.exe\u{200b}\n";
const HTML: &str = "# Read me\n\n<img src=x onerror=alert(1)><iframe src=//example.org></iframe>\n\
    [run](javascript:alert(1)) <b onclick=alert(1)>bold</b>\n\n![far](https://example.org/p.png)\n";

fn put(out: &mut dyn Write, path: &str, content: &[u8]) -> io::Result<()> {
    write!(out, "M 100644 inline {path}\ndata {}\n", content.len())?;
    out.write_all(content)?;
    out.write_all(b"\n")
}

fn deep() -> String {
    "d/".repeat(DEEP) + "needle.txt"
}

/// Lines that compress little, and of which each is another.
fn lines(bytes: usize) -> Vec<u8> {
    let mut all = Vec::with_capacity(bytes + 100);
    let mut n = 1u64;
    while all.len() < bytes {
        n = repository::noise(n);
        let _ = writeln!(all, "{n:016x} {:016x}", repository::noise(n + 1));
    }
    all.truncate(bytes);
    all
}

fn odd(dir: &Path) -> io::Result<()> {
    repository::import(dir, |out| {
        writeln!(out, "blob\nmark :1\ndata 4\nsame")?;
        writeln!(out, "commit refs/heads/main\ncommitter A <a@example.org> 1700000000 +0000\ndata 4\nOdd\n")?;
        put(out, "large.txt", &lines(SENT))?;
        put(out, "larger.txt", &vec![b'y'; SENT + 1])?;
        put(out, "line.txt", &vec![b'x'; 10 << 20])?;
        put(out, "many-lines.txt", (1..=50_000).map(|n| format!("line {n}\n")).collect::<String>().as_bytes())?;
        put(out, "ansi.log", ANSI.as_bytes())?;
        put(out, "README.md", HTML.as_bytes())?;
        put(out, "page.html", b"<script>alert(1)</script>\n")?;
        put(out, &deep(), b"needle\n")?;
        for n in 0..ENTRIES {
            writeln!(out, "M 100644 :1 many/entry-{n:06}.txt")?;
        }
        writeln!(out, "commit refs/heads/main\ncommitter A <a@example.org> 1700000060 +0000\ndata 6\nAgain\n")?;
        put(out, "many-lines.txt", (2..=50_000).map(|n| format!("line {n}\n")).collect::<String>().as_bytes())
    })
}

fn founded(forge: &Forge) -> Agent {
    let alpha = forge.agent("alpha");
    alpha.json("project new odd");
    let source = forge.scratch().join("source.git");
    plumbing::git(forge.scratch(), &["init", "-q", "--bare", "-b", "main", "source.git"]).ok();
    odd(&source).unwrap();
    alpha.git(&source, &["push", "-q", &alpha.ssh_url("odd"), "main"]).ok();
    alpha
}

/// A page with its head: of some size, in a policy under which nothing of it runs, and all that stands in it is text.
#[track_caller]
fn page(forge: &Forge, path: &str) -> String {
    let out = forge.curl(&["-s", "-D", "-", &forge.http_url(path)]).ok();
    let (head, body) = out.stdout.split_once("\r\n\r\n").unwrap();
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200"), "{path}: {head} {}", &body[..body.len().min(2000)]);
    assert!(head.contains("nosniff") && head.contains("content-security-policy: default-src 'none'"), "{path}: {head}");
    assert!(body.len() < LARGEST_PAGE, "{path}: {} bytes", body.len());
    assert_eq!(body.matches("<script").count(), 1, "{path}: the script of the frame alone");
    for bad in ["onerror=", "onclick=", "<iframe", "href=\"javascript", "\u{1b}", "\u{202e}", "\u{200b}", "\u{7}"] {
        let shown = body.replace("&lt;img src=x onerror=", "").replace("&lt;b onclick=", "").replace("&lt;iframe", "");
        assert!(!shown.contains(bad), "{path}: {bad:?}");
    }
    body.to_owned()
}

#[track_caller]
fn json(forge: &Forge, path: &str) -> Value {
    let (status, body) = forge.get(&format!("{path}{}as=json", if path.contains('?') { '&' } else { '?' }));
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// What is refused is refused as what it is, with a way on.
#[track_caller]
fn refused(forge: &Forge, path: &str, words: &str) {
    let (status, body) = forge.get(path);
    assert!(status == 422 && body.contains(words) && body.contains("next: "), "{path}: {status} {body}");
}

#[test]
fn what_no_page_is_made_for_has_an_answer_of_some_size_that_says_what_it_left_out() {
    let forge = Forge::start();
    let alpha = founded(&forge);
    what_is_large_is_cut_and_what_is_sent_is_whole(&forge);
    directories_that_are_wide_or_deep_have_pages_and_an_end(&forge, &alpha);
    nothing_that_a_file_holds_runs_colours_or_misleads(&forge);
}

fn what_is_large_is_cut_and_what_is_sent_is_whole(forge: &Forge) {
    for name in ["large.txt", "larger.txt"] {
        assert!(page(forge, &format!("/odd/blob/{name}")).contains("It is too large to be shown"), "{name}");
        page(forge, &format!("/odd/log/{name}"));
        refused(forge, &format!("/odd/blame/{name}"), "are blamed at most");
    }
    let got = forge.scratch().join("got");
    let raw = |name: &str| {
        let url = forge.http_url(&format!("/odd/raw/{name}"));
        forge.curl(&["-s", "-o", got.to_str().unwrap(), "-w", "%{http_code}", &url]).ok().stdout
    };
    assert_eq!(raw("large.txt"), "200");
    assert!(fs::read(&got).unwrap() == lines(SENT), "every byte of it");
    assert_eq!(raw("larger.txt"), "422", "it comes with a clone");

    let line = json(forge, "/odd/blob/line.txt");
    assert!(number(&line, "/total") == 1 && line["cut"] == true && text(&line, "/text").len() < 16 << 10, "a cut line");
    assert!(page(forge, "/odd/blob/line.txt").contains("Lines that are too long were cut"));
    refused(forge, "/odd/blame/line.txt", "are blamed at most");

    let first = page(forge, "/odd/blob/many-lines.txt");
    assert!(first.contains("1500 of 49999") && !first.contains("id=\"L1501\""), "a page of it");
    assert!(page(forge, "/odd/blob/many-lines.txt?from=49000").contains("id=\"L49999\""));
    assert!(page(forge, "/odd/blame/many-lines.txt?from=40001").contains("line 40002"));
    let shown = page(forge, "/odd/commit/main");
    assert!(shown.contains("Again") && shown.contains("line 1"), "what it changed");

    // The first commit adds all of it: files and bytes beyond the caps are said to be left out.
    let all = json(forge, &format!("/odd/commit/{}", first_commit(forge)));
    assert!(all["more_files"] == true && all["diff_truncated"] == true, "{}", list(&all, "/files").len());
}

fn first_commit(forge: &Forge) -> String {
    text(&json(forge, "/odd/log/README.md"), "/commits/0/commit")
}

fn directories_that_are_wide_or_deep_have_pages_and_an_end(forge: &Forge, alpha: &Agent) {
    let wide = page(forge, "/odd/tree/many");
    assert!(wide.matches("/odd/blob/many/entry-").count() <= 1100 && wide.contains("?from=1001"), "a page of it");
    assert!(page(forge, "/odd/tree/many?from=99991").contains("entry-099999.txt"));
    let tree: Value = serde_json::from_str(&forge.get("/odd/tree/many?as=json").1).unwrap();
    assert_eq!((number(&tree, "/total"), list(&tree, "/entries").len()), (ENTRIES as i64, 1000));

    let deep = deep();
    assert!(page(forge, &format!("/odd/blob/{deep}")).contains("needle"));
    page(forge, &format!("/odd/tree/{}", deep.trim_end_matches("/needle.txt")));
    assert!(page(forge, &format!("/odd/blame/{deep}")).contains("needle"));
    page(forge, &format!("/odd/log/{deep}"));
    // A search goes past what lies too deep, and says how much that is.
    let found = page(forge, "/odd/find?q=read+me&ignore-case=1");
    assert!(found.contains("README.md") && found.contains("1 directories too deep to be entered"), "{found}");
    let found = alpha.json("grep odd: Read");
    assert_eq!(number(&found, "/too_deep"), 1);
    refused(forge, "/odd/archive/HEAD.tar.gz", "nested too deep");
}

fn nothing_that_a_file_holds_runs_colours_or_misleads(forge: &Forge) {
    let front = page(forge, "/odd");
    assert!(
        front.contains("&lt;iframe") && !front.contains("src=\"https://example.org"),
        "markup is text, a picture a link"
    );
    page(forge, "/odd/blob/README.md");
    assert!(page(forge, "/odd/blob/README.md?view=prose").contains("&lt;img src=x"));
    assert!(page(forge, "/odd/blob/ansi.log").contains("‹U+202E›"), "what is not seen is named");
    page(forge, "/odd/blame/ansi.log");
    page(forge, "/odd/blob/page.html");
    page(forge, "/odd/find?q=alert");
    page(forge, &format!("/odd/commit/{}", first_commit(forge)));
    let out = forge.curl(&["-s", "-D", "-", &forge.http_url("/odd/raw/page.html")]).ok().stdout.to_ascii_lowercase();
    assert!(out.contains("content-type: text/plain") && out.contains("nosniff") && out.contains("sandbox"), "{out}");
}
