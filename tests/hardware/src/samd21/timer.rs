//! TC3 in 16-bit mode, counting up.

use crate::registers::Registers;

const CTRLA: u32 = 0x00;
const INTENCLR: u32 = 0x0C;
const INTENSET: u32 = 0x0D;
const INTFLAG: u32 = 0x0E;
const COUNT: u32 = 0x10;
const COMPARE_0: u32 = 0x18;
const COMPARE_1: u32 = 0x1A;

const ENABLE: u32 = 2;
const PRESCALERS: [u64; 8] = [1, 2, 4, 8, 16, 64, 256, 1024];

const OVERFLOW: u8 = 0x01;
const MATCH_0: u8 = 0x10;
const MATCH_1: u8 = 0x20;

#[derive(Default)]
pub(super) struct Timer {
    registers: Registers,
    interrupts: u8,
    flags: u8,
    /// The cycle at which the count was `origin`; ticks are counted from there.
    begin: u64,
    origin: u64,
    /// The count, without its limit of 16 bits, up to which the flags are right.
    seen: u64,
}

impl Timer {
    fn runs(&self) -> bool {
        self.registers.get(CTRLA, 2) & ENABLE != 0
    }

    fn prescaler(&self) -> u64 {
        PRESCALERS[(self.registers.get(CTRLA, 2) >> 8 & 7) as usize]
    }

    fn count(&self, now: u64) -> u64 {
        self.origin + now.saturating_sub(self.begin) / self.prescaler()
    }

    /// Counts from `count` on.
    fn begin(&mut self, now: u64, count: u32) {
        (self.begin, self.origin, self.seen) = (now, count.into(), count.into());
    }

    /// Each flag, and the count at which it comes up next.
    fn next(&self) -> [(u8, u64); 3] {
        let compare = |offset| u64::from(self.registers.get(offset, 2));
        [(MATCH_0, compare(COMPARE_0)), (MATCH_1, compare(COMPARE_1)), (OVERFLOW, 0)].map(|(flag, value)| {
            let ahead = value.wrapping_sub(self.seen + 1) & 0xFFFF;
            (flag, self.seen + 1 + ahead)
        })
    }

    pub(super) fn attend(&mut self, now: u64) {
        if self.runs() {
            let count = self.count(now);
            let passed = self.next().into_iter().filter(|(_, at)| *at <= count);
            self.flags |= passed.fold(0, |flags, (flag, _)| flags | flag);
            self.seen = count;
        }
    }

    pub(super) fn next_event(&self) -> Option<u64> {
        let asked = self.next().into_iter().filter(|(flag, _)| self.runs() && self.interrupts & flag != 0);
        asked.map(|(_, count)| self.begin + (count - self.origin) * self.prescaler()).min()
    }

    pub(super) fn interrupts(&self) -> bool {
        self.flags & self.interrupts != 0
    }

    pub(super) fn load(&mut self, now: u64, offset: u32, size: u32) -> u32 {
        self.attend(now);
        match offset {
            COUNT if self.runs() => self.count(now) as u32 & 0xFFFF,
            INTFLAG => self.flags.into(),
            INTENCLR | INTENSET => self.interrupts.into(),
            _ => self.registers.get(offset, size),
        }
    }

    pub(super) fn store(&mut self, now: u64, offset: u32, size: u32, value: u32) {
        self.attend(now);
        match offset {
            INTENCLR => self.interrupts &= !(value as u8),
            INTENSET => self.interrupts |= value as u8,
            INTFLAG => self.flags &= !(value as u8),
            CTRLA if value & 1 != 0 => *self = Self::default(),
            CTRLA => {
                let ran = self.runs();
                if ran {
                    self.registers.set(COUNT, 2, self.count(now) as u32);
                }
                self.registers.set(CTRLA, 2, value);
                if !ran {
                    self.begin(now, self.registers.get(COUNT, 2));
                }
            }
            COUNT => {
                self.registers.set(COUNT, 2, value);
                self.begin(now, value & 0xFFFF);
            }
            _ => self.registers.set(offset, size, value),
        }
    }
}
