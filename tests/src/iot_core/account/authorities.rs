//! CA certificates: registration with proof of possession, state, automatic registration.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde_json::Value;

use super::{Account, Error, Page, PageRequest, paginate, x509};

/// CA certificates with one subject in one account; an AWS IoT quota.
const SAME_SUBJECT_LIMIT: usize = 10;

/// Whether devices must be told apart by the server name they ask for (RFC 6066).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CertificateMode {
    /// The certificate belongs to one account of the Region.
    #[default]
    Default,
    /// Several accounts may hold it; the server name in the TLS handshake tells which one is meant.
    SniOnly,
}

impl CertificateMode {
    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "DEFAULT",
            Self::SniOnly => "SNI_ONLY",
        }
    }
}

/// A registered CA certificate.
#[derive(Clone, Debug)]
pub struct Authority {
    /// Certificate id, 64 hex digits.
    pub id: String,
    /// The certificate, DER.
    pub der: Vec<u8>,
    /// ACTIVE (else INACTIVE).
    pub active: bool,
    /// Devices with its certificates are registered when they connect.
    pub auto_registration: bool,
    /// `registrationConfig` as it was given: a provisioning template makes it just-in-time *provisioning*.
    pub registration_config: Option<Value>,
    /// How it was registered.
    pub mode: CertificateMode,
    /// When it was registered.
    pub created: SystemTime,
    /// When it was changed.
    pub modified: SystemTime,
    /// Counts changes, from 1.
    pub version: u32,
    pub(super) sequence: u64,
}

/// The request of `RegisterCACertificate`.
#[derive(Clone, Debug, Default)]
pub struct RegisterAuthority {
    /// The CA certificate, PEM.
    pub certificate: String,
    /// A certificate for the registration code, signed with the CA's key, PEM.
    pub verification: Option<String>,
    /// Register as ACTIVE.
    pub active: bool,
    /// Register devices when they connect.
    pub auto_registration: bool,
    /// Provisioning template and role.
    pub registration_config: Option<Value>,
    /// DEFAULT or SNI_ONLY.
    pub mode: CertificateMode,
}

/// The request of `UpdateCACertificate`: what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct UpdateAuthority {
    /// ACTIVE or INACTIVE.
    pub active: Option<bool>,
    /// ENABLE or DISABLE.
    pub auto_registration: Option<bool>,
    /// Provisioning template and role.
    pub registration_config: Option<Value>,
    /// Takes the provisioning template away and switches automatic registration off.
    pub remove_auto_registration: bool,
}

impl Account {
    /// The ARN of a CA certificate.
    pub fn authority_arn(&self, id: &str) -> String {
        self.identity.arn("iot", &format!("cacert/{id}"))
    }

    /// `RegisterCACertificate`: returns the certificate id.
    pub fn register_authority(&mut self, request: RegisterAuthority) -> Result<String, Error> {
        let der = x509::from_pem(&request.certificate)?;
        let certificate = x509::parse(&der)?;
        x509::check_key(&certificate)?;
        x509::check_validity(&certificate)?;
        if !certificate.is_ca() {
            return Err(Error::CertificateValidation { reason: "it is not a CA certificate".into() });
        }
        let id = x509::certificate_id(&der);
        let taken = request.mode == CertificateMode::Default && self.taken_authorities.contains(&id);
        if self.authorities.contains_key(&id) || taken {
            let arn = self.authority_arn(&id);
            return Err(Error::AlreadyExists { what: "CA certificate", id, arn });
        }
        match (&request.verification, request.mode) {
            (Some(pem), CertificateMode::Default) => self.check_verification(pem, &certificate)?,
            (None, CertificateMode::SniOnly) => {}
            (Some(_), CertificateMode::SniOnly) => {
                return Err(Error::InvalidRequest {
                    reason: "a verification certificate goes with the mode DEFAULT".into(),
                });
            }
            (None, CertificateMode::Default) => {
                return Err(Error::InvalidRequest {
                    reason: "a verification certificate is required unless the mode is SNI_ONLY".into(),
                });
            }
        }
        let subject = certificate.subject().as_raw();
        let same_subject =
            |a: &&Authority| x509::parse(&a.der).is_ok_and(|c| c.subject().as_raw() == subject);
        if self.authorities.values().filter(same_subject).count() >= SAME_SUBJECT_LIMIT {
            return Err(Error::LimitExceeded {
                limit: format!("{SAME_SUBJECT_LIMIT} CA certificates with the same subject"),
            });
        }
        let now = SystemTime::now();
        let authority = Authority {
            id: id.clone(),
            active: request.active,
            auto_registration: request.auto_registration,
            registration_config: request.registration_config,
            mode: request.mode,
            created: now,
            modified: now,
            version: 1,
            sequence: self.next(),
            der,
        };
        self.authorities.insert(id.clone(), authority);
        Ok(id)
    }

