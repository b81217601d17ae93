//! Lines that look like definitions, language by language.

use super::{Defined, LONGEST_NAME, Language, in_word};

/// What a line, without what it is indented by, defines.
pub(super) fn of(language: Language, text: &[u8]) -> Option<Defined> {
    match language {
        Language::Rust => rust(text),
        Language::Go => go(text),
        Language::TypeScript => typescript(text),
        Language::Python => python(text),
    }
}

fn rust(mut text: &[u8]) -> Option<Defined> {
    if let Some(rest) = text.strip_prefix(b"macro_rules!") {
        return function(word(rest.trim_ascii_start())?);
    }
    loop {
        if let Some(rest) = keyword(text, b"pub") {
            text = if rest.starts_with(b"(") { behind(rest)? } else { rest };
        } else if let Some(rest) = text.strip_prefix(b"\"") {
            // The name of an ABI.
            let end = rest.iter().position(|&b| b == b'"')?;
            text = rest[end + 1..].trim_ascii_start();
        } else if let Some(rest) = one_of(text, &[b"default", b"const", b"async", b"unsafe", b"extern"]) {
            text = rest;
        } else {
            break;
        }
    }
    if let Some(rest) = keyword(text, b"fn") {
        return function(word(rest.strip_prefix(b"r#").unwrap_or(rest))?);
    }
    if let Some(rest) = one_of(text, &[b"mod", b"trait"]) {
        return container(word(rest)?);
    }
    let whole = keyword(text, b"impl")?;
    // `impl<T> Display for Cache<T>` by all of it, so that methods of two traits are told apart.
    let whole = &whole[..whole.iter().position(|&b| b == b'{').unwrap_or(whole.len())];
    let words = whole.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let name: Vec<&[u8]> = words.take_while(|word| *word != b"where").collect();
    container(&name.join(b" ".as_slice()))
}

fn go(text: &[u8]) -> Option<Defined> {
    let rest = keyword(text, b"func")?;
    if !rest.starts_with(b"(") {
        return function(word(rest)?);
    }
    // `func(` without a blank is one without a name.
    text.strip_prefix(b"func ")?;
    let after = behind(rest)?;
    let name = word(after)?;
    // `(c *Cache[K])`: the type is the last word before its parameters.
    let receiver = &rest[1..rest.len() - after.len()];
    let receiver = &receiver[..receiver.iter().position(|b| matches!(b, b'[' | b')')).unwrap_or(receiver.len())];
    let kind = receiver.rsplit(|&b| !in_word(b)).find(|word| !word.is_empty()).unwrap_or_default();
    function(&[kind, b"::", name].concat())
}

fn python(text: &[u8]) -> Option<Defined> {
    if let Some(rest) = keyword(text, b"class") {
        return container(word(rest)?);
    }
    function(word(keyword(keyword(text, b"async").unwrap_or(text), b"def")?)?)
}

/// Words before a parenthesis that call or control, and define nothing.
const NO_METHODS: &[&[u8]] =
    &[b"if", b"for", b"while", b"switch", b"catch", b"with", b"return", b"function", b"await", b"super", b"new"];

fn typescript(text: &[u8]) -> Option<Defined> {
    let rest = modifiers(text, &[b"export", b"default", b"declare", b"abstract"]);
    if let Some(rest) = keyword(keyword(rest, b"async").unwrap_or(rest), b"function") {
        return function(word(star(rest)).unwrap_or(b"default"));
    }
    if let Some(rest) = one_of(rest, &[b"class", b"namespace"]) {
        return container(word(rest).filter(|name| !matches!(*name, b"extends" | b"implements")).unwrap_or(b"default"));
    }
    if let Some(rest) = one_of(rest, &[b"const", b"let", b"var"]) {
        return assigned(rest);
    }
    let of_classes: &[&[u8]] =
        &[b"public", b"private", b"protected", b"static", b"override", b"readonly", b"async", b"get", b"set"];
    let rest = star(modifiers(rest, of_classes));
    let rest = rest.strip_prefix(b"#").unwrap_or(rest);
    assigned(rest).or_else(|| method(rest))
}

