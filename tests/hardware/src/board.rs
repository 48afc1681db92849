//! A kit with a firmware in it, driven by bytes at its serial port.

use std::time::Duration;

use p256::ecdsa::SigningKey;

use crate::atmega4808::{self, Atmega4808};
use crate::machine::{Machine, World};
use crate::samd21::{self, Samd21};
use crate::secure_element::SecureElement;
use crate::wifi_module::{Flash, WifiModule, Write};
use crate::{Error, intel_hex};

/// Between two looks at what the firmware does.
const STEP: Duration = Duration::from_millis(2);
/// A firmware that has nothing to do for so long waits for the host.
const QUIET: Duration = Duration::from_millis(10);
/// How long the firmware's main loop is watched to know it again.
const WATCHED: Duration = Duration::from_millis(30);
/// Seconds that a firmware may take to become ready.
const BOOT: u64 = 10;

/// What the firmware prints when it takes commands.
const READY: &[u8] = b"READY\r\n";
/// What the firmware of the SAM-IoT Wx has in its texts: that kit's secure element has another address.
const WX: &[u8] = b"SAM-IoT Wx";
const ELEMENT_ADDRESS: u8 = 0x58;
const WX_ELEMENT_ADDRESS: u8 = 0x36;

/// Addresses in a hex file of the ATmega4808's fuses; the third holds the frequency of its oscillator (FUSE.OSCCFG).
const FUSES: u32 = 0x82_0000;
const OSCILLATOR: usize = 2;

/// What kit it is, apart from its firmware.
#[derive(Clone)]
pub struct Options {
    /// The 9-byte serial number of the secure element.
    pub serial: [u8; 9],
    /// The private key in slot 0, a scalar of P-256, big endian.
    pub key: [u8; 32],
    /// What slots of the secure element hold.
    pub slots: Vec<(usize, Vec<u8>)>,
    /// Its one-time programmable area.
    pub otp: [u8; 64],
    /// Content of the Wi-Fi module's flash, from its begin on; the rest is erased.
    pub flash: Vec<u8>,
    /// Version of the Wi-Fi module's firmware: major, minor, patch.
    pub module_firmware: [u8; 3],
    /// The oldest driver that it works with.
    pub module_driver: [u8; 3],
    /// Whether signing, erasing and programming take time.
    pub device_times: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            serial: [0x01, 0x23, 1, 2, 3, 4, 5, 6, 0xEE],
            key: [1; 32],
            slots: Vec::new(),
            otp: [0; 64],
            flash: Vec::new(),
            module_firmware: [19, 6, 1],
            module_driver: [19, 3, 0],
            device_times: true,
        }
    }
}

/// A kit that runs.
pub struct Board {
    machine: Box<dyn Machine>,
    /// The lowest stack pointer of the main loop that waits for commands; lower ones belong to commands.
    idle_stack: Option<u32>,
    /// How long the firmware has had nothing to do.
    quiet: Duration,
}

impl Board {
    /// The kit, switched on, with the program of a hex file's text.
    ///
    /// # Errors
    /// When the text is not Intel HEX, or the program is for another microcontroller.
    pub fn new(hex: &str, options: &Options) -> Result<Self, Error> {
        let program = intel_hex::parse(hex)?;
        let is_wx = program.iter().any(|(_, data)| data.windows(WX.len()).any(|text| text == WX));
        let address = if is_wx { WX_ELEMENT_ADDRESS } else { ELEMENT_ADDRESS };
        let key = SigningKey::from_slice(&options.key).map_err(|_| Error::Key)?;
        let timed = options.device_times;
        let mut element = SecureElement::new(address, options.serial, key, timed);
        for (slot, data) in &options.slots {
            element.zones.fill(*slot, data);
        }
        element.zones.otp = options.otp;
        let module = WifiModule::new(
            [options.module_firmware, options.module_driver],
            Flash::new(options.flash.clone(), timed),
        );
        let world = |frequency| World::new(frequency, element, module);
        let machine = microcontroller(&program, world).ok_or(Error::Microcontroller)?;
        Ok(Self { machine, idle_stack: None, quiet: Duration::ZERO })
    }

