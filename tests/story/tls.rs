//! HTTP under TLS: git, curl and pages over it, a renewal without a restart, and pairs that are none.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use tests::{Forge, Out, flow, out, tool};

/// A key and a certificate for this machine, signed by itself: `<name>.key` and `<name>.crt` in `dir`.
fn pair(dir: &Path, name: &str) {
    let mut command = out::limited("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
    command.args(["-subj", "/CN=forge", "-addext", "subjectAltName=IP:127.0.0.1"]);
    command.args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.crt")]).current_dir(dir);
    out::run(&mut command, None).ok();
}

/// Puts the pair `name` in place, as a program that renews certificates does: each file by a rename.
fn place(dir: &Path, certificate: &str, key: &str) {
    for (from, to) in [(format!("{key}.key"), "live.key"), (format!("{certificate}.crt"), "live.crt")] {
        fs::copy(dir.join(from), dir.join("new")).unwrap();
        fs::rename(dir.join("new"), dir.join(to)).unwrap();
    }
}

fn asked(forge: &Forge, trusted: &str, more: &[&str]) -> Out {
    let trusted = forge.scratch().join(trusted);
    let url = format!("https://127.0.0.1:{}/skill.md", forge.http_port());
    forge.curl(&[&["--cacert", trusted.to_str().unwrap(), &url], more].concat())
}

/// Waits until a certificate is served: the server looks at its files once a second, when somebody comes.
fn until_served(forge: &Forge, trusted: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while asked(forge, trusted, &[]).code != 0 {
        assert!(Instant::now() < deadline, "{trusted} is not served");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn http_is_encrypted_where_there_is_a_certificate_and_a_renewal_takes_no_restart() {
    let mut forge = Forge::start();
    assert_eq!(forge.stop(), 0);
    let dir = forge.scratch().to_owned();
    ["first", "second", "other"].iter().for_each(|name| pair(&dir, name));
    place(&dir, "first", "first");
    let live = |name: &str| dir.join(name).display().to_string();
    forge.set_flags(&["--tls-cert", &live("live.crt"), "--tls-key", &live("live.key")]);
    forge.up();

    // Both versions of HTTP, the whole skill with addresses that are encrypted, and nobody whom the client does not trust.
    let url = format!("https://127.0.0.1:{}", forge.http_port());
    for (flag, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let said = asked(&forge, "first.crt", &[flag, "-w", "\n%{http_version}"]).ok();
        assert!(said.stdout.ends_with(version) && said.stdout.contains(&url), "{said}");
    }
    asked(&forge, "second.crt", &[]).fails();
    forge.curl(&[&forge.http_url("/healthz")]).fails();

    // git over it, there and back.
    let alpha = forge.agent("alpha");
    let work = flow::found_project(&alpha, "parser", &[("README.md", "one\n")]);
    let trust = format!("http.sslCAInfo={}", live("first.crt"));
    let bearer = format!("http.extraHeader=Authorization: Bearer {}", alpha.token(""));
    flow::write(&work, "more", "more\n");
    alpha.git(&work, &["add", "-A"]).ok();
    alpha.git(&work, &["commit", "-q", "-m", "More"]).ok();
    let parser = format!("{url}/parser");
    alpha.git(&work, &["-c", &trust, "-c", &bearer, "push", "-q", &parser, "HEAD:refs/heads/alpha/more"]).ok();
    let listed = alpha.git(&work, &["-c", &trust, "ls-remote", &parser, "refs/heads/alpha/more"]).ok();
    assert!(listed.text().ends_with("refs/heads/alpha/more"), "{listed}");

    place(&dir, "second", "second");
    until_served(&forge, "second.crt");
    asked(&forge, "first.crt", &[]).fails();

    // A certificate whose key has not come yet is not taken.
    place(&dir, "other", "second");
    std::thread::sleep(Duration::from_millis(1100));
    until_served(&forge, "second.crt");
    asked(&forge, "other.crt", &[]).fails();
    assert!(forge.log().contains("is not taken; the one before is served on"), "{}", forge.log());
    place(&dir, "other", "other");
    until_served(&forge, "other.crt");
}

#[test]
fn a_certificate_and_a_key_that_are_no_pair_are_refused_with_the_flags() {
    let dir = tempfile::tempdir().unwrap();
    ["one", "two"].iter().for_each(|name| pair(dir.path(), name));
    fs::write(dir.path().join("empty"), "").unwrap();
    let serve = |flags: &[(&str, &str)]| {
        let mut line = vec!["serve".to_owned(), "--ssh".to_owned(), "127.0.0.1:0".to_owned()];
        line.extend(["--http", "127.0.0.1:0", "--data"].map(str::to_owned));
        line.push(dir.path().join("data").display().to_string());
        line.extend(
            flags.iter().flat_map(|(flag, file)| [(*flag).to_owned(), dir.path().join(file).display().to_string()]),
        );
        tool(&line.iter().map(String::as_str).collect::<Vec<_>>()).exits(1)
    };
    serve(&[("--tls-cert", "one.crt")]).says("a TLS certificate alone is no pair").says("next: forge serve --tls-key");
    serve(&[("--tls-key", "one.key")]).says("a TLS key alone is no pair").says("next: forge serve --tls-cert");
    serve(&[("--tls-cert", "one.crt"), ("--tls-key", "two.key")]).says("does not go with").says("next: forge serve");
    serve(&[("--tls-cert", "empty"), ("--tls-key", "two.key")]).says("no certificate as PEM");
    serve(&[("--tls-cert", "one.crt"), ("--tls-key", "empty")]).says("no private key as PEM");
    serve(&[("--tls-cert", "none"), ("--tls-key", "two.key")]).says("No such file");
}
