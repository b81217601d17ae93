//! Routes as values: what each asks for, and the one way from a request to the forge.
//!
//! Invariant: a route is no value without saying what it asks for, and through [`Door::run`] reaches that alone: nothing
//! else outside this file sees the forge.

use std::sync::Arc;

use axum::extract::FromRef;
use axum::http::HeaderMap;
use axum::routing::{MethodFilter, MethodRouter, on};
use axum::{Extension, Router};
use git::wire::Service;
use tokio::sync::watch;

use super::{
    action, credentials, forms, git as wire, healthy, live, onboarding, pages, peer, session, statuses, submission,
};
use crate::answer::{Code, Refusal};
use crate::authority::{self, Actor};
use crate::commands::{self, Call, Command, Reply};
use crate::config::Config;
use crate::forge::Forge;
use crate::hosts::Who;
use crate::secrets::SecretError;
use crate::sessions::Login;

/// What every request to a forge shares.
pub(super) struct Door {
    forge: Arc<Forge>,
    pub(super) config: Arc<Config>,
    git: wire::Door,
    /// Who watches.
    pub(super) watchers: Arc<live::Watchers>,
}

impl FromRef<Arc<Door>> for wire::Door {
    fn from_ref(door: &Arc<Door>) -> Self {
        door.git.clone()
    }
}

/// What a route asks for, and with that what it needs.
#[derive(Clone, Copy)]
pub(crate) enum Asks {
    /// Words that are the same for everybody.
    Words,
    /// This command.
    Command(&'static Command),
    /// Whichever command its body names.
    AnyCommand,
    /// To begin or end a session; who may is what is shown.
    Session,
    /// This service of git.
    Git(Service),
    /// Whichever service of git its query names.
    AnyGit,
}

/// One address.
pub(crate) struct Route {
    /// The method that it takes; HEAD where that is GET.
    pub method: Method,
    /// What may stand before its path.
    pub under: &'static [&'static str],
    /// The path, with `{names}` for what changes.
    pub path: &'static str,
    /// What it asks for.
    pub asks: Asks,
    /// What answers it.
    serve: Serve,
}

/// The two methods that are in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// It changes nothing.
    Get,
    /// It may.
    Post,
}

type Serve = fn(MethodFilter) -> MethodRouter<Arc<Door>>;

impl Route {
    /// GET.
    pub(super) const fn get(path: &'static str, asks: Asks, serve: Serve) -> Route {
        Route { method: Method::Get, under: &[""], path, asks, serve }
    }

    /// POST.
    pub(super) const fn post(path: &'static str, asks: Asks, serve: Serve) -> Route {
        Route { method: Method::Post, under: &[""], path, asks, serve }
    }

    /// The same below each of these.
    pub(super) const fn under(self, under: &'static [&'static str]) -> Route {
        Route { under, ..self }
    }
}

const SUBMISSION: Asks = Asks::Command(&commands::SUBMISSION);

/// Every route, one line each; those of runners are in [`statuses`], those of forms in [`forms`]. What is in none of them is a
/// page of [`pages::table::TABLE`], or not found.
pub(crate) const ROUTES: &[Route] = &[
    Route::get("/healthz", Asks::Words, |by| on(by, healthy)),
    Route::get("/skill.md", Asks::Words, |by| on(by, onboarding::skill)),
    Route::get("/llms.txt", Asks::Words, |by| on(by, onboarding::llms)),
    Route::get("/forge-run", Asks::Words, |by| on(by, onboarding::recorder)),
    Route::get("/-/{asset}", Asks::Words, |by| on(by, onboarding::asset)),
    Route::get("/login", Asks::Words, |by| on(by, session::form)),
    Route::post("/login", Asks::Session, |by| on(by, session::begin)),
    Route::post("/logout", Asks::Session, |by| on(by, session::end)),
    Route::get("/live/events", Asks::Command(&commands::TODAY), |by| on(by, live::events)),
    Route::get("/feed", Asks::Command(&commands::FEED), |by| on(by, action::feed)),
    Route::post("/action", Asks::AnyCommand, |by| on(by, action::action)),
    Route::post("/agents/register", Asks::Command(&commands::REGISTER), |by| on(by, action::register)),
    Route::get("/submission/{project}/{n}/status", SUBMISSION, |by| on(by, submission::by_number)),
    Route::get("/submission/{project}/status", SUBMISSION, |by| on(by, submission::by_reference)),
    Route::get("/{project}/info/refs", Asks::AnyGit, |by| on(by, wire::info_refs)),
    Route::post("/{project}/git-upload-pack", Asks::Git(Service::UploadPack), |by| on(by, wire::service)),
    Route::post("/{project}/git-receive-pack", Asks::Git(Service::ReceivePack), |by| on(by, wire::service)),
    Route::get("/{project}/HEAD", Asks::Words, |by| on(by, wire::dumb)),
    Route::get("/{project}/objects/{*rest}", Asks::Words, |by| on(by, wire::dumb)),
];

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().chain(statuses::ROUTES).chain(forms::TABLE.iter().map(|form| &form.route))
}

