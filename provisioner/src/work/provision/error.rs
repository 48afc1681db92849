//! What can go wrong with one board, beyond the board itself, the certificates and the files.

use time::OffsetDateTime;

use device_pki::certificate::rfc3339;
use device_pki::factory;
use device_pki::revocation::Reason;
use iot_kit::store;

use crate::work::revoked_keys::Against;

/// What can go wrong beyond the board, the certificates and the files.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a host name, or too long for its page.
    #[error("\"{}\" is no endpoint", endpoint.escape_debug())]
    Endpoint {
        /// What was given.
        endpoint: String,
    },
    /// The certificates do not fit.
    #[error("the certificates cannot be put into the board: {0}")]
    Store(#[from] store::Error),
    /// The flash does not hold what was written, twice.
    #[error("the board on {port} reads back something else than was written, first at {address:#06x}")]
    ReadBack {
        /// The port.
        port: String,
        /// Address of the first wrong byte.
        address: u32,
    },
    /// The secure element holds no factory certificates that can be used.
    #[error(transparent)]
    Factory(#[from] factory::Error),
    /// The board does not have the private key of the public key that it shows.
    #[error("the board does not sign with the key that it shows; its secure element calls itself {serial}")]
    Possession {
        /// Serial number of its secure element.
        serial: String,
    },
    /// Nothing shows that the secure element is the vendor's.
    #[error("the secure element {serial} does not show that it is genuine: {source}")]
    NotGenuine {
        /// Its serial number.
        serial: String,
        /// Why not.
        source: factory::Error,
    },
    /// A certificate from elsewhere whose signer's certificate is not known.
    #[error(
        "the certificate was issued by \"{issuer}\", and no certificate of that signer was given that verifies it"
    )]
    NoSigner {
        /// Who issued it.
        issuer: String,
    },
    /// A certificate from elsewhere that is not valid now.
    #[error("the certificate of \"{subject}\" is valid from {} to {}, not now", rfc3339(*not_before), rfc3339(*not_after))]
    NotValidNow {
        /// Whose it is.
        subject: String,
        /// Start of the validity.
        not_before: OffsetDateTime,
        /// End of the validity.
        not_after: OffsetDateTime,
    },
    /// A certificate from elsewhere that is for another board.
    #[error(
        "the certificate of \"{subject}\" is not for the key of this board, whose secure element is {serial}"
    )]
    ForeignKey {
        /// Whose it is.
        subject: String,
        /// Serial number of the board's secure element.
        serial: String,
    },
    /// A board with a key that was revoked.
    #[error("the key of {thing_name} was revoked on {} ({})", rfc3339(*when), reason.name())]
    KeyRevoked {
        /// Thing name of the board.
        thing_name: String,
        /// When.
        when: OffsetDateTime,
        /// Why.
        reason: Reason,
    },
    /// A certificate that was not issued for this run and was revoked, or its key, or its signer CA.
    #[error("the certificate {certificate_id} is not for use: {against}")]
    CertificateRevoked {
        /// Its id.
        certificate_id: String,
        /// What was revoked, when and why.
        against: Against,
    },
    /// A certificate that the account has revoked, and this computer has not.
    #[error("the certificate {certificate_id} of the board is REVOKED in the account")]
    RevokedInAccount {
        /// Its id.
        certificate_id: String,
    },
    /// A freshly made certificate fails its own check.
    #[error(
        "the new certificate does not belong to the board's key and the signer; nothing was written to the board"
    )]
    Inconsistent,
    /// A plan that was made to be shown only.
    #[error("there is no signer CA yet to issue the certificate")]
    NoChain,
}
