//! A forge in a process of its own, on ports that the system chose, that can be killed and started again.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::out::{self, Out};
use crate::{Agent, forge_bin, memory};

/// Longest wait for a server to come up or go down before a test gives up; nothing is asserted about time.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server process, its data directory, and the directory that the test's agents live in.
pub struct Forge {
    scratch: Arc<TempDir>,
    data: PathBuf,
    child: Option<Child>,
    role: Role,
    flags: Vec<String>,
    /// Its data directory is a filesystem of its own, which lasts as long as this.
    disk: Option<SmallDisk>,
    ssh: u16,
    http: u16,
    /// The most memory that its process may take, in MiB; what it maps of its data directory is not counted.
    ceiling: u64,
    /// That it took more, in words.
    beyond: Option<String>,
}

/// A small filesystem, mounted where only those see it who enter the namespace of a process that waits for its end: that
/// takes no privilege. It goes with that process.
struct SmallDisk(Child);

impl SmallDisk {
    /// # Panics
    /// Where the system lets nobody make such a filesystem: what it is for is then not shown.
    #[track_caller]
    fn mount(at: &Path, mib: u32) -> SmallDisk {
        let mount =
            format!("mount -t tmpfs -o size={mib}m,mode=700 tmpfs \"$0\" && echo mounted && exec sleep infinity");
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &mount]).arg(at);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("unshare runs");
        let said = lines_of(&mut child).recv_timeout(PATIENCE);
        assert!(
            said.is_ok_and(|line| line == "mounted"),
            "there is no small filesystem to try a full disk on: `unshare --user --mount` must be allowed, as it is for root \
             and on most systems (where AppArmor forbids it: sysctl kernel.apparmor_restrict_unprivileged_userns=0)"
        );
        SmallDisk(child)
    }

    /// A command that sees it.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        let target = self.0.id().to_string();
        command.args(["--target", &target, "--user", "--mount", "--preserve-credentials", "--"]).arg(program);
        command
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// What the server is started as.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Role {
    Forge,
    Plain,
    /// A mirror of the forge at this address.
    Mirror(String),
}

/// A server that ended before it was ready.
#[derive(Debug)]
pub struct Died {
    /// Exit code, or 128 + signal.
    pub code: i32,
    /// What it wrote to standard error since it started.
    pub log: String,
}

impl Forge {
    fn stopped(scratch: Arc<TempDir>, data: PathBuf, role: Role) -> Forge {
        let (flags, ceiling) = (Vec::new(), memory::ceiling());
        Forge { scratch, data, child: None, role, flags, disk: None, ssh: 0, http: 0, ceiling, beyond: None }
    }

    /// A new forge on an empty data directory.
    #[track_caller]
    pub fn start() -> Forge {
        Forge::start_with(&[])
    }

    /// The same with variables in its environment.
    #[track_caller]
    pub fn start_with(env: &[(&str, &str)]) -> Forge {
        let scratch = Arc::new(TempDir::with_prefix("forge-test-").expect("a temporary directory"));
        let data = scratch.path().join("data");
        let mut forge = Forge::stopped(scratch, data, Role::Forge);
        if let Err(died) = forge.try_up(env) {
            panic!("the server should have started; exit {}\n{}", died.code, died.log);
        }
        forge
    }

    /// A new forge whose data directory is a filesystem of `mib` MiB; [`Forge::data`] leads into it.
    #[track_caller]
    pub fn start_on_small_disk(mib: u32) -> Forge {
        let scratch = Arc::new(TempDir::with_prefix("forge-test-").expect("a temporary directory"));
        let data = scratch.path().join("data");
        fs::create_dir(&data).expect("a directory");
        let disk = SmallDisk::mount(&data, mib);
        let data = PathBuf::from(format!("/proc/{}/root{}", disk.0.id(), data.display()));
        let mut forge = Forge::stopped(scratch, data, Role::Forge);
        forge.disk = Some(disk);
        forge.up();
        forge
    }

    /// A server of plain repositories (`--plain`) on an empty directory, which is its [`Forge::data`].
    #[track_caller]
    pub fn plain() -> Forge {
        let scratch = Arc::new(TempDir::with_prefix("forge-test-").expect("a temporary directory"));
        let data = scratch.path().join("served");
        fs::create_dir(&data).expect("a directory");
        let mut forge = Forge::stopped(scratch, data, Role::Plain);
        forge.up();
        forge
    }

