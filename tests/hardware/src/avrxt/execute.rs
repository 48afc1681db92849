//! The instructions of the AVRxt core. Each `execute…` gives `None` for a code that is none.

use super::Flag::{C, H, I, N, S, T, V, Z};
use super::{Bus, Core};

const X: usize = 26;
const Y: usize = 28;
const Z_POINTER: usize = 30;

/// The register in the bits `d dddd` of most instructions.
fn rd(op: u16) -> usize {
    (op >> 4 & 31) as usize
}

/// The register in the bits `r … rrrr`.
fn rr(op: u16) -> usize {
    (op & 15 | op >> 5 & 16) as usize
}

/// The register of 16 to 31 in four bits, for instructions with an immediate.
fn rd_high(op: u16) -> usize {
    16 + (op >> 4 & 15) as usize
}

fn immediate(op: u16) -> u8 {
    (op & 15 | op >> 4 & 0xF0) as u8
}

/// A number of `bits` bits with a sign.
fn signed(value: u16, bits: u32) -> u16 {
    (((value << (16 - bits)) as i16) >> (16 - bits)) as u16
}

fn has_two_words(op: u16) -> bool {
    // LDS and STS; JMP and CALL.
    op & 0xFC0F == 0x9000 || op & 0xFE0C == 0x940C
}

impl Core {
    pub(super) fn execute<B: Bus>(&mut self, bus: &mut B, op: u16) -> Option<()> {
        match op >> 12 {
            0..=2 => self.two_registers(bus, op)?,
            3 => _ = self.subtract(self.r[rd_high(op)], immediate(op), false, false),
            4 => self.r[rd_high(op)] = self.subtract(self.r[rd_high(op)], immediate(op), self.get(C), true),
            5 => self.r[rd_high(op)] = self.subtract(self.r[rd_high(op)], immediate(op), false, false),
            6 => self.r[rd_high(op)] = self.logic(self.r[rd_high(op)] | immediate(op)),
            7 => self.r[rd_high(op)] = self.logic(self.r[rd_high(op)] & immediate(op)),
            8 | 10 => {
                let base = self.pair(if op & 8 != 0 { Y } else { Z_POINTER });
                let address = base.wrapping_add(op & 7 | op >> 7 & 0x18 | op >> 8 & 0x20);
                self.transfer(bus, op, address);
            }
            9 => match op >> 8 & 15 {
                0..=3 => self.indirect(bus, op)?,
                4 | 5 => self.one_register(bus, op)?,
                6 | 7 => self.add_to_pair(op),
                8..=11 => self.io_bit(bus, op),
                _ => self.multiply(self.r[rd(op)].into(), self.r[rr(op)].into(), false),
            },
            11 => {
                let address = op & 15 | op >> 5 & 0x30;
                if op & 0x800 != 0 {
                    self.store(bus, address, self.r[rd(op)]);
                } else {
                    self.r[rd(op)] = self.load(bus, address);
                }
            }
            12 => self.jump(signed(op & 0xFFF, 12)),
            13 => {
                self.push_pc(bus);
                self.jump(signed(op & 0xFFF, 12));
            }
            14 => self.r[rd_high(op)] = immediate(op),
            _ => self.branch_or_bit(bus, op)?,
        }
        Some(())
    }

    fn jump(&mut self, words: u16) {
        self.pc = self.pc.wrapping_add(words);
        self.cycles += 1;
    }

    /// Skips the next instruction if `condition` holds.
    fn skip_if<B: Bus>(&mut self, bus: &B, condition: bool) {
        if condition {
            let words = if has_two_words(bus.word(self.pc)) { 2 } else { 1 };
            self.pc = self.pc.wrapping_add(words);
            self.cycles += u64::from(words);
        }
    }

    /// Sets Z, N and S of a result; V has to be set before.
    fn result(&mut self, value: u8) -> u8 {
        self.set(N, value & 0x80 != 0);
        self.set(Z, value == 0);
        self.set(S, self.get(N) != self.get(V));
        value
    }

    fn logic(&mut self, value: u8) -> u8 {
        self.set(V, false);
        self.result(value)
    }

    fn add(&mut self, a: u8, b: u8, carry: bool) -> u8 {
        let wide = u16::from(a) + u16::from(b) + u16::from(carry);
        let sum = wide as u8;
        self.set(H, (a & 15) + (b & 15) + u8::from(carry) > 15);
        self.set(C, wide > 0xFF);
        self.set(V, (a ^ sum) & (b ^ sum) & 0x80 != 0);
        self.result(sum)
    }

