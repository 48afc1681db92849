//! Distinguished names in certificates: their text, and whether two are the same.
//!
//! A name is written in one of several types of string, and the same name in another type is the same name (RFC 5280, section
//! 7.1). What is issued under a CA carries the bytes of the CA's name all the same: many readers compare those.

use std::fmt::Write as _;

use x509_parser::asn1_rs::{Any, Tag};
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::x509::{AttributeTypeAndValue, RelativeDistinguishedName, X509Name};

/// The largest organisation and common name, in characters: ub-organization-name and ub-common-name of RFC 5280.
pub const NAME_MAX: usize = 64;

/// Whether a certificate that is issued here can carry this as a name: 1 to [`NAME_MAX`] characters, none of them a control character.
pub(crate) fn is_usable(name: &str) -> bool {
    (1..=NAME_MAX).contains(&name.chars().count()) && !name.chars().any(char::is_control)
}

/// The text of an attribute, whatever the type of its string; `None` for one that is no string of its type.
pub fn text(attribute: &AttributeTypeAndValue<'_>) -> Option<String> {
    let Any { data, .. } = *attribute.attr_value();
    let utf32 =
        |code: &[u8]| char::from_u32(code.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)));
    match attribute.attr_value().tag() {
        Tag::Utf8String => std::str::from_utf8(data).ok().map(str::to_owned),
        // Characters outside of the type's set are in use: of all of them, the byte is the character.
        Tag::PrintableString | Tag::NumericString | Tag::Ia5String | Tag::VisibleString => {
            data.is_ascii().then(|| data.iter().map(|byte| char::from(*byte)).collect())
        }
        // T.61 has a way of its own to write accents, and everybody puts Latin-1 into it.
        Tag::T61String => Some(data.iter().map(|byte| char::from(*byte)).collect()),
        Tag::BmpString if data.len().is_multiple_of(2) => {
            let units = data.chunks_exact(2).map(|unit| u16::from_be_bytes([unit[0], unit[1]]));
            char::decode_utf16(units).collect::<Result<_, _>>().ok()
        }
        Tag::UniversalString if data.len().is_multiple_of(4) => data.chunks_exact(4).map(utf32).collect(),
        _ => None,
    }
}

/// A name for people: `O=…, CN=…`; a `+` joins the attributes of one part. What is no string is in hex, after a `#`.
pub(crate) fn shown(name: &X509Name<'_>) -> String {
    let mut shown = String::new();
    for part in name.iter_rdn() {
        for (index, attribute) in part.iter().enumerate() {
            let before = if index > 0 {
                " + "
            } else if shown.is_empty() {
                ""
            } else {
                ", "
            };
            let kind = attribute.attr_type();
            let kind = oid2abbrev(kind, oid_registry()).map_or_else(|_| kind.to_id_string(), str::to_owned);
            let value = text(attribute)
                .unwrap_or_else(|| format!("#{}", hex::encode_upper(attribute.attr_value().data)));
            // Writing to a string does not fail.
            let _ = write!(shown, "{before}{kind}={value}");
        }
    }
    shown
}

/// Whether two names are the same (RFC 5280, section 7.1): as many parts, each with the same attributes in any order.
pub(crate) fn are_same(one: &X509Name<'_>, other: &X509Name<'_>) -> bool {
    one.as_raw() == other.as_raw()
        || is_within(one, other) && one.iter_rdn().count() == other.iter_rdn().count()
}

/// Whether a name is in the subtree below `base`: whether it begins with its parts (RFC 5280, section 4.2.1.10).
pub(crate) fn is_within(name: &X509Name<'_>, base: &X509Name<'_>) -> bool {
    let mut parts = name.iter_rdn();
    base.iter_rdn().all(|part| parts.next().is_some_and(|own| are_same_parts(own, part)))
}

fn are_same_parts(one: &RelativeDistinguishedName<'_>, other: &RelativeDistinguishedName<'_>) -> bool {
    let attributes = |part: &RelativeDistinguishedName<'_>| {
        let mut attributes: Vec<_> = part.iter().map(compared).collect();
        attributes.sort();
        attributes
    };
    attributes(one) == attributes(other)
}

/// What is compared of an attribute: its type, and its text without regard to case and to the number of spaces (RFC 4518).
fn compared(attribute: &AttributeTypeAndValue<'_>) -> (String, Result<String, (u32, Vec<u8>)>) {
    let value = match text(attribute) {
        Some(text) => Ok(text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()),
        None => Err((attribute.attr_value().tag().0, attribute.attr_value().data.to_vec())),
    };
    (attribute.attr_type().to_id_string(), value)
}

