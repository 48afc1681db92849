//! What binary documents are wrapped in to be text: frames (RFC 7468), or base64 alone.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

/// Base64 with and without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const HYPHENS: &[u8] = b"-----";
/// No label is longer, in bytes.
const LABEL_MAX: usize = 64;
/// The label of a certificate with trust settings behind it.
pub(super) const TRUSTED: &str = "TRUSTED CERTIFICATE";
/// What is encrypted by OpenSSL's own way of old says so in a header (RFC 1421, section 4.6.1.1).
const ENCRYPTED: &str = "ENCRYPTED";

/// A block between two frames.
pub(super) enum Block {
    /// It can be decoded.
    Whole {
        /// The label of its first frame.
        label: String,
        /// What it holds.
        content: Zeroizing<Vec<u8>>,
    },
    /// A header says that it is encrypted.
    Encrypted,
    /// The last frame is missing, or what is between them is no base64.
    Damaged {
        /// The label of its first frame.
        label: String,
    },
}

/// Every block of a text, in order.
pub(super) fn blocks(text: &[u8]) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some(start) = find(rest, BEGIN) {
        rest = &rest[start + BEGIN.len()..];
        let Some((label, body)) = label(rest) else { continue };
        // A block without an end must not take the next one with it.
        let next = find(body, BEGIN).unwrap_or(body.len());
        blocks.push(match find(&body[..next], END) {
            Some(end) => block(label, &body[..end]),
            None => Block::Damaged { label },
        });
        rest = &body[next..];
    }
    blocks
}

/// The label and what follows its line.
fn label(text: &[u8]) -> Option<(String, &[u8])> {
    let end = find(&text[..text.len().min(LABEL_MAX + HYPHENS.len())], HYPHENS)?;
    let label = std::str::from_utf8(&text[..end]).ok().filter(|label| !label.contains(char::is_control))?;
    Some((label.to_owned(), &text[end + HYPHENS.len()..]))
}

fn block(label: String, body: &[u8]) -> Block {
    let Ok(body) = std::str::from_utf8(body) else { return Block::Damaged { label } };
    // In JSON and in C, an end of line is two characters.
    let body = Zeroizing::new(body.replace("\\r", "").replace("\\n", "\n"));
    let mut digits = Zeroizing::new(Vec::with_capacity(body.len()));
    let mut in_header = false;
    for line in body.lines() {
        // Headers, and what goes on from one (RFC 1421, section 4.4).
        in_header = line.contains(':') || in_header && line.starts_with([' ', '\t']);
        if !in_header {
            digits.extend(line.replace(is_space, "").bytes().filter(is_digit));
        } else if line.contains(ENCRYPTED) {
            return Block::Encrypted;
        }
    }
    match BASE64.decode(&*digits) {
        Ok(content) => Block::Whole { label, content: Zeroizing::new(content) },
        Err(_) => Block::Damaged { label },
    }
}

/// Whether a character shows as space or not at all, as web pages and editors put them in.
fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{200B}'..='\u{200D}' | '\u{2060}' | '\u{FEFF}')
}

/// Whether a character is of the content, and not of what its text is quoted with.
fn is_digit(byte: &u8) -> bool {
    !byte.is_ascii_whitespace() && !matches!(byte, b'"' | b'\'' | b',' | b'\\' | b'>')
}

/// The content of base64 without frames; `None` for other text.
pub(super) fn bare(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let digits: Vec<u8> = text.iter().copied().filter(is_digit).collect();
    let digits = Zeroizing::new(digits);
    let content = BASE64.decode(&*digits).ok()?;
    Some(Zeroizing::new(content))
}

pub(super) fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}
