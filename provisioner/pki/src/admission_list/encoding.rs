//! The encoding of a list, strictly DER: what cannot be read in one way only is not read. Nothing is copied.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use der::asn1::{BitStringRef, GeneralizedTime, OctetStringRef};
use der::{Decode, Error, ErrorKind, Reader, SliceReader};

use super::AdmissionKey;

/// The only version.
const VERSION: u8 = 0;
/// `ecdsa-with-SHA256` (RFC 5758, section 3.2), DER.
const ALGORITHM: [u8; 12] = [0x30, 0x0A, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02];

/// `AdmissionList`.
pub(super) struct Encoded<'a> {
    to_be_signed: &'a [u8],
    signature: &'a [u8],
    pub(super) number: u64,
    /// Seconds since 1970.
    pub(super) issued_at: i64,
    /// Seconds since 1970.
    pub(super) next_update: i64,
    pub(super) keys: &'a [u8],
}

impl<'a> Encoded<'a> {
    pub(super) fn read(der: &'a [u8]) -> Result<Self, Error> {
        let mut outer = SliceReader::new(der)?;
        let (to_be_signed, signature) = outer.sequence(|list: &mut SliceReader<'a>| {
            let to_be_signed = list.tlv_bytes()?;
            if list.tlv_bytes()? != ALGORITHM {
                return Err(failed());
            }
            let signature = BitStringRef::decode(list)?.as_bytes().ok_or_else(failed)?;
            Ok::<_, Error>((to_be_signed, signature))
        })?;
        outer.finish()?;
        let mut inner = SliceReader::new(to_be_signed)?;
        let list = inner.sequence(|list: &mut SliceReader<'a>| {
            if u8::decode(list)? != VERSION {
                return Err(failed());
            }
            let number = u64::decode(list)?;
            let (issued_at, next_update) = (time(list)?, time(list)?);
            let keys = <&OctetStringRef>::decode(list)?.as_bytes();
            Ok::<_, Error>(Self { to_be_signed, signature, number, issued_at, next_update, keys })
        })?;
        inner.finish()?;
        Ok(list)
    }

    pub(super) fn is_signed_by(&self, key: &AdmissionKey) -> bool {
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.0);
        key.verify(self.to_be_signed, self.signature).is_ok()
    }
}

fn failed() -> Error {
    ErrorKind::Failed.into()
}

/// `GeneralizedTime`, in seconds since 1970.
fn time(reader: &mut SliceReader<'_>) -> Result<i64, Error> {
    let since = GeneralizedTime::decode(reader)?.to_unix_duration();
    i64::try_from(since.as_secs()).map_err(|_| failed())
}

/// What is signed of a list. The octets of the keys are sorted. Times are in seconds since 1970.
#[cfg(feature = "issue")]
pub(crate) fn to_be_signed(
    number: u64,
    issued_at: u64,
    next_update: u64,
    keys: &[u8],
) -> Result<Vec<u8>, Error> {
    use der::{Encode, Tag};

    let time =
        |seconds| GeneralizedTime::from_unix_duration(std::time::Duration::from_secs(seconds))?.to_der();
    let keys = OctetStringRef::new(keys)?.to_der()?;
    crate::encoding::tlv(
        Tag::Sequence,
        &[&VERSION.to_der()?, &number.to_der()?, &time(issued_at)?, &time(next_update)?, &keys],
    )
}
