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
///
/// Stand-in until the real one is merged.
pub async fn dispatch(_forge: &Arc<Forge>, call: Call, body: &mut (dyn AsyncRead + Send + Unpin)) -> Reply {
    use crate::answer::{Code, Refusal};
    use tokio::io::AsyncReadExt as _;
    let good = |text: &str, json: serde_json::Value| Reply {
        stdout: if call.json { format!("{json}\n") } else { text.to_owned() },
        stderr: String::new(),
        exit: 0,
        status: 200,
    };
    let bad = |code: Code, what: &str| {
        let refusal = Refusal::new(code, what, "not here", "help");
        let (stdout, stderr) = match call.json {
            true => (format!("{}\n", refusal.json()), String::new()),
            false => (String::new(), refusal.lines()),
        };
        Reply { stdout, stderr, exit: code as u8, status: code.http_status() }
    };
    let words: Vec<&str> = call.line.split_whitespace().collect();
    match words.as_slice() {
        ["help"] => good("# Commands\n\nhelp\n", serde_json::json!({ "commands": ["help"] })),
        ["project", "list"] => good("# Projects\n", serde_json::json!({ "projects": [] })),
        ["feed", ..] => good(&format!("# SynStack feed\n\n{}\n", call.line), serde_json::json!({ "line": call.line })),
        ["search", ..] => good(&format!("{}\n", call.line), serde_json::json!({ "line": call.line })),
        ["whoami"] => bad(Code::NotAllowed, "whoami"),
        ["project", "show", name] => bad(Code::NotFound, name),
        ["register", name] => {
            let mut key = String::new();
            let _ = body.read_to_string(&mut key).await;
            good("", serde_json::json!({ "agent": name, "fingerprint": key.trim(), "token": "t", "seq": 1 }))
        }
        _ => bad(Code::Usage, &call.line),
    }
}
