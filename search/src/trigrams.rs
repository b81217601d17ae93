//! Which files cannot hold what is looked for, without reading them: of each file that was read once, a filter of the
//! three-byte pieces in it ("trigrams"), and of an expression those that every match of it has.
//!
//! Case is folded as far as ASCII goes, in files and in expressions: `Leak` and `leak` have the same trigrams, and one filter
//! serves both kinds of search.
//!
//! Invariant: a file in which the expression matches is never ruled out. A filter says "not in here" or "maybe", and what an
//! expression demands is left out wherever it is not certain.

mod demand;
mod kept;

pub use demand::Demand;
pub use kept::{Content, Sieve, Trigrams, Verdict};

/// Bytes of the smallest filter.
const SMALLEST: usize = 32;
/// Bytes of the largest filter, enough for 100,000 different trigrams. With more of them it rules less out.
/// Limit: filter of the trigrams of one file | {:bytes}; a file with very many is ruled out less often
const LARGEST: usize = 64 << 10;

/// A byte as it counts here, whatever its case.
fn folded(byte: u8) -> u32 {
    u32::from(byte.to_ascii_lowercase())
}

/// The trigrams of `text`, in order, doubles too.
fn trigrams(text: &[u8]) -> impl Iterator<Item = u32> {
    text.windows(3).map(|piece| folded(piece[0]) << 16 | folded(piece[1]) << 8 | folded(piece[2]))
}

/// Which bit of a filter of so many bytes, a power of two, stands for a trigram.
fn bit(trigram: u32, bytes: usize) -> usize {
    let spread = trigram.wrapping_mul(0x9e37_79b1);
    (spread ^ spread >> 15) as usize & (bytes * 8 - 1)
}

fn may_have(filter: &[u8], trigram: u32) -> bool {
    let bit = bit(trigram, filter.len());
    filter[bit / 8] >> (bit % 8) & 1 == 1
}

