//! A key in AWS KMS: asymmetric, ECC_NIST_P256, for signing alone. The private key exists nowhere else.
//!
//! Everything that signs is synchronous, the AWS SDK is not: calls run on a runtime of their own, in a thread that waits.

use std::pin::Pin;
use std::sync::Arc;
use std::thread;

use aws_lc_rs::digest;
use aws_sdk_kms::Client;
use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::error::{ErrorMetadata, ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{KeySpec, KeyState, KeyUsageType, MessageType, SigningAlgorithmSpec};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use tokio::runtime::{Builder, Runtime};
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::KmsUri;
use super::uri::Request;
use crate::Cause;
use crate::key::{Error, Key, PublicKey, Uri};

/// What KMS shows of a key that is made here.
const DESCRIPTION: &str = "Certificate authority that signs the certificates of IoT boards";
/// A list of keys has at most so many pages: an account has at most 100,000 keys (AWS KMS Developer Guide, "Resource
/// quotas"), and a page has 1000.
const MOST_PAGES: usize = 1000;
const PAGE: i32 = 1000;

/// A call to KMS that failed.
pub type CallError = SdkError<ErrorMetadata, HttpResponse>;

/// How AWS KMS is reached. The crate that knows the account implements it.
pub trait Kms: Send + Sync {
    /// A client for a Region; where none is given, for the one that is set.
    ///
    /// # Errors
    /// Region, profile or credentials are not there.
    fn connect<'a>(
        &'a self,
        region: Option<&'a str>,
    ) -> Pin<Box<dyn Future<Output = Result<Connection, Cause>> + Send + 'a>>;
}

/// A client, and what its failures mean for the user: the call is named as in IAM policies.
pub struct Connection {
    /// The client.
    pub client: Client,
    /// Turns a failed call into an error for the user.
    pub explain: Box<dyn Fn(&'static str, CallError) -> Cause + Send + Sync>,
}

/// A key in KMS.
pub(in crate::key) struct KmsKey {
    uri: Uri,
    id: String,
    public: PublicKey,
    service: Arc<Service>,
}

impl Key for KmsKey {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        // The digest alone is sent: a message may have 4096 bytes, which a revocation list outgrows.
        let hash = digest::digest(&digest::SHA256, message);
        let request =
            self.service.connection.client.sign().key_id(&self.id).message(Blob::new(hash.as_ref()));
        let request =
            request.message_type(MessageType::Digest).signing_algorithm(SigningAlgorithmSpec::EcdsaSha256);
        let signed = self.service.wait(request.send());
        let signed = signed?.map_err(|error| self.service.failed(&self.uri, "kms:Sign", error))?;
        let signature = signed.signature.ok_or_else(|| Error::NotP256 { uri: self.uri.clone() })?;
        Ok(signature.into_inner())
    }
}

/// Opens the key; `None` where `named` only asks for a new one.
///
/// # Errors
/// [`Error::NoKmsKey`], [`Error::KmsState`], [`Error::NotP256`], and those of the account.
pub(in crate::key) fn open(named: &KmsUri, kms: Option<&dyn Kms>) -> Result<Option<KmsKey>, Error> {
    let Some(id) = &named.id else { return Ok(None) };
    let uri = Uri::AwsKms(named.clone());
    let service = Service::start(named, kms)?;
    Ok(Some(KmsKey::find(service, uri, id)?))
}

/// Makes a key, and gives it with its ARN. One that an earlier run made under the same request is used instead.
///
/// # Errors
/// As [`open`].
pub(in crate::key) fn make(named: &KmsUri, kms: Option<&dyn Kms>) -> Result<(Uri, KmsKey), Error> {
    let service = Service::start(named, kms)?;
    let uri = Uri::AwsKms(named.clone());
    let description = match &named.request {
        Some(Request { number, .. }) => format!("{DESCRIPTION} (request {number})"),
        None => DESCRIPTION.to_owned(),
    };
    let found = match &named.request {
        Some(Request { is_fresh: false, .. }) => service.described_as(&uri, &description)?,
        _ => None,
    };
    let arn = match found {
        Some(arn) => arn,
        None => service.create(&uri, description)?,
    };
    let uri = Uri::AwsKms(KmsUri { id: Some(arn.clone()), request: None });
    let key = KmsKey::find(service, uri.clone(), &arn)?;
    Ok((uri, key))
}

