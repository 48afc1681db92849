//! The root certificate store of the Wi-Fi module: the sector at [`ROOT_STORE`](crate::flash::ROOT_STORE). Builder and reader, pure,
//! inverse to each other.
//!
//! The module keeps no certificates: of each root it keeps the SHA-1 of its subject, its validity and its public key (`pywinc` in
//! Microchip's Python package iotprovision 2.12 writes the same; all numbers are little endian, keys big endian).

use std::fmt;

use super::flash::SECTOR_SIZE;

const MAGIC: [u8; 16] =
    [0x11, 0xF1, 0x12, 0xF2, 0x13, 0xF3, 0x14, 0xF4, 0x15, 0xF5, 0x16, 0xF6, 0x17, 0xF7, 0x18, 0xF8];
const COUNT: usize = 16;
const ENTRIES: usize = 20;
const HASH_SIZE: usize = 20;
const VALIDITY_SIZE: usize = 8;
/// Subject hash, two times, type of the key, two sizes.
const ENTRY_HEAD: usize = HASH_SIZE + 2 * VALIDITY_SIZE + 4 + 4;
/// Entries begin at multiples of this, in bytes.
const ALIGNMENT: usize = 4;
const RSA: u32 = 1;
const EC: u32 = 2;
/// P-256 in TLS (RFC 8422, section 5.1.1); the module knows no other curve.
const SECP256R1: u16 = 23;
const COORDINATE_SIZE: usize = 32;

/// The largest store, in bytes: one sector.
pub const SIZE_MAX: usize = SECTOR_SIZE as usize;

/// A root as the module keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// SHA-1 of the values of the subject's attributes as UTF-8, in their order, with nothing between them.
    pub subject_hash: [u8; HASH_SIZE],
    /// Start of the validity, UTC.
    pub not_before: Moment,
    /// End of the validity, UTC.
    pub not_after: Moment,
    /// Its public key.
    pub key: Key,
}

/// A second in UTC, as the module keeps it. What is no date can be in it, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Year.
    pub year: u16,
    /// Month, from 1.
    pub month: u8,
    /// Day of the month, from 1.
    pub day: u8,
    /// Hour.
    pub hour: u8,
    /// Minute.
    pub minute: u8,
    /// Second.
    pub second: u8,
}

/// The public key of a root, big endian.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// RSA.
    Rsa {
        /// Modulus, without leading zeros.
        modulus: Vec<u8>,
        /// Exponent, without leading zeros.
        exponent: Vec<u8>,
    },
    /// A point on P-256, X‖Y.
    P256(Box<[u8; 2 * COORDINATE_SIZE]>),
}

/// Why roots cannot be stored, or bytes are no store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The magic number is not there: the sector is erased or holds something else.
    #[error("there is no root store")]
    Magic,
    /// The bytes end before the store does.
    #[error("the root store is cut short")]
    Short,
    /// A root of a kind that the module does not have, or sizes that cannot be.
    #[error("root {0} of the store is damaged")]
    Damaged(usize),
    /// The store would not fit in its sector.
    #[error("{0} bytes do not fit, there is room for {SIZE_MAX}")]
    Size(usize),
    /// A key whose sizes the store cannot express.
    #[error("the key of root {0} is too large")]
    Key(usize),
}

/// Lays roots out: the bytes from the beginning of the sector on; what follows them is erased.
///
/// # Errors
/// [`Error::Size`], [`Error::Key`].
pub fn build(roots: &[Root]) -> Result<Vec<u8>, Error> {
    let mut store = MAGIC.to_vec();
    store.extend((roots.len() as u32).to_le_bytes());
    for (index, root) in roots.iter().enumerate() {
        store.extend(root.subject_hash);
        store.extend(root.not_before.bytes());
        store.extend(root.not_after.bytes());
        let size = |bytes: &[u8]| u16::try_from(bytes.len()).map_err(|_| Error::Key(index + 1));
        match &root.key {
            Key::Rsa { modulus, exponent } => {
                store.extend(RSA.to_le_bytes());
                store.extend(size(modulus)?.to_le_bytes());
                store.extend(size(exponent)?.to_le_bytes());
                store.extend([modulus.as_slice(), exponent].concat());
            }
            Key::P256(point) => {
                store.extend(EC.to_le_bytes());
                store.extend(SECP256R1.to_le_bytes());
                store.extend((COORDINATE_SIZE as u16).to_le_bytes());
                store.extend(point.iter());
            }
        }
        store.resize(store.len().next_multiple_of(ALIGNMENT), super::flash::ERASED);
    }
    match store.len() {
        size if size > SIZE_MAX => Err(Error::Size(size)),
        _ => Ok(store),
    }
}

