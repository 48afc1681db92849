//! Intel HEX files (Intel Hexadecimal Object File Format Specification, revision A): read and checked. No I/O.

use std::collections::BTreeMap;
use std::ops::Range;

use super::kits::Target;

mod error;
mod format;

pub use error::{Error, Trouble};
pub use format::Format;

/// The most content an image can have, in bytes: no target has a flash this large.
const SIZE_MAX: usize = 1 << 20;
/// Editors of Windows put it before text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// The end of a text file in CP/M and DOS.
const CTRL_Z: u8 = 0x1A;
/// The record that ends a file.
const END: &str = ":00000001FF";
/// The record that lets addresses begin at 0 again.
const BASE_ZERO: &str = ":020000040000FA";

/// An image: bytes and their addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// Bytes by address; neighbours are one piece.
    pieces: BTreeMap<u32, Vec<u8>>,
    /// The records alone, one a line.
    records: String,
}

/// Where data records go.
#[derive(Clone, Copy)]
enum Base {
    /// Offsets wrap within 64 KiB (extended segment address).
    Segment(u32),
    /// Offsets are added (extended linear address).
    Linear(u32),
}

impl Image {
    /// Reads a file. White space, NULs and Ctrl-Z around records are passed over. After an end record another file may
    /// follow: its addresses begin at 0 again.
    ///
    /// # Errors
    /// [`Error::Other`], [`Error::Record`], [`Error::NoEnd`], [`Error::Large`], [`Error::Empty`]; never panics, for any bytes.
    pub fn parse(file: &[u8]) -> Result<Self, Error> {
        if format::has_conflict(file) {
            return Err(Error::Other(Format::Conflict));
        }
        let text = file.strip_prefix(BYTE_ORDER_MARK).unwrap_or(file);
        let begins_with_a_record = trimmed(text).starts_with(b":") && !text.starts_with(b":\0");
        if let (false, Some(format)) = (begins_with_a_record, Format::of(file)) {
            return Err(Error::Other(format));
        }
        let mut written = lines_of(text).map(trimmed).filter(|line| !line.is_empty()).peekable();
        if written.peek().is_some() && !written.any(|line| line.starts_with(b":")) {
            return Err(Error::Other(Format::Text));
        }
        let mut bytes: BTreeMap<u32, u8> = BTreeMap::new();
        let mut records = String::new();
        let mut base = Base::Linear(0);
        let mut ended = false;
        let mut lines = 0;
        // Old systems of Apple end a line with a carriage return alone.
        for (index, line) in lines_of(text).enumerate() {
            let line = trimmed(line);
            if line.is_empty() {
                continue;
            }
            lines = index + 1;
            let at_line = |trouble| Error::Record { line: index + 1, trouble };
            let (kind, offset, data) = record(line).map_err(at_line)?;
            if kind == 0x01 && data.is_empty() {
                (ended, base) = (true, Base::Linear(0));
                continue;
            }
            if std::mem::take(&mut ended) {
                push(&mut records, BASE_ZERO);
            }
            push(&mut records, &String::from_utf8_lossy(line).to_ascii_uppercase());
            match (kind, data.as_slice()) {
                (0x00, data) => {
                    for (i, &byte) in data.iter().enumerate() {
                        let address = base.address(offset, i).ok_or(at_line(Trouble::Overflow))?;
                        if bytes.insert(address, byte).is_some_and(|old| old != byte) {
                            return Err(at_line(Trouble::Twice(address)));
                        }
                    }
                    if bytes.len() > SIZE_MAX {
                        return Err(Error::Large);
                    }
                }
                (0x02, &[high, low]) => base = Base::Segment(u32::from_be_bytes([0, 0, high, low]) << 4),
                (0x04, &[high, low]) => base = Base::Linear(u32::from_be_bytes([high, low, 0, 0])),
                // Start addresses: the kits' targets begin where their hardware says.
                (0x03 | 0x05, [_, _, _, _]) => {}
                (0x01..=0x05, _) => return Err(at_line(Trouble::TypeLength(kind))),
                (kind, _) => return Err(at_line(Trouble::Type(kind))),
            }
        }
        if lines == 0 || ended && bytes.is_empty() {
            return Err(Error::Empty);
        }
        if !ended {
            return Err(Error::NoEnd { lines });
        }
        let mut pieces: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
        for (address, byte) in bytes {
            match pieces.last_entry() {
                Some(mut last) if last.key() + last.get().len() as u32 == address => {
                    last.get_mut().push(byte)
                }
                _ => {
                    pieces.insert(address, vec![byte]);
                }
            }
        }
        push(&mut records, END);
        Ok(Self { pieces, records })
    }

