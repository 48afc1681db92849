//! The package that a function runs, or is going to run: that of a deployment, or else the one that is deployed, fetched once.

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::http::Request;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use tokio::sync::OnceCell;

use crate::{Account, Error as AccountError};

/// Bytes of a package that are looked at (Lambda quotas: 250 MB unzipped, layers included).
const LARGEST: usize = 256 * 1024 * 1024;

/// The package of a function. Nothing is fetched before it is asked for.
#[derive(Debug)]
pub(crate) struct DeployedPackage<'a> {
    account: &'a Account,
    function: &'a str,
    to_deploy: Option<&'a [u8]>,
    deployed: OnceCell<Vec<u8>>,
}

impl<'a> DeployedPackage<'a> {
    /// That of the function with this name or ARN. `to_deploy` is what is going to be deployed, if anything is.
    pub(crate) fn new(account: &'a Account, function: &'a str, to_deploy: Option<&'a [u8]>) -> Self {
        Self { account, function, to_deploy, deployed: OnceCell::new() }
    }

    /// Its bytes, a ZIP archive.
    ///
    /// # Errors
    /// Errors of `lambda:GetFunction`; [`AccountError::Incomplete`] for a package that cannot be fetched, or has more than 256 MiB.
    pub(crate) async fn bytes(&self) -> Result<&[u8], AccountError> {
        match self.to_deploy {
            Some(package) => Ok(package),
            None => {
                self.deployed.get_or_try_init(|| fetch(self.account, self.function)).await.map(Vec::as_slice)
            }
        }
    }
}

/// The package of a function that is deployed.
async fn fetch(account: &Account, function: &str) -> Result<Vec<u8>, AccountError> {
    const ACTION: &str = "lambda:GetFunction";
    let answer = account.lambda().get_function().function_name(function).send().await;
    let answer = answer.map_err(account.failed(ACTION))?;
    let incomplete = |what| AccountError::Incomplete { action: ACTION, what };
    let location = answer.code().and_then(|code| code.location());
    let location = location.ok_or(incomplete("where the package is"))?;
    let unreadable = || incomplete("a package that can be fetched");
    let mut request = Request::new(SdkBody::empty());
    request.set_uri(location).map_err(|_| unreadable())?;
    let connector = Connector::builder().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build();
    let mut answer = connector.call(request).await.map_err(|_| unreadable())?;
    if !answer.status().is_success() {
        return Err(unreadable());
    }
    let (mut bytes, mut body) = (Vec::new(), ByteStream::new(answer.take_body()));
    while let Some(part) = body.next().await {
        bytes.extend_from_slice(&part.map_err(|_| unreadable())?);
        if bytes.len() > LARGEST {
            return Err(unreadable());
        }
    }
    Ok(bytes)
}
