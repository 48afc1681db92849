//! The product's programs, as they were built beside the testbed.

use std::path::PathBuf;

/// Why there is no such program.
#[derive(Debug, thiserror::Error)]
pub enum NotBeside {
    /// It has not been built.
    #[error("there is no {program} beside the testbed, in {}: run `cargo build --bins` first", folder.display())]
    Missing {
        /// File name.
        program: String,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// The system does not say where the testbed is.
    #[error("cannot find the testbed's own folder")]
    Unknown(#[source] std::io::Error),
}

/// The program of that name (without `.exe`) in the folder of the running one, or in the one above if that is where cargo
/// puts tests and benches.
///
/// # Errors
/// [`NotBeside`].
pub fn program(name: &str) -> Result<PathBuf, NotBeside> {
    let mut path = std::env::current_exe().map_err(NotBeside::Unknown)?;
    let program = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    path.push(&program);
    if path.is_file() {
        return Ok(path);
    }
    path.pop();
    Err(NotBeside::Missing { program, folder: path })
}
