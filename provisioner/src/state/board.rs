//! The folders of boards: which belongs to which key, and the files in it.
//!
//! A board is its key. The USB serial number that names a folder is whatever the board's holder says, and a secure element's
//! serial number is what its firmware says: a folder is a board's only if its certificate is for the board's key, and is free
//! only if nothing in it certifies a key.

use std::path::{Path, PathBuf};

use device_pki::{Certificate, PUBLIC_KEY_SIZE, request};
use durable_files::{Access, folder};
use serde::Serialize;

use super::home::{Home, SANDBOX_CERTIFICATE, SANDBOX_SIGNER};
use super::{Error, root_store};

pub use super::home::{CERTIFICATE, REQUEST, THING_NAME};
/// The factory's device certificate, PEM.
pub const FACTORY_CERTIFICATE: &str = "factory-device.crt";
/// The certificate of the factory's signer, PEM.
pub const FACTORY_SIGNER: &str = "factory-signer.crt";
/// Certificates for the vendor's public account, and those of its signers: no account of a user's has them.
pub const VENDOR_CERTIFICATES: [&str; 5] =
    [SANDBOX_CERTIFICATE, SANDBOX_SIGNER, FACTORY_CERTIFICATE, FACTORY_SIGNER, "signer.crt"];
/// What this program and iotprovision keep beside a board's certificates, and [`root_store`](super::root_store) besides.
const COMPANIONS: [&str; 4] = [REQUEST, THING_NAME, "ecc_serial_number.txt", "azure-device-id.txt"];

/// Whether a file of this name is kept beside a board's certificates, and has none that is to be registered.
pub fn is_companion(name: &str) -> bool {
    COMPANIONS.contains(&name) || VENDOR_CERTIFICATES.contains(&name) || root_store::is_copy(name)
}

/// What a board says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// USB serial number of its kit, where it is known.
    pub usb_serial: Option<&'a str>,
    /// Serial number of its secure element.
    pub secure_element_serial: &'a str,
    /// Its public key, an uncompressed point.
    pub point: &'a [u8; PUBLIC_KEY_SIZE],
}

/// Why the USB serial number does not name a board's folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Clash {
    /// The folder of that name has the files of another key.
    OtherKey,
    /// It can be no folder's name on every system, the home uses the name itself, or it is another secure element's.
    Name,
}

/// Where the files of a board are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The folder.
    pub folder: PathBuf,
    /// Why it is named by the secure element, although the kit has a USB serial number.
    pub clash: Option<Clash>,
}

/// Whose a folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// Of the key that was asked for.
    Key,
    /// Of another one.
    Another,
    /// Nothing in it certifies a key.
    Nobody,
}

impl Claim<'_> {
    /// Finds the folder of the board: the one that has its files, or else the first that has nobody's. Nothing is changed.
    ///
    /// # Errors
    /// [`Error::FolderTaken`]; [`durable_files::Error::Io`].
    pub fn place(&self, home: &Home) -> Result<Place, Error> {
        self.first(home, |_| Ok(true))
    }

    /// As [`Claim::place`], and makes the folder the board's, by a file that certifies its key: `name` with `text`. Two boards that
    /// take one folder at the same time get two.
    ///
    /// # Errors
    /// As [`Claim::place`]; [`durable_files::Error`].
    pub fn take(&self, home: &Home, name: &str, text: &str) -> Result<Place, Error> {
        let place = self.first(home, |folder| {
            let _lock = folder::lock(folder)?;
            let still = owner_of(folder, self.point)? == Owner::Nobody;
            if still {
                durable_files::write(&folder.join(name), text.as_bytes(), Access::Public)?;
            }
            Ok(still)
        })?;
        home.create_inside(&place.folder)?;
        Ok(place)
    }

    /// The folder that has the board's files, or else the first of nobody's that `take` takes.
    fn first(&self, home: &Home, mut take: impl FnMut(&Path) -> Result<bool, Error>) -> Result<Place, Error> {
        // No kit takes the place that is another secure element's.
        let foreign = |name: &str| is_element(name) && !name.eq_ignore_ascii_case(self.secure_element_serial);
        let by_usb = self.usb_serial.map(|serial| home.board(serial).filter(|_| !foreign(serial)));
        let by_element = home.board(self.secure_element_serial);
        let mut of_nobody = Vec::new();
        let mut found = None;
        for folder in by_usb.iter().flatten().chain(&by_element) {
            match owner_of(folder, self.point)? {
                Owner::Key if found.is_none() => found = Some(folder),
                Owner::Nobody => of_nobody.push(folder),
                Owner::Key | Owner::Another => {}
            }
        }
        for folder in of_nobody {
            if found.is_none() && take(folder)? {
                found = Some(folder);
            }
        }
        let taken = || Error::FolderTaken { folder: home.root().join(self.secure_element_serial) };
        let folder = found.ok_or_else(taken)?.clone();
        let clash = match by_usb {
            Some(None) => Some(Clash::Name),
            Some(Some(usb)) if owner_of(&usb, self.point)? == Owner::Another => Some(Clash::OtherKey),
            _ => None,
        };
        Ok(Place { folder, clash })
    }
}

