//! SERCOM5 as USART: the serial port.

use super::sercom::{
    DATA, DATA_EMPTY, ERROR, INTFLAG, OVERFLOW, RECEIVE_COMPLETE, Sercom, TRANSMIT_COMPLETE,
};
use crate::machine::World;

#[derive(Default)]
pub(super) struct Usart(Sercom);

impl Usart {
    pub(super) fn attend(&mut self, world: &mut World) {
        if self.0.enabled() && world.uart.receive(world.now) {
            self.0.status |= OVERFLOW;
            self.0.flags |= ERROR;
        }
    }

    pub(super) fn next_event(&self, world: &World) -> Option<u64> {
        world.uart.next_event(world.now).filter(|_| self.0.enabled())
    }

    pub(super) fn interrupts(&self, world: &World) -> bool {
        self.0.asks(self.flags(world))
    }

    fn flags(&self, world: &World) -> u8 {
        let up = |flag: u8, up: bool| if up { flag } else { 0 };
        self.0.flags
            | up(DATA_EMPTY, self.0.enabled() && world.now >= world.uart.free)
            | up(TRANSMIT_COMPLETE, world.now >= world.uart.done)
            | up(RECEIVE_COMPLETE, world.uart.has_received())
    }

    pub(super) fn load(&mut self, world: &mut World, offset: u32, size: u32) -> u32 {
        match offset {
            INTFLAG => self.flags(world).into(),
            DATA => world.uart.read().into(),
            _ => self.0.load(offset, size),
        }
    }

    pub(super) fn store(&mut self, world: &mut World, offset: u32, size: u32, value: u32) {
        if offset == DATA {
            world.uart.write(world.now, value as u8);
        } else if self.0.store(offset, size, value) {
            world.uart.reset();
        }
    }
}
