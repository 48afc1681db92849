//! Files as they are on the disk afterwards.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::folder::{create, create_inside, lock, lock_shared, take_within};
use super::*;

fn home() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    create(&home).unwrap();
    guard(&home);
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
    assert!(matches!(write(&folder, b"x", Access::Public), Err(Error::NotAFile { kind: Kind::Folder, .. })));
    assert_eq!(fs::read_dir(&home).unwrap().count(), 1);
}

/// Whatever a crash leaves at the end, and however long a line is.
#[test]
fn the_lines_of_a_log_come_one_by_one_as_it_is_read_whole() {
    let (_guard, home) = home();
    let path = home.join("log.jsonl");
    let is_whole = |line: &[u8]| line.ends_with(b"}");
    for torn in [Torn::Keep, Torn::Cut(is_whole)] {
        let log = Log::new(&path, Access::Public, torn);
        assert_eq!(log.lines().unwrap().count(), 0);
        for text in ["", "{1}\n", "{1}\n\n{2}\n", "{1}\n{2", "{1}\n{2}"] {
            fs::write(&path, text).unwrap();
            let whole = log.read().unwrap();
            let one_by_one: Vec<Vec<u8>> = log.lines().unwrap().collect::<Result<_, _>>().unwrap();
            assert_eq!(one_by_one, lines(&whole).map(<[u8]>::to_vec).collect::<Vec<_>>(), "{text:?}");
        }
        fs::remove_file(&path).unwrap();
    }
    let long = "x".repeat(200 * 1024);
    fs::write(&path, format!("{{1}}\n{long}\n{{2}}\n")).unwrap();
    let log = Log::new(&path, Access::Public, Torn::Keep);
    let lines: Vec<Vec<u8>> = log.lines().unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!((lines.len(), lines[1].len(), &*lines[2]), (3, 64 * 1024, &b"{2}"[..]));
}

#[cfg(unix)]
mod unix {
    use std::ffi::OsStr;
    use std::io::Write;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use rustix::io::Errno;

    use super::*;
    use crate::share::{Lacking, faults};
    use crate::source;

    fn pipe(path: &Path) {
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    }

    fn is_link<T>(result: Result<T, Error>) -> bool {
        matches!(result, Err(Error::Symlink { .. }))
    }

    /// Whatever is done, it is not done elsewhere.
    #[test]
    fn no_link_in_a_guarded_folder_leads_out_of_it() {
        let (guard, home) = home();
        let outside = guard.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("file"), "precious").unwrap();
        symlink(&outside, home.join("folder")).unwrap();
        symlink(outside.join("file"), home.join("file")).unwrap();
        symlink(home.join("loop"), home.join("loop")).unwrap();
        let log = |name: &str| Log::new(home.join(name), Access::Private, Torn::Cut(|_| false));
        for name in ["file", "folder/file", "folder/new", "loop", "loop/new"] {
            let path = home.join(name);
            assert!(is_link(read(&path)) && is_link(read_found(&path, 10)), "{name}");
            assert!(is_link(read_secret(&path)) && is_link(overwrite(&path, b"x")), "{name}");
            assert!(is_link(log(name).append(|_| Ok(b"x".to_vec()), |_| Ok(()))), "{name}");
            assert!(is_link(log(name).read()) && is_link(output(&path)), "{name}");
            if name.contains('/') {
                assert!(is_link(write(&path, b"x", Access::Public)) && is_link(remove(&path)), "{name}");
                assert!(is_link(rename(&path, &home.join("x"))) && is_link(set_aside(&path, "1")), "{name}");
            }
        }
        for folder in [home.join("folder"), home.join("folder/inner"), home.join("loop")] {
            assert!(is_link(create(&folder)) && is_link(create_inside(&folder)), "{folder:?}");
            assert!(is_link(lock(&folder)) && is_link(folder::entries(&folder)), "{folder:?}");
            assert!(
                is_link(folder::check_writable(&folder)) && is_link(folder::remove(&folder)),
                "{folder:?}"
            );
        }
        let there: Vec<_> = fs::read_dir(&outside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(there, [OsStr::new("file")]);
        assert_eq!(fs::read(outside.join("file")).unwrap(), b"precious");
        // A folder is removed without what the links in it lead to.
        let inner = home.join("inner");
        create(&inner).unwrap();
        symlink(&outside, inner.join("link")).unwrap();
        folder::remove(&inner).unwrap();
        assert!(!inner.exists() && outside.join("file").exists());
    }

