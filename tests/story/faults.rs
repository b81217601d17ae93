//! Kills, power cuts and failing disks under mixed load: at every named fault point, at any operation on the disk, and at
//! random. Nothing acknowledged is lost, nothing refused appears, and nothing unknown happens twice.
//!
//! `FORGE_KILLS` says how many times the server ends (`make kill` ends it often), `FORGE_SEED` repeats a run's dice.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tests::agent::text;
use tests::flow::{self, Work};
use tests::load::{Load, PROJECT, Tally};
use tests::plumbing;
use tests::{Agent, Dice, Forge, tool, until};

/// How long the load looks for a fault point before the test says that it was never reached.
const SEARCH: Duration = Duration::from_secs(120);
/// After so many kills a forge and its history make room for a new one, so that each kill costs the same.
const KILLS_EACH: u32 = 20;

#[track_caller]
fn verify(forge: &Forge) {
    tool(&["verify", forge.data().to_str().unwrap()]).ok();
    for project in forge.projects() {
        plumbing::assert_clean(&forge.repository(&project));
    }
}

/// Where a server that is told so looks for what shall fail on its disk.
fn disk_faults(forge: &Forge, lines: &str) -> PathBuf {
    let file = forge.scratch().join("disk-faults");
    // In one piece: the server may look at any moment.
    let unnamed = file.with_extension("new");
    std::fs::write(&unnamed, lines).expect("a file");
    std::fs::rename(&unnamed, &file).expect("a file");
    file
}

/// What a server is told that shall die.
#[derive(Debug, Default)]
struct Death {
    point: Option<String>,
    /// Operations that go wrong.
    disk: String,
    /// What was not synced is lost, by these dice.
    power_loss: Option<u64>,
}

impl Death {
    fn at(point: &str) -> Death {
        let disk = match point.starts_with("doubt-") {
            // Some batch is written, and nobody can say whether it lasts.
            true => format!("sync-dir 3 EIO {PROJECT}.git/objects/pack"),
            false => String::new(),
        };
        Death { point: Some(point.to_owned()), disk, power_loss: None }
    }

    /// Starts the server with it and lets the load run until it has died. Recovery's own points end it before it serves.
    #[track_caller]
    fn comes(&self, forge: &mut Forge, load: &mut Load) {
        let file = disk_faults(forge, &self.disk).display().to_string();
        let seed = self.power_loss.map(|seed| seed.to_string());
        let mut env = vec![("FORGE_DISK_FAULTS", file.as_str())];
        env.extend(seed.as_ref().map(|seed| ("FORGE_POWER_LOSS", seed.as_str())));
        env.extend(self.point.as_ref().map(|point| ("FORGE_FAILPOINT", point.as_str())));
        if self.point.as_ref().is_some_and(|point| point.starts_with("code-pack-landed")) {
            // Small pushes ride in their batch; here none is small.
            env.push(("FORGE_LIMIT_MEMORY_BYTES", "64"));
        }
        if let Err(died) = forge.try_up(&env) {
            // A release build refuses to start like this, and would show nothing.
            assert_eq!(died.code, 128 + 6, "it should have died as it was told\n{}", died.log);
            return;
        }
        load.expect_refusals(self.disk.contains("EIO"));
        let (enough, started) = (AtomicBool::new(false), Instant::now());
        load.run(&enough, || {
            while !forge.has_died() && started.elapsed() < SEARCH {
                std::thread::sleep(Duration::from_millis(10));
            }
            enough.store(true, Ordering::Relaxed);
        });
        load.expect_refusals(false);
        assert!(started.elapsed() < SEARCH, "the load never came to {self:?}");
    }
}

