//! Git's smart protocol over HTTP; the same wire code as over SSH.
//!
//! Invariant: packs stream both ways and are never held whole.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, DuplexStream};
use tokio_util::io::{ReaderStream, StreamReader};
use tokio_util::task::AbortOnDropHandle;

use super::gunzip::Gunzip;
use super::reply::{self, Format};
use super::{Door, Shared, credentials};
use crate::answer::{Code, Refusal};
use crate::authority::Actor;
use crate::socket::Stall;
use git::wire::{self, Host, Protocol, Service, WireError};

/// How much of an answer is held for a client that has not read it yet, in bytes.
const PIPE: usize = 256 << 10;
/// Longest body of a fetch: what a client wants and has, in bytes.
const FETCH: u64 = 64 << 20;
/// What a push may send beside its pack, in bytes.
const COMMANDS: u64 = 16 << 20;
const NO_CACHE: &str = "no-cache, max-age=0, must-revalidate";

type Rpc = AbortOnDropHandle<Result<(), WireError>>;

fn name(service: Service) -> &'static str {
    match service {
        Service::UploadPack => "git-upload-pack",
        Service::ReceivePack => "git-receive-pack",
    }
}

/// `GET /{project}/info/refs?service=…`.
pub(super) async fn info_refs(
    State(door): Shared,
    Path(project): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let service = match query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("service=")) {
        Some("git-upload-pack") => Service::UploadPack,
        Some("git-receive-pack") => Service::ReceivePack,
        Some(_) => return plain(&Refusal::new(Code::NotAllowed, "git", "there is no such service", "help")),
        None => return dumb().await,
    };
    let host = match open(&door, &headers, project, service).await {
        Ok(host) => host,
        Err(refused) => return *refused,
    };
    let body = wire::info_refs(host, service, protocol(&headers)).await;
    let kind = format!("application/x-{}-advertisement", name(service));
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, NO_CACHE.to_owned())], body).into_response()
}

/// `POST /{project}/git-upload-pack`.
pub(super) async fn upload_pack(
    State(door): Shared,
    Path(project): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    rpc(&door, project, headers, body, Service::UploadPack).await
}

/// `POST /{project}/git-receive-pack`.
pub(super) async fn receive_pack(
    State(door): Shared,
    Path(project): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    rpc(&door, project, headers, body, Service::ReceivePack).await
}

/// What clients without the smart protocol ask for.
pub(super) async fn dumb() -> Response {
    let why = "this forge speaks git's smart protocol only; use git 1.6.6 or later";
    plain(&Refusal::new(Code::NotAllowed, "git", why, "help"))
}

fn plain(refusal: &Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.code.http_status()).unwrap_or(StatusCode::FORBIDDEN);
    reply::refuse(refusal, status, Format::Markdown)
}

fn protocol(headers: &HeaderMap) -> Protocol {
    Protocol::parse(headers.get("git-protocol").and_then(|value| value.to_str().ok()))
}

/// The repository, or the answer that refuses it. Who comes without credentials is asked for them, so that git tries again
/// with what its user has.
async fn open(
    door: &Arc<Door>,
    headers: &HeaderMap,
    project: String,
    service: Service,
) -> Result<Arc<dyn Host>, Box<Response>> {
    let ask = |refusal: &Refusal| Box::new(credentials::ask(refusal, Format::Markdown));
    let actor = credentials::actor(door, headers).map_err(|refusal| ask(&refusal))?;
    let anonymous = actor == Actor::Anonymous;
    if anonymous && service == Service::ReceivePack {
        let why = "this needs an agent: give a token as the password, with any user name";
        return Err(ask(&Refusal::new(Code::NotAllowed, "push", why, "ssh forge token")));
    }
    let forge = door.forge.clone();
    // May open and recover the repository.
    match tokio::task::spawn_blocking(move || forge.host(&project, &actor, service)).await {
        Ok(Ok(host)) => Ok(host),
        Ok(Err(refusal)) if anonymous && refusal.code == Code::NotAllowed => Err(ask(&refusal)),
        Ok(Err(refusal)) => Err(Box::new(plain(&refusal))),
        Err(e) => {
            tracing::error!("opening a repository failed: {e}");
            Err(Box::new(StatusCode::INTERNAL_SERVER_ERROR.into_response()))
        }
    }
}

async fn rpc(door: &Arc<Door>, project: String, headers: HeaderMap, body: Body, service: Service) -> Response {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if text(header::CONTENT_TYPE) != Some(format!("application/x-{}-request", name(service)).as_str()) {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    let zipped = match text(header::CONTENT_ENCODING) {
        None | Some("identity") => false,
        Some("gzip" | "x-gzip") => true,
        Some(_) => return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response(),
    };
    let host = match open(door, &headers, project, service).await {
        Ok(host) => host,
        Err(refused) => return *refused,
    };
    let limits = &door.config.limits;
    let cap = match service {
        Service::UploadPack => FETCH,
        Service::ReceivePack => limits.pack_bytes.saturating_add(COMMANDS),
    };
    let arriving = StreamReader::new(body.into_data_stream().map_err(std::io::Error::other));
    let arriving = Stall::new(arriving, limits.idle());
    let reader: Box<dyn AsyncRead + Send + Unpin> =
        if zipped { Box::new(Gunzip::new(arriving, cap)) } else { Box::new(arriving.take(cap)) };
    let (near, far) = tokio::io::duplex(PIPE);
    let far = Stall::new(far, limits.idle());
    let protocol = protocol(&headers);
    let running = tokio::spawn(async move { wire::rpc(host, service, protocol, reader, far).await });
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
    let kind = format!("application/x-{}-result", name(service));
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, NO_CACHE.to_owned())], body).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use tokio::io::AsyncWriteExt as _;

    use super::*;

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
