//! What can go wrong with a board or the port to it.

use crate::{Kit, command, disk, kits, ports, wifi};

/// What can go wrong with a board or the port to it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No kit is plugged in.
    #[error("no board found")]
    NoBoard,
    /// Several kits, and none was chosen.
    #[error("there are several boards{}", listed(kits))]
    SeveralBoards {
        /// The boards.
        kits: Vec<Kit>,
    },
    /// No kit has this serial number.
    #[error("no board has a serial number that ends in {serial}{}", listed(kits))]
    NoSuchBoard {
        /// What was asked for.
        serial: String,
        /// The boards that there are.
        kits: Vec<Kit>,
    },
    /// A kit that is known and cannot be provisioned: it has no Wi-Fi module.
    #[error("the {model} on {port} {}, and only kits with a Wi-Fi module can be provisioned", connects(*model))]
    NoWifiModule {
        /// The port.
        port: String,
        /// The kit.
        model: kits::Model,
    },
    /// The kit's disk and the files for it.
    #[error(transparent)]
    Disk(#[from] disk::Error),
    /// Wi-Fi credentials.
    #[error(transparent)]
    Wifi(#[from] wifi::Error),
    /// The list of ports cannot be read.
    #[error("cannot list the serial ports")]
    List {
        /// What the operating system said.
        #[source]
        source: serialport::Error,
    },
    /// The file that names ports cannot be read.
    #[error("cannot read {path}, which {} names", ports::PORTS_VARIABLE)]
    PortsFile {
        /// The file.
        path: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// There is no such port.
    #[error("there is no port {port}")]
    NoPort {
        /// The port.
        port: String,
    },
    /// Another program has the port.
    #[error("the port {port} is in use by another program")]
    PortInUse {
        /// The port.
        port: String,
    },
    /// The user may not open the port.
    #[error("you may not open the port {port}")]
    PortDenied {
        /// The port.
        port: String,
        /// Name of the group whose members may open it, where the system has groups and it is known.
        group: Option<String>,
    },
    /// The port cannot be opened for another reason.
    #[error("cannot open the port {port}")]
    Open {
        /// The port.
        port: String,
        /// What the operating system said.
        #[source]
        source: serialport::Error,
    },
    /// There was no reply.
    #[error("the board on {port} does not answer")]
    Silent {
        /// The port.
        port: String,
    },
    /// The banner has begun, and `READY` does not come.
    #[error("the board on {port} starts, but does not become ready")]
    Hangs {
        /// The port.
        port: String,
    },
    /// The replies are the firmware's, and come too late.
    #[error("the link to the board on {port} is slow: an answer took {milliseconds} ms")]
    Slow {
        /// The port.
        port: String,
        /// From the request to its answer.
        milliseconds: u128,
    },
    /// The reply does not follow the protocol.
    #[error("what is on {port} answers, but not like the provisioning firmware")]
    Foreign {
        /// The port.
        port: String,
    },
    /// The port broke: most often the board was unplugged.
    #[error("lost the board on {port} while trying to {doing}")]
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
        "the boot sector of the Wi-Fi module on {port} was damaged: a command was garbled on the link and executed there"
    )]
    BootSector {
        /// The port.
        port: String,
    },
    /// The reply did not come, was cut short or garbled, repeatedly.
    #[error("cannot {doing}: the board on {port} {trouble}")]
    Link {
        /// The port.
        port: String,
        /// The command, as an infinitive.
        doing: String,
        /// What was wrong with the last reply, as the rest of a sentence about the board.
        trouble: &'static str,
    },
}

/// How a kit without a Wi-Fi module connects, as the rest of a sentence.
fn connects(model: kits::Model) -> &'static str {
    match model.radio() {
        kits::Radio::Cellular => "connects by a cellular modem",
        kits::Radio::Wifi | kits::Radio::None => "does not connect to a network",
    }
}

/// The kits, in the order in which they are listed.
fn listed(kits: &[Kit]) -> String {
    let kits: Vec<_> = kits.iter().map(ToString::to_string).collect();
    match kits.is_empty() {
        true => String::new(),
        false => format!(": {}", kits.join("; ")),
    }
}
