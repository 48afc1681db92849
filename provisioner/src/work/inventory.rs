//! Every device certificate that this computer or the account knows of, and where the two differ. Pure but for
//! [`on_disk`]. What the account says comes in pages, and is put to each certificate by itself.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::num::NonZero;
use std::panic::resume_unwind;

use device_pki::certificate::rfc3339;
use device_pki::{Certificate, Purpose};
use durable_files::Kind;
use durable_files::folder;
use serde::Serialize;
use time::OffsetDateTime;
use tracing::warn;

use crate::state::authorities::{self, Authority};
use crate::state::board::{CERTIFICATE, THING_NAME};
use crate::state::home::Home;
use crate::state::ledger::{Ending, Entry, Ledger};
use crate::state::revocations::{self, Revocation};
use crate::state::{self, audit, certificates};

mod known;

pub use known::{Known, known};

/// A device certificate in the folder of a board.
#[derive(Clone, Debug)]
pub struct OnDisk {
    /// Name of the board's folder.
    pub folder: String,
    /// The certificate.
    pub certificate: Certificate,
    /// The thing name beside it.
    pub thing_name: Option<String>,
}

/// The certificates in the folders of the boards, in the order of the folders' names. What is no certificate is left out.
/// Every folder is looked into, also one that no board gets today: what was issued can be revoked wherever it is.
///
/// # Errors
/// [`durable_files::Error::Io`].
pub fn on_disk(home: &Home) -> Result<Vec<OnDisk>, durable_files::Error> {
    let Some(root) = folder::open(home.root())? else { return Ok(Vec::new()) };
    side_by_side(&root.entries()?, |folder::Entry { path, kind }| {
        let Some(folder) = path.file_name().and_then(|name| name.to_str()) else { return Ok(None) };
        match kind {
            Kind::Folder => {}
            Kind::File => return Ok(None),
            kind => {
                warn!("{} is {kind}; it is left out", path.display());
                return Ok(None);
            }
        }
        let Some(board) = root.enter(folder)? else { return Ok(None) };
        let certificate = there(board.read(CERTIFICATE))?.and_then(|pem| Certificate::read(&pem).ok());
        let Some(certificate) = certificate else { return Ok(None) };
        let thing_name = there(board.read(THING_NAME))?;
        let thing_name = thing_name.map(|name| String::from_utf8_lossy(&name).trim().to_owned());
        Ok(Some(OnDisk { folder: folder.to_owned(), certificate, thing_name }))
    })
}

/// What `read` makes of each item, in their order. Opening many small files is the work of the operating system: every processor
/// does a part of it.
fn side_by_side<T: Sync, R: Send, E: Send>(
    items: &[T],
    read: impl Fn(&T) -> Result<Option<R>, E> + Sync,
) -> Result<Vec<R>, E> {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let part = items.len().div_ceil(processors).max(LEAST);
    let of_part = |part: &[T]| part.iter().filter_map(|item| read(item).transpose()).collect();
    let of_part = &of_part;
    std::thread::scope(|scope| {
        let parts: Vec<_> = items.chunks(part).map(|part| scope.spawn(move || of_part(part))).collect();
        let mut all = Vec::with_capacity(items.len());
        for part in parts {
            let read: Result<Vec<R>, E> = part.join().unwrap_or_else(|panic| resume_unwind(panic));
            all.extend(read?);
        }
        Ok(all)
    })
}

/// Fewer items are not worth a thread.
const LEAST: usize = 64;

/// A certificate that is kept, and is in no board's folder.
#[derive(Clone, Debug)]
pub struct Kept {
    /// SHA-256 of the DER certificate, 64 lower-case hex digits.
    pub certificate_id: String,
    /// Identifier of its key: SHA-1 of the public key bits, 40 lower-case hex digits.
    pub subject_key_identifier: String,
    /// The certificate; `None` where its file is damaged.
    pub certificate: Option<Certificate>,
}

/// The certificates that are kept beside those in the boards' folders.
fn kept(home: &Home, disk: &[OnDisk]) -> Result<Vec<Kept>, durable_files::Error> {
    let in_folders: HashSet<&str> =
        disk.iter().map(|found| found.certificate.facts().certificate_id.as_str()).collect();
    let Some(folder) = certificates::opened(home)? else { return Ok(Vec::new()) };
    let of_keys = side_by_side(&certificates::keys(&folder)?, |key| {
        let mut beside = certificates::in_folder(&folder, key)?;
        beside.retain(|kept| !in_folders.contains(kept.certificate_id.as_str()));
        let read = beside.into_iter().map(|kept| {
            let certificate = kept.read()?;
            let certificates::Kept { certificate_id, subject_key_identifier, .. } = kept;
            Ok(Kept { certificate_id, subject_key_identifier, certificate })
        });
        read.collect::<Result<Vec<_>, _>>().map(Some)
    });
    Ok(of_keys?.into_iter().flatten().collect())
}

