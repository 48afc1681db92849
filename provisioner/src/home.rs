//! The home folder: where keys, certificates and the folder of each board live, and how files get there.
//!
//! Every file is written to a temporary file beside its destination, synced, and renamed; keys are 0600, the folder 0700.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use miette::Diagnostic;
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::ExitCode;

mod leftovers;
mod lock;

pub(crate) use lock::{take_soon, wait_for};

/// The provisioner's folder, `~/.microchip-iot` unless `--home` or `MICROCHIP_IOT_HOME` names another.
#[derive(Clone, Debug)]
pub struct Home {
    root: PathBuf,
}

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everyone: certificates, names (0644).
    Public,
    /// The owner alone: keys (0600).
    Secret,
}

/// A lock on the whole home folder, held until dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// A file or folder of the home that cannot be read or written.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// Neither `--home` nor a home folder of the user.
    #[error("cannot tell where your home folder is")]
    #[diagnostic(help("name the folder with --home DIR or MICROCHIP_IOT_HOME"))]
    NoHome,
    /// The operating system refused.
    #[error("cannot {action} {}", path.display())]
    #[diagnostic(help(
        "check that the folder exists, is yours and has room; or choose another with --home DIR"
    ))]
    Io {
        /// What was being done: "read", "write", "create".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A key that others than its owner can read.
    #[error("{} can be read by other users of this machine (mode {mode:04o})", path.display())]
    #[diagnostic(help("close it with: chmod 600 {}", path.display()))]
    Exposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A symbolic link where a folder of the home should be; following it could overwrite files elsewhere.
    #[error("{} is a symbolic link", path.display())]
    #[diagnostic(help("replace the link with a folder, or choose another home with --home DIR"))]
    Symlink {
        /// The link.
        path: PathBuf,
    },
    /// Another run holds the lock.
    #[error("another run of the provisioner is using {}, and has not finished within a minute", path.display())]
    #[diagnostic(help("wait until it has finished, or choose another home with --home DIR"))]
    Busy {
        /// The home folder.
        path: PathBuf,
    },
    /// A serial number that cannot name a folder.
    #[error("the serial number \"{}\" cannot name a folder", name.escape_debug())]
    #[diagnostic(help("serial numbers consist of letters, digits, \"-\", \"_\" and \".\""))]
    FolderName {
        /// The serial number as the board or the port list gave it.
        name: String,
    },
}

impl Error {
    /// The exit code this error ends the process with.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::NoHome => ExitCode::Usage,
            Self::Io { .. } => ExitCode::Failed,
            Self::Exposed { .. } | Self::Symlink { .. } | Self::Busy { .. } => ExitCode::Refused,
            Self::FolderName { .. } => ExitCode::Board,
        }
    }

    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }
}

impl Home {
    /// The folder at `root`; it need not exist yet.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A file directly in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The folder of one board, named by its USB serial number, or by its ECC serial where it has none.
    pub fn board(&self, serial: &str) -> PathBuf {
        self.root.join(serial)
    }

    /// Makes the folder of one board, see [`Home::board`], and the home above it.
    ///
    /// # Errors
    /// [`Error::FolderName`] for a name that would lead out of the home; [`Error::Symlink`]; [`Error::Io`].
    pub fn create_board(&self, serial: &str) -> Result<PathBuf, Error> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if serial.is_empty() || serial.len() > 64 || serial.starts_with('.') || !serial.chars().all(plain) {
            return Err(Error::FolderName { name: serial.to_owned() });
        }
        self.create()?;
        let folder = self.board(serial);
        create_folder(&folder)?;
        if is_symlink(&folder) {
            return Err(Error::Symlink { path: folder });
        }
        leftovers::sweep(&folder);
        Ok(folder)
    }

    /// Makes the home folder, for its owner alone (0700), and closes one that others could enter.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn create(&self) -> Result<(), Error> {
        create_folder(&self.root)?;
        restrict_folder(&self.root).map_err(|e| Error::io("protect", &self.root, e))
    }

    /// Takes the home for changes to the certificate authorities: no other run may use it meanwhile. Waits for those
    /// that do, up to a minute, and says so.
    ///
    /// # Errors
    /// [`Error::Busy`] if they have not finished by then; [`Error::Io`].
    pub fn lock(&self) -> Result<Lock, Error> {
        self.lock_within(lock::PATIENCE, File::try_lock)
    }

    /// Takes the home for use: other runs may use it as well, but none may change the certificate authorities. Waits as
    /// [`Home::lock`] does.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Io`].
    pub fn lock_shared(&self) -> Result<Lock, Error> {
        self.lock_within(lock::PATIENCE, File::try_lock_shared)
    }

    fn lock_within(&self, patience: Duration, take: lock::TryLock) -> Result<Lock, Error> {
        self.create()?;
        let path = self.file(".lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|e| Error::io("open", &path, e))?;
        match lock::wait(&file, &self.root, patience, take) {
            Ok(()) => {
                leftovers::sweep(&self.root);
                Ok(Lock { _file: file })
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Err(Error::Busy { path: self.root.clone() }),
            Err(e) => Err(Error::io("lock", &path, e)),
        }
    }
}

/// Reads a file that anyone may read; `None` where there is no such file.
///
/// # Errors
/// [`Error::Io`].
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("read", path, e)),
    }
}

