use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use device_pki::Cause;
use device_pki::key::{Passphrase, Passphrases};
use device_pki::revocation::Reason;
use time::macros::datetime;

use super::*;
use crate::state::Error as State;
use crate::state::exchange::{Exchange, next as next_home};

/// Gives one passphrase and asks nobody.
struct Given(&'static str);

impl Passphrases for Given {
    fn given(&self) -> Result<Option<Passphrase>, Cause> {
        Ok(Some(self.0.to_owned().into()))
    }
}

const NOW: OffsetDateTime = datetime!(2026-11-24 21:42:17 UTC);

fn home() -> (tempfile::TempDir, Home, Keys) {
    let folder = tempfile::tempdir().unwrap();
    let (home, keys) = (Home::at(folder.path()), Keys::new(()));
    let names = create::Names::new("Zero Touch", None, None).unwrap();
    let order = create::Order::new(names);
    create::Plan::make(&home, &keys, order, NOW).and_then(|plan| plan.carry_out(&home, &keys, NOW)).unwrap();
    (folder, home, keys)
}

fn begin(home: &Home) -> Rotation {
    match Rotation::look(home).unwrap() {
        Found::Rotation(rotation) => *rotation,
        Found::Interrupted(_) => panic!("the exchange is under way"),
    }
}

fn make_with(
    rotation: &mut Rotation,
    keys: &Keys,
    name: &profile::Name,
    key: Option<&Uri>,
    root_key: Option<&Uri>,
) -> Result<Chain, Error> {
    let key = rotation.next_key(keys, key, root_key, NOW)?;
    rotation.make(keys, name, key, NOW)
}

fn make(rotation: &mut Rotation, keys: &Keys) -> Result<Chain, Error> {
    make_with(rotation, keys, &default_name(Some("Zero Touch"), NOW).unwrap(), None, None)
}

fn rotate(home: &Home, keys: &Keys) {
    let mut rotation = begin(home);
    make(&mut rotation, keys).unwrap();
    rotation.finish(keys).unwrap();
}

fn current(home: &Home) -> Authority {
    authorities::all(home).unwrap().remove(0)
}

/// Every file below a folder.
fn files(home: &Home) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut folders, mut files) = (vec![home.root().to_owned()], BTreeMap::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => drop(files.insert(path.clone(), fs::read(&path).unwrap())),
            }
        }
    }
    files
}

#[test]
fn the_new_signer_takes_the_names_of_the_old_one_which_keeps_its_key_and_certificate() {
    let (_folder, home, keys) = home();
    let old = current(&home);
    let old_key = fs::read(home.file(store::SIGNER_KEY)).unwrap();
    rotate(&home, &keys);
    let [new, retired] = authorities::all(&home).unwrap().try_into().unwrap();
    assert!(new.current && !retired.current);
    assert_ne!(new.subject_key_identifier(), old.subject_key_identifier());
    assert_ne!(new.certificate.facts().subject, old.certificate.facts().subject);
    assert_eq!(retired.certificate, old.certificate);
    assert_eq!(fs::read(retired.folder.file(store::SIGNER_KEY)).unwrap(), old_key);
    let chain = store::load(&home, &keys, NOW).unwrap();
    assert_eq!(chain.signer(), &new.certificate);
    chain.key().open().unwrap();
    retired.chain(&keys, NOW).unwrap().key().open().unwrap();
    assert!(!next_home(&home).root().exists());
}

