//! The plot: devices registered over time against the line of the quota, as SVG.

use std::fmt::Write;

use super::Report;

const SIZE: (f64, f64) = (860.0, 440.0);
/// Left, top, right, bottom.
const MARGIN: (f64, f64, f64, f64) = (80.0, 48.0, 24.0, 56.0);
const COLOURS: [&str; 2] = ["#0b7285", "#e8590c"];
/// Points of a curve.
const POINTS: usize = 300;
/// Marks on an axis, about.
const MARKS: f64 = 8.0;

/// Draws the reports into one plot.
pub fn svg(reports: &[Report]) -> String {
    let quota = reports.first().map_or(1.0, |report| report.quota);
    let devices = reports.iter().map(|report| report.devices).max().unwrap_or(1).max(1) as f64;
    let last =
        reports.iter().filter_map(|r| r.activations.last()).max().map_or(1.0, |time| time.as_secs_f64());
    let end = last.max(devices / quota) * 1.04;
    let (width, height) = (SIZE.0 - MARGIN.0 - MARGIN.2, SIZE.1 - MARGIN.1 - MARGIN.3);
    let x = |seconds: f64| MARGIN.0 + seconds / end * width;
    let y = |count: f64| MARGIN.1 + height - count / devices * height;

    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" font-family="system-ui, sans-serif" font-size="13">
<title>Devices registered over time</title>
<rect width="100%" height="100%" fill="#ffffff"/>
"##,
        SIZE.0, SIZE.1
    );
    axes(&mut svg, end, devices, &x, &y);
    let full = devices / quota;
    line(&mut svg, &[(x(0.0), y(0.0)), (x(full), y(devices))], "#868e96", "5 4");
    label(&mut svg, 0, "#868e96", &format!("AWS IoT's quota: {quota} devices a second"));
    for (index, (report, colour)) in reports.iter().zip(COLOURS).enumerate() {
        let count = report.activations.len();
        let step = (count / POINTS).max(1);
        let mut points = vec![(x(0.0), y(0.0))];
        let sampled = (0..count).step_by(step).chain(count.checked_sub(1));
        points.extend(sampled.map(|n| (x(report.activations[n].as_secs_f64()), y(n as f64 + 1.0))));
        line(&mut svg, &points, colour, "none");
        let text = format!(
            "{}: last after {:.0} s, {:.1} % of the quota's rate, {} lost",
            report.shape.title(),
            report.activations.last().map_or(0.0, |time| time.as_secs_f64()),
            report.of_quota(1.0) * 100.0,
            report.lost()
        );
        label(&mut svg, index + 1, colour, &text);
    }
    svg.push_str("</svg>\n");
    svg
}

/// Frame, grid and numbers.
fn axes(svg: &mut String, end: f64, devices: f64, x: &impl Fn(f64) -> f64, y: &impl Fn(f64) -> f64) {
    let (left, top, right, bottom) = (x(0.0), y(devices), x(end), y(0.0));
    for value in marks(end) {
        let at = x(value);
        let _ = writeln!(svg, r##"<path d="M{at:.1} {top:.1}V{bottom:.1}" stroke="#e9ecef"/>"##);
        let _ = writeln!(
            svg,
            r##"<text x="{at:.1}" y="{:.1}" text-anchor="middle">{value}</text>"##,
            bottom + 18.0
        );
    }
    for value in marks(devices) {
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
        r##"<text x="{middle:.1}" y="{:.1}" text-anchor="middle">seconds since the first device was switched on</text>"##,
        bottom + 40.0
    );
    let _ = writeln!(svg, r##"<text x="{:.1}" y="{:.1}">devices registered</text>"##, 12.0, top - 16.0);
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

/// A line of the legend, at the lower right.
fn label(svg: &mut String, row: usize, colour: &str, text: &str) {
    let (x, y) = (SIZE.0 - MARGIN.2 - 16.0, SIZE.1 - MARGIN.3 - 64.0 + 20.0 * row as f64);
    let _ = writeln!(svg, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="end" fill="{colour}">{text}</text>"#);
}
