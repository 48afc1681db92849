//! The kit's USB disk: found by its KIT-INFO.TXT, programs the microcontroller by a copy, and reports in STATUS.TXT.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use tracing::debug;

use super::intel_hex::{self, Image};
use super::kits::{Model, SERIAL_PREFIXES, Target};
use super::wifi::Credentials;

/// The file that says which kit it is.
pub const KIT_INFO: &str = "KIT-INFO.TXT";
/// The file that says how the last programming went.
pub const STATUS: &str = "STATUS.TXT";
/// The name under which an image is copied; the disk knows names of 8 and 3 characters only.
const IMAGE: &str = "FIRMWARE.HEX";
/// The file that carries Wi-Fi credentials to the application.
const WIFI: &str = "WIFI.CFG";

/// Environment variable with the folders of kits' disks that are not found by themselves, as in the variable `PATH`: a disk of
/// another file system type, such as that of a virtual machine's host.
pub const DISKS_VARIABLE: &str = "MICROCHIP_IOT_DISKS";

/// No text of a kit's disk is longer, in bytes.
const LARGEST_TEXT: usize = 64 * 1024;

/// A debugger programs the largest target in about 20 seconds; then its disk appears again. The user guide of SAM-IoT allows two
/// minutes.
const PROGRAMMING: Duration = Duration::from_secs(120);
/// How often it is looked whether it has come back.
const POLL: Duration = Duration::from_millis(100);

/// What can go wrong with a kit's disk and the files for it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No disk of that kit.
    #[error("the disk of the kit{} is not there", serial.as_ref().map(|s| format!(" {s}")).unwrap_or_default())]
    NoDisk {
        /// Serial number of the kit, where known.
        serial: Option<String>,
    },
    /// A folder that is no kit's disk.
    #[error("{} is not the disk of a kit: there is no {KIT_INFO}", folder.display())]
    NotADisk {
        /// The folder.
        folder: PathBuf,
    },
    /// The disk is another kit's.
    #[error("the disk {} is that of the kit {found}", folder.display())]
    OtherKit {
        /// The folder.
        folder: PathBuf,
        /// Serial number of the kit that it belongs to.
        found: String,
    },
    /// The microcontroller is unknown.
    #[error("the kit's {KIT_INFO} names no microcontroller that is known")]
    UnknownTarget,
    /// The microcontroller is another one than the kit's name says.
    #[error("the kit's {KIT_INFO} names the {target}, where the kit's name says {wanted}")]
    Target {
        /// What goes with the name.
        wanted: Target,
        /// What the disk says.
        target: Target,
    },
    /// A file cannot be read, or is none.
    #[error(transparent)]
    File(#[from] durable_files::Error),
    /// The file is no image for the kit.
    #[error("cannot use {}: {source}", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: intel_hex::Error,
    },
    /// The copy failed.
    #[error("cannot write to the kit's disk {}", folder.display())]
    Write {
        /// The disk's folder.
        folder: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The debugger says that it failed.
    #[error("the kit could not be programmed: its {STATUS} says \"{}\"", status.escape_debug())]
    Failed {
        /// What it says.
        status: String,
    },
    /// The debugger says nothing.
    #[error("the kit's disk {} has not said after {} s how the programming went", folder.display(), PROGRAMMING.as_secs())]
    NoOutcome {
        /// The disk's folder.
        folder: PathBuf,
    },
}

/// What a kit's disk says of the kit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KitInfo {
    /// The kit.
    pub model: Option<Model>,
    /// The debugger's serial number, which is the kit's.
    pub usb_serial: Option<String>,
    /// The microcontroller.
    pub target: Option<Target>,
}

impl KitInfo {
    /// Reads KIT-INFO.TXT. Its form differs between versions of the debugger, so it is searched for what is known: names
    /// of kits and microcontrollers, and a serial number.
    pub fn parse(file: &[u8]) -> Self {
        let text = String::from_utf8_lossy(file);
        let model = text.lines().find_map(Model::named_in);
        let is_serial = |word: &&str| {
            SERIAL_PREFIXES.iter().any(|prefix| {
                word.strip_prefix(prefix)
                    .is_some_and(|rest| rest.len() >= 4 && rest.chars().all(|c| c.is_ascii_digit()))
            })
        };
        Self {
            model,
            usb_serial: text.split(|c: char| !c.is_ascii_alphanumeric()).find(is_serial).map(str::to_owned),
            target: text.lines().find_map(Target::named_in).or(model.map(Model::target)),
        }
    }
}

/// A kit's disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    folder: PathBuf,
    info: KitInfo,
}

