//! The encoding of a list (RFC 5280, section 5.1), strictly DER: what cannot be read in one way only is not read.
//!
//! Nothing is copied, and an entry is read when it is asked for, so a signature is checked before its content costs memory.

use der::asn1::{AnyRef, BitStringRef, GeneralizedTime, ObjectIdentifier, OctetStringRef, UtcTime};
use der::{Decode, Error, ErrorKind, Reader, SliceReader, Tag, TagNumber};

/// `CertificateList`.
pub(super) struct Encoded<'a> {
    /// What is signed.
    pub(super) tbs: &'a [u8],
    /// `signatureAlgorithm`.
    pub(super) algorithm: &'a [u8],
    /// `tbsCertList.signature`, which has to be the same.
    pub(super) inner_algorithm: &'a [u8],
    pub(super) signature: &'a [u8],
    /// Seconds since 1970.
    pub(super) this_update: i64,
    /// Seconds since 1970.
    pub(super) next_update: Option<i64>,
    /// `revokedCertificates`, without tag and length.
    entries: &'a [u8],
    pub(super) extensions: Vec<Extension<'a>>,
}

/// One of `revokedCertificates`.
pub(super) struct Entry<'a> {
    /// The serial number's octets.
    pub(super) serial: &'a [u8],
    pub(super) extensions: Vec<Extension<'a>>,
}

/// An extension, of a list or of an entry.
pub(super) struct Extension<'a> {
    pub(super) id: ObjectIdentifier,
    pub(super) critical: bool,
    pub(super) value: &'a [u8],
}

/// What an issuing distribution point says besides a name (RFC 5280, section 5.2.5).
#[derive(Default)]
pub(super) struct Scope {
    pub(super) distribution_point: bool,
    pub(super) only_ca_certificates: bool,
    pub(super) only_some_reasons: bool,
    pub(super) indirect: bool,
    pub(super) only_attribute_certificates: bool,
}

/// The objects that `der` is made of, one at least.
pub(super) fn lists(der: &[u8]) -> Result<Vec<&[u8]>, Error> {
    let mut reader = SliceReader::new(der)?;
    let mut lists = Vec::new();
    while lists.is_empty() || !reader.is_finished() {
        Tag::peek(&reader)?.assert_eq(Tag::Sequence)?;
        lists.push(reader.tlv_bytes()?);
    }
    Ok(lists)
}

impl<'a> Encoded<'a> {
    pub(super) fn read(der: &'a [u8]) -> Result<Self, Error> {
        let mut outer = SliceReader::new(der)?;
        let list = sequence(&mut outer, |list| {
            let tbs = list.tlv_bytes()?;
            let algorithm = list.tlv_bytes()?;
            let signature = BitStringRef::decode(list)?;
            let signature = signature.as_bytes().ok_or_else(|| Error::from(ErrorKind::Failed))?;
            Self::of(tbs, algorithm, signature)
        })?;
        outer.finish()?;
        Ok(list)
    }

    fn of(tbs: &'a [u8], algorithm: &'a [u8], signature: &'a [u8]) -> Result<Self, Error> {
        let mut reader = SliceReader::new(tbs)?;
        let list = sequence(&mut reader, |list| {
            let version = present(list, Tag::Integer)?.then(|| tagged(list, Tag::Integer)).transpose()?;
            // Version 2 is encoded as 1, and there is no other.
            if version.is_some_and(|version| version != [1]) {
                return Err(ErrorKind::Failed.into());
            }
            let inner_algorithm = list.tlv_bytes()?;
            let _issuer = list.tlv_bytes()?;
            let this_update = time(list)?;
            let dated = present(list, Tag::UtcTime)? || present(list, Tag::GeneralizedTime)?;
            let next_update = dated.then(|| time(list)).transpose()?;
            let entries = match present(list, Tag::Sequence)? {
                true => tagged(list, Tag::Sequence)?,
                false => &[],
            };
            let extensions = match present(list, context(0, true))? {
                true => whole(AnyRef::decode(list)?.value(), extensions)?,
                false => Vec::new(),
            };
            // Extensions take version 2.
            if version.is_none() && !extensions.is_empty() {
                return Err(ErrorKind::Failed.into());
            }
            Ok(Self {
                tbs,
                algorithm,
                inner_algorithm,
                signature,
                this_update,
                next_update,
                entries,
                extensions,
            })
        })?;
        reader.finish()?;
        Ok(list)
    }

