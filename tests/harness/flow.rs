//! The loop as an agent walks it: project, issue, start, record, push, submit, review, merge.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::agent::{Agent, list, text};
use crate::out::Out;

/// Makes a project whose default branch holds `files`, pushed by its creator over SSH. Returns the work tree.
#[track_caller]
pub fn found_project(creator: &Agent, project: &str, files: &[(&str, &str)]) -> PathBuf {
    creator.json(&format!("project new {project}"));
    let dir = creator.home().join(format!("{project}-first"));
    fs::create_dir_all(&dir).expect("a directory");
    creator.git(&dir, &["init", "-q"]).ok();
    for (path, content) in files {
        write(&dir, path, content);
    }
    creator.git(&dir, &["add", "-A"]).ok();
    creator.git(&dir, &["commit", "-q", "-m", "First commit"]).ok();
    creator.git(&dir, &["remote", "add", "origin", &creator.ssh_url(project)]).ok();
    creator.git(&dir, &["push", "-q", "origin", "HEAD:refs/heads/main"]).ok();
    dir
}

/// Opens an issue and returns its reference.
#[track_caller]
pub fn open_issue(author: &Agent, project: &str, title: &str) -> String {
    text(&author.json(&format!("issue new {project} --title '{title}'")), "/ref")
}

/// Writes a file below `dir`.
pub fn write(dir: &Path, path: &str, content: &str) {
    let file = dir.join(path);
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent).expect("a directory");
    }
    fs::write(file, content).expect("a file");
}

/// An agent at work on an issue, in a clone set up as `start` said.
#[derive(Debug, Clone)]
pub struct Work {
    /// Who.
    pub agent: Agent,
    /// The clone.
    pub dir: PathBuf,
    /// The issue.
    pub issue: String,
    /// The branch that `start` offered, without `refs/heads/`.
    pub branch: String,
    /// All that `start` answered.
    pub start: Value,
}

impl Work {
    /// `start`, clone, paste the settings, switch to the offered branch.
    #[track_caller]
    pub fn start(agent: &Agent, issue: &str) -> Work {
        let start = agent.json(&format!("start {issue}"));
        let dir = agent.clone_into(&text(&start, "/clone/ssh"), &issue.replace(['#', '/'], "-"), &[]);
        Work::settled(agent, issue, start, &dir)
    }

    /// The same in a clone that exists.
    #[track_caller]
    pub fn start_in(agent: &Agent, issue: &str, dir: &Path) -> Work {
        let start = agent.json(&format!("start {issue}"));
        agent.git(dir, &["fetch", "-q", "origin"]).ok();
        Work::settled(agent, issue, start, dir)
    }

    /// Settles in the clone `dir`, which has fetched, by what `start` answered.
    #[track_caller]
    pub fn settled(agent: &Agent, issue: &str, start: Value, dir: &Path) -> Work {
        let branch = text(&start, "/branch");
        let branch = branch.strip_prefix("refs/heads/").unwrap_or(&branch).to_owned();
        let work = Work { agent: agent.clone(), dir: dir.to_owned(), issue: issue.to_owned(), branch, start };
        work.paste_settings();
        work.git(&["switch", "-q", "--no-track", "-c", &work.branch, "origin/HEAD"]).ok();
        work
    }

    /// Gives the settings of `start` to `git config`, as they stand.
    #[track_caller]
    pub fn paste_settings(&self) {
        for setting in list(&self.start, "/git_config") {
            let words = setting.as_array().expect("a setting is a list of words").iter();
            let mut args = vec!["config"];
            args.extend(words.map(|word| word.as_str().expect("a word")));
            self.git(&args).ok();
        }
    }

    /// `git` in the clone.
    pub fn git(&self, args: &[&str]) -> Out {
        self.agent.git(&self.dir, args)
    }

    /// Writes a file in the work tree.
    pub fn write(&self, path: &str, content: &str) {
        write(&self.dir, path, content);
    }

    /// `forge run -- sh -c <script>`.
    pub fn record(&self, script: &str) -> Out {
        self.agent.sh(&self.dir, &format!("forge run -- sh -c '{script}'"))
    }

    /// Commits everything and returns the commit.
    #[track_caller]
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "-A"]).ok();
        self.git(&["commit", "-q", "-m", message]).ok();
        self.head()
    }

    /// The commit that is checked out.
    #[track_caller]
    pub fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"]).ok().text().to_owned()
    }

    /// Plain `git push`: branch and records together.
    pub fn push(&self) -> Out {
        self.git(&["push"])
    }

    /// `submit <branch>`, as JSON.
    #[track_caller]
    pub fn submit(&self) -> Value {
        self.agent.json(&format!("submit {} --issue {} --title 'Answer to {}'", self.branch, self.issue, self.issue))
    }

    /// One passing run on new content, committed, pushed and submitted. Returns the pull request's reference.
    #[track_caller]
    pub fn deliver(&self, path: &str, content: &str) -> String {
        self.write(path, content);
        self.record("true").ok();
        self.commit(&format!("Change {path}"));
        self.push().ok();
        text(&self.submit(), "/ref")
    }
}

/// A merged pull request.
#[derive(Debug, Clone)]
pub struct Landed {
    /// The issue it answered.
    pub issue: String,
    /// The pull request.
    pub pull: String,
    /// What the default branch points at since.
    pub commit: String,
    /// What `merge` answered.
    pub answer: Value,
}

/// The whole loop: `judge` opens an issue, `author` delivers, `judge` approves, `author` merges.
#[track_caller]
pub fn land(author: &Agent, judge: &Agent, project: &str, path: &str, content: &str) -> Landed {
    let issue = open_issue(judge, project, &format!("Please change {path}"));
    let pull = Work::start(author, &issue).deliver(path, content);
    judge.json(&format!("review approve {pull} reads well"));
    let answer = author.json(&format!("merge {pull}"));
    Landed { issue, pull, commit: text(&answer, "/landed"), answer }
}
