//! `GET /live/events`: the rows of the page that watches, sent again whenever the forge changes.
//!
//! Invariant: rows are what the command answers to whoever asks, asked anew each time; a watcher costs one connection, is
//! told at most once in a while, and goes home with the forge.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::reply::{self, Format};
use super::routes::{Asks, Door};
use super::{Shared, credentials, peer, text};
use crate::answer::{Code, Refusal};
use crate::arrivals::source;
use crate::commands::{Reply, TODAY};

/// Most who watch at once.
/// Limit: watchers of the live page at once | {}
const WATCHERS: usize = 64;
/// Most of them from one address.
/// Limit: watchers of the live page at once from one address | {}
const FROM_ONE: usize = 32;
/// How long one answer lasts; a browser then asks again.
/// Limit: one answer of `/live/events` | {}, then a browser asks again
const LASTS: Duration = Duration::from_secs(600);
/// What passes between two answers at least, however much changes.
/// Limit: time between two changes that a watcher is told of | {} at least
const REST: Duration = Duration::from_secs(2);
/// What passes without a word at most, so that nobody between takes the connection for dead.
const BEAT: Duration = Duration::from_secs(15);

const EVENTS: &str = "text/event-stream";
const HTML: &str = "text/html; charset=utf-8";

/// Whoever asks for a stream of events gets one; anybody else the rows as they are.
pub(super) async fn events(State(door): Shared, Extension(asks): Extension<Asks>, headers: HeaderMap) -> Response {
    // Before the first answer, so that what changes meanwhile is told.
    let (changes, refusals, stopping) = door.news();
    let first = match rows(&door, asks, &headers).await {
        Ok(Ok(rows)) => rows,
        Ok(Err(reply)) => return reply::respond(&door, &reply, Format::Markdown, "Live", reply::At::path("/live")),
        Err(refusal) => return credentials::ask(&refusal, Format::Markdown),
    };
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    if !accept.contains(EVENTS) {
        return text(StatusCode::OK, HTML, first);
    }
    let place = match door.watchers.clone().place(peer::address()) {
        Ok(place) => place,
        Err(refusal) => {
            let status = StatusCode::from_u16(refusal.http_status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            return reply::refuse(&refusal, status, Format::Markdown);
        }
    };
    let watcher = Watcher {
        door,
        asks,
        headers,
        changes,
        refusals,
        stopping,
        told: String::new(),
        until: Instant::now() + LASTS,
        place,
    };
    let stream = futures_util::stream::unfold((watcher, Some(first)), |(mut watcher, first)| async move {
        let next = match first {
            Some(rows) => watcher.tell(rows),
            None => watcher.next().await?,
        };
        Some((Ok::<_, Infallible>(Bytes::from(next)), (watcher, None)))
    });
    text(StatusCode::OK, EVENTS, Body::from_stream(stream))
}

/// The rows as whoever sent `headers` sees them, or what they are told instead.
async fn rows(door: &Door, asks: Asks, headers: &HeaderMap) -> Result<Result<String, Reply>, Refusal> {
    let reply = door.run(asks, headers, TODAY.name.to_owned(), b"", true).await?;
    if reply.exit != 0 {
        return Ok(Err(reply));
    }
    super::kept::aside(|| frontend::live::fragment(&reply.stdout)).map(Ok).map_err(|error| {
        tracing::error!(%error, "the rows of the live page could not be drawn");
        Refusal::new(Code::TryLater, "live", "it could not be drawn; the log says why", "today")
    })
}

/// How many watch, and from where.
#[derive(Default)]
pub(super) struct Watchers(Mutex<HashMap<Option<IpAddr>, usize>>);

/// A place among them, until it is dropped.
struct Place {
    of: Arc<Watchers>,
    from: Option<IpAddr>,
}

impl Watchers {
    fn lock(&self) -> MutexGuard<'_, HashMap<Option<IpAddr>, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(self: Arc<Self>, from: Option<IpAddr>) -> Result<Place, Refusal> {
        let from = from.map(source);
        let mut each = self.lock();
        if each.get(&from).is_some_and(|here| *here >= FROM_ONE) {
            return Err(Refusal::too_many("live", format!("{FROM_ONE} watch from this address already"), "today"));
        }
        if each.values().sum::<usize>() >= WATCHERS {
            return Err(Refusal::new(Code::TryLater, "live", format!("{WATCHERS} watch already"), "today"));
        }
        *each.entry(from).or_default() += 1;
        drop(each);
        Ok(Place { of: self, from })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut each = self.of.lock();
        let left = each.remove(&self.from).unwrap_or(1) - 1;
        if left > 0 {
            each.insert(self.from, left);
        }
    }
}

