//! `forge trace verify` and `forge hook pre-receive`: the rules where no forge runs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;

use crate::away::{pre_receive, verify};

#[derive(Debug, Subcommand)]
pub(super) enum Trace {
    /// Check the records behind a commit of this clone: exit 0, or name what fails.
    #[command(after_help = "Before it: git fetch origin 'refs/forge/*:refs/forge/*'\nExample: forge trace verify HEAD")]
    Verify {
        /// The commit.
        commit: String,
        /// Answer in JSON.
        #[arg(long)]
        json: bool,
        /// Whose signatures are believed: a clone of the project `forge`, or its `allowed_signers` (ledgers alone).
        #[arg(long, value_name = "CLONE|FILE")]
        signers: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Hook {
    /// Judge a push to an ordinary bare repository; started by git as its hook.
    #[command(
        after_help = "In the repository: printf '#!/bin/sh\\nexec forge hook pre-receive\\n' > hooks/pre-receive && \
                            chmod +x hooks/pre-receive\nFORGE_AGENT names who pushes, where the server knows."
    )]
    PreReceive,
}

pub(super) fn trace(Trace::Verify { commit, json, signers }: &Trace) -> ExitCode {
    let report = match verify::verify(Path::new("."), commit, signers.as_deref()) {
        Ok(report) => report,
        Err(error) => {
            if *json {
                let shown = error.to_string();
                let (why, next) = shown.split_once("\nnext: ").unwrap_or((&shown, ""));
                super::say(serde_json::json!({ "good": false, "error": { "why": why, "next": next } }));
            }
            super::fail(&error);
            return ExitCode::from(if error.damaged { 1 } else { 2 });
        }
    };
    if *json {
        super::say(serde_json::to_value(&report).unwrap_or_default());
    } else {
        super::say(report.markdown().trim_end());
    }
    if report.good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

pub(super) fn hook(Hook::PreReceive: &Hook) -> ExitCode {
    let agent = std::env::var("FORGE_AGENT").ok();
    let judged = match pre_receive::judge(Path::new("."), std::io::stdin().lock(), agent.as_deref()) {
        Ok(judged) => judged,
        Err(why) => return super::fail(format_args!("could not decide, so the push is refused: {why}")),
    };
    for refusal in &judged.refused {
        // Git shows what a hook says as `remote:` lines.
        eprintln!("forge: {}", refusal.line());
        for line in &refusal.details {
            eprintln!("forge:   {line}");
        }
    }
    for note in &judged.notes {
        eprintln!("forge: {note}");
    }
    let skipped: Vec<&str> = judged.skipped.iter().map(|(word, _)| word.as_str()).collect();
    eprintln!("forge: not asked here, for they need a forge: {}", skipped.join(", "));
    if judged.refused.is_empty() {
        return ExitCode::SUCCESS;
    }
    for (word, why) in &judged.skipped {
        eprintln!("forge:   {word}: {why}");
    }
    ExitCode::FAILURE
}
