//! A push that brings a file with a token or a private key in it is refused: what is pushed can be read for ever.

use std::collections::BTreeSet;

use notes_schema::Oid;

use crate::push::{PushRule, PushedRef};
use crate::rules::rewrite::{self, Left};
use crate::secrets::{ALLOW_PATH, Allowed, Place};
use crate::{Judgement, Refusal, Repo, Sought, Undecided, Verdict};

/// See the module. It looks at what nothing here had before, at every commit of it; the value is never named.
pub const RULE: PushRule = PushRule {
    word: "secret",
    demands: "no pushed file holds a token or a private key, but for the fixtures that the default branch lists",
    judge,
};

/// How many places are listed.
/// Limit: values that look like secrets listed in one refusal, each once | {}
const LISTED: usize = 1000;

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
    let Some(found) = repo.bringing(&pushed.update.name, new, &Sought::Blobs(&blobs))? else {
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
    // Once for each value: the lines are appended to a list that has a longest length.
    let mut seen = BTreeSet::new();
    let values = std::iter::once((path, place)).chain(named).filter(|(_, place)| seen.insert(place.digest));
    let details = values.take(LISTED).map(shown);
    let refusal = Refusal::new(
        RULE.word,
        pushed.what(),
        why,
        rewrite::without(repo, &pushed.update.name, new, &found, Left::AsItIs)?,
    )
    .with_details(details);
    Ok(Verdict::Refused(refusal))
}

/// The answer to a ref that comes along with what is refused; it has no next command of its own.
pub(crate) fn beside(pushed: &PushedRef<'_>) -> Refusal {
    let why =
        "nothing is taken of a push in which something looks like a secret; mend what is named beside other refs first";
    // The ref that is named has the command; sent again as it is, this one would be refused again.
    Refusal::new(RULE.word, pushed.what(), why, "")
}

/// The list that judges, and where it stands: on the default branch; while there is none, in the push that makes it.
fn allowed(repo: &dyn Repo, pushed: &PushedRef<'_>) -> Result<(Allowed, String), Undecided> {
    let head = repo.default_branch();
    let (list, whose) = if repo.ref_exists(&head)? {
        (repo.allowed_secrets()?, "on the default branch")
    } else {
        let mut pushed_so_far = pushed.earlier.iter().chain(std::iter::once(pushed.update));
        let list = match pushed_so_far.find(|update| update.name == head).and_then(|update| update.new) {
            Some(founding) => repo.allowed_secrets_in(founding)?,
            None => Allowed::default(),
        };
        (list, "of the push that makes the default branch")
    };
    let remark = list.remark();
    Ok((list, format!("{whose}{remark}")))
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
        let next = |repo: &Fake, name: &str| pushes(repo, "alpha", name).unwrap_err().next;
        let branch = "refs/heads/alpha/x";
        let (new, before) = (oid(1), oid(0xbe));
        let made = |begin: &str, make: &str, end: &str| {
            format!(
                "d=$(mktemp -d) && git worktree add -q --detach {begin} && {make} && c=$(git -C \"$d\" rev-parse HEAD) && \
                 git worktree remove -f \"$d\" && git for-each-ref --format=\"update %(refname) $c\" --points-at={new} \
                 refs/heads | git update-ref --stdin && git reset -q -- {end} \
                 $(git config --get-all remote.origin.push '^refs/notes/')"
            )
        };
        let exclude = |path: &str| format!("printf '%s\\n' {path} >> \"$(git rev-parse --git-path info/exclude)\"");
        let push = "git push origin \"$c:\"refs/heads/alpha/x";
        let begin = format!("--no-checkout \"$d\" {before}");
        let squash = |restore: &str| {
            format!(
                "git -C \"$d\" read-tree {new} && {restore}git -C \"$d\" commit -qn --allow-empty --allow-empty-message \
                 -C {new}"
            )
        };
        let path = "':(top,literal)a b.env'";
        let restored = squash(&format!("git -C \"$d\" restore --staged --source={before} -- {path} && "));
        let ignored = format!("{path} && {}", exclude("'/a\\ b.env'"));
        let mut repo = holding("a b.env");
        assert_eq!(next(&repo, branch), made(&begin, &restored, &format!("{ignored} && {push}")));
        assert_eq!(next(&repo, "refs/tags/v1"), "git tag -d v1");
        repo.bringing.as_mut().unwrap().forced = true;
        let forced = push.replace("push", "push -f");
        assert_eq!(next(&repo, branch), made(&begin, &restored, &format!("{ignored} && {forced}")));
        // What was there before is no new file: it goes on being looked at.
        repo.trees.insert(before, oid(7));
        repo.found.insert("a b.env".into(), crate::Found::Other);
        assert_eq!(next(&repo, branch), made(&begin, &restored, &format!("{path} && {forced}")));
        let gone = format!("':(top,literal)gone.env' && {} && {push}", exclude("/gone.env"));
        assert_eq!(next(&holding("gone.env"), branch), made(&begin, &squash(""), &gone), "git finds it no more");

        let mut repo = holding("a.env");
        let found = repo.bringing.as_mut().unwrap();
        (found.before, found.is_root) = (None, true);
        let amended = next(&repo, branch);
        assert!(amended.contains("rm -qf --cached -- ':(top,literal)a.env' && git -C \"$d\" commit -qn --amend"));
        assert!(next(&repo, "refs/heads/main").contains("git push origin \"$c:\"refs/heads/main "));
        repo.bringing.as_mut().unwrap().is_root = false;
        let filtered = next(&repo, branch);
        assert!(filtered.contains("--index-filter 'git rm -q --cached --ignore-unmatch -- '\\'':(top,literal)a.env'"));
        assert!(filtered.contains("' HEAD && c=$(git "), "{filtered}");
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
    fn each_value_is_printed_once_and_a_list_that_is_too_long_is_named() {
        let mut repo = holding("a.env");
        repo.files[1].1 = format!("{0}\n{0}\n", token()).repeat(450);
        repo.files.push(("b.env".into(), format!("{0} {0}x", token())));
        let branch = "refs/heads/alpha/x";
        let refusal = pushes(&repo, "alpha", branch).unwrap_err();
        let line = |value: String, place| format!("{}  {place} github-token", Sha256::of(value.as_bytes()));
        assert_eq!(refusal.details, [line(token(), "a.env:1"), line(format!("{}x", token()), "b.env:1")]);
        assert!(refusal.why.contains(", and so do 901 more places; "), "{}", refusal.why);

        repo.allows[0] = refusal.details.join("\n");
        assert_eq!(pushes(&repo, "alpha", branch), Ok(()));
        repo.allows[0].push_str(&"\n# long".repeat(10_000));
        let why = pushes(&repo, "alpha", branch).unwrap_err().why;
        assert!(
            why.ends_with(" on the default branch, which lists nothing now, for it is longer than 64 KiB"),
            "{why}"
        );
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
