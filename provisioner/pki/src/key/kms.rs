//! A key in AWS KMS: asymmetric, ECC_NIST_P256, for signing alone. The private key exists nowhere else.
//!
//! Everything that signs is synchronous, the AWS SDK is not: calls run on a runtime of their own, in a thread that waits.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::thread;

use aws_lc_rs::digest;
use aws_sdk_kms::Client;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{KeySpec, KeyState, KeyUsageType, MessageType, SigningAlgorithmSpec};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use tokio::runtime::{Builder, Runtime};
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::{Error, Key, PublicKey, Uri};
use crate::cloud::Account;

/// What KMS shows of a key that is made here.
const DESCRIPTION: &str = "Certificate authority that signs the certificates of IoT boards";

/// A key in KMS: `awskms:` and its id, its ARN, or `alias/NAME`. With nothing behind the colon, a key that is to be made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KmsUri {
    id: Option<String>,
}

/// Why a text names no key in KMS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key in AWS KMS is named by its id, its ARN or alias/NAME")]
pub struct Malformed;

impl FromStr for KmsUri {
    type Err = Malformed;

    /// Reads what follows `awskms:`.
    fn from_str(text: &str) -> Result<Self, Malformed> {
        // Other tools write `awskms:///ID`.
        let id = text.strip_prefix("///").unwrap_or(text);
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_/:".contains(&b);
        // KMS's own limit on KeyId.
        if id.len() > 2048 || !id.bytes().all(allowed) || id.starts_with('/') {
            return Err(Malformed);
        }
        Ok(Self { id: (!id.is_empty()).then(|| id.to_owned()) })
    }
}

impl KmsUri {
    /// Whether `other` can be the key that this asks for; one that is to be made can be any.
    pub(super) fn means(&self, other: &Self) -> bool {
        self.id.is_none() || self == other
    }

    /// The Region that the ARN names.
    fn region(&self) -> Option<&str> {
        match self.id.as_deref()?.split(':').collect::<Vec<_>>().as_slice() {
            ["arn", _, "kms", region, ..] if !region.is_empty() => Some(region),
            _ => None,
        }
    }
}

impl fmt::Display for KmsUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "awskms:{}", self.id.as_deref().unwrap_or_default())
    }
}

/// Which account KMS is asked in.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The AWS profile, if a flag names one.
    pub profile: Option<String>,
    /// The Region, if a flag names one; the one in a key's ARN goes before it.
    pub region: Option<String>,
}

/// A key in KMS.
pub struct KmsKey {
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
        let request = self.service.client.sign().key_id(&self.id).message(Blob::new(hash.as_ref()));
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
pub(super) fn open(named: &KmsUri, settings: &Settings) -> Result<Option<KmsKey>, crate::Error> {
    let Some(id) = &named.id else { return Ok(None) };
    let uri = Uri::AwsKms(named.clone());
    let service = Service::start(named, settings)?;
    Ok(Some(KmsKey::find(service, uri, id).map_err(crate::ca::Error::from)?))
}

/// Makes a key, and gives it with its ARN.
///
/// # Errors
/// As [`open`].
pub(super) fn make(named: &KmsUri, settings: &Settings) -> Result<(Uri, KmsKey), crate::Error> {
    let service = Service::start(named, settings)?;
    let uri = Uri::AwsKms(named.clone());
    let request = service.client.create_key().description(DESCRIPTION);
    let request = request.key_spec(KeySpec::EccNistP256).key_usage(KeyUsageType::SignVerify);
    let made = service.wait(request.send()).map_err(crate::ca::Error::from)?;
    let made = made.map_err(|error| crate::ca::Error::from(service.failed(&uri, "kms:CreateKey", error)))?;
    let arn = made.key_metadata.and_then(|metadata| metadata.arn);
    let arn = arn.ok_or_else(|| crate::ca::Error::from(Error::NoKmsKey { uri: uri.clone() }))?;
    let uri = Uri::AwsKms(KmsUri { id: Some(arn.clone()) });
    let key = KmsKey::find(service, uri.clone(), &arn).map_err(crate::ca::Error::from)?;
    Ok((uri, key))
}

impl KmsKey {
    /// Looks whether the key can sign, and gets its public key.
    fn find(service: Arc<Service>, uri: Uri, id: &str) -> Result<Self, Error> {
        let described = service.wait(service.client.describe_key().key_id(id).send())?;
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
        let found = service.wait(service.client.get_public_key().key_id(id).send())?;
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

/// The way to KMS.
struct Service {
    client: Client,
    account: Account,
    runtime: Option<Runtime>,
}

impl Service {
    fn start(named: &KmsUri, settings: &Settings) -> Result<Arc<Self>, crate::Error> {
        let no_start = |source| crate::ca::Error::from(Error::NoRuntime { source });
        let runtime = Builder::new_current_thread().enable_all().build().map_err(no_start)?;
        let region = named.region().map(str::to_owned).or_else(|| settings.region.clone());
        let profile = settings.profile.clone();
        let account =
            wait(&runtime, async move { Account::load(profile.as_deref(), region.as_deref()).await });
        let account = account.map_err(crate::ca::Error::from)??;
        Ok(Arc::new(Self { client: account.kms(), account, runtime: Some(runtime) }))
    }

    fn wait<T: Send>(&self, work: impl Future<Output = T> + Send) -> Result<T, Error> {
        let ended = || Error::NoRuntime { source: std::io::ErrorKind::NotConnected.into() };
        wait(self.runtime.as_ref().ok_or_else(ended)?, work)
    }

    fn failed<E>(&self, uri: &Uri, action: &'static str, error: SdkError<E, HttpResponse>) -> Error
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        match error.as_service_error().and_then(ProvideErrorMetadata::code) {
            Some("NotFoundException") => Error::NoKmsKey { uri: uri.clone() },
            Some("DisabledException") => Error::KmsState { uri: uri.clone(), state: "Disabled".to_owned() },
            Some("KMSInvalidStateException") => {
                Error::KmsState { uri: uri.clone(), state: "not usable".to_owned() }
            }
            Some("InvalidKeyUsageException") => Error::NotP256 { uri: uri.clone() },
            _ => Error::Aws(Box::new(self.account.failed(action)(error))),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_of_an_arn_is_the_one_that_is_asked() {
        let arn: KmsUri = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd".parse().unwrap();
        assert_eq!(arn.region(), Some("eu-central-1"));
        for other in ["alias/signer", "1234abcd-12ab-34cd-56ef-1234567890ab", ""] {
            assert_eq!(other.parse::<KmsUri>().unwrap().region(), None, "{other}");
        }
        assert_eq!("///alias/signer".parse::<KmsUri>().unwrap().to_string(), "awskms:alias/signer");
        for bad in ["key id", "//host/key", "a?b"] {
            assert_eq!(bad.parse::<KmsUri>(), Err(Malformed), "{bad}");
        }
    }
}