/// One who watches.
struct Watcher {
    door: Arc<Door>,
    asks: Asks,
    headers: HeaderMap,
    changes: watch::Receiver<u64>,
    refusals: watch::Receiver<u64>,
    stopping: watch::Receiver<bool>,
    /// What was told last.
    told: String,
    until: Instant,
    #[expect(dead_code, reason = "it is given back when the watcher goes")]
    place: Place,
}

impl Watcher {
    fn tell(&mut self, rows: String) -> String {
        let mut event = "event: rows\n".to_owned();
        for line in rows.lines() {
            event.push_str(&format!("data: {line}\n"));
        }
        self.told = rows;
        event + "\n"
    }

    /// What is sent next; nothing once it is over.
    async fn next(&mut self) -> Option<String> {
        tokio::select! {
            changed = self.changes.changed() => changed.ok()?,
            refused = self.refusals.changed() => refused.ok()?,
            _ = self.stopping.wait_for(|stopping| *stopping) => return None,
            () = sleep_until(self.until) => return None,
            () = sleep(BEAT) => return Some(":\n\n".to_owned()),
        }
        tokio::select! {
            () = sleep(REST) => {}
            _ = self.stopping.wait_for(|stopping| *stopping) => return None,
        }
        self.changes.mark_unchanged();
        self.refusals.mark_unchanged();
        // Whoever may no longer look is sent home, and told why when it asks again.
        let rows = rows(&self.door, self.asks, &self.headers).await.ok()?.ok()?;
        Some(if rows == self.told { ":\n\n".to_owned() } else { self.tell(rows) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::forge::Forge;
    use crate::hosts::Behind;

    fn watcher(door: Arc<Door>) -> Watcher {
        let place = door.watchers.clone().place(None).unwrap();
        let (changes, refusals, stopping) = door.news();
        let (headers, told) = (HeaderMap::new(), String::new());
        Watcher {
            door,
            asks: Asks::Command(&TODAY),
            headers,
            changes,
            refusals,
            stopping,
            told,
            until: Instant::now() + LASTS,
            place,
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_watcher_is_told_in_lines_and_goes_home_with_the_forge() {
        let data = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.data = data.path().join("d");
        let config = Arc::new(config);
        let forge = Forge::open(&config).unwrap();
        let git = crate::web::git::Door::new(Behind::forge(forge.clone()), config.clone());
        let door = Arc::new(Door::new(forge.clone(), config, git));
        let mut one = watcher(door.clone());
        assert_eq!(door.watchers.lock().values().sum::<usize>(), 1);
        let rows = rows(&door, Asks::Command(&TODAY), &HeaderMap::new()).await.unwrap().unwrap();
        let event = one.tell(rows);
        assert!(event.starts_with("event: rows\ndata: <div id=\"live\"") && event.ends_with("\n\n"), "{event}");
        assert!(event.trim_end().lines().skip(1).all(|line| line.starts_with("data: ")));
        forge.stop_waiting();
        assert_eq!(one.next().await, None);
        drop(one);
        assert!(door.watchers.lock().is_empty());
    }

    #[test]
    fn one_address_leaves_places_for_others() {
        let watchers = Arc::new(Watchers::default());
        let from = |n: u8| Some(IpAddr::from([192, 0, 2, n]));
        let many = |n: u8| std::iter::from_fn(|| watchers.clone().place(from(n)).ok()).collect::<Vec<_>>();
        let first = many(1);
        assert_eq!((first.len(), watchers.clone().place(from(1)).err().unwrap().http_status()), (FROM_ONE, 429));
        let (second, third) = (many(2), many(3));
        assert_eq!((second.len(), third.len()), (WATCHERS - FROM_ONE, 0));
        assert_eq!(watchers.clone().place(from(3)).err().unwrap().http_status(), 503);
        drop(first);
        assert_eq!(many(3).len(), FROM_ONE);
        drop((second, third));
        assert!(watchers.lock().is_empty());
    }
}