/// Reads the key that a file certifies, or asks a certificate for.
type KeyOf<'a> = &'a dyn Fn(&[u8]) -> Option<Option<[u8; PUBLIC_KEY_SIZE]>>;

/// Whose a folder is: the first of its files that certifies a key says it.
fn owner_of(folder: &Path, point: &[u8; PUBLIC_KEY_SIZE]) -> Result<Owner, durable_files::Error> {
    let certified = |pem: &[u8]| Certificate::read(pem).ok().map(|certificate| certificate.point());
    let files: [(&str, KeyOf<'_>); 4] = [
        (CERTIFICATE, &certified),
        (FACTORY_CERTIFICATE, &certified),
        (SANDBOX_CERTIFICATE, &certified),
        (REQUEST, &request::point),
    ];
    for (file, key) in files {
        if let Some(key) = durable_files::read(&folder.join(file))?.and_then(|pem| key(&pem)) {
            return Ok(if key.as_ref() == Some(point) { Owner::Key } else { Owner::Another });
        }
    }
    Ok(Owner::Nobody)
}

/// Whether a name is like the serial number of a secure element: 18 hex digits.
fn is_element(name: &str) -> bool {
    name.len() == 18 && name.bytes().all(|digit| digit.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use std::thread;

    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, PublicKeyData};

    use super::*;

    const ELEMENT: &str = "0123AABBCCDDEEFFEE";

    struct Key(KeyPair, [u8; PUBLIC_KEY_SIZE]);

    impl Key {
        fn new() -> Self {
            let pair = KeyPair::generate().unwrap();
            let point = pair.der_bytes().try_into().unwrap();
            Self(pair, point)
        }

        fn request(&self) -> String {
            CertificateParams::default().serialize_request(&self.0).unwrap().pem().unwrap()
        }

        fn certificate(&self) -> String {
            CertificateParams::default().self_signed(&self.0).unwrap().pem()
        }

        fn claim<'a>(&'a self, usb_serial: &'a str, secure_element_serial: &'a str) -> Claim<'a> {
            Claim { usb_serial: Some(usb_serial), secure_element_serial, point: &self.1 }
        }
    }

    fn home() -> (tempfile::TempDir, Home) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        (folder, home)
    }

    fn put(home: &Home, folder: &str, file: &str, text: &str) {
        std::fs::create_dir_all(home.root().join(folder)).unwrap();
        std::fs::write(home.root().join(folder).join(file), text).unwrap();
    }

    #[test]
    fn the_folder_of_another_key_is_never_a_boards() {
        let (victim, board) = (Key::new(), Key::new());
        for (file, text) in [
            (CERTIFICATE, victim.certificate()),
            (FACTORY_CERTIFICATE, victim.certificate()),
            (SANDBOX_CERTIFICATE, victim.certificate()),
            (REQUEST, victim.request()),
        ] {
            let (_folder, home) = home();
            put(&home, "MCHP1", file, &text);
            put(&home, "MCHP1", THING_NAME, "victim");
            let claim = board.claim("MCHP1", ELEMENT);
            let place = claim.take(&home, REQUEST, &board.request()).unwrap();
            assert_eq!(place, Place { folder: home.root().join(ELEMENT), clash: Some(Clash::OtherKey) });
            assert_eq!(std::fs::read_to_string(home.root().join("MCHP1").join(file)).unwrap(), text);
            assert_eq!(claim.place(&home).unwrap(), place, "it finds its own again");
            let liar = Key::new();
            let refused = liar.claim("MCHP1", ELEMENT).take(&home, REQUEST, &liar.request());
            assert!(matches!(refused, Err(Error::FolderTaken { .. })), "{refused:?}");
        }
    }

    #[test]
    fn of_files_of_several_keys_the_certificate_says_whose_the_folder_is() {
        let (one, other) = (Key::new(), Key::new());
        let (_folder, home) = home();
        put(&home, "MCHP1", CERTIFICATE, &one.certificate());
        put(&home, "MCHP1", REQUEST, &other.request());
        for (key, folder) in [(&one, "MCHP1"), (&other, ELEMENT)] {
            assert_eq!(key.claim("MCHP1", ELEMENT).place(&home).unwrap().folder, home.root().join(folder));
        }
    }

    #[test]
    fn no_kit_takes_the_place_of_another_secure_element() {
        let (hostile, victim) = (Key::new(), Key::new());
        let (_folder, home) = home();
        let own = "0123000000000000EE";
        for usb in [ELEMENT, &ELEMENT.to_lowercase()] {
            let place = hostile.claim(usb, own).take(&home, REQUEST, &hostile.request()).unwrap();
            assert_eq!(place, Place { folder: home.root().join(own), clash: Some(Clash::Name) });
        }
        let place = victim.claim(ELEMENT, ELEMENT).place(&home).unwrap();
        assert_eq!(place, Place { folder: home.root().join(ELEMENT), clash: None });
    }

    #[test]
    fn a_board_keeps_the_folder_that_it_has() {
        let key = Key::new();
        let (_folder, home) = home();
        assert_eq!(key.claim("MCHP1", ELEMENT).place(&home).unwrap().folder, home.root().join("MCHP1"));
        put(&home, "MCHP1", CERTIFICATE, "no certificate");
        put(&home, ELEMENT, CERTIFICATE, &key.certificate());
        let place = key.claim("MCHP1", ELEMENT).place(&home).unwrap();
        assert_eq!(place, Place { folder: home.root().join(ELEMENT), clash: None });
        put(&home, "MCHP1", CERTIFICATE, &key.certificate());
        assert_eq!(key.claim("MCHP1", ELEMENT).place(&home).unwrap().folder, home.root().join("MCHP1"));
    }

    #[test]
    fn a_serial_number_that_is_no_folders_gives_way_to_the_secure_elements() {
        let key = Key::new();
        let (_folder, home) = home();
        for serial in
            ["", "crl", "Signers", "CON", "com1.txt", "6&1a2b3c&0&0000", "MCHP 1", "MÜHP1", "../x", "a."]
        {
            let place = key.claim(serial, ELEMENT).place(&home).unwrap();
            assert_eq!(
                place,
                Place { folder: home.root().join(ELEMENT), clash: Some(Clash::Name) },
                "{serial}"
            );
        }
    }

    #[test]
    fn two_boards_that_take_one_folder_at_once_get_two() {
        for _ in 0..20 {
            let (_folder, home) = home();
            let keys: Vec<_> = (0..4).map(|_| Key::new()).collect();
            let elements: Vec<_> = (0..4).map(|n| format!("0123AABBCCDDEEFF{n:02}")).collect();
            let places: Vec<_> = thread::scope(|scope| {
                let takers: Vec<_> = keys
                    .iter()
                    .zip(&elements)
                    .map(|(key, element)| {
                        let home = &home;
                        scope.spawn(move || {
                            key.claim("MCHP1", element).take(home, REQUEST, &key.request()).unwrap()
                        })
                    })
                    .collect();
                takers.into_iter().map(|taker| taker.join().unwrap()).collect()
            });
            let by_usb = places.iter().filter(|place| place.clash.is_none()).count();
            assert_eq!(by_usb, 1, "{places:?}");
            for ((key, element), place) in keys.iter().zip(&elements).zip(&places) {
                let again = key.claim("MCHP1", element).place(&home).unwrap();
                assert_eq!(&again, place);
                let text = std::fs::read(place.folder.join(REQUEST)).unwrap();
                assert_eq!(request::point(&text), Some(Some(key.1)));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Whatever boards say of themselves, and in whatever order they come: no file of one key is ever another's.
        #[test]
        fn no_board_gets_the_folder_of_another(
            boards in proptest::collection::vec((0..4_usize, "[Mm]1|crl|CON|0123AABBCCDDEEFF0[0-3]|a b", 0..4_u8), 1..12)
        ) {
            let (_folder, home) = home();
            let keys: Vec<_> = (0..4).map(|_| Key::new()).collect();
            for (key, usb, element) in boards {
                let key = &keys[key];
                let element = format!("0123AABBCCDDEEFF{element:02}");
                if let Ok(place) = key.claim(&usb, &element).take(&home, REQUEST, &key.request()) {
                    let text = std::fs::read(place.folder.join(REQUEST)).unwrap();
                    prop_assert_eq!(request::point(&text), Some(Some(key.1)));
                    prop_assert_eq!(key.claim(&usb, &element).place(&home).unwrap(), place);
                }
            }
        }
    }
}