/// Lets a server that is down die at a named point, from something to recover where it is one of recovery.
#[track_caller]
fn die_at(forge: &mut Forge, load: &mut Load, point: &str, power_loss: Option<u64>) {
    if point.starts_with("collect-") {
        leave_orphans(forge);
        let mut collect = std::process::Command::new(tests::forge_bin());
        collect.args(["collect", "--all", "--data"]).arg(forge.data()).env("FORGE_FAILPOINT", point);
        collect.envs(power_loss.map(|seed| ("FORGE_POWER_LOSS", seed.to_string())));
        let status = collect.status().expect("forge runs");
        assert!(!status.success() && status.code().is_none(), "it should have died at {point}: {status}");
        return;
    }
    if point.starts_with("recovery-") {
        // Batches that no ref on disk reflects, and an index that the power cut took.
        Death::at("flush-before-refs").comes(forge, load);
        let newest = plumbing::packs(&forge.repository(PROJECT), "pack-b").pop().expect("a batch");
        // A power cut may have taken it before.
        let _ = std::fs::remove_file(newest.with_extension("idx"));
    }
    Death { power_loss, ..Death::at(point) }.comes(forge, load);
}

/// What nothing reaches, in a forge that is down before and after.
#[track_caller]
fn leave_orphans(forge: &mut Forge) {
    forge.up();
    let agent = forge.stranger("litterer");
    // Another time it was here before.
    drop(agent.ssh("register litterer"));
    let dir = agent.home().join("litter");
    drop(std::fs::remove_dir_all(&dir));
    agent.clone_into(&agent.ssh_url(PROJECT), "litter", &[]);
    agent.sh(&dir, "head -c 100000 /dev/urandom > litter.bin").ok();
    agent.git(&dir, &["add", "-A"]).ok();
    agent.git(&dir, &["commit", "-q", "-m", "Litter"]).ok();
    for refspec in ["HEAD:refs/heads/litterer/litter", ":refs/heads/litterer/litter"] {
        agent.git(&dir, &["push", "-q", "origin", refspec]).ok();
    }
    forge.kill();
}

fn points() -> Vec<String> {
    let points = tool(&["fault-points"]).ok().stdout;
    // A redaction is no server's: what ends it is in its own story.
    let of_a_server = points.lines().filter(|point| !point.starts_with("redaction-"));
    let points: Vec<String> = of_a_server.map(str::to_owned).collect();
    assert!(points.len() >= 5, "{points:?}");
    points
}

#[test]
fn a_crash_at_each_fault_point_loses_nothing_acknowledged() {
    let seed = Dice::seed();
    println!("FORGE_SEED={seed}");
    let mut dice = Dice::new(seed);
    let mut forge = Forge::start();
    let mut load = Load::prepare(&forge);
    for point in points() {
        let power_loss = (dice.below(2) == 0).then(|| dice.below(1 << 40));
        println!("{point}{}", if power_loss.is_some() { ", and what was not synced is lost" } else { "" });
        forge.kill();
        die_at(&mut forge, &mut load, &point, power_loss);
        // Half of what was collected may refer to the other half, until the next start has removed all of it.
        let is_whole = !point.starts_with("recovery-") && !point.starts_with("collect-");
        if power_loss.is_none() && is_whole {
            verify(&forge);
        }
        forge.up();
        load.check(&forge);
    }
    assert_eq!(forge.stop(), 0);
    verify(&forge);
}

/// What a run of kills came to.
#[derive(Debug, Default)]
struct Summary {
    kills: u32,
    at_random: u32,
    points: BTreeSet<String>,
    at_points: u32,
    power_cuts: u32,
    disk_errors: u32,
    tally: Tally,
}

impl Summary {
    /// Ends the server once, by turns in each way, and checks what it serves afterwards.
    #[track_caller]
    fn kill_once(&mut self, forge: &mut Forge, load: &mut Load, points: &[String], dice: &mut Dice) {
        let way = self.kills % 4;
        self.kills += 1;
        match way {
            0 => {
                self.at_random += 1;
                run_for(forge, load, Duration::from_millis(200 + dice.below(1500)), |forge| forge.kill());
            }
            1 => {
                forge.kill();
                let point = &points[self.at_points as usize % points.len()];
                self.at_points += 1;
                self.points.insert(point.clone());
                die_at(forge, load, point, (dice.below(2) == 0).then(|| dice.below(1 << 40)));
            }
            2 => {
                forge.kill();
                self.power_cuts += 1;
                let disk = format!("any {} cut", 1 + dice.below(400));
                Death { point: None, disk, power_loss: Some(dice.below(1 << 40)) }.comes(forge, load);
            }
            _ => {
                self.disk_errors += 1;
                errors_for_a_while(forge, load, dice);
            }
        }
        forge.up();
        load.check(forge);
    }
}

