//! Settings: embedded defaults, then `forge.toml`, then `FORGE_*` variables, then flags; each overrides the one before.
//!
//! Invariant: an unknown key in the file is an error that names it, and nothing but loopback is bound unless the operator
//! said so.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use notes_schema::{AgentName, ProjectName};
use serde::Deserialize;

use crate::web::tls;

/// Unless it is said otherwise: about a tenth.
const TRIAL_PERMILLE: u32 = 100;

/// Settings of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The data directory.
    pub data: PathBuf,
    /// Where SSH listens; port 0 takes a free one.
    pub ssh: SocketAddr,
    /// Where HTTP listens; port 0 takes a free one.
    pub http: SocketAddr,
    /// Who may read.
    pub read: Read,
    /// Who may register.
    pub registration: Registration,
    /// Base of SSH URLs that are shown, without a slash at the end. Follows [`Config::ssh`] unless it was set.
    pub public_ssh: String,
    /// Base of HTTP URLs that are shown, without a slash at the end. Follows [`Config::http`] unless it was set.
    pub public_http: String,
    /// The certificate with which HTTP is encrypted; in the clear without one.
    pub tls: Option<tls::Files>,
    /// Agents that may moderate. Nobody registers such a name: it is named here once it is somebody's.
    pub operators: Vec<AgentName>,
    /// How many months of records are kept, the current one among them; 0 for all.
    pub keep_trace_months: u32,
    /// Of a thousand verifiers who are drawn to run sealed tests, how many are tried with what is known.
    pub trial_permille: u32,
    /// Whether addresses other than loopback may be bound.
    pub allow_public: bool,
    /// Whether the machine's clock is right though it is more than a day behind the ledger.
    pub accept_clock: bool,
    /// Whether copies of different moments are served, and what is missing given up. A flag alone: for one start.
    pub accept_loss: bool,
    /// Caps.
    pub limits: Limits,
    /// Which of the two public URLs were set and so do not follow the bound addresses.
    pinned: (bool, bool),
}

/// Who may read projects and pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Read {
    /// Anyone.
    Public,
    /// Registered agents.
    Registered,
}

/// Who may register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Registration {
    /// Anyone who brings a key, or asks for a token.
    Open,
    /// Nobody.
    Closed,
}

macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $default:expr, $variable:literal;)+) => {
        /// Caps on what one request, one connection and all of them may take.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Limits {
            $($(#[$doc])* pub $name: $type,)+
        }

        impl Default for Limits {
            fn default() -> Self {
                Limits { $($name: $default,)+ }
            }
        }

        /// One layer of caps.
        #[derive(Debug, Clone, Default, PartialEq, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct LimitsLayer {
            $($(#[$doc])* pub $name: Option<$type>,)+
        }

        impl LimitsLayer {
            fn over(self, limits: &mut Limits) {
                $(if let Some(value) = self.$name { limits.$name = value; })+
            }

            fn from_env(get: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
                Ok(LimitsLayer { $($name: variable(get, $variable)?,)+ })
            }
        }
    };
}

limits! {
    /// Longest pack of one push, in bytes.
    /// Limit: pack of one push | {:bytes}
    pack_bytes: u64 = 512 << 20, "FORGE_LIMIT_PACK_BYTES";
    /// Most objects in one pack.
    /// Limit: objects in one pack | {}
    pack_objects: u64 = 2_000_000, "FORGE_LIMIT_PACK_OBJECTS";
    /// Largest single object of a push, in bytes.
    /// Limit: one object of a push | {:bytes}
    object_bytes: u64 = 128 << 20, "FORGE_LIMIT_OBJECT_BYTES";
    /// Pushes up to this size, raw and inflated, are taken and judged in memory; larger ones on disk.
    /// Limit: pack that is taken and judged in memory, raw and inflated; a larger one on disk | {:bytes}
    memory_bytes: u64 = 16 << 20, "FORGE_LIMIT_MEMORY_BYTES";
    /// Disk that the packs of full clones may take, in bytes; 0 keeps none.
    /// Limit: disk for the packs of full clones (`clones/`; beside plain repositories a temporary directory), 0 keeps
    /// none | {:bytes}
    clone_bytes: u64 = 4 << 30, "FORGE_LIMIT_CLONE_BYTES";
    /// Disk that the filters may take by which `grep` rules files out, in bytes; 0 keeps none.
    /// Limit: disk for what `grep` knows of files (`trigrams/`), 0 keeps none | {:bytes}
    trigram_bytes: u64 = 2 << 30, "FORGE_LIMIT_TRIGRAM_BYTES";
    /// Repositories that may hold their packs open between two looks of housekeeping.
    /// Limit: repositories that hold their packs open between two looks of housekeeping | {}
    open_stores: usize = 1000, "FORGE_LIMIT_OPEN_STORES";
    /// Seconds without an event after which refs of closed issues and ended pull requests are folded; 0 folds none.
    /// Limit: time without an event after which the refs of a closed issue or ended pull request are no longer listed, 0
    /// lists all | {:s}
    fold_seconds: u64 = 30 * 86_400, "FORGE_LIMIT_FOLD_SECONDS";
    /// Seconds for which a tip that was shown may still be fetched; what it reaches is not collected before.
    /// Limit: time for which a tip that was shown may still be fetched | {:s}
    retired_seconds: u64 = 300, "FORGE_LIMIT_RETIRED_SECONDS";
    /// Seconds between two collections of what nothing reaches in a repository, where something was left behind; 0: none
    /// but those of `forge collect`.
    /// Limit: least time between two collections of orphans in a repository, 0 for none | {:s}
    collect_seconds: u64 = 86_400, "FORGE_LIMIT_COLLECT_SECONDS";
    /// Bytes of packs that one project may hold; 0: as many as there is disk for.
    /// Limit: packs of one project, 0 for no limit | {:bytes}; text may go past it
    project_bytes: u64 = 16 << 30, "FORGE_LIMIT_PROJECT_BYTES";
    /// The same of all projects that one owner's agents have made.
    /// Limit: packs of all projects of one owner, 0 for no limit | {:bytes}; text may go past it
    owner_bytes: u64 = 64 << 30, "FORGE_LIMIT_OWNER_BYTES";
    /// Longest body of a command: text of an issue, a reply …, in bytes.
    /// Limit: body of a command (text of an issue, a reply) | {:bytes}
    body_bytes: u64 = 1 << 20, "FORGE_LIMIT_BODY_BYTES";
    /// Refs (branches, tags, records on their way in) that one agent holds in one project.
    /// Limit: branches, tags and records on their way in that one agent holds in one project | {}
    refs_each: u64 = 100_000, "FORGE_LIMIT_REFS_EACH";
    /// Open SSH connections.
    /// Limit: open SSH connections | {}
    ssh_connections: usize = 1024, "FORGE_LIMIT_SSH_CONNECTIONS";
    /// SSH connections that have not proven a key yet.
    /// Limit: SSH connections that have not proven a key | {}
    ssh_unauthenticated: usize = 128, "FORGE_LIMIT_SSH_UNAUTHENTICATED";
    /// Commands at once on one SSH connection.
    /// Limit: commands at once on one SSH connection | {}
    ssh_channels: usize = 16, "FORGE_LIMIT_SSH_CHANNELS";
    /// Seconds within which an SSH client must have proven its key.
    /// Limit: time to prove a key | {:s}
    login_seconds: u64 = 20, "FORGE_LIMIT_LOGIN_SECONDS";
    /// Open HTTP connections.
    /// Limit: open HTTP connections | {}
    http_connections: usize = 2048, "FORGE_LIMIT_HTTP_CONNECTIONS";
    /// New connections of one address in a second at each door, and ten times as many after a rest; 0 is any number. With IPv6
    /// a network of 64 bits counts as one address.
    /// Limit: new connections of one address (with IPv6, of one /64) in a second at each door; ten times as many after a
    /// rest; 0 is any number | {}
    connections_each: u32 = 200, "FORGE_LIMIT_CONNECTIONS_EACH";
    /// Fetches and pushes under way at once; half of them for those without credentials.
    /// Limit: fetches and pushes at once; half of them for those without credentials | {}
    transfers: usize = 1024, "FORGE_LIMIT_TRANSFERS";
    /// The same of one agent.
    /// Limit: fetches and pushes of one agent at once | {}
    transfers_each: usize = 32, "FORGE_LIMIT_TRANSFERS_EACH";
    /// Blames, logs of a path, comparisons, searches, archives and large files that one asker, an agent or else an address, has
    /// under way or waiting; 0 is any number. With IPv6 a network of 64 bits counts as one address.
    /// Limit: searches through code that one agent, or who is none from one address (with IPv6, from one /64), has under way or
    /// waiting, 0 is any number | {}; the next is refused with 429
    searches_each: usize = 8, "FORGE_LIMIT_SEARCHES_EACH";
    /// Seconds within which an HTTP request's head must have arrived.
    /// Limit: time until the head of an HTTP request is there | {:s}
    head_seconds: u64 = 15, "FORGE_LIMIT_HEAD_SECONDS";
    /// Seconds without a byte after which a transfer is given up.
    /// Limit: time without a byte in a transfer | {:s}
    idle_seconds: u64 = 300, "FORGE_LIMIT_IDLE_SECONDS";
    /// Seconds that requests get to finish when the server stops.
    /// Limit: time for requests to finish when the server stops | {:s}
    stop_seconds: u64 = 10, "FORGE_LIMIT_STOP_SECONDS";
}

impl Limits {
    /// What a pushed pack may cost.
    pub fn of_packs(&self) -> git::pack::intake::Limits {
        git::pack::intake::Limits {
            pack_bytes: self.pack_bytes,
            objects: u32::try_from(self.pack_objects).unwrap_or(u32::MAX),
            object_bytes: self.object_bytes,
            memory_bytes: self.memory_bytes,
            ..git::pack::intake::Limits::default()
        }
    }

    /// [`Limits::collect_seconds`].
    pub fn collect_pause(&self) -> Option<Duration> {
        (self.collect_seconds > 0).then(|| Duration::from_secs(self.collect_seconds))
    }

    /// [`Limits::retired_seconds`].
    pub fn retired(&self) -> Duration {
        Duration::from_secs(self.retired_seconds)
    }

    /// [`Limits::login_seconds`].
    pub fn login(&self) -> Duration {
        Duration::from_secs(self.login_seconds)
    }

    /// [`Limits::head_seconds`].
    pub fn head(&self) -> Duration {
        Duration::from_secs(self.head_seconds)
    }

    /// [`Limits::idle_seconds`].
    pub fn idle(&self) -> Duration {
        Duration::from_secs(self.idle_seconds)
    }

    /// [`Limits::stop_seconds`].
    pub fn stop(&self) -> Duration {
        Duration::from_secs(self.stop_seconds)
    }
}

/// Settings that are wrong, each with what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}\nnext: forge serve --config <an existing file>", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file holds something unknown or of the wrong kind; `why` names the line and the key.
    #[error("{}: {why}\nnext: correct that line and start again", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Line, key, and what was expected.
        why: String,
    },
    /// A variable's value is of the wrong kind.
    #[error("{name}: `{value}` {why}\nnext: unset {name}")]
    Variable {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        why: String,
    },
    /// A certificate without its key, or a key without its certificate.
    #[error("a TLS {given} alone is no pair\nnext: forge serve {other} <file>")]
    HalfAPair {
        /// What is there.
        given: &'static str,
        /// The flag for what is not.
        other: &'static str,
    },
    /// An address reaches beyond this machine and nobody allowed it.
    #[error(
        "{door} {address}: this address is reachable from other machines, and nothing says that it may be\n\
         next: forge serve --allow-public (or `allow_public = true` in forge.toml)"
    )]
    Public {
        /// `--ssh` or `--http`.
        door: &'static str,
        /// The address.
        address: SocketAddr,
    },
}

