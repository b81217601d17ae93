//! The server as its operator knows it, and bad input at its doors.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use tests::out;
use tests::plumbing::{self, ZERO, flip_byte, pack_of, packs, post_push, push_body, remote_ref};
use tests::{Agent, Forge, forge_bin};
use tests::{flow, memory};

/// `forge serve` that is expected to end by itself.
fn serve(data: &str, ssh: &str, http: &str) -> tests::Out {
    let mut command = out::limited(forge_bin());
    command.args(["serve", "--data", data, "--ssh", ssh, "--http", http]);
    out::run(&mut command, None)
}

fn with_project() -> (Forge, Agent, std::path::PathBuf) {
    let forge = Forge::start();
    let alpha = forge.agent("alpha");
    let dir = flow::found_project(&alpha, "parser", &[("README.md", "parser\n")]);
    (forge, alpha, dir)
}

#[test]
fn a_taken_port_is_named_and_nothing_is_founded_twice() {
    let forge = Forge::start();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = forge.scratch().join("other").to_str().unwrap().to_owned();
    serve(&data, &address, "127.0.0.1:0").fails().says(&address);
    serve(&data, "127.0.0.1:0", &address).fails().says(&address);
    // What the failed starts left behind, if anything, serves.
    let second = forge.beside(&forge.scratch().join("other"));
    second.agent("alpha");
}

#[test]
fn a_second_server_on_the_same_data_is_refused_until_the_first_is_gone() {
    let (mut forge, alpha, _) = with_project();
    let data = forge.data().to_str().unwrap().to_owned();
    serve(&data, "127.0.0.1:0", "127.0.0.1:0").fails().says("in use").says(&data);
    alpha.ssh("whoami").ok();
    forge.kill();
    forge.up();
    alpha.ssh("whoami").ok().says("alpha");
}

#[test]
fn settings_are_read_in_order_and_unknown_keys_are_named() {
    let forge = Forge::start();
    let file = forge.scratch().join("forge.toml");
    let data = forge.scratch().join("configured").to_str().unwrap().to_owned();
    fs::write(&file, "htpp = \"127.0.0.1:0\"\n").unwrap();
    let mut command = out::limited(forge_bin());
    command.args(["serve", "--data", &data, "--config", file.to_str().unwrap()]);
    out::run(&mut command, None).fails().says("htpp");
    serve(&data, "0.0.0.0:0", "127.0.0.1:0").fails().says("public");
}

#[test]
fn a_polite_stop_ends_with_0_and_everything_is_there_afterwards() {
    let (mut forge, alpha, dir) = with_project();
    alpha.git(&dir, &["push", "-q", "origin", "HEAD:refs/heads/alpha/kept"]).ok();
    assert_eq!(forge.stop(), 0);
    assert_eq!(alpha.ssh("feed").code, 255, "nobody listens");
    // On disk, without any server, the refs are those that were served.
    let tip = plumbing::git(&forge.repository("parser"), &["rev-parse", "refs/heads/alpha/kept"]).ok();
    forge.up();
    assert_eq!(remote_ref(&alpha, "parser", "refs/heads/alpha/kept").as_deref(), Some(tip.text()));
    assert_eq!(forge.get("/healthz").0, 200);
}

#[test]
fn a_torn_temporary_pack_is_swept_away() {
    let (mut forge, alpha, _) = with_project();
    forge.kill();
    let pack_dir = forge.repository("parser").join("objects/pack");
    let torn = [pack_dir.join("tmp_b000000000000001"), pack_dir.join("tmp_pack_Ab12Cd")];
    for file in &torn {
        fs::write(file, b"PACK\0\0\0\x02\0\0\0\x03torn").unwrap();
    }
    forge.up();
    alpha.ssh("issue new parser --title Still-here").ok();
    assert!(torn.iter().all(|file| !file.exists()));
    // Refs on disk lag behind a running server; a polite stop writes them.
    assert_eq!(forge.stop(), 0);
    plumbing::assert_clean(&forge.repository("parser"));
}

#[test]
fn a_damaged_named_pack_isolates_its_repository_and_no_other() {
    let (mut forge, alpha, _) = with_project();
    flow::found_project(&alpha, "lexer", &[("README.md", "lexer\n")]);
    flow::open_issue(&alpha, "parser", "Before the damage");
    forge.kill();
    let newest = packs(&forge.repository("parser"), "pack-b").pop().unwrap();
    let size = fs::metadata(&newest).unwrap().len() as usize;
    flip_byte(&newest, size / 2);
    forge.up();
    let (_, error) = alpha.refusal("issue new parser --title Into-the-damage");
    assert!(error["why"].as_str().unwrap().contains("parser") || error["what"].as_str().unwrap().contains("parser"));
    let work = alpha.home().join("parser-first");
    alpha.git(&work, &["push", "-q", "origin", "HEAD:refs/heads/alpha/x"]).fails();
    flow::open_issue(&alpha, "lexer", "Others serve on");
    alpha.ssh("feed").ok();
    assert!(forge.log().contains("parser"), "the log should say which repository");
    // The evidence is kept, under whatever name.
    let kept = fs::read_dir(forge.repository("parser").join("objects/pack")).unwrap().count();
    assert!(kept > 0);
    tests::tool(&["verify", forge.data().to_str().unwrap()]).fails().says("parser");
}