    /// The server's process.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Another server on another data directory in the same scratch space: a mirror that is served.
    #[track_caller]
    pub fn beside(&self, data: &Path) -> Forge {
        let mut forge = self.beside_stopped(data);
        forge.up();
        forge
    }

    /// Like [`Forge::beside`], not yet started.
    pub fn beside_stopped(&self, data: &Path) -> Forge {
        Forge::stopped(Arc::clone(&self.scratch), data.to_owned(), Role::Forge)
    }

    /// Another server whose data directory `data` follows the forge at `url`, looking every second; not yet started.
    pub fn mirror(&self, data: &Path, url: &str) -> Forge {
        let mut forge = self.beside_stopped(data);
        forge.role = Role::Mirror(url.to_owned());
        forge
    }

    /// A server of the repositories below `dir` as plain ones, in the same scratch space.
    #[track_caller]
    pub fn plain_beside(&self, dir: &Path) -> Forge {
        let mut forge = self.beside_stopped(dir);
        forge.role = Role::Plain;
        forge.up();
        forge
    }

    /// More flags for every start from here on.
    pub fn set_flags(&mut self, flags: &[&str]) {
        self.flags = flags.iter().map(|&flag| flag.to_owned()).collect();
    }

    /// Starts the server again on the same ports; panics unless it comes up.
    #[track_caller]
    pub fn up(&mut self) {
        if let Err(died) = self.try_up(&[]) {
            panic!("the server should have started; exit {}\n{}", died.code, died.log);
        }
    }

