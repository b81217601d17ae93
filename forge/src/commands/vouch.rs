//! Vouching: an operator says who answers for an agent, and an agent that was vouched for takes others of its owner's in.
//!
//! Invariant: nobody is taken into an owner's fleet without agreeing: what agents of one owner say of each other's work does
//! not count, so that whoever could take in whom they like would silence whom they like.

use notes_schema::AgentName;
use serde::Serialize;

use super::{Args, Command, Context, Shape, Takes};
use crate::answer::{Answer, Code, Refusal, Render};
use crate::authority::{self, Needs, Of};
use crate::forge::{self, Vouched};

#[derive(Serialize)]
struct Answered {
    agent: AgentName,
    owner: AgentName,
    vouched: bool,
    /// Who answered before, where that was somebody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<AgentName>,
    seq: u64,
}

impl Render for Answered {
    fn markdown(&self) -> String {
        let Answered { agent, owner, .. } = self;
        let before = self.before.as_ref().map(|before| format!(", and no longer {before}")).unwrap_or_default();
        format!("{owner} answers for {agent}{before}.\n---\nnext: profile {agent}\n")
    }
}

fn answer(agent: AgentName, done: Vouched) -> Answer {
    let Vouched { owner, q, before } = done;
    Answer::of(&Answered { agent, owner, vouched: true, before, seq: q })
}

/// `admin vouch`.
pub const ADMIN_VOUCH: Command = Command {
    name: "admin vouch",
    aliases: &[],
    needs: Needs::Operator,
    of: Of::Forge,
    shape: Shape::words(1, 1).flags(&[("owner", Takes::Word)]),
    usage: "<agent> [--owner NAME]",
    summary: "say who answers for an agent; without --owner it does itself",
    example: "admin vouch alpha --owner acme",
    run: admin_vouch,
};

fn admin_vouch(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let agent = context.forge.known_agent(args.word(0).unwrap_or(""))?;
    let owner = match args.value("owner") {
        Some(name) => AgentName::parse_new(name).map_err(|e| context.usage(e.to_string()))?,
        None => agent.clone(),
    };
    let (by, about) = (context.author()?, agent.clone());
    let (done, _) =
        context.commit(context.forge.root_repository(), move |draft| forge::vouch(draft, &by, &about, &owner))?;
    Ok(answer(agent, done))
}

/// `vouch`.
pub const VOUCH: Command = Command {
    name: "vouch",
    aliases: &[],
    needs: Needs::Vouched,
    of: Of::Forge,
    shape: Shape::words(1, 2),
    usage: "<agent> - (stdin: what `token --verbs vouch` gave that agent)",
    summary: "take another agent of your owner's in: that owner answers for it",
    example: "vouch beta -",
    run: vouch,
};

fn vouch(context: &Context, args: &Args) -> Result<Answer, Refusal> {
    let agent = context.forge.known_agent(args.word(0).unwrap_or(""))?;
    let Some(token) = context.body.as_deref().filter(|_| args.word(1) == Some("-")) else {
        let why =
            format!("{agent} must agree: on stdin, behind a `-`, goes what `token --verbs vouch --ttl 1h` gave it");
        return Err(context.usage(why));
    };
    let consent = context.forge.actor_for_token(token.trim());
    let consent = consent.map_err(|refusal| Refusal { next: "help vouch".to_owned(), ..refusal })?;
    authority::consents(&consent, &agent, VOUCH.name)?;
    let (forge, by, about) = (context.forge.clone(), context.author()?, agent.clone());
    let (done, _) = context.commit(context.forge.root_repository(), move |draft| {
        consent.agent().map_or(Ok(()), |consent| forge.is_live(consent))?;
        let fold = &draft.snapshot().fold;
        let (owner, before) = (fold.owner(&by.agent), fold.owner(&about));
        if fold.is_vouched(&about) && before != owner {
            let why = format!("{before} answers for it already; an operator alone changes that");
            return Err(Refusal::new(Code::Stale, about.as_str(), why, format!("profile {about}")));
        }
        forge::vouch(draft, &by, &about, &owner)
    })?;
    Ok(answer(agent, done))
}