#[test]
fn broken_packs_cost_their_sender_the_push_and_nobody_anything_else() {
    let (forge, alpha, dir) = with_project();
    let token = alpha.token("");
    flow::write(&dir, "more.txt", &"more\n".repeat(500));
    alpha.git(&dir, &["add", "-A"]).ok();
    alpha.git(&dir, &["commit", "-q", "-m", "More"]).ok();
    let tip = alpha.git(&dir, &["rev-parse", "HEAD"]).ok().text().to_owned();
    let old = alpha.git(&dir, &["rev-parse", "HEAD~1"]).ok().text().to_owned();
    let whole = pack_of(&alpha, &dir, &tip, Some(&old));
    let name = "refs/heads/alpha/broken";

    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let mut many = whole.clone();
    many[8..12].copy_from_slice(&u32::MAX.to_be_bytes());
    // A blob that declares 2^40 bytes and holds none.
    let mut huge = b"PACK\0\0\0\x02\0\0\0\x01".to_vec();
    huge.extend([0xb0, 0x80, 0x80, 0x80, 0x80, 0x40]);
    huge.extend([0x78, 0x9c, 0x03, 0, 0, 0, 0, 1]);
    let cases = [
        ("truncated", whole[..whole.len() / 2].to_vec()),
        ("only a header", whole[..12].to_vec()),
        ("nothing", Vec::new()),
        ("flipped", flipped),
        ("too many objects", sealed(&alpha, many[..many.len() - 20].to_vec())),
        ("too large an object", sealed(&alpha, huge)),
        ("no pack at all", b"HELLO, this is no pack at all, but it is long enough".to_vec()),
        ("the wrong objects", pack_of(&alpha, &dir, &old, None)),
    ];
    for (what, pack) in &cases {
        let (status, answer) = post_push(&forge, &token, "parser", &push_body(&[(ZERO, &tip, name)], pack));
        assert!((200..500).contains(&status), "{what}: {status} {answer}");
        assert!(!answer.contains("ok refs/heads/alpha/broken"), "{what}: {answer}");
        assert_eq!(remote_ref(&alpha, "parser", name), None, "{what}");
    }
    let left: Vec<_> = fs::read_dir(forge.repository("parser").join("objects/pack"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("tmp_") || name.starts_with("pack-c"))
        .collect();
    assert!(left.is_empty(), "nothing of a refused push stays: {left:?}");
    // The same push, whole, lands.
    let (status, answer) = post_push(&forge, &token, "parser", &push_body(&[(ZERO, &tip, name)], &whole));
    assert!(status == 200 && answer.contains(&format!("ok {name}")), "{status} {answer}");
}

/// A pack body with the checksum that makes it whole.
fn sealed(agent: &Agent, body: Vec<u8>) -> Vec<u8> {
    let file = agent.home().join("unsealed.pack");
    fs::write(&file, &body).unwrap();
    let sum = agent.sh(agent.home(), "sha1sum unsealed.pack").ok().stdout;
    let digits = sum.split_whitespace().next().unwrap();
    let bytes = (0..20).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap());
    body.into_iter().chain(bytes).collect()
}

