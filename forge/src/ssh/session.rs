//! What russh asks of one connection: whose key it is, and which channels may open.
//!
//! Invariant: the key is remembered only after its owner signed with it, and any further attempt forgets it first. Who has
//! none is somebody only where no forge stands behind the door. The
//! agent behind the key is looked up anew for every command, so a revoked key ends at once.

use std::collections::HashSet;
use std::sync::Arc;

use notes_schema::event::PublicKey;
use russh::keys::{Algorithm, HashAlg};
use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session as Wire, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure, Error, Pty};
use tokio::sync::{Semaphore, oneshot};
use tokio_util::task::TaskTracker;

use super::channel;
use super::{Door, Unproven};
use crate::hosts::Who;

/// One connection.
pub(super) struct Session {
    door: Arc<Door>,
    tasks: TaskTracker,
    channels: Arc<Semaphore>,
    /// Channels that have got their one command.
    started: HashSet<ChannelId>,
    who: Option<Who>,
    unproven: Option<Unproven>,
    proven: Option<oneshot::Sender<()>>,
}

impl Session {
    pub(super) fn new(door: Arc<Door>, tasks: TaskTracker, unproven: Unproven, proven: oneshot::Sender<()>) -> Session {
        let channels = Arc::new(Semaphore::new(door.config.limits.ssh_channels));
        Session {
            door,
            tasks,
            channels,
            started: HashSet::new(),
            who: None,
            unproven: Some(unproven),
            proven: Some(proven),
        }
    }

    fn start(&mut self, channel: ChannelId, wire: &mut Wire) -> Result<(), Error> {
        if self.started.insert(channel) { wire.channel_success(channel) } else { wire.channel_failure(channel) }
    }
}

/// RSA with SHA-1 can be forged; OpenSSH gave it up as well.
fn is_sound(algorithm: &Algorithm) -> bool {
    !matches!(algorithm, Algorithm::Dsa | Algorithm::Rsa { hash: None })
}

impl Handler for Session {
    type Error = Error;

    async fn auth_none(&mut self, _user: &str) -> Result<Auth, Error> {
        self.who = self.door.behind.forge.is_none().then_some(Who::Stranger);
        Ok(if self.who.is_some() { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey_offered(&mut self, _user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Error> {
        self.who = None;
        Ok(if is_sound(offer.algorithm) { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey(&mut self, _user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Error> {
        self.who = None;
        if !is_sound(key.algorithm) {
            return Ok(Auth::reject());
        }
        let mut bare = key.public_key.clone();
        bare.set_comment("");
        let Ok(openssh) = bare.to_openssh() else { return Ok(Auth::reject()) };
        let fingerprint = bare.fingerprint(HashAlg::Sha256).to_string();
        self.who = Some(Who::Key(PublicKey { openssh: openssh.trim().to_owned(), fingerprint }));
        Ok(Auth::Accept)
    }

    async fn auth_succeeded(&mut self, _wire: &mut Wire) -> Result<(), Error> {
        self.unproven = None;
        if let Some(proven) = self.proven.take() {
            let _ = proven.send(());
        }
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _wire: &mut Wire,
    ) -> Result<(), Error> {
        let Some(who) = self.who.clone() else {
            reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
            return Ok(());
        };
        let Ok(permit) = self.channels.clone().try_acquire_owned() else {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        };
        if self.door.stop.is_cancelled() {
            reply.reject(ChannelOpenFailure::ConnectFailed).await;
            return Ok(());
        }
        reply.accept().await;
        let door = self.door.clone();
        self.tasks.spawn(async move {
            channel::serve(&door, who, channel).await;
            drop(permit);
        });
        Ok(())
    }

    async fn channel_close(&mut self, channel: ChannelId, _wire: &mut Wire) -> Result<(), Error> {
        self.started.remove(&channel);
        Ok(())
    }

    // The requests themselves reach the channel's task as messages; here they are only answered, because russh knows the
    // latest request of a channel only.

    async fn env_request(&mut self, channel: ChannelId, name: &str, _: &str, wire: &mut Wire) -> Result<(), Error> {
        if name == channel::GIT_PROTOCOL { wire.channel_success(channel) } else { wire.channel_failure(channel) }
    }

    async fn exec_request(&mut self, channel: ChannelId, _: &[u8], wire: &mut Wire) -> Result<(), Error> {
        self.start(channel, wire)
    }

    async fn shell_request(&mut self, channel: ChannelId, wire: &mut Wire) -> Result<(), Error> {
        self.start(channel, wire)
    }

    async fn subsystem_request(&mut self, channel: ChannelId, _: &str, wire: &mut Wire) -> Result<(), Error> {
        wire.channel_failure(channel)
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _: &str,
        _: u32,
        _: u32,
        _: u32,
        _: u32,
        _: &[(Pty, u32)],
        wire: &mut Wire,
    ) -> Result<(), Error> {
        wire.channel_success(channel)
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _: bool,
        _: &str,
        _: &str,
        _: u32,
        wire: &mut Wire,
    ) -> Result<(), Error> {
        wire.channel_failure(channel)
    }
}
