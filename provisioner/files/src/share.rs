//! What some file systems do not have: network shares, memory sticks, folders of virtual machines. A run goes on without it
//! where it can, and says once what is missing.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};

use tracing::warn;

use crate::file::Access;
use crate::{Error, lock};

/// What a file system can lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lacking {
    /// A file or a folder cannot be synced.
    Sync = 1,
    /// Files cannot be locked.
    Locks = 2,
    /// Files have no permissions.
    Permissions = 4,
    /// Files cannot be given to an owner.
    Owners = 8,
}

static TOLD: AtomicU8 = AtomicU8::new(0);

impl Lacking {
    /// Goes on after an error that says that the file system does not have this.
    pub(crate) fn tolerated(self, path: &Path, result: io::Result<()>) -> io::Result<()> {
        let result = fault(self).and(result);
        match result {
            Err(error) if self.is_meant_by(&error) => {
                self.tell(path);
                Ok(())
            }
            result => result,
        }
    }

    fn is_meant_by(self, error: &io::Error) -> bool {
        #[cfg(unix)]
        {
            use rustix::io::Errno;
            let general = [Errno::INVAL, Errno::NOTSUP, Errno::OPNOTSUPP, Errno::NOSYS];
            let own: &[Errno] = match self {
                Self::Sync => &[],
                Self::Locks => &[Errno::NOLCK],
                Self::Permissions | Self::Owners => &[Errno::PERM],
            };
            let errno = Errno::from_io_error(error);
            errno.is_some_and(|errno| general.contains(&errno) || own.contains(&errno))
        }
        #[cfg(not(unix))]
        {
            error.kind() == io::ErrorKind::Unsupported
        }
    }

    fn tell(self, path: &Path) {
        if TOLD.fetch_or(self as u8, Ordering::Relaxed) & self as u8 != 0 {
            return;
        }
        let path = path.display();
        match self {
            Self::Sync => warn!(
                "the file system of {path} cannot sync files or folders: after a power failure, files that were written last may be missing"
            ),
            Self::Locks => {
                warn!(
                    "the file system of {path} cannot lock files: do not use the folder in two runs at once"
                )
            }
            Self::Permissions => warn!(
                "the file system of {path} does not keep files for their owner alone: other users may read and change them"
            ),
            Self::Owners => {
                warn!("{path} stays the file of root: its file system gives files to no other owner")
            }
        }
    }
}

/// Waits until a file is on the disk; on a file system that cannot sync, goes on without it.
pub(crate) fn sync(file: &File, path: &Path) -> io::Result<()> {
    Lacking::Sync.tolerated(path, file.sync_all())
}

/// Takes a lock; on a file system without locks, goes on without it.
pub(crate) fn try_lock(file: &File, path: &Path, take: lock::TryLock) -> Result<(), TryLockError> {
    match fault(Lacking::Locks).map_err(TryLockError::Error).and_then(|()| take(file)) {
        Err(TryLockError::Error(error)) => {
            Lacking::Locks.tolerated(path, Err(error)).map_err(TryLockError::Error)
        }
        taken => taken,
    }
}

/// Gives a file the permissions that `access` says, whatever the umask is. A secret that would be readable for others is an
/// error; it has not been written yet.
#[cfg(unix)]
pub(crate) fn restrict(file: &File, path: &Path, access: Access) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let wanted = match access {
        Access::Public => 0o644,
        Access::Private | Access::Secret => 0o600,
    };
    let set = file.set_permissions(std::fs::Permissions::from_mode(wanted));
    if access == Access::Secret {
        let set = fault(Lacking::Permissions).and(set);
        let is_set = file.metadata()?.permissions().mode() & 0o077 == 0;
        return match set {
            Ok(()) if is_set => Ok(()),
            Err(error) if !Lacking::Permissions.is_meant_by(&error) => Err(error),
            _ => Err(io::Error::other(Error::Unprotected { path: path.to_owned() })),
        };
    }
    Lacking::Permissions.tolerated(path, set)?;
    if access == Access::Private && file.metadata()?.permissions().mode() & 0o077 != 0 {
        Lacking::Permissions.tell(path);
    }
    Ok(())
}

/// Gives a file to its owner alone, by its access control list; the folder's is not inherited. The owner is named by the
/// well-known identifier of "owner rights" ([MS-DTYP] section 2.4.2.4), which needs no account's name.
#[cfg(windows)]
pub(crate) fn restrict(_: &File, path: &Path, access: Access) -> io::Result<()> {
    use std::path::PathBuf;
    if access == Access::Public {
        return Ok(());
    }
    let system = std::env::var_os("SystemRoot").map_or_else(|| PathBuf::from(r"C:\Windows"), PathBuf::from);
    let icacls = std::process::Command::new(system.join("System32").join("icacls.exe"))
        .arg(path)
        .args(["/inheritance:r", "/grant:r", "*S-1-3-4:F"])
        .output()?;
    match (icacls.status.success(), access) {
        (true, _) => Ok(()),
        (false, Access::Secret) => Err(io::Error::other(Error::Unprotected { path: path.to_owned() })),
        (false, _) => {
            Lacking::Permissions.tell(path);
            Ok(())
        }
    }
}

#[cfg(all(test, unix))]
fn fault(needed: Lacking) -> io::Result<()> {
    match faults::MISSING.get() {
        Some((missing, number)) if missing == needed => Err(io::Error::from_raw_os_error(number)),
        _ => Ok(()),
    }
}

#[cfg(not(all(test, unix)))]
fn fault(_: Lacking) -> io::Result<()> {
    Ok(())
}

/// What a test lets a file system lack.
#[cfg(all(test, unix))]
pub(crate) mod faults {
    use std::cell::Cell;

    use super::Lacking;

    thread_local! {
        pub(super) static MISSING: Cell<Option<(Lacking, i32)>> = const { Cell::new(None) };
    }

    /// On this thread, what needs this ends with the error of this number.
    pub(crate) fn with<T>(lacking: Lacking, error: rustix::io::Errno, work: impl FnOnce() -> T) -> T {
        MISSING.set(Some((lacking, error.raw_os_error())));
        let result = work();
        MISSING.set(None);
        result
    }
}
