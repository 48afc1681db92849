//! Whether every key and every serial number in the ledger belongs to one board only.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use serde::Serialize;

use super::Entry;

/// A key or serial number that the ledger knows with several partners.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was seen more than once.
    pub what: Identity,
    /// Its value.
    pub value: String,
    /// What its partners are.
    pub with: Identity,
    /// The partners, in the order in which they were first seen.
    pub partners: Vec<String>,
}

/// What identifies a board, or a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Identity {
    /// The USB serial number of the kit.
    UsbSerial,
    /// The serial number of the secure element.
    SecureElementSerial,
    /// The thing name, which stands for the device's key.
    ThingName,
}

impl Identity {
    /// As people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::UsbSerial => "kit",
            Self::SecureElementSerial => "secure element",
            Self::ThingName => "thing",
        }
    }

    fn of(self, entry: &Entry) -> Option<&str> {
        match self {
            Self::UsbSerial => entry.usb_serial.as_deref(),
            Self::SecureElementSerial => entry.secure_element_serial.as_deref(),
            Self::ThingName => entry.thing_name.as_deref(),
        }
    }
}

/// What must belong together one to one. Kit and thing follow from the two.
const RELATIONS: [(Identity, Identity); 2] = [
    (Identity::UsbSerial, Identity::SecureElementSerial),
    (Identity::SecureElementSerial, Identity::ThingName),
];

/// Every key and serial number that was seen with differing partners. Attempts that failed count too: the board was
/// there. The same board any number of times is no finding.
///
/// `entries` reads the ledger from its beginning. It is read once; if there are findings, once more for what was found. In
/// between, 32 bytes are held for each board.
///
/// # Errors
/// Those of reading.
pub fn check<I, E>(entries: impl Fn() -> Result<I, E>) -> Result<Vec<Finding>, E>
where
    I: Iterator<Item = Result<Entry, E>>,
{
    let hasher = RandomState::new();
    let mut seen = RELATIONS.map(|_| Pairs::default());
    for entry in entries()? {
        let entry = entry?;
        for ((what, with), pairs) in RELATIONS.iter().zip(&mut seen) {
            if let Some((value, partner)) = what.of(&entry).zip(with.of(&entry)) {
                pairs.add((hasher.hash_one(value), hasher.hash_one(partner)));
            }
        }
    }
    let mut several: Vec<Several> = Vec::new();
    for ((what, with), pairs) in RELATIONS.into_iter().zip(seen) {
        let [values, partners] = pairs.several();
        several.push(Several::new(what, with, values));
        several.push(Several::new(with, what, partners));
    }
    if several.iter().all(|several| several.hashes.is_empty()) {
        return Ok(Vec::new());
    }
    for entry in entries()? {
        let entry = entry?;
        several.iter_mut().for_each(|several| several.add(&entry, &hasher));
    }
    Ok(several.into_iter().flat_map(Several::findings).collect())
}

/// Pairs of hashes that were seen.
#[derive(Default)]
struct Pairs(Vec<(u64, u64)>);

impl Pairs {
    fn add(&mut self, pair: (u64, u64)) {
        let Self(pairs) = self;
        if pairs.len() == pairs.capacity() {
            pairs.sort_unstable();
            pairs.dedup();
            if pairs.len() > pairs.capacity() / 4 * 3 {
                pairs.reserve_exact(pairs.len().max(1024));
            }
        }
        pairs.push(pair);
    }

    /// The first ones that were seen with several second ones, and the second ones that were seen with several first ones.
    fn several(self) -> [HashSet<u64>; 2] {
        let Self(mut pairs) = self;
        [false, true].map(|swap| {
            if swap {
                pairs.iter_mut().for_each(|(one, other)| std::mem::swap(one, other));
            }
            pairs.sort_unstable();
            pairs.dedup();
            pairs.windows(2).filter(|two| two[0].0 == two[1].0).map(|two| two[0].0).collect()
        })
    }
}

/// What was seen with several partners, by the hashes of the values.
struct Several {
    what: Identity,
    with: Identity,
    hashes: HashSet<u64>,
    /// Partners of each value, in the order in which they were first seen, and their hashes.
    found: BTreeMap<String, (Vec<String>, HashSet<u64>)>,
}

impl Several {
    fn new(what: Identity, with: Identity, hashes: HashSet<u64>) -> Self {
        Self { what, with, hashes, found: BTreeMap::new() }
    }

    fn add(&mut self, entry: &Entry, hasher: &RandomState) {
        let Some((value, partner)) = self.what.of(entry).zip(self.with.of(entry)) else { return };
        if !self.hashes.contains(&hasher.hash_one(value)) {
            return;
        }
        let (partners, hashes) = self.found.entry(value.to_owned()).or_default();
        if hashes.insert(hasher.hash_one(partner)) {
            partners.push(partner.to_owned());
        }
    }

    fn findings(self) -> impl Iterator<Item = Finding> {
        let Self { what, with, found, .. } = self;
        // Two values can have one hash.
        let found = found.into_iter().filter(|(_, (partners, _))| partners.len() > 1);
        found.map(move |(value, (partners, _))| Finding { what, value, with, partners })
    }
}
