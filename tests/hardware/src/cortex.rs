//! An Arm Cortex-M0+: the instructions of ARMv6-M, interrupts, and the registers of the interrupt controller.
//!
//! Cycles are those of the Cortex-M0+ Technical Reference Manual (DDI 0484, section 3.3) with the one-cycle multiplier and
//! memory without wait states.

use crate::Fault;
use crate::registers::Registers;

mod execute;
#[cfg(test)]
mod tests;

/// What the core reaches by address, except its own system control space.
pub(crate) trait Bus {
    /// The halfword of code at an even address; `None` where there is no memory.
    fn fetch(&self, address: u32) -> Option<u16>;
    /// Reads `size` bytes (1, 2 or 4) at an aligned address.
    fn load(&mut self, address: u32, size: u32) -> Option<u32>;
    /// Writes `size` bytes at an aligned address; `None` where nothing is.
    fn store(&mut self, address: u32, size: u32, value: u32) -> Option<()>;
}

const SP: usize = 13;
const LR: usize = 14;
const PC: usize = 15;
/// Number of the first exception that is an interrupt (ARMv6-M manual, B1.5.2).
const FIRST_INTERRUPT: u32 = 16;
const SYSTEM: u32 = 0xE000_E000;
const VTOR: u32 = 0xD08;
const AIRCR: u32 = 0xD0C;
const PRIORITIES: u32 = 0x400;

/// The registers of the core.
#[derive(Default)]
pub(crate) struct Core {
    r: [u32; 16],
    n: bool,
    z: bool,
    c: bool,
    v: bool,
    primask: bool,
    /// Interrupts being handled, the innermost last.
    active: Vec<u8>,
    /// Interrupt lines that are up now, a bit each.
    pub(crate) lines: u32,
    enabled: u32,
    system: Registers,
    /// The program asked for a reset (SYSRESETREQ).
    pub(crate) reset_requested: bool,
    cycles: u64,
}

impl Core {
    /// The core out of reset: stack pointer and first instruction come from the vector table at 0.
    pub(crate) fn new(bus: &impl Bus) -> Self {
        let word = |address| {
            let half = |address| u32::from(bus.fetch(address).unwrap_or(0xFFFF));
            half(address) | half(address + 2) << 16
        };
        let mut system = Registers::default();
        system.set(0xD00, 4, 0x410C_C601); // CPUID: Cortex-M0+ r0p1
        let mut r = [0; 16];
        (r[SP], r[LR], r[PC]) = (word(0), u32::MAX, word(4) & !1);
        Self { r, system, ..Self::default() }
    }

    /// The stack pointer of the main program; `None` while an interrupt is handled.
    pub(crate) fn main_stack(&self) -> Option<u32> {
        self.active.is_empty().then_some(self.r[SP])
    }

    /// Takes an interrupt if one is due, executes one instruction, and returns the cycles that it took.
    ///
    /// # Errors
    /// [`Fault`] where a processor would raise HardFault.
    pub(crate) fn step<B: Bus>(&mut self, bus: &mut B) -> Result<u64, Fault> {
        self.cycles = 1;
        if self.lines & self.enabled != 0 && !self.primask {
            self.interrupt(bus)?;
        }
        let at = self.r[PC];
        let op = bus.fetch(at).ok_or(Fault::Fetch(at))?;
        self.r[PC] = at.wrapping_add(2);
        match self.execute(bus, u32::from(op)) {
            Ok(()) => Ok(self.cycles),
            Err(Fault::Undefined { .. }) => Err(Fault::Undefined { at, op }),
            Err(fault) => Err(fault),
        }
    }

    fn priority(&self, irq: u32) -> u32 {
        self.system.get(PRIORITIES + irq, 1) >> 6
    }

    fn exception_number(&self) -> u32 {
        self.active.last().map_or(0, |irq| FIRST_INTERRUPT + u32::from(*irq))
    }

