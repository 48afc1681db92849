//! The Wi-Fi module's flash over a session: erase, write in pages, read.
//!
//! The firmware checks no address: a command that loses a digit on the wire is carried out elsewhere and answered with
//! `OK`. So every `OK` is checked where the command was meant, and the boot sector before and after.

use tracing::warn;

use super::command::{Command, FLASH_PAGE};
use super::flash::{BOOT_SECTOR, ERASED, Flash, SECTOR_SIZE};
use super::{Error, Session};

/// The first page of the boot sector as it was before the first erase.
#[derive(Debug, Default)]
pub struct BootSector {
    before: Option<Vec<u8>>,
}

impl BootSector {
    /// Reads the page, once.
    fn note(&mut self, session: &mut Session) -> Result<(), Error> {
        if self.before.is_none() {
            let page = read(session, BOOT_SECTOR, FLASH_PAGE)?;
            if page.iter().all(|byte| *byte == ERASED) {
                warn!(
                    "the boot sector of the Wi-Fi module on {} is blank: its firmware is missing",
                    session.port()
                );
            }
            self.before = Some(page);
        }
        Ok(())
    }

    /// Compares the page with what it was; to be called after the last erase.
    ///
    /// # Errors
    /// [`Error::BootSector`], and those of [`Session::run`].
    pub fn check(&self, session: &mut Session) -> Result<(), Error> {
        let Some(before) = &self.before else { return Ok(()) };
        // A difference that is read twice is none of the link.
        for _ in 0..2 {
            if read(session, BOOT_SECTOR, FLASH_PAGE)? == *before {
                return Ok(());
            }
        }
        Err(Error::BootSector { port: session.port().to_owned() })
    }
}

/// Makes the places blank that `content` goes to: erases the sectors in which they are not. `boot_sector` is read before
/// the first erase.
///
/// # Errors
/// [`Error::Astray`], and those of [`Session::run`].
pub fn erase(session: &mut Session, content: &Flash, boot_sector: &mut BootSector) -> Result<(), Error> {
    let mut erased = Vec::new();
    for (address, bytes) in content.reads() {
        let last = address + bytes.len() as u32 - 1;
        if [address, last].iter().all(|address| erased.contains(&sector(*address))) {
            continue;
        }
        let found = read(session, address, bytes.len())?;
        for used in (address..).zip(found).filter(|(_, byte)| *byte != ERASED).map(|(address, _)| address) {
            if erased.contains(&sector(used)) {
                continue;
            }
            erase_at(session, used, boot_sector)?;
            erased.push(sector(used));
        }
    }
    Ok(())
}

/// Makes a sector blank that holds `found`, the bytes from `address` on.
///
/// # Errors
/// As [`erase`].
pub fn erase_sector(
    session: &mut Session,
    address: u32,
    found: &[u8],
    boot_sector: &mut BootSector,
) -> Result<(), Error> {
    match found.iter().position(|byte| *byte != ERASED) {
        Some(used) => erase_at(session, address + used as u32, boot_sector),
        None => Ok(()),
    }
}

/// Erases the sector that the address of a byte lies in which is not blank.
fn erase_at(session: &mut Session, used: u32, boot_sector: &mut BootSector) -> Result<(), Error> {
    boot_sector.note(session)?;
    session.run(Command::EraseSector(sector(used)))?;
    match read(session, used, 1)? == [ERASED] {
        true => Ok(()),
        false => Err(astray(session, used, "erased")),
    }
}

/// Where the sector begins that an address lies in.
fn sector(address: u32) -> u32 {
    address - address % SECTOR_SIZE
}

fn astray(session: &Session, address: u32, done: &'static str) -> Error {
    Error::Astray { port: session.port().to_owned(), address, done }
}

/// Writes to blank places.
///
/// # Errors
/// Those of [`Session::run`].
pub fn write(session: &mut Session, content: &Flash) -> Result<(), Error> {
    content
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
pub fn first_difference(session: &mut Session, content: &Flash) -> Result<Option<u32>, Error> {
    for (address, expected) in content.reads() {
        let found = read(session, address, expected.len())?;
        if let Some(offset) = found.iter().zip(expected).position(|(a, b)| a != b) {
            return Ok(Some(address + offset as u32));
        }
    }
    Ok(None)
}

/// Checks that no write has left its place blank: such a one was carried out elsewhere.
///
/// # Errors
/// [`Error::Astray`], and those of [`Session::run`].
pub fn check_written(session: &mut Session, content: &Flash) -> Result<(), Error> {
    for (address, bytes) in content.writes() {
        if read(session, address, bytes.len())?.iter().all(|byte| *byte == ERASED) {
            return Err(astray(session, address, "written"));
        }
    }
    Ok(())
}