/// Lets the load run on a server that is up, then ends it by `end`.
#[track_caller]
fn run_for(forge: &mut Forge, load: &mut Load, time: Duration, end: impl FnOnce(&mut Forge)) {
    let enough = AtomicBool::new(false);
    load.run(&enough, || {
        std::thread::sleep(time);
        assert!(!forge.has_died(), "the server ended by itself");
        end(forge);
        enough.store(true, Ordering::Relaxed);
    });
}

/// The disk fails for a while, in one way or another; then the server goes on without a restart, and is killed. Now and
/// then it is killed while the disk fails.
#[track_caller]
fn errors_for_a_while(forge: &mut Forge, load: &mut Load, dice: &mut Dice) {
    forge.kill();
    let operation = ["any", "write", "sync", "rename", "sync-dir", "create"][dice.below(6) as usize];
    let way = ["EIO", "ENOSPC", "after"][dice.below(3) as usize];
    let which = if dice.below(2) == 0 { format!("{}", 1 + dice.below(20)) } else { format!("{}+", 1 + dice.below(20)) };
    let file = disk_faults(forge, "");
    forge.try_up(&[("FORGE_DISK_FAULTS", file.to_str().expect("UTF-8"))]).expect("a disk that works so far");
    disk_faults(forge, &format!("{operation} {which} {way} repositories/"));
    load.expect_refusals(true);
    let killed = dice.below(4) == 0;
    run_for(forge, load, Duration::from_millis(300 + dice.below(700)), |forge| {
        if killed {
            forge.kill();
        }
    });
    disk_faults(forge, "");
    load.expect_refusals(false);
    if !killed {
        goes_on(forge, load);
        forge.kill();
    }
}

/// Waits until the server takes writes again, by itself, and checks all that it serves.
#[track_caller]
fn goes_on(forge: &Forge, load: &mut Load) {
    load.goes_on();
    load.check(forge);
}

