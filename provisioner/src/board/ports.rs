//! Which kits are plugged in, which one is meant, and opening its port.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use serialport::{ErrorKind, SerialPort, SerialPortInfo, SerialPortType};

use super::Error;
use super::disk::{Disk, KitInfo};
use super::kits::{Model, Radio, USB_PRODUCT_ID, USB_VENDOR_ID};

/// Environment variable that names boards which USB detection cannot see, such as those behind a serial server:
/// `PORT` or `PORT=SERIAL`, separated by commas; or `@FILE`, a file with the same, separated by commas or line ends. The
/// file is read anew whenever the ports are listed.
pub const PORTS_VARIABLE: &str = "MICROCHIP_IOT_PORTS";

const BAUD_RATE: u32 = 115_200;

/// How long a debugger needs at the most to be back on USB after it has programmed its target.
const RETURN: Duration = Duration::from_secs(15);

/// A board and the port to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kit {
    /// The serial port.
    pub port: String,
    /// The USB serial number, `MCHP…` or `ATML…`, where it is known.
    pub serial: Option<String>,
    /// The USB product name, where it is known.
    pub product: Option<String>,
    /// The kit, where the USB product name or the kit's disk says it.
    pub model: Option<Model>,
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
            model: None,
            usb_vendor_id: None,
            usb_product_id: None,
        }
    }
}

impl fmt::Display for Kit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let serial = self.serial.as_deref().unwrap_or("(no serial number)");
        write!(f, "{}  {serial}", self.port)?;
        match (self.model, &self.product) {
            (Some(model), _) => write!(f, "  {model}"),
            (None, Some(product)) => write!(f, "  {product}"),
            (None, None) => Ok(()),
        }
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
    let mut kits = recognise(&available()?, &named);
    let disks: Vec<KitInfo> = Disk::all().iter().map(|disk| disk.info().clone()).collect();
    name_by_disk(&mut kits, &disks);
    Ok(kits)
}

/// A kit whose USB product name does not say what it is, is named by its disk.
fn name_by_disk(kits: &mut [Kit], disks: &[KitInfo]) {
    for kit in kits.iter_mut().filter(|kit| kit.model.is_none() && kit.serial.is_some()) {
        kit.model = disks.iter().find(|disk| disk.serial == kit.serial).and_then(|disk| disk.model);
    }
}

/// Waits until the kit's debugger is back on USB, perhaps on another port, and says where.
///
/// # Errors
/// As [`kits`]; [`Error::NoPort`] if it does not come back.
pub fn wait_for(kit: &Kit) -> Result<Kit, Error> {
    let deadline = Instant::now() + RETURN;
    loop {
        let back = match &kit.serial {
            Some(serial) => kits()?.into_iter().find(|found| found.serial.as_ref() == Some(serial)),
            None => None,
        };
        // A port that was named by hand is no kit that could be found.
        let there = |kit: &Kit| cfg!(windows) || Path::new(&kit.port).exists();
        match back.or_else(|| Some(kit.clone())).filter(there) {
            Some(kit) => return Ok(kit),
            None if Instant::now() > deadline => return Err(Error::NoPort { port: kit.port.clone() }),
            None => thread::sleep(Duration::from_millis(100)),
        }
    }
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
/// [`Error::NoBoard`], [`Error::SeveralBoards`], [`Error::NoSuchBoard`], [`Error::Cellular`].
pub fn choose(kits: &[Kit], port: Option<&str>, serial: Option<&str>) -> Result<Kit, Error> {
    let kit = meant(kits, port, serial)?;
    match kit.model.map(Model::radio) {
        Some(Radio::Cellular) => Err(Error::Cellular { kit: Box::new(kit) }),
        Some(Radio::Wifi) | None => Ok(kit),
    }
}

fn meant(kits: &[Kit], port: Option<&str>, serial: Option<&str>) -> Result<Kit, Error> {
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
            model: usb.product.as_deref().and_then(Model::named_in),
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

    #[test]
    fn the_usb_product_name_or_the_disk_says_which_kit_it_is() {
        let mut kits = two();
        let disk = KitInfo::parse(b"AVR-IoT WA, MCHP3261021800001234");
        name_by_disk(&mut kits, &[disk]);
        assert_eq!(kits[2].to_string(), "/dev/ttyACM0  MCHP3261021800001234  AVR-IoT WA");
        assert_eq!((kits[0].model, kits[1].model), (None, None));
        let mut info = usb("/dev/ttyACM0", 0x03EB, 0x2175, Some("MCHP1"));
        let SerialPortType::UsbPort(port) = &mut info.port_type else { panic!("no USB port") };
        port.product = Some("SAM-IoT WG nEDBG".into());
        assert_eq!(recognise(&[info], "")[0].model.unwrap().name(), "SAM-IoT WG");
    }

    #[test]
    fn a_cellular_kit_is_recognised_and_declined() {
        let mut kits = two();
        name_by_disk(&mut kits, &[KitInfo::parse(b"AVR-IoT Cellular Mini, MCHP3261021800001234")]);
        let error = choose(&kits, None, Some("1234")).unwrap_err();
        insta::assert_snapshot!(error, @"/dev/ttyACM0  MCHP3261021800001234  AVR-IoT Cellular Mini goes online by its modem, and only kits with a Wi-Fi module can be provisioned");
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

    #[test]
    fn the_udev_rule_is_for_the_kits() {
        let rule = include_str!("../../udev/60-microchip-iot.rules");
        let ids = format!(
            "ATTRS{{idVendor}}==\"{USB_VENDOR_ID:04x}\", ATTRS{{idProduct}}==\"{USB_PRODUCT_ID:04x}\""
        );
        assert!(rule.contains(&ids), "{ids}");
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
