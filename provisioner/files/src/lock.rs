//! Locks on files that several runs use. A run that waits says for what, and waits for a limited time.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use tracing::warn;

use crate::share;

/// How long a run waits for another one that uses the same folder or file.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// A run that waits longer than this says what for.
const SILENCE: Duration = Duration::from_millis(500);
/// Longer than a process needs to write one line. A process that is being started also holds a lock for a short time: until
/// `exec` it has the open files of its parent.
pub(crate) const MOMENT: Duration = Duration::from_millis(200);
/// How often a lock is tried meanwhile.
const RETRY: Duration = Duration::from_millis(5);

pub(crate) type TryLock = fn(&File) -> Result<(), TryLockError>;

/// Takes `file` at `path` by `take`, once no other process has it. Logs what it waits for.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] after the time limit; errors of the operating system.
pub(crate) fn wait(file: &File, path: &Path, patience: Duration, take: TryLock) -> io::Result<()> {
    let begun = Instant::now();
    let mut told = false;
    loop {
        match share::try_lock(file, path, take) {
            Err(TryLockError::WouldBlock) if begun.elapsed() < patience => {}
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => return Err(error),
            Ok(()) => return Ok(()),
        }
        if !told && begun.elapsed() >= SILENCE {
            warn!("waiting for another run of the provisioner, which is using {}", path.display());
            told = true;
        }
        thread::sleep(RETRY);
    }
}
