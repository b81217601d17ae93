//! One bucket of tokens.

use std::fmt;
use std::num::NonZeroU32;

/// Holds tokens, and gains them as time passes.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// Tokens gained per second.
    rate: NonZeroU32,
    /// Tokens that it holds at most.
    burst: u32,
    /// Tokens that it holds.
    tokens: u32,
    /// When tokens were last gained, in milliseconds.
    filled: u64,
}

/// Why something may not happen now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It may in so many milliseconds, if nobody else takes tokens until then.
    Wait(u64),
    /// It takes more tokens than the bucket ever holds.
    TooMany,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Wait(milliseconds) => {
                write!(f, "too many requests; try again in {milliseconds} ms")
            }
            Refused::TooMany => write!(f, "more at once than is ever allowed"),
        }
    }
}

impl std::error::Error for Refused {}

impl Bucket {
    /// A full bucket.
    pub fn new(rate: NonZeroU32, burst: u32, now: u64) -> Self {
        Bucket {
            rate,
            burst,
            tokens: burst,
            filled: now,
        }
    }

    /// Takes tokens, all of them or none.
    pub fn take(&mut self, tokens: u32, now: u64) -> Result<(), Refused> {
        if tokens > self.burst {
            return Err(Refused::TooMany);
        }
        self.fill(now);
        if tokens > self.tokens {
            let missing = u64::from(tokens - self.tokens);
            return Err(Refused::Wait(
                (missing * 1000).div_ceil(u64::from(self.rate.get())),
            ));
        }
        self.tokens -= tokens;
        Ok(())
    }

    /// Whether nothing is missing.
    pub fn is_full(&mut self, now: u64) -> bool {
        self.fill(now);
        self.tokens == self.burst
    }

    /// Gains what time has brought.
    fn fill(&mut self, now: u64) {
        let passed = now.saturating_sub(self.filled);
        let gained = passed * u64::from(self.rate.get()) / 1000;
        let room = self.burst - self.tokens;
        self.tokens += gained.min(u64::from(room)) as u32;
        self.filled = now;
    }
}
