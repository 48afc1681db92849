//! The client certificate store of the Wi-Fi module ("TLS server" area): builder and reader. Pure, inverse to each other.

use std::ops::Range;

use super::flash::{CLIENT_STORE, CLIENT_STORE_END, Flash};

const MAGIC: [u8; 8] = [0xAB, 0xFE, 0x18, 0x5B, 0x70, 0xC3, 0x46, 0x92];
const COUNT: usize = 8;
const END: usize = 12;
const ENTRIES: usize = 16;
const ENTRY_SIZE: usize = 56;
const NAME_SIZE: usize = 48;
const CRC: usize = ENTRIES + FILES_MAX * ENTRY_SIZE;
const CONTENT: usize = CRC + 4;

/// The largest number of files in the table.
pub const FILES_MAX: usize = 8;

/// The largest store, in bytes: it must end below the page of the endpoint.
pub const SIZE_MAX: usize = (CLIENT_STORE_END - CLIENT_STORE) as usize;

/// Name of the file that lists the certificate files.
pub const LIST: &str = "ECDSA.lst";

/// A file of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Name, at most 47 bytes.
    pub name: String,
    /// Content.
    pub content: Vec<u8>,
}

/// Why files cannot be stored, or bytes are no store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More than [`FILES_MAX`] files.
    #[error("{0} files do not fit in the table of {FILES_MAX}")]
    Count(usize),
    /// A name that is empty, too long or has a NUL.
    #[error("\"{}\" cannot name a file", .0.escape_debug())]
    Name(String),
    /// The store would run into the names behind it.
    #[error("{0} bytes do not fit, there is room for {SIZE_MAX}")]
    Size(usize),
    /// The magic number is not there: the area is erased or holds something else.
    #[error("there is no store")]
    Magic,
    /// A count, size or address that leads outside.
    #[error("the table of files is damaged")]
    Damaged,
}

/// The files of a device: its certificate, the signer's, and the list of the two. Certificates are DER with their
/// serial numbers in upper-case hex without leading zeros.
pub fn device_files(certificates: &[(&str, &[u8])]) -> Vec<File> {
    let mut files: Vec<File> = certificates
        .iter()
        .map(|(serial, der)| File { name: format!("CERT_{serial}"), content: der.to_vec() })
        .collect();
    let list = files.iter().flat_map(|file| padded(&file.name)).collect();
    files.push(File { name: LIST.to_owned(), content: list });
    files
}

/// Lays files out from [`CLIENT_STORE`] on.
///
/// # Errors
/// [`Error::Count`], [`Error::Name`], [`Error::Size`].
pub fn build(files: &[File]) -> Result<Flash, Error> {
    if files.len() > FILES_MAX {
        return Err(Error::Count(files.len()));
    }
    let size = CONTENT + files.iter().map(|f| f.content.len()).sum::<usize>();
    if size > SIZE_MAX {
        return Err(Error::Size(size));
    }
    let mut header = MAGIC.to_vec();
    header.extend((files.len() as u32).to_le_bytes());
    header.extend((CLIENT_STORE + size as u32).to_le_bytes());
    let mut content = Vec::with_capacity(size - CONTENT);
    for file in files {
        if file.name.is_empty() || file.name.len() >= NAME_SIZE || file.name.contains('\0') {
            return Err(Error::Name(file.name.clone()));
        }
        header.extend(padded(&file.name));
        header.extend((file.content.len() as u32).to_le_bytes());
        header.extend((CLIENT_STORE + (CONTENT + content.len()) as u32).to_le_bytes());
        content.extend(&file.content);
    }
    let mut flash = Flash::default();
    flash.put(CLIENT_STORE, &header);
    flash.put(CLIENT_STORE + CONTENT as u32, &content);
    Ok(flash)
}

/// Reads the files of a store from the bytes at [`CLIENT_STORE`] on.
///
/// # Errors
/// [`Error::Magic`], [`Error::Damaged`]; never panics, for any bytes.
pub fn read(bytes: &[u8]) -> Result<Vec<File>, Error> {
    entries(bytes)?
        .into_iter()
        .map(|(name, range)| {
            let content = bytes.get(range).ok_or(Error::Damaged)?.to_vec();
            Ok(File { name, content })
        })
        .collect()
}

/// How many bytes from [`CLIENT_STORE`] on hold the store whose first [`HEADER_SIZE`] bytes these are.
///
/// # Errors
/// [`Error::Magic`], [`Error::Damaged`].
pub fn size(header: &[u8]) -> Result<usize, Error> {
    Ok(entries(header)?.into_iter().map(|(_, range)| range.end).max().unwrap_or(CONTENT))
}

/// Size of everything before the first file, in bytes.
pub const HEADER_SIZE: usize = CONTENT;

fn entries(bytes: &[u8]) -> Result<Vec<(String, Range<usize>)>, Error> {
    if bytes.get(..COUNT) != Some(&MAGIC) {
        return Err(Error::Magic);
    }
    let count = number(bytes, COUNT)?;
    number(bytes, END)?;
    if count > FILES_MAX {
        return Err(Error::Damaged);
    }
    (0..count).map(|i| entry(bytes, ENTRIES + i * ENTRY_SIZE)).collect()
}

