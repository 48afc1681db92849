//! The home folder under attack and in odd places: links and pipes at every name, any umask, another owner, a full disk, a
//! folder that is read only.

use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::laptop::{Laptop, Outcome};

/// The user of the tests that take another one than root.
const USER: u32 = 12345;

/// Commands that read and write every part of a home folder.
const COMMANDS: [&[&str]; 8] = [
    &["ca", "show"],
    &["ledger"],
    &["audit", "verify"],
    &["certificates", "--offline"],
    &["ca", "crl"],
    &["ca", "rotate", "--no-register"],
    &["ca", "create", "--force", "--yes"],
    &["ca", "crl"],
];

/// Runs the provisioner behind another program, such as one that takes rights away.
fn behind(laptop: &Laptop, before: &[impl AsRef<OsStr>], arguments: &[&str]) -> Outcome {
    let program = laptop.command(arguments, &[]);
    let mut command = Command::new("env");
    command.args(before).arg(program.get_program()).args(program.get_args()).env_clear();
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::null());
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    laptop.outcome(arguments, command.output().unwrap())
}

/// Whether the tests run as root, which alone may mount and take another user; if not, says that this test does not run.
fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        println!("not run: only root can do this");
    }
    is_root
}

/// A command line that takes another user, as root is held by no permissions, and its own user otherwise.
fn as_user(before: &[&str]) -> Vec<String> {
    let user = USER.to_string();
    let other = ["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups"];
    let is_root = rustix::process::geteuid().is_root();
    before
        .iter()
        .chain(&other[..if is_root { other.len() } else { 0 }])
        .map(|&word| word.to_owned())
        .collect()
}

/// Gives a folder to the user of [`as_user`].
fn give(path: &Path) {
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(path, Some(USER), Some(USER)).unwrap();
    }
}

/// A run that is ended if it waits for something that does not come.
fn ends(laptop: &Laptop, arguments: &[&str]) -> Outcome {
    let outcome = behind(laptop, &["timeout", "--kill-after=1", "30"], arguments);
    assert!(![124, 137].contains(&outcome.code), "{arguments:?} does not end");
    outcome
}

fn good(outcome: Outcome) -> Outcome {
    assert_eq!(outcome.code, 0, "{outcome}");
    outcome
}

/// A home with everything in it that is made without a board and an account.
fn lived_in() -> Laptop {
    let laptop = Laptop::with_ca();
    good(laptop.run(&["ca", "rotate", "--no-register"], &[]));
    good(laptop.run(&["ca", "crl"], &[]));
    std::fs::write(laptop.folder().join("ledger.jsonl"), "").unwrap();
    laptop
}

/// Every path below the home folder.
fn paths(laptop: &Laptop) -> Vec<PathBuf> {
    let (mut folders, mut paths) = (vec![laptop.folder()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path.clone());
            }
            paths.push(path);
        }
    }
    paths.sort();
    paths
}

fn content(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(content(&path));
        } else {
            found.push((path.clone(), std::fs::read(path).unwrap()));
        }
    }
    found.sort();
    found
}

/// Names in the home: of each kind one, as paths in the folder.
fn names(laptop: &Laptop) -> Vec<PathBuf> {
    let name = |path: &PathBuf| path.strip_prefix(laptop.folder()).unwrap().to_owned();
    let mut names: Vec<_> = paths(laptop).iter().map(name).collect();
    // One retired signer is as good as another, and its key identifier is new in every home.
    names.retain(|name| name.components().count() == 1);
    names
}

#[test]
fn a_link_at_any_name_of_the_home_leads_no_write_elsewhere() {
    for name in names(&lived_in()) {
        let laptop = lived_in();
        let (outside, path) = (laptop.folder().with_file_name("outside"), laptop.folder().join(&name));
        std::fs::create_dir(&outside).unwrap();
        let elsewhere = outside.join("original");
        std::fs::rename(&path, &elsewhere).unwrap();
        symlink(&elsewhere, &path).unwrap();
        let before = content(&outside);
        for command in COMMANDS {
            let outcome = ends(&laptop, command);
            assert!(content(&outside) == before, "{command:?} writes through the link {name:?}: {outcome}");
            assert!(
                outcome.code == 0 || outcome.stderr.contains("is a symbolic link"),
                "{name:?} {command:?}: {outcome}"
            );
        }
    }
}

