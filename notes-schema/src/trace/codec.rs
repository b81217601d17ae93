//! The record's encodings: canonical MessagePack, and JSON that is normalised to it.
//!
//! Invariant: sizes are checked before anything is allocated for foreign bytes.

use std::fmt::{self, Write as _};

use rmpv::ValueRef;
use serde::Deserialize;
use serde::de::{Error as _, SeqAccess, Visitor};

use super::{Attempt, Record, limits};
use crate::budget::{self, Overrun};
use crate::names::Sha256;

/// Why bytes are no trace record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// They broke the budget before they were read.
    #[error("the record: {0}")]
    Overrun(Overrun),
    /// One field is larger than it may be.
    #[error("{field} holds {got}, {allowed} allowed")]
    Limit {
        /// Which.
        field: String,
        /// What it holds.
        got: usize,
        /// What it may hold.
        allowed: usize,
    },
    /// They are not the expected structure.
    #[error("not a trace record: {0}")]
    Shape(String),
    /// One field breaks a rule.
    #[error("{field} {why}")]
    Field {
        /// Which.
        field: String,
        /// The rule, as the end of a sentence.
        why: &'static str,
    },
    /// The MessagePack is not the canonical encoding of what it says.
    #[error("not canonical MessagePack: keys must be sorted, integers shortest, defaults absent")]
    NotCanonical,
    /// They were written by a later format.
    #[error("format {found} is newer than {}, the newest that this forge reads", crate::FORMAT_VERSION)]
    Newer {
        /// The version they claim.
        found: u64,
    },
}

impl TraceError {
    /// Whether a size or limit was broken, rather than the structure.
    pub fn is_limit(&self) -> bool {
        match self {
            TraceError::Limit { .. } => true,
            TraceError::Overrun(overrun) => match overrun {
                Overrun::Bytes { .. } | Overrun::Depth(_) | Overrun::Elements(_) => true,
                Overrun::Truncated | Overrun::Marker(_) | Overrun::Trailing(_) => false,
            },
            TraceError::Shape(_) | TraceError::Field { .. } | TraceError::NotCanonical | TraceError::Newer { .. } => {
                false
            }
        }
    }
}

impl Record {
    /// Decodes canonical MessagePack; anything that is not canonical is refused.
    pub fn decode_msgpack(bytes: &[u8]) -> Result<Record, TraceError> {
        budget::check(bytes, budget::TRACE).map_err(TraceError::Overrun)?;
        check_version(rmp_serde::from_slice::<Version>(bytes).map_err(shape)?.v)?;
        let record: Record = rmp_serde::from_slice(bytes).map_err(shape)?;
        record.check()?;
        if record.canonical() == bytes { Ok(record) } else { Err(TraceError::NotCanonical) }
    }

    /// Decodes the JSON form: hexadecimal ids, digests and nonce, base64 patches, any order, defaults spelled or not.
    pub fn decode_json(bytes: &[u8]) -> Result<Record, TraceError> {
        if bytes.len() > limits::JSON_BYTES {
            let (got, allowed) = (bytes.len(), limits::JSON_BYTES);
            return Err(TraceError::Overrun(Overrun::Bytes { got, allowed }));
        }
        check_version(serde_json::from_slice::<Version>(bytes).map_err(shape)?.v)?;
        let mut record: Record = serde_json::from_slice(bytes).map_err(shape)?;
        for (i, attempt) in record.attempts.iter_mut().enumerate() {
            if attempt.seq == 0 {
                attempt.seq = i as u64 + 1;
            }
        }
        record.check()?;
        budget::check(&record.canonical(), budget::TRACE).map_err(TraceError::Overrun)?;
        Ok(record)
    }

    /// The canonical MessagePack: keys sorted, shortest integers, defaults absent.
    pub fn canonical(&self) -> Vec<u8> {
        let declared = crate::envelope::encode(self);
        let mut value = read(&declared);
        sort_keys(&mut value);
        let mut bytes = Vec::with_capacity(declared.len());
        rmpv::encode::write_value_ref(&mut bytes, &value).expect("invariant: writing to memory");
        bytes
    }

    /// SHA-256 of the canonical bytes: the record's identity.
    pub fn digest(&self) -> Sha256 {
        Sha256::of(&self.canonical())
    }

    /// The JSON form.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("invariant: records are maps with text keys")
    }

    /// Shows every text in the record with its place (`attempts[0].stdout.tail`), for whoever must read all of it; the
    /// first answer ends it.
    pub fn find_text<T>(&self, mut look: impl FnMut(&str, &str) -> Option<T>) -> Option<T> {
        find_text(&read(&crate::envelope::encode(self)), &mut String::new(), &mut look)
    }
}

/// The format that bytes claim, whatever else they say.
#[derive(Deserialize)]
struct Version {
    v: Option<u64>,
}

