//! What is attached to what, found from either side: policies and their targets, principals and their things.

use std::collections::BTreeMap;

/// Attachments, each with a value.
#[derive(Clone, Debug, Default)]
pub(super) struct Links<T> {
    from: BTreeMap<String, BTreeMap<String, T>>,
    to: BTreeMap<String, BTreeMap<String, T>>,
    none: BTreeMap<String, T>,
}

impl<T: Copy> Links<T> {
    pub(super) fn insert(&mut self, from: &str, to: &str, value: T) {
        self.from.entry(from.to_owned()).or_default().insert(to.to_owned(), value);
        self.to.entry(to.to_owned()).or_default().insert(from.to_owned(), value);
    }

    pub(super) fn remove(&mut self, from: &str, to: &str) -> Option<T> {
        let take = |links: &mut BTreeMap<String, BTreeMap<String, T>>, one: &str, other: &str| {
            let ends = links.get_mut(one)?;
            let value = ends.remove(other);
            if ends.is_empty() {
                links.remove(one);
            }
            value
        };
        take(&mut self.to, to, from);
        take(&mut self.from, from, to)
    }

    /// Removes all that lead to `to`.
    pub(super) fn remove_to(&mut self, to: &str) {
        let ends: Vec<String> = self.to(to).keys().cloned().collect();
        for from in ends {
            self.remove(&from, to);
        }
    }

    /// What `from` leads to.
    pub(super) fn from(&self, from: &str) -> &BTreeMap<String, T> {
        self.from.get(from).unwrap_or(&self.none)
    }

    /// What leads to `to`.
    pub(super) fn to(&self, to: &str) -> &BTreeMap<String, T> {
        self.to.get(to).unwrap_or(&self.none)
    }
}
