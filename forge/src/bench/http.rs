//! A client that replays requests: HTTP/1.1 over one connection that is kept, nothing else.
//!
//! Invariant: an answer is read to its last byte before the next request is sent, so that a measured time is the whole
//! answer's.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// How many bytes its head has.
    pub head: usize,
    /// What its `ETag` is.
    pub tag: Option<String>,
    /// Its body, without framing.
    pub body: Vec<u8>,
}

/// One connection.
pub struct Client {
    stream: BufReader<TcpStream>,
    address: SocketAddr,
}

/// Longest answer that is read, in bytes.
const LONGEST: u64 = 4 << 30;

impl Client {
    /// Connects to `address`.
    pub fn connect(address: SocketAddr) -> io::Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Client { stream: BufReader::with_capacity(256 << 10, stream), address })
    }

    /// Sends one request and reads the whole answer.
    pub fn post(&mut self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Answer> {
        self.ask("POST", path, headers, Some(body))
    }

    /// The same of a request that has no body.
    pub fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> io::Result<Answer> {
        self.ask("GET", path, headers, None)
    }

    fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> io::Result<Answer> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.address);
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = body {
            request.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        let mut bytes = request.into_bytes();
        let body = body.unwrap_or_default();
        bytes.extend_from_slice(body);
        self.stream.get_mut().write_all(&bytes)?;
        self.answer()
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        (&mut self.stream).take(64 << 10).read_line(&mut line)?;
        match line.strip_suffix("\r\n") {
            Some(text) => Ok(text.to_owned()),
            None => Err(bad("a line of the answer was torn")),
        }
    }

    fn answer(&mut self) -> io::Result<Answer> {
        let first = self.line()?;
        let (mut head, mut tag) = (first.len() + 2, None);
        let status: u16 = first.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or_else(|| bad("no status"))?;
        let (mut length, mut chunked) = (None, false);
        loop {
            let line = self.line()?;
            head += line.len() + 2;
            let Some((name, value)) = line.split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse::<u64>().ok(),
                "transfer-encoding" => chunked = value.trim().eq_ignore_ascii_case("chunked"),
                "etag" => tag = Some(value.trim().to_owned()),
                _ => {}
            }
        }
        let mut body = Vec::new();
        match (chunked, length) {
            (true, _) => self.chunks(&mut body)?,
            (false, Some(length)) if length <= LONGEST => self.exactly(length, &mut body)?,
            // Whoever has it already is sent nothing.
            (false, _) if status == 304 => {}
            (false, _) => return Err(bad("an answer without a length")),
        }
        Ok(Answer { status, head, tag, body })
    }

    fn chunks(&mut self, body: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let line = self.line()?;
            let size = u64::from_str_radix(line.split(';').next().unwrap_or("").trim(), 16);
            let size = size.map_err(|_| bad("a chunk without a size"))?;
            if body.len() as u64 + size > LONGEST {
                return Err(bad("an answer that does not end"));
            }
            self.exactly(size, body)?;
            self.line()?;
            if size == 0 {
                return Ok(());
            }
        }
    }

    fn exactly(&mut self, length: u64, body: &mut Vec<u8>) -> io::Result<()> {
        let got = (&mut self.stream).take(length).read_to_end(body)?;
        if got as u64 == length { Ok(()) } else { Err(bad("the answer was torn")) }
    }
}

fn bad(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn lengths_and_chunks_are_read_to_the_end_and_no_further() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let answers = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 404 No\r\n\
                Transfer-Encoding: chunked\r\n\r\n2\r\nde\r\n1;x=y\r\nf\r\n0\r\n\r\n\
                HTTP/1.1 304 Same\r\nETag: W/\"x\"\r\n\r\n";
            stream.write_all(answers).unwrap();
            let mut seen = Vec::new();
            stream.read_to_end(&mut seen).unwrap();
            seen
        });
        let mut client = Client::connect(address).unwrap();
        let first = client.post("/a", &[("x", "y")], b"body").unwrap();
        let second = client.post("/b", &[], b"").unwrap();
        assert_eq!((first.status, first.body.as_slice()), (200, b"abc".as_slice()));
        assert_eq!((second.status, second.body.as_slice()), (404, b"def".as_slice()));
        assert_eq!((first.head, first.tag), ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n".len(), None));
        let known = client.get("/c", &[("if-none-match", "W/\"x\"")]).unwrap();
        assert_eq!((known.status, known.tag.as_deref(), known.body.len()), (304, Some("W/\"x\""), 0));
        drop(client);
        let seen = String::from_utf8(server.join().unwrap()).unwrap();
        assert!(
            seen.starts_with("POST /a HTTP/1.1\r\n") && seen.contains("x: y\r\ncontent-length: 4\r\n\r\nbodyPOST /b")
        );
    }
}
