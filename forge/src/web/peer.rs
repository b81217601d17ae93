//! Where a request came from: the address at the other end of its connection, known while the request is answered.
//!
//! Invariant: it is what the system says of the socket, never what a header says.

use std::net::IpAddr;

use tokio::task::futures::TaskLocalFuture;

tokio::task_local! {
    static PEER: Option<IpAddr>;
}

/// `answering`, which knows that its request came from `peer`.
pub(super) fn of<F: Future>(peer: Option<IpAddr>, answering: F) -> TaskLocalFuture<Option<IpAddr>, F> {
    PEER.scope(peer, answering)
}

/// Where the request came from that is being answered.
pub(super) fn address() -> Option<IpAddr> {
    PEER.try_with(|peer| *peer).ok().flatten()
}
