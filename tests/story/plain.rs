//! `forge serve --plain`: git alone, for repositories that stock git uses at the same time.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tests::{Agent, Forge, Out, flow};

fn stock(agent: &Agent, dir: &Path, args: &[&str]) -> String {
    agent.git(dir, args).ok().text().to_owned()
}

/// What a command said that had to fail.
fn refused(out: Out) -> String {
    out.fails().all()
}

/// A bare repository below the served directory, made by stock git.
fn bare(agent: &Agent, forge: &Forge, path: &str) -> PathBuf {
    let dir = forge.data().join(path);
    agent.git(agent.home(), &["init", "-q", "--bare", dir.to_str().unwrap()]).ok();
    dir
}

/// A clone with one commit, and no remote.
fn work(agent: &Agent) -> PathBuf {
    let dir = agent.home().join("work");
    agent.git(agent.home(), &["init", "-q", dir.to_str().unwrap()]).ok();
    change(agent, &dir, "one");
    dir
}

fn change(agent: &Agent, dir: &Path, text: &str) -> String {
    flow::write(dir, "file", text);
    agent.git(dir, &["add", "-A"]).ok();
    agent.git(dir, &["commit", "-q", "-m", text]).ok();
    stock(agent, dir, &["rev-parse", "HEAD"])
}