    /// With `chained` (CPC, SBC, SBCI), Z stays cleared if an earlier byte was not zero.
    fn subtract(&mut self, a: u8, b: u8, borrow: bool, chained: bool) -> u8 {
        let before = self.get(Z);
        let difference = a.wrapping_sub(b).wrapping_sub(u8::from(borrow));
        self.set(H, a & 15 < (b & 15) + u8::from(borrow));
        self.set(C, u16::from(a) < u16::from(b) + u16::from(borrow));
        self.set(V, (a ^ b) & (a ^ difference) & 0x80 != 0);
        self.result(difference);
        if chained {
            self.set(Z, before && difference == 0);
        }
        difference
    }

    /// A shift to the right by one; `top` comes in, the lowest bit goes to the carry.
    fn shift_right(&mut self, value: u8, top: bool) -> u8 {
        let shifted = value >> 1 | u8::from(top) << 7;
        self.set(C, value & 1 != 0);
        self.set(V, top != (value & 1 != 0));
        self.result(shifted)
    }

    fn multiply(&mut self, a: i32, b: i32, fractional: bool) {
        let product = (a * b) as u32;
        self.set(C, product & 0x8000 != 0);
        let stored = (product << u32::from(fractional)) as u16;
        self.set(Z, stored == 0);
        self.set_pair(0, stored);
        self.cycles += 1;
    }

    /// Codes from 0x0000 to 0x2FFF.
    fn two_registers<B: Bus>(&mut self, bus: &mut B, op: u16) -> Option<()> {
        let (d, a, b) = (rd(op), self.r[rd(op)], self.r[rr(op)]);
        match op >> 10 {
            0 => return self.moves_and_products(op),
            1 => _ = self.subtract(a, b, self.get(C), true),
            2 => self.r[d] = self.subtract(a, b, self.get(C), true),
            3 => self.r[d] = self.add(a, b, false),
            4 => self.skip_if(bus, a == b),
            5 => _ = self.subtract(a, b, false, false),
            6 => self.r[d] = self.subtract(a, b, false, false),
            7 => self.r[d] = self.add(a, b, self.get(C)),
            8 => self.r[d] = self.logic(a & b),
            9 => self.r[d] = self.logic(a ^ b),
            10 => self.r[d] = self.logic(a | b),
            _ => self.r[d] = b,
        }
        Some(())
    }

