//! Rows of a file, one after the other: however many there are, one is in memory.
//!
//! Invariant: what is wrong with a row is told with its place in the file, and nothing after it is read.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};

use serde::de::{DeserializeSeed, Deserializer as _, Error as _, SeqAccess, Visitor};
use serde_json::Value;

use super::{Fault, Layout};

/// Longest row, in bytes.
/// Limit: row of a file that is imported | {:bytes}
const LONGEST_ROW: u64 = 16 << 20;

/// Why a file is not read further.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// The system says so.
    #[error("{place}: {source}")]
    Io {
        /// The file, and how far it was read.
        place: String,
        /// What the system says.
        source: io::Error,
    },
    /// A row is not what it should be.
    #[error("{place}: {fault}")]
    Row {
        /// The file and the line.
        place: String,
        /// The field, and why.
        fault: Fault,
    },
}

/// What is done with each row; its place comes first.
pub type Each<'a> = dyn FnMut(&str, Value) -> Result<(), Fault> + 'a;

/// Reads the rows of `file`, called `name`, one by one.
pub fn each(layout: Layout, name: &str, file: impl Read, to: &mut Each<'_>) -> Result<(), RowsError> {
    match layout {
        Layout::List => list(name, file, to),
        Layout::Lines | Layout::Pages => lines(name, file, to),
    }
}

fn lines(name: &str, file: impl Read, to: &mut Each<'_>) -> Result<(), RowsError> {
    let mut file = BufReader::new(file);
    let mut line = Vec::new();
    for n in 1u64.. {
        let place = format!("{name} line {n}");
        line.clear();
        let read = file.by_ref().take(LONGEST_ROW + 1).read_until(b'\n', &mut line);
        if read.map_err(|source| RowsError::Io { place: place.clone(), source })? == 0 {
            break;
        }
        let refuse = |fault| RowsError::Row { place: place.clone(), fault };
        if line.len() as u64 > LONGEST_ROW {
            return Err(refuse(too_long()));
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let row =
            serde_json::from_slice(&line).map_err(|e| refuse(Fault::new("row", format!("no JSON: {}", said(&e)))))?;
        to(&place, row).map_err(refuse)?;
    }
    Ok(())
}

fn too_long() -> Fault {
    Fault::new("row", format!("longer than {LONGEST_ROW} bytes"))
}

fn said(error: &serde_json::Error) -> String {
    let said = error.to_string();
    said.split(" at line ").next().unwrap_or(&said).to_owned()
}

/// How far the bytes of a list were read.
#[derive(Debug)]
struct Progress {
    line: Cell<u64>,
    row: Cell<u64>,
}

/// A reader that counts, and ends where one row is too long.
struct Counted<'a, R> {
    inner: R,
    progress: &'a Progress,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // The parser asks for a byte at a time, so what was read is what was parsed.
        let n = self.inner.read(buffer)?;
        let breaks = buffer.iter().take(n).filter(|b| **b == b'\n').count() as u64;
        self.progress.line.set(self.progress.line.get() + breaks);
        self.progress.row.set(self.progress.row.get() + n as u64);
        if self.progress.row.get() > LONGEST_ROW {
            return Err(io::Error::other(too_long().to_string()));
        }
        Ok(n)
    }
}

fn list(name: &str, file: impl Read, to: &mut Each<'_>) -> Result<(), RowsError> {
    let progress = Progress { line: Cell::new(1), row: Cell::new(0) };
    let counted = Counted { inner: BufReader::new(file), progress: &progress };
    let mut parser = serde_json::Deserializer::from_reader(counted);
    let mut refused = None;
    let rows = Rows { name, progress: &progress, to, refused: &mut refused };
    let read = parser.deserialize_seq(rows).and_then(|()| parser.end());
    match (read, refused) {
        (_, Some(refused)) => Err(refused),
        (Ok(()), None) => Ok(()),
        (Err(e), None) => {
            let place = format!("{name} line {}", e.line());
            Err(RowsError::Row { place, fault: Fault::new("list", format!("no JSON list: {}", said(&e))) })
        }
    }
}

struct Rows<'a, 'b> {
    name: &'a str,
    progress: &'a Progress,
    to: &'a mut Each<'b>,
    refused: &'a mut Option<RowsError>,
}

impl<'de> Visitor<'de> for Rows<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        for n in 1u64.. {
            self.progress.row.set(0);
            let Some((line, row)) = rows.next_element_seed(Begun(self.progress))? else { break };
            let place = format!("{} line {line}, row {n}", self.name);
            if let Err(fault) = (self.to)(&place, row) {
                *self.refused = Some(RowsError::Row { place, fault });
                return Err(A::Error::custom("refused"));
            }
        }
        Ok(())
    }
}

/// A row and the line that it begins on.
struct Begun<'a>(&'a Progress);

impl<'de> DeserializeSeed<'de> for Begun<'_> {
    type Value = (u64, Value);

    fn deserialize<D: serde::Deserializer<'de>>(self, parser: D) -> Result<(u64, Value), D::Error> {
        let line = self.0.line.get();
        Ok((line, serde::Deserialize::deserialize(parser)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(layout: Layout, text: &str) -> Result<Vec<(String, Value)>, String> {
        let mut all = Vec::new();
        let mut keep = |place: &str, row: Value| match row.get("bad") {
            Some(_) => Err(Fault::new("bad", "it is")),
            None => {
                all.push((place.to_owned(), row));
                Ok(())
            }
        };
        each(layout, "f", text.as_bytes(), &mut keep).map_err(|e| e.to_string())?;
        Ok(all)
    }

    #[test]
    fn each_row_has_its_place() {
        let of = |layout, text| rows(layout, text).unwrap().into_iter().map(|(place, _)| place).collect::<Vec<_>>();
        assert_eq!(of(Layout::Lines, "{}\n\n{}"), ["f line 1", "f line 3"]);
        assert_eq!(of(Layout::List, "[{},\n{\n},{}]\n"), ["f line 1, row 1", "f line 2, row 2", "f line 3, row 3"]);
        assert_eq!(of(Layout::List, " [] "), [""; 0]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let of = |layout, text| rows(layout, text).unwrap_err();
        assert_eq!(of(Layout::Lines, "{}\n{\"bad\":1}\n"), "f line 2: bad: it is");
        assert_eq!(of(Layout::List, "[{},\n{\"bad\":1}]"), "f line 2, row 2: bad: it is");
        assert!(of(Layout::Lines, "{}\n{").starts_with("f line 2: row: no JSON: EOF"));
        assert!(of(Layout::List, "{}").starts_with("f line 1: list: no JSON list: invalid type: map"));
        assert!(of(Layout::List, "[{},").starts_with("f line 1: list: no JSON list: EOF"));
        assert!(of(Layout::List, "[] []").starts_with("f line 1: list: no JSON list: trailing"));
        let deep = "[".repeat(100_000);
        assert!(of(Layout::List, &deep).contains("recursion") && of(Layout::Lines, &deep).contains("recursion"));
    }

    #[test]
    fn a_row_without_an_end_is_not_read_to_it() {
        let endless = || io::repeat(b' ').take(LONGEST_ROW + 10);
        let none = &mut |_: &str, _| Ok(());
        let of = |layout, file: &mut dyn Read| each(layout, "f", file, none).unwrap_err().to_string();
        let mut of = of;
        assert!(of(Layout::Lines, &mut endless()).contains("longer than"));
        assert!(of(Layout::List, &mut b"[".chain(endless())).contains("longer than"));
    }
}
