//! `forge serve`: binds both doors, opens the forge, says so, and stops gracefully.
//!
//! Invariant: nothing is printed as ready before both addresses are bound and the forge is open.

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use notes_schema::AgentName;
use russh::keys::PrivateKey;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::mirror::Following;
use crate::config::{Config, ConfigError, Layer, Read, Registration};
use crate::forge::{Forge, OpenError};
use crate::hosts::{Behind, PlainHosts};
use crate::secrets::{SecretError, Secrets};
use crate::web::tls::{Tls, TlsError};
use crate::{ssh, web};

/// Threads for work that may block, beside those of fetches and pushes.
/// Limit: threads beside those of the cores, for what blocks | {}
const OTHER_THREADS: usize = 512;

/// Flags of `forge serve`. Each is also a key of `forge.toml` and a variable `FORGE_…`.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(after_help = "Without flags: data in ./forge-data, SSH on 127.0.0.1:2222, HTTP on 127.0.0.1:8080.\n\
                        With --plain there is NO authentication: whoever reaches a port may fetch and push everything,\n\
                        as far as each repository's own configuration lets anybody.\n\
                        FORGE_LOG chooses what is logged, for example FORGE_LOG=debug.")]
pub struct Args {
    /// The data directory; made if it is missing.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Serve the git repositories below DIR and nothing else: no forge, no accounts, no authentication.
    #[arg(long, value_name = "DIR")]
    plain: Option<PathBuf>,
    /// Where SSH listens; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    ssh: Option<SocketAddr>,
    /// Where HTTP listens; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    http: Option<SocketAddr>,
    /// Settings; `./forge.toml` is read without this flag where it exists.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Who may read: `public` or `registered`.
    #[arg(long, value_name = "WHO")]
    read: Option<Read>,
    /// Who may register: `open` or `closed`.
    #[arg(long, value_name = "WHO")]
    registration: Option<Registration>,
    /// Agents that may moderate (`admin vouch`), registered before they are named here; commas between them.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    operators: Option<Vec<AgentName>>,
    /// Base of SSH URLs shown to others, for example `ssh://forge.example:2222`.
    #[arg(long, value_name = "URL")]
    public_ssh: Option<String>,
    /// Base of HTTP URLs shown to others, for example `https://forge.example`.
    #[arg(long, value_name = "URL")]
    public_http: Option<String>,
    /// Encrypt HTTP with the certificate in FILE (PEM, with its chain); read again when it changes.
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key (PEM).
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Keep so many months of recorded runs, the current one among them, and drop those before; 0 keeps all.
    #[arg(long, value_name = "N")]
    keep_trace_months: Option<u32>,
    /// Allow addresses that other machines can reach.
    #[arg(long)]
    allow_public: bool,
    /// Write on though the machine's clock is more than a day behind the ledger: it is right, and was wrong before.
    #[arg(long)]
    accept_clock: bool,
    /// Serve copies of different moments, and give up what is missing of one or another: a new signing epoch opens.
    #[arg(long)]
    accept_loss: bool,
    /// Log lines as JSON.
    #[arg(long)]
    log_json: bool,
}

impl Args {
    /// Whether it is to serve plain repositories.
    pub(super) fn is_plain(&self) -> bool {
        self.plain.is_some()
    }

    /// Begins to log, and reads settings.
    pub(super) fn start(self) -> Result<(Config, Served), ConfigError> {
        log_to_stderr(self.log_json);
        self.config()
    }

    fn config(self) -> Result<(Config, Served), ConfigError> {
        let served = match self.plain {
            None => Served::Forge,
            Some(dir) => Served::Plain { dir, keys: self.data.clone() },
        };
        let flags = Layer {
            data: self.data,
            ssh: self.ssh,
            http: self.http,
            read: self.read,
            registration: self.registration,
            operators: self.operators,
            public_ssh: self.public_ssh,
            public_http: self.public_http,
            tls_cert: self.tls_cert,
            tls_key: self.tls_key,
            keep_trace_months: self.keep_trace_months,
            allow_public: self.allow_public.then_some(true),
            accept_clock: self.accept_clock.then_some(true),
            ..Layer::default()
        };
        let mut config = Config::load(self.config.as_deref(), flags)?;
        config.accept_loss = self.accept_loss;
        Ok((config, served))
    }
}

/// What is served.
#[derive(Debug, Clone)]
pub(super) enum Served {
    /// The forge in the data directory.
    Forge,
    /// Copies in the data directory that follow another forge.
    Mirror(Following),
    /// The repositories below a directory.
    Plain {
        dir: PathBuf,
        /// A data directory whose host key is used; without one, each start makes a new key.
        keys: Option<PathBuf>,
    },
}