    /// The entries, in turn.
    pub(super) fn entries(&self) -> Result<Entries<'a>, Error> {
        Ok(Entries(SliceReader::new(self.entries)?))
    }
}

/// The entries that are left.
pub(super) struct Entries<'a>(SliceReader<'a>);

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.0.is_finished()).then(|| {
            sequence(&mut self.0, |entry| {
                let serial = tagged(entry, Tag::Integer)?;
                time(entry)?;
                let extensions = match entry.is_finished() {
                    true => Vec::new(),
                    false => extensions(entry)?,
                };
                Ok(Entry { serial, extensions })
            })
        })
    }
}

/// `Extensions`.
fn extensions<'a>(reader: &mut SliceReader<'a>) -> Result<Vec<Extension<'a>>, Error> {
    sequence(reader, |all| {
        let mut extensions = Vec::new();
        while !all.is_finished() {
            extensions.push(sequence(all, |extension| {
                let id = ObjectIdentifier::decode(extension)?;
                let critical = present(extension, Tag::Boolean)? && bool::decode(extension)?;
                let value = <&OctetStringRef>::decode(extension)?.as_bytes();
                Ok(Extension { id, critical, value })
            })?);
        }
        Ok(extensions)
    })
}

impl Scope {
    /// `IssuingDistributionPoint`.
    pub(super) fn read(value: &[u8]) -> Result<Self, Error> {
        whole(value, |reader| {
            sequence(reader, |point| {
                let mut scope = Self::default();
                let name = present(point, context(0, true))?;
                if name {
                    AnyRef::decode(point)?;
                }
                scope.distribution_point = name;
                // Lists of certificates of users alone are what is wanted here.
                flag(point, 1)?;
                scope.only_ca_certificates = flag(point, 2)?;
                if present(point, context(3, false))? {
                    AnyRef::decode(point)?;
                    scope.only_some_reasons = true;
                }
                scope.indirect = flag(point, 4)?;
                scope.only_attribute_certificates = flag(point, 5)?;
                Ok(scope)
            })
        })
    }
}

/// The octets of an `INTEGER` that is the whole value.
pub(super) fn integer(value: &[u8]) -> Result<&[u8], Error> {
    whole(value, |reader| tagged(reader, Tag::Integer))
}

fn context(number: u32, constructed: bool) -> Tag {
    Tag::ContextSpecific { constructed, number: TagNumber(number) }
}

/// `[number] IMPLICIT BOOLEAN DEFAULT FALSE`. Only 0 is false: what is not DER excludes more.
fn flag(reader: &mut SliceReader<'_>, number: u32) -> Result<bool, Error> {
    Ok(present(reader, context(number, false))? && AnyRef::decode(reader)?.value() != [0])
}

fn present(reader: &SliceReader<'_>, tag: Tag) -> Result<bool, Error> {
    Ok(!reader.is_finished() && Tag::peek(reader)? == tag)
}

fn tagged<'a>(reader: &mut SliceReader<'a>, tag: Tag) -> Result<&'a [u8], Error> {
    let any = AnyRef::decode(reader)?;
    any.header().tag().assert_eq(tag)?;
    Ok(any.value())
}

/// Reads something that has to be all there is.
fn whole<'a, T>(
    value: &'a [u8],
    read: impl FnOnce(&mut SliceReader<'a>) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut reader = SliceReader::new(value)?;
    let found = read(&mut reader)?;
    reader.finish()?;
    Ok(found)
}

/// `Time`, in seconds since 1970.
fn time(reader: &mut SliceReader<'_>) -> Result<i64, Error> {
    let since = match present(reader, Tag::UtcTime)? {
        true => UtcTime::decode(reader)?.to_unix_duration(),
        false => GeneralizedTime::decode(reader)?.to_unix_duration(),
    };
    i64::try_from(since.as_secs()).map_err(|_| ErrorKind::Failed.into())
}

fn sequence<'a, T>(
    reader: &mut SliceReader<'a>,
    read: impl FnOnce(&mut SliceReader<'a>) -> Result<T, Error>,
) -> Result<T, Error> {
    reader.sequence(read)
}