    #[test]
    fn in_an_open_folder_no_link_is_followed_and_each_thing_is_told_as_what_it_is() {
        let (guard, home) = home();
        fs::create_dir(home.join("folder")).unwrap();
        fs::write(home.join("folder/file"), b"content").unwrap();
        fs::write(home.join("file"), b"content").unwrap();
        symlink(home.join("folder"), home.join("link")).unwrap();
        symlink(home.join("file"), home.join("other")).unwrap();
        pipe(&home.join("pipe"));
        let root = folder::open(&home).unwrap().unwrap();
        let kinds: Vec<Kind> = root.entries().unwrap().into_iter().map(|entry| entry.kind).collect();
        assert_eq!(kinds, [Kind::File, Kind::Folder, Kind::Link, Kind::Link, Kind::Pipe]);
        let inner = root.enter("folder").unwrap().unwrap();
        assert_eq!(inner.read("file").unwrap().unwrap(), b"content");
        assert!(inner.read("none").unwrap().is_none() && root.enter("none").unwrap().is_none());
        assert!(is_link(root.enter("link")) && is_link(root.read("other")));
        assert!(matches!(root.read("pipe"), Err(Error::NotAFile { kind: Kind::Pipe, .. })));
        assert!(root.enter("file").is_err() && folder::open(&guard.path().join("none")).unwrap().is_none());
    }

    #[test]
    fn nothing_but_a_regular_file_is_opened_in_a_guarded_folder() {
        let (_guard, home) = home();
        let path = home.join("pipe");
        pipe(&path);
        let refused =
            |result: Result<(), Error>| matches!(result, Err(Error::NotAFile { kind: Kind::Pipe, .. }));
        assert!(refused(read(&path).map(drop)) && refused(read_secret(&path).map(drop)));
        assert!(refused(read_found(&path, 10).map(drop)) && refused(write(&path, b"x", Access::Public)));
        assert!(refused(overwrite(&path, b"x").map(drop)) && refused(output(&path).map(drop)));
        let log = Log::new(&path, Access::Public, Torn::Keep);
        assert!(refused(log.append(|_| Ok(Vec::new()), |_| Ok(()))) && refused(log.read().map(drop)));
        pipe(&home.join(".lock"));
        assert!(refused(lock(&home).map(drop)) && refused(folder::lock_existing(&home).map(drop)));
    }