    /// NOP, MOVW, and the products with a sign.
    fn moves_and_products(&mut self, op: u16) -> Option<()> {
        let with_sign = |value: u8| i32::from(value as i8);
        match op >> 8 {
            0 if op == 0 => {}
            1 => self.set_pair((op >> 3 & 30) as usize, self.pair((op << 1 & 30) as usize)),
            2 => {
                let b = self.r[16 + (op & 15) as usize];
                self.multiply(with_sign(self.r[rd_high(op)]), with_sign(b), false);
            }
            3 => {
                let (a, b) = (self.r[16 + (op >> 4 & 7) as usize], self.r[16 + (op & 7) as usize]);
                match (op & 0x80 != 0, op & 8 != 0) {
                    (false, false) => self.multiply(with_sign(a), b.into(), false), // MULSU
                    (false, true) => self.multiply(a.into(), b.into(), true),       // FMUL
                    (true, false) => self.multiply(with_sign(a), with_sign(b), true), // FMULS
                    (true, true) => self.multiply(with_sign(a), b.into(), true),    // FMULSU
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// A load to the register of `op`, or a store of it.
    fn transfer<B: Bus>(&mut self, bus: &mut B, op: u16, address: u16) {
        if op & 0x200 != 0 {
            self.store(bus, address, self.r[rd(op)]);
        } else {
            self.r[rd(op)] = self.load(bus, address);
            self.cycles += 1;
        }
    }

    /// LD, ST, LDS, STS, LPM, PUSH and POP.
    fn indirect<B: Bus>(&mut self, bus: &mut B, op: u16) -> Option<()> {
        let pointer = match op & 15 {
            1 | 2 | 4 | 5 => Z_POINTER,
            9 | 10 => Y,
            _ => X,
        };
        let address = self.pair(pointer);
        match op & 15 {
            0 => {
                let address = self.fetch(bus);
                self.cycles += 1;
                self.transfer(bus, op, address);
            }
            1 | 9 | 13 => {
                self.transfer(bus, op, address);
                self.set_pair(pointer, address.wrapping_add(1));
            }
            2 | 10 | 14 => {
                self.set_pair(pointer, address.wrapping_sub(1));
                self.transfer(bus, op, address.wrapping_sub(1));
            }
            12 => self.transfer(bus, op, address),
            // Program memory; with op & 0x200 these would be XCH and its like, which this kind does not have.
            4 | 5 if op & 0x200 == 0 => {
                self.r[rd(op)] = bus.program_byte(address);
                if op & 1 != 0 {
                    self.set_pair(pointer, address.wrapping_add(1));
                }
                self.cycles += 2;
            }
            15 if op & 0x200 != 0 => self.push(bus, self.r[rd(op)]),
            15 => {
                self.r[rd(op)] = self.pop(bus);
                self.cycles += 1;
            }
            _ => return None,
        }
        Some(())
    }

    /// Codes of the form 1001 010d dddd xxxx.
    fn one_register<B: Bus>(&mut self, bus: &mut B, op: u16) -> Option<()> {
        let (d, value) = (rd(op), self.r[rd(op)]);
        match op & 15 {
            0 => {
                self.r[d] = self.logic(!value);
                self.set(C, true);
            }
            1 => self.r[d] = self.subtract(0, value, false, false),
            2 => self.r[d] = value.rotate_left(4),
            3 => {
                self.set(V, value == 0x7F);
                self.r[d] = self.result(value.wrapping_add(1));
            }
            5 => self.r[d] = self.shift_right(value, value & 0x80 != 0),
            6 => self.r[d] = self.shift_right(value, false),
            7 => self.r[d] = self.shift_right(value, self.get(C)),
            8 => return self.without_operand(bus, op),
            // IJMP and ICALL.
            9 if op & 0xFEFF == 0x9409 => {
                if op & 0x100 != 0 {
                    self.push_pc(bus);
                }
                self.pc = self.pair(Z_POINTER);
                self.cycles += 1;
            }
            10 => {
                self.set(V, value == 0x80);
                self.r[d] = self.result(value.wrapping_sub(1));
            }
            12..=15 => {
                let target = self.fetch(bus);
                if op & 2 != 0 {
                    self.push_pc(bus);
                }
                self.pc = target;
                self.cycles += 2;
            }
            _ => return None,
        }
        Some(())
    }

    /// Flags, returns, and what else has no operand.
    fn without_operand<B: Bus>(&mut self, bus: &mut B, op: u16) -> Option<()> {
        match op {
            0x9408..=0x94F8 => {
                let bit = 1 << (op >> 4 & 7);
                if op & 0x80 != 0 {
                    self.flags &= !bit;
                } else {
                    self.held_off |= bit == 1 << I as u8 && !self.get(I);
                    self.flags |= bit;
                }
            }
            0x9508 | 0x9518 => {
                self.pop_pc(bus);
                if op == 0x9518 {
                    (self.handling, self.held_off) = (false, true);
                }
                self.cycles += 3;
            }
            // SLEEP and WDR: waiting is a loop in the image, and the watchdog is off.
            0x9588 | 0x95A8 => {}
            0x95C8 => {
                self.r[0] = bus.program_byte(self.pair(Z_POINTER));
                self.cycles += 2;
            }
            _ => return None,
        }
        Some(())
    }

    /// ADIW and SBIW.
    fn add_to_pair(&mut self, op: u16) {
        let pair = 24 + (op >> 3 & 6) as usize;
        let (before, by) = (self.pair(pair), op & 15 | op >> 2 & 0x30);
        let subtracts = op & 0x100 != 0;
        let (after, carry) = if subtracts { before.overflowing_sub(by) } else { before.overflowing_add(by) };
        // The number added is small and positive, so the sign of the result changes only the one way.
        let overflow = if subtracts { before & !after } else { !before & after };
        self.set(C, carry);
        self.set(V, overflow & 0x8000 != 0);
        self.set(N, after & 0x8000 != 0);
        self.set(Z, after == 0);
        self.set(S, self.get(N) != self.get(V));
        self.set_pair(pair, after);
        self.cycles += 1;
    }

    /// CBI, SBIC, SBI and SBIS.
    fn io_bit<B: Bus>(&mut self, bus: &mut B, op: u16) {
        let (address, bit) = (op >> 3 & 31, 1 << (op & 7));
        let value = self.load(bus, address);
        match op >> 8 & 3 {
            0 => self.store(bus, address, value & !bit),
            1 => self.skip_if(bus, value & bit == 0),
            2 => self.store(bus, address, value | bit),
            _ => self.skip_if(bus, value & bit != 0),
        }
    }

    /// Codes from 0xF000 on: branches by a flag, and bits of registers.
    fn branch_or_bit<B: Bus>(&mut self, bus: &mut B, op: u16) -> Option<()> {
        let (d, bit) = (rd(op), 1u8 << (op & 7));
        match op >> 10 & 3 {
            0 | 1 => {
                if (self.flags & bit != 0) == (op & 0x400 == 0) {
                    self.jump(signed(op >> 3 & 0x7F, 7));
                }
            }
            _ if op & 8 != 0 => return None,
            2 if op & 0x200 == 0 => {
                self.r[d] = if self.get(T) { self.r[d] | bit } else { self.r[d] & !bit };
            }
            2 => self.set(T, self.r[d] & bit != 0),
            _ => self.skip_if(bus, (self.r[d] & bit != 0) == (op & 0x200 != 0)),
        }
        Some(())
    }
}
