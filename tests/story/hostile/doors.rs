//! What comes before git is spoken: HTTP and SSH as no client speaks them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use tests::out;
use tests::plumbing::ZERO;
use tests::raw::{Raw, pkt, push, request, zeros};

use super::siege;

#[test]
fn bodies_that_inflate_without_measure_are_cut() {
    let siege = siege();
    let target = siege.project();
    let raw = &target.raw;
    let zipped = ["Content-Encoding: gzip"];
    target.survives(|| {
        let bomb = zeros(256 << 20, true);
        for (service, version) in [("git-upload-pack", 0), ("git-upload-pack", 2), ("git-receive-pack", 0)] {
            let (status, answer) = raw.post(service, version, &zipped, &bomb);
            let refused = "ERR `    ` is no pkt-line length: it takes four hexadecimal digits";
            assert_eq!((status, tests::raw::lines(&answer).as_str()), (200, refused), "{service} {version}");
        }
        // Pkt-lines by the hundred thousand: the budget of the request is what stops them.
        let mut lines = request(&["command=fetch", "0001"]);
        lines.extend(pkt(format!("have {}", target.main)).repeat(1_000_000));
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&lines).unwrap();
        let (_, answer) = raw.post("git-upload-pack", 2, &zipped, &encoder.finish().unwrap());
        let over = "ERR the request is larger than 16777216 bytes; ask for less at once";
        assert_eq!(tests::raw::lines(&answer), over);
        // A push whose pack is a bomb for whoever inflates the body: the blob's zlib stream is never there.
        let head = push(
            &[format!("{ZERO} {} refs/heads/mallory/gz", "12".repeat(20))],
            b"PACK\0\0\0\x02\0\0\0\x01\xbf\x80\x80\x40",
        );
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&head).unwrap();
        std::io::copy(&mut std::io::repeat(0).take(256 << 20), &mut encoder).unwrap();
        let (_, answer) = raw.post("git-receive-pack", 0, &zipped, &encoder.finish().unwrap());
        let damaged = "unpack the object at byte 12 is damaged: its zlib stream is damaged";
        assert_eq!(tests::raw::lines(&answer), format!("{damaged}\nng refs/heads/mallory/gz unpacker error"));
        // Torn and false compression.
        for body in [&bomb[..40], b"not gzip", b""] {
            let (status, answer) = raw.post("git-upload-pack", 2, &zipped, body);
            let said = String::from_utf8_lossy(&answer).into_owned();
            assert!(status == 400 && said.starts_with("forge: git: ") && said.ends_with("next: help\n"), "{said}");
        }
        for coding in ["Content-Encoding: br", "Content-Encoding: gzip, gzip", "Content-Encoding: deflate"] {
            assert_eq!(raw.post("git-upload-pack", 2, &[coding], b"0000").0, 415, "{coding}");
        }
    });
}

#[test]
fn requests_that_two_servers_would_read_differently_are_refused() {
    let siege = siege();
    let target = siege.project();
    let raw = &target.raw;
    let head = |more: &str| raw.head("git-upload-pack", 2, &[]).replace("\r\n\r\n", &format!("\r\n{more}\r\n\r\n"));
    let smuggled = "0000GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    target.survives(|| {
        for (what, request) in [
            ("two lengths", format!("{}{smuggled}", head("Content-Length: 4\r\nContent-Length: 44"))),
            ("a length with a sign", format!("{}{smuggled}", head("Content-Length: +4"))),
            ("a list of lengths", format!("{}{smuggled}", head("Content-Length: 4, 44"))),
            ("chunked not last", format!("{}{smuggled}", head("Transfer-Encoding: chunked, gzip"))),
            ("chunked in disguise", format!("{}{smuggled}", head("Transfer-Encoding: xchunked"))),
            ("a folded header", head("X: a\r\n b\r\nContent-Length: 0")),
            ("a space before the colon", head("Content-Length : 4")),
            ("no version", "GET /\r\n\r\n".to_owned()),
            ("a bare line feed in a name", "GET / HTTP/1.1\nHost: x\nX\r: y\n\n".to_owned()),
            ("a zero byte", "GET / HTTP/1.1\r\nHost: x\r\nX: \0\r\n\r\n".to_owned()),
            ("a chunk of no length", format!("{}zz\r\nabc", head("Transfer-Encoding: chunked"))),
            ("a chunk of 17 digits", format!("{}10000000000000000\r\nabc", head("Transfer-Encoding: chunked"))),
            (
                "extensions without end",
                format!("{}4;{}\r\n0000", head("Transfer-Encoding: chunked"), "x".repeat(100_000)),
            ),
            (
                "a head of a megabyte",
                format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(30_000)),
            ),
            ("an address of a megabyte", format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(1 << 20))),
            (
                "a thousand headers",
                format!(
                    "GET / HTTP/1.1\r\nHost: x\r\n{}\r\n",
                    (0..1000).map(|n| format!("X{n}: y\r\n")).collect::<String>()
                ),
            ),
        ] {
            let (status, answer) = raw.talk(request.as_bytes());
            assert!(matches!(status, 400 | 404 | 414 | 431), "{what}: {status}");
            assert!(!String::from_utf8_lossy(&answer).contains("smuggled"), "{what}");
        }
        // Where both are there the chunks count, as they must, and nothing is read behind them.
        let both = head("Content-Length: 4\r\nTransfer-Encoding: chunked");
        assert_eq!(raw.talk(format!("{both}0\r\n\r\n{smuggled}").as_bytes()), (200, Vec::new()));
    });
}

