//! The Tantivy index on disk: its schema, how it is opened, committed to and asked.
//!
//! Invariant: a commit carries, in its payload, the moment of each project that it reflects; items and moments
//! become durable together or not at all.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use notes_schema::{Oid, ProjectName, budget, envelope};
use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::Column;
use tantivy::directory::error::LockError;
use tantivy::directory::{Directory, INDEX_WRITER_LOCK, MmapDirectory};
use tantivy::indexer::IndexWriterOptions;
use tantivy::query::{AllQuery, BooleanQuery, EmptyQuery, Occur, PhraseQuery, Query, TermQuery};
use tantivy::schema::{FAST, Field, IndexRecordOption, STORED, STRING, Schema, TextFieldIndexing, TextOptions, Value};
use tantivy::{
    DocAddress, DocId, IndexReader, IndexWriter, ReloadPolicy, Score, Searcher, SegmentOrdinal, SegmentReader,
    TantivyDocument, TantivyError, Term,
};

use crate::Error;
use crate::item::{Cursor, Item, Prepared, tie};
use crate::overlay::Overlay;
use crate::query::{Condition, Plan, Sort};
use crate::text;

/// First line of a commit's payload. Change it with the schema, the tokenizer or the stored form: an index that says
/// otherwise is wiped.
const VERSION: &str = "forge-search 2";
/// Memory of the one indexing thread.
/// Limit: memory of the index's writer | {:bytes}
const WRITER_MEMORY: usize = 20_000_000;
/// The tokenizer's name in the schema.
const TOKENIZER: &str = "forge";

/// A moment of a project: one of its ledger commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Its ledger number.
    pub number: u64,
    /// The ledger commit: two histories may have one of the same number.
    pub commit: Oid,
}

/// Moments by project.
pub(crate) type Reflects = HashMap<ProjectName, Moment>;

#[derive(Debug, Clone, Copy)]
struct Fields {
    key: Field,
    project: Field,
    kind: Field,
    state: Field,
    label: Field,
    lang: Field,
    author: Field,
    title: Field,
    body: Field,
    opened: Field,
    seq: Field,
    tie: Field,
    owner: Field,
    stored: Field,
}

fn schema() -> (Schema, Fields) {
    let mut schema = Schema::builder();
    let words = TextFieldIndexing::default()
        .set_tokenizer(TOKENIZER)
        .set_index_option(IndexRecordOption::WithFreqsAndPositions)
        .set_fieldnorms(false);
    let words = TextOptions::default().set_indexing_options(words);
    let fields = Fields {
        key: schema.add_text_field("key", STRING),
        project: schema.add_text_field("project", STRING),
        kind: schema.add_text_field("kind", STRING),
        state: schema.add_text_field("state", STRING),
        label: schema.add_text_field("label", STRING),
        lang: schema.add_text_field("lang", STRING),
        author: schema.add_text_field("author", STRING),
        title: schema.add_text_field("title", words.clone()),
        body: schema.add_text_field("body", words),
        opened: schema.add_u64_field("opened", FAST),
        seq: schema.add_u64_field("seq", FAST),
        tie: schema.add_u64_field("tie", FAST),
        owner: schema.add_u64_field("owner", FAST),
        stored: schema.add_bytes_field("stored", STORED),
    };
    (schema.build(), fields)
}

/// An open index. Its writer is made when first needed and again after a failure.
pub(crate) struct Store {
    index: tantivy::Index,
    reader: IndexReader,
    fields: Fields,
}

impl Store {
    /// Opens the index in `dir`, which is wholly its own; one that is damaged or of another version is wiped.
    pub fn open(dir: &Path) -> Result<(Store, Writer, Reflects), Error> {
        std::fs::create_dir_all(dir)?;
        // A damaged file can make Tantivy panic where it does not return an error; neither may stop a forge, because
        // nothing in here is truth.
        let why = match catch_unwind(AssertUnwindSafe(|| Store::try_open(dir))) {
            Ok(Err(Error::Busy)) => return Err(Error::Busy),
            Ok(Ok(opened)) => return Ok(opened),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "reading it panicked".to_owned(),
        };
        // Whoever holds the lock is using it: then it is not ours to wipe.
        match MmapDirectory::open(dir).map_err(TantivyError::from)?.acquire_lock(&INDEX_WRITER_LOCK) {
            Ok(_) | Err(LockError::IoError(_)) => {}
            Err(LockError::LockBusy) => return Err(Error::Busy),
        }
        tracing::warn!(dir = %dir.display(), why, "the search index cannot be used: it is wiped and will be rebuilt");
        std::fs::remove_dir_all(dir)?;
        std::fs::create_dir_all(dir)?;
        Store::try_open(dir)
    }

