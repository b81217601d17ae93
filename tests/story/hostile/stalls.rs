//! Clients that stop: in the head of a request, in a body, in a pack, in the midst of an answer. And many that do nothing.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tests::plumbing::{self, ZERO};
use tests::raw::{Pack, Raw, pkt, push, request};

use super::{Siege, siege};

/// A server that soon loses patience, so that a test need not wait for minutes.
const SHORT: [(&str, &str); 3] =
    [("FORGE_LIMIT_IDLE_SECONDS", "3"), ("FORGE_LIMIT_HEAD_SECONDS", "2"), ("FORGE_LIMIT_LOGIN_SECONDS", "3")];

/// Reads until the server ends the connection, and says what came.
#[track_caller]
fn to_the_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        use std::io::ErrorKind::{TimedOut, WouldBlock};
        assert!(!matches!(error.kind(), WouldBlock | TimedOut), "the server should have ended the connection");
    }
    answer
}

/// A push that ends in the middle of its pack.
fn half_a_push() -> Vec<u8> {
    let tip = "12".repeat(20);
    push(&[format!("{ZERO} {tip} refs/heads/mallory/half")], b"PACK\0\0\0\x02\0\0\0\x01\xbf\x80\x80\x40\x78\x01")
}

#[test]
fn whoever_stops_writing_is_let_go() {
    let siege = Siege::lay(&SHORT);
    let target = siege.project();
    let raw = &target.raw;
    let push_head = raw.head("git-receive-pack", 0, &["Content-Length: 99999999"]);
    let fetch_head = raw.head("git-upload-pack", 2, &["Content-Length: 99999999"]);
    let chunked = |service: &str| raw.head(service, 2, &["Transfer-Encoding: chunked"]);
    let chunk = |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("one byte", b"G".to_vec()),
        ("half a head", b"GET /feed HTTP/1.1\r\nHost: x\r\nX-Slow: ".to_vec()),
        ("a head without its body", push_head.clone().into_bytes()),
        ("half a pkt-line", [push_head.as_bytes(), b"00"].concat()),
        ("half a pack", [push_head.as_bytes(), &half_a_push()].concat()),
        ("half a fetch", [fetch_head.as_bytes(), &request(&["command=fetch", "0001"])].concat()),
        ("a chunk larger than memory", format!("{}ffffffffffffffff\r\nabc", chunked("git-upload-pack")).into_bytes()),
        ("chunks without an end", [chunked("git-receive-pack").as_bytes(), &chunk(&half_a_push())].concat()),
        ("a preface and no more", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec()),
        ("a command without its line", b"POST /action HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nfee".to_vec()),
    ];
    target.survives(|| {
        std::thread::scope(|scope| {
            for (what, bytes) in &cases {
                scope.spawn(move || {
                    let mut stream = raw.connect();
                    stream.write_all(bytes).unwrap();
                    let answer = to_the_end(&mut stream);
                    let said = String::from_utf8_lossy(&answer);
                    eprintln!("{what}: {said:?}");
                });
            }
            // A head and a body that go on for ever, a byte at a time: each has a limit of its own.
            scope.spawn(|| {
                let mut stream = raw.connect();
                stream.write_all(b"GET /feed HTTP/1.1\r\nHost: x\r\nX-Slow: ").unwrap();
                let began = Instant::now();
                while stream.write_all(b"x").is_ok() && began.elapsed() < Duration::from_secs(60) {
                    std::thread::sleep(Duration::from_millis(200));
                }
                let answer = to_the_end(&mut stream);
                let said = String::from_utf8_lossy(&answer);
                eprintln!("a slow head: {said:?}");
            });
            // SSH: nothing, a version, half a packet.
            for bytes in [&b""[..], b"SSH-2.0-x\r\n", b"SSH-2.0-x\r\n\0\0\x01"] {
                let port = siege.forge.ssh_port();
                scope.spawn(move || {
                    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
                    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
                    stream.write_all(bytes).unwrap();
                    to_the_end(&mut stream);
                });
            }
            // SSH: a push in the middle of its pack, whose client stays.
            scope.spawn(|| {
                let mut ssh = siege.mallory.command("ssh");
                ssh.args(["forge", &format!("git-receive-pack '{}'", target.name)]);
                ssh.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
                let mut ssh = ssh.stderr(std::process::Stdio::null()).spawn().unwrap();
                let mut stdin = ssh.stdin.take().unwrap();
                stdin.write_all(&half_a_push()).unwrap();
                let mut answer = Vec::new();
                ssh.stdout.take().unwrap().read_to_end(&mut answer).unwrap();
                drop((stdin, ssh.wait()));
            });
        });
    });
}

