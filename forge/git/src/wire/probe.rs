//! Foreign bytes into the parsers of the wire that meet them first, for fuzzing and for the seeds in `fuzz/seeds`.
//!
//! Invariant: each function returns, whatever it is given. What must hold of what was read is asserted here, so that a
//! fuzzer finds more than crashes.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::commands::{self, Capabilities};
use super::fetch::request::Request;
use super::pktline::{self, Packet, PktReader};
use super::receive_pack::Terms;
use super::{FetchOffer, Filters, Wants};
use crate::select::filter::Filter;

/// The most bytes that a reader may take of one probe.
/// Limit: bytes that a reader takes of one fuzzed input | {:bytes}
const BUDGET: u64 = 1 << 20;

/// What reads from memory never waits.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => panic!("a reader of memory waits for something else"),
    }
}

/// Reads `bytes` as pkt-lines, with and without delimiters; lines that were read are framed again as they came.
pub fn pktline(bytes: &[u8]) {
    for delimiters in [false, true] {
        let mut reader = PktReader::new(bytes, delimiters, BUDGET);
        let mut again = Vec::new();
        while let Ok(Some(packet)) = at_once(reader.next()) {
            match packet {
                Packet::Data([]) => again.extend_from_slice(b"0004"),
                Packet::Data(line) => pktline::data(&mut again, line),
                Packet::Flush => again.extend_from_slice(pktline::FLUSH),
                Packet::Delim => again.extend_from_slice(pktline::DELIM),
            }
        }
        assert!(again.eq_ignore_ascii_case(&bytes[..again.len()]), "what was read is not what was sent");
    }
    let inside: usize = pktline::payloads(bytes).map(|payload| payload.len() + 4).sum();
    assert!(inside <= bytes.len(), "more is in the lines than in their frames");
    let shown = pktline::visible(&String::from_utf8_lossy(bytes));
    assert!(!shown.contains(char::is_control), "a control character is shown");
}

/// Reads `bytes` as the commands of a push; every one that was read is reported on.
pub fn receive_commands(bytes: &[u8]) {
    let mut reader = PktReader::new(bytes, false, BUDGET);
    let (mut can, terms) = (Capabilities::default(), Terms::default());
    let Ok(Some(mut request)) = at_once(commands::read(&mut reader, &mut can, &terms)) else { return };
    assert!(request.ballot.open().iter().all(|update| update.old.is_some() || update.new.is_some()));
    request.ballot.unpack_failed("probed");
    let report = request.ballot.report();
    let lines = pktline::payloads(&report).map(<[u8]>::len).sum::<usize>();
    assert!(lines + 4 < report.len(), "the report is framed whole");
    assert!(!report.contains(&0x1b), "an escape comes back");
}

/// Reads `bytes` as the arguments of a fetch under v2, and as the lines of one under v0.
pub fn fetch_request(bytes: &[u8]) {
    let offer = FetchOffer {
        wants: Wants::Reachable,
        filters: Filters { served: true, ..Filters::default() },
        want_ref: true,
        sideband_all: true,
        object_info: true,
        unborn: true,
    };
    let mut request = Request::default();
    if request.version2(bytes.to_vec(), &offer).is_ok() {
        let distinct: std::collections::HashSet<_> = request.wants.iter().collect();
        assert_eq!(distinct.len(), request.wants.len(), "a want stands twice");
    }
    let mut request = Request::default();
    for line in pktline::payloads(bytes).map(pktline::text) {
        if request.version0_line(line, &offer).is_err() {
            break;
        }
    }
    for line in bytes.split(|&byte| byte == b'\n').take(64) {
        drop(Filter::parse(&String::from_utf8_lossy(line), |_| ()));
    }
}
