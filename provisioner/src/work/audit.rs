//! What is signed in the home folder, held against the audit log: every signature that was made here has an entry.
//!
//! Not everything was made here. A CA may have been brought, another tool may have used its key before, and a board may have
//! its factory certificate. So an entry is missed only where it is certain that there should be one: the key has signed here
//! before. The rest is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use device_pki::Certificate;
use serde::Serialize;
use time::OffsetDateTime;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::inventory;
use crate::state::audit::{Entry, Finding, sha256};
use crate::state::board::CERTIFICATE;
use crate::state::home::Home;
use crate::state::{self, authorities, certificates, revocations, store};

/// What is signed in the home, against the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Certificates and lists that have an entry.
    pub recorded: usize,
    /// Those that have none, and may have been made elsewhere or before the log began.
    pub made_elsewhere: usize,
    /// Those that should have one.
    #[serde(skip)]
    pub findings: Vec<Finding>,
}

/// A certificate or a revocation list in a file.
struct Document {
    file: String,
    sha256: String,
    /// Key identifier of the key that signed it, where that is one of this home.
    authority: Option<String>,
    since: OffsetDateTime,
}

/// Compares what is signed in the home with the entries of its log.
///
/// # Errors
/// What is in the home cannot be read.
pub fn compare(home: &Home, entries: &[Entry], has_log: bool) -> Result<Comparison, state::Error> {
    let documents = documents(home)?;
    if !has_log && !documents.is_empty() {
        let findings = vec![Finding::Gone { signed: documents.len() }];
        return Ok(Comparison { made_elsewhere: documents.len(), findings, ..Comparison::default() });
    }
    let mut first = BTreeMap::new();
    for entry in entries {
        let when = first.entry(entry.authority_key_identifier.as_str()).or_insert(entry.when);
        *when = entry.when.min(*when);
    }
    let recorded: BTreeSet<&str> = entries.iter().map(|entry| entry.sha256.as_str()).collect();
    let mut comparison = Comparison::default();
    for Document { file, sha256, authority, since } in documents {
        let began = authority.as_deref().and_then(|authority| first.get(authority));
        if recorded.contains(&*sha256) {
            comparison.recorded += 1;
        } else if began.is_some_and(|began| since > *began) {
            comparison.findings.push(Finding::Unrecorded { file, sha256 });
        } else {
            comparison.made_elsewhere += 1;
        }
    }
    Ok(comparison)
}

/// Every certificate and list of the home, once each.
fn documents(home: &Home) -> Result<Vec<Document>, state::Error> {
    let mut documents = Vec::new();
    let signers = authorities::all(home)?;
    let root = store::certificate(home, store::Role::Root)?;
    let key = |certificate: &Certificate| certificate.facts().subject_key_identifier.clone();
    let authority = |certificate: &Certificate| match &root {
        Some(root) if certificate.is_signed_by(root) => key(root),
        _ => authorities::issuer(&signers, certificate)
            .map(|signer| signer.subject_key_identifier().to_owned()),
    };
    let of = |file: String, certificate: &Certificate| Document {
        file,
        sha256: certificate.facts().certificate_id.clone(),
        authority: authority(certificate),
        since: certificate.facts().not_before,
    };
    let name = |path: &Path| path.strip_prefix(home.root()).unwrap_or(path).display().to_string();
    documents.extend(root.iter().map(|root| of(store::ROOT_CERTIFICATE.to_owned(), root)));
    for signer in &signers {
        documents.push(of(name(&signer.folder.file(store::SIGNER_CERTIFICATE)), &signer.certificate));
        let proof = signer.folder.file(store::VERIFICATION_CERTIFICATE);
        if let Some(certificate) = durable_files::read(&proof)?.and_then(|file| Certificate::read(&file).ok())
        {
            documents.push(of(name(&proof), &certificate));
        }
    }
    for board in inventory::on_disk(home)? {
        documents.push(of(format!("{}/{CERTIFICATE}", board.folder), &board.certificate));
    }
    for kept in certificates::all(home)? {
        if let Some(certificate) = kept.read()? {
            documents.push(of(name(kept.path()), &certificate));
        }
    }
    for key in signers
        .iter()
        .map(|signer| signer.subject_key_identifier().to_owned())
        .chain(root.iter().filter_map(key))
    {
        let path = revocations::file(&revocations::folder(home), &key, "crl");
        if let Some(list) = durable_files::read(&path)? {
            documents.extend(self::list(name(&path), &list, key));
        }
    }
    documents.sort_by(|a, b| (&a.sha256, &a.file).cmp(&(&b.sha256, &b.file)));
    documents.dedup_by(|a, b| a.sha256 == b.sha256);
    Ok(documents)
}

/// A list, PEM as earlier versions wrote it, or DER.
fn list(file: String, bytes: &[u8], authority: String) -> Option<Document> {
    let pem = x509_parser::pem::parse_x509_pem(bytes).ok();
    let der = pem.as_ref().map_or(bytes, |(_, pem)| pem.contents.as_slice());
    let (_, list) = CertificateRevocationList::from_der(der).ok()?;
    let sha256 = sha256(der);
    Some(Document { file, sha256, authority: Some(authority), since: list.last_update().to_datetime() })
}
