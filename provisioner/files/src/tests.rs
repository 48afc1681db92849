//! Files as they are on the disk afterwards.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::folder::{create, create_inside, lock, lock_shared, take_within};
use super::*;

fn home() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    create(&home).unwrap();
    (folder, home)
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[cfg(unix)]
#[test]
fn keys_are_for_their_owner_alone() {
    let (_guard, home) = home();
    let key = home.join("signer-ca.key");
    write(&key, b"secret", Access::Secret).unwrap();
    write(&home.join("signer-ca.crt"), b"public", Access::Public).unwrap();
    assert_eq!((mode(&home), mode(&key), mode(&home.join("signer-ca.crt"))), (0o700, 0o600, 0o644));
    assert_eq!(**read_secret(&key).unwrap().unwrap(), *b"secret");
}

#[cfg(unix)]
#[test]
fn a_key_that_the_group_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let (_guard, home) = home();
    let key = home.join("signer-ca.key");
    write(&key, b"secret", Access::Secret).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    let error = read_secret(&key).unwrap_err();
    assert!(matches!(error, Error::Exposed { mode: 0o640, .. }));
}

#[cfg(unix)]
#[test]
fn a_symbolic_link_is_replaced_and_its_target_left_alone() {
    let (guard, home) = home();
    let target = guard.path().join("elsewhere");
    fs::write(&target, b"precious").unwrap();
    std::os::unix::fs::symlink(&target, home.join("device.crt")).unwrap();
    write(&home.join("device.crt"), b"new", Access::Public).unwrap();
    assert_eq!(fs::read(&target).unwrap(), b"precious");
    assert_eq!(fs::read(home.join("device.crt")).unwrap(), b"new");
    std::os::unix::fs::symlink(guard.path(), home.join("MCHP1")).unwrap();
    assert!(matches!(create_inside(&home.join("MCHP1")), Err(Error::Symlink { .. })));
    std::os::unix::fs::symlink(guard.path().join("absent"), home.join(".lock")).unwrap();
    assert!(matches!(lock(&home), Err(Error::Symlink { .. })));
    assert!(!guard.path().join("absent").exists());
}

#[test]
fn changing_a_folder_excludes_every_other_run_and_using_it_only_changes() {
    let (_guard, home) = home();
    let short = Duration::from_millis(30);
    let using = lock_shared(&home).unwrap();
    let also = lock_shared(&home).unwrap();
    assert!(matches!(take_within(&home, short, File::try_lock), Err(Error::Busy { .. })));
    drop((using, also));
    let changing = lock(&home).unwrap();
    assert!(matches!(take_within(&home, short, File::try_lock_shared), Err(Error::Busy { .. })));
    drop(changing);
    lock(&home).unwrap();
}

#[test]
fn setting_aside_never_overwrites() {
    let (_guard, home) = home();
    let key = home.join("root-ca.key");
    write(&key, b"1", Access::Secret).unwrap();
    let aside = set_aside(&key, "20260101T000000Z").unwrap();
    assert_eq!(aside, home.join("root-ca.key.20260101T000000Z"));
    write(&key, b"2", Access::Secret).unwrap();
    assert!(set_aside(&key, "20260101T000000Z").is_err());
    assert_eq!((fs::read(aside).unwrap(), fs::read(key).unwrap()), (b"1".to_vec(), b"2".to_vec()));
}

#[test]
fn a_file_that_cannot_be_written_leaves_nothing_behind() {
    let (_guard, home) = home();
    let folder = home.join("is-a-folder");
    fs::create_dir_all(folder.join("full")).unwrap();
    assert!(matches!(write(&folder, b"x", Access::Public), Err(Error::Io { action: "write", .. })));
    assert_eq!(fs::read_dir(&home).unwrap().count(), 1);
}
