//! Pushes that their pusher signed, and the one address of each page.

use std::path::Path;

use tests::{Agent, Forge, Out, flow};

/// `git push --signed` to a branch of `pusher`'s, signed with the key of `signer`.
fn push(pusher: &Agent, signer: &Agent, dir: &Path, url: &str, login: &[&str], branch: &str) -> Out {
    let key = format!("user.signingKey={}", signer.key_path().display());
    let target = format!("HEAD:refs/heads/{}/{branch}", pusher.name);
    let signing = ["-c", "gpg.format=ssh", "-c", &key];
    pusher.git(dir, &[&signing[..], login, &["push", "--signed", url, &target]].concat())
}

#[test]
fn a_signed_push_lands_with_one_of_the_pushers_own_keys_and_no_other() {
    let forge = Forge::start();
    let (alpha, beta) = (forge.agent("alpha"), forge.agent("beta"));
    let dir = flow::found_project(&beta, "parser", &[("README.md", "one\n")]);
    flow::write(&dir, "more", "more\n");
    beta.git(&dir, &["add", "-A"]).ok();
    beta.git(&dir, &["commit", "-q", "-m", "More"]).ok();
    let bearer = format!("http.extraHeader=Authorization: Bearer {}", beta.token(""));
    let doors = [(forge.ssh_url("parser"), vec![]), (forge.http_url("/parser"), vec!["-c", bearer.as_str()])];
    for (number, (url, login)) in doors.iter().enumerate() {
        push(&beta, &beta, &dir, url, login, &format!("own-{number}")).ok();
        let foreign = push(&beta, &alpha, &dir, url, login, &format!("foreign-{number}")).fails();
        foreign.says("is no key of beta");
    }
    let listed = beta.git(&dir, &["ls-remote", &doors[0].0]).ok();
    let listed = listed.text();
    assert!(listed.contains("beta/own-0") && listed.contains("beta/own-1") && !listed.contains("foreign"), "{listed}");
}

#[test]
fn other_spellings_of_an_address_lead_to_the_one_and_git_follows() {
    let forge = Forge::start();
    let alpha = forge.agent("alpha");
    flow::found_project(&alpha, "parser", &[("README.md", "one\n")]);
    for (asked, place) in [
        ("/parser/", "/parser"),
        ("/parser.git/", "/parser"),
        ("//parser//issues?x=1", "/parser/issues?x=1"),
        ("//example.org/", "/example.org"),
    ] {
        let out = forge.curl(&["-i", "--path-as-is", &forge.http_url(asked)]).ok();
        assert!(out.stdout.to_lowercase().contains(&format!("\r\nlocation: {place}\r\n")), "{asked}: {}", out.stdout);
        assert!(out.stdout.ends_with("301"), "{asked}");
    }
    for (number, spelled) in ["/parser", "/parser.git", "/parser/", "/parser.git/", "//parser"].iter().enumerate() {
        alpha.clone_into(&forge.http_url(spelled), &format!("clone-{number}"), &[]);
    }
}
