//! The Wi-Fi module's flash: 1 MiB of NOR, erased by the sector, programmed by the page, where programming only clears bits.
//!
//! Nothing refuses an address: one past the end wraps, and one within a sector means the sector.

use super::root_store;

/// Bytes of flash in the WINC1510.
pub const SIZE: usize = 0x10_0000;
/// Bytes of the smallest piece that can be erased.
pub const SECTOR: usize = 4096;
/// The most that one access may cover, in bytes.
pub const PAGE: usize = 256;
/// The module's own firmware: what starts it, and what runs it. Without the first sector it does not start any more.
pub const BOOT: usize = 0;
/// Where the factory put the root certificates: one sector.
pub const ROOT_CERTIFICATES: usize = 0x4000;

/// The flash of one board.
#[derive(Clone)]
pub struct Flash {
    bytes: Vec<u8>,
}

impl Flash {
    /// As it leaves the factory: erased, but for the sectors of root certificates and of boot firmware, which `filler` fills.
    pub fn factory(filler: impl Iterator<Item = u8>) -> Self {
        let mut bytes = vec![0xFF; SIZE];
        for (byte, content) in bytes[BOOT..BOOT + SECTOR].iter_mut().zip(filler) {
            *byte = content;
        }
        bytes[ROOT_CERTIFICATES..ROOT_CERTIFICATES + SECTOR].copy_from_slice(&root_store::factory());
        Self { bytes }
    }

    /// The sector of the root certificates.
    pub fn root_store(&self) -> &[u8] {
        &self.bytes[ROOT_CERTIFICATES..ROOT_CERTIFICATES + SECTOR]
    }

    /// Puts one more root in, as no host does.
    pub fn trust(&mut self, pem: &str) {
        let sector = root_store::with(self.root_store(), pem);
        self.bytes[ROOT_CERTIFICATES..ROOT_CERTIFICATES + SECTOR].copy_from_slice(&sector);
    }

    /// Sets the 4096 bytes of the sector to 0xFF that `address` lies in.
    pub fn erase(&mut self, address: usize) {
        let begin = address % SIZE / SECTOR * SECTOR;
        self.bytes[begin..begin + SECTOR].fill(0xFF);
    }

    /// Programs `data`: each bit becomes old AND new, as NOR flash does.
    pub fn program(&mut self, address: usize, data: &[u8]) {
        for (offset, byte) in data.iter().enumerate() {
            self.bytes[address.wrapping_add(offset) % SIZE] &= byte;
        }
    }

    /// The `count` bytes at `address`.
    pub fn read(&self, address: usize, count: usize) -> Vec<u8> {
        (0..count).map(|offset| self.bytes[address.wrapping_add(offset) % SIZE]).collect()
    }

    /// All of it.
    pub fn image(&self) -> &[u8] {
        &self.bytes
    }

    /// All of it to be changed from outside, as no host could: for tests that need a certain content.
    pub fn image_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blank() -> Flash {
        Flash::factory(std::iter::empty())
    }

    #[test]
    fn programming_only_clears_bits_until_the_sector_is_erased() {
        let mut flash = blank();
        flash.program(0x5000, &[0b1010_1010]);
        flash.program(0x5000, &[0b1100_1100]);
        assert_eq!(flash.read(0x5000, 1), [0b1000_1000]);
        flash.erase(0x5000);
        assert_eq!(flash.read(0x5000, 1), [0xFF]);
    }

    #[test]
    fn erasing_leaves_the_neighbouring_sectors_alone() {
        let mut flash = blank();
        for address in [0x4FFF, 0x5000, 0x5FFF, 0x6000] {
            flash.program(address, &[0]);
        }
        flash.erase(0x5000);
        assert_eq!([0x4FFF, 0x5000, 0x5FFF, 0x6000].map(|a| flash.image()[a]), [0, 0xFF, 0xFF, 0]);
    }

    #[test]
    fn an_erase_takes_any_address() {
        for (address, sector) in [(0x5001, 0x5000), (2048, BOOT), (SIZE + 0x6123, 0x6000)] {
            let mut flash = blank();
            flash.program(sector, &[0]);
            flash.erase(address);
            assert_eq!(flash.image()[sector], 0xFF, "{address:#x}");
        }
    }

    #[test]
    fn accesses_go_on_over_pages_and_wrap_at_the_end() {
        let mut flash = blank();
        flash.program(0x50FE, &[1, 2, 3, 4]);
        assert_eq!(flash.read(0x50FE, 4), [1, 2, 3, 4]);
        flash.program(SIZE - 1, &[5, 6]);
        assert_eq!((flash.read(SIZE - 1, 2), flash.image()[0]), (vec![5, 6], 6));
    }
}
