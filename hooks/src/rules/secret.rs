//! A push that brings a file with a token or a private key in it is refused: what is pushed can be read for ever.

use std::collections::BTreeSet;

use notes_schema::Oid;

use crate::command::quote;
use crate::push::{PushRule, PushedRef};
use crate::secrets::{ALLOW_PATH, Allowed, Place};
use crate::{Bringing, Judgement, Refusal, Repo, Undecided, Verdict};

/// See the module. It looks at what nothing here had before, at every commit of it; the value is never named.
pub const RULE: PushRule = PushRule {
    word: "secret",
    demands: "no pushed file holds a token or a private key, but for the fixtures that the default branch lists",
    judge,
};

/// How many places are listed.
const LISTED: usize = 1000;
/// How many paths one command mends; the next push names the others.
const MENDED: usize = 50;

fn judge(repo: &dyn Repo, pushed: &PushedRef<'_>) -> Judgement {
    let Some(new) = pushed.update.new else { return Ok(Verdict::Ok) };
    if !repo.policy()?.policy.search_secrets {
        return Ok(Verdict::Ok);
    }
    let searched = repo.searched()?;
    if searched.places.is_empty() {
        return Ok(Verdict::Ok);
    }
    let (allowed, whose) = allowed(repo, pushed)?;
    let places: Vec<&Place> = searched.places.iter().filter(|place| !allowed.has_digest(&place.digest)).collect();
    let blobs: BTreeSet<Oid> = places.iter().map(|place| place.blob).collect();
    if blobs.is_empty() {
        return Ok(Verdict::Ok);
    }
    let Some(found) = repo.bringing(&pushed.update.name, new, &blobs)? else {
        return Ok(Verdict::Refused(far_away(pushed, places[0], new)));
    };
    let mut named = found.paths.iter().flat_map(|(blob, path)| {
        places.iter().filter(move |place| place.blob == *blob).map(move |place| (path.as_str(), *place))
    });
    let Some((path, place)) = named.next() else {
        // It comes with another ref of this push, or with none. What is kept of a push can be had by a later one that
        // sends less, so nothing is kept of this one.
        return Ok(Verdict::Refused(beside(pushed)));
    };
    let others = named.clone().count();
    let more = if others == 0 { String::new() } else { format!(", and so do {others} more places") };
    let path_shown = if path.is_empty() { "what it points at".to_owned() } else { format!("`{path}`") };
    let why = format!(
        "{path_shown} line {} looks like a secret ({}){more}; what only looks like one is listed by its digest in \
         `{ALLOW_PATH}` {whose}",
        place.line, place.rule
    );
    let shown = |(path, place): (&str, &Place)| format!("{}  {path}:{} {}", place.digest, place.line, place.rule);
    let details = std::iter::once((path, place)).chain(named).take(LISTED).map(shown);
    let refusal = Refusal::new(RULE.word, pushed.what(), why, next(repo, pushed, &found)?).with_details(details);
    Ok(Verdict::Refused(refusal))
}

/// The answer to a ref that comes along with what is refused.
pub(crate) fn beside(pushed: &PushedRef<'_>) -> Refusal {
    let why =
        "nothing is taken of a push in which something looks like a secret; mend what is named beside other refs first";
    Refusal::new(RULE.word, pushed.what(), why, "git push")
}

/// The list that judges, and where it stands: on the default branch; while there is none, in the push that makes it.
fn allowed(repo: &dyn Repo, pushed: &PushedRef<'_>) -> Result<(Allowed, &'static str), Undecided> {
    let head = repo.default_branch();
    if repo.ref_exists(&head)? {
        return Ok((repo.allowed_secrets()?, "on the default branch"));
    }
    let mut pushed_so_far = pushed.earlier.iter().chain(std::iter::once(pushed.update));
    let list = match pushed_so_far.find(|update| update.name == head).and_then(|update| update.new) {
        Some(founding) => repo.allowed_secrets_in(founding)?,
        None => Allowed::default(),
    };
    Ok((list, "of the push that makes the default branch"))
}

