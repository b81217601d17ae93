//! Connections that end by themselves: cut from outside, too slow in the beginning, or stalled.
//!
//! Invariant: no peer can hold a task by doing nothing.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;

use crate::arrivals::Arrivals;

/// How many connections a door takes.
pub struct Most {
    /// At once.
    pub open: usize,
    /// From one address in a second; 0 is any number.
    pub each: u32,
}

/// Takes connections until `stop`, as many as `most` says, and serves each in a task of its own; returns when the last of
/// them has ended. One too many gets `busy` and is closed.
pub async fn accept<F, S>(
    listener: TcpListener,
    door: &'static str,
    most: Most,
    busy: &'static [u8],
    stop: CancellationToken,
    serve: F,
) where
    F: Fn(TcpStream) -> S,
    S: Future<Output = ()> + Send + 'static,
{
    let connections = Arc::new(Semaphore::new(most.open));
    let arrivals = Arrivals::new(most.each);
    let tasks = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(e) => {
                // Out of descriptors, mostly: give those that are open time to end.
                tracing::warn!("{door}: accepting: {e}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        if !arrivals.admit(peer.ip(), std::time::Instant::now()) {
            tracing::debug!(%peer, "{door}: too many new connections from there; turned one away");
            let _ = stream.try_write(busy);
            continue;
        }
        let Ok(permit) = connections.clone().try_acquire_owned() else {
            tracing::warn!(%peer, "{door}: too many connections; turned one away");
            let _ = stream.try_write(busy);
            continue;
        };
        let serving = serve(stream);
        tasks.spawn(async move {
            serving.await;
            tracing::debug!(%peer, "{door}: connection ended");
            drop(permit);
        });
    }
    drop(listener);
    tasks.close();
    tasks.wait().await;
}

/// A reader or writer whose waits are limited: nothing moved for `limit` is an error.
pub struct Stall<T> {
    inner: T,
    limit: Duration,
    reading: Wait,
    writing: Wait,
}

impl<T> Stall<T> {
    /// Limits each wait on `inner`.
    pub fn new(inner: T, limit: Duration) -> Self {
        Stall { inner, limit, reading: Wait::default(), writing: Wait::default() }
    }
}

/// One direction's timer; it runs only while that direction waits.
#[derive(Default)]
struct Wait(Option<Pin<Box<Sleep>>>);

impl Wait {
    fn judge<R>(&mut self, cx: &mut Context<'_>, limit: Duration, polled: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if polled.is_ready() {
            self.0 = None;
            return polled;
        }
        let timer = self.0.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer stalled"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Stall<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        let limit = self.limit;
        self.reading.judge(cx, limit, polled)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Stall<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, bytes);
        let limit = self.limit;
        self.writing.judge(cx, limit, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_flush(cx);
        let limit = self.limit;
        self.writing.judge(cx, limit, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// A TCP connection that can be cut, must begin to speak in time, and must take what is written to it.
pub struct Socket {
    stream: TcpStream,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    first: Option<First>,
    writing: Wait,
    idle: Duration,
}

struct First {
    timer: Pin<Box<Sleep>>,
    missing: usize,
}

impl Socket {
    /// Wraps `stream`; cancelling `cut` ends it, whatever waits on it.
    pub fn new(stream: TcpStream, cut: &CancellationToken, idle: Duration) -> Socket {
        if let Err(e) = stream.set_nodelay(true) {
            tracing::debug!("nodelay: {e}");
        }
        Socket { stream, cut: Box::pin(cut.clone().cancelled_owned()), first: None, writing: Wait::default(), idle }
    }

    /// Requires the first `bytes` bytes within `limit`.
    pub fn expect_first(mut self, bytes: usize, limit: Duration) -> Socket {
        let timer = Box::pin(tokio::time::sleep_until(Instant::now() + limit));
        self.first = Some(First { timer, missing: bytes });
        self
    }

    fn is_cut(&mut self, cx: &mut Context<'_>) -> Option<io::Error> {
        self.cut.as_mut().poll(cx).is_ready().then(|| io::Error::new(io::ErrorKind::ConnectionAborted, "cut"))
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(cut) = self.is_cut(cx) {
            return Poll::Ready(Err(cut));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        let got = buf.filled().len() - before;
        if let Some(first) = &mut self.first {
            first.missing = first.missing.saturating_sub(got);
            if first.missing == 0 {
                self.first = None;
            } else if polled.is_pending() && first.timer.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer said nothing")));
            }
        }
        polled
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(cut) = self.is_cut(cx) {
            return Poll::Ready(Err(cut));
        }
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        let idle = self.idle;
        self.writing.judge(cx, idle, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(cut) = self.is_cut(cx) {
            return Poll::Ready(Err(cut));
        }
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        let idle = self.idle;
        self.writing.judge(cx, idle, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_reader_that_nobody_feeds_and_a_writer_that_nobody_drains_end() {
        let (near, mut far) = tokio::io::duplex(4);
        let mut near = Stall::new(near, Duration::from_millis(20));
        far.write_all(b"ab").await.unwrap();
        let mut two = [0; 2];
        near.read_exact(&mut two).await.unwrap();
        assert_eq!(near.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(near.write_all(&[0; 9]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_socket_can_be_cut_while_something_waits_on_it() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let cut = CancellationToken::new();
        let mut socket = Socket::new(listener.accept().await.unwrap().0, &cut, Duration::from_secs(600));
        let reading = tokio::spawn(async move { socket.read_u8().await });
        cut.cancel();
        assert_eq!(reading.await.unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    }
}
