//! Which certificates belong to which key, as far as this computer knows. Pure.

use std::collections::BTreeMap;

use device_pki::{Certificate, Purpose, SerialNumber};

use super::Sources;
use crate::state::audit::{self, Document};

/// A device certificate that this computer knows of.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Identifier of its key: SHA-1 of the public key bits, 40 lower-case hex digits.
    pub subject_key_identifier: Option<String>,
    /// The certificate, where it is on the disk.
    pub certificate: Option<Certificate>,
    /// Key identifier of the CA that signed it, and the serial number, where the certificate is not on the disk and the audit
    /// log has them.
    pub signed: Option<(String, SerialNumber)>,
    /// Names of its thing.
    pub thing_names: Vec<String>,
}

impl Known {
    /// Whether it is, or was, the certificate of the thing of this name: one with that name, or with the key that it names.
    pub fn is_of_thing(&self, name: &str) -> bool {
        self.subject_key_identifier.as_deref() == Some(name)
            || self.thing_names.iter().any(|thing| thing == name)
    }
}

/// Every device certificate that folders, store, ledger, audit log or revocations know, by its id.
pub fn known(sources: &Sources) -> BTreeMap<String, Known> {
    let mut known = BTreeMap::<String, Known>::new();
    for found in &sources.disk {
        let facts = found.certificate.facts();
        let known = known.entry(facts.certificate_id.clone()).or_default();
        known.subject_key_identifier.clone_from(&facts.subject_key_identifier);
        known.certificate = Some(found.certificate.clone());
        known.thing_names.extend(found.thing_name.clone());
    }
    for kept in &sources.kept {
        let known = known.entry(kept.certificate_id.clone()).or_default();
        known.subject_key_identifier = Some(kept.subject_key_identifier.clone());
        known.certificate.clone_from(&kept.certificate);
    }
    for revocation in &sources.revocations {
        let known = known.entry(revocation.certificate_id.clone()).or_default();
        let key = known.subject_key_identifier.take();
        known.subject_key_identifier = key.or_else(|| revocation.subject_key_identifier.clone());
    }
    for entry in &sources.ledger {
        let (Some(id), Some(thing)) = (&entry.certificate_id, &entry.thing_name) else { continue };
        let known = known.entry(id.clone()).or_default();
        // What the provisioner calls a thing is the identifier of its key.
        known.subject_key_identifier.get_or_insert_with(|| thing.clone());
        if !known.thing_names.contains(thing) {
            known.thing_names.push(thing.clone());
        }
    }
    let issued = || sources.audit.iter().filter(|entry| entry.purpose == Purpose::DeviceCertificate);
    for entry in issued() {
        let known = known.entry(entry.sha256.clone()).or_default();
        if let Document::Certificate { serial_number, subject_key_identifier, .. } = &entry.document {
            let key = known.subject_key_identifier.take();
            known.subject_key_identifier = key.or_else(|| subject_key_identifier.clone());
            known.signed =
                serial_number.parse().ok().map(|number| (entry.authority_key_identifier.clone(), number));
        }
    }
    // A line of an earlier version names no key. The certificates of one secure element have one subject.
    let mut keys = BTreeMap::new();
    for entry in issued() {
        if let Some(key) = known.get(&entry.sha256).and_then(|known| known.subject_key_identifier.clone()) {
            keys.insert(subject(entry), key);
        }
    }
    for entry in issued() {
        if let (Some(known), Some(key)) = (known.get_mut(&entry.sha256), keys.get(subject(entry))) {
            known.subject_key_identifier.get_or_insert_with(|| key.clone());
        }
    }
    known
}

fn subject(entry: &audit::Entry) -> &str {
    entry.document.name()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{audited, provisioned};
    use super::*;

    #[test]
    fn a_certificate_that_only_a_log_knows_belongs_to_its_key() {
        let key = "ab".repeat(20);
        let ids = ["1", "2", "3"].map(|digit| digit.repeat(64));
        let mut sources = Sources { ledger: vec![provisioned(&key, &ids[0])], ..Sources::default() };
        sources.audit = vec![audited(&ids[0], "CN=sn01", None), audited(&ids[1], "CN=sn01", None)];
        sources.audit.push(audited(&ids[2], "CN=sn02", Some("cd".repeat(20))));
        let known = known(&sources);
        let keys: Vec<_> = ids.iter().map(|id| known[id].subject_key_identifier.clone().unwrap()).collect();
        assert_eq!(keys, [key.clone(), key, "cd".repeat(20)]);
        assert!(known.values().all(|known| known.signed.is_some()));
    }
}
