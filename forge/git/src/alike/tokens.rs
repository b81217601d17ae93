//! A line of source taken apart: words, numbers, operators. Whitespace goes.
//!
//! No language is known here: comments and what stands in strings are taken apart like everything else.
//!
//! Invariant: any bytes give tokens, of which each is a part of the line, in its order.

/// Operators of more than one character, in any of the languages; longer ones first.
#[rustfmt::skip]
const OPERATORS: &[&[u8]] = &[
    b">>>=",
    b"<<=", b">>=", b">>>", b"...", b"..=", b"===", b"!==", b"**=", b"//=", b"&&=", b"||=", b"??=", b"&^=",
    b"==", b"!=", b"<=", b">=", b"&&", b"||", b"->", b"=>", b"::", b"..", b"+=", b"-=", b"*=", b"/=", b"%=", b"&=", b"|=",
    b"^=", b"<<", b">>", b":=", b"<-", b"++", b"--", b"**", b"//", b"??", b"?.", b"&^", b"@=",
];

/// The tokens of a line.
pub(super) fn of(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = line;
    std::iter::from_fn(move || {
        rest = rest.trim_ascii_start();
        let (token, after) = rest.split_at(first(rest)?);
        rest = after;
        Some(token)
    })
}

/// Length of the token that `rest` begins with.
fn first(rest: &[u8]) -> Option<usize> {
    let byte = *rest.first()?;
    let run = |of: fn(u8) -> bool| rest.iter().position(|&b| !of(b)).unwrap_or(rest.len());
    Some(match byte {
        b'0'..=b'9' => number(rest),
        byte if in_word(byte) => run(in_word),
        _ => OPERATORS.iter().find(|operator| rest.starts_with(operator)).map_or(1, |operator| operator.len()),
    })
}

/// Length of a number: digits, letters and a point between digits, so that `0..9` is a range and `1.5e3` one number.
fn number(rest: &[u8]) -> usize {
    let mut at = 0;
    while let Some(&byte) = rest.get(at) {
        let point = byte == b'.' && rest.get(at + 1).is_some_and(u8::is_ascii_digit);
        if !point && !in_word(byte) {
            break;
        }
        at += 1;
    }
    at
}

/// Whether a byte may stand in a word; whatever is not ASCII may.
pub(super) fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn taken(line: &str) -> Vec<String> {
        of(line.as_bytes()).map(|token| String::from_utf8_lossy(token).into_owned()).collect()
    }

    #[test]
    fn words_numbers_and_operators() {
        assert_eq!(
            taken("\tlet größe_2 = a[0..10].min(1.5e3) ?? 0xff; // ok\r\n").join(" "),
            "let größe_2 = a [ 0 .. 10 ] . min ( 1.5e3 ) ?? 0xff ; // ok"
        );
        assert_eq!(taken("a===b&&!c->d"), ["a", "===", "b", "&&", "!", "c", "->", "d"]);
        assert_eq!(taken("x=1."), ["x", "=", "1", "."]);
        assert_eq!(taken(" \t \n"), [""; 0]);
    }

    #[test]
    fn longer_operators_come_first() {
        for (at, operator) in OPERATORS.iter().enumerate() {
            assert!(OPERATORS[..at].iter().all(|other| !operator.starts_with(other)), "{operator:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_but_whitespace_goes(line in prop::collection::vec(any::<u8>(), 0..80)) {
            let kept: Vec<u8> = of(&line).flatten().copied().filter(|b| !b.is_ascii_whitespace()).collect();
            let there: Vec<u8> = line.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
            prop_assert_eq!(kept, there);
            prop_assert!(of(&line).all(|token| !token.is_empty()));
        }

        #[test]
        fn blanks_between_tokens_are_nothing(line in "[a-c0-3=.<>+ ]{0,30}") {
            let spaced = taken(&line).join("  ");
            prop_assert_eq!(taken(&spaced), taken(&line));
        }
    }
}
