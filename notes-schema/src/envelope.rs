//! The envelope: what an agent can sign (the intent) apart from what only the server knows (the event).
//!
//! Invariant: a client's bytes are kept as they came and never encoded again, so unknown fields survive and signatures
//! stay valid. Decoding never trusts a commit message.

use serde::{Deserialize, Serialize};

use crate::budget::{self, Overrun};
use crate::event::Fact;
use crate::names::{AgentName, EntityId, ProjectName, Sha256};

/// Why bytes are no event of this format.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// They broke a budget before they were read.
    #[error(transparent)]
    Overrun(#[from] Overrun),
    /// They are not the expected structure.
    #[error("not the expected structure: {0}")]
    Shape(String),
    /// They were written by a later format.
    #[error(
        "format {found} is newer than {newest}, the newest that this program reads; install the version that wrote it, or a later one"
    )]
    Newer {
        /// The version they claim.
        found: u32,
        /// The newest of their kind that is read here.
        newest: u32,
    },
}

/// Encodes with named fields, the only encoding this format uses.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    rmp_serde::to_vec_named(value).expect("invariant: schema types are maps of integers, text and bytes")
}

/// Decodes one value of `T` that fills `bytes` within `limits`.
pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8], limits: budget::Budget) -> Result<T, DecodeError> {
    budget::check(bytes, limits)?;
    rmp_serde::from_slice(bytes).map_err(|e| DecodeError::Shape(e.to_string()))
}

/// Where an intent is directed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The repository.
    pub project: ProjectName,
    /// The entity as in its ref (`issues/7`); absent where the server is to number a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
}

/// What somebody wants to happen: the part an agent can sign.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// Format version.
    pub v: u32,
    /// First ledger commit of this forge's `forge.git`, so that an intent cannot be replayed on another forge. Empty
    /// only in the event that founds it.
    #[serde(with = "serde_bytes")]
    pub forge: Vec<u8>,
    /// UUID v7, 16 bytes: the same intent sent twice happens once.
    #[serde(with = "serde_bytes")]
    pub id: Vec<u8>,
    /// What kind of fact, for example `issue.opened`.
    pub kind: String,
    /// Where.
    pub to: Target,
    /// Digest of the event that the author had seen last, where that matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Sha256>,
    /// Digest of the text in `body.md` beside the event, so that a signature covers it too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Sha256>,
    /// Digests of the events that led to this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cause: Vec<Sha256>,
    /// The fact's own fields.
    pub d: rmpv::Value,
}

impl Intent {
    /// The fact this intent states. A kind or shape that this version does not know is [`Fact::Unknown`].
    pub fn fact(&self) -> Fact {
        Fact::from_parts(&self.kind, &self.d)
    }
}

/// One event as stored in the blob `event` of its commit: the intent's bytes and what only the server knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Format version.
    pub v: u32,
    /// The intent's bytes as they came.
    #[serde(with = "serde_bytes")]
    pub i: Vec<u8>,
    /// SSHSIG over `i`, namespace `forge.event.v1`, where the author signed.
    #[serde(default, with = "serde_bytes", skip_serializing_if = "Option::is_none")]
    pub s: Option<Vec<u8>>,
    /// Who: the agent's name, or `forge`.
    pub a: AgentName,
    /// By what: `key:SHA256:…`, `token:<id>`, or `forge`.
    pub k: String,
    /// Number within the entity's chain, from 1, dense.
    pub n: u64,
    /// Number of the ledger commit, from 1, dense.
    pub l: u64,
    /// Number in the whole forge, growing; gaps are legal.
    pub q: u64,
    /// Server time, milliseconds since 1970, never less than in the event before.
    pub t: u64,
    /// Digest of the entity's previous event; all zeros in the first.
    pub p: Sha256,
    /// Where this stands in place of a redacted event: the digest of that one's bytes, by which all others know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r: Option<Sha256>,
}

impl Event {
    /// Decodes the blob `event`, within [`budget::EVENT`].
    pub fn decode(bytes: &[u8]) -> Result<Event, DecodeError> {
        let event: Event = decode(bytes, budget::EVENT)?;
        let newest = if event.r.is_some() { REDACTED_FORMAT } else { crate::FORMAT_VERSION };
        if event.v > newest {
            return Err(DecodeError::Newer { found: event.v, newest });
        }
        Ok(event)
    }