/// One layer of settings: what a file, the environment or the flags say; the rest stays as it was.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// See [`Config::data`].
    pub data: Option<PathBuf>,
    /// See [`Config::ssh`].
    pub ssh: Option<SocketAddr>,
    /// See [`Config::http`].
    pub http: Option<SocketAddr>,
    /// See [`Config::read`].
    pub read: Option<Read>,
    /// See [`Config::registration`].
    pub registration: Option<Registration>,
    /// See [`Config::public_ssh`].
    pub public_ssh: Option<String>,
    /// See [`Config::public_http`].
    pub public_http: Option<String>,
    /// See [`Config::tls`]: the certificate's file.
    pub tls_cert: Option<PathBuf>,
    /// See [`Config::tls`]: the file of its key.
    pub tls_key: Option<PathBuf>,
    /// See [`Config::operators`].
    pub operators: Option<Vec<AgentName>>,
    /// See [`Config::keep_trace_months`].
    pub keep_trace_months: Option<u32>,
    /// See [`Config::trial_permille`].
    pub trial_permille: Option<u32>,
    /// See [`Config::allow_public`].
    pub allow_public: Option<bool>,
    /// See [`Config::accept_clock`].
    pub accept_clock: Option<bool>,
    /// See [`Config::limits`].
    #[serde(default)]
    pub limits: LimitsLayer,
}

