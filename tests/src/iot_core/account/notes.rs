//! What a person who uses the testbed should be told once.

use std::collections::BTreeSet;

use super::Account;

/// What has been told, and what is still to be told.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes {
    told: BTreeSet<String>,
    new: Vec<String>,
}

impl Account {
    /// Has `text` told, if it has not been told before.
    pub(super) fn note(&mut self, text: String) {
        if self.notes.told.insert(text.clone()) {
            self.notes.new.push(text);
        }
    }

    /// What is to be told; it counts as told.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes.new)
    }
}
