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

use super::{action, credentials, git as wire, healthy, onboarding, pages, statuses, submission};
use crate::answer::{Code, Refusal};
use crate::authority::Actor;
use crate::commands::{self, Call, Command, Reply};
use crate::config::Config;
use crate::forge::Forge;
use crate::hosts::Who;

/// What every request to a forge shares.
pub(super) struct Door {
    forge: Arc<Forge>,
    pub(super) config: Arc<Config>,
    git: wire::Door,
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

/// Every route, one line each; those of runners are in [`statuses`]. What is in neither is a page of [`pages::TABLE`], or
/// not found.
pub(crate) const ROUTES: &[Route] = &[
    Route::get("/healthz", Asks::Words, |by| on(by, healthy)),
    Route::get("/skill.md", Asks::Words, |by| on(by, onboarding::skill)),
    Route::get("/llms.txt", Asks::Words, |by| on(by, onboarding::llms)),
    Route::get("/forge-run", Asks::Words, |by| on(by, onboarding::recorder)),
    Route::get("/-/{asset}", Asks::Words, |by| on(by, onboarding::asset)),
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

/// All of them, where they are asked for; what a route asks for goes to its handler.
pub(super) fn router() -> Router<Arc<Door>> {
    let mut router = Router::new();
    for route in ROUTES.iter().chain(statuses::ROUTES) {
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
        Door { forge, config, git }
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
            Asks::Words | Asks::Git(_) | Asks::AnyGit => {
                return Err(Refusal::new(Code::NotAllowed, "request", "this address runs no command", "help"));
            }
        };
        let actor = match credentials::who(headers)? {
            Who::Token(token) => self.forge.actor_for_token(&token)?,
            Who::Anonymous | Who::Stranger | Who::Key(_) => Actor::Anonymous,
        };
        let call = Call { actor, door: commands::Door::Http, line, only, json };
        Ok(commands::dispatch(&self.forge, call, &mut body).await)
    }

    /// Who sent `headers`, as pages name them.
    pub(super) fn viewer(&self, headers: &HeaderMap) -> Option<String> {
        let Who::Token(token) = credentials::who(headers).ok()? else { return None };
        Some(self.forge.actor_for_token(&token).ok()?.agent()?.name.to_string())
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
        for asks in [Asks::Words, Asks::AnyGit, Asks::Git(Service::UploadPack)] {
            assert!(run(asks, "project list").await.is_err());
        }
    }
}
