//! A label as SVG.

use std::fmt::Write as _;

use device_pki::visible;

use super::drawing::{Drawing, SIZE};

/// The SVG file.
pub(super) fn draw(drawing: &Drawing) -> String {
    let (mut modules, mut lines) = (String::new(), String::new());
    let ((width, height), side) = (SIZE, drawing.side);
    // Writing to a String cannot fail.
    for (x, y) in &drawing.dark {
        let _ = write!(modules, "M{x} {y}h1v1h-1z");
    }
    for (y, text) in &drawing.lines {
        let _ = writeln!(lines, r#"<text x="{height}" y="{y}">{}</text>"#, escaped(text));
    }
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}mm" height="{height}mm" viewBox="0 0 {width} {height}">
<rect width="{width}" height="{height}" fill="white"/>
<svg width="{height}" height="{height}" viewBox="0 0 {side} {side}" shape-rendering="crispEdges">
<path d="{modules}"/>
</svg>
<g font-family="monospace" font-size="2.4">
{lines}</g>
</svg>
"#
    )
}

/// XML has no control characters (Extensible Markup Language 1.0, section 2.2), and a person is to see hidden ones.
fn escaped(text: &str) -> String {
    visible::line(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn what_a_board_says_of_itself_is_text_in_the_picture() {
        assert_eq!(escaped("x\u{1b}[31m<b>\u{202e}&"), "x\\u{1b}[31m&lt;b&gt;\\u{202e}&amp;");
    }
}