/// A file of a board; `None` where there is none, and where something else has its name.
fn there(
    read: Result<Option<Vec<u8>>, durable_files::Error>,
) -> Result<Option<Vec<u8>>, durable_files::Error> {
    match read {
        Err(
            error @ (durable_files::Error::Symlink { .. }
            | durable_files::Error::NotAFile { .. }
            | durable_files::Error::TooLong { .. }),
        ) => {
            warn!("{error}; it is left out");
            Ok(None)
        }
        read => read,
    }
}

/// All that is known.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The signers of the home folder.
    pub authorities: Vec<Authority>,
    /// The boards' folders.
    pub disk: Vec<OnDisk>,
    /// The other certificates that are kept.
    pub kept: Vec<Kept>,
    /// The ledger, oldest first.
    pub ledger: Vec<Entry>,
    /// Lines of the ledger that cannot be read.
    pub damaged: usize,
    /// The audit log, oldest first.
    pub audit: Vec<audit::Entry>,
    /// What the signers have revoked.
    pub revocations: Vec<Revocation>,
}

impl Sources {
    /// What the home folder knows of certificates.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of(home: &Home) -> Result<Self, state::Error> {
        let disk = on_disk(home)?;
        let ledger = Ledger::of(home).read()?;
        Ok(Self {
            authorities: authorities::all(home)?,
            kept: kept(home, &disk)?,
            disk,
            damaged: ledger.damaged.len(),
            ledger: ledger.entries,
            audit: audit::Log::of(home).entries()?,
            revocations: revocations::all(home)?,
        })
    }
}

/// How disk, ledger and account differ about a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// A newer certificate of the same thing is known, and this one is not revoked.
    Superseded,
    /// It is past its end.
    Expired,
    /// On its signer's list of revocations, but the account would let it in.
    NotRevokedInAccount,
    /// REVOKED in the account, but not on its signer's list.
    NotOnList,
    /// Issued here, and the account does not know it: the board has not connected yet.
    NotInAccount,
    /// No attempt in the ledger ended with it.
    NotInLedger,
    /// It is in no board's folder.
    NotOnDisk,
}

impl Difference {
    /// For people, and what to do where something is to be done.
    pub fn text(self) -> &'static str {
        match self {
            Self::Superseded => "a newer one is known: revoke it",
            Self::Expired => "expired",
            Self::NotRevokedInAccount => "revoked here, not in the account: revoke it again",
            Self::NotOnList => "not on its signer's revocation list: revoke it again",
            Self::NotInAccount => "has not connected yet",
            Self::NotInLedger => "not in the ledger",
            Self::NotOnDisk => "not on disk",
        }
    }
}

/// The last attempt in the ledger that ended with a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LastEntry {
    /// When it ended, RFC 3339.
    #[serde(serialize_with = "device_pki::certificate::as_rfc3339")]
    pub when: OffsetDateTime,
    /// Where.
    pub station: String,
    /// How.
    pub outcome: Ending,
}

/// One device certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Device {
    /// SHA-256 of the DER certificate, 64 lower-case hex digits.
    pub certificate_id: String,
    /// Its thing, where it is known.
    pub thing_name: Option<String>,
    /// Its status in the account; `None` where the account does not know it, or was not asked.
    pub status: Option<String>,
    /// End of its validity, RFC 3339, where it is known.
    pub not_after: Option<String>,
    /// Key identifier of the signer, where it is one of this home.
    pub authority_key_identifier: Option<String>,
    /// The board's folder.
    pub folder: Option<String>,
    /// The last attempt in the ledger that ended with it.
    pub ledger: Option<LastEntry>,
    /// Whether it is on its signer's list of revocations.
    pub revoked: bool,
    /// What differs.
    pub differences: Vec<Difference>,
}

impl Device {
    /// One that only the account knows, registered with the signer of this key identifier, where it is one of this home.
    pub fn unknown(certificate_id: String, thing_name: Option<String>, signer: Option<String>) -> Self {
        Self {
            certificate_id,
            thing_name,
            status: None,
            not_after: None,
            authority_key_identifier: signer,
            folder: None,
            ledger: None,
            revoked: false,
            differences: vec![Difference::NotInLedger, Difference::NotOnDisk],
        }
    }

    /// The same with what the account says of it: its status, or that it does not know it.
    #[must_use]
    pub fn in_account(mut self, status: Option<String>) -> Self {
        let (in_account, revoked) = (status.is_some(), status.as_deref() == Some("REVOKED"));
        let found = [
            (self.revoked && in_account && !revoked, Difference::NotRevokedInAccount),
            (revoked && !self.revoked && self.authority_key_identifier.is_some(), Difference::NotOnList),
            (!in_account, Difference::NotInAccount),
        ];
        if revoked {
            self.differences.retain(|difference| *difference != Difference::Superseded);
        }
        self.differences.extend(found.into_iter().filter(|(differs, _)| *differs).map(|(_, found)| found));
        self.differences.sort();
        self.status = status;
        self
    }
}

