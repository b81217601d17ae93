//! `forge import`: issues of elsewhere become issues of a project here.
//!
//! Invariant: everything is read and checked before anything is sent; what is malformed is named, and then nothing is sent.
//! Rows are kept in a file meanwhile, so that however many there are, one call of them is in memory.

mod bundle;
mod send;

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io::{self, BufWriter, Seek as _, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use notes_schema::{Oid, ProjectName, Sha256};
use serde_json::Value;

use self::send::Forge;
use crate::import::{self, FORMATS, Fault, Format, Item, Layout, Pages};

/// Longest item that is sent, in bytes: a call takes a mebibyte.
/// Limit: imported item with its comments, as JSON | {:bytes}; the later comments are left out
const LONGEST_ITEM: usize = 1_000_000;
/// Rows between two words about how far it is.
const BETWEEN: u64 = 1000;

/// What is imported, and where to.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "import")]
#[command(after_help = "Examples:\n  \
    gh issue list -R owner/parser --state all --limit 1000 \\\n    \
    --json number,title,body,author,labels,createdAt,closedAt,state,url,comments,closedByPullRequestsReferences > issues.json\n  \
    forge import github issues.json --project parser\n  \
    forge import github-rest https://api.github.com/repos/owner/parser --project parser --keep pages\n  \
    forge import swebench rows.jsonl --only owner__parser-57 --project parser --bundle bundles\n\n\
    The token is FORGE_TOKEN's where it is not given; FORGE_SOURCE_TOKEN is shown to the API that is read from.\n\
    What was imported before adds nothing. docs/import.md says what becomes of each field.")]
pub struct Args {
    /// What the input is.
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(FORMATS.iter().map(|format| format.name)))]
    format: String,
    /// A file, `-` for standard input, or with `github-rest` the address of a repository of the API.
    input: String,
    /// The project that gets the issues; it must exist, and you must be its maintainer.
    #[arg(long, short, value_name = "PROJECT")]
    project: ProjectName,
    /// The forge.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", env = "FORGE_URL")]
    to: String,
    /// Your token there (`ssh forge token`).
    #[arg(long, value_name = "TOKEN", env = "FORGE_TOKEN", hide_env_values = true)]
    token: String,
    /// Shown to the API that is read from.
    #[arg(long, value_name = "TOKEN", env = "FORGE_SOURCE_TOKEN", hide_env_values = true)]
    source_token: Option<String>,
    /// Code for a project that has none yet: a git bundle, or the directory with those that the rows name.
    #[arg(long, value_name = "FILE|DIR")]
    bundle: Option<PathBuf>,
    /// Only the rows whose key is this, or ends in it behind a `:` or `#`; may be given several times.
    #[arg(long, value_name = "KEY")]
    only: Vec<String>,
    /// Close here what is closed there, and name its fix then.
    #[arg(long)]
    close: bool,
    /// Open contests on the rows that have what it takes.
    #[arg(long)]
    with_contests: bool,
    /// Where pages of an API are kept, to be asked for again only if they changed.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Read and check, and send nothing.
    #[arg(long)]
    check: bool,
}

/// Imports.
pub fn run(args: &Args) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(import(args)),
        Err(error) => Err(error.to_string()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => super::fail(plain(&why)),
    }
}

async fn import(args: &Args) -> Result<(), String> {
    let mut gathered = gather(args).await.map_err(|why| format!("{why}\nnext: forge import --help"))?;
    gathered.say();
    if args.check {
        super::say(format_args!("good: {}; nothing was sent", counted(gathered.items)));
        return Ok(());
    }
    let mut forge = Forge::new(args)?;
    let project = forge.project().await?;
    if let Some(bundle) = &args.bundle {
        let file = gathered.bundle(bundle)?;
        match project.is_born {
            true => eprintln!("{} has code already; the bundle is left", args.project),
            false => {
                let commit = bundle::push(&file, gathered.base()?, &forge.git_url(), &args.token, &project.branch)?;
                eprintln!("{} is at {commit}, from {}", args.project, file.display());
            }
        }
    }
    let spool = gathered.rewound()?;
    let sent = forge.send(spool, gathered.items).await?;
    super::say(format_args!("{}: {} added, {} there before", args.project, counted(sent.added), sent.existing));
    if gathered.contests > 0 && !args.with_contests {
        super::say(format_args!("contests left out: {}", gathered.contests));
    }
    super::say(format_args!("next: ssh forge issue list {}", args.project));
    Ok(())
}

