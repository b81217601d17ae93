//! How often one source may open connections: a handshake costs the server more than its client.
//!
//! Invariant: whoever stays below the rate is never turned away for others, and what is remembered of sources is bounded.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// After a rest, this many times the rate of a second may come at once.
const BURST: u32 = 10;
/// Sources that are remembered.
/// Limit: addresses whose rate of new connections is remembered | {}; of others none is turned away for it
const MOST_SOURCES: usize = 65_536;
/// Pause between two looks for sources that are at rest.
const SWEEP: Duration = Duration::from_secs(1);

/// The sources of one door.
pub(crate) struct Arrivals {
    /// Time that one connection stands for; `None` where any number may come.
    each: Option<Duration>,
    sources: Mutex<Sources>,
}

#[derive(Default)]
struct Sources {
    /// Until when each is paid for by what came.
    until: HashMap<IpAddr, Instant>,
    swept: Option<Instant>,
}

impl Arrivals {
    /// Lets each source open `a_second` connections in a second; 0 is any number.
    pub(crate) fn new(a_second: u32) -> Arrivals {
        Arrivals { each: Duration::from_secs(1).checked_div(a_second), sources: Mutex::default() }
    }

    /// Whether one more may come from there.
    pub(crate) fn admit(&self, from: IpAddr, now: Instant) -> bool {
        let Some(each) = self.each else { return true };
        let source = source(from);
        let mut sources = self.sources.lock().expect("invariant: no panic under this lock");
        let until = sources.until.get(&source).map_or(now, |until| now.max(*until)) + each;
        if until.duration_since(now) > BURST * Duration::from_secs(1) {
            return false;
        }
        sources.sweep(now);
        if sources.until.len() < MOST_SOURCES || sources.until.contains_key(&source) {
            sources.until.insert(source, until);
        }
        true
    }
}

impl Sources {
    /// Forgets who is at rest, where there are many.
    fn sweep(&mut self, now: Instant) {
        let is_due = self.swept.is_none_or(|at| now.saturating_duration_since(at) >= SWEEP);
        if self.until.len() >= MOST_SOURCES / 2 && is_due {
            self.until.retain(|_, until| *until > now);
            self.swept = Some(now);
        }
    }
}

/// Whom an address stands for: with IPv6 everybody has a whole network of them.
pub(crate) fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => std::net::Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn admitted(arrivals: &Arrivals, from: &str, now: Instant, tries: usize) -> usize {
        (0..tries).filter(|_| arrivals.admit(address(from), now)).count()
    }

    #[test]
    fn a_source_has_its_rate_and_a_burst_and_others_have_theirs() {
        let (arrivals, now) = (Arrivals::new(5), Instant::now());
        assert_eq!(admitted(&arrivals, "192.0.2.1", now, 100), 50);
        assert_eq!(admitted(&arrivals, "192.0.2.2", now, 1), 1);
        assert_eq!(admitted(&arrivals, "192.0.2.1", now + Duration::from_secs(2), 100), 10);
        assert_eq!(
            admitted(&arrivals, "192.0.2.1", now + Duration::from_secs(60), 100),
            50,
            "no more after a long rest"
        );
        assert_eq!(admitted(&Arrivals::new(0), "192.0.2.1", now, 10_000), 10_000);
    }

    #[test]
    fn a_network_of_ipv6_is_one_source_and_a_mapped_address_is_itself() {
        let (arrivals, now) = (Arrivals::new(1), Instant::now());
        assert_eq!(admitted(&arrivals, "2001:db8::1", now, 10), 10);
        assert_eq!(admitted(&arrivals, "2001:db8::ffff:2", now, 10), 0);
        assert_eq!(admitted(&arrivals, "2001:db8:0:1::1", now, 10), 10);
        assert_eq!(admitted(&arrivals, "192.0.2.1", now, 10), 10);
        assert_eq!(admitted(&arrivals, "::ffff:192.0.2.1", now, 10), 0);
    }

    #[test]
    fn of_many_sources_those_at_rest_are_forgotten() {
        let (arrivals, now) = (Arrivals::new(100), Instant::now());
        for n in 0..MOST_SOURCES as u32 + 10 {
            assert!(arrivals.admit(std::net::Ipv4Addr::from_bits(n).into(), now));
        }
        assert_eq!(arrivals.sources.lock().unwrap().until.len(), MOST_SOURCES);
        assert!(arrivals.admit(address("198.51.100.1"), now + Duration::from_secs(2)));
        assert_eq!(arrivals.sources.lock().unwrap().until.len(), 1);
    }
}
