//! Certificates, and the keys that sign them.

use super::Text;
use crate::board::factory;
use crate::ca::{self, key};

pub(super) fn pki(error: &ca::Error) -> Text {
    use ca::Error as E;
    match error {
        E::Missing { .. } => "make one with: provisioner ca create".into(),
        E::Incomplete { .. } => "put the files back, or start anew with: provisioner ca create --force (keeps the old)".into(),
        E::Malformed { .. } => "put the right file back, or make new ones with: provisioner ca create --force".into(),
        E::Key(error) => key(error),
        E::KeyUri { .. } => "one line says where the key is, such as file:/media/usb/root-ca.key".into(),
        E::OtherKey { .. } => "make a certificate authority with the other key: provisioner ca create --force (keeps the old)".into(),
        E::RootElsewhere { .. } => "there is nothing to export".into(),
        E::ExportPlace { .. } => "name a folder on another medium, such as an encrypted USB stick".into(),
        E::NoKey { .. } => "bring back what holds the key (a medium, a token), and run the same command again".into(),
        E::RootOffline { .. } => "bring it back and say where it is: --root-key file:/media/usb/root-ca.key".into(),
        E::NextKey { .. } => "say it with --signer-key URI: `awskms:` makes a key in AWS KMS, `pkcs11:…;object=NAME` one in a token; file:PATH is a file, encrypted if the old one is".into(),
        E::SameKey { .. } => "name another place with --signer-key; a new key is made there".into(),
        E::Withdrawn { .. } => "make the next one with: provisioner ca rotate".into(),
        E::Rotating { .. } => "wait for it; if it was interrupted, finish it with: provisioner ca rotate".into(),
        E::NoAuthority { known, .. } => format!("these are there: {}; the first eight digits do, and `current` is the one in use", known.join(", ")).into(),
        E::Revocations { .. } => "put the file back from a copy: leaving a line out could let a device in again".into(),
        E::KeyMismatch { .. } => "put back the key and certificate that were made together, or start anew with: provisioner ca create --force".into(),
        E::NotSelfSigned => "put the right root certificate back".into(),
        E::ForeignSigner => "put back the pair that was made together, or start anew with: provisioner ca create --force".into(),
        E::NotCa { .. } => "its basicConstraints must say CA and its keyUsage keyCertSign; put the right file back".into(),
        E::NoKeyIdentifier { .. } => "make a signer that has one with: provisioner ca create --force".into(),
        E::NotValidNow { .. } => "check this machine's clock; if it is right, make the next signer with `provisioner ca rotate`, or a new root as well with `provisioner ca create --force`".into(),
        E::NotP256 => "every key of the chain and of the boards must be ECDSA on P-256".into(),
        E::Name { .. } => "names have 1 to 64 characters, without control characters".into(),
        E::Request => "run again; if it happens again, the board's secure element is faulty".into(),
        E::Random => "run again".into(),
        E::Sign(..) => "check the key and, if it is in a token or a service, the way to it".into(),
    }
}

fn key(error: &key::Error) -> Text {
    use key::Error as E;
    match error {
        E::Malformed { .. } => "put the right file back, or convert it with: openssl pkcs8 -topk8 -in OLD -out NEW".into(),
        E::Cipher { .. } => "convert it with: openssl pkcs8 -topk8 -scrypt -in OLD -out NEW".into(),
        E::WrongPassphrase { .. } => "run the same command again with the right passphrase; nothing was done".into(),
        E::NoPassphrase { .. } => "give it with --password-file FILE, --password-fd N, --keyring or MICROCHIP_IOT_PASSPHRASE, or run on a terminal".into(),
        E::PassphrasesDiffer => "run the same command again; nothing was done".into(),
        E::ShortPassphrase => "choose a longer one, such as several words".into(),
        E::Keyring { .. } => "leave --keyring out, or unlock the keyring first".into(),
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
        E::Aws(error) => super::account::account(error),
        E::NoRuntime { .. } => "the system is short of file descriptors or memory; free some and try again".into(),
        E::WrongSignature { .. } => "nothing was issued; if it happens again, do not use this key or token any more".into(),
        E::NotEncrypted { .. } => "encrypt it with: provisioner ca encrypt".into(),
        E::Cryptography { .. } => "run again; if it happens again, its cryptography library is broken".into(),
    }
}

pub(super) fn factory(error: &factory::Error) -> Text {
    use factory::Error as E;
    match error {
        E::TrustAndGo | E::Kind { .. } | E::Empty | E::Format { .. } | E::SerialSource { .. } => "register the board in your own account: provisioner -c aws -m jitr".into(),
        E::Dates | E::Rebuild => "read the board again with: provisioner inspect; slot 10 or 12 may have been overwritten".into(),
        E::Signature => "slot 10 or 11 has been overwritten, or the device key was replaced; register the board in your own account".into(),
    }
}
