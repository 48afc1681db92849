//! The contract with programs that read what `--output json` prints: docs/json.md, and a schema for each command.

use serde::Serialize;

/// Version of the contract. It changes when a property is removed or renamed, or gets another type or meaning.
pub const SCHEMA_VERSION: u32 = 1;

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
