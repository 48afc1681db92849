//! The files of the certificate authorities in the home folder: made once, read as a whole.

use rcgen::{CertificateParams, Issuer, KeyPair, SigningKey};
use serde::Serialize;
use time::OffsetDateTime;
use time::macros::format_description;

use super::chain::check_key;
use super::{Certificate, Chain, Error, Key, profile};
use crate::home::{self, Access, Home};

/// The root CA's private key, PKCS#8 PEM. May be taken away once the signer exists.
pub const ROOT_KEY: &str = "root-ca.key";
/// The root CA's certificate, PEM.
pub const ROOT_CERTIFICATE: &str = "root-ca.crt";
/// The signer CA's private key, PKCS#8 PEM.
pub const SIGNER_KEY: &str = "signer-ca.key";
/// The signer CA's certificate signing request, PEM.
pub const SIGNER_REQUEST: &str = "signer-ca.csr";
/// The signer CA's certificate, PEM.
pub const SIGNER_CERTIFICATE: &str = "signer-ca.crt";
/// The certificate that proved possession of the signer's key to AWS IoT, PEM.
pub const VERIFICATION_CERTIFICATE: &str = "signer-ca-verification.crt";

/// Every file above in the order in which they are made: what an interrupted run leaves is a beginning of it.
const FILES: [&str; 6] =
    [ROOT_KEY, ROOT_CERTIFICATE, SIGNER_KEY, SIGNER_REQUEST, SIGNER_CERTIFICATE, VERIFICATION_CERTIFICATE];

/// The names of a new chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The root's.
    pub root: profile::Name,
    /// The signer's.
    pub signer: profile::Name,
}

/// The organisation of a chain unless the user says another. Short, because it is in every certificate that goes to a
/// board over the serial line.
pub const DEFAULT_ORGANISATION: &str = "Zero Touch";

impl Names {
    /// Names within an organisation; the common names are made from it unless given.
    ///
    /// # Errors
    /// [`Error::Name`].
    pub fn new(organisation: &str, root: Option<&str>, signer: Option<&str>) -> Result<Self, Error> {
        let name = |given: Option<&str>, role| {
            let common_name = given.map_or_else(|| format!("{organisation} {role}"), str::to_owned);
            profile::Name::new(organisation, &common_name)
        };
        Ok(Self { root: name(root, "Root CA")?, signer: name(signer, "Signer FFFF")? })
    }
}

/// What [`create`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Created {
    /// Files that were made, in order. Empty if a valid chain was there already.
    pub made: Vec<String>,
    /// New names of files that were there before and had to make room.
    pub set_aside: Vec<String>,
}

/// Makes root and signer CA, or finishes what an interrupted run began. A chain that is there and valid stays as it is.
/// With `force` everything is made anew, and the old files keep their bytes under a name with the time.
///
/// # Errors
/// Whatever is wrong with a chain that is there ([`Chain::new`]); [`Error::Incomplete`] where files are missing that
/// an interrupted run would have left; [`home::Error`].
pub fn create(home: &Home, names: &Names, force: bool, now: OffsetDateTime) -> Result<Created, crate::Error> {
    let _lock = home.lock()?;
    let mut created = Created::default();
    if force {
        // Last made, first aside: if this is interrupted, what remains is still a beginning.
        let stamp = now
            .format(format_description!("[year][month][day]T[hour][minute][second]Z"))
            .unwrap_or_else(|_| now.unix_timestamp().to_string());
        for file in FILES.iter().rev().filter(|f| exists(home, f)) {
            let aside = home::set_aside(&home.file(file), &stamp)?;
            created.set_aside.extend(aside.file_name().map(|n| n.to_string_lossy().into_owned()));
        }
    }
    if exists(home, SIGNER_CERTIFICATE) {
        load(home, now)?;
        return Ok(created);
    }
    let interrupted = FILES.iter().skip_while(|f| exists(home, f)).all(|f| !exists(home, f));
    if !interrupted {
        return Err(incomplete(home).into());
    }

    let root_key = key(home, ROOT_KEY, &mut created)?;
    let root = match certificate(home, ROOT_CERTIFICATE)? {
        Some(root) => root,
        None => {
            let params = profile::root(&names.root, &root_key, now)?;
            let root = params.self_signed(&root_key).map_err(Error::Sign)?;
            keep(home, ROOT_CERTIFICATE, root.pem().as_bytes(), &mut created)?;
            parsed(ROOT_CERTIFICATE, root.pem().as_bytes())?
        }
    };
    check_key(&root, &root_key, ROOT_KEY, ROOT_CERTIFICATE)?;

    let signer_key = key(home, SIGNER_KEY, &mut created)?;
    let request =
        profile::signing_request(&names.signer).serialize_request(&signer_key).map_err(Error::Sign)?;
    keep(home, SIGNER_REQUEST, request.pem().map_err(Error::Sign)?.as_bytes(), &mut created)?;
    let params = profile::signer(&names.signer, &signer_key, now)?;
    let signer = signed(&params, &signer_key, &root, &root_key)?;
    let checked = parsed(SIGNER_CERTIFICATE, signer.as_bytes())?;
    // Nothing is called a signer that the next run would refuse.
    Chain::new(root, checked, Box::new(signer_key), now)?;
    keep(home, SIGNER_CERTIFICATE, signer.as_bytes(), &mut created)?;
    Ok(created)
}