    /// The same image as a plain file: every record in upper case, one a line, with one end record. What a debugger makes of
    /// anything else is not known.
    pub fn records(&self) -> &[u8] {
        self.records.as_bytes()
    }

    /// Bytes of content.
    pub fn size(&self) -> usize {
        self.pieces.values().map(Vec::len).sum()
    }

    /// The byte at an address, if there is one.
    pub fn byte(&self, address: u32) -> Option<u8> {
        let (start, piece) = self.pieces.range(..=address).next_back()?;
        piece.get((address - start) as usize).copied()
    }

    /// Whether the image fits into the target, and begins as a program for it does.
    ///
    /// # Errors
    /// [`Error::Outside`], [`Error::NoStart`], [`Error::OtherTarget`].
    pub fn check_for(&self, target: Target) -> Result<(), Error> {
        let beginning: Option<Vec<u8>> = (0..8).map(|address| self.byte(address)).collect();
        let code: Option<[u8; 8]> = beginning.and_then(|bytes| bytes.try_into().ok());
        if let Some(code) = code.filter(|code| !target.suits(*code)) {
            let looks_like = Target::ALL.into_iter().find(|other| other.suits(code));
            return Err(Error::OtherTarget { target, looks_like });
        }
        let memories: Vec<Range<u32>> =
            std::iter::once(target.flash()).chain(target.beside_flash().iter().cloned()).collect();
        for (&start, piece) in &self.pieces {
            let end = u64::from(start) + piece.len() as u64;
            let memory = memories.iter().find(|memory| memory.contains(&start));
            let room = memory.map_or(u64::from(start), |memory| u64::from(memory.end));
            if end > room {
                return Err(Error::Outside { address: room as u32, target });
            }
        }
        code.map(|_| ()).ok_or(Error::NoStart { target })
    }
}

impl Base {
    fn address(self, offset: u16, index: usize) -> Option<u32> {
        match self {
            Self::Segment(base) => Some(base + u32::from(offset.wrapping_add(index as u16))),
            Self::Linear(base) => base.checked_add(u32::from(offset))?.checked_add(index as u32),
        }
    }
}

/// Without the white space, NULs and Ctrl-Z around it.
fn trimmed(line: &[u8]) -> &[u8] {
    let is_padding = |byte: &u8| byte.is_ascii_whitespace() || matches!(*byte, 0 | CTRL_Z);
    let Some(first) = line.iter().position(|byte| !is_padding(byte)) else { return &[] };
    let last = line.iter().rposition(|byte| !is_padding(byte)).unwrap_or(first);
    &line[first..=last]
}

/// The lines, whose ends are LF, CR LF or CR.
fn lines_of(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let end = if text.contains(&b'\n') { b'\n' } else { b'\r' };
    text.split(move |&byte| byte == end)
}

fn push(records: &mut String, record: &str) {
    records.push_str(record);
    records.push_str("\r\n");
}

/// Type, offset and data of one record.
fn record(line: &[u8]) -> Result<(u8, u16, Vec<u8>), Trouble> {
    let digits = line.strip_prefix(b":").ok_or(Trouble::Colon)?;
    let bytes = hex::decode(digits).map_err(|_| Trouble::Digits)?;
    let [length, high, low, kind, rest @ ..] = bytes.as_slice() else { return Err(Trouble::Short) };
    let Some((&said, data)) = rest.split_last() else { return Err(Trouble::Short) };
    if data.len() != usize::from(*length) {
        return Err(Trouble::Length { said: (*length).into(), found: data.len() });
    }
    // All bytes of a record together are 0.
    let sum = bytes[..bytes.len() - 1].iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    let right = sum.wrapping_neg();
    if said != right {
        return Err(Trouble::Checksum { said, right });
    }
    Ok((*kind, u16::from_be_bytes([*high, *low]), data.to_vec()))
}

#[cfg(test)]
mod tests;
