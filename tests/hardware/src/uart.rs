//! An asynchronous receiver and transmitter, with the wire to the debugger's serial port.
//!
//! Both families of microcontrollers buffer two received bytes and one to send. Times are in cycles of the processor.

use std::collections::VecDeque;

/// Bytes that the receiver keeps until the program reads them.
const BUFFER: usize = 2;
/// Bits of a byte on the wire: start, eight, stop.
const BITS: u64 = 10;
const BAUD: u64 = 115_200;

/// The transceiver, and what is on its wire.
pub(crate) struct Uart {
    /// What the host has sent and what has not arrived yet.
    pub(crate) incoming: VecDeque<u8>,
    /// What the program has sent.
    pub(crate) sent: Vec<u8>,
    /// Bytes that arrived while the buffer was full.
    pub(crate) lost: u64,
    buffer: VecDeque<u8>,
    /// Cycles of a byte on the wire.
    byte: u64,
    /// When the next byte can have arrived.
    arrival: u64,
    /// When the next byte can be written, and when the last one is out.
    pub(crate) free: u64,
    pub(crate) done: u64,
}

impl Uart {
    /// A transceiver at 115200 baud in a microcontroller of `frequency` Hz.
    pub(crate) fn new(frequency: u64) -> Self {
        Self {
            incoming: VecDeque::new(),
            sent: Vec::new(),
            lost: 0,
            buffer: VecDeque::new(),
            byte: frequency * BITS / BAUD,
            arrival: 0,
            free: 0,
            done: 0,
        }
    }

    /// A reset of the microcontroller; what is on the wire stays there.
    pub(crate) fn reset(&mut self) {
        self.buffer.clear();
        (self.free, self.done) = (0, 0);
    }

    /// Takes the byte that has arrived by `now`, if there is one; true if it is lost.
    pub(crate) fn receive(&mut self, now: u64) -> bool {
        if now < self.arrival {
            return false;
        }
        let Some(byte) = self.incoming.pop_front() else { return false };
        self.arrival = now + self.byte;
        let lost = self.buffer.len() == BUFFER;
        if lost {
            self.lost += 1;
        } else {
            self.buffer.push_back(byte);
        }
        lost
    }

    /// When the next byte arrives, the next can be written, or the last is out.
    pub(crate) fn next_event(&self, now: u64) -> Option<u64> {
        let arrival = (!self.incoming.is_empty()).then_some(self.arrival);
        let sent = [self.free, self.done].into_iter().filter(|at| *at > now);
        sent.chain(arrival).min()
    }

    /// Whether a byte waits for the program.
    pub(crate) fn has_received(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The program reads a byte.
    pub(crate) fn read(&mut self) -> u8 {
        self.buffer.pop_front().unwrap_or(0)
    }

    /// The program writes a byte.
    pub(crate) fn write(&mut self, now: u64, byte: u8) {
        self.free = self.done.max(now);
        self.done = self.free + self.byte;
        self.sent.push(byte);
    }
}
