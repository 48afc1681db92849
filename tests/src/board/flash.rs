//! The Wi-Fi module's flash: 1 MiB of NOR, erased by the sector, programmed by the page, where programming only clears bits.

/// Bytes of flash in the WINC1510.
pub const SIZE: usize = 0x10_0000;
/// Bytes of the smallest piece that can be erased.
pub const SECTOR: usize = 4096;
/// Bytes of a page, and the most that one access may cover.
pub const PAGE: usize = 256;
/// Where the factory put the root certificates; one sector that nobody is to touch.
pub const ROOT_CERTIFICATES: usize = 0x4000;

/// An access the flash cannot do; nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Erase of an address that no sector begins at.
    #[error("address {0:#x} is not the begin of a sector")]
    Unaligned(usize),
    /// No byte, or more than a page.
    #[error("{0} bytes in one access")]
    Length(usize),
    /// Past the end of the flash.
    #[error("address {0:#x} is past the end of the flash")]
    End(usize),
}

/// The flash of one board.
#[derive(Clone)]
pub struct Flash {
    bytes: Vec<u8>,
}

impl Flash {
    /// As it leaves the factory: erased, but for the sector of root certificates, which `filler` fills.
    pub fn factory(filler: impl Iterator<Item = u8>) -> Self {
        let mut bytes = vec![0xFF; SIZE];
        for (byte, content) in bytes[ROOT_CERTIFICATES..ROOT_CERTIFICATES + SECTOR].iter_mut().zip(filler) {
            *byte = content;
        }
        Self { bytes }
    }

    /// Sets the sector of 4096 bytes that begins at `address` to 0xFF.
    ///
    /// # Errors
    /// [`Error::Unaligned`], [`Error::End`].
    pub fn erase(&mut self, address: usize) -> Result<(), Error> {
        if !address.is_multiple_of(SECTOR) {
            return Err(Error::Unaligned(address));
        }
        let sector =
            self.bytes.get_mut(address..address.saturating_add(SECTOR)).ok_or(Error::End(address))?;
        sector.fill(0xFF);
        Ok(())
    }

    /// Programs `data`: each bit becomes old AND new, as NOR flash does.
    ///
    /// Like a NOR chip's page program, the address wraps inside its page of 256 bytes: what would run over the end of the
    /// page lands at its begin. Real boards may split such a write in the driver; a host that relies on it is wrong here.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::End`].
    pub fn program(&mut self, address: usize, data: &[u8]) -> Result<(), Error> {
        check(address, data.len())?;
        let page = address - address % PAGE;
        for (i, byte) in data.iter().enumerate() {
            self.bytes[page + (address + i) % PAGE] &= byte;
        }
        Ok(())
    }

    /// The `count` bytes at `address`, at most 256; reads cross pages freely.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::End`].
    pub fn read(&self, address: usize, count: usize) -> Result<&[u8], Error> {
        check(address, count)?;
        Ok(&self.bytes[address..address + count])
    }

    /// All of it, past the limits of one access.
    pub fn image(&self) -> &[u8] {
        &self.bytes
    }

    /// All of it to be changed from outside, as no host could: for tests that need a certain content.
    pub fn image_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

fn check(address: usize, count: usize) -> Result<(), Error> {
    if !(1..=PAGE).contains(&count) {
        return Err(Error::Length(count));
    }
    match address.checked_add(count) {
        Some(end) if end <= SIZE => Ok(()),
        _ => Err(Error::End(address)),
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
        flash.program(0x5000, &[0b1010_1010]).unwrap();
        flash.program(0x5000, &[0b1100_1100]).unwrap();
        assert_eq!(flash.read(0x5000, 1).unwrap(), [0b1000_1000]);
        flash.erase(0x5000).unwrap();
        assert_eq!(flash.read(0x5000, 1).unwrap(), [0xFF]);
    }

    #[test]
    fn erasing_leaves_the_neighbouring_sectors_alone() {
        let mut flash = blank();
        for address in [0x4FFF, 0x5000, 0x5FFF, 0x6000] {
            flash.program(address, &[0]).unwrap();
        }
        flash.erase(0x5000).unwrap();
        let left: Vec<u8> = [0x4FFF, 0x5000, 0x5FFF, 0x6000].map(|a| flash.image()[a]).into();
        assert_eq!(left, [0, 0xFF, 0xFF, 0]);
    }

    #[test]
    fn programming_wraps_inside_the_page() {
        let mut flash = blank();
        flash.program(0x50FE, &[1, 2, 3, 4]).unwrap();
        assert_eq!(flash.read(0x50FE, 2).unwrap(), [1, 2]);
        assert_eq!(flash.read(0x5000, 2).unwrap(), [3, 4]);
        assert_eq!(flash.read(0x5100, 2).unwrap(), [0xFF, 0xFF]);
    }

    #[test]
    fn accesses_out_of_bounds_are_refused() {
        let mut flash = blank();
        assert_eq!(flash.erase(0x5001), Err(Error::Unaligned(0x5001)));
        assert_eq!(flash.erase(SIZE), Err(Error::End(SIZE)));
        assert_eq!(flash.program(0, &[]), Err(Error::Length(0)));
        assert_eq!(flash.program(0, &[0; 257]), Err(Error::Length(257)));
        assert_eq!(flash.program(SIZE - 1, &[0; 2]), Err(Error::End(SIZE - 1)));
        assert_eq!(flash.read(usize::MAX, 2), Err(Error::End(usize::MAX)));
        assert_eq!(flash.read(SIZE - 256, 256).unwrap(), [0xFF; 256]);
    }
}
