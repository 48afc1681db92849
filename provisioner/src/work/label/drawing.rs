//! What a label shows, whichever form it is written in.

use qrcode::{Color, EcLevel, QrCode};

use crate::work::provision::Report;

/// Width and height of the label, in millimetres: fits the usual rolls, 62 mm wide.
pub(super) const SIZE: (usize, usize) = (54, 22);
/// Light modules around a QR code (ISO/IEC 18004, section 5.3.8).
const QUIET_ZONE: usize = 4;

/// The QR code on the left, as high as the label, and lines of text beside it.
#[derive(Debug)]
pub(super) struct Drawing {
    /// Modules along a side of the QR code, its quiet zone included.
    pub(super) side: usize,
    /// The dark modules, from the top left corner of the quiet zone: column, row.
    pub(super) dark: Vec<(usize, usize)>,
    /// Each line of text with the place of its base line, in millimetres from the top.
    pub(super) lines: [(usize, String); 4],
}

impl Drawing {
    /// Thing name as code and text, and the serial numbers; `None` for a thing name too long for a code.
    pub(super) fn of(board: &Report) -> Option<Self> {
        let code = QrCode::with_error_correction_level(&board.about.thing_name, EcLevel::M).ok()?;
        let colors = code.to_colors();
        let dark = colors.iter().enumerate().filter(|(_, color)| **color == Color::Dark);
        let (first, second) = board.about.thing_name.split_at_checked(board.about.thing_name.len() / 2)?;
        Some(Self {
            side: code.width() + 2 * QUIET_ZONE,
            dark: dark
                .map(|(at, _)| (at % code.width() + QUIET_ZONE, at / code.width() + QUIET_ZONE))
                .collect(),
            lines: [
                (5, first.to_owned()),
                (8, second.to_owned()),
                (13, board.about.usb_serial.clone().unwrap_or_default()),
                (17, board.about.secure_element_serial.clone()),
            ],
        })
    }
}
