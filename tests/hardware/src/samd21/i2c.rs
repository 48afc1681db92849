//! SERCOM3 as I2C master: the bus of the secure element.

use super::sercom::{BAUD, CTRLA, CTRLB, DATA, INTFLAG, STATUS, Sercom};
use crate::Micros;
use crate::secure_element::SecureElement;

const ADDR: u32 = 0x24;
/// Interrupt flags: the master may go on, and a byte has come.
const MASTER_ON_BUS: u8 = 1;
const SLAVE_ON_BUS: u8 = 2;
/// STATUS: the other side did not acknowledge; where the bus state is.
const NOT_ACKNOWLEDGED: u16 = 4;
const BUS_STATE: u32 = 0x30;
/// CTRLB: smart mode, command, and that the master will not acknowledge.
const SMART: u32 = 1 << 8;
const COMMAND: u32 = 3 << 16;
const NO_ACKNOWLEDGE: u32 = 1 << 18;

/// Who has the bus, as STATUS tells it.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Bus {
    #[default]
    Unknown = 0,
    Idle = 1,
    Owner = 2,
}

#[derive(Default)]
pub(super) struct I2c {
    sercom: Sercom,
    bus: Bus,
    reads: bool,
    data: u8,
    /// A flag that comes up, and when.
    pending: Option<(u8, u64)>,
}

impl I2c {
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    pub(super) fn attend(&mut self, now: u64) {
        if let Some((flag, at)) = self.pending
            && now >= at
        {
            self.sercom.flags |= flag;
            self.pending = None;
        }
    }

    pub(super) fn next_event(&self) -> Option<u64> {
        self.pending.map(|(_, at)| at)
    }

    pub(super) fn interrupts(&self) -> bool {
        self.sercom.asks(self.sercom.flags)
    }

    /// Raises a flag after so many bits on the bus.
    fn after(&mut self, now: u64, bits: u64, flag: u8) {
        let (high, low) = (u64::from(self.sercom.load(BAUD, 1)), u64::from(self.sercom.load(BAUD + 1, 1)));
        let bit = 10 + high + if low == 0 { high } else { low };
        self.pending = Some((flag, now + bits * bit));
    }

    fn acknowledged(&mut self, acknowledged: bool) {
        self.sercom.status =
            self.sercom.status & !NOT_ACKNOWLEDGED | if acknowledged { 0 } else { NOT_ACKNOWLEDGED };
    }

    fn receive(&mut self, now: u64, bits: u64, element: &mut SecureElement) {
        self.data = element.read();
        self.after(now, bits, SLAVE_ON_BUS);
    }

    pub(super) fn load(&mut self, now: u64, offset: u32, size: u32, element: &mut SecureElement) -> u32 {
        self.attend(now);
        match offset {
            INTFLAG => self.sercom.flags.into(),
            STATUS => self.sercom.load(STATUS, size) | (self.bus as u32) << 4,
            DATA => {
                let data = self.data;
                self.sercom.flags &= !SLAVE_ON_BUS;
                let control = self.sercom.load(CTRLB, 4);
                // In smart mode, reading acknowledges and goes on.
                if self.reads && self.bus == Bus::Owner && control & (SMART | NO_ACKNOWLEDGE) == SMART {
                    self.receive(now, 9, element);
                }
                data.into()
            }
            _ => self.sercom.load(offset, size),
        }
    }

    pub(super) fn store(
        &mut self,
        now: u64,
        micros: Micros,
        offset: u32,
        size: u32,
        value: u32,
        element: &mut SecureElement,
    ) {
        match offset {
            DATA => {
                self.sercom.flags &= !MASTER_ON_BUS;
                if self.bus == Bus::Owner && !self.reads {
                    self.acknowledged(element.write(value as u8));
                    self.after(now, 9, MASTER_ON_BUS);
                }
            }
            ADDR => self.address(now, micros, value as u8, element),
            CTRLB => {
                // The command is carried out, not kept.
                self.sercom.store(CTRLB, 4, value & !COMMAND);
                match (value & COMMAND) >> 16 {
                    3 => self.stop(micros, element),
                    2 if self.reads && value & NO_ACKNOWLEDGE == 0 => self.receive(now, 9, element),
                    _ => {}
                }
            }
            STATUS => {
                if value & BUS_STATE == (Bus::Idle as u32) << 4 {
                    self.bus = Bus::Idle;
                }
                self.sercom.store(STATUS, size, value & !BUS_STATE);
            }
            _ => {
                if self.sercom.store(offset, size, value) || offset == CTRLA && value & 2 == 0 {
                    self.bus = Bus::Unknown;
                }
            }
        }
    }

    /// A start condition, perhaps a repeated one, and an address.
    fn address(&mut self, now: u64, micros: Micros, byte: u8, element: &mut SecureElement) {
        if self.bus == Bus::Owner {
            element.stop(micros);
        }
        self.bus = Bus::Owner;
        self.reads = byte & 1 != 0;
        self.sercom.flags &= !(MASTER_ON_BUS | SLAVE_ON_BUS);
        let acknowledged = element.start(micros, byte >> 1, self.reads);
        self.acknowledged(acknowledged);
        if acknowledged && self.reads {
            self.receive(now, 19, element);
        } else {
            self.after(now, 10, MASTER_ON_BUS);
        }
    }

    fn stop(&mut self, micros: Micros, element: &mut SecureElement) {
        if self.bus == Bus::Owner {
            element.stop(micros);
        }
        self.bus = Bus::Idle;
        self.sercom.flags &= !(MASTER_ON_BUS | SLAVE_ON_BUS);
        self.pending = None;
    }
}
