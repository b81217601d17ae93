//! The same requests answered by us and by stock git on the same repository: the same lines and the same objects.

use std::collections::{BTreeSet, HashSet};
use std::io::Write as _;
use std::process::Stdio;

use notes_schema::Oid;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

use super::harness::{Server, call, git_command};
use super::raw::{framed, run};
use crate::testing::{Shape, closure, history};
use crate::wire::{Host as _, Protocol, Service};

/// What came before the pack, the objects in it, and what was said beside it.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    lines: Vec<String>,
    objects: Option<BTreeSet<Oid>>,
    error: Option<String>,
}

fn read(server: &Server, mut bytes: &[u8]) -> Answer {
    let (mut lines, mut pack, mut error) = (Vec::new(), Vec::new(), None);
    while bytes.len() >= 4 {
        if bytes.starts_with(b"PACK") {
            pack.extend_from_slice(bytes);
            break;
        }
        let length = usize::from_str_radix(std::str::from_utf8(&bytes[..4]).unwrap(), 16).unwrap();
        if length < 4 {
            lines.push(["<flush>", "<delim>", "<end>"][length].to_owned());
            bytes = &bytes[4..];
            continue;
        }
        let payload = &bytes[4..length];
        bytes = &bytes[length..];
        match payload.first() {
            Some(1) if payload.starts_with(b"\x01PACK") || !pack.is_empty() => pack.extend_from_slice(&payload[1..]),
            Some(1) if payload.len() == 1 => {}
            Some(1) => lines.push(String::from_utf8(payload[1..].to_vec()).unwrap().trim_end().to_owned()),
            Some(2) => {}
            Some(3) => error = Some(String::from_utf8_lossy(&payload[1..]).trim_end().to_owned()),
            _ => {
                let line = String::from_utf8_lossy(payload).trim_end().to_owned();
                match line.strip_prefix("ERR ") {
                    Some(why) => error = Some(why.to_owned()),
                    None => lines.push(line),
                }
            }
        }
    }
    // Where a client's history is cut is a set.
    let is_cut = |line: &String| line.starts_with("shallow ") || line.starts_with("unshallow ");
    for part in lines.chunk_by_mut(|a, b| is_cut(a) && is_cut(b)) {
        part.sort();
    }
    let objects = (!pack.is_empty()).then(|| objects(server, &pack));
    Answer { lines, objects, error }
}

/// The objects of a complete pack.
fn objects(server: &Server, pack: &[u8]) -> BTreeSet<Oid> {
    let path = server.temp.path().join(format!("answer-{:016x}.pack", rand::random::<u64>()));
    std::fs::write(&path, pack).unwrap();
    super::harness::ok(&server.path("repo.git"), &["index-pack", path.to_str().unwrap()]);
    let mut child = git_command(server.temp.path());
    child.arg("show-index").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = child.spawn().unwrap();
    let index = std::fs::read(path.with_extension("idx")).unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let shown = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(&index).unwrap());
        child.wait_with_output().unwrap().stdout
    });
    String::from_utf8(shown).unwrap().lines().map(|line| line.split(' ').nth(1).unwrap().parse().unwrap()).collect()
}

fn both(server: &Server, protocol: Protocol, body: &[u8]) -> (Answer, Answer) {
    let ours = run(call(server.host.clone(), Service::UploadPack, protocol, body.to_vec())).0;
    (read(server, &ours), read(server, &server.stock(protocol, body)))
}

/// A server with a generated history, some of it on branches.
fn made(shape: &Shape, branches: usize) -> (Server, Vec<Oid>, Vec<Oid>) {
    let server = Server::start();
    let made = history(&server.path("repo.git"), shape);
    let mut random = StdRng::seed_from_u64(shape.seed);
    let mut tips: Vec<Oid> = made[made.len() / 2..].choose_multiple(&mut random, branches - 1).copied().collect();
    tips.push(*made.last().unwrap());
    for (n, tip) in tips.iter().enumerate() {
        server.bare(&["update-ref", &format!("refs/heads/b{n}"), &tip.to_string()]);
    }
    server.bare(&["symbolic-ref", "HEAD", &format!("refs/heads/b{}", branches - 1)]);
    server.bare(&["tag", "-a", "-m", "first", "t1", &made[made.len() / 3].to_string()]);
    server.bare(&["tag", "-a", "-m", "on it", "t2", "t1"]);
    (server, made, tips)
}

