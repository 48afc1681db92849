//! Keys as a user protects them: passphrases from every source, and messages when they are wrong or the disk is full.

use std::io::Write;
use std::process::Stdio;

use crate::laptop::Laptop;

mod kms;
mod leaks;
mod token;

/// Environment variable with the passphrase.
const VARIABLE: &str = "MICROCHIP_IOT_PASSPHRASE";
const PASSPHRASE: &str = "four words are enough";

fn with_encrypted_ca() -> Laptop {
    let laptop = Laptop::new();
    let outcome = laptop.run(&["ca", "create", "--encrypt"], &[(VARIABLE, PASSPHRASE)]);
    assert_eq!(outcome.code, 0, "{outcome}");
    laptop
}

/// Issuing needs the key; without a board, giving the keys another passphrase is what opens both.
const OPENS_KEYS: [&str; 2] = ["ca", "encrypt"];

#[test]
fn a_passphrase_comes_from_a_file_a_descriptor_or_the_environment() {
    let laptop = with_encrypted_ca();
    for key in ["root-ca.key", "signer-ca.key"] {
        let text = std::fs::read_to_string(laptop.folder().join(key)).unwrap();
        assert!(text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"), "{key}");
    }
    let file = laptop.folder().join("passphrase");
    std::fs::write(&file, format!("{PASSPHRASE}\nsecond line\n")).unwrap();
    let arguments = [OPENS_KEYS[0], OPENS_KEYS[1], "--password-file", file.to_str().unwrap()];
    let exposed = laptop.run(&arguments, &[]);
    assert!(exposed.stderr.contains("chmod 600"), "{exposed}");
    assert_eq!(exposed.code, 5, "{exposed}");
    close(&file);
    let outcome = laptop.run(&arguments, &[]);
    assert_eq!(outcome.code, 0, "{outcome}");

    let arguments = [&OPENS_KEYS[..], &["--password-fd", "0"]].concat();
    let mut run = laptop.command(&arguments, &[]);
    let mut run = run.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    run.stdin.take().unwrap().write_all(PASSPHRASE.as_bytes()).unwrap();
    let outcome = laptop.outcome(&arguments, run.wait_with_output().unwrap());
    assert_eq!(outcome.code, 0, "{outcome}");
    assert_eq!(laptop.run(&OPENS_KEYS, &[(VARIABLE, PASSPHRASE)]).code, 0);
}

#[test]
fn keys_of_retired_signers_are_encrypted_as_well() {
    let laptop = Laptop::with_ca();
    assert_eq!(laptop.run(&["ca", "rotate", "--no-register"], &[]).code, 0);
    assert_eq!(laptop.run(&["ca", "encrypt"], &[(VARIABLE, PASSPHRASE)]).code, 0);
    let files = laptop.files();
    let keys = files.iter().filter(|(path, _)| path.extension().is_some_and(|kind| kind == "key"));
    let keys: Vec<_> = keys.map(|(_, content)| String::from_utf8_lossy(content)).collect();
    assert_eq!(keys.len(), 3, "root, signer, and the one before");
    assert!(keys.iter().all(|key| key.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----")));
    assert_eq!(laptop.run(&["ca", "crl"], &[(VARIABLE, PASSPHRASE)]).code, 0);
}

#[test]
fn a_passphrase_is_exchanged_without_anybody_at_a_terminal() {
    let laptop = with_encrypted_ca();
    let new = laptop.folder().join("new");
    std::fs::write(&new, "four other words instead\n").unwrap();
    close(&new);
    let encrypt = ["ca", "encrypt", "--new-password-file", new.to_str().unwrap()];
    assert_eq!(laptop.run(&encrypt, &[(VARIABLE, PASSPHRASE)]).code, 0);
    let old = laptop.run(&OPENS_KEYS, &[(VARIABLE, PASSPHRASE)]);
    assert!(old.stderr.contains("that is not the passphrase"), "{old}");
    assert_eq!(laptop.run(&OPENS_KEYS, &[(VARIABLE, "four other words instead")]).code, 0);
    std::fs::write(&new, "short\n").unwrap();
    let short = laptop.run(&encrypt, &[(VARIABLE, "four other words instead")]);
    assert_eq!(short.code, 2, "{short}");
    assert_eq!(laptop.run(&OPENS_KEYS, &[(VARIABLE, "four other words instead")]).code, 0);
}

#[cfg(unix)]
fn close(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn certificates_are_shown_without_a_passphrase_and_nothing_is_opened_with_a_wrong_one() {
    let laptop = with_encrypted_ca();
    assert_eq!(laptop.run(&["ca", "show"], &[]).code, 0);
    let before = laptop.files();
    insta::assert_snapshot!(laptop.run(&OPENS_KEYS, &[(VARIABLE, "three words are")]));
    insta::assert_snapshot!(laptop.run(&OPENS_KEYS, &[]));
    insta::assert_snapshot!(
        laptop.run(&["provision", "--port", "/dev/null", "--endpoint", "localhost"], &[])
    );
    assert_eq!(laptop.files(), before);
    let short = Laptop::new();
    insta::assert_snapshot!(short.run(&["ca", "create", "--encrypt"], &[(VARIABLE, "short")]));
    assert!(short.files().iter().all(|(path, _)| path.ends_with(".lock")), "{:?}", short.files());
}

#[test]
fn a_key_that_is_there_unencrypted_is_not_taken_for_an_encrypted_one() {
    let laptop = Laptop::with_ca();
    insta::assert_snapshot!(laptop.run(&["ca", "create", "--encrypt"], &[(VARIABLE, PASSPHRASE)]));
    assert_eq!(laptop.run(&OPENS_KEYS, &[(VARIABLE, PASSPHRASE)]).code, 0);
    let again = laptop.run(&["ca", "create", "--encrypt"], &[(VARIABLE, PASSPHRASE)]);
    assert!(again.stdout.contains("unchanged"), "{again}");
}

#[test]
fn a_full_disk_leaves_every_key_as_it_was() {
    let laptop = Laptop::with_ca();
    let before = laptop.files();
    let file = laptop.folder().join("passphrase");
    std::fs::write(&file, PASSPHRASE).unwrap();
    close(&file);
    let full = laptop.run_with_full_disk(&["ca", "encrypt", "--password-file", file.to_str().unwrap()]);
    assert_eq!(full.code, 1, "{full}");
    std::fs::remove_file(file).unwrap();
    assert_eq!(laptop.files(), before);
    let new = Laptop::new();
    let full = new.run_with_full_disk(&["ca", "create"]);
    assert_eq!(full.code, 1, "{full}");
    assert!(new.files().iter().all(|(_, content)| content.is_empty()), "{:?}", new.files());
}

#[test]
fn keys_live_where_their_uri_says() {
    let laptop = Laptop::new();
    let medium = tempfile::tempdir().unwrap();
    let root = medium.path().join("root.key");
    let uri = format!("file:{}", root.display());
    let made = laptop.run(&["ca", "create", "--root-key", &uri], &[]);
    assert_eq!(made.code, 0, "{made}");
    assert!(root.is_file() && !laptop.folder().join("root-ca.key").exists());
    let recorded = std::fs::read_to_string(laptop.folder().join("root-ca.uri")).unwrap();
    assert_eq!(recorded, format!("{uri}\n"));
    // The medium is taken away: only the root's own signatures need it.
    std::fs::rename(&root, medium.path().join("away")).unwrap();
    assert_eq!(laptop.run(&["ca", "show"], &[]).code, 0);
    let other = laptop.run(&["ca", "create", "--signer-key", "/elsewhere/signer.key"], &[]);
    assert!(other.stderr.contains("not at file:/elsewhere/signer.key"), "{other}");
    let unknown = laptop.run(&["ca", "create", "--signer-key", "tpm2:handle=1"], &[]);
    assert_eq!(unknown.code, 2, "{unknown}");
}

#[test]
fn the_root_goes_offline_and_everything_else_works_without_it() {
    let laptop = Laptop::with_ca();
    let medium = tempfile::tempdir().unwrap();
    let folder = medium.path().to_str().unwrap();
    let key = std::fs::read(laptop.folder().join("root-ca.key")).unwrap();
    let unsure = laptop.run(&["ca", "export-root", folder], &[]);
    assert_eq!(unsure.code, 5, "not confirmed: {unsure}");
    assert!(laptop.folder().join("root-ca.key").is_file());
    assert_eq!(std::fs::read_dir(&medium).unwrap().count(), 0, "nothing is copied before the answer");
    let inside = laptop.run(&["ca", "export-root", laptop.folder().to_str().unwrap(), "--yes"], &[]);
    assert_eq!(inside.code, 2, "{inside}");
    let done = laptop.run(&["ca", "export-root", folder, "--yes"], &[]);
    assert_eq!(done.code, 0, "{done}");
    assert!(!laptop.folder().join("root-ca.key").exists());
    assert_eq!(std::fs::read(medium.path().join("root-ca.key")).unwrap(), key);
    for arguments in [&["ca", "show"][..], &["ca", "create"]] {
        let outcome = laptop.run(arguments, &[]);
        assert_eq!(outcome.code, 0, "{outcome}");
    }
    let signs = laptop.run(&["provision", "--port", "/dev/null", "--endpoint", "localhost"], &[]);
    assert_eq!(signs.code, 3, "the signer's key opens, and there is no board: {signs}");
    let again = laptop.run(&["ca", "export-root", folder, "--yes"], &[]);
    assert_eq!(again.code, 1, "{again}");

    let other = Laptop::with_ca();
    let taken = other.run(&["ca", "export-root", folder, "--yes"], &[]);
    assert!(taken.stderr.contains("another key of the same name"), "{taken}");
    assert!(other.folder().join("root-ca.key").is_file());
}

#[test]
fn an_export_to_a_full_medium_leaves_the_key_where_it_is() {
    let laptop = Laptop::with_ca();
    let medium = tempfile::tempdir().unwrap();
    let full = laptop.run_with_full_disk(&["ca", "export-root", medium.path().to_str().unwrap(), "--yes"]);
    assert_eq!(full.code, 1, "{full}");
    assert!(laptop.folder().join("root-ca.key").is_file());
    assert_eq!(std::fs::read_dir(medium.path()).unwrap().count(), 0);
}
