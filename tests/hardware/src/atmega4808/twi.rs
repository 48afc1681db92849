//! TWI0 as master: the bus of the secure element. The program waits for each byte, so it is done at once and takes its time.

use crate::machine::World;

const MCTRLB: u16 = 4;
const MSTATUS: u16 = 5;
const MBAUD: u16 = 6;
const MADDR: u16 = 7;
const MDATA: u16 = 8;

/// Bits of MSTATUS.
const READ_DONE: u8 = 0x80;
const WRITE_DONE: u8 = 0x40;
const NOT_ACKNOWLEDGED: u8 = 0x10;
/// Bus errors and lost arbitration, and the interrupt flags, are cleared by writing ones.
const CLEARABLE: u8 = 0xEC;
const BUS_STATE: u8 = 3;
const IDLE: u8 = 1;
const OWNER: u8 = 2;
/// Bits of MCTRLB.
const FLUSH: u8 = 8;
const NO_ACKNOWLEDGE: u8 = 4;

#[derive(Default)]
pub(super) struct Twi {
    registers: [u8; 16],
    reads: bool,
}

impl Twi {
    fn status(&self) -> u8 {
        self.registers[usize::from(MSTATUS)]
    }

    fn owns(&self) -> bool {
        self.status() & BUS_STATE == OWNER
    }

    fn set_status(&mut self, status: u8) {
        self.registers[usize::from(MSTATUS)] = status;
    }

    /// Passes the time of so many bits on the bus; without rise time.
    fn pass(&self, world: &mut World, bits: u64) {
        world.now += bits * (10 + 2 * u64::from(self.registers[usize::from(MBAUD)]));
    }

    pub(super) fn load(&self, register: u16) -> u8 {
        self.registers[usize::from(register)]
    }

    pub(super) fn store(&mut self, world: &mut World, register: u16, value: u8) {
        match register {
            MADDR => self.address(world, value),
            MDATA if self.owns() && !self.reads => {
                self.pass(world, 9);
                let refused = if world.element.write(value) { 0 } else { NOT_ACKNOWLEDGED };
                self.set_status(WRITE_DONE | OWNER | refused);
            }
            MDATA => {}
            MSTATUS => {
                let state = if value & BUS_STATE == IDLE { IDLE } else { self.status() & BUS_STATE };
                self.set_status(self.status() & !(value & CLEARABLE) & !BUS_STATE | state);
            }
            MCTRLB => {
                self.registers[usize::from(MCTRLB)] = value & NO_ACKNOWLEDGE;
                match value & 3 {
                    3 => {
                        if self.owns() {
                            world.element.stop(world.micros());
                        }
                        self.set_status(IDLE);
                    }
                    2 if self.owns() && self.reads && value & NO_ACKNOWLEDGE == 0 => self.receive(world),
                    _ => {}
                }
                if value & FLUSH != 0 {
                    self.set_status(IDLE);
                }
            }
            _ => self.registers[usize::from(register)] = value,
        }
    }

    /// A start condition, perhaps a repeated one, and an address.
    fn address(&mut self, world: &mut World, byte: u8) {
        if self.owns() {
            world.element.stop(world.micros());
        }
        self.pass(world, 10);
        self.reads = byte & 1 != 0;
        let acknowledged = world.element.start(world.micros(), byte >> 1, self.reads);
        if acknowledged && self.reads {
            self.receive(world);
        } else {
            self.set_status(WRITE_DONE | OWNER | if acknowledged { 0 } else { NOT_ACKNOWLEDGED });
        }
    }

    fn receive(&mut self, world: &mut World) {
        self.pass(world, 9);
        self.registers[usize::from(MDATA)] = world.element.read();
        self.set_status(READ_DONE | OWNER);
    }
}
