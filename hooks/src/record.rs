//! Judges the trace records of a push: E01 and E02 while decoding, then the rules on what they say.

use std::collections::HashMap;

use notes_schema::trace::{Record, TraceError};
use notes_schema::{AgentName, RefName, Sha256, refs};

use crate::rules::{agreement, no_secrets, nonce, patches, pusher, record_chain, times};
use crate::verdict::refusal_of;
use crate::{Judgement, Refusal, Repo, Verdict};

pub use crate::rules::patches::{Replayed, replay};

/// How a record's blob is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Blob `record`.
    MessagePack,
    /// Blob `record.json`.
    Json,
}

impl Form {
    /// The form of a blob with this name in the record commit's tree, if it is one.
    pub fn of_blob(name: &[u8]) -> Option<Form> {
        match name {
            b"record" => Some(Form::MessagePack),
            b"record.json" => Some(Form::Json),
            _ => None,
        }
    }
}

/// A record as it arrived: the one blob of the commit that a `refs/notes/forge/in/<agent>/<id>` is to point at.
#[derive(Debug, Clone)]
pub struct Incoming<'a> {
    /// The ref.
    pub name: &'a RefName,
    /// How the blob is encoded.
    pub form: Form,
    /// The blob's bytes.
    pub bytes: &'a [u8],
}

/// A decoded record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// What it says.
    pub record: Record,
    /// Its canonical bytes.
    pub canonical: Vec<u8>,
    /// Their digest: its identity.
    pub digest: Sha256,
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordVerdict {
    /// It is to be kept.
    New(Box<Taken>),
    /// The identical record was accepted before: answer ok, change nothing.
    AlreadyKnown(Box<Taken>),
    /// It is not taken.
    Refused(Refusal),
}

/// One decoded record, who pushed it, and what came with it.
pub struct PushedRecord<'a> {
    /// Who pushes, as authenticated.
    pub agent: &'a AgentName,
    /// The ref that carries it.
    pub name: &'a RefName,
    /// What it says.
    pub record: &'a Record,
    /// Records of the same push that were found good so far.
    pub arrived: &'a Arrived<'a>,
}

/// Records of one push, those of them that were judged already and found good.
pub struct Arrived<'a> {
    place: &'a HashMap<Sha256, usize>,
    verdicts: &'a [Option<RecordVerdict>],
}

impl Arrived<'_> {
    /// The record with this digest.
    pub fn get(&self, digest: &Sha256) -> Option<&Record> {
        match self.verdicts[*self.place.get(digest)?].as_ref()? {
            RecordVerdict::New(taken) | RecordVerdict::AlreadyKnown(taken) => Some(&taken.record),
            RecordVerdict::Refused(_) => None,
        }
    }
}

impl PushedRecord<'_> {
    pub(crate) fn refuse(&self, rule: &str, why: impl AsRef<str>, next: impl AsRef<str>) -> Judgement {
        Ok(Verdict::Refused(Refusal::new(rule, what(self.name), why, next)))
    }
}