/// `name = (a, b) => …`, `name: Kind = async a => …`, `name = function …`.
fn assigned(text: &[u8]) -> Option<Defined> {
    let name = word(text)?;
    let mut rest = text[name.len()..].trim_ascii_start();
    if rest.starts_with(b":") {
        // The type ends before the sign of equality that belongs to no arrow and no comparison.
        let alone = |at: &usize| {
            rest[*at] == b'=' && !matches!(rest.get(at + 1), Some(b'>' | b'=')) && !matches!(rest[at - 1], b'=' | b'!')
        };
        rest = &rest[(1..rest.len()).find(alone)?..];
    }
    let value = rest.strip_prefix(b"=").filter(|rest| !matches!(rest.first(), Some(b'=' | b'>')))?.trim_ascii_start();
    let value = keyword(value, b"async").unwrap_or(value);
    let arrow = if keyword(value, b"function").is_some() {
        true
    } else if let Some(parameter) = word(value) {
        value[parameter.len()..].trim_ascii_start().starts_with(b"=>")
    } else {
        let value = if value.starts_with(b"<") { generics(value)? } else { value };
        match behind(value) {
            Some(rest) => rest.starts_with(b"=>") || rest.starts_with(b":"),
            // The parameters go on below.
            None => value.starts_with(b"(") && matches!(value.last(), Some(b'(' | b'{' | b',')),
        }
    };
    if arrow { function(name) } else { None }
}

/// `name(a, b): Kind {`
fn method(text: &[u8]) -> Option<Defined> {
    let name = word(text).filter(|name| !NO_METHODS.contains(name))?;
    let rest = &text[name.len()..];
    let rest = if rest.starts_with(b"<") { generics(rest)? } else { rest };
    let rest = behind(rest)?;
    if matches!(rest.first(), Some(b'{' | b':')) && rest.contains(&b'{') { function(name) } else { None }
}

fn function(name: &[u8]) -> Option<Defined> {
    Some(Defined { name: name[..name.len().min(LONGEST_NAME)].to_vec(), function: true })
}

fn container(name: &[u8]) -> Option<Defined> {
    Some(Defined { name: name[..name.len().min(LONGEST_NAME)].to_vec(), function: false })
}

/// What follows a keyword, if `text` begins with it.
pub(super) fn keyword<'t>(text: &'t [u8], word: &[u8]) -> Option<&'t [u8]> {
    let rest = text.strip_prefix(word)?;
    if rest.first().is_some_and(|&b| in_word(b)) { None } else { Some(rest.trim_ascii_start()) }
}

fn one_of<'t>(text: &'t [u8], words: &[&[u8]]) -> Option<&'t [u8]> {
    words.iter().find_map(|word| keyword(text, word))
}

/// What follows words that may stand before a name; a last one that is the name itself stays.
fn modifiers<'t>(mut text: &'t [u8], words: &[&[u8]]) -> &'t [u8] {
    while let Some(rest) = one_of(text, words).filter(|rest| !matches!(rest.first(), Some(b'(' | b'=' | b':' | b'<'))) {
        text = rest;
    }
    text
}

fn star(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"*").unwrap_or(text).trim_ascii_start()
}

/// The word that `text` begins with.
fn word(text: &[u8]) -> Option<&[u8]> {
    let end = text.iter().position(|&b| !in_word(b)).unwrap_or(text.len());
    let named = text.first().is_some_and(|b| !b.is_ascii_digit());
    if end > 0 && named { Some(&text[..end]) } else { None }
}

/// What follows the parentheses that `text` begins with.
fn behind(text: &[u8]) -> Option<&[u8]> {
    bracketed(text, b'(', b')')
}

/// What follows the parameters of types that `text` begins with.
fn generics(text: &[u8]) -> Option<&[u8]> {
    bracketed(text, b'<', b'>')
}

fn bracketed(text: &[u8], opening: u8, closing: u8) -> Option<&[u8]> {
    if text.first() != Some(&opening) {
        return None;
    }
    let mut depth = 0usize;
    for (at, &byte) in text.iter().enumerate() {
        if byte == opening {
            depth += 1;
        } else if byte == closing {
            depth -= 1;
        }
        if depth == 0 {
            return Some(text[at + 1..].trim_ascii_start());
        }
    }
    None
}
