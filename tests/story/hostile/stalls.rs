//! Clients that stop: in the head of a request, in a body, in a pack, in the midst of an answer. And many that do nothing.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tests::plumbing::ZERO;
use tests::raw::{Raw, lines, push, request, response};

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
    let fetch_head = raw.head("git-upload-pack", 2, &["Content-Length: 60000000"]);
    let chunked = |service: &str| raw.head(service, 2, &["Transfer-Encoding: chunked"]);
    let chunk = |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    let stalled = "forge: git: the connection failed: the peer stalled\nnext: help\n";
    let report = "unpack the pack could not be received: the peer stalled\nng refs/heads/mallory/half unpacker error";
    let slow = "forge: request: its body took too long\nnext: help\n";
    let fetch = request(&["command=fetch", "0001"]);
    let action = "POST /action HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 100\r\n\r\nfee";
    let cases: Vec<(&str, Vec<u8>, u16, &str)> = vec![
        ("nothing", Vec::new(), 0, ""),
        ("one byte", b"G".to_vec(), 0, ""),
        ("half a head", b"GET /feed HTTP/1.1\r\nHost: x\r\nX-Slow: ".to_vec(), 0, ""),
        ("a head without its body", push_head.clone().into_bytes(), 400, stalled),
        ("half a pkt-line", [push_head.as_bytes(), b"00"].concat(), 400, stalled),
        ("half a pack", [push_head.as_bytes(), &half_a_push()].concat(), 200, report),
        ("half a fetch", [fetch_head.as_bytes(), &fetch].concat(), 400, stalled),
        (
            "a chunk larger than memory",
            format!("{}ffffffffffffffff\r\nabc", chunked("git-upload-pack")).into_bytes(),
            400,
            stalled,
        ),
        (
            "chunks without an end",
            [chunked("git-receive-pack").as_bytes(), &chunk(&half_a_push())].concat(),
            200,
            report,
        ),
        ("a command without its line", action.as_bytes().to_vec(), 408, slow),
    ];
    target.survives(|| {
        std::thread::scope(|scope| {
            for (what, bytes, status, said) in &cases {
                scope.spawn(move || {
                    let mut stream = raw.connect();
                    stream.write_all(bytes).unwrap();
                    let (got, body) = response(&to_the_end(&mut stream));
                    let text = if got == 200 { lines(&body) } else { String::from_utf8_lossy(&body).into_owned() };
                    assert_eq!((got, text.as_str()), (*status, *said), "{what}");
                });
            }
            // HTTP/2 without a request.
            scope.spawn(|| {
                let mut stream = raw.connect();
                stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
                to_the_end(&mut stream);
            });
            // A head that goes on for ever, a byte at a time.
            scope.spawn(|| {
                let mut stream = raw.connect();
                stream.write_all(b"GET /feed HTTP/1.1\r\nHost: x\r\nX-Slow: ").unwrap();
                let began = Instant::now();
                while stream.write_all(b"x").is_ok() && began.elapsed() < Duration::from_secs(60) {
                    std::thread::sleep(Duration::from_millis(200));
                }
                assert_eq!(to_the_end(&mut stream), b"");
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
    // Packed before git says a word, so that nothing stalls while it is deflated.
    let sent = "git -c core.compression=0 repack -q -a -d && git push -q origin HEAD:refs/heads/mallory/noise";
    mallory.sh(dir, sent).ok();
    let tip = mallory.git(dir, &["rev-parse", "HEAD"]).ok().text().to_owned();
    let body = request(&["command=fetch", "0001", &format!("want {tip}"), "done", "0000"]);
    let raw = &target.raw;
    let before = siege.forge.peak_memory();
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", siege.forge.pid())).unwrap().count();
    let open = descriptors();
    target.survives(|| {
        let clone =
            [raw.head("git-upload-pack", 2, &[&format!("Content-Length: {}", body.len())]).as_bytes(), &body].concat();
        let mut readers: Vec<TcpStream> = (0..30)
            .map(|_| {
                let mut stream = raw.connect();
                stream.write_all(&clone).unwrap();
                stream.read_exact(&mut [0; 1024]).unwrap();
                stream
            })
            .collect();
        // Each was promised 40 MB. The server gives up, and closes what it had open for them.
        let deadline = Instant::now() + Duration::from_secs(120);
        while descriptors() > open + 10 {
            assert!(Instant::now() < deadline, "who does not read is still served: {} descriptors", descriptors());
            std::thread::sleep(Duration::from_millis(100));
        }
        // The last few may still have been open; what was cut is shorter than a clone.
        let cut = readers.iter_mut().map(to_the_end).filter(|got| got.len() < 39_000_000).count();
        assert!(cut >= 20, "only {cut} were cut");
    });
    let grown = siege.forge.peak_memory() - before;
    assert!(grown < 400, "30 clients that stopped reading 40 MB each cost the server {grown} MiB");
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
fn whoever_shows_no_key_cannot_shut_the_door_for_those_who_have_one() {
    let forge = tests::Forge::start();
    let alpha = forge.agent("alpha");
    let idle: Vec<TcpStream> = (0..300).map(|_| TcpStream::connect(("127.0.0.1", forge.ssh_port())).unwrap()).collect();
    // All places are taken, and each is left alone for a moment; then the oldest makes room.
    std::thread::sleep(Duration::from_secs(3));
    for _ in 0..3 {
        alpha.ssh("whoami").ok().says("alpha");
    }
    drop(idle);
}

#[test]
fn whoever_knocks_again_and_again_is_turned_away_before_a_handshake_and_let_in_later() {
    let forge = tests::Forge::start_with(&[("FORGE_LIMIT_CONNECTIONS_EACH", "1")]);
    let greeted = || {
        let mut stream = TcpStream::connect(("127.0.0.1", forge.ssh_port())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut greeting = [0; 4];
        stream.read_exact(&mut greeting).is_ok() && &greeting == b"SSH-"
    };
    let let_in = (0..300).filter(|_| greeted()).count();
    assert!(
        (10..300).contains(&let_in),
        "{let_in} of 300 were let in, where ten may come at once and then one a second"
    );
    let asked = || {
        let mut stream = TcpStream::connect(("127.0.0.1", forge.http_port())).unwrap();
        drop(stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
        String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
    };
    let answers: Vec<String> = (0..300).map(|_| asked()).collect();
    assert!(answers.iter().any(|line| line.contains("200")), "none was let in");
    // A connection that is closed under its request may be reset before the word is read.
    assert!(answers.iter().any(|line| !line.contains("200")), "all were let in");
    let deadline = Instant::now() + Duration::from_secs(120);
    while !greeted() {
        assert!(Instant::now() < deadline, "it is never let in again");
        std::thread::sleep(Duration::from_millis(500));
    }
}

#[test]
fn hundreds_of_pushes_and_clones_that_stand_still_keep_nobody_else_waiting() {
    let siege = siege();
    let target = siege.project();
    let greedy = siege.forge.agent("greedy");
    let raw = &Raw::new(&siege.forge, &greedy, &target.name);
    let begun =
        |service: &str, body: &[u8]| [raw.head(service, 2, &["Content-Length: 60000000"]).as_bytes(), body].concat();
    let pushed = begun("git-receive-pack", &half_a_push());
    // The same without credentials, for a fetch whose wants never end.
    let fetched = String::from_utf8(begun("git-upload-pack", &request(&["command=fetch", "0001"]))).unwrap();
    let fetched: String = fetched.split_inclusive("\r\n").filter(|line| !line.starts_with("Authorization")).collect();
    target.survives(|| {
        let stuck = |count: usize, bytes: &[u8]| -> Vec<TcpStream> {
            let one = || {
                let mut stream = raw.connect();
                stream.write_all(bytes).unwrap();
                stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
                stream
            };
            (0..count).map(|_| one()).collect()
        };
        // One agent has so many, everybody without a name so many together; who comes after that is told so.
        let mut all = stuck(600, &pushed);
        refused(&mut all, 568, "greedy has 32");
        let mut anonymous = stuck(600, fetched.as_bytes());
        refused(&mut anonymous, 88, "those without credentials have 512");
        all.extend(anonymous);
        // Others read, and others push.
        let before = Instant::now();
        assert_eq!(siege.forge.get("/feed").0, 200);
        let beta = siege.forge.agent("beta");
        let beside = tests::flow::found_project(&beta, "beside", &[("README.md", "beside\n")]);
        beta.git(&beside, &["push", "-q", "origin", "HEAD:refs/heads/beta/meanwhile"]).ok();
        beta.clone_into(&beta.ssh_url("beside"), "copy", &[]);
        let waited = before.elapsed().as_millis();
        let _ =
            writeln!(std::io::stderr(), "beside 544 that stand still: an agent, two pushes and a clone in {waited} ms");
        drop(all);
    });
}

/// Waits until `count` of `streams` were told that `whose` fetches and pushes are as many as may be.
#[track_caller]
fn refused(streams: &mut [TcpStream], count: usize, whose: &str) {
    let why = format!("{whose} fetches and pushes under way, as many as may be; try again soon");
    let told = format!("forge: git: {why}\nnext: git fetch\n");
    let deadline = Instant::now() + Duration::from_secs(120);
    let mut found = 0;
    while found < count {
        assert!(Instant::now() < deadline, "{found} of {count} were refused");
        for stream in &mut *streams {
            let mut answer = [0; 2048];
            let Ok(got @ 1..) = stream.read(&mut answer) else { continue };
            let (status, body) = response(&answer[..got]);
            assert_eq!((status, String::from_utf8_lossy(&body).as_ref()), (503, told.as_str()));
            found += 1;
        }
    }
    assert_eq!(found, count);
}