/// Reads the roots of a store, and how many bytes it has. What follows it is not looked at.
///
/// # Errors
/// [`Error::Magic`]; [`Error::Short`] for the first bytes of a larger store; [`Error::Damaged`], [`Error::Size`]. Never panics.
pub fn read(bytes: &[u8]) -> Result<(Vec<Root>, usize), Error> {
    if bytes.get(..COUNT) != Some(&MAGIC) {
        return Err(Error::Magic);
    }
    let count = u32::from_le_bytes(field(bytes, COUNT)?) as usize;
    let (mut roots, mut at) = (Vec::new(), ENTRIES);
    for index in 1..=count {
        if at + ENTRY_HEAD > SIZE_MAX {
            return Err(Error::Size(at + ENTRY_HEAD));
        }
        let (root, size) = entry(bytes, at, index)?;
        roots.push(root);
        at = (at + size).next_multiple_of(ALIGNMENT);
        if at > SIZE_MAX {
            return Err(Error::Size(at));
        }
    }
    Ok((roots, at))
}

/// One entry, and its size without padding.
fn entry(bytes: &[u8], at: usize, index: usize) -> Result<(Root, usize), Error> {
    let validity = at + HASH_SIZE;
    let sizes = validity + 2 * VALIDITY_SIZE + 4;
    let kind = u32::from_le_bytes(field(bytes, sizes - 4)?);
    let (first, second) =
        (u16::from_le_bytes(field(bytes, sizes)?), u16::from_le_bytes(field(bytes, sizes + 2)?));
    let content = sizes + 4;
    let part = |from: usize, size: usize| bytes.get(from..from + size).ok_or(Error::Short);
    let (key, size) = match (kind, first, usize::from(second)) {
        (RSA, 1.., exponent @ 1..) => {
            let modulus = usize::from(first);
            let (n, e) = (part(content, modulus)?, part(content + modulus, exponent)?);
            (Key::Rsa { modulus: n.to_vec(), exponent: e.to_vec() }, modulus + exponent)
        }
        (EC, SECP256R1, COORDINATE_SIZE) => {
            let point: [u8; 2 * COORDINATE_SIZE] = field(bytes, content)?;
            (Key::P256(Box::new(point)), point.len())
        }
        _ => return Err(Error::Damaged(index)),
    };
    let root = Root {
        subject_hash: field(bytes, at)?,
        not_before: Moment::read(field(bytes, validity)?),
        not_after: Moment::read(field(bytes, validity + VALIDITY_SIZE)?),
        key,
    };
    Ok((root, ENTRY_HEAD + size))
}

fn field<const SIZE: usize>(bytes: &[u8], at: usize) -> Result<[u8; SIZE], Error> {
    bytes.get(at..at + SIZE).and_then(|field| field.try_into().ok()).ok_or(Error::Short)
}

impl Moment {
    fn bytes(self) -> [u8; VALIDITY_SIZE] {
        let [low, high] = self.year.to_le_bytes();
        [low, high, self.month, self.day, self.hour, self.minute, self.second, 0]
    }

    fn read([low, high, month, day, hour, minute, second, _]: [u8; VALIDITY_SIZE]) -> Self {
        Self { year: u16::from_le_bytes([low, high]), month, day, hour, minute, second }
    }
}