#[test]
fn a_pipe_at_any_name_of_the_home_holds_no_run() {
    for name in names(&lived_in()) {
        let laptop = lived_in();
        let path = laptop.folder().join(&name);
        std::fs::rename(&path, laptop.folder().with_file_name("original")).unwrap();
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        for command in COMMANDS {
            let outcome = ends(&laptop, command);
            let told = ["is a pipe", "not a folder"].iter().any(|what| outcome.stderr.contains(what));
            assert!(outcome.code == 0 || told, "{name:?} {command:?}: {outcome}");
        }
    }
}

#[test]
fn what_is_no_board_of_the_home_is_told_and_left_out() {
    let laptop = lived_in();
    let outside = laptop.folder().with_file_name("outside");
    std::fs::create_dir(&outside).unwrap();
    symlink(&outside, laptop.folder().join("MCHP1")).unwrap();
    std::fs::create_dir(laptop.folder().join("MCHP2")).unwrap();
    symlink("/dev/zero", laptop.folder().join("MCHP2/device.crt")).unwrap();
    let listed = good(ends(&laptop, &["certificates", "--offline"]));
    for name in ["MCHP1", "MCHP2/device.crt"] {
        let line = listed.stderr.lines().find(|line| line.contains(name));
        assert!(line.is_some_and(|line| line.contains("is a symbolic link")), "{listed}");
    }
}

/// The permission bits of everything in the home are those that it is made for.
fn assert_closed(laptop: &Laptop) {
    for path in paths(laptop) {
        let found = path.metadata().unwrap();
        let name = path.file_name().and_then(OsStr::to_str).unwrap();
        let mode = found.permissions().mode() & 0o777;
        let public = [".crt", ".csr", ".crl", "ledger.jsonl"].iter().any(|end| name.ends_with(end))
            || name.contains(".crt.")
            || name.contains(".csr.");
        let expected = match (found.is_dir(), public) {
            (true, _) => 0o700,
            (false, true) => 0o644,
            (false, false) => 0o600,
        };
        assert_eq!(mode, expected, "{} {mode:o}", path.display());
    }
}

#[test]
fn the_umask_opens_and_closes_nothing() {
    for umask in ["000", "022", "077"] {
        let laptop = Laptop::new();
        let shell = format!("umask {umask}; exec \"$0\" \"$@\"");
        give(laptop.folder().parent().unwrap());
        let before = as_user(&["sh", "-c", &shell]);
        good(behind(&laptop, &before, &["ca", "create"]));
        good(behind(&laptop, &before, &["ca", "crl"]));
        good(behind(&laptop, &before, &["ca", "rotate", "--no-register"]));
        good(behind(&laptop, &before, &["ca", "crl"]));
        good(behind(&laptop, &before, &["ca", "create", "--force", "--yes"]));
        assert_closed(&laptop);
    }
}

#[test]
fn a_run_as_root_leaves_the_home_to_its_owner() {
    if !is_root() {
        return;
    }
    let laptop = Laptop::new();
    let place = laptop.folder().parent().unwrap().to_owned();
    give(&place);
    // The home is made by root, in the user's folder.
    good(laptop.run(&["ca", "create"], &[]));
    for command in COMMANDS {
        good(laptop.run(command, &[]));
    }
    for path in paths(&laptop).into_iter().chain([laptop.folder()]) {
        let found = path.metadata().unwrap();
        assert_eq!((found.uid(), found.gid()), (USER, USER), "{}", path.display());
    }
    let before = as_user(&[]);
    for command in COMMANDS {
        good(behind(&laptop, &before, command));
    }
}

/// Commands that need nothing but to read.
const LOOKS: [&[&str]; 7] = [
    &["ca", "show"],
    &["ca", "create", "--dry-run"],
    &["ledger"],
    &["ledger", "check"],
    &["audit", "show"],
    &["audit", "verify"],
    &["certificates", "--offline"],
];

