//! Replacing the root store of a board: everything is built and checked, the old content is kept on the disk, and only then the
//! sector is erased, written and read back. What does not read back right is put back.

use std::path::PathBuf;

use device_pki::Certificate;
use iot_kit::flash::{self, ERASED, Flash};
use iot_kit::root_store::{self, Root, SIZE_MAX};
use iot_kit::wifi_module::{self, BootSector};
use iot_kit::{Kit, Session};
use serde::Serialize;
use time::OffsetDateTime;
use tracing::debug;

use super::{Error, StoredRoot, Trust, Validity, of_certificates, trust_in_aws};
use crate::state::board::Place;
use crate::state::home::Home;
use crate::state::root_store as copies;
use crate::work;
use crate::work::provision::Identity;

/// How often the sector is erased and written until it reads back right.
const WRITE_ATTEMPTS: usize = 2;

/// What the root store is to hold.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// These roots.
    Roots {
        /// Their certificates.
        certificates: Vec<Certificate>,
        /// Keep the roots that are there and have not expired.
        keep: bool,
        /// Also if the board can then not connect to AWS.
        force: bool,
    },
    /// A copy that was made of this board's store: the one with this number, or the first.
    Copy(Option<u32>),
    /// What a file holds.
    Store {
        /// Its bytes.
        bytes: Vec<u8>,
        /// What it is called.
        what: String,
    },
}

/// Whether the board is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It holds other roots.
    Replaced,
    /// It holds these roots already.
    Unchanged,
}

/// What becomes of a board's root store. Making it changes neither the board nor the disk.
#[derive(Debug, Serialize)]
pub struct Replacement {
    /// The serial port.
    pub port: String,
    /// USB serial number of the kit, where it is known.
    pub usb_serial: Option<String>,
    /// Serial number of the secure element.
    pub secure_element_serial: String,
    /// Whether the board is changed.
    pub outcome: Outcome,
    /// The roots that it gets.
    pub roots: Vec<StoredRoot>,
    /// Those that it has and that are not among them.
    pub removed_roots: Vec<StoredRoot>,
    /// Size of the new store.
    pub bytes: usize,
    /// Why it cannot connect to AWS with them, if it cannot.
    pub obstacle: Option<String>,
    /// Where the old content is kept, once it is.
    #[serde(serialize_with = "crate::contract::optional_path")]
    pub copy: Option<PathBuf>,
    #[serde(skip)]
    kit: Kit,
    #[serde(skip)]
    board: Identity,
    /// The whole sector as it is, and as it will be.
    #[serde(skip)]
    sectors: [Vec<u8>; 2],
}

impl Replacement {
    /// Looks at a board and decides what its root store will hold.
    ///
    /// # Errors
    /// [`Error`] but for what comes of writing; [`iot_kit::Error`]; those of the board's folder.
    pub fn look(
        session: &mut Session,
        kit: &Kit,
        home: &Home,
        wanted: Wanted,
        now: OffsetDateTime,
    ) -> Result<Self, work::Error> {
        let board = Identity::read(session, &mut |_| {})?;
        let Place { folder, .. } = board.claim(kit).place(home)?;
        let before = wifi_module::read(session, flash::ROOT_STORE, SIZE_MAX)?;
        let old = root_store::read(&before).map(|(roots, _)| roots).unwrap_or_default();
        let (store, is_forced) = match wanted {
            Wanted::Roots { certificates, keep, force } => {
                let mut roots = of_certificates(&certificates)?;
                if keep {
                    let is_new = |root: &&Root| roots.iter().all(|new| new.subject_hash != root.subject_hash);
                    let valid = old.iter().filter(|root| Validity::of(root, now) != Validity::Expired);
                    let kept: Vec<Root> = valid.filter(is_new).cloned().collect();
                    roots.extend(kept);
                }
                let built = root_store::build(&roots);
                let what = || "the store of these roots".to_owned();
                (built.map_err(|source| Error::Store { what: what(), source })?, force)
            }
            Wanted::Copy(number) => {
                let all = copies::copies(&folder)?;
                let there = all.iter().map(|copy| copy.number).filter(|number| *number > 0).collect();
                let copy = match number {
                    Some(number) => all.into_iter().find(|copy| copy.number == number),
                    // The copy that iotprovision makes comes last.
                    None => all.into_iter().next(),
                };
                let copy = copy.ok_or(Error::NoCopy { number, there })?;
                (whole(copy.bytes, &copy.path.display().to_string())?, true)
            }
            Wanted::Store { bytes, what } => (whole(bytes, &what)?, true),
        };
        let bytes = store.len();
        let roots = parsed(&store)?;
        let obstacle = match trust_in_aws(&roots, now) {
            Trust::No { why } if !is_forced => return Err(Error::NoAmazonRoot { why }.into()),
            Trust::No { why } => Some(why),
            Trust::Until { .. } => None,
        };
        let after: Vec<u8> = store.into_iter().chain(std::iter::repeat(ERASED)).take(SIZE_MAX).collect();
        let shown = |root: &Root| StoredRoot::of(root, now);
        Ok(Self {
            port: session.port().to_owned(),
            usb_serial: kit.usb_serial.clone(),
            secure_element_serial: board.serial.clone(),
            outcome: if before == after { Outcome::Unchanged } else { Outcome::Replaced },
            removed_roots: old.iter().filter(|root| !roots.contains(root)).map(shown).collect(),
            roots: roots.iter().map(shown).collect(),
            bytes,
            obstacle,
            copy: None,
            kit: kit.clone(),
            board,
            sectors: [before, after],
        })
    }

