//! Packs that lie about themselves, or that are small on the wire and large in memory.

use tests::plumbing::ZERO;
use tests::raw::{DOORS, Door, Pack, Raw, commit, delta_size, hex, id, push, sealed, sha1, tree, zeros, zlib};

use super::siege;

/// The largest object of a push, as the server is configured.
const LARGEST: u64 = 128 << 20;
const NAME: &str = "refs/heads/mallory/packed";

/// Pushes `pack` for a tip that is not there; what its unpacking is said to have failed of.
#[track_caller]
pub(super) fn unpacked(raw: &Raw, door: Door, pack: &[u8]) -> String {
    let tip = "1234567890123456789012345678901234567890";
    let answer = raw.push(door, &push(&[format!("{ZERO} {tip} {NAME}")], pack));
    let why = answer.strip_prefix("unpack ").and_then(|rest| rest.strip_suffix(&format!("\nng {NAME} unpacker error")));
    why.unwrap_or_else(|| panic!("the pack should have been refused: {answer}")).to_owned()
}

/// A delta that makes `result` bytes of a base of `base` bytes by copying its first 64 KiB again and again.
fn copies(base: u64, result: u64) -> Vec<u8> {
    let mut delta = [delta_size(base), delta_size(result)].concat();
    // Neither offset nor length bytes: from the beginning, 64 KiB.
    delta.extend(std::iter::repeat_n(0x80, (result / 0x10000) as usize));
    delta
}

/// Packs that say what is not so, and where that is found.
pub(super) fn lies() -> Vec<(&'static str, Vec<u8>, String)> {
    let one = |code: u8, declared: u64, base: &[u8], stream: &[u8]| {
        let mut pack = Pack::default();
        pack.entry(code, declared, base, stream);
        pack.finish()
    };
    let blob = || {
        let mut pack = Pack::default();
        pack.whole("blob", b"content");
        pack
    };
    let whole = blob().finish();
    let end = whole.len() - 20;
    let damaged = |why: &str| format!("the object at byte 12 is damaged: {why}");
    let other = sealed([&whole[..end], b"x"].concat());
    let mut flipped = whole.clone();
    flipped[end + 19] ^= 1;
    let checksum = |stated: &[u8], computed: &[u8]| {
        format!("the pack's checksum is {}, but what arrived has {}; push again", hex(stated), hex(computed))
    };
    let fewer = blob().declaring(0);
    // The checksum stands where the second object should; what its first byte would make it differs.
    let more = blob().declaring(2);
    let third = sealed([b"PACK\0\0\0\x03", &whole[8..end]].concat());
    let absurd = sealed(b"PACK\0\0\0\x02\0\0\0\x01\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f".to_vec());
    let far = sealed(b"PACK\0\0\0\x02\0\0\0\x01\x61\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f".to_vec());
    let self_based = one(6, 2, &[0], &zlib(b"\x01\x01"));
    let twice = {
        let mut pack = blob();
        pack.whole("blob", b"content");
        pack.finish()
    };
    let mut cases = vec![
        ("nothing", Vec::new(), "this is no pack: nothing was sent".to_owned()),
        (
            "no pack",
            b"HELLO, this is no pack but long enough".to_vec(),
            "this is no pack: it does not begin with `PACK`".to_owned(),
        ),
        ("version 3", third, "this is no pack: its version is not 2".to_owned()),
        ("a header", whole[..12].to_vec(), "the pack ends early, after 12 bytes; push again".to_owned()),
        ("half", whole[..16].to_vec(), "the pack ends early, after 16 bytes; push again".to_owned()),
        ("no checksum", whole[..end + 7].to_vec(), format!("the pack ends early, after {} bytes; push again", end + 7)),
        ("wrong checksum", flipped.clone(), checksum(&flipped[end..], &whole[end..])),
        ("a byte more", [&whole[..], b"x"].concat(), "1 or more bytes follow the pack's checksum".to_owned()),
        ("a byte between", other.clone(), checksum(&other[end..end + 20], &whole[end..])),
        ("one object less declared", fewer.clone(), checksum(&fewer[12..32], &sha1(&fewer[..12]))),
        ("one object more declared", more, format!("the object at byte {end} is damaged: its type is unknown")),
        (
            "all objects declared",
            blob().declaring(u32::MAX),
            "the pack holds 4294967295 objects, more than 2000000; push fewer commits at a time".to_owned(),
        ),
        ("type 0", one(0, 1, &[], &zlib(b"x")), damaged("its type is unknown")),
        ("type 5", one(5, 1, &[], &zlib(b"x")), damaged("its type is unknown")),
        ("an absurd size", absurd, damaged("its size is absurd")),
        ("an absurd distance", far, damaged("the way to its base is absurd")),
        ("no zlib", one(3, 7, &[], b"not a zlib stream"), damaged("its zlib stream is damaged")),
        ("less than declared", one(3, 8, &[], &zlib(b"content")), damaged("it inflates to less than it declares")),
        ("more than declared", one(3, 6, &[], &zlib(b"content")), damaged("it inflates to more than it declares")),
        (
            "nothing of what is declared",
            one(3, LARGEST, &[], &zlib(b"")),
            damaged("it inflates to less than it declares"),
        ),
        ("twice", twice, format!("the pack holds object {} twice", hex(&id("blob", b"content")))),
        ("rests on itself", self_based, damaged("its base is no object of this pack")),
        (
            "rests before the pack",
            one(6, 2, &[0x7f], &zlib(b"\x01\x01")),
            damaged("its base is no object of this pack"),
        ),
    ];
    let mut middle = blob();
    let at = middle.end();
    middle.back(at - 13, b"\x07\x01\x90\x01");
    cases.push((
        "rests on the middle of another",
        middle.finish(),
        format!("the object at byte {at} is damaged: its base is no object of this pack"),
    ));
    for (what, delta, why) in [
        ("no sizes", &b""[..], "the delta ends early"),
        ("another base", b"\x08\x01\x90\x01", "the delta was made for a base of another size"),
        ("a reserved instruction", b"\x07\x01\x00", "the delta has a reserved instruction"),
        ("from outside", b"\x07\x01\x91\x07\x01", "the delta copies from outside its base"),
        ("far outside", b"\x07\x01\xff\xff\xff\xff\xff\xff\xff\xff", "the delta copies from outside its base"),
        ("torn", b"\x07\x05\x05ab", "the delta ends within an insertion"),
        ("too little", b"\x07\x05\x90\x01", "the delta makes less than it declares"),
        ("too much", b"\x07\x01\x90\x07", "the delta makes more than it declares"),
        ("endless sizes", &[0xff; 12], "the delta declares an absurd size"),
    ] {
        let mut pack = blob();
        let start = pack.end();
        pack.back(start - 12, delta);
        cases.push((what, pack.finish(), format!("the object at byte {start} is damaged: {why}")));
    }
    cases
}

