//! Folders in which no link is followed.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{PoisonError, RwLock};

static GUARDED: RwLock<BTreeSet<PathBuf>> = RwLock::new(BTreeSet::new());

/// From now on, this process follows no link below `folder` and opens nothing there but regular files. `folder` itself may be
/// a link, or be below one: the user has named it.
pub fn guard(folder: &Path) {
    if let Ok(folder) = std::path::absolute(folder) {
        GUARDED.write().unwrap_or_else(PoisonError::into_inner).insert(folder);
    }
}

/// A path as the part that may have links, and the names below it that may not.
pub(crate) struct Split {
    pub(crate) base: PathBuf,
    pub(crate) below: Vec<OsString>,
    /// Whether `base` is guarded.
    pub(crate) guarded: bool,
}

/// Splits a path at the outermost guarded folder above it, or at the path itself where there is none.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] for a path that leaves the guarded folder.
pub(crate) fn split(path: &Path) -> io::Result<Split> {
    let path = std::path::absolute(if path.as_os_str().is_empty() { Path::new(".") } else { path })?;
    let guarded = GUARDED.read().unwrap_or_else(PoisonError::into_inner);
    let Some(base) = path.ancestors().filter(|folder| guarded.contains(*folder)).last() else {
        return Ok(Split { base: path, below: Vec::new(), guarded: false });
    };
    let below = path.strip_prefix(base).unwrap_or(Path::new("")).components();
    let below = below.map(|component| match component {
        Component::Normal(name) => Ok(name.to_owned()),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    });
    Ok(Split { base: base.to_owned(), below: below.collect::<io::Result<_>>()?, guarded: true })
}

/// Whether no link at `path` is to be followed.
pub(crate) fn is_guarded(path: &Path) -> bool {
    split(path).map_or(true, |split| split.guarded)
}
