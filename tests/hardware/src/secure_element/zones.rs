//! The memory of the secure element: configuration, one-time programmable zone, and the slots of the data zone.

use super::{Outcome, Status};

const SLOTS: usize = 16;
/// Slots with private keys, which are neither read nor written. Assumed.
const PRIVATE: [usize; 6] = [0, 1, 2, 3, 4, 7];

/// Offsets in the configuration zone (DS40001977, table 2-1).
const I2C_ADDRESS: usize = 16;
const LOCK_VALUE: usize = 86;
const SLOT_LOCKED: usize = 88;

/// What is stored.
#[derive(Clone)]
pub(crate) struct Zones {
    configuration: [u8; 128],
    pub(crate) otp: [u8; 64],
    slots: [Vec<u8>; SLOTS],
}

/// Where a Read or a Write goes.
struct Place {
    zone: u8,
    slot: usize,
    offset: usize,
    size: usize,
}

impl Place {
    /// From the parameters: zone and size in the first, block, offset and slot in the second.
    fn of(p1: u8, p2: u16) -> Self {
        let (zone, size) = (p1 & 3, if p1 & 0x80 != 0 { 32 } else { 4 });
        let p2 = usize::from(p2);
        let (slot, block) = if zone == 2 { (p2 >> 3 & 15, p2 >> 8) } else { (0, p2 >> 3 & 31) };
        let word = if size == 4 { p2 & 7 } else { 0 };
        Self { zone, slot, offset: 32 * block + 4 * word, size }
    }
}

impl Zones {
    /// As the factory leaves it: both zones are locked, no slot is. What the firmware does not read of the configuration is 0.
    pub(super) fn new(address: u8, serial: [u8; 9]) -> Self {
        let mut configuration = [0; 128];
        configuration[..4].copy_from_slice(&serial[..4]);
        configuration[4..8].copy_from_slice(&super::REVISION);
        configuration[8..13].copy_from_slice(&serial[4..]);
        // Reserved byte, and the interface: I2C.
        configuration[13..15].copy_from_slice(&[if address == 0x58 { 0x01 } else { 0xC1 }, 0x01]);
        configuration[I2C_ADDRESS] = address << 1;
        configuration[LOCK_VALUE..LOCK_VALUE + 2].fill(0);
        configuration[SLOT_LOCKED..SLOT_LOCKED + 2].fill(0xFF);
        let slots = std::array::from_fn(|slot| {
            vec![
                0;
                match slot {
                    0..8 => 36,
                    8 => 416,
                    _ => 72,
                }
            ]
        });
        Self { configuration, otp: [0; 64], slots }
    }

    /// The serial number.
    pub(crate) fn serial(&self) -> [u8; 9] {
        let mut serial = [0; 9];
        serial[..4].copy_from_slice(&self.configuration[..4]);
        serial[4..].copy_from_slice(&self.configuration[8..13]);
        serial
    }

    /// Fills a slot, as the factory does; more than it holds is dropped.
    pub(crate) fn fill(&mut self, slot: usize, data: &[u8]) {
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.iter_mut().zip(data).for_each(|(byte, new)| *byte = *new);
        }
    }

    /// Whether a slot was locked.
    pub(crate) fn is_locked(&self, slot: usize) -> bool {
        self.configuration[SLOT_LOCKED + slot / 8 % 2] >> (slot % 8) & 1 == 0
    }

    fn area(&self, place: &Place) -> Result<&[u8], Status> {
        let area = match place.zone {
            0 => &self.configuration[..],
            1 => &self.otp[..],
            2 => &self.slots[place.slot][..],
            _ => return Err(Status::ParseError),
        };
        // 32 bytes may go past the end of the last block, 4 may not.
        let reach = if place.size == 4 { 4 } else { 1 };
        if place.offset + reach > area.len() {
            return Err(Status::ParseError);
        }
        Ok(&area[place.offset..area.len().min(place.offset + place.size)])
    }

    pub(super) fn read(&self, p1: u8, p2: u16) -> Outcome {
        let place = Place::of(p1, p2);
        let area = self.area(&place)?;
        if place.zone == 2 && PRIVATE.contains(&place.slot) {
            return Err(Status::ExecutionError);
        }
        let mut data = area.to_vec();
        data.resize(place.size, 0);
        Ok(data)
    }

    pub(super) fn write(&mut self, p1: u8, p2: u16, data: &[u8]) -> Outcome {
        let place = Place::of(p1, p2);
        let length = self.area(&place)?.len();
        if data.len() != place.size {
            return Err(Status::ParseError);
        }
        self.writable(&place)?;
        self.slots[place.slot][place.offset..place.offset + length].copy_from_slice(&data[..length]);
        Ok(vec![Status::Success as u8])
    }

    fn writable(&self, place: &Place) -> Result<(), Status> {
        if place.zone != 2 || PRIVATE.contains(&place.slot) || self.is_locked(place.slot) {
            return Err(Status::ExecutionError);
        }
        Ok(())
    }

    /// Locks a slot: bits 1 and 0 of the mode are 2, bits 5 to 2 the slot. The zones are locked already.
    pub(super) fn lock(&mut self, mode: u8) -> Outcome {
        let slot = usize::from(mode >> 2 & 15);
        self.writable(&Place { zone: mode & 3, slot, offset: 0, size: 0 })?;
        self.configuration[SLOT_LOCKED + slot / 8] &= !(1 << (slot % 8));
        Ok(vec![Status::Success as u8])
    }
}
