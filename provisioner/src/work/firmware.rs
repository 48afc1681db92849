//! The images of the catalogue on this computer: kept in the home folder, and brought there from a wheel, from an installed Python
//! package, or by the `pip download` of the user. Nothing but the pinned bytes is kept or used.

use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use durable_files::{Access, folder};
use iot_kit::catalogue::{Image, PACKAGE};
use iot_kit::disk::Firmware;

mod error;
mod python;
mod sums;
mod wheel;

pub use error::Error;
use sums::Sums;

use crate::state::home::{FIRMWARE, Home};
use crate::work;

/// The folder of a download, in the folder of the images.
const DOWNLOAD: &str = "download";
/// More bytes than the largest image of the package has.
const LARGEST: usize = 4 << 20;

/// The images that are kept in the home folder.
#[derive(Clone, Debug)]
pub struct Images {
    home: Home,
    folder: PathBuf,
    sums: Sums,
}

/// Where images that are not kept come from. Nothing is kept yet.
#[derive(Debug)]
pub enum Source {
    /// They were read, and are right.
    Read {
        /// The wheel, or the folder of the installed package.
        from: PathBuf,
        /// Each with its bytes.
        images: Vec<(Image, Vec<u8>)>,
    },
    /// The Python with whose pip the wheel is downloaded.
    Pip {
        /// Name of the Python.
        python: String,
    },
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Read { from, .. } => write!(f, "from {}", from.display()),
            Self::Pip { .. } => write!(f, "pip: {PACKAGE}"),
        }
    }
}

impl Images {
    /// The images of this home folder.
    ///
    /// # Errors
    /// In builds for tests, checksums that cannot be read.
    pub fn of(home: &Home) -> Result<Self, work::Error> {
        Ok(Self { home: home.clone(), folder: home.file(FIRMWARE), sums: Sums::load()? })
    }

    /// Where an image is kept, or would be.
    pub fn path(&self, image: Image) -> PathBuf {
        self.folder.join(image.name())
    }

    /// The SHA-256 that an image must have.
    pub fn sha256(&self, image: Image) -> &str {
        self.sums.of(image)
    }

    /// The image that is kept; `None` where there is none.
    ///
    /// # Errors
    /// [`Error::NotPinned`] for other bytes in its place; [`durable_files::Error`].
    pub fn kept(&self, image: Image) -> Result<Option<Vec<u8>>, work::Error> {
        let path = self.path(image);
        let Some(bytes) = durable_files::read_up_to(&path, LARGEST)? else { return Ok(None) };
        check(&path.display(), &bytes, self.sums.of(image))?;
        Ok(Some(bytes))
    }

    /// The image that is kept, understood.
    ///
    /// # Errors
    /// As [`Images::kept`]; [`Error::Missing`] where there is none.
    pub fn firmware(&self, image: Image) -> Result<Firmware, work::Error> {
        let bytes = self.kept(image)?.ok_or(Error::Missing { image: image.name() })?;
        let firmware = Firmware::of(&self.path(image), &bytes).map_err(iot_kit::Error::from)?;
        Ok(firmware)
    }

    /// Finds out where images come from: the wheel that is named, an installed package, or the index of Python packages. Keeps
    /// nothing, and asks no network.
    ///
    /// # Errors
    /// [`Error::NotPinned`], [`Error::Lacks`], [`Error::NotAWheel`] for the wheel that is named; [`Error::NoPython`] where there is
    /// no other way.
    pub fn source(&self, images: &[Image], named: Option<(&Path, &[u8])>) -> Result<Source, work::Error> {
        if let Some((path, bytes)) = named {
            let images = self.in_wheel(path, bytes, images)?;
            return Ok(Source::Read { from: path.to_owned(), images });
        }
        let mut with_pip = None;
        for found in python::all() {
            // Another version of the package has other images, and is passed over.
            let there = found.installed.map(|folder| (self.in_folder(&folder, images), folder));
            if let Some((Some(images), from)) = there {
                return Ok(Source::Read { from, images });
            }
            if found.has_pip {
                with_pip = with_pip.or(Some(found.python));
            }
        }
        let python = with_pip.ok_or(Error::NoPython)?;
        Ok(Source::Pip { python })
    }

