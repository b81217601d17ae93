//! Clients that do not behave: bytes of one's choice at either door, and packs made by hand.
//!
//! Invariant: what is read back is reported as it came, split into lines, so that a test can state the whole refusal.

use std::io::{self, Read as _, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use crate::out;
use crate::{Agent, Forge};

/// Longest wait for a byte of the server before a test gives up; nothing is asserted about time.
const PATIENCE: Duration = Duration::from_secs(120);

/// One of the two ways in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// `POST /<project>/<service>`.
    Http,
    /// `ssh forge "<service> '<project>'"`.
    Ssh,
}

/// Both doors.
pub const DOORS: [Door; 2] = [Door::Http, Door::Ssh];

/// Somebody who writes requests by hand.
pub struct Raw<'a> {
    /// Who is at the door, with a key of its own.
    pub agent: &'a Agent,
    /// The same one's token; empty for nobody's.
    pub token: String,
    http: u16,
    project: String,
}

impl<'a> Raw<'a> {
    /// `agent` in front of `project`.
    #[track_caller]
    pub fn new(forge: &Forge, agent: &'a Agent, project: &str) -> Raw<'a> {
        Raw { agent, token: agent.token(""), http: forge.http_port(), project: project.to_owned() }
    }

    /// Somebody in front of a server that knows no names.
    pub fn nameless(forge: &Forge, agent: &'a Agent, project: &str) -> Raw<'a> {
        Raw { agent, token: String::new(), http: forge.http_port(), project: project.to_owned() }
    }

    /// What a push of these bytes is answered.
    #[track_caller]
    pub fn push(&self, door: Door, body: &[u8]) -> String {
        self.ask(door, "git-receive-pack", 0, body)
    }

    /// What a fetch of these bytes under that version of the protocol is answered.
    #[track_caller]
    pub fn fetch(&self, door: Door, version: u8, body: &[u8]) -> String {
        self.ask(door, "git-upload-pack", version, body)
    }

    /// What `service` answers to `body`, as lines; see [`lines`].
    #[track_caller]
    pub fn ask(&self, door: Door, service: &str, version: u8, body: &[u8]) -> String {
        match door {
            Door::Http => {
                let (status, answer) = self.post(service, version, &[], body);
                if status == 200 { lines(&answer) } else { format!("HTTP {status}\n{}", lossy(&answer)) }
            }
            Door::Ssh => {
                let answer = self.exec(service, version, body);
                lines(after_advertisement(&answer))
            }
        }
    }

    /// The head of a request to `service`, ready for a body; `more` are further header lines.
    pub fn head(&self, service: &str, version: u8, more: &[&str]) -> String {
        let Raw { token, project, .. } = self;
        let mut head = format!(
            "POST /{project}/{service} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/x-{service}-request\r\nGit-Protocol: version={version}\r\n"
        );
        if !token.is_empty() {
            head.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        more.iter().for_each(|line| head.push_str(&format!("{line}\r\n")));
        head + "\r\n"
    }

    /// POST over a connection of its own: status and body.
    #[track_caller]
    pub fn post(&self, service: &str, version: u8, more: &[&str], body: &[u8]) -> (u16, Vec<u8>) {
        let length = format!("Content-Length: {}", body.len());
        let head = self.head(service, version, &[&[length.as_str()], more].concat());
        self.talk(&[head.as_bytes(), body].concat())
    }

    /// Sends bytes to the HTTP port and reads the answer to its end: status and body.
    #[track_caller]
    pub fn talk(&self, request: &[u8]) -> (u16, Vec<u8>) {
        let stream = self.connect();
        let mut sending = stream.try_clone().expect("a second handle");
        let answer = std::thread::scope(|scope| {
            // The server may well answer, and close, before it has read everything.
            scope.spawn(move || drop(sending.write_all(request)));
            read_to_end(stream)
        });
        response(&answer)
    }

    /// A connection to the HTTP port.
    #[track_caller]
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.http)).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        stream
    }

    fn exec(&self, service: &str, version: u8, body: &[u8]) -> Vec<u8> {
        let mut ssh = self.agent.command("ssh");
        ssh.args(["-o", &format!("SetEnv=GIT_PROTOCOL=version={version}"), "forge"]);
        ssh.arg(format!("{service} '{}'", self.project));
        let mut child =
            ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("ssh runs");
        let mut stdin = child.stdin.take().expect("a pipe");
        std::thread::scope(|scope| {
            scope.spawn(move || drop(stdin.write_all(body)));
            child.wait_with_output().expect("ssh ends").stdout
        })
    }
}

fn read_to_end(mut stream: TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    let mut chunk = [0; 64 << 10];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(got) => answer.extend_from_slice(&chunk[..got]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                panic!("no answer came, nor an end: {}", lossy(&answer))
            }
            // Reset: whoever was cut off has what came before.
            Err(_) => break,
        }
    }
    drop(stream.shutdown(Shutdown::Both));
    answer
}

