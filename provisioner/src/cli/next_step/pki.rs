//! Certificates, and the keys that sign them.

use device_pki::admission_list::{AdmissionError, Unfit};
use device_pki::reader::Kind;
use device_pki::{factory, key};

use super::{Text, account, files, next_step};
use crate::state::store::{ROOT_CERTIFICATE, SIGNER_CERTIFICATE};

pub(super) fn pki(error: &device_pki::Error) -> Text {
    use device_pki::Error as E;
    match error {
        E::Malformed { source, .. } => no_certificate(source.found),
        E::File(error) => files::files(error),
        E::Key(error) => self::key(error),
        // The audit log is what observes signatures.
        E::Withheld(_) => {
            "make room on the disk or fix the file's permissions, then run the same command again".into()
        }
        E::NoKey { .. } => "bring back what holds the key (a medium, a token), and run the same command again".into(),
        E::KeyMismatch { .. } => "put back the key and the certificate that were made together".into(),
        E::NotSelfSigned { .. } => "put the root CA's own certificate there: it is the one that it has signed itself".into(),
        E::Swapped { .. } => "give each file the other's name; the key of each CA stays beside its certificate".into(),
        E::ForeignSigner { .. } => "put the root above this signer back; the certificates of CAs between the two go into signer-ca.crt, after the signer's".into(),
        E::IssuerKey { .. } => "have the certificates issued by a CA whose key is ECDSA on P-256, P-384 or P-521, RSA with 2048 to 8192 bits, or Ed25519".into(),
        E::IssuerName { .. } | E::IssuerKeyIdentifier { .. } => "have the certificate issued anew with that CA's own certificate, as others refuse it, too: openssl x509 -req -CA CERTIFICATE -CAkey KEY copies name and identifier from it".into(),
        E::NotCa { .. } => "its basicConstraints must say CA; put the right file back, or have the certificate issued anew".into(),
        E::NoCertSign { .. } => "have the certificate issued anew with keyUsage keyCertSign and cRLSign".into(),
        E::NoKeyIdentifier { .. } => "have its certificate issued with the extension subjectKeyIdentifier (openssl: subjectKeyIdentifier=hash)".into(),
        E::Clock { .. } => "set the clock of this computer, then run it again; nothing was signed".into(),
        E::NotValidNow { certificate, .. } if *certificate == ROOT_CERTIFICATE => "check this computer's clock; if it is right, a new root CA is needed: have its owner issue its certificate anew, or make another root with its signer in another folder: provisioner --home DIR ca create".into(),
        E::NotValidNow { certificate, .. } if *certificate != SIGNER_CERTIFICATE => "check this computer's clock; if it is right, have the certificate issued anew".into(),
        E::NotValidNow { .. } => "check this computer's clock; if it is right, make the next signer with `provisioner ca rotate`, or have the certificate issued anew".into(),
        E::RootKey { .. } => "what the root signs, the certificate of a signer CA or a list of revoked signers, its owner has to sign with a tool of their own; nothing else needs the root's key".into(),
        E::SignerKey { .. } => "have a certificate issued for a key on P-256, which this makes: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out signer-ca.key. The CAs above it may have keys of other kinds".into(),
        E::Algorithm { .. } => "have the certificate issued anew, signed with SHA-256, SHA-384 or SHA-512 by ECDSA, RSA or Ed25519".into(),
        E::NoCrlSign { .. } => "have its certificate issued with keyUsage keyCertSign and cRLSign: what it has issued could not be revoked".into(),
        E::CriticalExtension { .. } => "have the certificate issued without the extension, or with it not critical: devices and AWS IoT refuse the chain as it is".into(),
        E::PathLength { .. } => "have the certificate issued with a larger pathLenConstraint, or the signer CA's by the CA directly above it".into(),
        E::NameConstraints { .. } => "have the signer CA's certificate issued with an organisation (O) that is permitted, or without the constraint".into(),
        E::AdmissionList(error) => admission_list(error),
        E::Encoding(_) => "check the CA's certificate with: openssl x509 -text -in FILE".into(),
        E::SerialNumber { .. } => "serial numbers have 1 to 20 octets and are positive: have the certificate issued anew".into(),
        E::NotP256 => "every key of the chain and of the boards must be ECDSA on P-256".into(),
        E::Name { .. } => "names have 1 to 64 characters, without control characters".into(),
        E::Request => "run again; if it happens again, put the board aside: it shows the key of another one, or its secure element is faulty".into(),
        E::Random => "run again".into(),
        E::Sign(..) => "check the key and, if it is in a token or a service, the connection to it".into(),
    }
}

/// What makes an admission list usable.
pub(in crate::cli) fn admission_list(error: &AdmissionError) -> Text {
    match error {
        AdmissionError::Read { .. } => "fix the file's permissions, or name another file",
        AdmissionError::Format { .. } => "name a list that `provisioner admission publish` has written",
        AdmissionError::Signature { .. } => "give the key that has signed it: --admission-key; if nobody else publishes lists, find out who has changed this one",
        AdmissionError::Unfit { reason: Unfit::TooManyKeys | Unfit::TooLong, .. } => "take keys off that are not needed: provisioner admission remove",
        AdmissionError::Unfit { .. } => "publish a new list with: provisioner admission publish",
    }
    .into()
}

