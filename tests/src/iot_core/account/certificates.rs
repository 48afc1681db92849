//! Client certificates: registration by call or at the first connection, status, deletion.

use std::collections::BTreeMap;
use std::time::SystemTime;

use tokio::sync::watch;

use super::{Account, CertificateMode, Error, Page, PageRequest, paginate, x509};

/// The status of a client certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// May connect.
    Active,
    /// Switched off by an operator.
    Inactive,
    /// Registered at a first connection, waiting to be activated.
    PendingActivation,
    /// On its way to another account.
    PendingTransfer,
    /// Revoked.
    Revoked,
}

impl Status {
    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Inactive => "INACTIVE",
            Self::PendingActivation => "PENDING_ACTIVATION",
            Self::PendingTransfer => "PENDING_TRANSFER",
            Self::Revoked => "REVOKED",
        }
    }

    /// The reason in AWS IoT's log for not letting a certificate of this status in.
    pub(in crate::iot_core) fn authentication_error(self) -> &'static str {
        match self {
            Self::Revoked => "DEVICE_CERTIFICATE_REVOKED",
            _ => "DEVICE_CERTIFICATE_INACTIVE",
        }
    }

    /// The status that a caller of the API may set. The pending ones cannot be set by hand.
    pub fn settable(name: &str) -> Result<Self, Error> {
        match name {
            "ACTIVE" => Ok(Self::Active),
            "INACTIVE" => Ok(Self::Inactive),
            "REVOKED" => Ok(Self::Revoked),
            _ => Err(Error::InvalidRequest { reason: format!("status {name} cannot be set") }),
        }
    }
}

/// A client certificate.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// SHA-256 of the DER, 64 hex digits.
    pub id: String,
    /// The certificate, DER.
    pub der: Vec<u8>,
    /// The CA certificate it was registered with.
    pub ca_id: Option<String>,
    /// Present status.
    pub status: Status,
    /// That of its CA; SNI_ONLY if it was registered without one.
    pub mode: CertificateMode,
    /// When it was registered.
    pub created: SystemTime,
    /// When it was changed.
    pub modified: SystemTime,
    /// Counts changes, from 1.
    pub version: u32,
    sequence: u64,
}

/// What the account makes of a certificate that a device presents at its CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presented {
    /// It has been known before.
    Known {
        /// Certificate id.
        id: String,
        /// The CA certificate it was registered with.
        ca_id: Option<String>,
        /// Its status.
        status: Status,
    },
    /// It is registered as PENDING_ACTIVATION by this connection.
    Registered {
        /// Certificate id.
        id: String,
        /// The CA certificate that issued it.
        ca_id: String,
    },
}

impl Account {
    /// The ARN of a client certificate.
    pub fn certificate_arn(&self, id: &str) -> String {
        self.identity.arn("iot", &format!("cert/{id}"))
    }

    /// A device presents `der` at its CONNECT: just-in-time registration, if it is unknown. `server_name` tells whether it
    /// named the server: certificates in the mode `SNI_ONLY` need that (AWS IoT API, `CertificateDescription`).
    pub fn present_certificate(&mut self, der: &[u8], server_name: bool) -> Result<Presented, Error> {
        let parsed = x509::parse(der)?;
        x509::check_validity(&parsed)?;
        let id = x509::certificate_id(der);
        let check_mode = |mode| match mode {
            CertificateMode::SniOnly if !server_name => Err(Error::InvalidRequest {
                reason: "the certificate's mode is SNI_ONLY, and the client named no server".into(),
            }),
            _ => Ok(()),
        };
        if let Some(known) = self.certificates.get(&id) {
            check_mode(known.mode)?;
            return Ok(Presented::Known { id, ca_id: known.ca_id.clone(), status: known.status });
        }
        let issuers = self.issuers(&parsed);
        let Some(ca) = issuers.iter().find(|a| a.active && a.auto_registration).or(issuers.first()) else {
            return Err(Error::CertificateValidation {
                reason: "no registered CA certificate issued it".into(),
            });
        };
        let state = |reason: &str| Err(Error::CertificateState { id: ca.id.clone(), reason: reason.into() });
        if !ca.active {
            return state("the CA certificate is INACTIVE");
        }
        if !ca.auto_registration {
            return state("the CA certificate does not register devices automatically");
        }
        check_mode(ca.mode)?;
        let (ca_id, mode) = (ca.id.clone(), ca.mode);
        self.insert_certificate(der, Some(ca_id.clone()), Status::PendingActivation, mode);
        Ok(Presented::Registered { id, ca_id })
    }

    /// `RegisterCertificate`: with a CA that is registered here. Returns the certificate id. No event is published. A
    /// certificate outside its validity is taken: to connect with it fails.
    pub fn register_certificate(
        &mut self,
        pem: &str,
        ca_pem: Option<&str>,
        status: Status,
    ) -> Result<String, Error> {
        let der = x509::from_pem(pem)?;
        let certificate = x509::parse(&der)?;
        x509::check_key(&certificate)?;
        let issuers = self.issuers(&certificate);
        let ca = match ca_pem {
            Some(pem) => {
                let ca_id = x509::certificate_id(&x509::from_pem(pem)?);
                issuers.into_iter().find(|a| a.id == ca_id)
            }
            None if issuers.len() > 1 => return Err(Error::CertificateConflict),
            None => issuers.into_iter().next(),
        };
        let Some(ca) = ca else {
            return Err(Error::CertificateValidation {
                reason: "no registered CA certificate issued it".into(),
            });
        };
        if !ca.active {
            return Err(Error::CertificateState {
                id: ca.id.clone(),
                reason: "the CA certificate is INACTIVE".into(),
            });
        }
        let (ca_id, mode) = (ca.id.clone(), ca.mode);
        self.refuse_known(&der)?;
        Ok(self.insert_certificate(&der, Some(ca_id), status, mode))
    }

