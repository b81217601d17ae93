//! What a client is told first: refs and capabilities (v0, v1), or capabilities alone (v2).
//!
//! Invariant: a capability named here is implemented by this module's siblings, and what a host may or may not offer is
//! named only where it does.

use super::{Advertisement, FetchOffer, Head, Protocol, PushOffer, Service, Wants, pktline};

/// How this server names itself to clients.
pub const AGENT: &str = concat!("agent=synstack/", env!("CARGO_PKG_VERSION"));

/// Capabilities of fetching under v0 and v1.
const UPLOAD: &str = "multi_ack multi_ack_detailed thin-pack side-band side-band-64k ofs-delta shallow deepen-since \
                      deepen-not deepen-relative no-progress include-tag object-format=sha1";

/// The advertisement of a fetch under v0 and v1. `stateless` is HTTP, where a server may end a negotiation by itself.
pub fn refs(protocol: Protocol, shown: &Advertisement, offer: &FetchOffer, stateless: bool) -> Vec<u8> {
    let mut words = UPLOAD.to_owned();
    let offered = [
        (offer.wants >= Wants::Tips, " allow-tip-sha1-in-want"),
        (offer.wants >= Wants::Reachable, " allow-reachable-sha1-in-want"),
        (offer.filters.served, " filter"),
        (stateless, " no-done"),
    ];
    offered.into_iter().filter(|(offered, _)| *offered).for_each(|(_, word)| words.push_str(word));
    if let Some(Head { target: Some(target), id: Some(_) }) = &shown.head {
        words.push_str(" symref=HEAD:");
        words.push_str(target.as_str());
    }
    list(Service::UploadPack, protocol, shown, words)
}

/// The advertisement of a push; `nonce` is what a certificate has to repeat. Thin packs are accepted, which is the default.
pub fn receive(protocol: Protocol, shown: &Advertisement, offer: &PushOffer, nonce: Option<&str>) -> Vec<u8> {
    let mut words = "report-status report-status-v2 delete-refs side-band-64k quiet".to_owned();
    if offer.atomic {
        words.push_str(" atomic");
    }
    words.push_str(" ofs-delta");
    if let Some(nonce) = nonce {
        words.push_str(" push-cert=");
        words.push_str(nonce);
    }
    if offer.options {
        words.push_str(" push-options");
    }
    words.push_str(" object-format=sha1");
    list(Service::ReceivePack, protocol, shown, words)
}

fn list(service: Service, protocol: Protocol, shown: &Advertisement, words: String) -> Vec<u8> {
    let mut out = Vec::new();
    if protocol == Protocol::V1 {
        pktline::line(&mut out, "version 1");
    }
    let mut capabilities = Some(format!("{words} {AGENT}"));
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
    // Also where only a detached HEAD is there to be told: then that line has had the capabilities.
    if capabilities.is_some() {
        pktline::line(&mut out, &format!("{} capabilities^{{}}\0{words} {AGENT}", "0".repeat(40)));
    }
    for id in &shown.shallow {
        pktline::line(&mut out, &format!("shallow {id}"));
    }
    out.extend_from_slice(pktline::FLUSH);
    out
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
            ..Advertisement::default()
        }
    }

    fn lines(framed: &[u8]) -> Vec<String> {
        pktline::payloads(framed).map(|l| String::from_utf8(pktline::text(l).to_vec()).unwrap()).collect()
    }

    #[test]
    fn a_fetch_is_shown_head_first_and_tags_peeled() {
        let cut = Advertisement { shallow: vec![notes_schema::Oid::from_bytes([0x33; 20])], ..shown() };
        let lines = lines(&refs(Protocol::V1, &cut, &FetchOffer::default(), true));
        assert_eq!(lines[0], "version 1");
        assert!(lines[1].starts_with(&format!("{} HEAD\0", "11".repeat(20))), "{}", lines[1]);
        assert!(lines[1].contains(" no-done ") && lines[1].contains(" symref=HEAD:refs/heads/main "), "{}", lines[1]);
        assert_eq!(lines[2], format!("{} refs/heads/main", "11".repeat(20)));
        assert_eq!(lines[4], format!("{} refs/tags/v1^{{}}", "11".repeat(20)));
        assert_eq!(lines[5..], [format!("shallow {}", "33".repeat(20))]);
    }

    #[test]
    fn a_push_is_shown_neither_head_nor_peeled_tags() {
        let lines = lines(&receive(Protocol::V0, &shown(), &PushOffer::default(), None));
        assert_eq!(lines.len(), 2);
        assert!(lines[0].contains("refs/heads/main\0report-status report-status-v2 delete-refs"), "{}", lines[0]);
        assert!(!lines[0].contains(" atomic") && !lines[0].contains(" push-"), "{}", lines[0]);
    }

    #[test]
    fn a_push_is_offered_what_the_host_offers() {
        let offer = PushOffer { atomic: true, options: true, ..PushOffer::default() };
        let shown = Advertisement { shallow: vec![notes_schema::Oid::from_bytes([3; 20])], ..Advertisement::default() };
        let lines = lines(&receive(Protocol::V1, &shown, &offer, Some("7-abc")));
        assert_eq!(lines[0], "version 1");
        assert!(
            lines[1].contains(" quiet atomic ofs-delta push-cert=7-abc push-options object-format"),
            "{}",
            lines[1]
        );
        assert_eq!(lines[2], format!("shallow {}", "03".repeat(20)));
    }

    #[test]
    fn an_empty_repository_still_has_capabilities() {
        let head = Head { id: None, ..shown().head.unwrap() };
        let unborn = Advertisement { head: Some(head), ..Advertisement::default() };
        let lines = lines(&refs(Protocol::V0, &unborn, &FetchOffer::default(), false));
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
        let first = |offer: &FetchOffer| lines(&refs(Protocol::V0, &shown(), offer, false))[0].clone();
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