    /// Starts the server with `env` added, on the same ports where it had any.
    pub fn try_up(&mut self, env: &[(&str, &str)]) -> Result<(), Died> {
        assert!(self.child.is_none(), "it runs already");
        let log_start = self.log().len();
        let log = File::options().create(true).append(true).open(self.log_path()).expect("a log file");
        let mut command = match &self.disk {
            None => Command::new(forge_bin()),
            Some(disk) => disk.command(forge_bin()),
        };
        // Settings of the machine are not settings of the test.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("FORGE_")) {
            command.env_remove(name);
        }
        match &self.role {
            Role::Forge => command.args(["serve", "--data"]),
            Role::Plain => command.args(["serve", "--plain"]),
            Role::Mirror(url) => command.args(["mirror", url, "--every", "1", "--data"]),
        };
        command
            .arg(self.data_in_namespace())
            .args(["--ssh", &format!("127.0.0.1:{}", self.ssh), "--http", &format!("127.0.0.1:{}", self.http)])
            .args(&self.flags)
            .current_dir(self.scratch.path())
            .env("FORGE_LOG", "info,forge::web=warn")
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut child = command.spawn().expect("forge runs");
        let lines = lines_of(&mut child);
        let deadline = Instant::now() + PATIENCE;
        let (mut ssh, mut http) = (None, None);
        while ssh.is_none() || http.is_none() {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    ssh = ssh.or_else(|| port_after(&line, "ssh://127.0.0.1:"));
                    http = http.or_else(|| port_after(&line, "http://127.0.0.1:"));
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    let code = exit_code(&mut child);
                    return Err(Died { code, log: self.log().get(log_start..).unwrap_or_default().to_owned() });
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    drop(child.kill());
                    panic!("the server did not become ready\n{}", self.log());
                }
            }
        }
        (self.ssh, self.http) = (ssh.unwrap_or_default(), http.unwrap_or_default());
        self.child = Some(child);
        Ok(())
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.weigh();
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Asks it to end (SIGTERM), waits until it has, and returns its exit code.
    #[track_caller]
    pub fn stop(&mut self) -> i32 {
        self.weigh();
        let mut child = self.child.take().expect("it runs");
        let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill runs");
        assert!(sent.success());
        exit_code(&mut child)
    }

    /// Whether the process has ended by itself; then it may be started again.
    pub fn has_died(&mut self) -> bool {
        let ended = self.child.as_mut().is_some_and(|child| !matches!(child.try_wait(), Ok(None)));
        if ended {
            self.child = None;
        }
        ended
    }

    /// The most memory that the server's process ever held, in MiB, as the kernel counts it.
    #[track_caller]
    pub fn peak_memory(&self) -> u64 {
        memory::peak(self.pid()).expect("it lives")
    }

    /// Another ceiling for the server's memory than the one that its caps make, in MiB.
    pub fn set_ceiling(&mut self, mib: u64) {
        self.ceiling = mib;
    }

    /// Notes whether the process, which is about to end, took more memory than it may.
    fn weigh(&mut self) {
        // One that has ended by itself is not counted any more.
        let Some(peak) = self.child.as_ref().and_then(|child| memory::peak(child.id())) else { return };
        // Mapped files are resident, and the system takes them back when it needs the memory.
        let files = memory::files_below(&self.data) >> 20;
        if peak > self.ceiling + files {
            let ceiling = self.ceiling;
            self.beyond =
                Some(format!("the server held {peak} MiB, above its ceiling of {ceiling} MiB and {files} of files"));
        }
    }

    /// The data directory as the server sees it.
    fn data_in_namespace(&self) -> PathBuf {
        if self.disk.is_some() { self.scratch.path().join("data") } else { self.data.clone() }
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// A bare repository in the data directory.
    pub fn repository(&self, project: &str) -> PathBuf {
        self.data.join("repositories").join(format!("{project}.git"))
    }

    /// Names of all repositories, `forge` among them, sorted.
    pub fn projects(&self) -> Vec<String> {
        let entries = fs::read_dir(self.data.join("repositories")).expect("repositories/");
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.expect("an entry").file_name().to_str()?.strip_suffix(".git").map(str::to_owned))
            .collect();
        names.sort();
        names
    }

    /// Where agents and clones of this test live.
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// The SSH port.
    pub fn ssh_port(&self) -> u16 {
        self.ssh
    }

    /// The HTTP port.
    pub fn http_port(&self) -> u16 {
        self.http
    }

    /// `http://127.0.0.1:<port>` with `path` behind it.
    pub fn http_url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.http)
    }

    /// `ssh://127.0.0.1:<port>/<project>`.
    pub fn ssh_url(&self, project: &str) -> String {
        format!("ssh://127.0.0.1:{}/{project}", self.ssh)
    }

    /// A registered agent.
    #[track_caller]
    pub fn agent(&self, name: &str) -> Agent {
        let agent = self.stranger(name);
        agent.ssh(&format!("register {name}")).ok();
        agent
    }

    /// Somebody with a key that the forge does not know.
    pub fn stranger(&self, label: &str) -> Agent {
        Agent::new(self, label)
    }

    /// `curl` with these arguments: the body on stdout, then one line with the status.
    pub fn curl(&self, args: &[&str]) -> Out {
        let mut command = out::limited("curl");
        command.args(["-sS", "--max-time", "120", "-w", "\n%{http_code}"]).args(args).current_dir(self.scratch.path());
        out::run(&mut command, None)
    }

    /// GET: status and body.
    #[track_caller]
    pub fn get(&self, path: &str) -> (u16, String) {
        split_status(&self.curl(&[&self.http_url(path)]).ok())
    }

    /// What the server has written to its log.
    pub fn log(&self) -> String {
        fs::read(self.log_path()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        let name = self.data.file_name().unwrap_or_default().to_string_lossy();
        self.scratch.path().join(format!("{name}.log"))
    }
}

impl Drop for Forge {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(40)..];
            eprintln!("--- last lines of the server's log\n{}", tail.join("\n"));
        } else if let Some(beyond) = self.beyond.take() {
            panic!("{beyond}");
        }
    }
}

/// Status and body of what [`Forge::curl`] printed.
#[track_caller]
pub fn split_status(out: &Out) -> (u16, String) {
    let (body, status) = out.stdout.rsplit_once('\n').expect("curl prints a status line");
    (status.parse().expect("a status"), body.to_owned())
}

/// The lines of a child's standard output; reads on behind the receiver's back so that the pipe never fills.
fn lines_of(child: &mut Child) -> mpsc::Receiver<String> {
    let stdout = child.stdout.take().expect("stdout is piped");
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            drop(sender.send(line));
        }
    });
    receiver
}

fn port_after(line: &str, prefix: &str) -> Option<u16> {
    let rest = &line[line.find(prefix)? + prefix.len()..];
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..digits].parse().ok()
}

#[track_caller]
fn exit_code(child: &mut Child) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        }
        if Instant::now() > deadline {
            drop(child.kill());
            panic!("the server did not end");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