impl Layer {
    /// The layer in the file `path`.
    pub fn from_file(path: &Path) -> Result<Layer, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        toml::from_str(&text)
            .map_err(|e| ConfigError::File { path: path.to_owned(), why: e.to_string().trim_end().to_owned() })
    }

    /// The layer in the `FORGE_*` variables that `get` finds.
    pub fn from_env(get: &dyn Fn(&str) -> Option<String>) -> Result<Layer, ConfigError> {
        let operators = get("FORGE_OPERATORS").map(|value| {
            let names = value.split(',').map(str::trim).filter(|name| !name.is_empty());
            names.map(str::parse).collect::<Result<Vec<AgentName>, _>>().map_err(|e| ConfigError::Variable {
                name: "FORGE_OPERATORS",
                value: value.clone(),
                why: e.to_string(),
            })
        });
        Ok(Layer {
            data: get("FORGE_DATA").map(PathBuf::from),
            ssh: variable(get, "FORGE_SSH")?,
            http: variable(get, "FORGE_HTTP")?,
            read: variable(get, "FORGE_READ")?,
            registration: variable(get, "FORGE_REGISTRATION")?,
            public_ssh: get("FORGE_PUBLIC_SSH"),
            public_http: get("FORGE_PUBLIC_HTTP"),
            tls_cert: get("FORGE_TLS_CERT").map(PathBuf::from),
            tls_key: get("FORGE_TLS_KEY").map(PathBuf::from),
            operators: operators.transpose()?,
            keep_trace_months: variable(get, "FORGE_KEEP_TRACE_MONTHS")?,
            trial_permille: variable(get, "FORGE_TRIAL_PERMILLE")?,
            allow_public: variable(get, "FORGE_ALLOW_PUBLIC")?,
            accept_clock: variable(get, "FORGE_ACCEPT_CLOCK")?,
            limits: LimitsLayer::from_env(get)?,
        })
    }
}

fn variable<T>(get: &dyn Fn(&str) -> Option<String>, name: &'static str) -> Result<Option<T>, ConfigError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let Some(value) = get(name) else { return Ok(None) };
    match value.parse() {
        Ok(parsed) => Ok(Some(parsed)),
        Err(e) => Err(ConfigError::Variable { name, value, why: format!("is not understood: {e}") }),
    }
}

macro_rules! words {
    ($type:ident { $($word:literal => $variant:ident),+ }) => {
        impl std::str::FromStr for $type {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok($type::$variant),)+
                    _ => Err(["expected one of", $($word),+].join(" ")),
                }
            }
        }
    };
}
words!(Read { "public" => Public, "registered" => Registered });
words!(Registration { "open" => Open, "closed" => Closed });

