//! Fetches that git would not send, or whose bytes matter: what may be wanted, what is offered, what is refused.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::harness::{Server, call, commit, everything, fails, ok};
use super::raw::{framed, run};
use crate::wire::{FetchOffer, Filters, Protocol, Service, Wants, info_refs, serve};

fn ask(server: &Server, protocol: Protocol, lines: &[&str]) -> String {
    let (answer, _) = run(call(server.host.clone(), Service::UploadPack, protocol, framed(lines)));
    String::from_utf8_lossy(&answer).into_owned()
}

fn want(server: &Server, protocol: Protocol, id: &str, more: &[&str]) -> String {
    let want = format!("want {id}");
    match protocol {
        Protocol::V2 => {
            let lines = [&["command=fetch", "0001", &want], more, &["done", "0000"]].concat();
            ask(server, protocol, &lines)
        }
        _ => {
            let want = format!("{want} side-band-64k filter");
            ask(server, protocol, &[&[want.as_str()], more, &["0000", "done"]].concat())
        }
    }
}

/// The whole conversation about one want, where the advertisement is part of it.
fn over_a_stream(server: &Server, protocol: Protocol, id: &str) -> String {
    let (host, want) = (server.host.clone(), format!("want {id} side-band-64k"));
    run(async {
        let (near, far) = tokio::io::duplex(64 << 10);
        let (reader, writer) = tokio::io::split(far);
        let serving = tokio::spawn(serve(host, Service::UploadPack, protocol, reader, writer));
        let (mut from, mut to) = tokio::io::split(near);
        to.write_all(&framed(&[&want, "0000", "done"])).await.unwrap();
        let mut answer = Vec::new();
        from.read_to_end(&mut answer).await.unwrap();
        drop(serving.await.unwrap());
        String::from_utf8_lossy(&answer).into_owned()
    })
}

/// Commits, trees, blobs and tags that only a hidden ref reaches, that no ref reaches, and that never were.
fn invisible(server: &Server) -> Vec<String> {
    let seed = server.path("seed");
    ok(&seed, &["checkout", "-q", "--detach"]);
    commit(&seed, "aborted", "never landed\n", 123);
    ok(&seed, &["tag", "-a", "-m", "hidden too", "hidden-tag"]);
    ok(&seed, &["push", "-q", "../repo.git", "HEAD:refs/hidden/aborted", "hidden-tag:refs/hidden/tag"]);
    let mut ids: Vec<String> = ["refs/hidden/secret", "refs/hidden/secret^{tree}", "refs/hidden/secret:secret"]
        .iter()
        .chain(&["refs/hidden/tag", "refs/hidden/aborted", "refs/hidden/aborted^{tree}", "refs/hidden/aborted:aborted"])
        .map(|name| server.bare(&["rev-parse", name]))
        .collect();
    server.bare(&["update-ref", "-d", "refs/hidden/aborted"]);
    server.bare(&["update-ref", "-d", "refs/hidden/tag"]);
    ids.push("12".repeat(20));
    ids
}

#[test]
fn what_no_shown_ref_reaches_is_answered_as_if_it_never_was() {
    let server = Server::with_history();
    let visible = server.bare(&["rev-parse", "main~5"]);
    let hidden = invisible(&server);
    for wants in [Wants::Advertised, Wants::Tips, Wants::Reachable] {
        server.host.offer.lock().unwrap().wants = wants;
        for protocol in [Protocol::V0, Protocol::V1, Protocol::V2] {
            for id in &hidden {
                let answer = want(&server, protocol, id, &[]);
                let expected = format!("ERR upload-pack: not our ref {id}");
                assert_eq!(answer, format!("{:04x}{expected}", expected.len() + 4), "{wants:?} {protocol:?}");
            }
            assert!(want(&server, protocol, &visible, &[]).contains("PACK"), "{wants:?} {protocol:?} over HTTP");
            if protocol != Protocol::V2 {
                let answer = over_a_stream(&server, protocol, &visible);
                assert_eq!(answer.contains("PACK"), wants == Wants::Reachable, "{wants:?} {protocol:?}: {answer}");
                assert_eq!(
                    answer.contains("not our ref"),
                    wants != Wants::Reachable,
                    "{wants:?} {protocol:?}: {answer}"
                );
                assert!(over_a_stream(&server, protocol, &hidden[0]).contains("not our ref"), "{wants:?} {protocol:?}");
            }
        }
    }
    server.host.offer.lock().unwrap().wants = Wants::Any;
    for protocol in [Protocol::V0, Protocol::V1, Protocol::V2] {
        let (absent, there) = hidden.split_last().unwrap();
        assert!(there.iter().all(|id| want(&server, protocol, id, &[]).contains("PACK")), "{protocol:?}");
        assert!(want(&server, protocol, absent, &[]).contains("not our ref"), "{protocol:?}");
    }
}

