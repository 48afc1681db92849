//! Whether every key and every serial number in the ledger belongs to one board only.

use std::collections::BTreeMap;

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
const PAIRS: [(Identity, Identity); 4] = [
    (Identity::UsbSerial, Identity::SecureElementSerial),
    (Identity::SecureElementSerial, Identity::UsbSerial),
    (Identity::SecureElementSerial, Identity::ThingName),
    (Identity::ThingName, Identity::SecureElementSerial),
];

/// Every key and serial number that was seen with differing partners. Attempts that failed count too: the board was
/// there. The same board any number of times is no finding.
pub fn check(entries: &[Entry]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (what, with) in PAIRS {
        let mut seen: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (value, partner) in entries.iter().filter_map(|entry| what.of(entry).zip(with.of(entry))) {
            let partners = seen.entry(value).or_default();
            if !partners.contains(&partner) {
                partners.push(partner);
            }
        }
        let several = seen.into_iter().filter(|(_, partners)| partners.len() > 1);
        findings.extend(several.map(|(value, partners)| Finding {
            what,
            value: value.to_owned(),
            with,
            partners: partners.into_iter().map(str::to_owned).collect(),
        }));
    }
    findings
}
