//! A key in a file: PKCS#8 PEM, encrypted or not, for its owner alone. In memory it is wiped when it is dropped.

use std::path::Path;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use pkcs8::der::{Decode, Encode, SecretDocument};
use pkcs8::pkcs5::{self, pbes2};
use pkcs8::{EncryptedPrivateKeyInfoOwned, LineEnding};
use zeroize::Zeroizing;

use super::{Error, Key, Passphrase, PublicKey};
use crate::PUBLIC_KEY_SIZE;
use crate::reader::{self, Kind, Part, PrivateKey};
use durable_files::{self as files, Access};

/// The labels of a PKCS#8 key and of an encrypted one (RFC 7468, sections 10 and 11).
const PLAIN: &str = "PRIVATE KEY";
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";

/// What a passphrase costs to try: scrypt with N = 2^14, r = 8, p = 5, which is OWASP's recommendation for the 16 MiB that
/// OpenSSL allows by default.
const SCRYPT_COST: u64 = 1 << 14;
const SCRYPT_BLOCK_SIZE: u16 = 8;
const SCRYPT_PARALLELIZATION: u16 = 5;
/// What a file may ask for at most: one that was tampered with must neither exhaust the machine nor keep it busy for long.
/// Memory of scrypt, 128·N·r bytes (RFC 7914, section 2).
const SCRYPT_MEMORY_MAX: u64 = 1 << 30;
/// Work of scrypt, N·r·p: 25 times that of the keys that are made here, some ten seconds.
const SCRYPT_WORK_MAX: u64 = 1 << 24;
/// Iterations of PBKDF2, some ten seconds.
const PBKDF2_ITERATIONS_MAX: u64 = 10_000_000;

/// A key that was read from a file. The library behind it wipes the private part when it frees it.
pub struct FileKey {
    pair: EcdsaKeyPair,
    public: PublicKey,
}

impl FileKey {
    fn new(pair: EcdsaKeyPair) -> Option<Self> {
        let public = PublicKey(pair.public_key().as_ref().try_into().ok()?);
        Some(Self { pair, public })
    }

    fn from_der(der: &[u8]) -> Option<Self> {
        Self::new(EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, der).ok()?)
    }
}

impl Key for FileKey {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signature = self.pair.sign(&SystemRandom::new(), message);
        Ok(signature.map_err(|_| Error::Cryptography { action: "sign" })?.as_ref().to_vec())
    }
}

/// Bytes that are wiped when they are dropped.
pub type Bytes = Zeroizing<Vec<u8>>;

/// The content of a key file.
pub enum Content {
    /// Keys, each once; there is one at least.
    Plain(Vec<FileKey>),
    /// A key that a passphrase opens.
    Encrypted(Encrypted),
}

/// A key that a passphrase opens.
pub struct Encrypted {
    info: EncryptedPrivateKeyInfoOwned,
    file: String,
}

impl Encrypted {
    /// The key; `None` if this is not its passphrase.
    ///
    /// # Errors
    /// [`Error::Cipher`] for a file that is encrypted in a way that is not supported.
    pub(super) fn decrypt(&self, passphrase: &Passphrase) -> Result<Option<FileKey>, Error> {
        match self.info.decrypt(passphrase.reveal()) {
            Ok(der) => Ok(FileKey::from_der(der.as_bytes())),
            Err(pkcs8::Error::EncryptedPrivateKey(
                pkcs5::Error::UnsupportedAlgorithm { .. }
                | pkcs5::Error::NoPbes1CryptSupport
                | pkcs5::Error::AlgorithmParametersInvalid { .. },
            )) => Err(Error::Cipher { file: self.file.clone() }),
            Err(_) => Ok(None),
        }
    }
}

