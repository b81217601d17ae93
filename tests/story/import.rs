//! Issues of elsewhere become issues here: from each format, once, and without what came with their fix.

mod api;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tests::agent::{list, number, text};
use tests::plumbing::{self, mirror_all};
use tests::{Agent, Forge, Out, out, root, tool};

use self::api::Api;

fn fixture(name: &str) -> PathBuf {
    root().join("tests/fixtures/import").join(name)
}

/// A forge, and the maintainer of an empty project.
fn with_project() -> (Forge, Agent) {
    let forge = Forge::start();
    let beta = forge.agent("beta");
    beta.json("project new parser");
    (forge, beta)
}

/// `forge import` as `agent`, into the project `parser` unless `args` name another.
pub fn import(agent: &Agent, args: &[&str]) -> Out {
    let mut command = agent.command("forge");
    command.arg("import").args(args).env("FORGE_TOKEN", agent.token("")).env_remove("FORGE_URL");
    if !args.contains(&"--project") {
        command.args(["--project", "parser"]);
    }
    let url = command.get_envs().find_map(|(name, value)| (name == "HTTP_URL").then(|| value.unwrap().to_owned()));
    command.arg("--to").arg(url.unwrap());
    out::run(&mut command, None)
}

fn file(agent: &Agent, format: &str, name: &str) -> Out {
    import(agent, &[format, fixture(name).to_str().unwrap()])
}

fn issues(agent: &Agent) -> Vec<Value> {
    list(&agent.json("issue list parser --state all"), "/items").to_vec()
}

/// The texts of an issue's comments.
fn said(details: &Value) -> Vec<String> {
    let comments = list(details, "/events").iter().filter(|event| event["kind"] == "comment.added");
    comments.map(|event| text(event, "/text")).collect()
}

#[test]
fn issues_of_gh_are_imported_once_without_what_came_with_their_fix() {
    let (mut forge, beta) = with_project();
    file(&beta, "github", "github.json").ok().says("parser: 3 issues added, 0 there before");
    let first = beta.json("details parser/1");
    assert_eq!(text(&first, "/title"), "It leaks on every call");
    assert_eq!(text(&first, "/body"), "Call it twice.\n\nIt holds twice as much.");
    assert_eq!((text(&first, "/state"), text(&first, "/author")), ("open".to_owned(), "beta".to_owned()));
    assert_eq!(text(&first, "/source/key"), "github:example-owner/parser#12");
    assert_eq!(text(&first, "/source/author"), "reporter-1");
    assert_eq!(number(&first, "/source/created_ms"), 1_785_578_400_000);
    let ghost = "> from ghost at 2026-08-03 10:00Z, imported\n\nWith version 0.9 it was not there.";
    let other = "> from reporter-2 at 2026-08-02 10:00Z, imported\n\nMe too, on the second call.";
    assert_eq!(said(&first), [other, ghost]);
    assert_eq!(text(&beta.json("details parser/2"), "/source/author"), "ghost");
    beta.ssh("details parser/1").ok().says("from https://github.com/example-owner/parser/issues/12");

    // Not the second time, not after a restart, and not where it was read from its replay alone.
    file(&beta, "github", "github.json").ok().says("parser: 0 issues added, 3 there before");
    forge.kill();
    drop(fs::remove_dir_all(forge.data().join("checkpoints")));
    forge.up();
    file(&beta, "github", "github.json").ok().says("parser: 0 issues added, 3 there before");
    assert_eq!(issues(&beta).len(), 3);

    let copy = forge.scratch().join("copy");
    mirror_all(&forge, &beta, &copy);
    assert!(!everything(&copy.join("repositories/parser.git")).contains("never given back"));
    tool(&["verify", copy.to_str().unwrap()]).ok();
}

/// All that is in any object of a repository.
pub fn everything(repository: &Path) -> String {
    plumbing::git(repository, &["cat-file", "--batch", "--batch-all-objects", "--buffer"]).ok().stdout
}

#[test]
fn what_was_closed_there_is_closed_here_where_that_is_asked_for() {
    let (_forge, beta) = with_project();
    import(&beta, &["github", fixture("github.json").to_str().unwrap(), "--close"]).ok();
    let first = beta.json("details parser/1");
    assert_eq!(text(&first, "/state"), "closed");
    let last = text(list(&first, "/events").last().unwrap(), "/text");
    assert!(last.contains("2026-08-09 10:00Z") && last.contains("parser/pull/57"), "{last}");
    assert_eq!(text(&beta.json("details parser/2"), "/state"), "open");
    assert_eq!(text(&beta.json("details parser/3"), "/state"), "closed");
}