/// The address of a repository behind each door; HTTP as git speaks it by default, and over HTTP/2.
fn doors(forge: &Forge, path: &str) -> [(&'static str, String); 3] {
    [
        ("http.version=HTTP/1.1", forge.http_url(&format!("/{path}"))),
        ("http.version=HTTP/2", forge.http_url(&format!("/{path}"))),
        ("http.version=HTTP/1.1", forge.ssh_url(path)),
    ]
}

#[test]
fn whoever_comes_clones_pushes_and_fetches_through_both_doors() {
    let forge = Forge::plain();
    let agent = forge.stranger("anybody");
    assert_eq!(forge.get("/healthz"), (200, "ok\n".to_owned()));
    // Made while it is served, at any depth, with or without its `.git` in the address.
    let dir = work(&agent);
    for (number, path) in ["flat.git", "deep/er/nested.git"].into_iter().enumerate() {
        let repository = bare(&agent, &forge, path);
        for (at, (http, url)) in doors(&forge, path.trim_end_matches(".git")).into_iter().enumerate() {
            for version in ["0", "2"] {
                let protocol = format!("protocol.version={version}");
                let git = |dir: &Path, args: &[&str]| agent.git(dir, &[&["-c", &protocol, "-c", http], args].concat());
                let id = change(&agent, &dir, &format!("{number} {at} {version}"));
                let branch = format!("refs/heads/b/{at}/{version}");
                git(&dir, &["push", "-q", &url, "HEAD:main", &format!("HEAD:{branch}")]).ok();
                assert_eq!(stock(&agent, &repository, &["rev-parse", &branch]), id);
                let clone = agent.home().join(format!("clone-{number}-{at}-{version}"));
                git(agent.home(), &["clone", "-q", "-b", "main", &format!("{url}.git"), clone.to_str().unwrap()]).ok();
                let next = change(&agent, &clone, &format!("{number} {at} {version} again"));
                git(&clone, &["push", "-q", "--atomic", "origin", "HEAD:main", &format!("HEAD:{branch}")]).ok();
                git(&dir, &["fetch", "-q", &url, "main"]).ok();
                assert_eq!(stock(&agent, &dir, &["rev-parse", "FETCH_HEAD"]), next);
                agent.git(&dir, &["reset", "-q", "--hard", "FETCH_HEAD"]).ok();
                git(&clone, &["push", "-q", "origin", &format!(":{branch}")]).ok();
                let gone = stock(&agent, &repository, &["for-each-ref", &branch]);
                assert_eq!(gone, "");
            }
        }
        agent.git(&repository, &["fsck", "--full", "--strict"]).ok();
    }
    // A name with a space, and one that is a work tree's.
    bare(&agent, &forge, "a b.git");
    agent.git(&dir, &["push", "-q", &forge.http_url("/a%20b"), "HEAD:main"]).ok();
    agent.git(agent.home(), &["init", "-q", forge.data().join("tree").to_str().unwrap()]).ok();
    let said = refused(agent.git(&dir, &["push", &forge.ssh_url("tree"), "HEAD:refs/heads/main"]));
    assert!(said.contains("(branch is currently checked out)"), "{said}");
    agent.git(&dir, &["push", "-q", &forge.ssh_url("tree/.git"), "HEAD:refs/heads/topic"]).ok();
    let said = refused(agent.sh(agent.home(), &format!("ssh -p {} 127.0.0.1 feed", forge.ssh_port())));
    assert!(said.contains("git alone"), "{said}");
}

#[test]
fn the_repositorys_own_configuration_says_what_is_shown_and_let_in() {
    let forge = Forge::plain();
    let agent = forge.stranger("anybody");
    let (dir, repository) = (work(&agent), bare(&agent, &forge, "x.git"));
    let (http, ssh) = (forge.http_url("/x"), forge.ssh_url("x"));
    agent.git(&dir, &["push", "-q", &http, "HEAD:main", "HEAD:refs/secret/one"]).ok();
    let set = |key: &str, value: &str| drop(agent.git(&repository, &["config", key, value]).ok());

    set("transfer.hideRefs", "refs/secret");
    for url in [&http, &ssh] {
        for version in ["protocol.version=0", "protocol.version=2"] {
            let listed = stock(&agent, &dir, &["-c", version, "ls-remote", url]);
            assert!(listed.contains("refs/heads/main") && !listed.contains("secret"), "{listed}");
        }
        let said = refused(agent.git(&dir, &["push", url, "HEAD:refs/secret/two"]));
        assert!(said.contains("(deny updating a hidden ref)"), "{said}");
    }
    set("receive.denyDeletes", "true");
    let said = refused(agent.git(&dir, &["push", &http, ":main"]));
    assert!(said.contains("(deletion prohibited)"), "{said}");

    set("http.receivepack", "false");
    let said = refused(agent.git(&dir, &["push", &http, "HEAD:refs/heads/y"]));
    assert!(said.contains("Service not enabled: 'receive-pack'"), "{said}");
    agent.git(&dir, &["push", "-q", &ssh, "HEAD:refs/heads/y"]).ok();
    set("http.uploadpack", "false");
    let status = |path: &str| forge.get(path).0;
    assert_eq!(status("/x/info/refs?service=git-upload-pack"), 403);
    assert_eq!(status("/x/info/refs?service=git-other"), 403);
    assert_eq!(status("/x/info/refs"), 403);
    assert_eq!(status("/none/info/refs?service=git-upload-pack"), 404);
    assert_eq!(status("/x"), 404);
    set("http.uploadpack", "true");
    assert_eq!(status("/x/info/refs?service=git-upload-pack"), 200);

    set("extensions.objectFormat", "sha256");
    let said = refused(agent.git(&dir, &["ls-remote", &http]));
    assert!(said.contains("object format `sha256` is not supported"), "{said}");
}

#[test]
fn nothing_outside_of_the_directory_is_reached() {
    let forge = Forge::plain();
    let agent = forge.stranger("anybody");
    let outside = forge.scratch().join("outside");
    std::fs::create_dir(&outside).unwrap();
    agent.git(agent.home(), &["init", "-q", "--bare", outside.join("x.git").to_str().unwrap()]).ok();
    symlink(outside.join("x.git"), forge.data().join("link.git")).unwrap();
    symlink(&outside, forge.data().join("dir")).unwrap();
    let borrows = bare(&agent, &forge, "borrows.git");
    std::fs::write(borrows.join("objects/info/alternates"), format!("{}\n", outside.join("x.git/objects").display()))
        .unwrap();
    for path in ["link", "link.git", "dir/x", "dir/x.git", "../outside/x.git", "%2e%2e/outside/x.git", "borrows", "/"] {
        for url in [forge.http_url(&format!("/{path}")), forge.ssh_url(path)] {
            let said = refused(agent.git(agent.home(), &["ls-remote", &url]));
            assert!(!said.contains("refs/"), "{url}: {said}");
        }
        let raw = format!("/{path}/info/refs?service=git-upload-pack");
        let out: Out = forge.curl(&["--path-as-is", &forge.http_url(&raw)]);
        assert!(["404", "422"].iter().any(|status| out.stdout.ends_with(status)), "{path}: {}", out.stdout);
    }
    // A page of another site that gives its own name this machine's address.
    bare(&agent, &forge, "x.git");
    let refs = forge.http_url("/x/info/refs?service=git-upload-pack");
    assert!(forge.curl(&["-H", "Host: evil.example", &refs]).stdout.ends_with("403"));
    assert!(forge.curl(&["-H", "Host: localhost:1", &refs]).stdout.ends_with("200"));
}

#[test]
fn requests_that_are_not_gits_get_the_status_that_http_backend_gives() {
    let forge = Forge::plain();
    let agent = forge.stranger("anybody");
    bare(&agent, &forge, "x.git");
    let push = forge.http_url("/x/git-receive-pack");
    let kind = "Content-Type: application/x-git-receive-pack-request";
    let of = |args: &[&str]| {
        let out = forge.curl(&[&["-i"], args].concat());
        let (head, rest) = out.stdout.split_once("\r\n\r\n").expect("a head");
        let (body, status) = rest.rsplit_once('\n').expect("a status");
        (status.to_owned(), head.to_ascii_lowercase(), body.to_owned())
    };
    let (status, head, _) = of(&[&push]);
    assert!(status == "405" && head.contains("allow: post"), "{status} {head}");
    let (status, head, _) = of(&["-X", "PUT", &forge.http_url("/x/info/refs?service=git-upload-pack")]);
    assert!(status == "405" && head.contains("allow: get, head"), "{status} {head}");
    let (status, _, body) = of(&["-d", "0000", &push]);
    assert!(status == "415" && body.contains("application/x-git-receive-pack-request"), "{status} {body}");
    let (status, _, _) = of(&["-H", kind, "-H", "Content-Encoding: br", "-d", "0000", &push]);
    assert_eq!(status, "415");
    let (status, _, body) = of(&["-H", kind, "-H", "Content-Length: 99999999999", "-d", "0000", &push]);
    assert!(status == "413" && body.contains("larger than"), "{status} {body}");
    // With which git asks whether it may push, before it sends a large body; and a body in pieces.
    for more in [&[][..], &["-H", "Expect: 100-continue"], &["-H", "Transfer-Encoding: chunked"], &["--http2"]] {
        let (_, head, _) = of(&[&["-H", kind, "-d", "0000"], more, &[&push]].concat());
        assert!(head.contains(" 200") || head.contains(" 100"), "{more:?}: {head}");
    }
    let (status, head, body) = of(&["--http2-prior-knowledge", "-H", kind, "-d", "0000", &push]);
    assert!(status == "200" && head.starts_with("http/2 200") && body.is_empty(), "{head}");
    for header in ["expires: fri, 01 jan 1980", "pragma: no-cache", "cache-control: no-cache, max-age=0"] {
        assert!(head.contains(header), "{head}");
    }
}

#[test]
fn a_clone_does_not_rest_on_what_was_pruned() {
    let forge = Forge::plain();
    let agent = forge.stranger("anybody");
    let dir = work(&agent);
    let repository = bare(&agent, &forge, "pruned.git");
    let push = |tip: &str| agent.git(&dir, &["push", "-q", "-f", repository.to_str().unwrap(), tip]).ok();
    let url = forge.http_url("/pruned.git");
    let clone = |name: &str| {
        let copy = agent.clone_into(&url, name, &["--bare"]);
        agent.git(&copy, &["fsck", "--strict"]).ok();
        stock(&agent, &copy, &["rev-list", "--count", "--all"])
    };
    change(&agent, &dir, "two");
    push("HEAD:refs/heads/main");
    assert_eq!(clone("first"), "2");
    agent.git(&dir, &["reset", "-q", "--hard", "HEAD~1"]).ok();
    change(&agent, &dir, "another");
    push("HEAD:refs/heads/main");
    agent.git(&repository, &["gc", "-q", "--prune=now"]).ok();
    assert_eq!(clone("second"), "2");
    change(&agent, &dir, "three");
    push("HEAD:refs/heads/main");
    assert_eq!(clone("third"), "3");
}
