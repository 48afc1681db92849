//! Keys in AWS KMS, in the account that the settings name.

use std::pin::Pin;

use device_pki::Cause;
use device_pki::key::kms::{Connection, Kms};
use iot_account::Account;

/// Which account KMS is asked in.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The AWS profile, if the user names one.
    pub profile: Option<String>,
    /// The Region, if the user names one; the one in a key's ARN goes before it.
    pub region: Option<String>,
}

impl Kms for Settings {
    fn connect<'a>(
        &'a self,
        region: Option<&'a str>,
    ) -> Pin<Box<dyn Future<Output = Result<Connection, Cause>> + Send + 'a>> {
        Box::pin(async move {
            let region = region.or(self.region.as_deref());
            let account = Account::load(self.profile.as_deref(), region).await?;
            let client = account.kms();
            let explain = Box::new(move |action, error| account.failed(action)(error).into());
            Ok(Connection { client, explain })
        })
    }
}
