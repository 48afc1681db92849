//! Files as OpenSSL and others write them, and as editors, memories and mail leave them.

use std::path::Path;
use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::Certificate;

fn certificate(name: &str) -> rcgen::Certificate {
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap()
}

fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output();
    let output = output.expect("the openssl command line tool is needed for this test");
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

fn kinds(bytes: &[u8]) -> Vec<Kind> {
    parts(bytes).into_iter().map(|part| part.kind).collect()
}

fn ders(bytes: &[u8]) -> Vec<Vec<u8>> {
    Certificate::read_all(bytes).unwrap().iter().map(|found| found.der().to_vec()).collect()
}

fn base64(der: &[u8], width: usize) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> =
        text.as_bytes().chunks(width).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    lines.join("\n")
}

use base64::Engine as _;

#[test]
fn a_certificate_is_read_whatever_wraps_it() {
    let made = certificate("a");
    let (der, pem) = (made.der().to_vec(), made.pem());
    let relabelled = |label: &str| pem.replace("CERTIFICATE", label);
    let one_line = pem.replace("\r\n", "\n").lines().collect::<Vec<_>>().join("\\n");
    let in_c = pem.lines().map(|line| format!("    \"{line}\\n\"\n")).collect::<String>();
    let wide = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----", base64(&der, 76));
    let narrow = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----", base64(&der, 13));
    let endless =
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----", base64(&der, 100_000));
    let padded = |with: &[u8]| [der.as_slice(), with].concat();
    let files: Vec<(&str, Vec<u8>)> = vec![
        ("DER", der.clone()),
        ("PEM", pem.clone().into()),
        ("a byte-order mark", format!("\u{FEFF}{pem}").into()),
        ("lines with CR LF", pem.replace("\r\n", "\n").replace('\n', "\r\n").into()),
        ("lines with CR", pem.replace("\r\n", "\n").replace('\n', "\r").into()),
        ("double lines", pem.replace("\r\n", "\n").replace('\n', "\n\n").into()),
        ("spaces around lines", pem.lines().map(|line| format!("  {line}  \n")).collect::<String>().into()),
        ("wide lines", wide.into()),
        ("narrow lines", narrow.into()),
        ("one line", endless.into()),
        ("text around it", format!("Subject: a\nIssuer: a\n{pem}and so on: -----\n").into()),
        ("a header", pem.replacen("-----\r\n", "-----\r\nX-Note: of the shift\r\n\r\n", 1).into()),
        ("X509 CERTIFICATE", relabelled("X509 CERTIFICATE").into()),
        ("in JSON", format!("{{\"certificatePem\": \"{one_line}\\n\"}}").into()),
        ("in a C source", format!("static const char certificate[] =\n{in_c};\n").into()),
        ("base64 in lines", base64(&der, 64).into()),
        ("base64 in one line", base64(&der, 100_000).into()),
        ("base64 without its end", base64(&der, 100_000).trim_end_matches('=').as_bytes().to_vec()),
        ("base64 with a mark", format!("\u{FEFF}{}", base64(&der, 64)).into()),
        ("base64 of PEM", base64(pem.as_bytes(), 100_000).into()),
        ("spaces of a web page", pem.replace("\r\n", "\u{A0}\r\n\u{200B}").into()),
        ("a quoted mail", pem.lines().map(|line| format!("> {line}\n")).collect::<String>().into()),
        ("several marks", format!("\u{FEFF}text\n\u{FEFF}{pem}").into()),
        ("erased bytes behind it", padded(&[0xFF; 200])),
        ("zeros behind it", padded(&[0; 200])),
        ("an end of line behind it", padded(b"\r\n")),
    ];
    for (name, file) in files {
        assert_eq!(ders(&file), std::slice::from_ref(&der), "{name}: {:?}", kinds(&file));
    }
}

#[test]
fn every_certificate_is_found_in_any_order_beside_anything_else() {
    let [a, b, c] = ["a", "b", "c"].map(certificate);
    let expected = [&a, &b, &c].map(|one| one.der().to_vec());
    let parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n";
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let text = format!("{}{parameters}{}text\n{key}{damaged}{}", a.pem(), b.pem(), c.pem());
    assert_eq!(ders(text.as_bytes()), expected);
    assert_eq!(
        kinds(text.as_bytes()),
        [
            Kind::Certificate,
            Kind::Parameters,
            Kind::Certificate,
            Kind::PrivateKey(PrivateKey::P256),
            Kind::DamagedCertificate,
            Kind::Certificate
        ]
    );
    let with_padding = [expected[0].as_slice(), &[0xFF; 9], &expected[1], b"\n", &expected[2]].concat();
    assert_eq!(ders(&with_padding), expected);
}