/// One frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

/// Sends frames until the server ends the connection; the error of its GOAWAY.
fn until_goaway(raw: &Raw, frames: impl Fn(u32) -> Vec<u8> + Send, most: u32) -> Option<u32> {
    let mut stream = raw.connect();
    let mut sending = stream.try_clone().unwrap();
    sending.write_all(PREFACE).unwrap();
    sending.write_all(&frame(SETTINGS, 0, 0, &[])).unwrap();
    let mut answer = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for n in 0..most {
                if sending.write_all(&frames(n)).is_err() {
                    return;
                }
            }
            // Whoever was not thrown out by now leaves.
            drop(sending.shutdown(std::net::Shutdown::Write));
        });
        drop(stream.read_to_end(&mut answer));
    });
    let mut rest = &answer[..];
    while rest.len() >= 9 {
        let length = u32::from_be_bytes([0, rest[0], rest[1], rest[2]]) as usize;
        let payload = rest.get(9..9 + length)?;
        if rest[3] == GOAWAY {
            return Some(u32::from_be_bytes([payload[4], payload[5], payload[6], payload[7]]));
        }
        rest = &rest[9 + length..];
    }
    None
}

#[test]
fn floods_of_http2_frames_end_their_connection() {
    let siege = siege();
    let target = siege.project();
    let raw = &target.raw;
    // GET http://forge/feed in static table entries and one literal.
    let get = [&[0x82, 0x86, 0x41, 5][..], b"forge", &[0x04, 5], b"/feed"].concat();
    const CALM: Option<u32> = Some(11);
    const SIZE: Option<u32> = Some(6);
    target.survives(|| {
        let rapid_reset = |n: u32| {
            let id = 2 * n + 1;
            [frame(HEADERS, 0x5, id, &get), frame(RST_STREAM, 0, id, &8u32.to_be_bytes())].concat()
        };
        assert_eq!(until_goaway(raw, rapid_reset, 200_000), CALM);
        let continuation = |n: u32| match n {
            0 => frame(HEADERS, 0x1, 1, &get),
            _ => frame(CONTINUATION, 0, 1, &[&[0x00, 1, b'x', 100][..], &[b'y'; 100]].concat()),
        };
        assert_eq!(until_goaway(raw, continuation, 200_000), CALM);
        // One long header, and then references to it by the thousand.
        let mut hpack = vec![0x40, 1, b'x', 0x7f, 0xa1, 0x1e];
        hpack.extend([b'y'; 4000]);
        hpack.extend([0xbe; 12_000]);
        let references = |n: u32| frame(HEADERS, 0x5, 2 * n + 1, &[&get[..], &hpack].concat());
        assert_eq!(until_goaway(raw, references, 50), CALM);
        assert_eq!(until_goaway(raw, |_| frame(HEADERS, 0x5, 1, &[0x82; 17_000]), 10), SIZE);
        // These cost the server no more than their sender; they are answered one by one.
        until_goaway(raw, |_| frame(PING, 0, 0, &[0; 8]), 50_000);
        until_goaway(raw, |_| frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]), 50_000);
    });
}