fn in_version(protocol: Protocol, arguments: &[String], capabilities: &str, haves: &[String], done: bool) -> Vec<u8> {
    let mut lines: Vec<String> = Vec::new();
    if protocol == Protocol::V2 {
        lines.extend(["command=fetch".to_owned(), "object-format=sha1".to_owned(), "0001".to_owned()]);
        lines.extend(arguments.iter().cloned());
        lines.extend(haves.iter().cloned());
        lines.extend(done.then(|| "done".to_owned()));
        lines.push("0000".to_owned());
    } else {
        let (mut wants, others): (Vec<String>, Vec<String>) =
            arguments.iter().cloned().partition(|line| line.starts_with("want "));
        wants[0].push_str(capabilities);
        lines.extend(wants.into_iter().chain(others));
        lines.push("0000".to_owned());
        lines.extend(haves.iter().cloned());
        lines.push(if done { "done" } else { "0000" }.to_owned());
    }
    framed(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Random requests on random histories, in both families of versions.
#[test]
fn random_requests_are_answered_as_stock_git_answers_them() {
    for seed in 0..5 {
        let shape = Shape { seed, commits: 150, reach: 2 + 4 * seed as usize, lies: seed == 3 };
        let (server, made, tips) = made(&shape, 4);
        let store = server.host.store();
        let mut random = StdRng::seed_from_u64(seed);
        let all = closure(&store, &tips, &HashSet::new());
        let visible: Vec<Oid> = made.iter().copied().filter(|id| all.contains(id)).collect();
        for round in 0..14 {
            let protocol = if round % 2 == 0 { Protocol::V2 } else { Protocol::V0 };
            let count = random.random_range(1..=3);
            let wants: Vec<Oid> = tips.choose_multiple(&mut random, count).copied().collect();
            let count = random.random_range(0..8) * random.random_range(0..2);
            let haves: Vec<Oid> = made[..130].choose_multiple(&mut random, count).copied().collect();
            let count = random.random_range(0..5);
            let cut: HashSet<Oid> = visible.choose_multiple(&mut random, count).copied().collect();
            // A client cut at commits has these as well.
            let (cut, haves) = if round % 3 == 0 { (cut, haves) } else { (HashSet::new(), haves) };
            let mut arguments: Vec<String> = wants.iter().map(|id| format!("want {id}")).collect();
            arguments.extend(cut.iter().map(|id| format!("shallow {id}")));
            let since = 1_700_000_000 + 60 * random.random_range(0..150);
            match random.random_range(0..7) {
                0 => arguments.push(format!("deepen {}", random.random_range(1..9))),
                1 if !cut.is_empty() => {
                    arguments.push(format!("deepen {}", random.random_range(1..5)));
                    arguments.extend((protocol == Protocol::V2).then(|| "deepen-relative".to_owned()));
                }
                2 => arguments.push("deepen 2147483647".to_owned()),
                3 if !shape.lies => arguments.push(format!("deepen-since {since}")),
                4 => arguments.push("deepen-not t1".to_owned()),
                _ => {}
            }
            let said: Vec<String> =
                haves.iter().flat_map(|id| [format!("have {id}"), format!("have {}", "0b".repeat(20))]).collect();
            let capabilities =
                [" side-band-64k", " side-band-64k multi_ack", " side-band-64k multi_ack_detailed no-done"];
            let done = haves.is_empty() || random.random_ratio(3, 4);
            let body = in_version(protocol, &arguments, capabilities[round % 3], &said, done);
            let (ours, stock) = both(&server, protocol, &body);
            let what = format!("seed {seed}, round {round}:\n{}", String::from_utf8_lossy(&body));
            if stock.lines.is_empty() && stock.objects.is_none() {
                assert!(ours.objects.is_none() && ours.error.is_some(), "stock refuses: {what}");
                continue;
            }
            assert_eq!(ours.lines, stock.lines, "{what}");
            assert_eq!(ours.objects.is_some(), stock.objects.is_some(), "{what}");
            let (Some(sent), Some(theirs)) = (ours.objects, stock.objects) else { continue };
            // Stock git takes a client's new cuts for old ones, and misses that where it is deepened it has the commit:
            // both are right as long as what was had and what is sent make up the same.
            let had = closure(&store, &haves, &cut);
            let lacks: Vec<&Oid> = theirs.iter().filter(|id| !sent.contains(id) && !had.contains(id)).collect();
            assert!(lacks.is_empty() || !cut.is_empty(), "not sent: {lacks:?}: {what}");
            let unshallowed = ours.lines.iter().filter_map(|line| line.strip_prefix("unshallow "));
            let had_too = closure(&store, &unshallowed.map(|id| id.parse().unwrap()).collect::<Vec<_>>(), &cut);
            assert!(lacks.iter().all(|id| had_too.contains(id)), "not sent: {lacks:?}: {what}");
            assert!(sent.iter().all(|id| all.contains(id)), "{what}");
            if haves.is_empty() && cut.is_empty() {
                same(&sent, &theirs, &what);
            }
        }
    }
}

fn same(ours: &BTreeSet<Oid>, theirs: &BTreeSet<Oid>, what: &str) {
    let lacking: Vec<&Oid> = theirs.difference(ours).collect();
    let more: Vec<&Oid> = ours.difference(theirs).collect();
    assert!(lacking.is_empty() && more.is_empty(), "{what}\nnot sent: {lacking:?}\nsent beyond: {more:?}");
}

/// Every line of the answer and every object of the pack is the same.
#[test]
fn plain_requests_are_answered_line_by_line_and_object_by_object() {
    let (server, made, tips) = made(&Shape { seed: 77, commits: 90, reach: 3, lies: false }, 3);
    let tip = tips[2];
    let blob = server.bare(&["rev-parse", &format!("{tip}^{{tree}}")]);
    let listed = server.bare(&["ls-tree", "-r", &tip.to_string()]);
    let file = listed.split_whitespace().nth(2).unwrap().to_owned();
    let tag = server.bare(&["rev-parse", "t2"]);
    let want = |id: &dyn std::fmt::Display| format!("want {id}");
    let have = |id: &dyn std::fmt::Display| format!("have {id}");
    let absent = have(&"0b".repeat(20));
    let filters = [
        "blob:none",
        "blob:limit=70",
        "blob:limit=1k",
        "tree:0",
        "tree:1",
        "tree:2",
        "tree:3",
        "object:type=commit",
        "object:type=tree",
        "object:type=blob",
        "object:type=tag",
        "combine:tree:2+blob:none",
        "combine:object:type=blob+blob%3alimit=70",
    ];
    let mut requests: Vec<(Vec<String>, Vec<String>, bool)> = vec![
        (vec![want(&tip)], vec![], true),
        (vec![want(&tips[0]), want(&tips[1]), want(&tip)], vec![], true),
        (vec![want(&tip)], vec![have(&tip)], true),
        (vec![want(&tip)], vec![have(&tip)], false),
        (vec![want(&tip)], vec![absent.clone()], false),
        (vec![want(&tip)], vec![absent.clone(), have(&made[85]), absent.clone()], false),
        (vec![want(&tip)], vec![have(&made[85]), absent.clone()], true),
        (vec![want(&tip)], vec![have(&tag)], true),
        (vec![want(&tag)], vec![], true),
        (vec![want(&tag), "include-tag".into()], vec![], true),
        (vec![want(&tip), "include-tag".into()], vec![], true),
        (vec![want(&tip), "include-tag".into()], vec![have(&made[60])], true),
        (vec![want(&blob)], vec![], true),
        (vec![want(&file)], vec![], true),
        (vec![want(&file), want(&blob), want(&tip)], vec![], true),
        (vec![want(&tip), "deepen 1".into()], vec![], true),
        (vec![want(&tag), "deepen 2".into()], vec![], true),
        (vec![want(&tip), "deepen 500".into()], vec![], true),
        (vec![want(&tip), "deepen-not b0".into()], vec![], true),
        (vec![want(&tip), "deepen-not refs/tags/t2".into()], vec![], true),
        (vec![want(&tip), "deepen-since 1700003000".into()], vec![], true),
        (vec![want(&tip), format!("shallow {tip}"), "deepen 3".into()], vec![have(&tip)], true),
        (vec![want(&tip), format!("shallow {tip}"), "deepen 2147483647".into()], vec![have(&tip)], true),
    ];
    requests.extend(filters.map(|spec| (vec![want(&tip), want(&tag), format!("filter {spec}")], vec![], true)));
    requests.extend(filters.map(|spec| (vec![want(&blob), format!("filter {spec}")], vec![], true)));
    for (arguments, haves, done) in &requests {
        for (protocol, capabilities) in [
            (Protocol::V2, ""),
            (Protocol::V0, " side-band-64k filter"),
            (Protocol::V1, " side-band-64k multi_ack_detailed no-done filter"),
            (Protocol::V0, " multi_ack filter ofs-delta"),
            (Protocol::V0, " side-band multi_ack_detailed filter"),
        ] {
            let (mut arguments, mut capabilities) = (arguments.clone(), capabilities.to_owned());
            if protocol != Protocol::V2 {
                let before = arguments.len();
                arguments.retain(|line| line != "include-tag");
                capabilities.push_str(if arguments.len() < before { " include-tag" } else { "" });
            }
            let body = in_version(protocol, &arguments, &capabilities, haves, *done);
            let (ours, stock) = both(&server, protocol, &body);
            let what = String::from_utf8_lossy(&body).into_owned();
            assert!(stock.error.is_none() && !stock.lines.is_empty(), "stock refuses {what}: {stock:?}");
            assert_eq!((&ours.lines, &ours.error), (&stock.lines, &stock.error), "{what}");
            assert_eq!(ours.objects.is_some(), stock.objects.is_some(), "{what}");
            let (sent, mut theirs) = (ours.objects.unwrap_or_default(), stock.objects.unwrap_or_default());
            if ours.lines.iter().any(|line| line.starts_with("unshallow ")) {
                // Stock git sends again what lies at the commit from which the client's history is deepened.
                let had = closure(&server.host.store(), &[tip], &HashSet::from([tip]));
                theirs.retain(|id| !had.contains(id));
            }
            same(&sent, &theirs, &what);
        }
    }
}
