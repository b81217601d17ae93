//! Packs made by hand that lie: about sizes, bases, names and what is in them.

use super::*;

/// A pack of raw entries: first byte and size as git packs them, then `reference`, then `content` deflated.
struct Raw {
    body: Vec<u8>,
    count: u32,
}

impl Raw {
    fn new() -> Self {
        Raw { body: Vec::new(), count: 0 }
    }

    fn add(&mut self, code: u8, declared: usize, reference: &[u8], content: &[u8]) -> u64 {
        use std::io::Write as _;
        let at = 12 + self.body.len() as u64;
        let (mut byte, mut size) = (code << 4 | (declared & 15) as u8, declared >> 4);
        while size > 0 {
            self.body.push(byte | 0x80);
            (byte, size) = ((size & 0x7f) as u8, size >> 7);
        }
        self.body.push(byte);
        self.body.extend_from_slice(reference);
        let mut zlib = flate2::write::ZlibEncoder::new(&mut self.body, flate2::Compression::fast());
        zlib.write_all(content).and_then(|()| zlib.finish().map(drop)).expect("memory");
        self.count += 1;
        at
    }

    fn blob(&mut self, content: &[u8]) -> u64 {
        self.add(3, content.len(), &[], content)
    }

    fn on(&mut self, base: Oid, delta: &[u8]) {
        self.add(7, delta.len(), base.as_bytes(), delta);
    }

    fn pack(&self) -> Vec<u8> {
        let mut pack = [b"PACK\0\0\0\x02", &self.count.to_be_bytes()[..], &self.body].concat();
        let checksum = sha1(&pack);
        pack.extend_from_slice(&checksum);
        pack
    }
}

fn blob_id(content: &[u8]) -> Oid {
    Object::new(Kind::Blob, content.to_vec()).id().expect("no collision")
}

/// A delta that turns a base of `base` bytes into `result`.
fn replace(base: usize, result: &[u8]) -> Vec<u8> {
    assert!(base < 128 && result.len() < 128);
    [&[base as u8, result.len() as u8, result.len() as u8], result].concat()
}

fn refusal(raw: &Raw) -> PackError {
    let server = Repo::bare();
    let store = server.store();
    let refused = taken(&raw.pack(), &store, &Limits::default()).err().expect("refused");
    let on_disk = taken(&raw.pack(), &store, &on_disk()).err().expect("refused");
    assert_eq!(refused.to_string(), on_disk.to_string());
    refused
}

#[test]
fn refuses_bombs_and_lies_about_size() {
    let mut raw = Raw::new();
    raw.add(3, 10, &[], &[0; 1 << 20]);
    assert!(matches!(refusal(&raw), PackError::BadEntry { at: 12, why } if why.contains("more than it declares")));
    let mut raw = Raw::new();
    raw.add(3, 10, &[], b"short");
    assert!(matches!(refusal(&raw), PackError::BadEntry { at: 12, why } if why.contains("less than it declares")));
    let mut raw = Raw::new();
    raw.add(3, 1 << 40, &[], b"x");
    assert!(matches!(refusal(&raw), PackError::ObjectTooLarge { size, .. } if size == 1 << 40));
    let mut raw = Raw::new();
    raw.blob(b"base");
    raw.on(blob_id(b"base"), &[4, 0xff, 0xff, 0xff, 0xff, 0x7f, 0x90, 4]);
    assert!(matches!(refusal(&raw), PackError::ObjectTooLarge { .. }));
}

#[test]
fn a_few_bytes_do_not_make_much() {
    // Twenty times the same 64 KiB, each time one byte more.
    let mut raw = Raw::new();
    let seed = [b'x'; 0x10000];
    raw.blob(&seed);
    for n in 1..=20u8 {
        let mut delta = vec![0x80, 0x80, 4, 0x80 | n, 0x80, 0x40];
        delta.extend([0x80; 16]);
        delta.extend([&[0x90, n][..]].concat());
        raw.on(blob_id(&seed), &delta);
    }
    let (pack, server) = (raw.pack(), Repo::bare());
    assert!(pack.len() < 2000, "{} bytes", pack.len());
    let mut limits = Limits { inflated_free: 4 << 20, inflated_per_byte: 100, ..Limits::default() };
    for memory_bytes in [0, limits.memory_bytes] {
        limits.memory_bytes = memory_bytes;
        let refused = taken(&pack, &server.store(), &limits).err().expect("over budget");
        assert!(matches!(refused, PackError::TooMuchInflated { limit } if limit == 4 << 20), "{refused}");
    }
    assert_eq!(leftovers(&server), 0);
    // Where as much was sent for it, it may be made.
    let limits = Limits { inflated_per_byte: 1 << 20, ..limits };
    assert_eq!(taken(&pack, &server.store(), &limits).expect("within the budget").len(), 21);
}

#[test]
fn refuses_deltas_that_rest_on_nothing() {
    let missing = Oid::from_bytes([9; 20]);
    let mut raw = Raw::new();
    raw.on(missing, &replace(4, b"abcd"));
    assert!(matches!(refusal(&raw), PackError::MissingBase { at: 12, base } if base == missing));
    // Two that rest on each other.
    let mut raw = Raw::new();
    raw.on(blob_id(b"two"), &replace(3, b"one"));
    raw.on(blob_id(b"one"), &replace(3, b"two"));
    assert!(matches!(refusal(&raw), PackError::MissingBase { .. }));
    for distance in [&[0u8][..], &[5], &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]] {
        let mut raw = Raw::new();
        raw.blob(b"base");
        raw.add(6, 7, distance, &replace(4, b"abcd"));
        assert!(matches!(refusal(&raw), PackError::BadEntry { .. }), "{distance:?}");
    }
    let mut raw = Raw::new();
    raw.add(5, 1, &[], b"x");
    assert!(matches!(refusal(&raw), PackError::BadEntry { why: "its type is unknown", .. }));
}

