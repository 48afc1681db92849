//! One board: protocol codec, session, ports, secure element, Wi-Fi module and its client certificate store.

use miette::Diagnostic;

use crate::ExitCode;

pub mod codec;
pub mod command;
pub mod disk;
pub mod factory;
pub mod flash;
pub mod inspection;
pub mod intel_hex;
pub mod kits;
pub mod ports;
pub mod secure_element;
pub mod session;
pub mod store;
#[cfg(test)]
pub(crate) mod tests;
pub mod wifi;
pub mod wifi_module;

pub use ports::Kit;
pub use session::Session;

/// What can go wrong with a board or the port to it.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// No kit is plugged in.
    #[error("no board found")]
    #[diagnostic(help(
        "plug a kit in with a USB data cable; if this system cannot tell that it is a kit, name its port with --port"
    ))]
    NoBoard,
    /// Several kits, and none was chosen.
    #[error("there are several boards:{}", listed(kits))]
    #[diagnostic(help(
        "choose one with --port PORT or with the last digits of its serial number, -s DIGITS"
    ))]
    SeveralBoards {
        /// The boards.
        kits: Vec<Kit>,
    },
    /// No kit has this serial number.
    #[error("no board has a serial number that ends in {serial}{}", listed(kits))]
    #[diagnostic(help("see what is there with: provisioner boards"))]
    NoSuchBoard {
        /// What was asked for.
        serial: String,
        /// The boards that there are.
        kits: Vec<Kit>,
    },
    /// A kit that is known and not supported.
    #[error(
        "the {model} on {port} goes online by its modem, and only kits with a Wi-Fi module can be provisioned"
    )]
    #[diagnostic(help("the kits are AVR-IoT WG and WA, PIC-IoT WG and WA, and SAM-IoT WG"))]
    Cellular {
        /// The port.
        port: String,
        /// The kit.
        model: kits::Model,
    },
    /// The kit's disk and the files for it.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Disk(#[from] disk::Error),
    /// Wi-Fi credentials.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Wifi(#[from] wifi::Error),
    /// The list of ports cannot be read.
    #[error("cannot list the serial ports")]
    #[diagnostic(help("name the port with --port"))]
    List {
        /// What the operating system said.
        #[source]
        source: serialport::Error,
    },
    /// The file that names ports cannot be read.
    #[error("cannot read {path}, which {} names", ports::PORTS_VARIABLE)]
    #[diagnostic(help("put the file there, with one PORT or PORT=SERIAL a line, or unset the variable"))]
    PortsFile {
        /// The file.
        path: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// There is no such port.
    #[error("there is no port {port}")]
    #[diagnostic(help(
        "see what is there with: provisioner boards; a board that has just been plugged in needs a moment"
    ))]
    NoPort {
        /// The port.
        port: String,
    },
    /// Another program has the port.
    #[error("the port {port} is in use by another program")]
    #[diagnostic(help("close the terminal program or the other run that has it, and run again"))]
    PortInUse {
        /// The port.
        port: String,
    },
    /// The user may not open the port.
    #[error("you may not open the port {port}")]
    #[diagnostic(help("{cure}"))]
    PortDenied {
        /// The port.
        port: String,
        /// What to do about it on this system.
        cure: String,
    },
    /// The port cannot be opened for another reason.
    #[error("cannot open the port {port}")]
    #[diagnostic(help("check that it is a serial port; unplug the board and plug it in again"))]
    Open {
        /// The port.
        port: String,
        /// What the operating system said.
        #[source]
        source: serialport::Error,
    },
    /// Nothing came back.
    #[error("the board on {port} does not answer")]
    #[diagnostic(help(
        "the provisioning firmware must be in it; press reset, or unplug it and plug it in again, then run again; an \
         AVR-IoT kit says nothing at all while its secure element does not work"
    ))]
    Silent {
        /// The port.
        port: String,
    },
    /// The banner has begun, and `READY` does not come.
    #[error("the board on {port} starts, but does not become ready")]
    #[diagnostic(help(
        "press reset, or unplug it and plug it in again, then run again; if it happens again, its Wi-Fi module or its \
         secure element does not work"
    ))]
    Hangs {
        /// The port.
        port: String,
    },
    /// Something came back that is not the protocol.
    #[error("what is on {port} answers, but not as the provisioning firmware does")]
    #[diagnostic(help(
        "put the provisioning firmware into the board, and check that {port} is the board's port"
    ))]
    Foreign {
        /// The port.
        port: String,
    },
    /// The port broke: most often the board was unplugged.
    #[error("lost the board on {port} while trying to {doing}")]
    #[diagnostic(help("plug it in again and run again; a board half done is completed then"))]
    Lost {
        /// The port.
        port: String,
        /// The command, as an infinitive.
        doing: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The board said `ERROR`, repeatedly.
    #[error("cannot {doing}: the board on {port} says that {} (error {code:#06x})", command::reason(*code))]
    #[diagnostic(help("run again; if it happens again, the board or its firmware is faulty"))]
    Refused {
        /// The port.
        port: String,
        /// The command, as an infinitive.
        doing: String,
        /// The error code.
        code: u16,
    },
    /// The firmware said `OK` to an erase or a write, and it had no effect where it was meant.
    #[error(
        "the board on {port} reports success, but the Wi-Fi module's flash at {address:#06x} is not {done}: the command may \
         have been garbled on its way and carried out at another address"
    )]
    #[diagnostic(help("{}", MODULE_DAMAGED))]
    Astray {
        /// The port.
        port: String,
        /// The address where nothing happened.
        address: u32,
        /// What should have happened: erased or written.
        done: &'static str,
    },
    /// The first page of the Wi-Fi module's flash is another one than before.
    #[error(
        "the boot sector of the Wi-Fi module on {port} was damaged: a command was garbled on its way and carried out there"
    )]
    #[diagnostic(help("{}", MODULE_DAMAGED))]
    BootSector {
        /// The port.
        port: String,
    },
    /// The reply did not come, was cut short or garbled, repeatedly.
    #[error("cannot {doing}: the board on {port} {trouble}")]
    #[diagnostic(help("check the USB cable and hub, close programs that may use the port, and run again"))]
    Link {
        /// The port.
        port: String,
        /// The command, as an infinitive.
        doing: String,
        /// What was wrong with the last reply, as the rest of a sentence about the board.
        trouble: &'static str,
    },
}

/// What to do about a Wi-Fi module whose firmware may be damaged.
const MODULE_DAMAGED: &str = "the module may not start any more: check the USB cable and hub, write the module's firmware \
                              anew (Microchip's iotprovision does it with: iotprovision wincupgrade --fwinc), and run again";

/// Each kit on a line of its own.
fn listed(kits: &[Kit]) -> String {
    kits.iter().map(|kit| format!("\n  {kit}")).collect()
}

impl Error {
    fn cellular(port: &str, model: kits::Model) -> Self {
        Self::Cellular { port: port.to_owned(), model }
    }

    /// The exit code this error ends the process with.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::PortsFile { .. } => ExitCode::Usage,
            Self::Disk(error) => error.exit_code(),
            Self::Wifi(error) => error.exit_code(),
            _ => ExitCode::Board,
        }
    }
}
