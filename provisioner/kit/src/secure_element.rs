//! The secure element: its serial number, its public key, its signature, its slots.

use super::command::Command;
use super::{Error, Session};

/// Reads the serial number: 18 upper-case hex digits.
///
/// # Errors
/// Those of [`Session::run`].
pub fn serial(session: &mut Session) -> Result<String, Error> {
    session.query(Command::SecureElementSerial, |lines| hex_line::<9>(lines).map(hex::encode_upper))
}

/// Reads the device's public key, a point on P-256: X‖Y.
///
/// # Errors
/// Those of [`Session::run`].
pub fn public_key(session: &mut Session) -> Result<[u8; 64], Error> {
    session.query(Command::PublicKey, hex_line)
}

/// Reads the first `N` bytes of a slot.
///
/// # Errors
/// Those of [`Session::run`].
pub fn read_slot<const N: usize>(session: &mut Session, slot: u8) -> Result<[u8; N], Error> {
    session.query(Command::ReadSlot(slot, N), hex_line)
}

/// Reads the one-time programmable area.
///
/// # Errors
/// Those of [`Session::run`].
pub fn read_otp(session: &mut Session) -> Result<Vec<u8>, Error> {
    session.query(Command::ReadOtp, |lines| {
        let [line] = lines else { return None };
        hex::decode(line).ok()
    })
}

/// The crypto library's status of a command that the element's configuration forbids: here, the slot is locked already.
const EXECUTION_ERROR: u16 = 0x01F4;

/// Locks a slot. This cannot be undone.
///
/// # Errors
/// Those of [`Session::run`].
pub fn lock_slot(session: &mut Session, slot: u8) -> Result<(), Error> {
    match session.run(Command::LockSlot(slot)) {
        Err(Error::Refused { code: EXECUTION_ERROR, .. }) => Ok(()),
        other => other,
    }
}

/// Signs a SHA-256 digest with the device key in slot 0, which never leaves the chip: R‖S.
///
/// # Errors
/// Those of [`Session::run`].
pub fn sign_digest(session: &mut Session, digest: &[u8; 32]) -> Result<[u8; 64], Error> {
    session.query(Command::SignDigest(digest), hex_line)
}

/// The one line of a reply, `N` bytes in hex.
fn hex_line<const N: usize>(lines: &[String]) -> Option<[u8; N]> {
    let [line] = lines else { return None };
    let mut bytes = [0; N];
    hex::decode_to_slice(line, &mut bytes).ok()?;
    Some(bytes)
}
