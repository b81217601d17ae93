//! Foreign bytes into every parser that meets them first, one function a parser: `fuzz_targets/` gives it to a fuzzer, and
//! `tests/seeds.rs` runs it over `seeds/` and over mutations of them.
//!
//! Invariant: each function returns, whatever it is given. What must hold of what was read is asserted, so that a fuzzer
//! finds more than crashes.

use std::collections::HashMap;
use std::sync::LazyLock;

use git::object::{Kind, Mode, Object, TreeEntry};
use git::store::{Objects, ReadError};
use hooks::policy::Policy;
use notes_schema::batch::{Batch, decode_refs, encode_refs};
use notes_schema::envelope::Event;
use notes_schema::trace::Record;
use notes_schema::{Oid, budget};

/// One parser, under the name of its directory below `seeds/`.
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Reads bytes as what the name says.
    pub probe: fn(&[u8]),
    /// How many mutations of each seed the tests try: fewer where one takes long.
    pub mutations: u32,
}

macro_rules! targets {
    ($($name:ident: $probe:expr, $mutations:literal;)+) => {
        /// Each of them.
        pub const TARGETS: &[Target] =
            &[$(Target { name: stringify!($name), probe: $probe, mutations: $mutations },)+];
    };
}

targets! {
    pktline: git::wire::probe::pktline, 3000;
    receive_commands: git::wire::probe::receive_commands, 3000;
    fetch_request: git::wire::probe::fetch_request, 3000;
    pack_intake: pack_intake, 300;
    delta: git::pack::probe::delta, 5000;
    objects: objects, 2000;
    envelope: envelope, 2000;
    batch: batch, 2000;
    trace: trace, 1000;
    signature: signature, 1000;
    patch: patch, 2000;
    policy: policy, 2000;
    secrets: secrets, 1000;
    test_output: test_output, 1000;
    command_line: command_line, 3000;
    http_body: forge::web::probe::bodies, 2000;
    query: query, 200;
    markdown: markdown, 1000;
    import_rows: forge::import::probe, 1000;
}

/// Gives `bytes` to one of them.
///
/// # Panics
/// Where there is no such target, and where what must hold does not.
pub fn run(target: &str, bytes: &[u8]) {
    let found = TARGETS.iter().find(|known| known.name == target);
    (found.expect("a target of this name").probe)(bytes);
}

/// A pack without its checksum.
pub fn pack_intake(body: &[u8]) {
    static GROUND: LazyLock<git::pack::probe::Ground> =
        LazyLock::new(|| git::pack::probe::Ground::new().expect("a temporary directory"));
    GROUND.pack_intake(body);
}

/// The content of a tree, a commit and a tag: a tree is written again as it was read.
pub fn objects(bytes: &[u8]) {
    if let Ok(entries) = git::object::read_tree(bytes) {
        let names: Vec<_> = entries.iter().map(|entry| entry.name.clone()).collect();
        let again = git::object::read_tree(&git::object::tree(entries).data).expect("what was written is read");
        assert_eq!(again.len(), names.len());
    }
    if let Ok(commit) = git::object::read_commit(bytes) {
        commit.subject();
    }
    git::object::unsigned_bytes(bytes);
    drop(git::object::tag_target(bytes));
}

/// An event and the intent in it: both are encoded again as they came, for a signature covers them.
pub fn envelope(bytes: &[u8]) {
    let Ok(event) = Event::decode(bytes) else { return };
    assert_eq!(Event::decode(&event.encode()).ok().as_ref(), Some(&event));
    if let Ok(intent) = event.intent() {
        intent.fact();
    }
}

