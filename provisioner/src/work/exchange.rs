//! The files of a new signer, or of a new root and its signer, take the place of the old ones: as one, whatever interrupts it.

use durable_files::{folder, remove, rename, set_aside};

use super::Error;
use crate::state::exchange::Exchange;
use crate::state::home::Home;
use crate::state::store::{self, FILES, SIGNER_FILES};

/// Has the files in `from` take their places in `home`; `stamp` says that they are a whole chain, and what the old files get
/// behind their names.
///
/// # Errors
/// As [`finish`].
pub(super) fn carry_out(home: &Home, from: &Home, stamp: Option<String>) -> Result<Vec<String>, Error> {
    let files = if stamp.is_some() { FILES.iter() } else { SIGNER_FILES.iter() };
    let files = files.filter(|file| store::exists(from, file)).map(|file| (*file).to_owned()).collect();
    Exchange { files, stamp }.begin(from)?;
    finish(home, from)
}

/// Moves the new files from `from` to where the old ones are. Can be done any number of times: what is gone already was done by
/// an interrupted run. Says the new names of files that were kept.
///
/// # Errors
/// [`crate::state::Error::File`]; the next run goes on from there.
pub(super) fn finish(home: &Home, from: &Home) -> Result<Vec<String>, Error> {
    let Exchange { files, stamp } = Exchange::read(from)?;
    let exchanged: &[&str] = if stamp.is_some() { &FILES } else { &SIGNER_FILES };
    let mut kept = Vec::new();
    for file in exchanged {
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
    Ok(kept)
}