/// Reads the chain and checks it as a whole. The root's key is checked where it is there, and not needed.
///
/// # Errors
/// [`Error::Missing`], [`Error::Incomplete`], [`Error::Malformed`], [`Error::MalformedKey`], whatever [`Chain::new`]
/// finds; [`home::Error::Exposed`] for a key that others can read.
pub fn load(home: &Home, now: OffsetDateTime) -> Result<Chain, crate::Error> {
    let root = certificate(home, ROOT_CERTIFICATE)?;
    let signer = certificate(home, SIGNER_CERTIFICATE)?;
    let signer_key = read_key(home, SIGNER_KEY)?;
    let (Some(root), Some(signer), Some(signer_key)) = (root, signer, signer_key) else {
        return Err(incomplete(home).into());
    };
    if let Some(root_key) = read_key(home, ROOT_KEY)? {
        check_key(&root, &root_key, ROOT_KEY, ROOT_CERTIFICATE)?;
    }
    let key: Key = Box::new(signer_key);
    Ok(Chain::new(root, signer, key, now)?)
}

/// Keeps the verification certificate of [`super::verification_certificate`] where the existing tool has it.
///
/// # Errors
/// [`home::Error`].
pub fn keep_verification_certificate(home: &Home, certificate: &Certificate) -> Result<(), home::Error> {
    home::write(&home.file(VERIFICATION_CERTIFICATE), certificate.to_pem().as_bytes(), Access::Public)
}

fn incomplete(home: &Home) -> Error {
    let folder = home.root().to_owned();
    if !FILES.iter().any(|f| exists(home, f)) {
        return Error::Missing { folder };
    }
    let needed = [ROOT_CERTIFICATE, SIGNER_KEY, SIGNER_CERTIFICATE];
    let mut files: Vec<_> = needed.into_iter().filter(|f| !exists(home, f)).collect();
    if files == [SIGNER_CERTIFICATE] && !exists(home, ROOT_KEY) {
        files.insert(0, ROOT_KEY);
    }
    Error::Incomplete { folder, files }
}

fn exists(home: &Home, file: &str) -> bool {
    home.file(file).symlink_metadata().is_ok()
}

fn certificate(home: &Home, file: &str) -> Result<Option<Certificate>, crate::Error> {
    home::read(&home.file(file))?.map(|pem| parsed(file, &pem).map_err(Into::into)).transpose()
}

fn parsed(file: &str, pem: &[u8]) -> Result<Certificate, Error> {
    Certificate::from_pem(pem).map_err(|source| Error::Malformed { file: file.to_owned(), source })
}

fn read_key(home: &Home, file: &str) -> Result<Option<KeyPair>, crate::Error> {
    let Some(pem) = home::read_secret(&home.file(file))? else { return Ok(None) };
    let key = std::str::from_utf8(&pem)
        .ok()
        .and_then(|pem| KeyPair::from_pem(pem).ok())
        .filter(|key| key.algorithm() == &rcgen::PKCS_ECDSA_P256_SHA256)
        .ok_or_else(|| Error::MalformedKey { file: file.to_owned() })?;
    Ok(Some(key))
}

fn key(home: &Home, file: &str, created: &mut Created) -> Result<KeyPair, crate::Error> {
    if let Some(key) = read_key(home, file)? {
        return Ok(key);
    }
    let key = KeyPair::generate().map_err(Error::Sign)?;
    home::write(&home.file(file), key.serialize_pem().as_bytes(), Access::Secret)?;
    created.made.push(file.to_owned());
    Ok(key)
}

fn keep(home: &Home, file: &str, bytes: &[u8], created: &mut Created) -> Result<(), home::Error> {
    home::write(&home.file(file), bytes, Access::Public)?;
    created.made.push(file.to_owned());
    Ok(())
}

fn signed(
    params: &CertificateParams,
    subject: &impl rcgen::PublicKeyData,
    issuer: &Certificate,
    issuer_key: &impl SigningKey,
) -> Result<String, Error> {
    let issuer = Issuer::from_ca_cert_der(&issuer.der().into(), issuer_key).map_err(Error::Sign)?;
    Ok(params.signed_by(subject, &issuer).map_err(Error::Sign)?.pem())
}
