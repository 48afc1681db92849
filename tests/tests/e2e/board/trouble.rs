//! Boards that cannot be used: each run ends in one message with the next step, the right exit code, and nothing half done.

use super::*;

/// Asserts that nothing has happened to board or home.
fn assert_untouched(board: &SimulatedBoard, laptop: &Laptop) {
    let statistics = board.take_statistics();
    assert_eq!(CHANGES.map(|change| statistics.count(change)), [0, 0], "{:?}", statistics.commands);
    assert_no_half_written_file(laptop);
}

#[test]
fn no_board() {
    let outcome = Laptop::with_ca().run(&["provision", "--method", "jitr", "--endpoint", ENDPOINT], &[]);
    assert_eq!(outcome.code, 3);
    insta::assert_snapshot!(outcome);
}

#[test]
fn a_port_that_does_not_exist() {
    let arguments = ["provision", "--method", "jitr", "--endpoint", ENDPOINT, "--port", "/dev/no-such-port"];
    let outcome = Laptop::with_ca().run(&arguments, &[]);
    assert_eq!(outcome.code, 3);
    insta::assert_snapshot!(outcome);
}

#[test]
fn two_boards_and_no_choice() {
    let (laptop, mut boards) = (Laptop::with_ca(), [board(), board()]);
    // In the order in which they are listed.
    boards.sort_by_key(|board| board.path().to_owned());
    let [first, second] = boards;
    let (a, b) = (first.path().to_str().unwrap(), second.path().to_str().unwrap());
    let ports = format!("{a}=MCHP0000000001,{b}=MCHP0000000002");
    let arguments = ["provision", "--method", "jitr", "--endpoint", ENDPOINT];
    let run =
        |more: &[&str]| laptop.run(&[&arguments, more].concat(), &[("MICROCHIP_IOT_PORTS", ports.as_str())]);
    // The longer name first: it may begin with the other one.
    let outcome = run(&[]).naming(b, "PORT_B").naming(a, "PORT_A");
    assert_eq!(outcome.code, 3);
    assert_untouched(&first, &laptop);
    assert_untouched(&second, &laptop);
    insta::assert_snapshot!(outcome);

    let chosen = run(&["-s", "0002"]);
    assert_eq!(chosen.code, 0, "{chosen}");
    assert_untouched(&first, &laptop);
    assert_provisioned(&second, &laptop, "MCHP0000000002");
}

#[test]
fn no_certificate_authority() {
    let (laptop, board) = (Laptop::new(), board());
    let outcome = provision(&laptop, &board, &[]);
    assert_ne!(outcome.code, 0);
    assert_untouched(&board, &laptop);
    insta::assert_snapshot!(outcome);
}

#[test]
fn a_signer_key_that_does_not_match_its_certificate() {
    let (laptop, other, board) = (Laptop::with_ca(), Laptop::with_ca(), board());
    std::fs::copy(other.folder().join("signer-ca.key"), laptop.folder().join("signer-ca.key")).unwrap();
    let outcome = provision(&laptop, &board, &[]);
    assert_ne!(outcome.code, 0);
    assert_untouched(&board, &laptop);
    insta::assert_snapshot!(outcome);
}

#[cfg(unix)]
#[test]
fn a_port_that_the_user_may_not_open() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    use std::os::unix::process::CommandExt;
    /// The user `nobody` of most systems; root may open everything.
    const NOBODY: u32 = 65_534;

    let (laptop, board) = (Laptop::new(), board());
    let port = board.path().to_str().unwrap();
    std::fs::set_permissions(port, std::fs::Permissions::from_mode(0o000)).unwrap();
    let arguments = ["inspect", "--port", port];
    let mut command = laptop.command(&arguments, &[]);
    if std::fs::metadata(port).unwrap().uid() == 0 {
        chown(laptop.folder().parent().unwrap(), Some(NOBODY), Some(NOBODY)).unwrap();
        let program = std::path::PathBuf::from(command.get_program());
        let reachable = std::process::Command::new(program).arg("-V").uid(NOBODY).gid(NOBODY).output();
        if !reachable.is_ok_and(|output| output.status.success()) {
            println!("skipped: run as root, with a program that no other user can run");
            return;
        }
        command.uid(NOBODY).gid(NOBODY);
    }
    let outcome = laptop.outcome(&arguments, command.output().unwrap());
    assert_eq!(outcome.code, 3, "{outcome}");
    assert!(
        outcome.stderr.starts_with(&format!("error: you may not open the port {port}\nhelp: ")),
        "{outcome}"
    );
    let cure = if cfg!(target_os = "linux") { "60-microchip-iot.rules" } else { "another program" };
    assert!(outcome.stderr.contains(cure), "{outcome}");
    // Nobody of the port's group may open it either.
    assert!(!outcome.stderr.contains("usermod"), "{outcome}");
}

/// A dead chip on the kit is named, and nothing is written.
#[test]
fn a_board_without_its_secure_element_or_its_wifi_module() {
    let cases = [
        (Kit::AvrIotWg, Part::SecureElement, "its secure element does not work"),
        (Kit::SamIotWg, Part::SecureElement, "secure element does not answer"),
        (Kit::AvrIotWg, Part::WifiModule, "Wi-Fi module does not answer"),
        (Kit::SamIotWx, Part::WifiModule, "Wi-Fi module does not answer"),
    ];
    for (kit, part, cause) in cases {
        let board = SimulatedBoard::start(Options { kit, ..Options::instant(61) }).unwrap();
        let laptop = Laptop::with_ca();
        board.disconnect(part);
        let outcome = provision(&laptop, &board, &[]);
        assert_eq!(outcome.code, 3, "{kit} without {part:?}: {outcome}");
        assert!(outcome.stderr.contains(cause), "{kit} without {part:?}: {outcome}");
        assert_untouched(&board, &laptop);
    }
}