#[test]
fn wrong_old_values_and_names_that_nobody_may_push_are_refused_at_the_wire() {
    let (forge, alpha, dir) = with_project();
    let beta = forge.agent("beta");
    let token = beta.token("");
    let main = remote_ref(&alpha, "parser", "refs/heads/main").unwrap();
    alpha.git(&dir, &["commit", "-q", "--allow-empty", "-m", "Next"]).ok();
    let next = alpha.git(&dir, &["rev-parse", "HEAD"]).ok().text().to_owned();
    let pack = pack_of(&alpha, &dir, &next, None);
    let push = |commands: &[(&str, &str, &str)]| post_push(&forge, &token, "parser", &push_body(commands, &pack)).1;
    let own = "refs/heads/beta/own";
    assert!(push(&[(ZERO, &main, own)]).contains("ok refs/heads/beta/own"));
    let before = beta.git(beta.home(), &["ls-remote", &beta.ssh_url("parser")]).ok().stdout;

    for (what, old, new, name) in [
        ("it exists", ZERO, next.as_str(), own),
        ("it is elsewhere", next.as_str(), next.as_str(), own),
        ("it does not exist", main.as_str(), next.as_str(), "refs/heads/beta/absent"),
        ("nothing to nothing", ZERO, ZERO, "refs/heads/beta/absent"),
        ("deleted with the wrong value", next.as_str(), ZERO, own),
        ("an object nobody has", main.as_str(), "1234567890123456789012345678901234567890", own),
        ("the default branch", main.as_str(), next.as_str(), "refs/heads/main"),
        ("the ledger", ZERO, next.as_str(), "refs/forge/ledger"),
        ("a chain", ZERO, next.as_str(), "refs/forge/issues/1"),
        ("a pull request's head", ZERO, next.as_str(), "refs/pull/1/head"),
        ("the forge's notes", ZERO, next.as_str(), "refs/notes/forge/traces"),
        ("another agent's records", ZERO, next.as_str(), "refs/notes/forge/in/alpha/01J"),
        ("HEAD", ZERO, next.as_str(), "HEAD"),
        ("a way out", ZERO, next.as_str(), "refs/heads/../../../../tmp/x"),
        ("a lock", ZERO, next.as_str(), "refs/heads/x.lock"),
        ("an option", ZERO, next.as_str(), "refs/heads/-h"),
        ("an id", ZERO, next.as_str(), "refs/heads/0123456789012345678901234567890123456789"),
        ("not below refs/", ZERO, next.as_str(), "config"),
        ("a control character", ZERO, next.as_str(), "refs/heads/a\u{1b}[31m"),
    ] {
        let answer = push(&[(old, new, name)]);
        assert!(!answer.contains(&format!("ok {name}")), "{what}: {answer}");
        assert!(!answer.contains('\u{1b}'), "{what}: control characters come back: {answer:?}");
        let after = beta.git(beta.home(), &["ls-remote", &beta.ssh_url("parser")]).ok().stdout;
        assert_eq!(after, before, "{what}");
    }
    let twice = push(&[(main.as_str(), &next, own), (main.as_str(), ZERO, own)]);
    assert!(!twice.contains("ok refs/heads/beta/own"), "one name twice: {twice}");
}

#[test]
fn neither_door_opens_a_repository_by_a_crooked_name() {
    let (forge, alpha, _) = with_project();
    fs::create_dir_all(forge.scratch().join("outside.git")).unwrap();
    for name in
        ["../outside", "parser/../parser", ".git", "-h", "--upload-pack=x", "parser.lock", "PARSER", "a b", "%2e%2e"]
    {
        alpha.git(alpha.home(), &["ls-remote", &format!("ssh://127.0.0.1:{}/{name}", forge.ssh_port())]).fails();
        let (status, _) = tests::server::split_status(&forge.curl(&[
            "--path-as-is",
            &forge.http_url(&format!("/{}/info/refs?service=git-upload-pack", name.replace(' ', "%20"))),
        ]));
        assert!((400..500).contains(&status), "{name}: {status}");
    }
    for line in
        ["git-upload-pack", "git-upload-pack ''", "git-receive-pack '/../../etc'", "git-upload-archive '/parser'"]
    {
        alpha.ssh(line).fails();
    }
    alpha.git(alpha.home(), &["ls-remote", &alpha.ssh_url("forge")]).ok();
}

#[test]
fn strangers_and_voided_credentials_read_at_most_what_is_public() {
    let (forge, alpha, dir) = with_project();
    let stranger = forge.stranger("mallory");
    let (code, _) = stranger.refusal("issue new parser --title Mine");
    assert_eq!(code, 4);
    stranger.git(stranger.home(), &["clone", "-q", &stranger.ssh_url("parser"), "copy"]).fails().says("register");
    stranger.ssh("register alpha").fails();
    stranger.ssh("register feed").exits(2).says("reserved");

    let token = alpha.token("");
    assert_eq!(alpha.action(&token, "whoami").0, 200);
    let listed = alpha.json("whoami");
    assert_eq!(tests::agent::text(&listed, "/agent"), "alpha");
    let id = tests::agent::text(&alpha.json("token --ttl 60s"), "/id");
    assert!(!id.is_empty());
    assert!((401..404).contains(&alpha.action("no-such-token", "whoami").0));
    assert!((401..404).contains(&alpha.action("no-such-token", "help").0), "a void token is never anonymous");

    // A new key may do what the first may; once revoked, it is a stranger's again.
    let second = forge.stranger("alpha-laptop");
    let add = alpha.ssh_with("key add -", &second.public_key());
    add.ok();
    second.ssh("whoami").ok().says("alpha");
    let print = second.sh(second.home(), "ssh-keygen -lf .ssh/forge.pub | cut -d' ' -f2").ok().text().to_owned();
    alpha.ssh(&format!("key revoke {print}")).ok();
    assert_eq!(second.refusal("feed").0, 4);
    second.git(&dir, &["push", &second.ssh_url("parser"), "HEAD:refs/heads/alpha/stolen"]).fails();
}

