//! The pins: groups A and B, with registers that set, clear and toggle.

use crate::registers::Registers;

const OUT: u32 = 0x10;
const IN: u32 = 0x20;
/// The bit of an address that tells the second group, B, from the first.
const GROUP: u32 = 0x80;
/// PB10 is the Wi-Fi module's reset.
const MODULE_RESET: u32 = 1 << 10;

#[derive(Default)]
pub(super) struct Port(Registers);

impl Port {
    pub(super) fn load(&self, offset: u32, size: u32) -> u32 {
        let value = match offset & !GROUP & !3 {
            // Inputs are low.
            IN => self.0.get(offset & GROUP, 4) & self.0.get(offset & GROUP | OUT, 4),
            // The registers for setting, clearing and toggling read as the register that they act on.
            0..IN => self.0.get(offset & !0xF, 4),
            _ => return self.0.get(offset, size),
        };
        value >> (8 * (offset & 3))
    }

    /// True if the Wi-Fi module's reset was pulled.
    pub(super) fn store(&mut self, offset: u32, size: u32, value: u32) -> bool {
        let (target, action) = (offset & !0xF, offset >> 2 & 3);
        if offset & !GROUP >= IN {
            self.0.set(offset, size, value);
            return false;
        }
        let (before, shift) = (self.0.get(target, 4), 8 * (offset & 3));
        let mask = u32::MAX >> (32 - 8 * size) << shift;
        let bits = value << shift & mask;
        let after = [before & !mask | bits, before & !bits, before | bits, before ^ bits][action as usize];
        self.0.set(target, 4, after);
        target == GROUP | OUT && before & !after & MODULE_RESET != 0
    }
}