    fn try_open(dir: &Path) -> Result<(Store, Writer, Reflects), Error> {
        let (schema, fields) = schema();
        let directory = MmapDirectory::open(dir).map_err(TantivyError::from)?;
        let exists = tantivy::Index::exists(&directory).map_err(TantivyError::from)?;
        if !exists && std::fs::read_dir(dir)?.next().is_some() {
            return Err(Error::Damaged("files without an index".to_owned()));
        }
        let index =
            if exists { tantivy::Index::open(directory)? } else { tantivy::Index::create_in_dir(dir, schema.clone())? };
        if index.schema() != schema {
            return Err(Error::Damaged("another schema".to_owned()));
        }
        index.tokenizers().register(TOKENIZER, text::analyzer());
        let writer = Writer::new(&index)?;
        let damaged = index.validate_checksum()?;
        if let Some(file) = damaged.iter().next() {
            return Err(Error::Damaged(format!("{}: wrong checksum", file.display())));
        }
        let metas = index.load_metas()?;
        let reflects = match &metas.payload {
            Some(payload) => read_payload(payload)?,
            None if metas.segments.is_empty() => Reflects::new(),
            None => return Err(Error::Damaged("no word of what it reflects".to_owned())),
        };
        let reader =
            index.reader_builder().reload_policy(ReloadPolicy::Manual).doc_store_cache_num_blocks(16).try_into()?;
        Ok((Store { index, reader, fields }, writer, reflects))
    }

    /// The index as of the last commit.
    pub fn searcher(&self) -> Searcher {
        self.reader.searcher()
    }

    /// A new writer, after the old one failed and was dropped.
    pub fn writer(&self) -> Result<Writer, Error> {
        Writer::new(&self.index)
    }

    /// Writes `overlay` and what the index then reflects in one durable commit, and lets new searchers see it.
    pub fn commit(&self, writer: &mut Writer, overlay: &Overlay, reflects: &Reflects) -> Result<(), Error> {
        let writer = &mut writer.0;
        if overlay.cleared {
            writer.delete_query(Box::new(AllQuery))?;
        }
        for project in &overlay.dropped {
            writer.delete_term(Term::from_field_text(self.fields.project, project.as_str()));
        }
        for item in overlay.items.values().flat_map(HashMap::values) {
            writer.delete_term(Term::from_field_text(self.fields.key, &item.key));
            writer.add_document(self.document(item))?;
        }
        let mut commit = writer.prepare_commit()?;
        commit.set_payload(&write_payload(reflects));
        commit.commit()?;
        self.reader.reload()?;
        Ok(())
    }

    fn document(&self, item: &Prepared) -> TantivyDocument {
        let f = &self.fields;
        let mut document = TantivyDocument::new();
        document.add_text(f.key, &item.key);
        document.add_text(f.project, item.item.project.as_str());
        document.add_text(f.kind, item.item.kind.as_str());
        document.add_text(f.state, item.item.state.as_str());
        for label in &item.labels {
            document.add_text(f.label, label);
        }
        if let Some(lang) = &item.lang {
            document.add_text(f.lang, lang);
        }
        document.add_text(f.author, &item.author);
        document.add_text(f.title, &item.item.title);
        document.add_text(f.body, &item.item.body);
        document.add_u64(f.opened, item.item.opened_seq);
        document.add_u64(f.seq, item.item.seq);
        document.add_u64(f.tie, item.tie);
        document.add_u64(f.owner, tie(item.item.project.as_str()));
        document.add_bytes(f.stored, &envelope::encode(&item.item));
        document
    }

