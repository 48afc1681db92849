//! What is looked at on a board that cannot connect: whether its Wi-Fi module trusts the endpoint, and the module's firmware.

use iot_account::doctor::{Finding, Remedy, Verdict};
use iot_account::{Resource, counted};
use iot_kit::command::{Component, FLASH_PAGE};
use iot_kit::{Kit, Session, flash, ports, wifi_module};
use time::OffsetDateTime;

use super::inspection::{self, Inspection};
use super::roots::{self, Trust};

/// What a version of the module's firmware is: major, minor, patch.
type Version = (u8, u8, u8);

/// The first firmware with which kits were reported to connect with a certificate of their own (the instructions of
/// `randywu763/sam-iot-provision`).
const CLIENT_CERTIFICATES: Version = (19, 6, 5);
/// The newest firmware that Microchip's iotprovision brings (2022-03-30).
const NEWEST: Version = (19, 7, 7);

/// Looks at the board of a kit. What cannot be read is a finding, too.
pub fn examine(kit: &Kit, now: OffsetDateTime) -> Vec<Finding> {
    let name = kit.usb_serial.as_ref().unwrap_or(&kit.port).clone();
    let read = || -> Result<[Finding; 2], iot_kit::Error> {
        let mut session = Session::start(ports::open(&kit.port)?, kit)?;
        // The module changes its mode once only: its version first, then its flash.
        let lines = inspection::version(&mut session, Component::WifiModule);
        let lines = lines.map_err(|error| inspection::explained(&mut session, error))?;
        let endpoint = wifi_module::read(&mut session, flash::ENDPOINT, FLASH_PAGE)?;
        let found = roots::read(&mut session)?;
        let found = found.map_err(|error| error.to_string());
        Ok([
            trust(&name, inspection::text(&endpoint).as_deref(), found.as_deref(), now),
            firmware(&name, &lines),
        ])
    };
    match read() {
        Ok(findings) => findings.into(),
        Err(error) => vec![unread(&name, &error)],
    }
}

/// A board that could not be read. One that runs its application, as it does in the field, is no fault.
fn unread(board: &str, error: &iot_kit::Error) -> Finding {
    use iot_kit::Error as E;
    let (verdict, found) = match error {
        E::Silent { .. } | E::Foreign { .. } | E::PortInUse { .. } => (
            Verdict::Notable,
            format!(
                "not read: {error}; a board is read while it has its provisioning firmware, not its application"
            ),
        ),
        error => (Verdict::Unknown, error.to_string()),
    };
    Finding::new(Resource::RootStore, board, verdict, vec![found])
}

/// The same of a board that was read already.
pub fn of(kit: &Kit, inspection: &Inspection, now: OffsetDateTime) -> [Finding; 2] {
    let name = kit.usb_serial.as_ref().unwrap_or(&kit.port);
    let found = match &inspection.root_store.error {
        Some(error) => Err(error),
        None => Ok(inspection.root_store.found.as_slice()),
    };
    let endpoint = inspection.stored_endpoint.as_deref();
    [trust(name, endpoint, found, now), firmware(name, &inspection.wifi_module)]
}

/// Whether the board can check the certificate of its endpoint.
fn trust(
    board: &str,
    endpoint: Option<&str>,
    found: Result<&[iot_kit::root_store::Root], &String>,
    now: OffsetDateTime,
) -> Finding {
    let finding = |verdict, found: Vec<String>| Finding::new(Resource::RootStore, board, verdict, found);
    let install = |finding: Finding| finding.remedy(Remedy::InstallRoots);
    let found = match found {
        Ok(found) => found,
        Err(error) => return install(finding(Verdict::Wrong, vec![error.clone()])),
    };
    let count = counted(found.len(), "root");
    match endpoint {
        Some(endpoint) if !is_of_aws(endpoint) => {
            let text = format!("{count}; {endpoint} is no endpoint of AWS: which root it needs is not known");
            return finding(Verdict::Notable, vec![text]);
        }
        Some(endpoint) if !is_ats(endpoint) => {
            let text = format!(
                "{count}; {endpoint} is an endpoint of the old kind, whose certificates were issued by VeriSign and Symantec"
            );
            return finding(Verdict::Notable, vec![text]);
        }
        _ => {}
    }
    match roots::trust_in_aws(found, now) {
        Trust::Until { not_after, is_soon: false } => {
            finding(Verdict::Right, vec![format!("{count}; Amazon Root CA 3 until {not_after}")])
        }
        Trust::Until { not_after, is_soon: true } => {
            install(finding(Verdict::Notable, vec![format!("Amazon Root CA 3 ends soon, on {not_after}")]))
        }
        Trust::No { why } => {
            let need = "the kits' applications offer suites with ECDSA alone, which need that root";
            install(finding(Verdict::Wrong, vec![why, need.to_owned()]))
        }
    }
}