/// Reads a key; `None` where there is no such file.
///
/// # Errors
/// [`Error::Exposed`] if group or others have any permission on it (Unix); [`Error::Io`].
pub fn read_secret(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("read", path, e)),
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata().map_err(|e| Error::io("read", path, e))?.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(Error::Exposed { path: path.to_owned(), mode });
        }
    }
    let mut bytes = secret_buffer(&file);
    io::Read::read_to_end(&mut file, &mut bytes).map_err(|e| Error::io("read", path, e))?;
    Ok(Some(bytes))
}

/// Room for the whole file: a buffer that had to grow would leave copies of its content behind.
fn secret_buffer(file: &File) -> Zeroizing<Vec<u8>> {
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    // One byte more, so that reading sees the end without growing; a file of more than a megabyte is no key.
    Zeroizing::new(Vec::with_capacity(size.min(1 << 20) as usize + 1))
}

/// Writes a file in one step: whoever looks, also after a power failure, sees the old bytes or the new ones.
///
/// A symbolic link at `path` is replaced, not followed.
///
/// # Errors
/// [`Error::Io`]; the file is then as it was.
pub fn write(path: &Path, bytes: &[u8], access: Access) -> Result<(), Error> {
    stage(path, bytes, access)?.commit()
}

/// A file that is written under another name beside its destination. Dropping it takes it away again.
#[derive(Debug)]
pub struct Staged {
    file: NamedTempFile,
    path: PathBuf,
}

/// The first half of [`write`]: what can be wrong with the folder, or a full disk, shows here.
///
/// # Errors
/// [`Error::Io`].
pub fn stage(path: &Path, bytes: &[u8], access: Access) -> Result<Staged, Error> {
    let fail = |e| Error::io("write", path, e);
    let mut file = tempfile::Builder::new()
        .prefix(leftovers::PREFIX)
        .rand_bytes(leftovers::RANDOM)
        .tempfile_in(folder_of(path))
        .map_err(fail)?;
    // Where files cannot be locked, nothing is swept away either.
    let _ = file.as_file().lock();
    file.write_all(bytes).map_err(fail)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = match access {
            Access::Public => 0o644,
            Access::Secret => 0o600,
        };
        file.as_file().set_permissions(fs::Permissions::from_mode(mode)).map_err(fail)?;
    }
    Ok(Staged { file, path: path.to_owned() })
}

impl Staged {
    /// The second half of [`write`]: the file becomes durable and takes its place.
    ///
    /// # Errors
    /// [`Error::Io`]; the file is then as it was.
    pub fn commit(self) -> Result<(), Error> {
        let Self { file, path } = self;
        let fail = |e| Error::io("write", &path, e);
        file.as_file().sync_all().map_err(fail)?;
        file.persist(&path).map_err(|e| fail(e.error))?;
        sync_folder(folder_of(&path)).map_err(fail)
    }
}

/// Renames a file so that its name is free: `signer-ca.key` becomes `signer-ca.key.<stamp>`. Says the new name.
///
/// # Errors
/// [`Error::Io`], also when a file of the new name exists already.
pub fn set_aside(path: &Path, stamp: &str) -> Result<PathBuf, Error> {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(stamp);
    let aside = PathBuf::from(name);
    let fail = |e| Error::io("set aside", path, e);
    if fs::symlink_metadata(&aside).is_ok() {
        return Err(fail(io::ErrorKind::AlreadyExists.into()));
    }
    fs::rename(path, &aside).map_err(fail)?;
    sync_folder(folder_of(path)).map_err(fail)?;
    Ok(aside)
}

