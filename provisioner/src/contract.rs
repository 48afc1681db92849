//! The contract with programs that read what `--output json` prints: docs/json.md, and a schema for each command.

use std::path::Path;

use serde::{Serialize, Serializer};

/// Version of the contract. It changes when a property is removed or renamed, or gets another type or meaning.
pub const SCHEMA_VERSION: u32 = 1;

/// A path as text, as it is shown to people: in one that is not UTF-8, U+FFFD stands for what is not.
///
/// # Errors
/// Those of the serializer.
pub fn path<S: Serializer>(path: &impl AsRef<Path>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.as_ref().to_string_lossy())
}

/// As [`path`], where there may be none.
///
/// # Errors
/// Those of the serializer.
pub fn optional_path<S: Serializer>(
    path: &Option<impl AsRef<Path>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    path.as_ref().map(|path| path.as_ref().to_string_lossy()).serialize(serializer)
}

/// One object as programs get it: the version first, then what `content` serialises to, which has to be an object.
#[derive(Debug, Serialize)]
pub struct Line<T> {
    schema_version: u32,
    #[serde(flatten)]
    content: T,
}

impl<T: Serialize> Line<T> {
    /// The line with this content.
    pub fn new(content: T) -> Self {
        Self { schema_version: SCHEMA_VERSION, content }
    }
}
