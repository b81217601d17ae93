//! Reading a command line that may have lost its quotes on the way: ssh joins arguments with spaces.
//!
//! So the reader forgives: quotes count only where they balance, `--title` runs to the next flag, and for commands that
//! take text everything after the reference is text as it stands.

use std::collections::BTreeMap;

use crate::answer::{Code, Refusal};

/// How a flag takes its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// None: it is there or not.
    Nothing,
    /// One word; may be given several times.
    Word,
    /// Everything up to the next flag.
    Words,
}

/// When a command reads its body from stdin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stdin {
    /// Never, except where an argument is `-`.
    Dash,
    /// Where no text was given on the line.
    InsteadOfText,
    /// Always.
    Always,
    /// Over HTTP only, where nothing can hang on a terminal.
    OverHttp,
}

/// What a command's line may hold.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Fewest and most words after its name, text not counted.
    pub words: (usize, usize),
    /// Whether everything after those words is text.
    pub text: bool,
    /// Its own flags.
    pub flags: &'static [(&'static str, Takes)],
    /// Its body.
    pub stdin: Stdin,
}

impl Shape {
    /// Between `fewest` and `most` words, no text, no flags, no body.
    pub const fn words(fewest: usize, most: usize) -> Shape {
        Shape { words: (fewest, most), text: false, flags: &[], stdin: Stdin::Dash }
    }

    /// The same with flags.
    pub const fn flags(self, flags: &'static [(&'static str, Takes)]) -> Shape {
        Shape { flags, ..self }
    }
}

/// Flags that every command takes, before its name or before any text.
pub const GLOBAL: &[(&str, Takes)] =
    &[("json", Takes::Nothing), ("if-match", Takes::Word), ("idempotency-key", Takes::Word)];

/// A line, read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Args {
    /// The name that the command was called by.
    pub called: String,
    /// Words after the command's name.
    pub words: Vec<String>,
    /// The text, for commands that take one.
    pub text: Option<String>,
    /// Whether `-` stands where the text would: it comes on stdin.
    pub dash: bool,
    flags: BTreeMap<String, Vec<String>>,
}

impl Args {
    /// The word at `at`.
    pub fn word(&self, at: usize) -> Option<&str> {
        self.words.get(at).map(String::as_str)
    }

    /// Whether a flag was given.
    pub fn has(&self, flag: &str) -> bool {
        self.flags.contains_key(flag)
    }

    /// A flag's last value.
    pub fn value(&self, flag: &str) -> Option<&str> {
        self.flags.get(flag)?.last().map(String::as_str)
    }

    /// The flags that were given, by name.
    pub fn flags(&self) -> impl Iterator<Item = &str> {
        self.flags.keys().map(String::as_str)
    }

    /// All values of a flag, in order, split at commas.
    pub fn values(&self, flag: &str) -> Vec<String> {
        let all = self.flags.get(flag).into_iter().flatten();
        all.flat_map(|v| v.split(',')).map(str::trim).filter(|v| !v.is_empty()).map(str::to_owned).collect()
    }
}

/// Longest command line that is read, in bytes.
/// Limit: line of a command | {:bytes}
const LONGEST: usize = 64 << 10;

fn usage(what: &str, why: impl Into<String>) -> Refusal {
    let topic = if what.is_empty() || what == "command" { "help".to_owned() } else { format!("help {what}") };
    Refusal::new(Code::Usage, what, why, topic)
}

/// Splits the command's name off: global flags before it are taken into `args`. Returns the name's candidates (two words,
/// one word) with what follows each.
pub fn head<'a>(line: &'a str, args: &mut Args) -> Result<Vec<(String, &'a str)>, Refusal> {
    if line.len() > LONGEST {
        return Err(usage(
            "command",
            format!("a command line has at most {LONGEST} bytes; longer text comes on stdin"),
        ));
    }
    let mut rest = line.trim();
    // What an answer suggests runs as it stands, whoever adds or leaves out the door.
    for door in ["ssh forge ", "forge "] {
        rest = rest.strip_prefix(door).unwrap_or(rest).trim_start();
    }
    if rest.is_empty() {
        rest = "help";
    }
    rest = flags("command", rest, &[], args)?;
    let (first, after_first) = next_word(rest);
    // The ssh client takes an option directly behind the host for its own, so many stand here.
    let after_first = flags("command", after_first, &[], args)?;
    let mut names = Vec::new();
    let (second, after_second) = next_word(after_first);
    if !second.is_empty() && !second.starts_with("--") {
        names.push((format!("{first} {second}"), after_second));
    }
    names.push((first.to_owned(), after_first));
    Ok(names)
}

