//! Why a chain is refused, by its true cause.

use super::*;

const RSA: &str = "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:";

fn refused(made: &Authorities, others: &[&str]) -> String {
    let others: Vec<Certificate> = others.iter().map(|name| made.one(name)).collect();
    made.chain_of(&others, OffsetDateTime::now_utc()).unwrap_err().to_string()
}

#[test]
fn a_key_whose_signatures_are_not_accepted_is_named() {
    let ec = |curve: &str| format!("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:{curve}");
    for (key, found) in [
        (format!("{RSA}1024"), "RSA with 1024 bits"),
        (ec("secp256k1"), "secp256k1"),
        (ec("P-224"), "P-224"),
        (ec("brainpoolP256r1"), "brainpoolP256r1"),
        (ec("sect283r1"), "on the curve 1.3.132.0.17"),
    ] {
        let expected = format!("the key of root.crt is {found}, and no signature by such a key is accepted");
        let made = Authorities::pair((&key, ROOT, ""), (P256, SIGNER, ""));
        assert_eq!(refused(&made, &[]), expected);
    }
    let signer = Authorities::pair((P256, ROOT, ""), (&ec("secp256k1"), SIGNER, "")).chain().unwrap_err();
    assert_eq!(
        signer.to_string(),
        "the key of signer.crt is secp256k1; that of the signer CA has to be P-256"
    );

    let made = Authorities::new();
    made.make("root", P256, ROOT, "", CA, None);
    made.make("upper", &format!("{RSA}1024"), "CN=Upper", "", CA, Some("root"));
    made.make("signer", P256, SIGNER, "", CA, Some("upper"));
    let between = "an intermediate CA between root and signer";
    assert_eq!(
        refused(&made, &["upper.crt"]),
        format!("the key of {between} is RSA with 1024 bits, and no signature by such a key is accepted")
    );
}

#[test]
fn a_ca_between_that_may_not_issue_is_told_and_not_the_root() {
    let between = "an intermediate CA between root and signer";
    let with = |extensions: &str| {
        let made = Authorities::new();
        made.make("root", P256, ROOT, "", CA, None);
        made.make("upper", P256, "CN=Upper", "", extensions, Some("root"));
        made.make("signer", P256, SIGNER, "", CA, Some("upper"));
        refused(&made, &["upper.crt"])
    };
    assert_eq!(
        with(&CA.replace("keyCertSign,", "")),
        format!("{between} may not sign certificates: its key usage lacks keyCertSign")
    );
    assert_eq!(
        with(&CA.replace("CA:TRUE", "CA:FALSE")),
        format!("{between} is not the certificate of a certificate authority")
    );
    let old = Authorities::new();
    old.make("root", P256, ROOT, "", CA, None);
    old.make("upper", P256, "CN=Upper", "default_md=sha1", CA, Some("root"));
    old.make("signer", P256, SIGNER, "", CA, Some("upper"));
    assert_eq!(
        refused(&old, &["upper.crt"]),
        format!("{between} is signed with ECDSA with SHA-1, which is not accepted")
    );
}

#[test]
fn a_certificate_that_names_another_issuer_than_its_own_is_told() {
    let wrong = format!("{CA}2.5.29.35=DER:3016801400112233445566778899AABBCCDDEEFF00112233\n");
    let identifier = "but its authority key identifier is that of another key";
    let made = Authorities::new();
    made.make("root", P256, ROOT, "", CA, None);
    made.make("signer", P256, SIGNER, "", &wrong, Some("root"));
    assert_eq!(refused(&made, &[]), format!("signer.crt was signed with the key of root.crt, {identifier}"));
    made.make("upper", P256, "CN=Upper", "", &wrong, Some("root"));
    made.make("signer", P256, SIGNER, "", CA, Some("upper"));
    assert_eq!(
        refused(&made, &["upper.crt"]),
        format!(
            "an intermediate CA between root and signer was signed with the key of root.crt, {identifier}"
        )
    );
    made.make("root", P256, ROOT, "", &wrong, None);
    assert_eq!(refused(&made, &[]), format!("root.crt was signed with the key of root.crt, {identifier}"));

    // Its own key has changed its name.
    made.make("root", P256, "CN=Other", "", CA, None);
    made.make("upper", P256, "CN=Upper", "", CA, Some("root"));
    made.make("root", P256, ROOT, "", CA, None);
    assert_eq!(
        refused(&made, &["upper.crt"]),
        "an intermediate CA between root and signer was signed with the key of root.crt, but names another CA as its issuer"
    );
}
