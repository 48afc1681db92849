//! Opening a port, and what to do where it cannot be opened.

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use serialport::{ErrorKind, SerialPort};

use crate::board::Error;

/// Speed of the provisioning firmware, in baud.
const BAUD_RATE: u32 = 115_200;

/// Opens a port for this process alone.
///
/// # Errors
/// [`Error::NoPort`], [`Error::PortInUse`], [`Error::PortDenied`], [`Error::Open`].
pub fn open(port: &str) -> Result<Box<dyn SerialPort>, Error> {
    open_at(port, BAUD_RATE)
}

/// As [`open`], at another speed in baud.
///
/// # Errors
/// As [`open`].
pub fn open_at(port: &str, baud_rate: u32) -> Result<Box<dyn SerialPort>, Error> {
    let port = &*callout(port);
    // Exclusive mode, which is the default, does not stop root; serialport therefore locks the port as well.
    serialport::new(port, baud_rate).timeout(Duration::from_secs(1)).open().map_err(|source| {
        let port = port.to_owned();
        match source.kind {
            ErrorKind::NoDevice => Error::PortInUse { port },
            ErrorKind::Io(io::ErrorKind::NotFound) => Error::NoPort { port },
            ErrorKind::Io(io::ErrorKind::PermissionDenied) => {
                let cure = cure(std::env::consts::OS, group(&port).as_deref());
                Error::PortDenied { port, cure }
            }
            _ => Error::Open { port, source },
        }
    })
}

/// macOS has two names for a port; to open `tty.…` is to wait for a carrier that never comes.
fn callout(port: &str) -> Cow<'_, str> {
    match port.strip_prefix("/dev/tty.") {
        Some(name) => format!("/dev/cu.{name}").into(),
        None => port.into(),
    }
}

/// What lets a user open a port that belongs to `group`.
fn cure(os: &str, group: Option<&str>) -> String {
    match os {
        "linux" => format!(
            "join the group that owns it (sudo usermod -aG {} $USER, then log in again), or install the udev rule \
             provisioner/udev/60-microchip-iot.rules",
            group.unwrap_or("dialout")
        ),
        "macos" => "ports of the kits are open to all users: check whether another program or a driver of \
                    a maker has claimed it"
            .to_owned(),
        "windows" => {
            "close the program that has it open; the Device Manager lists ports, COM10 and above as well, \
                      under Ports (COM & LPT)"
                .to_owned()
        }
        _ => "give your user the right to read and write it".to_owned(),
    }
}

/// Name of the group that owns a file.
#[cfg(unix)]
fn group(path: &str) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let id = std::fs::metadata(path).ok()?.gid();
    group_named(&std::fs::read_to_string("/etc/group").ok()?, id)
}

#[cfg(not(unix))]
fn group(_: &str) -> Option<String> {
    None
}

/// Name of a group in `/etc/group` (group(5)).
#[cfg(unix)]
fn group_named(groups: &str, id: u32) -> Option<String> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, number) = (fields.next()?, fields.next()?, fields.next()?);
        (number.parse() == Ok(id)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_that_cannot_be_opened_say_why() {
        assert!(matches!(open("/dev/no-such-port"), Err(Error::NoPort { .. })));
        assert!(matches!(open("/dev/null"), Err(Error::Open { .. })));
    }

    #[test]
    fn the_cure_for_a_port_that_may_not_be_opened_is_that_of_the_system() {
        assert!(cure("linux", Some("uucp")).contains("usermod -aG uucp"));
        assert!(cure("linux", None).contains("dialout"));
        assert!(cure("windows", None).contains("COM10"));
        assert_eq!(callout("/dev/tty.usbmodem1"), "/dev/cu.usbmodem1");
        assert_eq!(callout("/dev/ttyACM0"), "/dev/ttyACM0");
    }

    #[cfg(unix)]
    #[test]
    fn the_group_of_a_port_is_known_by_name() {
        let groups = "root:x:0:\ndialout:x:20:ann,bob\nbroken\n";
        assert_eq!(group_named(groups, 20).as_deref(), Some("dialout"));
        assert_eq!(group_named(groups, 21), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_port_in_use_is_refused_also_to_root() {
        let (_master, slave) = serialport::TTYPort::pair().unwrap();
        let name = slave.name().unwrap();
        let first = open(&name).unwrap();
        assert!(matches!(open(&name), Err(Error::PortInUse { .. })));
        drop(first);
        open(&name).unwrap();
    }
}
