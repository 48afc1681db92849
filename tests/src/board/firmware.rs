//! The provisioning firmware as a pure state machine: bytes in, replies out, with the work each reply costs.

use super::command::{Command, Failure, Request, TABLE};
use super::factory::Profile;
use super::flash::Flash;
use super::kit::Kit;
use super::secure_element::{OTP, SecureElement};
use super::seed::Seed;

/// Firmware version that `MC+ABOUT` and `MC+VERSION=FIRMWARE` give.
pub const FIRMWARE_VERSION: &str = "0.4.9";
/// Version of the command handler.
pub const COMMAND_HANDLER_VERSION: &str = "1.3.0";
/// Firmware version of the Wi-Fi module.
pub const WINC_FIRMWARE_VERSION: &str = "19.6.1";
/// Version of the Wi-Fi module's driver.
pub const WINC_DRIVER_VERSION: &str = "19.3.0";
/// The longest line that is taken, in bytes; the largest blob (an ECC slot of 416 bytes) fits.
const BUFFER: usize = 1024;
/// The LEDs of the Wi-Fi kits.
const LEDS: [&str; 4] = ["CONN", "DATA", "ERROR", "WIFI"];

/// What takes the device time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Work {
    /// Nothing worth mentioning.
    #[default]
    None,
    /// A sector of the Wi-Fi module's flash is erased.
    Erase,
    /// A page of the Wi-Fi module's flash is programmed.
    Program,
    /// The secure element signs.
    Sign,
    /// The secure element derives the public key.
    PublicKey,
    /// The MCU starts.
    Boot,
}

/// What the board answers to one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// What is done before the first byte goes out.
    pub work: Work,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Reply {
    fn text(work: Work, lines: &[String]) -> Self {
        let mut bytes = Vec::new();
        for line in lines {
            bytes.extend_from_slice(line.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"OK\r\n");
        Self { work, bytes }
    }

    /// `ERROR: 0xHHHH`.
    pub fn error(code: u16) -> Self {
        Self { work: Work::None, bytes: format!("ERROR: 0x{code:04X}\r\n").into_bytes() }
    }
}

/// A line as it arrived, without its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// The bytes, as many as the buffer holds.
    pub bytes: Vec<u8>,
    overrun: bool,
}

/// Which line of a command's exchange this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The command with its arguments.
    Request,
    /// The blob, after the board's `>`.
    Blob,
}

/// A command whose blob is awaited, its arguments checked.
#[derive(Clone, Copy, Debug)]
enum Blob {
    SignDigest,
    EccWrite { slot: usize },
    StorePublicKey { slot: usize },
    WincWrite { address: usize },
    Test,
}

#[derive(Clone, Debug)]
struct Awaited {
    name: String,
    digits: usize,
    blob: Blob,
}

/// One board: MCU, secure element and Wi-Fi module's flash.
#[derive(Clone)]
pub struct Firmware {
    kit: Kit,
    /// The secure element.
    pub element: SecureElement,
    /// The Wi-Fi module's flash.
    pub flash: Flash,
    leds: [bool; LEDS.len()],
    line: Line,
    awaited: Option<Awaited>,
}

impl Firmware {
    /// A board of the given kit, fresh from the factory.
    ///
    /// # Errors
    /// As [`SecureElement::new`].
    pub fn new(kit: Kit, seed: Seed, profile: Profile) -> Result<Self, rcgen::Error> {
        Ok(Self {
            kit,
            element: SecureElement::new(seed, profile)?,
            flash: Flash::factory(seed.stream("root certificates")),
            leds: Default::default(),
            line: Line::default(),
            awaited: None,
        })
    }

    /// Takes one byte; gives the line that it completes. `\r`, `\n` and both end a line; empty lines are nothing.
    pub fn receive(&mut self, byte: u8) -> Option<Line> {
        match byte {
            b'\r' | b'\n' if self.line == Line::default() => None,
            b'\r' | b'\n' => Some(std::mem::take(&mut self.line)),
            _ if self.line.bytes.len() == BUFFER => {
                self.line.overrun = true;
                None
            }
            _ => {
                self.line.bytes.push(byte);
                None
            }
        }
    }

