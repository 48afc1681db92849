//! What a file is that is not Intel HEX: people take an image in another form, or the page that shows it.

use std::fmt;

/// A file of another kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Executable and Linkable Format: the linker's output (System V ABI, "ELF Header").
    Elf,
    /// USB Flashing Format (Microsoft UF2 specification).
    Uf2,
    /// Motorola S-records.
    SRecord,
    /// A page of a web server.
    Html,
    /// Texas Instruments' text: addresses after an `@`, bytes, and `q` at the end (MSP430 assembly language tools, "TI-TXT").
    TiTxt,
    /// The same without the end, as Verilog's `$readmemh` has it (IEEE 1800, section 21.4).
    Verilog,
    /// A source of C, with the bytes in an array.
    CSource,
    /// What hexdump and xxd print.
    Dump,
    /// Hex digits and nothing else.
    Digits,
    /// A file that Git could not merge: it has two versions of some lines (git-merge(1), "How conflicts are presented").
    Conflict,
    /// What Git stores in the place of a large file (Git LFS specification).
    LfsPointer,
    /// A ZIP, gzip, bzip2, xz or 7z archive.
    Archive,
    /// Text in UTF-16, such as `>` of Windows PowerShell writes it.
    Utf16,
    /// Text without any record.
    Text,
    /// Bytes that are no text: the image without addresses, or anything else.
    Binary,
}

/// So many bytes show whether a file is text.
const SAMPLE: usize = 4096;

impl Format {
    /// What the file is by its first bytes; `None` for text of no kind that is known here, which may have records.
    pub(super) fn of(file: &[u8]) -> Option<Self> {
        const BEGINNINGS: [(&[u8], Format); 10] = [
            (b"\x7fELF", Format::Elf),
            (b"UF2\n", Format::Uf2),
            (b"version https://git-lfs", Format::LfsPointer),
            (b"PK\x03\x04", Format::Archive),
            (b"\x1f\x8b", Format::Archive),
            (b"BZh", Format::Archive),
            (b"\xfd7zXZ", Format::Archive),
            (b"7z\xbc\xaf", Format::Archive),
            (b"\xff\xfe", Format::Utf16),
            (b"\xfe\xff", Format::Utf16),
        ];
        if let Some((_, format)) = BEGINNINGS.iter().find(|(begin, _)| file.starts_with(begin)) {
            return Some(*format);
        }
        if file.starts_with(b":\0") || file.starts_with(b"\0:") {
            return Some(Self::Utf16);
        }
        let first = file.strip_prefix(super::BYTE_ORDER_MARK).unwrap_or(file).trim_ascii_start();
        match first {
            [b'<', ..] => Some(Self::Html),
            [b'S', b'0'..=b'9', digit, ..] if digit.is_ascii_hexdigit() => Some(Self::SRecord),
            _ if is_binary(&file[..file.len().min(SAMPLE)]) => Some(Self::Binary),
            _ => Self::of_text(&String::from_utf8_lossy(first)),
        }
    }

    /// What text is in which bytes are written in another way.
    fn of_text(text: &str) -> Option<Self> {
        let are_digits = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let first = text.lines().next().unwrap_or_default().trim_end();
        let (address, rest) = first.split_once([':', ' ']).unwrap_or((first, ""));
        let dumped =
            || rest.split_whitespace().next().is_some_and(|word| word.len() <= 8 && are_digits(word));
        match first.strip_prefix('@') {
            Some(address) if are_digits(address) => {
                let is_end = |line: &str| line.trim().eq_ignore_ascii_case("q");
                Some(if text.lines().any(is_end) { Self::TiTxt } else { Self::Verilog })
            }
            _ if ["0x", "[", "=", "{"].iter().all(|part| text.contains(part)) => Some(Self::CSource),
            _ if (6..=8).contains(&address.len()) && are_digits(address) && dumped() => Some(Self::Dump),
            _ if text.split_whitespace().all(are_digits) && !first.is_empty() => Some(Self::Digits),
            _ => None,
        }
    }
}

/// Whether Git has left the marks of a conflict in a file.
pub(super) fn has_conflict(file: &[u8]) -> bool {
    file.split(|byte| *byte == b'\n')
        .any(|line| line.starts_with(b"<<<<<<< ") || line.starts_with(b">>>>>>> "))
}

fn is_binary(sample: &[u8]) -> bool {
    let is_control =
        |byte: &u8| byte.is_ascii_control() && !byte.is_ascii_whitespace() && *byte != super::CTRL_Z;
    // A character may be cut at the end of the sample.
    let is_text = std::str::from_utf8(sample).map_or_else(|error| error.error_len().is_none(), |_| true);
    sample.iter().any(is_control) || !is_text
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Elf => "an ELF program",
            Self::Uf2 => "a UF2 file",
            Self::SRecord => "a file of Motorola S-records",
            Self::TiTxt => "a file in TI-TXT",
            Self::Verilog => "hex digits after addresses with an @ (Verilog)",
            Self::CSource => "a source of C, with an array of bytes",
            Self::Dump => "the dump of a binary file (hexdump, xxd)",
            Self::Digits => "hex digits without records",
            Self::Conflict => "a file with two versions that Git could not merge (<<<<<<<, >>>>>>>)",
            Self::Html => "a web page (HTML or XML)",
            Self::LfsPointer => "a pointer of Git LFS, which stands for a file that has not been downloaded",
            Self::Archive => "an archive",
            Self::Utf16 => "text in UTF-16",
            Self::Text => "text without a record",
            Self::Binary => "a binary file",
        })
    }
}