    /// How many items match, and which come first.
    pub fn top(&self, searcher: &Searcher, plan: &Plan, top: Top) -> Result<(u64, Vec<(Cursor, DocAddress)>), Error> {
        Ok(searcher.search(&self.query(plan), &top)?)
    }

    /// Reads one item.
    pub fn item(&self, searcher: &Searcher, address: DocAddress) -> Result<Item, Error> {
        let document: TantivyDocument = searcher.doc(address)?;
        let bytes = document.get_first(self.fields.stored).and_then(|v| v.as_bytes());
        let bytes = bytes.ok_or_else(|| Error::Damaged("an item without its text".to_owned()))?;
        envelope::decode(bytes, budget::EVENT).map_err(|e| Error::Damaged(e.to_string()))
    }

    fn query(&self, plan: &Plan) -> Box<dyn Query> {
        if plan.nothing {
            return Box::new(EmptyQuery);
        }
        let mut clauses: Vec<(Occur, Box<dyn Query>)> =
            plan.conditions.iter().map(|c| (Occur::Must, self.condition(c))).collect();
        if clauses.is_empty() {
            clauses.push((Occur::Must, Box::new(AllQuery)));
        }
        if plan.in_title {
            clauses.extend(plan.phrases().map(|words| (Occur::Must, self.phrase(self.fields.title, words))));
        }
        Box::new(BooleanQuery::new(clauses))
    }

    fn condition(&self, condition: &Condition) -> Box<dyn Query> {
        let f = &self.fields;
        match condition {
            Condition::Project(name) => self.term(f.project, name),
            Condition::Kind(kind) => self.term(f.kind, kind.as_str()),
            Condition::State(state) => self.term(f.state, state.as_str()),
            Condition::Label(label) => self.term(f.label, label),
            Condition::Lang(lang) => self.term(f.lang, lang),
            Condition::Author(author) => self.term(f.author, author),
            Condition::Phrase(words) => {
                Box::new(BooleanQuery::union(vec![self.phrase(f.title, words), self.phrase(f.body, words)]))
            }
            Condition::Ref(key, words) => Box::new(BooleanQuery::union(vec![
                self.term(f.key, key),
                self.phrase(f.title, words),
                self.phrase(f.body, words),
            ])),
        }
    }

    fn term(&self, field: Field, value: &str) -> Box<dyn Query> {
        Box::new(TermQuery::new(Term::from_field_text(field, value), IndexRecordOption::Basic))
    }

    fn phrase(&self, field: Field, words: &[String]) -> Box<dyn Query> {
        match words {
            [] => Box::new(EmptyQuery),
            [word] => self.term(field, word),
            _ => Box::new(PhraseQuery::new(words.iter().map(|w| Term::from_field_text(field, w)).collect())),
        }
    }
}

/// How often a lock that is held is asked for again: a child process has every lock of its parent between its fork and its
/// exec, so one that was let go may be held for another moment.
const TRIES: u32 = 50;
/// How long is waited in between.
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// The one writer of an index; it holds the directory's lock.
pub(crate) struct Writer(IndexWriter);

impl Writer {
    fn new(index: &tantivy::Index) -> Result<Writer, Error> {
        let options = || {
            IndexWriterOptions::builder()
                .num_worker_threads(1)
                .num_merge_threads(1)
                .memory_budget_per_thread(WRITER_MEMORY)
                .build()
        };
        for _ in 1..TRIES {
            match index.writer_with_options(options()) {
                Err(TantivyError::LockFailure(LockError::LockBusy, _)) => std::thread::sleep(BETWEEN_TRIES),
                made => return Ok(Writer(made?)),
            }
        }
        Err(Error::Busy)
    }
}

fn write_payload(reflects: &Reflects) -> String {
    let line = |(project, at): (&ProjectName, &Moment)| format!("{project} {} {}", at.number, at.commit);
    let mut lines: Vec<String> = reflects.iter().map(line).collect();
    lines.sort_unstable();
    format!("{VERSION}\n{}", lines.join("\n"))
}

