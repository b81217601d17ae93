//! An agent's one connection: SSH with a key of its own, or HTTP/1.1 kept alive with its token.
//!
//! Invariant: whatever goes wrong is told with what it means for the act: refused, unknown, or lost.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, to_bytes};
use hyper::client::conn::http1;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use russh::keys::{Algorithm, PrivateKey, PrivateKeyWithHashAlg, key::safe_rng};
use russh::{ChannelMsg, client};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::bench::capture;
use crate::bench::fate::Fate;

/// How long an agent waits for an answer before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(300);
/// After so long without a request an HTTP client makes a new connection, as pools of connections do: the server closes those
/// on which nothing comes for 15 s, and a request that crosses the closing is lost.
const FRESH: Duration = Duration::from_secs(10);
/// Longest answer that is read, in bytes.
const LONGEST: usize = 64 << 20;

/// Why an act was not done, as far as its agent can tell.
#[derive(Debug, Clone)]
pub(in crate::bench) struct Failure {
    /// What that means for the act.
    pub fate: Fate,
    /// In the forge's words, or the connection's.
    pub why: String,
}

fn lost(why: impl std::fmt::Display) -> Failure {
    Failure { fate: Fate::Lost, why: why.to_string() }
}

/// What a refusal in JSON means.
fn refused(said: &[u8]) -> Failure {
    let error = serde_json::from_slice::<Value>(said).ok().map(|value| value["error"].clone());
    let text = |key: &str| error.as_ref().and_then(|e| e[key].as_str()).unwrap_or("").to_owned();
    let why = match error {
        Some(_) => format!("{}: {}", text("code"), text("why")),
        None => String::from_utf8_lossy(said).chars().filter(|c| !c.is_control()).take(300).collect(),
    };
    // A merge that landed and waits for its rating was done, though not all of it yet.
    let unknown = text("code") == "unknown" || why.contains("it landed as");
    Failure { fate: if unknown { Fate::Unknown } else { Fate::Refused }, why }
}

/// Waits for `work`, though not for ever.
async fn patiently<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    timeout(PATIENCE, work).await.unwrap_or_else(|_| Err(lost("no answer in time")))
}

/// One connection.
pub(in crate::bench) enum Door {
    /// Over SSH.
    Ssh(Ssh),
    /// Over HTTP.
    Http(Http),
}

impl Door {
    /// One command: its answer.
    pub async fn act(&mut self, line: &str) -> Result<Value, Failure> {
        let said = patiently(async {
            match self {
                Door::Ssh(ssh) => ssh.act(line).await,
                Door::Http(http) => http.act(line).await,
            }
        });
        serde_json::from_slice(&said.await?).map_err(lost)
    }

    /// Asks what `project` has, as git does first, sends a push and returns what is reported.
    pub async fn push(&mut self, project: &str, body: &[u8]) -> Result<Vec<u8>, Failure> {
        patiently(async {
            match self {
                Door::Ssh(ssh) => {
                    let (exit, said) = ssh.run(&format!("git-receive-pack '/{project}'"), None, Some(body)).await?;
                    if exit == 0 { Ok(said) } else { Err(lost(format!("git-receive-pack ended with {exit}"))) }
                }
                Door::Http(http) => http.push(project, body).await,
            }
        })
        .await
    }

    /// How often the connection had to be made again.
    pub fn reconnects(&self) -> u64 {
        match self {
            Door::Ssh(_) => 0,
            Door::Http(http) => http.connects.saturating_sub(1),
        }
    }
}

/// What a report says of refs that were pushed: `Ok` where all landed.
pub(in crate::bench) fn reported<'r>(
    report: &[u8],
    mut names: impl Iterator<Item = &'r String>,
) -> Result<(), Failure> {
    names.try_for_each(|name| {
        capture::landed(report, name).map_err(|e| {
            let unknown = String::from_utf8_lossy(report).contains("unknown: ");
            Failure { fate: if unknown { Fate::Unknown } else { Fate::Refused }, why: e.to_string() }
        })
    })
}

/// Takes whatever key the server has: it is the child of this process, on loopback.
struct Trusting;

impl client::Handler for Trusting {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &russh::keys::PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        Ok(true)
    }
}

/// A connection over SSH.
pub(in crate::bench) struct Ssh {
    handle: client::Handle<Trusting>,
}

