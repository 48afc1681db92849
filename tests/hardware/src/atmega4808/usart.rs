//! USART2: the serial port.

use crate::machine::World;

const RECEIVED_DATA: u16 = 0;
const RECEIVED_FLAGS: u16 = 1;
const DATA: u16 = 2;
const STATUS: u16 = 4;
const INTERRUPTS: u16 = 5;
const ENABLE: u16 = 6;

/// Bits of STATUS and INTERRUPTS (STATUS and CTRLA in the data sheet).
const RECEIVE_COMPLETE: u8 = 0x80;
const TRANSMIT_COMPLETE: u8 = 0x40;
const DATA_EMPTY: u8 = 0x20;
/// Of CTRLB.
const RECEIVER: u8 = 0x80;

/// Vectors of the interrupts.
const VECTORS: [(u8, u32); 3] = [(RECEIVE_COMPLETE, 31), (DATA_EMPTY, 32), (TRANSMIT_COMPLETE, 33)];

#[derive(Default)]
pub(super) struct Usart {
    registers: [u8; 16],
    /// The program has written since the flag for the end of the transmission was cleared.
    transmits: bool,
}

impl Usart {
    pub(super) fn attend(&mut self, world: &mut World) {
        if self.registers[usize::from(ENABLE)] & RECEIVER != 0 {
            world.uart.receive(world.now);
        }
    }

    fn status(&self, world: &World) -> u8 {
        let up = |flag, up: bool| if up { flag } else { 0 };
        up(RECEIVE_COMPLETE, world.uart.has_received())
            | up(DATA_EMPTY, world.now >= world.uart.free)
            | up(TRANSMIT_COMPLETE, self.transmits && world.now >= world.uart.done)
    }

    /// The interrupts that ask, a bit for each vector.
    pub(super) fn requests(&self, world: &World) -> u64 {
        let asking = self.status(world) & self.registers[usize::from(INTERRUPTS)];
        VECTORS.iter().filter(|(flag, _)| asking & flag != 0).fold(0, |bits, (_, vector)| bits | 1 << vector)
    }

    pub(super) fn load(&mut self, world: &mut World, register: u16) -> u8 {
        match register {
            RECEIVED_DATA => world.uart.read(),
            RECEIVED_FLAGS => self.status(world) & RECEIVE_COMPLETE,
            STATUS => self.status(world),
            _ => self.registers[usize::from(register)],
        }
    }

    pub(super) fn store(&mut self, world: &mut World, register: u16, value: u8) {
        match register {
            DATA => {
                world.uart.write(world.now, value);
                self.transmits = true;
            }
            // Writing one clears the flag.
            STATUS => self.transmits &= value & TRANSMIT_COMPLETE == 0,
            _ => self.registers[usize::from(register)] = value,
        }
    }
}
