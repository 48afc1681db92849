//! The Wi-Fi module's flash over a session: erase, write in pages, read.

use super::command::{Command, FLASH_PAGE};
use super::flash::{Flash, SECTORS};
use super::{Error, Session};

/// Erases the two sectors of certificates and names.
///
/// # Errors
/// Those of [`Session::run`].
pub fn erase(session: &mut Session) -> Result<(), Error> {
    SECTORS.into_iter().try_for_each(|address| session.run(Command::EraseSector(address)))
}

/// Writes to an erased flash.
///
/// # Errors
/// Those of [`Session::run`].
pub fn write(session: &mut Session, flash: &Flash) -> Result<(), Error> {
    flash
        .writes()
        .into_iter()
        .try_for_each(|(address, bytes)| session.run(Command::WriteFlash(address, bytes)))
}

/// Reads any number of bytes.
///
/// # Errors
/// Those of [`Session::run`].
pub fn read(session: &mut Session, address: u32, size: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(size);
    while bytes.len() < size {
        let count = FLASH_PAGE.min(size - bytes.len());
        let command = Command::ReadFlash(address + bytes.len() as u32, count);
        bytes.extend(session.query(command, |lines| {
            let [line] = lines else { return None };
            hex::decode(line).ok().filter(|page| page.len() == count)
        })?);
    }
    Ok(bytes)
}

/// Compares what is in the flash with what should be: the address of the first byte that differs, if one does.
///
/// # Errors
/// Those of [`Session::run`].
pub fn first_difference(session: &mut Session, flash: &Flash) -> Result<Option<u32>, Error> {
    for (address, expected) in flash.reads() {
        let found = read(session, address, expected.len())?;
        if let Some(offset) = found.iter().zip(expected).position(|(a, b)| a != b) {
            return Ok(Some(address + offset as u32));
        }
    }
    Ok(None)
}
