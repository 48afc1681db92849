//! What a file holds, by the name that users know it by.

use std::fmt;

use super::armour::find;

/// What a part of a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An X.509 certificate.
    Certificate,
    /// A block that is called a certificate and is none.
    DamagedCertificate,
    /// A private key in PKCS #8, or the form of its algorithm.
    PrivateKey(PrivateKey),
    /// A private key in PKCS #8 that a passphrase opens (RFC 5958, section 3).
    EncryptedKey,
    /// A private key that is encrypted in OpenSSL's own way (`Proc-Type: 4,ENCRYPTED`).
    LegacyEncryptedKey,
    /// A key as OpenSSH keeps it.
    OpenSshKey,
    /// A block that is called a private key and is none.
    DamagedKey,
    /// A certificate signing request (PKCS #10).
    Request,
    /// A public key.
    PublicKey,
    /// A certificate revocation list.
    RevocationList,
    /// Parameters of a kind of key.
    Parameters,
    /// A container with keys and certificates (PKCS #12).
    Pkcs12,
    /// A container for certificates (PKCS #7) that has none.
    EmptyPkcs7,
    /// Files packed into one.
    Archive,
    /// A container of Java's.
    JavaKeyStore,
    /// What the vendor of secure elements delivers with them: JSON with their certificates, signed.
    Manifest,
    /// JSON of another kind.
    Json,
    /// Text in UTF-16, as Windows PowerShell writes it.
    Utf16(Utf16),
    /// DER as hex digits.
    Hex,
    /// A key as JSON (JWK, RFC 7517).
    JsonKey,
    /// A web page, perhaps of an error.
    WebPage,
    /// XML that is no web page.
    Xml,
    /// A file that Git could not merge: it has two versions of some lines.
    GitConflict,
    /// A block of PEM of another kind, or a damaged one.
    OtherBlock,
    /// Text with the word BEGIN, whose frames are not five hyphens, the word and five hyphens.
    BrokenFrames,
    /// Text in which no document is.
    Text,
    /// An ASN.1 object that goes on after the end of the file.
    CutOff,
    /// An ASN.1 object of indefinite length, which DER has none of (X.690, section 10.1).
    Indefinite,
    /// Nothing at all, or nothing but spaces.
    Empty,
    /// Something that is not known here.
    Unknown,
}

/// The algorithm of a private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PrivateKey {
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// ECDSA on P-521.
    P521,
    /// ECDSA on secp256k1.
    Secp256k1,
    /// RSA.
    Rsa,
    /// Ed25519.
    Ed25519,
    /// A key on a curve that the key itself does not name.
    UnnamedCurve,
    /// Another one.
    Other,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "a certificate",
            Self::DamagedCertificate => "a certificate that is damaged",
            Self::PrivateKey(key) => return write!(f, "a private key ({key})"),
            Self::EncryptedKey => "an encrypted private key",
            Self::LegacyEncryptedKey => {
                "a private key that is encrypted in OpenSSL's old way (Proc-Type: 4,ENCRYPTED)"
            }
            Self::OpenSshKey => "a private key in OpenSSH's format",
            Self::DamagedKey => "a private key that is damaged",
            Self::Request => "a certificate signing request (CSR)",
            Self::PublicKey => "a public key",
            Self::RevocationList => "a revocation list",
            Self::Parameters => "parameters of a key, without a key",
            Self::Pkcs12 => "a PKCS#12 container (.p12, .pfx)",
            Self::EmptyPkcs7 => "a PKCS#7 container without a certificate",
            Self::Archive => "an archive (ZIP, gzip, 7-Zip, tar)",
            Self::JavaKeyStore => "a Java key store",
            Self::Manifest => "a secure-element manifest",
            Self::Json => "JSON",
            Self::Utf16(_) => "text in UTF-16",
            Self::Hex => "hex digits",
            Self::JsonKey => "a key in JSON (JWK)",
            Self::WebPage => "a web page",
            Self::Xml => "XML",
            Self::GitConflict => "a file with two versions that Git could not merge (<<<<<<<, >>>>>>>)",
            Self::OtherBlock => "a PEM block of another kind, or a damaged one",
            Self::BrokenFrames => {
                "text whose BEGIN and END lines are damaged: capital letters, five hyphens on both sides"
            }
            Self::Text => "text without a PEM block",
            Self::CutOff => "binary data (DER) that is cut off",
            Self::Indefinite => "binary data in BER, not DER",
            Self::Empty => "empty",
            Self::Unknown => "neither PEM nor DER of a kind that is known",
        })
    }
}

/// How text in UTF-16 says its byte order. Displays as the name of the encoding (RFC 2781, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Utf16 {
    /// By a byte-order mark.
    Marked,
    /// It does not, and is little-endian.
    LittleEndian,
    /// It does not, and is big-endian.
    BigEndian,
}

