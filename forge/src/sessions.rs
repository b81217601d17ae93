//! Who is signed in with a browser, and the codes by which they come in.
//!
//! Invariant: an id stands in its cookie and nowhere else, here is its digest; a session carries the key or token that it
//! began with and is never good for more than that is at the moment; one that was ended is gone from disk before anybody
//! is told so. Codes are in memory alone: good once, for two minutes and five tries.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use notes_schema::{AgentName, Sha256};
use serde::{Deserialize, Serialize};

use crate::secrets::{SecretError, Secrets, random};

/// How long a session lasts, in milliseconds.
/// Limit: a browser's session | 30 days
pub const LASTS_MS: u64 = 30 * 86_400_000;
/// Most sessions of one agent; the oldest makes room.
/// Limit: sessions of one agent | {}; the oldest makes room
const MOST_OF_ONE: usize = 16;
/// Most sessions of all.
/// Limit: sessions of a forge | {}; the oldest of whoever has most makes room
const MOST: usize = 10_000;
/// How long a code is good, in milliseconds.
/// Limit: a code to sign in with | 2 minutes
const CODE_LASTS_MS: u64 = 120_000;
/// How often a code may be got wrong.
/// Limit: tries of a code to sign in with | {}
const TRIES: u8 = 5;
/// Letters and digits that are not mistaken for each other.
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// What somebody signed in with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// Who it is.
    pub agent: AgentName,
    /// `key:SHA256:…` or `token:<id>`.
    pub credential: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Session {
    #[serde(flatten)]
    login: Login,
    began_ms: u64,
}

struct Code {
    login: Login,
    secret: Sha256,
    began_ms: u64,
    tries: u8,
}

#[derive(Default)]
struct State {
    /// By the digest of their id.
    sessions: BTreeMap<String, Session>,
    /// By their first part.
    codes: BTreeMap<String, Code>,
}

/// Sessions of one forge.
pub struct Sessions {
    secrets: Secrets,
    /// Held while what changes is written, and never by who looks.
    writing: Mutex<()>,
    state: Mutex<State>,
}

impl Sessions {
    /// Those that `secrets/` remembers.
    ///
    /// # Errors
    ///
    /// Where they cannot be read, or are damaged.
    pub fn open(secrets: Secrets) -> Result<Sessions, SecretError> {
        let sessions = secrets.sessions()?.unwrap_or_default();
        let state = Mutex::new(State { sessions, codes: BTreeMap::new() });
        Ok(Sessions { secrets, writing: Mutex::default(), state })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A code by which a browser becomes `login`; an agent's earlier one is void.
    ///
    /// # Errors
    ///
    /// Where the system gives no random bytes.
    pub fn code(&self, login: Login, now_ms: u64) -> Result<String, SecretError> {
        let bytes = random()?;
        let letter = |byte: &u8| char::from(LETTERS[usize::from(byte % 32)]);
        let (first, secret): (String, String) =
            (bytes[..4].iter().map(letter).collect(), bytes[4..12].iter().map(letter).collect());
        let mut state = self.state();
        state
            .codes
            .retain(|_, code| code.login.agent != login.agent && now_ms.saturating_sub(code.began_ms) < CODE_LASTS_MS);
        let code = Code { login, secret: Sha256::of(secret.as_bytes()), began_ms: now_ms, tries: 0 };
        state.codes.insert(first.clone(), code);
        Ok(format!("{first}-{secret}"))
    }

    /// Whom a code lets in, once.
    pub fn redeem(&self, code: &str, now_ms: u64) -> Option<Login> {
        let code = code.trim().to_ascii_lowercase();
        let (first, secret) = code.split_once('-')?;
        let mut state = self.state();
        let known = state.codes.get_mut(first)?;
        known.tries += 1;
        let fresh = now_ms.saturating_sub(known.began_ms) < CODE_LASTS_MS;
        // Digests are compared, so that how long it takes tells nothing of the secret.
        let right = fresh && known.secret == Sha256::of(secret.as_bytes());
        if !right && fresh && known.tries < TRIES {
            return None;
        }
        let known = state.codes.remove(first)?;
        right.then_some(known.login)
    }

    /// A session that begins now: its id, for the cookie. Durable before this returns. Blocks.
    ///
    /// # Errors
    ///
    /// Where it cannot be written.
    pub fn begin(&self, login: Login, now_ms: u64) -> Result<String, SecretError> {
        let id: String = random()?.iter().map(|byte| format!("{byte:02x}")).collect();
        self.change(|sessions| {
            sessions.retain(|_, session| now_ms.saturating_sub(session.began_ms) < LASTS_MS);
            make_room(sessions, &login.agent);
            sessions.insert(digest(&id), Session { login, began_ms: now_ms });
            Some(())
        })?;
        Ok(id)
    }

    /// Whose session an id is.
    pub fn find(&self, id: &str, now_ms: u64) -> Option<Login> {
        let state = self.state();
        let session = state.sessions.get(&digest(id))?;
        (now_ms.saturating_sub(session.began_ms) < LASTS_MS).then(|| session.login.clone())
    }

    /// Ends one. Blocks.
    ///
    /// # Errors
    ///
    /// Where that cannot be written: then it goes on.
    pub fn end(&self, id: &str) -> Result<(), SecretError> {
        self.change(|sessions| sessions.remove(&digest(id))).map(drop)
    }

    /// Ends all of an agent, and voids its code; how many sessions there were. Blocks.
    ///
    /// # Errors
    ///
    /// Where that cannot be written: then they go on.
    pub fn end_all(&self, agent: &AgentName) -> Result<usize, SecretError> {
        self.state().codes.retain(|_, code| code.login.agent != *agent);
        self.change(|sessions| {
            let before = sessions.len();
            sessions.retain(|_, session| session.login.agent != *agent);
            Some(before - sessions.len()).filter(|ended| *ended > 0)
        })
        .map(Option::unwrap_or_default)
    }

    /// Changes what is there, first on disk, unless `change` says with `None` that it stays as it is. Who looks meanwhile sees
    /// what was before.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut BTreeMap<String, Session>) -> Option<T>,
    ) -> Result<Option<T>, SecretError> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut after = self.state().sessions.clone();
        let changed = change(&mut after);
        if changed.is_some() {
            self.secrets.keep_sessions(&after)?;
            self.state().sessions = after;
        }
        Ok(changed)
    }
}

