//! The SSH door: a proven public key, then git's two services or one command per channel.
//!
//! Invariant: translates only. Who may do what is decided behind [`Hosts`] and [`commands::dispatch`]; nothing here runs a
//! program, opens a path or forwards a port. Only where no forge stands behind the door is anybody let in without a key.
//!
//! [`Hosts`]: crate::hosts::Hosts
//! [`commands::dispatch`]: crate::commands::dispatch

mod channel;
mod line;
mod session;
mod unproven;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::PrivateKey;
use russh::server::{Config as Protocol, run_stream};
use russh::{MethodKind, MethodSet, SshId};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Config, Limits};
use crate::hosts::Behind;
use crate::socket::{self, Most, Socket};
use session::Session;
use unproven::{Unproven, Waiting};

/// What every connection shares.
struct Door {
    behind: Behind,
    config: Arc<Config>,
    protocol: Arc<Protocol>,
    unproven: Arc<Waiting>,
    stop: CancellationToken,
}

/// Serves `listener` until `stop`; then lets commands finish for a while and returns.
pub async fn serve(
    listener: TcpListener,
    behind: Behind,
    config: Arc<Config>,
    host_key: PrivateKey,
    stop: CancellationToken,
) {
    let limits = &config.limits;
    let unproven = Waiting::new(limits.ssh_unauthenticated);
    let protocol = Arc::new(protocol(limits, host_key, behind.forge.is_none()));
    let door = Arc::new(Door { behind, config: config.clone(), protocol, unproven, stop: stop.clone() });
    let most = Most { open: limits.ssh_connections, each: limits.connections_each };
    socket::accept(listener, "ssh", most, b"", stop, |stream| {
        let door = door.clone();
        async move { connection(&door, stream).await }
    })
    .await;
}

/// Tries to prove a key on one connection.
/// Limit: tries to prove a key on one SSH connection | {}
const ATTEMPTS: usize = 10;

fn protocol(limits: &Limits, host_key: PrivateKey, anybody: bool) -> Protocol {
    let methods: &[MethodKind] =
        if anybody { &[MethodKind::None, MethodKind::PublicKey] } else { &[MethodKind::PublicKey] };
    let mut protocol = Protocol {
        server_id: SshId::Standard(Cow::Borrowed(concat!("SSH-2.0-forge_", env!("CARGO_PKG_VERSION")))),
        methods: MethodSet::from(methods),
        // Every key is let in as somebody, so a rejection tells nothing; only wrong signatures wait.
        auth_rejection_time: Duration::from_millis(50),
        auth_rejection_time_initial: Some(Duration::ZERO),
        max_auth_attempts: ATTEMPTS,
        keys: vec![host_key],
        nodelay: true,
        channel_buffer_size: 16,
        inactivity_timeout: Some(limits.idle()),
        keepalive_interval: Some((limits.idle() / 4).max(Duration::from_secs(1))),
        keepalive_max: 3,
        ..Protocol::default()
    };
    protocol.preferred.compression = Cow::Borrowed(&[russh::compression::NONE]);
    protocol
}

/// One connection from its first byte to its last.
async fn connection(door: &Arc<Door>, stream: TcpStream) {
    let cut = CancellationToken::new();
    let Some(unproven) = door.unproven.enter(&cut) else {
        tracing::debug!("ssh: too many connections without a proven key; closed one");
        return;
    };
    let limits = &door.config.limits;
    // Whichever way this function ends, russh's own task must end too: it watches the socket only.
    let _cut = cut.clone().drop_guard();
    let socket = Socket::new(stream, &cut, limits.idle());
    let deadline = Instant::now() + limits.login();
    let tasks = TaskTracker::new();
    let (proven, proof) = oneshot::channel();
    let session = Session::new(door.clone(), tasks.clone(), unproven, proven);
    let mut running = match timeout_at(deadline, run_stream(door.protocol.clone(), socket, session)).await {
        Ok(Ok(running)) => running,
        Ok(Err(e)) => return tracing::debug!("ssh handshake: {e}"),
        Err(_) => return tracing::debug!("ssh handshake: took too long"),
    };
    tokio::select! {
        ended = &mut running => return log_end(ended),
        proof = timeout_at(deadline, proof) => if !matches!(proof, Ok(Ok(()))) {
            return tracing::debug!("ssh: no key was proven in time");
        },
    }
    tokio::select! {
        ended = &mut running => return log_end(ended),
        () = door.stop.cancelled() => {}
    }
    tasks.close();
    if timeout(limits.stop(), tasks.wait()).await.is_err() {
        tracing::info!("ssh: commands still running at the end were cut");
    }
    // Goes through the queue that the last answers went through, so they arrive first.
    let handle = running.handle();
    let _ = timeout(Duration::from_secs(1), async {
        let why = "the forge is stopping".to_owned();
        let _ = handle.disconnect(russh::Disconnect::ByApplication, why, "en".to_owned()).await;
        let _ = running.await;
    })
    .await;
}

fn log_end(ended: Result<(), russh::Error>) {
    if let Err(e) = ended {
        tracing::debug!("ssh: {e}");
    }
}

#[cfg(test)]
mod tests;
