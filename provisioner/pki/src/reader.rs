//! The one reader of files with certificates and keys: it finds what is in a file, whatever wraps it and whatever is beside it.
//!
//! It reads PEM (RFC 7468) of any line width, with text around the blocks, and as it stands in JSON or in a C source; DER,
//! several objects one after the other, and the padding that a memory chip leaves behind them; base64 without frames, of DER or of
//! PEM; and the certificates in PKCS #7 (RFC 2315, section 9). What it cannot read it names as a [`Kind`].

use zeroize::Zeroizing;

mod armour;
mod kind;
mod structure;
#[cfg(test)]
mod tests;

pub use kind::{Kind, PrivateKey, Utf16};

/// What text of some editors begins with: the byte-order mark in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
/// What fills the rest of a file that was read from a memory chip, or was made by an editor: erased and zeroed bytes, ends of
/// lines and of files.
const PADDING: [u8; 6] = [0xFF, 0x00, b'\r', b'\n', b' ', 0x1A];

/// One thing in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is.
    pub kind: Kind,
    /// Its DER, wiped when it is dropped: it may be a key. Empty where there is none.
    pub der: Zeroizing<Vec<u8>>,
}

impl Part {
    fn without_der(kind: Kind) -> Self {
        Self { kind, der: Zeroizing::default() }
    }
}

/// Everything in a file, in order. A file in which nothing is recognised is one part, which says what it is.
pub fn parts(bytes: &[u8]) -> Vec<Part> {
    let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    if let Some(kind) = kind::of_beginning(text) {
        return vec![Part::without_der(kind)];
    }
    if let Some(parts) = objects(text).filter(|parts| parts.iter().any(|part| part.kind != Kind::Unknown)) {
        return parts;
    }
    let blocks = armour::blocks(text);
    if !blocks.is_empty() {
        return blocks.into_iter().flat_map(of_block).collect();
    }
    let bare = armour::bare(text).and_then(|content| {
        objects(&content).or_else(|| {
            // Secrets of Kubernetes and outputs of Terraform have a PEM file in base64.
            let blocks = armour::blocks(&content);
            (!blocks.is_empty()).then(|| blocks.into_iter().flat_map(of_block).collect())
        })
    });
    bare.unwrap_or_else(|| vec![Part::without_der(kind::of_text(text))])
}

/// The documents of one kind in a file, and where there is none, what there is instead.
///
/// # Errors
/// The kind of what the file holds.
pub fn documents(bytes: &[u8], kind: Kind) -> Result<Vec<Zeroizing<Vec<u8>>>, Kind> {
    let (wanted, others): (Vec<_>, Vec<_>) = parts(bytes).into_iter().partition(|part| part.kind == kind);
    match wanted.is_empty() {
        false => Ok(wanted.into_iter().map(|part| part.der).collect()),
        true => Err(most_telling(others.into_iter().map(|part| part.kind))),
    }
}

/// The DER of the first certificate in a file.
///
/// # Errors
/// The kind of what the file holds instead.
pub fn first_certificate(bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, Kind> {
    documents(bytes, Kind::Certificate)?.into_iter().next().ok_or(Kind::Empty)
}

/// What is in the blocks of a text, or in base64 without frames, whatever it is; `None` where one cannot be decoded.
pub(crate) fn contents(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let blocks = armour::blocks(text);
    if blocks.is_empty() {
        return armour::bare(text).map(|content| vec![content.to_vec()]);
    }
    let whole = blocks.into_iter().map(|block| match block {
        armour::Block::Whole { content, .. } => Some(content.to_vec()),
        armour::Block::Encrypted | armour::Block::Damaged { .. } => None,
    });
    whole.collect()
}

/// What a file is called that has several things in it: parameters stand beside a key.
pub(crate) fn most_telling(kinds: impl IntoIterator<Item = Kind>) -> Kind {
    kinds.into_iter().min_by_key(|kind| matches!(kind, Kind::Parameters)).unwrap_or(Kind::Empty)
}

fn of_block(block: armour::Block) -> Vec<Part> {
    match block {
        armour::Block::Damaged { label } => vec![Part::without_der(kind::of_damaged(&label))],
        armour::Block::Encrypted => vec![Part::without_der(Kind::LegacyEncryptedKey)],
        armour::Block::Whole { label, content } => match kind::of_label(&label) {
            Some(kind) => vec![Part::without_der(kind)],
            None => match objects(&content) {
                // What follows the certificate says for what it is trusted (openssl-x509(1), "Trust Settings").
                Some(mut parts) if label == armour::TRUSTED => {
                    parts.truncate(1);
                    parts
                }
                Some(parts) if parts.iter().any(|part| part.kind != Kind::Unknown) => parts,
                _ => vec![Part::without_der(kind::of_damaged(&label))],
            },
        },
    }
}

/// The DER objects that bytes are made of, with padding between and behind them; `None` where they do not begin with one.
fn objects(bytes: &[u8]) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (object, behind) = match structure::first(rest) {
            Ok(found) => found,
            Err(broken) if parts.is_empty() => return broken.map(|kind| vec![Part::without_der(kind)]),
            // What follows is no object.
            Err(_) => {
                parts.push(Part::without_der(Kind::Unknown));
                break;
            }
        };
        match structure::certificates_of_pkcs7(object) {
            Some(certificates) if certificates.is_empty() => parts.push(Part::without_der(Kind::EmptyPkcs7)),
            Some(certificates) => parts.extend(certificates.into_iter().map(part)),
            None => parts.push(part(object)),
        }
        let padding = behind.iter().take_while(|byte| PADDING.contains(byte)).count();
        rest = &behind[padding..];
    }
    (!parts.is_empty()).then_some(parts)
}

fn part(der: &[u8]) -> Part {
    Part { kind: structure::kind(der), der: Zeroizing::new(der.to_vec()) }
}