/// Reads a key file; `None` where there is none.
///
/// # Errors
/// [`durable_files::Error::Exposed`] for a file that others can read; [`Error::Malformed`], [`Error::Several`], [`Error::Cipher`],
/// [`Error::Costly`].
pub(super) fn read(path: &Path) -> Result<Option<Content>, crate::Error> {
    let Some(key) = files::read_key(path)? else { return Ok(None) };
    let content = parse(key.bytes(), || name_of(path));
    match content {
        Ok(Content::Encrypted(_)) => drop(key.encrypted()),
        // What is no key may be one that is damaged.
        _ => drop(key.closed()?),
    }
    Ok(Some(content?))
}

/// What a key file is called in messages.
pub(super) fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// The points of the keys in a file; none where a passphrase opens them, and where the file cannot be read.
pub fn points(path: &Path) -> Vec<[u8; PUBLIC_KEY_SIZE]> {
    match read(path) {
        Ok(Some(Content::Plain(keys))) => keys.iter().map(|key| key.public().0).collect(),
        _ => Vec::new(),
    }
}

/// The bytes of a key file, and the access that a copy of it has to have; `None` where there is none. The key may be of a kind that
/// nothing is signed with here.
///
/// # Errors
/// [`durable_files::Error::Exposed`] for a file that others can read; [`Error::Malformed`] for one without a private key.
pub fn copy_of(path: &Path) -> Result<Option<(Bytes, Access)>, crate::Error> {
    let Some(key) = files::read_key(path)? else { return Ok(None) };
    let content = parse(key.bytes(), || name_of(path));
    if let Ok(Content::Encrypted(_)) = content {
        return Ok(Some((key.encrypted(), Access::Private)));
    }
    let bytes = key.closed()?;
    match content {
        Err(Error::Malformed { found, .. }) if !matches!(found, Kind::PrivateKey(_)) => {
            Err(Error::Malformed { file: name_of(path), found }.into())
        }
        _ => Ok(Some((bytes, Access::Secret))),
    }
}

/// Reads what is in a key file, see [`reader`]: its keys on P-256, or the one that a passphrase opens. `file` names it in errors.
///
/// # Errors
/// [`Error::Malformed`], [`Error::Cipher`], [`Error::Costly`]; [`Error::Several`] where one of several keys is encrypted.
pub fn parse(bytes: &[u8], file: impl Fn() -> String) -> Result<Content, Error> {
    let parts = reader::parts(bytes);
    let mut plain: Vec<FileKey> = Vec::new();
    for Part { der, .. } in parts
        .iter()
        .filter(|part| matches!(part.kind, Kind::PrivateKey(PrivateKey::P256 | PrivateKey::UnnamedCurve)))
    {
        let is_new = |key: &FileKey| plain.iter().all(|known| known.public != key.public);
        plain.extend(FileKey::from_der(der).filter(is_new));
    }
    let is_encrypted = |part: &&Part| matches!(part.kind, Kind::EncryptedKey | Kind::LegacyEncryptedKey);
    let encrypted: Vec<&Part> = parts.iter().filter(is_encrypted).collect();
    match (plain.len() + encrypted.len(), encrypted.as_slice()) {
        (0, _) => {}
        (_, []) => return Ok(Content::Plain(plain)),
        (1, [Part { kind: Kind::EncryptedKey, der }]) => {
            let info = EncryptedPrivateKeyInfoOwned::from_der(der);
            let info = info.map_err(|_| Error::Cipher { file: file() })?;
            check_cost(&info.encryption_algorithm, &file)?;
            return Ok(Content::Encrypted(Encrypted { info, file: file() }));
        }
        (1, _) => return Err(Error::Cipher { file: file() }),
        (count, _) => return Err(Error::Several { file: file(), count }),
    }
    let found = reader::most_telling(parts.into_iter().map(|part| part.kind));
    // One on P-256 that the library refuses is not what it says.
    let found = if found == Kind::PrivateKey(PrivateKey::P256) { Kind::DamagedKey } else { found };
    Err(Error::Malformed { file: file(), found })
}