/// What a ledger commit states: the batch, and the lines of its refs.
pub fn batch(bytes: &[u8]) {
    if let Ok(batch) = notes_schema::envelope::decode::<Batch>(bytes, budget::BATCH) {
        let again = notes_schema::envelope::decode(&notes_schema::envelope::encode(&batch), budget::BATCH);
        assert_eq!(again.ok().as_ref(), Some(&batch));
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(lines) = decode_refs(text)
    {
        assert_eq!(decode_refs(&encode_refs(&lines)).as_ref(), Ok(&lines));
    }
}

/// A record in both of its forms, which say the same.
pub fn trace(bytes: &[u8]) {
    if let Ok(record) = Record::decode_msgpack(bytes) {
        assert_eq!(record.canonical(), bytes, "what was taken is not canonical");
    }
    let Ok(record) = Record::decode_json(bytes) else { return };
    assert_eq!(Record::decode_msgpack(&record.canonical()).as_ref(), Ok(&record));
    assert_eq!(Record::decode_json(record.to_json().to_string().as_bytes()).as_ref(), Ok(&record));
    record.find_text(|_, _| None::<()>);
    for patch in record.attempts.iter().filter_map(|attempt| attempt.patch.as_deref()) {
        drop(hooks::patch::inflate(patch));
    }
}

/// The signature beside a record's file.
pub fn signature(bytes: &[u8]) {
    drop(forge::ledger::record_signer(b"a record", bytes));
}

/// Objects by id, without a repository.
struct Ground(HashMap<Oid, Object>);

impl Objects for Ground {
    fn get(&self, id: Oid) -> Result<Object, ReadError> {
        self.0.get(&id).cloned().ok_or(ReadError::Missing(id))
    }
    fn contains(&self, id: Oid) -> bool {
        self.0.contains_key(&id)
    }
}

/// A patch as it travels, and its text on a tree with one file.
pub fn patch(bytes: &[u8]) {
    static GROUND: LazyLock<(Oid, Ground)> = LazyLock::new(|| {
        let file = Object::new(Kind::Blob, &b"one\ntwo\nthree\nfour\nfive\n"[..]);
        let id = file.id().expect("no collision");
        let root = git::object::tree(vec![TreeEntry { mode: Mode::File, name: b"file".to_vec(), id }]);
        let tree = root.id().expect("no collision");
        (tree, Ground(HashMap::from([(id, file), (tree, root)])))
    });
    const ROOM: u64 = 1 << 20;
    let (tree, ground) = &*GROUND;
    let text = hooks::patch::inflate(bytes);
    let mut room = ROOM;
    if let Ok(made) = git::apply::apply(ground, *tree, text.as_deref().unwrap_or(bytes), &mut room) {
        assert!(made.paths.is_sorted());
        assert!(room <= ROOM, "room was made by spending it");
    }
}

/// A policy file: what is good can be asked for everything it demands.
pub fn policy(bytes: &[u8]) {
    let Ok(policy) = Policy::parse(bytes) else { return };
    policy.checks();
    for target in ["refs/heads/main", "refs/heads/release/1.0", "refs/tags/v1"] {
        let target = target.parse().expect("a ref");
        policy.reserved(&target);
        let (risk, _) = policy.risk(["src/lib.rs", "docs/a.md", "tests/x.rs"].into_iter());
        policy.demands(&target, risk);
    }
}

/// A file that is searched for secrets, and the list of those that are none.
pub fn secrets(bytes: &[u8]) {
    let (allowed, _) = hooks::secrets::Allowed::parse(&String::from_utf8_lossy(bytes));
    allowed.remark();
    let mut searched = hooks::secrets::Searched::allowing(hooks::secrets::Allowed::default());
    searched.file(Object::new(Kind::Blob, bytes.to_vec()).id().expect("no collision"), bytes);
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
    assert!(searched.places.iter().all(|place| (1..=lines).contains(&place.line)), "a secret behind the last line");
}

/// What a run printed, of which tests are counted and benchmarks read.
pub fn test_output(bytes: &[u8]) {
    let mut counter = hooks::counts::Counter::new();
    let printed = String::from_utf8_lossy(bytes);
    printed.lines().for_each(|line| counter.line(line));
    counter.finish();
    hooks::benches::taken_us_by(&printed);
}

/// A line as ssh brings it.
pub fn command_line(bytes: &[u8]) {
    forge::commands::probe::command_line(&String::from_utf8_lossy(bytes));
}

/// What somebody types to find something, asked of an index of three items.
pub fn query(bytes: &[u8]) {
    static INDEX: LazyLock<(tempfile::TempDir, search::Index)> = LazyLock::new(|| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (index, _) = search::Index::open(dir.path()).expect("an index");
        let project: notes_schema::ProjectName = "parser".parse().expect("a name");
        let item = |n: u64, title: &str| search::Item {
            project: project.clone(),
            n,
            kind: search::Kind::Issue,
            state: search::State::Open,
            title: title.to_owned(),
            body: "Words of a body".to_owned(),
            author: "alpha".to_owned(),
            labels: vec!["bug".to_owned()],
            lang: Some("rust".to_owned()),
            seq: n,
            opened_seq: n,
        };
        let commit = Object::new(Kind::Blob, &b""[..]).id().expect("no collision");
        let moment = search::Moment { number: 3, commit };
        index.update(&project, moment, vec![item(1, "One"), item(2, "two digits"), item(3, "Three")]).expect("room");
        (dir, index)
    });
    let text = String::from_utf8_lossy(bytes).into_owned();
    let index = &INDEX.1;
    let found = index.search(&text, 10).expect("a question has an answer");
    let filter = search::Filter { text, ..search::Filter::default() };
    let listed = index.list(&filter, 10, None).expect("a question has an answer");
    assert_eq!(index.count(&filter).expect("a question has an answer"), listed.len() as u64);
    assert!(found.len() <= 3);
}

/// Words of somebody as a page shows them: no element that is not ours comes out, whatever goes in.
pub fn markdown(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let html = frontend::markdown::html(&text, &|_| None).to_ascii_lowercase();
    // In text a `<` is escaped, so that each that comes out begins an element.
    for never in ["<script", "<style", "<iframe", "<img", "<svg", "<form", "<input", "<object", "<!--"] {
        assert!(!html.contains(never), "{never} came out of {text:?}");
    }
}
