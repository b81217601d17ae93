//! Git's smart protocol over HTTP; the same wire code as over SSH. Statuses are those of `git http-backend`.
//!
//! Invariant: packs stream both ways and are never held whole.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, DuplexStream};
use tokio_util::io::{ReaderStream, StreamReader};
use tokio_util::task::AbortOnDropHandle;

use super::gunzip::Gunzip;
use super::reply::{self, Format};
use super::routes::Asks;
use super::{credentials, not_this_way};
use crate::answer::{Code, Refusal};
use crate::config::Config;
use crate::hosts::{Behind, Closed, Who};
use crate::socket::Stall;
use git::wire::{self, Host, Protocol, Service, WireError};

/// How much of an answer is held for a client that has not read it yet, in bytes.
/// Limit: answer of git over HTTP that is held until it is read | {:bytes}
const PIPE: usize = 256 << 10;
/// Longest body of a fetch: what a client wants and has, in bytes.
/// Limit: body of a fetch over HTTP | {:bytes}
const FETCH: u64 = 64 << 20;
/// What a push may send beside its pack, in bytes.
/// Limit: body of a push over HTTP beside its pack | {:bytes}
const COMMANDS: u64 = 64 << 20;
/// Git's own, so that nothing between keeps what changes with the next push.
const NEVER_KEEP: [(HeaderName, &str); 3] = [
    (header::EXPIRES, "Fri, 01 Jan 1980 00:00:00 GMT"),
    (header::PRAGMA, "no-cache"),
    (header::CACHE_CONTROL, "no-cache, max-age=0, must-revalidate"),
];

type Rpc = AbortOnDropHandle<Result<(), WireError>>;

/// What every request for a repository shares.
#[derive(Clone)]
pub(super) struct Door {
    behind: Behind,
    config: Arc<Config>,
}

impl Door {
    pub(super) fn new(behind: Behind, config: Arc<Config>) -> Door {
        Door { behind, config }
    }
}

type Shared = State<Door>;

/// `GET /{project}/info/refs?service=…`.
pub(super) async fn info_refs(
    State(door): Shared,
    Path(project): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    advertise(&door, project, query, &headers).await
}

/// `POST /{project}/git-upload-pack` and `POST /{project}/git-receive-pack`.
pub(super) async fn service(
    State(door): Shared,
    Extension(asks): Extension<Asks>,
    Path(project): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match asks {
        Asks::Git(service) => rpc(&door, project, headers, body, service).await,
        Asks::Words | Asks::Session | Asks::Command(_) | Asks::AnyCommand | Asks::AnyGit => dumb().await,
    }
}

/// What clients without the smart protocol ask for.
pub(super) async fn dumb() -> Response {
    let why = "this server speaks git's smart protocol only; use git 1.6.6 or later";
    plain(&Refusal::new(Code::NotAllowed, "git", why, "help"))
}

/// A repository at any depth, and what is asked of it.
pub(super) async fn anywhere(State(door): Shared, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Some((repository, asked)) = decoded(parts.uri.path()).and_then(|path| split(&path)) else {
        let refusal = Refusal::new(Code::NotFound, "page", "only repositories are served here", "git clone <url>");
        return plain(&refusal);
    };
    let takes = |wanted: &Method| parts.method == *wanted || (parts.method == Method::HEAD && *wanted == Method::GET);
    let wanted = if matches!(asked, Asked::Rpc(_)) { Method::POST } else { Method::GET };
    if !takes(&wanted) {
        let mut refused = not_this_way(parts.method, parts.headers).await;
        let allowed = if wanted == Method::GET { "GET, HEAD" } else { "POST" };
        refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
        return refused;
    }
    match asked {
        Asked::Refs => advertise(&door, repository, parts.uri.query().map(str::to_owned), &parts.headers).await,
        Asked::Rpc(service) => rpc(&door, repository, parts.headers, body, service).await,
        Asked::Dumb => dumb().await,
    }
}

/// What is asked of a repository.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Refs,
    Rpc(Service),
    Dumb,
}

/// A repository's path, and what of it is asked.
fn split(path: &str) -> Option<(String, Asked)> {
    let ends = [
        ("/info/refs", Asked::Refs),
        ("/git-upload-pack", Asked::Rpc(Service::UploadPack)),
        ("/git-receive-pack", Asked::Rpc(Service::ReceivePack)),
        ("/HEAD", Asked::Dumb),
    ];
    for (end, asked) in ends {
        if let Some(repository) = path.strip_suffix(end) {
            return Some((repository.to_owned(), asked));
        }
    }
    let (repository, _) = path.split_once("/objects/")?;
    Some((repository.to_owned(), Asked::Dumb))
}

