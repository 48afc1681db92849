//! The pins: groups A and B, with registers that set, clear and toggle.

use crate::registers::Registers;

const DIRECTION: u32 = 0x00;
const OUT: u32 = 0x10;
const IN: u32 = 0x20;
/// Bytes of a group's registers; the second is group B.
const GROUP: u32 = 0x80;
/// PB10 is the Wi-Fi module's reset.
const MODULE_RESET: u32 = 1 << 10;

pub(super) struct Port(Registers);

impl Default for Port {
    fn default() -> Self {
        Self(Registers::new(2 * GROUP as usize))
    }
}

impl Port {
    /// The whole register that a register for setting, clearing or toggling acts on.
    fn target(offset: u32) -> u32 {
        offset & !0xF
    }

    pub(super) fn load(&self, offset: u32, size: u32) -> u32 {
        let (group, register) = (offset & GROUP, offset & !GROUP & 0xFF);
        let byte = offset & 3;
        let value = match register & !3 {
            IN => self.0.get(group + DIRECTION, 4) & self.0.get(group + OUT, 4),
            0..IN => self.0.get(Self::target(offset), 4),
            _ => return self.0.get(offset, size),
        };
        value >> (8 * byte)
    }

    /// True if the Wi-Fi module's reset was pulled.
    pub(super) fn store(&mut self, offset: u32, size: u32, value: u32) -> bool {
        if offset & !GROUP & 0xFF >= IN {
            self.0.set(offset, size, value);
            return false;
        }
        let target = Self::target(offset);
        let (before, bits) = (self.0.get(target, 4), value << (8 * (offset & 3)));
        match offset >> 2 & 3 {
            0 => self.0.set(offset, size, value),
            1 => self.0.set(target, 4, before & !bits),
            2 => self.0.set(target, 4, before | bits),
            _ => self.0.set(target, 4, before ^ bits),
        }
        target == GROUP + OUT && before & !self.0.get(target, 4) & MODULE_RESET != 0
    }
}
