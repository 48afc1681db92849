//! CAs that OpenSSL made, with names, keys and constraints of every kind: what is issued under them is checked by OpenSSL.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use ::time::{Duration, OffsetDateTime};
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::*;
use crate::key::{Keys, Uri};
use crate::revocation::{Reason, Revoked};
use crate::{Issuer, certificate};

mod causes;
mod several;

const NAMES: Names = Names { root: "root.crt", signer: "signer.crt" };
const P256: &str = "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256";
const CA: &str =
    "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n";
const ROOT: &str = "CN=Root\nO=Example";
const SIGNER: &str = "O=Example\nCN=Signer";

/// A folder with CAs.
struct Authorities(tempfile::TempDir);

impl Authorities {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn openssl(&self, arguments: &str) -> String {
        let output = Command::new("openssl").args(arguments.split(' ')).current_dir(self.path()).output();
        let output = output.expect("the openssl command line tool is needed for this test");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments}: {said}");
        format!("{}{said}", String::from_utf8_lossy(&output.stdout))
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path().join(name), content).unwrap();
    }

    /// Makes `NAME.key` and `NAME.crt`, below the CA `issuer` if there is one. Lines of `settings` go to the section of the request.
    fn make(
        &self,
        name: &str,
        key: &str,
        subject: &str,
        settings: &str,
        extensions: &str,
        issuer: Option<&str>,
    ) {
        self.make_for("30", name, key, subject, settings, extensions, issuer);
    }

    /// As [`Self::make`], from now on or from before it on, for so many `days`.
    #[expect(clippy::too_many_arguments, reason = "the parts of a certificate")]
    fn make_for(
        &self,
        days: &str,
        name: &str,
        key: &str,
        subject: &str,
        settings: &str,
        extensions: &str,
        issuer: Option<&str>,
    ) {
        if !self.path().join(format!("{name}.key")).exists() {
            self.openssl(&format!("{key} -out {name}.key"));
        }
        let subject: String =
            subject.lines().enumerate().map(|(number, line)| format!("{number}.{line}\n")).collect();
        self.write(
            "req.cnf",
            format!("[req]\nprompt=no\ndistinguished_name=dn\n{settings}\n[dn]\n{subject}"),
        );
        self.write("ext.cnf", extensions);
        self.openssl(&format!("req -new -config req.cnf -key {name}.key -out {name}.csr"));
        let sign = match issuer {
            None => format!("-signkey {name}.key"),
            Some(issuer) => format!("-CA {issuer}.crt -CAkey {issuer}.key -CAcreateserial"),
        };
        let digest = settings.lines().find_map(|line| line.strip_prefix("default_md=")).unwrap_or("sha256");
        let digest =
            if key.contains("ed25519") && issuer.is_none() { String::new() } else { format!("-{digest} ") };
        self.openssl(&format!(
            "x509 -req {digest}-in {name}.csr {sign} -extfile ext.cnf -days {days} -out {name}.crt"
        ));
    }

    /// A root CA, and a signer CA below it.
    fn pair(root: (&str, &str, &str), signer: (&str, &str, &str)) -> Self {
        let made = Self::new();
        made.make("root", root.0, root.1, root.2, CA, None);
        made.make("signer", signer.0, signer.1, signer.2, CA, Some("root"));
        made
    }

    fn all(&self, name: &str) -> Vec<Certificate> {
        Certificate::read_all(&std::fs::read(self.path().join(name)).unwrap()).unwrap()
    }

    fn one(&self, name: &str) -> Certificate {
        self.all(name).remove(0)
    }

    fn chain_of(&self, others: &[Certificate], now: OffsetDateTime) -> Result<Chain, Error> {
        let path = self.path().join("signer.key");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let key = Signer::new(&Keys::new(()), Uri::File(path));
        Chain::new(self.one("root.crt"), others, self.one("signer.crt"), key, NAMES, now)
    }

    fn chain(&self) -> Result<Chain, Error> {
        self.chain_of(&[], OffsetDateTime::now_utc())
    }

    /// Issues a device's certificate, a verification certificate and a list, which OpenSSL has to accept.
    fn check(&self, chain: &Chain, untrusted: &[&str]) {
        let now = OffsetDateTime::now_utc();
        let organisation = chain.signer().facts().organisation.clone();
        let name = profile::device_name(organisation.as_deref(), "0123AABBCCDDEEFF01").unwrap();
        let request =
            profile::signing_request(&name).serialize_request(&KeyPair::generate().unwrap()).unwrap();
        let device = chain.issue_device(request.der(), &name, &|_| false, now).unwrap();
        let verification = verification_certificate(chain, &"ab".repeat(32), now).unwrap();
        let issuer = Issuer { certificate: chain.signer(), key: chain.key() };
        let revoked = Revoked::device(&device.serial_number().unwrap(), now, Reason::KeyCompromise);
        let list = issuer.sign_list([revoked], 7, 30, now).unwrap();

        let subject =
            x509_parser::parse_x509_certificate(chain.signer().der()).unwrap().1.subject().as_raw().to_vec();
        for made in [&device, &verification] {
            let (_, parsed) = x509_parser::parse_x509_certificate(made.der()).unwrap();
            assert_eq!(parsed.issuer().as_raw(), subject, "the CA's name byte for byte");
        }
        let (_, parsed) = CertificateRevocationList::from_der(&list).unwrap();
        assert_eq!(parsed.issuer().as_raw(), subject);

        let untrusted: String =
            ["signer.crt"].iter().chain(untrusted).map(|file| format!(" -untrusted {file}")).collect();
        self.write("list.crl", certificate::pem_of("X509 CRL", list));
        for (file, made) in [("device.crt", &device), ("verification.crt", &verification)] {
            self.write(file, made.to_pem());
            // Days are whole hours: what begins with this hour is before the CA that was made in it.
            self.openssl(&format!("verify -no_check_time -CAfile root.crt{untrusted} {file}"));
        }
        let said = self.openssl("crl -in list.crl -CAfile signer.crt -noout");
        assert!(said.contains("verify OK"), "{said}");
        let text = self.openssl("crl -in list.crl -noout -text");
        assert!(text.contains("Key Compromise") && text.contains(&device.facts().serial_number), "{text}");
        let text = self.openssl("x509 -in device.crt -noout -text -nameopt utf8");
        match &organisation {
            Some(organisation) => assert!(
                text.contains(&format!("O = {organisation}")) || text.contains(&format!("O={organisation}")),
                "{text}"
            ),
            None => assert!(text.contains("Subject: CN"), "{text}"),
        }
    }
}