#[test]
fn refuses_the_same_object_twice() {
    let mut raw = Raw::new();
    raw.blob(b"same");
    raw.blob(b"same");
    assert!(matches!(refusal(&raw), PackError::Twice(id) if id == blob_id(b"same")));
    let mut raw = Raw::new();
    raw.blob(b"same");
    raw.on(blob_id(b"same"), &replace(4, b"same"));
    assert!(matches!(refusal(&raw), PackError::Twice(_)));
}

#[test]
fn prefers_its_own_object_to_one_of_the_store() {
    // The server has `b` and `t`. The pack has `b` as a delta against `t`, and `c` against `b`: both orders of taking
    // bases from the store must end with a pack that holds `b` once.
    for (b, t) in [(b"bbb1", b"ttt1"), (b"bbb2", b"ttt2"), (b"bbb3", b"ttt3"), (b"bbb4", b"ttt4")] {
        let server = Repo::bare();
        for content in [b, t] {
            server.git_bytes(&["hash-object", "-w", "--stdin"], content);
        }
        let mut raw = Raw::new();
        raw.on(blob_id(b), &replace(4, b"cccc"));
        raw.on(blob_id(t), &replace(4, b));
        let quarantine = taken(&raw.pack(), &server.store(), &on_disk()).expect("good");
        assert_eq!(quarantine.len(), 2);
        let Kept::Directory(pack) = quarantine.into_kept() else { panic!("it was to be on disk") };
        assert_eq!(pack.objects(), 3);
        pack.land(&server.git_dir().join("objects/pack")).expect("lands");
        server.assert_clean();
    }
}

#[test]
fn resolves_long_chains_without_recursion() {
    let mut raw = Raw::new();
    let mut at = raw.blob(&[0, 0]);
    for n in 1u16..=4000 {
        let (here, delta) = (12 + raw.body.len() as u64, replace(2, &n.to_be_bytes()));
        let distance = here - at;
        let bytes = if distance < 128 { vec![distance as u8] } else { unreachable!("entries are small") };
        at = raw.add(6, delta.len(), &bytes, &delta);
    }
    for limits in [Limits::default(), on_disk()] {
        let server = Repo::bare();
        let quarantine = taken(&raw.pack(), &server.store(), &limits).expect("deep, but allowed");
        assert_eq!(quarantine.len(), 4001);
        let last = quarantine.get(blob_id(&4000u16.to_be_bytes())).expect("resolved");
        assert_eq!(&last.data[..], &4000u16.to_be_bytes());
        let refused = taken(&raw.pack(), &server.store(), &Limits { delta_depth: 3999, ..limits });
        assert!(matches!(refused.err(), Some(PackError::TooDeep { .. })));
    }
}

#[test]
fn spills_bases_that_memory_cannot_hold() {
    // A chain of large objects, each with a second child, so that every base has to wait for its turn.
    let mut raw = Raw::new();
    let size = 8 << 20;
    let mut base = vec![0u8; size];
    raw.blob(&base);
    let varint = [
        (size & 0x7f) as u8 | 0x80,
        (size >> 7 & 0x7f) as u8 | 0x80,
        (size >> 14 & 0x7f) as u8 | 0x80,
        (size >> 21) as u8,
    ];
    for n in 1..=24u8 {
        let id = blob_id(&base);
        let mut copy = Vec::new();
        let mut from = 2;
        while from < size {
            let length = (size - from).min(0xff_ffff);
            copy.extend_from_slice(&[0xff, from as u8, (from >> 8) as u8, (from >> 16) as u8, (from >> 24) as u8]);
            copy.extend_from_slice(&[length as u8, (length >> 8) as u8, (length >> 16) as u8]);
            from += length;
        }
        for side in [1, 0u8] {
            raw.on(id, &[&varint[..], &varint, &[2, n, side], &copy].concat());
        }
        (base[0], base[1]) = (n, 0);
    }
    let server = Repo::bare();
    let quarantine = taken(&raw.pack(), &server.store(), &on_disk()).expect("good");
    assert_eq!(quarantine.len(), 49);
    assert!(quarantine.contains(blob_id(&base)));
    let refused = taken(&raw.pack(), &server.store(), &Limits { inflated_bytes: 100 << 20, ..on_disk() });
    assert!(matches!(refused.err(), Some(PackError::TooMuchInflated { .. })));
}

#[test]
fn refuses_bytes_that_differ_from_what_is_here() {
    // Without a real collision at hand, the store is made to answer wrongly.
    let server = Repo::bare();
    let id = server.git_bytes(&["hash-object", "-w", "--stdin"], b"mine");
    let hex = String::from_utf8(id).expect("hex");
    let loose = server.git_dir().join("objects").join(&hex[..2]).join(hex[2..].trim());
    let other = server.git_bytes(&["hash-object", "-w", "--stdin"], b"else");
    let hex = String::from_utf8(other).expect("hex");
    std::fs::rename(server.git_dir().join("objects").join(&hex[..2]).join(hex[2..].trim()), loose).expect("a file");
    let mut raw = Raw::new();
    raw.blob(b"mine");
    let refused = taken(&raw.pack(), &server.store(), &Limits::default()).err();
    assert!(matches!(refused, Some(PackError::Differs(_))), "{refused:?}");
}
