//! Reading the factory certificates of a board: its slots over the session, rebuilt without it.

use device_pki::factory::profile::Profile;
use device_pki::factory::{
    Certificates, DEVICE_SLOT, Error, MAH4I, SIGNER_KEY_SLOT, SIGNER_SLOT, Slots, TRUST_AND_GO, rebuild,
};
use iot_kit::{Session, secure_element};

use super::Identity;

/// Reads and rebuilds the factory certificates of the board with this serial number and public key.
///
/// # Errors
/// Those of [`Session::run`], and of [`rebuild`] inside.
pub(in crate::work) fn read(
    session: &mut Session,
    board: &Identity,
) -> Result<Result<Certificates, Error>, iot_kit::Error> {
    let kind = || Error::Kind { serial: board.serial.clone() };
    let mut number = [0; 9];
    if hex::decode_to_slice(&board.serial, &mut number).is_err() {
        return Ok(Err(kind()));
    }
    let profile = match number[8] {
        0xFE => Profile::Mah1h,
        0x01 => Profile::Mah4i,
        _ => return Ok(Err(kind())),
    };
    let slots = Slots {
        device: secure_element::read_slot(session, DEVICE_SLOT)?,
        signer_key: secure_element::read_slot(session, SIGNER_KEY_SLOT)?,
        signer: secure_element::read_slot(session, SIGNER_SLOT)?,
    };
    let certificates = rebuild(profile, &slots, &number, &board.point);
    if certificates.is_ok() || profile == Profile::Mah1h {
        return Ok(certificates);
    }
    // The signature is the proof of a MAH4I; without it, the OTP area says what else ends in 01.
    Ok(match secure_element::read_otp(session) {
        Ok(otp) if otp.starts_with(MAH4I) => certificates,
        Ok(otp) if otp.starts_with(TRUST_AND_GO) => Err(Error::TrustAndGo),
        Ok(_) | Err(iot_kit::Error::Refused { .. }) => Err(kind()),
        Err(error) => return Err(error),
    })
}
