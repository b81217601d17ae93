//! Small words of pages: how long something took, where a reference leads, how a rating is written.
//!
//! Invariant: text and addresses of ours; what comes in is parsed before it stands in an address.

use notes_schema::ItemRef;

/// `340 ms`, `1.9 s`, `12 s`, `14 min`, `2 h 05 min`, `3 d 04 h`.
pub fn span(ms: u64) -> String {
    let (minutes, hours) = (ms / 60_000, ms / 3_600_000);
    // Where the parts of a sum are shown beside it, what is cut off would be missed.
    let (tenths, seconds) = (ms.saturating_add(50) / 100, ms.saturating_add(500) / 1000);
    match () {
        () if ms < 1000 => format!("{ms} ms"),
        () if tenths < 100 => format!("{}.{} s", tenths / 10, tenths % 10),
        () if seconds < 120 => format!("{seconds} s"),
        () if minutes < 120 => format!("{minutes} min"),
        () if hours < 48 => format!("{hours} h {:02} min", minutes % 60),
        () => format!("{} d {:02} h", hours / 24, hours % 24),
    }
}

/// The page of `parser#7`, which is an `issue` or a `pull`; none for what is no reference.
pub fn page_of(reference: &str, kind: &str) -> Option<String> {
    let ItemRef { project, n } = reference.parse().ok()?;
    let room = match kind {
        "pull" => "pulls",
        _ => "issues",
    };
    Some(format!("/{project}/{room}/{n}"))
}

/// Permille as `66.6 %`.
pub fn share(permille: u64) -> String {
    format!("{}.{} %", permille / 10, permille % 10)
}

/// `1.2 KiB`.
pub fn bytes(n: u64) -> String {
    match n {
        0..1024 => format!("{n} B"),
        1024..1_048_576 => format!("{}.{} KiB", n >> 10, (n % 1024) * 10 / 1024),
        _ => format!("{}.{} MiB", n >> 20, (n % 1_048_576) * 10 / 1_048_576),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_people_say_them() {
        let spans = [0, 999, 774 + 536 + 568, 9_960, 12_000, 14 * 60_000, 125 * 60_000, 76 * 3_600_000].map(span);
        assert_eq!(spans, ["0 ms", "999 ms", "1.9 s", "10 s", "12 s", "14 min", "2 h 05 min", "3 d 04 h"]);
        assert_eq!(share(666), "66.6 %");
        assert_eq!([bytes(12), bytes(1300), bytes(u64::MAX)], ["12 B", "1.2 KiB", "17592186044415.9 MiB"]);
    }

    #[test]
    fn only_references_lead_somewhere() {
        assert_eq!(page_of("parser#7", "pull").as_deref(), Some("/parser/pulls/7"));
        assert_eq!(page_of("parser#7", "issue").as_deref(), Some("/parser/issues/7"));
        for bad in ["", "parser", "../x#1", "javascript:alert(1)#1", "parser#x"] {
            assert_eq!(page_of(bad, "pull"), None, "{bad}");
        }
    }
}
