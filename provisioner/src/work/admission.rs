//! The admission list, published: the keys of this station joined with what other stations have published, signed, and put where the
//! function reads it.

use device_pki::Signer;
use device_pki::admission_list::{AdmissionKey, AdmissionList};
use device_pki::key::{Keys, Uri};
use iot_account::admission::Published;
use time::{Duration, OffsetDateTime};

use super::{AuthorityError, Error};
use crate::state::admission::{self, Admitted};
use crate::state::home::Home;
use crate::state::{authorities, store};

/// Per cent of the validity: with more left, a list of the same keys is not published again.
pub const FRESH: i64 = 66;

/// What is to be published.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// The key, where it is not where the home says.
    pub key: Option<&'a Uri>,
    /// Whether a key file that is made is encrypted.
    pub encrypt: bool,
    /// Days that the list counts.
    pub days: u16,
    /// Whether a list is published that changes nothing.
    pub force: bool,
    /// The time of the list.
    pub now: OffsetDateTime,
}

/// What a look has found.
#[derive(Debug)]
pub struct Found {
    /// The keys, with those that other stations have published.
    pub admitted: Admitted,
    /// Keys that another station has added, and that it has removed, since this one looked last.
    pub from_others: (usize, usize),
    /// The list that is published.
    pub published: Option<AdmissionList>,
    /// What the place calls it.
    version: Option<String>,
    /// The number of the next list. It is the time in milliseconds: it grows also where earlier lists are lost.
    pub number: u64,
    /// Whether the published list says the same, and counts for long enough.
    pub is_current: bool,
    key: Option<Signer>,
    uri: Uri,
}

impl Found {
    /// Looks at what is here, and at what is `published`. Changes nothing.
    ///
    /// # Errors
    /// [`AuthorityError::AdmissionKeyOfCa`], [`AuthorityError::NoAdmissionKey`]; [`device_pki::Error::AdmissionList`] for a list that
    /// another key has signed; as [`admission::key`].
    pub fn look(
        home: &Home,
        keys: &Keys,
        published: Option<Published>,
        order: &Order<'_>,
        place: &str,
    ) -> Result<Self, Error> {
        let uri = order.key.cloned().map_or_else(|| admission::key_uri(home), Ok)?;
        let key = admission::key(home, keys, Some(&uri))?;
        if let Some(key) = &key {
            check(home, &key.admission_key()?)?;
        }
        let mut admitted = Admitted::read(home)?;
        let seen = admission::last_list(home)?;
        let (mut from_others, mut list, mut version) = ((0, 0), None, None);
        if let Some(found) = published {
            let Some(key) = &key else { return Err(AuthorityError::NoAdmissionKey { uri }.into()) };
            let read = AdmissionList::verified(found.bytes, place, &key.admission_key()?);
            let read = read.map_err(device_pki::Error::from)?;
            if seen.as_ref().is_none_or(|seen| seen.number() < read.number()) {
                from_others = admitted.follow(&read, seen.as_ref());
            }
            (list, version) = (Some(read), found.version);
        }
        let last = [&list, &seen].into_iter().flatten().map(AdmissionList::number).max().unwrap_or_default();
        let millisecond = u64::try_from(order.now.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
        let next = last.checked_add(1);
        let next = next.ok_or_else(|| AuthorityError::ListNumber { file: admission::list_file(home) })?;
        let is_current = list.as_ref().is_some_and(|list| {
            list.left(order.now.unix_timestamp()) > FRESH
                && list.number() == last
                && list.keys().eq(admitted.keys())
        });
        let number = next.max(millisecond);
        let published = list;
        Ok(Self { admitted, from_others, published, version, number, is_current, key, uri })
    }

    /// What the place calls the list that is published.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The key that has signed what is published; `None` before there is a key.
    ///
    /// # Errors
    /// As [`Signer::open`].
    pub fn key(&self) -> Result<Option<AdmissionKey>, Error> {
        Ok(self.key.as_ref().map(Signer::admission_key).transpose()?)
    }

    /// Keeps what other stations have published, and signs the next list with the key, which is made if there is none. Gives the
    /// list and the key. Call it under [`admission::lock`].
    ///
    /// # Errors
    /// As [`Keys::make`] and [`Signer::sign_admission_list`]; [`durable_files::Error`].
    pub fn sign(
        &self,
        home: &Home,
        keys: &Keys,
        order: &Order<'_>,
    ) -> Result<(AdmissionList, AdmissionKey), Error> {
        let signer = match &self.key {
            Some(key) => key.clone(),
            None => {
                home.create()?;
                Signer::new(keys, keys.make(&self.uri, order.encrypt)?)
            }
        };
        let key = signer.admission_key()?;
        check(home, &key)?;
        admission::keep_key_uri(home, signer.uri())?;
        self.admitted.write(home)?;
        let admitted = self.admitted.keys().collect();
        Ok((signer.sign_admission_list(admitted, self.number, order.days, order.now)?, key))
    }

    /// Until when the next list counts.
    pub fn next_update(order: &Order<'_>) -> OffsetDateTime {
        order.now + Duration::days(order.days.into())
    }
}

/// Refuses the key of a CA: whoever has it could admit the boards that it signs.
///
/// # Errors
/// [`AuthorityError::AdmissionKeyOfCa`].
fn check(home: &Home, key: &AdmissionKey) -> Result<(), Error> {
    let root = store::certificate(home, store::Role::Root)?;
    let signers = authorities::all(home)?.into_iter().map(|authority| authority.certificate);
    match root.into_iter().chain(signers).find(|certificate| certificate.point() == Some(key.0)) {
        Some(ca) => Err(AuthorityError::AdmissionKeyOfCa { certificate: ca.facts().subject.clone() }.into()),
        None => Ok(()),
    }
}
