//! Languages are read as people read them, and whatever comes in comes out whole.

use proptest::prelude::*;

use super::*;
use crate::escape;

fn lines(path: &str, text: &str) -> Vec<String> {
    html_lines(language_of(path), text)
}

/// One line, with `‹k word›` for spans.
fn shown(path: &str, text: &str) -> String {
    let html = lines(path, text).join("⏎").replace("<i class=", "‹").replace("</i>", "›");
    html.replace("&quot;", "\"").replace("&#39;", "'").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

#[test]
fn a_language_is_known_by_the_name_of_a_file() {
    let name = |path| language_of(path).map(|language| language.name);
    assert_eq!(name("src/lib.rs"), Some("Rust"));
    assert_eq!(name("a/Makefile"), Some("Makefile"));
    assert_eq!(name("Cargo.lock"), Some("TOML"));
    assert_eq!(name("X.JSON"), Some("JSON"));
    assert_eq!(name("x.rs/readme"), None);
    assert_eq!(name(""), None);
    assert_eq!(name(&format!("{}.rs", "x".repeat(300))), None);
}

#[test]
fn the_table_is_as_the_lexer_wants_it() {
    let sorted = |words: &[&str]| words.windows(2).all(|pair| pair[0] < pair[1]);
    assert!(LANGUAGES.len() >= 25);
    for language in LANGUAGES {
        assert!(sorted(language.keywords) && sorted(language.types), "{}", language.name);
        let small = |words: &[&str]| words.iter().all(|word| *word == word.to_ascii_lowercase());
        assert!(small(language.endings) && small(language.files), "{}", language.name);
        assert!(!language.fold || small(language.keywords) && small(language.types), "{}", language.name);
        for (at, quote) in language.quotes.iter().enumerate() {
            assert!(!quote.open.is_empty() && !quote.close.is_empty());
            let hidden = language.quotes[..at].iter().find(|first| quote.open.starts_with(first.open));
            assert!(hidden.is_none(), "{}: {} is never reached", language.name, quote.open);
        }
        assert!(language.block.iter().all(|block| !block.open.is_empty() && !block.close.is_empty()));
    }
}

#[test]
fn languages_are_read_as_people_read_them() {
    for (path, text, html) in [
        ("a.rs", "let x = 1..0x2f;", "‹k>let› x = ‹n>1›..‹n>0x2f›;"),
        (
            "a.rs",
            "fn f<'a>(c: &'a str) -> Vec<u8> { g!(c, 'x', '\\'') }",
            "‹k>fn› f<‹t>'a›>(c: &‹t>'a› ‹t>str›) -> ‹t>Vec›<‹t>u8›> { ‹f>g›!(c, ‹s>'x'›, ‹s>'\\''›) }",
        ),
        ("a.rs", "r#\"a\"b\"# + br\"\\\" // c", "‹s>r#\"a\"b\"#› + ‹s>br\"\\\"› ‹c>// c›"),
        ("a.rs", "/* a /* b */ c */ d", "‹c>/* a /* b */ c */› d"),
        (
            "a.c",
            "#  include <x.h>\nint /* a\nb */ main(void)",
            "‹k>#  include› <x.h>⏎‹t>int› ‹c>/* a›⏎‹c>b */› ‹f>main›(‹t>void›)",
        ),
        ("a.cpp", "R\"x(a)\" )x\" + 1'000", "‹s>R\"x(a)\" )x\"› + ‹n>1›‹s>'000›"),
        (
            "a.py",
            "@cached\ndef f(s='''a\n'b'''): return None  # it's",
            "‹k>@cached›⏎‹k>def› ‹f>f›(s=‹s>'''a›⏎‹s>'b'''›): ‹k>return› ‹k>None›  ‹c># it's›",
        ),
        ("a.go", "x := `a\nb` // \"c", "x := ‹s>`a›⏎‹s>b`› ‹c>// \"c›"),
        ("a.js", "const s = \"a\\\"b\nlet t = `x${y}`", "‹k>const› s = ‹s>\"a\\\"b›⏎‹k>let› t = ‹s>`x${y}`›"),
        ("a.sh", "echo \"$#\" 'a\\' # it's\n${#x}", "‹k>echo› ‹s>\"$#\"› ‹s>'a\\'› ‹c># it's›⏎${#x}"),
        ("a.sql", "SELECT 'it''s' FROM t -- c", "‹k>SELECT› ‹s>'it''s'› ‹k>FROM› t ‹c>-- c›"),
        ("a.json", "{\"a\" : [1, true, \"b\"]}", "{‹t>\"a\"› : [‹n>1›, ‹k>true›, ‹s>\"b\"›]}"),
        ("a.yaml", "a-b: don't # c\nurl: http://x", "‹t>a-b›: don't ‹c># c›⏎‹t>url›: http://x"),
        ("a.toml", "name = 'x' # y", "‹t>name› = ‹s>'x'› ‹c># y›"),
        (
            "a.html",
            "<a href=\"x\">don't &amp;</a><!-- <b> -->",
            "<‹k>a› ‹t>href›=‹s>\"x\"›>don't ‹n>&amp;›</‹k>a›>‹c><!-- <b> -->›",
        ),
        ("a.lua", "--[[ a\nb ]] local s = [[x\ny]]", "‹c>--[[ a›⏎‹c>b ]]› ‹k>local› s = ‹s>[[x›⏎‹s>y]]›"),
        ("a.hs", "f' x = 'c' -- {- d", "f' x = ‹s>'c'› ‹c>-- {- d›"),
        ("a.txt", "let x = 1", "let x = 1"),
    ] {
        assert_eq!(shown(path, text), html, "{path}");
    }
}

#[test]
fn a_long_line_is_plain_and_the_next_one_is_not() {
    let text = format!("let s = \"{}\nlet\";\nlet x;", "<".repeat(5000));
    let out = lines("a.rs", &text);
    assert!(!out[0].contains("<i") && out[0].ends_with("&lt;"));
    assert_eq!(out[1], "<i class=s>let&quot;</i>;");
    assert_eq!(out[2], "<i class=k>let</i> x;");
}

#[test]
fn there_are_as_many_lines_as_in_the_text() {
    for text in ["", "\n", "a", "a\n", "a\n\n", "\n\na\r\n"] {
        for path in ["a.rs", "a"] {
            assert_eq!(lines(path, text).len(), text.lines().count(), "{text:?}");
        }
    }
}

/// What a reader of the page reads: HTML without its tags.
fn without_tags(html: &str) -> String {
    let mut out = String::new();
    let mut rest = html;
    while let Some((before, tag)) = rest.split_once('<') {
        out.push_str(before);
        rest = tag.split_once('>').expect("every tag is closed").1;
    }
    out + rest
}

fn whole(path: &str, text: &str) {
    let out = lines(path, text);
    assert!(out.iter().all(|line| line.matches("<i class=").count() == line.matches("</i>").count()));
    assert_eq!(out.len(), text.lines().count());
    let back = without_tags(&out.join("\n"));
    assert_eq!(back, escape::text(text.strip_suffix('\n').unwrap_or(text)), "{path}");
}

proptest! {
    #[test]
    fn whatever_comes_in_comes_out_escaped_and_no_more(text in any::<String>(), at in 0..LANGUAGES.len()) {
        whole(&format!("a.{}", LANGUAGES[at].endings[0]), &text);
    }

    #[test]
    fn so_does_what_is_made_of_beginnings_and_ends(
        parts in prop::collection::vec(prop::sample::select(vec![
            "'", "\"", "`", "\\", "\n", "/*", "*/", "//", "#", "r#\"", "R\"(", ")\"", "\"\"\"", "'''", "<", ">", "&", "&amp;",
            "<!--", "-->", "--", "[[", "]]", "(*", "*)", "{-", "@", "@a", "x", "fn", " ", "1", "1e", "+", ".", "é", "\u{202e}", ":", "=",
            "=begin", "\r", "''", "!", "(",
        ]), 0..60),
        at in 0..LANGUAGES.len(),
    ) {
        whole(&format!("a.{}", LANGUAGES[at].endings[0]), &parts.concat());
    }
}

/// Nothing is looked at again and again: many of each opening end. (Were it not so, this would take hours.)
#[test]
fn many_beginnings_end() {
    for piece in ["\"", "'", "/*", "(", "<", "r#\"", "R\"(", "#", "\\", "&", "a ", "\"a\" ", "@", "`", "[[", "x"] {
        let text = piece.repeat((48 << 10) / piece.len());
        for path in ["a.rs", "a.cpp", "a.html", "a.json", "a.lua", "a.yaml"] {
            assert_eq!(lines(path, &text).len(), 1);
        }
    }
}
