//! The v2 command `ls-refs`, answered from one snapshot.
//!
//! Invariant: reads neither disk nor packs, and asks the host for no more refs than the client asked for.

use super::{Advertisement, WireError, pktline};

/// More prefixes than this and git shows everything; so do we.
/// Limit: prefixes of one ls-refs | {}; with more all refs are shown, as by git
const MAX_PREFIXES: usize = 65_536;

/// What a client asks to be told.
#[derive(Default)]
pub struct Wish {
    peel: bool,
    symrefs: bool,
    unborn: bool,
    /// Only refs that begin with one of these; without any, all. They are sorted, each once; one may begin with another, for a
    /// host may know more by a whole name than it lists.
    pub prefixes: Vec<String>,
}

/// Answers `wish` from what the host shows for its prefixes.
pub fn answer(shown: &Advertisement, wish: &Wish) -> Vec<u8> {
    let mut out = Vec::new();
    let wanted = |name: &str| wish.prefixes.is_empty() || wish.prefixes.iter().any(|p| name.starts_with(p.as_str()));
    if let Some(head) = &shown.head
        && wanted("HEAD")
    {
        let symref = match &head.target {
            Some(target) if wish.symrefs => format!(" symref-target:{target}"),
            _ => String::new(),
        };
        match head.id {
            Some(id) => pktline::line(&mut out, &format!("{id} HEAD{symref}")),
            None if wish.unborn => pktline::line(&mut out, &format!("unborn HEAD{symref}")),
            None => {}
        }
    }
    for item in shown.refs.iter().filter(|item| wanted(item.name.as_str())) {
        let symref = match shown.symrefs.binary_search_by(|(name, _)| name.cmp(&item.name)) {
            Ok(at) if wish.symrefs => format!(" symref-target:{}", shown.symrefs[at].1),
            Ok(_) | Err(_) => String::new(),
        };
        let peeled = item.peeled.filter(|_| wish.peel).map_or_else(String::new, |id| format!(" peeled:{id}"));
        pktline::line(&mut out, &format!("{} {}{symref}{peeled}", item.id, item.name));
    }
    out.extend_from_slice(pktline::FLUSH);
    out
}

/// Reads framed arguments.
pub fn parse(arguments: &[u8]) -> Result<Wish, WireError> {
    let mut wish = Wish::default();
    let mut prefixes: Vec<&[u8]> = Vec::new();
    for argument in pktline::payloads(arguments).map(pktline::text) {
        match argument {
            b"peel" => wish.peel = true,
            b"symrefs" => wish.symrefs = true,
            b"unborn" => wish.unborn = true,
            _ => match argument.strip_prefix(b"ref-prefix ") {
                Some(prefix) => prefixes.push(prefix),
                None => {
                    let shown = String::from_utf8_lossy(argument);
                    return Err(WireError::Refused(format!("ls-refs: unexpected line: `{shown}`")));
                }
            },
        }
    }
    prefixes.sort_unstable();
    prefixes.dedup();
    let all = prefixes.len() > MAX_PREFIXES || prefixes.first().is_some_and(|p| p.is_empty());
    if !all {
        // No ref has a name that is not UTF-8, so such a prefix finds nothing, replaced or not.
        wish.prefixes = prefixes.into_iter().map(|p| String::from_utf8_lossy(p).into_owned()).collect();
    }
    Ok(wish)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{AdvertisedRef, Head};
    use notes_schema::Oid;
    use proptest::prelude::*;

    fn shown(names: &[&str], head: &str) -> Advertisement {
        let mut refs: Vec<_> = names
            .iter()
            .map(|n| AdvertisedRef { name: n.parse().unwrap(), id: Oid::from_bytes([1; 20]), peeled: None })
            .collect();
        refs.sort_by(|a, b| a.name.cmp(&b.name));
        let target: crate::name::FullName = head.parse().unwrap();
        let id = refs.iter().find(|r| r.name == target).map(|r| r.id);
        Advertisement { refs, head: Some(Head { target: Some(target), id }), ..Advertisement::default() }
    }

    fn ask(shown: &Advertisement, arguments: &[&str]) -> Vec<String> {
        let mut framed = Vec::new();
        arguments.iter().for_each(|a| pktline::line(&mut framed, a));
        let answer = answer(shown, &parse(&framed).unwrap());
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
        assert!(parse(&framed).is_err());
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
