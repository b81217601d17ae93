//! What a client is told first: refs and capabilities (v0, v1), or capabilities alone (v2).
//!
//! Invariant: a capability named here is implemented by this module's siblings, and what a host may or may not offer is
//! named only where it does.

use notes_schema::Oid;

use super::{Advertisement, FetchOffer, Head, Protocol, Service, Wants, pktline};

/// How this server names itself to clients.
pub const AGENT: &str = concat!("agent=synstack/", env!("CARGO_PKG_VERSION"));

/// Capabilities of fetching under v0 and v1.
const UPLOAD: &str = "multi_ack multi_ack_detailed thin-pack side-band side-band-64k ofs-delta shallow deepen-since \
                      deepen-not deepen-relative no-progress include-tag object-format=sha1";

/// Capabilities of pushing. Thin packs are accepted, which is the default.
const RECEIVE: &str = "report-status report-status-v2 delete-refs side-band-64k quiet atomic ofs-delta push-options \
                       object-format=sha1";

/// What is told beside refs.
#[derive(Default)]
pub struct Beside {
    /// What is offered to those who fetch; `None` for a push.
    pub offer: Option<FetchOffer>,
    /// Commits whose parents the repository lacks itself.
    pub shallow: Vec<Oid>,
    /// HTTP, where a server may end a negotiation by itself.
    pub stateless: bool,
}

/// The advertisement of v0 and v1.
pub fn refs(protocol: Protocol, shown: &Advertisement, beside: &Beside) -> Vec<u8> {
    let service = if beside.offer.is_some() { Service::UploadPack } else { Service::ReceivePack };
    let mut out = Vec::new();
    if protocol == Protocol::V1 {
        pktline::line(&mut out, "version 1");
    }
    let mut capabilities = Some(capabilities(shown, beside));
    let mut put = |id: &dyn std::fmt::Display, name: &str, suffix: &str| match capabilities.take() {
        Some(first) => pktline::line(&mut out, &format!("{id} {name}{suffix}\0{first}")),
        None => pktline::line(&mut out, &format!("{id} {name}{suffix}")),
    };
    if service == Service::UploadPack
        && let Some(id) = shown.head.as_ref().and_then(|head| head.id)
    {
        put(&id, "HEAD", "");
    }
    for item in &shown.refs {
        put(&item.id, item.name.as_str(), "");
        if let (Service::UploadPack, Some(peeled)) = (service, item.peeled) {
            put(&peeled, item.name.as_str(), "^{}");
        }
    }
    if shown.refs.is_empty() {
        put(&"0".repeat(40), "capabilities", "^{}");
    }
    beside.shallow.iter().for_each(|id| pktline::line(&mut out, &format!("shallow {id}")));
    out.extend_from_slice(pktline::FLUSH);
    out
}

fn capabilities(shown: &Advertisement, beside: &Beside) -> String {
    let mut text = RECEIVE.to_owned();
    if let Some(offer) = &beside.offer {
        text = UPLOAD.to_owned();
        let words = [
            (offer.wants >= Wants::Tips, " allow-tip-sha1-in-want"),
            (offer.wants >= Wants::Reachable, " allow-reachable-sha1-in-want"),
            (offer.filters.served, " filter"),
            (beside.stateless, " no-done"),
        ];
        words.into_iter().filter(|(offered, _)| *offered).for_each(|(_, word)| text.push_str(word));
        if let Some(Head { target: Some(target), id: Some(_) }) = &shown.head {
            text.push_str(" symref=HEAD:");
            text.push_str(target.as_str());
        }
    }
    text.push(' ');
    text.push_str(AGENT);
    text
}

