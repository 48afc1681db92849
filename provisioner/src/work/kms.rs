//! Keys in AWS KMS, in the account that the settings name.

use std::pin::Pin;

use device_pki::Cause;
use device_pki::key::kms::{Connection, Kms};
use iot_account::{Account, AwsSettings};

/// The account that KMS is asked in. The Region in a key's ARN goes before that of the settings.
#[derive(Clone, Debug)]
pub struct KmsAccount(pub AwsSettings);

impl Kms for KmsAccount {
    fn connect<'a>(
        &'a self,
        region: Option<&'a str>,
    ) -> Pin<Box<dyn Future<Output = Result<Connection, Cause>> + Send + 'a>> {
        Box::pin(async move {
            let account = Account::load(&self.0, region).await?;
            let client = account.kms();
            let explain = Box::new(move |action, error| account.failed(action)(error).into());
            Ok(Connection { client, explain })
        })
    }
}
