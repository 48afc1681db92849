//! Opening a port.

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use serialport::{ErrorKind, SerialPort};

use crate::Error;

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
                let group = group(&port);
                Error::PortDenied { port, group }
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

/// Name of the group that owns a file, if its members may read and write it.
#[cfg(unix)]
fn group(path: &str) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    const READ_AND_WRITE: u32 = 0o060;
    let found = std::fs::metadata(path).ok()?;
    let id = nix::unistd::Gid::from_raw(found.gid());
    let name = || Some(nix::unistd::Group::from_gid(id).ok()??.name);
    (found.mode() & READ_AND_WRITE == READ_AND_WRITE).then(name)?
}

#[cfg(not(unix))]
fn group(_: &str) -> Option<String> {
    None
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
    fn a_port_of_macos_is_opened_by_the_name_that_does_not_wait() {
        assert_eq!(callout("/dev/tty.usbmodem1"), "/dev/cu.usbmodem1");
        assert_eq!(callout("/dev/ttyACM0"), "/dev/ttyACM0");
    }

    #[cfg(unix)]
    #[test]
    fn the_group_of_a_port_is_known_by_name() {
        // Linux has the group `root`, macOS `wheel`.
        let group = group("/dev/null").unwrap();
        assert!(["root", "wheel"].contains(&group.as_str()), "{group}");
        assert_eq!(super::group("/dev/no-such-port"), None);
        // Its group may not write it, so joining the group does not help.
        assert_eq!(super::group("/etc/passwd"), None);
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
