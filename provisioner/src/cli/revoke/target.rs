//! One certificate that is to be revoked: what is done about it in the account and on its signer's list.

use std::collections::HashMap;
use std::sync::Arc;

use device_pki::revocation::Reason;
use device_pki::{Chain, RevocationList, SerialNumber, visible};
use iot_account::Account;
use iot_account::revoke::Device;
use serde::Serialize;
use time::OffsetDateTime;

use crate::cli::{Context, Error};
use crate::state::authorities::Authority;
use crate::state::home::Home;
use crate::state::revocations::{Records, Revocation};
use crate::state::{self, certificates, revocations};
use crate::work;

/// What is to be done about one certificate.
pub(super) struct Target {
    pub(super) device: Device,
    /// Identifier of its key, where it is known.
    pub(super) key: Option<String>,
    /// The signer that issued it, if it is in this home.
    pub(super) authority: Option<Authority>,
    /// The signer with its key, if it can sign lists.
    pub(super) chain: Option<Arc<Chain>>,
    /// Serial number, for the list.
    pub(super) serial_number: Option<SerialNumber>,
    /// Past its end: it cannot connect, and the account does not take it.
    pub(super) has_ended: bool,
    /// PEM of the CA to register it with, if the account does not know it yet.
    pub(super) register_with: Option<String>,
    /// Whether it is noted as revoked for this reason, or for one that weighs as much.
    pub(super) is_noted: bool,
    pub(super) is_listed: bool,
    pub(super) keep_thing: bool,
}

/// What is done in the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum InAccount {
    /// It is REVOKED already.
    Leave,
    /// It becomes REVOKED.
    Revoke,
    /// The account does not know it: it is registered as REVOKED.
    RegisterAsRevoked,
    /// The account does not know it, and it cannot be registered.
    Unknown,
    /// The account does not know it, and does not take it any more: it is past its end.
    Ended,
}

/// What is done about the signer's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum OnList {
    /// It is on the list already.
    Leave,
    /// It is put on the list.
    Add,
    /// The signer's key is not in this home.
    None,
}

/// One line of the plan, or of what was done.
#[derive(Serialize)]
pub(super) struct Row<'a> {
    certificate_id: &'a str,
    subject_key_identifier: Option<&'a str>,
    /// What the account has.
    status: Option<&'a str>,
    account_action: InAccount,
    /// Things that it is detached from.
    detached: &'a [String],
    list_action: OnList,
    authority_key_identifier: Option<&'a str>,
    reason: Reason,
}

impl Target {
    fn in_account(&self) -> InAccount {
        match (&self.device.status, &self.register_with) {
            (Some(_), _) if self.device.is_revoked() => InAccount::Leave,
            (Some(_), _) => InAccount::Revoke,
            (None, _) if self.has_ended => InAccount::Ended,
            (None, Some(_)) => InAccount::RegisterAsRevoked,
            (None, None) => InAccount::Unknown,
        }
    }

    pub(super) fn on_list(&self) -> OnList {
        match (&self.chain, &self.serial_number) {
            (Some(_), _) if self.is_listed => OnList::Leave,
            // RFC 5280, section 4.1.2.2: a negative number is none that a CA gives; no list is made with it.
            (Some(_), Some(number)) if number.positive().is_some() => OnList::Add,
            _ => OnList::None,
        }
    }

    fn detached(&self) -> &[String] {
        if self.keep_thing { &[] } else { &self.device.things }
    }

