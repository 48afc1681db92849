//! The Wi-Fi module: a WINC1510 on SPI, as far as a host uses it that reads and writes its flash.
//!
//! Commands, registers and memory addresses are those of Microchip's open WINC1500 driver (`nmspi.c`, `nmasic.c`, `spi_flash.c`).

use std::collections::{BTreeMap, VecDeque};

use crate::Micros;

mod flash;
#[cfg(test)]
mod tests;

pub(crate) use flash::Flash;
pub use flash::Write;

/// SPI commands.
const WRITE_INTERNAL: u8 = 0xC3;
const READ_INTERNAL: u8 = 0xC4;
const WRITE_BLOCK: u8 = 0xC7;
const READ_BLOCK: u8 = 0xC8;
const WRITE_REGISTER: u8 = 0xC9;
const READ_REGISTER: u8 = 0xCA;
const RESET: u8 = 0xCF;

/// Registers.
const CLOCK_ENABLE: u32 = 0x1;
const CLOCK_STATUS: u32 = 0xF;
const CHIP_ID: u32 = 0x1000;
const EFUSE: u32 = 0x1014;
const STATE: u32 = 0x108C;
const IRQ_CONFIGURATION: u32 = 0x13F4;
const PROTOCOL: u32 = 0xE824;
const BOOT_ROM: u32 = 0xC000C;
const FIRMWARE_BLOCK: u32 = 0xC0008;

const REVISION: u32 = 0x0010_03A0;
/// What the boot ROM leaves in its register, what starts the firmware, and the firmware's sign that it runs.
const BOOT_ROM_DONE: u32 = 0x10AD_D09E;
const START_FIRMWARE: u32 = 0xEF52_2F61;
const FIRMWARE_RUNS: u32 = 0x0253_2636;
/// Bits of PROTOCOL that switch check sums on.
const CHECK_SUMS: u32 = 0x0C;
/// Bytes of the module's memory that the models need.
const MEMORY: usize = 0x10_0000;

/// Bytes of a command before its check sum.
fn length(command: u8) -> Option<usize> {
    match command {
        READ_INTERNAL | READ_REGISTER | RESET => Some(4),
        WRITE_INTERNAL | WRITE_BLOCK | READ_BLOCK => Some(7),
        WRITE_REGISTER => Some(8),
        _ => None,
    }
}

fn big_endian(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte))
}

/// A block that the host is writing.
struct Block {
    address: u32,
    length: usize,
    started: bool,
    data: Vec<u8>,
}

/// The module and its end of the bus.
pub(crate) struct WifiModule {
    /// Of the firmware, and of the oldest driver that it works with.
    versions: [[u8; 3]; 2],
    pub(crate) flash: Flash,
    check_sums: bool,
    registers: BTreeMap<u32, u32>,
    memory: Vec<u8>,
    command: Vec<u8>,
    block: Option<Block>,
    answer: VecDeque<u8>,
}

impl WifiModule {
    pub(crate) fn new(versions: [[u8; 3]; 2], flash: Flash) -> Self {
        let mut module = Self {
            versions,
            flash,
            check_sums: true,
            registers: BTreeMap::new(),
            memory: Vec::new(),
            command: Vec::new(),
            block: None,
            answer: VecDeque::new(),
        };
        module.reset();
        module
    }

    /// The module's reset pin. It has started when the host asks next.
    pub(crate) fn reset(&mut self) {
        self.check_sums = true;
        self.registers = BTreeMap::from([
            (CHIP_ID, REVISION),
            (EFUSE, 1 << 31),
            (IRQ_CONFIGURATION, 3),
            (PROTOCOL, 0x2E),
            (CLOCK_STATUS, 7),
            (BOOT_ROM, BOOT_ROM_DONE),
            (FIRMWARE_BLOCK, 0x0100),
        ]);
        self.memory = vec![0; MEMORY];
        // The firmware's blocks: where the version information is, from 0x30000 on; then that, with the versions behind the chip.
        self.poke(0x30104, &0x0120u32.to_le_bytes());
        self.poke(0x30120, &REVISION.to_le_bytes());
        self.poke(0x30124, &self.versions.concat());
        self.command.clear();
        self.block = None;
        self.answer.clear();
    }