/// Everything that this computer knows, one row a certificate, by thing and then by age. The account was not asked.
pub fn devices(sources: &Sources, now: OffsetDateTime) -> Vec<Device> {
    let Sources { authorities, disk, kept, ledger, audit, revocations, .. } = sources;
    let disk: BTreeMap<&str, &OnDisk> =
        disk.iter().map(|found| (found.certificate.facts().certificate_id.as_str(), found)).collect();
    let kept: BTreeMap<&str, &Kept> = kept.iter().map(|kept| (kept.certificate_id.as_str(), kept)).collect();
    let ended: BTreeMap<&str, &Entry> = ledger
        .iter()
        .filter(|entry| entry.outcome != Ending::Failed)
        .filter_map(|entry| Some((entry.certificate_id.as_deref()?, entry)))
        .collect();
    let signed: BTreeMap<&str, &audit::Entry> = audit
        .iter()
        .filter(|entry| entry.purpose == Purpose::DeviceCertificate)
        .map(|entry| (entry.sha256.as_str(), entry))
        .collect();
    let revoked: BTreeSet<&str> =
        revocations.iter().map(|revocation| revocation.certificate_id.as_str()).collect();
    let ids = disk.keys().chain(kept.keys()).chain(ended.keys()).chain(&revoked).copied();
    let ids: BTreeSet<&str> = ids.collect();

    // Most have one of a few issuers, and comparing names takes longer than all the rest.
    let mut issuers = HashMap::new();
    let mut devices: Vec<Device> = ids
        .into_iter()
        .map(|id| {
            let (file, kept, entry, signature) = (disk.get(id), kept.get(id), ended.get(id), signed.get(id));
            let certificate = file
                .map(|file| &file.certificate)
                .or_else(|| kept.and_then(|kept| kept.certificate.as_ref()));
            let signer = certificate
                .and_then(|certificate| {
                    let find = || authorities::named_issuer(authorities, certificate);
                    *issuers.entry(certificate.named_issuer()).or_insert_with(find)
                })
                .map(|authority| authority.subject_key_identifier().to_owned())
                .or_else(|| signature.map(|signature| signature.authority_key_identifier.clone()));
            let expires = certificate.map(|certificate| certificate.facts().not_after);
            let lacks = [
                (entry.is_none(), Difference::NotInLedger),
                (file.is_none(), Difference::NotOnDisk),
                (expires.is_some_and(|expires| expires < now), Difference::Expired),
            ];
            Device {
                certificate_id: id.to_owned(),
                thing_name: file
                    .and_then(|file| file.thing_name.clone())
                    .or_else(|| entry.and_then(|entry| entry.thing_name.clone()))
                    .or_else(|| kept.map(|kept| kept.subject_key_identifier.clone())),
                status: None,
                not_after: expires.map(rfc3339),
                authority_key_identifier: signer,
                folder: file.map(|file| file.folder.clone()),
                ledger: entry.map(|entry| LastEntry {
                    when: entry.when,
                    station: entry.station.clone(),
                    outcome: entry.outcome,
                }),
                revoked: revoked.contains(id),
                differences: lacks.into_iter().filter(|(lacks, _)| *lacks).map(|(_, lack)| lack).collect(),
            }
        })
        .collect();
    supersede(&mut devices);
    devices.iter_mut().for_each(|device| device.differences.sort());
    sort(&mut devices);
    devices
}

/// By thing and then by age.
pub fn sort(devices: &mut [Device]) {
    devices.sort_by(|one, other| order(one).cmp(&order(other)));
}

fn order(device: &Device) -> (Option<&str>, Option<OffsetDateTime>) {
    (device.thing_name.as_deref(), device.ledger.as_ref().map(|entry| entry.when))
}

/// Of several certificates of one thing, the one on disk counts, or else the last in the ledger.
fn supersede(devices: &mut [Device]) {
    let rank = |device: &Device| (device.folder.is_some(), device.ledger.as_ref().map(|entry| entry.when));
    let mut newest = HashMap::new();
    for device in devices.iter() {
        if let Some(thing) = &device.thing_name {
            let best = newest.entry(thing.clone()).or_insert_with(|| rank(device));
            *best = (*best).max(rank(device));
        }
    }
    for device in devices.iter_mut() {
        let best = device.thing_name.as_ref().and_then(|thing| newest.get(thing));
        if best.is_some_and(|best| rank(device) < *best) {
            // Its file has made room for the newer one's.
            device.differences.retain(|difference| *difference != Difference::NotOnDisk);
            if !device.revoked {
                device.differences.push(Difference::Superseded);
            }
        }
    }
}

#[cfg(test)]
mod tests;
