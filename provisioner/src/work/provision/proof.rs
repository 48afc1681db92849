//! What a board shows before anything is said of it: that it has the key, and that its secure element is genuine.

use device_pki::factory::{Certificates, roots};
use device_pki::{Certificate, Challenge};
use iot_kit::{Session, secure_element};

use super::{Error, Identity, Step, factory_slots};
use crate::work;

/// Has the board sign a random digest with the key that it shows. A signature that was damaged on the way is asked for once more.
///
/// # Errors
/// [`Error::Possession`]; [`device_pki::Error::Random`]; [`iot_kit::Error`].
pub(super) fn possession(
    session: &mut Session,
    board: &Identity,
    observe: &mut dyn FnMut(Step),
) -> Result<(), work::Error> {
    observe(Step::Prove);
    for _ in 0..2 {
        let challenge = Challenge::new()?;
        let signature = secure_element::sign_digest(session, &challenge.digest())?;
        if challenge.is_answered_by(&board.point, &signature) {
            return Ok(());
        }
    }
    Err(Error::Possession { serial: board.serial.clone() }.into())
}

/// The factory certificates of the board. The device's certifies its key.
///
/// # Errors
/// [`Error::Factory`]; [`iot_kit::Error`].
pub(super) fn factory(
    session: &mut Session,
    board: &Identity,
    observe: &mut dyn FnMut(Step),
) -> Result<Certificates, work::Error> {
    observe(Step::ReadFactory);
    Ok(factory_slots::read(session, board)?.map_err(Error::Factory)?)
}

/// As [`factory`], of a secure element whose certificates lead to one of the roots.
///
/// # Errors
/// [`Error::NotGenuine`]; [`iot_kit::Error`].
pub(super) fn genuine(
    session: &mut Session,
    board: &Identity,
    roots: &[Certificate],
    observe: &mut dyn FnMut(Step),
) -> Result<Certificates, work::Error> {
    observe(Step::ReadFactory);
    let found = factory_slots::read(session, board)?;
    let genuine = found.and_then(|found| roots::verify(&found, roots).map(|()| found));
    Ok(genuine.map_err(|source| Error::NotGenuine { serial: board.serial.clone(), source })?)
}
