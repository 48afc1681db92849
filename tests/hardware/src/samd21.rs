//! The microcontroller of the SAM-IoT kits: an ATSAMD21G18A at 48 MHz, with the peripherals that the firmware uses.
//!
//! Registers are those of the SAM D21 data sheet (DS40001882). SERCOM5 is the serial port, SERCOM3 the bus of the secure
//! element, SERCOM4 the bus of the Wi-Fi module, TC3 the system's time. What else is written is kept and read back.

use crate::Fault;
use crate::cortex::{self, Core};
use crate::machine::{Machine, World, flash};
use crate::registers::Registers;

mod dma;
mod i2c;
mod port;
mod sercom;
mod spi;
mod timer;
mod usart;

use dma::Dma;
use i2c::I2c;
use port::Port;
use spi::Spi;
use timer::Timer;
use usart::Usart;

/// Hz of the processor.
pub(crate) const FREQUENCY: u64 = 48_000_000;
const FLASH: usize = 0x4_0000;
const RAM: usize = 0x8000;
const RAM_BASE: u32 = 0x2000_0000;
/// User row, calibration and serial number, which read as erased.
const AUXILIARY_BASE: u32 = 0x80_0000;

/// Numbers of the interrupt lines (DS40001882, table 11-3).
const DMA_LINE: u32 = 6;
const I2C_LINE: u32 = 12;
const SPI_LINE: u32 = 13;
const USART_LINE: u32 = 14;
const TIMER_LINE: u32 = 18;

/// The peripherals' addresses, without the lower bits.
const POWER_AND_CLOCKS: u32 = 0x4000_0000;
const NVM_CONTROLLER: u32 = 0x4100_4000;
const PORTS: u32 = 0x4100_4400;
const DMA: u32 = 0x4100_4800;
const I2C: u32 = 0x4200_1400;
const SPI: u32 = 0x4200_1800;
const USART: u32 = 0x4200_1C00;
const TIMER: u32 = 0x4200_2C00;
/// The core's own way to the ports.
const SINGLE_CYCLE_PORTS: u32 = 0x6000_0000;

const RESET_CAUSE: u32 = 0x0438;
const CLOCKS_READY: u32 = 0x080C;
const PLL_READY: u32 = 0x0850;

/// Peripherals and memory.
struct Peripherals {
    /// When a peripheral has something to do next.
    event: u64,
    /// Interrupt lines that are up.
    lines: u32,
    flash: Vec<u8>,
    ram: Vec<u8>,
    kept: [Registers; 3],
    usart: Usart,
    i2c: I2c,
    spi: Spi,
    timer: Timer,
    dma: Dma,
    port: Port,
    world: World,
}

/// The microcontroller.
pub(crate) struct Samd21 {
    core: Core,
    peripherals: Peripherals,
}

impl Samd21 {
    /// The microcontroller with a program in it, switched on.
    pub(crate) fn new(program: &[(u32, Vec<u8>)], world: World) -> Self {
        let mut peripherals = Peripherals {
            event: 0,
            lines: 0,
            flash: flash(program, FLASH),
            ram: Vec::new(),
            kept: Default::default(),
            usart: Usart::default(),
            i2c: I2c::default(),
            spi: Spi::default(),
            timer: Timer::default(),
            dma: Dma::default(),
            port: Port::default(),
            world,
        };
        peripherals.reset();
        Self { core: Core::new(&peripherals), peripherals }
    }
}

impl Machine for Samd21 {
    fn step(&mut self) -> Result<(), Fault> {
        if self.core.reset_requested {
            self.reset();
        }
        if self.peripherals.world.now >= self.peripherals.event {
            self.peripherals.attend();
        }
        self.core.lines = self.peripherals.lines;
        let cycles = self.core.step(&mut self.peripherals)?;
        self.peripherals.world.now += cycles;
        Ok(())
    }

    fn main_stack(&self) -> Option<u32> {
        self.core.main_stack()
    }

    fn reset(&mut self) {
        self.peripherals.reset();
        self.core = Core::new(&self.peripherals);
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
        self.kept = Default::default();
        // Power-on, or the program's own request.
        self.kept[0].set(RESET_CAUSE, 1, if self.world.now == 0 { 0x01 } else { 0x40 });
        // Oscillators are ready, PLLs have locked, and the flash takes commands, always.
        self.kept[0].set(CLOCKS_READY, 4, 0x8ADF);
        self.kept[0].set(PLL_READY, 1, 0x07);
        self.kept[1].set((NVM_CONTROLLER & 0xFFFF) + 0x14, 1, 1);
        self.kept[1].set((NVM_CONTROLLER & 0xFFFF) + 0x08, 4, 0x0003_1000); // 4096 pages of 64 bytes
        (self.usart, self.i2c, self.spi) = Default::default();
        (self.timer, self.dma, self.port) = Default::default();
        self.world.reset();
        (self.lines, self.event) = (0, 0);
    }

    /// Does what is due.
    fn attend(&mut self) {
        self.usart.attend(&mut self.world);
        self.i2c.attend(self.world.now);
        self.timer.attend(self.world.now);
        self.refresh();
    }

