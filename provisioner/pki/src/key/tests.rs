//! Key files as OpenSSL writes and reads them, and files that are no keys.

use std::path::Path;
use std::process::Command;

use super::*;
use crate::Cause;

/// Has one passphrase and does not ask.
struct Given(&'static str);

impl Passphrases for Given {
    fn given(&self) -> Result<Option<Passphrase>, Cause> {
        Ok(Some(self.0.to_owned().into()))
    }

    fn ask(&self, question: &str) -> Result<Option<Passphrase>, Cause> {
        panic!("nobody is here to be asked: {question}")
    }
}

fn openssl(folder: &Path, arguments: &str) -> std::process::Output {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output();
    output.expect("the openssl command line tool is needed for this test")
}

fn openssl_does(folder: &Path, arguments: &str) -> String {
    let output = openssl(folder, arguments);
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[cfg(unix)]
fn close(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn open(path: &Path, passphrase: &'static str) -> Result<Arc<dyn Key>, crate::Error> {
    let keys = Keys::opened_by(Given(passphrase), ());
    Ok(keys.open(&Uri::File(path.to_owned()))?.expect("a file"))
}

fn key_error<T>(result: Result<T, crate::Error>) -> Error {
    match result {
        Err(crate::Error::Key(error)) => error,
        Err(other) => panic!("expected an error of the key, got {other:?}"),
        Ok(_) => panic!("expected an error"),
    }
}

#[test]
fn openssl_opens_what_is_encrypted_here_with_the_passphrase_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signer.key");
    let keys = Keys::opened_by(Given("correct-horse"), ());
    keys.make(&Uri::File(path.clone()), true).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"), "{text}");
    let structure = openssl_does(folder.path(), "asn1parse -in signer.key");
    assert!(
        structure.contains(":PBES2") && structure.contains(":scrypt") && structure.contains(":aes-256-cbc")
    );
    openssl_does(folder.path(), "pkcs8 -in signer.key -passin pass:correct-horse -out plain.key");
    close(&folder.path().join("plain.key"));
    let public = *open(&folder.path().join("plain.key"), "unused").unwrap().public();
    assert_eq!(*open(&path, "correct-horse").unwrap().public(), public);
    let wrong = openssl(folder.path(), "pkcs8 -in signer.key -passin pass:correct-house -out other.key");
    assert!(!wrong.status.success());
}

#[test]
fn keys_that_openssl_encrypts_are_opened_whatever_it_encrypts_them_with() {
    let folder = tempfile::tempdir().unwrap();
    openssl_does(folder.path(), "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out plain.key");
    close(&folder.path().join("plain.key"));
    let plain = open(&folder.path().join("plain.key"), "unused").unwrap();
    for how in [
        "",
        " -scrypt",
        " -v2 aes-128-cbc",
        " -v2 aes-192-cbc",
        " -v2 aes256 -v2prf hmacWithSHA512",
        " -iter 100000",
    ] {
        let convert = format!("pkcs8 -topk8 -in plain.key -passout pass:swordfish -out encrypted.key{how}");
        openssl_does(folder.path(), &convert);
        close(&folder.path().join("encrypted.key"));
        let opened = open(&folder.path().join("encrypted.key"), "swordfish").unwrap();
        assert_eq!(opened.public(), plain.public(), "{how}");
        let wrong = key_error(open(&folder.path().join("encrypted.key"), "swordfisj"));
        assert!(matches!(wrong, Error::WrongPassphrase { .. }), "{how}: {wrong}");
    }
    openssl_does(
        folder.path(),
        "pkcs8 -topk8 -in plain.key -passout pass:swordfish -out old.key -v1 PBE-SHA1-3DES",
    );
    close(&folder.path().join("old.key"));
    assert!(matches!(key_error(open(&folder.path().join("old.key"), "swordfish")), Error::Cipher { .. }));
}

#[test]
fn what_is_no_key_is_refused_and_what_costs_too_much_is_not_tried() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.key");
    for text in
        ["", "-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
    {
        durable_files::write(&path, text.as_bytes(), durable_files::Access::Secret).unwrap();
        assert!(matches!(key_error(open(&path, "-")), Error::Malformed { .. }), "{text:?}");
    }
    openssl_does(folder.path(), "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out a.key");
    close(&path);
    assert!(matches!(key_error(open(&path, "-")), Error::Malformed { .. }), "another curve");

    openssl_does(folder.path(), "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out b.key");
    openssl_does(folder.path(), "pkcs8 -topk8 -scrypt -in b.key -passout pass:swordfish -out a.key");
    let (_, mut der) = pkcs8::der::Document::from_pem(&std::fs::read_to_string(&path).unwrap())
        .map(|(label, document)| (label.to_owned(), document.into_vec()))
        .unwrap();
    // INTEGER 16384, the cost, with its top bits set instead.
    let cost = der.windows(4).position(|bytes| bytes == [0x02, 0x02, 0x40, 0x00]).unwrap();
    for (high, low) in [(0x7F, 0xFF), (0x00, 0x00), (0x00, 0x01)] {
        (der[cost + 2], der[cost + 3]) = (high, low);
        let pem = pem::encode(&pem::Pem::new("ENCRYPTED PRIVATE KEY", der.clone()));
        durable_files::write(&path, pem.as_bytes(), durable_files::Access::Secret).unwrap();
        let error = key_error(open(&path, "swordfish"));
        let refused = matches!(error, Error::Cipher { .. } | Error::Malformed { .. } | Error::Costly { .. });
        assert!(refused, "{error}");
    }
}

/// Each figure alone is one that OpenSSL writes; it is their product that keeps the machine busy.
#[test]
fn what_a_key_file_costs_to_open_is_told_with_the_bound_before_it_is_computed() {
    use pkcs8::der::{Encode, SecretDocument};
    use pkcs8::pkcs5::{EncryptionScheme, pbes2};
    let salt = || pbes2::Salt::new([7; 16]).unwrap();
    let scrypt = |cost_parameter, block_size, parallelization| {
        let scrypt = pbes2::ScryptParams {
            salt: salt(),
            cost_parameter,
            block_size,
            parallelization,
            key_length: None,
        };
        scrypt.into()
    };
    let pbkdf2 = |iteration_count| {
        let prf = pbes2::Pbkdf2Prf::HmacWithSha256;
        pbes2::Kdf::Pbkdf2(pbes2::Pbkdf2Params { salt: salt(), iteration_count, key_length: None, prf })
    };
    let read = |kdf: pbes2::Kdf| {
        let encryption = pbes2::EncryptionScheme::Aes256Cbc { iv: [0; 16] };
        let info = pkcs8::EncryptedPrivateKeyInfoOwned {
            encryption_algorithm: EncryptionScheme::from(pbes2::Parameters { kdf, encryption }),
            encrypted_data: pkcs8::der::asn1::OctetString::new([0; 160]).unwrap(),
        };
        let document = SecretDocument::try_from(info.to_der().unwrap()).unwrap();
        let pem = document.to_pem("ENCRYPTED PRIVATE KEY", pkcs8::LineEnding::LF).unwrap();
        file::parse(pem.as_bytes(), || "signer-ca.key".to_owned())
            .map(drop)
            .map_err(|error| error.to_string())
    };
    assert_eq!(read(scrypt(1 << 20, 8, 1)), Ok(()), "the dearest that is recommended anywhere");
    assert_eq!(read(pbkdf2(10_000_000)), Ok(()));
    for (kdf, says) in [
        (scrypt(1 << 20, 8, 64), "takes 536870912 blocks of scrypt (N·r·p), and 16777216 are accepted"),
        (scrypt(1 << 15, 8, 65), "takes 17039360 blocks of scrypt (N·r·p), and 16777216 are accepted"),
        (scrypt(1 << 20, 9, 1), "takes 1207959552 bytes of memory for scrypt (128·N·r), and 1073741824"),
        (scrypt(1 << 63, u16::MAX, u16::MAX), "takes 18446744073709551615 bytes of memory"),
        (pbkdf2(20_000_000), "takes 20000000 iterations of PBKDF2, and 10000000 are accepted"),
    ] {
        let error = read(kdf).unwrap_err();
        assert!(error.contains(says) && error.contains("signer-ca.key"), "{error}");
    }
}

#[test]
fn encrypting_again_changes_the_passphrase_and_not_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signer.key");
    let uri = Uri::File(path.clone());
    let keys = Keys::opened_by(Given("first passphrase"), ());
    keys.make(&uri, false).unwrap();
    let public = *open(&path, "-").unwrap().public();
    let new = keys.new_passphrase(None, &Uri::File(path.clone())).unwrap();
    keys.encrypt(std::slice::from_ref(&path), &new).unwrap();
    assert_eq!(*open(&path, "first passphrase").unwrap().public(), public);
    assert!(matches!(key_error(open(&path, "other")), Error::WrongPassphrase { .. }));
    assert!(!Keys::new(()).is_at_hand(&uri).unwrap());
}

#[test]
fn of_several_keys_in_a_file_the_one_that_belongs_to_the_certificate_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let made: Vec<String> = ["a", "b"].map(|_| rcgen::KeyPair::generate().unwrap().serialize_pem()).into();
    let point = |pem: &str| rcgen::KeyPair::from_pem(pem).unwrap().public_key_raw().try_into().unwrap();
    let [a, b]: [[u8; 65]; 2] = [point(&made[0]), point(&made[1])];
    let path = folder.path().join("signer-ca.key");
    let uri = Uri::File(path.clone());
    let write = |text: &str| {
        std::fs::write(&path, text).unwrap();
        close(&path);
    };
    let others = openssl_does(folder.path(), "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048")
        + &openssl_does(folder.path(), "ecparam -name prime256v1");
    for text in [made.concat(), made[1].clone() + &made[0], others + &made.concat()] {
        write(&text);
        for wanted in [a, b] {
            let opened = Keys::new(()).open_of(&uri, Some(wanted)).unwrap().unwrap();
            assert_eq!(opened.public().0, wanted);
        }
        let error = key_error(Keys::new(()).open(&uri));
        assert_eq!(
            error.to_string(),
            "cannot use signer-ca.key: it has 2 private keys, and which of them is meant is not known"
        );
        // None of them is lost by writing one.
        let new = Passphrase::from("four words are enough".to_owned());
        let refused = key_error(Keys::new(()).encrypt(std::slice::from_ref(&path), &new));
        assert!(matches!(refused, Error::Several { count: 2, .. }), "{refused}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        assert_eq!(file::points(&path).len(), 2);
    }
    // Twice the same key, in two forms, is one.
    std::fs::write(folder.path().join("a.key"), &made[0]).unwrap();
    let traditional = openssl_does(folder.path(), "ec -in a.key");
    write(&(made[0].clone() + &traditional));
    assert_eq!(Keys::new(()).open(&uri).unwrap().unwrap().public().0, a);
    // One in clear text beside one that a passphrase opens.
    openssl_does(folder.path(), "pkcs8 -topk8 -in a.key -passout pass:correct-horse -out encrypted.key");
    let encrypted = std::fs::read_to_string(folder.path().join("encrypted.key")).unwrap();
    write(&(made[1].clone() + &encrypted));
    assert!(matches!(key_error(Keys::new(()).open(&uri)), Error::Several { count: 2, .. }));
}