#[test]
fn a_client_that_goes_away_in_the_middle_leaves_nothing() {
    let (forge, alpha, dir) = with_project();
    alpha.sh(&dir, "head -c 12000000 /dev/urandom > noise.bin").ok();
    alpha.git(&dir, &["add", "-A"]).ok();
    alpha.git(&dir, &["commit", "-q", "-m", "Noise"]).ok();
    let tip = alpha.git(&dir, &["rev-parse", "HEAD"]).ok().text().to_owned();
    let pack = pack_of(&alpha, &dir, &tip, None);
    let body = push_body(&[(ZERO, &tip, "refs/heads/alpha/half")], &pack[..pack.len() / 2]);
    let file = alpha.home().join("half");
    fs::write(&file, &body).unwrap();
    // Announces more than it sends, then hangs up.
    let token = alpha.token("");
    let script = format!(
        "exec 3<>/dev/tcp/127.0.0.1/{}; printf 'POST /parser/git-receive-pack HTTP/1.1\\r\\nHost: x\\r\\nAuthorization: \
         Bearer {token}\\r\\nContent-Type: application/x-git-receive-pack-request\\r\\nContent-Length: 99999999\\r\\n\\r\\n' >&3; \
         cat half >&3; exec 3>&-",
        forge.http_port()
    );
    let mut bash = Command::new("timeout");
    bash.args(["-k", "5", "60", "bash", "-c", &script]).current_dir(alpha.home());
    out::run(&mut bash, None).ok();
    assert_eq!(remote_ref(&alpha, "parser", "refs/heads/alpha/half"), None);
    alpha.git(&dir, &["push", "-q", "origin", "HEAD:refs/heads/alpha/half"]).ok();
    assert_eq!(remote_ref(&alpha, "parser", "refs/heads/alpha/half"), Some(tip));
}

#[test]
fn a_server_that_takes_more_memory_than_its_caps_allow_fails_its_story() {
    let mut forge = Forge::start();
    let (peak, ceiling) = (forge.peak_memory(), memory::ceiling());
    assert!(peak > 1 && peak < ceiling, "{peak} of {ceiling} MiB");
    forge.set_ceiling(1);
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(forge)));
    let said = ended.unwrap_err().downcast::<String>().unwrap();
    assert!(said.contains("above its ceiling of 1 MiB"), "{said}");
    // Whether it is killed, stopped or dropped, and whatever is started afterwards.
    let mut forge = Forge::start();
    forge.set_ceiling(1);
    assert_eq!(forge.stop(), 0);
    forge.set_ceiling(ceiling);
    forge.up();
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(forge))).is_err());
}

#[test]
fn an_agent_holds_so_many_refs_of_a_project_and_no_more() {
    let few = [("FORGE_LIMIT_REFS_EACH", "3")];
    let mut forge = Forge::start_with(&few);
    let (alpha, beta) = (forge.agent("alpha"), forge.agent("beta"));
    flow::found_project(&beta, "parser", &[("README.md", "parser\n")]);
    let dir = alpha.clone_into(&alpha.ssh_url("parser"), "parser", &[]);
    let push = |names: &[&str]| {
        let specs: Vec<String> = names.iter().map(|name| format!("HEAD:refs/{name}")).collect();
        let words: Vec<&str> = ["push", "origin"].into_iter().chain(specs.iter().map(String::as_str)).collect();
        alpha.git(&dir, &words)
    };
    push(&["heads/a", "heads/b", "tags/c"]).ok();
    let why = "refs-each: alpha holds 3 refs of parser already: delete what is done with";
    push(&["heads/d"]).fails().says(why).says("next: ssh forge project show parser");
    alpha.git(&dir, &["push", "-q", "origin", ":refs/tags/c"]).ok();
    // Within one push too, and what is there may move.
    push(&["heads/a", "heads/d", "tags/e"]).fails().says(why);
    assert!(remote_ref(&alpha, "parser", "refs/heads/d").is_some());
    assert_eq!(remote_ref(&alpha, "parser", "refs/tags/e"), None);
    // Another agent has room of its own, and a start counts the same.
    beta.git(beta.home().join("parser-first"), &["push", "-q", "origin", "HEAD:refs/heads/beta/x"]).ok();
    assert_eq!(forge.stop(), 0);
    forge.try_up(&few).unwrap();
    push(&["tags/e"]).fails().says(why);
}
