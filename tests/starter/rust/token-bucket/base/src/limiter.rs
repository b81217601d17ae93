//! Many buckets, one for each key.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;

use crate::{Bucket, Refused};

/// Gives each key a bucket of its own.
#[derive(Debug)]
pub struct Limiter<K> {
    rate: NonZeroU32,
    burst: u32,
    buckets: HashMap<K, Bucket>,
}

impl<K: Eq + Hash> Limiter<K> {
    /// A limiter whose buckets gain `rate` tokens per second and hold `burst`.
    pub fn new(rate: NonZeroU32, burst: u32) -> Self {
        Limiter {
            rate,
            burst,
            buckets: HashMap::new(),
        }
    }

    /// Takes one token of a key.
    pub fn allow<Q>(&mut self, key: &Q, now: u64) -> Result<(), Refused>
    where
        K: Borrow<Q>,
        Q: ToOwned<Owned = K> + Eq + Hash + ?Sized,
    {
        self.allow_many(key, 1, now)
    }

    /// Takes several tokens of a key, all of them or none.
    pub fn allow_many<Q>(&mut self, key: &Q, tokens: u32, now: u64) -> Result<(), Refused>
    where
        K: Borrow<Q>,
        Q: ToOwned<Owned = K> + Eq + Hash + ?Sized,
    {
        if let Some(bucket) = self.buckets.get_mut(key) {
            return bucket.take(tokens, now);
        }
        let mut bucket = Bucket::new(self.rate, self.burst, now);
        let answer = bucket.take(tokens, now);
        self.buckets.insert(key.to_owned(), bucket);
        answer
    }

    /// Drops buckets that are full, and answers how many are left.
    pub fn forget_idle(&mut self, now: u64) -> usize {
        self.buckets.retain(|_, bucket| !bucket.is_full(now));
        self.buckets.len()
    }
}
