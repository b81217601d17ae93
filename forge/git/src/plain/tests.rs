//! Plain repositories beside stock git: the same request on copies of the same repository, with the same end.

mod racing;
mod same;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

use super::{Door, Root};
use crate::pack::intake::Limits;
use crate::wire::pktline::{Packet, PktReader};
use crate::wire::tests::harness::{commit, git_command, ok};
use crate::wire::{self, Protocol, Service};

/// A directory whose part `ours` is served, and whose part `stock` is not.
struct Served {
    _runtime: tokio::runtime::Runtime,
    temp: TempDir,
    root: Arc<Root>,
    address: SocketAddr,
}

impl Served {
    /// Nothing in it but a clone `seed` with a little history: `main` of three commits, `side`, and the tag `v1`.
    fn start() -> Served {
        let temp = tempfile::tempdir().unwrap();
        for place in ["ours", "stock"] {
            std::fs::create_dir(temp.path().join(place)).unwrap();
        }
        let seed = temp.path().join("seed");
        ok(temp.path(), &["init", "-q", "-b", "main", "seed"]);
        for n in 0..3 {
            commit(&seed, &format!("file{n}"), &format!("content {n}\n"), n);
            if n == 1 {
                ok(&seed, &["branch", "side"]);
                ok(&seed, &["tag", "-a", "-m", "first", "v1"]);
            }
        }
        let root = Arc::new(Root::open(&temp.path().join("ours"), Limits::default(), None).unwrap());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(accept(listener, root.clone()));
        Served { _runtime: runtime, temp, root, address }
    }

    fn seed(&self) -> PathBuf {
        self.temp.path().join("seed")
    }

    fn ours(&self, name: &str) -> PathBuf {
        self.temp.path().join("ours").join(name)
    }

    fn stock(&self, name: &str) -> PathBuf {
        self.temp.path().join("stock").join(name)
    }

    fn url(&self, name: &str) -> String {
        format!("git://{}/{name}", self.address)
    }

    /// A bare repository with the seed's refs.
    fn bare(&self, name: &str) -> PathBuf {
        let dir = self.ours(name);
        ok(self.temp.path(), &["init", "-q", "--bare", "-b", "main", dir.to_str().unwrap()]);
        ok(&self.seed(), &["push", "-q", dir.to_str().unwrap(), "main", "side", "v1"]);
        dir
    }
}

async fn accept(listener: tokio::net::TcpListener, root: Arc<Root>) {
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        tokio::spawn(greet(socket, root.clone()));
    }
}

/// `git-upload-pack /x\0host=…\0\0version=2\0`
async fn greet(socket: tokio::net::TcpStream, root: Arc<Root>) {
    let (reader, mut writer) = socket.into_split();
    let mut reader = PktReader::new(reader, false, 4096);
    let Ok(Some(Packet::Data(line))) = reader.next().await else { return };
    let preface = String::from_utf8(line.to_vec()).unwrap();
    let (service, rest) = preface.split_once(' ').unwrap();
    let path = rest.split('\0').next().unwrap().to_owned();
    let (service, protocol) = (
        Service::parse(service).unwrap(),
        Protocol::parse(preface.split('\0').find(|word| word.starts_with("version="))),
    );
    let host = tokio::task::spawn_blocking(move || root.host(&path, service, Door::Ssh)).await.unwrap();
    match host {
        Ok(host) => drop(wire::serve(host, service, protocol, reader.into_inner(), &mut writer).await),
        Err(refused) => drop(writer.write_all(&wire::pktline::error(&refused.to_string())).await),
    }
    let _ = writer.shutdown().await;
}

/// Runs git whatever comes of it; all that it said, and whether it went well.
fn says<S: AsRef<std::ffi::OsStr>>(dir: &Path, args: &[S]) -> (String, bool) {
    let done = git_command(dir).args(args).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    (said, done.status.success())
}
