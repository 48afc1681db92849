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
            _ => is_binary(&file[..file.len().min(SAMPLE)]).then_some(Self::Binary),
        }
    }
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
            Self::Html => "a web page (HTML or XML)",
            Self::LfsPointer => "a pointer of Git LFS, which stands for a file that has not been downloaded",
            Self::Archive => "an archive",
            Self::Utf16 => "text in UTF-16",
            Self::Text => "text without a record",
            Self::Binary => "a binary file",
        })
    }
}