#[test]
fn what_openssl_writes_is_read_or_called_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &str| openssl(folder.path(), arguments);
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let ec = |curve: &str, to: &str| run(&format!("ecparam -name {curve} -genkey -out {to}"));
    ec("prime256v1", "ec.pem");
    run("req -x509 -new -key ec.pem -subj /CN=a -out a.pem");
    run("req -x509 -new -key ec.pem -subj /CN=b -out b.pem");
    run("x509 -in a.pem -trustout -addtrust clientAuth -setalias alias -out trusted.pem");
    run("x509 -in a.pem -text -out text.pem");
    run("crl2pkcs7 -nocrl -certfile a.pem -certfile b.pem -out p7.pem");
    run("crl2pkcs7 -nocrl -certfile a.pem -certfile b.pem -outform DER -out p7.der");
    let (a, b) = (ders(&read("a.pem")).remove(0), ders(&read("b.pem")).remove(0));
    for name in ["trusted.pem", "text.pem"] {
        assert_eq!(ders(&read(name)), std::slice::from_ref(&a), "{name}");
    }
    let cms = String::from_utf8(read("p7.pem")).unwrap().replace("PKCS7", "CMS");
    for (name, file) in [("p7.pem", read("p7.pem")), ("p7.der", read("p7.der")), ("CMS", cms.into())] {
        let mut found = ders(&file);
        found.sort();
        let mut both = [a.clone(), b.clone()];
        both.sort();
        assert_eq!(found, both, "{name}");
    }

    run("pkcs12 -export -in a.pem -inkey ec.pem -passout pass:secret -out a.p12");
    run("req -new -key ec.pem -subj /CN=a -out a.csr");
    run("req -new -key ec.pem -subj /CN=a -outform DER -out a.csr.der");
    run("pkey -in ec.pem -pubout -out a.pub");
    run("pkcs8 -topk8 -in ec.pem -nocrypt -out p8.pem");
    run("pkcs8 -topk8 -in ec.pem -nocrypt -outform DER -out p8.der");
    run("pkcs8 -topk8 -in ec.pem -passout pass:secret -out encrypted.pem");
    run("ec -in ec.pem -aes256 -passout pass:secret -out legacy.pem");
    run("genrsa -out rsa.pem 2048");
    run("rsa -in rsa.pem -traditional -out rsa1.pem");
    run("genpkey -algorithm ed25519 -out ed.pem");
    for (curve, name) in [("secp384r1", "p384.pem"), ("secp521r1", "p521.pem"), ("secp256k1", "k1.pem")] {
        ec(curve, name);
    }
    for (name, kind) in [
        ("a.p12", Kind::Pkcs12),
        ("a.csr", Kind::Request),
        ("a.csr.der", Kind::Request),
        ("a.pub", Kind::PublicKey),
        ("ec.pem", Kind::PrivateKey(PrivateKey::P256)),
        ("p8.pem", Kind::PrivateKey(PrivateKey::P256)),
        ("p8.der", Kind::PrivateKey(PrivateKey::P256)),
        ("encrypted.pem", Kind::EncryptedKey),
        ("legacy.pem", Kind::LegacyEncryptedKey),
        ("rsa.pem", Kind::PrivateKey(PrivateKey::Rsa)),
        ("rsa1.pem", Kind::PrivateKey(PrivateKey::Rsa)),
        ("ed.pem", Kind::PrivateKey(PrivateKey::Ed25519)),
        ("p384.pem", Kind::PrivateKey(PrivateKey::P384)),
        ("p521.pem", Kind::PrivateKey(PrivateKey::P521)),
        ("k1.pem", Kind::PrivateKey(PrivateKey::Secp256k1)),
    ] {
        let file = read(name);
        let found = documents(&file, Kind::Certificate).unwrap_err();
        assert_eq!(found, kind, "{name}: {:?}", kinds(&file));
    }
}