#[cfg(test)]
mod tests {
    use der::asn1::ObjectIdentifier;
    use der::{Encode, Tag};
    use proptest::prelude::*;
    use x509_parser::prelude::FromDer;

    use super::*;
    use crate::encoding::tlv;

    const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
    const ORGANISATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
    /// UniversalString, which `der` has no name for.
    const UNIVERSAL: u8 = 28;

    fn attribute(kind: ObjectIdentifier, tag: u8, value: &[u8]) -> Vec<u8> {
        let value = [&[tag, u8::try_from(value.len()).unwrap()], value].concat();
        tlv(Tag::Sequence, &[&kind.to_der().unwrap(), &value]).unwrap()
    }

    fn name(parts: &[&[Vec<u8>]]) -> Vec<u8> {
        let parts: Vec<_> = parts.iter().map(|part| tlv(Tag::Set, &[&part.concat()]).unwrap()).collect();
        tlv(Tag::Sequence, &[&parts.concat()]).unwrap()
    }

    fn common_name(tag: u8, value: &[u8]) -> Option<String> {
        let der = name(&[&[attribute(COMMON_NAME, tag, value)]]);
        let (_, parsed) = X509Name::from_der(&der).unwrap();
        parsed.iter_common_name().next().and_then(text)
    }

    fn same(one: &[u8], other: &[u8]) -> bool {
        are_same(&X509Name::from_der(one).unwrap().1, &X509Name::from_der(other).unwrap().1)
    }

    #[test]
    fn strings_of_every_type_are_text() {
        for (tag, value, expected) in [
            (12, "bürd".as_bytes(), "bürd"),
            (18, b"4711", "4711"),
            (19, b"board-1", "board-1"),
            // Not in the set of the type, and in use.
            (19, b"a_b@c", "a_b@c"),
            (20, b"b\xFCrd", "bürd"),
            (22, b"board", "board"),
            (26, b"board", "board"),
            (30, b"\0b\0\xFC", "bü"),
            (30, b"\xD8\x3D\xDE\x00", "😀"),
            (UNIVERSAL, b"\0\0\0b\0\x01\xF6\0", "b😀"),
        ] {
            assert_eq!(common_name(tag, value).as_deref(), Some(expected), "type {tag}");
        }
        let broken: [(u8, &[u8]); 6] = [
            (12, b"\xFF"),
            (19, b"\xFC"),
            (30, b"\0"),
            (30, b"\xD8\0"),
            (UNIVERSAL, b"\0\x11\0\0"),
            (4, b"a"),
        ];
        for (tag, value) in broken {
            assert_eq!(common_name(tag, value), None, "type {tag}");
        }
    }

    #[test]
    fn the_same_name_in_another_encoding_is_the_same() {
        let (cn, o) = (
            |tag, value: &[u8]| attribute(COMMON_NAME, tag, value),
            |value: &[u8]| attribute(ORGANISATION, 12, value),
        );
        let utf8 = name(&[&[o(b"Example")], &[cn(12, b"The Root")]]);
        for other in [
            name(&[&[o(b"EXAMPLE")], &[cn(19, b"the root")]]),
            name(&[&[o(b" Example ")], &[cn(30, b"\0T\0h\0e\0 \0 \0R\0o\0o\0t")]]),
        ] {
            assert!(same(&utf8, &other) && same(&other, &utf8));
        }
        for other in [
            name(&[&[cn(12, b"The Root")], &[o(b"Example")]]),
            name(&[&[o(b"Example"), cn(12, b"The Root")]]),
            name(&[&[o(b"Example")]]),
            name(&[&[o(b"Example")], &[cn(12, b"TheRoot")]]),
            name(&[&[o(b"Example")], &[cn(12, b"The Root")], &[cn(12, b"x")]]),
        ] {
            assert!(!same(&utf8, &other) && !same(&other, &utf8));
        }
        let together = name(&[&[o(b"Example"), cn(12, b"a")]]);
        assert!(
            same(&together, &name(&[&[cn(19, b"A"), o(b"example")]])),
            "within a part, the order says nothing"
        );
    }

    proptest! {
        #[test]
        fn no_value_makes_the_text_of_a_name_panic(tag in 1..31_u8, value in proptest::collection::vec(any::<u8>(), 0..60)) {
            let der = name(&[&[attribute(COMMON_NAME, tag, &value)]]);
            if let Ok((_, parsed)) = X509Name::from_der(&der) {
                prop_assert!(shown(&parsed).starts_with("CN="));
                prop_assert!(are_same(&parsed, &parsed));
            }
        }
    }
}
