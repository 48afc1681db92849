//! Intel HEX files (Intel Hexadecimal Object File Format Specification, revision A): read and checked. No I/O.

use std::collections::BTreeMap;
use std::ops::Range;

use super::kits::Target;

mod format;

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

/// Why a file cannot be put into a board.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Another kind of file.
    #[error("this is {0}, not Intel HEX")]
    Other(Format),
    /// A line that is no record.
    #[error("line {line}: {trouble}")]
    Record {
        /// Number of the line, from 1 on.
        line: usize,
        /// What is wrong with it.
        trouble: Trouble,
    },
    /// The file ends without its end record.
    #[error("the file ends after line {lines} without an end record")]
    NoEnd {
        /// How many lines there are.
        lines: usize,
    },
    /// More than any target can hold.
    #[error("the image has more than 1 MiB")]
    Large,
    /// No content at all.
    #[error("there is no content in the file")]
    Empty,
    /// Content where the target has no memory.
    #[error("the image has content at {address:#08x}, where the {target} has no memory")]
    Outside {
        /// The first such address.
        address: u32,
        /// The microcontroller.
        target: Target,
    },
    /// No code where the target begins to execute.
    #[error("the image has no code at address 0, where the {target} begins")]
    NoStart {
        /// The microcontroller.
        target: Target,
    },
    /// Code of another kind.
    #[error("the image does not begin as a program for the {target} does{}",
        looks_like.map(|other| format!(", but as one for the {other}")).unwrap_or_default())]
    OtherTarget {
        /// The microcontroller.
        target: Target,
        /// The one that it looks like.
        looks_like: Option<Target>,
    },
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// It does not begin with a colon.
    #[error("the record does not begin with a colon")]
    Colon,
    /// Something else than pairs of hex digits.
    #[error("there are other characters than pairs of hex digits")]
    Digits,
    /// Shorter or longer than it says.
    #[error("the record says {said} bytes of data and has {found}")]
    Length {
        /// Its length field.
        said: usize,
        /// What there is.
        found: usize,
    },
    /// Too short for a record of any kind.
    #[error("the record is cut short")]
    Short,
    /// The checksum is wrong.
    #[error("the checksum is {said:#04x} and should be {right:#04x}")]
    Checksum {
        /// The one in the record.
        said: u8,
        /// The right one.
        right: u8,
    },
    /// A type that is not known.
    #[error("there is no record type {0:#04x}")]
    Type(u8),
    /// A record of a known type with a length that it cannot have.
    #[error("a record of type {0:#04x} cannot have this length")]
    TypeLength(u8),
    /// The same address twice with different bytes.
    #[error("another byte than before at address {0:#08x}")]
    Twice(u32),
    /// An address that 32 bits do not hold.
    #[error("the data extends past the end of the address space")]
    Overflow,
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

    /// Where the content is, in the order of the addresses.
    pub fn ranges(&self) -> impl Iterator<Item = Range<u32>> {
        self.pieces.iter().map(|(&start, piece)| start..start + piece.len() as u32)
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A record with its checksum.
    fn line(kind: u8, offset: u16, data: &[u8]) -> String {
        let [high, low] = offset.to_be_bytes();
        let mut bytes = vec![data.len() as u8, high, low, kind];
        bytes.extend(data);
        let sum = bytes.iter().fold(0u8, |sum, b| sum.wrapping_add(*b));
        bytes.push(sum.wrapping_neg());
        format!(":{}\r\n", hex::encode_upper(bytes))
    }

    const END: &str = ":00000001FF\n";
    const AVR: [u8; 8] = [0x0C, 0x94, 0x5C, 0x00, 0x0C, 0x94, 0x77, 0x00];

    fn parse(text: &str) -> Result<Image, Error> {
        Image::parse(text.as_bytes())
    }

    #[test]
    fn the_records_of_the_specification_are_read() {
        let image = parse(&format!(
            "{}{}{}{}{}{}{END}",
            line(0, 0xFFFE, &[1, 2]),
            line(4, 0, &[0x00, 0x81]),
            line(0, 0x0010, &[3]),
            line(2, 0, &[0x12, 0x34]),
            line(0, 0xFFFF, &[4, 5]),
            line(5, 0, &[0, 0, 0, 0]),
        ))
        .unwrap();
        let at = |address| image.byte(address);
        assert_eq!((at(0xFFFE), at(0xFFFF), at(0x1_0000)), (Some(1), Some(2), None));
        assert_eq!(at(0x81_0010), Some(3));
        assert_eq!((at(0x2_233F), at(0x1_2340)), (Some(4), Some(5)));
        assert_eq!(image.size(), 5);
    }

    #[test]
    fn errors_name_the_line() {
        let good = line(0, 0, &AVR);
        let mut wrong_sum = line(0, 8, &[1]);
        wrong_sum.replace_range(9..11, "02");
        let table = [
            format!("{good}{wrong_sum}{END}"),
            format!("{good}hello\n{END}"),
            format!("{good}:0G00000000\n"),
            format!("{good}:02000000FE\n"),
            format!("{good}:0000\n"),
            format!("{good}{}", line(7, 0, &[])),
            format!("{good}{}", line(4, 0, &[1])),
            format!("{good}\n\n{}{END}", line(0, 7, &[0xAA])),
            format!("{good}{END}{good}"),
            format!("{good}{END}hello"),
            format!("{}{}{END}", line(4, 0, &[0xFF, 0xFF]), line(0, 0xFFFF, &[1, 2])),
            good.clone(),
            END.to_owned(),
            String::new(),
        ]
        .map(|text| parse(&text).unwrap_err().to_string());
        insta::assert_snapshot!(table.join("\n"), @r"
        line 2: the checksum is 0xf6 and should be 0xf5
        line 2: the record does not begin with a colon
        line 2: there are other characters than pairs of hex digits
        line 2: the record says 2 bytes of data and has 0
        line 2: the record is cut short
        line 2: there is no record type 0x07
        line 2: a record of type 0x04 cannot have this length
        line 4: another byte than before at address 0x000007
        the file ends after line 3 without an end record
        line 3: the record does not begin with a colon
        line 2: the data extends past the end of the address space
        the file ends after line 1 without an end record
        there is no content in the file
        there is no content in the file
        ");
    }

    #[test]
    fn what_editors_and_copies_leave_around_records_is_passed_over() {
        let plain = format!("{}{END}", line(0, 0, &AVR));
        let expected = parse(&plain).unwrap();
        for text in [
            format!("\u{feff}{plain}"),
            format!("\u{feff}\r\n\r\n{plain}"),
            format!("{plain}\u{1a}"),
            format!("{plain}\u{1a}\u{1a}{}", "\0".repeat(100)),
            format!("\0\0{plain}"),
            format!("{plain}\0"),
            format!("{plain}{END}{END}"),
            format!("{plain}\u{1a}{END}"),
            plain.to_lowercase(),
            plain.replace('\n', "\n\n").replace(':', "  :"),
            plain.replace("\r\n", "\n").replace('\n', "\r"),
        ] {
            let image = parse(&text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
            assert_eq!(image, expected, "{text:?}");
            assert_eq!(image.records(), b":080000000C945C000C947700E5\r\n:00000001FF\r\n");
        }
    }

    #[test]
    fn files_that_were_put_together_are_one_image() {
        let high = [line(4, 0, &[0, 1]), line(0, 0, &[7])].concat();
        let both = parse(&format!("{high}{END}{}{END}", line(0, 0, &AVR))).unwrap();
        assert_eq!((both.byte(0x1_0000), both.byte(0), both.byte(0x1_0001)), (Some(7), Some(AVR[0]), None));
        let records = String::from_utf8(both.records().to_vec()).unwrap();
        assert_eq!(records.matches(":00000001FF").count(), 1, "{records}");
        assert_eq!(parse(&records).unwrap().pieces, both.pieces);
        let clash = format!("{}{END}{}{END}", line(0, 0, &[1]), line(0, 0, &[2]));
        assert_eq!(
            parse(&clash).unwrap_err().to_string(),
            "line 3: another byte than before at address 0x000000"
        );
    }

    #[test]
    fn another_kind_of_file_is_named() {
        let utf16: Vec<u8> = ":00000001FF".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let marked = [&[0xFF, 0xFE][..], &utf16].concat();
        let table: [(&[u8], Format); 16] = [
            (b"404: Not Found", Format::Text),
            (b"{\"message\": \"Not Found\"}", Format::Text),
            (b"%PDF-1.4\n", Format::Text),
            (b"\x7fELF\x01\x01\x01\0\0", Format::Elf),
            (b"UF2\nWQ]\x9e\0\0", Format::Uf2),
            (b"S00600004844521B\nS9030000FC\n", Format::SRecord),
            (b"\n<!DOCTYPE html><html>", Format::Html),
            ("\u{feff}<?xml version=\"1.0\"?>".as_bytes(), Format::Html),
            (
                b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 100167\n",
                Format::LfsPointer,
            ),
            (b"PK\x03\x04\x14\0", Format::Archive),
            (b"\x1f\x8b\x08\0", Format::Archive),
            (&marked, Format::Utf16),
            (&utf16, Format::Utf16),
            (b"\x0c\x94\x5c\x00\x0c\x94", Format::Binary),
            (&[0; 64], Format::Binary),
            (b"Stra\xDFe", Format::Binary),
        ];
        for (file, format) in table {
            assert_eq!(Image::parse(file), Err(Error::Other(format)), "{file:?}");
        }
    }

    #[test]
    fn an_image_must_fit_and_suit_the_target() {
        let check = |records: &[String], target| {
            parse(&format!("{}{END}", records.concat())).unwrap().check_for(target).map_err(|e| e.to_string())
        };
        let avr = line(0, 0, &AVR);
        let fuses = [line(4, 0, &[0x00, 0x82]), line(0, 0, &[1, 2, 3])].concat();
        assert_eq!(check(&[avr.clone(), fuses], Target::Atmega4808), Ok(()));
        let table = [
            check(std::slice::from_ref(&avr), Target::Atsamd21g18a),
            check(&[line(0, 0, &[0x55; 8])], Target::Atsamd21g18a),
            check(&[avr.clone(), line(0, 0xBFFF, &[1, 2])], Target::Atmega4808),
            check(&[avr, line(4, 0, &[0x00, 0x84]), line(0, 0, &[1])], Target::Atmega4808),
            check(&[line(0, 0x0200, &AVR)], Target::Atmega4808),
        ]
        .map(Result::unwrap_err);
        insta::assert_snapshot!(table.join("\n"), @r"
        the image does not begin as a program for the ATSAMD21G18A does, but as one for the ATmega4808
        the image does not begin as a program for the ATSAMD21G18A does
        the image has content at 0x00c000, where the ATmega4808 has no memory
        the image has content at 0x840000, where the ATmega4808 has no memory
        the image has no code at address 0, where the ATmega4808 begins
        ");
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            pieces in proptest::collection::btree_map(0u32..0x400, proptest::collection::vec(any::<u8>(), 1..200), 1..20)
        ) {
            let mut text = String::new();
            for (page, data) in &pieces {
                let address = page * 0x100;
                text += &line(4, 0, &((address >> 16) as u16).to_be_bytes());
                text += &line(0, address as u16, data);
            }
            let image = parse(&(text + END)).unwrap();
            for (page, data) in &pieces {
                for (i, byte) in data.iter().enumerate() {
                    prop_assert_eq!(image.byte(page * 0x100 + i as u32), Some(*byte));
                }
            }
            prop_assert_eq!(image.size(), pieces.values().map(Vec::len).sum::<usize>());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Image::parse(&bytes);
        }

        #[test]
        fn arbitrary_records_never_panic(
            records in proptest::collection::vec((0..7u8, any::<u16>(), proptest::collection::vec(any::<u8>(), 0..6)), 0..20)
        ) {
            let text: String = records.iter().map(|(kind, offset, data)| line(*kind, *offset, data)).collect();
            if let Ok(image) = parse(&(text + END)) {
                for target in Target::ALL {
                    let _ = image.check_for(target);
                }
            }
        }
    }
}