    /// The name of the command that `line` belongs to, and which of its lines it is.
    pub fn stage(&self, line: &Line) -> (String, Stage) {
        match &self.awaited {
            Some(awaited) => (awaited.name.clone(), Stage::Blob),
            None => (name(&line.bytes), Stage::Request),
        }
    }

    /// Does what `line` asks for.
    pub fn execute(&mut self, line: &Line) -> Reply {
        let awaited = self.awaited.take();
        let reply = if line.overrun {
            Err(Failure::BufferOverrun)
        } else if let Some(awaited) = awaited {
            self.blob(&awaited, &line.bytes)
        } else {
            self.request(&line.bytes)
        };
        reply.unwrap_or_else(|failure| Reply::error(failure.code()))
    }

    /// Forgets the blob it waits for, as after an error.
    pub fn abandon(&mut self) {
        self.awaited = None;
    }

    /// Starts anew: what was half received is gone, the LEDs are off, and the banner comes.
    pub fn reset(&mut self) -> Reply {
        self.line = Line::default();
        self.awaited = None;
        self.leds = Default::default();
        let banner = format!("Welcome to the {} command handler!\r\nREADY\r\n", self.kit.family());
        Reply { work: Work::Boot, bytes: banner.into_bytes() }
    }

    /// Whether the LED of that name is on; `None` if there is no such LED.
    pub fn led(&self, name: &str) -> Option<bool> {
        LEDS.iter().position(|led| *led == name).map(|led| self.leds[led])
    }

    fn request(&mut self, line: &[u8]) -> Result<Reply, Failure> {
        let request = Request::parse(line)?;
        let for_wifi =
            matches!(request.command, Command::WincErase | Command::WincRead | Command::WincWriteBlob);
        if for_wifi && !self.kit.has_wifi_module() {
            return Err(Failure::UnknownCommand);
        }
        let lines = match request.command {
            Command::Ping => vec![format!("MC+PONG={}", request.text(0))],
            Command::About => vec![
                format!("{} provisioning firmware", self.kit.family()),
                format!("FW {FIRMWARE_VERSION}"),
                format!("Command handler {COMMAND_HANDLER_VERSION}"),
                format!("for the {}", self.kit.name()),
            ],
            Command::ListCommands => TABLE.iter().map(|(name, ..)| (*name).to_owned()).collect(),
            Command::Version => self.version(request.text(0))?,
            Command::SetLed => {
                let state = match request.text(1) {
                    "ON" => true,
                    "OFF" => false,
                    _ => return Err(Failure::BadArgument),
                };
                self.leds[led(request.text(0))?] = state;
                vec![]
            }
            Command::GetLed => {
                let led = led(request.text(0))?;
                let state = if self.leds[led] { "ON" } else { "OFF" };
                // This one line ends the other way round.
                let bytes = format!("LED:{} is {state}\n\rOK\r\n", LEDS[led]).into_bytes();
                return Ok(Reply { work: Work::None, bytes });
            }
            Command::Reset => return Ok(self.reset()),
            Command::EccSerial => vec![hex::encode_upper(self.element.serial())],
            Command::EccGenPubKey => {
                let key = hex::encode_upper(self.element.public_key());
                return Ok(Reply::text(Work::PublicKey, &[key]));
            }
            Command::EccRead => {
                vec![hex::encode_upper(self.element.read(request.number(0)?, request.optional_number(1)?)?)]
            }
            Command::EccLock => {
                self.element.lock(request.number(0)?)?;
                vec![]
            }
            Command::EccOtpRead => {
                // The last argument is the byte count, the one before it the offset.
                let (offset, count) = match request.count() {
                    0 => (0, OTP),
                    1 => (0, request.number(0)?),
                    _ => (request.number(0)?, request.number(1)?),
                };
                let end = offset.checked_add(count).ok_or(Failure::BadArgument)?;
                vec![hex::encode_upper(self.element.otp().get(offset..end).ok_or(Failure::BadArgument)?)]
            }
            Command::EccPubKeyRead => {
                vec![hex::encode_upper(self.element.stored_public_key(request.number(0)?)?)]
            }
            Command::WincErase => {
                self.flash.erase(request.number(0)?)?;
                return Ok(Reply::text(Work::Erase, &[]));
            }
            Command::WincRead => {
                vec![hex::encode_upper(self.flash.read(request.number(0)?, request.number(1)?)?)]
            }
            Command::EccSignDigest
            | Command::EccWriteBlob
            | Command::EccPubKeyWrite
            | Command::WincWriteBlob
            | Command::BlobTest => return self.prompt(line, &request),
        };
        Ok(Reply::text(Work::None, &lines))
    }