/// All that was read, and is good.
struct Gathered {
    spool: BufWriter<File>,
    keys: HashSet<Sha256>,
    items: u64,
    not_issues: u64,
    contests: u64,
    comments_left_out: u64,
    bases: BTreeSet<Oid>,
    bundles: BTreeSet<String>,
}

async fn gather(args: &Args) -> Result<Gathered, String> {
    let format = import::format(&args.format).ok_or("there is no such format")?;
    let spool = tempfile::tempfile().map_err(|e| format!("a temporary file: {e}"))?;
    let mut gathered = Gathered {
        spool: BufWriter::new(spool),
        keys: HashSet::new(),
        items: 0,
        not_issues: 0,
        contests: 0,
        comments_left_out: 0,
        bases: BTreeSet::new(),
        bundles: BTreeSet::new(),
    };
    let mut take = |_: &str, row: Value| gathered.take(args, format, &row);
    if format.layout == Layout::Pages {
        let say = |what: &str| eprintln!("{}", plain(what));
        let pages = Pages::new(&args.input, args.source_token.as_deref(), args.keep.as_deref(), &say);
        let tally = pages.map_err(|e| e.to_string())?.each(&mut take).await.map_err(|e| e.to_string())?;
        eprintln!("{} pages fetched, {} unchanged, {} waits", tally.fetched, tally.unchanged, tally.waited);
    } else {
        let (name, file): (String, Box<dyn io::Read>) = match args.input.as_str() {
            "-" => ("standard input".to_owned(), Box::new(io::stdin().lock())),
            path => {
                let name = PathBuf::from(path).file_name().map(|name| name.to_string_lossy().into_owned());
                (name.unwrap_or_default(), Box::new(File::open(path).map_err(|e| format!("{path}: {e}"))?))
            }
        };
        import::each(format.layout, &name, file, &mut take).map_err(|e| e.to_string())?;
    }
    match gathered.items {
        0 if !args.only.is_empty() => Err(format!("no row has the key {}", args.only.join(" or "))),
        _ => Ok(gathered),
    }
}

impl Gathered {
    /// Reads one row, and keeps its item.
    fn take(&mut self, args: &Args, format: &Format, row: &Value) -> Result<(), Fault> {
        let Some(read) = (format.read)(row)? else {
            self.not_issues += 1;
            return Ok(());
        };
        let mut item = read.item;
        if !args.only.is_empty() && !args.only.iter().any(|only| is_meant(&item.key, only)) {
            return Ok(());
        }
        if !self.keys.insert(Sha256::of(item.key.as_bytes())) {
            // An issue may move to the next page while pages are asked for.
            return if format.layout == Layout::Pages {
                Ok(())
            } else {
                Err(Fault::new("key", "a row above has it too"))
            };
        }
        if let Some(contest) = &item.contest {
            self.contests += 1;
            self.bases.insert(contest.base);
        }
        self.bundles.extend(read.bundle);
        if !args.with_contests {
            item.contest = None;
        }
        let line = self.fitting(&mut item)?;
        let written = writeln!(self.spool, "{line}");
        written.map_err(|e| Fault::new("row", format!("it cannot be kept in a temporary file: {e}")))?;
        self.items += 1;
        if self.items.is_multiple_of(BETWEEN) {
            eprintln!("{} issues read", self.items);
        }
        Ok(())
    }

    /// The item as JSON, without its last comments where it would be too long.
    fn fitting(&mut self, item: &mut Item) -> Result<String, Fault> {
        loop {
            let line = serde_json::to_string(item).map_err(|e| Fault::new("row", e.to_string()))?;
            if line.len() <= LONGEST_ITEM {
                return Ok(line);
            }
            let over = line.len() - LONGEST_ITEM;
            let before = item.comments.len();
            let mut freed = 0;
            while freed < over
                && let Some(comment) = item.comments.pop()
            {
                freed += comment.text.len().max(1);
            }
            if item.comments.len() == before {
                return Err(Fault::new("row", format!("longer than {LONGEST_ITEM} bytes without any comment")));
            }
            self.comments_left_out += (before - item.comments.len()) as u64;
        }
    }