#[test]
fn packs_that_lie_are_refused_with_the_place_of_the_lie() {
    let siege = siege();
    let target = siege.project();
    let cases = lies();
    target.survives(|| {
        for (n, (what, pack, why)) in cases.iter().enumerate() {
            let answer = unpacked(&target.raw, Door::Http, pack);
            assert_eq!(answer, *why, "{what}");
            if n % 8 == 0 {
                assert_eq!(unpacked(&target.raw, Door::Ssh, pack), answer, "{what}: the same at both doors");
            }
        }
    });
}

#[test]
fn deltas_without_a_base_or_in_a_circle_are_refused() {
    let siege = siege();
    let target = siege.project();
    let missing = |at: usize, base: [u8; 20]| {
        let base = hex(&base);
        format!(
            "the object at byte {at} is a delta against {base}, which neither the pack nor this repository can give"
        )
    };
    let mut nowhere = Pack::default();
    nowhere.on([0x33; 20], b"\x01\x01\x90\x01");
    let nowhere = nowhere.finish();
    // Two that rest on each other, once on their own and once with a way in: the repository has the first of them, but
    // the pack says that it is the one to look at. The first in order of names is reported.
    let circles = [[&b"one"[..], b"two"], [b"target\n", b"targets"]].map(|[first, second]| {
        let make = |content: &[u8]| [&[second.len() as u8, content.len() as u8, content.len() as u8], content].concat();
        let (first_id, second_id) = (id("blob", first), id("blob", second));
        let mut pack = Pack::default();
        let places = [(second_id, pack.on(second_id, &make(first))), (first_id, pack.on(first_id, &make(second)))];
        let &(base, at) = places.iter().min().expect("two");
        (pack.finish(), missing(at, base))
    });
    target.survives(|| {
        for door in DOORS {
            assert_eq!(unpacked(&target.raw, door, &nowhere), missing(12, [0x33; 20]));
        }
        for (pack, why) in &circles {
            assert_eq!(unpacked(&target.raw, Door::Http, pack), *why);
        }
    });
}

