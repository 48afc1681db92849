//! Roots and signers that others made: what limits them, what is left out, and which of several is in use.

use super::*;

const P384: &str = "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384";
const ENDPOINT: [&str; 3] = ["provision", "--endpoint", "a-ats.iot.us-east-1.amazonaws.com"];

fn provision(laptop: &Laptop, board: &SimulatedBoard) -> Outcome {
    laptop.run(&[&ENDPOINT[..], &["--port", board.path().to_str().unwrap()]].concat(), &[])
}

#[test]
fn the_certificate_that_ends_first_is_named_with_the_end_of_the_chain() {
    let laptop = brought(RSA, "CN=Signer", CA);
    let home = laptop.folder();
    let sign = |days: u32, serial: u32| {
        openssl(
            &home,
            &format!(
                "x509 -req -in .signer.csr -CA root-ca.crt -CAkey .root.key -set_serial {serial} -extfile .signer -days {days} -out signer-ca.crt"
            ),
        );
    };
    for (days, limited_by, says) in [
        (20, "signer", "(19 days)."),
        (40, "root", "(29 days): root-ca.crt ends then, before signer-ca.crt."),
    ] {
        sign(days, days);
        let shown = laptop.run(&["ca", "show"], &[]);
        assert!(shown.code == 0 && shown.stdout.contains(says), "{shown}");
        let shown = laptop.run(&["ca", "show", "--output", "json"], &[]);
        let line: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
        assert_eq!(line["chain"]["limited_by"], limited_by, "{line}");
        let of = if limited_by == "root" { "root" } else { "signer" };
        assert_eq!(line["chain"]["not_after"], line[of]["not_after"], "{line}");
    }
    // A new signer is no cure where the root ends.
    let shown = laptop.run(&["ca", "show"], &[]);
    assert!(shown.stderr.contains("its root CA does not last longer"), "{shown}");
    assert!(!shown.stderr.contains("ca rotate"), "{shown}");
}

