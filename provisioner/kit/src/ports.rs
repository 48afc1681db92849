//! Which kits are plugged in, and which one is meant.

use std::fmt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use serialport::{SerialPortInfo, SerialPortType};

use super::Error;
use super::disk::{Disk, KitInfo};
use super::kits::{Model, Radio, USB_PRODUCT_ID, USB_VENDOR_ID};

mod opening;

pub use opening::{open, open_at};

/// Environment variable that names boards which USB detection cannot see, such as those behind a serial server:
/// `PORT` or `PORT=SERIAL`, separated by commas; or `@FILE`, a file with the same, separated by commas or line ends. The
/// file is read anew whenever the ports are listed.
pub const PORTS_VARIABLE: &str = "MICROCHIP_IOT_PORTS";

/// How long a debugger needs at the most to be back on USB after it has programmed its target.
const RETURN: Duration = Duration::from_secs(15);

/// A board and the port to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Kit {
    /// The serial port.
    pub port: String,
    /// The USB serial number, `MCHP…` or `ATML…`, where it is known.
    pub usb_serial: Option<String>,
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
    /// Whether `port` is this kit's port, by this name or another: `/dev/serial/by-id/…` is a link.
    pub fn is_on(&self, port: &str) -> bool {
        let real = |port: &str| std::fs::canonicalize(port).ok();
        self.port == port || real(&self.port).is_some_and(|own| Some(own) == real(port))
    }

    /// A board on a port that was named, of which nothing else is known.
    pub fn on(port: &str, serial: Option<&str>) -> Self {
        Self { port: port.to_owned(), usb_serial: serial.map(str::to_owned), ..Self::default() }
    }
}

impl fmt::Display for Kit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let serial = self.usb_serial.as_deref().unwrap_or("(no serial number)");
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
    // What is no text names a port that is not there.
    let mut named = std::env::var_os(PORTS_VARIABLE).unwrap_or_default().to_string_lossy().into_owned();
    if let Some(file) = named.strip_prefix('@') {
        let path = Path::new(file);
        let refuse =
            |error: durable_files::Error| Error::PortsFile { path: file.to_owned(), source: error.into() };
        let text = durable_files::read(path).map_err(refuse)?;
        let text = text.ok_or_else(|| refuse(durable_files::Error::missing(path)))?;
        named = String::from_utf8_lossy(&text).into_owned();
    }
    let mut kits = recognise(&available()?, &named);
    let disks: Vec<KitInfo> = Disk::all().iter().map(|disk| disk.info().clone()).collect();
    name_by_disk(&mut kits, &disks);
    Ok(kits)
}

/// A kit whose USB product name does not say what it is, is named by its disk.
fn name_by_disk(kits: &mut [Kit], disks: &[KitInfo]) {
    for kit in kits.iter_mut().filter(|kit| kit.model.is_none() && kit.usb_serial.is_some()) {
        kit.model = disks.iter().find(|disk| disk.usb_serial == kit.usb_serial).and_then(|disk| disk.model);
    }
}

/// Waits until the kit's debugger is back on USB, perhaps on another port, and says where.
///
/// # Errors
/// As [`kits`]; [`Error::NoPort`] if it does not come back.
pub fn wait_for(kit: &Kit) -> Result<Kit, Error> {
    let deadline = Instant::now() + RETURN;
    loop {
        let back = match &kit.usb_serial {
            // Another kit may have the same serial number.
            Some(serial) => kits()?
                .into_iter()
                .filter(|found| found.usb_serial.as_ref() == Some(serial))
                .max_by_key(|found| found.is_on(&kit.port)),
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
    match kit.model {
        Some(model) if model.radio() == Radio::Cellular => Err(Error::Cellular { port: kit.port, model }),
        _ => Ok(kit),
    }
}

fn meant(kits: &[Kit], port: Option<&str>, serial: Option<&str>) -> Result<Kit, Error> {
    if let Some(port) = port {
        let known = kits.iter().find(|kit| kit.is_on(port));
        return Ok(known.cloned().unwrap_or_else(|| Kit::on(port, serial)));
    }
    let ends = |kit: &&Kit| match (serial, &kit.usb_serial) {
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
            usb_serial: usb.serial_number.as_deref().map(printable),
            product: usb.product.as_deref().map(printable),
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
    let mut kits: Vec<Kit> = by_usb.collect();
    for named in by_name {
        match kits.iter_mut().find(|kit| kit.is_on(&named.port)) {
            // What was named counts, and what was not is known by USB.
            Some(kit) => kit.usb_serial = named.usb_serial.or(kit.usb_serial.take()),
            None => kits.push(named),
        }
    }
    kits.sort_by(|a, b| a.port.cmp(&b.port));
    kits
}

/// What a device says of itself, without what would control a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests;