fn assert_readable(laptop: &Laptop, before: &[impl AsRef<OsStr>], reason: &str) {
    let files = laptop.files();
    let beside = |name: &str| laptop.folder().with_file_name(name);
    let out = beside("out");
    std::fs::create_dir(&out).unwrap();
    give(&out);
    std::fs::write(beside("new"), "four words are enough").unwrap();
    let [folder, passphrase] = [out.display().to_string(), beside("new").display().to_string()];
    // What is refused, in the plan as in the run, with what stands in the way.
    let changes: [&[&str]; 6] = [
        &["ca", "crl"],
        &["ca", "crl", "--dir", &folder],
        &["ca", "rotate", "--no-register"],
        &["ca", "create", "--force", "--yes"],
        &["ca", "encrypt", "--new-password-file", &passphrase],
        &["ca", "export-root", &folder, "--yes"],
    ];
    for command in LOOKS {
        good(behind(laptop, before, command));
    }
    for command in changes {
        for more in [&["--dry-run"][..], &[]] {
            let outcome = behind(laptop, before, &[command, more].concat());
            assert_eq!(outcome.code, 1, "{command:?} {more:?}: {outcome}");
            assert!(outcome.stderr.contains(reason), "{command:?} {more:?}: {outcome}");
        }
    }
    assert!(laptop.files() == files);
    assert!(content(&out).is_empty(), "a copy of the root's key, or a list that the log does not have");
}

#[test]
fn a_home_that_cannot_be_written_can_be_looked_at() {
    let laptop = lived_in();
    for path in paths(&laptop).into_iter().chain([laptop.folder()]) {
        give(&path);
        if path.is_dir() {
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o500)).unwrap();
        }
    }
    // The folder above it is a temporary one, for its owner alone.
    give(laptop.folder().parent().unwrap());
    let before = as_user(&[]);
    assert_readable(&laptop, &before, "Permission denied");
}

#[test]
fn a_home_on_a_read_only_file_system_can_be_looked_at() {
    if !is_root() {
        return;
    }
    let laptop = lived_in();
    let folder = laptop.folder().display().to_string();
    let mounted = format!("mount --bind -o ro '{folder}' '{folder}' || exit 77; exec \"$0\" \"$@\"");
    let before = ["unshare", "-m", "sh", "-c", &mounted];
    if behind(&laptop, &before, &["ca", "show"]).code == 77 {
        println!("not run: nothing can be mounted here");
        return;
    }
    assert_readable(&laptop, &before, "Read-only file system");
}

/// The root CA that `ca show` shows.
fn root(outcome: &Outcome) -> String {
    let shown: serde_json::Value = serde_json::from_str(outcome.stdout.lines().next().unwrap()).unwrap();
    shown["root"]["certificate_id"].as_str().unwrap().to_owned()
}

const SHOW: [&str; 4] = ["ca", "show", "--output", "json"];
const FORCE: [&str; 4] = ["ca", "create", "--force", "--yes"];

/// Kills the making of a new chain at every change of a file: there is the old one or the new one, or the next run has it.
#[cfg(target_os = "linux")]
#[test]
fn a_chain_is_the_old_one_or_the_new_one_wherever_its_replacement_was_killed() {
    let new = || {
        let laptop = Laptop::with_ca();
        // Folders are watched that are there.
        std::fs::create_dir_all(laptop.folder().join("signers/new")).unwrap();
        laptop
    };
    let mut interrupted = 0;
    let killed = crate::laptop::killed::killed_at_changes(new, (&FORCE, &[]), |laptop| {
        let shown = laptop.run(&SHOW, &[]);
        if shown.code != 0 {
            assert!(shown.stderr.contains("finish it with: provisioner ca rotate (or ca create)"), "{shown}");
            interrupted += 1;
            for command in [&["ca", "crl"][..], &["certificates", "--offline"]] {
                let refused = laptop.run(command, &[]);
                assert!(refused.stderr.contains("finish it with"), "{command:?}: {refused}");
            }
            let plan = good(laptop.run(&["ca", "create", "--dry-run"], &[]));
            assert!(plan.stdout.contains("would make root-ca.crt"), "{plan}");
        }
        // It finishes what was begun, or has nothing to do.
        good(laptop.run(&["ca", "create"], &[]));
        let after = root(&good(laptop.run(&SHOW, &[])));
        if shown.code == 0 {
            assert_eq!(root(&shown), after);
        }
        good(laptop.run(&FORCE, &[]));
        assert_ne!(root(&good(laptop.run(&SHOW, &[]))), after);
        assert!(!laptop.folder().join("signers/new").exists());
        good(laptop.run(&["audit", "verify"], &[]));
    });
    assert!(
        killed.len() >= 10 && interrupted > 0,
        "{} runs were killed, {interrupted} in the exchange",
        killed.len()
    );
}