/// Saying that one is cut at a hidden commit gives nothing of what lies below it.
#[test]
fn a_cut_at_a_hidden_commit_is_not_deepened() {
    let server = Server::with_history();
    let secret = server.bare(&["rev-parse", "refs/hidden/secret"]);
    let seed = server.path("seed");
    commit(&seed, "secret", "more\n", 199);
    ok(&seed, &["push", "-q", "../repo.git", "HEAD:refs/hidden/secret"]);
    let child = server.bare(&["rev-parse", "refs/hidden/secret"]);
    let main = server.bare(&["rev-parse", "main"]);
    let shallow = format!("shallow {child}");
    for deepen in ["deepen 2147483647", "deepen 5"] {
        for more in [&[shallow.as_str(), deepen][..], &[&shallow, deepen, "deepen-relative"]] {
            let answer = want(&server, Protocol::V2, &main, more);
            assert!(answer.contains("shallow-info") && answer.contains("PACK"), "{answer}");
            assert!(!answer.contains(&secret) && !answer.contains(&child), "{more:?}: {answer}");
        }
    }
}

#[test]
fn what_is_not_offered_is_refused_and_what_is_refused_says_why() {
    let server = Server::with_history();
    let main = server.bare(&["rev-parse", "main"]);
    let offer = |change: &dyn Fn(&mut FetchOffer)| {
        let mut offer = everything();
        change(&mut offer);
        *server.host.offer.lock().unwrap() = offer;
    };
    let nested = (0..100).fold("combine:tree:1".to_owned(), |spec, _| format!("combine:{}", spec.replace('%', "%25")));
    type Refused<'a> = (&'a dyn Fn(&mut FetchOffer), String, &'a str);
    let refused: &[Refused<'_>] = &[
        (&|o| o.filters = Filters::default(), "filter blob:none".into(), "unexpected line: `filter blob:none`"),
        (
            &|o| o.filters.refused = vec!["blob:none".into()],
            "filter blob:none".into(),
            "filter 'blob:none' not supported",
        ),
        (
            &|o| o.filters.refused = vec!["combine".into()],
            "filter combine:tree:1".into(),
            "filter 'combine' not supported",
        ),
        (&|o| o.filters.refused = vec!["tree".into()], "filter combine:tree:1".into(), "filter 'tree' not supported"),
        (
            &|o| o.filters.refused = vec!["sparse:oid".into()],
            "filter sparse:oid=main:dir0/file0".into(),
            "filter 'sparse:oid' not supported",
        ),
        (&|o| o.filters.tree_depth = Some(3), "filter tree:4".into(), "tree filter allows max depth 3, but got 4"),
        (&|_| {}, format!("filter {nested}"), "nested at most 10 deep"),
        (&|_| {}, "filter sparse:path=x".into(), "invalid filter-spec 'sparse:path=x'"),
        (&|_| {}, "filter sparse:oid=refs/hidden/secret:secret".into(), "unable to access sparse blob"),
        (&|_| {}, "filter combine:sparse:oid=x+tree:1".into(), "cannot be combined"),
    ];
    for (change, line, why) in refused {
        offer(*change);
        for protocol in [Protocol::V0, Protocol::V1, Protocol::V2] {
            let answer = want(&server, protocol, &main, &[line]);
            assert!(answer.contains("ERR ") && answer.contains(why), "{protocol:?} {line}: {answer}");
            assert!(!answer.contains("PACK"), "{protocol:?} {line}");
        }
    }
    offer(&|_| {});
    for (more, why) in [
        (&["filter blob:none", "filter blob:none"][..], "multiple filter-specs cannot be combined"),
        (&["deepen 1", "deepen-since 17"], "cannot be used together"),
        (&["deepen 0"], "unexpected line: `deepen 0`"),
        (&["deepen-not nothing-like-it"], "ambiguous deepen-not: deepen-not nothing-like-it"),
        (&["deepen-not secret"], "ambiguous deepen-not"),
        (&["deepen-since 99999999999"], "no commits selected for shallow requests"),
    ] {
        for protocol in [Protocol::V0, Protocol::V2] {
            let answer = want(&server, protocol, &main, more);
            assert!(answer.contains("ERR ") && answer.contains(why), "{protocol:?} {more:?}: {answer}");
        }
    }
    offer(&|o| o.want_ref = false);
    let answer = ask(&server, Protocol::V2, &["command=fetch", "0001", "want-ref refs/heads/main", "done", "0000"]);
    assert!(answer.contains("unexpected line: `want-ref refs/heads/main`"), "{answer}");
    offer(&|o| o.object_info = false);
    let answer = ask(&server, Protocol::V2, &["command=object-info", "0001", "size", "0000"]);
    assert!(answer.contains("unknown command `object-info`"), "{answer}");
    let lists =
        |protocol| String::from_utf8(run(info_refs(server.host.clone(), Service::UploadPack, protocol))).unwrap();
    assert!(!lists(Protocol::V2).contains("object-info"));
    offer(&|o| o.filters.served = false);
    assert!(!lists(Protocol::V2).contains("filter") && !lists(Protocol::V0).contains("filter"));
}

