//! The door as OpenSSH meets it.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::config::{Config, Layer, LimitsLayer};
use crate::roles::serve::Server;

struct Host {
    server: Server,
    dir: tempfile::TempDir,
}

async fn host() -> Host {
    let dir = tempfile::tempdir().unwrap();
    let free = "127.0.0.1:0".parse().ok();
    let limits = LimitsLayer { login_seconds: Some(1), ..LimitsLayer::default() };
    let layer = Layer { data: Some(dir.path().join("d")), ssh: free, http: free, limits, ..Layer::default() };
    let server = Server::start(Config::from_layers([layer]).unwrap()).await.unwrap();
    for kind in ["ed25519", "rsa", "ecdsa"] {
        let made = Command::new("ssh-keygen")
            .args(["-q", "-N", "", "-t", kind, "-f"])
            .arg(dir.path().join(kind))
            .status()
            .unwrap();
        assert!(made.success());
    }
    Host { server, dir }
}

fn options(dir: &Path, key: &str) -> Vec<String> {
    let key = dir.join(key).display().to_string();
    [
        "-F",
        "/dev/null",
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "LogLevel=ERROR",
        "-o",
        "IdentitiesOnly=yes",
        "-o",
        "BatchMode=yes",
        "-o",
        "IdentityAgent=none",
        "-i",
        &key,
    ]
    .map(str::to_owned)
    .to_vec()
}

impl Host {
    async fn ssh(&self, key: &str, args: &[&str], stdin: Option<Vec<u8>>) -> Output {
        let mut ssh = Command::new("ssh");
        let flags = args.iter().take_while(|arg| arg.starts_with('-')).count();
        ssh.args(options(self.dir.path(), key)).args(["-p", &self.server.config.ssh.port().to_string()]);
        ssh.args(&args[..flags])
            .arg("any@127.0.0.1")
            .args(&args[flags..])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .stdin(Stdio::piped());
        tokio::task::spawn_blocking(move || {
            let mut child = ssh.spawn().unwrap();
            let mut pipe = child.stdin.take().unwrap();
            let writer = std::thread::spawn(move || {
                use std::io::Write as _;
                // A server that needs no stdin may be gone before all of it is sent.
                let _ = pipe.write_all(&stdin.unwrap_or_default());
            });
            let out = child.wait_with_output().unwrap();
            writer.join().unwrap();
            out
        })
        .await
        .unwrap()
    }
}

fn err(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn any_sound_key_gets_help_and_exit_codes() {
    let host = host().await;
    for key in ["ed25519", "rsa", "ecdsa"] {
        let out = host.ssh(key, &["help"], None).await;
        assert!(out.status.success() && !out.stdout.is_empty(), "{key}: {}", err(&out));
    }
    let help = host.ssh("ed25519", &["help"], None).await;
    let bare = host.ssh("ed25519", &[], None).await;
    assert_eq!((bare.status.code(), bare.stdout), (Some(0), help.stdout.clone()), "{}", err(&help));
    let terminal = host.ssh("ed25519", &["-tt", "help"], None).await;
    let raw = String::from_utf8(help.stdout).unwrap().replace('\n', "\r\n");
    assert_eq!((terminal.status.code(), String::from_utf8(terminal.stdout).unwrap()), (Some(0), raw));
    let unknown = host.ssh("ed25519", &["no-such-command"], None).await;
    assert_eq!(unknown.status.code(), Some(2));
    assert!(unknown.stdout.is_empty() && err(&unknown).contains("next: "), "{}", err(&unknown));
    let stranger = host.ssh("ed25519", &["whoami"], None).await;
    assert_eq!(stranger.status.code(), Some(4), "{}", err(&stranger));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_ignores_a_long_stdin_still_answers() {
    let host = host().await;
    let out = host.ssh("ed25519", &["help"], Some(vec![b'x'; 24 << 20])).await;
    assert!(out.status.success() && !out.stdout.is_empty(), "{}", err(&out));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_a_public_key_opens() {
    let host = host().await;
    let none = ["-o", "PubkeyAuthentication=no", "-o", "PreferredAuthentications=password,keyboard-interactive"];
    let mut ssh = Command::new("ssh");
    ssh.args(none).args(options(host.dir.path(), "ed25519"));
    ssh.args(["-p", &host.server.config.ssh.port().to_string(), "any@127.0.0.1", "help"]).stdin(Stdio::null());
    let out = tokio::task::spawn_blocking(move || ssh.output().unwrap()).await.unwrap();
    assert_eq!(out.status.code(), Some(255));
    assert!(err(&out).contains("Permission denied (publickey)"), "{}", err(&out));
}

#[tokio::test(flavor = "multi_thread")]
async fn forwarding_and_subsystems_are_refused() {
    let host = host().await;
    let out = host.ssh("ed25519", &["-s", "sftp"], None).await;
    assert_ne!(out.status.code(), Some(0));
    let http = host.server.config.http.to_string();
    let mut ssh = Command::new("ssh");
    ssh.args(options(host.dir.path(), "ed25519")).args(["-W", &http]);
    ssh.args(["-p", &host.server.config.ssh.port().to_string(), "any@127.0.0.1"]).stdin(Stdio::null());
    let out = tokio::task::spawn_blocking(move || ssh.output().unwrap()).await.unwrap();
    assert_ne!(out.status.code(), Some(0), "{}", err(&out));
}

#[tokio::test(flavor = "multi_thread")]
async fn git_hears_why_a_repository_is_refused() {
    let host = host().await;
    let ssh = format!("ssh {}", options(host.dir.path(), "ed25519").join(" "));
    for path in ["nothing", "../../etc", "-x", "nothing.git"] {
        let url = format!("{}/{path}", host.server.config.public_ssh);
        let ssh = ssh.clone();
        let out = tokio::task::spawn_blocking(move || {
            Command::new("git").args(["ls-remote", &url]).env("GIT_SSH_COMMAND", ssh).output().unwrap()
        });
        let out = out.await.unwrap();
        assert!(!out.status.success() && err(&out).contains("next: "), "{path}: {}", err(&out));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_proves_a_key_is_closed() {
    let host = host().await;
    let mut stream = tokio::net::TcpStream::connect(host.server.config.ssh).await.unwrap();
    stream.write_all(b"SSH-2.0-slow\r\n").await.unwrap();
    let mut all = Vec::new();
    // Ends when the server closes; a server that never does makes this test hang.
    let _ = stream.read_to_end(&mut all).await;
    assert!(all.starts_with(b"SSH-2.0-forge"), "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_ends_idle_connections_and_frees_the_port() {
    let host = host().await;
    let control = host.dir.path().join("control");
    let mut master = Command::new("ssh");
    master.args(options(host.dir.path(), "ed25519")).arg("-S").arg(&control);
    master.args(["-M", "-N", "-p", &host.server.config.ssh.port().to_string(), "any@127.0.0.1"]);
    let mut master = master.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !control.exists() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let address = host.server.config.ssh;
    host.server.stop().await.unwrap();
    tokio::task::spawn_blocking(move || master.wait().unwrap()).await.unwrap();
    tokio::net::TcpListener::bind(address).await.unwrap();
}