#[test]
fn the_name_of_a_ca_is_kept_byte_for_byte_whatever_it_is_made_of() {
    for (subject, settings) in [
        ("DC=com\nDC=example\nO=Example\nCN=Signer", ""),
        ("CN=Plain Signer", ""),
        ("O=Example\nOU=one\nOU=two\nOU=one\nCN=Signer", ""),
        ("CN=Signer\nO=Example\nC=DE", ""),
        ("O=Example\nCN=Signer\n+serialNumber=4711\n+UID=x", ""),
        ("O=Exämple\nCN=Signer", "utf8=yes\nstring_mask=MASK:4"),
        ("O=Exämple\nCN=Signer", "utf8=yes\nstring_mask=MASK:2048"),
        ("O=Exämple\nCN=Signer ÄÖ", "utf8=yes\nstring_mask=utf8only"),
        ("O=Example\nCN=Signer", "string_mask=MASK:2"),
        ("O=Example\nemailAddress=ca@example.com\nCN=Signer", ""),
        ("O=Example\ntitle=Ms\nstreet=1 Main St\nCN=Signer", ""),
    ] {
        let made = Authorities::pair((P256, ROOT, ""), (P256, subject, settings));
        made.check(&made.chain().unwrap_or_else(|error| panic!("{subject}: {error}")), &[]);
    }
}

#[test]
fn only_the_signer_has_to_be_p256() {
    let ec = |curve: &str| format!("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:{curve}");
    for (root, settings) in [
        ("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048", ""),
        ("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048", "default_md=sha512"),
        (&ec("P-384"), "default_md=sha384"),
        (&ec("P-384"), "default_md=sha512"),
        (&ec("P-521"), "default_md=sha512"),
        (P256, "default_md=sha384"),
        (P256, "default_md=sha512"),
    ] {
        let made = Authorities::pair((root, ROOT, settings), (P256, SIGNER, settings));
        made.check(&made.chain().unwrap_or_else(|error| panic!("{root}, {settings}: {error}")), &[]);
    }
    for (key, found) in
        [(ec("P-384"), "P-384"), ("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048".to_owned(), "RSA")]
    {
        let error = Authorities::pair((P256, ROOT, ""), (&key, SIGNER, "")).chain().unwrap_err();
        assert!(matches!(&error, Error::SignerKey { found: kind, .. } if kind == found), "{error}");
    }
    let old = Authorities::pair((P256, ROOT, ""), (P256, SIGNER, "default_md=sha1")).chain().unwrap_err();
    assert_eq!(old.to_string(), "signer.crt is signed with ECDSA with SHA-1, which is not accepted");
}

