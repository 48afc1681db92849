//! Registers that keep what is written to them, and are accessed in any width.

/// A block of registers, little endian; what was never written is 0.
#[derive(Default)]
pub(crate) struct Registers(Vec<u8>);

impl Registers {
    /// The `size` bytes at `offset`.
    pub(crate) fn get(&self, offset: u32, size: u32) -> u32 {
        let bytes = (offset..offset + size).map(|at| self.0.get(at as usize).copied().unwrap_or(0));
        bytes.rev().fold(0, |value, byte| value << 8 | u32::from(byte))
    }

    /// Writes the `size` bytes at `offset`.
    pub(crate) fn set(&mut self, offset: u32, size: u32, value: u32) {
        let (begin, size) = (offset as usize, size as usize);
        self.0.resize(self.0.len().max(begin + size), 0);
        self.0[begin..begin + size].copy_from_slice(&value.to_le_bytes()[..size]);
    }
}