#[test]
fn ssh_floods_cost_their_own_connection() {
    let siege = siege();
    let target = siege.project();
    let mallory = &siege.mallory;
    let ssh = |args: &[&str]| out::run(mallory.command("ssh").args(args), None);
    target.survives(|| {
        // Variables: a few are ignored, a flood ends the channel; none gets past its own.
        let some: Vec<String> = (0..40).map(|n| format!("X{n}={n}")).collect();
        ssh(&["-o", &format!("SetEnv={}", some.join(" ")), "forge", "whoami"]).ok().says("mallory");
        let flood: Vec<String> = (0..500).map(|n| format!("X{n}={n}")).collect();
        let flooded = ssh(&["-o", &format!("SetEnv={}", flood.join(" ")), "forge", "whoami"]).exits(2);
        let why = "forge: command: more than 64 requests came before it; send no variables but GIT_PROTOCOL\n";
        assert_eq!(flooded.all(), format!("{why}next: help\n"));
        let long = format!("SetEnv=GIT_PROTOCOL=version=2:{}", "x".repeat(60_000));
        let url = format!("git-upload-pack '{}'", target.name);
        let listed = ssh(&["-o", &long, "forge", &url]);
        assert!(listed.stdout.contains("refs/heads/main"), "too long a value is no value: v0 answers\n{listed}");
        // Command lines.
        let huge = "x".repeat(100_000);
        let long = "the command line is longer than 65536 bytes; give long text on stdin";
        let path = "git's services take one path in quotes";
        let no_name = "project name `../../../etc` must match [a-z0-9][a-z0-9_-]{0,63}";
        for (line, code, what, why) in [
            (huge.as_str(), 2, "command", long),
            ("git-upload-pack 'a' 'b'", 2, "command", path),
            ("git-upload-pack \"$(touch x)\"", 2, "command", path),
            ("git-upload-pack --upload-pack=touch 'target0'", 2, "command", path),
            ("git-shell -c x", 2, "git-shell", "there is no such command"),
            ("scp -t /tmp/x", 2, "scp", "there is no such command"),
            ("git-receive-pack '../../../etc'", 3, "repository", no_name),
        ] {
            let refused = ssh(&["forge", line]).exits(code);
            let next = if code == 3 { "project list" } else { "help" };
            assert_eq!(
                refused.all(),
                format!("forge: {what}: {why}\nnext: {next}\n"),
                "{}",
                &line[..line.len().min(40)]
            );
        }
        // Doors that are not there.
        ssh(&["-s", "forge", "sftp"]).fails();
        ssh(&["-W", "127.0.0.1:1", "forge"]).fails();
        ssh(&["-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1", "forge", "whoami"]).fails();
        // Channels: as many commands over one connection as may wait at once, and one more.
        let socket = mallory.home().join("mux");
        let control = format!("ControlPath={}", socket.display());
        let mut master = mallory.command("ssh");
        master.args(["-M", "-N", "-o", &control, "forge"]);
        let mut master = master.spawn().unwrap();
        while !socket.exists() {
            assert!(master.try_wait().unwrap().is_none(), "the connection stands");
            std::thread::sleep(Duration::from_millis(10));
        }
        let mut waiting: Vec<_> = (0..40)
            .map(|_| {
                let mut one = mallory.command("ssh");
                // Where it is turned away it would open a connection of its own; it must not.
                one.args([
                    "-o",
                    &control,
                    "-o",
                    "ControlMaster=no",
                    "-o",
                    "ProxyCommand=false",
                    "forge",
                    &format!("git-receive-pack '{}'", target.name),
                ]);
                one.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
                one.stderr(std::process::Stdio::piped()).spawn().unwrap()
            })
            .collect();
        let spoke =
            |one: &mut std::process::Child| one.stdout.as_mut().unwrap().read(&mut [0; 4]).is_ok_and(|got| got > 0);
        let began = waiting.iter_mut().map(spoke).filter(|spoke| *spoke).count();
        assert_eq!(began, 16, "so many commands at once on one connection");
        for mut one in waiting {
            drop(one.stdin.take());
            drop(one.wait());
        }
        drop(master.kill());
        drop(master.wait());
    });
}

#[test]
fn ssh_before_a_key_is_proven_takes_no_more_than_it_needs() {
    let siege = siege();
    let target = siege.project();
    let port = siege.forge.ssh_port();
    let hello = b"SSH-2.0-hostile\r\n";
    let packet = |length: u32, rest: &[u8]| [&hello[..], &length.to_be_bytes(), rest].concat();
    let kexinit = |list: &[u8]| {
        // Cookie, then the first of ten lists declares more than there is.
        let payload = [&[20][..], &[7; 16], &u32::MAX.to_be_bytes(), list].concat();
        let padding = 8 - (payload.len() + 5) % 8 + 4;
        [
            &hello[..],
            &((payload.len() + 1 + padding) as u32).to_be_bytes(),
            &[padding as u8],
            &payload,
            &vec![0; padding],
        ]
        .concat()
    };
    target.survives(|| {
        let cases = [
            ("no version", vec![b'x'; 100_000]),
            ("a version without end", [b"SSH-2.0-".to_vec(), vec![b'x'; 1 << 20]].concat()),
            ("lines without end before it", b"hello\r\n".repeat(100_000)),
            ("version 1", b"SSH-1.5-old\r\n".to_vec()),
            ("a packet of 4 GiB", packet(u32::MAX, &[0; 4096])),
            ("a packet of nothing", packet(0, &[0; 4096])),
            ("a packet that is all padding", packet(12, &[255; 4096])),
            ("lists longer than their packet", kexinit(b"none")),
            ("rubbish for a first packet", packet(100, &[20; 200])),
        ];
        std::thread::scope(|scope| {
            for (what, bytes) in &cases {
                scope.spawn(move || {
                    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
                    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
                    drop(stream.write_all(bytes));
                    let mut answer = Vec::new();
                    let waited = |e: std::io::Error| {
                        matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
                    };
                    let timed_out = stream.read_to_end(&mut answer).is_err_and(waited);
                    assert!(!timed_out, "{what}: the connection should have been ended");
                    assert!(answer.len() < 8 << 10, "{what}: {} bytes", answer.len());
                });
            }
        });
    });
}
