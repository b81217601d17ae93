//! A repository in memory for the rules' tests.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use notes_schema::trace::{Attempt, Nonce, Record};
use notes_schema::{AgentName, ItemRef, Oid, ProjectName, RefName, Sha256};

use crate::policy::{Base, Standing};
use crate::push::{self, PushedRef, RefUpdate};
use crate::record::{self, Form, Incoming, RecordVerdict};
use crate::secrets::{Allowed, Searched};
use crate::{Bringing, Changed, Found, IssuedNonce, Patched, Refusal, Repo, Sought, Undecided};

/// When nonces were given out, and what time it is.
pub const STARTED: u64 = 1_700_000_000_000;
pub const NOW: u64 = STARTED + 3_600_000;

pub fn agent(text: &str) -> AgentName {
    text.parse().unwrap()
}

pub fn name(text: &str) -> RefName {
    text.parse().unwrap()
}

pub fn oid(digit: u8) -> Oid {
    Oid::from_bytes([digit; 20])
}

/// Nonces 1 and 4 were given to alpha, nonce 2 to beta, all for issue 12; nonce 3 to alpha, for a challenge of pull request 47.
pub fn nonce(digit: u8) -> Nonce {
    Nonce::from_bytes([digit; 16])
}

/// Project `parser`, created by `maker`.
pub struct Fake {
    project: ProjectName,
    refs: BTreeMap<RefName, Option<AgentName>>,
    pub pulls: BTreeMap<RefName, ItemRef>,
    pub known: BTreeMap<Sha256, AgentName>,
    pub paths: Result<Vec<String>, Undecided>,
    pub base: Base,
    /// The policy of every commit.
    pub brings: Option<(Oid, Vec<u8>)>,
    pub brought: Vec<Changed>,
    /// Whether what a push brings cannot be read.
    pub unreadable: bool,
    pub found: BTreeMap<String, Found>,
    /// Trees of commits that are there, all of them ancestors of everything.
    pub trees: BTreeMap<Oid, Oid>,
    pub standing: BTreeMap<AgentName, Standing>,
    /// Whether the new files of a push cannot be read.
    pub unsearched: bool,
    /// New files of a push, by their paths and contents; blob n is the file with that number.
    pub files: Vec<(String, String)>,
    /// What is known of where they come from; the paths are filled in.
    pub bringing: Option<Bringing>,
    /// The list of fixtures of the default branch, and of what is pushed.
    pub allows: [String; 2],
    /// Records that were accepted.
    pub records: BTreeMap<Sha256, Record>,
    /// Trees that are here, or that a patch made.
    pub here: RefCell<BTreeSet<Oid>>,
}

impl Fake {
    pub fn new() -> Self {
        let mut fake = Self::unborn();
        fake.add("refs/heads/main", "maker");
        fake
    }

    pub fn unborn() -> Self {
        Fake {
            project: "parser".parse().unwrap(),
            refs: BTreeMap::new(),
            pulls: BTreeMap::new(),
            known: BTreeMap::new(),
            paths: Ok(Vec::new()),
            base: Base::default(),
            brings: None,
            brought: Vec::new(),
            unreadable: false,
            found: BTreeMap::new(),
            trees: BTreeMap::new(),
            standing: BTreeMap::new(),
            records: BTreeMap::new(),
            here: RefCell::default(),
            unsearched: false,
            files: Vec::new(),
            bringing: Some(Bringing {
                paths: Vec::new(),
                known: Vec::new(),
                before: Some(oid(0xbe)),
                is_root: false,
                forced: false,
            }),
            allows: Default::default(),
        }
    }

    /// Alpha's records, accepted in an earlier push.
    pub fn accept(&mut self, records: &[&Record]) {
        for record in records {
            self.known.insert(record.digest(), agent("alpha"));
            self.records.insert(record.digest(), (*record).clone());
        }
    }

    /// The default branch's policy from now on.
    pub fn says(&mut self, policy: &str) {
        self.base = Base::of(Some((oid(0xee), policy.as_bytes())));
    }

    pub fn add(&mut self, text: &str, owner: &str) {
        self.refs.insert(name(text), Some(agent(owner)));
    }

    pub fn add_without_owner(&mut self, text: &str) {
        self.refs.insert(name(text), None);
    }
}