#[test]
fn a_malformed_row_is_named_and_nothing_is_imported() {
    let (forge, beta) = with_project();
    let why = "malformed.jsonl line 3: FAIL_TO_PASS: neither a list nor a JSON list in a string";
    file(&beta, "swebench", "malformed.jsonl").exits(1).says(why).says("next: ");
    assert!(issues(&beta).is_empty());
    // The server asks again, and takes all of a call or nothing.
    let good = r#"{"key":"tracker:1","title":"One"}"#;
    for (bad, why) in [
        (r#"{"key":"tracker:2"}"#, "line 2: title: missing field"),
        (r#"{"key":"tracker:2","title":"Two\nthree"}"#, "line 2: title: one line"),
        (good, "line 2: key: a line above has it too"),
        ("[]", "line 2: row: it is no object"),
        (r#"{"key":"tracker:2","title":"Two","comments":[{"author":"x","created_ms":-1,"text":""}]}"#, "line 2: row: "),
    ] {
        beta.ssh_with("import parser", &format!("{good}\n{bad}\n")).exits(2).says(why).says("nothing was imported");
    }
    assert!(issues(&beta).is_empty());
    beta.ssh("import parser").exits(2).says("stdin holds no items");
    // Contests need what is not there yet; without the flag they are left out, and that is said.
    let rows = fixture("swebench.jsonl");
    let rows = rows.to_str().unwrap();
    import(&beta, &["swebench", rows, "--check"]).ok().says("good: 2 issues; nothing was sent");
    assert!(issues(&beta).is_empty());

    let eve = forge.agent("eve");
    import(&eve, &["swebench", rows]).exits(1).says("only the project's maintainer");
    import(&beta, &["swebench", rows, "--project", "nowhere"]).exits(1).says("there is no such project");
    assert!(issues(&beta).is_empty());
}

#[test]
fn rows_of_data_sets_become_issues_and_their_answers_stay_out() {
    let (forge, beta) = with_project();
    file(&beta, "swebench", "swebench.jsonl").ok().says("2 issues added").says("contests left out: 2");
    file(&beta, "swebench", "swebench.jsonl").ok().says("0 issues added, 2 there before");
    let (first, second) = (beta.json("details parser/1"), beta.json("details parser/2"));
    assert_eq!(text(&first, "/body"), "Call it twice. It holds twice as much.");
    assert_eq!(text(&first, "/labels/0"), "easy");
    assert_eq!(text(&second, "/title"), "Tabs are counted as eight");
    assert_eq!(
        (text(&second, "/labels/0"), number(&second, "/source/created_ms")),
        ("go".to_owned(), 1_785_837_600_000)
    );
    file(&beta, "items", "items.jsonl").ok().says("1 issue added");
    assert_eq!(said(&beta.json("details parser/3")), ["> from reporter-1 at 2026-08-05 10:00Z, imported\n\nHere too."]);
    let copy = forge.scratch().join("copy");
    mirror_all(&forge, &beta, &copy);
    let all = everything(&copy.join("repositories/parser.git"));
    for secret in ["given back", "Give the buffer back", "no leak, as the fix has it", "a sealed test"] {
        assert!(!all.contains(secret), "{secret}");
    }
}

#[test]
fn the_code_that_a_row_is_about_comes_alone_and_no_object_of_the_fix_with_it() {
    let (forge, beta) = with_project();
    // A bundle with more than the row is about: the fix behind it on main, and another branch.
    let dir = beta.home().join("upstream");
    fs::create_dir_all(&dir).unwrap();
    let script = "set -e; git init -q; echo a leak > lib.txt; git add -A; git commit -qm Base; git tag base; \
        git switch -qc other; echo other > other.txt; git add -A; git commit -qm Other; git switch -q main; \
        echo no leak > lib.txt; git commit -qam Fix; git bundle create -q ../upstream.bundle --all";
    beta.sh(&dir, script).ok();
    let id = |name: &str| beta.git(&dir, &["rev-parse", name]).ok().text().to_owned();
    let diff = beta.git(&dir, &["diff", "base", "main"]).ok().stdout;
    let row = json!({
        "instance_id": "example-owner__parser-57", "repo": "example-owner/parser", "base_commit": id("base"),
        "problem_statement": "It leaks", "patch": diff, "test_patch": diff, "FAIL_TO_PASS": ["leak"], "PASS_TO_PASS": []
    });
    let rows = beta.home().join("rows.jsonl");
    fs::write(&rows, format!("{row}\n")).unwrap();
    let bundle = beta.home().join("upstream.bundle");
    let args = ["swebench", rows.to_str().unwrap(), "--bundle", bundle.to_str().unwrap()];
    import(&beta, &args).ok().says("1 issue added").says(&format!("parser is at {}", id("base")));
    import(&beta, &args).ok().says("0 issues added, 1 there before").says("has code already");

    let copy = forge.scratch().join("copy");
    mirror_all(&forge, &beta, &copy);
    let repository = copy.join("repositories/parser.git");
    let objects = plumbing::git(&repository, &["rev-list", "--objects", "--all"]).ok().stdout;
    assert!(objects.contains(&id("base:lib.txt")), "the base is there");
    for of_the_fix in ["main", "main^{tree}", "main:lib.txt", "other", "other:other.txt"] {
        assert!(!objects.contains(&id(of_the_fix)), "{of_the_fix}");
    }
    assert!(!everything(&repository).contains("no leak"));
    assert_eq!(plumbing::git(&repository, &["rev-parse", "refs/heads/main"]).ok().text(), id("base"));

    // A commit that the bundle's main does not reach.
    beta.json("project new lexer");
    fs::write(&rows, format!("{}\n", row.to_string().replace(&id("base"), &id("other")))).unwrap();
    import(&beta, &[&args[..], &["--project", "lexer"]].concat()).exits(1).says("does not reach");
    assert!(list(&beta.json("issue list lexer --state all"), "/items").is_empty());
}

#[test]
fn an_issue_of_the_starter_pack_comes_with_its_code() {
    let (forge, beta) = with_project();
    let packed = root().join("tests/starter/packed");
    let rows = packed.join("rows.jsonl");
    let args = ["swebench", rows.to_str().unwrap(), "--bundle", packed.to_str().unwrap()];
    import(&beta, &args).exits(1).says("bundles, and a project's code is in one").says("--only");
    let one = [&args[..], &["--only", "synstack__invoice-1"]].concat();
    import(&beta, &one).ok().says("1 issue added").says("contests left out: 1");
    import(&beta, &one).ok().says("0 issues added, 1 there before");
    let row = fs::read_to_string(&rows).unwrap();
    let row = row.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let row = row.into_iter().find(|row| row["instance_id"] == "synstack__invoice-1").unwrap();
    assert_eq!(plumbing::remote_ref(&beta, "parser", "refs/heads/main"), Some(text(&row, "/base_commit")));

    // What the golden patch and the sealed tests make of its files is nowhere.
    let clone = beta.clone_into(&beta.ssh_url("parser"), "clone", &[]);
    let mut made = Vec::new();
    for patch in ["patch", "test_patch"] {
        fs::write(beta.home().join(patch), text(&row, &format!("/{patch}"))).unwrap();
        beta.git(&clone, &["apply", "--index", &format!("../{patch}")]).ok();
    }
    for line in beta.git(&clone, &["diff", "--cached", "--raw", "--no-abbrev"]).ok().stdout.lines() {
        made.push(line.split(' ').nth(3).unwrap().to_owned());
    }
    let copy = forge.scratch().join("copy");
    mirror_all(&forge, &beta, &copy);
    let repository = copy.join("repositories/parser.git");
    let objects = plumbing::git(&repository, &["rev-list", "--objects", "--all"]).ok().stdout;
    assert!(made.len() >= 2 && made.iter().all(|id| id.len() == 40 && !objects.contains(id)), "{made:?}");
}

#[test]
fn many_items_come_in_several_calls_and_what_is_new_among_them_is_added() {
    let (_forge, beta) = with_project();
    let rows = beta.home().join("rows.jsonl");
    let items = |upto: usize| {
        let line =
            |n: usize| json!({ "key": format!("tracker:{n}"), "title": format!("Issue {n}"), "body": "x".repeat(n) });
        (1..=upto).map(|n| format!("{}\n", line(n))).collect::<String>()
    };
    for (upto, added, existing) in [(60, 60, 0), (130, 70, 60)] {
        fs::write(&rows, items(upto)).unwrap();
        let said = format!("{added} issues added, {existing} there before");
        import(&beta, &["items", rows.to_str().unwrap()]).ok().says(&said);
    }
    assert_eq!(text(&beta.json("details parser/130"), "/title"), "Issue 130");
    beta.ssh_with("import parser", &items(101)).exits(2).says("line 101: row: one call takes 100 items");
}

#[test]
fn pages_of_an_api_are_followed_kept_and_waited_for() {
    let (_forge, beta) = with_project();
    let api = Api::start(&[
        (
            "/repos/example-owner/parser/issues?state=all&sort=created&direction=asc&per_page=100",
            "issues-1.json",
            Some("/repositories/7/issues?page=2"),
        ),
        ("/repositories/7/issues?page=2", "issues-2.json", None),
        ("/repos/example-owner/parser/issues/12/timeline?per_page=100", "timeline-12.json", None),
        ("/repos/example-owner/parser/issues/58/comments?per_page=100", "comments-58.json", None),
    ]);
    api.refuse_first("/repositories/7/issues?page=2", "429 Too Many Requests\r\nRetry-After: 1");
    api.refuse_first(
        "/repos/example-owner/parser/issues/12/timeline?per_page=100",
        "403 Forbidden\r\nX-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 1",
    );
    let address = api.url("/repos/example-owner/parser");
    let pages = beta.home().join("pages");
    let args = ["github-rest", &address, "--keep", pages.to_str().unwrap(), "--source-token", "s3cret"];
    let out = import(&beta, &args).ok().says("parser: 3 issues added").says("1 rows that are none");
    let out = out.says("429: waiting 1 s").says("403: waiting 1 s").says("4 pages fetched, 0 unchanged, 2 waits");
    assert!(!out.all().contains("s3cret"));
    let first = beta.json("details parser/1");
    assert_eq!(text(&first, "/source/key"), "github:example-owner/parser#12");
    assert_eq!(said(&first).len(), 2, "{first:#}");
    assert!(said(&first)[1].starts_with("> from ghost at "));
    assert_eq!(text(&beta.json("details parser/2"), "/source/author"), "ghost");
    assert_eq!(
        said(&beta.json("details parser/3")),
        ["> from developer-1 at 2026-08-10 11:00Z, imported\n\nWhich file?"]
    );
    let asked = api.asked();
    assert!(asked.iter().all(|request| request.contains("authorization: Bearer s3cret")), "{asked:?}");
    assert!(asked.iter().all(|request| !request.contains("if-none-match")), "{asked:?}");

    // The second time every page is asked for with its tag, is unchanged, and adds nothing.
    import(&beta, &args)
        .ok()
        .says("parser: 0 issues added, 3 there before")
        .says("0 pages fetched, 4 unchanged, 0 waits");
    // Issues found by `gh` are the same issues.
    file(&beta, "github", "github.json").ok().says("1 issue added, 2 there before");
}

#[test]
fn an_api_that_leads_elsewhere_or_says_no_is_not_followed() {
    let (_forge, beta) = with_project();
    let list = "/repos/example-owner/parser/issues?state=all&sort=created&direction=asc&per_page=100";
    let timeline = ("/repos/example-owner/parser/issues/12/timeline?per_page=100", "timeline-12.json", None);
    let other = Api::start(&[]);
    let elsewhere = other.url("/page2");
    let api = Api::start(&[(list, "issues-1.json", Some(&elsewhere)), timeline]);
    let address = api.url("/repos/example-owner/parser");
    import(&beta, &["github-rest", &address, "--source-token", "s3cret"]).exits(1).says("its next page is elsewhere");
    assert!(other.asked().is_empty(), "whoever is named in a link sees no token");
    let none = api.url("/repos/example-owner/nothing");
    import(&beta, &["github-rest", &none]).exits(1).says("404").says("there is no such repository");
    api.refuse_first(list, "403 Forbidden\r\nRetry-After: 90000");
    import(&beta, &["github-rest", &address]).exits(1).says("asks to wait 90000 s");
    api.refuse_first(list, "301 Moved Permanently\r\nLocation: /elsewhere");
    import(&beta, &["github-rest", &address]).exits(1).says("it has moved");
    assert!(issues(&beta).is_empty());
}

#[test]
fn under_tls_whoever_is_trusted_gets_the_issues_and_nobody_else() {
    let (mut forge, beta) = with_project();
    let dir = forge.scratch().to_owned();
    for name in ["ours", "other"] {
        let mut command = out::limited("openssl");
        command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
        command.args(["-subj", "/CN=forge", "-addext", "subjectAltName=IP:127.0.0.1"]);
        command.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        command.args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.crt")]).current_dir(&dir);
        out::run(&mut command, None).ok();
    }
    let token = beta.token("");
    assert_eq!(forge.stop(), 0);
    let file = |name: &str| dir.join(name).display().to_string();
    forge.set_flags(&["--tls-cert", &file("ours.crt"), "--tls-key", &file("ours.key")]);
    forge.up();
    let packed = root().join("tests/starter/packed");
    let send = |trusted: &str| {
        let mut command = beta.command("forge");
        command.args(["import", "swebench", "--project", "parser", "--only", "synstack__invoice-1"]);
        command.arg(packed.join("rows.jsonl")).arg("--bundle").arg(&packed);
        command.args(["--to", &format!("https://127.0.0.1:{}", forge.http_port())]);
        command.env("FORGE_TOKEN", &token).env("SSL_CERT_FILE", file(trusted));
        out::run(&mut command, None)
    };
    send("other.crt").exits(1).says("certificate");
    send("ours.key").exits(1).says("it holds no certificate as PEM");
    send("ours.crt").ok().says("1 issue added").says("parser is at ");
    assert!(plumbing::remote_ref(&beta, "parser", "refs/heads/main").is_some());
}