    /// Keeps images, downloaded first where they have to be.
    ///
    /// # Errors
    /// [`Error::Pip`]; [`Error::NotPinned`], [`Error::Lacks`], [`Error::NotAWheel`]; [`durable_files::Error`].
    pub fn keep(&self, images: &[Image], source: Source) -> Result<(), work::Error> {
        self.home.create_inside(&self.folder)?;
        // Two runs that download at once have one folder for it.
        let _lock = folder::lock(&self.folder)?;
        let images = match source {
            Source::Read { images, .. } => images,
            Source::Pip { python } => {
                let place = self.folder.join(DOWNLOAD);
                folder::remove(&place)?;
                folder::create_inside(&place)?;
                let downloaded =
                    python::download(&python, &place).map_err(work::Error::from).and_then(|()| {
                        let path = place.join(PACKAGE.wheel);
                        let bytes = durable_files::read_up_to(&path, wheel::LARGEST)?;
                        self.in_wheel(&path, &bytes.ok_or(Error::NoWheel)?, images)
                    });
                folder::remove(&place)?;
                downloaded?
            }
        };
        for (image, bytes) in images {
            durable_files::write(&self.path(image), &bytes, Access::Public)?;
        }
        Ok(())
    }

    fn in_wheel(
        &self,
        path: &Path,
        bytes: &[u8],
        images: &[Image],
    ) -> Result<Vec<(Image, Vec<u8>)>, work::Error> {
        check(&path.display(), bytes, self.sums.of_wheel())?;
        let found = wheel::files(bytes, images.iter().map(|image| image.path()));
        let found = found.map_err(|source| Error::NotAWheel { path: path.to_owned(), source })?;
        let mut all = Vec::new();
        for (image, bytes) in images.iter().zip(found) {
            let bytes = bytes.ok_or(Error::Lacks { path: path.to_owned(), image: image.name() })?;
            check(&image.name(), &bytes, self.sums.of(*image))?;
            all.push((*image, bytes));
        }
        Ok(all)
    }

    /// The images in the folder of an installed package, if all of them are there and right.
    fn in_folder(&self, folder: &Path, images: &[Image]) -> Option<Vec<(Image, Vec<u8>)>> {
        let read = |image: &Image| {
            let path = image.path().split('/').fold(folder.to_owned(), |path, part| path.join(part));
            let bytes = durable_files::read_up_to(&path, LARGEST).ok()??;
            check(&path.display(), &bytes, self.sums.of(*image)).ok()?;
            Some((*image, bytes))
        };
        images.iter().map(read).collect()
    }

    /// Notes that the kit with this USB serial number has got the provisioning firmware in place of its application, so that a
    /// later run puts an application back.
    ///
    /// # Errors
    /// [`durable_files::Error`].
    pub fn note_replaced(&self, serial: &str) -> Result<(), work::Error> {
        if let Some(note) = self.note(serial) {
            self.home.create_inside(&self.folder)?;
            durable_files::write(&note, b"", Access::Public)?;
        }
        Ok(())
    }

    /// Whether [`Images::note_replaced`] was called for a kit and [`Images::note_restored`] was not.
    pub fn is_replaced(&self, serial: &str) -> bool {
        self.note(serial).is_some_and(|note| matches!(durable_files::read_found(&note, LARGEST), Ok(Some(_))))
    }

    /// The kit has an application again, or is to have none.
    ///
    /// # Errors
    /// [`durable_files::Error`].
    pub fn note_restored(&self, serial: &str) -> Result<(), work::Error> {
        match self.note(serial).filter(|_| self.is_replaced(serial)) {
            Some(note) => Ok(durable_files::remove(&note)?),
            None => Ok(()),
        }
    }

    /// `None` for a serial number that no file is named by.
    fn note(&self, serial: &str) -> Option<PathBuf> {
        self.home.board(serial).map(|_| self.folder.join(format!("{serial}.replaced")))
    }
}

/// Whether these are the pinned bytes.
fn check(what: &impl ToString, bytes: &[u8], pinned: &str) -> Result<(), Error> {
    let found = hex::encode(digest::digest(&digest::SHA256, bytes));
    match found == pinned {
        true => Ok(()),
        false => Err(Error::NotPinned { what: what.to_string(), found, pinned: pinned.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use iot_kit::catalogue::THING_NAME_SIZE;
    use jitr::thing_name::ThingName;

    use super::*;

    #[test]
    fn a_thing_name_is_as_long_as_the_demo_applications_read_it() {
        assert_eq!(ThingName::from_public_key(&[4; 65]).to_string().len(), THING_NAME_SIZE);
    }

    #[test]
    fn a_note_about_a_kit_is_a_file_of_the_folder_whatever_its_serial_number() {
        let folder = tempfile::tempdir().unwrap();
        let images = Images::of(&Home::at(folder.path().join("home"))).unwrap();
        for serial in ["../x", "a/b", "", "CON", "signer-ca.key"] {
            images.note_replaced(serial).unwrap();
            assert!(!images.is_replaced(serial), "{serial}");
        }
        images.note_replaced("MCHP1").unwrap();
        assert!(images.is_replaced("MCHP1") && !images.is_replaced("MCHP2"));
        images.note_restored("MCHP2").unwrap();
        images.note_restored("MCHP1").unwrap();
        assert!(!images.is_replaced("MCHP1"));
    }
}