/// Whether a try of a passphrase may cost what the file asks for. Nothing is computed.
fn check_cost(scheme: &pkcs5::EncryptionScheme, file: impl Fn() -> String) -> Result<(), Error> {
    let costs = match scheme.pbes2().map(|parameters| &parameters.kdf) {
        Some(pbes2::Kdf::Scrypt(scrypt)) => {
            let cost = scrypt.cost_parameter;
            if cost < 2 || !cost.is_power_of_two() {
                return Err(Error::Cipher { file: file() });
            }
            let (block, lanes) = (u64::from(scrypt.block_size), u64::from(scrypt.parallelization));
            let memory = cost.saturating_mul(block).saturating_mul(128);
            let work = cost.saturating_mul(block).saturating_mul(lanes);
            vec![
                ("bytes of memory for scrypt (128·N·r)", memory, SCRYPT_MEMORY_MAX),
                ("blocks of scrypt (N·r·p)", work, SCRYPT_WORK_MAX),
            ]
        }
        Some(pbes2::Kdf::Pbkdf2(pbkdf2)) => {
            vec![("iterations of PBKDF2", u64::from(pbkdf2.iteration_count), PBKDF2_ITERATIONS_MAX)]
        }
        _ => Vec::new(),
    };
    match costs.into_iter().find(|(_, asked, most)| asked > most) {
        Some((of, asked, most)) => Err(Error::Costly { file: file(), of, asked, most }),
        None => Ok(()),
    }
}

/// Makes a key and writes it, encrypted with the passphrase if there is one.
///
/// # Errors
/// [`durable_files::Error::Io`]; [`Error::Cryptography`].
pub(super) fn make(path: &Path, passphrase: Option<&Passphrase>) -> Result<FileKey, crate::Error> {
    let broken = || Error::Cryptography { action: "make a key" };
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(|_| broken())?;
    let key = FileKey::new(pair).ok_or_else(broken)?;
    write(path, &key, passphrase)?;
    Ok(key)
}

/// Writes a key, encrypted with the passphrase if there is one; a file that is there is replaced in one step.
///
/// # Errors
/// [`durable_files::Error::Io`]; [`Error::Cryptography`].
pub(super) fn write(path: &Path, key: &FileKey, passphrase: Option<&Passphrase>) -> Result<(), crate::Error> {
    let broken = || Error::Cryptography { action: "write a key" };
    let pem = encode(key, passphrase).ok_or_else(broken)?;
    let access = if passphrase.is_some() { Access::Private } else { Access::Secret };
    Ok(files::write(path, pem.as_bytes(), access)?)
}

fn encode(key: &FileKey, passphrase: Option<&Passphrase>) -> Option<Zeroizing<String>> {
    let der = key.pair.to_pkcs8v1().ok()?;
    let Some(passphrase) = passphrase else {
        let document = SecretDocument::try_from(der.as_ref()).ok()?;
        return document.to_pem(PLAIN, LineEnding::LF).ok();
    };
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    aws_lc_rs::rand::fill(&mut salt).ok()?;
    aws_lc_rs::rand::fill(&mut iv).ok()?;
    let kdf = pbes2::ScryptParams {
        salt: pbes2::Salt::new(salt).ok()?,
        cost_parameter: SCRYPT_COST,
        block_size: SCRYPT_BLOCK_SIZE,
        parallelization: SCRYPT_PARALLELIZATION,
        key_length: None,
    };
    let parameters =
        pbes2::Parameters { kdf: kdf.into(), encryption: pbes2::EncryptionScheme::Aes256Cbc { iv } };
    let encrypted_data = parameters.encrypt(passphrase.reveal(), der.as_ref()).ok()?;
    let info = EncryptedPrivateKeyInfoOwned {
        encryption_algorithm: parameters.into(),
        encrypted_data: pkcs8::der::asn1::OctetString::new(encrypted_data).ok()?,
    };
    let document = SecretDocument::try_from(info.to_der().ok()?).ok()?;
    document.to_pem(ENCRYPTED, LineEnding::LF).ok()
}
