//! Where the command's output goes: a pipe, or a terminal of its own where ours is one, so that it keeps its colours.
//!
//! Invariant: a terminal passes bytes on as they are; line ends are changed once, by the terminal that people look at.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::process::Stdio;

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

/// What we read, and what the command writes to.
pub type Ends = (Box<dyn Read + Send>, Stdio);

/// A pipe.
pub fn pipe() -> io::Result<Ends> {
    let (reader, writer) = io::pipe()?;
    Ok((Box::new(reader), writer.into()))
}

/// A terminal of the size of `like`; a pipe where the system gives none.
pub fn terminal(like: impl AsFd) -> io::Result<Ends> {
    pty(like).or_else(|_| pipe())
}

fn pty(like: impl AsFd) -> io::Result<Ends> {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    let name = ptsname(&ours, Vec::new())?;
    let theirs = open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    let mut mode = tcgetattr(&theirs)?;
    mode.make_raw();
    tcsetattr(&theirs, OptionalActions::Now, &mode)?;
    if let Ok(size) = tcgetwinsize(like) {
        tcsetwinsize(&theirs, size)?;
    }
    Ok((Box::new(File::from(ours)), theirs.into()))
}