fn read_payload(payload: &str) -> Result<Reflects, Error> {
    let mut lines = payload.lines();
    if lines.next() != Some(VERSION) {
        return Err(Error::Damaged(format!("not written as `{VERSION}`")));
    }
    let read = |line: &str| {
        let mut words = line.split(' ');
        let (project, number, commit) = (words.next()?, words.next()?, words.next()?);
        Some((project.parse().ok()?, Moment { number: number.parse().ok()?, commit: commit.parse().ok()? }))
    };
    lines.map(|line| read(line).ok_or_else(|| Error::Damaged("no word of what it reflects".to_owned()))).collect()
}

/// Collects how many items match and which come first. The order depends on the items alone, never on segments.
///
/// What a layer above hides is left out here and not by a `MustNot` clause: `Exclude` of Tantivy 0.27 asks a phrase that
/// has already gone on for a document behind it, which is a failed assertion or a wrong answer.
pub(crate) struct Top {
    /// The order.
    pub sort: Sort,
    /// Only what comes after this.
    pub after: Option<Cursor>,
    /// How many.
    pub limit: usize,
    /// What a layer above hides.
    pub hidden: Arc<Hidden>,
}

/// What Tantivy has and queries do not see, by digest.
#[derive(Debug, Default)]
pub(crate) struct Hidden {
    /// Ties of items.
    pub items: HashSet<u64>,
    /// Digests of names of projects.
    pub projects: HashSet<u64>,
}

/// [`Top`] in one segment.
pub(crate) struct SegmentTop {
    seq: Column<u64>,
    tie: Column<u64>,
    owner: Column<u64>,
    after: Option<Cursor>,
    limit: usize,
    hidden: Arc<Hidden>,
    segment: SegmentOrdinal,
    count: u64,
    best: BinaryHeap<Reverse<(Cursor, DocId)>>,
}

impl Collector for Top {
    type Fruit = (u64, Vec<(Cursor, DocAddress)>);
    type Child = SegmentTop;

    fn for_segment(&self, segment: SegmentOrdinal, reader: &SegmentReader) -> tantivy::Result<SegmentTop> {
        let columns = reader.fast_fields();
        Ok(SegmentTop {
            seq: columns.u64(match self.sort {
                Sort::Newest => "opened",
                Sort::Active => "seq",
            })?,
            tie: columns.u64("tie")?,
            owner: columns.u64("owner")?,
            after: self.after,
            limit: self.limit,
            hidden: self.hidden.clone(),
            segment,
            count: 0,
            best: BinaryHeap::new(),
        })
    }

    fn requires_scoring(&self) -> bool {
        false
    }

    fn merge_fruits(&self, fruits: Vec<Self::Fruit>) -> tantivy::Result<Self::Fruit> {
        let count = fruits.iter().map(|(count, _)| count).sum();
        let mut best: Vec<_> = fruits.into_iter().flat_map(|(_, best)| best).collect();
        best.sort_unstable_by(|a, b| b.cmp(a));
        best.truncate(self.limit);
        Ok((count, best))
    }
}

impl SegmentCollector for SegmentTop {
    type Fruit = (u64, Vec<(Cursor, DocAddress)>);

    fn collect(&mut self, doc: DocId, _: Score) {
        let tie = self.tie.first(doc).unwrap_or_default();
        if !self.hidden.items.is_empty() && self.hidden.items.contains(&tie) {
            return;
        }
        if !self.hidden.projects.is_empty() && self.hidden.projects.contains(&self.owner.first(doc).unwrap_or_default())
        {
            return;
        }
        self.count += 1;
        let cursor = Cursor { seq: self.seq.first(doc).unwrap_or_default(), tie };
        if self.after.is_some_and(|after| cursor >= after) {
            return;
        }
        if self.best.len() < self.limit {
            self.best.push(Reverse((cursor, doc)));
        } else if let Some(mut worst) = self.best.peek_mut()
            && worst.0.0 < cursor
        {
            *worst = Reverse((cursor, doc));
        }
    }

    fn harvest(self) -> Self::Fruit {
        let segment = self.segment;
        (
            self.count,
            self.best.into_iter().map(|Reverse((cursor, doc))| (cursor, DocAddress::new(segment, doc))).collect(),
        )
    }
}
