//! Signing admission lists.

use time::{Duration, OffsetDateTime};

use crate::admission_list::{
    AdmissionError, AdmissionKey, AdmissionList, KeyIdentifier, MAX_KEYS, Unfit, to_be_signed,
};
use crate::{Error, Purpose, Signer};

impl Signer {
    /// The public key of the lists that this key signs.
    ///
    /// # Errors
    /// As [`Signer::open`].
    pub fn admission_key(&self) -> Result<AdmissionKey, Error> {
        Ok(AdmissionKey(self.open()?.public().0))
    }

    /// Signs a list of these keys with this number, that counts for so many days from `now`.
    ///
    /// # Errors
    /// [`Error::AdmissionList`] for more keys than a list may have; as [`Signer::issue`].
    pub fn sign_admission_list(
        &self,
        mut keys: Vec<KeyIdentifier>,
        number: u64,
        days: u16,
        now: OffsetDateTime,
    ) -> Result<AdmissionList, Error> {
        crate::profile::check_clock(now)?;
        keys.sort_unstable();
        keys.dedup();
        if keys.len() > MAX_KEYS {
            let list = "the new admission list".to_owned();
            return Err(AdmissionError::Unfit { list, reason: Unfit::TooManyKeys }.into());
        }
        let seconds = |at: OffsetDateTime| {
            u64::try_from(at.unix_timestamp()).map_err(|_| der::Error::from(der::ErrorKind::DateTime))
        };
        let octets: Vec<u8> = keys.iter().flat_map(|key| key.0).collect();
        drop(keys);
        let until = now + Duration::days(days.into());
        let content = to_be_signed(number, seconds(now)?, seconds(until)?, &octets)?;
        drop(octets);
        let list = self.complete(Purpose::AdmissionList, &content)?;
        drop(content);
        // What cannot be read is not released.
        Ok(AdmissionList::verified(list, "the new admission list", &self.admission_key()?)?)
    }
}
