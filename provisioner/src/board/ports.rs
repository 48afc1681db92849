//! Which kits are plugged in, which one is meant, and opening its port.

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serialport::{ErrorKind, SerialPort, SerialPortInfo, SerialPortType};

use super::Error;

/// USB vendor id of the kits' on-board debugger.
pub const USB_VENDOR_ID: u16 = 0x03EB;
/// USB product id of the kits' on-board debugger.
pub const USB_PRODUCT_ID: u16 = 0x2175;

/// Environment variable that names boards which USB detection cannot see, such as those behind a serial server:
/// `PORT` or `PORT=SERIAL`, separated by commas; or `@FILE`, a file with the same, separated by commas or line ends. The
/// file is read anew whenever the ports are listed.
pub const PORTS_VARIABLE: &str = "MICROCHIP_IOT_PORTS";

const BAUD_RATE: u32 = 115_200;

/// A board and the port to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kit {
    /// The serial port.
    pub port: String,
    /// The USB serial number, `MCHP…` or `ATML…`, where it is known.
    pub serial: Option<String>,
    /// The USB product name, where it is known.
    pub product: Option<String>,
    /// USB vendor id, where the board was found by USB.
    pub usb_vendor_id: Option<u16>,
    /// USB product id, where the board was found by USB.
    pub usb_product_id: Option<u16>,
}

impl Kit {
    fn on(port: &str, serial: Option<&str>) -> Self {
        Self {
            port: port.to_owned(),
            serial: serial.map(str::to_owned),
            product: None,
            usb_vendor_id: None,
            usb_product_id: None,
        }
    }
}

impl fmt::Display for Kit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let serial = self.serial.as_deref().unwrap_or("(no serial number)");
        write!(f, "{}  {serial}", self.port)?;
        self.product.as_ref().map_or(Ok(()), |product| write!(f, "  {product}"))
    }
}

/// The kits that are there now. No port is opened for it.
///
/// # Errors
/// [`Error::List`].
pub fn kits() -> Result<Vec<Kit>, Error> {
    let mut named = std::env::var(PORTS_VARIABLE).unwrap_or_default();
    if let Some(file) = named.strip_prefix('@') {
        named = std::fs::read_to_string(file)
            .map_err(|source| Error::PortsFile { path: file.to_owned(), source })?;
    }
    Ok(recognise(&available()?, &named))
}

/// As [`kits`], without named ones whose port is not there at the moment.
///
/// # Errors
/// As [`kits`].
pub fn plugged_in() -> Result<Vec<Kit>, Error> {
    let mut kits = kits()?;
    // Windows has no file for a port.
    kits.retain(|kit| kit.usb_vendor_id.is_some() || cfg!(windows) || Path::new(&kit.port).exists());
    Ok(kits)
}

/// The kit that is meant: the one on `port`, whether or not it is known as a kit; else the one whose serial number ends
/// in `serial`; else the only one there is.
///
/// # Errors
/// [`Error::NoBoard`], [`Error::SeveralBoards`], [`Error::NoSuchBoard`].
pub fn choose(kits: &[Kit], port: Option<&str>, serial: Option<&str>) -> Result<Kit, Error> {
    if let Some(port) = port {
        let known = kits.iter().find(|kit| kit.port == port);
        return Ok(known.cloned().unwrap_or_else(|| Kit::on(port, serial)));
    }
    let ends = |kit: &&Kit| match (serial, &kit.serial) {
        (Some(end), Some(whole)) => whole.to_uppercase().ends_with(&end.to_uppercase()),
        (Some(_), None) => false,
        (None, _) => true,
    };
    let matching: Vec<&Kit> = kits.iter().filter(ends).collect();
    match (matching.as_slice(), serial) {
        ([kit], _) => Ok((*kit).clone()),
        ([], Some(serial)) => Err(Error::NoSuchBoard { serial: serial.to_owned(), kits: kits.to_vec() }),
        ([], None) => Err(Error::NoBoard),
        (several, _) => {
            Err(Error::SeveralBoards { kits: several.iter().map(|kit| (*kit).clone()).collect() })
        }
    }
}

/// Opens a port for this process alone.
///
/// # Errors
/// [`Error::NoPort`], [`Error::PortInUse`], [`Error::PortDenied`], [`Error::Open`].
pub fn open(port: &str) -> Result<Box<dyn SerialPort>, Error> {
    // Exclusive mode, which is the default, does not stop root; serialport therefore locks the port as well.
    serialport::new(port, BAUD_RATE).timeout(Duration::from_secs(1)).open().map_err(|source| {
        let port = port.to_owned();
        match source.kind {
            ErrorKind::NoDevice => Error::PortInUse { port },
            ErrorKind::Io(io::ErrorKind::NotFound) => Error::NoPort { port },
            ErrorKind::Io(io::ErrorKind::PermissionDenied) => Error::PortDenied { port },
            _ => Error::Open { port, source },
        }
    })
}