#[test]
fn bombs_are_refused_before_they_go_off() {
    let siege = siege();
    let target = siege.project();
    let seed = vec![b'x'; 0x10000];
    target.survives(|| {
        // A quarter of a megabyte of zlib that holds a quarter of a gigabyte, declared as less and as it is.
        let bomb = zeros(256 << 20, false);
        for (declared, why) in [
            (100, "the object at byte 12 is damaged: it inflates to more than it declares".to_owned()),
            (
                256 << 20,
                format!("the object at byte 12 has 268435456 bytes, more than {LARGEST}; keep large files out of git"),
            ),
        ] {
            let mut pack = Pack::default();
            pack.entry(3, declared, &[], &bomb);
            assert_eq!(unpacked(&target.raw, Door::Http, &pack.finish()), why);
        }
        // A few bytes that copy until a terabyte is made.
        let mut pack = Pack::default();
        pack.whole("blob", &seed);
        let at = pack.end();
        pack.back(at - 12, &[delta_size(0x10000), delta_size(1 << 40), vec![0x80; 100]].concat());
        let why = format!(
            "the object at byte {at} has {} bytes, more than {LARGEST}; keep large files out of git",
            1u64 << 40
        );
        assert_eq!(unpacked(&target.raw, Door::Http, &pack.finish()), why);
        // Two kilobytes that copy until the largest object is made, some times over; the last one lies.
        let mut pack = Pack::default();
        pack.whole("blob", &seed);
        let mut last = 0;
        for n in 0..4 {
            last = pack.end();
            let less = u64::from(n == 3);
            pack.back(last - 12, &[copies(0x10000, LARGEST - (n << 16)), vec![0x80; less as usize]].concat());
        }
        let pack = pack.finish();
        assert!(pack.len() < 64 << 10, "{} bytes", pack.len());
        let why = format!("the object at byte {last} is damaged: the delta makes more than it declares");
        assert_eq!(unpacked(&target.raw, Door::Ssh, &pack), why);
        // A chain, one longer than allowed.
        let mut pack = Pack::default();
        pack.whole("blob", b"0000");
        let mut before = 12;
        for n in 0..4097u32 {
            let at = pack.end();
            pack.back(at - before, &[&[4, 4, 4][..], &n.to_be_bytes()].concat());
            before = at;
        }
        let why = format!("the object at byte {before} rests on more than 4096 deltas; push with `-c pack.depth=50`");
        assert_eq!(unpacked(&target.raw, Door::Http, &pack.finish()), why);
    });
}

#[test]
fn what_is_shaped_like_the_forges_own_is_content_like_any_other() {
    let siege = siege();
    let target = siege.project();
    let mallory = &siege.mallory;
    let dir = &target.dir;
    mallory.git(dir, &["fetch", "-q", "origin", "refs/forge/ledger:refs/remotes/origin/ledger"]).ok();
    let ledger = mallory.git(dir, &["rev-parse", "refs/remotes/origin/ledger"]).ok().text().to_owned();
    // The next link of the ledger, as far as anyone without its key can make it.
    let mut pack = Pack::default();
    let blob = pack.whole("blob", b"not a pack");
    let content = tree(&[
        ("100644", b"batch", blob),
        ("100644", b"pack-b000000000000009.idx", blob),
        ("100644", b"pack-b000000000000009.pack", blob),
    ]);
    let root = pack.whole("tree", &content);
    let parent: [u8; 20] = std::array::from_fn(|at| u8::from_str_radix(&ledger[2 * at..2 * at + 2], 16).unwrap());
    let next = hex(&pack.whole("commit", &commit(root, &[parent], "batch 9\n\nForge-Seq: 1-99999999")));
    let pack = pack.finish();
    target.survives(|| {
        for name in ["refs/forge/ledger", "refs/forge/ledger/9", "refs/forge/issues/1"] {
            let answer = target.raw.push(Door::Http, &push(&[format!("{ledger} {next} {name}")], &pack));
            let refused = "server-owned: only the forge writes this ref\nremote: next: ssh forge";
            assert!(answer.starts_with(&format!("unpack ok\nng {name} {refused}")), "{answer}");
        }
    });
    let name = "refs/heads/mallory/like-a-ledger";
    let answer = target.raw.push(Door::Http, &push(&[format!("{ZERO} {next} {name}")], &pack));
    assert!(answer.starts_with(&format!("unpack ok\nok {name}")), "{answer}");
    // The ledger goes on from its own tip.
    mallory.ssh(&format!("issue new {} --title Still-here", target.name)).ok();
    mallory.git(dir, &["fetch", "-q", "origin", "refs/forge/ledger:refs/remotes/origin/ledger"]).ok();
    mallory.git(dir, &["merge-base", "--is-ancestor", &ledger, "refs/remotes/origin/ledger"]).ok();
    mallory.git(dir, &["merge-base", "--is-ancestor", &next, "refs/remotes/origin/ledger"]).fails();
    siege.forge_is_well();
}