/// A path without its `%xx`; `None` where it is no text.
fn decoded(path: &str) -> Option<String> {
    let digit = |b: Option<&u8>| char::from(*b?).to_digit(16);
    let (bytes, mut out, mut at) = (path.as_bytes(), Vec::with_capacity(path.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        if byte == b'%' {
            let pair = digit(bytes.get(at + 1))? * 16 + digit(bytes.get(at + 2))?;
            out.push(u8::try_from(pair).ok()?);
            at += 3;
        } else {
            out.push(byte);
            at += 1;
        }
    }
    String::from_utf8(out).ok()
}

/// Where anybody on this machine may do everything, a page of another site must not be able to by giving its own name this
/// machine's address: only names of this machine are answered to.
pub(super) async fn from_here(State(door): Shared, request: Request, next: Next) -> Response {
    let named = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    let named = named.or_else(|| request.uri().authority().map(|authority| authority.as_str()));
    if door.config.http.ip().is_loopback() && !named.is_none_or(is_here) {
        let why = "only names of this machine are answered to";
        return plain(&Refusal::new(Code::NotAllowed, "host", why, "git clone http://127.0.0.1:<port>/<path>"));
    }
    next.run(request).await
}

fn is_here(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        // Without brackets, the last part of an address with colons is no port.
        Some((host, port))
            if port.bytes().all(|b| b.is_ascii_digit()) && (!host.contains(':') || host.ends_with(']')) =>
        {
            host
        }
        _ => authority,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.ends_with(".localhost") || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

async fn advertise(door: &Door, repository: String, query: Option<String>, headers: &HeaderMap) -> Response {
    let service = match query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("service=")) {
        Some("git-upload-pack") => Service::UploadPack,
        Some("git-receive-pack") => Service::ReceivePack,
        Some(_) => return plain(&Refusal::new(Code::NotAllowed, "git", "there is no such service", "help")),
        None => return dumb().await,
    };
    let host = match open(door, headers, repository, service).await {
        Ok(host) => host,
        Err(refused) => return *refused,
    };
    let body = wire::info_refs(host, service, protocol(headers)).await;
    let kind = format!("application/x-{}-advertisement", service.as_str());
    ([(header::CONTENT_TYPE, kind)], NEVER_KEEP, body).into_response()
}

fn plain(refusal: &Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.http_status()).unwrap_or(StatusCode::FORBIDDEN);
    refuse(refusal, status)
}

fn refuse(refusal: &Refusal, status: StatusCode) -> Response {
    reply::refuse(refusal, status, Format::Markdown)
}

fn protocol(headers: &HeaderMap) -> Protocol {
    Protocol::parse(headers.get("git-protocol").and_then(|value| value.to_str().ok()))
}

/// The repository, or the answer that refuses it. Who comes without credentials is asked for them where they would help, so
/// that git tries again with what its user has.
async fn open(
    door: &Door,
    headers: &HeaderMap,
    repository: String,
    service: Service,
) -> Result<Arc<dyn Host>, Box<Response>> {
    let ask = |refusal: &Refusal| Box::new(credentials::ask(refusal, Format::Markdown));
    let who: Who = credentials::who(headers).map_err(|refusal| ask(&refusal))?;
    let hosts = door.behind.hosts.clone();
    // May open and recover the repository.
    match tokio::task::spawn_blocking(move || hosts.open(&repository, &who, service)).await {
        Ok(Ok(host)) => Ok(host),
        Ok(Err(Closed::Ask(refusal))) => Err(ask(&refusal)),
        Ok(Err(Closed::Refused(refusal))) => Err(Box::new(plain(&refusal))),
        Err(e) => {
            tracing::error!("opening a repository failed: {e}");
            Err(Box::new(StatusCode::INTERNAL_SERVER_ERROR.into_response()))
        }
    }
}

async fn rpc(door: &Door, repository: String, headers: HeaderMap, body: Body, service: Service) -> Response {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let unsupported = |why: String| {
        let refusal = Refusal::new(Code::Usage, "git", why, "git --version");
        refuse(&refusal, StatusCode::UNSUPPORTED_MEDIA_TYPE)
    };
    let expected = format!("application/x-{}-request", service.as_str());
    if text(header::CONTENT_TYPE) != Some(expected.as_str()) {
        return unsupported(format!("this address takes `{expected}` alone"));
    }
    let zipped = match text(header::CONTENT_ENCODING) {
        None | Some("identity") => false,
        Some("gzip" | "x-gzip") => true,
        Some(_) => return unsupported("a body comes as it is, or in gzip".to_owned()),
    };
    let limits = &door.config.limits;
    let cap = match service {
        Service::UploadPack => FETCH,
        Service::ReceivePack => limits.pack_bytes.saturating_add(COMMANDS),
    };
    if text(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok()).is_some_and(|length| length > cap) {
        let why = format!(
            "the request is larger than the {cap} bytes that are taken here; ask for less, or push less, at once"
        );
        return refuse(
            &Refusal::new(Code::Usage, "git", why, "git push <remote> <commit>:<branch>"),
            StatusCode::PAYLOAD_TOO_LARGE,
        );
    }
    let host = match open(door, &headers, repository, service).await {
        Ok(host) => host,
        Err(refused) => return *refused,
    };
    let who = credentials::who(&headers).unwrap_or(Who::Anonymous);
    let transfer = match door.behind.begin(&who) {
        Ok(transfer) => transfer,
        Err(refusal) => return plain(&refusal),
    };
    let arriving = StreamReader::new(body.into_data_stream().map_err(std::io::Error::other));
    let arriving = Stall::new(arriving, limits.idle());
    let reader: Box<dyn AsyncRead + Send + Unpin> =
        if zipped { Box::new(Gunzip::new(arriving, cap)) } else { Box::new(arriving.take(cap)) };
    let (near, far) = tokio::io::duplex(PIPE);
    let far = Stall::new(far, limits.idle());
    let protocol = protocol(&headers);
    let running = tokio::spawn(async move {
        let _transfer = transfer;
        wire::rpc(host, service, protocol, reader, far).await
    });
    answer(service, near, AbortOnDropHandle::new(running)).await
}

