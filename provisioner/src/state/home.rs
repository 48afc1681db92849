//! The home folder: where keys, certificates and the folder of each board live, and every name in it.

use std::path::{Path, PathBuf};

use durable_files::folder::{self, Lock};
use durable_files::{ExposedKey, Kind};

use super::Error;

/// The root CA's private key, PKCS#8 PEM. May be taken away once the signer exists.
pub const ROOT_KEY: &str = "root-ca.key";
/// Where the root CA's private key is, if it is somewhere else: one line, a key URI.
pub const ROOT_KEY_URI: &str = "root-ca.uri";
/// The root CA's certificate, PEM.
pub const ROOT_CERTIFICATE: &str = "root-ca.crt";
/// The signer CA's private key, PKCS#8 PEM.
pub const SIGNER_KEY: &str = "signer-ca.key";
/// Where the signer CA's private key is, if it is somewhere else: one line, a key URI.
pub const SIGNER_KEY_URI: &str = "signer-ca.uri";
/// The signer CA's certificate signing request, PEM.
pub const SIGNER_REQUEST: &str = "signer-ca.csr";
/// The signer CA's certificate, PEM.
pub const SIGNER_CERTIFICATE: &str = "signer-ca.crt";
/// The certificate that proved possession of the signer's key to AWS IoT, PEM.
pub const VERIFICATION_CERTIFICATE: &str = "signer-ca-verification.crt";
/// When and why the signer CA was revoked, JSON. While it is there, the signer signs nothing for boards.
pub const SIGNER_REVOKED: &str = "signer-ca.revoked";
/// The audit log.
pub const AUDIT_LOG: &str = "audit.jsonl";
/// Where the audit log ends.
pub const AUDIT_HEAD: &str = "audit.head";
/// The ledger.
pub const LEDGER: &str = "ledger.jsonl";
/// The private key that admission lists are signed with, PKCS#8 PEM.
pub const ADMISSION_KEY: &str = "admission.key";
/// Where that key is, if it is somewhere else: one line, a key URI.
pub const ADMISSION_KEY_URI: &str = "admission.uri";
/// The folder with the keys that are admitted, and the last admission list.
pub const ADMISSION: &str = "admission";
/// The folder with the revocation lists.
pub const LISTS: &str = "crl";
/// The folder with what each signer has revoked, `KEYID.jsonl`.
pub const REVOCATIONS: &str = "revocations";
/// The folder with a folder for each device key, and in it every certificate of the key.
pub const CERTIFICATES: &str = "certificates";
/// In the folder of the next signer: the files are being exchanged.
pub const EXCHANGE: &str = "exchange.json";
/// The folder with a folder for each retired signer, named by its key identifier.
pub const RETIRED: &str = "signers";
/// What `register` has done, to go on from there.
pub const JOURNAL: &str = "register.jsonl";
/// The folder with firmware images for the kits.
pub const FIRMWARE: &str = "firmware";

/// A folder that iotprovision keeps in the same home for cellular kits.
const VENDORS: &str = "sequans";

/// Every name that [`Home::file`] is asked for: files and folders of a home folder, and of a signer's within it. No board's
/// folder has one of them.
const NAMES: [&str; 23] = [
    ROOT_KEY,
    ROOT_KEY_URI,
    ROOT_CERTIFICATE,
    SIGNER_KEY,
    SIGNER_KEY_URI,
    SIGNER_REQUEST,
    SIGNER_CERTIFICATE,
    VERIFICATION_CERTIFICATE,
    SIGNER_REVOKED,
    AUDIT_LOG,
    AUDIT_HEAD,
    LEDGER,
    ADMISSION_KEY,
    ADMISSION_KEY_URI,
    ADMISSION,
    LISTS,
    REVOCATIONS,
    CERTIFICATES,
    EXCHANGE,
    RETIRED,
    JOURNAL,
    FIRMWARE,
    VENDORS,
];

/// Names of devices that Windows opens in place of a file, in any case and with any extension (Microsoft, "Naming Files, Paths,
/// and Namespaces").
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];
/// Those of which there are several, with one digit each.
const NUMBERED_DEVICES: [&str; 2] = ["com", "lpt"];

/// The largest name of a board's folder, in characters.
const NAME_MAX: usize = 64;

