//! `forge collect`: what nothing reaches leaves the disk, while no forge runs there.

use std::path::PathBuf;
use std::process::ExitCode;

use notes_schema::ProjectName;

use crate::config::{Config, Layer};
use crate::forge::Forge;

/// What is collected.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// One project; without it, all of them.
    project: Option<ProjectName>,
    /// The data directory.
    #[arg(long, value_name = "DIR", default_value = "./forge-data")]
    data: PathBuf,
    /// Write packs again however little they lose.
    #[arg(long)]
    all: bool,
}

/// Collects, and says what each repository takes.
pub(super) fn run(args: &Args) -> ExitCode {
    let flags = Layer { data: Some(args.data.clone()), ..Layer::default() };
    let config = match Config::load(None, flags) {
        Ok(config) => config,
        Err(error) => return super::fail(error),
    };
    if !args.data.join("repositories/forge.git").is_dir() {
        let data = args.data.display();
        return super::fail(format_args!("{data}: there is no forge\nnext: forge collect --data <data directory>"));
    }
    let forge = match Forge::open(&config) {
        Ok(forge) => forge,
        Err(error) => return super::fail(format_args!("{error}\nnext: forge doctor --data {}", args.data.display())),
    };
    let wanted = match &args.project {
        None => forge.all_repositories(),
        Some(project) => match forge.project(project) {
            Ok(repository) => vec![repository],
            Err(refusal) => return super::fail(refusal),
        },
    };
    let mut failed = false;
    for repository in wanted {
        let project = repository.name();
        match forge.collect(&repository, args.all, &|| true) {
            Ok(done) => super::say(format_args!(
                "{project}: {} bytes of packs, {} before; {} of them were needed by nothing",
                done.after, done.before, done.orphans
            )),
            Err(error) => {
                failed = true;
                eprintln!("forge: {project}: nothing was collected: {error}");
            }
        }
    }
    forge.close();
    match failed {
        true => super::fail(format_args!("not all was collected\nnext: forge verify {}", args.data.display())),
        false => ExitCode::SUCCESS,
    }
}