    #[test]
    fn what_a_user_names_may_be_a_link_or_a_pipe_and_has_a_limit_and_an_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("file"), "text").unwrap();
        symlink(path("file"), path("link")).unwrap();
        assert_eq!(read(&path("link")).unwrap().unwrap(), b"text");
        assert!(is_link(read_found(&path("link"), 10)));
        assert!(matches!(read_up_to(&path("link"), 3), Err(Error::TooLong { limit: 3, .. })));
        write_named(&path("link"), b"new").unwrap();
        assert_eq!(fs::read(path("file")).unwrap(), b"new");
        assert!(path("link").is_symlink());
        assert!(matches!(read(Path::new("/dev/zero")), Err(Error::TooLong { .. })));
        assert!(matches!(read(folder.path()), Err(Error::NotAFile { kind: Kind::Folder, .. })));
        File::create(path("sparse")).unwrap().set_len(1 << 40).unwrap();
        assert!(matches!(read(&path("sparse")), Err(Error::TooLong { .. })));
        write_named(Path::new("/dev/null"), b"x").unwrap();
        assert!(Kind::from(fs::metadata("/dev/null").unwrap().file_type()) == Kind::Special);

        pipe(&path("pipe"));
        let writer = std::thread::spawn({
            let path = path("pipe");
            move || fs::write(path, [7; 100_000]).unwrap()
        });
        assert_eq!(read(&path("pipe")).unwrap().unwrap(), [7; 100_000]);
        writer.join().unwrap();
    }

    #[test]
    fn bytes_that_come_do_not_make_the_time_longer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        pipe(&path);
        let patience = Duration::from_millis(30);
        let read = || {
            let mut file = source::open_named(&path).unwrap();
            let read = source::to_end(&mut file, &path, 1 << 30, patience);
            Error::io("read", &path, read.map(drop).unwrap_err())
        };
        // Nobody writes.
        assert!(matches!(read(), Error::Endless { .. }));
        // Somebody writes, and never ends.
        let keep_open = File::options().read(true).write(true).open(&path).unwrap();
        let writer = std::thread::spawn({
            let path = path.clone();
            move || {
                let mut pipe = File::options().write(true).open(path).unwrap();
                while pipe.write_all(b"x").is_ok() {}
            }
        });
        assert!(matches!(read(), Error::Endless { .. }));
        drop(keep_open);
        writer.join().unwrap();
    }

    #[test]
    fn what_root_writes_belongs_to_the_owner_of_the_folder() {
        if !rustix::process::geteuid().is_root() {
            println!("not run: only root can give files away");
            return;
        }
        let (_guard, home) = home();
        std::os::unix::fs::chown(&home, Some(12345), Some(23456)).unwrap();
        create(&home.join("a/b")).unwrap();
        write(&home.join("a/b/file"), b"x", Access::Secret).unwrap();
        let log = Log::new(home.join("log"), Access::Public, Torn::Keep);
        log.append(|_| Ok(b"x".to_vec()), |_| Ok(())).unwrap();
        drop(lock(&home).unwrap());
        drop(overwrite(&home.join("out"), b"x").unwrap());
        for name in ["a", "a/b", "a/b/file", "log", ".lock", "out"] {
            let found = fs::metadata(home.join(name)).unwrap();
            assert_eq!((found.uid(), found.gid()), (12345, 23456), "{name}");
        }
        // The user has no way to have root work elsewhere.
        let (link, elsewhere) = (home.with_file_name("link"), home.with_file_name("elsewhere"));
        create(&elsewhere).unwrap();
        symlink(&elsewhere, &link).unwrap();
        guard(&link);
        write(&link.join("file"), b"x", Access::Public).unwrap();
        std::os::unix::fs::lchown(&link, Some(12345), Some(23456)).unwrap();
        assert!(is_link(write(&link.join("file"), b"y", Access::Public)) && is_link(create(&link)));
        // One that others own already stays theirs.
        std::os::unix::fs::chown(home.join("log"), Some(1), Some(1)).unwrap();
        log.append(|_| Ok(b"y".to_vec()), |_| Ok(())).unwrap();
        assert_eq!(fs::metadata(home.join("log")).unwrap().uid(), 1);
    }

    #[test]
    fn a_file_system_without_synced_folders_or_locks_is_used_without_them() {
        let (_guard, home) = home();
        let log = Log::new(home.join("log"), Access::Private, Torn::Cut(|_| false));
        let work = || {
            drop(lock(&home)?);
            write(&home.join("file"), b"x", Access::Secret)?;
            rename(&home.join("file"), &home.join("moved"))?;
            log.append(|_| Ok(b"x".to_vec()), |_| Ok(()))?;
            log.read()
        };
        for (lacking, errors) in [
            (Lacking::Sync, &[Errno::INVAL, Errno::NOTSUP, Errno::NOSYS][..]),
            (Lacking::Locks, &[Errno::NOLCK, Errno::OPNOTSUPP, Errno::NOSYS]),
        ] {
            for error in errors {
                faults::with(lacking, *error, work).unwrap();
            }
            // A disk that fails is none that lacks something.
            assert!(matches!(faults::with(lacking, Errno::IO, work), Err(Error::Io { .. })), "{lacking:?}");
        }
        // The file itself is synced as its folder is.
        let append = || log.append(|_| Ok(b"y".to_vec()), |_| Ok(()));
        faults::with(Lacking::Sync, Errno::INVAL, append).unwrap();
        faults::with(Lacking::Sync, Errno::IO, append).unwrap_err();
    }

    #[test]
    fn without_permissions_everything_is_written_but_a_key_in_clear_text() {
        let (_guard, home) = home();
        let path = home.join("signer-ca.key");
        faults::with(Lacking::Permissions, Errno::PERM, || {
            let refused = write(&path, b"secret", Access::Secret).unwrap_err();
            assert!(matches!(refused, Error::Unprotected { .. }), "{refused}");
            let foretold = folder::check_closable(&home, &path).unwrap_err();
            assert_eq!(foretold.to_string(), refused.to_string());
            assert_eq!(fs::read_dir(&home).unwrap().count(), 0, "not a byte of it is on the disk");
            write(&path, b"encrypted", Access::Private).unwrap();
            write(&home.join("signer-ca.crt"), b"public", Access::Public).unwrap();
            let log = Log::new(home.join("log"), Access::Private, Torn::Cut(|_| false));
            log.append(|_| Ok(b"x".to_vec()), |_| Ok(())).unwrap();
        });
        // As such a file system shows its files.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let key = read_key(&path).unwrap().unwrap();
        assert_eq!(**key.encrypted(), *b"encrypted");
        assert!(matches!(
            read_key(&path).unwrap().unwrap().closed(),
            Err(Error::Exposed { mode: 0o755, .. })
        ));
    }
}

#[test]
fn a_cache_belongs_to_one_process_at_a_time_and_is_no_link() {
    let (_guard, home) = home();
    let path = home.join("seen");
    let file = cache(&path).unwrap().unwrap();
    (&file).write_all(b"one").unwrap();
    assert!(cache(&path).unwrap().is_none());
    // A process that is ending closes its files after its memory is gone.
    let ending = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        drop(file);
    });
    let file = cache(&path).unwrap().unwrap();
    ending.join().unwrap();
    (&file).write_all(b" two").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"one two");
    #[cfg(unix)]
    {
        assert_eq!(mode(&path), 0o600);
        std::os::unix::fs::symlink(&path, home.join("link")).unwrap();
        assert!(matches!(cache(&home.join("link")), Err(Error::Symlink { .. })));
    }
}
