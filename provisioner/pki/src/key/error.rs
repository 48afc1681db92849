//! What can go wrong with a key.

use std::path::PathBuf;

use super::Uri;
use super::passphrase::SHORTEST;
use crate::Cause;
use crate::reader::Kind;

/// A key that cannot be opened, made or used. No variant holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that is no usable private key.
    #[error("cannot use {file}: {}", match found {
        Kind::Empty => "it is empty".to_owned(),
        Kind::DamagedKey => "the private key in it is damaged".to_owned(),
        found => format!("it is {found}, not a private key on P-256"),
    })]
    Malformed {
        /// The file.
        file: String,
        /// What it holds.
        found: Kind,
    },
    /// A file with more than one private key, and nothing says which of them is meant.
    #[error("cannot use {file}: it has {count} private keys, and which of them is meant is not known")]
    Several {
        /// The file.
        file: String,
        /// How many.
        count: usize,
    },
    /// A key file that is encrypted in another way than PBES2 with scrypt or PBKDF2 and AES.
    #[error("cannot use {file}: it is encrypted in a way that is not supported")]
    Cipher {
        /// The file.
        file: String,
    },
    /// A key file for which each try of a passphrase costs too much.
    #[error("cannot use {file}: to open it takes {asked} {of}, and {most} are accepted")]
    Costly {
        /// The file.
        file: String,
        /// What it asks for.
        of: &'static str,
        /// How much of it.
        asked: u64,
        /// How much is accepted.
        most: u64,
    },
    /// Not the key's passphrase. Nothing is said of how wrong it was.
    #[error("that is not the passphrase of {uri}")]
    WrongPassphrase {
        /// The key.
        uri: Uri,
    },
    /// There is no passphrase, and no user can be asked for one.
    #[error("there is no passphrase for {uri}")]
    NoPassphrase {
        /// The key.
        uri: Uri,
    },
    /// A new passphrase was typed in two ways.
    #[error("the two passphrases differ")]
    PassphrasesDiffer,
    /// A new passphrase that is too weak.
    #[error("a passphrase has at least {SHORTEST} characters")]
    ShortPassphrase,
    /// The source or the keyring of the passphrase failed.
    #[error(transparent)]
    Passphrases(Cause),
    /// A key in a place that this program was built without, or has no account for.
    #[error("keys like {uri} are not supported here")]
    Unsupported {
        /// The key.
        uri: Uri,
    },
    /// The library of a token cannot be loaded.
    #[cfg(feature = "pkcs11")]
    #[error("the PKCS #11 module {} cannot be used", path.display())]
    Module {
        /// The library.
        path: PathBuf,
        /// What it said.
        #[source]
        source: cryptoki::error::Error,
    },
    /// The token is not there, or has been taken out.
    #[error("the token of {uri} is not there")]
    NoToken {
        /// The key.
        uri: Uri,
    },
    /// More than one token is what the URI says.
    #[error("{uri} matches several tokens")]
    SeveralTokens {
        /// The key.
        uri: Uri,
    },
    /// More than one key is what the URI says.
    #[error("{uri} matches several keys")]
    SeveralKeys {
        /// The key.
        uri: Uri,
    },
    /// The token has a private key without its public one.
    #[error("the public key of {uri} is not in the token")]
    NoPublicKey {
        /// The key.
        uri: Uri,
    },
    /// A key that cannot sign certificates.
    #[error("{uri} is not a P-256 key for signing")]
    NotP256 {
        /// The key.
        uri: Uri,
    },
    /// Too many wrong PINs.
    #[error("the PIN of {uri} is locked")]
    PinLocked {
        /// The key.
        uri: Uri,
    },
    /// The file with the PIN.
    #[error("there is no PIN in {}", path.display())]
    NoPinSource {
        /// The file.
        path: PathBuf,
    },
    /// Anything else that a token says.
    #[cfg(feature = "pkcs11")]
    #[error("the token refuses to work with {uri}")]
    Token {
        /// The key.
        uri: Uri,
        /// What it said.
        #[source]
        source: cryptoki::error::Error,
    },
    /// KMS has no such key, in this account and Region.
    #[error("AWS KMS has no key {uri}")]
    NoKmsKey {
        /// The key.
        uri: Uri,
    },
    /// A key that does not sign at the moment.
    #[error("{uri} cannot sign: its state is {state}")]
    KmsState {
        /// The key.
        uri: Uri,
        /// What KMS calls it.
        state: String,
    },
    /// The AWS account, or the way to it.
    #[cfg(feature = "kms")]
    #[error(transparent)]
    Aws(Cause),
    /// The operating system gave no event queue.
    #[error("cannot set up the client of AWS KMS")]
    NoRuntime {
        /// What it said.
        #[source]
        source: std::io::Error,
    },
    /// A signature that the key's public key does not verify.
    #[error("{uri} made a signature that is not valid")]
    WrongSignature {
        /// The key.
        uri: Uri,
    },
    /// The operating system has no random numbers, or the key did not sign.
    #[error("this computer could not {action}")]
    Cryptography {
        /// What it could not do.
        action: &'static str,
    },
}
