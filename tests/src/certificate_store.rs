//! Reads back what provisioning wrote to the Wi-Fi module's flash, from the layout alone.

/// The client certificate store: two 4 KiB sectors, of which the last two pages hold names.
const STORE: usize = 0x5000;
const ENDPOINT: usize = 0x6E00;
const THING_NAME: usize = 0x6F00;
const END: usize = 0x7000;

const MAGIC: [u8; 8] = [0xAB, 0xFE, 0x18, 0x5B, 0x70, 0xC3, 0x46, 0x92];
const MAX_FILES: usize = 8;
const NAME: usize = 48;
const ENTRY: usize = NAME + 8;
const ENTRIES: usize = 16;
const CRC: usize = ENTRIES + MAX_FILES * ENTRY;
const FILES: usize = CRC + 4;

/// The file that lists the certificates.
const LIST: &str = "ECDSA.lst";

/// What is wrong with the flash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It ends before the store does.
    #[error("the flash image has {0:#x} bytes, the store ends at {END:#x}")]
    Short(usize),
    /// Something is not as the layout says.
    #[error("at {address:#06x}: {what}")]
    Layout {
        /// Flash address.
        address: usize,
        /// What is wrong there.
        what: &'static str,
    },
}

/// A file of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name, without the padding.
    pub name: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// What a provisioned board holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateStore {
    /// The certificates (DER) in the order of the store: the device's, the signer's.
    pub certificates: Vec<File>,
    /// MQTT client id and thing name.
    pub thing_name: String,
    /// Host name to connect to.
    pub endpoint: String,
}

impl CertificateStore {
    /// Reads the store and the names behind it from an image of the flash (from address 0).
    ///
    /// # Errors
    /// [`StoreError`] names the first thing that is not as the layout says, unused bytes included.
    pub fn read(flash: &[u8]) -> Result<Self, StoreError> {
        let flash = flash.get(..END).ok_or(StoreError::Short(flash.len()))?;
        require(flash[STORE..].starts_with(&MAGIC), STORE, "no magic number")?;
        let count = number(flash, STORE + 8);
        require((1..=MAX_FILES).contains(&count), STORE + 8, "not 1 to 8 files")?;
        let end = number(flash, STORE + 12);
        require(
            (STORE + FILES..=ENDPOINT).contains(&end),
            STORE + 12,
            "the store does not end before the names",
        )?;

        let mut files = Vec::new();
        let mut next = STORE + FILES;
        for entry in 0..MAX_FILES {
            let address = STORE + ENTRIES + entry * ENTRY;
            if entry >= count {
                blank(flash, address, address + ENTRY, "an unused file entry is not blank")?;
                continue;
            }
            let name = text(flash, address, NAME)?;
            let size = number(flash, address + NAME);
            require(
                number(flash, address + NAME + 4) == next,
                address + NAME + 4,
                "the file is not next to the last",
            )?;
            require(size <= end - next, address + NAME, "the file is longer than the store")?;
            files.push(File { name, content: flash[next..next + size].to_vec() });
            next += size;
        }
        require(next == end, STORE + 12, "the store does not end where its last file does")?;
        blank(flash, STORE + CRC, STORE + FILES, "the unused CRC-32 is not blank")?;
        blank(flash, end, ENDPOINT, "the flash behind the store is not blank")?;

        let list = files.pop().filter(|file| file.name == LIST);
        let list =
            list.ok_or(StoreError::Layout { address: STORE, what: "the last file is not ECDSA.lst" })?;
        let listed =
            list.content.chunks(NAME).map(|name| text(name, 0, name.len())).collect::<Result<Vec<_>, _>>()?;
        let names = files.iter().map(|file| &file.name);
        require(listed.iter().eq(names), end, "ECDSA.lst does not name the certificates in their order")?;
        for file in &files {
            check_certificate(file)?;
        }
        Ok(Self {
            certificates: files,
            thing_name: text(flash, THING_NAME, END - THING_NAME)?,
            endpoint: text(flash, ENDPOINT, THING_NAME - ENDPOINT)?,
        })
    }
}

fn check_certificate(file: &File) -> Result<(), StoreError> {
    let what = "a file is not one DER certificate under the name of its serial number";
    let malformed = StoreError::Layout { address: STORE, what };
    let (rest, certificate) =
        x509_parser::parse_x509_certificate(&file.content).map_err(|_| malformed.clone())?;
    let name = format!("CERT_{:X}", certificate.tbs_certificate.serial);
    if rest.is_empty() && name == file.name { Ok(()) } else { Err(malformed) }
}

fn require(holds: bool, address: usize, what: &'static str) -> Result<(), StoreError> {
    if holds { Ok(()) } else { Err(StoreError::Layout { address, what }) }
}

