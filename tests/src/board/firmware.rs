//! The provisioning firmware as a pure state machine: bytes in, replies out, with the work each reply costs.
//!
//! It answers what the kits' firmware answers, byte for byte: AVR-IoT 0.4.9 and SAM-IoT 1.0.1 as observed, the others as far
//! as their sources and texts tell.

use super::command::{self, Command, Failure, Request};
use super::factory::Profile;
use super::flash::{Flash, PAGE};
use super::kit::Kit;
use super::secure_element::{OTP, Refusal, SLOTS, SecureElement};
use super::seed::Seed;

mod blob;
mod line;

pub use line::Line;

use line::Buffer;

/// Version of the command handler.
pub const COMMAND_HANDLER_VERSION: &str = "1.3.0";
/// Firmware version of the Wi-Fi module.
pub const WINC_FIRMWARE_VERSION: &str = "19.6.1";
/// Version of the Wi-Fi module's driver.
pub const WINC_DRIVER_VERSION: &str = "19.3.0";

/// A chip beside the MCU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The secure element.
    SecureElement,
    /// The Wi-Fi module.
    WifiModule,
}

/// What takes the device time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// The MCU looks a command with a blob up and reads its arguments.
    Prepare,
    /// The Wi-Fi module changes between running and flash access.
    ModeChange,
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
    pub work: Vec<Work>,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Reply {
    /// `ERROR: 0xH`, as the answer to a command.
    pub fn error(code: u16) -> Self {
        Self { work: Vec::new(), bytes: format!("\r\n{}", error(code)).into_bytes() }
    }
}

fn error(code: u16) -> String {
    format!("ERROR: 0x{code:X}\r\n")
}

/// Which line of a command's exchange this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The command with its arguments.
    Request,
    /// The blob, after the board's `>`.
    Blob,
}

/// A command whose blob is awaited. Its other arguments are not checked before.
#[derive(Clone, Debug)]
struct Awaited {
    name: String,
    request: Request,
    digits: usize,
}

/// The text of a reply, and the work that it costs.
type Answer = Result<(Vec<Work>, String), Failure>;

