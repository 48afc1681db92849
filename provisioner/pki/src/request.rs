//! Certificate signing requests of devices (PKCS #10, RFC 2986): each has a nonce, so that a signature fits one request alone.
//!
//! The nonce is a `randomNonce` attribute (PKCS #9, RFC 2985, section 5.3.4): an OCTET STRING that says nothing but that it is
//! new. CAs pass over attributes that they do not know. A `challengePassword` (section 5.4.1) is known to them: it would be
//! taken for a password (SCEP, RFC 8894, section 2.4) or for the binding to a TLS connection (EST, RFC 7030, section 3.5).

use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

#[cfg(feature = "issue")]
pub use fresh::signed;

use crate::public_key::{PUBLIC_KEY_SIZE, p256_point};
use crate::reader::{self, Kind};

/// The public key that the first request of a file is for, as an uncompressed point, or `None` for a key of another kind.
/// Nothing at all where there is no request in it. The request's signature is not looked at.
pub fn point(file: &[u8]) -> Option<Option<[u8; PUBLIC_KEY_SIZE]>> {
    let requests = reader::documents(file, Kind::Request).ok()?;
    let (_, request) = X509CertificationRequest::from_der(requests.first()?).ok()?;
    Some(p256_point(&request.certification_request_info.subject_pki))
}

#[cfg(feature = "issue")]
mod fresh {
    use der::Tag;
    use rcgen::{Attribute, CertificateSigningRequest};

    use super::*;
    use crate::encoding::tlv;
    use crate::key::PublicKey;
    use crate::signing::{self, Sign};
    use crate::{Error, profile};

    /// Size of the nonce of a request, in bytes. RFC 2985 asks for 4 at least.
    const NONCE_SIZE: usize = 16;

    /// pkcs-9-at-randomNonce.
    const RANDOM_NONCE: &[u64] = &[1, 2, 840, 113_549, 1, 9, 25, 3];

    /// A request with a new nonce for the key `public`, which `sign` signs with. Its signature is verified: who has no such key
    /// cannot have signed it before.
    ///
    /// # Errors
    /// [`Error::Request`] for a signature that does not verify; [`Error::Random`]; what `sign` says; rcgen's.
    pub fn signed<E: From<rcgen::Error> + From<Error>>(
        name: &profile::Name,
        public: &PublicKey,
        sign: &mut Sign<'_, E>,
    ) -> Result<CertificateSigningRequest, E> {
        let mut nonce = [0; NONCE_SIZE];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_| Error::Random)?;
        let request = signing::signed(public, sign, |key| {
            // 16 bytes are never too long for the encoder.
            let content = tlv(Tag::OctetString, &[&nonce]).and_then(|nonce| tlv(Tag::Set, &[&nonce]));
            let attribute = Attribute { oid: RANDOM_NONCE, values: content.unwrap_or_default() };
            profile::signing_request(name).serialize_request_with_attributes(key, vec![attribute])
        })?;
        if is_fresh(request.der(), &nonce, &public.0) { Ok(request) } else { Err(Error::Request.into()) }
    }

    fn is_fresh(der: &[u8], nonce: &[u8], point: &[u8; PUBLIC_KEY_SIZE]) -> bool {
        X509CertificationRequest::from_der(der).is_ok_and(|(rest, request)| {
            let info = &request.certification_request_info;
            rest.is_empty()
                && p256_point(&info.subject_pki).as_ref() == Some(point)
                && info.raw.windows(nonce.len()).any(|bytes| bytes == nonce)
                && request.verify_signature().is_ok()
        })
    }
}

#[cfg(feature = "issue")]
#[cfg(test)]
mod tests {
    use p256::ecdsa::signature::Signer;
    use p256::ecdsa::{DerSignature, SigningKey};

    use super::*;
    use crate::key::PublicKey;
    use crate::{Error, profile};

    fn key() -> (SigningKey, PublicKey) {
        let key = SigningKey::from_slice(&[7; 32]).unwrap();
        let point = key.verifying_key().to_sec1_point(false).as_bytes().try_into().unwrap();
        (key, PublicKey(point))
    }

    fn request(sign: &mut dyn FnMut(&[u8]) -> Vec<u8>) -> Result<rcgen::CertificateSigningRequest, Error> {
        let name = profile::device_name(Some("O"), "0123AABBCCDDEEFFEE").unwrap();
        signed(&name, &key().1, &mut |message| Ok::<_, Error>(sign(message)))
    }

    fn signature(message: &[u8]) -> Vec<u8> {
        let signature: DerSignature = key().0.sign(message);
        signature.as_bytes().to_vec()
    }

    #[test]
    fn a_signature_fits_the_request_that_it_was_made_for_and_no_other() {
        let mut recorded = Vec::new();
        let first = request(&mut |message| {
            recorded = signature(message);
            recorded.clone()
        });
        let first = first.unwrap();
        assert_ne!(request(&mut signature).unwrap().der(), first.der());
        assert!(matches!(request(&mut |_| recorded.clone()), Err(Error::Request)));
        assert_eq!(point(first.pem().unwrap().as_bytes()), Some(Some(key().1.0)));
        assert_eq!(point(b"no request"), None);
    }
}