    /// Another account of the Region registers the CA certificate with this id in the mode `DEFAULT`, so that this account
    /// cannot do the same.
    pub fn take_authority(&mut self, id: impl Into<String>) {
        self.taken_authorities.insert(id.into());
    }

    /// Proof that the caller holds the CA's key: a certificate for this account's registration code, signed with it.
    fn check_verification(
        &self,
        pem: &str,
        ca: &x509_parser::certificate::X509Certificate<'_>,
    ) -> Result<(), Error> {
        let der = x509::from_pem(pem)?;
        let verification = x509::parse(&der)?;
        let found = x509::common_name(&verification);
        if found != self.registration_code() {
            return Err(Error::RegistrationCode { found });
        }
        if !x509::issued_by(&verification, ca) {
            return Err(Error::CertificateValidation {
                reason: "the verification certificate is not signed with the CA's key".into(),
            });
        }
        x509::check_validity(&verification)
    }

    /// `DescribeCACertificate`.
    pub fn authority(&self, id: &str) -> Result<&Authority, Error> {
        self.authorities
            .get(id)
            .ok_or_else(|| Error::NotFound { what: "CA certificate", name: id.to_owned() })
    }

    /// `UpdateCACertificate`.
    pub fn update_authority(&mut self, id: &str, update: UpdateAuthority) -> Result<(), Error> {
        self.authority(id)?;
        let Some(authority) = self.authorities.get_mut(id) else { return Ok(()) };
        if update.remove_auto_registration {
            authority.registration_config = None;
            authority.auto_registration = false;
        }
        authority.active = update.active.unwrap_or(authority.active);
        authority.auto_registration = update.auto_registration.unwrap_or(authority.auto_registration);
        if update.registration_config.is_some() {
            authority.registration_config = update.registration_config;
        }
        authority.modified = SystemTime::now();
        authority.version += 1;
        Ok(())
    }

    /// `ListCACertificates`, in the order of registration.
    pub fn list_authorities(&self, request: &PageRequest) -> Result<Page<&Authority>, Error> {
        let by_sequence: BTreeMap<String, &Authority> =
            self.authorities.values().map(|a| (format!("{:020}", a.sequence), a)).collect();
        paginate(&by_sequence, request, |_, &authority| Some(authority))
    }

    /// `DeleteCACertificate`: only an INACTIVE one can be deleted.
    pub fn delete_authority(&mut self, id: &str) -> Result<(), Error> {
        if self.authority(id)?.active {
            return Err(Error::CertificateState {
                id: id.to_owned(),
                reason: "it is ACTIVE; only an INACTIVE CA certificate can be deleted".into(),
            });
        }
        self.authorities.remove(id);
        self.tags.remove(&self.authority_arn(id));
        Ok(())
    }

    /// The registered CAs that issued `certificate`, by signature.
    pub(super) fn issuers(
        &self,
        certificate: &x509_parser::certificate::X509Certificate<'_>,
    ) -> Vec<&Authority> {
        let issued = |a: &&Authority| x509::parse(&a.der).is_ok_and(|ca| x509::issued_by(certificate, &ca));
        self.authorities.values().filter(issued).collect()
    }
}
