//! Charts as SVG inside the page: a rating over its changes, bars, and the strip of attempts.
//!
//! Invariant: numbers and words of ours alone; what each shows is said in words too, for whoever does not see it.

use std::fmt::Write as _;

use crate::escape;

/// Limit: points of a chart | {}; of more, every so many are left out
const MOST_POINTS: usize = 240;
const WIDTH: f64 = 320.0;
const HEIGHT: f64 = 120.0;
/// What is left free on the left for numbers, and at the other sides.
const LEFT: f64 = 44.0;
const EDGE: f64 = 8.0;
/// What the numbers beside a rating are multiples of, milli-Elo.
const STEP: i64 = 10_000;

/// Where a rating changes its tier, and the tier above: as `tiers` of the answer has them, milli-Elo.
pub type Tier<'a> = (i64, &'a str);

/// How a rating went: `points` in milli-Elo, oldest first, with a dashed line where a tier begins.
pub fn rating(label: &str, points: &[i64], tiers: &[Tier<'_>]) -> String {
    let points = thinned(points);
    let (Some(least), Some(most)) = (points.iter().min(), points.iter().max()) else { return String::new() };
    // Room around it, so that a few points of change do not fill the picture.
    let middle = least.midpoint(*most).saturating_add(STEP / 2) / STEP * STEP;
    let half = (most.saturating_sub(*least).saturating_mul(3) / 5).max(15_000) / STEP * STEP;
    let half = half.saturating_add(2 * STEP);
    let (bottom, top) = (middle.saturating_sub(half), middle.saturating_add(half));
    let y = |milli: i64| {
        let part = (milli as f64 - bottom as f64) / (top as f64 - bottom as f64);
        EDGE + (1.0 - part) * (HEIGHT - 2.0 * EDGE)
    };
    let step = (WIDTH - LEFT - EDGE) / (points.len().saturating_sub(1).max(1) as f64);
    let mut svg = opened("chart", label, WIDTH, HEIGHT);
    for (milli, name) in tiers.iter().filter(|(milli, _)| (bottom..=top).contains(milli)) {
        line(&mut svg, "tier", y(*milli));
        words(&mut svg, WIDTH - EDGE, y(*milli) - 4.0, "end", name);
    }
    for milli in [bottom, middle, top] {
        let at = y(milli).clamp(EDGE + 4.0, HEIGHT - EDGE);
        words(&mut svg, LEFT - 6.0, at + 4.0, "end", &(milli / 1000).to_string());
    }
    let mut path = String::new();
    for (n, milli) in points.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = write!(path, "{}{:.1} {:.1}", if n == 0 { "M" } else { "L" }, LEFT + step * n as f64, y(*milli));
    }
    let _ = write!(svg, "<path d=\"{path}\"/>");
    if let Some(last) = points.last() {
        let at = LEFT + step * (points.len() - 1) as f64;
        let _ = write!(svg, "<circle cx=\"{at:.1}\" cy=\"{:.1}\" r=\"3\"/>", y(*last));
    }
    svg + "</svg>"
}

/// Bars, one for each of `counts`, oldest first. The label says what they are.
pub fn bars(label: &str, counts: &[u64]) -> String {
    const BAR: f64 = 6.0;
    const HIGH: f64 = 24.0;
    let counts = &counts[..counts.len().min(MOST_POINTS)];
    let most = counts.iter().copied().max().unwrap_or(0).max(1) as f64;
    let svg = opened("bars", label, BAR * counts.len() as f64, HIGH);
    let (mut some, mut none) = (String::new(), String::new());
    for (n, count) in counts.iter().enumerate() {
        // A day without anything is a line, so that days can be counted.
        let high = if *count == 0 { 1.0 } else { (*count as f64 / most * HIGH).max(3.0).round() };
        let path = if *count == 0 { &mut none } else { &mut some };
        // Writing to a String cannot fail.
        let _ = write!(path, "M{:.0} {HIGH}v-{high}h{}v{high}z", BAR * n as f64, BAR - 2.0);
    }
    svg + &format!("<path class=\"none\" d=\"{none}\"/><path d=\"{some}\"/></svg>")
}

/// A bar from the middle: to the right what was gained, to the left what was lost, of at most `most` on either side. The number
/// stands beside it.
pub fn gain(milli: i64, most: u64) -> String {
    let long = (milli.unsigned_abs() as f64 / most.max(1) as f64).min(1.0) * 99.0;
    let (class, from) = if milli < 0 { ("bad", 100.0 - long) } else { ("ok", 100.0) };
    format!(
        "<svg class=\"gain\" viewBox=\"0 0 200 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <path d=\"M100 0v10\"/><rect class=\"{class}\" x=\"{from:.1}\" y=\"1\" width=\"{long:.1}\" height=\"8\"/></svg>"
    )
}

/// One attempt of a strip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Its number, which is where it leads: `#attempt-2`.
    pub number: usize,
    /// Whether it passed.
    pub passed: bool,
    /// How long it ran.
    pub ms: u64,
}

