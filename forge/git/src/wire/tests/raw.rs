//! Requests that git would not send, or that are easier to read as bytes.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::harness::{Server, call, ok};
use crate::wire::{Protocol, Service, WireError, info_refs, pktline, serve};

const ZERO: &str = "0000000000000000000000000000000000000000";

pub fn framed(lines: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for line in lines {
        match *line {
            "0000" | "0001" => out.extend_from_slice(line.as_bytes()),
            _ => pktline::data(&mut out, line.as_bytes()),
        }
    }
    out
}

pub fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap().block_on(future)
}

fn ask(server: &Server, service: Service, protocol: Protocol, body: Vec<u8>) -> (String, Result<(), WireError>) {
    let (answer, done) = run(call(server.host.clone(), service, protocol, body));
    (String::from_utf8_lossy(&answer).into_owned(), done)
}

#[test]
fn versions_are_chosen_as_git_chooses_them() {
    for (value, version) in [
        (None, Protocol::V0),
        (Some("version=1"), Protocol::V1),
        (Some("foo:version=2:bar"), Protocol::V2),
        (Some("version=1:version=2"), Protocol::V2),
        (Some("version=3"), Protocol::V0),
        (Some("version=22"), Protocol::V0),
        (Some(""), Protocol::V0),
    ] {
        assert_eq!(Protocol::parse(value), version, "{value:?}");
    }
}

#[test]
fn the_first_request_of_http() {
    let server = Server::with_history();
    let get = |service, protocol| String::from_utf8(run(info_refs(server.host.clone(), service, protocol))).unwrap();
    assert!(get(Service::UploadPack, Protocol::V0).starts_with("001e# service=git-upload-pack\n0000"));
    assert!(get(Service::UploadPack, Protocol::V1).contains("0000000eversion 1\n"));
    assert!(get(Service::UploadPack, Protocol::V2).starts_with("000eversion 2\n"));
    let push = get(Service::ReceivePack, Protocol::V2);
    assert!(push.starts_with("001f# service=git-receive-pack\n0000") && push.contains("report-status"), "{push}");
    assert!(!push.contains("refs/hidden/"), "{push}");
}

#[test]
fn an_empty_probe_has_an_empty_answer() {
    let server = Server::with_history();
    for service in [Service::UploadPack, Service::ReceivePack] {
        for protocol in [Protocol::V0, Protocol::V1, Protocol::V2] {
            let (answer, done) = ask(&server, service, protocol, b"0000".to_vec());
            assert_eq!((answer.as_str(), done.is_ok()), ("", true), "{service:?} {protocol:?}");
        }
    }
}

#[test]
fn fetches_outside_the_protocol_are_refused_with_the_reason() {
    let server = Server::with_history();
    let main = server.bare(&["rev-parse", "main"]);
    let secret = server.bare(&["rev-parse", "refs/hidden/secret"]);
    let fetch = |line: &str| framed(&["command=fetch", "0001", &format!("want {main}"), line, "done\n", "0000"]);
    for (protocol, body, why) in [
        (Protocol::V2, framed(&["command=push", "0000"]), "unknown command `push`"),
        (Protocol::V2, framed(&["agent=x", "0000"]), "no command requested"),
        (Protocol::V2, framed(&["command=fetch", "object-format=sha256", "0000"]), "sha256"),
        (Protocol::V2, framed(&["command=fetch", "teleport", "0000"]), "unknown capability `teleport`"),
        (Protocol::V2, framed(&["command=fetch", "0001", "0001", "0000"]), "second delimiter"),
        (Protocol::V2, framed(&["command=ls-refs", "0001", "all", "0000"]), "unexpected line: `all`"),
        (Protocol::V2, fetch("want-ref refs/hidden/secret"), "unknown ref refs/hidden/secret"),
        (Protocol::V2, fetch("packfile-uris https"), "unexpected line"),
        (Protocol::V2, fetch("deepen -1"), "unexpected line: `deepen -1`"),
        (Protocol::V2, fetch("have --all"), "40 hexadecimal digits"),
        (Protocol::V2, fetch(&format!("want {secret}")), "not our ref"),
        (Protocol::V2, fetch("filter sparse:oid=refs/hidden/secret:secret"), "sparse:oid"),
        (Protocol::V0, framed(&[&format!("want {secret} ofs-delta"), "0000", "done\n"]), "not our ref"),
        (Protocol::V0, framed(&[&format!("want {main} object-format=sha256"), "0000"]), "sha256"),
        (Protocol::V0, framed(&[&format!("want {main}"), "give me all", "0000"]), "unexpected line"),
        (Protocol::V1, framed(&[&format!("want {main}")]), "connection ended"),
        (Protocol::V0, b"0001".to_vec(), "special pkt-line 0001"),
        (Protocol::V2, b"zzzz".to_vec(), "no pkt-line length"),
        (Protocol::V2, b"ffff".to_vec(), "longer than"),
    ] {
        let shown = String::from_utf8_lossy(&body).into_owned();
        let (answer, done) = ask(&server, Service::UploadPack, protocol, body);
        assert!(done.is_err(), "{shown}");
        assert!(answer.contains("ERR ") && answer.contains(why), "{shown}: {answer}");
        assert!(!answer.contains("PACK"), "{shown}: {answer}");
    }
}

