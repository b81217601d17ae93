//! The HTTP door: git's smart protocol, commands, the feed and the pages, which [`frontend`] draws.
//!
//! Invariant: translates only. Who may do what is decided behind [`Hosts`] and [`commands::dispatch`]. Credentials come in
//! a header alone, and never leave in a URL or a log.
//!
//! [`Hosts`]: crate::hosts::Hosts
//! [`commands::dispatch`]: crate::commands::dispatch

mod action;
mod code;
mod credentials;
mod files;
pub(crate) mod forms;
mod git;
mod gunzip;
mod kept;
mod live;
mod onboarding;
pub(crate) mod pages;
mod patches;
mod peer;
pub mod probe;
mod reply;
pub(crate) mod routes;
mod session;
pub(crate) mod statuses;
mod submission;
pub mod tls;
mod work;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::answer::{Code, Refusal};
use crate::config::{Config, Limits};
use crate::hosts::Behind;
use crate::socket::{self, Most, Socket};
use reply::Format;
use routes::Door;
use tls::Tls;

/// Longest request head (first line and headers), in bytes.
/// Limit: head of an HTTP request, its address included | {:bytes}
const HEAD: usize = 32 << 10;
/// Most headers of a request of HTTP/1.1; those of HTTP/2 are counted with what each costs, within [`HEAD`].
/// Limit: headers of one HTTP request | {}
const HEADERS: usize = 64;
/// Requests at once on one HTTP/2 connection.
/// Limit: requests at once on one HTTP/2 connection | {}
const STREAMS: u32 = 64;
/// No request of either protocol is shorter than this; whoever sends less is not speaking HTTP.
const SHORTEST: usize = 16;

type Shared = State<Arc<Door>>;

/// Where git is all that is served: repositories at any depth.
fn plain_router(door: git::Door) -> Router {
    Router::new()
        .route("/healthz", get(healthy))
        .fallback(git::anywhere)
        .method_not_allowed_fallback(not_this_way)
        .layer(from_fn_with_state(door.clone(), git::from_here))
        .layer(from_fn(around))
        .with_state(door)
}

async fn healthy() -> &'static str {
    "ok\n"
}

async fn not_this_way(method: Method, headers: HeaderMap) -> Response {
    let refusal = Refusal::new(Code::Usage, method.to_string(), "this address does not take that method", "help");
    reply::refuse(&refusal, StatusCode::METHOD_NOT_ALLOWED, Format::of(&headers, Format::Markdown))
}

/// Around every request: where it may come from, headers of every answer, one line in the log.
async fn around(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = if is_foreign(&request) {
        let why = "a page of another site sent this request";
        let refusal = Refusal::new(Code::NotAllowed, "request", why, "help");
        reply::refuse(&refusal, StatusCode::FORBIDDEN, Format::of(request.headers(), Format::Markdown))
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    // A file of a project comes with a stricter one.
    let policy = HeaderValue::from_static(frontend::assets::csp());
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(policy);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    tracing::info!(%method, path, status = response.status().as_u16(), ms = began.elapsed().as_millis() as u64, "http");
    response
}

/// Whether a browser says that another site's page sent a request that may change something.
fn is_foreign(request: &Request) -> bool {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return false;
    }
    let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return !matches!(site, "same-origin" | "none");
    }
    // A browser that sends a session along says where its form stood.
    let Some(origin) = text("origin") else { return session::of(request.headers()).is_some() };
    let host = text("host").or_else(|| request.uri().authority().map(|authority| authority.as_str()));
    origin.split_once("://").map(|(_, authority)| authority) != host
}

/// What one connection too many is told.
const BUSY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Serves `listener`, encrypted where there is a certificate, until `stop`; then lets requests finish for a while and returns.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    behind: Behind,
    config: Arc<Config>,
    stop: CancellationToken,
) {
    let tls = tls.map(Arc::new);
    let git = git::Door::new(behind.clone(), config.clone());
    let router = match behind.forge {
        Some(forge) => {
            let all = routes::router().method_not_allowed_fallback(pages::or_not_this_way).layer(from_fn(around));
            all.with_state(Arc::new(Door::new(forge, config.clone(), git)))
        }
        None => plain_router(git),
    };
    let service = TowerToHyperService::new(router);
    let builder = Arc::new(builder(&config.limits));
    let most = Most { open: config.limits.http_connections, each: config.limits.connections_each };
    socket::accept(listener, "http", most, BUSY, stop.clone(), |stream| {
        let (service, builder, limits, stop) = (service.clone(), builder.clone(), config.limits.clone(), stop.clone());
        let tls = tls.clone();
        let from = stream.peer_addr().ok().map(|peer| peer.ip());
        async move {
            let cut = CancellationToken::new();
            let socket = Socket::new(stream, &cut, limits.idle()).expect_first(SHORTEST, limits.head());
            let Some(tls) = tls else { return connection(socket, from, service, &builder, &limits, stop).await };
            match timeout(limits.head(), tls.accept(socket)).await {
                Ok(Ok(secured)) => connection(secured, from, service, &builder, &limits, stop).await,
                Ok(Err(e)) => tracing::debug!("http: no TLS came about: {e}"),
                Err(_) => tracing::debug!("http: no TLS came about in time"),
            }
        }
    })
    .await;
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.head()).max_buf_size(HEAD).max_headers(HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEAD as u32)
        .keep_alive_interval(limits.idle() / 4)
        .keep_alive_timeout(limits.head());
    builder
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    from: Option<IpAddr>,
    service: TowerToHyperService<Router>,
    builder: &Builder<TokioExecutor>,
    limits: &Limits,
    stop: CancellationToken,
) {
    let service = service_fn(move |request: hyper::Request<Incoming>| peer::of(from, service.call(request)));
    let mut running = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = running.as_mut() => Some(ended),
        () = stop.cancelled() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            running.as_mut().graceful_shutdown();
            match timeout(limits.stop(), running.as_mut()).await {
                Ok(ended) => ended,
                Err(_) => return tracing::info!("http: a request still running at the end was cut"),
            }
        }
    };
    if let Err(e) = ended {
        tracing::debug!("http: {e}");
    }
}

/// An answer of plain text.
fn text(status: StatusCode, kind: &'static str, body: impl Into<axum::body::Body>) -> Response {
    (status, [(header::CONTENT_TYPE, kind)], body.into()).into_response()
}

#[cfg(test)]
mod tests;
