//! Mixed load by several agents at once, with a diary of what was acknowledged, and the check of the diary against git.
//!
//! Every act has one of three outcomes: done (must be there afterwards), refused (must not be), unknown (the connection
//! was lost, or the forge said so: there at most once).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::agent::text;
use crate::fate::Fate;
use crate::flow::{self, Work};
use crate::out::Out;
use crate::plumbing;
use crate::{Agent, Forge};

/// The project that the load works on.
pub const PROJECT: &str = "busy";

/// How many acts came to which end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Acknowledged.
    pub done: usize,
    /// Refused.
    pub refused: usize,
    /// Neither.
    pub unknown: usize,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.done += other.done;
        self.refused += other.refused;
        self.unknown += other.unknown;
    }
}

/// What the agents remember.
#[derive(Debug, Default)]
pub struct Diary {
    comments: BTreeMap<String, Fate>,
    issues: BTreeMap<String, (Fate, String)>,
    /// Per branch: every commit pushed to it, in order, and the position of the last acknowledged one.
    branches: BTreeMap<String, (Vec<String>, Option<usize>)>,
    /// What was last pushed to two branches at once.
    together: BTreeMap<(String, String), String>,
    pushes: Vec<Fate>,
    merges: BTreeMap<String, Fate>,
    landed: BTreeSet<String>,
}

impl Diary {
    fn absorb(&mut self, other: Diary) {
        self.comments.extend(other.comments);
        self.issues.extend(other.issues);
        self.branches.extend(other.branches);
        self.together.extend(other.together);
        self.pushes.extend(other.pushes);
        self.merges.extend(other.merges);
        self.landed.extend(other.landed);
    }

    /// How many comments, issues, pushes and merges came to which end.
    pub fn tally(&self) -> Tally {
        let issues = self.issues.values().map(|(fate, _)| fate);
        let all = self.comments.values().chain(issues).chain(&self.pushes).chain(self.merges.values());
        let mut tally = Tally::default();
        for fate in all {
            match fate {
                Fate::Done => tally.done += 1,
                Fate::Refused => tally.refused += 1,
                Fate::Unknown | Fate::Lost => tally.unknown += 1,
            }
        }
        tally
    }
}

/// The agents, their clones, and all that they were told so far.
pub struct Load {
    alpha: Agent,
    beta: Agent,
    gamma: Agent,
    token: String,
    talk: String,
    alpha_clone: PathBuf,
    gamma_clone: PathBuf,
    mirror: PathBuf,
    count: AtomicU64,
    /// Whether the disk fails now and then, so that anything may be refused for now.
    shaky: AtomicBool,
    /// What was acknowledged.
    pub diary: Diary,
}

impl Load {
    /// A project with three agents on it, and a mirror that follows it.
    #[track_caller]
    pub fn prepare(forge: &Forge) -> Load {
        let (alpha, beta, gamma) = (forge.agent("alpha"), forge.agent("beta"), forge.agent("gamma"));
        flow::found_project(&beta, PROJECT, &[("README.md", "busy\n"), (".gitignore", "target/\n")]);
        let talk = flow::open_issue(&beta, PROJECT, "Talk here");
        let clone = |agent: &Agent| agent.clone_into(&agent.ssh_url(PROJECT), "clone", &[]);
        let mirror = forge.scratch().join("follower");
        plumbing::mirror_all(forge, &gamma, &mirror);
        Load {
            token: gamma.token(""),
            alpha_clone: clone(&alpha),
            gamma_clone: clone(&gamma),
            alpha,
            beta,
            gamma,
            talk,
            mirror,
            count: AtomicU64::new(0),
            shaky: AtomicBool::new(false),
            diary: Diary::default(),
        }
    }