impl Default for Config {
    fn default() -> Self {
        let mut config = Config {
            data: PathBuf::from("./forge-data"),
            ssh: SocketAddr::from((Ipv4Addr::LOCALHOST, 2222)),
            http: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            read: Read::Public,
            registration: Registration::Open,
            public_ssh: String::new(),
            public_http: String::new(),
            tls: None,
            operators: Vec::new(),
            keep_trace_months: 0,
            trial_permille: TRIAL_PERMILLE,
            allow_public: false,
            accept_clock: false,
            accept_loss: false,
            limits: Limits::default(),
            pinned: (false, false),
        };
        config.bound(config.ssh, config.http);
        config
    }
}

impl Config {
    /// Defaults, then `file` (or `./forge.toml` where there is one), then the process's variables, then `flags`.
    pub fn load(file: Option<&Path>, flags: Layer) -> Result<Config, ConfigError> {
        let get = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let named = file.map(Path::to_owned).or_else(|| get("FORGE_CONFIG").map(PathBuf::from));
        let file = match named {
            Some(path) => Layer::from_file(&path)?,
            None if Path::new("forge.toml").is_file() => Layer::from_file(Path::new("forge.toml"))?,
            None => Layer::default(),
        };
        Config::from_layers([file, Layer::from_env(&get)?, flags])
    }

    /// Defaults under `layers`, the last one on top.
    pub fn from_layers(layers: impl IntoIterator<Item = Layer>) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        let (mut certificate, mut key) = (None, None);
        for layer in layers {
            certificate = layer.tls_cert.clone().or(certificate);
            key = layer.tls_key.clone().or(key);
            config.put(layer);
        }
        config.tls = match (certificate, key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some(tls::Files { certificate, key }),
            (Some(_), None) => return Err(ConfigError::HalfAPair { given: "certificate", other: "--tls-key" }),
            (None, Some(_)) => return Err(ConfigError::HalfAPair { given: "key", other: "--tls-cert" }),
        };
        config.bound(config.ssh, config.http);
        for (door, address) in [("--ssh", config.ssh), ("--http", config.http)] {
            if !address.ip().is_loopback() && !config.allow_public {
                return Err(ConfigError::Public { door, address });
            }
        }
        Ok(config)
    }

    fn put(&mut self, layer: Layer) {
        let Layer { data, ssh, http, read, registration, public_ssh, public_http, .. } = layer;
        let Layer { operators, keep_trace_months, trial_permille, allow_public, accept_clock, limits, .. } = layer;
        set(&mut self.data, data);
        set(&mut self.ssh, ssh);
        set(&mut self.http, http);
        set(&mut self.read, read);
        set(&mut self.registration, registration);
        self.pinned.0 |= public_ssh.is_some();
        self.pinned.1 |= public_http.is_some();
        set(&mut self.public_ssh, public_ssh.map(|url| url.trim_end_matches('/').to_owned()));
        set(&mut self.public_http, public_http.map(|url| url.trim_end_matches('/').to_owned()));
        set(&mut self.operators, operators);
        set(&mut self.keep_trace_months, keep_trace_months);
        set(&mut self.trial_permille, trial_permille);
        set(&mut self.allow_public, allow_public);
        set(&mut self.accept_clock, accept_clock);
        limits.over(&mut self.limits);
    }

    /// Notes the addresses that were really bound; URLs that were not set follow them.
    pub fn bound(&mut self, ssh: SocketAddr, http: SocketAddr) {
        self.ssh = ssh;
        self.http = http;
        if !self.pinned.0 {
            self.public_ssh = format!("ssh://{}", reachable(ssh));
        }
        if !self.pinned.1 {
            self.public_http = format!("{}://{}", self.scheme(), reachable(http));
        }
    }

    /// What the HTTP door speaks: `http`, or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// What to clone a project from over SSH.
    pub fn ssh_url(&self, project: &ProjectName) -> String {
        format!("{}/{project}", self.public_ssh)
    }

    /// A project's page, which can be cloned as well.
    pub fn http_url(&self, project: &ProjectName) -> String {
        format!("{}/{project}", self.public_http)
    }

    /// Host and port of [`Config::public_ssh`], for `~/.ssh/config`.
    pub fn ssh_host_port(&self) -> (String, u16) {
        let authority = self.public_ssh.strip_prefix("ssh://").unwrap_or(&self.public_ssh);
        let authority = authority.split('/').next().unwrap_or(authority);
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let split = authority.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']'));
        let (host, port) = match split {
            Some((host, port)) => (host, port.parse().unwrap_or(22)),
            None => (authority, 22),
        };
        (host.trim_start_matches('[').trim_end_matches(']').to_owned(), port)
    }
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

