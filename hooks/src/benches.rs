//! Reads what benchmarks took from what a run printed: lines of `cargo bench`, `go test -bench` and criterion, and plain
//! ones that any script can print, `bench: <name> <number> <unit>`.
//!
//! Invariant: of output that was cut nothing is read, for what is missing would make it faster. A name that is printed again counts
//! once, as it was printed last.

use std::collections::BTreeMap;

use notes_schema::trace::{Attempt, Output};

use crate::counts::without_colour;

const NANOSECOND: u128 = 1_000;
const MICROSECOND: u128 = 1_000_000;

/// What the benchmarks took that a run printed, all together, in microseconds, rounded to the next; `None` where it printed none,
/// or more than was recorded.
pub fn taken_us(run: &Attempt) -> Option<u64> {
    taken_us_by(&whole(run.stdout.as_ref()?)?)
}

/// The same of a text.
pub fn taken_us_by(printed: &str) -> Option<u64> {
    let mut benches: BTreeMap<String, u128> = BTreeMap::new();
    let mut above = String::new();
    for line in printed.lines() {
        let line = without_colour(line);
        let line = line.trim();
        if let Some((name, picoseconds)) = plain(line).or_else(|| libtest(line)).or_else(|| go(line)) {
            benches.insert(name, picoseconds);
        } else if let Some((name, picoseconds)) = criterion(line) {
            // A long name stands on a line of its own.
            benches.insert(if name.is_empty() { above.clone() } else { name }, picoseconds);
        }
        line.clone_into(&mut above);
    }
    let sum = benches.values().fold(0u128, |sum, took| sum.saturating_add(*took));
    (!benches.is_empty()).then(|| u64::try_from((sum + MICROSECOND / 2) / MICROSECOND).unwrap_or(u64::MAX))
}

/// All that was printed, if it is there.
fn whole(output: &Output) -> Option<String> {
    let text = [output.head.as_str(), &output.tail].concat();
    (text.lines().count() as u64 >= output.lines).then_some(text)
}

/// `bench: parse 1250 us`.
fn plain(line: &str) -> Option<(String, u128)> {
    let words: Vec<&str> = line.strip_prefix("bench:")?.split_whitespace().collect();
    let [name @ .., number, unit] = words.as_slice() else { return None };
    Some((name.join(" "), picoseconds(number, unit)?)).filter(|(name, _)| !name.is_empty())
}

/// `test parse ... bench:       1,234.56 ns/iter (+/- 78)`.
fn libtest(line: &str) -> Option<(String, u128)> {
    let (name, took) = line.strip_prefix("test ")?.split_once(" ... bench:")?;
    let mut words = took.split_whitespace();
    let number = words.next()?.replace(',', "");
    Some((name.trim().to_owned(), picoseconds(&number, words.next()?.strip_suffix("/iter")?)?))
}

/// `BenchmarkParse-8 1000000 1234 ns/op 16 B/op`. How many processors there were is no part of the name.
fn go(line: &str) -> Option<(String, u128)> {
    let mut words = line.split_whitespace();
    let name = words.next().filter(|name| name.starts_with("Benchmark"))?;
    let number = words.nth(1)?;
    let took = picoseconds(number, words.next()?.strip_suffix("/op")?)?;
    let cores = name.rsplit_once('-').filter(|(_, cores)| cores.bytes().all(|b| b.is_ascii_digit()));
    Some((cores.map_or(name, |(name, _)| name).to_owned(), took))
}

/// `parse   time:   [1.2345 µs 1.2400 µs 1.2500 µs]`: the one in the middle is the estimate.
fn criterion(line: &str) -> Option<(String, u128)> {
    let (name, took) = line.split_once("time:")?;
    let took = took.trim().strip_prefix('[')?.strip_suffix(']')?;
    let [_, _, number, unit, _, _] = took.split_whitespace().collect::<Vec<_>>()[..] else { return None };
    Some((name.trim().to_owned(), picoseconds(number, unit)?))
}

/// A number of at most twelve digits before the point, in a unit of time. Beyond three digits behind it nothing counts.
fn picoseconds(number: &str, unit: &str) -> Option<u128> {
    let unit = match unit {
        "ps" => 1,
        "ns" => NANOSECOND,
        "us" | "µs" | "μs" => MICROSECOND,
        "ms" => 1_000 * MICROSECOND,
        "s" => 1_000_000 * MICROSECOND,
        _ => return None,
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.len() <= 12 && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) {
        return None;
    }
    let thousandths: u128 = format!("{part:0<3}").get(..3)?.parse().ok()?;
    Some((whole.parse::<u128>().ok()? * 1_000 + thousandths) * unit / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(text: &str, lines: u64) -> Option<u64> {
        let (head, tail) = text.split_at(text.len() / 2);
        let output = Output { bytes: 1, lines, sha256: None, head: head.to_owned(), tail: tail.to_owned() };
        let mut run = crate::testing::attempt();
        run.stdout = Some(output);
        taken_us(&run)
    }

    fn read(text: &str) -> Option<u64> {
        let output = Output { lines: text.lines().count() as u64, tail: text.to_owned(), ..Output::default() };
        let mut run = crate::testing::attempt();
        run.stdout = Some(output);
        taken_us(&run)
    }

    #[test]
    fn what_runners_print_is_read() {
        for (text, us) in [
            ("bench: parse 1250 us", Some(1250)),
            ("bench: parse a file 1.5 ms\nother", Some(1500)),
            ("bench: a 2 s\nbench: b 400 ns\nbench: c 600 ns\n", Some(2_000_001)),
            ("test parse ... bench:       1,234,567.89 ns/iter (+/- 78)", Some(1235)),
            ("test a ... bench:  2,000 ns/iter (+/- 78)\ntest b ... bench:  3,000 ns/iter (+/- 1)", Some(5)),
            ("BenchmarkParse-8   \t 1000\t   1234000 ns/op\t  16 B/op\t 1 allocs/op", Some(1234)),
            ("BenchmarkA \t 10\t 1000 ns/op\nBenchmarkA \t 10\t 3000 ns/op", Some(3)),
            ("parse                   time:   [1.2345 ms 1.2400 ms 1.2500 ms]", Some(1240)),
            (
                "a/very/long/name\n                        time:   [1.2 µs 4.0 µs 5.0 µs]\nchange: [-1% +0% +1%]",
                Some(4),
            ),
            ("\u{1b}[1mbench: parse 7 us\u{1b}[0m", Some(7)),
            ("test parse ... ok\nbenchmarks: none", None),
            ("bench: 12 us", None),
            ("bench: parse -1 us\nbench: parse 1e3 us\nbench: parse 1 fortnight\nbench: parse", None),
            ("bench: parse 99999999999999999999 s", None),
            ("parse time: [1 us]", None),
            ("", None),
        ] {
            assert_eq!(read(text), us, "{text}");
        }
    }

    #[test]
    fn of_output_that_was_cut_nothing_is_read() {
        let text = "bench: a 1 us\nbench: b 2 us\n";
        assert_eq!(printed(text, 2), Some(3));
        assert_eq!(printed(text, 3), None);
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let text: String = (0..999).map(|n| format!("bench: {n} 999999999999 s\n")).collect();
        assert_eq!(read(&text), Some(u64::MAX));
    }
}
