//! A client of HTTP/1.1, in the clear or under TLS, for one origin: the API that issues come from, or the forge that they
//! go to.
//!
//! Invariant: nothing is asked of another origin than the one that was named, so what a client shows to prove who it is
//! goes nowhere else; redirections are answers, not followed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Uri};
use hyper::client::conn::http1;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// How long an answer is waited for.
/// Limit: wait of `forge import` for one answer | {}
const LONGEST_ANSWER: Duration = Duration::from_secs(300);
/// Longest answer that is read.
/// Limit: answer that `forge import` reads | {:bytes}
const LONGEST_BODY: usize = 64 << 20;
/// After so long without a request a new connection is made: servers close idle ones, and a request that crosses the
/// closing is lost.
const FRESH: Duration = Duration::from_secs(10);
/// Where systems keep the certificates of the authorities that they trust.
const TRUSTED: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HttpError {
    /// Not an address that can be asked.
    #[error("{0}: it is no address like http://host:port or https://host")]
    Address(String),
    /// No connection, or it was lost.
    #[error("{origin}: {why}")]
    Lost {
        /// Who was asked.
        origin: String,
        /// What went wrong.
        why: String,
    },
    /// TLS cannot be begun.
    #[error("{0}")]
    Trust(String),
}

/// Scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    tls: bool,
    host: String,
    port: u16,
}

impl Origin {
    /// That of an address, and the path behind it.
    pub fn of(address: &str) -> Result<(Origin, String), HttpError> {
        let wrong = || HttpError::Address(address.chars().filter(|c| !c.is_control()).take(200).collect());
        let uri: Uri = address.parse().map_err(|_| wrong())?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(wrong)?;
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let host = authority.host().to_ascii_lowercase();
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok((Origin { tls, host, port }, path))
    }

    fn authority(&self) -> String {
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => self.host.clone(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", if self.tls { "https" } else { "http" }, self.authority())
    }
}

/// What was answered.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Vec<u8>,
}

impl Reply {
    /// A header that is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A client of one origin, with one connection that is made again where it was lost.
pub struct Client {
    origin: Origin,
    bearer: Option<String>,
    trust: Option<Arc<ClientConfig>>,
    connection: Option<(http1::SendRequest<Body>, Instant)>,
}

impl Client {
    /// A client of `origin` that shows `token` there, if any.
    pub fn new(origin: Origin, token: Option<&str>) -> Result<Client, HttpError> {
        let trust = origin.tls.then(trusted).transpose()?;
        Ok(Client { origin, bearer: token.map(|token| format!("Bearer {token}")), trust, connection: None })
    }

    /// Whom it asks.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// One request and its answer, whatever its status.
    pub async fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Reply, HttpError> {
        let asked = timeout(LONGEST_ANSWER, self.try_once(method, path, headers, body)).await;
        let asked = asked.unwrap_or_else(|_| Err(self.lost("no answer in time")));
        if asked.is_err() {
            self.connection = None;
        }
        asked
    }

    async fn try_once(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Reply, HttpError> {
        let mut sender = self.sender().await?;
        let mut request = Request::builder().method(method).uri(path);
        request = request.header(header::HOST, self.origin.authority()).header(header::USER_AGENT, "synstack-forge");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(bearer) = &self.bearer {
            request = request.header(header::AUTHORIZATION, bearer);
        }
        let request = request.body(Body::from(body.to_vec())).map_err(|e| self.lost(e))?;
        let answer = sender.send_request(request).await.map_err(|e| self.lost(e))?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = to_bytes(Body::new(answer.into_body()), LONGEST_BODY).await.map_err(|e| self.lost(e))?;
        self.connection = Some((sender, Instant::now()));
        Ok(Reply { status, headers, body: body.into() })
    }

    async fn sender(&mut self) -> Result<http1::SendRequest<Body>, HttpError> {
        if let Some((mut sender, used)) = self.connection.take()
            && used.elapsed() < FRESH
            && sender.ready().await.is_ok()
        {
            return Ok(sender);
        }
        let host = self.origin.host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let stream = TcpStream::connect((host.as_str(), self.origin.port)).await.map_err(|e| self.lost(e))?;
        stream.set_nodelay(true).map_err(|e| self.lost(e))?;
        let Some(trust) = &self.trust else {
            let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| self.lost(e))?;
            // It ends with the sender.
            tokio::spawn(connection);
            return Ok(sender);
        };
        let name = ServerName::try_from(host).map_err(|e| self.lost(e))?;
        let stream = TlsConnector::from(trust.clone()).connect(name, stream).await.map_err(|e| self.lost(e))?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| self.lost(e))?;
        tokio::spawn(connection);
        Ok(sender)
    }

    fn lost(&self, why: impl std::fmt::Display) -> HttpError {
        HttpError::Lost { origin: self.origin.to_string(), why: why.to_string() }
    }
}

/// The authorities of this machine, or those in the file that `SSL_CERT_FILE` names.
fn trusted() -> Result<Arc<ClientConfig>, HttpError> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let file = named.or_else(|| TRUSTED.iter().map(PathBuf::from).find(|path| path.is_file()));
    let none = "no certificates of authorities were found; SSL_CERT_FILE names a file of them";
    let file = file.ok_or_else(|| HttpError::Trust(none.to_owned()))?;
    let wrong = |why: String| HttpError::Trust(format!("{}: {why}", file.display()));
    let bytes = std::fs::read(&file).map_err(|e| wrong(e.to_string()))?;
    let mut roots = RootCertStore::empty();
    let (taken, _) = roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&bytes).filter_map(Result::ok));
    if taken == 0 {
        return Err(wrong("it holds no certificate as PEM".to_owned()));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| wrong(e.to_string()))?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_to_the_port() {
        let of = |address: &str| Origin::of(address).map(|(origin, path)| (origin.to_string(), path));
        let pair = |origin: &str, path: &str| Some((origin.to_owned(), path.to_owned()));
        assert_eq!(of("https://API.github.com/repos/o/r?x=1").ok(), pair("https://api.github.com", "/repos/o/r?x=1"));
        assert_eq!(of("http://127.0.0.1:8080").ok(), pair("http://127.0.0.1:8080", "/"));
        assert_eq!(of("https://h:443/").ok(), pair("https://h", "/"));
        for bad in ["", "/repos", "ftp://h/", "h:80", "https://user:secret@h/", "http://h\n/"] {
            assert!(of(bad).is_err(), "{bad}");
        }
        let origin = |address: &str| Origin::of(address).unwrap().0;
        assert_ne!(origin("http://h/"), origin("https://h/"));
        assert_ne!(origin("http://h/"), origin("http://h:81/"));
        assert_eq!(origin("http://h:80/"), origin("http://H/x"));
    }
}
