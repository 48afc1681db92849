//! An AVR core of the kind AVRxt: its instructions, and interrupts of one level.
//!
//! Instructions and cycles are those of the AVR Instruction Set Manual (DS40002198), for data in RAM.

use crate::Fault;

mod execute;
#[cfg(test)]
mod tests;

/// What the core reaches: program memory, and data space except the core's own registers.
pub(crate) trait Bus {
    /// The word of program memory at a word address.
    fn word(&self, address: u16) -> u16;
    /// The byte of program memory at a byte address, for LPM.
    fn program_byte(&self, address: u16) -> u8;
    /// Reads data space.
    fn load(&mut self, address: u16) -> u8;
    /// Writes data space.
    fn store(&mut self, address: u16, value: u8);
}

const SPL: u16 = 0x3D;
const SPH: u16 = 0x3E;
const SREG: u16 = 0x3F;

/// Bits of the status register.
#[derive(Clone, Copy)]
enum Flag {
    C,
    Z,
    N,
    V,
    S,
    H,
    T,
    I,
}

/// The registers of the core.
#[derive(Default)]
pub(crate) struct Core {
    r: [u8; 32],
    flags: u8,
    /// In words.
    pc: u16,
    sp: u16,
    /// An interrupt is being handled.
    handling: bool,
    /// One more instruction comes before the next interrupt: after SEI and RETI.
    held_off: bool,
    /// Interrupts that ask, a bit for each vector number.
    pub(crate) requests: u64,
    cycles: u64,
}

impl Core {
    /// The core out of reset, with the stack pointer at the end of RAM.
    pub(crate) fn new(end_of_ram: u16) -> Self {
        Self { sp: end_of_ram, ..Self::default() }
    }

    /// The stack pointer of the main program; `None` while an interrupt is handled.
    pub(crate) fn main_stack(&self) -> Option<u32> {
        (!self.handling).then_some(u32::from(self.sp))
    }

    /// Takes an interrupt if one is due, executes one instruction, and returns the cycles that it took.
    ///
    /// # Errors
    /// [`Fault`] for an instruction that this kind of core does not have.
    pub(crate) fn step<B: Bus>(&mut self, bus: &mut B) -> Result<u64, Fault> {
        self.cycles = 1;
        if self.requests != 0 && self.get(Flag::I) && !self.handling && !self.held_off {
            self.push_pc(bus);
            // Vectors are two words apart; the lower number is the more urgent.
            self.pc = 2 * self.requests.trailing_zeros() as u16;
            self.handling = true;
            self.cycles += 5;
        }
        self.held_off = false;
        let at = self.pc;
        let op = self.fetch(bus);
        match self.execute(bus, op) {
            Some(()) => Ok(self.cycles),
            None => Err(Fault::Undefined { at: 2 * u32::from(at), op }),
        }
    }

    fn fetch<B: Bus>(&mut self, bus: &B) -> u16 {
        let word = bus.word(self.pc);
        self.pc = self.pc.wrapping_add(1);
        word
    }

    fn get(&self, flag: Flag) -> bool {
        self.flags & 1 << flag as u8 != 0
    }

    fn set(&mut self, flag: Flag, on: bool) {
        self.flags = self.flags & !(1 << flag as u8) | u8::from(on) << flag as u8;
    }

    fn load<B: Bus>(&self, bus: &mut B, address: u16) -> u8 {
        match address {
            SPL => self.sp as u8,
            SPH => (self.sp >> 8) as u8,
            SREG => self.flags,
            _ => bus.load(address),
        }
    }

    fn store<B: Bus>(&mut self, bus: &mut B, address: u16, value: u8) {
        match address {
            SPL => self.sp = self.sp & 0xFF00 | u16::from(value),
            SPH => self.sp = self.sp & 0xFF | u16::from(value) << 8,
            SREG => self.flags = value,
            _ => bus.store(address, value),
        }
    }

    fn push<B: Bus>(&mut self, bus: &mut B, value: u8) {
        self.store(bus, self.sp, value);
        self.sp = self.sp.wrapping_sub(1);
    }

    fn pop<B: Bus>(&mut self, bus: &mut B) -> u8 {
        self.sp = self.sp.wrapping_add(1);
        self.load(bus, self.sp)
    }

    fn push_pc<B: Bus>(&mut self, bus: &mut B) {
        let [low, high] = self.pc.to_le_bytes();
        self.push(bus, low);
        self.push(bus, high);
    }

    fn pop_pc<B: Bus>(&mut self, bus: &mut B) {
        let high = self.pop(bus);
        let low = self.pop(bus);
        self.pc = u16::from_le_bytes([low, high]);
    }

    /// Two registers as a number, the lower one first.
    fn pair(&self, low: usize) -> u16 {
        u16::from_le_bytes([self.r[low], self.r[low + 1]])
    }

    fn set_pair(&mut self, low: usize, value: u16) {
        self.r[low..low + 2].copy_from_slice(&value.to_le_bytes());
    }
}