fn blank(flash: &[u8], from: usize, to: usize, what: &'static str) -> Result<(), StoreError> {
    let written = flash[from..to].iter().position(|byte| *byte != 0xFF);
    written.map_or(Ok(()), |offset| Err(StoreError::Layout { address: from + offset, what }))
}

fn number(flash: &[u8], address: usize) -> usize {
    (0..4).map(|byte| usize::from(flash[address + byte]) << (8 * byte)).sum()
}

/// A NUL-terminated ASCII text in a field of `size` bytes; behind it the field is NUL or blank.
fn text(flash: &[u8], address: usize, size: usize) -> Result<String, StoreError> {
    let malformed = StoreError::Layout { address, what: "not a NUL-terminated ASCII text" };
    let field = &flash[address..address + size];
    let end = field.iter().position(|byte| *byte == 0).ok_or(malformed.clone())?;
    let (text, padding) = field.split_at(end);
    let padded = padding.iter().all(|byte| *byte == 0) || padding[1..].iter().all(|byte| *byte == 0xFF);
    if end > 0 && text.iter().all(u8::is_ascii_graphic) && padded {
        Ok(text.iter().map(|byte| char::from(*byte)).collect())
    } else {
        Err(malformed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, SerialNumber};

    use super::*;

    fn certificate(serial: u8) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.serial_number = Some(SerialNumber::from(vec![0x0A, serial]));
        params.self_signed(&KeyPair::generate().expect("a key")).expect("a certificate").der().to_vec()
    }

    /// An image written by hand, byte after byte as the layout lists them.
    fn image() -> (Vec<u8>, [Vec<u8>; 2]) {
        let certificates = [certificate(1), certificate(2)];
        let list = ["CERT_A01", "CERT_A02"].map(|name| format!("{name:\0<48}")).concat();
        let files = [
            ("CERT_A01", certificates[0].as_slice()),
            ("CERT_A02", certificates[1].as_slice()),
            ("ECDSA.lst", list.as_bytes()),
        ];
        let mut store = b"\xAB\xFE\x18\x5B\x70\xC3\x46\x92\x03\0\0\0".to_vec();
        let total: usize = files.iter().map(|(_, content)| content.len()).sum();
        store.extend(u32::try_from(0x5000 + 468 + total).unwrap().to_le_bytes());
        let mut address = 0x5000 + 468;
        for (name, content) in files {
            store.extend(format!("{name:\0<48}").bytes());
            store.extend(u32::try_from(content.len()).unwrap().to_le_bytes());
            store.extend(u32::try_from(address).unwrap().to_le_bytes());
            address += content.len();
        }
        store.extend([0xFF; 5 * 56 + 4]);
        files.iter().for_each(|(_, content)| store.extend(*content));
        let mut flash = vec![0xFF; 0x7000];
        flash[0x5000..0x5000 + store.len()].copy_from_slice(&store);
        flash[0x6E00..0x6E0A].copy_from_slice(b"localhost\0");
        flash[0x6F00..0x6F05].copy_from_slice(b"beef\0");
        (flash, certificates)
    }

    #[test]
    fn a_store_gives_back_the_bytes_that_went_in() {
        let (flash, certificates) = image();
        let store = CertificateStore::read(&flash).expect("a store");
        assert_eq!((store.thing_name.as_str(), store.endpoint.as_str()), ("beef", "localhost"));
        let read: Vec<_> = store.certificates.iter().map(|file| &file.content).collect();
        assert_eq!(read, certificates.iter().collect::<Vec<_>>());
    }

    #[test]
    fn an_erased_board_has_no_store() {
        let expected = StoreError::Layout { address: 0x5000, what: "no magic number" };
        assert_eq!(CertificateStore::read(&[0xFF; 0x8000]), Err(expected));
        assert_eq!(CertificateStore::read(&[0xFF; 0x6000]), Err(StoreError::Short(0x6000)));
    }

    proptest! {
        #[test]
        fn any_bit_that_differs_in_the_tables_is_noticed(offset in 0x5000_usize..0x5000 + 468, bit in 0..8) {
            let (mut flash, _) = image();
            flash[offset] ^= 1_u8 << bit;
            prop_assert!(CertificateStore::read(&flash).is_err());
        }

        #[test]
        fn garbage_never_panics(garbage in prop::collection::vec(any::<u8>(), 512), tail in any::<u8>()) {
            let (mut flash, _) = image();
            flash[0x5008..0x5008 + 512].copy_from_slice(&garbage);
            flash[0x6FFF] = tail;
            let _ = CertificateStore::read(&flash);
        }
    }
}