fn is_of_aws(endpoint: &str) -> bool {
    [".amazonaws.com", ".amazonaws.com.cn"]
        .iter()
        .any(|suffix| endpoint.to_ascii_lowercase().ends_with(suffix))
}

/// Whether its certificates are from Amazon Trust Services (AWS IoT Core developer guide, "Server authentication").
fn is_ats(endpoint: &str) -> bool {
    endpoint.split('.').next().is_some_and(|label| label.to_ascii_lowercase().ends_with("-ats"))
}

/// Whether the module's firmware matters.
fn firmware(board: &str, lines: &[String]) -> Finding {
    let finding = |verdict, found| Finding::new(Resource::WifiModule, board, verdict, vec![found]);
    let Some(version) = lines.iter().find_map(|line| version(line)) else {
        return finding(
            Verdict::Notable,
            format!("the version of its firmware is not known: {}", lines.join(", ")),
        );
    };
    let shown = |(major, minor, patch): Version| format!("{major}.{minor}.{patch}");
    let own = format!("firmware {}", shown(version));
    match version {
        version if version < CLIENT_CERTIFICATES => finding(
            Verdict::Notable,
            format!(
                "{own}: kits are reported not to connect with a certificate of their own below {}",
                shown(CLIENT_CERTIFICATES)
            ),
        )
        .remedy(Remedy::UpdateWifiModule),
        version if version < NEWEST => finding(
            Verdict::Notable,
            format!("{own}: the newest is {}; update it if the board does not connect", shown(NEWEST)),
        ),
        _ => finding(Verdict::Right, own),
    }
}

/// The version in a line such as `WINC firmware 19.6.1`.
fn version(line: &str) -> Option<Version> {
    let words = line.to_ascii_lowercase();
    let number = words.split_whitespace().next_back()?.trim_start_matches('=');
    let mut parts = number.split('.').map(|part| part.parse().ok());
    let version = (parts.next()??, parts.next()??, parts.next()??);
    (!words.contains("driver") && parts.next().is_none()).then_some(version)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-26 12:00 UTC);
    const ATS: &str = "a1b2c3d4e5f6g7-ats.iot.eu-west-1.amazonaws.com";

    #[test]
    fn a_board_without_the_root_that_its_suites_need_is_told_what_puts_it_in() {
        let roots = roots::of_certificates(&roots::built_in()).unwrap();
        let verdict = |endpoint, roots: &[_]| trust("MCHP1", endpoint, Ok(roots), NOW);
        assert_eq!(verdict(Some(ATS), &roots).verdict, Verdict::Right);
        assert_eq!(verdict(None, &roots).verdict, Verdict::Right);
        let lacking = verdict(Some(ATS), &roots[..1]);
        assert_eq!(lacking.verdict, Verdict::Wrong);
        assert!(lacking.found[0].contains("Amazon Root CA 3 is missing"), "{:?}", lacking.found);
        assert!(matches!(lacking.remedy, Some(Remedy::InstallRoots)));
        assert_eq!(verdict(Some("localhost"), &roots[..1]).verdict, Verdict::Notable);
        assert_eq!(verdict(Some(iot_account::SANDBOX_ENDPOINT), &[]).verdict, Verdict::Notable);
        let damaged = trust("MCHP1", Some(ATS), Err(&"there is no root store".to_owned()), NOW);
        assert_eq!(damaged.verdict, Verdict::Wrong);
    }

    #[test]
    fn a_board_that_runs_its_application_is_no_fault() {
        let port = || "/dev/ttyACM0".to_owned();
        let silent = unread("MCHP1", &iot_kit::Error::Silent { port: port() });
        assert!(silent.lets_through() && silent.found[0].contains("provisioning firmware"), "{silent:?}");
        assert_eq!(unread("MCHP1", &iot_kit::Error::NoPort { port: port() }).verdict, Verdict::Unknown);
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        let verdict = |line: &str| firmware("MCHP1", &[line.to_owned(), "WINC driver 19.3.0".to_owned()]);
        assert!(matches!(verdict("WINC firmware 19.6.1").remedy, Some(Remedy::UpdateWifiModule)));
        assert!(matches!(verdict("WINC firmware =19.5.10").remedy, Some(Remedy::UpdateWifiModule)));
        for line in ["WINC firmware 19.6.5", "WINC firmware 19.7.6", "nothing"] {
            let finding = verdict(line);
            assert!(finding.verdict == Verdict::Notable && finding.remedy.is_none(), "{line}");
        }
        for line in ["WINC firmware 19.7.7", "WINC firmware 19.10.0"] {
            assert_eq!(verdict(line).verdict, Verdict::Right, "{line}");
        }
    }
}
