//! Files that are whole or not there, whenever a program ends or the power fails.
//!
//! - [`write()`] replaces a file in one step; [`stage`] does the first half and leaves the second to [`Staged::commit`].
//! - [`read_secret`] reads a key only if its owner alone can read it, and wipes it from memory afterwards.
//! - [`Log`] is a file of lines that several processes append to.
//! - [`folder`] makes folders for their owner alone and locks them for one run, or for several that only read.
//!
//! Nothing here follows a symbolic link to write, and nothing is lost without an [`Error`].
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
//! let log = Log::new(home.join("log.jsonl"), Access::Secret, Torn::Cut);
//! log.append(|_last| Ok(b"{}".to_vec()), |_line| Ok(()))?;
//! assert_eq!(log.read()?, b"{}\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod file;
pub mod folder;
mod leftovers;
mod lock;
mod log;
#[cfg(test)]
mod tests;

pub use error::Error;
pub use file::{Access, Staged, read, read_secret, remove, rename, set_aside, stage, write};
pub use log::{Held, Log, Torn, lines};
