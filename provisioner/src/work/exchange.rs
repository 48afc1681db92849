//! The files of a new signer, or of a new root and its signer, take the place of the old ones: as one, whatever interrupts it.

use device_pki::key::Keys;
use durable_files::{folder, remove, rename, set_aside};

use super::Error;
use crate::state::exchange::Exchange;
use crate::state::home::Home;
use crate::state::store::{self, ROOT_FILES, SIGNER_FILES};

/// Has the files in `from` take their places in `home`; `stamp` says that they are a whole chain, and what the old files get
/// behind their names.
///
/// # Errors
/// As [`finish`].
pub(super) fn carry_out(
    home: &Home,
    from: &Home,
    stamp: Option<String>,
    keys: &Keys,
) -> Result<Vec<String>, Error> {
    let files = exchanged(stamp.as_deref()).filter(|file| store::exists(from, file));
    Exchange { files: files.map(str::to_owned).collect(), stamp }.begin(from)?;
    finish(home, from, keys)
}

/// The files that are exchanged: those of a whole chain, or of a signer alone.
fn exchanged(stamp: Option<&str>) -> impl Iterator<Item = &'static str> {
    ROOT_FILES.into_iter().filter(move |_| stamp.is_some()).chain(SIGNER_FILES)
}

/// Moves the new files from `from` to where the old ones are. Can be done any number of times: what is gone already was done by
/// an interrupted run. Says the new names of files that were kept. Keys are remembered by their place, so they are closed.
///
/// # Errors
/// [`crate::state::Error::File`]; the next run goes on from there.
pub(super) fn finish(home: &Home, from: &Home, keys: &Keys) -> Result<Vec<String>, Error> {
    let Exchange { files, stamp } = Exchange::read(from)?;
    let mut kept = Vec::new();
    for file in exchanged(stamp.as_deref()) {
        let is_new = files.iter().any(|new| new == file);
        // A file that has been moved is the new one.
        let is_old = store::exists(home, file) && (!is_new || store::exists(from, file));
        match &stamp {
            Some(stamp) if is_old => {
                let aside = set_aside(&home.file(file), stamp)?;
                kept.extend(aside.file_name().map(|name| name.to_string_lossy().into_owned()));
            }
            None if !is_new => remove(&home.file(file))?,
            _ => {}
        }
        if is_new {
            rename(&from.file(file), &home.file(file))?;
        }
    }
    folder::remove(from.root())?;
    keys.close();
    Ok(kept)
}
