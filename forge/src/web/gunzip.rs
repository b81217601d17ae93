//! Inflates request bodies as they arrive: git compresses what it says about long histories.
//!
//! Invariant: no more than a cap comes out, and only a little at a time is held, whatever the ratio.

use std::io::{self, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use flate2::write::GzDecoder;
use tokio::io::{AsyncRead, ReadBuf};

/// Compressed bytes taken at a time. Deflate yields at most 1,032 bytes for one, so this bounds what is held.
const SLICE: usize = 1 << 10;

/// A reader of gzip whose output is what it holds.
pub(super) struct Gunzip<R> {
    inner: R,
    decoder: GzDecoder<Vec<u8>>,
    ready: Vec<u8>,
    at: usize,
    left: u64,
    ended: bool,
}

impl<R: AsyncRead + Unpin> Gunzip<R> {
    /// Inflates `inner`, at most `cap` bytes.
    pub(super) fn new(inner: R, cap: u64) -> Self {
        let decoder = GzDecoder::new(Vec::new());
        Gunzip { inner, decoder, ready: Vec::new(), at: 0, left: cap, ended: false }
    }

    fn inflate(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            self.ended = true;
            self.decoder.try_finish()?;
        } else {
            self.decoder.write_all(bytes)?;
        }
        self.ready = std::mem::take(self.decoder.get_mut());
        self.at = 0;
        let too_long = || io::Error::new(io::ErrorKind::FileTooLarge, "the body inflates to more than is allowed");
        self.left = self.left.checked_sub(self.ready.len() as u64).ok_or_else(too_long)?;
        Ok(())
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Gunzip<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.at == self.ready.len() {
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            let mut space = [0; SLICE];
            let mut slice = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut self.inner).poll_read(cx, &mut slice))?;
            self.inflate(slice.filled())?;
        }
        let rest = &self.ready[self.at..];
        let taken = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..taken]);
        self.at += taken;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tokio::io::AsyncReadExt as _;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    async fn gunzip(bytes: &[u8], cap: u64) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Gunzip::new(bytes, cap).read_to_end(&mut out).await?;
        Ok(out)
    }

    #[tokio::test]
    async fn what_was_compressed_comes_back() {
        let text: Vec<u8> = (0..300_000u32).flat_map(|n| n.to_le_bytes()).collect();
        assert_eq!(gunzip(&gzip(&text), 2 << 20).await.unwrap(), text);
        assert_eq!(gunzip(&gzip(b""), 0).await.unwrap(), b"");
    }

    #[tokio::test]
    async fn bombs_torn_bodies_and_other_bytes_are_refused() {
        let bomb = gzip(&vec![0; 64 << 20]);
        assert_eq!(gunzip(&bomb, 1 << 20).await.unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        let whole = gzip(b"some text that is long enough to be torn");
        assert!(gunzip(&whole[..whole.len() - 9], 1 << 20).await.is_err());
        assert!(gunzip(b"0032want 0123456789", 1 << 20).await.is_err());
    }
}
