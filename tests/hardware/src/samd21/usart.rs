//! SERCOM5 as USART: the serial port.

use super::sercom::{
    DATA, DATA_EMPTY, ERROR, INTFLAG, OVERFLOW, RECEIVE_COMPLETE, Sercom, TRANSMIT_COMPLETE,
};
use crate::uart::Uart;

pub(super) struct Usart {
    sercom: Sercom,
    pub(super) uart: Uart,
}

impl Usart {
    pub(super) fn new(uart: Uart) -> Self {
        Self { sercom: Sercom::default(), uart }
    }

    pub(super) fn reset(&mut self) {
        self.sercom = Sercom::default();
        self.uart.reset();
    }

    pub(super) fn attend(&mut self, now: u64) {
        if self.sercom.enabled() && self.uart.receive(now) {
            self.sercom.status |= OVERFLOW;
            self.sercom.flags |= ERROR;
        }
    }

    pub(super) fn next_event(&self, now: u64) -> Option<u64> {
        self.uart.next_event(now).filter(|_| self.sercom.enabled())
    }

    pub(super) fn interrupts(&self, now: u64) -> bool {
        self.sercom.asks(self.flags(now))
    }

    fn flags(&self, now: u64) -> u8 {
        let up = |flag: u8, up: bool| if up { flag } else { 0 };
        self.sercom.flags
            | up(DATA_EMPTY, self.sercom.enabled() && now >= self.uart.writable_at())
            | up(TRANSMIT_COMPLETE, now >= self.uart.complete_at())
            | up(RECEIVE_COMPLETE, self.uart.has_received())
    }

    pub(super) fn load(&mut self, now: u64, offset: u32, size: u32) -> u32 {
        match offset {
            INTFLAG => self.flags(now).into(),
            DATA => self.uart.read().into(),
            _ => self.sercom.load(offset, size),
        }
    }

    pub(super) fn store(&mut self, now: u64, offset: u32, size: u32, value: u32) {
        if offset == DATA {
            self.uart.write(now, value as u8);
        } else if self.sercom.store(offset, size, value) {
            self.uart.reset();
        }
    }
}