/// Whether the home itself has a file or folder of this name, in any case, or keeps an old one under it with an extension.
pub fn is_own(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    // A dash begins a flag of every program that gets the name.
    name.starts_with(['.', '-'])
        || NAMES
            .iter()
            .any(|own| name.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

/// In the folder of a board: the device's certificate signing request, PEM.
pub const REQUEST: &str = "device.csr";
/// In the folder of a board: the device's certificate, PEM.
pub const CERTIFICATE: &str = "device.crt";
/// In the folder of a board: the thing name.
pub const THING_NAME: &str = "aws-thing-name.txt";
/// In the folder of a board: the factory certificate of its secure element, as iotprovision keeps it, PEM.
pub const SANDBOX_CERTIFICATE: &str = "device_sandbox.crt";
/// In the folder of a board: the certificate of the vendor's signer, as iotprovision keeps it, PEM.
pub const SANDBOX_SIGNER: &str = "signer_sandbox.crt";
/// Files that mark the folder of a board.
const OF_A_BOARD: [&str; 5] = [REQUEST, CERTIFICATE, THING_NAME, SANDBOX_CERTIFICATE, SANDBOX_SIGNER];

/// How many links lead on from one to the next at most, as on Linux (path_resolution(7)).
const LINKS: usize = 40;

/// Where a file is made that is written under this path: also where nothing is there yet, or a link to nothing.
pub fn destination(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        if let Ok(real) = path.canonicalize() {
            return real;
        }
        match path.read_link() {
            // An absolute target takes the place of the folder.
            Ok(target) => path = path.parent().unwrap_or(Path::new("")).join(target),
            Err(_) => break,
        }
    }
    let Some(name) = path.file_name() else {
        return path;
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder == path {
        return path;
    }
    destination(folder).join(name)
}

/// Whether Windows opens a device under this name.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_lowercase();
    DEVICES.contains(&stem.as_str())
        || NUMBERED_DEVICES.iter().any(|device| {
            stem.strip_prefix(device).is_some_and(|number| matches!(number.as_bytes(), [b'0'..=b'9']))
        })
}

/// The provisioner's folder, `~/.microchip-iot` unless the user names another.
#[derive(Clone, Debug)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// The folder at `root`; it need not exist yet. No link in it is followed.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        durable_files::guard(&root);
        Self { root }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A file or folder of the home's own, by a name of the list above.
    pub fn file(&self, name: &str) -> PathBuf {
        let first = name.split('/').next().unwrap_or_default();
        debug_assert!(is_own(first), "{name} is not among the names of the home folder");
        self.root.join(name)
    }

    /// Whether a file or folder that the user names for output is none of the home: neither the home itself, nor one of its own
    /// names, nor below one of them, nor in the folder of a board. Links on the way are followed.
    ///
    /// # Errors
    /// [`Error::Own`].
    pub fn check_output(&self, path: &Path) -> Result<(), Error> {
        let (home, output) = (destination(&self.root), destination(path));
        let Ok(within) = output.strip_prefix(&home) else {
            return Ok(());
        };
        let own = within.components().next().is_none_or(|first| is_own(&first.as_os_str().to_string_lossy()));
        let of_a_board = within.components().count() > 1
            && output.parent().is_some_and(|folder| OF_A_BOARD.iter().any(|name| folder.join(name).exists()));
        match own || of_a_board {
            true => Err(Error::Own { path: path.to_owned() }),
            false => Ok(()),
        }
    }

    /// The folder of a board that is named by `serial`. `None` for a serial number that no system, or not every one, has a
    /// folder for, and for the home's own names.
    pub fn board(&self, serial: &str) -> Option<PathBuf> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let names_a_folder = (1..=NAME_MAX).contains(&serial.len())
            && serial.chars().all(plain)
            && !serial.ends_with('.')
            && !is_own(serial)
            && !is_device(serial);
        names_a_folder.then(|| self.root.join(serial))
    }

    /// Makes a folder in the home, see [`Home::board`], and the home above it. Removes what killed runs have left.
    ///
    /// # Errors
    /// [`durable_files::Error::Io`].
    pub fn create_inside(&self, folder: &Path) -> Result<(), durable_files::Error> {
        self.create()?;
        folder::sweep(&self.root);
        folder::create_inside(folder)
    }

    /// Makes the home folder, for its owner alone (0700), and closes one that others could enter.
    ///
    /// # Errors
    /// [`durable_files::Error::Io`].
    pub fn create(&self) -> Result<(), durable_files::Error> {
        folder::create(&self.root)
    }

    /// The key files that other users can read, if one of them is a key in clear text. A passphrase protects the others.
    ///
    /// # Errors
    /// [`durable_files::Error`] for a folder or a key that cannot be read.
    pub fn exposed_keys(&self) -> Result<Vec<ExposedKey>, durable_files::Error> {
        let retired = self.file(RETIRED);
        let mut folders = vec![self.root.clone()];
        let inside = folder::entries(&retired)?.unwrap_or_default().into_iter();
        folders.extend(inside.filter(|entry| entry.kind == Kind::Folder).map(|entry| entry.path));
        let (mut exposed, mut is_plain) = (Vec::new(), false);
        for folder in folders {
            for entry in folder::entries(&folder)?.unwrap_or_default() {
                let name = entry.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let is_key = [ROOT_KEY, SIGNER_KEY, ADMISSION_KEY].iter().any(|key| {
                    name.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
                });
                if !is_key || entry.kind != Kind::File {
                    continue;
                }
                if let Some(found) = durable_files::exposed_key(&entry.path)? {
                    let key = durable_files::read_key(&entry.path)?;
                    is_plain |=
                        key.is_some_and(|key| !key.bytes().windows(9).any(|word| word == b"ENCRYPTED"));
                    exposed.push(found);
                }
            }
        }
        if !is_plain {
            exposed.clear();
        }
        Ok(exposed)
    }

    /// Takes the home for changes to the certificate authorities: no other run may use it meanwhile.
    ///
    /// # Errors
    /// As [`folder::lock`].
    pub fn lock(&self) -> Result<Lock, durable_files::Error> {
        folder::lock(&self.root)
    }

    /// Takes the home for use: other runs may use it as well, but none may change the certificate authorities.
    ///
    /// # Errors
    /// As [`folder::lock_shared`].
    pub fn lock_shared(&self) -> Result<Lock, durable_files::Error> {
        folder::lock_shared(&self.root)
    }

    /// As [`Home::lock`], for a look that changes nothing. `None` where nothing in the home was locked before.
    ///
    /// # Errors
    /// As [`folder::lock`].
    pub fn lock_existing(&self) -> Result<Option<Lock>, durable_files::Error> {
        folder::lock_existing(&self.root)
    }

    /// The lock that a look has taken, or else a new one: to carry out what was looked at.
    ///
    /// # Errors
    /// As [`folder::lock`].
    pub fn locked(&self, lock: Option<Lock>) -> Result<Lock, durable_files::Error> {
        folder::sweep(&self.root);
        lock.map_or_else(|| self.lock(), Ok)
    }

    /// As [`Home::lock_shared`], for a look that changes nothing. `None` where nothing in the home was locked before.
    ///
    /// # Errors
    /// As [`folder::lock`].
    pub fn lock_shared_existing(&self) -> Result<Option<Lock>, durable_files::Error> {
        folder::lock_shared_existing(&self.root)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_the_home_and_of_devices_are_no_boards() {
        let home = Home::at("home");
        let of_the_home = NAMES
            .iter()
            .flat_map(|own| [(*own).to_owned(), own.to_uppercase(), format!("{own}.20260131T080000Z")]);
        let devices = DEVICES.into_iter().map(str::to_owned);
        let numbered =
            NUMBERED_DEVICES.iter().flat_map(|device| (0..=9).map(move |number| format!("{device}{number}")));
        let devices =
            devices.chain(numbered).flat_map(|name| [name.to_uppercase(), format!("{name}.txt"), name]);
        for name in of_the_home.chain(devices) {
            assert_eq!(home.board(&name), None, "{name}");
        }
        for name in ["CONSOLE1", "COM10", "crl1", "signers-2", "MCHP3261021800001234", "0123AABBCCDDEEFFEE"] {
            assert!(home.board(name).is_some(), "{name}");
        }
    }

    /// In every test, a file of the home that is not in the list ends it.
    #[cfg(debug_assertions)]
    #[test]
    #[should_panic(expected = "is not among the names of the home folder")]
    fn a_name_that_is_not_in_the_list_is_noticed() {
        Home::at("home").file("new.jsonl");
    }

    proptest! {
        #[test]
        fn a_folder_is_directly_in_the_home_whatever_its_name(name in "\\PC*|[a-zA-Z0-9._-]{0,70}|(con|Aux|COM1|crl|signers)[. ]{0,2}[a-z]{0,3}") {
            let home = Home::at("home");
            if let Some(folder) = home.board(&name) {
                prop_assert_eq!(folder.parent(), Some(home.root()));
                prop_assert_eq!(folder.file_name().and_then(|name| name.to_str()), Some(name.as_str()));
                prop_assert!(!is_own(&name) && !name.ends_with(['.', ' ']));
                let stem = name.split('.').next().unwrap_or_default().to_ascii_lowercase();
                prop_assert!(!["con", "aux", "com1"].contains(&stem.as_str()));
            }
        }

        #[test]
        fn every_secure_element_has_a_folder(serial in proptest::array::uniform9(proptest::num::u8::ANY)) {
            prop_assert!(Home::at("home").board(&hex::encode_upper(serial)).is_some());
        }
    }

    #[test]
    fn a_serial_number_cannot_lead_out_of_the_home() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().join("home"));
        for name in [
            "",
            "..",
            "../x",
            "a/b",
            ".hidden",
            "a\\b",
            "a\nb",
            "a.",
            "a ",
            "6&1a2b&0",
            "MÜ1",
            &"a".repeat(65),
        ] {
            assert_eq!(home.board(name), None, "{name:?}");
        }
        let board = home.board("MCHP3261021800001234").unwrap();
        home.create_inside(&board).unwrap();
        assert!(board.is_dir());
    }
}
