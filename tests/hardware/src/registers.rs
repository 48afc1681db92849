//! Registers that keep what is written to them, and are accessed in any width.

/// A block of registers, little endian.
pub(crate) struct Registers(Vec<u8>);

impl Registers {
    /// `size` bytes of zeros.
    pub(crate) fn new(size: usize) -> Self {
        Self(vec![0; size])
    }

    /// The `size` bytes at `offset`; what lies past the end is 0.
    pub(crate) fn get(&self, offset: u32, size: u32) -> u32 {
        let bytes = self.0.iter().skip(offset as usize).take(size as usize);
        bytes.rev().fold(0, |value, byte| value << 8 | u32::from(*byte))
    }

    /// Writes the `size` bytes at `offset`; what lies past the end is dropped.
    pub(crate) fn set(&mut self, offset: u32, size: u32, value: u32) {
        let bytes = self.0.iter_mut().skip(offset as usize).take(size as usize);
        bytes.zip(value.to_le_bytes()).for_each(|(byte, new)| *byte = new);
    }
}