fn next_word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

/// The first word of `text` as a shell reads it, quotes taken off; whether it began with one; and what follows. `None` where
/// a quote stays open. A quote directly behind another, or behind `=`, goes on with the same word.
fn shell_word(text: &str) -> Option<(String, bool, &str)> {
    let text = text.trim_start();
    let (mut word, mut open, mut closed) = (String::new(), None, false);
    let quoted = text.starts_with(['\'', '"']);
    for (at, c) in text.char_indices() {
        let just_closed = std::mem::take(&mut closed);
        match (open, c) {
            (Some(quote), c) if c == quote => (open, closed) = (None, true),
            (None, '\'' | '"') if just_closed || word.is_empty() || word.ends_with('=') => open = Some(c),
            (None, c) if c.is_whitespace() => return Some((word, quoted, text[at..].trim_start())),
            (_, c) => word.push(c),
        }
    }
    open.is_none().then_some((word, quoted, ""))
}

/// The value of a flag: a word as a shell reads it; where a quote stays open, it is an ordinary character.
fn next_value(text: &str) -> (String, &str) {
    shell_word(text).map(|(word, _, rest)| (word, rest)).unwrap_or_else(|| {
        let (word, rest) = next_word(text.trim_start());
        (word.to_owned(), rest)
    })
}

/// Takes global flags, and those of a command's `own`, off the front of `rest`.
fn flags<'a>(
    what: &str,
    mut rest: &'a str,
    own: &[(&'static str, Takes)],
    args: &mut Args,
) -> Result<&'a str, Refusal> {
    loop {
        let (word, after) = next_word(rest);
        let named = word.strip_prefix("--").and_then(|name| known(name, GLOBAL).or_else(|| known(name, own)));
        let Some((name, takes)) = named else { return Ok(rest) };
        match takes {
            Takes::Nothing => {
                args.flags.entry(name.to_owned()).or_default();
                rest = after;
            }
            Takes::Word | Takes::Words => {
                let (value, after) = match word.split_once('=') {
                    Some((_, value)) => (value.to_owned(), after),
                    None => next_value(after),
                };
                if value.is_empty() {
                    return Err(usage(what, format!("--{name} needs a value")));
                }
                args.flags.entry(name.to_owned()).or_default().push(value);
                rest = after;
            }
        }
    }
}

