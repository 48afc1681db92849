//! SERCOM3 as I2C master: the bus of the secure element.

use super::sercom::{BAUD, CTRLA, CTRLB, DATA, INTFLAG, STATUS, Sercom};
use crate::machine::World;

const ADDR: u32 = 0x24;
/// Interrupt flags: the master may go on, and a byte has come.
const MASTER_ON_BUS: u8 = 1;
const SLAVE_ON_BUS: u8 = 2;
/// STATUS: the other side did not acknowledge; where the bus state is.
const NOT_ACKNOWLEDGED: u16 = 4;
const BUS_STATE: u32 = 0x30;
const IDLE: u32 = 0x10;
const OWNER: u32 = 0x20;
/// CTRLB: smart mode, command, and that the master will not acknowledge.
const SMART: u32 = 1 << 8;
const COMMAND: u32 = 3 << 16;
const NO_ACKNOWLEDGE: u32 = 1 << 18;

#[derive(Default)]
pub(super) struct I2c {
    sercom: Sercom,
    /// Bus state, as STATUS tells it.
    bus: u32,
    reads: bool,
    data: u8,
    /// A flag that comes up, and when.
    pending: Option<(u8, u64)>,
}

impl I2c {
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

    fn receive(&mut self, world: &mut World, bits: u64) {
        self.data = world.element.read();
        self.after(world.now, bits, SLAVE_ON_BUS);
    }

    pub(super) fn load(&mut self, world: &mut World, offset: u32, size: u32) -> u32 {
        self.attend(world.now);
        match offset {
            INTFLAG => self.sercom.flags.into(),
            STATUS => self.sercom.load(STATUS, size) | self.bus,
            DATA => {
                let data = self.data;
                self.sercom.flags &= !SLAVE_ON_BUS;
                let control = self.sercom.load(CTRLB, 4);
                // In smart mode, reading acknowledges and goes on.
                if self.reads && self.bus == OWNER && control & (SMART | NO_ACKNOWLEDGE) == SMART {
                    self.receive(world, 9);
                }
                data.into()
            }
            _ => self.sercom.load(offset, size),
        }
    }

    pub(super) fn store(&mut self, world: &mut World, offset: u32, size: u32, value: u32) {
        match offset {
            DATA => {
                self.sercom.flags &= !MASTER_ON_BUS;
                if self.bus == OWNER && !self.reads {
                    self.acknowledged(world.element.write(value as u8));
                    self.after(world.now, 9, MASTER_ON_BUS);
                }
            }
            ADDR => self.address(world, value as u8),
            CTRLB => {
                // The command is carried out, not kept.
                self.sercom.store(CTRLB, 4, value & !COMMAND);
                match (value & COMMAND) >> 16 {
                    3 => self.stop(world),
                    2 if self.reads && value & NO_ACKNOWLEDGE == 0 => self.receive(world, 9),
                    _ => {}
                }
            }
            STATUS => {
                if value & BUS_STATE == IDLE {
                    self.bus = IDLE;
                }
                self.sercom.store(STATUS, size, value & !BUS_STATE);
            }
            _ => {
                if self.sercom.store(offset, size, value) || offset == CTRLA && value & 2 == 0 {
                    self.bus = 0;
                }
            }
        }
    }

    /// A start condition, perhaps a repeated one, and an address.
    fn address(&mut self, world: &mut World, byte: u8) {
        if self.bus == OWNER {
            world.element.stop(world.micros());
        }
        self.bus = OWNER;
        self.reads = byte & 1 != 0;
        self.sercom.flags &= !(MASTER_ON_BUS | SLAVE_ON_BUS);
        let acknowledged = world.element.start(world.micros(), byte >> 1, self.reads);
        self.acknowledged(acknowledged);
        if acknowledged && self.reads {
            self.receive(world, 19);
        } else {
            self.after(world.now, 10, MASTER_ON_BUS);
        }
    }

    fn stop(&mut self, world: &mut World) {
        if self.bus == OWNER {
            world.element.stop(world.micros());
        }
        self.bus = IDLE;
        self.sercom.flags &= !(MASTER_ON_BUS | SLAVE_ON_BUS);
        self.pending = None;
    }
}