impl Repo for Fake {
    fn project(&self) -> &ProjectName {
        &self.project
    }
    fn creator(&self) -> Result<AgentName, Undecided> {
        Ok(agent("maker"))
    }
    fn default_branch(&self) -> RefName {
        name("refs/heads/main")
    }
    fn ref_exists(&self, name: &RefName) -> Result<bool, Undecided> {
        Ok(self.refs.contains_key(name))
    }
    fn conflicting_ref(&self, name: &RefName) -> Result<Option<RefName>, Undecided> {
        Ok(self.refs.keys().find(|other| other.conflicts_with(name)).cloned())
    }
    fn ref_owner(&self, name: &RefName) -> Result<Option<AgentName>, Undecided> {
        Ok(self.refs.get(name).cloned().flatten())
    }
    fn open_pull(&self, branch: &RefName) -> Result<Option<ItemRef>, Undecided> {
        Ok(self.pulls.get(branch).cloned())
    }
    fn nonce(&self, given: &Nonce) -> Result<Option<IssuedNonce>, Undecided> {
        let subject = (*given == nonce(3)).then(|| "challenge/1".to_owned());
        let issued = |who, n| Some(IssuedNonce { agent: agent(who), issue: n, subject, started_ms: STARTED });
        Ok(if *given == nonce(1) {
            issued("alpha", 12)
        } else if *given == nonce(2) {
            issued("beta", 12)
        } else if *given == nonce(3) {
            issued("alpha", 47)
        } else if *given == nonce(4) {
            issued("alpha", 12)
        } else {
            None
        })
    }
    fn record_maker(&self, digest: &Sha256) -> Result<Option<AgentName>, Undecided> {
        Ok(self.known.get(digest).cloned())
    }
    fn record(&self, digest: &Sha256) -> Result<Option<Record>, Undecided> {
        Ok(self.records.get(digest).cloned())
    }
    fn has_tree(&self, tree: Oid) -> Result<bool, Undecided> {
        Ok(self.here.borrow().contains(&tree))
    }
    /// A patch `1>2` makes tree 2 of tree 1 and of no other, in a file `f2`.
    fn patched(&self, tree: Oid, patch: &[u8], _: &mut u64) -> Result<Patched, Undecided> {
        if !self.has_tree(tree)? {
            return Ok(Patched::Missing(format!("tree {} is not here", tree.short())));
        }
        let text = String::from_utf8_lossy(patch);
        let Some((from, to)) = text.split_once('>') else {
            return Ok(if text.is_empty() { Patched::Tree(tree, Vec::new()) } else { Patched::TooMuch });
        };
        if oid(from.parse().unwrap()) != tree {
            return Ok(Patched::Unfit(format!("at `f` it is of {from}")));
        }
        let made = oid(to.parse().unwrap());
        self.here.borrow_mut().insert(made);
        Ok(Patched::Tree(made, vec![format!("f{to}")]))
    }
    fn allowed_secrets(&self) -> Result<Allowed, Undecided> {
        Ok(Allowed::parse(&self.allows[0]).0)
    }
    fn allowed_secrets_in(&self, _: Oid) -> Result<Allowed, Undecided> {
        Ok(Allowed::parse(&self.allows[1]).0)
    }
    fn searched(&self) -> Result<Arc<Searched>, Undecided> {
        if self.unsearched {
            return Err(Undecided("a file is missing".into()));
        }
        let born = self.ref_exists(&self.default_branch())?;
        let mut searched = Searched::allowing(if born { self.allowed_secrets()? } else { Allowed::default() });
        self.files.iter().zip(0..).for_each(|((_, text), n)| searched.file(oid(n), text.as_bytes()));
        Ok(Arc::new(searched))
    }
    fn bringing(&self, _: &RefName, _: Oid, sought: &Sought<'_>) -> Result<Option<Bringing>, Undecided> {
        let all = self.files.iter().zip(0..).map(|((path, _), n)| (oid(n), path.clone()));
        let paths: Vec<(Oid, String)> = match sought {
            Sought::Blobs(blobs) => all.filter(|(id, _)| blobs.contains(id)).collect(),
            Sought::Paths(paths) => paths.iter().map(|path| (oid(0), path.clone())).collect(),
        };
        let known = paths.iter().map(|(_, path)| path.clone()).filter(|path| !path.starts_with("gone")).collect();
        Ok(self.bringing.clone().map(|found| Bringing { paths, known, ..found }))
    }
    fn differing_paths(&self, _: Oid, _: Oid, most: usize) -> Result<Vec<String>, Undecided> {
        self.paths.clone().map(|paths| paths.into_iter().take(most).collect())
    }
    fn policy(&self) -> Result<Arc<Base>, Undecided> {
        Ok(Arc::new(self.base.clone()))
    }
    fn policy_in(&self, _: Oid) -> Result<Option<(Oid, Vec<u8>)>, Undecided> {
        Ok(self.brings.clone())
    }
    fn brought(&self, _: &RefName, _: Oid) -> Result<Vec<Changed>, Undecided> {
        if self.unreadable { Err(Undecided("a tree is missing".into())) } else { Ok(self.brought.clone()) }
    }
    fn is_ancestor(&self, ancestor: Oid, of: Oid) -> Result<bool, Undecided> {
        Ok(ancestor == of || self.trees.contains_key(&ancestor))
    }
    fn tree_of(&self, commit: Oid) -> Result<Option<Oid>, Undecided> {
        // Commit 66 is there and no ancestor of anything.
        Ok(self.trees.get(&commit).copied().or((commit == oid(66)).then_some(oid(67))))
    }
    fn found_at(&self, _: Oid, path: &str) -> Result<Option<Found>, Undecided> {
        Ok(self.found.get(path).copied())
    }
    fn standing(&self, agent: &AgentName) -> Standing {
        self.standing.get(agent).copied().unwrap_or_default()
    }
    fn now_ms(&self) -> u64 {
        NOW
    }
}

