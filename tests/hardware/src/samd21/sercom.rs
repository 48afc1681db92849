//! What the SERCOM's modes have in common: the registers for enabling, interrupts and status.

use crate::registers::Registers;

pub(super) const CTRLA: u32 = 0x00;
pub(super) const CTRLB: u32 = 0x04;
pub(super) const BAUD: u32 = 0x0C;
const INTENCLR: u32 = 0x14;
const INTENSET: u32 = 0x16;
pub(super) const INTFLAG: u32 = 0x18;
pub(super) const STATUS: u32 = 0x1A;
pub(super) const DATA: u32 = 0x28;

/// Interrupt flags of the SPI and the USART.
pub(super) const DATA_EMPTY: u8 = 1;
pub(super) const TRANSMIT_COMPLETE: u8 = 2;
pub(super) const RECEIVE_COMPLETE: u8 = 4;
pub(super) const ERROR: u8 = 0x80;
/// The received byte was lost, in STATUS.
pub(super) const OVERFLOW: u16 = 4;

/// The common registers.
#[derive(Default)]
pub(super) struct Sercom {
    registers: Registers,
    /// Interrupts that are enabled.
    pub(super) interrupts: u8,
    /// Interrupt flags that stay until they are cleared.
    pub(super) flags: u8,
    pub(super) status: u16,
}

impl Sercom {
    pub(super) fn enabled(&self) -> bool {
        self.registers.get(CTRLA, 1) & 2 != 0
    }

    /// Whether flags that are up and enabled ask for an interrupt.
    pub(super) fn asks(&self, flags: u8) -> bool {
        self.enabled() && flags & self.interrupts != 0
    }

    pub(super) fn load(&self, offset: u32, size: u32) -> u32 {
        match offset {
            INTENCLR | INTENSET => self.interrupts.into(),
            STATUS => self.status.into(),
            _ => self.registers.get(offset, size),
        }
    }

    /// True if it was a reset.
    pub(super) fn store(&mut self, offset: u32, size: u32, value: u32) -> bool {
        match offset {
            INTENCLR => self.interrupts &= !(value as u8),
            INTENSET => self.interrupts |= value as u8,
            INTFLAG => self.flags &= !(value as u8),
            STATUS => self.status &= !(value as u16),
            CTRLA if value & 1 != 0 => {
                *self = Self::default();
                return true;
            }
            _ => self.registers.set(offset, size, value),
        }
        false
    }
}
