//! SERCOM4 as SPI master: the bus of the Wi-Fi module.

use std::collections::VecDeque;

use super::sercom::{
    BAUD, CTRLB, DATA, DATA_EMPTY, INTFLAG, OVERFLOW, RECEIVE_COMPLETE, Sercom, TRANSMIT_COMPLETE,
};

/// CTRLB.RXEN.
const RECEIVER: u32 = 1 << 17;
/// Bytes that the receiver keeps.
const BUFFER: usize = 2;
/// DMA triggers of SERCOM4.
const RECEIVED: u8 = 9;
const EMPTY: u8 = 10;

#[derive(Default)]
pub(super) struct Spi {
    sercom: Sercom,
    buffer: VecDeque<u8>,
}

impl Spi {
    /// Cycles of one byte.
    pub(super) fn byte(&self) -> u64 {
        8 * 2 * (u64::from(self.sercom.load(BAUD, 1)) + 1)
    }

    /// The byte that came back.
    pub(super) fn receive(&mut self, byte: u8) {
        if self.sercom.load(CTRLB, 4) & RECEIVER == 0 {
        } else if self.buffer.len() < BUFFER {
            self.buffer.push_back(byte);
        } else {
            self.sercom.status |= OVERFLOW;
        }
    }

    /// Whether a DMA trigger is up.
    pub(super) fn requests(&self, trigger: u8) -> bool {
        let flag = match trigger {
            RECEIVED => RECEIVE_COMPLETE,
            EMPTY => DATA_EMPTY,
            _ => return false,
        };
        self.sercom.enabled() && self.flags() & flag != 0
    }

    pub(super) fn interrupts(&self) -> bool {
        self.sercom.asks(self.flags())
    }

    fn flags(&self) -> u8 {
        let idle = if self.sercom.enabled() { DATA_EMPTY | TRANSMIT_COMPLETE } else { 0 };
        let received = if self.buffer.is_empty() { 0 } else { RECEIVE_COMPLETE };
        self.sercom.flags | idle | received
    }

    pub(super) fn load(&mut self, offset: u32, size: u32) -> u32 {
        match offset {
            INTFLAG => self.flags().into(),
            DATA => self.buffer.pop_front().unwrap_or(0).into(),
            _ => self.sercom.load(offset, size),
        }
    }

    /// Gives the byte that goes out, if there is one.
    pub(super) fn store(&mut self, offset: u32, size: u32, value: u32) -> Option<u8> {
        if offset == DATA {
            return Some(value as u8);
        }
        if self.sercom.store(offset, size, value) {
            self.buffer.clear();
        }
        None
    }
}
