//! The module's flash: 8 Mbit of serial NOR flash, and the controller's registers that reach it.

use crate::Micros;

/// Registers of the flash controller.
pub(super) const START: u32 = 0x10204;
pub(super) const COUNT: u32 = 0x10208;
pub(super) const COMMAND: u32 = 0x1020C;
pub(super) const DONE: u32 = 0x10218;
pub(super) const MEMORY_ADDRESS: u32 = 0x1021C;

/// Bytes of the flash.
const SIZE: usize = 0x10_0000;
const SECTOR: usize = 4096;
const PAGE: usize = 256;

/// How long an erase and a page take. Assumed.
const ERASE: Micros = 70_000;
const PROGRAM: Micros = 2_000;

/// Commands of serial NOR flash.
const PAGE_PROGRAM: u8 = 0x02;
const WRITE_DISABLE: u8 = 0x04;
const READ_STATUS: u8 = 0x05;
const WRITE_ENABLE: u8 = 0x06;
const FAST_READ: u8 = 0x0B;
const SECTOR_ERASE: u8 = 0x20;
const READ_ID: u8 = 0x9F;
/// A W25Q80: manufacturer, type and capacity of an 8 Mbit flash.
const ID: [u8; 4] = [0xEF, 0x40, 0x14, 0x00];

/// Something that changed the flash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// The sector with this address was erased.
    Erase(usize),
    /// Bytes at these addresses were programmed.
    Program(std::ops::Range<usize>),
}

/// The flash.
pub(crate) struct Flash {
    image: Vec<u8>,
    writes: Vec<Write>,
    timed: bool,
    enabled: bool,
    busy_until: Micros,
}

impl Flash {
    /// A flash with this content, and 0xFF after it. Without `timed`, erasing and programming take no time.
    pub(crate) fn new(mut image: Vec<u8>, timed: bool) -> Self {
        image.resize(SIZE, 0xFF);
        Self { image, writes: Vec::new(), timed, enabled: false, busy_until: 0 }
    }

    /// All that is stored.
    pub(crate) fn image(&self) -> &[u8] {
        &self.image
    }

    /// What was erased and programmed, in order.
    pub(crate) fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// A command with its address. Gives the data of one that reads.
    pub(super) fn execute(
        &mut self,
        now: Micros,
        [command, high, middle, low]: [u8; 4],
        count: usize,
        program: &[u8],
    ) -> Option<Vec<u8>> {
        let address = u32::from_be_bytes([0, high, middle, low]) as usize % SIZE;
        match command {
            READ_ID => return Some(ID.to_vec()),
            READ_STATUS => {
                let status = u8::from(self.enabled) << 1 | u8::from(now < self.busy_until);
                return Some(vec![status; 4]);
            }
            FAST_READ => return Some((address..).take(count).map(|at| self.image[at % SIZE]).collect()),
            WRITE_ENABLE => self.enabled = true,
            WRITE_DISABLE => self.enabled = false,
            SECTOR_ERASE if self.take_enabled() => {
                self.writes.push(Write::Erase(address));
                let sector = address / SECTOR * SECTOR;
                self.image[sector..sector + SECTOR].fill(0xFF);
                self.work(now, ERASE);
            }
            PAGE_PROGRAM if self.take_enabled() => {
                self.writes.push(Write::Program(address..address + program.len()));
                // Programming clears bits, and goes on at the begin of the page after its end.
                let page = address / PAGE * PAGE;
                for (at, byte) in (address..).zip(program) {
                    self.image[page + at % PAGE] &= byte;
                }
                self.work(now, PROGRAM);
            }
            _ => {} // power up and down, and what the flash ignores
        }
        None
    }

    /// Each erase and each page needs the permission anew.
    fn take_enabled(&mut self) -> bool {
        std::mem::take(&mut self.enabled)
    }

    fn work(&mut self, now: Micros, duration: Micros) {
        self.busy_until = if self.timed { now + duration } else { now };
    }
}
