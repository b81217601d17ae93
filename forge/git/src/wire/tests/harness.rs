//! A host over a plain bare repository, served on loopback, and `git` as a client of it.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use notes_schema::Oid;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::name::FullName;
use crate::pack::intake::{Kept, Limits, Quarantine};
use crate::pack::write::Builder;
use crate::store::Store;
use crate::wire::pktline::{Packet, PktReader};
use crate::wire::{
    self, AdvertisedRef, Advertisement, FetchOffer, Filters, Head, Host, Protocol, Push, PushOffer, PushOutcome,
    RefUpdate, Service, Wants,
};

/// What this host never shows.
pub const HIDDEN: &str = "refs/hidden/";

pub struct BareHost {
    dir: PathBuf,
    pub store: Arc<Store>,
    /// What is shown in place of the refs on disk.
    pub ahead: Mutex<Option<Advertisement>>,
    pub offer: Mutex<FetchOffer>,
    pub flushed: AtomicUsize,
    pub received: AtomicUsize,
}

/// All that can be offered, but objects that no shown ref reaches.
pub fn everything() -> FetchOffer {
    FetchOffer {
        wants: Wants::Reachable,
        filters: Filters { served: true, ..Filters::default() },
        want_ref: true,
        sideband_all: true,
        object_info: true,
        unborn: true,
    }
}

/// Puts the objects of a push into the bare repository.
fn install(quarantine: Quarantine, git_dir: &Path) {
    let packs = git_dir.join("objects/pack");
    match quarantine.into_kept() {
        Kept::Memory(objects) => {
            let mut builder = Builder::default();
            objects.iter().for_each(|(id, object)| builder.add(*id, object));
            let pack = builder.finish();
            let name = format!("pack-{}", notes_schema::names::hex(&pack.checksum));
            std::fs::write(packs.join(&name).with_extension("pack"), &pack.pack).unwrap();
            std::fs::write(packs.join(&name).with_extension("idx"), &pack.index).unwrap();
        }
        Kept::Directory(pack) => drop(pack.land(&packs).unwrap()),
    }
}

impl BareHost {
    fn git(&self, args: &[&str]) -> Output {
        git_command(&self.dir).args(args).output().unwrap()
    }

    fn update(&self, update: &RefUpdate) -> Result<(), String> {
        if update.name.as_str() == "refs/heads/locked" {
            return Err("locked\nby the test".to_owned());
        }
        let id = |id: Option<Oid>| id.map_or("0".repeat(40), |id| id.to_string());
        let done = self.git(&["update-ref", update.name.as_str(), &id(update.new), &id(update.old)]);
        if done.status.success() { Ok(()) } else { Err("stale info".to_owned()) }
    }
}

impl Host for BareHost {
    fn advertise(&self, _service: Service, _prefixes: &[String]) -> Advertisement {
        if let Some(ahead) = &*self.ahead.lock().unwrap() {
            return ahead.clone();
        }
        let listed = self.git(&["show-ref", "--dereference"]);
        let mut refs: Vec<AdvertisedRef> = Vec::new();
        for line in String::from_utf8_lossy(&listed.stdout).lines() {
            let (id, name) = line.split_once(' ').unwrap();
            let id = id.parse().unwrap();
            match name.strip_suffix("^{}") {
                Some(_) => refs.last_mut().unwrap().peeled = Some(id),
                None => refs.extend(name.parse().ok().map(|name| AdvertisedRef { name, id, peeled: None })),
            }
        }
        refs.retain(|r| !r.name.as_str().starts_with(HIDDEN));
        refs.sort_by(|a, b| a.name.cmp(&b.name));
        let head = String::from_utf8(self.git(&["symbolic-ref", "HEAD"]).stdout).unwrap();
        let target: Option<FullName> = head.trim().parse().ok();
        let id = refs.iter().find(|r| Some(&r.name) == target.as_ref()).map(|r| r.id);
        Advertisement { refs, head: Some(Head { target, id }), ..Advertisement::default() }
    }

    fn fetch_offer(&self) -> FetchOffer {
        self.offer.lock().unwrap().clone()
    }

    fn push_offer(&self) -> PushOffer {
        PushOffer { atomic: true, options: true, ..PushOffer::default() }
    }

    fn may_want(&self, id: Oid) -> bool {
        self.advertise(Service::UploadPack, &[]).refs.iter().any(|r| r.id == id || r.peeled == Some(id))
    }

    fn store(&self) -> Arc<Store> {
        self.store.clone()
    }

    fn git_dir(&self) -> &Path {
        &self.dir
    }

    fn limits(&self) -> Limits {
        Limits::default()
    }

