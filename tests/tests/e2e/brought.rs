//! Files that others made: certificates and keys in every wrapping, and CAs with names, keys and tiers that are not ours.

use std::path::Path;
use std::process::Command;

use testbed::board::{Options, SimulatedBoard};

use crate::account::{Account, Ca};
use crate::laptop::{Laptop, Outcome};

mod authorities;

const CA: &str =
    "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n";

fn openssl(folder: &Path, arguments: &str) -> String {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output();
    let output = output.expect("the openssl command line tool is needed for this test");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments}: {said}");
    format!("{}{said}", String::from_utf8_lossy(&output.stdout))
}

#[cfg(unix)]
fn close(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// A home folder with a chain that OpenSSL made; lines of `signer` are the signer's subject.
fn brought(root_key: &str, signer: &str, extensions: &str) -> Laptop {
    let laptop = Laptop::new();
    let home = laptop.folder();
    std::fs::create_dir(&home).unwrap();
    let subject: String =
        signer.lines().enumerate().map(|(number, line)| format!("{number}.{line}\n")).collect();
    std::fs::write(home.join(".req"), format!("[req]\nprompt=no\ndistinguished_name=dn\n[dn]\n{subject}"))
        .unwrap();
    std::fs::write(home.join(".root"), CA).unwrap();
    std::fs::write(home.join(".signer"), extensions).unwrap();
    openssl(&home, &format!("{root_key} -out .root.key"));
    openssl(&home, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out signer-ca.key");
    openssl(&home, "req -new -key .root.key -subj /CN=Root -out .root.csr");
    openssl(&home, "x509 -req -in .root.csr -signkey .root.key -extfile .root -days 30 -out root-ca.crt");
    openssl(&home, "req -new -config .req -key signer-ca.key -out .signer.csr");
    openssl(
        &home,
        "x509 -req -sha512 -in .signer.csr -CA root-ca.crt -CAkey .root.key -CAcreateserial -CAserial .serial -extfile .signer -days 30 -out signer-ca.crt",
    );
    close(&home.join("signer-ca.key"));
    laptop
}

const RSA: &str = "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048";

#[test]
fn a_board_is_provisioned_and_revoked_under_a_ca_that_another_made() {
    for signer in
        ["DC=com\nDC=example\nO=Example\nCN=Signer", "CN=Plain Signer", "O=Example\nCN=Signer\n+UID=x"]
    {
        let laptop = brought(RSA, signer, CA);
        let home = laptop.folder();
        let board = SimulatedBoard::start(Options::instant(20)).unwrap();
        let port = board.path().to_str().unwrap();
        let shown = laptop.run(&["ca", "show"], &[]);
        assert_eq!(shown.code, 0, "{shown}");
        let provision = ["provision", "--endpoint", "a-ats.iot.us-east-1.amazonaws.com", "--port", port];
        let outcome = laptop.run(&provision, &[]);
        assert_eq!(outcome.code, 0, "{outcome}");
        let again = laptop.run(&provision, &[]);
        assert!(again.stdout.contains("already provisioned"), "{again}");
        assert_eq!(laptop.run(&["ca", "crl"], &[]).code, 0);
        let (path, _) = laptop.files().into_iter().find(|(path, _)| path.ends_with("device.crt")).unwrap();
        let device = path.display();
        openssl(
            &home,
            &format!("verify -no_check_time -CAfile root-ca.crt -untrusted signer-ca.crt {device}"),
        );
        let (list, _) = laptop
            .files()
            .into_iter()
            .find(|(path, _)| path.extension().is_some_and(|kind| kind == "crl"))
            .unwrap();
        let list = list.display();
        let said = openssl(&home, &format!("crl -inform DER -in {list} -CAfile signer-ca.crt -noout"));
        assert!(said.contains("verify OK"), "{said}");
        let issuers = ["x509 -in signer-ca.crt -noout -subject_hash", "x509 -noout -issuer_hash -in"];
        let signer = openssl(&home, issuers[0]);
        assert_eq!(openssl(&home, &format!("{} {device}", issuers[1])), signer, "the name byte for byte");
    }
}

#[test]
fn a_ca_that_may_not_do_it_is_refused_before_a_board_is_touched_and_never_with_force() {
    let no_lists = CA.replace(",cRLSign", "");
    let constrained =
        format!("{CA}nameConstraints=critical,permitted;dirName:allowed\n[allowed]\nO=Another\n");
    for (extensions, expected) in [
        (no_lists.as_str(), "lacks cRLSign"),
        (&constrained, "nameConstraints"),
        (&CA.replace("CA:TRUE", "CA:FALSE"), "is not the certificate of a certificate authority"),
    ] {
        let laptop = brought(RSA, "O=Example\nCN=Signer", extensions);
        // No port of this name exists: the chain is looked at first.
        let outcome = laptop.run(&["provision", "--endpoint", "a.example", "--port", "/dev/nowhere"], &[]);
        assert!(outcome.code == 1 && outcome.stderr.contains(expected), "{outcome}");
        assert!(!outcome.stderr.contains("--force"), "{outcome}");
    }
    let laptop = brought(RSA, "CN=Signer", CA);
    let home = laptop.folder();
    for (name, make, expected) in [
        (
            "signer-ca.key",
            "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out signer-ca.key",
            "a private key (RSA)",
        ),
        (
            "signer-ca.key",
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out signer-ca.key",
            "a private key (P-384)",
        ),
        (
            "signer-ca.key",
            "pkcs12 -export -passout pass:x -inkey .root.key -in root-ca.crt -out signer-ca.key",
            "openssl pkcs12 -in OLD -nocerts",
        ),
        (
            "signer-ca.key",
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out signer-ca.key",
            "signer-ca.key does not belong to signer-ca.crt",
        ),
        (
            "root-ca.crt",
            "req -new -key .root.key -subj /CN=Root -out root-ca.crt",
            "a certificate signing request (CSR)",
        ),
    ] {
        openssl(&home, make);
        close(&home.join(name));
        let outcome = laptop.run(&["ca", "show"], &[]);
        assert!(outcome.code == 1 && outcome.stderr.contains(expected), "{outcome}");
        assert!(!outcome.stderr.contains("--force"), "{outcome}");
    }
}

#[test]
fn the_files_of_the_home_are_read_whatever_wraps_them() {
    let laptop = Laptop::with_ca();
    let home = laptop.folder();
    let show = || laptop.run(&["ca", "show", "--output", "json"], &[]);
    let right = show();
    let read = |name: &str| std::fs::read_to_string(home.join(name)).unwrap();
    let (key, signer, root) = (read("signer-ca.key"), read("signer-ca.crt"), read("root-ca.crt"));
    openssl(&home, "ec -in signer-ca.key -out .sec1.key");
    let parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    openssl(&home, "pkcs8 -topk8 -nocrypt -in signer-ca.key -outform DER -out .key.der");
    openssl(&home, "x509 -in signer-ca.crt -outform DER -out .signer.der");
    openssl(&home, "crl2pkcs7 -nocrl -certfile signer-ca.crt -certfile root-ca.crt -out .signer.p7b");
    let bytes = |name: &str| std::fs::read(home.join(name)).unwrap();
    for (name, content) in [
        ("signer-ca.key", format!("\u{FEFF}{key}").into_bytes()),
        ("signer-ca.key", format!("{parameters}{}", read(".sec1.key")).into_bytes()),
        ("signer-ca.key", key.replace("-----\n", "-----  \n").into_bytes()),
        ("signer-ca.key", key.replace('\n', "\r\n").into_bytes()),
        ("signer-ca.key", format!("{signer}{key}{root}").into_bytes()),
        ("signer-ca.key", bytes(".key.der")),
        ("signer-ca.crt", signer.replace("CERTIFICATE", "X509 CERTIFICATE").into_bytes()),
        ("signer-ca.crt", [bytes(".signer.der"), vec![0xFF; 40]].concat()),
        ("signer-ca.crt", bytes(".signer.p7b")),
        ("signer-ca.crt", format!("{root}{signer}").into_bytes()),
        ("root-ca.crt", format!("Issuer: Root\n{root}").into_bytes()),
    ] {
        let before = bytes(name);
        std::fs::write(home.join(name), &content).unwrap();
        let outcome = show();
        assert_eq!((outcome.code, &outcome.stdout), (0, &right.stdout), "{name}: {outcome}");
        std::fs::write(home.join(name), before).unwrap();
    }
}

/// Runs `register` with the testbed as the account.
async fn register(laptop: &Laptop, account: &Account, arguments: &[&str]) -> Outcome {
    let environment = account.testbed.access().environment();
    let arguments: Vec<String> =
        ["register"].iter().chain(arguments).map(|text| (*text).to_owned()).collect();
    let mut command = laptop.command(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
    command.envs(environment);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    laptop.outcome(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), output)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_certificate_of_a_file_is_registered_and_what_is_none_is_named() {
    let account = Account::empty().await;
    let laptop = Laptop::new();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let write = |name: &str, content: &[u8]| std::fs::write(folder.path().join(name), content).unwrap();
    let ca = Ca::new("Signer");
    let one = |name: &str| ca.issue(name);
    write("three.pem", format!("{}{}{}{}", ca.pem(), one("a"), one("b"), one("c")).as_bytes());
    let outcome = register(&laptop, &account, &[&path("three.pem")]).await;
    assert!(outcome.code == 0 && outcome.stderr.contains("registered: 3 of 3 certificates"), "{outcome}");
    write("bom.pem", format!("\u{FEFF}{}{}", one("d"), one("e")).as_bytes());
    write("f.pem", one("f").as_bytes());
    openssl(folder.path(), "x509 -in f.pem -outform DER -out f.der");
    let padded = [std::fs::read(folder.path().join("f.der")).unwrap(), vec![0xFF; 300]].concat();
    write("padded.der", &padded);
    let bare: String =
        one("g").lines().filter(|line| !line.starts_with('-')).map(|line| format!("{line}\n")).collect();
    write("g.cer", bare.as_bytes());
    let files = ["bom.pem", "padded.der", "g.cer"].map(path);
    let outcome = register(&laptop, &account, &files.each_ref().map(String::as_str)).await;
    assert!(outcome.code == 0 && outcome.stderr.contains("registered: 4 of 4 certificates"), "{outcome}");
    write("ended.crt", ca.issue_valid("h", 2020, 2021).as_bytes());
    for arguments in [&[&*path("ended.crt"), "--dry-run"][..], &[&path("ended.crt")]] {
        let outcome = register(&laptop, &account, arguments).await;
        assert!(outcome.stderr.contains("warning: 1 certificate not valid now: "), "{outcome}");
        assert!(outcome.stderr.contains("ended.crt ended on 2021-01-01"), "{outcome}");
        assert_eq!(outcome.code, 0, "{outcome}");
    }

    write("list.txt", "\u{FEFF}\"i 1.pem\"\r\n'j.pem'\r\n".as_bytes());
    write("i 1.pem", one("i").as_bytes());
    write("j.pem", one("j").as_bytes());
    let outcome = register(&laptop, &account, &["--file", &path("list.txt")]).await;
    assert!(outcome.code == 0 && outcome.stderr.contains("registered: 2 of 2 certificates"), "{outcome}");

    let other = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| std::fs::write(other.path().join(name), content).unwrap();
    write("a.crt", one("k").as_bytes());
    write("manifest.json", br#"[{"payload":"e30","protected":"e30","header":{},"signature":"AA"}]"#);
    write("utf16.crt", &one("l").encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>());
    for number in 0..20 {
        write(&format!("self-{number}.pem"), Ca::new("board").pem().as_bytes());
    }
    let outcome = register(&laptop, &account, &["--dir", other.path().to_str().unwrap()]).await;
    assert!(outcome.code == 1 && outcome.stderr.contains("registered: 1 of 23 certificates"), "{outcome}");
    let lines = |text: &str| outcome.stdout.matches(text).count() + outcome.stderr.matches(text).count();
    assert_eq!(lines("is the certificate of a CA (CA:TRUE)"), 20, "{outcome}");
    assert_eq!(lines("basicConstraints=critical,CA:FALSE"), 1, "{outcome}");
    assert_eq!(lines("it is a secure-element manifest, not a certificate"), 1, "{outcome}");
    assert_eq!(lines("provisioner register --manifest FILE"), 1, "{outcome}");
    assert_eq!(lines("iconv -f UTF-16LE -t UTF-8"), 1, "{outcome}");

    let other = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| std::fs::write(other.path().join(name), content).unwrap();
    let (again, dir) = (one("m"), other.path().to_str().unwrap());
    write("a.der", again.as_bytes());
    write("b.pem", again.as_bytes());
    for dry in [&["--dry-run"][..], &[]] {
        let outcome = register(&laptop, &account, &[&["--dir", dir], dry].concat()).await;
        let said = outcome.stdout.lines().find(|line| line.contains("b.pem")).unwrap_or_default();
        assert!(
            outcome.code == 0 && said.ends_with(&format!("the same certificate as {dir}/a.der")),
            "{outcome}"
        );
        assert!(!dry.is_empty() || outcome.stderr.contains("registered: 1 of 1 certificate"), "{outcome}");
        let outcome = register(&laptop, &account, &[&["--output=json", "--dir", dir], dry].concat()).await;
        let lines = schemas::checked(&["register", "--output=json"], &outcome.stdout);
        let line = lines.iter().find(|line| line["source"].as_str().unwrap().ends_with("b.pem")).unwrap();
        assert_eq!((&line["action"], &line["same_as"]), (&"leave".into(), &format!("{dir}/a.der").into()));
    }
    // AWS IoT is asked whatever the dates say.
    write("b.pem", ca.issue_valid("n", 2020, 2021).as_bytes());
    write("a.der", ca.issue_valid("o", 2090, 2091).as_bytes());
    let outcome = register(&laptop, &account, &["--dir", dir]).await;
    assert!(
        outcome.code == 0 && outcome.stderr.contains("warning: 2 certificates not valid now"),
        "{outcome}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_common_name_of_any_string_type_names_the_thing() {
    let account = Account::empty().await;
    let laptop = Laptop::new();
    let folder = tempfile::tempdir().unwrap();
    openssl(folder.path(), "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key");
    // BMPString, T61String, PrintableString, UTF8String.
    for (mask, name) in
        [("MASK:2048", "bmp"), ("MASK:4", "t61"), ("MASK:2", "printable"), ("utf8only", "utf8")]
    {
        let config =
            format!("[req]\nprompt=no\nstring_mask={mask}\ndistinguished_name=dn\n[dn]\nCN=board-{name}\n");
        std::fs::write(folder.path().join("req"), config).unwrap();
        let to = "-addext basicConstraints=CA:FALSE -days 30 -out";
        openssl(folder.path(), &format!("req -x509 -new -key key -config req {to} {name}.crt"));
        let path = folder.path().join(format!("{name}.crt")).display().to_string();
        let outcome = register(&laptop, &account, &[&path, "--thing-name-source", "cn"]).await;
        assert!(outcome.code == 0 && outcome.stdout.contains(&format!("thing board-{name}")), "{outcome}");
    }
}

const P256: &str = "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256";

/// What OpenSSL makes of a chain whose root's key is in the home folder.
struct Made<'a> {
    /// How the root's key is made.
    root_key: &'a str,
    /// Extensions of the root.
    root: &'a str,
    /// Extensions of a CA between root and signer, where there is one.
    between: Option<&'a str>,
    /// Extensions of the signer.
    signer: &'a str,
    /// The signer's O.
    organisation: &'a str,
    /// Days that the root is valid; the others have 30.
    days: u32,
}

const MADE: Made<'static> =
    Made { root_key: P256, root: CA, between: None, signer: CA, organisation: "Example", days: 60 };

impl Made<'_> {
    fn laptop(&self) -> Laptop {
        let laptop = Laptop::new();
        let home = laptop.folder();
        std::fs::create_dir(&home).unwrap();
        let issue = |name: &str, key: &str, extensions: &str, issuer: Option<&str>, days: u32| {
            let organisation = match name {
                "signer-ca" => self.organisation,
                _ => "Example",
            };
            let settings = format!(
                "[req]\nprompt=no\nstring_mask=utf8only\ndistinguished_name=dn\n[dn]\nCN={name}\nO={organisation}\n"
            );
            std::fs::write(home.join(".req"), settings).unwrap();
            std::fs::write(home.join(".ext"), extensions).unwrap();
            openssl(&home, &format!("{key} -out {name}.key"));
            close(&home.join(format!("{name}.key")));
            openssl(&home, &format!("req -new -config .req -key {name}.key -out .{name}.csr"));
            let sign = issuer.map_or_else(
                || format!("-signkey {name}.key"),
                |issuer| format!("-CA {issuer}.crt -CAkey {issuer}.key -CAcreateserial -CAserial .serial"),
            );
            openssl(
                &home,
                &format!("x509 -req -in .{name}.csr {sign} -extfile .ext -days {days} -out {name}.crt"),
            );
        };
        issue("root-ca", self.root_key, self.root, None, self.days);
        match self.between {
            Some(between) => {
                issue(".between", P256, between, Some("root-ca"), 30);
                issue("signer-ca", P256, self.signer, Some(".between"), 30);
                let read = |name: &str| std::fs::read_to_string(home.join(name)).unwrap();
                let both = read("signer-ca.crt") + &read(".between.crt");
                std::fs::write(home.join("signer-ca.crt"), both).unwrap();
            }
            None => issue("signer-ca", P256, self.signer, Some("root-ca"), 30),
        }
        laptop
    }
}

/// Writes the note that the signer of the home folder was revoked.
fn revoke_signer(laptop: &Laptop) {
    let note = r#"{"when":"2026-11-25T00:00:00Z","reason":"key-compromise"}"#;
    std::fs::write(laptop.folder().join("signer-ca.revoked"), note).unwrap();
}

/// The lists in the home folder, as OpenSSL prints the revoked certificates on them.
fn lists(laptop: &Laptop) -> Vec<String> {
    let home = laptop.folder();
    let files = laptop.files().into_iter().map(|(path, _)| path);
    files
        .filter(|path| path.extension().is_some_and(|kind| kind == "crl"))
        .map(|path| openssl(&home, &format!("crl -inform DER -in {} -noout -text", path.display())))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signer_that_another_ca_issued_is_on_no_list_of_the_root() {
    let account = Account::empty().await;
    let laptop = Made { between: Some(CA), ..MADE }.laptop();
    let mut command = laptop.command(&["revoke", "--signer", "current", "--yes"], &[]);
    command.envs(account.testbed.access().environment());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let outcome = laptop.outcome(&["revoke"], output);
    assert_eq!(outcome.code, 0, "{outcome}");
    assert!(!outcome.stderr.contains("root's revocation list"), "{outcome}");
    assert!(outcome.stderr.contains("only CN=.between, O=Example, which issued it"), "{outcome}");
    let outcome = laptop.run(&["ca", "crl"], &[]);
    assert!(outcome.code == 1 && outcome.stderr.contains("and not by the root"), "{outcome}");
    let lists = lists(&laptop);
    assert!(lists.len() == 1 && lists[0].contains("CN = signer-ca"), "the signer's own: {lists:?}");
}

#[test]
fn a_root_key_of_another_kind_is_left_alone_and_what_it_would_sign_is_named() {
    for root_key in [RSA, "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384"] {
        let laptop = Made { root_key, ..MADE }.laptop();
        for command in [["ca", "show"], ["ca", "create"], ["ca", "crl"]] {
            assert_eq!(laptop.run(&command, &[]).code, 0, "{command:?}");
        }
        let outcome = laptop.run(&["ca", "rotate", "--no-register"], &[]);
        assert!(outcome.code == 1 && outcome.stderr.contains("P-256 keys alone"), "{outcome}");
        assert!(
            outcome.stderr.contains("its owner has to sign") && !outcome.stderr.contains("genpkey"),
            "{outcome}"
        );
        revoke_signer(&laptop);
        let outcome = laptop.run(&["ca", "crl"], &[]);
        assert!(outcome.code == 1 && outcome.stderr.contains("P-256 keys alone"), "{outcome}");
        assert_eq!(lists(&laptop).len(), 1, "the signer's own");
    }
}

#[test]
fn a_root_that_may_sign_no_lists_signs_none() {
    let laptop = Made { root: &CA.replace(",cRLSign", ""), ..MADE }.laptop();
    revoke_signer(&laptop);
    let outcome = laptop.run(&["ca", "crl"], &[]);
    assert!(
        outcome.code == 1 && outcome.stderr.contains("root-ca.crt may not sign revocation lists"),
        "{outcome}"
    );
    assert_eq!(lists(&laptop).len(), 1, "the signer's own");
}