/// One board: MCU, secure element and Wi-Fi module's flash.
#[derive(Clone)]
pub struct Firmware {
    kit: Kit,
    /// The secure element.
    pub element: SecureElement,
    /// The Wi-Fi module's flash.
    pub flash: Flash,
    leds: Vec<bool>,
    all_leds: bool,
    buffer: Buffer,
    awaited: Option<Awaited>,
    /// The Wi-Fi module is stopped, and its flash can be accessed.
    flash_access: bool,
    /// The part that does not answer.
    missing: Option<Part>,
    /// The I2C address at which the secure element is looked for.
    element_address: Option<u8>,
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
            flash: Flash::factory(seed.stream("Wi-Fi module")),
            leds: vec![false; kit.leds().len()],
            all_leds: false,
            buffer: Buffer::default(),
            awaited: None,
            flash_access: false,
            missing: None,
            element_address: kit.element_address(),
        })
    }

    /// Breaks the connection to a part. The MCU notices it at the next reset, or when it needs the part.
    pub fn disconnect(&mut self, part: Part) {
        self.missing = Some(part);
    }

    /// The kit it runs on.
    pub fn kit(&self) -> Kit {
        self.kit
    }

    /// Takes one byte; gives the line that it completes.
    pub fn receive(&mut self, byte: u8) -> Option<Line> {
        self.buffer.receive(byte, self.awaited.as_ref().map(|awaited| awaited.digits))
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
        if !self.starts() {
            return Reply::default();
        }
        let awaited = self.awaited.take();
        if line.overrun {
            let failure = if awaited.is_some() { Failure::BadBlob } else { Failure::BufferOverrun };
            return Reply { work: Vec::new(), bytes: error(failure.code()).into_bytes() };
        }
        let (blob, answer) = match awaited {
            Some(awaited) => (true, self.blob(&awaited.request, &line.bytes)),
            None => {
                let request = match Request::parse(&line.bytes, self.kit) {
                    Ok(request) => request,
                    Err(failure) => return Reply::error(failure.code()),
                };
                if request.command == Command::Reset {
                    let Reply { work, bytes } = self.reset();
                    return Reply { work, bytes: [b"\r\n".as_slice(), &bytes].concat() };
                }
                match request.blob() {
                    Some(Ok(digits)) => {
                        self.awaited = Some(Awaited { name: name(&line.bytes), request, digits });
                        return Reply { work: vec![Work::Prepare], bytes: b"\r\n>".to_vec() };
                    }
                    Some(Err(failure)) => return Reply::error(failure.code()),
                    None => {
                        let answer = self.request(&request).map(|(work, text)| (work, text.into_bytes()));
                        (false, answer.map_err(|failure| (failure, Vec::new())))
                    }
                }
            }
        };
        let (work, text, status) = match answer {
            Ok((work, text)) => (work, text, "OK\r\n".to_owned()),
            Err((failure, text)) => (Vec::new(), text, error(failure.code())),
        };
        let end = if blob || !text.is_empty() { "\r\n" } else { "" };
        Reply { work, bytes: [b"\r\n", text.as_slice(), end.as_bytes(), status.as_bytes()].concat() }
    }

    /// Forgets the blob it waits for, as after an error.
    pub fn abandon(&mut self) {
        self.awaited = None;
    }

    /// Starts anew: what was half received is gone, the LEDs are off, and the banner comes.
    pub fn reset(&mut self) -> Reply {
        self.buffer = Buffer::default();
        self.awaited = None;
        self.leds.fill(false);
        self.all_leds = false;
        self.flash_access = false;
        self.element_address = self.kit.element_address();
        if !self.starts() {
            return Reply::default();
        }
        let about = self.about().unwrap_or_default();
        let banner = format!("Welcome to the {} command handler!\r\n{about}READY\r\n", self.kit.banner());
        Reply { work: vec![Work::Boot], bytes: banner.into_bytes() }
    }

    /// Whether the LED of that name is on; `None` if there is no such LED.
    pub fn led(&self, name: &str) -> Option<bool> {
        self.kit.leds().iter().position(|led| *led == name).map(|led| self.leds[led])
    }

    /// Switches the LED of that name, if there is one.
    pub fn set_led(&mut self, name: &str, on: bool) {
        if let Some(led) = self.kit.leds().iter().position(|led| *led == name) {
            self.leds[led] = on;
        }
    }

    fn starts(&self) -> bool {
        self.missing != Some(Part::SecureElement) || self.kit.starts_without_element()
    }

    fn about(&self) -> Result<String, Failure> {
        let kit = self.kit;
        let module = if kit.has_wifi_module() { self.module_versions()? } else { String::new() };
        Ok(format!(
            "{} provisioning FW\r\nFW {}\r\n{module}Command handler {COMMAND_HANDLER_VERSION}\r\nfor the {}\r\n",
            kit.firmware(),
            kit.firmware_version(),
            kit.name_in_about()
        ))
    }

    fn module_versions(&self) -> Result<String, Failure> {
        self.module()?;
        Ok(format!("WINC firmware {WINC_FIRMWARE_VERSION}\r\nWINC driver {WINC_DRIVER_VERSION}\r\n"))
    }

    fn module(&self) -> Result<(), Failure> {
        if self.missing == Some(Part::WifiModule) { Err(Failure::WifiModule) } else { Ok(()) }
    }

    fn element(&mut self) -> Result<&mut SecureElement, Failure> {
        if self.missing == Some(Part::SecureElement) || self.element_address != self.kit.element_address() {
            return Err(Refusal::NoAnswer.into());
        }
        Ok(&mut self.element)
    }

    /// What a change of the Wi-Fi module's mode costs, if it is in the other one.
    fn access_flash(&mut self, access: bool) -> Vec<Work> {
        if !self.kit.has_wifi_module() || std::mem::replace(&mut self.flash_access, access) == access {
            return Vec::new();
        }
        vec![Work::ModeChange]
    }

    fn request(&mut self, request: &Request) -> Answer {
        let mut work = Vec::new();
        let text = match request.command {
            Command::Ping => {
                request.expect(1..=1)?;
                format!("MC+PONG={}", request.text(0))
            }
            Command::About => {
                work = self.access_flash(false);
                self.about()?
            }
            Command::ListCommands => {
                command::table(self.kit).map(|(name, _)| format!("{name}\r\n")).collect()
            }
            Command::Version => {
                request.expect(0..=1)?;
                match request.text(0) {
                    "" | "COMMANDHANDLER" => format!("{COMMAND_HANDLER_VERSION}\r\n"),
                    "FIRMWARE" => format!("{}\r\n", self.kit.firmware_version()),
                    "WINC" if self.kit.has_wifi_module() => {
                        work = self.access_flash(false);
                        self.module_versions()?
                    }
                    _ => return Err(Failure::BadArgument),
                }
            }
            Command::SetLed => {
                request.expect(2..=2)?;
                let on = match request.text(1) {
                    "ON" => true,
                    "OFF" => false,
                    _ => return Err(Failure::BadArgument),
                };
                match self.led_named(request.text(0))? {
                    Some(led) => self.leds[led] = on,
                    None => {
                        self.leds.fill(on);
                        self.all_leds = on;
                    }
                }
                String::new()
            }
            Command::GetLed => {
                request.expect(1..=1)?;
                let on = self.led_named(request.text(0))?.map_or(self.all_leds, |led| self.leds[led]);
                // This one line ends the other way round.
                format!("LED:{} is {}\n\r", request.text(0), if on { "ON" } else { "OFF" })
            }
            Command::EccSerial => {
                request.expect(0..=0)?;
                hex::encode_upper(self.element()?.serial())
            }
            Command::EccAddressRead => {
                request.expect(0..=0)?;
                format!("{:#04X}\r\n", self.element_address.unwrap_or_default()).replace('X', "x")
            }
            Command::EccAddressWrite => {
                request.expect(1..=1)?;
                let address = u8::try_from(request.number(0)?).map_err(|_| Failure::BadArgument)?;
                // I2C addresses have 7 bits.
                self.element_address = Some(address & 0x7F);
                self.element()?;
                String::new()
            }
            Command::EccGenPubKey => {
                request.expect(0..=1)?;
                let slot = if request.text(0).is_empty() { 0 } else { slot(request, 0)? };
                let element = self.element()?;
                if slot != 0 {
                    return Err(Refusal::Execution.into());
                }
                work = vec![Work::PublicKey];
                hex::encode_upper(element.public_key())
            }
            Command::EccRead => {
                request.expect(1..=2)?;
                let count = (request.count() > 1).then(|| request.size(1)).transpose()?;
                let slot = slot(request, 0)?;
                hex::encode_upper(self.element()?.read(slot, count)?)
            }
            Command::EccLock => {
                request.expect(1..=1)?;
                let slot = slot(request, 0)?;
                self.element()?.lock(slot)?;
                String::new()
            }
            Command::EccOtpRead => {
                request.expect(0..=1)?;
                let count = if request.text(0).is_empty() { OTP } else { request.size(0)? };
                hex::encode_upper(self.element()?.read_otp(count)?)
            }
            Command::EccPubKeyRead => {
                request.expect(1..=1)?;
                let slot = slot(request, 0)?;
                hex::encode_upper(self.element()?.stored_public_key(slot)?)
            }
            Command::WincErase => {
                request.expect(1..=1)?;
                // Text, or nothing, is the address 0.
                let address = request.number(0).unwrap_or(0);
                self.module()?;
                work = self.access_flash(true);
                work.push(Work::Erase);
                self.flash.erase(address as u32 as usize);
                String::new()
            }
            Command::WincRead => {
                request.expect(2..=2)?;
                let (address, count) = (request.number(0)?, page(request.size(1)?)?);
                self.module()?;
                work = self.access_flash(true);
                hex::encode_upper(self.flash.read(address as u32 as usize, count))
            }
            Command::BridgeMode => return Err(Failure::BadArgument),
            Command::EccSignDigest
            | Command::EccWriteBlob
            | Command::EccPubKeyWrite
            | Command::WincWriteBlob
            | Command::BlobTest
            | Command::Reset => return Err(Failure::UnknownCommand),
        };
        Ok((work, text))
    }

    /// The LED of that name; `None` for all of them.
    fn led_named(&self, name: &str) -> Result<Option<usize>, Failure> {
        match self.kit.leds().iter().position(|led| *led == name) {
            None if name == "ALL" && self.kit.switches_all_leds() => Ok(None),
            None => Err(Failure::BadArgument),
            led => Ok(led),
        }
    }
}

fn slot(request: &Request, index: usize) -> Result<usize, Failure> {
    usize::try_from(request.number(index)?).ok().filter(|slot| *slot < SLOTS).ok_or(Failure::BadArgument)
}

/// A size that one access to the flash may cover.
fn page(size: usize) -> Result<usize, Failure> {
    if size <= PAGE { Ok(size) } else { Err(Failure::BadArgument) }
}

/// The part of a line that names the command.
fn name(line: &[u8]) -> String {
    String::from_utf8_lossy(line.split(|byte| *byte == b'=').next().unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests;