#[test]
fn a_rotation_says_that_the_root_ends_before_a_signer_would() {
    let laptop =
        brought("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256", "O=Example\nCN=Signer", CA);
    let home = laptop.folder();
    std::fs::copy(home.join(".root.key"), home.join("root-ca.key")).unwrap();
    close(&home.join("root-ca.key"));
    let planned = laptop.run(&["ca", "rotate", "--no-register", "--dry-run"], &[]);
    assert!(planned.stdout.contains("under the same root, which ends on 20"), "{planned}");
    let rotated = laptop.run(&["ca", "rotate", "--no-register"], &[]);
    assert!(
        rotated.code == 0 && rotated.stdout.contains(", when the root CA ends; register it"),
        "{rotated}"
    );
    let again = laptop.run(&["ca", "rotate", "--no-register", "--output", "json"], &[]);
    assert!(again.stdout.contains(r#""limited_by":"root""#), "{again}");

    let own = Laptop::with_ca();
    let rotated = own.run(&["ca", "rotate", "--no-register", "--output", "json"], &[]);
    assert!(rotated.code == 0 && !rotated.stdout.contains("limited_by"), "{rotated}");
}

#[test]
fn a_root_key_of_another_kind_is_taken_offline_and_is_not_encrypted_here() {
    for kind in [RSA, P384] {
        let laptop = brought(kind, "CN=Signer", CA);
        let home = laptop.folder();
        let key = std::fs::read(home.join(".root.key")).unwrap();
        std::fs::write(home.join("root-ca.key"), &key).unwrap();
        close(&home.join("root-ca.key"));
        let new = [("MICROCHIP_IOT_PASSPHRASE", "four words are enough")];
        let encrypted = laptop.run(&["ca", "encrypt"], &new);
        assert!(
            encrypted.code == 0 && encrypted.stderr.contains("root-ca.key stays as it is"),
            "{encrypted}"
        );
        assert_eq!(std::fs::read(home.join("root-ca.key")).unwrap(), key);
        let signer = std::fs::read_to_string(home.join("signer-ca.key")).unwrap();
        assert!(signer.contains("ENCRYPTED PRIVATE KEY"), "{signer}");

        let medium = tempfile::tempdir().unwrap();
        let to = medium.path().to_str().unwrap();
        let planned = laptop.run(&["ca", "export-root", to, "--dry-run"], &[]);
        assert!(planned.code == 0 && home.join("root-ca.key").exists(), "{planned}");
        let exported = laptop.run(&["ca", "export-root", to, "--yes"], &[]);
        assert_eq!(exported.code, 0, "{exported}");
        assert_eq!(std::fs::read(medium.path().join("root-ca.key")).unwrap(), key);
        assert!(!home.join("root-ca.key").exists());
        assert_eq!(laptop.run(&["ca", "show"], &new).code, 0);
    }
}

#[test]
fn an_organisation_that_no_device_can_carry_is_left_out_and_told_once() {
    let long = format!("O={}\nCN=Signer", "x".repeat(64));
    let fits = brought(RSA, &long, CA);
    let board = SimulatedBoard::start(Options::instant(31)).unwrap();
    let outcome = provision(&fits, &board);
    assert!(outcome.code == 0 && !outcome.stderr.contains("left out"), "{outcome}");
    // OpenSSL keeps to the limit of RFC 5280, and others do not.
    for (value, why) in [
        (vec![b'x'; 65], "has 65 characters, and 64 are allowed"),
        (b"a\nb".to_vec(), "has control characters"),
        (Vec::new(), "is empty"),
    ] {
        let laptop = brought(RSA, "CN=Signer", CA);
        let home = laptop.folder();
        issue_to(&home, &value);
        let board = SimulatedBoard::start(Options::instant(32)).unwrap();
        let outcome = provision(&laptop, &board);
        assert_eq!(outcome.code, 0, "{outcome}");
        let told = format!("the organisation (O) of the signer CA {why}: it is left out");
        assert_eq!(outcome.stderr.matches(&told).count(), 1, "{outcome}");
        let (path, _) = laptop.files().into_iter().find(|(path, _)| path.ends_with("device.crt")).unwrap();
        let subject = openssl(&home, &format!("x509 -noout -subject -in {}", path.display()));
        assert!(subject.starts_with("subject=CN = sn"), "{subject}");
        let shown = laptop.run(&["ca", "show"], &[]);
        assert!(shown.code == 0 && shown.stderr.matches(&told).count() == 1, "{shown}");
    }
}

/// Has the root issue the signer's certificate with this organisation.
fn issue_to(home: &Path, organisation: &[u8]) {
    let root = std::fs::read_to_string(home.join(".root.key")).unwrap();
    let root_key = rcgen::KeyPair::from_pem_and_sign_algo(&root, &rcgen::PKCS_RSA_SHA256).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_pem(
        &std::fs::read_to_string(home.join("root-ca.crt")).unwrap(),
        root_key,
    )
    .unwrap();
    let key =
        rcgen::KeyPair::from_pem(&std::fs::read_to_string(home.join("signer-ca.key")).unwrap()).unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let organisation = String::from_utf8(organisation.to_vec()).unwrap();
    params.distinguished_name.push(rcgen::DnType::OrganizationName, organisation);
    params.distinguished_name.push(rcgen::DnType::CommonName, "Signer");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
    let signer = params.signed_by(&key, &issuer).unwrap();
    std::fs::write(home.join("signer-ca.crt"), signer.pem()).unwrap();
}

#[test]
fn of_several_keys_and_certificates_in_a_file_those_that_belong_together_are_used() {
    let laptop = Laptop::with_ca();
    let home = laptop.folder();
    let right = laptop.run(&["ca", "show", "--output", "json"], &[]);
    let other = Laptop::with_ca();
    let read = |of: &Laptop, name: &str| std::fs::read_to_string(of.folder().join(name)).unwrap();
    for name in ["signer-ca.key", "signer-ca.crt"] {
        let (own, foreign) = (read(&laptop, name), read(&other, name));
        for text in [format!("{foreign}{own}"), format!("{own}{foreign}")] {
            std::fs::write(home.join(name), text).unwrap();
            let shown = laptop.run(&["ca", "show", "--output", "json"], &[]);
            assert_eq!((shown.code, &shown.stdout), (0, &right.stdout), "{name}: {shown}");
            let board = SimulatedBoard::start(Options::instant(33)).unwrap();
            assert_eq!(provision(&laptop, &board).code, 0);
        }
        std::fs::write(home.join(name), own).unwrap();
    }
    // Two foreign keys: none of them is the certificate's.
    let foreign = [read(&other, "signer-ca.key"), read(&other, "root-ca.key")].concat();
    std::fs::write(home.join("signer-ca.key"), foreign).unwrap();
    let shown = laptop.run(&["ca", "show"], &[]);
    assert!(
        shown.code == 1 && shown.stderr.contains("signer-ca.key does not belong to signer-ca.crt"),
        "{shown}"
    );
}
