//! Foreign bytes into what reads bodies and queries, for fuzzing and for the seeds in `fuzz/seeds`.
//!
//! Invariant: each function returns, whatever it is given. What came as a parameter stays one: the line that is made of it
//! is the command that its route asks for, and no value brings a flag or another word.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use axum::http::{HeaderMap, HeaderValue, header};
use tokio::io::{AsyncRead, ReadBuf};

use super::gunzip::Gunzip;
use super::{action, pages, statuses};
use crate::commands::probe::read;

/// Reads `bytes` as each body that a route takes, and as a query.
pub fn bodies(bytes: &[u8]) {
    let json = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    for headers in [HeaderMap::new(), json] {
        if let Ok(command) = action::understand(&headers, bytes) {
            assert!(!command.command.contains('\n'), "a command of two lines");
            read(&command.command);
        }
    }
    if let Ok((line, key)) = action::understand_newcomer(bytes) {
        is(&line, "register", 1, &[]);
        assert!(key.lines().count() <= 1, "a key of two lines");
    }
    if let Some(line) = statuses::probe(bytes) {
        is(&line, "check post", 3, &[]);
    }
    if let Ok(query) = std::str::from_utf8(bytes) {
        if let Some(line) = action::feed_of(query) {
            is(&line, "feed", 0, &["since", "max", "project", "lang", "label", "wait"]);
        }
        is(&format!("search {}", pages::search(query)), "search", 1, &[]);
    }
    inflates_within(bytes, 64 << 10);
}

/// Holds a line against the command that it was made to be: its words, and which flags it may have.
fn is(line: &str, name: &str, words: usize, flags: &[&str]) {
    // What is refused when it is read is as good as refused before.
    let Some((command, args)) = read(line) else { return };
    assert_eq!(command.name, name, "{line:?} is another command");
    assert!(args.words.len() <= words, "{line:?} has another word");
    assert!(args.flags().all(|flag| flags.contains(&flag)), "{line:?} has another flag");
}

fn inflates_within(bytes: &[u8], cap: u64) {
    let mut reader = pin!(Gunzip::new(bytes, cap));
    let (mut space, mut all) = ([0; 4096], 0);
    loop {
        let mut some = ReadBuf::new(&mut space);
        match reader.as_mut().poll_read(&mut Context::from_waker(Waker::noop()), &mut some) {
            Poll::Ready(Ok(())) if some.filled().is_empty() => break,
            Poll::Ready(Ok(())) => all += some.filled().len() as u64,
            Poll::Ready(Err(_)) => break,
            Poll::Pending => panic!("a reader of memory waits for something else"),
        }
    }
    assert!(all <= cap, "more came out than the cap");
}
