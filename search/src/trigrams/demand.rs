//! The trigrams that every match of an expression has.
//!
//! The expression is walked once, from left to right. While it is known which few strings the part just walked may have
//! matched, they grow together; where too much is possible they are cut off, and what they hold is demanded.
//!
//! Invariant: of a match, nothing is demanded that it could be without.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

use super::{may_have, trigrams};

/// Most strings that grow together: enough for some letters that fold to others, as `k` and `s` do.
/// Limit: strings that a piece of a `grep`'s expression can match and that are told apart | {}; with more, fewer files are ruled out
const MOST_ENDS: usize = 16;

/// What a file must have if an expression is to match in it.
#[derive(Debug)]
pub struct Demand(Vec<Need>);

#[derive(Debug)]
enum Need {
    Trigram(u32),
    /// One of these, all of it.
    Any(Vec<Vec<Need>>),
}

impl Demand {
    /// What `pattern` demands, read as the `regex` crate reads it, where `^` and `$` match at lines. What does not read demands
    /// nothing.
    pub fn of(pattern: &str, ignore_case: bool) -> Demand {
        let mut parser = ParserBuilder::new().multi_line(true).case_insensitive(ignore_case).utf8(false).build();
        let mut walk = Walk::default();
        if let Ok(expression) = parser.parse(pattern) {
            walk.over(&expression);
        }
        Demand(walk.end())
    }

    /// Whether a file with this filter may have it.
    pub fn is_met(&self, filter: &[u8]) -> bool {
        all_met(&self.0, filter)
    }
}

fn all_met(needs: &[Need], filter: &[u8]) -> bool {
    needs.iter().all(|need| match need {
        Need::Trigram(trigram) => may_have(filter, *trigram),
        Need::Any(ways) => ways.iter().any(|way| all_met(way, filter)),
    })
}

struct Walk {
    needs: Vec<Need>,
    /// What was matched since the last cut, folded: one of these, or what ends with one of them.
    ends: Vec<Vec<u8>>,
    /// Whether nothing was cut off, so that the ends are all that can be matched.
    is_whole: bool,
}

impl Default for Walk {
    fn default() -> Self {
        Walk { needs: Vec::new(), ends: vec![Vec::new()], is_whole: true }
    }
}

impl Walk {
    fn over(&mut self, expression: &Hir) {
        match expression.kind() {
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => self.grow(&[fold(&literal.0)]),
            HirKind::Class(class) => match few(class) {
                Some(strings) => self.grow(&strings),
                None => self.cut(),
            },
            HirKind::Repetition(repeated) if repeated.min == 0 => self.cut(),
            HirKind::Repetition(repeated) => {
                self.over(&repeated.sub);
                self.cut();
            }
            HirKind::Capture(group) => self.over(&group.sub),
            HirKind::Concat(parts) => parts.iter().for_each(|part| self.over(part)),
            HirKind::Alternation(ways) => self.either(ways),
        }
    }

    fn either(&mut self, ways: &[Hir]) {
        let mut walks: Vec<Walk> = Vec::with_capacity(ways.len());
        for way in ways {
            let mut walk = Walk::default();
            walk.over(way);
            walks.push(walk);
        }
        let known: usize = walks.iter().map(|walk| walk.ends.len()).sum();
        if known <= MOST_ENDS && walks.iter().all(|walk| walk.is_whole) {
            let strings: Vec<Vec<u8>> = walks.into_iter().flat_map(|walk| walk.ends).collect();
            return self.grow(&strings);
        }
        self.cut();
        self.demand(walks.into_iter().map(Walk::end).collect());
    }

    /// One of `strings` comes next.
    fn grow(&mut self, strings: &[Vec<u8>]) {
        if self.ends.len() * strings.len() > MOST_ENDS {
            self.settle();
            // What trigrams across the cut begin with.
            for end in &mut self.ends {
                end.drain(..end.len().saturating_sub(2));
            }
            self.ends.sort_unstable();
            self.ends.dedup();
            self.is_whole = false;
        }
        if self.ends.len() * strings.len() > MOST_ENDS {
            self.ends = vec![Vec::new()];
        }
        let longer = |end: &Vec<u8>| strings.iter().map(|string| [&end[..], string].concat()).collect::<Vec<_>>();
        self.ends = self.ends.iter().flat_map(longer).collect();
        self.ends.sort_unstable();
        self.ends.dedup();
    }

    /// Anything may come next.
    fn cut(&mut self) {
        self.settle();
        self.ends = vec![Vec::new()];
        self.is_whole = false;
    }

    /// Demands what the ends hold.
    fn settle(&mut self) {
        let ways = self.ends.iter().map(|end| trigrams(end).map(Need::Trigram).collect()).collect();
        self.demand(ways);
    }

    fn demand(&mut self, mut ways: Vec<Vec<Need>>) {
        match ways.len() {
            // One of them demands nothing.
            _ if ways.iter().any(Vec::is_empty) => {}
            1 => self.needs.append(&mut ways[0]),
            _ => self.needs.push(Need::Any(ways)),
        }
    }

    fn end(mut self) -> Vec<Need> {
        self.settle();
        self.needs
    }
}

fn fold(bytes: &[u8]) -> Vec<u8> {
    bytes.to_ascii_lowercase()
}

/// The strings that a class matches, folded, where they are few.
fn few(class: &Class) -> Option<Vec<Vec<u8>>> {
    let mut strings: Vec<Vec<u8>> = match class {
        Class::Unicode(class) => {
            let all = || class.iter().flat_map(|range| range.start()..=range.end());
            all().nth(MOST_ENDS).is_none().then(|| all().map(|c| fold(c.encode_utf8(&mut [0; 4]).as_bytes())).collect())
        }
        Class::Bytes(class) => {
            let all = || class.iter().flat_map(|range| range.start()..=range.end());
            all().nth(MOST_ENDS).is_none().then(|| all().map(|byte| fold(&[byte])).collect())
        }
    }?;
    strings.sort_unstable();
    strings.dedup();
    // A class of nothing never matches, which is nothing to build on.
    (!strings.is_empty()).then_some(strings)
}