impl Disk {
    /// The disk that is mounted at `folder`.
    ///
    /// # Errors
    /// [`Error::NotADisk`]; [`Error::File`] for one that is no regular file.
    pub fn at(folder: &Path) -> Result<Self, Error> {
        let info = text(folder, KIT_INFO)?.ok_or_else(|| Error::NotADisk { folder: folder.to_owned() })?;
        Ok(Self { folder: folder.to_owned(), info: KitInfo::parse(&info) })
    }

    /// Every kit's disk that is mounted, or that [`DISKS_VARIABLE`] names.
    pub fn all() -> Vec<Self> {
        let named = std::env::var_os(DISKS_VARIABLE).unwrap_or_default();
        let named = std::env::split_paths(&named).filter(|folder| !folder.as_os_str().is_empty());
        named.chain(volumes()).filter_map(|folder| Self::at(&folder).ok()).collect()
    }

    /// The disk of the kit with this serial number: the one at `folder` if that is given, else the one that is mounted.
    ///
    /// # Errors
    /// [`Error::NotADisk`], [`Error::OtherKit`], [`Error::NoDisk`].
    pub fn of(serial: Option<&str>, folder: Option<&Path>) -> Result<Self, Error> {
        if let Some(folder) = folder {
            let disk = Self::at(folder)?;
            return match (serial, &disk.info.usb_serial) {
                (Some(serial), Some(found)) if !found.ends_with(serial) => {
                    Err(Error::OtherKit { folder: folder.to_owned(), found: found.clone() })
                }
                _ => Ok(disk),
            };
        }
        let serial = serial.map(str::to_owned);
        Self::all()
            .into_iter()
            .find(|disk| serial.is_some() && disk.info.usb_serial == serial)
            .ok_or(Error::NoDisk { serial })
    }

    /// What the disk says of the kit.
    pub fn info(&self) -> &KitInfo {
        &self.info
    }

    /// Whether the firmware suits the kit's microcontroller.
    ///
    /// # Errors
    /// [`Error::UnknownTarget`], [`Error::Image`].
    pub fn check(&self, firmware: &Firmware) -> Result<(), Error> {
        firmware.check_for(self.info.target.ok_or(Error::UnknownTarget)?)
    }

    /// Whether the kit has this microcontroller.
    ///
    /// # Errors
    /// [`Error::UnknownTarget`]; [`Error::Target`] for another one.
    pub fn check_target(&self, wanted: Target) -> Result<(), Error> {
        match self.info.target.ok_or(Error::UnknownTarget)? {
            target if target == wanted => Ok(()),
            target => Err(Error::Target { wanted, target }),
        }
    }

    /// Programs the microcontroller and waits until the debugger has said how it went and its disk is back.
    ///
    /// # Errors
    /// [`Error::UnknownTarget`], [`Error::Image`] before anything is written; [`Error::Write`], [`Error::Failed`],
    /// [`Error::NoOutcome`].
    pub fn program(&self, firmware: &Firmware) -> Result<(), Error> {
        self.check(firmware)?;
        self.copy(IMAGE, firmware.image.records())?;
        let deadline = Instant::now() + PROGRAMMING;
        // The disk appears again without the copy: the debugger takes the sectors and keeps no file.
        loop {
            let back = self.folder.join(KIT_INFO).exists() && !self.folder.join(IMAGE).exists();
            let status = text(&self.folder, STATUS).ok().flatten().filter(|_| back);
            match status.map(|bytes| status_of(&bytes)) {
                Some(Ok(())) => return Ok(()),
                Some(Err(Some(status))) => return Err(Error::Failed { status }),
                Some(Err(None)) | None if Instant::now() < deadline => thread::sleep(POLL),
                Some(Err(None)) | None => {
                    return Err(Error::NoOutcome { folder: self.folder.clone() });
                }
            }
        }
    }

    /// Has the debugger type Wi-Fi credentials into the console of the application.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn send_wifi(&self, credentials: &Credentials) -> Result<(), Error> {
        self.copy(WIFI, format!("CMD:SEND_UART={}\n", credentials.command()).as_bytes())
    }

    /// Copies a file. What the disk does after the last byte, going away included, is not an error of the copy.
    fn copy(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let written = durable_files::overwrite(&self.folder.join(name), bytes);
        let file = written.map_err(|error| match error {
            durable_files::Error::Io { source, .. } => Error::Write { folder: self.folder.clone(), source },
            refused => Error::File(refused),
        })?;
        if let Err(error) = file.sync_all() {
            debug!(%error, name, "the disk went away at the end of the copy");
        }
        Ok(())
    }
}

/// A file with an image, read and understood.
#[derive(Clone, Debug)]
pub struct Firmware {
    path: PathBuf,
    image: Image,
}

