//! Pages about code: what they show is what stock git says of the same repository, whatever its names hold.

use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::Value;
use tests::agent::{list, number, text};
use tests::{Agent, Forge, flow, plumbing};

/// Names that mean something to a browser, a shell, a terminal or a path in an address.
const NAMES: &[&str] = &[
    "src/lib.rs",
    "it's \"x\" 'and' so.txt",
    "<script>alert(1)</script>.html",
    "new\nline",
    "a\u{202e}gnp.txt",
    "--json",
    "100%25 & more?#x=y",
    "deep/er/and/deeper/file",
    " blank ",
];

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

/// A project with all of that, a link, a submodule, pictures, a pointer of Git LFS, a long file and a merge.
fn founded(forge: &Forge) -> (Agent, PathBuf) {
    let alpha = forge.agent("alpha");
    alpha.json("project new parser");
    let dir = alpha.home().join("code");
    fs::create_dir_all(&dir).unwrap();
    for name in NAMES {
        flow::write(&dir, name, &format!("fn main() {{}}\n<script>{name}\u{202e}\n"));
    }
    let nameless = std::ffi::OsString::from_vec(b"caf\xe9.txt".to_vec());
    fs::write(dir.join(nameless), "latin\n").unwrap();
    flow::write(&dir, "README.md", "# Parser\n\n<script>x</script> reads *well*.\n");
    flow::write(&dir, "long.txt", &(1..=4000).map(|n| format!("line {n}\n")).collect::<String>());
    flow::write(&dir, "big.lfs", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 123456\n");
    flow::write(&dir, "image.svg", "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>\n");
    fs::write(dir.join("image.png"), PNG).unwrap();
    fs::write(dir.join("empty"), "").unwrap();
    let script = "git init -q . && git config user.name 'A <b>' && git config user.email a@example.org \
        && ln -s src/lib.rs link && git add -A \
        && git update-index --add --cacheinfo 160000,1111111111111111111111111111111111111111,sub \
        && git commit -qm 'First <script>' && git switch -qc side && echo side > side.txt && git add side.txt \
        && git commit -qm 'On the side' && git switch -q - && sed -i 's/main/start/' src/lib.rs && git commit -qam 'Start' \
        && git merge -q --no-ff -m 'Both' side && git tag -a -m 'One' v0.1 && git switch -qc a/branch \
        && echo more >> src/lib.rs && git commit -qam 'More' \
        && git push -q \"$0\" a/branch~1:refs/heads/main v0.1 && git push -q \"$0\" a/branch:refs/heads/a/branch";
    alpha.sh(&dir, &script.replace("$0", &alpha.ssh_url("parser"))).ok();
    (alpha, dir)
}

fn encoded(path: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/".contains(&b);
    path.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// The JSON of a page whose path ends with that of a file.
#[track_caller]
fn json(forge: &Forge, path: &str) -> Value {
    let joint = if path.contains('?') { '&' } else { '?' };
    let (status, body) = forge.get(&format!("{path}{joint}as=json"));
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// A page, in which nothing of the repository is markup.
#[track_caller]
fn page(forge: &Forge, path: &str) -> String {
    let (status, body) = forge.get(path);
    assert_eq!(status, 200, "{path}: {body}");
    assert_eq!(body.matches("<script").count(), 1, "{path}: the script of the frame alone");
    assert!(!body.contains('\u{202e}') && !body.contains(" style=") && !body.contains("<svg xmlns"), "{path}");
    body
}

/// Every file of `HEAD`, as git names it, with its mode and id.
fn listed(dir: &Path) -> Vec<(String, String, String)> {
    let out =
        std::process::Command::new("git").args(["ls-tree", "-r", "-z", "HEAD"]).current_dir(dir).output().unwrap();
    let entry = |line: &[u8]| {
        let at = line.iter().position(|&b| b == b'\t').unwrap();
        let head: Vec<String> = String::from_utf8_lossy(&line[..at]).split(' ').map(str::to_owned).collect();
        (String::from_utf8_lossy(&line[at + 1..]).into_owned(), head[0].clone(), head[2].clone())
    };
    out.stdout.split(|&b| b == 0).filter(|line| !line.is_empty()).map(entry).collect()
}

#[test]
fn every_file_has_a_page_and_its_bytes_whatever_it_is_called() {
    let forge = Forge::start();
    let (_, dir) = founded(&forge);
    let files = listed(&dir);
    assert!(files.len() > NAMES.len() + 6, "{files:?}");
    let got = forge.scratch().join("got");
    for (name, mode, id) in files {
        let (at, is_file) = (encoded(&name), mode.starts_with("100"));
        let raw = forge.http_url(&format!("/parser/raw/{at}?at=a%2Fbranch"));
        let out = forge.curl(&["-w", "%{http_code}", "-o", got.to_str().unwrap(), &raw]);
        if mode == "160000" {
            assert!(out.stdout.ends_with("404"), "{name}: {out}");
            continue;
        }
        let theirs = std::process::Command::new("git").args(["cat-file", "blob", &id]).current_dir(&dir).output();
        assert!(fs::read(&got).unwrap() == theirs.unwrap().stdout, "{name}");
        let said = json(&forge, &format!("/parser/blob/{at}?at=a%2Fbranch"));
        assert_eq!((text(&said, "/id"), text(&said, "/mode")), (id, mode), "{name}");
        assert_eq!(text(&said, "/path"), name);
        page(&forge, &format!("/parser/blob/{at}?at=a%2Fbranch"));
        if is_file {
            page(&forge, &format!("/parser/blame/{at}?at=a%2Fbranch"));
            page(&forge, &format!("/parser/log/{at}?at=a%2Fbranch"));
        }
    }
    for (name, kind) in [("image.png", "binary"), ("big.lfs", "lfs"), ("link", "link"), ("long.txt", "text")] {
        assert_eq!(text(&json(&forge, &format!("/parser/blob/{name}")), "/kind"), kind);
    }
    let second = page(&forge, "/parser/blob/long.txt?from=1501");
    assert!(second.contains("id=\"L1501\"") && second.contains("id=\"L3000\"") && !second.contains("id=\"L3001\""));
}

#[test]
fn a_raw_file_runs_nothing() {
    let forge = Forge::start();
    founded(&forge);
    for (path, kind) in [
        ("%3Cscript%3Ealert(1)%3C/script%3E.html", "text/plain; charset=utf-8"),
        ("image.svg", "image/svg+xml"),
        ("image.png", "image/png"),
    ] {
        let path = path.replace("%3C/", "%3C%2F");
        let out = forge.curl(&["-D", "-", "-o", "/dev/null", &forge.http_url(&format!("/parser/raw/{path}"))]);
        let head = out.stdout.to_ascii_lowercase();
        assert!(head.contains(&format!("content-type: {kind}")), "{path}: {head}");
        assert!(head.contains("x-content-type-options: nosniff") && head.contains("sandbox"), "{head}");
        assert_eq!(head.matches("content-security-policy").count(), 1, "{head}");
    }
}

#[test]
fn trees_logs_and_blames_are_those_of_git() {
    let forge = Forge::start();
    let (alpha, dir) = founded(&forge);
    let git = |args: &[&str]| plumbing::git(&dir, args).ok().stdout;

    let (status, tree) = forge.get("/parser/tree.json?at=v0.1");
    assert_eq!(status, 200, "{tree}");
    let tree: Value = serde_json::from_str(&tree).unwrap();
    let ours: Vec<String> = list(&tree, "/entries").iter().map(|entry| text(entry, "/id")).collect();
    assert_eq!(ours.join("\n"), git(&["ls-tree", "--format=%(objectname)", "v0.1"]).trim());
    assert_eq!(text(&tree, "/readme/path"), "README.md");
    let front = page(&forge, "/parser");
    assert!(front.contains("&lt;script&gt;x&lt;/script&gt; reads "), "{front}");
    page(&forge, "/parser/tree?at=a%2Fbranch");
    assert!(page(&forge, "/parser/tree/deep/er").contains("href=\"/parser/tree/deep/er/and\""));

    for (page, args) in [
        ("/parser/log.json?at=a%2Fbranch", vec!["log", "--format=%H", "a/branch"]),
        ("/parser/log.json?at=main..a/branch", vec!["log", "--format=%H", "a/branch~1..a/branch"]),
        ("/parser/log/src/lib.rs?as=json", vec!["log", "--format=%H", "v0.1", "--", "src/lib.rs"]),
    ] {
        let (_, said) = forge.get(page);
        let said: Value = serde_json::from_str(&said).unwrap();
        let ours: Vec<String> = list(&said, "/commits").iter().map(|commit| text(commit, "/commit")).collect();
        assert_eq!(ours.join("\n"), git(&args).trim(), "{page}");
    }
    let log = page(&forge, "/parser/log");
    assert!(log.contains("<svg class=\"graph\"") && log.matches("class=\"dot").count() == 4, "{log}");

    let blame = json(&forge, "/parser/blame/src/lib.rs?at=a%2Fbranch");
    let ours: Vec<String> = list(&blame, "/lines").iter().map(|line| text(line, "/commit")).collect();
    let theirs = git(&["blame", "--porcelain", "a/branch", "--", "src/lib.rs"]);
    let theirs: Vec<&str> = theirs
        .lines()
        .filter_map(|line| line.split(' ').next())
        .filter(|word| word.len() == 40 && word.bytes().all(|b| b.is_ascii_hexdigit()))
        .collect();
    assert_eq!(ours, theirs);

    let tip = git(&["rev-parse", "v0.1^{commit}"]).trim().to_owned();
    let shown = json(&forge, &format!("/parser/commit/{tip}"));
    assert_eq!(list(&shown, "/parents").len(), 2);
    assert_eq!(
        text(&shown, "/diff").trim(),
        git(&["show", "-m", "--first-parent", "--format=", "--abbrev=10", &tip]).trim()
    );
    page(&forge, &format!("/parser/commit/{}", &tip[..9]));
    let compared = json(&forge, "/parser/compare/main...a%2Fbranch");
    assert_eq!((number(&compared, "/added"), number(&compared, "/removed")), (1, 0));
    page(&forge, "/parser/compare?from=main&to=a%2Fbranch&diff=split");
    page(&forge, "/parser/compare");

    let branches = alpha.json("branch list parser");
    assert_eq!(text(&branches, "/names/0/name"), "main");
    assert_eq!((number(&branches, "/names/1/ahead"), number(&branches, "/names/1/behind")), (1, 0));
    assert!(page(&forge, "/parser/branches").contains("1 ahead, 0 behind"));
    assert!(page(&forge, "/parser/tags").contains("v0.1"));
    let found = page(&forge, "/parser/find?q=start&path=src");
    assert!(found.contains("href=\"/parser/blob/src/lib.rs#L1\""), "{found}");
    page(&forge, "/parser/find");
}

#[test]
fn an_archive_is_what_git_packs() {
    let forge = Forge::start();
    let (alpha, dir) = founded(&forge);
    let url = forge.http_url("/parser/archive/a/branch.tar.gz");
    let script = format!(
        "curl -sf '{url}' > one.tgz && curl -sf '{url}' | cmp - one.tgz && ssh forge archive parser a/branch | cmp - one.tgz \
         && mkdir ours theirs && tar -xzf one.tgz -C ours \
         && git -C '{dir}' archive --format=tar --prefix=parser-a-branch/ a/branch | tar -x -C theirs \
         && diff -r --no-dereference ours theirs \
         && tar -tvzf one.tgz | awk '{{print $1, $4, $5}}' > list && test -x theirs/parser-a-branch && wc -l < list",
        dir = dir.display()
    );
    let out = alpha.sh(alpha.home(), &script).ok();
    assert!(out.stdout.trim().parse::<usize>().unwrap() > NAMES.len(), "{out}");
    let tip = plumbing::git(&dir, &["log", "-1", "--format=%ct", "a/branch"]).ok().stdout;
    let times = alpha.sh(alpha.home(), "tar --full-time -tvzf one.tgz | awk '{print $4, $5}' | sort -u").ok();
    let times: Vec<&str> = times.stdout.lines().collect();
    assert_eq!(times.len(), 1, "every file has the time of the commit {tip}: {times:?}");
}

#[test]
fn what_is_not_there_is_said_with_a_way_on() {
    let forge = Forge::start();
    let (alpha, _) = founded(&forge);
    for path in [
        "/parser/tree?at=none",
        "/parser/blob/none",
        "/parser/raw/src",
        "/parser/raw/sub",
        "/parser/blame/src",
        "/parser/commit/1111111111111111111111111111111111111111",
        "/parser/commit/zz",
        "/parser/compare/none..main",
        "/parser/archive/none.tar.gz",
        "/parser/archive/v0.1.zip",
        "/parser/log?at=..%2F..%2Fx",
        "/parser/blob/a%00b",
        "/parser/tree/src?from=x",
        "/none/tree/src",
    ] {
        let (status, body) = forge.get(path);
        assert_eq!(status, 404, "{path}: {body}");
        assert!(body.contains("next: "), "{path}: {body}");
    }
    for path in ["/parser/find?q=(&regex=1", "/parser/blame/image.png?from=0"] {
        let (status, body) = forge.get(path);
        assert!(matches!(status, 400 | 404) && body.contains("next: "), "{path}: {status} {body}");
    }
    alpha.json("project new fresh");
    let empty = page(&forge, "/fresh");
    assert!(empty.contains("git push origin HEAD:refs/heads/main"), "{empty}");
    assert_eq!(forge.get("/fresh/tree").0, 404);
    // What a refused push leaves behind, and records of the forge, are no code.
    assert_eq!(forge.get("/parser/tree?at=refs%2Fforge%2Fledger").0, 200, "the ledger is a ref like another");
}

#[test]
fn many_searches_at_once_leave_room_for_everybody_else() {
    let forge = Forge::start();
    founded(&forge);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let ask = |n: usize| {
            let forge = &forge;
            scope.spawn(move || forge.get(&format!("/parser/find?q=line+{n}")).0)
        };
        let asked: Vec<_> = (0..48).map(ask).collect();
        for _ in 0..5 {
            assert_eq!(forge.get("/feed").0, 200);
        }
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    assert!(statuses.iter().all(|status| matches!(status, 200 | 429 | 503)), "{statuses:?}");
    assert!(statuses.contains(&200));
}

/// What a page answers to a request from the address `from` of this machine: its status, and what its `Retry-After` says.
fn asked_from(forge: &Forge, from: &str, path: &str) -> (u16, String) {
    let said = "%{http_code} %header{retry-after}";
    let out = forge.curl(&["-s", "--interface", from, "-o", "/dev/null", "-w", said, &forge.http_url(path)]).ok();
    let (status, after) = out.stdout.split_once(' ').unwrap();
    (status.parse().unwrap(), after.trim().to_owned())
}

#[test]
fn who_walks_every_blame_page_cannot_starve_others() {
    const CONNECTIONS: usize = 24;
    let forge = Forge::start();
    let alpha = forge.agent("alpha");
    alpha.json("project new parser");
    let source = forge.scratch().join("source.git");
    plumbing::git(forge.scratch(), &["init", "-q", "--bare", "-b", "main", "source.git"]).ok();
    let shape = tests::repository::Shape { commits: 600, files: 8, blobs: 0, blob_bytes: 0 };
    tests::repository::make(&source, &shape).unwrap();
    alpha.git(&source, &["push", "-q", &alpha.ssh_url("parser"), "main"]).ok();
    let ids = plumbing::git(&source, &["log", "--format=%H", "main"]).ok().stdout;
    // Every page of every commit: none of them was made before.
    let file = |n: u64| tests::repository::path(n % shape.files);
    let pages: Vec<String> =
        ids.lines().enumerate().map(|(n, id)| format!("/parser/blame/{}?at={id}", file(n as u64))).collect();
    let (next, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let scrape = || {
            let mut told = Vec::new();
            while let (false, Some(page)) =
                (over.load(Ordering::Relaxed), pages.get(next.fetch_add(1, Ordering::Relaxed)))
            {
                told.push(asked_from(&forge, "127.0.0.2", page));
            }
            told
        };
        let scrapers: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(scrape)).collect();
        // The others come once it has met its share.
        let begun = || forge.log().contains("status=429");
        while next.load(Ordering::Relaxed) < pages.len() && !begun() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        for n in 0..6 {
            let page = format!("/parser/blame/{}", file(n));
            assert_eq!(asked_from(&forge, "127.0.0.3", &page).0, 200, "an address of its own");
            let token = alpha.token("");
            assert_eq!(
                alpha.action(&token, &format!("blame parser:{}", file(n + 1))).0,
                200,
                "an agent, from any address"
            );
        }
        over.store(true, Ordering::Relaxed);
        let told: Vec<(u16, String)> = scrapers.into_iter().flat_map(|scraper| scraper.join().unwrap()).collect();
        let refused: Vec<_> = told.iter().filter(|(status, _)| *status == 429).collect();
        assert!(!refused.is_empty() && refused.iter().all(|(_, after)| after == "2"), "{told:?}");
        assert!(told.iter().any(|(status, _)| *status == 200), "it has its share: {told:?}");
        assert!(told.iter().all(|(status, _)| matches!(status, 200 | 429 | 503)), "{told:?}");
    });
}

#[test]
fn what_a_browser_has_is_confirmed_to_whoever_may_read_it_alone() {
    let mut forge = Forge::start();
    let (alpha, _) = founded(&forge);
    let url = forge.http_url("/parser/tree");
    let head = forge.curl(&["-s", "-D", "-", "-o", "/dev/null", &url]).ok().stdout;
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).expect("a page has a tag").trim().to_owned();
    let known = format!("If-None-Match: {tag}");
    let status = |forge: &Forge, headers: &[&str]| {
        let headers: Vec<&str> = headers.iter().flat_map(|header| ["-H", header]).collect();
        let fixed = ["-s", "-o", "/dev/null", "-w", "%{http_code}"];
        forge.curl(&[&fixed[..], &headers, &[&forge.http_url("/parser/tree")]].concat()).ok().stdout
    };
    assert_eq!(status(&forge, &[&known]), "304");
    assert_eq!(status(&forge, &[&known, "Authorization: Bearer void"]), "401", "a void token is nobody's");
    let (good, limited) = (alpha.token(""), alpha.token("--project other"));
    let bearer = |token: &str| format!("Authorization: Bearer {token}");
    assert_eq!(status(&forge, &[&known, &bearer(&good)]), "200", "who looks is part of the tag");

    assert_eq!(forge.stop(), 0);
    forge.try_up(&[("FORGE_READ", "registered")]).unwrap();
    assert_eq!(status(&forge, &[&known]), "403", "reading is closed now");
    assert_eq!(status(&forge, &[&known, &bearer(&good)]), "200");
    assert_eq!(status(&forge, &[&known, &bearer(&limited)]), "403", "its token is for another project");
}