fn entry(bytes: &[u8], at: usize) -> Result<(String, Range<usize>), Error> {
    let name = bytes.get(at..at + NAME_SIZE).ok_or(Error::Damaged)?;
    let name = name.split(|&b| b == 0).next().unwrap_or_default();
    let name = std::str::from_utf8(name).map_err(|_| Error::Damaged)?.to_owned();
    let size = number(bytes, at + NAME_SIZE)?;
    let start =
        number(bytes, at + NAME_SIZE + 4)?.checked_sub(CLIENT_STORE as usize).ok_or(Error::Damaged)?;
    if start < CONTENT || size > SIZE_MAX || start + size > SIZE_MAX {
        return Err(Error::Damaged);
    }
    Ok((name, start..start + size))
}

fn number(bytes: &[u8], at: usize) -> Result<usize, Error> {
    let field = bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).ok_or(Error::Damaged)?;
    Ok(u32::from_le_bytes(field) as usize)
}

fn padded(name: &str) -> [u8; NAME_SIZE] {
    let mut field = [0; NAME_SIZE];
    for (to, from) in field.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    field
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(flash: &Flash) -> Vec<u8> {
        flash.image(CLIENT_STORE, SIZE_MAX)
    }

    #[test]
    fn the_layout_is_that_of_the_module() {
        let files = device_files(&[("7F01", &[0x30, 0x82]), ("40AB", &[0x31])]);
        let image = bytes(&build(&files).unwrap());
        assert_eq!(image[..8], [0xAB, 0xFE, 0x18, 0x5B, 0x70, 0xC3, 0x46, 0x92]);
        assert_eq!(image[8..12], [3, 0, 0, 0]);
        // 468 bytes of header, 2 + 1 bytes of certificates, 96 bytes of list, from 0x5000 on
        assert_eq!(image[12..16], (0x5000u32 + 468 + 3 + 96).to_le_bytes());
        assert_eq!(&image[16..26], b"CERT_7F01\0");
        assert_eq!(image[64..72], [2, 0, 0, 0, 0xD4, 0x51, 0, 0]);
        assert_eq!(&image[128..138], b"ECDSA.lst\0");
        assert!(image[184..468].iter().all(|&b| b == 0xFF), "unused entries and the CRC field stay erased");
        assert_eq!(image[468..471], [0x30, 0x82, 0x31]);
        assert_eq!(&image[471..481], b"CERT_7F01\0");
        assert_eq!(&image[519..529], b"CERT_40AB\0");
        assert!(image[567..].iter().all(|&b| b == 0xFF));
    }

    #[test]
    fn a_store_that_would_reach_the_endpoint_is_refused() {
        let file = |size| [File { name: "x".into(), content: vec![0; size] }];
        let most = 0x6E00 - 0x5000 - 468;
        build(&file(most)).unwrap();
        assert_eq!(build(&file(most + 1)), Err(Error::Size(0x6E00 - 0x5000 + 1)));
    }

    #[test]
    fn names_and_counts_outside_the_table_are_refused() {
        let file = |name: &str| File { name: name.to_owned(), content: vec![] };
        for name in ["", "a\0b", &"x".repeat(48)] {
            assert!(matches!(build(&[file(name)]), Err(Error::Name(_))));
        }
        assert_eq!(build(&vec![file("x"); 9]), Err(Error::Count(9)));
        assert_eq!(read(&[0xFF; 1024]), Err(Error::Magic));
        assert_eq!(read(&[]), Err(Error::Magic));
    }

    proptest! {
        #[test]
        fn reading_gives_back_what_was_built(
            files in proptest::collection::vec(
                ("[A-Za-z0-9_.]{1,47}", proptest::collection::vec(any::<u8>(), 0..800)),
                0..=8,
            )
        ) {
            let files: Vec<File> = files.into_iter().map(|(name, content)| File { name, content }).collect();
            match build(&files) {
                Ok(flash) => {
                    let image = bytes(&flash);
                    prop_assert_eq!(read(&image).unwrap(), files);
                    let size = size(&image[..HEADER_SIZE]).unwrap();
                    prop_assert!(read(&image[..size]).is_ok());
                }
                Err(error) => prop_assert!(matches!(error, Error::Size(_))),
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..1200), magic in any::<bool>(), count in 0..12u8) {
            if magic {
                for (to, from) in bytes.iter_mut().zip(MAGIC.into_iter().chain([count, 0, 0, 0])) {
                    *to = from;
                }
            }
            let _ = read(&bytes);
            let _ = size(&bytes);
        }

        #[test]
        fn a_damaged_table_never_panics(at in 8usize..184, value in any::<u8>()) {
            let mut image = bytes(&build(&device_files(&[("40", &[1; 400]), ("41", &[2; 400])])).unwrap());
            image[at] = value;
            let _ = read(&image);
            let _ = size(&image[..HEADER_SIZE]);
        }
    }
}