#[cfg(unix)]
#[test]
fn the_keys_of_both_signers_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, home, keys) = home();
    rotate(&home, &keys);
    for authority in authorities::all(&home).unwrap() {
        let key = authority.folder.file(store::SIGNER_KEY);
        assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(fs::metadata(home.file(authorities::RETIRED)).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn without_the_roots_key_nothing_is_begun_and_with_it_given_the_rotation_is_done() {
    let (folder, home, keys) = home();
    let elsewhere = folder.path().join("stick.key");
    fs::rename(home.file(store::ROOT_KEY), &elsewhere).unwrap();
    let keys_of_next_run = Keys::new(());
    drop(keys);
    let mut rotation = begin(&home);
    let before = files(&home);
    let error = make(&mut rotation, &keys_of_next_run).unwrap_err();
    assert!(matches!(error, Error::State(State::RootOffline { .. })), "{error}");
    assert_eq!(files(&home), before);
    let name = default_name(Some("Zero Touch"), NOW).unwrap();
    let given = Uri::File(elsewhere);
    make_with(&mut rotation, &keys_of_next_run, &name, None, Some(&given)).unwrap();
    rotation.finish(&keys_of_next_run).unwrap();
    assert_eq!(authorities::all(&home).unwrap().len(), 2);
}

#[test]
fn an_encrypted_key_is_followed_by_one_that_the_same_passphrase_opens() {
    let (_folder, home, _) = home();
    let keys = || Keys::opened_by(Given("four words are enough"), ());
    let files = [store::ROOT_KEY, store::SIGNER_KEY].map(|file| home.file(file));
    let new = keys().new_passphrase(None, &Uri::File(files[0].clone())).unwrap();
    keys().encrypt(&files, &new).unwrap();
    rotate(&home, &keys());
    let all = authorities::all(&home).unwrap();
    for authority in &all {
        let text = fs::read_to_string(authority.folder.file(store::SIGNER_KEY)).unwrap();
        assert!(text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
        authority.chain(&keys(), NOW).unwrap().key().open().unwrap();
    }
    assert_eq!(all.len(), 2);
}

#[test]
fn the_old_signers_key_is_not_taken_for_the_new_one() {
    let (folder, home, keys) = home();
    let copy = folder.path().join("copy.key");
    durable_files::write(&copy, &fs::read(home.file(store::SIGNER_KEY)).unwrap(), Access::Secret).unwrap();
    let mut rotation = begin(&home);
    let before = files(&home);
    let name = default_name(Some("Zero Touch"), NOW).unwrap();
    let error = make_with(&mut rotation, &keys, &name, Some(&Uri::File(copy)), None).unwrap_err();
    assert!(matches!(error, Error::Authority(AuthorityError::SameKey { .. })), "{error}");
    assert_eq!(files(&home), before);
}

#[test]
fn a_key_comes_back_to_the_home_from_elsewhere_and_stays_there() {
    let (folder, home, keys) = home();
    let elsewhere = folder.path().join("elsewhere.key");
    fs::rename(home.file(store::SIGNER_KEY), &elsewhere).unwrap();
    fs::write(home.file(store::SIGNER_KEY_URI), format!("file:{}\n", elsewhere.display())).unwrap();
    let usual = Uri::File(home.file(store::SIGNER_KEY));
    let name = default_name(Some("Zero Touch"), NOW).unwrap();
    for _ in 0..2 {
        let keys = Keys::new(());
        let mut rotation = begin(&home);
        make_with(&mut rotation, &keys, &name, Some(&usual), None).unwrap();
        rotation.finish(&keys).unwrap();
        assert!(!home.file(store::SIGNER_KEY_URI).exists());
    }
    drop(keys);
    for authority in authorities::all(&home).unwrap() {
        authority.chain(&Keys::new(()), NOW).unwrap().key().open().unwrap();
    }
}

#[test]
fn the_key_of_another_root_is_refused() {
    let (_folder, home, keys) = home();
    let (_other, other_home, _) = self::home();
    let mut rotation = begin(&home);
    let other = Uri::File(other_home.file(store::ROOT_KEY));
    let name = default_name(Some("Zero Touch"), NOW).unwrap();
    let error = make_with(&mut rotation, &keys, &name, None, Some(&other)).unwrap_err();
    assert!(matches!(error, Error::Pki(device_pki::Error::KeyMismatch { .. })), "{error}");
}

#[test]
fn an_exchange_that_was_interrupted_anywhere_is_told_and_finished_by_the_next_rotation() {
    for moved in 0..=store::SIGNER_FILES.len() {
        let (_folder, home, keys) = home();
        let old = current(&home);
        fs::write(home.file(store::VERIFICATION_CERTIFICATE), "of the old one").unwrap();
        let mut rotation = begin(&home);
        let new = make(&mut rotation, &keys).unwrap().signer().clone();
        // As `finish` leaves it when it is killed after so many files.
        let (next, kept) = (rotation.next.clone(), home.root().join("kept"));
        copy_all(&next, &kept);
        rotation.finish(&keys).unwrap();
        let exchanged = Exchange {
            stamp: None,
            files: store::SIGNER_FILES
                .into_iter()
                .filter(|f| kept.join(f).exists())
                .map(str::to_owned)
                .collect(),
        };
        let retired = authorities::retired(&home, old.subject_key_identifier());
        next.create().unwrap();
        for (index, file) in
            store::SIGNER_FILES.into_iter().enumerate().filter(|(_, file)| kept.join(file).exists())
        {
            if index >= moved {
                fs::copy(kept.join(file), next.file(file)).unwrap();
                let old_file = retired.file(file);
                if old_file.exists() {
                    fs::copy(old_file, home.file(file)).unwrap();
                }
            }
        }
        exchanged.begin(&next).unwrap();

        let keys = Keys::new(());
        let refused = store::load(&home, &keys, NOW).unwrap_err();
        assert!(matches!(refused, State::Rotating { .. }), "{moved}: {refused}");
        let Found::Interrupted(interrupted) = Rotation::look(&home).unwrap() else { panic!("{moved}") };
        interrupted.finish(&keys).unwrap();
        assert_eq!(store::load(&home, &keys, NOW).unwrap().signer(), &new, "{moved}");
        assert!(!home.file(store::VERIFICATION_CERTIFICATE).exists(), "{moved}");
        let retired: Vec<_> = authorities::all(&home).unwrap().into_iter().skip(1).collect();
        assert_eq!(retired.len(), 1, "{moved}");
        assert_eq!(retired[0].certificate, old.certificate, "{moved}");
    }
}

fn copy_all(from: &Home, to: &std::path::Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from.root()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn a_signer_that_was_made_and_not_yet_put_in_place_is_used_by_the_next_run() {
    let (_folder, home, keys) = home();
    let mut rotation = begin(&home);
    let made = make(&mut rotation, &keys).unwrap().signer().clone();
    drop(rotation);
    let mut rotation = begin(&home);
    assert!(rotation.is_made());
    assert_eq!(make(&mut rotation, &keys).unwrap().signer(), &made);
}

#[test]
fn a_revoked_signer_signs_for_boards_no_more_until_it_is_rotated_but_it_signs_lists() {
    let (_folder, home, keys) = home();
    let old = current(&home);
    old.revoke(&authorities::SignerRevocation { when: NOW, reason: Reason::KeyCompromise }).unwrap();
    let refused = store::load(&home, &keys, NOW).unwrap_err();
    assert!(matches!(refused, State::SignerRevoked { .. }), "{refused}");
    old.chain(&keys, NOW).unwrap();
    rotate(&home, &keys);
    store::load(&home, &keys, NOW).unwrap();
    let all = authorities::all(&home).unwrap();
    assert_eq!(all[0].revocation().unwrap(), None);
    assert_eq!(all[1].revocation().unwrap().unwrap().when, NOW);
}

#[test]
fn a_signer_is_found_by_the_beginning_of_its_id_and_nothing_else_is() {
    let (_folder, home, keys) = home();
    rotate(&home, &keys);
    let all = authorities::all(&home).unwrap();
    let (new, old) = (&all[0], &all[1]);
    let find = |name: &str| {
        authorities::find(all.clone(), name).map(|found| found.subject_key_identifier().to_owned())
    };
    assert_eq!(find("current").unwrap(), new.subject_key_identifier());
    assert_eq!(
        find(&old.subject_key_identifier()[..8].to_uppercase()).unwrap(),
        old.subject_key_identifier()
    );
    assert_eq!(find(old.certificate_id()).unwrap(), old.subject_key_identifier());
    for name in ["", &old.subject_key_identifier()[..7], "00000000"] {
        assert!(matches!(find(name), Err(State::NoAuthority { .. })), "{name}");
    }
}

#[test]
fn a_root_that_has_ended_issues_no_signer_and_nothing_is_signed() {
    let (_folder, home, keys) = home();
    let rotation = begin(&home);
    let late = NOW + time::Duration::days(26 * 366);
    let error = rotation.next_key(&keys, None, None, late).unwrap_err();
    let of_root =
        matches!(error, Error::Pki(device_pki::Error::NotValidNow { certificate: "root-ca.crt", .. }));
    assert!(of_root, "{error}");
    assert!(!rotation.next().root().exists());
}

#[test]
fn a_new_signer_ends_with_its_root() {
    let (_folder, home, keys) = home();
    let mut rotation = begin(&home);
    let late = NOW + time::Duration::days(20 * 365);
    let key = rotation.next_key(&keys, None, None, late).unwrap();
    let name = default_name(Some("Zero Touch"), late).unwrap();
    let chain = rotation.make(&keys, &name, key, late).unwrap();
    assert_eq!(chain.signer().facts().not_after, chain.root().facts().not_after);
}
