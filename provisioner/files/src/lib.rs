//! Files that are whole or not there, whenever a program ends or the power fails.
//!
//! - [`write()`] replaces a file in one step; [`stage`] does the first half and leaves the second to [`Staged::commit`].
//! - [`read_secret`] reads a key only if its owner alone can read it, and wipes it from memory afterwards.
//! - [`Log`] is a file of lines that several processes append to.
//! - [`cache()`] is a file for what can be found out again.
//! - [`folder`] makes folders for their owner alone and locks them for one run, or for several that only read.
//! - [`guard()`] names a folder below which no link is followed and only regular files are opened. Everything else is a place
//!   that the user has named: it may be a link or a pipe, and still has a limit of size and time.
//!
//! No write follows a symbolic link, except to a file for [`output`] that the user has named. What root writes belongs to the owner of
//! the folder. Nothing is lost without an [`Error`].
//!
//! ```
//! use durable_files::{Access, Log, Torn, folder, read, write};
//!
//! # let place = tempfile::tempdir()?;
//! let home = place.path().join("home");
//! folder::create(&home)?;
//! let _lock = folder::lock(&home)?;
//! write(&home.join("name.txt"), b"board 1", Access::Public)?;
//! assert_eq!(read(&home.join("name.txt"))?.as_deref(), Some(&b"board 1"[..]));
//!
//! let log = Log::new(home.join("log.jsonl"), Access::Secret, Torn::Cut(|_| false));
//! log.append(|_last| Ok(b"{}".to_vec()), |_line| Ok(()))?;
//! assert_eq!(log.read()?, b"{}\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cache;
mod error;
mod file;
pub mod folder;
mod guard;
mod leftovers;
mod lock;
mod log;
mod place;
mod share;
mod source;
#[cfg(test)]
mod tests;

pub use cache::cache;
pub use error::{Error, Kind};
pub use file::{
    Access, ExposedKey, KeyFile, Staged, begins_with, close_to_others, expect_closed, exposed_key, input,
    output, overwrite, read, read_found, read_key, read_secret, read_stdin, read_up_to, remove, rename,
    set_aside, stage, write, write_named,
};
pub use guard::guard;
pub use log::{Held, Lines, Log, Torn, lines};
