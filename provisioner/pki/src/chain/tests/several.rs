//! Files with several certificates of one kind: renewed ones beside those that they replace, and CAs that two others have certified.

use super::*;
use crate::key::file;

impl Authorities {
    /// The certificates with these names, as they are in a file.
    fn file(&self, names: &[&str]) -> Vec<Certificate> {
        names.iter().map(|name| self.one(&format!("{name}.crt"))).collect()
    }

    /// Moves a certificate out of the way of the next one of this name.
    fn aside(&self, name: &str, to: &str) {
        std::fs::rename(self.path().join(format!("{name}.crt")), self.path().join(format!("{to}.crt")))
            .unwrap();
    }

    /// Checks which two are taken of the files, in any order, and that they make a chain.
    fn takes(&self, roots: &[&str], signers: &[&str], root: &str, signer: &str) {
        let now = OffsetDateTime::now_utc();
        let reversed = |names: &[&str]| names.iter().rev().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let (other_roots, other_signers) = (reversed(roots), reversed(signers));
        let other = |names: &[String]| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            self.file(&names)
        };
        let orders = [
            (self.file(roots), self.file(signers)),
            (other(&other_roots), other(&other_signers)),
            (self.file(roots), other(&other_signers)),
        ];
        let key = self.path().join("signer.key");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        for (roots, signers) in orders {
            let (found_root, found_signer) = select(&roots, &signers, &file::points(&key), now);
            let (found_root, found_signer) = (found_root.unwrap(), found_signer.unwrap());
            assert_eq!(found_root, &self.one(&format!("{root}.crt")), "{root}");
            assert_eq!(found_signer, &self.one(&format!("{signer}.crt")), "{signer}");
            let others: Vec<Certificate> = roots.iter().chain(&signers).cloned().collect();
            let key = Signer::new(&Keys::new(()), Uri::File(key.clone()));
            Chain::new(found_root.clone(), &others, found_signer.clone(), key, NAMES, now).unwrap();
        }
    }
}

#[test]
fn what_was_renewed_is_taken_and_what_it_replaces_is_not() {
    let made = Authorities::pair((P256, ROOT, ""), (P256, SIGNER, ""));
    made.aside("signer", "renewed");
    made.make_for("-1", "signer", P256, SIGNER, "", CA, Some("root"));
    made.takes(&["root"], &["signer", "renewed"], "root", "renewed");

    made.aside("root", "root-renewed");
    made.make_for("-1", "root", P256, ROOT, "", CA, None);
    made.takes(&["root", "root-renewed"], &["signer", "renewed"], "root-renewed", "renewed");

    // Both are good: the one that ends last.
    made.make_for("60", "signer", P256, SIGNER, "", CA, Some("root"));
    made.takes(&["root", "root-renewed"], &["signer", "renewed"], "root-renewed", "signer");
}

#[test]
fn a_ca_between_that_was_renewed_is_found_beside_the_one_that_has_ended() {
    let made = Authorities::new();
    made.make("root", P256, ROOT, "", CA, None);
    made.make_for("-1", "upper", P256, "CN=Upper", "", CA, Some("root"));
    made.aside("upper", "ended");
    made.make("upper", P256, "CN=Upper", "", CA, Some("root"));
    made.make("signer", P256, SIGNER, "", CA, Some("upper"));
    for roots in [&["root"][..], &["root", "ended"], &["root", "upper", "ended"]] {
        made.takes(roots, &["signer", "ended", "upper"], "root", "signer");
    }
    let error = made.chain_of(&made.file(&["ended"]), OffsetDateTime::now_utc()).unwrap_err();
    assert!(matches!(error, Error::NotValidNow { .. }), "{error}");
}

#[test]
fn a_ca_that_two_roots_have_certified_leads_to_the_one_that_is_there() {
    let made = Authorities::new();
    made.make("root", P256, ROOT, "", CA, None);
    made.make("second", P256, "CN=Second Root", "", CA, None);
    made.make("upper", P256, "CN=Upper", "", CA, Some("second"));
    made.aside("upper", "by-second");
    made.make("upper", P256, "CN=Upper", "", CA, Some("root"));
    made.make("signer", P256, SIGNER, "", CA, Some("upper"));
    made.takes(&["root"], &["signer", "by-second", "upper"], "root", "signer");
    made.takes(&["second"], &["signer", "by-second", "upper"], "second", "signer");
    // Of two roots, the one that the signer leads to.
    made.takes(&["root", "second"], &["signer", "by-second"], "second", "signer");
    // The roots have certified each other.
    let root_key = "root.key";
    std::fs::copy(made.path().join(root_key), made.path().join("cross.key")).unwrap();
    made.make("cross", P256, ROOT, "", CA, Some("second"));
    made.takes(&["second"], &["signer", "upper", "cross"], "second", "signer");
    made.takes(&["root", "cross"], &["signer", "upper", "by-second"], "root", "signer");
}

#[test]
fn the_signer_is_the_one_whose_key_is_there() {
    let made = Authorities::pair((P256, ROOT, ""), (P256, SIGNER, ""));
    made.make_for("60", "other", P256, "CN=Other Signer", "", CA, Some("root"));
    made.make("device", P256, "CN=device", "", "basicConstraints=CA:FALSE\n", Some("signer"));
    made.takes(&["root"], &["other", "signer"], "root", "signer");
    made.takes(&["root"], &["device", "other", "signer", "root"], "root", "signer");
}

#[test]
fn the_end_of_a_chain_is_the_earliest_of_its_certificates() {
    let made = Authorities::new();
    made.make_for("20", "root", P256, ROOT, "", CA, None);
    made.make_for("10", "upper", P256, "CN=Upper", "", CA, Some("root"));
    made.make_for("30", "signer", P256, SIGNER, "", CA, Some("upper"));
    // Certificates are made after the test has begun, so each is judged at a time of its own.
    let end = || made.chain_of(&made.file(&["upper"]), OffsetDateTime::now_utc()).unwrap().end();
    assert_eq!(end().not_after, made.one("upper.crt").facts().not_after);
    assert_eq!(end().certificate, "an intermediate CA between root and signer");
    made.make_for("40", "upper", P256, "CN=Upper", "", CA, Some("root"));
    assert_eq!(end().certificate, "root.crt");
    made.make_for("5", "signer", P256, SIGNER, "", CA, Some("upper"));
    assert_eq!(end().certificate, "signer.crt");
}