/// Status and body of an HTTP/1.1 answer; status 0 where none came.
pub fn response(answer: &[u8]) -> (u16, Vec<u8>) {
    let Some(at) = find(answer, b"\r\n\r\n") else { return (0, answer.to_vec()) };
    let head = lossy(&answer[..at]).to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    let body = &answer[at + 4..];
    let whole = if head.contains("transfer-encoding: chunked") { unchunked(body) } else { body.to_vec() };
    (status, whole)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = find(rest, b"\r\n") {
        let size = usize::from_str_radix(lossy(&rest[..end]).trim(), 16).unwrap_or(0);
        let from = end + 2;
        let Some(chunk) = rest.get(from..from + size).filter(|chunk| !chunk.is_empty()) else { break };
        whole.extend_from_slice(chunk);
        rest = rest.get(from + size + 2..).unwrap_or_default();
    }
    whole
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Payloads of pkt-lines; special ones are left out. What is no pkt-line comes last, as it stands.
fn payloads(mut framed: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while !framed.is_empty() {
        let digits = framed.get(..4).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| usize::from_str_radix(digits, 16).ok()) {
            Some(length @ 0..4) => {
                let _ = length;
                framed = &framed[4..];
            }
            Some(length) if length <= framed.len() => {
                found.push(&framed[4..length]);
                framed = &framed[length..];
            }
            Some(_) | None => {
                found.push(framed);
                break;
            }
        }
    }
    found
}

/// What a client would make of an answer: band 1 unwrapped, band 2 as `remote: …`, band 3 as `fatal: …`, a pack as
/// `PACK`.
pub fn lines(answer: &[u8]) -> String {
    let (mut said, mut report, mut keeps) = (Vec::new(), Vec::new(), Vec::new());
    for payload in payloads(answer) {
        match payload.split_first() {
            Some((1, bytes)) => report.extend_from_slice(bytes),
            Some((2, bytes)) => lossy(bytes).lines().for_each(|line| keeps.push(format!("remote: {line}"))),
            Some((3, bytes)) => keeps.push(format!("fatal: {}", lossy(bytes).trim_end())),
            _ => said.push(plain(payload)),
        }
    }
    if report.starts_with(b"PACK") {
        said.push("PACK".to_owned());
    } else {
        said.extend(payloads(&report).into_iter().map(plain));
    }
    said.extend(keeps);
    said.join("\n")
}

fn plain(payload: &[u8]) -> String {
    if payload.starts_with(b"PACK") { "PACK".to_owned() } else { lossy(payload).trim_end().to_owned() }
}

/// What follows the first flush.
fn after_advertisement(answer: &[u8]) -> &[u8] {
    let mut rest = answer;
    while let Some(digits) = rest.get(..4) {
        let length = std::str::from_utf8(digits).ok().and_then(|digits| usize::from_str_radix(digits, 16).ok());
        match length {
            Some(0) => return &rest[4..],
            Some(length) if length >= 4 && length <= rest.len() => rest = &rest[length..],
            _ => return rest,
        }
    }
    rest
}

/// One pkt-line.
pub fn pkt(line: impl AsRef<[u8]>) -> Vec<u8> {
    let line = line.as_ref();
    [format!("{:04x}", line.len() + 4).as_bytes(), line].concat()
}

/// Pkt-lines; `0000` and `0001` stand for themselves.
pub fn request(lines: &[&str]) -> Vec<u8> {
    let one = |line: &&str| if matches!(*line, "0000" | "0001") { line.as_bytes().to_vec() } else { pkt(*line) };
    lines.iter().flat_map(one).collect()
}

/// A push of `commands` (`<old> <new> <ref>`) with `pack` behind them, from a client that reads side bands.
pub fn push(commands: &[String], pack: &[u8]) -> Vec<u8> {
    push_with("report-status side-band-64k quiet", commands, pack)
}

/// The same with other capabilities.
pub fn push_with(capabilities: &str, commands: &[String], pack: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for (at, command) in commands.iter().enumerate() {
        let words = if at == 0 { format!("\0{capabilities}") } else { String::new() };
        body.extend(pkt(format!("{command}{words}\n")));
    }
    body.extend(b"0000");
    body.extend(pack);
    body
}

