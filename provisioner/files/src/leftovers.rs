//! Temporary files of runs that were killed. There may be keys among them.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use tracing::debug;

use crate::file::Access;
use crate::place::{For, Place};

/// What the names of files that are being written begin with.
pub(crate) const PREFIX: &str = ".new-";

/// How many random letters and digits follow.
pub(crate) const RANDOM: usize = 6;

/// A file without content may have been made this moment, its writer about to lock it.
const BEING_MADE: Duration = Duration::from_secs(60);

/// Makes a file for what is being written.
pub(crate) fn make(folder: &Place, access: Access) -> io::Result<(OsString, File)> {
    loop {
        let random = std::iter::repeat_with(fastrand::alphanumeric).take(RANDOM);
        let name = OsString::from(PREFIX.chars().chain(random).collect::<String>());
        match folder.create_file(&name, For::Writing, access) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            made => return Ok((name, made?)),
        }
    }
}

/// Removes them from one folder. The file of a running process is kept: its writer holds a lock on it from before its first
/// byte on, and the system gives that lock back when the writer ends, however it ends.
///
/// What cannot be read, locked or removed stays. No run fails for it.
pub fn sweep(folder: &Path) {
    let Ok(place) = Place::open(folder) else { return };
    for (name, _) in place.entries().into_iter().flatten() {
        if name.to_str().is_some_and(is_ours) && is_abandoned(&place, &name) {
            let path = folder.join(&name);
            debug!(path = %path.display(), "removing what a run that was killed left behind");
            if let Err(error) = place.remove_file(&name) {
                debug!(path = %path.display(), %error, "it stays");
            }
        }
    }
}

fn is_ours(name: &str) -> bool {
    name.strip_prefix(PREFIX)
        .is_some_and(|rest| rest.len() == RANDOM && rest.chars().all(|c| c.is_ascii_alphanumeric()))
}

fn is_abandoned(place: &Place, name: &OsStr) -> bool {
    let Ok(file) = place.open_file(name, For::Reading) else { return false };
    let Ok(found) = file.metadata() else { return false };
    let old = || found.modified().is_ok_and(|at| at.elapsed().is_ok_and(|age| age > BEING_MADE));
    (found.len() > 0 || old()) && file.try_lock().is_ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{folder, stage};

    #[test]
    fn what_a_killed_run_left_is_removed_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        for (name, content) in [
            (".new-aB3xYz", "-----BEGIN PRIVATE KEY-----"),
            (".new-mine", "not by this program"),
            (".new-aB3xY-", "not by this program"),
            ("signer-ca.key", "in use"),
        ] {
            fs::write(path(name), content).unwrap();
        }
        fs::create_dir(path(".new-folder")).unwrap();
        let being_written = stage(&path("device.crt"), b"half", Access::Public).unwrap();
        let names = || {
            let all =
                fs::read_dir(place.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
            let mut all: Vec<_> = all.filter(|name| name != ".lock").collect();
            all.sort();
            all
        };
        let before = names();
        drop(folder::lock_shared(place.path()).unwrap());
        let kept: Vec<_> = before.into_iter().filter(|name| name != ".new-aB3xYz").collect();
        assert_eq!(names(), kept);
        being_written.commit().unwrap();
        assert_eq!(fs::read(path("device.crt")).unwrap(), b"half");
    }

    #[test]
    fn a_file_without_content_is_removed_once_its_writer_had_time_to_lock_it() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join(".new-000000");
        let file = File::create(&path).unwrap();
        sweep(place.path());
        assert!(path.exists());
        file.set_modified(std::time::SystemTime::now() - 2 * BEING_MADE).unwrap();
        sweep(place.path());
        assert!(!path.exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_symbolic_link_is_left_alone() {
        let place = tempfile::tempdir().unwrap();
        let elsewhere = place.path().join("precious");
        fs::write(&elsewhere, "precious").unwrap();
        std::os::unix::fs::symlink(&elsewhere, place.path().join(".new-aaaaaa")).unwrap();
        sweep(place.path());
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2);
    }
}