/// An address that a client on this machine can use: `0.0.0.0` is none.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        other => other,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(text: &str) -> Layer {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn without_any_setting_only_loopback_is_served() {
        let config = Config::from_layers([]).unwrap();
        assert_eq!(config.data, Path::new("./forge-data"));
        assert_eq!(config.public_ssh, "ssh://127.0.0.1:2222");
        assert_eq!(config.public_http, "http://127.0.0.1:8080");
        assert_eq!((config.read, config.registration), (Read::Public, Registration::Open));
    }

    #[test]
    fn later_layers_override_and_leave_the_rest() {
        let file = layer("ssh = '127.0.0.1:1'\nread = 'registered'\n[limits]\nbody_bytes = 7\nidle_seconds = 9\n");
        let env = Layer::from_env(&|name| match name {
            "FORGE_SSH" => Some("127.0.0.1:2".into()),
            "FORGE_LIMIT_BODY_BYTES" => Some("8".into()),
            "FORGE_OPERATORS" => Some("alpha, beta".into()),
            _ => None,
        });
        let flags = Layer { ssh: Some("127.0.0.1:3".parse().unwrap()), ..Layer::default() };
        let config = Config::from_layers([file, env.unwrap(), flags]).unwrap();
        assert_eq!(config.ssh.port(), 3);
        assert_eq!(config.read, Read::Registered);
        assert_eq!((config.limits.body_bytes, config.limits.idle_seconds), (8, 9));
        assert_eq!(config.operators.len(), 2);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        for (text, key, line) in [
            ("read = 'public'\nraed = 'public'\n", "raed", "line 2"),
            ("[limits]\nbody_bites = 1\n", "body_bites", "line 2"),
            ("read = 'private'\n", "private", "line 1"),
            ("operators = ['../x']\n", "../x", "line 1"),
        ] {
            let path = dir.path().join("forge.toml");
            std::fs::write(&path, text).unwrap();
            let said = Layer::from_file(&path).unwrap_err().to_string();
            assert!(said.contains(key) && said.contains(line) && said.contains("next: "), "{said}");
        }
    }

    #[test]
    fn a_wrong_variable_is_named() {
        let get = |name: &str| (name == "FORGE_READ").then(|| "all".to_owned());
        let said = Layer::from_env(&get).unwrap_err().to_string();
        assert!(said.contains("FORGE_READ") && said.contains("public registered"), "{said}");
    }

    #[test]
    fn a_public_address_must_be_allowed() {
        let public = "http = '0.0.0.0:80'\n";
        let said = Config::from_layers([layer(public)]).unwrap_err().to_string();
        assert!(said.contains("0.0.0.0:80") && said.contains("--allow-public"), "{said}");
        let config = Config::from_layers([layer(public), layer("allow_public = true")]).unwrap();
        assert_eq!(config.public_http, "http://127.0.0.1:80");
    }

    #[test]
    fn shown_urls_follow_the_bound_ports_unless_they_were_set() {
        let mut config = Config::from_layers([layer("public_ssh = 'ssh://git@forge.example:22/'")]).unwrap();
        config.bound("127.0.0.1:5000".parse().unwrap(), "127.0.0.1:5001".parse().unwrap());
        assert_eq!(config.public_ssh, "ssh://git@forge.example:22");
        assert_eq!(config.public_http, "http://127.0.0.1:5001");
        assert_eq!(config.ssh_host_port(), ("forge.example".to_owned(), 22));
        let mut config = Config::default();
        config.bound("[::1]:22".parse().unwrap(), config.http);
        assert_eq!(config.ssh_host_port(), ("::1".to_owned(), 22));
        assert_eq!(config.ssh_url(&"parser".parse().unwrap()), "ssh://[::1]:22/parser");
    }
}