fn known(flag: &str, flags: &[(&'static str, Takes)]) -> Option<(&'static str, Takes)> {
    let name = flag.split_once('=').map_or(flag, |(name, _)| name);
    flags.iter().find(|(known, _)| *known == name).copied()
}

/// Reads what follows the command's name.
pub fn tail(what: &str, rest: &str, shape: &Shape, args: &mut Args) -> Result<(), Refusal> {
    if shape.text { text_tail(what, rest, shape, args) } else { flag_tail(what, rest, shape, args) }?;
    let (fewest, most) = shape.words;
    let given = args.words.len();
    if given < fewest || given > most {
        let wanted = if fewest == most { fewest.to_string() } else { format!("{fewest} to {most}") };
        return Err(usage(what, format!("arguments wanted: {wanted}; given: {given}")));
    }
    Ok(())
}

fn text_tail(what: &str, rest: &str, shape: &Shape, args: &mut Args) -> Result<(), Refusal> {
    let mut rest = flags(what, rest.trim(), shape.flags, args)?;
    while args.words.len() < shape.words.1 && !rest.is_empty() {
        let (word, after) = next_word(rest);
        args.words.push(unquote(word).to_owned());
        rest = flags(what, after, shape.flags, args)?;
    }
    let text = unquote(rest.trim());
    args.dash = text == "-";
    args.text = (!text.is_empty() && !args.dash).then(|| text.to_owned());
    Ok(())
}

fn flag_tail(what: &str, rest: &str, shape: &Shape, args: &mut Args) -> Result<(), Refusal> {
    let words = split(rest);
    let mut words = words.into_iter().peekable();
    while let Some((word, quoted)) = words.next() {
        let Some(flag) = word.strip_prefix("--").filter(|_| !quoted) else {
            args.words.push(word);
            continue;
        };
        let found = known(flag, shape.flags).or_else(|| known(flag, GLOBAL));
        let Some((name, takes)) = found else { return Err(usage(what, format!("it has no flag `--{flag}`"))) };
        let inline = flag.split_once('=').map(|(_, value)| value.to_owned());
        let is_flag = |word: &(String, bool)| !word.1 && word.0.starts_with("--");
        let value = match (takes, inline) {
            (Takes::Nothing, None) => {
                args.flags.entry(name.to_owned()).or_default();
                continue;
            }
            (Takes::Nothing, Some(_)) => return Err(usage(what, format!("--{name} takes no value"))),
            (Takes::Word, Some(value)) => Some(value),
            (Takes::Word, None) => words.next_if(|w| !is_flag(w)).map(|(word, _)| word),
            (Takes::Words, inline) => {
                let mut parts: Vec<String> = inline.into_iter().collect();
                while let Some((word, _)) = words.next_if(|w| !is_flag(w)) {
                    parts.push(word);
                }
                (!parts.is_empty()).then(|| parts.join(" "))
            }
        };
        let value = value.filter(|v| !v.is_empty()).ok_or_else(|| usage(what, format!("--{name} needs a value")))?;
        args.flags.entry(name.to_owned()).or_default().push(value);
    }
    Ok(())
}

/// Whether a word can only be meant as an issue or pull request: `7`, `#7`, `parser#7`, `parser/7`.
pub fn is_reference(word: &str) -> bool {
    let number = word.rsplit(['#', '/']).next().unwrap_or(word);
    number.parse::<u64>().is_ok() || word.contains('#')
}

/// Text in one pair of quotes loses them; text with a lone one is taken as it stands.
fn unquote(text: &str) -> &str {
    for quote in ['\'', '"'] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|t| t.strip_suffix(quote))
            && !inner.contains(quote)
        {
            return inner;
        }
    }
    text
}

/// `text` in quotes, as one word or value of a line that is no flag, whatever it holds.
pub fn quoted(text: &str) -> String {
    match (text.contains('\''), text.contains('"')) {
        (false, _) => format!("'{text}'"),
        (true, false) => format!("\"{text}\""),
        (true, true) => format!("'{}'", text.replace('\'', "'\"'\"'")),
    }
}

