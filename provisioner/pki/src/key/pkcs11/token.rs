//! A key in a token: a smart card, a hardware security module, or SoftHSM. It never leaves the token.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use aws_lc_rs::digest;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as Fault, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::AuthPin;

use super::TokenUri;
use crate::ecdsa_sig_value;
use crate::key::passphrase::{self, Passphrase, Passphrases};
use crate::key::{Error, Key, PublicKey, Uri};

/// secp256r1 as `CKA_EC_PARAMS` has it: the DER of its object identifier (RFC 5480, section 2.1.1.1).
const P256: &[u8] = &[0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07];
/// Size of a new key's identifier, in bytes.
const ID_SIZE: usize = 16;

/// The modules of this process: one must not be initialised twice.
static MODULES: LazyLock<Mutex<HashMap<PathBuf, Pkcs11>>> = LazyLock::new(Mutex::default);

/// A key in a token, and the session that it is used in.
pub(in crate::key) struct TokenKey {
    uri: Uri,
    session: Mutex<Session>,
    private: ObjectHandle,
    public: PublicKey,
}

impl Key for TokenKey {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        // Every token has CKM_ECDSA; those that hash as well are few.
        let hash = digest::digest(&digest::SHA256, message);
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let signature =
            session.sign(&Mechanism::Ecdsa, self.private, hash.as_ref()).map_err(|e| fault(&self.uri, e))?;
        let halves = signature.as_slice().try_into().map_err(|_| Error::NotP256 { uri: self.uri.clone() })?;
        ecdsa_sig_value(halves).map_err(|_| Error::NotP256 { uri: self.uri.clone() })
    }
}

/// Opens the key; `None` where the token has none of that name.
///
/// # Errors
/// [`Error::NoToken`], [`Error::SeveralTokens`], [`Error::SeveralKeys`], [`Error::NotP256`], [`Error::Module`],
/// [`Error::Token`], [`Error::PinLocked`]; those of [`passphrase`].
pub(in crate::key) fn open(
    named: &TokenUri,
    passphrases: &dyn Passphrases,
) -> Result<Option<TokenKey>, crate::Error> {
    let uri = Uri::Pkcs11(Box::new(named.clone()));
    let session = session(named, &uri, passphrases, false)?;
    let mut template = vec![Attribute::Class(ObjectClass::PRIVATE_KEY)];
    template.extend(name_of(named));
    let found = session.find_objects(&template).map_err(|e| refused(&uri, e))?;
    match found.as_slice() {
        [] => Ok(None),
        [private] => {
            let public = public_of(&session, *private, &uri)?;
            Ok(Some(TokenKey { uri, session: Mutex::new(session), private: *private, public }))
        }
        _ => Err(Error::SeveralKeys { uri }.into()),
    }
}

/// Makes a key in the token that cannot be taken out of it, and gives it with its whole URI.
///
/// # Errors
/// As [`open`].
pub(in crate::key) fn make(
    named: &TokenUri,
    passphrases: &dyn Passphrases,
) -> Result<(Uri, TokenKey), crate::Error> {
    let mut named = named.clone();
    let uri = Uri::Pkcs11(Box::new(named.clone()));
    let session = session(&named, &uri, passphrases, true)?;
    if named.id.is_none() {
        let mut id = [0; ID_SIZE];
        aws_lc_rs::rand::fill(&mut id).map_err(|_| Error::Cryptography { action: "make a key" })?;
        named.id = Some(id.to_vec());
    }
    let mut public = vec![
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Verify(true),
        Attribute::EcParams(P256.to_vec()),
    ];
    let mut private = vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
    ];
    public.extend(name_of(&named));
    private.extend(name_of(&named));
    let made = session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private);
    let (_, private) = made.map_err(|e| refused(&uri, e))?;
    let public = public_of(&session, private, &uri)?;
    // What was found out here is not asked for again: which token it is, and the PIN that opened it.
    let uri = Uri::Pkcs11(Box::new(named));
    Ok((uri.clone(), TokenKey { uri, session: Mutex::new(session), private, public }))
}

fn name_of(named: &TokenUri) -> impl Iterator<Item = Attribute> {
    let label = named.object.as_ref().map(|label| Attribute::Label(label.clone().into_bytes()));
    label.into_iter().chain(named.id.clone().map(Attribute::Id))
}

/// A session in which the user is logged in.
fn session(
    named: &TokenUri,
    uri: &Uri,
    passphrases: &dyn Passphrases,
    to_write: bool,
) -> Result<Session, crate::Error> {
    let module = module(&named.module_path)?;
    let (slot, token) = token(&module, named, uri)?;
    let session = match to_write {
        true => module.open_rw_session(slot),
        false => module.open_ro_session(slot),
    };
    let session = session.map_err(|e| refused(uri, e))?;
    // The log-in is the application's, not the session's: another key of the token may have brought it.
    let state = session.get_session_info().map_err(|e| refused(uri, e))?.session_state();
    if !token.login_required() || matches!(state, SessionState::RoUser | SessionState::RwUser) {
        return Ok(session);
    }
    if token.user_pin_locked() {
        return Err(Error::PinLocked { uri: uri.clone() }.into());
    }
    let log_in = |pin: &Passphrase| match session
        .login(UserType::User, Some(&AuthPin::from(pin.reveal().to_owned())))
    {
        Ok(()) | Err(Fault::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(Some(())),
        Err(Fault::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _)) => Ok(None),
        Err(error) => Err(refused(uri, error)),
    };
    match pin(named)? {
        Some(pin) => {
            let wrong = || Error::WrongPassphrase { uri: uri.clone() };
            log_in(&pin)?.ok_or_else(wrong)?;
        }
        None if token.protected_authentication_path() => {
            session.login(UserType::User, None).map_err(|e| refused(uri, e))?;
        }
        None => drop(passphrase::unlock(passphrases, uri, None, log_in)?),
    }
    Ok(session)
}