    fn flush_refs(&self) -> std::io::Result<()> {
        self.flushed.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn precheck(&self, update: &RefUpdate) -> Result<(), String> {
        if update.name.as_str().starts_with("refs/heads/early") { Err("refused early".to_owned()) } else { Ok(()) }
    }

    fn receive(&self, push: Push) -> PushOutcome {
        self.received.fetch_add(1, Ordering::Relaxed);
        install(push.quarantine, &self.dir);
        let refused = push.atomic && push.updates.iter().any(|u| u.name.as_str() == "refs/heads/locked");
        let judge = |u: &RefUpdate| {
            if refused { Err("sunk together".to_owned()) } else { self.update(u) }
        };
        let results = push.updates.iter().map(|u| (u.name.clone(), judge(u))).collect();
        let mut messages = vec!["see parser#7\u{1b}[31m".to_owned()];
        messages.extend(push.options.iter().map(|o| format!("option {o}")));
        PushOutcome { results, messages }
    }
}

/// A repository on loopback, and a directory for clones.
pub struct Server {
    _runtime: tokio::runtime::Runtime,
    pub temp: tempfile::TempDir,
    pub host: Arc<BareHost>,
    stream: SocketAddr,
    http: SocketAddr,
}

impl Server {
    /// An empty repository.
    pub fn start() -> Server {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("repo.git");
        ok(temp.path(), &["init", "-q", "--bare", "-b", "main", "repo.git"]);
        Server::serve(temp, dir)
    }

    /// The repository at `dir`, which someone else keeps.
    pub fn of(dir: &Path) -> Server {
        Server::serve(tempfile::tempdir().unwrap(), dir.to_owned())
    }

    fn serve(temp: tempfile::TempDir, dir: PathBuf) -> Server {
        let store = Arc::new(Store::open(&dir).unwrap());
        let (ahead, flushed, received) = Default::default();
        let offer = Mutex::new(everything());
        let host = Arc::new(BareHost { dir, store, ahead, offer, flushed, received });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (stream, http) = runtime.block_on(async {
            let stream = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let http = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let addresses = (stream.local_addr().unwrap(), http.local_addr().unwrap());
            tokio::spawn(accept(stream, host.clone()));
            let router = axum::Router::new()
                .route("/x/info/refs", axum::routing::get(info_refs))
                .route("/x/{service}", axum::routing::post(rpc))
                .layer(axum::extract::DefaultBodyLimit::disable())
                .with_state(host.clone());
            tokio::spawn(async { axum::serve(http, router).await.unwrap() });
            addresses
        });
        Server { _runtime: runtime, temp, host, stream, http }
    }