#[test]
fn a_request_without_end_is_cut() {
    let server = Server::with_history();
    let main = server.bare(&["rev-parse", "main"]);
    let mut body = framed(&["command=fetch", "0001", &format!("want {main}")]);
    let have = framed(&[&format!("have {}", "12".repeat(20))]);
    while body.len() < 17 << 20 {
        body.extend_from_slice(&have);
    }
    let (answer, _) = ask(&server, Service::UploadPack, Protocol::V2, body);
    assert!(answer.contains("larger than 16777216 bytes"), "{answer}");
}

/// The report inside band 1 of an answer, or the text of the band that carries an error.
fn bands(answer: &str) -> (String, String) {
    let (mut report, mut rest) = (String::new(), String::new());
    for packet in pktline::payloads(answer.as_bytes()) {
        match packet.split_first() {
            Some((1, bytes)) => report.push_str(&String::from_utf8_lossy(bytes)),
            Some((_, bytes)) => rest.push_str(&String::from_utf8_lossy(bytes)),
            None => {}
        }
    }
    (report, rest)
}

#[test]
fn a_push_with_a_bad_pack_gets_its_report() {
    let server = Server::with_history();
    let main = server.bare(&["rev-parse", "main"]);
    let command = format!("{ZERO} {main} refs/heads/x\0report-status side-band-64k object-format=sha1");
    for pack in [&b""[..], b"PACK", b"PACK\0\0\0\x02\0\0\0\x09 and no more", b"hello, this is no pack at all"] {
        let mut body = framed(&[&command, "0000"]);
        body.extend_from_slice(pack);
        let (answer, done) = ask(&server, Service::ReceivePack, Protocol::V0, body);
        assert!(done.is_ok());
        let (report, _) = bands(&answer);
        assert!(report.contains("unpack ") && !report.contains("unpack ok"), "{pack:?}: {report}");
        assert!(report.contains("ng refs/heads/x unpacker error"), "{pack:?}: {report}");
    }
    assert_eq!(server.bare(&["for-each-ref", "refs/heads/x"]), "");
}

#[test]
fn a_push_of_objects_that_are_not_there_is_refused() {
    let server = Server::with_history();
    let absent = "34".repeat(20);
    let mut body = framed(&[&format!("{ZERO} {absent} refs/heads/x\0report-status"), "0000"]);
    ok(server.temp.path(), &["init", "-q", "empty"]);
    let pack = super::harness::git_command(&server.path("empty"))
        .args(["pack-objects", "--stdout", "-q"])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    body.extend_from_slice(&pack.stdout);
    let (answer, _) = ask(&server, Service::ReceivePack, Protocol::V0, body);
    assert!(answer.contains("ng refs/heads/x missing necessary objects"), "{answer}");
}

