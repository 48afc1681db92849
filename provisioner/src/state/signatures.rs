//! What becomes of a document that is signed, before it is released: a line in the audit log, and a device certificate is
//! kept.

use device_pki::observer::{Observer, Purpose, Signed};
use device_pki::{Cause, Certificate, subject_key_identifier};

use super::audit::Log;
use super::certificates;
use super::home::Home;

/// Notes every signature that is made with a key of the home folder.
#[derive(Clone, Debug)]
pub struct Signatures {
    home: Home,
    log: Log,
}

impl Signatures {
    /// Those of the keys in `home`.
    pub fn of(home: &Home) -> Self {
        Self { home: home.clone(), log: Log::of(home) }
    }
}

impl Observer for Signatures {
    fn on_signature(&self, signed: &Signed<'_>) -> Result<(), Cause> {
        let authority = hex::encode(subject_key_identifier(&signed.public.0));
        self.log.record(&authority, signed.purpose, signed.der)?;
        if signed.purpose == Purpose::DeviceCertificate {
            certificates::keep(&self.home, &Certificate::from_der(signed.der)?)?;
        }
        Ok(())
    }
}