#[test]
fn refs_wanted_by_name_are_told_behind_where_history_is_cut() {
    let server = Server::with_history();
    let (main, side) = (server.bare(&["rev-parse", "main"]), server.bare(&["rev-parse", "side"]));
    let fetch = |more: &[&str]| {
        let lines = [&["command=fetch", "0001", "want-ref refs/heads/main", "want-ref refs/heads/side"], more].concat();
        ask(&server, Protocol::V2, &[&lines[..], &["done", "0000"]].concat())
    };
    let refs = format!("0010wanted-refs\n003d{main} refs/heads/main\n003d{side} refs/heads/side\n0001000dpackfile\n");
    let answer = fetch(&[]);
    assert!(answer.starts_with(&refs), "{answer}");
    let answer = fetch(&["deepen 1"]);
    let at = |what: &str| answer.find(what).unwrap_or_else(|| panic!("no {what} in {answer}"));
    assert!(at("shallow-info") < at("wanted-refs") && at("wanted-refs") < at("packfile"), "{answer}");
    let unknown = ask(&server, Protocol::V2, &["command=fetch", "0001", "want-ref refs/heads/mai", "done", "0000"]);
    assert!(unknown.contains("ERR unknown ref refs/heads/mai"), "{unknown}");
    let banded = fetch(&["sideband-all"]);
    assert!(banded.starts_with("0011\u{1}wanted-refs\n"), "{banded}");
    let hidden = ["command=fetch", "0001", "sideband-all", "want-ref refs/hidden/secret", "done", "0000"];
    let hidden = ask(&server, Protocol::V2, &hidden);
    assert!(hidden.contains("\u{3}unknown ref refs/hidden/secret"), "{hidden}");
}

#[test]
fn sizes_of_objects_are_told_as_stock_git_tells_them() {
    let server = Server::with_history();
    let ids = ["main", "main^{tree}", "main:dir0/file0", "v1", "main~9"].map(|name| server.bare(&["rev-parse", name]));
    let mut lines = vec!["command=object-info".to_owned(), "object-format=sha1".into(), "0001".into(), "size".into()];
    lines.extend(ids.iter().map(|id| format!("oid {id}")));
    lines.push(format!("oid {}", "12".repeat(20)));
    lines.push("0000".into());
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let stock = String::from_utf8(server.stock(Protocol::V2, &framed(&lines))).unwrap();
    assert!(stock.starts_with("0008size"), "{stock}");
    assert_eq!(ask(&server, Protocol::V2, &lines), stock);
    for id in invisible(&server) {
        let answer = ask(&server, Protocol::V2, &["command=object-info", "0001", "size", &format!("oid {id}"), "0000"]);
        assert_eq!(answer, format!("0008size002d{id} 0000"), "an object that nobody is shown has no size");
    }
}

#[test]
fn a_sparse_filter_is_read_from_a_blob_that_is_shown() {
    let server = Server::with_history();
    let seed = server.path("seed");
    ok(&seed, &["checkout", "-q", "main"]);
    commit(&seed, "spec", "/dir1/\n", 300);
    ok(&seed, &["push", "-q", "../repo.git", "main"]);
    for (name, url, version) in server.doors() {
        let filter = ["clone", "-q", "--no-checkout", "--filter=sparse:oid=main:spec"];
        ok(server.temp.path(), &[&["-c", version.as_str()], &filter[..], &[url.as_str(), name.as_str()]].concat());
        let listed = ok(&server.path(&name), &["rev-list", "--objects", "main", "--missing=print"]);
        assert_eq!(listed.lines().filter(|line| line.starts_with('?')).count(), 31, "{name}");
        assert_eq!(listed.lines().filter(|line| line.contains(" dir1/file")).count(), 10, "{name}");
    }
    let (_, url, _) = server.doors().remove(0);
    let shallow = ["clone", "-q", "--depth", "1", "--no-checkout", "--filter=sparse:oid=main:spec", &url, "cut"];
    let said = fails(server.temp.path(), &[&["-c", "protocol.version=2"], &shallow[..]].concat());
    assert!(said.contains("add -c protocol.version=0"), "{said}");
    ok(server.temp.path(), &[&["-c", "protocol.version=0"], &shallow[..]].concat());
    assert_eq!(ok(&server.path("cut"), &["rev-list", "--count", "HEAD"]), "1");
    assert!(server.host.flushed.load(std::sync::atomic::Ordering::Relaxed) > 0, "stock git reads refs on disk");
}

