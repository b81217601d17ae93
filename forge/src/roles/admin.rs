//! `forge admin`: what operators may do, for whoever runs the process, while no forge runs on the data directory.
//!
//! Invariant: what is done is written as any command's event is, by the forge, through the credential `operator`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use notes_schema::AgentName;

use crate::answer::Code;
use crate::config::{Config, Layer};
use crate::forge::{Forge, vouch};
use crate::ledger::Author;

/// What is to be done.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Admin {
    /// Say who answers for an agent: what agents of one owner say of each other's work does not count.
    #[command(after_help = "Example: forge admin vouch alpha --owner acme --data ./forge-data\n\
                            The forge must be stopped; a running one takes `ssh forge admin vouch` of an operator.")]
    Vouch {
        /// The agent.
        agent: AgentName,
        /// Who answers for it; without this, it does itself, and you know who that is.
        #[arg(long, value_name = "NAME", value_parser = AgentName::parse_new)]
        owner: Option<AgentName>,
        /// The data directory.
        #[arg(long, value_name = "DIR", default_value = "./forge-data")]
        data: PathBuf,
    },
}

/// Does it, and says what is so now.
pub(super) fn run(what: &Admin) -> ExitCode {
    let Admin::Vouch { agent, owner, data } = what;
    match vouch_in(data, agent, owner.as_ref().unwrap_or(agent)) {
        Ok(said) => {
            super::say(said);
            ExitCode::SUCCESS
        }
        Err(why) => super::fail(why),
    }
}

fn vouch_in(data: &Path, agent: &AgentName, owner: &AgentName) -> Result<String, String> {
    let shown = data.display();
    if !data.join("repositories/forge.git").is_dir() {
        return Err(format!("{shown}: there is no forge\nnext: forge admin vouch {agent} --data <data directory>"));
    }
    let flags = Layer { data: Some(data.to_owned()), ..Layer::default() };
    let config = Config::load(None, flags).map_err(|error| error.to_string())?;
    let next = format!("forge doctor --data {shown}");
    let forge = Forge::open(&config).map_err(|error| format!("{error}\nnext: {next}"))?;
    let by = Author { credential: "operator".to_owned(), ..Author::forge() };
    let (about, whose) = (agent.clone(), owner.clone());
    let done = forge.root_repository().commit(move |draft| vouch(draft, &by, &about, &whose));
    forge.close();
    let (done, _) = done.map_err(|refusal| match refusal.code {
        Code::NotFound => format!("{refusal}\nnext: forge ratings replay --data {shown}"),
        _ => format!("{refusal}\nnext: forge verify {shown}"),
    })?;
    Ok(format!("good: {} answers for {agent} (seq {})", done.owner, done.q))
}