/// The PIN that the URI has or leads to.
fn pin(named: &TokenUri) -> Result<Option<Passphrase>, crate::Error> {
    if let Some(pin) = &named.pin_value {
        return Ok(Some(pin.clone()));
    }
    let Some(source) = &named.pin_source else { return Ok(None) };
    let missing = || Error::NoPinSource { path: source.clone() };
    let bytes = durable_files::read_secret(source)?.ok_or_else(missing)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| missing())?;
    Ok(Some(text.lines().next().unwrap_or_default().to_owned().into()))
}

fn module(path: &Path) -> Result<Pkcs11, Error> {
    let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = modules.get(path) {
        return Ok(module.clone());
    }
    let unusable = |source| Error::Module { path: path.to_owned(), source };
    let module = Pkcs11::new(path).map_err(unusable)?;
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Fault::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(unusable(error)),
    }
    modules.insert(path.to_owned(), module.clone());
    Ok(module)
}

/// The one token that is what the URI says.
fn token(module: &Pkcs11, named: &TokenUri, uri: &Uri) -> Result<(Slot, TokenInfo), Error> {
    let mut found = Vec::new();
    for slot in module.get_slots_with_initialized_token().map_err(|e| fault(uri, e))? {
        // A token that is taken out just now is not there.
        let Ok(token) = module.get_token_info(slot) else { continue };
        let is = |said: &str, asked: &Option<String>| asked.as_deref().is_none_or(|asked| asked == said);
        if is(token.label(), &named.token)
            && is(token.manufacturer_id(), &named.manufacturer)
            && is(token.model(), &named.model)
            && is(token.serial_number(), &named.serial)
        {
            found.push((slot, token));
        }
    }
    match found.len() {
        0 => Err(Error::NoToken { uri: uri.clone() }),
        1 => found.pop().ok_or_else(|| Error::NoToken { uri: uri.clone() }),
        _ => Err(Error::SeveralTokens { uri: uri.clone() }),
    }
}

/// The public key that belongs to a private one: the object of the same identifier.
fn public_of(session: &Session, private: ObjectHandle, uri: &Uri) -> Result<PublicKey, Error> {
    let not_p256 = || Error::NotP256 { uri: uri.clone() };
    let asked = [AttributeType::KeyType, AttributeType::Id, AttributeType::Label];
    let mut template = vec![Attribute::Class(ObjectClass::PUBLIC_KEY)];
    for attribute in session.get_attributes(private, &asked).map_err(|e| fault(uri, e))? {
        match attribute {
            Attribute::KeyType(KeyType::EC) => {}
            Attribute::KeyType(_) => return Err(not_p256()),
            other => template.push(other),
        }
    }
    let found = session.find_objects(&template).map_err(|e| fault(uri, e))?;
    let public = found.first().ok_or_else(|| Error::NoPublicKey { uri: uri.clone() })?;
    let asked = [AttributeType::EcParams, AttributeType::EcPoint];
    let mut point = None;
    for attribute in session.get_attributes(*public, &asked).map_err(|e| fault(uri, e))? {
        match attribute {
            Attribute::EcParams(curve) if curve != P256 => return Err(not_p256()),
            Attribute::EcPoint(bytes) => point = Some(bytes),
            _ => {}
        }
    }
    point.as_deref().and_then(point_of).map(PublicKey).ok_or_else(not_p256)
}

/// The uncompressed P-256 point of `CKA_EC_POINT`: a DER OCTET STRING around the point (PKCS #11, section "Elliptic curve
/// public key objects"), though some tokens leave the header out. The length tells which: a point may itself begin as the
/// header does.
fn point_of(attribute: &[u8]) -> Option<[u8; 65]> {
    let point = match attribute.len() {
        67 => attribute.strip_prefix(&[0x04, 0x41])?,
        _ => attribute,
    };
    point.try_into().ok().filter(|point: &[u8; 65]| point[0] == 0x04)
}

/// What the user has to do about what a token said.
fn fault(uri: &Uri, error: Fault) -> Error {
    let uri = uri.clone();
    match &error {
        Fault::Pkcs11(
            RvError::DeviceRemoved
            | RvError::TokenNotPresent
            | RvError::TokenNotRecognized
            | RvError::SlotIdInvalid
            | RvError::SessionHandleInvalid
            | RvError::SessionClosed
            | RvError::ObjectHandleInvalid
            | RvError::KeyHandleInvalid,
            _,
        ) => Error::NoToken { uri },
        Fault::Pkcs11(RvError::PinLocked, _) => Error::PinLocked { uri },
        _ => Error::Token { uri, source: error },
    }
}

fn refused(uri: &Uri, error: Fault) -> crate::Error {
    fault(uri, error).into()
}

#[cfg(test)]
mod tests {
    use super::point_of;

    #[test]
    fn a_point_whose_x_begins_like_the_header_is_taken_with_and_without_the_header() {
        for x in [0x41, 0x04, 0x7F] {
            let mut point = [0x5A; 65];
            (point[0], point[1]) = (0x04, x);
            assert_eq!(point_of(&point), Some(point), "{x:#x}");
            let wrapped = [&[0x04, 0x41], &point[..]].concat();
            assert_eq!(point_of(&wrapped), Some(point), "{x:#x}");
        }
        for wrong in [&[][..], &[0x04, 0x41], &[0x04; 64], &[0x04; 66], &[0x02; 65], &[0x02; 67]] {
            assert_eq!(point_of(wrong), None, "{wrong:?}");
        }
    }
}