fn key(error: &key::Error) -> Text {
    use key::Error as E;
    match error {
        // The way to KMS is the account, and passphrases come from the command line.
        E::Aws(cause) => cause.downcast_ref().map_or_else(again, account::account),
        E::Passphrases(cause) => cause.downcast_ref().map_or_else(again, next_step),
        E::Unsupported { .. } => "name a key of another kind".into(),
        E::Malformed { found, .. } => no_key(*found),
        E::Several { .. } => "leave the key alone in it that belongs to the certificate, and keep each other one in a file of its own".into(),
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

/// What makes a certificate that can be read of a file.
pub(in crate::cli) fn no_certificate(found: Kind) -> Text {
    match found {
        Kind::Utf16(encoding) => return format!("convert it with: iconv -f {encoding} -t UTF-8 OLD > NEW").into(),
        Kind::Pkcs12 => "take the certificate out with: openssl pkcs12 -in OLD -nokeys -out NEW",
        Kind::JavaKeyStore => "take the certificate out with: keytool -exportcert -rfc -keystore OLD -alias NAME -file NEW",
        Kind::Indefinite => "convert it with: openssl pkcs7 -inform DER -in OLD -print_certs -out NEW",
        Kind::Hex => "convert it with: xxd -r -p OLD NEW",
        Kind::Archive => "unpack it first; for a folder: provisioner register --dir DIR",
        Kind::GitConflict => GIT_CONFLICT,
        Kind::Manifest => "register the elements in it with: provisioner register --manifest FILE",
        Kind::JsonKey => "name the certificate that belongs to the key; a JWK has it, if at all, in x5c: base64 of its DER",
        Kind::Json => "save the certificate alone, as PEM; for one that is in AWS IoT: aws iot describe-certificate --certificate-id ID --query certificateDescription.certificatePem --output text",
        Kind::Request => "have a CA sign it, and name the certificate that comes back",
        Kind::PublicKey => "name the certificate of this key; where there is none, have one issued",
        Kind::PrivateKey(_) | Kind::EncryptedKey | Kind::LegacyEncryptedKey | Kind::OpenSshKey | Kind::DamagedKey => "name the certificate that belongs to the key; keep the key where it is",
        Kind::RevocationList => "name a certificate; revocation lists are made with: provisioner ca crl",
        Kind::Certificate | Kind::DamagedCertificate | Kind::BrokenFrames | Kind::CutOff => "copy the file again as it was issued; openssl x509 -in FILE -noout -text shows what can be read",
        Kind::Parameters | Kind::EmptyPkcs7 | Kind::WebPage | Kind::Xml | Kind::OtherBlock | Kind::Text | Kind::Empty | Kind::Unknown => "put a certificate there: PEM, DER or PKCS#7",
    }
    .into()
}

const GIT_CONFLICT: &str =
    "take one of the two versions whole: git checkout --ours FILE or git checkout --theirs FILE";

/// What makes a private key that can be read of a file.
fn no_key(found: Kind) -> Text {
    match found {
        Kind::PrivateKey(_) => "the key has to be ECDSA on P-256, which this makes: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out NEW",
        Kind::Utf16(encoding) => return format!("convert it with: iconv -f {encoding} -t UTF-8 OLD > NEW").into(),
        Kind::Pkcs12 => "take the key out with: openssl pkcs12 -in OLD -nocerts -out NEW",
        Kind::JavaKeyStore => "convert it with: keytool -importkeystore -srckeystore OLD -destkeystore NEW.p12 -deststoretype PKCS12; then take the key out with: openssl pkcs12 -in NEW.p12 -nocerts -out NEW",
        Kind::OpenSshKey => "convert it, in its place, with: ssh-keygen -p -m PEM -f FILE",
        Kind::LegacyEncryptedKey | Kind::EncryptedKey => "convert it with: openssl pkcs8 -topk8 -scrypt -in OLD -out NEW",
        Kind::Hex => "convert it with: xxd -r -p OLD NEW",
        Kind::GitConflict => GIT_CONFLICT,
        Kind::PublicKey | Kind::Certificate | Kind::Request => "put the private key there that belongs to it",
        Kind::JsonKey => "convert it, with the Python package jwcrypto: (umask 077; python3 -c 'import sys; from jwcrypto.jwk import JWK; sys.stdout.buffer.write(JWK.from_json(sys.stdin.read()).export_to_pem(True, None))' < OLD > NEW)",
        Kind::Archive => "unpack it first, and put the private key there: PKCS #8, PEM or DER",
        // What OpenSSL would say of it says nothing.
        Kind::Json | Kind::Manifest | Kind::WebPage | Kind::Xml | Kind::Text | Kind::Empty | Kind::RevocationList | Kind::EmptyPkcs7 => "put the private key there: PKCS #8, PEM or DER",
        _ => "put the right file back; openssl pkey -in FILE -noout -text shows what can be read",
    }
    .into()
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