fn available() -> Result<Vec<SerialPortInfo>, Error> {
    // serialport panics where the kernel has no such folder, as in some containers.
    if cfg!(target_os = "linux") && !std::path::Path::new("/sys/class/tty").is_dir() {
        return Ok(Vec::new());
    }
    serialport::available_ports().map_err(|source| Error::List { source })
}

fn recognise(ports: &[SerialPortInfo], named: &str) -> Vec<Kit> {
    let by_usb = ports.iter().filter_map(|info| match &info.port_type {
        // macOS lists each port twice; opening tty.… waits for a carrier that never comes.
        _ if info.port_name.starts_with("/dev/tty.") => None,
        SerialPortType::UsbPort(usb) if (usb.vid, usb.pid) == (USB_VENDOR_ID, USB_PRODUCT_ID) => Some(Kit {
            port: info.port_name.clone(),
            serial: usb.serial_number.clone(),
            product: usb.product.clone(),
            usb_vendor_id: Some(usb.vid),
            usb_product_id: Some(usb.pid),
        }),
        _ => None,
    });
    let by_name = named.split([',', '\n']).map(str::trim).filter(|entry| !entry.is_empty()).map(|entry| {
        let (port, serial) =
            entry.split_once('=').map_or((entry, None), |(port, serial)| (port, Some(serial)));
        Kit::on(port, serial.filter(|s| !s.is_empty()))
    });
    let mut kits: Vec<Kit> = by_name.collect();
    for kit in by_usb {
        if kits.iter().all(|known| known.port != kit.port) {
            kits.push(kit);
        }
    }
    kits.sort_by(|a, b| a.port.cmp(&b.port));
    kits
}

#[cfg(test)]
mod tests {
    use serialport::UsbPortInfo;

    use super::*;

    fn usb(port: &str, vid: u16, pid: u16, serial: Option<&str>) -> SerialPortInfo {
        SerialPortInfo {
            port_name: port.into(),
            port_type: SerialPortType::UsbPort(UsbPortInfo {
                vid,
                pid,
                serial_number: serial.map(Into::into),
                manufacturer: None,
                product: Some("nEDBG CMSIS-DAP".into()),
            }),
        }
    }

    fn two() -> Vec<Kit> {
        recognise(
            &[
                usb("/dev/ttyACM0", 0x03EB, 0x2175, Some("MCHP3261021800001234")),
                usb("/dev/ttyUSB0", 0x0403, 0x6001, Some("FTDI")),
                SerialPortInfo { port_name: "/dev/ttyS0".into(), port_type: SerialPortType::PciPort },
            ],
            "/dev/pts/3=MCHP5678, /dev/pts/4",
        )
    }

    #[test]
    fn kits_are_known_by_usb_ids_or_by_name_and_other_ports_are_left_alone() {
        let ports: Vec<_> = two().into_iter().map(|kit| (kit.port, kit.serial)).collect();
        assert_eq!(
            ports,
            [
                ("/dev/pts/3".into(), Some("MCHP5678".into())),
                ("/dev/pts/4".into(), None),
                ("/dev/ttyACM0".into(), Some("MCHP3261021800001234".into())),
            ]
        );
    }

    #[test]
    fn a_port_that_macos_lists_twice_is_one_kit() {
        let both = ["/dev/cu.usbmodem1", "/dev/tty.usbmodem1"].map(|p| usb(p, 0x03EB, 0x2175, Some("MCHP1")));
        assert_eq!(recognise(&both, "").len(), 1);
    }

    #[test]
    fn the_last_digits_of_a_serial_number_choose() {
        assert_eq!(choose(&two(), None, Some("1234")).unwrap().port, "/dev/ttyACM0");
        assert_eq!(choose(&two(), None, Some("mchp5678")).unwrap().port, "/dev/pts/3");
        assert!(matches!(choose(&two(), None, Some("9")), Err(Error::NoSuchBoard { .. })));
    }

    #[test]
    fn several_boards_and_no_choice_is_an_error_that_lists_them() {
        assert!(matches!(choose(&[], None, None), Err(Error::NoBoard)));
        let error = choose(&two(), None, None).unwrap_err();
        insta::assert_snapshot!(error, @r"
        there are several boards:
          /dev/pts/3  MCHP5678
          /dev/pts/4  (no serial number)
          /dev/ttyACM0  MCHP3261021800001234  nEDBG CMSIS-DAP
        ");
    }

    #[test]
    fn a_named_port_needs_not_be_a_kit() {
        assert_eq!(choose(&two(), Some("/dev/ttyS7"), None).unwrap(), Kit::on("/dev/ttyS7", None));
        assert_eq!(choose(&two(), Some("/dev/pts/3"), None).unwrap().serial.unwrap(), "MCHP5678");
    }

    #[test]
    fn ports_that_cannot_be_opened_say_why() {
        assert!(matches!(open("/dev/no-such-port"), Err(Error::NoPort { .. })));
        assert!(matches!(open("/dev/null"), Err(Error::Open { .. })));
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
