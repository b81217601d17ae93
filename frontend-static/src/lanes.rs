//! The graph beside a log: one lane for each line of descent, drawn as SVG.
//!
//! Rows may be stretched: the drawing is as high as the list, and dots are ends of lines, which stay round.
//!
//! Invariant: rows have one height, lanes are few, and the drawing says nothing that the list does not say.

use std::fmt::Write as _;

/// Height of a row of the log, as in the style sheet, and width of a lane.
const ROW: usize = 52;
const LANE: usize = 14;
/// Lanes that are drawn; what is further out runs in the last.
/// Limit: lanes of the graph beside a log | {}; what is further out runs in the last
const MOST: usize = 12;
/// Colours that lanes take turns in.
const COLOURS: usize = 6;

/// A lane that waits for a commit.
struct Lane<'a> {
    waits_for: &'a str,
    path: String,
}

fn x(lane: usize) -> usize {
    lane.min(MOST - 1) * LANE + LANE / 2
}

fn y(row: usize) -> usize {
    row * ROW + ROW / 2
}

/// A curve to lane `to` that ends at height `at`, from lane `from` half a row above.
fn bend(path: &mut String, from: usize, to: usize, at: usize) {
    // Writing to a String cannot fail.
    let _ = match from == to {
        true => write!(path, "V{at}"),
        false => write!(path, "C{} {} {} {} {} {at}", x(from), at - ROW / 4, x(to), at - ROW / 4, x(to)),
    };
}

/// A lane's path, ended where it is, in its colour.
fn draw(out: &mut String, lane: usize, path: &str) {
    let _ = write!(out, "<path class=\"l{}\" d=\"{path}\"/>", lane % COLOURS);
}

/// The graph of commits, each with its parents, the youngest first; and its width.
pub fn svg(commits: &[(&str, Vec<&str>)]) -> (String, usize) {
    let (mut lanes, mut out, mut dots, mut widest): (Vec<Option<Lane<'_>>>, _, _, _) =
        (Vec::new(), String::new(), String::new(), 1);
    for (row, (id, parents)) in commits.iter().enumerate() {
        let waiting: Vec<usize> =
            (0..lanes.len()).filter(|at| lanes[*at].as_ref().is_some_and(|lane| lane.waits_for == *id)).collect();
        let here = waiting.first().copied().unwrap_or_else(|| free(&mut lanes));
        for at in waiting {
            let Some(mut lane) = lanes[at].take() else { continue };
            let _ = write!(lane.path, "V{}", y(row) - ROW / 2);
            bend(&mut lane.path, at, here, y(row));
            draw(&mut out, at, &lane.path);
        }
        for (number, parent) in parents.iter().enumerate() {
            let known = lanes.iter().position(|lane| lane.as_ref().is_some_and(|lane| lane.waits_for == *parent));
            let to = match known {
                Some(there) if number > 0 => there,
                _ if number == 0 => here,
                _ => free(&mut lanes),
            };
            let mut path = format!("M{} {}", x(here), y(row));
            bend(&mut path, here, to, y(row) + ROW / 2);
            match lanes.get_mut(to) {
                // Another line of descent runs there already.
                Some(Some(_)) => draw(&mut out, to, &path),
                Some(free) => *free = Some(Lane { waits_for: parent, path }),
                None => {}
            }
        }
        let _ = write!(dots, "<path class=\"dot l{}\" d=\"M{} {}h0\"/>", here % COLOURS, x(here), y(row));
        widest = widest.max(here + 1).max(lanes.iter().rposition(Option::is_some).map_or(0, |last| last + 1));
    }
    let end = commits.len() * ROW;
    for (at, lane) in lanes.iter_mut().enumerate() {
        if let Some(lane) = lane {
            let _ = write!(lane.path, "V{end}");
            draw(&mut out, at, &lane.path);
        }
    }
    let width = widest.min(MOST) * LANE;
    let head = format!(
        "<svg class=\"graph\" viewBox=\"0 0 {width} {end}\" preserveAspectRatio=\"none\" width=\"{width}\" height=\"{end}\" \
             aria-hidden=\"true\" focusable=\"false\">"
    );
    (format!("{head}{out}{dots}</svg>"), width)
}

/// A lane that nothing runs in; a row is never taken by a commit that still waits to be given one.
fn free(lanes: &mut Vec<Option<Lane<'_>>>) -> usize {
    let free = lanes.iter().position(Option::is_none).unwrap_or(lanes.len());
    if free == lanes.len() {
        lanes.push(None);
    }
    free
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_straight_line_is_one_lane_and_a_merge_two() {
        let (line, width) = svg(&[("a", vec!["b"]), ("b", vec!["c"]), ("c", vec![])]);
        assert_eq!((width, line.matches("dot").count(), line.matches("<path").count()), (LANE, 3, 5));
        assert!(line.contains("d=\"M7 26V52V52V78\""), "{line}");
        let (merge, width) = svg(&[("m", vec!["a", "b"]), ("a", vec!["c"]), ("b", vec!["c"]), ("c", vec![])]);
        assert_eq!((width, merge.matches("<path class=\"l").count()), (2 * LANE, 4), "{merge}");
        assert_eq!(svg(&[]).1, LANE);
    }

    proptest! {
        #[test]
        fn any_history_is_drawn_within_bounds(parents in prop::collection::vec(prop::collection::vec(0usize..80, 0..4), 0..60)) {
            let ids: Vec<String> = (0..80).map(|n| n.to_string()).collect();
            // Parents may stand above their children, where dates lie.
            let commits: Vec<(&str, Vec<&str>)> = parents
                .iter()
                .enumerate()
                .map(|(at, parents)| (ids[at].as_str(), parents.iter().map(|parent| ids[*parent].as_str()).collect()))
                .collect();
            let (out, width) = svg(&commits);
            prop_assert!(width <= MOST * LANE);
            prop_assert_eq!(out.matches("dot").count(), commits.len());
        }
    }
}
