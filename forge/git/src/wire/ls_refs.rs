//! The v2 command `ls-refs`, answered from one snapshot.
//!
//! Invariant: reads neither disk nor packs; a prefix costs a binary search, not a walk over all refs.

use super::{AdvertisedRef, Advertisement, WireError, pktline};

/// More prefixes than this and git shows everything; so do we.
const MAX_PREFIXES: usize = 65_536;

#[derive(Default)]
struct Wish<'a> {
    peel: bool,
    symrefs: bool,
    unborn: bool,
    prefixes: Vec<&'a [u8]>,
}

/// Answers a request whose framed arguments are `arguments`.
pub fn answer(shown: &Advertisement, arguments: &[u8]) -> Result<Vec<u8>, WireError> {
    let wish = parse(arguments)?;
    let mut out = Vec::new();
    let wanted = |name: &str| wish.prefixes.is_empty() || wish.prefixes.iter().any(|p| name.as_bytes().starts_with(p));
    if let Some(target) = &shown.head
        && wanted("HEAD")
    {
        let symref = if wish.symrefs { format!(" symref-target:{target}") } else { String::new() };
        match shown.head_target() {
            Some(head) => pktline::line(&mut out, &format!("{} HEAD{symref}", head.id)),
            None if wish.unborn => pktline::line(&mut out, &format!("unborn HEAD{symref}")),
            None => {}
        }
    }
    if wish.prefixes.is_empty() {
        put(&mut out, &shown.refs, wish.peel);
    }
    for prefix in &wish.prefixes {
        put(&mut out, below(&shown.refs, prefix), wish.peel);
    }
    out.extend_from_slice(pktline::FLUSH);
    Ok(out)
}

fn parse(arguments: &[u8]) -> Result<Wish<'_>, WireError> {
    let mut wish = Wish::default();
    for argument in pktline::payloads(arguments).map(pktline::text) {
        match argument {
            b"peel" => wish.peel = true,
            b"symrefs" => wish.symrefs = true,
            b"unborn" => wish.unborn = true,
            _ => match argument.strip_prefix(b"ref-prefix ") {
                Some(prefix) => wish.prefixes.push(prefix),
                None => {
                    let shown = String::from_utf8_lossy(argument);
                    return Err(WireError::Refused(format!("ls-refs: unexpected line: `{shown}`")));
                }
            },
        }
    }
    if wish.prefixes.len() > MAX_PREFIXES {
        wish.prefixes.clear();
    }
    // Sorted, and without those that lie below another, the slices found are disjoint and in order.
    wish.prefixes.sort_unstable();
    wish.prefixes.dedup_by(|later, earlier| later.starts_with(earlier));
    if wish.prefixes.first().is_some_and(|p| p.is_empty()) {
        wish.prefixes.clear();
    }
    Ok(wish)
}

fn below<'a>(refs: &'a [AdvertisedRef], prefix: &[u8]) -> &'a [AdvertisedRef] {
    let start = refs.partition_point(|r| r.name.as_str().as_bytes() < prefix);
    let length = refs[start..].partition_point(|r| r.name.as_str().as_bytes().starts_with(prefix));
    &refs[start..start + length]
}

fn put(out: &mut Vec<u8>, refs: &[AdvertisedRef], peel: bool) {
    for item in refs {
        match item.peeled {
            Some(peeled) if peel => pktline::line(out, &format!("{} {} peeled:{peeled}", item.id, item.name)),
            _ => pktline::line(out, &format!("{} {}", item.id, item.name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use notes_schema::Oid;
    use proptest::prelude::*;

    fn shown(names: &[&str], head: &str) -> Advertisement {
        let mut refs: Vec<_> = names
            .iter()
            .map(|n| AdvertisedRef { name: n.parse().unwrap(), id: Oid::from_bytes([1; 20]), peeled: None })
            .collect();
        refs.sort_by(|a, b| a.name.cmp(&b.name));
        Advertisement { refs, head: Some(head.parse().unwrap()) }
    }

    fn ask(shown: &Advertisement, arguments: &[&str]) -> Vec<String> {
        let mut framed = Vec::new();
        arguments.iter().for_each(|a| pktline::line(&mut framed, a));
        let answer = answer(shown, &framed).unwrap();
        let short = |l: &[u8]| String::from_utf8_lossy(pktline::text(l)).replace(&"01".repeat(20), "id");
        pktline::payloads(&answer).map(short).collect()
    }

    #[test]
    fn prefixes_choose_and_never_repeat() {
        let all = shown(&["refs/heads/a", "refs/heads/ab", "refs/heads/b", "refs/tags/a"], "refs/heads/b");
        assert_eq!(
            ask(&all, &["ref-prefix refs/heads/a", "ref-prefix refs/heads/ab"]),
            ["id refs/heads/a", "id refs/heads/ab"]
        );
        assert_eq!(ask(&all, &["ref-prefix refs/tags/", "ref-prefix HEAD"]), ["id HEAD", "id refs/tags/a"]);
        assert_eq!(ask(&all, &[]).len(), 5);
        assert_eq!(ask(&all, &["ref-prefix ", "ref-prefix refs/x"]).len(), 5);
        assert!(ask(&all, &["ref-prefix zzz"]).is_empty());
    }

    #[test]
    fn an_unborn_head_is_told_to_those_who_ask() {
        let empty = shown(&[], "refs/heads/main");
        assert_eq!(ask(&empty, &["symrefs", "unborn"]), ["unborn HEAD symref-target:refs/heads/main"]);
        assert!(ask(&empty, &["symrefs"]).is_empty());
    }

    #[test]
    fn unknown_arguments_are_refused() {
        let mut framed = Vec::new();
        pktline::line(&mut framed, "everything");
        assert!(answer(&shown(&[], "refs/heads/main"), &framed).is_err());
    }

    proptest! {
        #[test]
        fn prefixes_select_what_a_scan_selects(
            names in proptest::collection::btree_set("refs/[ab]/[abc]{1,3}", 0..30),
            prefixes in proptest::collection::vec("refs/[ab]/[abc]{0,3}|refs|", 0..6),
        ) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let all = shown(&names, "refs/x/none");
            let asked: Vec<String> = prefixes.iter().map(|p| format!("ref-prefix {p}")).collect();
            let got = ask(&all, &asked.iter().map(String::as_str).collect::<Vec<_>>());
            let scan: Vec<String> = names.iter()
                .filter(|n| prefixes.is_empty() || prefixes.iter().any(|p| n.starts_with(p)))
                .map(|n| format!("id {n}")).collect();
            prop_assert_eq!(got, scan);
        }
    }
}