    fn say(&self) {
        let Gathered { items, not_issues, comments_left_out, .. } = self;
        eprintln!("{items} issues read and good, {not_issues} rows that are none");
        if *comments_left_out > 0 {
            eprintln!("{comments_left_out} comments left out: their issues are too long");
        }
    }

    /// The commit that every row is about, where they say.
    fn base(&self) -> Result<Option<Oid>, String> {
        match self.bases.len() {
            0 | 1 => Ok(self.bases.first().copied()),
            several => Err(format!(
                "the rows are about {several} commits, and a project's code is one of them\nnext: forge import --only KEY …"
            )),
        }
    }

    /// The bundle that is meant: the file itself, or in a directory the one that all rows name.
    fn bundle(&self, given: &std::path::Path) -> Result<PathBuf, String> {
        if !given.is_dir() {
            return Ok(given.to_owned());
        }
        let mut names = self.bundles.iter();
        match (names.next(), names.next()) {
            (Some(name), None) => Ok(given.join(name)),
            (None, _) => Err(format!("{} is a directory, and no row names a file in it", given.display())),
            (Some(_), Some(_)) => Err(format!(
                "the rows name {} bundles, and a project's code is in one\nnext: forge import --only KEY …",
                self.bundles.len()
            )),
        }
    }

    fn rewound(&mut self) -> Result<File, String> {
        let fail = |e: io::Error| format!("a temporary file: {e}");
        self.spool.flush().map_err(fail)?;
        let mut file = self.spool.get_ref().try_clone().map_err(fail)?;
        file.rewind().map_err(fail)?;
        Ok(file)
    }
}

/// Whether `only` means the key: all of it, or its end.
fn is_meant(key: &str, only: &str) -> bool {
    key == only || key.strip_suffix(only).is_some_and(|before| before.ends_with([':', '#']))
}

/// `1 issue`, `3 issues`.
fn counted(n: u64) -> String {
    format!("{n} issue{}", if n == 1 { "" } else { "s" })
}

/// Text for a terminal: lines stay, and nothing else controls it.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::Comment;

    #[test]
    fn a_key_is_meant_by_its_end() {
        assert!(is_meant("swebench:owner__parser-57", "owner__parser-57"));
        assert!(
            is_meant("github:owner/parser#12", "12") && is_meant("github:owner/parser#12", "github:owner/parser#12")
        );
        assert!(!is_meant("github:owner/parser#112", "12") && !is_meant("swebench:owner__parser-57", "57"));
    }

    #[test]
    fn an_item_that_is_too_long_loses_its_last_comments() {
        let comment = |text: &str| Comment { author: "reporter-1".to_owned(), created_ms: 1, text: text.to_owned() };
        let long = "x".repeat(250_000);
        let item = Item::parse(r#"{"key":"a:b","title":"t"}"#).unwrap();
        let mut item = Item { comments: [1, 2, 3, 4, 5, 6].map(|_| comment(&long)).into(), ..item };
        let mut gathered = Gathered {
            spool: BufWriter::new(tempfile::tempfile().unwrap()),
            keys: HashSet::new(),
            items: 0,
            not_issues: 0,
            contests: 0,
            comments_left_out: 0,
            bases: BTreeSet::new(),
            bundles: BTreeSet::new(),
        };
        let line = gathered.fitting(&mut item).unwrap();
        assert!(line.len() <= LONGEST_ITEM && item.comments.len() == 3, "{}", item.comments.len());
        assert_eq!(gathered.comments_left_out, 3);
        let mut body = Item { body: "x".repeat(LONGEST_ITEM), comments: vec![comment("x")], ..item };
        assert!(gathered.fitting(&mut body).unwrap_err().to_string().contains("without any comment"));
    }
}