/// Waits for the first bytes, so that what fails before any still has its status; then streams. The work ends with the
/// answer: who stops reading stops it.
async fn answer(service: Service, mut near: DuplexStream, running: Rpc) -> Response {
    let mut first = vec![0; 16 << 10];
    let got = near.read(&mut first).await.unwrap_or(0);
    first.truncate(got);
    if got == 0 {
        match running.await {
            Ok(Ok(())) => return result(service, Body::empty()),
            Ok(Err(e)) => {
                tracing::debug!("git over http: {e}");
                return plain(&Refusal::new(Code::Usage, "git", e.to_string(), "help"));
            }
            Err(e) => {
                tracing::error!("git over http: {e}");
                return StatusCode::INTERNAL_SERVER_ERROR.into_response();
            }
        }
    }
    let rest = ReaderStream::with_capacity(std::io::Cursor::new(first).chain(near), 64 << 10);
    result(
        service,
        Body::from_stream(rest.map(move |piece| {
            let _with_the_answer = &running;
            piece
        })),
    )
}

fn result(service: Service, body: Body) -> Response {
    let kind = format!("application/x-{}-result", service.as_str());
    ([(header::CONTENT_TYPE, kind)], NEVER_KEEP, body).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[test]
    fn a_path_is_a_repository_and_what_is_asked_of_it() {
        let of = |path: &str| decoded(path).and_then(|path| split(&path));
        assert_eq!(of("/a/b.git/info/refs"), Some(("/a/b.git".into(), Asked::Refs)));
        assert_eq!(of("/a%20b/git-receive-pack"), Some(("/a b".into(), Asked::Rpc(Service::ReceivePack))));
        assert_eq!(of("/info/refs"), Some((String::new(), Asked::Refs)));
        assert_eq!(of("/a/objects/info/packs"), Some(("/a".into(), Asked::Dumb)));
        for bad in ["/a", "/a/info", "/%ff/info/refs", "/%2/info/refs", "/%zz/HEAD"] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_names_of_this_machine_are_here() {
        for here in ["localhost", "localhost:80", "127.0.0.1:8080", "[::1]:80", "::1", "x.localhost:1"] {
            assert!(is_here(here), "{here}");
        }
        for there in ["example.org", "10.0.0.1:80", "127.0.0.1.example.org", "localhost.example.org:80", ""] {
            assert!(!is_here(there), "{there}");
        }
    }

    fn running<F>(work: impl FnOnce(DuplexStream) -> F) -> (DuplexStream, Rpc)
    where
        F: Future<Output = Result<(), WireError>> + Send + 'static,
    {
        let (near, far) = tokio::io::duplex(1 << 10);
        (near, AbortOnDropHandle::new(tokio::spawn(work(far))))
    }

    #[tokio::test]
    async fn an_answer_larger_than_every_buffer_streams_whole() {
        let (near, work) = running(|mut far| async move {
            for n in 0..100_000u32 {
                far.write_all(&n.to_be_bytes()).await?;
            }
            Ok(())
        });
        let response = answer(Service::UploadPack, near, work).await;
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/x-git-upload-pack-result");
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        assert_eq!(body.len(), 400_000);
        assert!(body.chunks(4).zip(0u32..).all(|(chunk, n)| chunk == n.to_be_bytes()));
    }

    #[tokio::test]
    async fn what_fails_before_its_first_byte_has_a_status() {
        let (near, work) = running(|far| async move {
            drop(far);
            Err(std::io::Error::other("torn").into())
        });
        assert_eq!(answer(Service::ReceivePack, near, work).await.status(), StatusCode::BAD_REQUEST);
        let (near, work) = running(|_far| async { Ok(()) });
        assert_eq!(answer(Service::ReceivePack, near, work).await.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn who_stops_reading_stops_the_work() {
        let (gone, mut seen) = tokio::sync::oneshot::channel::<()>();
        let (near, work) = running(|mut far| async move {
            far.write_all(b"first").await?;
            let _held = gone;
            std::future::pending().await
        });
        let response = answer(Service::UploadPack, near, work).await;
        assert!(seen.try_recv().is_err_and(|e| e == tokio::sync::oneshot::error::TryRecvError::Empty));
        drop(response);
        assert!(seen.await.is_err());
    }
}
