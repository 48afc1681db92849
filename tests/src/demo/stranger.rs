//! A device of a CA with the name, and even the key identifier, of the user's CA.

use std::sync::Arc;

use rcgen::{CertificateParams, DnType, Issuer, KeyPair, SigningKey};

use super::laptop::certificate;
use super::story::{Story, StoryError};
use crate::device::{Credentials, Device, DeviceError};
use crate::iot_core::account::x509;
use crate::iot_core::gateway::{Event, Refusal};

pub(super) async fn is_refused(story: &mut Story, index: usize) -> Result<String, StoryError> {
    let signer = certificate(&story.laptop.microchip_iot(), "signer-ca.crt")?;
    let credentials = forge(&signer).map_err(|error| StoryError::Certificate {
        what: "the stranger's certificate",
        reason: error.to_string(),
    })?;
    let certificate_id = x509::certificate_id(&credentials.chain[0]);
    // The name of a board that could get in.
    let thing_name = story.store(index)?.thing_name.clone();
    match Device::connect(&story.endpoint(index)?, &credentials, &thing_name).await {
        Err(DeviceError::Connection(_)) => {}
        Err(error) => return Err(error.into()),
        Ok(_) => return Err(StoryError::Differs("connected".to_owned())),
    }
    let refused = |event| match event {
        Event::Refused { certificate_id: id, refusal, .. } if id == certificate_id => Some(refusal),
        Event::Registered { certificate_id: id, .. } if id == certificate_id => {
            Some(Refusal::Certificate { reason: "registered".to_owned() })
        }
        _ => None,
    };
    let refusal = story.gateway_event("refusal", refused).await?;
    if story.testbed.account().certificate(&certificate_id).is_ok() {
        return Err(StoryError::Differs("the stranger's certificate in the account".to_owned()));
    }
    Ok(format!("refused: {refusal}"))
}

fn forge(signer: &rustls_pki_types::CertificateDer<'_>) -> Result<Credentials, rcgen::Error> {
    let issuer = Issuer::from_ca_cert_der(signer, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "sn0123000000000000EE");
    params.use_authority_key_identifier_extension = true;
    let leaf = params.signed_by(&key, &issuer)?;
    let sign = Arc::new(move |message: &[u8]| key.sign(message).map_err(Into::into));
    Ok(Credentials { chain: vec![leaf.der().clone(), signer.clone().into_owned()], sign, roots: None })
}
