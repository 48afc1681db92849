//! The share of a CPU that AWS Lambda gives a function of 128 MB, by a control group of Linux.

use std::fs;
use std::path::{Path, PathBuf};

/// AWS Lambda gives a whole CPU at 1,769 MB, and shares of it in proportion (AWS Lambda Developer Guide, "Configure Lambda
/// function memory").
const MICROSECONDS: u32 = PERIOD * 128 / 1769;
/// The length of the periods in which AWS Lambda hands out CPU time, in microseconds, as others have measured it.
const PERIOD: u32 = 20_000;

/// A control group with that share; removed when dropped.
pub(crate) struct Share {
    folder: PathBuf,
}

impl Share {
    /// Makes the group, with version 2 or version 1 of the interface.
    ///
    /// # Errors
    /// Says why this machine does not let it.
    pub(crate) fn of_128_mb() -> Result<Self, String> {
        let root = Path::new("/sys/fs/cgroup");
        let name = format!("testbed-bench-{}", std::process::id());
        if root.join("cgroup.controllers").is_file() {
            // Children of the root get the controller only if the root hands it down.
            let _ = fs::write(root.join("cgroup.subtree_control"), "+cpu");
            Self::make(root.join(name), &[("cpu.max", format!("{MICROSECONDS} {PERIOD}"))])
        } else if root.join("cpu/cpu.cfs_quota_us").is_file() {
            let settings =
                [("cpu.cfs_period_us", PERIOD.to_string()), ("cpu.cfs_quota_us", MICROSECONDS.to_string())];
            Self::make(root.join("cpu").join(name), &settings)
        } else {
            Err(format!("{} has no CPU controller", root.display()))
        }
    }

    fn make(folder: PathBuf, settings: &[(&str, String)]) -> Result<Self, String> {
        let failed = |what: &Path, error: std::io::Error| format!("{}: {error}", what.display());
        fs::create_dir(&folder).map_err(|error| failed(&folder, error))?;
        let share = Self { folder };
        for (file, value) in settings {
            let path = share.folder.join(file);
            fs::write(&path, value).map_err(|error| failed(&path, error))?;
        }
        Ok(share)
    }

    /// Holds a process to the share.
    pub(crate) fn hold(&self, process: u32) {
        fs::write(self.folder.join("cgroup.procs"), process.to_string()).unwrap();
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.folder) {
            eprintln!("cannot remove {}: {error}", self.folder.display());
        }
    }
}