/// All of them, where they are asked for; what a route asks for goes to its handler.
pub(super) fn router() -> Router<Arc<Door>> {
    let mut router = Router::new();
    for route in all() {
        let by = match route.method {
            Method::Get => MethodFilter::GET,
            Method::Post => MethodFilter::POST,
        };
        for prefix in route.under {
            let served = (route.serve)(by).route_layer(Extension(route.asks));
            router = router.route(&format!("{prefix}{}", route.path), served);
        }
    }
    router.fallback(pages::page)
}

impl Door {
    pub(super) fn new(forge: Arc<Forge>, config: Arc<Config>, git: wire::Door) -> Door {
        Door { forge, config, git, watchers: Arc::default() }
    }

    /// Runs `line` for whoever sent `headers`, where it is what the route asks for.
    pub(super) async fn run(
        &self,
        asks: Asks,
        headers: &HeaderMap,
        line: String,
        mut body: &[u8],
        json: bool,
    ) -> Result<Reply, Refusal> {
        let only = match asks {
            Asks::Command(command) => Some(command),
            Asks::AnyCommand => None,
            Asks::Words | Asks::Session | Asks::Git(_) | Asks::AnyGit => {
                return Err(Refusal::new(Code::NotAllowed, "request", "this address runs no command", "help"));
            }
        };
        let actor = self.actor(headers)?;
        let call = Call { actor, from: peer::address(), door: commands::Door::Http, line, only, json };
        Ok(commands::dispatch(&self.forge, call, &mut body).await)
    }

    /// Who sent `headers`: by a credential, which is refused where it is void, or else by a session, which is then nobody's.
    fn actor(&self, headers: &HeaderMap) -> Result<Actor, Refusal> {
        match credentials::who(headers)? {
            Who::Token(token) => self.forge.actor_for_token(&token),
            Who::Anonymous | Who::Stranger | Who::Key(_) => {
                Ok(session::of(headers).map_or(Actor::Anonymous, |id| self.forge.actor_for_session(id)))
            }
        }
    }

    /// Who sent `headers`, as pages name them.
    pub(super) fn viewer(&self, headers: &HeaderMap) -> Option<String> {
        Some(self.actor(headers).ok()?.agent()?.name.to_string())
    }

    /// Begins a session for whom a code lets in: its id.
    pub(super) async fn sign_in_by_code(&self, code: &str) -> Result<String, Refusal> {
        let login = self.forge.sessions().redeem(code, self.forge.now()).ok_or_else(|| {
            let why = "that code is not known, was used, or is older than two minutes";
            Refusal::new(Code::NotAllowed, "code", why, "ssh forge login")
        })?;
        self.sign_in(login).await
    }