/// As in RFC 3339.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, hour, minute, second } = self;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// What the key is, as certificates' keys are called: `P-256`, `RSA 2048`.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa { modulus, .. } => write!(f, "RSA {}", modulus.len() * 8),
            Self::P256(_) => f.write_str("P-256"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FROM: Moment = Moment { year: 2015, month: 5, day: 26, hour: 0, minute: 0, second: 0 };
    const TO: Moment = Moment { year: 2040, ..FROM };

    fn p256() -> Root {
        let mut point = [0; 64];
        point.copy_from_slice(&(0..64).collect::<Vec<u8>>());
        Root { subject_hash: [7; 20], not_before: FROM, not_after: TO, key: Key::P256(Box::new(point)) }
    }

    fn rsa(size: usize) -> Root {
        let key = Key::Rsa { modulus: vec![0xC1; size], exponent: vec![1, 0, 1] };
        Root { subject_hash: [9; 20], key, ..p256() }
    }

    #[test]
    fn the_layout_is_that_of_the_module() {
        let store = build(&[p256()]).unwrap();
        assert_eq!(store.len(), 20 + 108);
        assert_eq!(hex::encode(&store[..16]), "11f112f213f314f415f516f617f718f8");
        assert_eq!(store[16..20], [1, 0, 0, 0]);
        assert_eq!(store[20..40], [7; 20]);
        assert_eq!(hex::encode(&store[40..56]), "df07051a00000000f807051a00000000");
        assert_eq!(hex::encode(&store[56..64]), "0200000017002000");
        assert_eq!(store[64..128], (0..64).collect::<Vec<u8>>());

        // An exponent of three bytes leaves one byte of padding.
        let store = build(&[rsa(256), p256()]).unwrap();
        assert_eq!(store.len(), 20 + 304 + 108);
        assert_eq!(hex::encode(&store[56..64]), "0100000000010300");
        assert_eq!(hex::encode(&store[320..328]), "010001ff07070707");
        assert_eq!(build(&[rsa(512)]).unwrap().len(), 20 + 560);
        assert_eq!(build(&[]).unwrap().len(), 20);
    }

    #[test]
    fn more_than_a_sector_is_refused() {
        assert_eq!(build(&vec![rsa(512); 8]), Err(Error::Size(20 + 8 * 560)));
        let most = [vec![rsa(512); 7], vec![p256()]].concat();
        assert_eq!(build(&most).unwrap().len(), 20 + 7 * 560 + 108);
    }

    #[test]
    fn what_is_no_store_is_told_apart_from_one_that_is_cut_short() {
        let store = build(&[rsa(256), p256()]).unwrap();
        assert_eq!(read(&[0xFF; 4096]), Err(Error::Magic));
        assert_eq!(read(&[]), Err(Error::Magic));
        for end in 16..store.len() {
            assert_eq!(read(&store[..end]), Err(Error::Short), "{end}");
        }
        let mut damaged = store.clone();
        damaged[56] = 9;
        assert_eq!(read(&damaged), Err(Error::Damaged(1)));
        let mut other_curve = build(&[p256()]).unwrap();
        other_curve[60] = 24;
        assert_eq!(read(&other_curve), Err(Error::Damaged(1)));
    }

    fn roots() -> impl Strategy<Value = Vec<Root>> {
        let key = prop_oneof![
            proptest::collection::vec(any::<u8>(), 64)
                .prop_map(|bytes| Key::P256(Box::new(bytes.try_into().unwrap()))),
            (proptest::collection::vec(any::<u8>(), 1..520), proptest::collection::vec(any::<u8>(), 1..5))
                .prop_map(|(modulus, exponent)| Key::Rsa { modulus, exponent }),
        ];
        let moment = any::<[u8; 7]>().prop_map(|[low, high, month, day, hour, minute, second]| Moment {
            year: u16::from_le_bytes([low, high]),
            month,
            day,
            hour,
            minute,
            second,
        });
        let root = (any::<[u8; 20]>(), moment.clone(), moment, key).prop_map(
            |(subject_hash, not_before, not_after, key)| Root { subject_hash, not_before, not_after, key },
        );
        proptest::collection::vec(root, 0..12)
    }

    proptest! {
        #[test]
        fn reading_gives_back_what_was_built(roots in roots(), behind in proptest::collection::vec(any::<u8>(), 0..40)) {
            match build(&roots) {
                Ok(mut store) => {
                    let size = store.len();
                    store.extend(behind);
                    prop_assert_eq!(read(&store).unwrap(), (roots, size));
                }
                Err(error) => prop_assert!(matches!(error, Error::Size(_))),
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..4200), magic in any::<bool>(), count in 0..20_u8) {
            if magic {
                for (to, from) in bytes.iter_mut().zip(MAGIC.into_iter().chain([count, 0, 0, 0])) {
                    *to = from;
                }
            }
            if let Ok((_, size)) = read(&bytes) {
                prop_assert!(size <= SIZE_MAX);
            }
        }
    }
}