/// More history than is walked lies between: git finds the commit faster where it was made.
fn far_away(pushed: &PushedRef<'_>, place: &Place, new: Oid) -> Refusal {
    let why = format!(
        "line {} of a file (blob {}) looks like a secret ({}), somewhere in the history",
        place.line,
        place.blob.short(),
        place.rule
    );
    let next = format!("git log --raw --no-abbrev --find-object={} {new}", place.blob);
    Refusal::new(RULE.word, pushed.what(), why, next).with_details([format!("{}  {}", place.digest, place.rule)])
}

/// Takes the files out of every commit that was not pushed before. Those of a work tree stay in it, uncommitted, unless all
/// history has to be made again.
fn next(repo: &dyn Repo, pushed: &PushedRef<'_>, found: &Bringing) -> Result<String, Undecided> {
    let name = &pushed.update.name;
    if name.branch_name().is_none() {
        return Ok(format!("git tag -d {} && git push", quote(name.as_str().trim_start_matches("refs/tags/"))));
    }
    let force = if found.forced { " -f" } else { "" };
    let push = match *name == repo.default_branch() {
        true => format!("git push{force} origin HEAD:{}", quote(name.as_str())),
        false => format!("git push{force}"),
    };
    let quoted =
        |paths: &mut dyn Iterator<Item = &String>| paths.take(MENDED).map(|p| quote(p)).collect::<Vec<_>>().join(" ");
    let known = quoted(&mut found.known.iter());
    Ok(match found.before {
        Some(before) => {
            let restore = match known.is_empty() {
                true => String::new(),
                false => format!("git restore --staged --source={before} -- {known} && "),
            };
            format!("git reset -q --soft {before} && {restore}git commit -q --allow-empty -C ORIG_HEAD && {push}")
        }
        None if found.is_root => {
            format!("git rm -q --cached -- {known} && git commit -q --amend --allow-empty --no-edit && {push}")
        }
        None => {
            let all: BTreeSet<&String> = found.paths.iter().map(|(_, path)| path).collect();
            let filter = format!("git rm -q --cached --ignore-unmatch -- {}", quoted(&mut all.into_iter()));
            format!(
                "git update-index -q --refresh && FILTER_BRANCH_SQUELCH_WARNING=1 git filter-branch -f --index-filter {} \
                 HEAD && {push}",
                quote(&filter)
            )
        }
    })
}

#[cfg(test)]
mod tests {
    use notes_schema::{Oid, Sha256};

    use crate::testing::{Fake, oid, pushes};

    /// Put together here, so that this file holds no secret.
    fn token() -> String {
        format!("ghp_{}", "a1B2c3D4e5F6g7H8j9K0".repeat(2))
    }

    fn holding(path: &str) -> Fake {
        let mut repo = Fake::new();
        repo.files.push(("README.md".into(), "nothing".into()));
        repo.files.push((path.into(), format!("one\ntwo\ntoken: {}\n", token())));
        repo
    }

    const BEFORE: &str = "git reset -q --soft bebebebebebebebebebebebebebebebebebebebe && ";
    const COMMIT: &str = "git commit -q --allow-empty -C ORIG_HEAD && git push";

    #[test]
    fn a_secret_is_refused_by_path_line_rule_and_never_by_value() {
        let repo = holding("conf/a b.env");
        for name in ["refs/heads/alpha/x", "refs/tags/v1"] {
            let refusal = pushes(&repo, "alpha", name).unwrap_err();
            let said = format!("{refusal} {} {:?}", refusal.next, refusal.details);
            assert_eq!(refusal.rule, "secret");
            assert!(refusal.why.starts_with("`conf/a b.env` line 3 looks like a secret (github-token);"), "{said}");
            assert_eq!(refusal.details, [format!("{}  conf/a b.env:3 github-token", Sha256::of(token().as_bytes()))]);
            assert!(!said.contains(&token()[4..]), "{said}");
        }
        assert_eq!(pushes(&repo, "alpha", "-refs/heads/alpha/x"), Ok(()));
        assert_eq!(pushes(&repo, "alpha", "refs/notes/forge/in/alpha/r1"), Ok(()), "records have their own rule");
    }

