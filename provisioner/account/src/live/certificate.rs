//! What the account says of a certificate whose registration is under way.

use jitr::thing_name::{ThingName, ThingNameSource};

use crate::{Account, Error};

/// A certificate in the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Its status, such as `ACTIVE`.
    pub status: String,
    /// The name of its thing by its key.
    pub thing_name: Option<String>,
}

/// The certificate with this id; `None` where there is none. The call is made once: whoever waits asks again.
///
/// # Errors
/// What the call ends in.
pub async fn certificate(account: &Account, id: &str) -> Result<Option<State>, Error> {
    let answer = account.iot_without_retries().describe_certificate().certificate_id(id).send().await;
    let found = account.found("iot:DescribeCertificate", answer)?;
    Ok(found.and_then(|found| found.certificate_description).map(|found| {
        let pem = found.certificate_pem().unwrap_or_default();
        let name = ThingName::from_certificate_pem(pem, ThingNameSource::default()).ok();
        State {
            status: found.status().map(|status| status.as_str().to_owned()).unwrap_or_default(),
            thing_name: name.map(|name| name.to_string()),
        }
    }))
}
