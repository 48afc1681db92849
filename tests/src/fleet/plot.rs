//! The plot: devices registered over time against the line of the quota, as SVG.

use std::fmt::Write;
use std::time::Duration;

use super::Report;

const SIZE: (f64, f64) = (860.0, 440.0);
/// Left, top, right, bottom.
const MARGIN: (f64, f64, f64, f64) = (80.0, 48.0, 24.0, 56.0);
const COLOURS: [&str; 7] = ["#0b7285", "#e8590c", "#5f3dc4", "#2b8a3e", "#c2255c", "#1864ab", "#5c940d"];
/// Points of a curve.
const POINTS: usize = 300;
/// Marks on an axis, about.
const MARKS: f64 = 8.0;

/// Draws the reports into one plot. Both axes are relative, so that fleets of different sizes can be compared.
pub fn svg(reports: &[Report]) -> String {
    let relative =
        |report: &Report, time: Duration| time.as_secs_f64() * report.quota / report.devices as f64;
    let ends = reports.iter().filter_map(|report| Some(relative(report, *report.activations.last()?)));
    let end = ends.fold(1.0, f64::max) * 104.0;
    let (width, height) = (SIZE.0 - MARGIN.0 - MARGIN.2, SIZE.1 - MARGIN.1 - MARGIN.3);
    let x = |percent: f64| MARGIN.0 + percent / end * width;
    let y = |percent: f64| MARGIN.1 + height - percent / 100.0 * height;

    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" font-family="system-ui, sans-serif" font-size="13">
<title>Devices registered over time</title>
<rect width="100%" height="100%" fill="#ffffff"/>
"##,
        SIZE.0, SIZE.1
    );
    axes(&mut svg, end, &x, &y);
    let rows = reports.len();
    line(&mut svg, &[(x(0.0), y(0.0)), (x(100.0), y(100.0))], "#868e96", "5 4");
    label(&mut svg, rows, "#868e96", "the quota of AWS IoT");
    for (index, report) in reports.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let count = report.activations.len();
        let step = (count / POINTS).max(1);
        let mut points = vec![(x(0.0), y(0.0))];
        let sampled = (0..count).step_by(step).chain(count.checked_sub(1));
        points.extend(sampled.map(|n| {
            let share = (n as f64 + 1.0) / report.devices as f64;
            (x(relative(report, report.activations[n]) * 100.0), y(share * 100.0))
        }));
        line(&mut svg, &points, colour, "none");
        let text = format!(
            "{}, {} devices, {} a second: {:.1} % of the quota, {} lost",
            report.shape.title(),
            report.devices,
            report.quota,
            report.of_quota(1.0) * 100.0,
            report.lost()
        );
        label(&mut svg, rows - 1 - index, colour, &text);
    }
    svg.push_str("</svg>\n");
    svg
}

/// Frame, grid and numbers; the vertical axis ends with 100 %.
fn axes(svg: &mut String, end: f64, x: &impl Fn(f64) -> f64, y: &impl Fn(f64) -> f64) {
    let (left, top, right, bottom) = (x(0.0), y(100.0), x(end), y(0.0));
    for value in marks(end) {
        let at = x(value);
        let _ = writeln!(svg, r##"<path d="M{at:.1} {top:.1}V{bottom:.1}" stroke="#e9ecef"/>"##);
        let _ = writeln!(
            svg,
            r##"<text x="{at:.1}" y="{:.1}" text-anchor="middle">{value}</text>"##,
            bottom + 18.0
        );
    }
    for value in marks(100.0) {
        let at = y(value);
        let _ = writeln!(svg, r##"<path d="M{left:.1} {at:.1}H{right:.1}" stroke="#e9ecef"/>"##);
        let _ = writeln!(
            svg,
            r##"<text x="{:.1}" y="{:.1}" text-anchor="end">{value}</text>"##,
            left - 8.0,
            at + 4.0
        );
    }
    let _ = writeln!(
        svg,
        r##"<path d="M{left:.1} {top:.1}V{bottom:.1}H{right:.1}" fill="none" stroke="#495057"/>"##
    );
    let middle = (left + right) / 2.0;
    let _ = writeln!(
        svg,
        r##"<text x="{middle:.1}" y="{:.1}" text-anchor="middle">time, in % of the time in which the quota lets all devices through</text>"##,
        bottom + 40.0
    );
    let _ = writeln!(svg, r##"<text x="{:.1}" y="{:.1}">devices registered, in %</text>"##, 12.0, top - 16.0);
}

/// Round numbers up to `end`.
fn marks(end: f64) -> Vec<f64> {
    let raw = end / MARKS;
    let power = 10_f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|step| *step >= raw).unwrap_or(raw);
    (0..).map(|n| f64::from(n) * step).take_while(|value| *value <= end).collect()
}

fn line(svg: &mut String, points: &[(f64, f64)], colour: &str, dashes: &str) {
    let points: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let points = points.join(" ");
    let _ = writeln!(
        svg,
        r#"<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes}"/>"#
    );
}

/// A line of the legend, counted from the lowest one, at the lower right.
fn label(svg: &mut String, row: usize, colour: &str, text: &str) {
    let (x, y) = (SIZE.0 - MARGIN.2 - 16.0, SIZE.1 - MARGIN.3 - 16.0 - 20.0 * row as f64);
    let _ = writeln!(svg, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="end" fill="{colour}">{text}</text>"#);
}
