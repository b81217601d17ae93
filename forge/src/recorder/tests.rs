use std::process::Command;

use notes_schema::Sha256;

use super::*;

const NONCE: &str = "000102030405060708090a0b0c0d0e0f";

/// A clone in a temporary directory, with one commit.
struct Work {
    dir: tempfile::TempDir,
}

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Sink {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

/// Exit status, stdout and stderr of a recorded run.
struct Seen {
    exit: u8,
    out: String,
    err: String,
}

impl Work {
    /// Without the settings of `start`.
    fn bare() -> Work {
        let work = Work { dir: tempfile::tempdir().unwrap() };
        work.git(&["init", "-q", "-b", "main"]);
        work.file("lib.sh", "exit 1\n");
        work.file(".gitignore", "*.log\n");
        work.git(&["add", "-A"]);
        work.git(&["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "first"]);
        work
    }

    fn new() -> Work {
        let work = Work::bare();
        let base = work.git(&["rev-parse", "HEAD"]);
        for (key, value) in [
            ("agent", "alpha"),
            ("key", "SHA256:abc"),
            ("issue", "12"),
            ("nonce", NONCE),
            ("base", &base),
            ("project", "parser"),
        ] {
            work.git(&["config", "--replace-all", &format!("forge.{key}"), value]);
        }
        work
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn file(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git").current_dir(self.path()).args(args).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    fn run(&self, command: &[&str]) -> Seen {
        self.run_with(command, |_| {})
    }

    fn run_with(&self, command: &[&str], change: impl FnOnce(&mut RunArgs)) -> Seen {
        self.run_in("", command, change)
    }

    fn run_in(&self, directory: &str, command: &[&str], change: impl FnOnce(&mut RunArgs)) -> Seen {
        let command = command.iter().map(OsString::from).collect();
        let mut args = RunArgs { timeout: None, reasoning: None, again: false, command };
        change(&mut args);
        let (out, err) = (Sink::default(), Sink::default());
        let streams = Streams::to(out.clone(), err.clone());
        let exit = run_in(&self.path().join(directory), args, &streams);
        Seen { exit, out: out.text(), err: err.text() }
    }

    /// Newest first.
    fn records(&self) -> Vec<Record> {
        store::newest(&Git::find(self.path()).unwrap()).unwrap()
    }

    /// The tree that `git add -A && git commit` would make, by git alone.
    fn commit_tree(&self) -> Oid {
        self.git(&["add", "-A"]);
        self.git(&["write-tree"]).parse().unwrap()
    }
}

/// A text in which something was not struck out.
fn secret(place: &str, text: &str) -> Option<String> {
    (!hooks::secrets::find(text).is_empty() || text.contains("a1B2")).then(|| format!("{place}: {text}"))
}

#[test]
fn failure_and_success_are_recorded_on_their_trees_and_chained() {
    let work = Work::new();
    let failed = work.run(&["sh", "lib.sh"]);
    assert_eq!(failed.exit, 1);
    assert!(failed.err.contains("exit 1") && failed.err.contains("next: forge run --again"), "{}", failed.err);

    work.file("lib.sh", "echo '1..1'; echo 'ok 1 - works'; echo careful >&2\n");
    let passed = work.run_with(&["sh", "lib.sh"], |args| args.reasoning = Some("it must not exit".into()));
    assert_eq!((passed.exit, passed.out.as_str()), (0, "1..1\nok 1 - works\n"));
    assert!(passed.err.starts_with("careful\n"), "{}", passed.err);
    assert!(
        passed.err.contains("1 passed, 0 failed") && passed.err.contains("next: git add -A && git commit -q -m "),
        "{}",
        passed.err
    );

    let records = work.records();
    let [second, first] = &records[..] else { panic!("{records:?}") };
    assert_eq!((first.last().exit, second.last().exit), (Some(1), Some(0)));
    assert_eq!((first.prev, second.prev), (None, Some(first.digest())));
    let base: Oid = work.git(&["rev-parse", "HEAD"]).parse().unwrap();
    assert_eq!(first.head_tree.to_string(), work.git(&["rev-parse", "HEAD^{tree}"]));
    assert_eq!((second.base_commit, second.base_tree), (Some(base), Some(first.head_tree)));
    assert_eq!(second.head_tree, work.commit_tree());
    assert_eq!((second.agent.as_str(), second.project.as_str(), second.issue), ("alpha", "parser", Some(12)));
    assert_eq!((second.nonce.to_string().as_str(), second.key_fp.as_deref()), (NONCE, Some("SHA256:abc")));
    let last = second.last();
    assert_eq!(last.argv, ["sh", "lib.sh"]);
    assert_eq!(last.stdout.as_ref().unwrap().head, "1..1\nok 1 - works\n");
    assert_eq!(last.stderr.as_ref().unwrap().sha256, Some(Sha256::of(b"careful\n")));
    assert_eq!(last.tests.as_ref().map(|t| (t.passed, t.failed)), Some((1, 0)));
    assert_eq!(last.reasoning.as_deref(), Some("it must not exit"));
    let subject = work.git(&["log", "--format=%an %s", "-1", &format!("refs/notes/forge/out/{}", second.id)]);
    assert_eq!(subject, "alpha sh lib.sh: exit 0");
}

impl Work {
    /// The patch that a record carries, which stock git and the replay agree to make its tree of `from`.
    fn replayed(&self, record: &Record, from: Oid) -> Vec<u8> {
        let last = record.last();
        let text = hooks::patch::inflate(last.patch.as_ref().unwrap_or_else(|| panic!("{last:?}"))).unwrap();
        let stock = crate::away::Stock::open(self.path()).unwrap();
        assert_eq!(::git::apply::apply(&stock, from, &text, &mut (1 << 30)).unwrap().tree, last.tree);
        std::fs::write(self.path().join(".git/patch"), &text).unwrap();
        let apply = format!(
            "git read-tree {from} && {{ ! test -s .git/patch || git apply --cached .git/patch; }} && git write-tree"
        );
        let index = self.path().join(".git/other-index");
        let output =
            Command::new("sh").current_dir(self.path()).args(["-ec", &apply]).env("GIT_INDEX_FILE", index).output();
        let output = output.unwrap();
        let made = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(made.trim(), last.tree.to_string(), "{}", String::from_utf8_lossy(&output.stderr));
        text
    }
}

#[test]
fn records_carry_the_patches_from_tree_to_tree() {
    let work = Work::new();
    let base: Oid = work.git(&["rev-parse", "HEAD^{tree}"]).parse().unwrap();
    work.file("new/blob", "\0\u{1}\n\0 no end");
    work.run(&["sh", "lib.sh"]);
    work.file("lib.sh", "exit 0\n");
    std::fs::remove_file(work.path().join(".gitignore")).unwrap();
    work.run(&["sh", "lib.sh"]);
    work.run(&["sh", "lib.sh"]);
    let records = work.records();
    let [again, fixed, failed] = &records[..] else { panic!("{records:?}") };
    assert!(!work.replayed(failed, base).is_empty());
    let fix = String::from_utf8(work.replayed(fixed, failed.head_tree)).unwrap();
    assert!(fix.contains("\n-exit 1\n+exit 0\n") && !fix.contains("blob"), "{fix}");
    assert_eq!(work.replayed(again, fixed.head_tree), b"", "nothing changed, and that is claimed");
    // Another `start`, another chain: what was done for one issue is no part of the next.
    work.git(&["config", "--replace-all", "forge.nonce", &NONCE.replace("00", "ff")]);
    work.run(&["sh", "lib.sh"]);
    let next = &work.records()[0];
    assert_eq!(next.prev, Some(again.digest()));
    assert!(String::from_utf8_lossy(&work.replayed(next, base)).contains("blob"));
}

#[test]
fn a_patch_that_holds_a_secret_is_left_out_and_the_next_begins_at_the_base() {
    let work = Work::new();
    let base: Oid = work.git(&["rev-parse", "HEAD^{tree}"]).parse().unwrap();
    let token = format!("ghp_{}", "a1B2".repeat(9));
    work.file("leak", &format!("here: {token}\n"));
    let seen = work.run(&["true"]);
    assert!(
        seen.err.contains("is left out of the record: its line 7 looks like a secret (github-token)"),
        "{}",
        seen.err
    );
    let record = &work.records()[0];
    assert!(record.last().patch.is_none() && record.last().patch_omitted);
    assert_eq!(record.find_text(|place, text| text.contains("a1B2").then(|| place.to_owned())), None);
    work.file("leak", "nothing any more\n");
    work.run(&["true"]);
    work.replayed(&work.records()[0], base);
}

#[test]
fn a_patch_that_does_not_fit_is_left_out_and_the_run_is_recorded() {
    let work = Work::new();
    // No compressor makes much of this.
    let mut state = 1u32;
    let noise: String = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'a' + (state >> 24) as u8 % 26)
    })
    .take(1_000_000)
    .collect();
    work.file("noise", &noise);
    let seen = work.run(&["sh", "-c", "yes | head -c 100000; exit 3"]);
    assert_eq!(seen.exit, 3);
    let why = work.records()[0].last().patch_omitted_why.clone().unwrap();
    assert!(why.contains("bytes of it are left") && seen.err.contains(&why), "{why}: {}", seen.err);
    assert_eq!(work.records()[0].last().exit, Some(3));
    // What compresses well may be long.
    work.file("noise", &"the same line again and again\n".repeat(100_000));
    work.run(&["true"]);
    assert!(work.records()[0].last().patch.is_some());
    work.file("noise", &"0123456789abcdef".repeat(1 << 20));
    work.run(&["true"]);
    assert_eq!(work.records()[0].last().patch_omitted_why.as_deref(), Some("it has more than 8 MiB"));
}

#[test]
fn the_snapshot_is_the_later_commits_tree_and_leaves_the_index_alone() {
    let work = Work::new();
    work.file("new/file.txt", "untracked\n");
    work.file("noise.log", "ignored\n");
    std::fs::remove_file(work.path().join("lib.sh")).unwrap();
    let before = work.git(&["status", "--porcelain"]);
    let seen = work.run(&["true"]);
    assert!(
        seen.err.contains("untracked files that a commit would not: new/file.txt; next: git add -A"),
        "{}",
        seen.err
    );
    assert_eq!(work.git(&["status", "--porcelain"]), before);
    assert_eq!(work.records()[0].head_tree, work.commit_tree());
    let left = std::fs::read_dir(work.path().join(".git")).unwrap().map(|e| e.unwrap().file_name());
    assert!(!left.into_iter().any(|name| name.to_string_lossy().starts_with("forge-run-")));
}

#[test]
fn a_change_in_the_moment_of_the_index_is_seen() {
    // Same size, same second as the index: git tells it by the index's own time, which the copy must keep.
    let work = Work::new();
    let same = std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let touch = |name: &str| {
        std::fs::File::options().append(true).open(work.path().join(name)).unwrap().set_modified(same).unwrap();
    };
    work.git(&["config", "core.trustctime", "false"]);
    touch("lib.sh");
    work.git(&["update-index", "--refresh"]);
    work.file("lib.sh", "exit 2\n");
    touch("lib.sh");
    touch(".git/index");
    work.run(&["true"]);
    let tree = work.records()[0].head_tree;
    assert_eq!(work.git(&["cat-file", "blob", &format!("{tree}:lib.sh")]), "exit 2");
}

#[test]
fn a_sparse_checkout_keeps_what_is_not_checked_out() {
    let work = Work::new();
    work.file("far/away.txt", "x\n");
    work.git(&["add", "-A"]);
    work.git(&["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "far"]);
    work.git(&["sparse-checkout", "set", "--no-cone", "/*", "!/far/"]);
    assert!(!work.path().join("far/away.txt").exists());
    let seen = work.run(&["true"]);
    assert_eq!(work.records()[0].head_tree.to_string(), work.git(&["rev-parse", "HEAD^{tree}"]));
    assert!(seen.err.contains("next: git push"), "{}", seen.err);
}

#[test]
fn a_run_that_changes_its_tree_is_named() {
    let work = Work::new();
    let seen = work.run(&["sh", "-c", "echo more >> lib.sh"]);
    assert!(seen.err.contains("the run changed files of the tree it tested: lib.sh"), "{}", seen.err);
}

#[test]
fn every_ending_is_recorded_and_passed_on() {
    let work = Work::new();
    assert_eq!(work.run(&["sh", "-c", "exit 7"]).exit, 7);
    assert_eq!(work.run(&["sh", "-c", "kill -9 $$"]).exit, 137);
    assert_eq!(work.run(&["no-such-program-here"]).exit, 127);
    assert_eq!(work.run(&["./.gitignore"]).exit, 126);
    let slow = work.run_with(&["sh", "-c", "echo started; sleep 600 & sleep 600"], |args| args.timeout = Some(1));
    assert_eq!((slow.exit, slow.out.as_str()), (124, "started\n"));
    let endings: Vec<String> = work.records().iter().rev().map(|r| r.last().ending()).collect();
    assert_eq!(endings, ["exit 7", "signal 9", "exit 127", "exit 126", "timed out"]);
    assert_eq!(work.records()[0].last().signal, Some(15));
}

#[test]
fn secrets_never_reach_the_record() {
    let work = Work::new();
    let token = format!("ghp_{}", "a1B2".repeat(9));
    let script = format!("echo {token}; echo PASSWORD=a1B2c3D4e5F6 >&2");
    let seen = work.run_with(&["sh", "-c", &script, "--token", "a1B2c3D4e5F6g7"], |args| {
        args.reasoning = Some(format!("with {token}"));
    });
    assert_eq!(seen.out, format!("{token}\n"), "what the agent sees is its own");
    let record = &work.records()[0];
    assert_eq!(record.find_text(secret), None);
    let counts: Vec<(&str, u64)> = record.redactions.iter().map(|(rule, n)| (rule.as_str(), *n)).collect();
    assert_eq!(counts, [("assignment", 2), ("command-option", 1), ("github-token", 3)]);
    assert_eq!(record.last().argv[4], "[redacted:command-option]");
    assert!(seen.err.contains("nobody can run it again, so it proves nothing"), "{}", seen.err);
    let again = work.run_with(&[], |args| args.again = true);
    assert_eq!(again.exit, 2, "{}", again.err);
}

#[test]
fn what_nobody_could_repeat_is_passed_over() {
    let again = |work: &Work| work.run_with(&[], |args| args.again = true);
    let work = Work::new();
    work.run(&["sh", "-c", "echo first"]);
    work.run(&["sh", "-c", "echo second", "--token", "a1B2c3D4e5F6g7"]);
    let seen = again(&work);
    assert_eq!((seen.exit, seen.out.as_str()), (0, "first\n"), "{}", seen.err);
    assert!(seen.err.contains("again: `sh -c echo first`; what was recorded after it"), "{}", seen.err);
}

/// Runs words, or the last ones again where there are none.
type Recorder<'w> = Box<dyn Fn(&[&str]) -> Seen + 'w>;

#[test]
fn a_run_in_an_ignored_directory_is_repeated_from_the_top_by_both_recorders() {
    let work = Work::new();
    work.file(".gitignore", "build\n");
    work.file("build/it's here", "");
    let program = |words: &[&str]| work.run_in("build", words, |args| args.again = words.is_empty());
    let script = |shell: &[&'static str], words: &[&str]| {
        work.script_in("build", shell, if words.is_empty() { &["--again"] } else { &[] }, words)
    };
    let mut recorders: Vec<Recorder<'_>> = vec![Box::new(program)];
    for shell in shells() {
        recorders.push(Box::new(move |words| script(&shell, words)));
    }
    let wrapped = ["sh", "-c", "cd \"./$0\" && exec \"$@\"", "build", "ls", "-1"];
    for run in recorders {
        let seen = run(&["ls", "-1"]);
        assert!(
            seen.err.contains("it ran in `build`, which no commit would hold; next: forge run --again"),
            "{}",
            seen.err
        );
        assert_eq!(work.records()[0].last().cwd, "build");
        // What nobody could repeat is passed over.
        let seen = run(&["ls", "--token", "a1B2c3D4e5F6g7"]);
        assert!(seen.err.contains("nobody can run it again, so it proves nothing"), "{}", seen.err);
        assert_eq!(work.records()[0].last().argv[2], "[redacted:command-option]");
        let seen = run(&[]);
        assert_eq!((seen.exit, seen.out.as_str()), (0, "it's here\n"), "{}", seen.err);
        assert!(!seen.err.contains("which no commit would hold"), "{}", seen.err);
        let records = work.records();
        assert_eq!(
            (records[0].last().cwd.as_str(), &records[0].last().argv[..]),
            ("", &wrapped.map(str::to_owned)[..])
        );
    }
}

#[test]
fn fixtures_that_the_default_branch_lists_are_kept() {
    let work = Work::new();
    let token = format!("ghp_{}", "a1B2".repeat(9));
    work.file(".forge/secrets.allow", &format!("{}  of the lexer's tests\n", Sha256::of(token.as_bytes())));
    let script = format!("echo {token}");
    let kept = |work: &Work| work.records()[0].last().stdout.as_ref().unwrap().head == format!("{token}\n");
    work.run(&["sh", "-c", &script]);
    assert!(!kept(&work), "a list that is not on the default branch lists nothing");
    work.git(&["add", "-A"]);
    work.git(&["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "list"]);
    work.git(&["update-ref", "refs/remotes/origin/HEAD", "HEAD"]);
    work.run(&["sh", "-c", &script]);
    assert!(kept(&work) && work.records()[0].redactions.is_empty());
}

#[test]
fn a_run_can_be_repeated() {
    let work = Work::new();
    assert_eq!(work.run_with(&[], |args| args.again = true).exit, 2);
    work.run(&["sh", "lib.sh"]);
    work.file("lib.sh", "echo fixed\n");
    let again = work.run_with(&[], |args| args.again = true);
    assert_eq!((again.exit, again.out.as_str()), (0, "fixed\n"));
    assert_eq!(work.records()[0].last().argv, ["sh", "lib.sh"]);
}

#[test]
fn without_settings_or_a_clone_the_command_runs_all_the_same() {
    let work = Work::bare();
    let seen = work.run(&["sh", "lib.sh"]);
    assert_eq!(seen.exit, 1);
    assert!(seen.err.contains("lacks forge.agent, forge.project, forge.nonce; next: ssh forge feed"), "{}", seen.err);
    work.git(&["config", "forge.issue", "parser#12"]);
    let seen = work.run(&["true"]);
    assert!(seen.err.contains("lacks forge.agent, forge.nonce; next: ssh forge start parser/12"), "{}", seen.err);
    assert!(work.records().is_empty());
    let nowhere = Work { dir: tempfile::tempdir().unwrap() };
    let seen = nowhere.run(&["sh", "-c", "echo hi; exit 3"]);
    assert_eq!((seen.exit, seen.out.as_str()), (3, "hi\n"));
    assert!(seen.err.contains("not recorded"), "{}", seen.err);
}

#[test]
fn an_unborn_branch_can_be_tested() {
    let work = Work { dir: tempfile::tempdir().unwrap() };
    work.git(&["init", "-q"]);
    work.file("a", "a\n");
    for (key, value) in [("agent", "alpha"), ("nonce", NONCE), ("issue", "parser/12")] {
        work.git(&["config", &format!("forge.{key}"), value]);
    }
    assert_eq!(work.run(&["true"]).exit, 0);
    let record = &work.records()[0];
    assert_eq!((record.project.as_str(), record.issue, record.base_commit), ("parser", Some(12), None));
    assert_eq!(record.head_tree, work.commit_tree());
}

#[test]
fn the_hand_made_record_of_the_manual_is_a_good_record() {
    let manual = include_str!("../../../docs/proof.md");
    let script = manual.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block of shell");
    let work = Work::new();
    work.file("lib.sh", "exit 0\n");
    work.git(&["add", "-A"]);
    work.git(&["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "fix"]);
    work.git(&["config", "user.name", "t"]);
    work.git(&["config", "user.email", "t@t"]);
    // Everything but the push: there is nowhere to push to here.
    let local: String = script.lines().filter(|line| *line != "git push").map(|line| format!("{line}\n")).collect();
    let output = Command::new("sh").current_dir(work.path()).args(["-euc", &local]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let record = &work.records()[0];
    assert_eq!(record.head_tree.to_string(), work.git(&["rev-parse", "HEAD^{tree}"]));
    assert_eq!((record.last().exit, record.last().argv.join(" ").as_str()), (Some(0), "sh lib.sh"));
    assert!(
        work.git(&["for-each-ref", "--format=%(refname)"]).contains(&format!("refs/notes/forge/out/{}", record.id))
    );
    // The recorder goes on where the hand left off.
    work.run(&["sh", "lib.sh"]);
    assert_eq!(work.records()[0].prev, Some(record.digest()));
}

/// The shells that run the script, as far as they are here.
fn shells() -> Vec<Vec<&'static str>> {
    let all = [vec!["sh"], vec!["dash"], vec!["busybox", "sh"], vec!["bash", "--posix"]];
    let here = |shell: &Vec<&str>| Command::new(shell[0]).args(["-c", ":"]).output().is_ok() || shell[0] == "sh";
    all.into_iter().filter(here).collect()
}

impl Work {
    /// The script's run of a command.
    fn script(&self, shell: &[&str], options: &[&str], command: &[&str]) -> Seen {
        self.script_in("", shell, options, command)
    }

    fn script_in(&self, directory: &str, shell: &[&str], options: &[&str], command: &[&str]) -> Seen {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../frontend-static/forge-run.sh");
        let mut run = Command::new(shell[0]);
        run.args(&shell[1..]).arg(script).args(options);
        if !command.is_empty() {
            run.arg("--").args(command);
        }
        let output = run.current_dir(self.path().join(directory)).stdin(std::process::Stdio::null()).output().unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let exit = output.status.code().expect("the script ends by itself") as u8;
        Seen { exit, out: text(&output.stdout), err: text(&output.stderr) }
    }
}

#[test]
fn the_script_counts_tests_as_the_program_does() {
    let fixtures = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../hooks/src/counts/fixtures"));
    let mut names: Vec<PathBuf> = std::fs::read_dir(fixtures).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|kind| kind == "txt"));
    names.sort();
    assert!(names.len() >= 15);
    let shell = shells().pop().unwrap();
    for path in names {
        let work = Work::new();
        assert_eq!(work.script(&shell, &[], &["cat", path.to_str().unwrap()]).exit, 0);
        assert_eq!(work.run(&["cat", path.to_str().unwrap()]).exit, 0);
        let counts = |record: &Record| record.last().tests.as_ref().map(notes_schema::trace::Tests::counts);
        let records = work.records();
        let [one, two] = &records[..] else { panic!("{}: {} records", path.display(), records.len()) };
        assert!(counts(one).is_some(), "{}", path.display());
        assert_eq!(counts(one), counts(two), "{}", path.display());
        // What was kept of the output is the same as well.
        let out = |record: &Record| record.last().stdout.clone().map(|out| (out.head, out.tail, out.lines));
        assert_eq!(out(one), out(two), "{}", path.display());
    }
}

#[test]
fn the_script_records_what_the_program_would_in_every_shell() {
    let token = format!("ghp_{}", "a1B2".repeat(9));
    let pem = "-----BEGIN RSA PRIVATE KEY-----\nQUJD\n-----END RSA PRIVATE KEY-----";
    let print = format!(
        "printf 'é \"\\377\\tq\"\\\\\\n\\360\\237\\246\\200 {token}\\n{pem}\\n'; echo PASSWORD=a1B2c3D4e5F6 >&2; exit 7"
    );
    for shell in shells() {
        let work = Work::new();
        work.file("new.txt", "untracked\n");
        let seen = work.script(&shell, &["--reasoning", &format!("why\nwith {token}")], &["sh", "-c", &print]);
        assert_eq!(seen.exit, 7, "{shell:?}: {}", seen.err);
        assert!(seen.out.contains(&token), "what the agent sees is its own");
        assert!(seen.err.contains("untracked files that a commit would not: new.txt"), "{}", seen.err);
        let record = &work.records()[0];
        let base: Oid = work.git(&["rev-parse", "HEAD"]).parse().unwrap();
        assert_eq!((record.agent.as_str(), record.issue, record.base_commit), ("alpha", Some(12), Some(base)));
        assert_eq!((record.key_fp.as_deref(), record.head_tree), (Some("SHA256:abc"), work.commit_tree()));
        let text = work.replayed(record, record.base_tree.unwrap());
        let git = Git::find(work.path()).unwrap();
        assert_eq!(Some(text), git.patch(record.base_tree.unwrap(), record.head_tree, 1 << 20).unwrap(), "{shell:?}");
        let last = record.last();
        assert_eq!((last.exit, last.reasoning.as_deref()), (Some(7), Some("why\nwith [redacted:github-token]")));
        let out = last.stdout.as_ref().unwrap();
        let expected = "é \"\u{fffd}\tq\"\\\n\u{1f980} [redacted:github-token]\n[redacted:private-key]\n";
        assert_eq!(out.head, expected, "{shell:?}");
        assert_eq!(record.find_text(secret), None, "{shell:?}");
        let rules: Vec<&str> = record.redactions.iter().map(|(rule, _)| rule.as_str()).collect();
        for rule in ["assignment", "github-token", "private-key"] {
            assert!(rules.contains(&rule), "{shell:?}: {rules:?}");
        }

        // Endings, as the program passes them on.
        assert_eq!(work.script(&shell, &[], &["sh", "-c", "kill -9 $$"]).exit, 137, "{shell:?}");
        assert_eq!(work.records()[0].last().signal, Some(9), "{shell:?}");
        assert_eq!(work.script(&shell, &[], &["no-such-program-here"]).exit, 127, "{shell:?}");
        let slow = work.script(&shell, &["--timeout", "1"], &["sh", "-c", "echo started; sleep 600 & sleep 600"]);
        assert_eq!((slow.exit, slow.out.as_str()), (124, "started\n"), "{shell:?}: {}", slow.err);
        assert!(work.records()[0].last().timed_out, "{shell:?}");
        let changed = work.script(&shell, &["run"], &["sh", "-c", "echo more >> lib.sh"]);
        assert!(changed.err.contains("the run changed files of the tree it tested: lib.sh"), "{}", changed.err);
        let again = work.script(&shell, &["run", "--again"], &[]);
        assert_eq!((again.exit, work.records()[0].last().argv[2].as_str()), (0, "echo more >> lib.sh"), "{shell:?}");
        let left = std::fs::read_dir(work.path().join(".git")).unwrap().map(|e| e.unwrap().file_name());
        let left: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with("forge-run-")).collect();
        assert_eq!(left, ["forge-run-last"], "{shell:?}");
        let subject =
            work.git(&["for-each-ref", "--count=1", "--format=%(authorname) %(authordate:raw)", refs::OUT_PREFIX]);
        assert!(subject.starts_with("alpha ") && subject.ends_with(" +0000"), "{subject}");
    }
}

#[test]
fn the_script_leaves_out_what_the_program_would_and_what_is_long() {
    let token = format!("ghp_{}", "a1B2".repeat(9));
    let lines = |count| (0..count).map(|n: u32| format!("line {n}\n")).collect::<String>();
    for shell in shells() {
        let work = Work::new();
        let why = |content: &str| {
            work.file("new", content);
            let seen = work.script(&shell, &[], &["true"]);
            let why = work.records()[0].last().patch_omitted_why.clone();
            assert_eq!(seen.err.contains("is left out of the record"), why.is_some(), "{shell:?}: {}", seen.err);
            why.unwrap_or_default()
        };
        assert_eq!(
            why(&format!("x\nhere: {token}\n")),
            "something in it looks like a secret (github-token)",
            "{shell:?}"
        );
        assert_eq!(
            why("-----BEGIN RSA PRIVATE KEY-----\nQUJD\n-----END RSA PRIVATE KEY-----\n").split_once('(').unwrap().1,
            "private-key)"
        );
        assert_eq!(why(&lines(30_000)), "it has more than 256 KiB, and this script stores it as it is", "{shell:?}");
        assert_eq!(why(&lines(15_000)), "", "{shell:?}");
        work.replayed(&work.records()[0], work.git(&["rev-parse", "HEAD^{tree}"]).parse().unwrap());
        work.git(&["config", "--unset", "forge.base"]);
        assert_eq!(why("x\n"), "no tree is known that it could start from", "{shell:?}");
    }
}

#[test]
fn the_script_runs_the_command_all_the_same_where_nothing_can_be_recorded() {
    for shell in shells() {
        let work = Work::bare();
        let seen = work.script(&shell, &[], &["sh", "lib.sh"]);
        assert_eq!(seen.exit, 1, "{shell:?}");
        assert!(seen.err.contains("lacks forge.agent forge.project forge.nonce; next: ssh forge feed"), "{}", seen.err);
        assert!(work.records().is_empty());
        let nowhere = Work { dir: tempfile::tempdir().unwrap() };
        let seen = nowhere.script(&shell, &[], &["sh", "-c", "echo hi; exit 3"]);
        assert_eq!((seen.exit, seen.out.as_str()), (3, "hi\n"), "{shell:?}");
        assert!(seen.err.contains("not recorded"), "{}", seen.err);
        assert_eq!(nowhere.script(&shell, &["--timeout", "x"], &["true"]).exit, 2, "{shell:?}");
        assert_eq!(nowhere.script(&shell, &["--again"], &[]).exit, 2, "{shell:?}");
    }
}

#[test]
fn the_script_is_clean_where_shellcheck_can_tell() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../frontend-static/forge-run.sh");
    let Ok(output) = Command::new("shellcheck").args(["-s", "sh", script]).output() else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// A key without a passphrase, and its fingerprint.
fn key(work: &Work, name: &str) -> (String, String) {
    let path = work.path().join(".git").join(name).display().to_string();
    let keygen = |args: &[&str]| {
        let output = Command::new("ssh-keygen").args(args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    keygen(&["-q", "-t", "ed25519", "-N", "", "-f", &path]);
    let fingerprint = keygen(&["-l", "-f", &path]).split(' ').nth(1).unwrap().to_owned();
    (path, fingerprint)
}

/// Who signed the newest record, if anybody did.
fn signer(work: &Work) -> Option<String> {
    let newest =
        work.git(&["for-each-ref", "--sort=-refname", "--count=1", "--format=%(refname)", "refs/notes/forge/out"]);
    let blob = |name: &str| {
        let output = Command::new("git")
            .current_dir(work.path())
            .args(["cat-file", "blob", &format!("{newest}:{name}")])
            .output();
        let output = output.unwrap();
        output.status.success().then_some(output.stdout)
    };
    let signature = blob("record.sig")?;
    Some(crate::ledger::record_signer(&blob("record").unwrap(), &signature).unwrap())
}

#[test]
fn a_record_is_signed_with_the_key_that_is_named_or_goes_unsigned() {
    let work = Work::new();
    assert_eq!(work.run(&["true"]).exit, 0);
    assert_eq!(signer(&work), None);
    let (path, fingerprint) = key(&work, "one");
    // The key that git signs with is taken where the forge knows the agent by it, and not otherwise.
    work.git(&["config", "gpg.format", "ssh"]);
    work.git(&["config", "user.signingkey", &path]);
    assert_eq!(work.run(&["true"]).exit, 0);
    assert_eq!(signer(&work), None);
    work.git(&["config", "--replace-all", "forge.key", &fingerprint]);
    assert_eq!(work.run(&["true"]).exit, 0);
    assert_eq!(signer(&work), Some(fingerprint));
    let (path, fingerprint) = key(&work, "two");
    work.git(&["config", "forge.signingkey", &path]);
    assert_eq!(work.run(&["true"]).exit, 0);
    assert_eq!(signer(&work), Some(fingerprint));
    // A key that is not there keeps nothing from being recorded.
    work.git(&["config", "forge.signingkey", "~/nowhere"]);
    let seen = work.run(&["sh", "lib.sh"]);
    assert_eq!(seen.exit, 1);
    assert!(seen.err.contains("not signed: ") && seen.err.contains("recorded "), "{}", seen.err);
    assert_eq!(signer(&work), None);
}

#[test]
fn a_record_of_a_challenge_names_it_and_may_be_pushed_whatever_came_of_it() {
    let work = Work::new();
    work.git(&["config", "forge.subject", "challenge/1"]);
    let seen = work.run(&["sh", "lib.sh"]);
    assert!(seen.exit == 1 && seen.err.contains("next: git push"), "{}", seen.err);
    assert_eq!(work.records().last().unwrap().subject.as_deref(), Some("challenge/1"));
}
