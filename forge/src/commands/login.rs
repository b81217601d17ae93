//! Signing in with a browser, and out of all of them.
//!
//! Invariant: a code goes from here to the browser and never the other way: a page that showed one to be run over SSH could
//! make an agent sign its author in.

use serde::Serialize;

use super::{Args, Command, Context, Shape};
use crate::answer::{Answer, Code, Refusal, Render};
use crate::authority::{Needs, Of};
use crate::sessions::Login;

#[derive(Serialize)]
struct Offered {
    url: String,
    code: String,
    seconds: u64,
}

impl Render for Offered {
    fn markdown(&self) -> String {
        format!(
            "Open this in your browser within two minutes; it is good once. Whoever opens it is you: show it to nobody.\n\n    \
             {}\n\nor type the code at /login: {}\n---\nnext: feed\n",
            self.url, self.code
        )
    }
}

/// `login`.
pub const LOGIN: Command = Command {
    name: "login",
    aliases: &[],
    needs: Needs::Agent,
    of: Of::Forge,
    shape: Shape::words(0, 0),
    usage: "",
    summary: "a link that signs your browser in, once",
    example: "login",
    run: login,
};

fn login(context: &Context, _: &Args) -> Result<Answer, Refusal> {
    let agent = context.agent()?;
    let login = Login { agent: agent.name.clone(), credential: agent.credential.clone() };
    let code = context.forge.sessions().code(login, context.forge.now()).map_err(|e| unkept(&e))?;
    let url = format!("{}/login#{code}", context.forge.config().public_http);
    Ok(Answer::of(&Offered { url, code, seconds: 120 }))
}

#[derive(Serialize)]
struct Ended {
    ended: usize,
}

impl Render for Ended {
    fn markdown(&self) -> String {
        format!(
            "Ended {}. Keys and tokens stay good.\n---\nnext: key list\n",
            super::text::count(self.ended as u64, "session")
        )
    }
}

/// `logout`.
pub const LOGOUT: Command = Command {
    name: "logout",
    aliases: &[],
    needs: Needs::Agent,
    of: Of::Forge,
    shape: Shape::words(0, 0),
    usage: "",
    summary: "end your sessions in all browsers",
    example: "logout",
    run: logout,
};

fn logout(context: &Context, _: &Args) -> Result<Answer, Refusal> {
    let ended = context.forge.sessions().end_all(&context.agent()?.name).map_err(|e| unkept(&e))?;
    Ok(Answer::of(&Ended { ended }))
}

fn unkept(error: &crate::secrets::SecretError) -> Refusal {
    tracing::error!(%error, "sessions");
    Refusal::new(Code::TryLater, "session", "it could not be written; the log says why", "whoami")
}