    /// `RegisterCertificateWithoutCA` (multi-account registration). Returns the certificate id. The validity is not looked at.
    pub fn register_certificate_without_ca(&mut self, pem: &str, status: Status) -> Result<String, Error> {
        let der = x509::from_pem(pem)?;
        x509::check_key(&x509::parse(&der)?)?;
        self.refuse_known(&der)?;
        Ok(self.insert_certificate(&der, None, status, CertificateMode::SniOnly))
    }

    pub(super) fn refuse_known(&self, der: &[u8]) -> Result<(), Error> {
        let id = x509::certificate_id(der);
        if self.certificates.contains_key(&id) {
            let arn = self.certificate_arn(&id);
            return Err(Error::AlreadyExists { what: "certificate", id, arn });
        }
        Ok(())
    }

    pub(super) fn insert_certificate(
        &mut self,
        der: &[u8],
        ca_id: Option<String>,
        status: Status,
        mode: CertificateMode,
    ) -> String {
        let id = x509::certificate_id(der);
        let now = SystemTime::now();
        let sequence = self.next();
        let certificate = Certificate {
            id: id.clone(),
            der: der.to_owned(),
            ca_id,
            status,
            mode,
            created: now,
            modified: now,
            version: 1,
            sequence,
        };
        let key = format!("{sequence:020}");
        if let Some(ca_id) = &certificate.ca_id {
            self.certificates_by_ca.entry(ca_id.clone()).or_default().insert(key.clone(), id.clone());
        }
        self.certificate_order.insert(key, id.clone());
        self.certificates.insert(id.clone(), certificate);
        id
    }

    /// `DescribeCertificate`.
    pub fn certificate(&self, id: &str) -> Result<&Certificate, Error> {
        self.certificates.get(id).ok_or_else(|| Error::NotFound { what: "certificate", name: id.to_owned() })
    }

    /// `UpdateCertificate`. Nothing stops REVOKED → ACTIVE, here as in AWS: that is for the caller to refuse.
    pub fn set_certificate_status(&mut self, id: &str, status: Status) -> Result<(), Error> {
        if self.certificate(id)?.status == Status::PendingTransfer {
            return Err(Error::CertificateState {
                id: id.to_owned(),
                reason: "it is PENDING_TRANSFER; accept or cancel the transfer first".into(),
            });
        }
        if let Some(certificate) = self.certificates.get_mut(id)
            && certificate.status != status
        {
            certificate.status = status;
            certificate.modified = SystemTime::now();
            certificate.version += 1;
            self.certificate_changes.send_replace(());
        }
        Ok(())
    }

    /// Told whenever the status of a certificate changes.
    pub fn certificate_changes(&self) -> watch::Receiver<()> {
        self.certificate_changes.subscribe()
    }

    /// Sends a certificate on its way to another account, which `UpdateCertificate` cannot do.
    pub fn begin_transfer(&mut self, id: &str) -> Result<(), Error> {
        self.certificate(id)?;
        if let Some(certificate) = self.certificates.get_mut(id) {
            certificate.status = Status::PendingTransfer;
            self.certificate_changes.send_replace(());
        }
        Ok(())
    }

    /// `ListCertificates`, or `ListCertificatesByCA` with `ca_id`, in the order of registration.
    pub fn list_certificates(
        &self,
        ca_id: Option<&str>,
        request: &PageRequest,
    ) -> Result<Page<&Certificate>, Error> {
        let none = BTreeMap::new();
        let order = match ca_id {
            None => &self.certificate_order,
            Some(ca_id) => self.certificates_by_ca.get(ca_id).unwrap_or(&none),
        };
        paginate(order, request, |_, id| self.certificates.get(id))
    }

    /// `DeleteCertificate`: not while ACTIVE, not with a thing attached, and with a policy attached only with `force`.
    pub fn delete_certificate(&mut self, id: &str, force: bool) -> Result<(), Error> {
        let status = self.certificate(id)?.status;
        if matches!(status, Status::Active | Status::PendingTransfer) {
            return Err(Error::CertificateState {
                id: id.to_owned(),
                reason: format!("it is {}; make it INACTIVE first", status.as_str()),
            });
        }
        let arn = self.certificate_arn(id);
        let conflict =
            |reason: String| Err(Error::DeleteConflict { what: "certificate", name: id.to_owned(), reason });
        if let Some(thing) = self.thing_principals.from(&arn).keys().next() {
            return conflict(format!("thing {thing} is attached to it"));
        }
        if let Some(policy) = self.policy_targets.to(&arn).keys().next()
            && !force
        {
            return conflict(format!("policy {policy} is attached to it"));
        }
        self.policy_targets.remove_to(&arn);
        if let Some(removed) = self.certificates.remove(id) {
            let key = format!("{:020}", removed.sequence);
            self.certificate_order.remove(&key);
            if let Some(order) = removed.ca_id.and_then(|ca_id| self.certificates_by_ca.get_mut(&ca_id)) {
                order.remove(&key);
            }
        }
        Ok(())
    }
}