    /// One byte each way.
    pub(crate) fn transfer(&mut self, now: Micros, byte: u8) -> u8 {
        // The host sends zeros while it fetches an answer.
        if let Some(answer) = self.answer.pop_front() {
            return answer;
        }
        if self.block.is_some() {
            self.take(byte);
        } else if !self.command.is_empty() || length(byte).is_some() {
            self.command.push(byte);
            let command = self.command[0];
            let sum = usize::from(self.check_sums || command == RESET);
            if length(command).is_some_and(|length| self.command.len() == length + sum) {
                let command = std::mem::take(&mut self.command);
                self.execute(now, &command);
            }
        }
        0
    }

    /// A byte of a block: 0xFn first, then data, then the check sum if there is one.
    fn take(&mut self, byte: u8) {
        let Some(block) = &mut self.block else { return };
        if !block.started {
            block.started = byte & 0xF0 == 0xF0;
            return;
        }
        block.data.push(byte);
        if block.data.len() == block.length + if self.check_sums { 2 } else { 0 } {
            let (address, data) = (block.address, block.data[..block.length].to_vec());
            self.block = None;
            self.poke(address, &data);
            self.answer.extend([0x00, 0xC3, 0x00]);
        }
    }

    fn execute(&mut self, now: Micros, bytes: &[u8]) {
        let command = bytes[0];
        self.answer.extend([command, 0]);
        let internal = big_endian(&[bytes[1] & 0x7F, bytes[2]]);
        let address = big_endian(&bytes[1..4]);
        match command {
            WRITE_INTERNAL => self.write_register(now, internal, big_endian(&bytes[3..7])),
            WRITE_REGISTER => self.write_register(now, address, big_endian(&bytes[4..8])),
            READ_INTERNAL => self.give(&self.read_register(internal).to_le_bytes()),
            READ_REGISTER => self.give(&self.read_register(address).to_le_bytes()),
            WRITE_BLOCK => {
                let length = big_endian(&bytes[4..7]) as usize;
                self.block = Some(Block { address, length, started: false, data: Vec::new() });
            }
            READ_BLOCK => self.give(&self.peek(address, big_endian(&bytes[4..7]) as usize)),
            _ => {} // RESET: the bus begins anew
        }
    }

    /// Answers with data.
    fn give(&mut self, data: &[u8]) {
        self.answer.push_back(0xF3);
        self.answer.extend(data);
        if self.check_sums {
            self.answer.extend([0, 0]);
        }
    }

    fn poke(&mut self, address: u32, data: &[u8]) {
        for (at, byte) in (address as usize..).zip(data) {
            self.memory[at % MEMORY] = *byte;
        }
    }

    fn peek(&self, address: u32, length: usize) -> Vec<u8> {
        (address as usize..).take(length).map(|at| self.memory[at % MEMORY]).collect()
    }

    fn read_register(&self, address: u32) -> u32 {
        let memory =
            || self.peek(address, 4).into_iter().rev().fold(0, |value, byte| value << 8 | u32::from(byte));
        self.registers.get(&address).copied().unwrap_or_else(memory)
    }

    fn write_register(&mut self, now: Micros, address: u32, value: u32) {
        self.registers.insert(address, value);
        match address {
            PROTOCOL => self.check_sums = value & CHECK_SUMS != 0,
            CLOCK_ENABLE if value & 2 != 0 => _ = self.registers.insert(CLOCK_STATUS, 7),
            BOOT_ROM if value == 0 => _ = self.registers.insert(BOOT_ROM, BOOT_ROM_DONE),
            BOOT_ROM if value == START_FIRMWARE => _ = self.registers.insert(STATE, FIRMWARE_RUNS),
            flash::START => self.flash_command(now, value),
            _ => {}
        }
    }

    /// The flash controller runs the command that its registers hold, and moves its data by DMA.
    fn flash_command(&mut self, now: Micros, control: u32) {
        let register = |address| self.registers.get(&address).copied().unwrap_or(0);
        let (command, count, memory) =
            (register(flash::COMMAND), register(flash::COUNT) as usize, register(flash::MEMORY_ADDRESS));
        let program = self.peek(memory, (control >> 8 & 0x000F_FFFF) as usize);
        if let Some(data) = self.flash.execute(now, command.to_le_bytes(), count, &program) {
            // Short answers go to a register.
            match (memory < 0x2000, data.as_slice()) {
                (true, &[a, b, c, d]) => _ = self.registers.insert(memory, u32::from_le_bytes([a, b, c, d])),
                _ => self.poke(memory, &data),
            }
        }
        self.registers.insert(flash::DONE, 1);
    }
}