#[test]
fn what_is_no_document_is_called_by_its_name() {
    let pem = certificate("a").pem();
    let utf16 = |mark: &[u8], order: fn(u16) -> [u8; 2]| {
        [mark, &pem.encode_utf16().flat_map(order).collect::<Vec<u8>>()].concat()
    };
    let der = certificate("a").der().to_vec();
    for (name, file, kind) in [
        ("nothing", Vec::new(), Kind::Empty),
        ("spaces", b" \r\n\n".to_vec(), Kind::Empty),
        ("UTF-16, little-endian", utf16(b"\xFF\xFE", u16::to_le_bytes), Kind::Utf16(Utf16::Marked)),
        ("UTF-16, big-endian", utf16(b"\xFE\xFF", u16::to_be_bytes), Kind::Utf16(Utf16::Marked)),
        ("UTF-16LE without a mark", utf16(b"", u16::to_le_bytes), Kind::Utf16(Utf16::LittleEndian)),
        ("UTF-16BE without a mark", utf16(b"", u16::to_be_bytes), Kind::Utf16(Utf16::BigEndian)),
        ("a manifest", br#"[{"payload":"e30","protected":"e30","signature":"AA"}]"#.to_vec(), Kind::Manifest),
        ("JSON", b"{\"a\": 1}".to_vec(), Kind::Json),
        ("numbers in C", b"{0x30, 0x82, 0x01, 0x5D}".to_vec(), Kind::Text),
        ("an archive that packs nothing", [b"PK\x03\x04", pem.as_bytes()].concat(), Kind::Archive),
        ("a web page", b"<!DOCTYPE html><title>403</title>".to_vec(), Kind::WebPage),
        ("XHTML", b"<?xml version=\"1.0\"?>\n<html xmlns=\"x\"><p>no</p></html>".to_vec(), Kind::WebPage),
        ("XML", b"<?xml version=\"1.0\"?>\n<Error><Code>AccessDenied</Code></Error>".to_vec(), Kind::Xml),
        ("XML without a declaration", b"<Error><Code>AccessDenied</Code></Error>".to_vec(), Kind::Xml),
        ("a JWK", b"{\"kty\":\"EC\",\"crv\":\"P-256\",\"d\":\"x\"}".to_vec(), Kind::JsonKey),
        ("a set of JWKs", b"{\"keys\": [{\"kty\":\"EC\"}]}".to_vec(), Kind::JsonKey),
        ("a conflict", format!("<<<<<<< HEAD\n{pem}=======\n>>>>>>> main\n").into(), Kind::GitConflict),
        (
            "one within",
            format!("text\n<<<<<<< HEAD\n{pem}=======\n{pem}>>>>>>> x\n").into(),
            Kind::GitConflict,
        ),
        ("hex", hex::encode(&der).into_bytes(), Kind::Hex),
        ("an archive", b"PK\x03\x04\x14\0\0\0".to_vec(), Kind::Archive),
        ("small letters", pem.to_lowercase().into(), Kind::BrokenFrames),
        ("a key store", b"\xFE\xED\xFE\xED\0\0\0\x02".to_vec(), Kind::JavaKeyStore),
        ("four hyphens", pem.replace("-----", "----").into(), Kind::BrokenFrames),
        ("dashes of an editor", pem.replace("-----", "—").into(), Kind::BrokenFrames),
        ("no last frame", pem[..pem.len() / 2].to_owned().into(), Kind::DamagedCertificate),
        ("other letters", pem.replace('M', "?").into(), Kind::DamagedCertificate),
        ("half of it", der[..der.len() / 2].to_vec(), Kind::CutOff),
        ("text", b"the certificates are in another folder".to_vec(), Kind::Text),
        ("text that begins with a zero", b"0123456789".to_vec(), Kind::Text),
        (
            "an OpenSSH key",
            b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaA==\n-----END OPENSSH PRIVATE KEY-----\n"
                .to_vec(),
            Kind::OpenSshKey,
        ),
        ("noise", vec![0x7F, 0xFE, 0x00, 0x80], Kind::Unknown),
        (
            "indefinite",
            b"\x30\x80\x06\x09\x2A\x86\x48\x86\xF7\x0D\x01\x07\x02\xA0\x80".to_vec(),
            Kind::Indefinite,
        ),
    ] {
        assert_eq!(kinds(&file), [kind], "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever stands around certificates, and however they are broken into lines: they are found, all and unchanged.
    #[test]
    fn text_around_certificates_takes_none_away(
        texts in proptest::collection::vec("[ -,.-~\\r\\n]{0,80}", 4),
        width in 1..200_usize,
        end in prop::sample::select(vec!["\n", "\r\n", "\r", "\n\n", " \n\t"]),
        mark in any::<bool>(),
    ) {
        let made = ["a", "b", "c"].map(|name| certificate(name).der().to_vec());
        let mut file = String::from(if mark { "\u{FEFF}" } else { "" });
        for (der, text) in made.iter().zip(&texts) {
            let body = base64(der, width).replace('\n', end);
            file += &format!("{text}\n-----BEGIN CERTIFICATE-----{end}{body}{end}-----END CERTIFICATE-----{end}");
        }
        file += &texts[3];
        prop_assert_eq!(ders(file.as_bytes()), made);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes: Vec<u8>, text: String) {
        for file in [bytes.as_slice(), text.as_bytes(), format!("-----BEGIN {text}").as_bytes()] {
            prop_assert!(!parts(file).is_empty());
            let _ = contents(file);
        }
    }
}
