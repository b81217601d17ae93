//! The record's encodings: canonical MessagePack, and JSON that is normalised to it.
//!
//! Invariant: sizes are checked before anything is allocated for foreign bytes.

use std::fmt;

use rmpv::Value;
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
        let value = rmpv::decode::read_value(&mut &bytes[..]).map_err(shape)?;
        check_version(value.as_map().and_then(|map| map.iter().find(|(k, _)| k.as_str() == Some("v"))?.1.as_u64()))?;
        let record: Record = rmp_serde::from_slice(bytes).map_err(shape)?;
        record.check()?;
        if record.canonical() == bytes { Ok(record) } else { Err(TraceError::NotCanonical) }
    }

    /// Decodes the JSON form: hexadecimal ids, digests and nonce, base64 patches, any order, defaults spelled or not.
    pub fn decode_json(bytes: &[u8]) -> Result<Record, TraceError> {
        #[derive(Deserialize)]
        struct Version {
            v: Option<u64>,
        }
        if bytes.len() > limits::JSON_BYTES {
            let (got, allowed) = (bytes.len(), limits::JSON_BYTES);
            return Err(TraceError::Overrun(Overrun::Bytes { got, allowed }));
        }
        let version: Version = serde_json::from_slice(bytes).map_err(shape)?;
        check_version(version.v)?;
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
        let mut bytes = Vec::new();
        rmpv::encode::write_value(&mut bytes, &self.value()).expect("invariant: writing to memory");
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

    /// Every text in the record with its place (`attempts[0].stdout.tail`), for whoever must read all of it.
    pub fn texts(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        collect_texts(self.value(), String::new(), &mut found);
        found
    }

    fn value(&self) -> Value {
        let bytes = crate::envelope::encode(self);
        let mut value = rmpv::decode::read_value(&mut &bytes[..]).expect("invariant: just encoded");
        sort_keys(&mut value);
        value
    }
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

fn sort_keys(value: &mut Value) {
    match value {
        Value::Map(entries) => {
            entries.iter_mut().for_each(|(_, inner)| sort_keys(inner));
            entries.sort_by(|(a, _), (b, _)| a.as_str().cmp(&b.as_str()));
        }
        Value::Array(items) => items.iter_mut().for_each(sort_keys),
        Value::Nil | Value::Boolean(_) | Value::Integer(_) | Value::F32(_) | Value::F64(_) => {}
        Value::String(_) | Value::Binary(_) | Value::Ext(..) => {}
    }
}

fn collect_texts(value: Value, place: String, found: &mut Vec<(String, String)>) {
    match value {
        Value::Map(entries) => {
            for (key, inner) in entries {
                let dot = if place.is_empty() { "" } else { "." };
                let place = format!("{place}{dot}{}", key.as_str().unwrap_or("?"));
                collect_texts(inner, place, found);
            }
        }
        Value::Array(items) => {
            for (i, inner) in items.into_iter().enumerate() {
                collect_texts(inner, format!("{place}[{i}]"), found);
            }
        }
        Value::String(text) => found.extend(text.into_str().map(|text| (place, text))),
        Value::Nil | Value::Boolean(_) | Value::Integer(_) | Value::F32(_) | Value::F64(_) => {}
        Value::Binary(_) | Value::Ext(..) => {}
    }
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