    /// A repository with a little history: `main` of 40 commits, `side`, two tags, and a commit that is never shown.
    pub fn with_history() -> Server {
        let server = Server::start();
        let seed = server.path("seed");
        ok(server.temp.path(), &["init", "-q", "-b", "main", "seed"]);
        for n in 0..40 {
            commit(&seed, &format!("dir{}/file{n}", n % 4), &format!("content {n}\n"), n);
            if n == 20 {
                ok(&seed, &["branch", "side"]);
                ok(&seed, &["tag", "-a", "-m", "first", "v1"]);
            }
        }
        ok(&seed, &["tag", "light"]);
        ok(&seed, &["push", "-q", "../repo.git", "main", "side", "v1", "light"]);
        ok(&seed, &["checkout", "-q", "--detach"]);
        commit(&seed, "secret", "hidden\n", 99);
        ok(&seed, &["push", "-q", "../repo.git", "HEAD:refs/hidden/secret"]);
        server
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    /// Runs git in the bare repository.
    pub fn bare(&self, args: &[&str]) -> String {
        ok(&self.host.dir, args)
    }

    /// What stock git answers to the body of a request, offering the same.
    pub fn stock(&self, protocol: Protocol, body: &[u8]) -> Vec<u8> {
        let mut command = git_command(&self.host.dir);
        command.env("GIT_PROTOCOL", format!("version={}", protocol as u8));
        for setting in [
            "allowFilter=true",
            "allowTipSHA1InWant=true",
            "allowReachableSHA1InWant=true",
            "allowRefInWant=true",
            "allowSidebandAll=true",
            "hideRefs=refs/hidden",
        ] {
            command.args(["-c", &format!("uploadpack.{setting}")]);
        }
        command.args(["-c", "transfer.advertiseObjectInfo=true", "upload-pack", "--stateless-rpc", "."]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::thread::scope(|scope| {
            // It may have read enough before the end.
            scope.spawn(move || drop(stdin.write_all(body)));
            child.wait_with_output().unwrap().stdout
        })
    }

    /// Both doors in all versions: a name for clones, the address, and the option that chooses the version.
    pub fn doors(&self) -> Vec<(String, String, String)> {
        let addresses = [("stream", format!("git://{}/x", self.stream)), ("http", format!("http://{}/x", self.http))];
        let versions = |(name, url): (&str, String)| {
            [0, 1, 2].map(|v| (format!("{name}{v}"), url.clone(), format!("protocol.version={v}")))
        };
        addresses.into_iter().flat_map(versions).collect()
    }
}

async fn accept(listener: tokio::net::TcpListener, host: Arc<BareHost>) {
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        tokio::spawn(greet(socket, host.clone()));
    }
}

/// `git-upload-pack /x\0host=…\0\0version=2\0`
async fn greet(socket: tokio::net::TcpStream, host: Arc<BareHost>) {
    let (reader, writer) = socket.into_split();
    let mut reader = PktReader::new(reader, false, 4096);
    let Ok(Some(Packet::Data(line))) = reader.next().await else {
        return;
    };
    let preface = String::from_utf8(line.to_vec()).unwrap();
    let service = Service::parse(preface.split(' ').next().unwrap()).unwrap();
    let protocol = Protocol::parse(preface.split('\0').find(|w| w.starts_with("version=")));
    let mut writer = writer;
    let _ = wire::serve(host, service, protocol, reader.into_inner(), &mut writer).await;
    let _ = writer.shutdown().await;
}

#[derive(serde::Deserialize)]
struct Asked {
    service: String,
}

fn version(headers: &HeaderMap) -> Protocol {
    Protocol::parse(headers.get("git-protocol").and_then(|v| v.to_str().ok()))
}

type Answer = ([(&'static str, String); 1], Vec<u8>);

async fn info_refs(State(host): State<Arc<BareHost>>, Query(asked): Query<Asked>, headers: HeaderMap) -> Answer {
    let service = Service::parse(&asked.service).unwrap();
    let body = wire::info_refs(host, service, version(&headers)).await;
    ([("content-type", format!("application/x-{}-advertisement", asked.service))], body)
}

async fn rpc(
    State(host): State<Arc<BareHost>>,
    axum::extract::Path(name): axum::extract::Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Answer {
    let mut plain = Vec::new();
    if headers.get("content-encoding").is_some_and(|v| v == "gzip") {
        std::io::copy(&mut flate2::read::GzDecoder::new(&body[..]), &mut plain).unwrap();
    } else {
        plain.extend_from_slice(&body);
    }
    let service = Service::parse(&name).unwrap();
    let answer = call(host, service, version(&headers), plain).await.0;
    ([("content-type", format!("application/x-{name}-result"))], answer)
}

/// One `rpc` with all of its answer, and how it ended.
pub async fn call(
    host: Arc<BareHost>,
    service: Service,
    protocol: Protocol,
    body: Vec<u8>,
) -> (Vec<u8>, Result<(), wire::WireError>) {
    let (mut near, far) = tokio::io::duplex(64 << 10);
    let done = tokio::spawn(wire::rpc(host, service, protocol, std::io::Cursor::new(body), far));
    let mut answer = Vec::new();
    near.read_to_end(&mut answer).await.unwrap();
    (answer, done.await.unwrap())
}

pub fn git_command(dir: &Path) -> Command {
    let mut command = Command::new("git");
    command.current_dir(dir).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    command.envs([
        ("HOME", "/nonexistent"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("LC_ALL", "C"),
        ("GIT_AUTHOR_NAME", "alpha"),
        ("GIT_AUTHOR_EMAIL", "alpha@example.org"),
        ("GIT_COMMITTER_NAME", "alpha"),
        ("GIT_COMMITTER_EMAIL", "alpha@example.org"),
    ]);
    command
}

/// Runs git, which must succeed; gives its output, or what it said where that is all.
pub fn ok<S: AsRef<std::ffi::OsStr> + std::fmt::Debug>(dir: &Path, args: &[S]) -> String {
    let done = git_command(dir).args(args).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "git {args:?} failed:\n{out}\n{err}");
    if out.is_empty() { err.into_owned() } else { out.trim_end().to_owned() }
}

/// Runs git, which must fail; gives all that it said.
pub fn fails<S: AsRef<std::ffi::OsStr> + std::fmt::Debug>(dir: &Path, args: &[S]) -> String {
    let done = git_command(dir).args(args).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(!done.status.success(), "git {args:?} did not fail:\n{out}\n{err}");
    format!("{out}{err}")
}

/// Commits one file at a time that only depends on `n`.
pub fn commit(dir: &Path, file: &str, content: &str, n: u64) -> String {
    let path = dir.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
    ok(dir, &["add", "."]);
    let date = format!("{} +0000", 1_700_000_000 + n);
    let mut command = git_command(dir);
    command.env("GIT_AUTHOR_DATE", &date).env("GIT_COMMITTER_DATE", &date);
    assert!(command.args(["commit", "-qm", &format!("change {n}")]).status().unwrap().success());
    ok(dir, &["rev-parse", "HEAD"])
}