#[test]
fn a_full_disk_leaves_the_chain_that_is_there() {
    let laptop = Laptop::with_ca();
    let before = laptop.files();
    let refused = laptop.run_with_full_disk(&FORCE);
    assert_eq!(refused.code, 1, "{refused}");
    assert!(refused.stderr.contains("free space on the disk"), "{refused}");
    for (path, content) in before {
        // The lock has no content.
        assert!(std::fs::read(laptop.folder().join(&path)).unwrap() == content, "{path:?}");
    }
    good(laptop.run(&["ca", "show"], &[]));
    good(laptop.run(&FORCE, &[]));
}

#[test]
fn a_chain_that_has_signed_is_replaced_only_after_a_question() {
    let laptop = Laptop::with_ca();
    let before = laptop.files();
    let unasked = laptop.run(&["ca", "create", "--force"], &[]);
    assert_eq!(unasked.code, 5, "{unasked}");
    assert!(unasked.stderr.contains("provisioner ca rotate"), "{unasked}");
    assert!(laptop.files() == before);
    // What replaces nothing asks nothing.
    good(Laptop::new().run(&["ca", "create", "--force"], &[]));
}

#[test]
fn what_a_command_line_names_may_be_a_link_or_a_pipe_but_has_an_end() {
    let laptop = Laptop::with_ca();
    let file = |name: &str| laptop.folder().with_file_name(name);
    let encrypt = |name: &str| {
        let script = format!("exec \"$0\" \"$@\" --new-password-file {name}");
        let before = ["bash", "-c", &script];
        behind(&laptop, &before, &["ca", "encrypt"])
    };
    let endless = encrypt("/dev/zero");
    assert_eq!(endless.code, 1, "{endless}");
    assert!(endless.stderr.contains("/dev/zero has more than 1048576 bytes"), "{endless}");
    good(encrypt("<(echo four words are enough)"));
    let csv = file("out.csv");
    std::fs::write(&csv, "").unwrap();
    symlink(&csv, file("link.csv")).unwrap();
    good(laptop.run(&["ledger", "export", "--csv", file("link.csv").to_str().unwrap()], &[]));
    assert!(file("link.csv").is_symlink() && std::fs::read_to_string(&csv).unwrap().starts_with("when,"));
    good(laptop.run(&["ledger", "export", "--csv", "/dev/null"], &[]));
    assert!(!Path::new("/dev/null").is_file());
}

#[test]
fn a_root_key_that_cannot_be_removed_is_told_with_the_place_of_its_copy() {
    if !is_root() {
        return;
    }
    let laptop = Laptop::with_ca();
    let (key, out) = (laptop.folder().join("root-ca.key"), laptop.folder().with_file_name("out"));
    std::fs::create_dir(&out).unwrap();
    let export = ["ca", "export-root", out.to_str().unwrap(), "--yes"];
    // What something is mounted on cannot be removed.
    let key = key.display();
    let mounted = format!("mount --bind '{key}' '{key}' || exit 77; exec \"$0\" \"$@\"");
    let kept = behind(&laptop, &["unshare", "-m", "sh", "-c", &mounted], &export);
    if kept.code == 77 {
        println!("not run: nothing can be mounted here");
        return;
    }
    assert_eq!(kept.code, 1, "{kept}");
    let copy = format!("a copy of the root's key is at {}", out.join("root-ca.key").display());
    assert!(kept.stderr.contains(&copy) && kept.stderr.contains("delete the copy"), "{kept}");
    good(laptop.run(&export, &[]));
    assert!(!laptop.folder().join("root-ca.key").exists() && out.join("root-ca.key").exists());
}