    /// What stands in place of this event once an operator has taken out what people wrote in it: who, when, where, what
    /// kind and every field that others rest on stay; free text, the id and the signature of its maker go. `digest` is that
    /// of this event's bytes. Beside it comes the new `body.md`, where the event had one. `None` for a kind whose fields are
    /// not known here, and for what was redacted before.
    pub fn redacted(&self, digest: Sha256, because: &str) -> Option<(Event, Option<String>)> {
        let intent = self.intent().ok().filter(|_| self.r.is_none())?;
        let fact = intent.fact().redacted()?;
        let text = intent.text.map(|_| redacted_text(because));
        let (kind, d) = fact.to_parts();
        let left = Intent {
            v: intent.v,
            // With it, a digest could be guessed against that of the bytes that are gone.
            id: vec![0; 16],
            kind: kind.to_owned(),
            base: intent.base,
            text: text.as_ref().map(|text| Sha256::of(text.as_bytes())),
            cause: intent.cause,
            forge: intent.forge,
            to: intent.to,
            d,
        };
        let event = Event { v: REDACTED_FORMAT, i: encode(&left), s: None, r: Some(digest), ..self.clone() };
        Some((event, text))
    }

    /// Decodes the intent inside, within [`budget::EVENT`].
    pub fn intent(&self) -> Result<Intent, DecodeError> {
        let intent: Intent = decode(&self.i, budget::EVENT)?;
        if intent.v > crate::FORMAT_VERSION {
            return Err(DecodeError::Newer { found: intent.v, newest: crate::FORMAT_VERSION });
        }
        Ok(intent)
    }

    /// The encoded event.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }
}

/// The format of an event that stands in place of a redacted one, and of the batch that names it: programs of before would
/// take it for what its author wrote.
pub const REDACTED_FORMAT: u32 = 2;

/// What is read where something was written.
pub fn redacted_text(because: &str) -> String {
    format!("[redacted by the operator: {because}]")
}

/// Digest that stands for "no previous event".
pub const NO_EVENT: Sha256 = Sha256::from_bytes([0; 32]);

/// Builds the intent for a fact that the server states on behalf of an authenticated agent.
pub fn intent_for(forge: &[u8], id: [u8; 16], project: &ProjectName, entity: &EntityId, fact: &Fact) -> Intent {
    let (kind, d) = fact.to_parts();
    Intent {
        v: crate::FORMAT_VERSION,
        forge: forge.to_vec(),
        id: id.to_vec(),
        kind: kind.to_owned(),
        to: Target { project: project.clone(), entity: Some(entity.to_string()) },
        base: None,
        text: None,
        cause: Vec::new(),
        d,
    }
}

