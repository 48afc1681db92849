//! Every flag and word in the help of both generations of iotprovision: of `iotprovision-bin` (about 2020) and of 2.12. Each is
//! taken, or declined with what does it.

use clap::{FromArgMatches, error::ErrorKind};

use super::*;
use crate::cli::{Cli, definition, exit_code};

/// What is taken, beside `-m jitr`. Several spellings stand together, as do several values.
const TAKEN: [(&[&str], &[&str]); 30] = [
    (&["-c", "--cloud-provider"], &["aws"]),
    (&["-m", "--provision-method"], &["sandbox", "custom", "jitr", "mar"]),
    (&["-a", "--aws-profile"], &["default"]),
    (&["-P", "--port"], &["COM3", "/dev/ttyACM0"]),
    (&["-p", "--provision-firmware"], &["fw.hex"]),
    (&["-f", "--force", "--fdev", "--force-device-certs"], &[]),
    (&["--sprov", "--skip-program-provision-firmware"], &[]),
    (&["-app", "--app", "--application-firmware"], &["my.hex"]),
    (&["-ssid", "--ssid", "--wifi-ssid"], &["mywifi"]),
    (&["-ssid n -psk", "-ssid n --psk", "-ssid n --wifi-psk"], &["password"]),
    (&["-ssid n -auth", "-ssid n --auth", "-ssid n --wifi-auth"], &["open", "wpa-psk", "wep", "ieee802.1x"]),
    (&["-s", "--serial-number", "--serialnumber"], &["MCHP3261021800001234", "1234"]),
    (&["--verify"], &[]),
    (&["-l", "--logging"], &["fatal", "error", "warning", "info", "debug"]),
    (&["-v", "--verbose"], &["debug", "info", "warning", "error", "critical"]),
    (&["--org", "--organization-name"], &["Me"]),
    (&["--rcn", "--root-common-name"], &["My_Root_CA"]),
    (&["--scn", "--signer-common-name"], &["My_Signer_FFFF"]),
    (&["rootcerts --irc", "rootcerts --install-root-certs"], &["folder"]),
    (&["rootcerts --rrc", "rootcerts --restore-root-certs"], &["backup"]),
    (&["all"], &[]),
    (&["account"], &[]),
    (&["certs"], &[]),
    (&["provision"], &[]),
    (&["application"], &[]),
    (&["links"], &[]),
    (&["none"], &[]),
    (&["account certs provision"], &[]),
    (&["account certs provision application"], &[]),
    (&["certs provision -ssid n -psk password"], &[]),
];

/// What is taken without a method.
const TAKEN_ALONE: [&str; 6] = [
    "-auth wpa-psk -ssid mywifi -psk password",
    "-ssid mywifi",
    "-app my.hex",
    "-app my.hex -ssid mywifi -P COM3",
    "rootcerts --rrc backup",
    "none",
];

/// What is declined, and what the next step names.
const DECLINED: [(&[&str], &str); 15] = [
    (&["-c google -m jitr", "-c azure -m jitr", "--cloud-provider azure"], "provisioner -c aws -m jitr"),
    (&["-c aws", "-f", "all", "account certs provision application"], "-m sandbox for the vendor's"),
    (&["-m jitr -A a.zip", "-m jitr --archive a.zip"], "pydebuggerupgrade"),
    (&["-m jitr dbgupgrade", "-m jitr debuggerupgrade", "debuggerupgrade"], "pydebuggerupgrade"),
    (&["-m jitr -w", "-m jitr --wincupgrade", "-m jitr wincupgrade"], "provisioner doctor --board"),
    (&["--fwinc wincupgrade", "-m jitr --force-wincupgrade"], "iotprovision wincupgrade"),
    (&["-m jitr --fca", "-m jitr --force-ca-certs certs"], "provisioner ca rotate"),
    (&["-m jitr --fca"], "provisioner ca create --force"),
    (&["-m jitr --faws", "-m jitr --force-aws-cloudformation account"], "provisioner setup"),
    (&["-m jitr --faws"], "provisioner doctor --repair"),
    (&["rootcerts", "-m jitr rootcerts certs"], "provisioner roots install"),
    (
        &["-m jitr --irc folder", "--install-root-certs folder none"],
        "provisioner roots install --from FOLDER",
    ),
    (&["-m jitr --rrc backup"], "provisioner roots restore"),
    (&["rootcerts --rrc factory"], "provisioner roots restore --file tls_root_cert.bin"),
    (&["-m mar --lock-slots"], "leave it out"),
];

fn parsed(line: &str) -> Result<Flags, clap::Error> {
    let mut definition = definition();
    definition.build();
    let args = normalise(format!("provisioner {line}").split(' ').map(OsString::from), &definition);
    let cli = definition.try_get_matches_from_mut(&args).and_then(|found| Cli::from_arg_matches(&found))?;
    assert!(cli.command.is_none(), "{line} is a subcommand");
    Ok(cli.legacy)
}

#[test]
fn every_flag_and_word_of_iotprovision_is_taken_or_declined_with_what_does_it() {
    let taken = |line: &str| {
        let flags = parsed(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        if let Err(error) = flags.check() {
            panic!("{line}: {error}");
        }
    };
    for (spellings, values) in TAKEN {
        for spelling in spellings {
            let method = if spelling.starts_with("-m") || spelling.starts_with("--provision-m") {
                ""
            } else {
                "-m jitr "
            };
            match values {
                [] => taken(&format!("{method}{spelling}")),
                values => values.iter().for_each(|value| taken(&format!("{method}{spelling} {value}"))),
            }
        }
    }
    TAKEN_ALONE.iter().for_each(|line| taken(line));
    for (lines, help) in DECLINED {
        for line in lines {
            let flags = parsed(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            let error = flags.check().expect_err(line);
            assert_eq!(exit_code::exit_code(&error), crate::cli::ExitCode::Usage, "{line}");
            let Error::Usage { help: found, .. } = &error else { panic!("{line}: {error}") };
            assert!(found.contains(help), "{line}: {found}");
        }
    }
}

#[test]
fn help_and_version_have_their_flags() {
    for (flags, kind) in [
        (["-h", "--help"], ErrorKind::DisplayHelp),
        (["-V", "--version"], ErrorKind::DisplayVersion),
        (["-R", "--release-info"], ErrorKind::DisplayVersion),
    ] {
        for flag in flags {
            assert_eq!(parsed(flag).unwrap_err().kind(), kind, "{flag}");
        }
    }
}

/// The page for those who come from iotprovision has every flag and word.
#[test]
fn the_page_has_every_flag_and_word() {
    let page = include_str!("../../../docs/iotprovision.md");
    let lines = TAKEN.iter().flat_map(|(spellings, _)| spellings.iter());
    let lines = lines.chain(DECLINED.iter().flat_map(|(lines, _)| lines.iter()));
    for word in lines.flat_map(|line| line.split(' ')) {
        let is_ours = word == "--lock-slots";
        let is_value = !word.starts_with('-') && <Action as ValueEnum>::from_str(word, false).is_err();
        let is_there =
            [format!("`{word}`"), format!("`{word} ")].iter().any(|cell| page.contains(cell.as_str()));
        assert!(is_ours || is_value || is_there, "{word} is not in the page");
    }
}
