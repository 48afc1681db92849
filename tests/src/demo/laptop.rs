//! What the user does: the provisioner's commands, and a check of their results.

use std::fs;
use std::path::Path;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::story::{Story, StoryError};
use super::timeline::shortened;
use crate::certificate_store::CertificateStore;
use crate::iot_core::account::x509;
use crate::lambda_host::package_of;
use crate::testbed::HOST;

/// The fixed names of the product.
pub(super) const FUNCTION: &str = "JITR";
const RULE: &str = "ForwardSignedButUnknownDevices";
const EVENT_TOPICS: &str = "$aws/events/certificates/registered/#";

fn differs<T>(seen: impl Into<String>) -> Result<T, StoryError> {
    Err(StoryError::Differs(seen.into()))
}

/// A certificate file of the user's.
pub(super) fn certificate(folder: &Path, name: &'static str) -> Result<CertificateDer<'static>, StoryError> {
    CertificateDer::from_pem_file(folder.join(name))
        .map_err(|error| StoryError::Certificate { what: name, reason: error.to_string() })
}

pub(super) async fn create_ca(story: &mut Story) -> Result<String, StoryError> {
    let signer = story.signer;
    let keys = signer.prepare(&mut story.laptop)?;
    let arguments: Vec<&str> = ["ca", "create"].into_iter().chain(keys.iter().map(String::as_str)).collect();
    story.laptop.provisioner(&arguments).await?;
    let folder = story.laptop.microchip_iot();
    let (root, issued) = (certificate(&folder, "root-ca.crt")?, certificate(&folder, "signer-ca.crt")?);
    let (root, issued) = (x509::parse(&root)?, x509::parse(&issued)?);
    if !x509::issued_by(&root, &root) || !x509::issued_by(&issued, &root) {
        return differs("signatures that do not chain from the root CA to the signer CA");
    }
    Ok(format!("root CA → signer CA, {}", signer.seen(&folder)?))
}

pub(super) async fn set_up(story: &mut Story) -> Result<String, StoryError> {
    let package = story.laptop.home.join("jitr.zip");
    let zip = package_of(&story.programs.jitr)
        .map_err(|error| StoryError::Differs(format!("no package of the function: {error}")))?;
    fs::write(&package, zip).map_err(|source| StoryError::Folder { path: package.clone(), source })?;
    let shown = package.to_string_lossy();
    story.laptop.provisioner(&["setup", "--method", "jitr", "--lambda-zip", &shown]).await?;

    let signer = certificate(&story.laptop.microchip_iot(), "signer-ca.crt")?;
    let ca_id = x509::certificate_id(&signer);
    let queue = {
        let account = story.testbed.account();
        let authority = account.authority(&ca_id)?;
        if !authority.active || !authority.auto_registration || authority.registration_config.is_some() {
            return differs(format!(
                "CA {}: active {}, auto-registration {}, provisioning template {}",
                shortened(&ca_id),
                authority.active,
                authority.auto_registration,
                authority.registration_config.is_some(),
            ));
        }
        let rule = account.topic_rule(RULE)?;
        if rule.disabled() || rule.topic_filter != EVENT_TOPICS {
            return differs(format!("rule {RULE} on {:?}, disabled {}", rule.topic_filter, rule.disabled()));
        }
        let [action] = rule.actions() else {
            return differs(format!("rule {RULE} with {} actions", rule.actions().len()));
        };
        let url = action["sqs"]["queueUrl"].as_str().unwrap_or_default();
        url.rsplit('/').next().unwrap_or_default().to_owned()
    };
    let sources = story.testbed.lambda().list_event_sources(Some(FUNCTION));
    match sources.as_slice() {
        [source] if source.enabled && source.queue_arn.ends_with(&format!(":{queue}")) => {
            Ok(format!("CA {}, rule → queue {queue} → Lambda {FUNCTION}", shortened(&ca_id)))
        }
        sources => {
            differs(format!("rule {RULE} into the queue {queue:?}; event sources of {FUNCTION}: {sources:?}"))
        }
    }
}

pub(super) async fn provision(story: &mut Story, index: usize) -> Result<String, StoryError> {
    let board = &story.boards[index].board;
    let port = board.path().to_string_lossy().into_owned();
    story.laptop.provisioner(&["provision", "--method", "jitr", "--port", &port]).await?;

    let store = CertificateStore::read(&board.flash())?;
    let point = [&[0x04], board.public_key().as_slice()].concat();
    let thing_name = hex::encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &point));
    if (store.thing_name.as_str(), store.endpoint.as_str()) != (thing_name.as_str(), HOST) {
        return differs(format!("thing name {} and endpoint {}", store.thing_name, store.endpoint));
    }
    let signer = certificate(&story.laptop.microchip_iot(), "signer-ca.crt")?;
    let [device, issuer] = store.certificates.as_slice() else {
        return differs(format!("{} certificates in the flash", store.certificates.len()));
    };
    if issuer.content != *signer {
        return differs("another signer CA in the flash than in the home folder");
    }
    let (device, signer) = (x509::parse(&device.content)?, x509::parse(&signer)?);
    if device.public_key().subject_public_key.data.as_ref() != point || !x509::issued_by(&device, &signer) {
        return differs("a device certificate for another key, or from another CA");
    }
    let seen = format!("thing {}, read back from its flash", shortened(&thing_name));
    story.boards[index].store = Some(store);
    Ok(seen)
}