    /// Enters the most urgent interrupt that asks, unless a handler as urgent runs.
    fn interrupt<B: Bus>(&mut self, bus: &mut B) -> Result<(), Fault> {
        let running = self.active.last().map_or(u32::MAX, |irq| self.priority(u32::from(*irq)));
        let asking = (0..32).filter(|irq| self.lines & self.enabled & 1 << irq != 0);
        let Some(irq) = asking.min_by_key(|irq| self.priority(*irq)) else { return Ok(()) };
        if self.priority(irq) >= running {
            return Ok(());
        }
        let padded = self.r[SP] & 4 != 0;
        let status = self.status() | 1 << 24 | u32::from(padded) << 9 | self.exception_number();
        let frame = self.r[SP].wrapping_sub(32) & !7;
        let [r0, r1, r2, r3, .., r12, _, lr, pc] = self.r;
        for (at, value) in (frame..).step_by(4).zip([r0, r1, r2, r3, r12, lr, pc, status]) {
            self.store(bus, at, 4, value)?;
        }
        self.r[SP] = frame;
        self.r[LR] = if self.active.is_empty() { 0xFFFF_FFF9 } else { 0xFFFF_FFF1 };
        self.active.push(irq as u8);
        let vector = self.system.get(VTOR, 4) & !0xFF;
        self.r[PC] = self.load(bus, vector + 4 * (FIRST_INTERRUPT + irq), 4)? & !1;
        self.cycles += 15;
        Ok(())
    }

    /// Returns from a handler.
    fn leave<B: Bus>(&mut self, bus: &mut B) -> Result<(), Fault> {
        let frame = self.r[SP];
        let mut saved = [0; 8];
        for (at, value) in (frame..).step_by(4).zip(&mut saved) {
            *value = self.load(bus, at, 4)?;
        }
        let [r0, r1, r2, r3, r12, lr, pc, status] = saved;
        self.r[..4].copy_from_slice(&[r0, r1, r2, r3]);
        (self.r[12], self.r[LR], self.r[PC]) = (r12, lr, pc & !1);
        self.set_status(status);
        self.r[SP] = frame + 32 + (status >> 9 & 1) * 4;
        self.active.pop();
        self.cycles += 13;
        Ok(())
    }

    /// The flags, as the upper bits of APSR.
    fn status(&self) -> u32 {
        [self.n, self.z, self.c, self.v].into_iter().fold(0, |bits, flag| bits << 1 | u32::from(flag)) << 28
    }

    fn set_status(&mut self, status: u32) {
        [self.n, self.z, self.c, self.v] = [31, 30, 29, 28].map(|bit| status >> bit & 1 != 0);
    }

    fn load<B: Bus>(&mut self, bus: &mut B, address: u32, size: u32) -> Result<u32, Fault> {
        if !address.is_multiple_of(size) {
            return Err(Fault::Unaligned(address));
        }
        if address & !0xFFF == SYSTEM {
            return Ok(self.load_system(address & 0xFFF, size));
        }
        bus.load(address, size).ok_or(Fault::Nothing(address))
    }

    fn store<B: Bus>(&mut self, bus: &mut B, address: u32, size: u32, value: u32) -> Result<(), Fault> {
        if !address.is_multiple_of(size) {
            return Err(Fault::Unaligned(address));
        }
        if address & !0xFFF == SYSTEM {
            self.store_system(address & 0xFFF, size, value);
            return Ok(());
        }
        bus.store(address, size, value).ok_or(Fault::Nothing(address))
    }

    fn load_system(&self, offset: u32, size: u32) -> u32 {
        match offset {
            0x100 | 0x180 => self.enabled, // ISER, ICER
            _ => self.system.get(offset, size),
        }
    }

    /// Interrupts are not pended by software: what asks is a peripheral's line.
    fn store_system(&mut self, offset: u32, size: u32, value: u32) {
        match offset {
            0x100 => self.enabled |= value,
            0x180 => self.enabled &= !value,
            AIRCR => self.reset_requested |= value >> 16 == 0x05FA && value & 4 != 0,
            _ => self.system.set(offset, size, value),
        }
    }
}