    /// Runs all agents until each has lost its connection or `enough` is set. `meanwhile` runs beside them and returns
    /// once the server is gone.
    pub fn run(&mut self, enough: &AtomicBool, meanwhile: impl FnOnce()) {
        let this = &*self;
        let diaries: Vec<Diary> = std::thread::scope(|scope| {
            let workers = [
                scope.spawn(|| this.talks(enough)),
                scope.spawn(|| this.opens(enough)),
                scope.spawn(|| this.pushes(enough)),
                scope.spawn(|| this.merges(enough)),
            ];
            meanwhile();
            workers.map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).into()
        });
        for diary in diaries {
            self.diary.absorb(diary);
        }
    }

    /// Says that anything may be refused for now, or no more.
    pub fn expect_refusals(&self, shaky: bool) {
        self.shaky.store(shaky, Ordering::Relaxed);
    }

    fn is_shaky(&self) -> bool {
        self.shaky.load(Ordering::Relaxed)
    }

    /// One act of each kind, which must all succeed: writes go on, and what ratings waited for is settled.
    #[track_caller]
    pub fn goes_on(&mut self) {
        let mut diary = Diary::default();
        let words = format!("say-{}", self.next());
        let said = self.say(&self.talk, &words);
        assert_eq!(said, Fate::Done, "a comment should be taken");
        diary.comments.insert(words, said);
        assert!(self.merge_one(&mut diary).is_some(), "a merge should land");
        self.diary.absorb(diary);
    }

    fn next(&self) -> String {
        format!("{:06}", self.count.fetch_add(1, Ordering::Relaxed))
    }

    /// Comments over HTTP, now and then one to an issue that does not exist.
    fn talks(&self, enough: &AtomicBool) -> Diary {
        let mut diary = Diary::default();
        while !enough.load(Ordering::Relaxed) {
            let n = self.next();
            let lost = n.ends_with('7');
            let words = format!("say-{n}");
            let to = if lost { format!("{PROJECT}#999999") } else { self.talk.clone() };
            let fate = self.say(&to, &words);
            assert!(!(lost && fate == Fate::Done), "a comment on {to} should be refused");
            diary.comments.insert(words, fate);
            if fate == Fate::Lost {
                break;
            }
        }
        diary
    }

    fn say(&self, to: &str, words: &str) -> Fate {
        let url = format!("{}/action", self.url());
        let bearer = format!("Authorization: Bearer {}", self.token);
        let line = format!("reply {to} {words}");
        let mut command = self.gamma.command("curl");
        command.args(["-sS", "--max-time", "60", "-w", "\n%{http_code}", "-H", &bearer]);
        command.args(["-H", "Accept: application/json", "-H", "Content-Type: text/plain"]);
        command.args(["--data-binary", &line, &url]);
        let out = crate::out::run(&mut command, None);
        match (out.code, out.text().lines().last().and_then(|status| status.parse::<u16>().ok())) {
            (0, Some(200..=299)) => Fate::Done,
            (0, Some(503)) if says_unknown(&out) => Fate::Unknown,
            (0, Some(404 | 503)) => Fate::Refused,
            (0, _) => panic!("a comment was answered strangely\n{out}"),
            _ => Fate::Lost,
        }
    }

    fn url(&self) -> String {
        let command = self.gamma.command("true");
        let value = command.get_envs().find(|(name, _)| *name == "HTTP_URL").and_then(|(_, value)| value);
        value.expect("agents know the address").to_string_lossy().into_owned()
    }

    /// New issues over SSH.
    fn opens(&self, enough: &AtomicBool) -> Diary {
        let mut diary = Diary::default();
        while !enough.load(Ordering::Relaxed) {
            let title = format!("title-{}", self.next());
            let out = self.beta.ssh_json(&format!("issue new {PROJECT} --title {title} --dedupe {title}"));
            let fate = fate_of_command(&out);
            let reference = if fate == Fate::Done { text(&out.json(), "/ref") } else { String::new() };
            diary.issues.insert(title, (fate, reference));
            if fate == Fate::Lost {
                break;
            }
        }
        diary
    }

    /// Commits on a branch of its own, two branches at once atomically, and forbidden pushes to the default branch.
    fn pushes(&self, enough: &AtomicBool) -> Diary {
        let mut diary = Diary::default();
        let dir = &self.gamma_clone;
        let (one, two) = (format!("gamma/one-{}", self.next()), format!("gamma/two-{}", self.next()));
        // Whether the last push to both was done.
        let mut are_level = true;
        for round in 0.. {
            if enough.load(Ordering::Relaxed) {
                break;
            }
            let n = self.next();
            flow::write(dir, "gamma.txt", &format!("line {n}\n"));
            self.gamma.git(dir, &["add", "-A"]).ok();
            let forbidden = round % 5 == 4;
            let subject = if forbidden { format!("forbidden-{n}") } else { format!("push-{n}") };
            self.gamma.git(dir, &["commit", "-q", "-m", &subject]).ok();
            let tip = self.gamma.git(dir, &["rev-parse", "HEAD"]).ok().text().to_owned();
            if forbidden {
                let out = self.gamma.git(dir, &["push", "-q", "origin", "HEAD:refs/heads/main"]);
                assert!(!out.is_ok(), "the default branch moves through merge alone\n{out}");
                self.gamma.git(dir, &["reset", "-q", "--hard", "HEAD~1"]).ok();
                if fate_of_push(&out) == Fate::Lost {
                    break;
                }
                continue;
            }
            let to = |branch: &str| format!("HEAD:refs/heads/{branch}");
            let both = [to(&one), to(&two)];
            let mut args = vec!["push", "-q", "--atomic", "origin", &both[0]];
            let pushed: &[&String] = if round % 2 == 1 { &[&one, &two] } else { &[&one] };
            if pushed.len() == 2 {
                args.push(&both[1]);
            }
            let out = self.gamma.git(dir, &args);
            let fate = fate_of_push(&out);
            assert!(fate != Fate::Refused || self.is_shaky(), "a push to one's own branch should land\n{out}");
            diary.pushes.push(fate);
            if pushed.len() == 1 {
                // What was pushed to both may not be there, and comes to one of them with this.
                if !are_level {
                    diary.together.clear();
                }
            } else if fate != Fate::Refused {
                diary.together.insert((one.clone(), two.clone()), tip.clone());
                are_level = fate == Fate::Done;
            }
            for branch in pushed {
                let (tips, last) = diary.branches.entry((*branch).clone()).or_default();
                if fate == Fate::Refused {
                    continue;
                }
                tips.push(tip.clone());
                if fate == Fate::Done {
                    *last = Some(tips.len() - 1);
                }
            }
            if fate == Fate::Lost {
                break;
            }
        }
        diary
    }

    /// The whole loop again and again, rating included.
    fn merges(&self, enough: &AtomicBool) -> Diary {
        let mut diary = Diary::default();
        while !enough.load(Ordering::Relaxed) {
            if self.merge_one(&mut diary).is_none() && !self.is_shaky() {
                break;
            }
        }
        diary
    }

    /// `None` once the connection is lost at whatever step, or something is refused where that may be.
    fn merge_one(&self, diary: &mut Diary) -> Option<()> {
        let n = self.next();
        let shaky = self.is_shaky();
        let told = |agent: &Agent, line: &str| {
            let out = agent.ssh_json(line);
            let fate = fate_of_command(&out);
            assert!(fate == Fate::Done || fate == Fate::Lost || shaky, "the load's own loop was refused\n{out}");
            (fate, out)
        };
        let command = |agent: &Agent, line: &str| {
            let (fate, out) = told(agent, line);
            (fate == Fate::Done).then(|| out.json())
        };
        let push = |out: Out| match fate_of_push(&out) {
            Fate::Done => Some(()),
            Fate::Refused if !shaky => panic!("the load's own push was refused\n{out}"),
            Fate::Refused | Fate::Unknown | Fate::Lost => None,
        };
        let issue = text(&command(&self.beta, &format!("issue new {PROJECT} --title work-{n}"))?, "/ref");
        let start = command(&self.alpha, &format!("start {issue}"))?;
        push(self.alpha.git(&self.alpha_clone, &["fetch", "-q", "origin"]))?;
        let work = Work::settled(&self.alpha, &issue, start, &self.alpha_clone);
        work.write(&format!("work/{n}.txt"), "done\n");
        work.record("true").ok();
        work.commit(&format!("work-{n}"));
        push(work.push())?;
        let pull = text(&command(&self.alpha, &format!("submit {} --issue {issue}", work.branch))?, "/ref");
        command(&self.beta, &format!("review approve {pull} fine"))?;
        let (fate, merged) = told(&self.alpha, &format!("merge {pull}"));
        // It landed, and its rating follows: done, though not all of it yet.
        let landed = fate == Fate::Refused && merged.stdout.contains("it landed as");
        diary.merges.insert(pull, if landed { Fate::Done } else { fate });
        (fate == Fate::Done).then(|| diary.landed.insert(text(&merged.json(), "/landed")))?;
        Some(())
    }

    /// Checks everything in the diary against a server that is up again: what a mirror fetches, and what git says.
    #[track_caller]
    pub fn check(&self, forge: &Forge) {
        for project in forge.projects() {
            let copy = self.mirror.join("repositories").join(format!("{project}.git"));
            // No `+` on the ledger and the chains: what was once fetched may never be taken back.
            let chains = "refs/forge/*:refs/forge/*";
            let rest = ["+refs/heads/*:refs/heads/*", "+refs/pull/*:refs/pull/*"];
            self.gamma.git(&copy, &["fetch", "-q", &self.gamma.ssh_url(&project), chains, rest[0], rest[1]]).ok();
            plumbing::assert_clean(&copy);
        }
        let busy = self.mirror.join("repositories").join(format!("{PROJECT}.git"));
        let forge_git = self.mirror.join("repositories/forge.git");
        // What was served is what the ledger says, by its own account.
        crate::tool(&["verify", self.mirror.to_str().expect("UTF-8")]).ok();
        self.check_comments(&busy);
        self.check_issues(&busy);
        self.check_branches(&busy);
        self.check_merges(&busy, &forge_git);
    }

    #[track_caller]
    fn check_comments(&self, busy: &Path) {
        let number = self.talk.split('#').nth(1).expect("project#number");
        let log = log_of(busy, "%B", &format!("refs/forge/issues/{number}"));
        for (words, fate) in &self.diary.comments {
            agrees(*fate, log.lines().filter(|line| line.trim() == words).count(), words);
        }
    }

    #[track_caller]
    fn check_issues(&self, busy: &Path) {
        let log = log_of(busy, "%(trailers:key=Forge-Entity,valueonly,separator=) %s", "--glob=refs/forge/issues/*");
        for (title, (fate, reference)) in &self.diary.issues {
            let lines: Vec<&str> = log.lines().filter(|line| line.ends_with(&format!("opened: {title}"))).collect();
            agrees(*fate, lines.len(), title);
            if let Some((_, number)) = reference.split_once('#') {
                let entity = format!("{PROJECT} issues/{number} ");
                assert!(lines[0].starts_with(&entity), "{title} should be {reference}, not {}", lines[0]);
            }
        }
    }

    #[track_caller]
    fn check_branches(&self, busy: &Path) {
        for (branch, (tips, last)) in &self.diary.branches {
            let now = plumbing::git(busy, &["rev-parse", "--verify", "-q", &format!("refs/heads/{branch}")]);
            let at = tips.iter().rposition(|tip| tip == now.text());
            match (last, at) {
                (None, None) => assert!(!now.is_ok(), "{branch} is what nobody acknowledged or lost sight of: {now}"),
                (None, Some(_)) => {}
                (Some(last), Some(at)) => assert!(at >= *last, "{branch} went back to its push number {at} of {last}"),
                (Some(last), None) => panic!("{branch} lost its push number {last}: {now}"),
            }
        }
        for ((one, two), tip) in &self.diary.together {
            let has = |branch: &str| {
                let branch = format!("refs/heads/{branch}");
                plumbing::git(busy, &["merge-base", "--is-ancestor", tip, &branch]).is_ok()
            };
            assert_eq!(has(one), has(two), "{tip} was pushed to {one} and {two} at once");
        }
    }

    #[track_caller]
    fn check_merges(&self, busy: &Path, forge_git: &Path) {
        let main = log_of(busy, "%H %s", "refs/heads/main");
        assert!(!main.contains("forbidden-"), "a refused push stands on the default branch:\n{main}");
        for commit in &self.diary.landed {
            assert!(main.lines().any(|line| line.starts_with(commit)), "{commit} landed and is gone");
        }
        let elo = plumbing::git(forge_git, &["rev-parse", "-q", "--verify", "refs/forge/elo/antfarm"]).is_ok();
        let ratings = if elo { log_of(forge_git, "%s", "refs/forge/elo/antfarm") } else { String::new() };
        for (pull, fate) in &self.diary.merges {
            let number = pull.split('#').nth(1).expect("project#number");
            let chain = log_of(busy, "%s", &format!("refs/forge/pulls/{number}"));
            let merged = chain.lines().filter(|line| line.starts_with("merged as")).count();
            agrees(*fate, merged, &format!("the merge of {pull}"));
            let rated = ratings.lines().filter(|line| line.contains(&format!("for {pull} on"))).count();
            // A rating follows its merge, from the outbox where the crash came in between; never twice, never alone.
            assert_eq!(rated, merged, "{pull} was merged {merged} times and rated {rated} times");
        }
    }
}

/// Exit codes of `ssh forge`: 255 is ssh's own word for a lost connection.
fn fate_of_command(out: &Out) -> Fate {
    match out.code {
        0 => Fate::Done,
        75 if says_unknown(out) => Fate::Unknown,
        75 => Fate::Refused,
        255 => Fate::Lost,
        _ => panic!("a command of the load was refused\n{out}"),
    }
}

fn fate_of_push(out: &Out) -> Fate {
    match out.is_ok() {
        true => Fate::Done,
        false if out.stderr.contains("(unknown: ") => Fate::Unknown,
        false if out.stderr.contains("rejected]") => Fate::Refused,
        false => Fate::Lost,
    }
}

/// Whether a refusal in JSON says that it may have been done.
fn says_unknown(out: &Out) -> bool {
    out.stdout.replace(' ', "").contains(r#""code":"unknown""#)
}

#[track_caller]
fn agrees(fate: Fate, found: usize, what: &str) {
    assert_eq!(fate.contradicted(found), None, "{what}: answered {fate:?}, there {found} times");
}

#[track_caller]
fn log_of(repository: &Path, format: &str, what: &str) -> String {
    plumbing::git(repository, &["log", &format!("--format={format}"), what]).ok().stdout
}