impl fmt::Display for Utf16 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Marked => "UTF-16",
            Self::LittleEndian => "UTF-16LE",
            Self::BigEndian => "UTF-16BE",
        })
    }
}

impl fmt::Display for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
            Self::Secp256k1 => "secp256k1",
            Self::Rsa => "RSA",
            Self::Ed25519 => "Ed25519",
            Self::UnnamedCurve => "on a curve that it does not name",
            Self::Other => "of another algorithm",
        })
    }
}

/// What is told by how it begins, and in which nothing is read.
pub(super) fn of_beginning(bytes: &[u8]) -> Option<Kind> {
    let begins = |with: &[&[u8]]| with.iter().any(|begin| bytes.starts_with(begin));
    if begins(&KEY_STORES) {
        return Some(Kind::JavaKeyStore);
    }
    if begins(&ARCHIVES) || is_tar(bytes) {
        return Some(Kind::Archive);
    }
    if begins(&[b"\xFF\xFE", b"\xFE\xFF"]) {
        return Some(Kind::Utf16(Utf16::Marked));
    }
    let is_mark = |line: &[u8]| line.starts_with(b"<<<<<<< ") || line.starts_with(b">>>>>>> ");
    if bytes.split(|byte| *byte == b'\n').any(is_mark) {
        return Some(Kind::GitConflict);
    }
    // The hyphens before BEGIN: the first byte of each pair is the hyphen, or the second one.
    let hyphens = find(bytes, b"-\0-\0-\0")?;
    let order = if hyphens % 2 == 0 { Utf16::LittleEndian } else { Utf16::BigEndian };
    Some(Kind::Utf16(order))
}

/// What a label says of content that is not looked at; `None` for one whose content tells.
pub(super) fn of_label(label: &str) -> Option<Kind> {
    match label {
        "OPENSSH PRIVATE KEY" => Some(Kind::OpenSshKey),
        label if label.ends_with("PARAMETERS") => Some(Kind::Parameters),
        label if label.starts_with("PGP ") => Some(Kind::OtherBlock),
        _ => None,
    }
}

/// What a block with this label would be, could it be read.
pub(super) fn of_damaged(label: &str) -> Kind {
    match label {
        label if label.ends_with("PRIVATE KEY") => Kind::DamagedKey,
        label if label.ends_with("CERTIFICATE") => Kind::DamagedCertificate,
        _ => Kind::OtherBlock,
    }
}

/// What bytes are in which there is no document.
pub(super) fn of_text(bytes: &[u8]) -> Kind {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    let has = |word: &str| text.contains(word);
    match text.chars().next() {
        None => Kind::Empty,
        Some('[' | '{') if has("\"payload\"") && has("\"signature\"") => Kind::Manifest,
        _ if is_json(text) && has("\"kty\"") => Kind::JsonKey,
        _ if is_json(text) => Kind::Json,
        Some('<') if is_xml(text) => Kind::Xml,
        Some('<') => Kind::WebPage,
        _ if is_hex(text) => Kind::Hex,
        _ if has_frames(text) => Kind::BrokenFrames,
        _ if std::str::from_utf8(bytes).is_ok() && !text.contains('\0') => Kind::Text,
        _ => Kind::Unknown,
    }
}

/// What some files begin with.
const KEY_STORES: [&[u8]; 2] = [b"\xFE\xED\xFE\xED", b"\xCE\xCE\xCE\xCE"];
const ARCHIVES: [&[u8]; 3] = [b"PK\x03\x04", b"\x1F\x8B", b"7z\xBC\xAF\x27\x1C"];

/// The magic number of a tar archive stands in its first header (POSIX.1-2017, pax, "ustar Interchange Format").
fn is_tar(bytes: &[u8]) -> bool {
    bytes.get(257..262) == Some(b"ustar")
}

/// Whether an array or an object begins, and no array of numbers in C.
fn is_json(text: &str) -> bool {
    let inside = text.strip_prefix(['[', '{']).map(str::trim_start);
    inside.is_some_and(|inside| inside.starts_with(['"', '{', '}', '[', ']']))
}

/// Whether the first element is none of a web page. XHTML begins as XML does.
fn is_xml(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    !text.contains("<html")
        && !text.starts_with("<!doctype html")
        && (text.starts_with("<?xml") || text.contains("</"))
        && !["<head", "<body", "<title"].iter().any(|tag| text.contains(tag))
}

fn has_frames(text: &str) -> bool {
    let text = text.to_ascii_uppercase();
    text.contains("BEGIN") && (text.contains("CERTIFICATE") || text.contains("PRIVATE KEY"))
}

/// A SEQUENCE of two length octets, as hex.
fn is_hex(text: &str) -> bool {
    let digits = || text.bytes().filter(|byte| !byte.is_ascii_whitespace() && *byte != b':');
    digits().take(4).eq(*b"3082") && digits().all(|digit| digit.is_ascii_hexdigit())
}