#[test]
fn whoever_stops_reading_is_let_go_and_is_not_waited_for_in_memory() {
    let siege = Siege::lay(&SHORT);
    let target = siege.project();
    let (mallory, dir) = (&siege.mallory, &target.dir);
    mallory.sh(dir, "head -c 40000000 /dev/urandom > noise.bin && git add -A && git commit -q -m Noise").ok();
    mallory.git(dir, &["push", "-q", "origin", "HEAD:refs/heads/mallory/noise"]).ok();
    let tip = mallory.git(dir, &["rev-parse", "HEAD"]).ok().text().to_owned();
    let body = request(&["command=fetch", "0001", &format!("want {tip}"), "done", "0000"]);
    let raw = &target.raw;
    let before = siege.forge.peak_memory();
    target.survives(|| {
        let clone = [raw.head("git-upload-pack", 2, &[&format!("Content-Length: {}", body.len())]).as_bytes(), &body].concat();
        let mut readers: Vec<TcpStream> = (0..30)
            .map(|_| {
                let mut stream = raw.connect();
                stream.write_all(&clone).unwrap();
                stream.read_exact(&mut [0; 1024]).unwrap();
                stream
            })
            .collect();
        // Each was promised 40 MB. The server gives up, and no process of its own goes on for them.
        let left = || {
            let here = siege.forge.repository(&target.name).canonicalize().unwrap();
            let processes = std::fs::read_dir("/proc").unwrap().flatten();
            processes.filter(|p| std::fs::read_link(p.path().join("cwd")).is_ok_and(|cwd| cwd == here)).count()
        };
        let deadline = Instant::now() + Duration::from_secs(120);
        while left() > 0 {
            assert!(Instant::now() < deadline, "{} processes still serve who does not read", left());
            std::thread::sleep(Duration::from_millis(100));
        }
        for stream in &mut readers {
            let got = to_the_end(stream).len();
            assert!(got < 39_000_000, "the rest of a clone that nobody read: {got} bytes");
        }
    });
    let grown = siege.forge.peak_memory() - before;
    eprintln!("30 clients that stopped reading 40 MB each cost the server {grown} MiB");
    assert!(grown < 400, "{grown} MiB");
}

#[test]
fn hundreds_that_do_nothing_keep_nobody_else_waiting() {
    let siege = siege();
    let target = siege.project();
    target.survives(|| {
        let ports = [siege.forge.http_port(), siege.forge.ssh_port()];
        let idle: Vec<TcpStream> = (0..500)
            .map(|n| {
                let stream = TcpStream::connect(("127.0.0.1", ports[usize::from(n % 5 == 0)])).unwrap();
                if n % 3 == 0 {
                    (&stream).write_all(b"GET /feed HTTP/1.1\r\nHost: x\r\n").unwrap();
                }
                stream
            })
            .collect();
        assert_eq!(siege.forge.get("/feed").0, 200);
        siege.mallory.ssh("whoami").ok().says("mallory");
        drop(idle);
    });
}

#[test]
fn hundreds_of_pushes_that_never_end_keep_nobody_else_waiting() {
    let siege = siege();
    let target = siege.project();
    let raw = &target.raw;
    let begun = [raw.head("git-receive-pack", 0, &["Content-Length: 99999999"]).as_bytes(), &half_a_push()].concat();
    target.survives(|| {
        let stuck: Vec<TcpStream> = (0..600)
            .map(|_| {
                let mut stream = raw.connect();
                stream.write_all(&begun).unwrap();
                stream
            })
            .collect();
        // Others read, and others push.
        let before = Instant::now();
        assert_eq!(siege.forge.get("/feed").0, 200);
        siege.mallory.git(&target.dir, &["ls-remote", "origin"]).ok();
        let other = siege.project();
        siege.mallory.git(&other.dir, &["push", "-q", "origin", "HEAD:refs/heads/mallory/meanwhile"]).ok();
        eprintln!("beside 600 pushes that stand still: a project and a push in {} ms", before.elapsed().as_millis());
        drop(stuck);
    });
    let _ = (plumbing::ZERO, pkt(""), Pack::default(), None::<Raw>);
}
