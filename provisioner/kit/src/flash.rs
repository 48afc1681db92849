//! What belongs into the Wi-Fi module's flash: regions of bytes, cut into page writes that skip what erasing leaves.

use std::ops::Range;

use super::command::FLASH_PAGE;

/// The sector of the root certificate store.
pub const ROOT_STORE: u32 = 0x4000;
/// First address of the client certificate store.
pub const CLIENT_STORE: u32 = 0x5000;
/// The store must end below this address.
pub const CLIENT_STORE_END: u32 = ENDPOINT;
/// The page of the endpoint host name, ASCII, NUL-terminated.
pub const ENDPOINT: u32 = 0x6E00;
/// The page of the thing name, ASCII, NUL-terminated.
pub const THING_NAME: u32 = 0x6F00;
/// The longest thing name with its NUL, in bytes.
pub const THING_NAME_SIZE: usize = 42;
/// Size of a sector, the least that can be erased, in bytes.
pub const SECTOR_SIZE: u32 = 0x1000;
/// The sector of the module's boot firmware.
pub const BOOT_SECTOR: u32 = 0;
/// What an erased byte reads as.
pub const ERASED: u8 = 0xFF;

/// A gap of erased bytes shorter than this is cheaper to write than to skip: a command costs about 40 bytes on the
/// wire and 3 ms in the module, a byte written costs two.
const GAP_MIN: usize = 40;

/// What sectors are to hold: regions, and erased bytes between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flash {
    regions: Vec<(u32, Vec<u8>)>,
}

impl Flash {
    /// Adds bytes at an address. The caller keeps regions apart.
    pub fn put(&mut self, address: u32, bytes: &[u8]) {
        self.regions.push((address, bytes.to_vec()));
    }

    /// Adds a NUL-terminated text.
    pub fn put_text(&mut self, address: u32, text: &str) {
        self.put(address, &[text.as_bytes(), &[0]].concat());
    }

    /// `size` bytes from `address` on, as the flash holds them afterwards.
    pub fn image(&self, address: u32, size: usize) -> Vec<u8> {
        let mut image = vec![ERASED; size];
        for (start, bytes) in &self.regions {
            for (offset, &byte) in bytes.iter().enumerate() {
                let at = (*start as usize + offset).checked_sub(address as usize);
                if let Some(to) = at.and_then(|at| image.get_mut(at)) {
                    *to = byte;
                }
            }
        }
        image
    }

    /// The writes that make an erased flash hold this: none crosses a page, none begins or ends with an erased byte.
    pub fn writes(&self) -> Vec<(u32, &[u8])> {
        self.cut(|address| FLASH_PAGE - address as usize % FLASH_PAGE)
    }

    /// The reads that cover the same bytes with the fewest commands.
    pub fn reads(&self) -> Vec<(u32, &[u8])> {
        self.cut(|_| FLASH_PAGE)
    }

    fn cut(&self, room: impl Fn(u32) -> usize) -> Vec<(u32, &[u8])> {
        let mut pieces = Vec::new();
        for (start, bytes) in &self.regions {
            for run in runs(bytes) {
                let mut from = run.start;
                while from < run.end {
                    let address = start + from as u32;
                    let to = run.end.min(from + room(address));
                    pieces.push((address, &bytes[from..to]));
                    from = to;
                }
            }
        }
        pieces
    }
}

/// The parts of `bytes` between gaps of at least [`GAP_MIN`] erased bytes.
fn runs(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (at, _) in bytes.iter().enumerate().filter(|(_, b)| **b != ERASED) {
        match runs.last_mut() {
            Some(run) if at - run.end < GAP_MIN => run.end = at + 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// NOR flash: writing only clears bits.
    fn write_all(pieces: &[(u32, &[u8])]) -> Vec<u8> {
        let mut memory = vec![0xFF; 0x2000];
        for (address, bytes) in pieces {
            for (to, from) in memory[(address - CLIENT_STORE) as usize..].iter_mut().zip(*bytes) {
                *to &= from;
            }
        }
        memory
    }

    proptest! {
        #[test]
        fn writing_the_pieces_gives_the_image(
            regions in proptest::collection::vec(
                proptest::collection::vec(prop_oneof![Just(0xFF), Just(0xFF), any::<u8>()], 0..900),
                0..4,
            ),
            offset in 0u32..300,
        ) {
            let mut flash = Flash::default();
            for (i, bytes) in regions.iter().enumerate() {
                flash.put(CLIENT_STORE + offset + 0x700 * i as u32, bytes);
            }
            let image = flash.image(CLIENT_STORE, 0x2000);
            prop_assert_eq!(write_all(&flash.writes()), image.clone());
            prop_assert_eq!(write_all(&flash.reads()), image);
            for (address, bytes) in flash.writes() {
                prop_assert!(!bytes.is_empty() && address as usize % 256 + bytes.len() <= 256);
            }
            prop_assert!(flash.reads().iter().all(|(_, bytes)| bytes.len() <= 256));
        }
    }

    #[test]
    fn texts_are_nul_terminated_and_nothing_more_is_written() {
        let mut flash = Flash::default();
        flash.put_text(THING_NAME, "abc");
        assert_eq!(flash.writes(), [(0x6F00, b"abc\0".as_slice())]);
    }
}