/// Writes the filter of `text` behind `to`: a bit for each trigram in it, in so few bits that one of eight is set at least, and
/// hardly more than one of four. So many of the trigrams that it does not have pass for there.
fn filter(text: &[u8], to: &mut Vec<u8>) {
    let (start, mut bytes) = (to.len(), text.len().next_power_of_two().clamp(SMALLEST, LARGEST));
    to.resize(start + bytes, 0);
    for trigram in trigrams(text) {
        let bit = bit(trigram, bytes);
        to[start + bit / 8] |= 1 << (bit % 8);
    }
    let set = |bytes: &[u8]| bytes.iter().map(|byte| byte.count_ones() as usize).sum::<usize>();
    while bytes > SMALLEST && set(&to[start..]) < bytes {
        bytes /= 2;
        let (low, high) = to[start..].split_at_mut(bytes);
        low.iter_mut().zip(high).for_each(|(low, high)| *low |= *high);
        to.truncate(start + bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use regex::bytes::RegexBuilder;

    use super::*;

    fn made(text: &[u8]) -> Vec<u8> {
        let mut out = b"before".to_vec();
        filter(text, &mut out);
        out.split_off(6)
    }

    /// Whether a file with this text would be read.
    fn is_read(pattern: &str, ignore_case: bool, text: &[u8]) -> bool {
        Demand::of(pattern, ignore_case).is_met(&made(text))
    }

    #[test]
    fn a_file_is_read_where_the_text_may_stand_in_it() {
        let text = b"fn drop_leaf(&mut self) {\n    self.leaf = None;\n}\n";
        for (pattern, ignore_case, expected) in [
            ("drop_leaf", false, true),
            ("DROP_leaf", false, true),
            ("drop_node", false, false),
            ("DROP_LEAF", true, true),
            ("xy", false, true),
            ("", false, true),
            ("leaf.*None", false, true),
            ("leaf.*Some", false, false),
            ("(?:leaf|node) = None", false, true),
            ("(?:twig|node) = None", false, false),
            ("(?:twig|node|x*)", false, true),
            ("^fn\\s+drop", false, true),
            ("^fn\\s+keep", false, false),
            ("(?i)MUT SELF", false, true),
            ("dr[aeiou]p", false, true),
            ("dr[aeiu]p", false, false),
            ("le(?:a+|x)f", false, true),
            ("(zz)?leaf", false, true),
            ("(zzz)+leaf", false, false),
            ("[^\\s\\S]", false, true),
        ] {
            assert_eq!(is_read(pattern, ignore_case, text), expected, "{pattern}");
        }
    }

    #[test]
    fn letters_that_fold_to_others_beyond_ascii_are_found_in_either_form() {
        // KELVIN SIGN and LATIN SMALL LETTER LONG S.
        for text in ["a task of", "A TASK OF", "a tas\u{212a} of", "a ta\u{17f}k of", "a ta\u{17f}\u{212a} of"] {
            assert!(is_read("a task of", true, text.as_bytes()), "{text}");
        }
        assert!(!is_read("a task of", true, b"a tusk of") && !is_read("a task of", true, b"a ta\xc5\xbfm of"));
        assert!(is_read("GRÖSSE", true, "größe grösse".as_bytes()) && !is_read("GRÖSSE", true, "große".as_bytes()));
    }

    #[test]
    fn hostile_texts_have_small_filters() {
        let mut noise = 1u64;
        let all: Vec<u8> = std::iter::repeat_with(|| {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (noise >> 40) as u8
        })
        .take(1 << 20)
        .collect();
        let noise = made(&all);
        assert_eq!(noise.len(), LARGEST);
        assert!(trigrams(&all).all(|trigram| may_have(&noise, trigram)));
        assert_eq!(
            (made(b""), made(b"ab"), made(&[b'a'; 1 << 20]).len()),
            (vec![0; SMALLEST], vec![0; SMALLEST], SMALLEST)
        );
    }

    #[test]
    fn few_of_the_trigrams_that_are_not_there_pass() {
        for lines in [20, 100, 400, 1500] {
            let line = |n: u64| format!("let {:x} = f({n});\n", n.wrapping_mul(0x9e37_79b9_7f4a));
            let text: String = (0..lines).map(line).collect();
            let (filter, there) = (made(text.as_bytes()), trigrams(text.as_bytes()).collect::<HashSet<u32>>());
            let others: Vec<u32> = (0..1 << 24).step_by(97).filter(|trigram| !there.contains(trigram)).collect();
            let passed = others.iter().filter(|trigram| may_have(&filter, **trigram)).count();
            assert!(passed * 7 / 2 < others.len(), "{passed} of {} with {lines} lines", others.len());
            assert!(filter.len() < there.len(), "{} bytes for {}", filter.len(), there.len());
        }
    }

    /// Expressions over few letters.
    fn pattern() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            8 => "[akKs]{1,4}",
            2 => prop::sample::select(vec![
                ".", "\\w", "[ab]", "[^k]", "[a-k]", "[a-z]", "\\b", "^", "$", "é", "É", "ſ", "\u{212a}", "(?-u:\\xc5)", "\\n",
                "(?-u:[\\x00-\\xff])", "[\u{17f}b]", "\\d",
            ]).prop_map(str::to_owned),
        ];
        leaf.prop_recursive(5, 24, 4, |inner| {
            prop_oneof![
                4 => prop::collection::vec(inner.clone(), 1..4).prop_map(|all| all.concat()),
                3 => prop::collection::vec(inner.clone(), 1..4).prop_map(|all| format!("(?:{})", all.join("|"))),
                2 => (inner.clone(), prop::sample::select(vec!["*", "+", "?", "{2}", "{1,3}", "{0,2}", "{0}", "+?"]))
                    .prop_map(|(of, how)| format!("(?:{of}){how}")),
                1 => inner.clone().prop_map(|of| format!("({of})")),
                1 => inner.prop_map(|of| format!("(?i:{of})")),
            ]
        })
    }

    /// `pattern`, and texts: those that it makes, and others of the same letters.
    fn pattern_and_texts() -> impl Strategy<Value = (String, Vec<String>)> {
        let other = prop::collection::vec(prop_oneof![8 => "[akKs]{0,4}", 1 => "[éÉſ\u{212a}\n 1]"], 0..6);
        (pattern(), prop::collection::vec(other.prop_map(|pieces| pieces.concat()), 3)).prop_flat_map(
            |(pattern, others)| {
                let plain = pattern.replace("\\b", "").replace(['^', '$'], "");
                let made = match prop::string::string_regex(&plain) {
                    Ok(made) => prop::collection::vec(made, 6).boxed(),
                    Err(_) => Just(Vec::new()).boxed(),
                };
                made.prop_map(move |made| {
                    let around = |text: String| others.iter().map(move |other| format!("{other}{text}"));
                    (pattern.clone(), made.into_iter().flat_map(around).chain(others.clone()).collect())
                })
            },
        )
    }

    /// The same with letters of other cases in it.
    fn recased(text: &str, chance: u64) -> String {
        let other = |(at, c): (usize, char)| match (chance >> (at % 60) & 3, c) {
            (0 | 1, c) => c,
            (2, 'k') => '\u{212a}',
            (2, 's') => '\u{17f}',
            (_, c) => c.to_uppercase().next().unwrap_or(c),
        };
        text.chars().enumerate().map(other).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 800, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn what_matches_is_never_ruled_out((pattern, texts) in pattern_and_texts(), ignore_case: bool, chance: u64) {
            let built = RegexBuilder::new(&pattern).multi_line(true).case_insensitive(ignore_case).build();
            let Ok(expression) = built else { return Ok(()) };
            let demand = Demand::of(&pattern, ignore_case);
            for text in texts.iter().flat_map(|text| [text.clone(), recased(text, chance)]) {
                let is_read = demand.is_met(&made(text.as_bytes()));
                prop_assert!(is_read || !expression.is_match(text.as_bytes()), "{pattern} in {text:?}");
            }
        }

        #[test]
        fn any_expression_has_a_demand(pattern in ".{0,40}", ignore_case: bool) {
            Demand::of(&pattern, ignore_case).is_met(&made(pattern.as_bytes()));
        }
    }
}
