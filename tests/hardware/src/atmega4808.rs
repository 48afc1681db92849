//! The microcontroller of the AVR-IoT kits: an ATmega4808 at 10 MHz, with the peripherals that the firmware uses.
//!
//! Registers are those of the megaAVR 0-series data sheets (DS40002172, DS40002173). USART2 is the serial port, TWI0 the bus of
//! the secure element, SPI0 the bus of the Wi-Fi module. What else is written is kept and read back. The clock is the one that
//! the firmware sets (20 MHz oscillator, prescaler 2); its first instructions run at it, too.

use crate::Fault;
use crate::avrxt::{self, Core};
use crate::machine::{Machine, World, flash};

mod port;
mod twi;
mod usart;

use twi::Twi;
use usart::Usart;

/// Hz of the processor.
pub(crate) const FREQUENCY: u64 = 10_000_000;
const FLASH: usize = 0xC000;
const RAM_BASE: u16 = 0x2800;
const RAM: usize = 0x1800;
/// Where the stack begins: the last byte of RAM.
const STACK: u16 = 0x3FFF;
/// From here on, data space shows the flash.
const MAPPED_FLASH: u16 = 0x4000;
/// Bytes of data space for the registers and what else keeps its content.
const IO: usize = 0x1500;

const RESET_FLAGS: u16 = 0x40;
const SOFTWARE_RESET: u16 = 0x41;
const USART: u16 = 0x840;
const TWI: u16 = 0x8A0;
const SPI_CONTROL: u16 = 0x8C0;
const SPI_FLAGS: u16 = 0x8C3;
const SPI_DATA: u16 = 0x8C4;

/// Peripherals and memory.
struct Peripherals {
    /// When a peripheral has something to do next.
    event: u64,
    requests: u64,
    reset_requested: bool,
    flash: Vec<u8>,
    ram: Vec<u8>,
    io: Vec<u8>,
    usart: Usart,
    twi: Twi,
    /// The byte that came back from the Wi-Fi module.
    spi: Option<u8>,
    world: World,
}

/// The microcontroller.
pub(crate) struct Atmega4808 {
    core: Core,
    peripherals: Peripherals,
}

impl Atmega4808 {
    /// The microcontroller with a program in it, switched on.
    pub(crate) fn new(program: &[(u32, Vec<u8>)], world: World) -> Self {
        let mut peripherals = Peripherals {
            event: 0,
            requests: 0,
            reset_requested: false,
            flash: flash(program, FLASH),
            ram: Vec::new(),
            io: Vec::new(),
            usart: Usart::default(),
            twi: Twi::default(),
            spi: None,
            world,
        };
        peripherals.reset();
        Self { core: Core::new(STACK), peripherals }
    }
}

impl Machine for Atmega4808 {
    fn step(&mut self) -> Result<(), Fault> {
        if self.peripherals.reset_requested {
            self.reset();
        }
        if self.peripherals.world.now >= self.peripherals.event {
            self.peripherals.attend();
        }
        self.core.requests = self.peripherals.requests;
        let cycles = self.core.step(&mut self.peripherals)?;
        self.peripherals.world.now += cycles;
        Ok(())
    }

    fn main_stack(&self) -> Option<u32> {
        self.core.main_stack()
    }

    fn reset(&mut self) {
        self.peripherals.reset();
        self.core = Core::new(STACK);
    }

    fn world(&self) -> &World {
        &self.peripherals.world
    }

    fn world_mut(&mut self) -> &mut World {
        &mut self.peripherals.world
    }
}

impl Peripherals {
    fn reset(&mut self) {
        self.ram = vec![0; RAM];
        self.io = vec![0; IO];
        // Power-on, or the program's own request.
        self.io[usize::from(RESET_FLAGS)] = if self.world.now == 0 { 0x01 } else { 0x10 };
        (self.usart, self.twi, self.spi) = Default::default();
        self.world.reset();
        (self.requests, self.event, self.reset_requested) = (0, 0, false);
    }

    fn attend(&mut self) {
        self.usart.attend(&mut self.world);
        self.refresh();
    }

    /// Brings interrupts and the time of the next event up to date.
    fn refresh(&mut self) {
        self.requests = self.usart.requests(&self.world);
        self.event = self.world.look(self.world.uart.next_event(self.world.now));
    }

    /// Cycles of a byte on the Wi-Fi module's bus: CTRLA has the prescaler and whether it is halved.
    fn spi_byte(&self) -> u64 {
        let control = self.io[usize::from(SPI_CONTROL)];
        let prescaler = [4, 16, 64, 128][usize::from(control >> 1 & 3)];
        8 * if control & 0x10 != 0 { prescaler / 2 } else { prescaler }
    }
}

impl avrxt::Bus for Peripherals {
    fn word(&self, address: u16) -> u16 {
        let at = 2 * usize::from(address) % FLASH;
        u16::from_le_bytes([self.flash[at], self.flash[at + 1]])
    }

    fn program_byte(&self, address: u16) -> u8 {
        self.flash[usize::from(address) % FLASH]
    }

    fn load(&mut self, address: u16) -> u8 {
        let at = usize::from(address);
        match address {
            RAM_BASE..MAPPED_FLASH => self.ram[at - usize::from(RAM_BASE)],
            MAPPED_FLASH.. => self.flash[at - usize::from(MAPPED_FLASH)],
            USART..0x850 => {
                let value = self.usart.load(&mut self.world, address - USART);
                self.refresh();
                value
            }
            TWI..0x8B0 => self.twi.load(address - TWI),
            SPI_FLAGS => u8::from(self.spi.is_some()) << 7,
            SPI_DATA => self.spi.take().unwrap_or(0),
            _ => match port::register(address) {
                Some(register) => port::load(&self.io, register),
                None => self.io.get(at).copied().unwrap_or(0xFF),
            },
        }
    }

    fn store(&mut self, address: u16, value: u8) {
        match address {
            RAM_BASE..MAPPED_FLASH => self.ram[usize::from(address - RAM_BASE)] = value,
            USART..0x850 => {
                self.usart.store(&mut self.world, address - USART, value);
                self.refresh();
            }
            TWI..0x8B0 => self.twi.store(&mut self.world, address - TWI, value),
            // The program waits for each byte, so it is done at once and its time is added.
            SPI_DATA => {
                self.world.now += self.spi_byte();
                self.spi = Some(self.world.module.transfer(self.world.micros(), value));
            }
            SOFTWARE_RESET => self.reset_requested |= value & 1 != 0,
            _ => match port::register(address) {
                Some(register) => {
                    if port::store(&mut self.io, register, value) {
                        self.world.module.reset();
                    }
                }
                None => {
                    if let Some(kept) = self.io.get_mut(usize::from(address)) {
                        *kept = value;
                    }
                }
            },
        }
    }
}
