//! What can go wrong with the work: the errors of everything below, and of the certificate authorities.

use std::path::PathBuf;

use device_pki::certificate::rfc3339;
use device_pki::key;
use device_pki::revocation::Reason;
use time::OffsetDateTime;

use super::{firmware, provision, roots};
use crate::state;

/// Any failure of the work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Files and folders.
    #[error(transparent)]
    File(#[from] durable_files::Error),
    /// Certificates and keys.
    #[error(transparent)]
    Pki(#[from] device_pki::Error),
    /// The home folder and what is in it.
    #[error(transparent)]
    State(state::Error),
    /// The board and its port.
    #[error(transparent)]
    Kit(#[from] iot_kit::Error),
    /// The AWS account.
    #[error(transparent)]
    Account(#[from] iot_account::Error),
    /// Making, rotating or exporting a certificate authority.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// Provisioning one board.
    #[error(transparent)]
    Provision(#[from] provision::Error),
    /// Images of the catalogue.
    #[error(transparent)]
    Firmware(#[from] firmware::Error),
    /// Provisioning many boards.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// The roots that a board trusts.
    #[error(transparent)]
    Roots(#[from] roots::Error),
}

/// What comes through the home folder from below is what it is below.
impl From<state::Error> for Error {
    fn from(error: state::Error) -> Self {
        match error {
            state::Error::File(error) => Self::File(error),
            state::Error::Pki(error) => Self::Pki(error),
            error => Self::State(error),
        }
    }
}

impl From<rcgen::Error> for Error {
    fn from(error: rcgen::Error) -> Self {
        Self::Pki(error.into())
    }
}

/// Why a certificate authority is not made, rotated or exported as it was ordered.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// Admission lists would be signed by a key that issues certificates.
    #[error("the admission key must be a key of its own, and this one is that of {certificate}")]
    AdmissionKeyOfCa {
        /// Subject of the CA's certificate.
        certificate: String,
    },
    /// A list was published, and the key that has signed it is not here.
    #[error("there is no admission key at {uri}, and a list that such a key has signed is there already")]
    NoAdmissionKey {
        /// Where it was looked for.
        uri: key::Uri,
    },
    /// Nobody has said where lists are published.
    #[error("nobody has said where the admission list is published")]
    NoAdmissionPlace,
    /// The function reads the list from where this program cannot put it.
    #[error("the function reads the admission list from {place}, where this program cannot write")]
    AdmissionElsewhere {
        /// Where.
        place: String,
    },
    /// A certificate authority is there, and its key is at another place than the one asked for.
    #[error("the key is at {there}, not at {ordered}")]
    OtherKey {
        /// Where it is.
        there: key::Uri,
        /// Where it is asked to be.
        ordered: key::Uri,
    },
    /// A key that is to be encrypted is there already, and is not.
    #[error("{file} is there already, and is not encrypted")]
    NotEncrypted {
        /// The file.
        file: &'static str,
    },
    /// The root's key is to be taken out of the home, and is not there.
    #[error("the root's key is not in a file of the home folder: it is at {uri}")]
    RootElsewhere {
        /// Where it is.
        uri: String,
    },
    /// A folder that the root's key cannot be exported to.
    #[error("the root's key cannot go to {}: {reason}", folder.display())]
    ExportPlace {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        reason: &'static str,
    },
    /// The root's key was copied, and the one in the home cannot be removed.
    #[error("{source}; a copy of the root's key is at {}", copy.display())]
    KeyStays {
        /// The copy.
        copy: PathBuf,
        /// Why the key stays in the home.
        source: durable_files::Error,
    },
    /// A signer's key is in a place that was chosen, and nobody has chosen one for the next signer's.
    #[error("the signer's key is at {there}, and nothing says where the next one is to be")]
    NextKey {
        /// Where the old one is.
        there: key::Uri,
    },
    /// A revocation list whose number is the largest there can be.
    #[error("the revocation list {} has a number that none can follow", file.display())]
    ListNumber {
        /// The list.
        file: PathBuf,
    },
    /// Signers that were revoked and that the root has not issued: the root's list cannot name them (RFC 5280, section 5).
    #[error("{}", signers.iter().map(|(signer, issuer)| {
        format!("the signer {signer} was issued by {issuer} and not by the root: only {issuer} can put it on a revocation list")
    }).collect::<Vec<_>>().join("; "))]
    OtherIssuer {
        /// Key identifier and issuer of each.
        signers: Vec<(String, String)>,
    },
    /// A new signer with the key of another one is no new signer.
    #[error("the key at {uri} is the one of another signer of this home folder")]
    SameKey {
        /// Where it is.
        uri: key::Uri,
    },
    /// A new signer with a key that was revoked.
    #[error("the key at {uri} was revoked on {} ({})", rfc3339(*when), reason.name())]
    RevokedKey {
        /// Where it is.
        uri: key::Uri,
        /// When.
        when: OffsetDateTime,
        /// Why.
        reason: Reason,
    },
}

/// Why a run ended before its boards did.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The user did not wait for the boards at work.
    #[error("aborted with {} at work", iot_account::counted(*boards, "board"))]
    Aborted {
        /// How many.
        boards: usize,
    },
    /// The operating system gave no thread.
    #[error("cannot start work on {port}")]
    Thread {
        /// The board's port.
        port: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
}

/// The message of an error and each of its causes. A cause that the message before it ends with is told already.
pub fn chain(error: &dyn std::error::Error) -> Vec<String> {
    let mut messages = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        let told = messages.last().is_some_and(|last| {
            last.strip_suffix(&message).is_some_and(|before| before.is_empty() || before.ends_with(": "))
        });
        if !told {
            messages.push(message);
        }
        cause = error.source();
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{message}")]
    struct Told {
        message: &'static str,
        source: Option<Box<Self>>,
    }

    fn told(messages: &[&'static str]) -> Vec<String> {
        let error =
            messages.iter().rev().fold(None, |source, message| Some(Box::new(Told { message, source })));
        chain(error.unwrap().as_ref())
    }

    #[test]
    fn a_cause_is_left_out_only_where_the_message_ends_with_it() {
        assert_eq!(told(&["cannot read a", "no"]), ["cannot read a", "no"], "`no` is in `cannot`");
        assert_eq!(told(&["cannot use a: it is empty", "it is empty"]), ["cannot use a: it is empty"]);
        assert_eq!(told(&["lost", "lost", "gone"]), ["lost", "gone"]);
    }
}