#[test]
fn a_dry_run_writes_no_output() {
    let laptop = lived_in();
    let beside = |name: &str| laptop.folder().with_file_name(name);
    std::fs::create_dir(beside("out")).unwrap();
    good(laptop.run(&["ledger", "export", "--csv", beside("pre.csv").to_str().unwrap()], &[]));
    let before = [&std::fs::read(beside("pre.csv")).unwrap()[..], b"older\n"].concat();
    std::fs::write(beside("pre.csv"), &before).unwrap();
    let said = |arguments: &[&str], output: &Path| {
        let planned = laptop.run(&[&["--dry-run"], arguments, &[output.to_str().unwrap()]].concat(), &[]);
        assert_eq!(planned.code, 0, "{planned}");
        planned.to_string()
    };
    let export = said(&["ledger", "export", "--csv"], &beside("pre.csv"));
    assert!(export.contains("would write") && export.contains("pre.csv"), "{export}");
    assert_eq!(std::fs::read(beside("pre.csv")).unwrap(), before);
    for arguments in [&["man"][..], &["ca", "crl", "--dir"], &["ca", "export-root"]] {
        said(arguments, &beside("out"));
        assert_eq!(std::fs::read_dir(beside("out")).unwrap().count(), 0, "{arguments:?}");
    }
}

#[test]
fn an_output_replaces_what_an_earlier_run_has_written_and_no_other_file() {
    let laptop = lived_in();
    let beside = |name: &str| laptop.folder().with_file_name(name);
    let outputs: [(&[&str], &str); 4] = [
        (&["ledger", "export", "--csv"], "a.csv"),
        (&["report", "--offline", "--file"], "a.md"),
        (&["register", "no.crt", "--result"], "b.csv"),
        (&["register", "no.crt", "--result"], "b.jsonl"),
    ];
    for (arguments, name) in outputs {
        let file = beside(name);
        std::fs::write(&file, "mine").unwrap();
        symlink(&file, beside("link")).unwrap();
        for named in [&file, &beside("link")] {
            for dry in [&["--dry-run"][..], &[]] {
                let refused = laptop.run(&[arguments, &[named.to_str().unwrap()], dry].concat(), &[]);
                assert_eq!(refused.code, 5, "{arguments:?}: {refused}");
                assert!(refused.stderr.contains("is there already"), "{refused}");
                assert!(refused.stderr.contains("name another file"), "{refused}");
            }
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine", "{arguments:?}");
        std::fs::remove_file(beside("link")).unwrap();
        if arguments[0] != "register" {
            std::fs::remove_file(&file).unwrap();
            for _ in ["first", "again"] {
                good(laptop.run(&[arguments, &[file.to_str().unwrap()]].concat(), &[]));
            }
        }
    }
}

#[test]
fn no_output_replaces_what_the_home_has() {
    let laptop = lived_in();
    let board = laptop.folder().join("MCHP1");
    std::fs::create_dir(&board).unwrap();
    std::fs::write(board.join("device.crt"), "a certificate").unwrap();
    let beside = |name: &str| laptop.folder().with_file_name(name);
    symlink(laptop.folder().join("audit.jsonl"), beside("link.csv")).unwrap();
    symlink(laptop.folder().join("signer-ca.revoked"), beside("none.csv")).unwrap();
    symlink(laptop.folder(), beside("home")).unwrap();
    let before = laptop.files();
    let refused = |arguments: &[&str], output: &Path| {
        let refused = laptop.run(&[arguments, &[output.to_str().unwrap()]].concat(), &[]);
        assert_eq!(refused.code, 5, "{arguments:?} {output:?}: {refused}");
        assert!(refused.stderr.contains("outside of the home folder"), "{refused}");
        assert!(laptop.files() == before, "{arguments:?} {output:?}");
    };
    let export = ["ledger", "export", "--csv"];
    for name in paths(&laptop).iter().filter(|name| **name != board) {
        refused(&export, name);
    }
    let names =
        ["signer-ca.revoked", "AUDIT.jsonl", "crl/new.csv", "certificates/new/a.csv", "crl/../root-ca.key"];
    for name in names {
        refused(&export, &laptop.folder().join(name));
    }
    for name in ["link.csv", "none.csv", "home/root-ca.key", "home/../.microchip-iot/audit.head"] {
        refused(&export, &beside(name));
    }
    for folder in [laptop.folder(), laptop.folder().join("certificates"), beside("home")] {
        refused(&["ca", "crl", "--dir"], &folder);
        refused(&["man"], &folder);
    }
    for name in ["attempts.csv", "tables/attempts.csv"] {
        std::fs::create_dir_all(laptop.folder().join("tables")).unwrap();
        let named = laptop.folder().join(name);
        good(laptop.run(&["ledger", "export", "--csv", named.to_str().unwrap()], &[]));
    }
    good(laptop.run(&["ca", "crl", "--dir", laptop.folder().join("crl").to_str().unwrap()], &[]));
}

/// The commands of a page under a heading, block by block.
fn commands_under(heading: &str) -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../provisioner/docs/home.md");
    let page = std::fs::read_to_string(page).unwrap();
    let section = page.split_once(heading).unwrap().1;
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    section.split("```sh\n").skip(1).map(|block| block.split_once("```").unwrap().0.to_owned()).collect()
}