#[test]
fn pushes_outside_the_protocol_are_refused_with_the_reason() {
    let server = Server::with_history();
    let main = server.bare(&["rev-parse", "main"]);
    let first = |more: &str| format!("{ZERO} {main} refs/heads/x\0report-status side-band-64k {more}");
    let signed = format!("certificate version 0.1\npusher a\n\n{ZERO} {main} refs/heads/y\n");
    for (body, why) in [
        (framed(&[&first("object-format=sha256"), "0000"]), "sha256"),
        (framed(&["push-cert\0report-status", "x\n", "push-cert-end\n", "0000"]), "malformed push certificate"),
        (framed(&["push-cert\0report-status", "x\n"]), "rest of a push certificate"),
        (framed(&[&first(""), "push-cert", &signed, "push-cert-end\n", "0000"]), "both push certificate and unsigned"),
        (framed(&[&first(""), "rubbish", "0000"]), "expected old/new/ref"),
        (framed(&[&first("push-options"), "0000", "\u{0}", &"x".repeat(5000), "0000"]), "4096 bytes in a push option"),
        (framed(&[&first("")]), "connection ended"),
    ] {
        let (answer, done) = ask(&server, Service::ReceivePack, Protocol::V0, body);
        assert!(done.is_err() && answer.contains(why), "{why}: {answer}");
    }
    let twice = framed(&[&first(""), &format!("{ZERO} {main} refs/heads/x"), "0000"]);
    let (answer, _) = ask(&server, Service::ReceivePack, Protocol::V0, twice);
    assert_eq!(bands(&answer).0.matches("ng refs/heads/x several updates of one ref").count(), 2, "{answer}");
}

#[test]
fn a_client_that_leaves_takes_the_child_of_a_sparse_filter_along() {
    let server = Server::with_history();
    let main = server.bare(&["rev-parse", "main"]);
    let filter = format!("filter sparse:oid={}", server.bare(&["rev-parse", "main:dir0/file0"]));
    let (host, dir) = (server.host.clone(), server.path("repo.git").canonicalize().unwrap());
    let children = || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        processes.filter(|p| std::fs::read_link(p.path().join("cwd")).is_ok_and(|cwd| cwd == dir)).count()
    };
    run(async {
        let (mut near, far) = tokio::io::duplex(1 << 10);
        let (reader, writer) = tokio::io::split(far);
        let serving = tokio::spawn(serve(host, Service::UploadPack, Protocol::V0, reader, writer));
        let advertised = async {
            let (mut seen, mut chunk) = (Vec::new(), [0; 512]);
            while !seen.ends_with(b"0000") {
                let read = near.read(&mut chunk).await.unwrap();
                seen.extend_from_slice(&chunk[..read]);
            }
        };
        advertised.await;
        // A have that is unknown makes the child answer, so it runs; then it waits for more.
        let wants = [
            format!("want {main} multi_ack_detailed filter"),
            filter.clone(),
            "0000".into(),
            format!("have {}", "12".repeat(20)),
            "0000".into(),
        ];
        near.write_all(&framed(&wants.each_ref().map(String::as_str))).await.unwrap();
        let mut answer = [0; 8];
        near.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"0008NAK\n");
        assert_eq!(children(), 1);
        drop(near);
        assert!(serving.await.unwrap().is_err());
    });
    assert_eq!(children(), 0);
}

#[test]
fn a_door_that_drops_a_conversation_kills_its_child() {
    let server = Server::with_history();
    let (host, dir) = (server.host.clone(), server.path("repo.git").canonicalize().unwrap());
    let main = server.bare(&["rev-parse", "main"]);
    let filter = format!("filter sparse:oid={}", server.bare(&["rev-parse", "main:dir0/file0"]));
    let running = || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let here = processes.filter(|p| std::fs::read_link(p.path().join("cwd")).is_ok_and(|cwd| cwd == dir));
        let state = |p: std::fs::DirEntry| std::fs::read_to_string(p.path().join("stat")).unwrap_or_default();
        here.map(state).filter(|s| !s.contains(") Z ") && !s.is_empty()).count()
    };
    run(async {
        let (mut near, far) = tokio::io::duplex(64 << 10);
        let (reader, writer) = tokio::io::split(far);
        let serving = tokio::spawn(serve(host, Service::UploadPack, Protocol::V0, reader, writer));
        let wants = [
            format!("want {main} multi_ack_detailed filter"),
            filter.clone(),
            "0000".into(),
            format!("have {}", "12".repeat(20)),
            "0000".into(),
        ];
        near.write_all(&framed(&wants.each_ref().map(String::as_str))).await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"0008NAK\n") {
            let mut chunk = [0; 512];
            let read = near.read(&mut chunk).await.unwrap();
            seen.extend_from_slice(&chunk[..read]);
        }
        assert_eq!(running(), 1);
        serving.abort();
        assert!(serving.await.is_err());
        for _ in 0..1000 {
            if running() == 0 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("the child still runs");
    });
}
