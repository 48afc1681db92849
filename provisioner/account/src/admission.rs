//! The admission list in the account: what the function is told of it, the list that is published, and putting a new one there.

use std::time::Duration;

use device_pki::admission_list::{AdmissionError, AdmissionList, MAX_SIZE};
use jitr::admission::{Admission, FILE};
use jitr::config::{self, AdmissionPlace, AdmissionSettings, ConfigError, Connection};
use jitr::published::client::Client;
use jitr::published::{Fetched, ListError, ListUrl, Source as _, Wanted};

use super::setup::deployed_package::DeployedPackage;
use super::setup::function::Deployed;
use super::setup::{self, deploy, lists};
use super::{Account, Answer, Error as AccountError};

/// How long fetching a list may take in all: 20 MB at 1 Mbit/s.
const TIME: Duration = Duration::from_secs(180);

/// Why the list cannot be published, or looked at.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The function's variables are not valid.
    #[error("the function {name} is told something of the admission list that it cannot use: {source}")]
    Variables {
        /// The function.
        name: String,
        /// What is wrong.
        source: ConfigError,
    },
    /// There is no bucket of this name here.
    #[error("there is no bucket {bucket} in this Region")]
    NoBucket {
        /// Its name.
        bucket: String,
    },
    /// Another list was put there meanwhile.
    #[error("another admission list was published at {url} meanwhile")]
    Overtaken {
        /// Its folder.
        url: String,
    },
    /// Devices are revoked and still connected.
    #[error("still connected: {}", things.join(", "))]
    StillConnected {
        /// Their things.
        things: Vec<String>,
    },
    /// The function is told of a list in its package that is not there.
    #[error("the function's package has no admission list {list}")]
    NotPackaged {
        /// The list's file.
        list: String,
    },
    /// The list in the function's package does not count.
    #[error(transparent)]
    Packaged(#[from] AdmissionError),
    /// What a web server serves cannot be fetched.
    #[error("the admission list {url}/{FILE} cannot be fetched: {problem}")]
    Unfetched {
        /// Its folder.
        url: String,
        /// Why.
        problem: String,
    },
}

/// A list as it is published.
#[derive(Clone, Debug)]
pub struct Published {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What the place calls this version of it.
    pub version: Option<String>,
}

/// What the function `name` is told of the admission list; `None` where there is no such function, or it is told nothing.
///
/// # Errors
/// [`Error::Variables`]; errors of `lambda:GetFunctionConfiguration`.
pub async fn of_function(account: &Account, name: &str) -> Result<Option<AdmissionSettings>, AccountError> {
    let found = deploy::find(account, name).await?;
    let Some(variables) = found.and_then(|function| function.variables) else { return Ok(None) };
    let settings = config::admission(|variable| variables.get(variable).cloned());
    Ok(settings.map_err(|source| Error::Variables { name: name.to_owned(), source })?)
}

/// The admission list of the function `name`, for the same workflow in this process. A published list is fetched when it is first asked.
///
/// # Errors
/// [`Error::Variables`], [`Error::NotPackaged`], [`Error::Packaged`]; errors of reading the function's package.
pub(crate) async fn in_process(
    account: &Account,
    name: &str,
    function: &Deployed,
) -> Result<Admission, AccountError> {
    let settings = config::admission(|variable| function.variable(variable).map(str::to_owned));
    let settings = settings.map_err(|source| Error::Variables { name: name.to_owned(), source })?;
    let Some(AdmissionSettings { key, list, mode }) = settings else { return Ok(Admission::default()) };
    let file = match list {
        AdmissionPlace::Published(url) => {
            let source = Box::new(client(account, &url).await?);
            return Ok(Admission::published(&url, source, key, mode));
        }
        AdmissionPlace::Packaged(file) => file.display().to_string(),
    };
    let package = DeployedPackage::new(account, name, None);
    let bytes = match lists::in_package(&file) {
        Some(inner) => setup::admission::unpacked(package.bytes().await?, &inner),
        None => None,
    };
    let bytes = bytes.ok_or_else(|| Error::NotPackaged { list: file.clone() })?;
    let list = AdmissionList::verified(bytes, &file, &key).map_err(Error::from)?;
    Ok(Admission::packaged(file, list, mode))
}

/// The list that is published in the folder at `url`; `None` where there is none.
///
/// # Errors
/// [`Error::Unfetched`] of a web server; errors of `s3:GetObject`.
pub async fn fetch(account: &Account, url: &ListUrl) -> Result<Option<Published>, AccountError> {
    let client = client(account, url).await?;
    match client.fetch(Wanted { name: FILE, version: None, longest: MAX_SIZE, time: TIME }).await {
        Ok(Fetched::List { bytes, version }) => Ok(Some(Published { bytes, version })),
        Ok(Fetched::Unchanged) | Err(ListError::Status(404)) => Ok(None),
        Err(error) => Err(failed(account, url, "s3:GetObject", error)),
    }
}

/// Puts a list into the folder at `url`, which has to be in Amazon S3, in the place of the version `replaces`.
///
/// # Errors
/// [`Error::Overtaken`], [`Error::NoBucket`]; errors of `s3:PutObject`.
pub async fn put(
    account: &Account,
    url: &ListUrl,
    list: &AdmissionList,
    replaces: Option<&str>,
) -> Result<(), AccountError> {
    let client = client(account, url).await?;
    let put = client.put(FILE, list.der().to_vec(), replaces).await;
    put.map_err(|error| failed(account, url, "s3:PutObject", error))
}

/// Whether the device with this MQTT client id is connected to `endpoint`.
///
/// # Errors
/// Errors of `iot:GetConnection`.
pub async fn is_connected(account: &Account, endpoint: &str, client_id: &str) -> Result<bool, AccountError> {
    let answer = account.iot_data(endpoint).get_connection().client_id(client_id).send().await;
    Ok(account.found("iot:GetConnection", answer)?.is_some_and(|found| found.connected()))
}

async fn client(account: &Account, url: &ListUrl) -> Result<Client, AccountError> {
    let (access_key_id, secret_access_key, session_token) = match url {
        // Nothing is signed for a web server.
        ListUrl::Https(_) => (String::new(), String::new(), None),
        ListUrl::S3 { .. } => {
            let found = account.credentials().await?;
            let token = found.session_token().map(str::to_owned);
            (found.access_key_id().to_owned(), found.secret_access_key().to_owned(), token)
        }
    };
    let connection = Connection {
        region: account.region().to_owned(),
        access_key_id,
        secret_access_key,
        session_token,
        endpoint_url: None,
        s3_endpoint_url: account.service_url("S3"),
        own_roots: false,
    };
    Ok(Client::new(url, &connection, account.trust().connector()))
}

fn failed(account: &Account, url: &ListUrl, action: &'static str, error: ListError) -> AccountError {
    let ListUrl::S3 { bucket, .. } = url else {
        return Error::Unfetched { url: url.to_string(), problem: error.to_string() }.into();
    };
    match error {
        ListError::Status(409 | 412) => Error::Overtaken { url: url.to_string() }.into(),
        ListError::Status(301 | 307 | 404) => Error::NoBucket { bucket: bucket.clone() }.into(),
        ListError::Status(status) => {
            let message = format!("Amazon S3 answers with status {status}");
            AccountError::from_answer(action, Answer { code: String::new(), message, status })
        }
        ListError::Connection(problem) => {
            AccountError::Unreachable { place: account.s3_place(bucket), action, source: problem.into() }
        }
        error => AccountError::Unreachable { place: account.s3_place(bucket), action, source: error.into() },
    }
}