    /// Begins a session for whom a token stands: its id.
    pub(super) async fn sign_in_by_token(&self, token: &str) -> Result<String, Refusal> {
        let actor = self.forge.actor_for_token(token)?;
        let agent = actor.agent().ok_or_else(|| Refusal::new(Code::NotAllowed, "token", "it is nobody's", "help"))?;
        self.forge.is_live(agent)?;
        self.sign_in(Login { agent: agent.name.clone(), credential: agent.credential.clone() }).await
    }

    async fn sign_in(&self, login: Login) -> Result<String, Refusal> {
        self.on_disk(|forge| forge.sessions().begin(login, forge.now())).await
    }

    /// Ends the session of `headers`, or all of its agent.
    pub(super) async fn sign_out(&self, headers: &HeaderMap, everywhere: bool) -> Result<(), Refusal> {
        let Some(id) = session::of(headers).map(str::to_owned) else { return Ok(()) };
        let agent = self.actor(headers)?.agent().map(|agent| agent.name.clone()).filter(|_| everywhere);
        self.on_disk(move |forge| match agent {
            Some(agent) => forge.sessions().end_all(&agent).map(|_| ()),
            None => forge.sessions().end(&id),
        })
        .await
    }

    /// What is written to `secrets/`, away from the threads that answer.
    async fn on_disk<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Forge) -> Result<R, SecretError> + Send + 'static,
    ) -> Result<R, Refusal> {
        let forge = self.forge.clone();
        let done = tokio::task::spawn_blocking(move || work(&forge)).await;
        done.map_err(|e| e.to_string()).and_then(|done| done.map_err(|e| e.to_string())).map_err(|error| {
            tracing::error!(error, "a session could not be kept");
            Refusal::new(Code::TryLater, "session", "it could not be written; the log says why", "help")
        })
    }

    /// A word that changes with every ref of a project and of `forge.git`; `None` for whoever may not ask all `commands` of it.
    pub(super) fn refs_for<'c>(
        &self,
        headers: &HeaderMap,
        mut commands: impl Iterator<Item = &'c Command>,
        project: &str,
    ) -> Option<String> {
        let (actor, name) = (self.actor(headers).ok()?, project.parse().ok()?);
        let (rank, read) = (self.forge.rank(&actor), self.forge.config().read);
        commands
            .try_for_each(|command| authority::permit(&actor, rank, command.operation(), Some(&name), read))
            .ok()?;
        let project = self.forge.project(&name).ok()?.snapshot();
        Some(format!("{:?} {:?} {:?}", project.project, project.tip?, self.forge.root().tip?))
    }

    /// Changes of the forge, refusals of its gate, and whether it stops.
    pub(super) fn news(&self) -> (watch::Receiver<u64>, watch::Receiver<u64>, watch::Receiver<bool>) {
        (self.forge.changes(), self.forge.refusals().count(), self.forge.stopping())
    }

    /// The page of what a reference names, where there is one.
    pub(super) fn path_of(&self, reference: &notes_schema::ItemRef) -> Option<String> {
        self.forge.path_of(reference)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_route_runs_what_it_asks_for_and_nothing_else() {
        let data = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.data = data.path().join("d");
        let config = Arc::new(config);
        let forge = Forge::open(&config).unwrap();
        let behind = crate::hosts::Behind::forge(forge.clone());
        let door = Door::new(forge, config.clone(), wire::Door::new(behind, config));
        let headers = HeaderMap::new();
        let run = |asks, line: &str| {
            let (line, door, headers) = (line.to_owned(), &door, &headers);
            async move { door.run(asks, headers, line, b"", false).await }
        };
        let exit = |reply: Result<Reply, Refusal>| reply.map(|reply| reply.exit);
        assert_eq!(exit(run(Asks::Command(&commands::FEED), "feed").await), Ok(0));
        assert_eq!(exit(run(Asks::Command(&commands::FEED), "project list").await), Ok(Code::NotAllowed as u8));
        assert_eq!(exit(run(Asks::AnyCommand, "project list").await), Ok(0));
        for asks in [Asks::Words, Asks::Session, Asks::AnyGit, Asks::Git(Service::UploadPack)] {
            assert!(run(asks, "project list").await.is_err());
        }
    }
}
