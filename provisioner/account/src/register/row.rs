//! What is to be registered, and how it ended, one certificate each.

use serde::Serialize;

use super::Error;
use crate::Outcome;
use device_pki::Certificate;

/// One certificate to register.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The file it is from, and its place in it.
    pub source: String,
    /// The certificate.
    pub certificate: Certificate,
    /// The unique id of its secure element, where a manifest has it.
    pub unique_id: Option<String>,
}

/// One of many to register.
#[derive(Clone, Debug)]
pub enum Item {
    /// A certificate.
    Candidate(Candidate),
    /// What stands in the place of one that cannot be registered.
    Row(Row),
}

/// The result for one certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The file it is from.
    pub source: String,
    /// SHA-256 of the DER, if there is a certificate in the file.
    pub certificate_id: Option<String>,
    /// Its thing, if it has one.
    pub thing_name: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// What went wrong, if something did.
    pub error: Option<String>,
    /// The file whose line is about the same certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub same_as: Option<String>,
    /// The unique id of its secure element, where a manifest has it. Of an element that is refused it is what the element claims.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique_id: Option<String>,
}

impl Row {
    /// Of what is not registered.
    pub fn refused(source: String, certificate_id: Option<String>, error: String) -> Self {
        let (outcome, error) = (Outcome::Refused, Some(error));
        Self { source, certificate_id, thing_name: None, outcome, error, same_as: None, unique_id: None }
    }

    /// Of a file with the certificate that another one, `same_as`, has.
    pub fn duplicate(source: String, certificate_id: String, same_as: String) -> Self {
        let (certificate_id, same_as) = (Some(certificate_id), Some(same_as));
        let outcome = Outcome::Duplicate;
        Self { source, certificate_id, thing_name: None, outcome, error: None, same_as, unique_id: None }
    }

    /// The same, of the secure element with this unique id.
    pub fn with_unique_id(self, unique_id: Option<String>) -> Self {
        Self { unique_id, ..self }
    }
}

/// How many certificates are not registered, and why.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bad {
    /// Those that a repetition does not help.
    refused: usize,
    failed: usize,
}

impl Bad {
    /// Counts a row.
    pub fn count(&mut self, row: &Row) {
        self.refused += usize::from(row.outcome == Outcome::Refused);
        self.failed += usize::from(row.outcome == Outcome::Failed);
    }

    /// Counts one that is refused, if it is.
    pub fn refuse(&mut self, is_refused: bool) {
        self.refused += usize::from(is_refused);
    }

    /// How many there are.
    pub fn all(self) -> usize {
        self.refused + self.failed
    }

    /// How it ends for `total` certificates.
    ///
    /// # Errors
    /// [`Error::Incomplete`] if any failed, [`Error::Refused`] if any was refused.
    pub fn of(self, total: usize) -> Result<(), Error> {
        match self {
            Self { refused: 0, failed: 0 } => Ok(()),
            Self { failed: 0, refused: failed } => Err(Error::Refused { failed, total }),
            bad => Err(Error::Incomplete { failed: bad.all(), total }),
        }
    }
}

pub(super) fn row(candidate: Candidate, outcome: Outcome, thing_name: Result<String, String>) -> Row {
    let certificate_id = Some(candidate.certificate.facts().certificate_id.clone());
    let error = thing_name.as_ref().err().cloned();
    Row {
        source: candidate.source,
        certificate_id,
        thing_name: thing_name.ok(),
        outcome,
        error,
        same_as: None,
        unique_id: candidate.unique_id,
    }
}