/// What each search finds, and how many files it did not read for it.
fn searched(forge: &Forge, at: &str, queries: &[&str]) -> (Vec<Value>, i64) {
    let mut ruled_out = 0;
    let one = |query: &&str| {
        let (status, body) = forge.get(&format!("/parser/find.json?at={at}&q={query}"));
        assert_eq!(status, 200, "{query}: {body}");
        let mut answer: Value = serde_json::from_str(&body).unwrap();
        ruled_out += number(&answer, "/ruled_out");
        answer.as_object_mut().unwrap().remove("ruled_out");
        answer
    };
    (queries.iter().map(one).collect(), ruled_out)
}

#[test]
fn a_search_finds_the_same_whatever_is_kept_of_those_before() {
    const QUERIES: &[&str] = &[
        "needle_237",
        "NEEDLE_23",
        "NEEDLE_23&ignore-case=1",
        "task%20of&ignore-case=1",
        "ne%2Bdle_2%5B34%5D7%24&regex=1",
        "(needle_19%7Cthread_3)%5Cb&regex=1",
        "thread_4&path=src/part_3",
        "zz",
        "nowhere_at_all",
        "common",
        "deep%0Aline",
    ];
    let mut forge = Forge::start();
    let alpha = forge.agent("alpha");
    alpha.json("project new parser");
    let dir = alpha.home().join("many");
    fs::create_dir_all(&dir).unwrap();
    for n in 0..400 {
        let text = format!("common\nneedle_{n}\nthread_{}\ndeep\nline\n", n % 7);
        flow::write(&dir, &format!("src/part_{}/file_{n}.txt", n % 20), &text.repeat(1 + n % 3));
    }
    // KELVIN SIGN and LATIN SMALL LETTER LONG S.
    flow::write(&dir, "kelvin", "a tas\u{212a} of\n");
    flow::write(&dir, "long-s", "the TA\u{17f}K OF\nzz\n");
    flow::write(&dir, "large", &"needle_237\n".repeat(100_000));
    fs::write(dir.join("binary"), b"needle_237\0").unwrap();
    let script = "git init -q . && git config user.name A && git config user.email a@example.org && git add -A \
        && git commit -qm First && git push -q \"$0\" HEAD:refs/heads/main && git push -q \"$0\" HEAD:refs/heads/a/branch";
    alpha.sh(&dir, &script.replace("$0", &alpha.ssh_url("parser"))).ok();
    let theirs = |args: &[&str]| {
        let args = [&["grep", "-l", "--full-name", "-I"], args, &["--", ".", ":!large"]].concat();
        plumbing::git(&dir, &args).stdout.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let files = |answer: &Value| list(answer, "/files").iter().map(|file| text(file, "/path")).collect::<Vec<_>>();

    let kept = forge.data().join("trigrams");
    let mut cold = Vec::new();
    for query in QUERIES {
        drop(fs::remove_dir_all(&kept));
        let (mut found, ruled_out) = searched(&forge, "a/branch", &[query]);
        assert_eq!(ruled_out, 0);
        cold.append(&mut found);
    }
    for (at, args) in [
        (0, &["-F", "needle_237"][..]),
        (2, &["-i", "-F", "needle_23"]),
        (4, &["-E", "ne+dle_2[34]7$"]),
        (5, &["-E", "(needle_19|thread_3)\\b"]),
    ] {
        let theirs = theirs(args);
        assert_eq!(files(&cold[at]), theirs[..theirs.len().min(50)], "{}", QUERIES[at]);
    }
    assert_eq!(files(&cold[3]), ["kelvin", "long-s"]);
    assert_eq!((number(&cold[0], "/looked_at"), number(&cold[0], "/too_large")), (403, 1));
    assert_eq!((text(&cold[9], "/stopped"), files(&cold[9]).len()), ("after enough files with hits".to_owned(), 50));

    searched(&forge, "a/branch", &QUERIES[8..9]);
    let warm = |forge: &Forge, what: &str| {
        let (found, ruled_out) = searched(forge, "a/branch", QUERIES);
        assert_eq!(found, cold, "{what}");
        ruled_out
    };
    let most = warm(&forge, "what was read once");
    assert!(most > 1500, "{most}");
    assert_eq!(forge.stop(), 0);
    forge.up();
    assert_eq!(warm(&forge, "after a restart"), most);
    let path = kept.join("parser");
    let whole = fs::read(&path).unwrap();
    for at in [0, 15, 17, 21, 30, 300, whole.len() / 2, whole.len() - 1] {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        for bytes in [&flipped, &whole[..at]] {
            fs::write(&path, bytes).unwrap();
            warm(&forge, &format!("damaged or cut off at {at}"));
            assert_eq!(warm(&forge, "and mended"), most);
        }
    }
    fs::remove_dir_all(&kept).unwrap();
    warm(&forge, "deleted under a running server");
    assert!(path.exists());

    let script = "echo needle_7000 >> src/part_17/file_237.txt && sed -i s/needle_237/gone/ src/part_17/file_237.txt \
        && echo needle_237 > src/new && git add -A && git commit -qm Second && git push -q \"$0\" HEAD:refs/heads/a/branch";
    alpha.sh(&dir, &script.replace("$0", &alpha.ssh_url("parser"))).ok();
    let (found, ruled_out) = searched(&forge, "a/branch", &["needle_237", "needle_7000", "gone"]);
    assert!(ruled_out > 900, "{ruled_out}");
    assert_eq!(files(&found[0]), ["src/new"]);
    assert_eq!(files(&found[1]), ["src/part_17/file_237.txt"]);
    assert_eq!(files(&found[2]), ["src/part_17/file_237.txt"]);
    assert_eq!(searched(&forge, "main", QUERIES).0[0]["files"], cold[0]["files"], "the branch that did not move");
}