/// Attempts in their order; the longer one ran the wider it is, up to four times the narrowest.
pub fn strip(label: &str, attempts: &[Attempt]) -> String {
    const NARROW: f64 = 32.0;
    const HIGH: f64 = 28.0;
    let attempts = &attempts[..attempts.len().min(MOST_POINTS)];
    let longest = attempts.iter().map(|attempt| attempt.ms).max().unwrap_or(0).max(1) as f64;
    let wide = |attempt: &Attempt| NARROW + 3.0 * NARROW * attempt.ms as f64 / longest;
    let mut svg = opened("strip", label, attempts.iter().map(|attempt| wide(attempt) + 4.0).sum(), HIGH);
    let mut x = 0.0;
    for attempt in attempts {
        let (class, mark) = if attempt.passed { ("ok", '✓') } else { ("bad", '✗') };
        let (n, width) = (attempt.number, wide(attempt));
        let word = if attempt.passed { "passed" } else { "failed" };
        let _ = write!(svg, "<a href=\"#attempt-{n}\" aria-label=\"Attempt {n}, {word}\">");
        let _ = write!(
            svg,
            "<rect class=\"{class}\" x=\"{:.1}\" y=\"1\" width=\"{width:.1}\" height=\"{}\" rx=\"3\"/>",
            x + 1.0,
            HIGH - 2.0
        );
        words(&mut svg, x + 1.0 + width / 2.0, HIGH / 2.0 + 5.0, "middle", &format!("{n} {mark}"));
        svg.push_str("</a>");
        x += width + 4.0;
    }
    svg + "</svg>"
}

fn opened(class: &str, label: &str, width: f64, height: f64) -> String {
    // Links inside stay links: such a picture is a group, and any other one picture.
    let role = if class == "strip" { "group" } else { "img" };
    let label = escape::text(label);
    format!(
        "<svg class=\"{class}\" role=\"{role}\" aria-label=\"{label}\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         width=\"{width:.0}\" height=\"{height:.0}\">"
    )
}

fn line(svg: &mut String, class: &str, y: f64) {
    let _ = write!(svg, "<line class=\"{class}\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>", WIDTH - EDGE);
}

fn words(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let text = escape::text(text);
    let _ = write!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
}

/// At most [`MOST_POINTS`] of them, first and last included.
fn thinned(points: &[i64]) -> Vec<i64> {
    let stride = points.len().div_ceil(MOST_POINTS - 1).max(1);
    let mut kept: Vec<i64> = points.iter().copied().step_by(stride).collect();
    if let Some(last) = points.last().filter(|_| points.len() % stride != 1 && stride > 1) {
        kept.push(*last);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rating_is_drawn_between_its_tiers() {
        let svg =
            rating("alpha <b>", &[1_200_000, 1_216_000, 1_190_500], &[(1_200_000, "Silver"), (1_600_000, "Gold")]);
        assert!(svg.contains("aria-label=\"alpha &lt;b&gt;\"") && svg.contains(">Silver</text>"), "{svg}");
        assert!(!svg.contains("Gold") && !svg.contains("style=") && !svg.contains("NaN"), "{svg}");
        assert_eq!(svg.matches('L').count(), 2, "{svg}");
        assert!(svg.len() < 1200, "{}", svg.len());
    }

    #[test]
    fn every_history_is_drawn() {
        assert_eq!(rating("none", &[], &[]), "");
        for points in [vec![1], vec![i64::MAX, i64::MIN], vec![0; 2], (0..100_000).collect::<Vec<i64>>()] {
            let svg = rating("x", &points, &[(0, "T")]);
            assert!(svg.len() < 8 << 10 && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
        assert_eq!(thinned(&(0..1000).collect::<Vec<i64>>()).last(), Some(&999));
        assert_eq!(thinned(&[1, 2]), [1, 2]);
        assert!(thinned(&(0..100_000).collect::<Vec<i64>>()).len() <= MOST_POINTS);
    }

    #[test]
    fn bars_and_strips_are_as_long_as_what_they_show() {
        assert!(gain(-500, 1000).contains("class=\"bad\" x=\"50.5\" y=\"1\" width=\"49.5\""));
        for (milli, most) in [(i64::MIN, 1), (0, 0), (1, 0), (i64::MAX, u64::MAX)] {
            assert!(!gain(milli, most).contains("NaN") && !gain(milli, most).contains("\"-"), "{milli} of {most}");
        }
        assert_eq!(bars("x", &[0, 3, 1]).matches('M').count(), 3);
        assert!(bars("x", &[0, 2]).contains("class=\"none\" d=\"M0 24v-1h4v1z\"/><path d=\"M6 24v-24h4v24z\""));
        let attempt = |number, passed| Attempt { number, passed, ms: u64::MAX };
        let svg = strip("2 attempts", &[attempt(1, false), attempt(2, true)]);
        assert!(svg.contains("href=\"#attempt-2\"") && svg.contains("2 ✓") && svg.contains("1 ✗"), "{svg}");
        assert!(!strip("none", &[]).contains("NaN"));
    }
}