#[test]
fn the_page_about_backups_brings_a_home_back() {
    let laptop = lived_in();
    let place = laptop.folder().parent().unwrap().to_owned();
    let program = laptop.command(&[], &[]);
    let path = format!("{}:/usr/bin:/bin", Path::new(program.get_program()).parent().unwrap().display());
    let follow = |commands: &str| {
        let mut shell = Command::new("bash");
        shell.args(["-e", "-c", commands]).env_clear().env("HOME", &place).env("PATH", &path);
        shell.output().unwrap()
    };
    let [backup, restore] = commands_under("## Backup and restore").try_into().unwrap();
    let signer = root(&good(laptop.run(&SHOW, &[])));
    let files = laptop.files();
    let made = follow(&backup);
    assert!(made.status.success(), "{made:?}");
    let archive = place.join("microchip-iot.tar.gz");
    assert_eq!(archive.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    let numbers = |outcome: &Outcome| -> Vec<(String, u64)> {
        let lines =
            outcome.stdout.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let of = |line: serde_json::Value| {
            let key = line["authority_key_identifier"].as_str().unwrap().to_owned();
            (key, line["crl_number"].as_u64().unwrap())
        };
        lines.map(of).collect()
    };
    let crl = ["ca", "crl", "--output", "json"];
    // Lists that are published after the backup, and are not in it.
    let published: Vec<_> = (0..3).map(|_| numbers(&good(laptop.run(&crl, &[])))).collect();

    // A home that is there is not overwritten.
    let refused = follow(&restore);
    assert!(!refused.status.success());
    std::fs::rename(laptop.folder(), place.join("lost")).unwrap();
    let restored = follow(restore.split("provisioner").next().unwrap());
    assert!(restored.status.success(), "{restored:?}");
    assert!(laptop.files() == files);
    assert_closed(&laptop);
    std::fs::remove_dir_all(laptop.folder()).unwrap();
    let restored = follow(&restore);
    assert!(restored.status.success(), "{restored:?}");
    assert_eq!(root(&good(laptop.run(&SHOW, &[]))), signer);
    for (key, number) in numbers(&good(laptop.run(&crl, &[]))) {
        for list in &published {
            assert!(list.iter().any(|(of, before)| *of == key && *before < number));
        }
    }
}