    /// Brings interrupt lines and the time of the next event up to date.
    fn refresh(&mut self) {
        let levels = [
            (DMA_LINE, self.dma.interrupts()),
            (I2C_LINE, self.i2c.interrupts()),
            (SPI_LINE, self.spi.interrupts()),
            (USART_LINE, self.usart.interrupts(&self.world)),
            (TIMER_LINE, self.timer.interrupts()),
        ];
        self.lines = levels.into_iter().fold(0, |lines, (line, up)| lines | u32::from(up) << line);
        let events = [self.usart.next_event(&self.world), self.i2c.next_event(), self.timer.next_event()];
        self.event = self.world.look(events.into_iter().flatten().min());
    }

    fn kept(&mut self, address: u32) -> Option<&mut Registers> {
        self.kept.get_mut((address.checked_sub(POWER_AND_CLOCKS)? >> 24) as usize)
    }

    fn load_peripheral(&mut self, address: u32, size: u32) -> Option<u32> {
        let offset = address & 0x3FF;
        let value = match address - offset {
            USART => self.usart.load(&mut self.world, offset, size),
            I2C => self.i2c.load(&mut self.world, offset, size),
            SPI => self.spi.load(offset, size),
            TIMER => self.timer.load(self.world.now, offset, size),
            DMA => self.dma.load(offset, size),
            PORTS | SINGLE_CYCLE_PORTS => self.port.load(offset, size),
            _ => return Some(self.kept(address)?.get(address & 0xFFFF, size)),
        };
        self.refresh();
        Some(value & u32::MAX >> (32 - 8 * size))
    }

    fn store_peripheral(&mut self, address: u32, size: u32, value: u32) -> Option<()> {
        let offset = address & 0x3FF;
        match address - offset {
            USART => self.usart.store(&mut self.world, offset, size, value),
            I2C => self.i2c.store(&mut self.world, offset, size, value),
            SPI => {
                if let Some(byte) = self.spi.store(offset, size, value) {
                    self.exchange(byte);
                }
                self.run_dma();
            }
            TIMER => self.timer.store(self.world.now, offset, size, value),
            DMA => {
                if let Some((channel, at)) = self.dma.store(offset, size, value) {
                    let mut words = [0; 4];
                    for (at, word) in (at..).step_by(4).zip(&mut words) {
                        *word = cortex::Bus::load(self, at, 4)?;
                    }
                    self.dma.begin(channel, words);
                }
                self.run_dma();
            }
            PORTS | SINGLE_CYCLE_PORTS => {
                if self.port.store(offset, size, value) {
                    self.world.module.reset();
                }
            }
            _ => self.kept(address)?.set(address & 0xFFFF, size, value),
        }
        self.refresh();
        Some(())
    }

    /// A byte on the Wi-Fi module's bus. The program waits for each, so it is done at once and its time is added.
    fn exchange(&mut self, byte: u8) {
        self.world.now += self.spi.byte();
        let answer = self.world.module.transfer(self.world.micros(), byte);
        self.spi.receive(answer);
    }

    /// Moves bytes as long as the SPI asks for it.
    fn run_dma(&mut self) {
        while let Some(beat) = self.dma.next(|trigger| self.spi.requests(trigger)) {
            let value = if beat.source & !0x3FF == SPI {
                self.spi.load(beat.source - SPI, 1)
            } else {
                cortex::Bus::load(self, beat.source, 1).unwrap_or(0)
            };
            if beat.target & !0x3FF == SPI {
                self.exchange(value as u8);
            } else {
                cortex::Bus::store(self, beat.target, 1, value);
            }
        }
    }
}

impl cortex::Bus for Peripherals {
    fn fetch(&self, address: u32) -> Option<u16> {
        let at = address as usize;
        let memory = if at < FLASH {
            &self.flash[at..]
        } else {
            self.ram.get((address.checked_sub(RAM_BASE)?) as usize..)?
        };
        Some(u16::from_le_bytes([*memory.first()?, *memory.get(1)?]))
    }

    fn load(&mut self, address: u32, size: u32) -> Option<u32> {
        let (memory, offset) = match address {
            0..AUXILIARY_BASE => (&self.flash, address),
            AUXILIARY_BASE..RAM_BASE => return Some(u32::MAX >> (32 - 8 * size)),
            RAM_BASE..POWER_AND_CLOCKS => (&self.ram, address - RAM_BASE),
            _ => return self.load_peripheral(address, size),
        };
        let bytes = memory.get(offset as usize..offset as usize + size as usize)?;
        Some(match *bytes {
            [a, b, c, d] => u32::from_le_bytes([a, b, c, d]),
            [a, b] => u32::from(u16::from_le_bytes([a, b])),
            _ => u32::from(bytes[0]),
        })
    }

    fn store(&mut self, address: u32, size: u32, value: u32) -> Option<()> {
        if address >= POWER_AND_CLOCKS {
            return self.store_peripheral(address, size, value);
        }
        let offset = address.checked_sub(RAM_BASE)? as usize;
        let bytes = self.ram.get_mut(offset..offset + size as usize)?;
        bytes.copy_from_slice(&value.to_le_bytes()[..size as usize]);
        Some(())
    }
}
