//! What is named on the command line and in the environment is what is told of it, and not the home folder.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::laptop::Laptop;

#[test]
fn a_file_that_is_named_and_cannot_be_used_is_told_by_its_name() {
    let laptop = Laptop::with_ca();
    let home = laptop.folder();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (missing, file, blocked) = (path("nodir"), path("file"), path("file/x.csv"));
    std::fs::write(&file, "text").unwrap();
    let (inside, here) = (path("nodir/x.csv"), folder.path().display().to_string());
    for (arguments, names, cure) in [
        (&["ledger", "export", "--csv", &here][..], &here, "name a file, and not a folder"),
        (&["ledger", "export", "--csv", &inside], &inside, "make the folder"),
        (&["ledger", "export", "--csv", &blocked], &file, "a part of the path is a file"),
        (&["register", "--dir", &missing], &missing, "check the name"),
        (&["register", "--dir", &file], &file, "a part of the path is a file"),
        (&["register", "--file", &missing], &missing, "check the name"),
        (&["register", "--file", &here], &here, "name a regular file"),
        (&["register", "x.crt", "--result", &inside], &inside, "make the folder"),
        (&["provision", "--certificate", &here, "-P", "/dev/nowhere"], &here, "name a regular file"),
    ] {
        for dry in [&["--dry-run"][..], &[]] {
            let outcome = laptop.run(&[arguments, dry].concat(), &[]);
            let code = if cure.starts_with("a part") { 2 } else { 1 };
            assert!(outcome.code == code && outcome.stderr.contains(names), "{arguments:?}: {outcome}");
            assert!(outcome.stderr.contains(cure), "{arguments:?}: {outcome}");
            let spoken = outcome.stderr.contains("--home") || outcome.stderr.contains("home folder");
            assert!(
                !spoken && !outcome.stderr.contains(&home.display().to_string()),
                "{arguments:?}: {outcome}"
            );
        }
    }
    assert!(!std::path::Path::new(&missing).exists());
}

#[test]
fn a_home_that_is_a_file_or_below_one_is_told_by_every_command_that_opens_it() {
    let laptop = Laptop::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "text").unwrap();
    let said = format!("{} is a regular file and not a folder", file.display());
    for home in [file.clone(), file.join("home")] {
        let home = ["--home", home.to_str().unwrap()];
        for arguments in [
            &["ca", "create", "--org", "Example"][..],
            &["ca", "show"],
            &["ca", "crl"],
            &["ca", "rotate", "--no-register"],
            &["ca", "export-root", "/nowhere"],
            &["ledger"],
            &["ledger", "check"],
            &["audit", "show"],
            &["audit", "verify"],
            &["certificates", "--offline"],
            &["forget", "MCHP1", "--yes"],
            &["provision", "--endpoint", "a.example", "-P", "/dev/nowhere"],
        ] {
            for dry in [&["--dry-run"][..], &[]] {
                let arguments = [&home[..], arguments, dry].concat();
                let outcome = laptop.run(&arguments, &[]);
                assert!(outcome.code == 2 && outcome.stderr.contains(&said), "{arguments:?}: {outcome}");
                assert!(outcome.stderr.contains("MICROCHIP_IOT_HOME"), "{arguments:?}: {outcome}");
            }
        }
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "text");
}

#[test]
fn a_value_of_the_environment_that_is_refused_is_told_with_its_variable() {
    let laptop = Laptop::with_ca();
    let genuine = [("MICROCHIP_IOT_REQUIRE_GENUINE", "maybe")];
    for form in [&[][..], &["--output", "json"]] {
        let arguments = [&["provision", "--endpoint", "a.example", "-P", "/dev/nowhere"][..], form].concat();
        let outcome = laptop.run(&arguments, &genuine);
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(outcome.code == 2 && said.contains("MICROCHIP_IOT_REQUIRE_GENUINE"), "{outcome}");
        assert!(form.is_empty() || outcome.stdout.contains("MICROCHIP_IOT_REQUIRE_GENUINE"), "{outcome}");
    }
    // Its own value is right, and what is wrong is on the command line.
    let outcome = laptop.run(&["provision", "--nonsense"], &[("MICROCHIP_IOT_REQUIRE_GENUINE", "1")]);
    assert!(outcome.code == 2 && !outcome.stderr.contains("environment"), "{outcome}");
}

#[test]
fn the_usage_is_that_of_the_command_line_whatever_the_environment_has() {
    let laptop = Laptop::with_ca();
    let home = laptop.folder();
    let environment = [("MICROCHIP_IOT_HOME", home.to_str().unwrap()), ("MICROCHIP_IOT_STATION", "bench 1")];
    for arguments in [
        &["ledger", "--nonsense"][..],
        &["nonsense"],
        &["revoke"],
        &["provision", "--serial"],
        &["ca", "rotate", "--root-key"],
    ] {
        let bare = laptop.run(arguments, &[]);
        let set = laptop.run(arguments, &environment);
        assert_eq!((bare.code, &bare.stderr), (2, &set.stderr), "{arguments:?}: {set}");
    }
    // The help names the variables all the same.
    let help = laptop.run(&["--help"], &environment);
    assert!(help.stdout.contains("MICROCHIP_IOT_HOME"), "{help}");
}

#[test]
fn a_variable_that_is_no_text_is_refused_and_not_passed_over() {
    let laptop = Laptop::with_ca();
    let broken = OsStr::from_bytes(b"/dev/ttyACM\xff");
    for name in ["MICROCHIP_IOT_PORTS", "AWS_PROFILE", "AWS_REGION", "MICROCHIP_IOT_PASSPHRASE"] {
        let output = laptop.command(&["boards"], &[]).env(name, broken).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{name}: {said}");
        assert!(said.contains(&format!("{name} is not UTF-8")), "{said}");
    }
    // Paths may have any name.
    let output = laptop.command(&["boards"], &[]).env("AWS_CONFIG_FILE", broken).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
}