    /// Runs until the firmware takes commands, and returns what it printed.
    ///
    /// # Errors
    /// [`Error::NotReady`], [`Error::Fault`].
    pub fn boot(&mut self) -> Result<Vec<u8>, Error> {
        let mut printed = Vec::new();
        while !printed.ends_with(READY) {
            if self.now() > Duration::from_secs(BOOT) {
                return Err(Error::NotReady(String::from_utf8_lossy(&printed).into_owned()));
            }
            self.machine.run(self.cycles(STEP))?;
            printed.extend(self.take());
        }
        // The last bytes are on their way; then the main loop has no command yet.
        while self.machine.world().now < self.machine.world().uart.done {
            self.machine.run(self.cycles(STEP))?;
        }
        self.machine.run(self.cycles(STEP))?;
        self.idle_stack = Some(self.machine.run(self.cycles(WATCHED))?);
        printed.extend(self.take());
        Ok(printed)
    }

    /// Bytes for the serial port. They arrive one after the other at 115200 baud.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.machine.world_mut().uart.incoming.extend(bytes);
        self.quiet = Duration::ZERO;
    }

    /// Bytes that were fed and have not arrived yet.
    pub fn arriving(&self) -> usize {
        self.machine.world().uart.incoming.len()
    }

    /// What the firmware has sent since the last call.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.machine.world_mut().uart.sent)
    }

    /// Runs for a time on the kit.
    ///
    /// # Errors
    /// [`Error::Fault`].
    pub fn run(&mut self, time: Duration) -> Result<(), Error> {
        let deepest = self.machine.run(self.cycles(time))?;
        let now = self.machine.world().now;
        let uart = &self.machine.world().uart;
        let silent = uart.incoming.is_empty() && uart.sent.is_empty() && now >= uart.done;
        let idle = silent && self.idle_stack.is_some_and(|idle| deepest >= idle);
        self.quiet = if idle { self.quiet + time } else { Duration::ZERO };
        Ok(())
    }

    /// Whether the firmware waits for the host: it has answered everything and is back in its main loop.
    pub fn waits(&self) -> bool {
        self.quiet >= QUIET
    }

    /// Feeds bytes, runs until the firmware waits for more, `limit` at the most, and returns what it has sent.
    ///
    /// # Errors
    /// [`Error::Fault`].
    pub fn ask(&mut self, bytes: &[u8], limit: Duration) -> Result<Vec<u8>, Error> {
        self.feed(bytes);
        let end = self.now() + limit;
        let mut sent = Vec::new();
        while !self.waits() && self.now() < end {
            self.run(STEP)?;
            sent.extend(self.take());
        }
        Ok(sent)
    }

    /// Presses the reset button.
    pub fn press_reset(&mut self) {
        self.machine.reset();
        self.quiet = Duration::ZERO;
    }

    /// Time since power-on.
    pub fn now(&self) -> Duration {
        let world = self.machine.world();
        Duration::from_nanos_u128(u128::from(world.now) * 1_000_000_000 / u128::from(world.frequency))
    }

    fn cycles(&self, time: Duration) -> u64 {
        (time.as_nanos() * u128::from(self.machine.world().frequency) / 1_000_000_000) as u64
    }

    /// Bytes that the microcontroller lost because its program did not read them in time.
    pub fn lost(&self) -> u64 {
        self.machine.world().uart.lost
    }

    /// The Wi-Fi module's flash, 1 MiB.
    pub fn flash(&self) -> &[u8] {
        self.machine.world().module.flash.image()
    }

    /// What was erased and programmed in the flash, in order.
    pub fn writes(&self) -> &[Write] {
        self.machine.world().module.flash.writes()
    }

    /// The serial number of the secure element.
    pub fn serial(&self) -> [u8; 9] {
        self.machine.world().element.zones.serial()
    }

    /// X‖Y of the key in slot 0 of the secure element.
    pub fn public_key(&self) -> [u8; 64] {
        self.machine.world().element.public_key()
    }

    /// Whether a slot of the secure element is locked.
    pub fn is_locked(&self, slot: usize) -> bool {
        self.machine.world().element.zones.is_locked(slot)
    }
}

/// The microcontroller that a program is for, by what it begins with: a vector table with a stack pointer in RAM, or a jump; an AVR's
/// fuses tell the families apart.
fn microcontroller(program: &[(u32, Vec<u8>)], world: impl FnOnce(u64) -> World) -> Option<Box<dyn Machine>> {
    let run = |at: u32| program.iter().find(|(begin, _)| *begin == at).map(|(_, data)| data.as_slice());
    match *run(0)? {
        [_, 0..=0x80, 0x00, 0x20, ..] => Some(Box::new(Samd21::new(program, world(samd21::FREQUENCY)))),
        [0x0C, 0x94, ..] if run(FUSES)?.get(OSCILLATOR)? & 3 != 0 => {
            Some(Box::new(Atmega4808::new(program, world(atmega4808::FREQUENCY))))
        }
        _ => None,
    }
}
