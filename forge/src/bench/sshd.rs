//! The system's `ssh` against two servers: ours, and an `sshd` of the system's on loopback with keys made for it.
//!
//! Invariant: touches no configuration and no key of the machine or its user, and ends the `sshd` that it started.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::error::{BenchError, io};
use super::stock;

/// Where Debian, Fedora and macOS keep it; it is in no ordinary user's PATH.
const PROGRAM: &str = "/usr/sbin/sshd";

/// A pair of keys in a directory of its own.
#[derive(Debug)]
pub struct Keys {
    dir: PathBuf,
}

impl Keys {
    /// Makes keys in `dir`.
    pub fn make(dir: &Path) -> Result<Keys, BenchError> {
        fs::create_dir_all(dir).map_err(io(dir.display()))?;
        for name in ["client", "host"] {
            let mut command = Command::new("ssh-keygen");
            command.args(["-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f"]).arg(dir.join(name));
            stock::replay(command, b"")?;
        }
        Ok(Keys { dir: dir.to_owned() })
    }

    /// The client's public key, as a line of `authorized_keys`.
    pub fn public(&self) -> Result<String, BenchError> {
        let path = self.dir.join("client.pub");
        fs::read_to_string(&path).map(|text| text.trim().to_owned()).map_err(io(path.display()))
    }

    /// Connects, runs `line`, and waits for its end: one new connection each time.
    pub fn run(&self, user: &str, to: SocketAddr, line: &str) -> Result<Vec<u8>, BenchError> {
        let mut command = Command::new("ssh");
        let key = self.dir.join("client");
        command.args(["-F", "none", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"]);
        command.args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-i"]).arg(key);
        command.args(["-p", &to.port().to_string(), &format!("{user}@{}", to.ip()), line]).env_remove("SSH_AUTH_SOCK");
        stock::replay(command, b"")
    }
}

/// A running `sshd`.
#[derive(Debug)]
pub struct Sshd {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// Whom it lets in.
    pub user: String,
}

impl Sshd {
    /// Starts one that lets `keys` in, or says why none can run here.
    pub fn start(keys: &Keys) -> Result<Sshd, String> {
        if !Path::new(PROGRAM).exists() {
            return Err(format!("there is no {PROGRAM} here; sh tests/setup.sh installs it"));
        }
        let user = stock::replay(
            {
                let mut command = Command::new("id");
                command.arg("-un");
                command
            },
            b"",
        );
        let user = user.map_err(|e| e.to_string())?;
        let user = String::from_utf8_lossy(&user).trim().to_owned();
        if user == "root" {
            // Debian's service makes this at its start; here nobody has.
            fs::create_dir_all("/run/sshd").map_err(|e| format!("/run/sshd: {e}"))?;
        }
        fs::copy(keys.dir.join("client.pub"), keys.dir.join("authorized")).map_err(|e| e.to_string())?;
        // It cannot be asked to choose a port; another program may be quicker now and then.
        for _ in 0..3 {
            if let Some(sshd) = Sshd::try_start(keys, &user).map_err(|e| e.to_string())? {
                return Ok(sshd);
            }
        }
        Err(format!("{PROGRAM} does not start with a configuration of its own"))
    }

    fn try_start(keys: &Keys, user: &str) -> std::io::Result<Option<Sshd>> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let config = keys.dir.join("sshd_config");
        let dir = keys.dir.display();
        let text = format!(
            "ListenAddress {address}\nHostKey {dir}/host\nAuthorizedKeysFile {dir}/authorized\nPidFile none\nUsePAM no\n\
             StrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             PermitRootLogin prohibit-password\nPrintMotd no\nUseDNS no\nMaxStartups 100\n"
        );
        fs::write(&config, text)?;
        let mut command = Command::new(PROGRAM);
        command.args(["-D", "-e", "-f"]).arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut sshd = Sshd { child: command.spawn()?, address, user: user.to_owned() };
        for _ in 0..200 {
            if sshd.child.try_wait()?.is_some() {
                return Ok(None);
            }
            if TcpStream::connect(address).is_ok() {
                return Ok(Some(sshd));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(None)
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
