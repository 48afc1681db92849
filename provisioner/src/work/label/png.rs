//! A label as PNG, in the dots of a label printer.

use font8x8::legacy::BASIC_LEGACY;
use png::{BitDepth, ColorType, Encoder, EncodingError, PixelDimensions, Unit};

use super::drawing::{Drawing, SIZE};

/// Dots to the metre: 300 to the inch.
const DOTS_A_METRE: usize = 11_811;
/// Dots of a dot of the font, which has 8 by 8 a character.
const ZOOM: usize = 2;
/// Dots of the font from the top of a character to the base line.
const ASCENT: usize = 7;

/// Dots of so many millimetres.
const fn dots(millimetres: usize) -> usize {
    millimetres * DOTS_A_METRE / 1000
}

/// Dots in black and white, eight to the byte, rows beginning with a new byte.
struct Canvas {
    width: usize,
    height: usize,
    rows: Vec<u8>,
}

impl Canvas {
    fn white((width, height): (usize, usize)) -> Self {
        Self { width, height, rows: vec![0xFF; width.div_ceil(8) * height] }
    }

    /// A black square; what would be outside is left out.
    fn square(&mut self, left: usize, top: usize, side: usize) {
        for y in top..(top + side).min(self.height) {
            for x in left..(left + side).min(self.width) {
                self.rows[y * self.width.div_ceil(8) + x / 8] &= !(0x80 >> (x % 8));
            }
        }
    }

    /// A line of text. Characters that the font lacks become question marks.
    fn text(&mut self, left: usize, base: usize, text: &str) {
        for (at, character) in text.chars().enumerate() {
            let known = usize::try_from(u32::from(character)).ok().and_then(|code| BASIC_LEGACY.get(code));
            let glyph = known.unwrap_or(&BASIC_LEGACY[usize::from(b'?')]);
            for (row, bits) in glyph.iter().enumerate() {
                // The lowest bit is the leftmost dot.
                for column in (0..8).filter(|column| bits >> column & 1 == 1) {
                    let (x, y) = (left + (8 * at + column) * ZOOM, base + row * ZOOM - ASCENT * ZOOM);
                    self.square(x, y, ZOOM);
                }
            }
        }
    }
}

/// The PNG file.
///
/// # Errors
/// The encoder's, which needs nothing but memory.
pub(super) fn draw(drawing: &Drawing) -> Result<Vec<u8>, EncodingError> {
    let (width, height) = (dots(SIZE.0), dots(SIZE.1));
    let mut canvas = Canvas::white((width, height));
    // Whole dots to a module, so that all are alike; what is left over goes around the code.
    let module = height / drawing.side;
    let margin = (height - module * drawing.side) / 2;
    for (x, y) in &drawing.dark {
        canvas.square(margin + x * module, margin + y * module, module);
    }
    for (y, text) in &drawing.lines {
        canvas.text(height, dots(*y), text);
    }
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, width as u32, height as u32);
    encoder.set_color(ColorType::Grayscale);
    encoder.set_depth(BitDepth::One);
    let density = DOTS_A_METRE as u32;
    encoder.set_pixel_dims(Some(PixelDimensions { xppu: density, yppu: density, unit: Unit::Meter }));
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&canvas.rows)?;
    writer.finish()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether each dot is black, row by row, as another program reads it.
    fn read(file: &[u8]) -> (usize, Vec<bool>) {
        let mut decoder = png::Decoder::new(std::io::Cursor::new(file));
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut bytes).unwrap();
        bytes.truncate(info.buffer_size());
        (info.width as usize, bytes.iter().map(|shade| *shade == 0).collect())
    }

    fn drawing() -> Drawing {
        let dark = vec![(4, 4), (5, 4), (32, 32)];
        let lines = [(5, "i"), (8, "\u{e4}"), (13, ""), (17, "")].map(|(y, text)| (y, text.to_owned()));
        Drawing { side: 37, dark, lines }
    }

    #[test]
    fn modules_are_where_a_scanner_looks_for_them() {
        let (width, black) = read(&draw(&drawing()).unwrap());
        assert_eq!((width, black.len() / width), (637, 259));
        let module = |x: usize, y: usize| black[(7 * y + 3) * width + 7 * x + 3];
        let dark = (0..37).flat_map(|y| (0..37).map(move |x| (x, y))).filter(|(x, y)| module(*x, *y));
        assert_eq!(dark.collect::<Vec<_>>(), drawing().dark);
    }

    #[test]
    fn text_is_drawn_and_what_the_font_lacks_is_a_question_mark() {
        let (width, black) = read(&draw(&drawing()).unwrap());
        let line = |base: usize| -> String {
            let row = |y: usize| (0..8).map(move |x| (y, x));
            let dot = |(y, x): (usize, usize)| black[(base - 14 + 2 * y) * width + 259 + 2 * x];
            let rows = (0..8).map(|y| row(y).map(|at| if dot(at) { '#' } else { '.' }).collect::<String>());
            rows.collect::<Vec<_>>().join("\n")
        };
        insta::assert_snapshot!(format!("{}\n\n{}", line(dots(5)), line(dots(8))));
    }
}