    pub(super) fn row(&self, reason: Reason) -> Row<'_> {
        Row {
            certificate_id: &self.device.certificate_id,
            subject_key_identifier: self.key.as_deref(),
            status: self.device.status.as_deref(),
            account_action: self.in_account(),
            detached: self.detached(),
            list_action: self.on_list(),
            authority_key_identifier: self.authority.as_ref().map(Authority::subject_key_identifier),
            reason,
        }
    }

    /// Whether it belongs on the list of a signer of this home, whose key is not here.
    pub(super) fn waits_for_list(&self) -> bool {
        self.authority.is_some() && self.chain.is_none()
    }

    /// Whether the device is kept out once this is carried out: by the account, or, where the account does not know the
    /// certificate, by the list.
    pub(super) fn is_out(&self) -> bool {
        self.in_account() != InAccount::Unknown || self.on_list() != OnList::None
    }

    /// Whether there is nothing left to do.
    pub(super) fn is_done(&self) -> bool {
        self.is_out()
            && matches!(self.in_account(), InAccount::Leave | InAccount::Unknown | InAccount::Ended)
            && self.on_list() != OnList::Add
            && self.is_noted
            && self.detached().is_empty()
    }

    pub(super) fn action(&self) -> &'static str {
        if self.is_done() { "leave" } else { "revoke" }
    }

    /// Revokes it in the account, or registers it there as REVOKED; notes it; and detaches it from its things. What is not noted
    /// stays attached: the next run finds it by its thing.
    ///
    /// # Errors
    /// Errors of the calls; the note cannot be written.
    pub(super) async fn revoke(
        &self,
        account: Option<&Account>,
        context: &Context,
        reason: Reason,
    ) -> Result<(), Error> {
        // What stops the device comes first. Where the account fails, the list still keeps it out.
        let stopped = match account.filter(|_| self.in_account() != InAccount::Ended) {
            Some(account) => self.device.revoke(account, self.register_with.as_deref()).await,
            None => Ok(()),
        };
        self.note(context, reason)?;
        stopped?;
        if let (Some(account), false) = (account, self.keep_thing) {
            self.device.detach(account).await?;
        }
        Ok(())
    }

    /// Whether it is known whose it is: its signer is in this home, or the account has it. Of anything else nothing is noted,
    /// for its names, numbers and key can be another's.
    fn is_certain(&self) -> bool {
        self.authority.is_some() || self.device.status.is_some()
    }

    /// Keeps the certificate, so that every account can have it as REVOKED, and notes the revocation. Of a certificate whose
    /// serial number nobody knows there is nothing to note.
    pub(super) fn note(&self, context: &Context, reason: Reason) -> Result<(), Error> {
        if let (Some(certificate), true) = (&self.device.certificate, self.is_certain()) {
            certificates::keep(&context.home, certificate)?;
        }
        let (false, true, Some(serial_number)) =
            (self.is_noted, self.is_certain(), self.serial_number.clone())
        else {
            return Ok(());
        };
        let revocation = Revocation {
            when: state::now(),
            serial_number,
            certificate_id: self.device.certificate_id.clone(),
            subject_key_identifier: self.key.clone(),
            reason,
        };
        Ok(Records::of(&context.home, self.issuer()).add(&revocation)?)
    }

    /// Compares with what is noted here of its issuer's certificates.
    pub(super) fn compare(&mut self, noted: &Noted, reason: Reason) {
        let (Some(serial_number), true) = (&self.serial_number, self.is_certain()) else {
            self.is_noted = true;
            return;
        };
        let of_certificate = noted.revocations.get(&self.device.certificate_id).into_iter().flatten();
        let mut of_certificate = of_certificate.filter(|found| found.serial_number == *serial_number);
        let found = of_certificate.next();
        self.is_noted = found.is_some_and(|found| !reason.outweighs(found.reason));
        let list = noted.list.as_ref().filter(|_| self.is_noted && self.authority.is_some());
        if let (Some(found), Some(list), Some(octets)) = (found, list, serial_number.positive()) {
            self.is_listed = list.this_update() >= found.when.unix_timestamp() && list.has(octets);
        }
    }

    /// Under which name its revocation is noted: of the CA that issued it, or of those that are not in this home.
    pub(super) fn issuer(&self) -> &str {
        self.authority.as_ref().map_or(revocations::OTHERS, Authority::subject_key_identifier)
    }
}

impl Row<'_> {
    pub(super) fn text(&self, done: bool) -> String {
        let would = if done { "" } else { "would be " };
        let status = visible::line(self.status.unwrap_or("not in the account"));
        let account = match self.account_action {
            InAccount::Revoke => format!("{status}, {would}REVOKED"),
            InAccount::RegisterAsRevoked => format!("{status}, {would}registered as REVOKED"),
            InAccount::Leave => "REVOKED already".to_owned(),
            InAccount::Unknown => status.into_owned(),
            InAccount::Ended => format!("{status}, and past its end"),
        };
        let thing = |thing: &String| format!("\n  thing    {would}detached from {}", visible::line(thing));
        let things: String = self.detached.iter().map(thing).collect();
        let signer = self.authority_key_identifier.and_then(|signer| signer.get(..8)).unwrap_or_default();
        let list = match self.list_action {
            OnList::Add => format!("{would}put on the revocation list of the signer CA {signer}"),
            OnList::Leave => format!("already on the revocation list of the signer CA {signer}"),
            OnList::None => {
                "none: its signer or the signer's key is not in this home folder, or its serial number is negative"
                    .to_owned()
            }
        };
        format!("certificate {}\n  account  {account}{things}\n  list     {list}", self.certificate_id)
    }
}

/// What is noted of an issuer's certificates, and its list.
pub(super) struct Noted {
    /// By certificate id.
    revocations: HashMap<String, Vec<Revocation>>,
    list: Option<RevocationList>,
}

impl Noted {
    /// Reads what is noted under a name, see [`Target::issuer`].
    ///
    /// # Errors
    /// As [`Records::read`]; those of the list's file.
    pub(super) fn read(home: &Home, issuer: &str) -> Result<Self, Error> {
        let mut noted = HashMap::<_, Vec<_>>::new();
        for revocation in Records::of(home, issuer).read()? {
            noted.entry(revocation.certificate_id.clone()).or_default().push(revocation);
        }
        let list = durable_files::read(&revocations::file(&revocations::folder(home), issuer, "crl"))?;
        let list = list.and_then(|list| RevocationList::unverified(&list, issuer).ok());
        Ok(Self { revocations: noted, list })
    }
}

/// The signer with its key, opened, so that whatever the key needs is asked before anything is done. A signer that has
/// ended or whose key is gone cannot sign lists any more; the account can still revoke what it has signed.
pub(super) fn chain_of(
    authority: &Authority,
    context: &Context,
    now: OffsetDateTime,
) -> Result<Option<Chain>, Error> {
    let opened = authority
        .chain(&context.keys, now)
        .map_err(work::Error::from)
        .and_then(|chain| Ok(chain.key().open().map(|_| chain)?));
    match opened {
        Err(
            work::Error::Pki(device_pki::Error::NotValidNow { .. } | device_pki::Error::NoKey { .. })
            | work::Error::State(state::Error::Incomplete { .. }),
        ) => Ok(None),
        opened => Ok(Some(opened?)),
    }
}