    /// What the board is called: its USB serial number, or its secure element's.
    pub fn board(&self) -> &str {
        self.usb_serial.as_deref().unwrap_or(&self.secure_element_serial)
    }

    /// Keeps the old content on the disk, then erases, writes and reads back. The board signs a request, which makes a folder of
    /// the home its own.
    ///
    /// # Errors
    /// [`Error::ReadBack`]; [`iot_kit::Error`]; [`durable_files::Error`] and those of the board's folder, before anything is erased.
    pub fn carry_out(&mut self, session: &mut Session, home: &Home) -> Result<(), work::Error> {
        if self.outcome == Outcome::Unchanged {
            return Ok(());
        }
        let [before, after] = &self.sectors;
        if before.iter().any(|byte| *byte != ERASED) {
            // A copy is for ever: what was read once may have been garbled on its way.
            if wifi_module::read(session, flash::ROOT_STORE, SIZE_MAX)? != *before {
                return Err(Error::Unsteady { port: session.port().to_owned() }.into());
            }
            let folder = self.board.take_folder(session, &self.kit, home)?.folder;
            self.copy = copies::keep(&folder, before, root_store::read(before).is_ok())?;
        }
        let mut boot_sector = BootSector::default();
        let written = write(session, before, after, &mut boot_sector);
        if matches!(
            written,
            Ok(())
                | Err(work::Error::Roots(Error::ReadBack { .. })
                    | work::Error::Kit(iot_kit::Error::Astray { .. }))
        ) {
            boot_sector.check(session)?;
        }
        written
    }
}

/// A store that comes as bytes, checked: without what follows it, where that is erased.
fn whole(bytes: Vec<u8>, what: &str) -> Result<Vec<u8>, Error> {
    let refuse = |source| Error::Store { what: what.to_owned(), source };
    let (_, size) = root_store::read(&bytes).map_err(refuse)?;
    let used = bytes.iter().rposition(|byte| *byte != ERASED).map_or(size, |last| size.max(last + 1));
    match used {
        used if used > SIZE_MAX => Err(refuse(root_store::Error::Size(used))),
        used => Ok(bytes.into_iter().chain(std::iter::repeat(ERASED)).take(used).collect()),
    }
}

/// The roots of a store that was just built or checked.
fn parsed(store: &[u8]) -> Result<Vec<Root>, Error> {
    let read = root_store::read(store).map(|(roots, _)| roots);
    read.map_err(|source| Error::Store { what: "the new store".to_owned(), source })
}

/// Erases the sector that holds `before`, and has it hold `after`; or else `before` again.
fn write(
    session: &mut Session,
    before: &[u8],
    after: &[u8],
    boot_sector: &mut BootSector,
) -> Result<(), work::Error> {
    wifi_module::erase_sector(session, flash::ROOT_STORE, before, boot_sector)?;
    let Some(address) = write_until_right(session, after, boot_sector)? else { return Ok(()) };
    debug!(address, "the root store differs, putting the old content back");
    let port = session.port().to_owned();
    let found = wifi_module::read(session, flash::ROOT_STORE, SIZE_MAX)?;
    wifi_module::erase_sector(session, flash::ROOT_STORE, &found, boot_sector)?;
    let restored = write_until_right(session, before, boot_sector)?.is_none();
    Err(Error::ReadBack { port, address, restored }.into())
}

/// Writes to a blank sector and reads all of it back; again if it differs. The first address that differs in the end.
fn write_until_right(
    session: &mut Session,
    sector: &[u8],
    boot_sector: &mut BootSector,
) -> Result<Option<u32>, iot_kit::Error> {
    let mut content = Flash::default();
    content.put(flash::ROOT_STORE, sector);
    let mut attempt = 1;
    loop {
        wifi_module::write(session, &content)?;
        let found = wifi_module::read(session, flash::ROOT_STORE, SIZE_MAX)?;
        let Some(differs) = found.iter().zip(sector).position(|(found, wanted)| found != wanted) else {
            return Ok(None);
        };
        wifi_module::check_written(session, &content)?;
        if attempt == WRITE_ATTEMPTS {
            return Ok(Some(flash::ROOT_STORE + differs as u32));
        }
        attempt += 1;
        wifi_module::erase_sector(session, flash::ROOT_STORE, &found, boot_sector)?;
    }
}
