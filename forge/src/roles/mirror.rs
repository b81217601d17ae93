//! `forge mirror`: follows another forge by git fetch alone, checks what it brings, and serves it to readers.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use super::serve::{self, Served, StartError};
use crate::config::Config;
use crate::forge::{Followed, Forge, OpenError, begin_mirror};
use crate::ledger::system_clock;
use crate::mirror::Upstream;

/// Flags of `forge mirror`, beside those of `forge serve`.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "mirror")]
#[command(after_help = "Example: forge mirror https://forge.example --data ./mirrored --once\n\
                        What is brought is checked as by `forge verify` before anybody is shown it. The directory is served\n\
                        read-only, by `forge serve` as well, until the file `upstream` in it is removed.")]
pub struct Args {
    /// The forge to follow: `http://host:port`, `https://host` or `ssh://host:port`.
    url: Upstream,
    /// Bring the copies up to date, say how far they are, and end.
    #[arg(long)]
    once: bool,
    /// Seconds between two looks.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    /// Follow the forge into a new signing epoch, whose key you know to be its own, or whose redaction you find right.
    #[arg(long)]
    accept_epoch: bool,
    #[command(flatten)]
    serve: serve::Args,
}

/// What is followed, and how.
#[derive(Debug, Clone)]
pub struct Following {
    upstream: Upstream,
    every: Duration,
    accept_epoch: bool,
}

impl Following {
    /// Opens the mirror, brought up to date as far as it can be, and follows on. Blocks.
    pub fn open(&self, config: &Config) -> Result<Arc<Forge>, StartError> {
        let (forge, followed) = self.open_once(config)?;
        for why in &followed.failed {
            tracing::error!(%why, "not followed; what was seen before is served");
        }
        forge.keep_following(self.upstream.clone(), self.every);
        Ok(forge)
    }

    fn open_once(&self, config: &Config) -> Result<(Arc<Forge>, Followed), StartError> {
        let opened = begin_mirror(&config.data, &self.upstream, &system_clock()).and_then(|()| Forge::open(config));
        let forge = opened.map_err(|source| self.refuse(config, source))?;
        let followed = forge.follow(&self.upstream, self.accept_epoch);
        Ok((forge, followed))
    }

    fn refuse(&self, config: &Config, source: OpenError) -> StartError {
        let data = config.data.display();
        let next = match source {
            OpenError::NoMirror(_) => format!("forge mirror {} --data {data}.mirror --once", self.upstream),
            OpenError::Upstream(_) => format!("forge mirror {} --data {data} --once", self.upstream),
            source => return StartError::Open { source },
        };
        StartError::Mendable { source: Box::new(source), next }
    }
}

/// Follows and serves until a signal, or once.
pub fn run(args: Args) -> ExitCode {
    if args.serve.is_plain() {
        let next = format!("forge mirror {} --once", args.url);
        return super::fail(format_args!("--plain: a mirror follows a forge, no plain repositories\nnext: {next}"));
    }
    let following =
        Following { upstream: args.url, every: Duration::from_secs(args.every), accept_epoch: args.accept_epoch };
    if args.once { once(&following, args.serve) } else { serve::run_as(args.serve, |_| Served::Mirror(following)) }
}

fn once(following: &Following, args: serve::Args) -> ExitCode {
    let config = match args.start() {
        Ok((config, _)) => config,
        Err(error) => return super::fail(error),
    };
    let (forge, followed) = match following.open_once(&config) {
        Ok(opened) => opened,
        Err(error) => return super::fail(error),
    };
    for repository in std::iter::once(forge.root_repository().clone()).chain(forge.open_repositories()) {
        let snapshot = repository.snapshot();
        let tip = snapshot.tip.map_or("nothing".to_owned(), |tip| tip.to_string());
        super::say(format_args!("ledger {} {} {tip}", repository.name(), snapshot.number));
    }
    let not_closed = forge.is_not_closed();
    forge.close();
    let (upstream, data) = (&following.upstream, config.data.display());
    for why in &followed.failed {
        eprintln!("forge: {why}");
    }
    if followed.failed.iter().any(|why| why.epoch) {
        return super::fail(format_args!(
            "{upstream} is not followed\nnext: forge mirror {upstream} --data {data} --once --accept-epoch"
        ));
    }
    if !followed.failed.is_empty() {
        return super::fail(format_args!(
            "{upstream} is not followed there; what was seen before is kept\nnext: forge verify {data}"
        ));
    }
    if let Some(why) = not_closed.first() {
        let next = format!("forge mirror {upstream} --data {data} --once");
        return super::fail(format_args!("{why}: the forge goes on faster than it is copied\nnext: {next}"));
    }
    super::say(format_args!("good: {} new batches checked; next: forge verify {data}", followed.batches));
    ExitCode::SUCCESS
}
