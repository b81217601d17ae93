//! One command language for every door.

use std::sync::Arc;

use tokio::io::AsyncRead;

use crate::authority::Actor;
use crate::forge::Forge;

/// Which door a command came through; answers may name that door's URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// `ssh forge <command>`.
    Ssh,
    /// `POST /action` and the routes.
    Http,
}

/// One command as it arrived.
#[derive(Debug, Clone)]
pub struct Call {
    /// Who asks.
    pub actor: Actor,
    /// Through what.
    pub door: Door,
    /// The command line, as ssh joins it or `POST /action` carries it.
    pub line: String,
    /// Whether JSON was asked for outside the line (`Accept`).
    pub json: bool,
}

/// What goes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Data: Markdown or JSON, ending with a line break.
    pub stdout: String,
    /// Hints and, without `--json`, refusals.
    pub stderr: String,
    /// 0, or the refusal's code.
    pub exit: u8,
    /// The same as an HTTP status.
    pub status: u16,
}

/// Parses, authorises and runs one command. Reads `body` only where the command takes one.
pub async fn dispatch(_forge: &Arc<Forge>, _call: Call, _body: &mut (dyn AsyncRead + Send + Unpin)) -> Reply {
    Reply { stdout: String::new(), stderr: String::new(), exit: 0, status: 200 }
}