    fn version(&self, of: &str) -> Result<Vec<String>, Failure> {
        let prefix = self.kit.winc_version_prefix();
        match of {
            "FIRMWARE" => Ok(vec![FIRMWARE_VERSION.into()]),
            "COMMANDHANDLER" => Ok(vec![COMMAND_HANDLER_VERSION.into()]),
            "WINC" if self.kit.has_wifi_module() => Ok(vec![
                format!("{prefix}WINC firmware {WINC_FIRMWARE_VERSION}"),
                format!("{prefix}WINC driver {WINC_DRIVER_VERSION}"),
            ]),
            _ => Err(Failure::BadArgument),
        }
    }

    /// Checks the arguments of a command with a blob, and asks for the blob.
    fn prompt(&mut self, line: &[u8], request: &Request<'_>) -> Result<Reply, Failure> {
        let (blob, bytes) = match request.command {
            Command::EccSignDigest if request.text(0) == "64" => (Blob::SignDigest, 32),
            Command::EccWriteBlob => {
                let (slot, bytes) = (request.number(0)?, request.number(1)?);
                // The element writes whole words; and a slot's size decides before the blob is asked for.
                let size = self.element.slot_size(slot).ok_or(Failure::BadArgument)?;
                if bytes % 4 != 0 || !(1..=size).contains(&bytes) {
                    return Err(Failure::BadArgument);
                }
                (Blob::EccWrite { slot }, bytes)
            }
            Command::EccPubKeyWrite => (Blob::StorePublicKey { slot: request.number(0)? }, 64),
            Command::WincWriteBlob => {
                let (address, bytes) = (request.number(0)?, request.number(1)?);
                self.flash.read(address, bytes)?;
                (Blob::WincWrite { address }, bytes)
            }
            Command::BlobTest => (Blob::Test, request.number(0)? / 2),
            _ => return Err(Failure::BadArgument),
        };
        let digits = request.number(request.count() - 1)?;
        if digits > BUFFER {
            return Err(Failure::BufferOverrun);
        }
        if digits == 0 || digits != 2 * bytes {
            return Err(Failure::BadArgument);
        }
        self.awaited = Some(Awaited { name: name(line), digits, blob });
        Ok(Reply { work: Work::None, bytes: b">".to_vec() })
    }

    fn blob(&mut self, awaited: &Awaited, digits: &[u8]) -> Result<Reply, Failure> {
        if digits.len() != awaited.digits {
            return Err(Failure::BadBlob);
        }
        let blob = hex::decode(digits).map_err(|_| Failure::BadBlob)?;
        match awaited.blob {
            Blob::SignDigest => {
                let digest = <&[u8; 32]>::try_from(blob.as_slice()).map_err(|_| Failure::BadBlob)?;
                let signature = hex::encode_upper(self.element.sign_digest(digest)?);
                return Ok(Reply::text(Work::Sign, &[signature]));
            }
            Blob::EccWrite { slot } => self.element.write(slot, &blob)?,
            Blob::StorePublicKey { slot } => {
                let key = <&[u8; 64]>::try_from(blob.as_slice()).map_err(|_| Failure::BadBlob)?;
                self.element.store_public_key(slot, key)?;
            }
            Blob::WincWrite { address } => {
                self.flash.program(address, &blob)?;
                return Ok(Reply::text(Work::Program, &[]));
            }
            Blob::Test => {}
        }
        Ok(Reply::text(Work::None, &[]))
    }
}

fn led(name: &str) -> Result<usize, Failure> {
    LEDS.iter().position(|led| *led == name).ok_or(Failure::BadArgument)
}

/// The part of a line that names the command.
fn name(line: &[u8]) -> String {
    String::from_utf8_lossy(line.split(|byte| *byte == b'=').next().unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests;