fn create_folder(path: &Path) -> Result<(), Error> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|e| Error::io("create", path, e))
}

#[cfg(unix)]
fn restrict_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn restrict_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

/// A rename is durable once the folder is synced; only Unix lets a folder be opened for that.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

fn is_symlink(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_symlink())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().join("home"));
        home.create().unwrap();
        (folder, home)
    }

    #[cfg(unix)]
    fn mode(path: &Path) -> u32 {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[cfg(unix)]
    #[test]
    fn keys_are_for_their_owner_alone() {
        let (_guard, home) = home();
        let key = home.file("signer-ca.key");
        write(&key, b"secret", Access::Secret).unwrap();
        write(&home.file("signer-ca.crt"), b"public", Access::Public).unwrap();
        assert_eq!((mode(home.root()), mode(&key), mode(&home.file("signer-ca.crt"))), (0o700, 0o600, 0o644));
        assert_eq!(**read_secret(&key).unwrap().unwrap(), *b"secret");
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_the_group_can_read_is_refused_with_the_cure() {
        use std::os::unix::fs::PermissionsExt;
        let (_guard, home) = home();
        let key = home.file("signer-ca.key");
        write(&key, b"secret", Access::Secret).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
        let error = read_secret(&key).unwrap_err();
        assert!(matches!(error, Error::Exposed { mode: 0o640, .. }));
        assert!(error.help().unwrap().to_string().contains("chmod 600"));
    }

    #[cfg(unix)]
    #[test]
    fn a_symbolic_link_is_replaced_and_its_target_left_alone() {
        let (guard, home) = home();
        let target = guard.path().join("elsewhere");
        fs::write(&target, b"precious").unwrap();
        std::os::unix::fs::symlink(&target, home.file("device.crt")).unwrap();
        write(&home.file("device.crt"), b"new", Access::Public).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"precious");
        assert_eq!(fs::read(home.file("device.crt")).unwrap(), b"new");
        std::os::unix::fs::symlink(guard.path(), home.file("MCHP1")).unwrap();
        assert!(matches!(home.create_board("MCHP1"), Err(Error::Symlink { .. })));
    }

    #[test]
    fn a_serial_number_cannot_lead_out_of_the_home() {
        let (_guard, home) = home();
        for name in ["", "..", "../x", "a/b", ".hidden", "a\\b", "a\nb"] {
            assert!(matches!(home.create_board(name), Err(Error::FolderName { .. })), "{name:?}");
        }
        assert!(home.create_board("MCHP3261021800001234").unwrap().is_dir());
    }

    #[test]
    fn changing_the_authorities_excludes_every_other_run_and_using_them_only_changes() {
        let (_guard, home) = home();
        let short = Duration::from_millis(30);
        let using = home.lock_shared().unwrap();
        let also = home.lock_shared().unwrap();
        assert!(matches!(home.lock_within(short, File::try_lock), Err(Error::Busy { .. })));
        drop((using, also));
        let changing = home.lock().unwrap();
        assert!(matches!(home.lock_within(short, File::try_lock_shared), Err(Error::Busy { .. })));
        drop(changing);
        home.lock().unwrap();
    }

    #[test]
    fn setting_aside_never_overwrites() {
        let (_guard, home) = home();
        let key = home.file("root-ca.key");
        write(&key, b"1", Access::Secret).unwrap();
        let aside = set_aside(&key, "20260101T000000Z").unwrap();
        assert_eq!(aside, home.file("root-ca.key.20260101T000000Z"));
        write(&key, b"2", Access::Secret).unwrap();
        assert!(set_aside(&key, "20260101T000000Z").is_err());
        assert_eq!((fs::read(aside).unwrap(), fs::read(key).unwrap()), (b"1".to_vec(), b"2".to_vec()));
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_nothing_behind() {
        let (_guard, home) = home();
        let folder = home.file("is-a-folder");
        fs::create_dir_all(folder.join("full")).unwrap();
        assert!(matches!(write(&folder, b"x", Access::Public), Err(Error::Io { action: "write", .. })));
        assert_eq!(fs::read_dir(home.root()).unwrap().count(), 1);
    }
}