/// The capability advertisement of v2.
pub fn version2(offer: &FetchOffer) -> Vec<u8> {
    let mut fetch = "fetch=shallow wait-for-done".to_owned();
    let words =
        [(offer.filters.served, " filter"), (offer.want_ref, " ref-in-want"), (offer.sideband_all, " sideband-all")];
    words.into_iter().filter(|(offered, _)| *offered).for_each(|(_, word)| fetch.push_str(word));
    let ls_refs = if offer.unborn { "ls-refs=unborn" } else { "ls-refs" };
    let mut out = Vec::new();
    for capability in ["version 2", AGENT, ls_refs, &fetch, "server-option", "object-format=sha1"] {
        pktline::line(&mut out, capability);
    }
    if offer.object_info {
        pktline::line(&mut out, "object-info");
    }
    out.extend_from_slice(pktline::FLUSH);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{AdvertisedRef, Filters};

    fn shown() -> Advertisement {
        let one = |name: &str, digit: u8, peeled: Option<u8>| AdvertisedRef {
            name: name.parse().unwrap(),
            id: notes_schema::Oid::from_bytes([digit; 20]),
            peeled: peeled.map(|d| notes_schema::Oid::from_bytes([d; 20])),
        };
        Advertisement {
            refs: vec![one("refs/heads/main", 0x11, None), one("refs/tags/v1", 0x22, Some(0x11))],
            head: Some(Head {
                target: Some("refs/heads/main".parse().unwrap()),
                id: Some(notes_schema::Oid::from_bytes([0x11; 20])),
            }),
            symrefs: Vec::new(),
        }
    }

    fn fetching(offer: FetchOffer, stateless: bool) -> Beside {
        Beside { offer: Some(offer), shallow: vec![notes_schema::Oid::from_bytes([0x33; 20])], stateless }
    }

    fn lines(framed: &[u8]) -> Vec<String> {
        pktline::payloads(framed).map(|l| String::from_utf8(pktline::text(l).to_vec()).unwrap()).collect()
    }

    #[test]
    fn a_fetch_is_shown_head_first_and_tags_peeled() {
        let lines = lines(&refs(Protocol::V1, &shown(), &fetching(FetchOffer::default(), true)));
        assert_eq!(lines[0], "version 1");
        assert!(lines[1].starts_with(&format!("{} HEAD\0", "11".repeat(20))), "{}", lines[1]);
        assert!(lines[1].contains(" no-done ") && lines[1].contains(" symref=HEAD:refs/heads/main "), "{}", lines[1]);
        assert_eq!(lines[2], format!("{} refs/heads/main", "11".repeat(20)));
        assert_eq!(lines[4], format!("{} refs/tags/v1^{{}}", "11".repeat(20)));
        assert_eq!(lines[5..], [format!("shallow {}", "33".repeat(20))]);
    }

    #[test]
    fn a_push_is_shown_neither_head_nor_peeled_tags() {
        let lines = lines(&refs(Protocol::V0, &shown(), &Beside::default()));
        assert_eq!(lines.len(), 2);
        assert!(lines[0].contains("refs/heads/main\0report-status report-status-v2 delete-refs"), "{}", lines[0]);
    }

    #[test]
    fn an_empty_repository_still_has_capabilities() {
        let head = Head { id: None, ..shown().head.unwrap() };
        let unborn = Advertisement { refs: Vec::new(), head: Some(head), symrefs: Vec::new() };
        let lines = lines(&refs(
            Protocol::V0,
            &unborn,
            &Beside { shallow: Vec::new(), ..fetching(FetchOffer::default(), false) },
        ));
        assert_eq!(lines.len(), 1);
        assert!(lines[0].starts_with(&format!("{} capabilities^{{}}\0", "0".repeat(40))));
        assert!(!lines[0].contains("symref") && !lines[0].contains("no-done"), "{}", lines[0]);
    }

    #[test]
    fn what_is_not_offered_is_not_named() {
        let little = FetchOffer::default();
        let filters = Filters { served: true, ..Filters::default() };
        let (wants, yes) = (Wants::Reachable, true);
        let much = FetchOffer { wants, filters, want_ref: yes, sideband_all: yes, object_info: yes, unborn: yes };
        let first =
            |offer: &FetchOffer| lines(&refs(Protocol::V0, &shown(), &fetching(offer.clone(), false)))[0].clone();
        for word in [" allow-tip-sha1-in-want", " allow-reachable-sha1-in-want", " filter"] {
            assert!(first(&much).contains(word) && !first(&little).contains(word), "{word}");
        }
        let tips = FetchOffer { wants: Wants::Tips, ..FetchOffer::default() };
        assert!(first(&tips).contains("tip-sha1") && !first(&tips).contains("reachable"), "{}", first(&tips));
        let two = |offer: &FetchOffer| lines(&version2(offer))[2..].join("|");
        assert_eq!(two(&little), "ls-refs|fetch=shallow wait-for-done|server-option|object-format=sha1");
        assert_eq!(
            two(&much),
            "ls-refs=unborn|fetch=shallow wait-for-done filter ref-in-want sideband-all|server-option\
             |object-format=sha1|object-info"
        );
    }
}