/// What is found against the content of one branch that is pushed.
pub fn pushes(repo: &Fake, who: &str, text: &str) -> Result<(), Refusal> {
    push::judge_content(repo, &PushedRef { agent: &agent(who), update: &update(text), earlier: &[] })
}

/// What becomes of alpha's record after a change: rule and `next` of the refusal, if any.
pub fn records(change: impl FnOnce(&mut Record)) -> Result<(), (String, String)> {
    let mut record = record();
    change(&mut record);
    let (at, bytes) = (name("refs/notes/forge/in/alpha/r1"), record.canonical());
    let incoming = Incoming { name: &at, form: Form::MessagePack, bytes: &bytes };
    match record::judge(&Fake::new(), &agent("alpha"), &[incoming]).remove(0) {
        RecordVerdict::Refused(refusal) => Err((refusal.rule, refusal.next)),
        RecordVerdict::New(_) | RecordVerdict::AlreadyKnown(_) => Ok(()),
    }
}

/// What is said against each of alpha's records, which arrive together.
pub fn judge_records(repo: &Fake, records: &[&Record]) -> Vec<Option<Refusal>> {
    let names: Vec<RefName> = records.iter().map(|r| name(&format!("refs/notes/forge/in/alpha/{}", r.id))).collect();
    let bytes: Vec<Vec<u8>> = records.iter().map(|r| r.canonical()).collect();
    let incoming: Vec<Incoming<'_>> =
        names.iter().zip(&bytes).map(|(name, bytes)| Incoming { name, form: Form::MessagePack, bytes }).collect();
    let refusal = |verdict| match verdict {
        RecordVerdict::Refused(refusal) => Some(refusal),
        RecordVerdict::New(_) | RecordVerdict::AlreadyKnown(_) => None,
    };
    record::judge(repo, &agent("alpha"), &incoming).into_iter().map(refusal).collect()
}

/// The one attempt of [`record`].
pub fn attempt() -> Attempt {
    record().attempts.remove(0)
}

fn update(text: &str) -> RefUpdate {
    match text.strip_prefix('-') {
        Some(deleted) => RefUpdate { name: name(deleted), new: None },
        None => RefUpdate { name: name(text), new: Some(oid(1)) },
    }
}

/// The refusal of the last of several updates in one push.
pub fn refused(repo: &Fake, who: &str, updates: &[&str]) -> Option<Refusal> {
    let updates: Vec<RefUpdate> = updates.iter().map(|text| update(text)).collect();
    let (last, earlier) = updates.split_last().unwrap();
    push::judge(repo, &PushedRef { agent: &agent(who), update: last, earlier }).err()
}

/// Judges each ref (`-` before it deletes) by all rules and compares the rule that refused (empty: none) and its `next`.
pub fn push_table(repo: &Fake, who: &str, cases: &[(&str, &str, &str)]) {
    for (text, rule, next) in cases {
        let (got_rule, got_next) =
            refused(repo, who, &[text]).map_or(Default::default(), |refusal| (refusal.rule, refusal.next));
        assert_eq!((got_rule.as_str(), got_next.as_str()), (*rule, *next), "{who} pushes {text}");
    }
}

/// A record by alpha for issue 12 whose one attempt passed on tree 5.
pub fn record() -> Record {
    let tree = oid(5);
    let json = format!(
        r#"{{"v":1,"id":"r1","project":"parser","issue":12,"agent":"alpha","nonce":"{}","head_tree":"{tree}",
            "attempts":[{{"argv":["cargo","test"],"exit":0,"tree":"{tree}"}}]}}"#,
        nonce(1)
    );
    Record::decode_json(json.as_bytes()).unwrap()
}
