//! An API with pages, as far as an importer asks it: tags, links and refusals, over real sockets.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::fixture;

#[derive(Default)]
struct Held {
    /// Body and next page by path.
    pages: HashMap<String, (Vec<u8>, Option<String>)>,
    /// Status line and headers of the next answer, by path.
    refusals: HashMap<String, String>,
    /// Requests, as they came, with names of headers in lower case.
    asked: Vec<String>,
}

/// A server in this process, for as long as the test runs.
pub struct Api {
    port: u16,
    held: Arc<Mutex<Held>>,
}

impl Api {
    /// Serves fixtures by path, each with the page that comes next.
    pub fn start(pages: &[(&str, &str, Option<&str>)]) -> Api {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let read = |(path, file, next): &(&str, &str, Option<&str>)| {
            let next = next.map(|next| {
                if next.starts_with('/') { format!("http://127.0.0.1:{port}{next}") } else { next.to_owned() }
            });
            ((*path).to_owned(), (std::fs::read(fixture(file)).unwrap(), next))
        };
        let held = Held { pages: pages.iter().map(read).collect(), ..Held::default() };
        let held = Arc::new(Mutex::new(held));
        let shared = held.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let held = shared.clone();
                std::thread::spawn(move || serve(&stream, &held));
            }
        });
        Api { port, held }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Answers the next request for `path` with this status line and these headers.
    pub fn refuse_first(&self, path: &str, head: &str) {
        self.held.lock().unwrap().refusals.insert(path.to_owned(), head.to_owned());
    }

    /// The requests so far.
    pub fn asked(&self) -> Vec<String> {
        self.held.lock().unwrap().asked.clone()
    }
}

/// Requests of one connection, one after the other.
fn serve(stream: &TcpStream, held: &Mutex<Held>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut request = String::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if line == "\r\n" {
                break;
            }
            request.push_str(&match line.split_once(": ") {
                Some((name, value)) => format!("{}: {value}", name.to_lowercase()),
                None => line,
            });
        }
        let answer = answer(&request, &mut held.lock().unwrap());
        let mut writer = stream;
        if writer.write_all(&answer).is_err() {
            return;
        }
    }
}

fn answer(request: &str, held: &mut Held) -> Vec<u8> {
    held.asked.push(request.to_owned());
    let path = request.split(' ').nth(1).unwrap_or("");
    let with = |head: String, body: &[u8]| {
        [format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
    };
    if let Some(head) = held.refusals.remove(path) {
        return with(head, br#"{"message":"not now"}"#);
    }
    let Some((body, next)) = held.pages.get(path) else {
        return with("404 Not Found".to_owned(), br#"{"message":"Not Found"}"#);
    };
    let tag = format!("\"{}-{}\"", path.len(), body.len());
    if request.contains(&format!("if-none-match: {tag}")) {
        return [format!("HTTP/1.1 304 Not Modified\r\nETag: {tag}\r\n\r\n").as_bytes()].concat();
    }
    let link =
        next.as_ref().map_or(String::new(), |next| format!("\r\nLink: <{next}>; rel=\"next\", <{next}>; rel=\"last\""));
    with(format!("200 OK\r\nContent-Type: application/json\r\nETag: {tag}{link}"), body)
}
