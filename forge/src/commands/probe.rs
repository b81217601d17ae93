//! Foreign bytes into the reader of command lines, for fuzzing and for the seeds in `fuzz/seeds`.
//!
//! Invariant: each function returns, whatever it is given.

use super::line::{self, Args, GLOBAL};
use super::{COMMANDS, Command, find};

/// Reads `text` as a whole line, and as what follows each command's name; what was read is within the command's shape.
pub fn command_line(text: &str) {
    read(text);
    for command in COMMANDS {
        let mut args = Args::default();
        if line::tail(command.name, text, &command.shape, &mut args).is_ok() {
            within(command, &args);
        }
    }
}

/// The command that a line is, with what it holds; none where it is refused.
pub(crate) fn read(text: &str) -> Option<(&'static Command, Args)> {
    let mut args = Args::default();
    let names = line::head(text, &mut args).ok()?;
    let (command, rest) = names.iter().find_map(|(name, rest)| Some((find(name)?, *rest)))?;
    line::tail(command.name, rest, &command.shape, &mut args).ok()?;
    within(command, &args);
    Some((command, args))
}

fn within(command: &Command, args: &Args) {
    let (fewest, most) = command.shape.words;
    assert!((fewest..=most).contains(&args.words.len()), "{}: {args:?}", command.name);
    assert!(args.text.is_none() || command.shape.text, "{} takes no text: {args:?}", command.name);
    let known = |name: &str| command.shape.flags.iter().chain(GLOBAL).any(|(flag, _)| *flag == name);
    assert!(args.flags().all(known), "{} has no such flag: {args:?}", command.name);
}