/// Why the server does not start; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address cannot be bound.
    #[error("{flag} {address}: {}\nnext: forge serve {flag} {}", bind_why(source), SocketAddr::new(address.ip(), 0))]
    Bind {
        /// `--ssh` or `--http`.
        flag: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The data directory cannot be served.
    #[error("{source}\nnext: forge serve --data <another directory>{}", open_hint(source))]
    Open {
        /// Why.
        source: OpenError,
    },
    /// The data directory holds no forge that can be served as it stands; what mends it is known.
    #[error("{source}\nnext: {next}")]
    Mendable {
        /// Why.
        source: Box<OpenError>,
        /// What to do.
        next: String,
    },
    /// The directory of plain repositories cannot be served.
    #[error("--plain {}: {source}\nnext: forge serve --plain <an existing directory>", dir.display())]
    Plain {
        /// The directory.
        dir: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The certificate.
    #[error("{0}\nnext: forge serve --tls-cert <file> --tls-key <file> (PEM, of one pair)")]
    Tls(#[from] TlsError),
    /// The host key.
    #[error("{0}\nnext: forge serve --data <another directory>")]
    Secrets(#[from] SecretError),
    /// The system.
    #[error("the server cannot run: {0}\nnext: FORGE_LOG=debug forge serve")]
    System(#[from] std::io::Error),
    /// A door or the opening of the forge panicked.
    #[error("a part of the server failed: {0}\nnext: FORGE_LOG=debug forge serve")]
    Failed(#[from] tokio::task::JoinError),
}

fn bind_why(source: &std::io::Error) -> String {
    match source.kind() {
        std::io::ErrorKind::AddrInUse => "another program listens on this address already".to_owned(),
        std::io::ErrorKind::PermissionDenied => "this user may not listen on this port".to_owned(),
        std::io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        _ => source.to_string(),
    }
}

fn open_hint(source: &OpenError) -> &'static str {
    if matches!(source, OpenError::InUse(_)) { " (or stop the other forge first)" } else { "" }
}

/// Serves until a signal; the role's whole life.
pub fn run(args: Args) -> ExitCode {
    run_as(args, |served| served)
}

/// The same, serving what `choose` makes of what the flags say.
pub(super) fn run_as(args: Args, choose: impl FnOnce(Served) -> Served) -> ExitCode {
    if let Some(name) = crate::ledger::fault::asked_in_vain() {
        let why = "a release build does not fail on purpose, and nobody should believe that it did";
        return super::fail(format!("{name} is set: {why}\nnext: env -u {name} forge serve"));
    }
    let (config, served) = match args.start() {
        Ok((config, served)) => (config, choose(served)),
        Err(e) => return super::fail(e),
    };
    // Each fetch or push may hold a thread while its client makes it wait; everything else needs some as well.
    let threads = OTHER_THREADS.saturating_add(config.limits.transfers);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.enable_all().thread_name("forge").max_blocking_threads(threads);
    let runtime = match runtime.build() {
        Ok(runtime) => runtime,
        Err(e) => return super::fail(StartError::System(e)),
    };
    let served = runtime.block_on(until_signal(config, served));
    // What still blocks on a disk after its request was given up must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => super::fail(e),
    }
}

fn log_to_stderr(json: bool) {
    let filter = EnvFilter::try_from_env("FORGE_LOG").unwrap_or_else(|_| EnvFilter::new("info,russh=warn"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = match json {
        true => builder.json().try_init(),
        false => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
    };
    // Somebody else's subscriber is fine as well.
    drop(set);
}

async fn until_signal(config: Config, served: Served) -> Result<(), StartError> {
    // Before anything else, so that no signal is missed.
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut server = Server::start_serving(config, served).await?;
    announce(&server.config, server.forge.is_none());
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
        failed = server.failed() => {
            tracing::error!("a door failed: {failed}");
            server.stop().await?;
            return Err(StartError::Failed(failed));
        }
    }
    tracing::info!("stopping: no new connections; waiting for requests under way");
    tokio::select! {
        stopped = server.stop() => stopped,
        _ = term.recv() => Ok(()),
        _ = int.recv() => Ok(()),
    }
}

/// The block that says that all is ready. Nobody reading it is no reason to stop.
fn announce(config: &Config, plain: bool) {
    let http = format!("{}://{}", config.scheme(), config.http);
    let mut block = format!("forge: serving {}\n  ssh://{}\n  {http}\n", config.data.display(), config.ssh);
    if config.public_ssh != format!("ssh://{}", config.ssh) || config.public_http != http {
        block.push_str(&format!("  shown to others as {} and {}\n", config.public_ssh, config.public_http));
    }
    block.push_str(&match plain {
        true => format!("next: git clone {http}/<path of a repository>\n"),
        false => format!("next: curl -s {http}/skill.md\n"),
    });
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(block.as_bytes()).and_then(|()| out.flush());
}

/// A running server.
pub struct Server {
    /// Its settings, with the addresses that were really bound.
    pub config: Arc<Config>,
    forge: Option<Arc<Forge>>,
    stop: CancellationToken,
    doors: JoinSet<()>,
}

impl Server {
    /// Binds both doors, opens the forge and serves.
    pub async fn start(config: Config) -> Result<Server, StartError> {
        Server::start_serving(config, Served::Forge).await
    }

    async fn start_serving(mut config: Config, served: Served) -> Result<Server, StartError> {
        let ssh = bind("--ssh", config.ssh).await?;
        let http = bind("--http", config.http).await?;
        config.bound(ssh.local_addr()?, http.local_addr()?);
        if let Served::Plain { dir, .. } = &served {
            config.data = dir.clone();
        }
        let tls = config.tls.clone().map(Tls::open).transpose()?;
        let config = Arc::new(config);
        let opening: JoinHandle<Result<_, StartError>> = tokio::task::spawn_blocking({
            let config = config.clone();
            move || open(&config, served)
        });
        let (behind, host_key) = opening.await??;
        let forge = behind.forge.clone();
        let stop = CancellationToken::new();
        let mut doors = JoinSet::new();
        doors.spawn(ssh::serve(ssh, behind.clone(), config.clone(), host_key, stop.clone()));
        doors.spawn(web::serve(http, tls, behind, config.clone(), stop.clone()));
        Ok(Server { config, forge, stop, doors })
    }

    /// The forge behind its doors; none where it serves plain repositories.
    pub(crate) fn forge(&self) -> Option<&Arc<Forge>> {
        self.forge.as_ref()
    }

    /// Waits for a door to fail; one that works never ends by itself.
    async fn failed(&mut self) -> tokio::task::JoinError {
        loop {
            match self.doors.join_next().await {
                Some(Err(e)) => return e,
                Some(Ok(())) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Takes no more connections, lets requests finish for a while, and closes the forge.
    pub async fn stop(mut self) -> Result<(), StartError> {
        self.stop.cancel();
        if let Some(forge) = &self.forge {
            forge.stop_waiting();
        }
        let wait = self.config.limits.stop() + Duration::from_secs(2);
        let ended = tokio::time::timeout(wait, async { while self.doors.join_next().await.is_some() {} }).await;
        if ended.is_err() {
            tracing::warn!("connections still open at the end were cut");
            self.doors.shutdown().await;
        }
        if let Some(forge) = self.forge {
            tokio::task::spawn_blocking(move || forge.close()).await?;
        }
        Ok(())
    }
}

/// Opens what is to be served, and the key by which SSH clients know this server. Blocks.
fn open(config: &Config, served: Served) -> Result<(Behind, PrivateKey), StartError> {
    match served {
        Served::Forge => {
            // The forge first: it takes the lock under which the host key may be made.
            let forge = Forge::open(config).map_err(refused)?;
            Ok((Behind::forge(forge), Secrets::open(&config.data)?.load_or_create_host_key()?))
        }
        Served::Mirror(following) => {
            let forge = following.open(config)?;
            Ok((Behind::forge(forge), Secrets::open(&config.data)?.load_or_create_host_key()?))
        }
        Served::Plain { dir, keys } => {
            let local = config.http.ip().is_loopback();
            let hosts = PlainHosts::open(&dir, &config.limits, local)
                .map_err(|source| StartError::Plain { dir: dir.clone(), source })?;
            let host_key = match keys {
                Some(data) => Secrets::open(&data)?.load_or_create_host_key()?,
                None => crate::secrets::passing_host_key()?,
            };
            Ok((Behind::plain(hosts, &config.limits), host_key))
        }
    }
}

fn refused(source: OpenError) -> StartError {
    match &source {
        OpenError::EmptyMirror { data, upstream } => {
            let next = format!("forge mirror {upstream} --data {} --once", data.display());
            StartError::Mendable { source: Box::new(source), next }
        }
        OpenError::NotClosed { data, .. } => {
            let next = format!("forge serve --data {} --accept-loss", data.display());
            StartError::Mendable { source: Box::new(source), next }
        }
        _ => StartError::Open { source },
    }
}

async fn bind(flag: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Bind { flag, address, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(data: &std::path::Path) -> Config {
        let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let flags = Layer { data: Some(data.to_owned()), ssh: Some(free), http: Some(free), ..Layer::default() };
        Config::from_layers([flags]).unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn free_ports_are_taken_named_and_given_back() {
        let data = tempfile::tempdir().unwrap();
        let server = Server::start(config(data.path())).await.unwrap();
        let (ssh, http) = (server.config.ssh, server.config.http);
        assert_ne!((ssh.port(), http.port()), (0, 0));
        assert_eq!(server.config.public_http, format!("http://{http}"));
        server.stop().await.unwrap();
        TcpListener::bind(ssh).await.unwrap();
    }

    #[tokio::test]
    async fn a_taken_port_is_named_with_what_to_do() {
        let data = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut config = config(data.path());
        config.http = taken.local_addr().unwrap();
        let said = match Server::start(config).await {
            Err(e) => e.to_string(),
            Ok(_) => panic!("two programs on one port"),
        };
        let port = taken.local_addr().unwrap().port();
        assert!(
            said.contains(&format!("--http 127.0.0.1:{port}")) && said.contains("next: forge serve --http"),
            "{said}"
        );
    }
}