/// SHA-1, by the machine's `sha1sum`.
#[track_caller]
pub fn sha1(bytes: &[u8]) -> [u8; 20] {
    let out = out::run(&mut out::limited("sha1sum"), Some(bytes)).ok();
    let digit = |at: usize| u8::from_str_radix(&out.stdout[at..at + 2], 16).expect("hexadecimal digits");
    std::array::from_fn(|at| digit(2 * at))
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An object's name.
#[track_caller]
pub fn id(kind: &str, content: &[u8]) -> [u8; 20] {
    sha1(&[format!("{kind} {}\0", content.len()).as_bytes(), content].concat())
}

/// A zlib stream.
pub fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

/// A zlib or gzip stream of `size` zeros, made without holding them.
pub fn zeros(size: u64, gzip: bool) -> Vec<u8> {
    fn fill<W: Write>(mut encoder: W, size: u64) -> W {
        io::copy(&mut io::repeat(0).take(size), &mut encoder).expect("memory takes it");
        encoder
    }
    if gzip {
        fill(GzEncoder::new(Vec::new(), Compression::best()), size).finish().expect("memory takes it")
    } else {
        fill(ZlibEncoder::new(Vec::new(), Compression::best()), size).finish().expect("memory takes it")
    }
}

/// A pack under construction, as truthful as its maker.
pub struct Pack {
    bytes: Vec<u8>,
    objects: u32,
}

impl Default for Pack {
    fn default() -> Self {
        Pack { bytes: b"PACK\0\0\0\x02\0\0\0\0".to_vec(), objects: 0 }
    }
}

impl Pack {
    /// An entry of that type (1 commit, 2 tree, 3 blob, 4 tag, 6 and 7 deltas): what it declares to be its size, what
    /// it rests on, and its zlib stream. Returns where it begins.
    pub fn entry(&mut self, code: u8, declared: u64, base: &[u8], stream: &[u8]) -> usize {
        let at = self.bytes.len();
        let (mut byte, mut rest) = ((code << 4) | (declared & 15) as u8, declared >> 4);
        while rest > 0 {
            self.bytes.push(byte | 0x80);
            byte = (rest & 0x7f) as u8;
            rest >>= 7;
        }
        self.bytes.push(byte);
        self.bytes.extend_from_slice(base);
        self.bytes.extend_from_slice(stream);
        self.objects += 1;
        at
    }

    /// A whole object. Returns its name.
    #[track_caller]
    pub fn whole(&mut self, kind: &str, content: &[u8]) -> [u8; 20] {
        let code = match kind {
            "commit" => 1,
            "tree" => 2,
            "blob" => 3,
            _ => 4,
        };
        self.entry(code, content.len() as u64, &[], &zlib(content));
        id(kind, content)
    }

    /// A delta against the object of that name.
    pub fn on(&mut self, base: [u8; 20], delta: &[u8]) -> usize {
        self.entry(7, delta.len() as u64, &base, &zlib(delta))
    }

    /// A delta against what begins `distance` bytes before it.
    pub fn back(&mut self, distance: usize, delta: &[u8]) -> usize {
        let mut way = vec![(distance & 0x7f) as u8];
        let mut rest = distance >> 7;
        while rest > 0 {
            rest -= 1;
            way.insert(0, 0x80 | (rest & 0x7f) as u8);
            rest >>= 7;
        }
        self.entry(6, delta.len() as u64, &way, &zlib(delta))
    }

    /// Where the next entry begins.
    pub fn end(&self) -> usize {
        self.bytes.len()
    }

    /// The pack, with as many objects declared as it holds.
    #[track_caller]
    pub fn finish(self) -> Vec<u8> {
        let objects = self.objects;
        self.declaring(objects)
    }

    /// The pack, declaring that it holds `objects`.
    #[track_caller]
    pub fn declaring(mut self, objects: u32) -> Vec<u8> {
        self.bytes[8..12].copy_from_slice(&objects.to_be_bytes());
        sealed(self.bytes)
    }
}

/// A pack's bytes with their checksum behind them.
#[track_caller]
pub fn sealed(mut body: Vec<u8>) -> Vec<u8> {
    body.extend(sha1(&body));
    body
}

/// A size as deltas write it.
pub fn delta_size(mut size: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while size > 0x7f {
        bytes.push(size as u8 | 0x80);
        size >>= 7;
    }
    bytes.push(size as u8);
    bytes
}

/// A tree's content: entries as (mode, name, id).
pub fn tree(entries: &[(&str, &[u8], [u8; 20])]) -> Vec<u8> {
    entries.iter().flat_map(|(mode, name, id)| [mode.as_bytes(), b" ", *name, b"\0", &id[..]].concat()).collect()
}

/// A commit's content.
pub fn commit(tree: [u8; 20], parents: &[[u8; 20]], message: &str) -> Vec<u8> {
    let parents: String = parents.iter().map(|id| format!("parent {}\n", hex(id))).collect();
    let who = "mallory <mallory@agents.example> 1700000000 +0000";
    format!("tree {}\n{parents}author {who}\ncommitter {who}\n\n{message}\n", hex(&tree)).into_bytes()
}
