//! USART2: the serial port.

use crate::uart::Uart;

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

pub(super) struct Usart {
    pub(super) uart: Uart,
    registers: [u8; 16],
    /// The program has written since the flag for the end of the transmission was cleared.
    transmits: bool,
}

impl Usart {
    pub(super) fn new(uart: Uart) -> Self {
        Self { uart, registers: [0; 16], transmits: false }
    }

    pub(super) fn reset(&mut self) {
        self.uart.reset();
        (self.registers, self.transmits) = ([0; 16], false);
    }

    fn receives(&self) -> bool {
        self.registers[usize::from(ENABLE)] & RECEIVER != 0
    }

    pub(super) fn attend(&mut self, now: u64) {
        if self.receives() {
            self.uart.receive(now);
        }
    }

    pub(super) fn next_event(&self, now: u64) -> Option<u64> {
        self.uart.next_event(now)
    }

    fn status(&self, now: u64) -> u8 {
        let up = |flag, up: bool| if up { flag } else { 0 };
        up(RECEIVE_COMPLETE, self.uart.has_received())
            | up(DATA_EMPTY, now >= self.uart.writable_at())
            | up(TRANSMIT_COMPLETE, self.transmits && now >= self.uart.complete_at())
    }

    /// The interrupts that ask, a bit for each vector.
    pub(super) fn requests(&self, now: u64) -> u64 {
        let asking = self.status(now) & self.registers[usize::from(INTERRUPTS)];
        VECTORS.iter().filter(|(flag, _)| asking & flag != 0).fold(0, |bits, (_, vector)| bits | 1 << vector)
    }

    pub(super) fn load(&mut self, now: u64, register: u16) -> u8 {
        match register {
            RECEIVED_DATA => self.uart.read(),
            RECEIVED_FLAGS => self.status(now) & RECEIVE_COMPLETE,
            STATUS => self.status(now),
            _ => self.registers[usize::from(register)],
        }
    }

    pub(super) fn store(&mut self, now: u64, register: u16, value: u8) {
        match register {
            DATA => {
                self.uart.write(now, value);
                self.transmits = true;
            }
            // Writing one clears the flag.
            STATUS => self.transmits &= value & TRANSMIT_COMPLETE == 0,
            _ => self.registers[usize::from(register)] = value,
        }
    }
}
