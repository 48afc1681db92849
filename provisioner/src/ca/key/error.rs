//! What can go wrong with a key, and what to do about it.

use std::path::PathBuf;

use miette::Diagnostic;

use super::Uri;
use super::passphrase::SHORTEST;
use crate::ExitCode;

/// A key that cannot be opened, made or used. No variant holds a secret.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// A file that is no usable private key.
    #[error("cannot use {file}: it is not a P-256 private key in PKCS#8 PEM")]
    #[diagnostic(help("put the right file back, or convert it with: openssl pkcs8 -topk8 -in OLD -out NEW"))]
    Malformed {
        /// The file.
        file: String,
    },
    /// A key file that is encrypted in another way than PBES2 with scrypt or PBKDF2 and AES, or at an absurd cost.
    #[error("cannot use {file}: it is encrypted in a way that is not supported")]
    #[diagnostic(help("convert it with: openssl pkcs8 -topk8 -scrypt -in OLD -out NEW"))]
    Cipher {
        /// The file.
        file: String,
    },
    /// Not the key's passphrase. Nothing is said of how wrong it was.
    #[error("that is not the passphrase of {uri}")]
    #[diagnostic(help("run the same command again with the right passphrase; nothing was done"))]
    WrongPassphrase {
        /// The key.
        uri: Uri,
    },
    /// There is no passphrase, and nobody can be asked for one.
    #[error("there is no passphrase for {uri}")]
    #[diagnostic(help(
        "give it with --password-file FILE, --password-fd N, --keyring or MICROCHIP_IOT_PASSPHRASE, or run on a terminal"
    ))]
    NoPassphrase {
        /// The key.
        uri: Uri,
    },
    /// A new passphrase was typed in two ways.
    #[error("the two passphrases differ")]
    #[diagnostic(help("run the same command again; nothing was done"))]
    PassphrasesDiffer,
    /// A new passphrase that is guessed quickly.
    #[error("a passphrase has at least {SHORTEST} characters")]
    #[diagnostic(help("choose a longer one, such as several words"))]
    ShortPassphrase,
    /// The operating system does not keep passphrases, or not this one.
    #[error("the keyring of the operating system cannot be used")]
    #[diagnostic(help("leave --keyring out, or unlock the keyring first"))]
    Keyring {
        /// What it said.
        #[source]
        source: keyring_core::Error,
    },
    /// The library of a token cannot be loaded.
    #[error("the PKCS #11 module {} cannot be used", path.display())]
    #[diagnostic(help("check module-path in the key's URI, and that the token's driver is installed"))]
    Module {
        /// The library.
        path: PathBuf,
        /// What it said.
        #[source]
        source: cryptoki::error::Error,
    },
    /// The token is not there, or has been taken out.
    #[error("the token of {uri} is not there")]
    #[diagnostic(help("plug the token in, and run the same command again; it continues where it stopped"))]
    NoToken {
        /// The key.
        uri: Uri,
    },
    /// More than one token is what the URI says.
    #[error("several tokens are meant by {uri}")]
    #[diagnostic(help("add token= or serial= to the URI"))]
    SeveralTokens {
        /// The key.
        uri: Uri,
    },
    /// More than one key is what the URI says.
    #[error("several keys are meant by {uri}")]
    #[diagnostic(help("add id= to the URI"))]
    SeveralKeys {
        /// The key.
        uri: Uri,
    },
    /// The token has a private key without its public one.
    #[error("the public key of {uri} is not in the token")]
    #[diagnostic(help("import the public key under the same id and label"))]
    NoPublicKey {
        /// The key.
        uri: Uri,
    },
    /// A key that cannot sign certificates.
    #[error("{uri} is not a P-256 key for signing")]
    #[diagnostic(help(
        "choose another key, or have one made: an ECC key on NIST P-256 whose usage is to sign"
    ))]
    NotP256 {
        /// The key.
        uri: Uri,
    },
    /// Too many wrong PINs.
    #[error("the PIN of {uri} is locked")]
    #[diagnostic(help("unlock it with the security officer's PIN; the token's own tool does that"))]
    PinLocked {
        /// The key.
        uri: Uri,
    },
    /// The file with the PIN.
    #[error("there is no PIN in {}", path.display())]
    #[diagnostic(help("put the PIN into its first line, or correct pin-source in the key's URI"))]
    NoPinSource {
        /// The file.
        path: PathBuf,
    },
    /// Anything else that a token says.
    #[error("the token refuses to work with {uri}")]
    #[diagnostic(help("look at the token with its own tool, for example pkcs11-tool --list-objects"))]
    Token {
        /// The key.
        uri: Uri,
        /// What it said.
        #[source]
        source: cryptoki::error::Error,
    },
    /// KMS has no such key, in this account and Region.
    #[error("AWS KMS has no key {uri}")]
    #[diagnostic(help("check the id, the Region and the profile; `awskms:` alone makes a new key"))]
    NoKmsKey {
        /// The key.
        uri: Uri,
    },
    /// A key that does not sign at the moment.
    #[error("{uri} cannot sign: its state is {state}")]
    #[diagnostic(help(
        "enable it (`aws kms enable-key`, or `cancel-key-deletion` first), and run the same command again"
    ))]
    KmsState {
        /// The key.
        uri: Uri,
        /// What KMS calls it.
        state: String,
    },
    /// The AWS account, or the way to it.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Aws(Box<crate::cloud::Error>),
    /// The operating system gave no event queue.
    #[error("cannot start the way to AWS KMS")]
    #[diagnostic(help("the system is short of file descriptors or memory; free some and try again"))]
    NoRuntime {
        /// What it said.
        #[source]
        source: std::io::Error,
    },
    /// A signature that its own key does not verify.
    #[error("{uri} made a signature that is not valid")]
    #[diagnostic(help("nothing was issued; if it happens again, do not use this key or token any more"))]
    WrongSignature {
        /// The key.
        uri: Uri,
    },
    /// A key that is to be encrypted is there already, and is not.
    #[error("{file} is there already, and is not encrypted")]
    #[diagnostic(help("encrypt it with: provisioner ca encrypt"))]
    NotEncrypted {
        /// The file.
        file: &'static str,
    },
    /// The operating system has no random numbers, or the key did not sign.
    #[error("this machine could not {action}")]
    #[diagnostic(help("run again; if it happens again, its cryptography library is broken"))]
    Cryptography {
        /// What it could not do.
        action: &'static str,
    },
}

impl Error {
    /// The exit code this error ends the process with.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::NoPassphrase { .. } | Self::ShortPassphrase | Self::PassphrasesDiffer => ExitCode::Usage,
            Self::NoKmsKey { .. } | Self::KmsState { .. } => ExitCode::Aws,
            Self::Aws(error) => error.exit_code(),
            Self::NotEncrypted { .. } => ExitCode::Refused,
            _ => ExitCode::Failed,
        }
    }
}
