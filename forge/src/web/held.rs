//! Long answers that wait in memory for whoever reads them: bounded together, so that many who read slowly, or not at all, cost
//! others a "later" and not the server its memory. (Who does not read at all is let go by [`crate::socket`].)

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody as _, to_bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::reply::{self, Format};
use crate::answer::{Code, Refusal};

/// An answer up to this size is not counted: each connection may have one.
const SMALL: usize = 64 << 10;
/// Most bytes of longer ones at once.
/// Limit: answers of more than 64 KiB that wait for their readers | {:bytes} together; one more is told to come later
const MOST: usize = 128 << 20;
/// What is counted as one.
const UNIT: usize = 1 << 10;
/// So much of it is handed to a connection at once.
const PIECE: usize = 64 << 10;

static ROOM: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(MOST / UNIT)));

/// `response`, counted while it waits, if it is long and lies in memory; or 503 where too many are.
pub(super) async fn held(response: Response) -> Response {
    let Some(size) = response.body().size_hint().exact().and_then(|size| usize::try_from(size).ok()) else {
        return response;
    };
    if size <= SMALL {
        return response;
    }
    // What is longer than all may be is alone, so that it is sent at all.
    let units = u32::try_from(size.div_ceil(UNIT).min(MOST / UNIT)).unwrap_or(u32::MAX);
    let Ok(room) = ROOM.clone().try_acquire_many_owned(units) else {
        let why = "too many long answers wait for slow readers";
        let refusal = Refusal::new(Code::TryLater, "answer", why, "feed");
        let mut busy = reply::refuse(&refusal, StatusCode::SERVICE_UNAVAILABLE, Format::Markdown);
        busy.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        return busy;
    };
    let (parts, body) = response.into_parts();
    match to_bytes(body, size).await {
        Ok(bytes) => Response::from_parts(parts, Body::new(Held { bytes, room })),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Bytes that are counted until the last of them is taken, or the connection is gone.
struct Held {
    bytes: Bytes,
    #[expect(dead_code, reason = "it is given back with the bytes")]
    room: OwnedSemaphorePermit,
}

impl hyper::body::Body for Held {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        let piece = self.bytes.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.bytes.split_to(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(size: usize) -> Response {
        Response::new(Body::from(vec![b'x'; size]))
    }

    #[tokio::test]
    async fn long_answers_have_room_together_and_give_it_back() {
        let free = || ROOM.available_permits();
        let all = free();
        let small = held(answer(SMALL)).await;
        assert_eq!(free(), all);
        let long = held(answer(MOST / 2 + 1)).await;
        assert_eq!((long.status(), long.body().size_hint().exact()), (StatusCode::OK, Some(MOST as u64 / 2 + 1)));
        let second = held(answer(MOST / 2)).await;
        assert_eq!(
            (second.status(), second.headers()[header::RETRY_AFTER].as_bytes()),
            (StatusCode::SERVICE_UNAVAILABLE, &b"5"[..])
        );
        assert_eq!(to_bytes(long.into_body(), MOST).await.unwrap().len(), MOST / 2 + 1);
        assert_eq!(free(), all, "read, it is no longer counted");
        let gone = held(answer(MOST + 1)).await;
        assert_eq!((gone.status(), free()), (StatusCode::OK, 0));
        drop((gone, small));
        assert_eq!(free(), all, "and neither once its reader is gone");
    }
}