impl Firmware {
    /// Reads an Intel HEX file.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Image`] with the number of the line.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = durable_files::read(path)?;
        Self::of(path, &bytes.ok_or_else(|| durable_files::Error::missing(path))?)
    }

    /// Reads the content of an Intel HEX file that is at `path`.
    ///
    /// # Errors
    /// [`Error::Image`] with the number of the line.
    pub fn of(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let image = Image::parse(bytes).map_err(|source| Error::Image { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), image })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where its content is: the first address of each piece, and the one behind its last.
    pub fn ranges(&self) -> impl Iterator<Item = Range<u32>> {
        self.image.ranges()
    }

    /// Bytes of content.
    pub fn size(&self) -> usize {
        self.image.size()
    }

    /// Whether it fits into the target and suits it.
    ///
    /// # Errors
    /// [`Error::Image`].
    fn check_for(&self, target: Target) -> Result<(), Error> {
        self.image.check_for(target).map_err(|source| Error::Image { path: self.path.clone(), source })
    }
}

/// What STATUS.TXT says: done, failed with these words, or nothing that can be understood.
fn status_of(file: &[u8]) -> Result<(), Option<String>> {
    const BAD: [&str; 6] = ["error", "fail", "invalid", "mismatch", "locked", "unsupported"];
    const GOOD: [&str; 5] = ["success", "ok", "complete", "done", "programmed"];
    let text = String::from_utf8_lossy(file);
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    let has = |word: &str, parts: &[&str]| parts.iter().any(|part| word.contains(part));
    let (mut good, mut bad) = (false, false);
    for clause in lower.split([',', ';', '.', '\n']) {
        // "error(s)" is one word.
        let words = clause.split(|c: char| !c.is_ascii_alphanumeric());
        let words: Vec<&str> = words.filter(|word| !matches!(*word, "" | "s")).collect();
        for (index, word) in words.iter().enumerate() {
            let (before, after) =
                (index.checked_sub(1).map(|before| words[before]), words.get(index + 1).copied());
            let is_count = |word: &str| word.bytes().all(|b| b.is_ascii_digit());
            let counted_after =
                matches!(*word, "error" | "errors" | "failures") && matches!(after, Some("0" | "none"));
            let is_none = match before {
                Some("0" | "no" | "without") => true,
                Some(count) if is_count(count) => false,
                _ => counted_after,
            };
            match has(word, &BAD) {
                true if is_none => good = true,
                true => bad = true,
                false => {
                    bad |= word.ends_with("not");
                    good |= has(word, &GOOD);
                }
            }
        }
    }
    match (bad, good) {
        // A file may be long; the reason is at its beginning.
        (true, _) => Err(Some(text.chars().take(200).collect())),
        (false, true) => Ok(()),
        (false, false) => Err(None),
    }
}

/// Where disks are mounted that may be a kit's.
fn volumes() -> Vec<PathBuf> {
    if cfg!(windows) {
        return ('D'..='Z').map(|letter| PathBuf::from(format!("{letter}:\\"))).collect();
    }
    if cfg!(target_os = "macos") {
        let entries = durable_files::folder::entries(Path::new("/Volumes")).ok().flatten();
        return entries.into_iter().flatten().map(|entry| entry.path).collect();
    }
    let mounts = durable_files::read(Path::new("/proc/self/mounts")).ok().flatten().unwrap_or_default();
    mounted(&String::from_utf8_lossy(&mounts))
}

/// A file that the kit's disk has about itself. Whoever had the kit can have put something else there.
fn text(folder: &Path, name: &str) -> Result<Option<Vec<u8>>, durable_files::Error> {
    durable_files::read_found(&folder.join(name), LARGEST_TEXT)
}