/// One rule on what a record says.
pub struct RecordRule {
    /// Its code, as refusals carry it.
    pub word: &'static str,
    /// What it demands, in one line, for the list of rules.
    pub demands: &'static str,
    /// Judges one record.
    pub judge: fn(&dyn Repo, &PushedRecord<'_>) -> Judgement,
}

/// The rules on what a record says, in the order in which they are asked. Before them stand E01 (size and limits) and
/// E02 (canonical encoding), and after the first an identical accepted record is done.
pub const RULES: &[RecordRule] = &[
    pusher::RULE,
    nonce::RULE,
    record_chain::RULE,
    agreement::AT_ARRIVAL,
    times::RULE,
    no_secrets::RULE,
    // Last, for it takes the most work.
    patches::RULE,
];

/// Judges all records of one push together, since they may be linked among themselves; verdicts in the order given.
pub fn judge(repo: &dyn Repo, agent: &AgentName, incoming: &[Incoming<'_>]) -> Vec<RecordVerdict> {
    judge_except(repo, agent, incoming, &[])
}

/// The same without the rules whose words are given: where no forge is, some cannot be asked.
pub fn judge_except(
    repo: &dyn Repo,
    agent: &AgentName,
    incoming: &[Incoming<'_>],
    except: &[&str],
) -> Vec<RecordVerdict> {
    let decoded: Vec<Result<Taken, Refusal>> = incoming.iter().map(decode).collect();
    let place: HashMap<Sha256, usize> =
        decoded.iter().enumerate().filter_map(|(i, taken)| Some((taken.as_ref().ok()?.digest, i))).collect();
    // Who waits for whose verdict: a record is judged after the one its `prev` names, if that came along.
    let mut waiting: HashMap<usize, Vec<usize>> = HashMap::new();
    let mut ready: Vec<usize> = Vec::new();
    for (i, taken) in decoded.iter().enumerate() {
        let prev = taken.as_ref().ok().and_then(|taken| taken.record.prev);
        match prev.and_then(|prev| place.get(&prev)) {
            Some(&before) if before != i => waiting.entry(before).or_default().push(i),
            Some(_) | None => ready.push(i),
        }
    }
    let mut verdicts: Vec<Option<RecordVerdict>> = vec![None; decoded.len()];
    let mut decoded: Vec<Option<Result<Taken, Refusal>>> = decoded.into_iter().map(Some).collect();
    while let Some(i) = ready.pop() {
        let Some(taken) = decoded[i].take() else { continue };
        let verdict = match taken {
            Ok(taken) => {
                let arrived = Arrived { place: &place, verdicts: &verdicts };
                judge_one(repo, agent, incoming[i].name, taken, &arrived, except)
            }
            Err(refusal) => RecordVerdict::Refused(refusal),
        };
        verdicts[i] = Some(verdict);
        ready.extend(waiting.remove(&i).unwrap_or_default());
    }
    verdicts.into_iter().map(|verdict| verdict.expect("invariant: links of digests have no cycle")).collect()
}

fn judge_one(
    repo: &dyn Repo,
    agent: &AgentName,
    name: &RefName,
    taken: Taken,
    arrived: &Arrived<'_>,
    except: &[&str],
) -> RecordVerdict {
    let pushed = PushedRecord { agent, name, record: &taken.record, arrived };
    let ask = |rules: &[RecordRule]| -> Result<(), Refusal> {
        let mut asked = rules.iter().filter(|rule| !except.contains(&rule.word));
        asked.try_for_each(|rule| refusal_of((rule.judge)(repo, &pushed), rule.word, &what(name), "git push"))
    };
    let (first, others) = RULES.split_at(1);
    if let Err(refusal) = ask(first) {
        return RecordVerdict::Refused(refusal);
    }
    match repo.record_maker(&taken.digest) {
        Ok(Some(maker)) if maker == *agent => return RecordVerdict::AlreadyKnown(Box::new(taken)),
        Ok(_) => {}
        Err(error) => return RecordVerdict::Refused(Refusal::new("E05", what(name), error.to_string(), "git push")),
    }
    match ask(others) {
        Ok(()) => RecordVerdict::New(Box::new(taken)),
        Err(refusal) => RecordVerdict::Refused(refusal),
    }
}

/// E01 and E02.
fn decode(incoming: &Incoming<'_>) -> Result<Taken, Refusal> {
    let record = match incoming.form {
        Form::MessagePack => Record::decode_msgpack(incoming.bytes),
        Form::Json => Record::decode_json(incoming.bytes),
    };
    let refuse = |rule: &str, why: String| Refusal::new(rule, what(incoming.name), why, drop_it(incoming.name));
    let record =
        record.map_err(|error: TraceError| refuse(if error.is_limit() { "E01" } else { "E02" }, error.to_string()))?;
    if refs::incoming_record(incoming.name).is_none_or(|(_, id)| id != record.id) {
        return Err(refuse("E02", format!("its id is {}, and the ref must end with it", record.id)));
    }
    let canonical = match incoming.form {
        Form::MessagePack => incoming.bytes.to_vec(),
        Form::Json => record.canonical(),
    };
    Ok(Taken { digest: Sha256::of(&canonical), canonical, record })
}

/// The last segment of the ref.
fn id(name: &RefName) -> &str {
    refs::incoming_record(name).map_or("", |(_, id)| id)
}

fn what(name: &RefName) -> String {
    format!("record {}", id(name))
}

/// E03, where what is to show whose word a record is shows something else.
pub fn not_its_makers(name: &RefName, why: impl AsRef<str>) -> Refusal {
    Refusal::new("E03", what(name), why, drop_it(name))
}

/// E02, where what a ref brings is no record at all: its commit, or the files in it, are of another shape.
pub fn misshapen(name: &RefName, why: impl AsRef<str>) -> Refusal {
    Refusal::new("E02", what(name), why, drop_it(name))
}

/// Drops a record that can never be taken, so that it is not sent again with each push.
pub(crate) fn drop_it(name: &RefName) -> String {
    format!("{} && git push", drop_command(name))
}

/// Takes the record that would be sent to `name` out of its maker's clone.
pub fn drop_command(name: &RefName) -> String {
    format!("git update-ref -d {}{}", refs::OUT_PREFIX, id(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fake, agent, name, nonce, record};

    fn judge_as(repo: &Fake, who: &str, records: &[&Record]) -> Vec<Result<bool, (String, String)>> {
        let names: Vec<RefName> =
            records.iter().map(|r| name(&format!("refs/notes/forge/in/{who}/{}", r.id))).collect();
        let bytes: Vec<Vec<u8>> = records.iter().map(|r| r.canonical()).collect();
        let incoming: Vec<Incoming<'_>> =
            names.iter().zip(&bytes).map(|(name, bytes)| Incoming { name, form: Form::MessagePack, bytes }).collect();
        judge(repo, &agent(who), &incoming)
            .into_iter()
            .map(|verdict| match verdict {
                RecordVerdict::New(_) => Ok(true),
                RecordVerdict::AlreadyKnown(_) => Ok(false),
                RecordVerdict::Refused(refusal) => Err((refusal.rule, refusal.next)),
            })
            .collect()
    }

    fn with(change: impl FnOnce(&mut Record)) -> Record {
        let mut record = record();
        change(&mut record);
        record
    }

    #[test]
    fn each_rule_refuses_under_its_code() {
        let repo = Fake::new();
        let drop = "git update-ref -d refs/notes/forge/out/r1 && git push";
        let cases: Vec<(&str, Record, &str, &str)> = vec![
            ("good", record(), "", ""),
            ("of another agent", with(|r| r.agent = agent("beta")), "E03", drop),
            ("of another project", with(|r| r.project = "lexer".parse().unwrap()), "E04", drop),
            ("with beta's nonce", with(|r| r.nonce = nonce(2)), "E04", drop),
            ("with no known nonce", with(|r| r.nonce = nonce(9)), "E04", drop),
            ("with no known nonce or issue", with(|r| (r.nonce, r.issue) = (nonce(9), None)), "E04", drop),
            ("for another issue", with(|r| r.issue = Some(13)), "E04", drop),
            ("for the nonce's issue", with(|r| r.issue = None), "", ""),
            (
                "of a challenge",
                with(|r| (r.nonce, r.issue, r.subject) = (nonce(3), Some(47), Some("challenge/1".into()))),
                "",
                "",
            ),
            (
                "with a challenge's nonce, about own work",
                with(|r| (r.nonce, r.issue) = (nonce(3), None)),
                "E04",
                "git update-ref -d refs/notes/forge/out/r1 && git push && ssh forge challenge parser/47",
            ),
            ("after an unknown one", with(|r| r.prev = Some(Sha256::of(b"?"))), "E05", drop),
            (
                "with a secret",
                with(|r| {
                    r.attempts[0].reasoning = Some(format!("used ghp_{} here", "a1B2".repeat(9)));
                }),
                "E12",
                drop,
            ),
        ];
        for (which, record, rule, next) in cases {
            let expected = if rule.is_empty() { Ok(true) } else { Err((rule.to_owned(), next.to_owned())) };
            assert_eq!(judge_as(&repo, "alpha", &[&record]), [expected], "a record {which}");
        }
    }

    #[test]
    fn broken_bytes_are_e01_or_e02() {
        let repo = Fake::new();
        let at = name("refs/notes/forge/in/alpha/r1");
        let refused = |form, bytes: &[u8]| match judge(&repo, &agent("alpha"), &[Incoming { name: &at, form, bytes }])
            .remove(0)
        {
            RecordVerdict::Refused(refusal) => refusal.rule,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(Form::MessagePack, b""), "E02");
        assert_eq!(refused(Form::MessagePack, record().to_json().to_string().as_bytes()), "E02");
        assert_eq!(refused(Form::Json, &record().canonical()), "E02");
        assert_eq!(refused(Form::MessagePack, &vec![0; 600 << 10]), "E01");
        assert_eq!(refused(Form::Json, &vec![b' '; 2 << 20]), "E01");
        assert_eq!(refused(Form::MessagePack, &with(|r| r.id = "r2".into()).canonical()), "E02");
    }

    #[test]
    fn an_identical_record_is_ok_without_effect_in_either_form() {
        let mut repo = Fake::new();
        repo.known.insert(record().digest(), agent("alpha"));
        repo.add("refs/notes/forge/in/alpha/r1", "alpha");
        assert_eq!(judge_as(&repo, "alpha", &[&record()]), [Ok(false)]);
        let at = name("refs/notes/forge/in/alpha/r1");
        let json = record().to_json().to_string();
        let incoming = Incoming { name: &at, form: Form::Json, bytes: json.as_bytes() };
        assert!(matches!(judge(&repo, &agent("alpha"), &[incoming])[0], RecordVerdict::AlreadyKnown(_)));
        // Another record under the same id is not the same record.
        let other = with(|r| r.attempts[0].dur_ms = 7);
        assert!(matches!(&judge_as(&repo, "alpha", &[&other])[0], Err((rule, _)) if rule == "E05"));
        // Copied by somebody else, it is still alpha's.
        assert!(matches!(&judge_as(&repo, "beta", &[&record()])[0], Err((rule, _)) if rule == "E03"));
    }

    #[test]
    fn links_within_a_push_hold_in_any_order_and_break_with_their_first() {
        let repo = Fake::new();
        let one = record();
        let two = with(|r| (r.id, r.prev) = ("r2".into(), Some(one.digest())));
        let three = with(|r| (r.id, r.prev) = ("r3".into(), Some(two.digest())));
        assert_eq!(judge_as(&repo, "alpha", &[&three, &one, &two]), [Ok(true), Ok(true), Ok(true)]);
        let bad = with(|r| r.nonce = nonce(9));
        let after = with(|r| (r.id, r.prev) = ("r2".into(), Some(bad.digest())));
        let rules: Vec<String> =
            judge_as(&repo, "alpha", &[&after, &bad]).into_iter().map(|v| v.unwrap_err().0).collect();
        assert_eq!(rules, ["E05", "E04"]);
        let mut repo = Fake::new();
        repo.known.insert(one.digest(), agent("alpha"));
        assert_eq!(judge_as(&repo, "alpha", &[&two]), [Ok(true)]);
        repo.known.insert(one.digest(), agent("beta"));
        assert!(judge_as(&repo, "alpha", &[&two])[0].is_err(), "a link to another agent's record");
    }

    #[test]
    fn a_secret_is_named_by_rule_and_place_never_by_value() {
        let secret = format!("ghp_{}", "a1B2".repeat(9));
        let record = with(|r| r.attempts[0].argv = vec!["curl".into(), format!("x={secret}")]);
        let at = name("refs/notes/forge/in/alpha/r1");
        let bytes = record.canonical();
        let incoming = Incoming { name: &at, form: Form::MessagePack, bytes: &bytes };
        let RecordVerdict::Refused(refusal) = judge(&Fake::new(), &agent("alpha"), &[incoming]).remove(0) else {
            panic!()
        };
        assert_eq!(refusal.rule, "E12");
        assert!(
            refusal.why.contains("github-token") && refusal.why.contains("attempts[0].argv[1] at byte 2"),
            "{refusal}"
        );
        assert!(!refusal.line().contains(&secret));

        let mut repo = Fake::new();
        repo.allows[0] = "# a long list\n".repeat(10_000);
        let incoming = Incoming { name: &at, form: Form::MessagePack, bytes: &bytes };
        let RecordVerdict::Refused(refusal) = judge(&repo, &agent("alpha"), &[incoming]).remove(0) else { panic!() };
        let list =
            "(github-token); fixtures are listed in `.forge/secrets.allow`, which lists nothing now, for it is longer";
        assert!(refusal.why.contains(list), "{refusal}");
    }
}