impl KmsKey {
    /// Looks whether the key can sign, and gets its public key.
    fn find(service: Arc<Service>, uri: Uri, id: &str) -> Result<Self, Error> {
        let described = service.wait(service.connection.client.describe_key().key_id(id).send())?;
        let described = described.map_err(|error| service.failed(&uri, "kms:DescribeKey", error))?;
        let metadata = described.key_metadata.ok_or_else(|| Error::NoKmsKey { uri: uri.clone() })?;
        if metadata.key_spec != Some(KeySpec::EccNistP256)
            || metadata.key_usage != Some(KeyUsageType::SignVerify)
        {
            return Err(Error::NotP256 { uri });
        }
        if let Some(state) = metadata.key_state.filter(|state| *state != KeyState::Enabled) {
            return Err(Error::KmsState { uri, state: state.as_str().to_owned() });
        }
        let found = service.wait(service.connection.client.get_public_key().key_id(id).send())?;
        let found = found.map_err(|error| service.failed(&uri, "kms:GetPublicKey", error))?;
        let der = found.public_key.map(Blob::into_inner).unwrap_or_default();
        let public = SubjectPublicKeyInfo::from_der(&der).ok().and_then(|(_, info)| {
            let point: [u8; 65] = info.subject_public_key.data.as_ref().try_into().ok()?;
            (point[0] == 0x04).then_some(PublicKey(point))
        });
        let public = public.ok_or_else(|| Error::NotP256 { uri: uri.clone() })?;
        Ok(Self { uri, id: id.to_owned(), public, service })
    }
}

/// A connection, and the runtime that waits for its answers.
struct Service {
    connection: Connection,
    runtime: Option<Runtime>,
}

impl Service {
    fn start(named: &KmsUri, kms: Option<&dyn Kms>) -> Result<Arc<Self>, Error> {
        let kms = kms.ok_or_else(|| Error::Unsupported { uri: Uri::AwsKms(named.clone()) })?;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| Error::NoRuntime { source })?;
        let connection = wait(&runtime, kms.connect(named.region()))?.map_err(Error::Aws)?;
        Ok(Arc::new(Self { connection, runtime: Some(runtime) }))
    }

    fn wait<T: Send>(&self, work: impl Future<Output = T> + Send) -> Result<T, Error> {
        let ended = || Error::NoRuntime { source: std::io::ErrorKind::NotConnected.into() };
        wait(self.runtime.as_ref().ok_or_else(ended)?, work)
    }

    /// Makes a key: its ARN. The call is made once: a repetition after an answer that was lost would make another key.
    fn create(&self, uri: &Uri, description: String) -> Result<String, Error> {
        let once = aws_sdk_kms::config::Builder::new().retry_config(RetryConfig::disabled());
        let request = self.connection.client.create_key().description(description);
        let request = request.key_spec(KeySpec::EccNistP256).key_usage(KeyUsageType::SignVerify);
        let made = self.wait(request.customize().config_override(once).send())?;
        let made = made.map_err(|error| self.failed(uri, "kms:CreateKey", error))?;
        made.key_metadata
            .and_then(|metadata| metadata.arn)
            .ok_or_else(|| Error::NoKmsKey { uri: uri.clone() })
    }

    /// The ARN of the key with this description.
    fn described_as(&self, uri: &Uri, description: &str) -> Result<Option<String>, Error> {
        let client = &self.connection.client;
        let mut marker = None;
        for _ in 0..MOST_PAGES {
            let page = self.wait(client.list_keys().limit(PAGE).set_marker(marker).send())?;
            let page = page.map_err(|error| self.failed(uri, "kms:ListKeys", error))?;
            for arn in page.keys().iter().filter_map(|key| key.key_arn()) {
                // Keys of others may be closed to this user. They are not the one.
                let Ok(described) = self.wait(client.describe_key().key_id(arn).send())? else { continue };
                let metadata = described.key_metadata;
                if metadata.is_some_and(|metadata| metadata.description.as_deref() == Some(description)) {
                    return Ok(Some(arn.to_owned()));
                }
            }
            marker = page.next_marker.filter(|_| page.truncated);
            if marker.is_none() {
                break;
            }
        }
        Ok(None)
    }

    fn failed<E>(&self, uri: &Uri, action: &'static str, error: SdkError<E, HttpResponse>) -> Error
    where
        E: ProvideErrorMetadata,
    {
        match error.as_service_error().and_then(ProvideErrorMetadata::code) {
            Some("NotFoundException") => Error::NoKmsKey { uri: uri.clone() },
            Some("DisabledException") => Error::KmsState { uri: uri.clone(), state: "Disabled".to_owned() },
            Some("KMSInvalidStateException") => {
                Error::KmsState { uri: uri.clone(), state: "not usable".to_owned() }
            }
            Some("InvalidKeyUsageException") => Error::NotP256 { uri: uri.clone() },
            _ => {
                let error = error.map_service_error(|error| error.meta().clone());
                Error::Aws((self.connection.explain)(action, error))
            }
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // The last key may be dropped within the runtime of the command line, where waiting is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Waits for `work` in a thread of its own: the caller's may belong to another runtime.
fn wait<T: Send>(runtime: &Runtime, work: impl Future<Output = T> + Send) -> Result<T, Error> {
    thread::scope(|scope| match scope.spawn(|| runtime.block_on(work)).join() {
        Ok(done) => Ok(done),
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