/// Drops the oldest of an agent that has as many as one may, and where there are as many as there may be, the oldest of whoever
/// has most: who signs in again and again puts nobody else out.
fn make_room(sessions: &mut BTreeMap<String, Session>, agent: &AgentName) {
    let mut held: BTreeMap<AgentName, Vec<(u64, String)>> = BTreeMap::new();
    for (id, session) in sessions.iter() {
        held.entry(session.login.agent.clone()).or_default().push((session.began_ms, id.clone()));
    }
    let own = held.get(agent).map_or(0, Vec::len);
    let from = if own >= MOST_OF_ONE { held.remove(agent) } else { None };
    let from = from.or_else(|| (sessions.len() >= MOST).then(|| held.into_values().max_by_key(Vec::len)).flatten());
    if let Some((_, id)) = from.and_then(|of| of.into_iter().min()) {
        sessions.remove(&id);
    }
}

fn digest(id: &str) -> String {
    Sha256::of(id.as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(data: &std::path::Path) -> Sessions {
        Sessions::open(Secrets::open(data).unwrap()).unwrap()
    }

    fn login(agent: &str) -> Login {
        Login { agent: agent.parse().unwrap(), credential: "key:SHA256:x".to_owned() }
    }

    #[test]
    fn a_session_is_found_after_a_restart_until_it_ends() {
        let data = tempfile::tempdir().unwrap();
        let before = sessions(data.path());
        let id = before.begin(login("alpha"), 1000).unwrap();
        let other = before.begin(login("beta"), 1000).unwrap();
        drop(before);
        let text = std::fs::read_to_string(data.path().join("secrets/sessions.json")).unwrap();
        assert!(text.contains("alpha") && !text.contains(&id), "its id is nowhere: {text}");

        let after = sessions(data.path());
        assert_eq!(after.find(&id, 2000), Some(login("alpha")));
        assert_eq!(after.find(&id, 1000 + LASTS_MS), None);
        assert_eq!(after.find("", 2000), None);
        after.end(&id).unwrap();
        assert_eq!(after.find(&id, 2000), None);
        assert_eq!(after.end_all(&"beta".parse().unwrap()).unwrap(), 1);
        assert_eq!(sessions(data.path()).find(&other, 2000), None);
    }

    #[test]
    fn the_oldest_makes_room() {
        let data = tempfile::tempdir().unwrap();
        let sessions = sessions(data.path());
        let other = sessions.begin(login("beta"), 0).unwrap();
        let ids: Vec<String> = (0..=MOST_OF_ONE as u64).map(|at| sessions.begin(login("alpha"), at).unwrap()).collect();
        assert_eq!(sessions.find(&ids[0], 100), None);
        assert!(sessions.find(&ids[1], 100).is_some() && sessions.find(&other, 100).is_some());
    }

    #[test]
    fn who_signs_in_again_and_again_puts_nobody_else_out() {
        let session = |agent: &str, began_ms| Session { login: login(agent), began_ms };
        let mut all = BTreeMap::from([("first".to_owned(), session("alpha", 0))]);
        for at in 1..MOST as u64 {
            all.insert(format!("{at}"), session(&format!("sybil-{}", at / MOST_OF_ONE as u64), at));
        }
        for at in 0..100 {
            make_room(&mut all, &"another".parse().unwrap());
            all.insert(format!("new-{at}"), session("another", MOST as u64 + at));
            assert!(all.len() <= MOST && all.contains_key("first"), "{at}");
        }
    }

    #[test]
    fn a_code_is_good_once_for_two_minutes_and_five_tries() {
        let data = tempfile::tempdir().unwrap();
        let sessions = sessions(data.path());
        let code = sessions.code(login("alpha"), 0).unwrap();
        assert_eq!(sessions.redeem(&code.to_uppercase(), 10), Some(login("alpha")));
        assert_eq!(sessions.redeem(&code, 10), None, "once");

        let code = sessions.code(login("alpha"), 0).unwrap();
        assert_eq!(sessions.redeem(&code, CODE_LASTS_MS), None, "too late");

        let code = sessions.code(login("alpha"), 0).unwrap();
        let newer = sessions.code(login("alpha"), 1).unwrap();
        assert_eq!(sessions.redeem(&code, 2), None, "a newer one voids it");
        assert!(sessions.redeem(&newer, 2).is_some());

        let code = sessions.code(login("alpha"), 0).unwrap();
        let wrong = format!("{}-zzzzzzzz", &code[..4]);
        for _ in 0..TRIES {
            assert_eq!(sessions.redeem(&wrong, 1), None);
        }
        assert_eq!(sessions.redeem(&code, 1), None, "five tries");
        for none in ["", "-", "zzzz-", "nothing"] {
            assert_eq!(sessions.redeem(none, 1), None);
        }
    }
}