/// The words of `text` as a shell reads them; where quotes do not balance they are ordinary characters. The flag beside each
/// word says that it began with a quote, so that it is no flag.
fn split(text: &str) -> Vec<(String, bool)> {
    let (mut words, mut rest) = (Vec::new(), text.trim_start());
    while !rest.is_empty() {
        let Some((word, quoted, after)) = shell_word(rest) else {
            return text.split_whitespace().map(|w| (w.to_owned(), false)).collect();
        };
        words.push((word, quoted));
        rest = after;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: Shape = Shape::words(1, 1).flags(&[("title", Takes::Words), ("label", Takes::Word)]);
    const REPLY: Shape = Shape { words: (1, 1), text: true, flags: &[], stdin: Stdin::InsteadOfText };

    fn read(line: &str, shape: &Shape) -> Result<Args, Refusal> {
        let mut args = Args::default();
        let names = head(line, &mut args)?;
        let rest = names.last().unwrap().1;
        tail("x", rest, shape, &mut args)?;
        Ok(args)
    }

    #[test]
    fn a_title_without_quotes_runs_to_the_next_flag() {
        for line in [
            "new parser --title Fix the leak --label rust",
            "new parser --title 'Fix the leak' --label=rust",
            "new --label rust --title \"Fix the leak\" -- parser",
        ] {
            let args = read(line, &NEW);
            if line.contains("-- parser") {
                assert!(args.is_err(), "{args:?}");
                continue;
            }
            let args = args.unwrap();
            assert_eq!(
                (args.value("title"), args.value("label"), args.word(0)),
                (Some("Fix the leak"), Some("rust"), Some("parser"))
            );
        }
        assert_eq!(read("new parser --title Don't panic", &NEW).unwrap().value("title"), Some("Don't panic"));
        assert!(read("new parser --tilte x", &NEW).unwrap_err().why.contains("--tilte"));
        assert!(read("new parser --title --label x", &NEW).is_err());
    }

    #[test]
    fn text_is_taken_as_it_stands() {
        let args = read("--json reply parser/7 It's done --json and 'quoted'", &REPLY).unwrap();
        assert!(args.has("json"));
        assert_eq!(args.text.as_deref(), Some("It's done --json and 'quoted'"));
        assert_eq!(read("reply parser/7 'all of it'", &REPLY).unwrap().text.as_deref(), Some("all of it"));
        assert_eq!(read("reply parser/7 --json x", &REPLY).unwrap().text.as_deref(), Some("x"));
        assert_eq!(read("reply parser/7 -", &REPLY).unwrap().text, None);
        assert_eq!(read("ssh forge reply parser/7 x", &REPLY).unwrap().word(0), Some("parser/7"));
    }

    #[test]
    fn whatever_is_quoted_comes_back() {
        for text in [
            "a b",
            "it's",
            "say \"so\"",
            "it's \"so\" 'and' so",
            "--json",
            "'",
            "\"'",
            "''\"\"",
            "a\nb",
            "x='y' \"z\"",
            "x\"' --if-match y",
        ] {
            let args = read(&format!("new parser --title {} --label x", quoted(text)), &NEW).unwrap();
            assert_eq!((args.value("title"), args.value("label")), (Some(text), Some("x")), "{}", quoted(text));
            let args = read(&format!("new parser --label={} --title x", quoted(text)), &NEW).unwrap();
            assert_eq!((args.value("title"), args.value("label")), (Some("x"), Some(text)), "{}", quoted(text));
            // Before text, where flags end with the first word that is none.
            let shape =
                Shape { text: true, ..Shape::words(1, 1) }.flags(&[("at", Takes::Word), ("if-match", Takes::Word)]);
            let args = read(&format!("x 7 --at {} why", quoted(text)), &shape).unwrap();
            assert_eq!(
                (args.value("at"), args.value("if-match"), args.text.as_deref()),
                (Some(text), None, Some("why"))
            );
        }
    }

    #[test]
    fn flags_stand_before_the_text_and_nothing_in_it_is_one() {
        let shape = Shape { text: true, ..Shape::words(2, 2) }.flags(&[("at", Takes::Word)]);
        for line in ["x comment 7 --at 'a b:3' why --at x", "x --at \"a b:3\" comment 7 why --at x"] {
            let args = read(line, &shape).unwrap();
            assert_eq!((args.value("at"), args.text.as_deref()), (Some("a b:3"), Some("why --at x")), "{line}");
        }
        assert_eq!(read("x comment 7 --at it's:3 why", &shape).unwrap().value("at"), Some("it's:3"));
        assert!(read("x comment 7 --at", &shape).is_err());
    }

    #[test]
    fn a_word_of_text_is_no_reference() {
        assert!(["7", "#7", "parser#7", "parser/7", "parser#x"].into_iter().all(is_reference));
        assert!(["Fixed", "and/or", "It's", "v1.2", ""].into_iter().all(|word| !is_reference(word)));
    }

    #[test]
    fn counts_and_lengths_are_checked() {
        assert!(read("new", &NEW).unwrap_err().why.contains("wanted: 1; given: 0"));
        assert!(read("new a b", &NEW).is_err());
        assert!(read(&"x".repeat(LONGEST + 1), &NEW).is_err());
        assert_eq!(read("new '--label'", &NEW).unwrap().word(0), Some("--label"));
    }
}
