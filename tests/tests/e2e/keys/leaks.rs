//! The private keys and their passphrase are only in the key files, in everything that the program writes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use testbed::board::{Options as Board, SimulatedBoard};
use testbed::{Options, Testbed, beside, lambda_host};

use super::{PASSPHRASE, VARIABLE};
use crate::laptop::Laptop;

/// A secret in every form in which it could be written: raw, hex, base64 at each of the three offsets, as PEM breaks it,
/// and as Rust prints bytes.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![secret.to_vec(), hex::encode(secret).into(), hex::encode_upper(secret).into()];
    let listed = format!("{secret:?}");
    forms.push(listed.trim_matches(['[', ']']).into());
    for offset in 0..3 {
        // What surrounds the secret changes the characters at either end only.
        let encoded = STANDARD.encode([&[0; 2][..offset], secret].concat());
        let inner = &encoded[offset + 1..encoded.trim_end_matches('=').len() - 1];
        forms.push(inner.into());
        // A PEM file breaks lines somewhere: a third of it is on one line.
        forms.push(inner[..inner.len() / 3].into());
    }
    forms
}

fn assert_absent(secrets: &[(&str, Vec<u8>)], place: &str, content: &[u8]) {
    for (name, secret) in secrets {
        for form in forms(secret) {
            let found = content.windows(form.len()).any(|window| window == form);
            assert!(!found, "{name} is in {place}: {}", String::from_utf8_lossy(&form));
        }
    }
}

/// The private number of a key file, which openssl prints in hex.
fn number(laptop: &Laptop, file: &str) -> Vec<u8> {
    let output = std::process::Command::new("openssl")
        .args(["pkey", "-noout", "-text", "-in"])
        .arg(laptop.folder().join(file))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let digits = text.split_once("priv:").unwrap().1.split_once("pub:").unwrap().0;
    let digits: String = digits.chars().filter(char::is_ascii_hexdigit).collect();
    let mut number = hex::decode(digits).unwrap();
    // A leading zero keeps it positive, and a small number is shorter.
    number.drain(..number.len().saturating_sub(32));
    assert!(number.len() > 24, "{text}");
    number
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_and_no_passphrase_is_in_anything_the_program_writes() {
    let testbed = Testbed::start(Options::default()).await.unwrap();
    let board = SimulatedBoard::start(Board::instant(7)).unwrap();
    let laptop = Laptop::new();
    let port = board.path().to_str().unwrap().to_owned();
    let package = tempfile::tempdir().unwrap();
    let zip = package.path().join("jitr.zip");
    std::fs::write(&zip, lambda_host::package_of(&beside::program("jitr").unwrap()).unwrap()).unwrap();
    let zip = zip.to_str().unwrap();

    let run = |arguments: &[&str], passphrase: Option<&str>| {
        let mut environment = testbed.access().environment().to_vec();
        environment.extend([("RUST_LOG", "trace"), ("RUST_BACKTRACE", "full")]);
        environment.extend(passphrase.map(|passphrase| (VARIABLE, passphrase)));
        let arguments = [arguments, &["--logging", "debug"]].concat();
        let outcome = tokio::task::block_in_place(|| laptop.run(&arguments, &environment));
        (format!("{arguments:?}"), outcome)
    };
    let mut written = vec![run(&["ca", "create"], None)];
    // Known now, before the files are encrypted.
    let mut secrets: Vec<(&str, Vec<u8>)> =
        ["root-ca.key", "signer-ca.key"].map(|file| (file, number(&laptop, file))).into();
    secrets.push(("the passphrase", PASSPHRASE.into()));
    let provision = ["provision", "--method", "jitr", "--port", &port];
    written.extend([
        run(&["setup", "--method", "jitr", "--lambda-zip", zip], None),
        run(&provision, None),
        run(&["ca", "show", "--output", "json"], None),
        run(&["ca", "encrypt", "--output", "json"], Some(PASSPHRASE)),
        run(&[&provision[..], &["--force", "--output", "json"]].concat(), Some(PASSPHRASE)),
    ]);
    assert!(
        written.iter().all(|(_, outcome)| outcome.code == 0),
        "{}",
        written.iter().map(|(_, o)| o.to_string()).collect::<String>()
    );
    // Errors must not contain them either.
    std::fs::write(laptop.folder().join("half.key"), "").unwrap();
    let broken = laptop.folder().join("signer-ca.key");
    let text = std::fs::read_to_string(&broken).unwrap();
    written.push(run(&[&provision[..], &["--force"]].concat(), Some("another passphrase")));
    std::fs::write(&broken, &text[..text.len() / 2]).unwrap();
    written.push(run(&[&provision[..], &["--force"]].concat(), Some(PASSPHRASE)));
    std::fs::write(&broken, text).unwrap();
    written.push(run(&["doctor"], None));

    for (arguments, outcome) in &written {
        assert_absent(&secrets, arguments, outcome.stdout.as_bytes());
        assert_absent(&secrets, arguments, outcome.stderr.as_bytes());
    }
    let files = laptop.files();
    assert!(files.iter().any(|(path, _)| path.ends_with("device.crt")), "a board was provisioned");
    // The key files are encrypted by now, so they are looked at as well.
    for (path, content) in &files {
        assert_absent(&secrets, &path.display().to_string(), content);
    }
    // The search finds what is there.
    let plain = Laptop::with_ca();
    let key = std::fs::read(plain.folder().join("root-ca.key")).unwrap();
    let secret = number(&plain, "root-ca.key");
    let found = forms(&secret).iter().any(|form| key.windows(form.len()).any(|window| window == form));
    assert!(found, "a key file holds its key");
}