#[cfg(test)]
pub(crate) use tests::golden;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::event::*;
    use crate::names::{Oid, RefName, hex};

    /// Compares `text` with a frozen file. `GOLDEN=write cargo test -p notes-schema` writes files that do not exist yet;
    /// what is frozen is never overwritten.
    pub(crate) fn golden(file: &str, text: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(file);
        if std::env::var_os("GOLDEN").is_some_and(|v| v == "write") && !path.exists() {
            std::fs::write(&path, format!("{text}\n")).unwrap();
        }
        let frozen = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(frozen.trim_end(), text, "{file} is frozen: what was written once must stay readable byte for byte");
    }

    fn oid(digit: u8) -> Oid {
        Oid::from_bytes([digit; 20])
    }

    fn branch(name: &str) -> RefName {
        RefName::branch(name).unwrap()
    }

    fn key() -> PublicKey {
        PublicKey {
            openssh: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f".into(),
            fingerprint: "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU".into(),
        }
    }

    fn proof() -> Proof {
        Proof {
            level: Level::P1,
            record: Some(Sha256::of(b"record")),
            command: "cargo test".into(),
            tests: Some(TestCounts { framework: "cargo-test".into(), passed: 12, failed: 0, ignored: 1 }),
        }
    }

    /// One fact of every kind, in the order of [`KINDS`].
    fn samples() -> Vec<Fact> {
        let item = |text: &str| text.parse::<crate::ItemRef>().unwrap();
        let entrant = |delta_milli| Entrant {
            agent: "alpha".parse().unwrap(),
            pull: 57,
            place: 1,
            solved: true,
            before: 1_000_000,
            issue_k: 32_000,
            delta_milli,
        };
        vec![
            ForgeFounded { format: 1, object_format: "sha1".into() }.into(),
            AgentRegistered { key: Some(key()) }.into(),
            KeyAdded { key: key() }.into(),
            KeyRevoked { fingerprint: key().fingerprint }.into(),
            TokenIssued {
                id: "t7".into(),
                hash: Sha256::of(b"token"),
                expires_ms: 1_795_187_145_000,
                project: Some("parser".parse().unwrap()),
                refs: Some("refs/heads/alpha/*".into()),
                verbs: vec!["push".into()],
            }
            .into(),
            TokenRevoked { id: "t7".into() }.into(),
            ProjectCreated { default_branch: branch("main"), description: "A parser.".into() }.into(),
            ProjectJoined {}.into(),
            IssueOpened { title: "Leak".into(), labels: vec!["rust".into()], lang: None, dedupe: Some("k".into()) }
                .into(),
            IssueClosed { fixed_by: Some(item("parser#57")) }.into(),
            IssueReopened {}.into(),
            Commented {}.into(),
            WorkStarted {
                base: Some(oid(1)),
                branch: branch("alpha/12"),
                nonce: vec![9; 16],
                deadline_ms: 5,
                idle_ms: None,
            }
            .into(),
            WorkAbandoned {}.into(),
            PullOpened {
                title: "Fix the leak".into(),
                branch: branch("alpha/12"),
                target: branch("main"),
                issue: Some(12),
                head: oid(2),
                base: oid(1),
                proof: proof(),
            }
            .into(),
            PullRound { round: 2, head: oid(3), base: oid(1), proof: Proof::none() }.into(),
            Reviewed { verdict: Verdict::RequestChanges, head: oid(3), at: None }.into(),
            PullMerged {
                landed: oid(4),
                onto: oid(1),
                head: oid(3),
                strategy: "merge".into(),
                issue: Some(12),
                proof: None,
                policy: None,
            }
            .into(),
            PullClosed {}.into(),
            RatingSettled {
                key: Sha256::of(b"merge"),
                agent: "alpha".parse().unwrap(),
                ticket: item("parser#12"),
                pull: item("parser#57"),
                approvers: vec!["beta".parse().unwrap()],
                score_ppm: 1_000_000,
                k_milli: 32_000,
                agent_before: 1_200_000,
                ticket_before: 1_200_000,
                delta_milli: 16_000,
                ticket_author: None,
                counts: None,
            }
            .into(),
            CheckRegistered { name: "ci / test".into() }.into(),
            CheckDropped { name: "ci / test".into() }.into(),
            CheckPosted {
                name: "ci / test".into(),
                commit: oid(3),
                tree: oid(5),
                state: CheckState::Success,
                description: "12 passed".into(),
                url: "https://ci.example.org/7".into(),
            }
            .into(),
            ChallengeStarted { proof: Sha256::of(b"record"), nonce: vec![7; 16] }.into(),
            PullChallenged {
                proof: Sha256::of(b"record"),
                record: Sha256::of(b"another"),
                tree: oid(5),
                run: Sha256::of(b"run"),
                head: oid(3),
                outcome: Outcome::Refute,
                level: Level::PX,
            }
            .into(),
            RatingCorrected {
                key: Sha256::of(b"challenge"),
                game: Sha256::of(b"merge"),
                agent: "alpha".parse().unwrap(),
                ticket: item("parser#12"),
                pull: item("parser#57"),
                score_ppm: 0,
                k_milli: 32_000,
                agent_before: 1_200_000,
                ticket_before: 1_200_000,
                given_milli: 16_000,
                delta_milli: -32_000,
            }
            .into(),
            NoteAdded { kind: NoteKind::DidntWork }.into(),
            ProjectRedacted {
                because: "a password".into(),
                from: 3,
                n: 9,
                old: oid(6),
                new: oid(7),
                events: vec![RedactedEvent { e: "issues/7".into(), n: 2, h: Sha256::of(b"event") }],
            }
            .into(),
            ContestOpened {
                difficulty: Difficulty::Hard,
                base: oid(8),
                command: "cargo test".into(),
                runs_ms: 86_400_000,
                anchored: true,
                bench: None,
            }
            .into(),
            ContestClosed {
                entries: vec![Entry {
                    agent: "alpha".parse().unwrap(),
                    pull: 57,
                    head: oid(3),
                    record: Some(Sha256::of(b"record")),
                    bench: None,
                    took_ms: 7_200_000,
                }],
                expired: vec!["gamma".parse().unwrap()],
                candidates: Vec::new(),
            }
            .into(),
            ContestRanked {
                places: vec![Placed {
                    agent: "alpha".parse().unwrap(),
                    pull: 57,
                    place: 1,
                    solved: true,
                    level: Level::P3,
                    sealed_tests: None,
                    regressions: 2,
                    bench_us: Some(1_250),
                    alike_permille: Some(333),
                    took_ms: 7_200_000,
                }],
            }
            .into(),
            ContestSettled {
                key: Sha256::of(b"ranking"),
                contest: item("parser#12"),
                author: "beta".parse().unwrap(),
                difficulty: Difficulty::Hard,
                anchored: true,
                issue_before: 1_400_000,
                issue_delta_milli: -28_000,
                rules: 0,
                entrants: vec![entrant(28_000)],
            }
            .into(),
            ContestCorrected {
                key: Sha256::of(b"ranking again"),
                corrects: Sha256::of(b"ranking"),
                contest: item("parser#12"),
                issue_delta_milli: 28_000,
                entrants: vec![entrant(-28_000)],
            }
            .into(),
            AgentVouched { owner: "acme".parse().unwrap() }.into(),
            IssueImported {
                key: "github:owner/parser#12".into(),
                url: Some("https://github.com/owner/parser/issues/12".into()),
                author: Some("reporter-1".into()),
                created_ms: Some(1_700_000_000_000),
                closed_ms: Some(1_700_086_400_000),
            }
            .into(),
            VerifierOffered {}.into(),
            VerifierWithdrawn {}.into(),
            ContestDrawn {
                beacon: oid(7),
                seats: vec![Seat { pull: 57, agent: "delta".parse().unwrap() }],
                due_ms: 1_795_187_145_000,
                trials: None,
            }
            .into(),
            VerdictCommitted { pull: 57, digest: verdict_digest(Finding::Confirm, &item("parser#57"), "salt") }.into(),
            VerdictRevealed {
                pull: 57,
                finding: Finding::Confirm,
                salt: "salt".into(),
                record: Some(Sha256::of(b"another")),
                regressions: None,
                bench: None,
            }
            .into(),
            ContestSealed {
                id: vec![7; 16],
                commitment: Sha256::of(b"salt and text"),
                sealed: Sha256::of(b"blob"),
                bytes: 4_321,
            }
            .into(),
            ContestRevealed { id: vec![7; 16], key: vec![9; 32], unlaid: Vec::new() }.into(),
            PullVoted { vote: Vote::Down }.into(),
            PullAccepted { issue: 12 }.into(),
            VerifiersJudged {
                key: Some(vec![7; 32]),
                trials: vec![Trial { pull: 57, agent: "delta".parse().unwrap(), ran: Known::Base, right: Some(false) }],
                discredited: vec!["delta".parse().unwrap()],
            }
            .into(),
            WorkExpired { agent: "alpha".parse().unwrap(), alive_ms: 1_795_187_145_000 }.into(),
            IssuePlanned { milestone: Some("v1".into()), priority: Some(Priority::High) }.into(),
            ReviewSettled {
                key: Sha256::of(b"verdict"),
                reviewer: "beta".parse().unwrap(),
                author: "alpha".parse().unwrap(),
                pull: item("parser#57"),
                score_ppm: Some(1_000_000),
                k_milli: 8_000,
                reviewer_before: 1_200_000,
                author_before: 1_200_000,
                counts: Counts { weight_permille: 250, room_milli: 8_000 },
                given_milli: 0,
                delta_milli: 1_000,
            }
            .into(),
        ]
    }

    fn intent(fact: &Fact) -> Intent {
        let project: ProjectName = "parser".parse().unwrap();
        Intent {
            base: Some(Sha256::of(b"seen")),
            cause: vec![Sha256::of(b"cause")],
            ..intent_for(oid(8).as_bytes(), [6; 16], &project, &EntityId::Issue(12), fact)
        }
    }

    fn event(i: Vec<u8>) -> Event {
        Event {
            v: 1,
            i,
            s: Some(b"-----BEGIN SSH SIGNATURE-----".to_vec()),
            a: "alpha".parse().unwrap(),
            k: format!("key:{}", key().fingerprint),
            n: 1,
            l: 300,
            q: 70_000,
            t: 1_795_187_145_000,
            p: NO_EVENT,
            r: None,
        }
    }

    #[test]
    fn every_kind_of_fact_is_frozen() {
        let facts = samples();
        let kinds: Vec<&str> = facts.iter().map(|fact| fact.kind()).collect();
        assert_eq!(kinds, KINDS, "each kind needs one sample here, in order");
        let lines: Vec<String> =
            facts.iter().map(|f| format!("{} {}", f.kind(), hex(&event(encode(&intent(f))).encode()))).collect();
        golden("events.hex", &lines.join("\n"));
        // Optional parts absent.
        let bare = Event { s: None, ..event(encode(&Intent { base: None, cause: Vec::new(), ..intent(&facts[11]) })) };
        golden("bare-event.hex", &hex(&bare.encode()));
    }

    #[test]
    fn every_kind_reads_back() {
        for fact in samples() {
            let bytes = event(encode(&intent(&fact))).encode();
            let event = Event::decode(&bytes).unwrap();
            assert_eq!(event.intent().unwrap().fact(), fact);
            assert_eq!(event.encode(), bytes);
            assert!(!fact.subject().contains('\n'), "{fact:?}");
        }
    }

    #[test]
    fn unknown_fields_and_kinds_survive_and_fold_to_nothing() {
        use rmpv::Value;
        let fields = Value::Map(vec![("title".into(), "Leak".into()), ("severity".into(), 3.into())]);
        let known = Intent { kind: "issue.opened".into(), d: fields, ..intent(&Fact::from(Commented {})) };
        let mut bytes = encode(&known);
        // One more field of the intent itself, from a later version.
        bytes[0] += 1;
        bytes.extend_from_slice(&[0xa5, b'l', b'a', b't', b'e', b'r', 0x92, 1, 2]);
        let decoded = Event::decode(&event(bytes.clone()).encode()).unwrap();
        assert_eq!(decoded.i, bytes, "the client's bytes are never encoded again");
        let read = decoded.intent().unwrap();
        assert_eq!(read, known);
        match read.fact() {
            Fact::IssueOpened(opened) => assert_eq!(opened.title, "Leak"),
            other => panic!("{other:?}"),
        }
        let unknown = Intent { kind: "issue.escalated".into(), ..known };
        assert_eq!(unknown.fact(), Fact::Unknown { kind: "issue.escalated".into() });
        let misshapen = Intent { kind: "issue.opened".into(), d: Value::Map(Vec::new()), ..unknown };
        assert_eq!(misshapen.fact(), Fact::Unknown { kind: "issue.opened".into() });
    }

    #[test]
    fn a_later_format_and_broken_budgets_are_refused() {
        let newer = Event { v: 2, ..event(Vec::new()) };
        assert!(matches!(Event::decode(&newer.encode()), Err(DecodeError::Newer { found: 2, .. })));
        let redacted = Event { v: 3, r: Some(NO_EVENT), ..event(Vec::new()) };
        assert!(matches!(Event::decode(&redacted.encode()), Err(DecodeError::Newer { found: 3, newest: 2 })));
        let long = event(vec![0; budget::EVENT.bytes]);
        assert!(matches!(Event::decode(&long.encode()), Err(DecodeError::Overrun(Overrun::Bytes { .. }))));
        let deep = event([vec![0x91; 40], vec![0xc0]].concat());
        assert!(matches!(deep.intent(), Err(DecodeError::Overrun(Overrun::Depth(32)))));
    }

    #[test]
    fn what_was_written_is_gone_from_a_redacted_event_and_what_others_rest_on_is_not() {
        for fact in samples() {
            let written = Intent { text: Some(Sha256::of(b"hunter2")), ..intent(&fact) };
            let before = event(encode(&written));
            let digest = Sha256::of(&before.encode());
            let (after, text) = before.redacted(digest, "a password").unwrap();
            assert_eq!(text.as_deref(), Some("[redacted by the operator: a password]"));
            assert_eq!((after.r, after.s.as_ref(), after.v), (Some(digest), None, 2));
            assert_eq!(
                (&after.a, &after.k, after.n, after.l, after.q),
                (&before.a, &before.k, before.n, before.l, before.q)
            );
            let read = Event::decode(&after.encode()).unwrap().intent().unwrap();
            assert_eq!(Some(read.fact()), fact.redacted());
            assert_eq!(read.fact().redacted(), Some(read.fact()), "nothing is left to take out");
            assert_eq!(read.fact().kind(), fact.kind());
            assert_eq!((read.id, read.cause, read.base), (vec![0; 16], written.cause, written.base));
            assert_eq!(after.redacted(digest, "again"), None);
        }
        let free = |fact: Fact| encode(&fact.redacted().unwrap().to_parts().1);
        for (fact, word) in
            [(samples().remove(8), "Leak"), (samples().remove(14), "Fix the leak"), (samples().remove(22), "12 passed")]
        {
            assert!(fact.subject().contains(word) || format!("{fact:?}").contains(word), "{fact:?}");
            assert!(!String::from_utf8_lossy(&free(fact)).contains(word), "{word}");
        }
        let unknown = Intent { kind: "issue.escalated".into(), ..intent(&Fact::from(Commented {})) };
        assert_eq!(event(encode(&unknown)).redacted(NO_EVENT, "x"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = Event::decode(&bytes);
            let _ = event(bytes).intent().map(|intent| intent.fact());
        }
    }
}