#[test]
fn random_kills_under_mixed_load_lose_nothing_acknowledged() {
    let kills: u32 = std::env::var("FORGE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(8);
    let seed = Dice::seed();
    println!("FORGE_SEED={seed}");
    let (mut dice, points, started) = (Dice::new(seed), points(), Instant::now());
    let mut summary = Summary::default();
    while summary.kills < kills {
        let mut forge = Forge::start();
        let mut load = Load::prepare(&forge);
        for _ in 0..KILLS_EACH.min(kills - summary.kills) {
            summary.kill_once(&mut forge, &mut load, &points, &mut dice);
        }
        assert_eq!(forge.stop(), 0);
        verify(&forge);
        let tally = load.diary.tally();
        assert!(tally.done > 10, "the load did next to nothing: {tally:?}");
        summary.tally += tally;
        println!("{} kills, {:?} so far, {:.0} s", summary.kills, summary.tally, started.elapsed().as_secs_f64());
    }
    let Summary { kills, at_random, at_points, power_cuts, disk_errors, tally, .. } = &summary;
    println!(
        "{kills} kills in {:.0} s: {at_random} at random, {at_points} at {} of {} named points, {power_cuts} power cuts that \
         lost what was not synced, {disk_errors} after disk errors\n\
         {} writes acknowledged, 0 of them lost; {} refused, 0 of them there; {} unknown, 0 of them twice",
        started.elapsed().as_secs_f64(),
        summary.points.len(),
        points.len(),
        tally.done,
        tally.refused,
        tally.unknown
    );
}

/// A refusal's code over SSH, which must be one for now, for a reason that names the system's error; its next command, as
/// it stands, succeeds.
#[track_caller]
fn told(agent: &Agent, line: &str) -> String {
    let (code, error) = agent.refusal(line);
    assert_eq!(code, 75, "{error}");
    assert!(text(&error, "/why").contains("os error"), "{error}");
    agent.ssh(&text(&error, "/next")).ok();
    text(&error, "/code")
}

#[test]
fn what_the_disk_left_unknown_is_told_so_and_settles_without_a_restart() {
    let mut forge = Forge::start();
    let (alpha, beta) = (forge.agent("alpha"), forge.agent("beta"));
    let dir = flow::found_project(&beta, "shaky", &[("README.md", "shaky\n")]);
    let issue = flow::open_issue(&beta, "shaky", "Work here");
    let work = Work::start(&alpha, &issue);
    work.write("fix.txt", "fixed\n");
    work.record("true").ok();
    work.commit("Fix it");
    work.push().ok();
    let pull = text(&work.submit(), "/ref");
    beta.ssh(&format!("review approve {pull} fine")).ok();
    let shows = |project: &str, name: &str| {
        beta.git(beta.home(), &["ls-remote", "--exit-code", &beta.ssh_url(project), name]).is_ok()
    };
    // From here on nothing writes but what is asked.
    until("notes should be written", || shows("shaky", "refs/notes/forge/reviews"));
    forge.kill();
    let file = disk_faults(&forge, "");
    forge.try_up(&[("FORGE_DISK_FAULTS", file.to_str().unwrap())]).unwrap();

    // The directory cannot be synced: the one write that met this is unknown, and nothing is begun behind it.
    disk_faults(&forge, "sync-dir 1+ EIO shaky.git/objects/pack");
    assert_eq!(told(&beta, &format!("reply {issue} in-doubt")), "unknown");
    assert_eq!(told(&beta, &format!("reply {issue} refused")), "try-later");
    flow::write(&dir, "more.txt", "more\n");
    beta.git(&dir, &["add", "-A"]).ok();
    beta.git(&dir, &["commit", "-q", "-m", "More"]).ok();
    let push = ["push", "-q", "origin", "HEAD:refs/heads/beta/more"];
    beta.git(&dir, &push).fails().says("the repository is read-only").says("next: ssh forge feed");
    let thread = |agent: &Agent| agent.ssh(&format!("details {issue}")).ok().stdout;
    assert!(!thread(&alpha).contains("in-doubt"));
    alpha.clone_into(&alpha.ssh_url("shaky"), "meanwhile", &[]);
    assert_eq!(forge.get("/shaky").0, 200);
    disk_faults(&forge, "");
    until("the comment in doubt should be settled", || thread(&alpha).contains("in-doubt"));
    beta.git(&dir, &push).ok();

    // A push whose outcome is unknown says so, and the same push again is answered by what happened.
    beta.git(&dir, &["commit", "-q", "--allow-empty", "-m", "Yet more"]).ok();
    // Its pack gets its name, and it is not known.
    disk_faults(&forge, "rename 1 after .pack");
    beta.git(&dir, &push).fails().says("(unknown: ");
    beta.git(&dir, &push).ok();

    // forge.git fails: what landed is said, and its rating follows by itself.
    disk_faults(&forge, "any 1+ EIO forge.git/objects/pack");
    let merged = alpha.ssh(&format!("merge {pull}")).fails().says("it landed as").says("os error");
    assert_eq!(merged.code, 75);
    disk_faults(&forge, "");
    until("the rating should follow", || shows("forge", "refs/forge/elo/antfarm"));

    // So does a project that was made, though its maker was told that it is unknown.
    disk_faults(&forge, "sync-dir 1 after forge.git/objects/pack");
    assert_eq!(told(&beta, "project new late"), "unknown");
    until("the project should be served", || shows("late", "refs/forge/ledger"));
    beta.git(&dir, &["push", "-q", &beta.ssh_url("late"), "HEAD:refs/heads/main"]).ok();
    // One that is refused leaves nothing.
    disk_faults(&forge, "create 1+ ENOSPC forge.git/objects/pack");
    assert_eq!(told(&beta, "project new never"), "try-later");
    assert!(!forge.repository("never").exists());
    disk_faults(&forge, "");
    beta.ssh("project new never").ok();
    beta.git(&dir, &["push", "-q", &beta.ssh_url("never"), "HEAD:refs/heads/main"]).ok();

    assert_eq!(thread(&alpha).matches("in-doubt").count(), 1);
    assert!(!thread(&alpha).contains("refused"));
    assert_eq!(forge.stop(), 0);
    verify(&forge);
}
