//! Times as other forges write them: ISO 8601, or a number of seconds or milliseconds since 1970.

use serde_json::Value;

use super::Fault;

/// What lies beyond is no time in seconds: from here on milliseconds are meant (the year 5138 in seconds, 1973 in
/// milliseconds).
const SECONDS_END: u64 = 100_000_000_000;
/// The last year that is taken.
const LAST_YEAR: i64 = 9999;

/// Milliseconds since 1970.
pub(super) fn ms(field: &str, value: &Value) -> Result<u64, Fault> {
    let wrong = || Fault::new(field, "no time: wanted is 2026-11-20T15:05:00Z, or seconds or milliseconds since 1970");
    if let Some(number) = value.as_u64() {
        return of_epoch(number).ok_or_else(wrong);
    }
    // Tables of numbers turn times into fractions.
    if let Some(number) = value.as_f64().filter(|n| (0.0..1e15).contains(n)) {
        return of_epoch(number as u64).ok_or_else(wrong);
    }
    let text = value.as_str().ok_or_else(wrong)?.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok().and_then(of_epoch).ok_or_else(wrong);
    }
    iso(text).ok_or_else(wrong)
}

fn of_epoch(number: u64) -> Option<u64> {
    let ms = if number < SECONDS_END { number * 1000 } else { number };
    (ms < 253_402_300_800_000).then_some(ms)
}

/// `2026-11-20`, `2026-11-20T15:05:00Z`, `2026-11-20 15:05:00.123+01:00`; without a zone it is UTC.
fn iso(text: &str) -> Option<u64> {
    let (date, rest) = if text.len() > 10 { text.split_at_checked(10)? } else { (text, "") };
    let [year, month, day] = numbers::<3>(date, '-')?;
    if !(1970..=LAST_YEAR).contains(&year) || !(1..=12).contains(&month) || !(1..=days_of(year, month)).contains(&day) {
        return None;
    }
    let days = days_since_1970(year, month, day);
    let (seconds, ms) = if rest.is_empty() { (0, 0) } else { of_day(rest.strip_prefix(['T', 't', ' '])?)? };
    u64::try_from((days * 86_400 + seconds) * 1000 + ms).ok()
}

/// Seconds of the day in UTC, and milliseconds.
fn of_day(text: &str) -> Option<(i64, i64)> {
    let zone_at = text.find(['Z', 'z', '+', '-']).unwrap_or(text.len());
    let (clock, zone) = text.split_at(zone_at);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let [hour, minute, second] = match clock.matches(':').count() {
        1 => numbers::<2>(clock, ':').map(|[h, m]| [h, m, 0])?,
        _ => numbers::<3>(clock, ':')?,
    };
    // A leap second is the second after it.
    if hour > 23 || minute > 59 || second > 60 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let ms = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    Some((hour * 3600 + minute * 60 + second - offset(zone)?, ms))
}

fn offset(zone: &str) -> Option<i64> {
    let (sign, rest) = match zone {
        "" | "Z" | "z" => return Some(0),
        zone => (if zone.starts_with('-') { -1 } else { 1 }, zone.get(1..)?),
    };
    let digits: String = rest.chars().filter(|c| *c != ':').collect();
    if digits.len() != 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = (digits.get(..2)?.parse::<i64>().ok()?, digits.get(2..)?.parse::<i64>().ok()?);
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Exactly `N` plain numbers of at most four digits.
fn numbers<const N: usize>(text: &str, between: char) -> Option<[i64; N]> {
    let plain = |part: &&str| (1..=4).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    let parts: Option<Vec<i64>> =
        text.split(between).map(|part| Some(part).filter(plain).and_then(|part| part.parse().ok())).collect();
    parts?.try_into().ok()
}

fn days_of(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Howard Hinnant's `days_from_civil`.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: impl Into<Value>) -> Option<u64> {
        ms("at", &value.into()).ok()
    }

    #[test]
    fn each_way_of_writing_one_moment_is_that_moment() {
        let moment = Some(1_795_187_145_000);
        for text in [
            "2026-11-20T15:05:45Z",
            "2026-11-20 15:05:45",
            "2026-11-20T15:05:45.000Z",
            "2026-11-20T16:35:45+01:30",
            "2026-11-20T10:05:45-0500",
            "1795187145",
            "1795187145000",
        ] {
            assert_eq!(of(text), moment, "{text}");
        }
        assert_eq!(of(1_795_187_145_u64), moment);
        assert_eq!(of(1_795_187_145_000_u64), moment);
        assert_eq!(of(1_795_187_145.0), moment);
        assert_eq!(of("2000-02-29"), Some(951_782_400_000));
        assert_eq!(of("2026-11-20T15:05:45.1239Z"), Some(1_795_187_145_123));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "yesterday",
            "2026-13-01",
            "2026-02-29",
            "2026-11-20T25:00:00Z",
            "2026-11-20T15:05:45+99:00",
            "1969-12-31",
            "2026-11-20T",
            "2026-11-20T15",
            "2026-11-20T15:05:45Zulu",
            "-5",
            "20٠6-11-20",
            "é026-11-2é",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
        assert_eq!(of(-1), None);
        assert_eq!(of(Value::Null), None);
        assert_eq!(of(u64::MAX), None);
    }

    proptest::proptest! {
        #[test]
        fn every_day_reads_back(days in 0i64..100_000) {
            let (year, month, day) = notes_schema::refs::civil_date(days);
            proptest::prop_assert_eq!(days_since_1970(year, i64::from(month), i64::from(day)), days);
            let text = format!("{year:04}-{month:02}-{day:02}");
            proptest::prop_assert_eq!(of(text.as_str()), Some(days as u64 * 86_400_000));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = of(text.as_str());
        }
    }
}