/// More haves than a pipe or a round holds, most of them unknown.
#[test]
fn a_long_negotiation_over_a_stream_keeps_what_is_common() {
    let server = Server::with_history();
    let (main, side) = (server.bare(&["rev-parse", "main"]), server.bare(&["rev-parse", "side"]));
    let (host, have) = (server.host.clone(), format!("have {side}"));
    let answer = run(async {
        let (near, far) = tokio::io::duplex(64 << 10);
        let (reader, writer) = tokio::io::split(far);
        let serving = tokio::spawn(serve(host, Service::UploadPack, Protocol::V0, reader, writer));
        let (mut from, mut to) = tokio::io::split(near);
        let saying = tokio::spawn(async move {
            to.write_all(&framed(&[&format!("want {main} side-band-64k multi_ack_detailed"), "0000"])).await.unwrap();
            for round in 0..50u32 {
                let unknown = |n: u32| format!("have {:08x}{}", round * 2000 + n, "ab".repeat(16));
                let mut lines: Vec<String> = (0..2000).map(unknown).collect();
                lines.extend((round == 40).then(|| have.clone()));
                lines.push("0000".into());
                to.write_all(&framed(&lines.iter().map(String::as_str).collect::<Vec<_>>())).await.unwrap();
            }
            to.write_all(&framed(&["done"])).await.unwrap();
            to
        });
        let mut answer = Vec::new();
        from.read_to_end(&mut answer).await.unwrap();
        serving.await.unwrap().unwrap();
        drop(saying.await);
        String::from_utf8_lossy(&answer).into_owned()
    });
    let advertised = answer.find("0000").unwrap();
    let answer = &answer[advertised..];
    assert_eq!(answer.matches("0008NAK\n").count(), 50);
    assert!(answer.contains(&format!("ACK {side} common\n")), "{}", &answer[..1000]);
    // From there on whatever is unknown shows that enough is known.
    assert_eq!(answer.matches(" ready\n").count(), 9 * 2000, "every one of nine rounds");
    assert!(answer.contains(&format!("0031ACK {side}\n")));
}

/// What runs for a client ends with it: nothing keeps the host.
#[test]
fn a_client_that_stops_reading_and_leaves_stops_the_work() {
    let server = Server::with_history();
    let seed = server.path("seed");
    ok(&seed, &["checkout", "-q", "main"]);
    let mut noise = vec![0u8; 8 << 20];
    rand::RngCore::fill_bytes(&mut rand::rng(), &mut noise);
    std::fs::write(seed.join("noise"), &noise).unwrap();
    ok(&seed, &["add", "."]);
    ok(&seed, &["commit", "-qm", "large"]);
    ok(&seed, &["push", "-q", "../repo.git", "main"]);
    let main = server.bare(&["rev-parse", "main"]);
    let before = std::sync::Arc::strong_count(&server.host);
    for drops in [false, true] {
        let host = server.host.clone();
        let want = format!("want {main}");
        run(async {
            let (mut near, far) = tokio::io::duplex(1 << 10);
            let (reader, writer) = tokio::io::split(far);
            let serving = tokio::spawn(serve(host, Service::UploadPack, Protocol::V2, reader, writer));
            let request = framed(&["command=fetch", "0001", &want, "done", "0000"]);
            near.write_all(&request).await.unwrap();
            let mut seen = Vec::new();
            while !String::from_utf8_lossy(&seen).contains("PACK") {
                let mut chunk = [0; 512];
                let read = near.read(&mut chunk).await.unwrap();
                seen.extend_from_slice(&chunk[..read]);
            }
            if drops {
                serving.abort();
                assert!(serving.await.is_err());
            } else {
                drop(near);
                assert!(serving.await.unwrap().is_err());
            }
        });
        for _ in 0..1000 {
            if std::sync::Arc::strong_count(&server.host) == before {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert_eq!(std::sync::Arc::strong_count(&server.host), before, "a thread still works for who has left");
    }
}

#[test]
fn a_missing_object_ends_a_pack_with_an_error_and_not_as_if_it_were_whole() {
    let origin = Server::with_history();
    let here = origin.temp.path();
    let url = origin.doors()[0].1.clone();
    ok(here, &["clone", "-q", "--bare", "--filter=blob:none", &url, "holes.git"]);
    let served = Server::of(&origin.path("holes.git"));
    for (name, url, version) in served.doors() {
        let said = fails(here, &["-c", &version, "clone", &url, &name]);
        let told = "aborting due to possible repository corruption on the remote side.";
        assert!(said.contains(told), "{name}: {said}");
    }
}