    #[test]
    fn the_next_command_takes_the_files_out_of_what_was_not_pushed() {
        let restore = "git restore --staged --source=bebebebebebebebebebebebebebebebebebebebe -- ";
        let next = |repo: &Fake, name: &str| pushes(repo, "alpha", name).unwrap_err().next;
        let branch = "refs/heads/alpha/x";
        let mut repo = holding("a b.env");
        assert_eq!(next(&repo, branch), format!("{BEFORE}{restore}'a b.env' && {COMMIT}"));
        assert_eq!(next(&repo, "refs/tags/v1"), "git tag -d v1 && git push");
        repo.bringing.as_mut().unwrap().forced = true;
        assert_eq!(next(&repo, branch), format!("{BEFORE}{restore}'a b.env' && {COMMIT} -f"));
        assert_eq!(next(&holding("gone.env"), branch), format!("{BEFORE}{COMMIT}"), "git does not find it any more");

        let mut repo = holding("a.env");
        let found = repo.bringing.as_mut().unwrap();
        (found.before, found.is_root) = (None, true);
        let amended = "git rm -q --cached -- a.env && git commit -q --amend --allow-empty --no-edit && git push";
        assert_eq!(next(&repo, branch), amended);
        assert_eq!(next(&repo, "refs/heads/main"), format!("{amended} origin HEAD:refs/heads/main"));
        repo.bringing.as_mut().unwrap().is_root = false;
        let filtered = next(&repo, branch);
        assert!(filtered.contains("--index-filter 'git rm -q --cached --ignore-unmatch -- a.env' HEAD && git push"));
        repo.bringing = None;
        let id: Oid = oid(1);
        assert!(next(&repo, branch).starts_with(&format!("git log --raw --no-abbrev --find-object={id} ")));
    }

    #[test]
    fn fixtures_are_listed_on_the_default_branch_or_in_the_push_that_makes_it() {
        let list = format!("{}  of the tests\n", Sha256::of(token().as_bytes()));
        let branch = "refs/heads/alpha/x";
        let mut repo = holding("a.env");
        repo.allows[1] = list.clone();
        assert!(pushes(&repo, "alpha", branch).is_err(), "a push brings no list of its own");
        repo.allows[0] = list.clone();
        assert_eq!(pushes(&repo, "alpha", branch), Ok(()));
        repo.files.push(("b.env".into(), format!("{}x", token())));
        let why = pushes(&repo, "alpha", branch).unwrap_err().why;
        assert!(why.starts_with("`b.env` line 1 "), "{why}");

        let mut repo = Fake::unborn();
        repo.files = holding("a.env").files;
        repo.allows = [list.clone(), String::new()];
        assert!(pushes(&repo, "maker", "refs/heads/main").is_err());
        repo.allows = [String::new(), list];
        assert_eq!(pushes(&repo, "maker", "refs/heads/main"), Ok(()));
        assert!(pushes(&repo, "maker", branch).is_err(), "without the default branch there is no list");
    }

    #[test]
    fn the_policy_turns_it_off_and_what_cannot_be_read_is_refused() {
        let mut repo = holding("a.env");
        repo.says("[secrets]\nsearch = false");
        assert_eq!(pushes(&repo, "alpha", "refs/heads/alpha/x"), Ok(()));
        repo.says("[secrets]\nsearch = true");
        repo.unsearched = true;
        let refusal = pushes(&repo, "alpha", "refs/heads/alpha/x").unwrap_err();
        assert_eq!((refusal.rule.as_str(), refusal.next.as_str()), ("secret", "git push"));
    }
}