impl Ssh {
    /// Connects with a new key.
    pub async fn connect(to: SocketAddr) -> Result<Ssh, Failure> {
        patiently(async {
            let key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).map_err(lost)?;
            let config = client::Config { nodelay: true, ..client::Config::default() };
            let mut handle = client::connect(Arc::new(config), to, Trusting).await.map_err(lost)?;
            let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
            match handle.authenticate_publickey("forge", key).await {
                Ok(client::AuthResult::Success) => Ok(Ssh { handle }),
                Ok(_) => Err(lost("the key was not taken")),
                Err(e) => Err(lost(e)),
            }
        })
        .await
    }

    async fn act(&self, line: &str) -> Result<Vec<u8>, Failure> {
        let (exit, said) = self.run(&format!("--json {line}"), Some(b""), None).await?;
        if exit == 0 { Ok(said) } else { Err(refused(&said)) }
    }

    /// Runs one command: its exit code and what it said. `first` goes to it at once, `then` after git's advertisement.
    async fn run(&self, command: &str, first: Option<&[u8]>, then: Option<&[u8]>) -> Result<(u32, Vec<u8>), Failure> {
        let mut channel = self.handle.channel_open_session().await.map_err(lost)?;
        channel.exec(true, command).await.map_err(lost)?;
        if first.is_some() {
            channel.eof().await.map_err(lost)?;
        }
        let (mut said, mut exit, mut then) = (Vec::new(), None, then);
        while let Some(message) = channel.wait().await {
            match message {
                ChannelMsg::Data { data } => said.extend_from_slice(&data),
                ChannelMsg::ExitStatus { exit_status } => exit = Some(exit_status),
                ChannelMsg::Failure => return Err(lost("the command was not begun")),
                _ => {}
            }
            if said.len() > LONGEST {
                return Err(lost("an answer that does not end"));
            }
            if let Some(body) = then.take_if(|_| is_whole(&said)) {
                channel.data_bytes(Bytes::copy_from_slice(body)).await.map_err(lost)?;
                channel.eof().await.map_err(lost)?;
            }
        }
        let exit = exit.ok_or_else(|| lost("the channel ended without an exit code"))?;
        Ok((exit, said))
    }
}

/// Whether packets end with a flush.
fn is_whole(mut framed: &[u8]) -> bool {
    while let Some((_, after)) = capture::packet(framed) {
        if framed.starts_with(b"0000") {
            return true;
        }
        framed = after;
    }
    false
}

/// A connection over HTTP.
pub(in crate::bench) struct Http {
    to: SocketAddr,
    bearer: String,
    sender: http1::SendRequest<Body>,
    used: Instant,
    connects: u64,
}

impl Http {
    /// Connects, as nobody yet.
    pub async fn connect(to: SocketAddr) -> Result<Http, Failure> {
        let sender = patiently(handshake(to)).await?;
        Ok(Http { to, bearer: String::new(), sender, used: Instant::now(), connects: 1 })
    }

    /// Registers as `name`, and is it from here on.
    pub async fn register(&mut self, name: &str) -> Result<Value, Failure> {
        let body = serde_json::json!({ "name": name }).to_string().into_bytes();
        let kind = ("content-type", "application/json");
        let said = patiently(self.ask("POST", "/agents/register", &[kind], body)).await?;
        let said: Value = serde_json::from_slice(&said).map_err(lost)?;
        self.bearer = format!("Bearer {}", said["token"].as_str().ok_or_else(|| lost("no token"))?);
        Ok(said)
    }

    /// The same agent, at another address from here on.
    pub async fn moved(self, to: SocketAddr) -> Result<Http, Failure> {
        Ok(Http { bearer: self.bearer, ..Http::connect(to).await? })
    }

    /// One command: its answer, in JSON.
    pub async fn act(&mut self, line: &str) -> Result<Vec<u8>, Failure> {
        let headers = [("accept", "application/json"), ("content-type", "text/plain")];
        self.ask("POST", "/action", &headers, line.as_bytes().to_vec()).await
    }

    async fn push(&mut self, project: &str, body: &[u8]) -> Result<Vec<u8>, Failure> {
        self.ask("GET", &format!("/{project}.git/info/refs?service=git-receive-pack"), &[], Vec::new()).await?;
        let kind = ("content-type", "application/x-git-receive-pack-request");
        self.ask("POST", &format!("/{project}.git/git-receive-pack"), &[kind], body.to_vec()).await
    }

    /// Asks protocol v2 of git what is in `body`.
    pub async fn upload_pack(&mut self, project: &str, body: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let headers = [("git-protocol", "version=2"), ("content-type", "application/x-git-upload-pack-request")];
        patiently(self.ask("POST", &format!("/{project}.git/git-upload-pack"), &headers, body)).await
    }

    /// One request: the body of its answer, which must be a yes. Where the connection was kept for long, or the server has
    /// closed it meanwhile, over a new one.
    async fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Vec<u8>, Failure> {
        if self.used.elapsed() > FRESH || self.sender.ready().await.is_err() {
            self.sender = handshake(self.to).await?;
            self.connects += 1;
        }
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, self.to.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !self.bearer.is_empty() {
            request = request.header(header::AUTHORIZATION, &self.bearer);
        }
        let request = request.body(Body::from(body)).map_err(lost)?;
        let answer = self.sender.send_request(request).await.map_err(lost)?;
        let status = answer.status();
        let said = to_bytes(Body::new(answer.into_body()), LONGEST).await.map_err(lost)?;
        self.used = Instant::now();
        if status.is_success() { Ok(said.into()) } else { Err(refused(&said)) }
    }
}

async fn handshake(to: SocketAddr) -> Result<http1::SendRequest<Body>, Failure> {
    let stream = TcpStream::connect(to).await.map_err(lost)?;
    stream.set_nodelay(true).map_err(lost)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
    // It ends with the sender.
    tokio::spawn(connection);
    Ok(sender)
}