#[test]
fn names_are_compared_as_names_and_not_as_bytes() {
    let made = Authorities::new();
    made.make("root", P256, "CN=the  Root\nO=EXAMPLE", "string_mask=utf8only", CA, None);
    made.make("signer", P256, SIGNER, "", CA, Some("root"));
    // The same key, and the name in another type of string, in other letters and with other spaces.
    made.make("root", P256, "CN=The Root\nO=Example", "string_mask=MASK:2", CA, None);
    let chain = made.chain().unwrap();
    assert!(chain.signer().is_signed_by(chain.root()));
    made.make("root", P256, "CN=Another Root\nO=Example", "", CA, None);
    assert!(matches!(made.chain(), Err(Error::IssuerName { .. })));
}

#[test]
fn cas_between_root_and_signer_are_found_in_any_order() {
    let made = Authorities::new();
    made.make("root", P256, ROOT, "", CA, None);
    made.make("upper", P256, "CN=Upper", "", CA, Some("root"));
    made.make("lower", P256, "CN=Lower", "", CA, Some("upper"));
    made.make("signer", P256, SIGNER, "", CA, Some("lower"));
    let [upper, lower] = ["upper.crt", "lower.crt"].map(|name| made.one(name));
    let now = OffsetDateTime::now_utc();
    for others in [[upper.clone(), lower.clone()], [lower.clone(), upper.clone()]] {
        made.check(&made.chain_of(&others, now).unwrap(), &["upper.crt", "lower.crt"]);
    }
    for missing in [vec![], vec![upper], vec![lower]] {
        assert!(matches!(made.chain_of(&missing, now), Err(Error::ForeignSigner { .. })));
    }
}

#[test]
fn what_a_ca_may_not_do_is_told_before_anything_is_issued() {
    let made = |root: &str, signer: &str| {
        let made = Authorities::new();
        made.make("root", P256, ROOT, "", root, None);
        made.make("signer", P256, SIGNER, "", signer, Some("root"));
        made.chain().err().map(|error| error.to_string())
    };
    let constraints = |what: &str, name: &str| {
        format!("{CA}nameConstraints=critical,{what};dirName:allowed\n[allowed]\n{name}\n")
    };
    let path_length = CA.replace("CA:TRUE", "CA:TRUE,pathlen:0");
    let no_lists = CA.replace(",cRLSign", "");
    let no_certificates = CA.replace("keyCertSign,", "");
    let no_identifier = CA.replace("subjectKeyIdentifier=hash\n", "subjectKeyIdentifier=none\n");
    assert_eq!(made(CA, CA), None);
    assert_eq!(made(CA, &path_length), None, "no CA is below the signer");
    let unknown = format!("1.3.6.1.4.1.99999.1=critical,DER:0500\n{CA}");
    for (root, signer, expected) in [
        (
            CA,
            unknown.as_str(),
            "signer.crt has the critical extension 1.3.6.1.4.1.99999.1, which is not known: whoever checks it has to refuse it",
        ),
        (
            &unknown,
            CA,
            "root.crt has the critical extension 1.3.6.1.4.1.99999.1, which is not known: whoever checks it has to refuse it",
        ),
        (path_length.as_str(), CA, "root.crt allows 0 CAs below it (pathLenConstraint), and there are 1"),
        (CA, &no_lists, "signer.crt may not sign revocation lists: its key usage lacks cRLSign"),
        (CA, &no_certificates, "signer.crt may not sign certificates: its key usage lacks keyCertSign"),
        (CA, &no_identifier, "signer.crt has no subject key identifier"),
        (
            CA,
            &constraints("permitted", "O=Another"),
            "signer.crt does not allow devices to be called O=Example, CN=sn… (nameConstraints)",
        ),
        (
            CA,
            &constraints("excluded", "O=Example"),
            "signer.crt does not allow devices to be called O=Example, CN=sn… (nameConstraints)",
        ),
    ] {
        assert_eq!(made(root, signer).as_deref(), Some(expected));
    }
    // The constraint is one of devices, and so is its name: a root's own counts as the signer's.
    assert_eq!(made(CA, &constraints("permitted", "O=EXAMPLE")), None);
    assert_eq!(made(CA, &format!("{CA}nameConstraints=critical,permitted;DNS:example.com\n")), None);

    let made = Authorities::pair((P256, ROOT, ""), (P256, SIGNER, ""));
    let now = OffsetDateTime::now_utc();
    for late in [now + Duration::days(31), now - Duration::days(1)] {
        assert!(matches!(made.chain_of(&[], late), Err(Error::NotValidNow { .. })));
    }
}
