//! Whom a key, a token or a session of a browser stands for.
//!
//! Invariant: it is asked of `forge.git` as it is at that moment, so what was revoked lets nobody in, whatever door it was
//! shown at before.

use notes_schema::event::PublicKey;

use super::Forge;
use crate::answer::{Code, Refusal};
use crate::authority::{Actor, AgentActor, Rank, Scope};
use crate::sessions::Sessions;
use crate::state::TokenState;
use crate::token::TokenError;

impl Forge {
    /// Who a proven SSH key is. Never blocks on disk.
    pub fn actor_for_key(&self, key: &PublicKey) -> Actor {
        match self.root().fold.keys.get(&key.fingerprint) {
            None => Actor::Stranger(key.clone()),
            Some(name) => Actor::Agent(AgentActor {
                name: name.clone(),
                credential: format!("key:{}", key.fingerprint),
                scope: Scope::default(),
            }),
        }
    }

    /// What is known of whoever is at the door, besides how it came in.
    pub fn rank(&self, actor: &Actor) -> Rank {
        let Some(agent) = actor.agent() else { return Rank::default() };
        Rank {
            operator: self.config.operators.contains(&agent.name),
            vouched: self.root().fold.is_vouched(&agent.name),
        }
    }

    /// Sessions of browsers.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Who is signed in by a session; nobody where it ended, or what it began with is void.
    pub fn actor_for_session(&self, id: &str) -> Actor {
        let Some(login) = self.sessions.find(id, self.now()) else { return Actor::Anonymous };
        let root = self.root();
        let token = login.credential.strip_prefix("token:").and_then(|id| root.fold.tokens.get(id));
        let scope = token.map_or_else(Scope::default, |(_, token)| scope_of(token));
        let agent = AgentActor { name: login.agent, credential: login.credential, scope };
        if self.is_live(&agent).is_ok() { Actor::Agent(agent) } else { Actor::Anonymous }
    }

    /// Who a token is; a void one is refused, never anonymous.
    pub fn actor_for_token(&self, token: &str) -> Result<Actor, Refusal> {
        let refuse = |why: &str| Refusal::new(Code::NotAllowed, "token", why, "ssh forge token");
        let claims = self.tokens.verify(token, self.now() / 1000).map_err(|e| match e {
            TokenError::Foreign => refuse("this forge did not issue it, or its secrets are new: ask for another"),
            TokenError::Expired => refuse("it has expired"),
        })?;
        let root = self.root();
        match root.fold.tokens.get(&claims.jti) {
            Some((name, token)) if *name == claims.sub => Ok(Actor::Agent(AgentActor {
                name: name.clone(),
                credential: format!("token:{}", token.id),
                scope: scope_of(token),
            })),
            _ => Err(refuse("it was revoked")),
        }
    }

    /// Whether what let `agent` in is still good.
    pub(crate) fn is_live(&self, agent: &AgentActor) -> Result<(), Refusal> {
        let root = self.root();
        let live = match agent.credential.split_once(':') {
            Some(("key", fingerprint)) => root.fold.keys.get(fingerprint) == Some(&agent.name),
            Some(("token", id)) => {
                root.fold.tokens.get(id).is_some_and(|(name, t)| *name == agent.name && t.expires_ms > self.now())
            }
            _ => false,
        };
        if live {
            return Ok(());
        }
        Err(Refusal::new(Code::NotAllowed, &agent.credential, "it was revoked or has expired", "whoami"))
    }
}

fn scope_of(token: &TokenState) -> Scope {
    Scope { project: token.project.clone(), refs: token.refs.clone(), verbs: token.verbs.clone() }
}
