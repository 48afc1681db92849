//! Certificates, and the keys that sign them.

use device_pki::{factory, key};

use super::{Text, account, files, next_step};

pub(super) fn pki(error: &device_pki::Error) -> Text {
    use device_pki::Error as E;
    match error {
        E::Malformed { .. } => "put the right file back, or make new ones with: provisioner ca create --force".into(),
        E::File(error) => files::files(error),
        E::Key(error) => self::key(error),
        // The audit log is what observes signatures.
        E::Withheld(_) => {
            "make room on the disk or fix the file's permissions, then run the same command again".into()
        }
        E::NoKey { .. } => "bring back what holds the key (a medium, a token), and run the same command again".into(),
        E::KeyMismatch { .. } => "put back the key and certificate that were made together, or make new ones with: provisioner ca create --force".into(),
        E::NotSelfSigned { .. } => "put the right root certificate back".into(),
        E::ForeignSigner { .. } => "put back the pair that was made together, or make new ones with: provisioner ca create --force".into(),
        E::NotCa { .. } => "its basicConstraints must say CA and its keyUsage keyCertSign; put the right file back".into(),
        E::NoKeyIdentifier { .. } => "make a signer that has one with: provisioner ca create --force".into(),
        E::Clock { .. } => "set the clock of this computer, then run it again; nothing was signed".into(),
        E::NotValidNow { .. } => "check this computer's clock; if it is right, make the next signer with `provisioner ca rotate`, or a new root as well with `provisioner ca create --force`".into(),
        E::SerialNumber { .. } => "serial numbers have 1 to 20 octets and are positive: have the certificate issued anew".into(),
        E::NotP256 => "every key of the chain and of the boards must be ECDSA on P-256".into(),
        E::Name { .. } => "names have 1 to 64 characters, without control characters".into(),
        E::Request => "run again; if it happens again, put the board aside: it shows the key of another one, or its secure element is faulty".into(),
        E::Random => "run again".into(),
        E::Sign(..) => "check the key and, if it is in a token or a service, the connection to it".into(),
    }
}

fn key(error: &key::Error) -> Text {
    use key::Error as E;
    match error {
        // The way to KMS is the account, and passphrases come from the command line.
        E::Aws(cause) => cause.downcast_ref().map_or_else(again, account::account),
        E::Passphrases(cause) => cause.downcast_ref().map_or_else(again, next_step),
        E::Unsupported { .. } => "name a key of another kind".into(),
        E::Malformed { .. } => "put the right file back, or convert it with: openssl pkcs8 -topk8 -in OLD -out NEW".into(),
        E::Cipher { .. } | E::Costly { .. } => "convert it with: openssl pkcs8 -topk8 -scrypt -in OLD -out NEW".into(),
        E::WrongPassphrase { .. } => "run the same command again with the right passphrase; nothing was done".into(),
        E::NoPassphrase { .. } => "give it with --password-file FILE, --password-fd N, --keyring or MICROCHIP_IOT_PASSPHRASE, or run on a terminal".into(),
        E::PassphrasesDiffer => "run the same command again; nothing was done".into(),
        E::ShortPassphrase => "choose a longer one, such as several words".into(),
        E::Module { .. } => "check module-path in the key's URI, and that the token's driver is installed".into(),
        E::NoToken { .. } => "plug the token in, and run the same command again; it continues where it stopped".into(),
        E::SeveralTokens { .. } => "add token= or serial= to the URI".into(),
        E::SeveralKeys { .. } => "add id= to the URI".into(),
        E::NoPublicKey { .. } => "import the public key under the same id and label".into(),
        E::NotP256 { .. } => "choose another key, or have one made: an ECC key on NIST P-256 whose usage is to sign".into(),
        E::PinLocked { .. } => "unlock it with the security officer's PIN; the token's own tool does that".into(),
        E::NoPinSource { .. } => "put the PIN into its first line, or correct pin-source in the key's URI".into(),
        E::Token { .. } => "look at the token with its own tool, for example pkcs11-tool --list-objects".into(),
        E::NoKmsKey { .. } => "check the id, the Region and the profile; `awskms:` alone makes a new key".into(),
        E::KmsState { .. } => "enable it (`aws kms enable-key`, or `cancel-key-deletion` first), and run the same command again".into(),
        E::NoRuntime { .. } => "the system is short of file descriptors or memory; free some and try again".into(),
        E::WrongSignature { .. } => "nothing was issued; if it happens again, do not use this key or token any more".into(),
        E::Cryptography { .. } => "run again; if it happens again, its cryptography library is broken".into(),
    }
}

pub(super) fn factory(error: &factory::Error) -> Text {
    use factory::Error as E;
    match error {
        E::TrustAndGo | E::Kind { .. } | E::Empty | E::Format { .. } | E::SerialSource { .. } => "register the board in your own account: provisioner -c aws -m jitr".into(),
        E::Dates | E::Rebuild => "read the board again with: provisioner inspect; slot 10 or 12 may have been overwritten".into(),
        E::OtherRoot { .. } | E::ForgedSigner { .. } => "put the board aside".into(),
        E::Signature => "slot 10 or 11 has been overwritten, or the device key was replaced; register the board in your own account".into(),
    }
}

fn again() -> Text {
    "fix the cause and run the same command again".into()
}
