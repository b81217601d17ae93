//! What a run prints: rows with ratio and mark, as a table or as JSON.

use serde::Serialize;

use super::machine::Machine;

/// One comparison.
#[derive(Debug, Serialize)]
pub struct Row {
    /// What was measured.
    pub name: String,
    /// In what.
    pub unit: &'static str,
    /// Our median; none where it could not be measured.
    pub ours: Option<f64>,
    /// The reference's median.
    pub reference: Option<f64>,
    /// What it was measured against.
    pub reference_name: String,
    /// How many times better ours is; higher is better whatever the unit.
    pub ratio: Option<f64>,
    /// What the ratio is to reach.
    pub mark: f64,
    /// Why there is no ratio.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Row {
    /// A row in which less is better: time, bytes.
    pub fn cost(name: &str, unit: &'static str, medians: (f64, f64), against: &str, mark: f64) -> Row {
        Row::new(name, unit, medians, medians.1 / medians.0, against, mark)
    }

    /// A row in which more is better: so many per second.
    pub fn rate(name: &str, unit: &'static str, medians: (f64, f64), against: &str, mark: f64) -> Row {
        Row::new(name, unit, medians, medians.0 / medians.1, against, mark)
    }

    fn new(name: &str, unit: &'static str, (ours, reference): (f64, f64), ratio: f64, against: &str, mark: f64) -> Row {
        let ratio = Some(ratio).filter(|ratio| ratio.is_finite());
        Row {
            name: name.to_owned(),
            unit,
            ours: Some(ours),
            reference: Some(reference),
            reference_name: against.to_owned(),
            ratio,
            mark,
            why: ratio.is_none().then(|| "nothing was measured".to_owned()),
        }
    }

    /// A row whose reference cannot run here.
    pub fn without(name: &str, unit: &'static str, against: &str, mark: f64, why: String) -> Row {
        let (ours, reference, ratio) = (None, None, None);
        let (name, reference_name) = (name.to_owned(), against.to_owned());
        Row { name, unit, ours, reference, reference_name, ratio, mark, why: Some(why) }
    }

    /// Whether the mark is reached.
    pub fn reached(&self) -> bool {
        self.ratio.is_some_and(|ratio| ratio >= self.mark)
    }
}

/// A whole run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The comparisons.
    pub rows: Vec<Row>,
    /// Where they were made.
    pub machine: Machine,
    /// Of how many rounds the numbers are medians.
    pub rounds: usize,
    /// Whether sizes were cut so far that the numbers mean nothing.
    pub quick: bool,
}

impl Report {
    /// The table, for people.
    pub fn table(&self) -> String {
        let head = ["what", "ours", "reference", "ratio", "mark", "", "against"].map(str::to_owned);
        let rows = self.rows.iter().map(|row| {
            let reached = match row.ratio {
                None => "–",
                Some(_) if row.reached() => "reached",
                Some(_) => "not reached",
            };
            let measured =
                |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{} {}", show(value), row.unit));
            let against = match &row.why {
                Some(why) => format!("{}: {why}", row.reference_name),
                None => row.reference_name.clone(),
            };
            let ratio = row.ratio.map_or("–".to_owned(), show);
            vec![
                row.name.clone(),
                measured(row.ours),
                measured(row.reference),
                ratio,
                show(row.mark),
                reached.to_owned(),
                against,
            ]
        });
        let all: Vec<Vec<String>> = std::iter::once(head.to_vec()).chain(rows).collect();
        columns(&all, &[0, 5, 6]) + &self.footer()
    }

    fn footer(&self) -> String {
        let rounds = match self.rounds {
            1 => "One round.".to_owned(),
            rounds => format!("Medians of {rounds} rounds, in turns."),
        };
        let line = self.machine.line();
        let mut text = format!("\n{rounds} A ratio above 1 is in our favour, whatever the unit.\n{line}");
        if self.quick {
            text.push_str("--quick cuts every size: it shows that the rows can be measured, and nothing else.\n");
        }
        text
    }
}

/// Rows under each other, those columns that are words to the left. All rows have as many cells as the first.
pub(super) fn columns(rows: &[Vec<String>], words: &[usize]) -> String {
    let many = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..many).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (at, cell) in row.iter().enumerate() {
            let gap = " ".repeat(widths[at] - cell.chars().count());
            let (before, after) = if words.contains(&at) { ("", gap.as_str()) } else { (gap.as_str(), "") };
            line.push_str(&format!("{before}{cell}{after}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Three significant digits.
pub(super) fn show(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 0.1 || v == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_higher_where_ours_is_better() {
        let faster = Row::cost("x", "ms", (2.0, 20.0), "stock", 5.0);
        let more = Row::rate("x", "events/s", (200.0, 1000.0), "disk", 0.3);
        assert_eq!((faster.ratio, faster.reached()), (Some(10.0), true));
        assert_eq!((more.ratio, more.reached()), (Some(0.2), false));
        let none = Row::cost("x", "ms", (0.0, 0.0), "stock", 1.0);
        assert!(none.ratio.is_none() && none.why.is_some() && !none.reached());
    }

    #[test]
    fn columns_stand_under_each_other_and_a_debug_build_is_called_one() {
        let rows = vec![
            Row::cost("short", "ms", (2.0, 20.0), "stock", 5.0),
            Row::without("a longer name", "ms", "sshd", 3.33, "there is no sshd".to_owned()),
        ];
        let mut machine = super::super::machine::describe(std::path::Path::new("/"));
        machine.build = "debug";
        let table = Report { rows, machine, rounds: 3, quick: true }.table();
        let lines: Vec<&str> = table.lines().collect();
        let at = |line: &str, needle: &str| line.find(needle).map(|at| line[..at].chars().count());
        assert_eq!(at(lines[0], "against"), at(lines[1], "stock"));
        assert_eq!(at(lines[0], "against"), at(lines[2], "sshd"));
        assert!(table.contains("reached") && table.contains("DEBUG") && table.contains("--quick"));
    }
}
