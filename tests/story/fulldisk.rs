//! A filesystem of a few MiB, filled to the last byte: writes are refused with the reason, reads go on, and writes go on by
//! themselves when there is room.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;

use tests::agent::text;
use tests::flow::{self, Work};
use tests::{Agent, Forge, plumbing, tool};

/// What takes all the room there is, but for some.
struct Filler(PathBuf);

impl Filler {
    /// Fills the disk of `forge`, and leaves `room` bytes.
    fn fill(forge: &Forge, room: u64) -> Filler {
        let filler = Filler(forge.data().join("filler"));
        let mut file = File::create(&filler.0).expect("a file");
        for piece in [1 << 20, 1 << 12, 1] {
            while file.write_all(&vec![7; piece]).is_ok() {}
        }
        let len = file.metadata().expect("a file").len();
        file.set_len(len.checked_sub(room).expect("a disk larger than that")).expect("a file");
        filler
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

/// Refused for now, because the disk is full; its next command, as it stands, succeeds.
#[track_caller]
fn refused_for_want_of_room(agent: &Agent, line: &str) {
    let (code, error) = agent.refusal(line);
    assert_eq!(code, 75, "{error}");
    assert!(text(&error, "/why").contains("No space left on device"), "{error}");
    agent.ssh(&text(&error, "/next")).ok();
}

/// All that a reader may ask.
#[track_caller]
fn reads_go_on(forge: &Forge, agent: &Agent, what: &str) {
    for line in ["feed", "issue list small", "search leak", "details small/1", "leaderboard", "project list", "whoami"]
    {
        agent.ssh(line).ok();
    }
    for path in ["/", "/small", "/small/issues/1", "/feed"] {
        assert_eq!(forge.get(path).0, 200, "{what}: {path}");
    }
    let to = format!("clone-{what}");
    let clone = agent.clone_into(&agent.ssh_url("small"), &to, &[]);
    agent.clone_into(&forge.http_url("/small.git"), &format!("{to}-http"), &[]);
    assert!(clone.join("README.md").exists());
}

#[test]
fn on_a_full_disk_reads_go_on_and_writes_go_on_when_there_is_room() {
    let mut forge = Forge::start_on_small_disk(16);
    let (alpha, beta) = (forge.agent("alpha"), forge.agent("beta"));
    flow::found_project(&beta, "small", &[("README.md", "a leak\n")]);
    let issue = flow::open_issue(&beta, "small", "Fix the leak");
    let work = Work::start(&alpha, &issue);
    work.write("fix.txt", "fixed\n");
    let token = beta.token("");
    reads_go_on(&forge, &beta, "before");

    let filler = Filler::fill(&forge, 0);
    refused_for_want_of_room(&beta, &format!("reply {issue} no-room"));
    refused_for_want_of_room(&beta, "issue new small --title no-room");
    refused_for_want_of_room(&beta, "project new another");
    let (status, body) = beta.action(&token, &format!("reply {issue} no-room"));
    assert!(status == 503 && body.contains("No space left on device"), "{status} {body}");
    work.record("true").ok();
    work.commit("Fix the leak");
    work.push().fails().says("No space left on device").says("next: ");
    reads_go_on(&forge, &beta, "full");
    // Nor does a restart need room.
    forge.kill();
    forge.up();
    reads_go_on(&forge, &beta, "again");
    refused_for_want_of_room(&beta, &format!("reply {issue} no-room"));
    assert!(!forge.log().contains("panicked"), "{}", forge.log());
    drop(filler);

    work.push().ok();
    let pull = text(&work.submit(), "/ref");
    beta.ssh(&format!("review approve {pull} fine")).ok();
    alpha.ssh(&format!("merge {pull}")).ok();
    beta.ssh(&format!("reply {issue} there-is-room")).ok();
    let thread = beta.ssh(&format!("details {issue}")).ok();
    assert!(thread.stdout.contains("there-is-room") && !thread.stdout.contains("no-room"), "{thread}");
    reads_go_on(&forge, &beta, "after");
    tool(&["verify", forge.data().to_str().expect("UTF-8")]).ok();
    // git asks for its directory by name, and this one has none outside of the server's namespace.
    plumbing::mirror_all(&forge, &beta, &beta.home().join("mirror"));
    for project in forge.projects() {
        plumbing::assert_clean(&beta.home().join(format!("mirror/repositories/{project}.git")));
    }
}

/// The room ends at each place of a write in turn.
#[test]
fn wherever_the_room_ends_what_is_acknowledged_is_there_and_nothing_else() {
    let forge = Forge::start_on_small_disk(16);
    let beta = forge.agent("beta");
    flow::found_project(&beta, "small", &[("README.md", "a leak\n")]);
    let issue = flow::open_issue(&beta, "small", "Fix the leak");
    let (mut done, mut refused) = (Vec::new(), Vec::new());
    for pages in 0..10 {
        let words = format!("with-{pages}-pages");
        let filler = Filler::fill(&forge, pages * 4096);
        // A few in a row, so that what housekeeping writes behind them takes part.
        for k in 0..3 {
            let out = beta.ssh_json(&format!("reply {issue} {words}-{k}"));
            match out.code {
                0 => done.push(format!("{words}-{k}")),
                75 if out.stdout.contains("No space left on device") => refused.push(format!("{words}-{k}")),
                _ => panic!("{out}"),
            }
            beta.ssh("feed").ok();
            beta.ssh(&format!("details {issue}")).ok();
        }
        drop(filler);
        beta.ssh(&format!("reply {issue} and-on-{pages}")).ok();
        done.push(format!("and-on-{pages}"));
    }
    assert!(done.len() > 10 && !refused.is_empty(), "{done:?} {refused:?}");
    let number = issue.split('#').nth(1).expect("project#number");
    let clone = beta.clone_into(&beta.ssh_url("small"), "mirror", &["--mirror"]);
    let log = plumbing::git(&clone, &["log", "--format=%B", &format!("refs/forge/issues/{number}")]).ok();
    let count = |words: &String| log.stdout.lines().filter(|line| line.trim() == words).count();
    for words in &done {
        assert_eq!(count(words), 1, "{words} was acknowledged");
    }
    for words in &refused {
        assert_eq!(count(words), 0, "{words} was refused");
    }
    tool(&["verify", forge.data().to_str().expect("UTF-8")]).ok();
}