/// What was just encoded, without a copy of its texts.
fn read(encoded: &[u8]) -> ValueRef<'_> {
    rmpv::decode::read_value_ref(&mut &encoded[..]).expect("invariant: just encoded")
}

fn shape(error: impl fmt::Display) -> TraceError {
    // The text may quote foreign bytes: one short line of it is enough.
    TraceError::Shape(error.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect())
}

fn check_version(v: Option<u64>) -> Result<(), TraceError> {
    match v {
        Some(found) if found > u64::from(crate::FORMAT_VERSION) => Err(TraceError::Newer { found }),
        Some(1..) => Ok(()),
        Some(0) | None => Err(TraceError::Field { field: "v".to_owned(), why: "must be 1" }),
    }
}

fn sort_keys(value: &mut ValueRef) {
    match value {
        ValueRef::Map(entries) => {
            entries.iter_mut().for_each(|(_, inner)| sort_keys(inner));
            entries.sort_by(|(a, _), (b, _)| text_of(a).cmp(&text_of(b)));
        }
        ValueRef::Array(items) => items.iter_mut().for_each(sort_keys),
        ValueRef::Nil | ValueRef::Boolean(_) | ValueRef::Integer(_) | ValueRef::F32(_) | ValueRef::F64(_) => {}
        ValueRef::String(_) | ValueRef::Binary(_) | ValueRef::Ext(..) => {}
    }
}

fn find_text<T>(value: &ValueRef, place: &mut String, look: &mut impl FnMut(&str, &str) -> Option<T>) -> Option<T> {
    let here = place.len();
    let mut inside = |step: fmt::Arguments, inner: &ValueRef| {
        place.write_fmt(step).expect("invariant: writing to memory");
        let found = find_text(inner, place, look);
        place.truncate(here);
        found
    };
    match value {
        ValueRef::Map(entries) => entries.iter().find_map(|(key, inner)| {
            let dot = if here == 0 { "" } else { "." };
            inside(format_args!("{dot}{}", text_of(key).unwrap_or("?")), inner)
        }),
        ValueRef::Array(items) => items.iter().enumerate().find_map(|(i, inner)| inside(format_args!("[{i}]"), inner)),
        ValueRef::String(_) => look(place, text_of(value)?),
        ValueRef::Nil | ValueRef::Boolean(_) | ValueRef::Integer(_) | ValueRef::F32(_) | ValueRef::F64(_) => None,
        ValueRef::Binary(_) | ValueRef::Ext(..) => None,
    }
}

fn text_of<'a>(value: &'a ValueRef) -> Option<&'a str> {
    let ValueRef::String(text) = value else { return None };
    text.as_str()
}

/// Reads attempts and stops at the first one too many.
pub(super) fn attempts<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Vec<Attempt>, D::Error> {
    struct Attempts;
    impl<'de> Visitor<'de> for Attempts {
        type Value = Vec<Attempt>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {} attempts", limits::ATTEMPTS)
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Attempt>, A::Error> {
            let mut attempts = Vec::new();
            while let Some(attempt) = seq.next_element()? {
                attempts.push(attempt);
                // One more than allowed is kept, so that the check of limits names field and limit.
                if attempts.len() > limits::ATTEMPTS {
                    while seq.next_element::<serde::de::IgnoredAny>()?.is_some() {}
                }
            }
            Ok(attempts)
        }
    }
    d.deserialize_seq(Attempts)
}

impl serde::Serialize for super::Nonce {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if s.is_human_readable() { s.collect_str(self) } else { s.serialize_bytes(self.as_bytes()) }
    }
}

impl<'de> Deserialize<'de> for super::Nonce {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        if d.is_human_readable() {
            return String::deserialize(d)?.parse().map_err(D::Error::custom);
        }
        let bytes = serde_bytes::ByteBuf::deserialize(d)?;
        super::Nonce::from_slice(&bytes).ok_or_else(|| D::Error::invalid_length(bytes.len(), &"16 bytes"))
    }
}

/// Raw bytes in MessagePack, base64 in JSON.
pub(super) mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error as _;
    use serde::{Deserialize, Serialize};

    pub fn serialize<S: serde::Serializer>(bytes: &Option<Vec<u8>>, s: S) -> Result<S::Ok, S::Error> {
        match bytes {
            Some(bytes) if s.is_human_readable() => STANDARD.encode(bytes).serialize(s),
            Some(bytes) => s.serialize_bytes(bytes),
            None => s.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<Vec<u8>>, D::Error> {
        if d.is_human_readable() {
            let text = Option::<String>::deserialize(d)?;
            return text.map(|text| STANDARD.decode(text).map_err(D::Error::custom)).transpose();
        }
        Ok(Option::<serde_bytes::ByteBuf>::deserialize(d)?.map(|bytes| bytes.into_vec()))
    }
}