/// The mount points of FAT file systems in `/proc/self/mounts` (fstab(5): white space is written in octal).
fn mounted(mounts: &str) -> Vec<PathBuf> {
    mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ');
            let (_, folder, kind) = (fields.next()?, fields.next()?, fields.next()?);
            let folder = [("\\040", " "), ("\\011", "\t"), ("\\134", "\\")]
                .iter()
                .fold(folder.to_owned(), |folder, (octal, character)| folder.replace(octal, character));
            matches!(kind, "vfat" | "msdos" | "fuseblk").then(|| PathBuf::from(folder))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn kit_info_is_understood_in_several_forms() {
        let expected = KitInfo {
            model: Model::named_in("AVR-IoT WG"),
            usb_serial: Some("MCHP3261021800001234".into()),
            target: Some(Target::Atmega4808),
        };
        for text in [
            "Kit name: AVR-IoT WG\r\nSerial number: MCHP3261021800001234\r\nTarget device: ATmega4808\r\n",
            "nEDBG\nserialnumber=MCHP3261021800001234;kit=avr_iot_wg\n",
        ] {
            assert_eq!(KitInfo::parse(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(KitInfo::parse(b"Microchip MCHP, serial ATMLab12"), KitInfo::default());
    }

    #[test]
    fn the_status_is_success_failure_or_neither() {
        assert_eq!(status_of(b"Programming completed successfully.\r\n"), Ok(()));
        assert_eq!(
            status_of(b"Error: device ID mismatch\r\n"),
            Err(Some("Error: device ID mismatch".into()))
        );
        assert_eq!(status_of(b"Operation NOT OK"), Err(Some("Operation NOT OK".into())));
        for done in [
            "0 errors",
            "Errors: 0",
            "Error(s): none",
            "Finished, no errors",
            "Done: 0 error(s), 0 failures",
            "Without error.",
        ] {
            assert_eq!(status_of(done.as_bytes()), Ok(()), "{done}");
        }
        for failed in [
            "10 errors",
            "Errors: 10",
            "1 error, 0 warnings",
            "Error: no target",
            "Failed: 0 bytes",
            "0 errors, device locked",
        ] {
            assert_eq!(status_of(failed.as_bytes()), Err(Some(failed.into())), "{failed}");
        }
        assert_eq!(status_of(b"Cannot write: not done"), Err(Some("Cannot write: not done".into())));
        assert_eq!(status_of(b""), Err(None));
        assert_eq!(status_of(b"programming..."), Err(None));
    }

    #[test]
    fn fat_disks_are_found_among_the_mounts_white_space_included() {
        let mounts = "proc /proc proc rw 0 0\n\
            /dev/sda1 / ext4 rw 0 0\n\
            /dev/sdb /media/ann/CURIOSITY vfat rw,nosuid 0 0\n\
            /dev/sdc /media/ann/CURIOSITY\\0401 vfat rw 0 0\n\
            half a line";
        assert_eq!(mounted(mounts), ["/media/ann/CURIOSITY", "/media/ann/CURIOSITY 1"].map(PathBuf::from));
    }

    #[test]
    fn a_folder_that_is_no_kits_disk_or_anothers_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Disk::at(folder.path()), Err(Error::NotADisk { .. })));
        std::fs::write(folder.path().join(KIT_INFO), "Serial MCHP1234, PIC-IoT WG").unwrap();
        let disk = Disk::of(Some("1234"), Some(folder.path())).unwrap();
        assert_eq!(disk.info().target, Some(Target::Pic24fj128ga705));
        assert!(matches!(Disk::of(Some("99"), Some(folder.path())), Err(Error::OtherKit { .. })));
        assert!(matches!(Disk::of(None, None), Err(Error::NoDisk { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn nothing_but_a_regular_file_is_read_or_written_on_a_kits_disk() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let status = std::process::Command::new("mkfifo").arg(path(KIT_INFO)).status().unwrap();
        assert!(status.success());
        let refused = Disk::at(folder.path()).unwrap_err();
        assert!(matches!(&refused, Error::File(durable_files::Error::NotAFile { .. })), "{refused}");
        std::fs::remove_file(path(KIT_INFO)).unwrap();
        symlink("/dev/zero", path(KIT_INFO)).unwrap();
        assert!(matches!(Disk::at(folder.path()), Err(Error::File(durable_files::Error::Symlink { .. }))));
        std::fs::remove_file(path(KIT_INFO)).unwrap();
        std::fs::File::create(path(KIT_INFO)).unwrap().set_len(1 << 40).unwrap();
        assert!(matches!(Disk::at(folder.path()), Err(Error::File(durable_files::Error::TooLong { .. }))));
        std::fs::write(path(KIT_INFO), "Serial MCHP1234, PIC-IoT WG").unwrap();
        let disk = Disk::at(folder.path()).unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        symlink(elsewhere.path().join("passphrase"), path(WIFI)).unwrap();
        let credentials =
            Credentials::new("net", "hush-hush", super::super::wifi::Authentication::WpaPsk).unwrap();
        let refused = disk.send_wifi(&credentials).unwrap_err();
        assert!(matches!(&refused, Error::File(durable_files::Error::Symlink { .. })), "{refused}");
        assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
        std::fs::remove_file(path(WIFI)).unwrap();
        disk.send_wifi(&credentials).unwrap();
        assert!(std::fs::read_to_string(path(WIFI)).unwrap().contains("hush-hush"));
    }

    proptest! {
        #[test]
        fn arbitrary_files_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), text in "\\PC*") {
            for bytes in [bytes.as_slice(), text.as_bytes()] {
                let _ = KitInfo::parse(bytes);
                let _ = status_of(bytes);
            }
            let _ = mounted(&text);
        }
    }
}
