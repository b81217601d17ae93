//! What a client is told first: refs and capabilities (v0, v1), or capabilities alone (v2).
//!
//! Invariant: a capability named here is implemented by this module's siblings or by the stock git behind them.

use super::{Advertisement, Head, Protocol, PushOffer, Service, pktline};

/// How this server names itself to clients.
pub const AGENT: &str = concat!("agent=synstack/", env!("CARGO_PKG_VERSION"));

/// Capabilities of fetching under v0 and v1. `allow-reachable-sha1-in-want` is what lets a partial clone fetch, under
/// v0 too, the objects that it left out.
const UPLOAD: &str = "multi_ack multi_ack_detailed thin-pack side-band side-band-64k ofs-delta shallow deepen-since \
                      deepen-not deepen-relative no-progress include-tag allow-tip-sha1-in-want \
                      allow-reachable-sha1-in-want filter object-format=sha1";

/// The advertisement of a fetch under v0 and v1. `stateless` is HTTP, where a server may end a negotiation by itself.
pub fn refs(protocol: Protocol, shown: &Advertisement, stateless: bool) -> Vec<u8> {
    let mut words = UPLOAD.to_owned();
    if stateless {
        words.push_str(" no-done");
    }
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
pub fn version2() -> Vec<u8> {
    let mut out = Vec::new();
    for capability in [
        "version 2",
        AGENT,
        "ls-refs=unborn",
        "fetch=shallow wait-for-done filter",
        "server-option",
        "object-format=sha1",
    ] {
        pktline::line(&mut out, capability);
    }
    out.extend_from_slice(pktline::FLUSH);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::AdvertisedRef;

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
        let lines = lines(&refs(Protocol::V1, &shown(), true));
        assert_eq!(lines[0], "version 1");
        assert!(lines[1].starts_with(&format!("{} HEAD\0", "11".repeat(20))), "{}", lines[1]);
        assert!(lines[1].contains(" no-done ") && lines[1].contains(" symref=HEAD:refs/heads/main "), "{}", lines[1]);
        assert_eq!(lines[2], format!("{} refs/heads/main", "11".repeat(20)));
        assert_eq!(lines[4], format!("{} refs/tags/v1^{{}}", "11".repeat(20)));
        assert_eq!(lines.len(), 5);
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
        let lines = lines(&refs(Protocol::V0, &unborn, false));
        assert_eq!(lines.len(), 1);
        assert!(lines[0].starts_with(&format!("{} capabilities^{{}}\0", "0".repeat(40))));
        assert!(!lines[0].contains("symref") && !lines[0].contains("no-done"), "{}", lines[0]);
    }
}
