//! The instructions of ARMv6-M, in the groups of the Architecture Reference Manual (DDI 0419, chapter A5).

use super::{Bus, Core, LR, PC, SP};
use crate::Fault;

/// Step by step the caller fills in where it was.
const UNDEFINED: Fault = Fault::Undefined { at: 0, op: 0 };

#[derive(Clone, Copy)]
enum Shift {
    Left,
    Right,
    Arithmetic,
    Rotate,
}

fn sign_extend(value: u32, bits: u32) -> u32 {
    ((value << (32 - bits)) as i32 >> (32 - bits)) as u32
}

/// The register whose number is in three bits from `bit` on.
fn register(op: u32, bit: u32) -> usize {
    (op >> bit & 7) as usize
}

impl Core {
    /// Executes `op`. PC is at the next halfword already.
    pub(super) fn execute<B: Bus>(&mut self, bus: &mut B, op: u32) -> Result<(), Fault> {
        let imm8 = op & 0xFF;
        match op >> 10 {
            0..0x10 => self.shift_add_move(op),
            0x10 => self.data_processing(op),
            0x11 => self.special(bus, op)?,
            0x12 | 0x13 => {
                let address = (self.operand(PC) & !3) + 4 * imm8;
                self.r[register(op, 8)] = self.load(bus, address, 4)?;
                self.cycles += 1;
            }
            0x14..0x28 => self.load_store(bus, op)?,
            0x28 | 0x29 => self.r[register(op, 8)] = (self.operand(PC) & !3) + 4 * imm8,
            0x2A | 0x2B => self.r[register(op, 8)] = self.r[SP].wrapping_add(4 * imm8),
            0x2C..0x30 => self.miscellaneous(bus, op)?,
            0x30..0x34 => self.multiple(bus, op)?,
            0x34..0x38 => {
                if op >> 9 & 7 == 7 {
                    return Err(UNDEFINED); // UDF and SVC: the firmware has none
                }
                if self.holds(op >> 8 & 15) {
                    self.jump(sign_extend(imm8, 8) << 1);
                }
            }
            0x38 | 0x39 => self.jump(sign_extend(op & 0x7FF, 11) << 1),
            0x3C | 0x3D => self.wide(bus, op)?,
            _ => return Err(UNDEFINED),
        }
        Ok(())
    }

    /// A register as an operand: PC reads as the address of the instruction plus 4.
    fn operand(&self, register: usize) -> u32 {
        if register == PC { self.r[PC].wrapping_add(2) } else { self.r[register] }
    }

    /// A taken branch relative to PC.
    fn jump(&mut self, offset: u32) {
        self.r[PC] = self.operand(PC).wrapping_add(offset);
        self.cycles += 1;
    }

    /// A branch to an address of which bit 0 is set, or the return from a handler.
    fn exchange<B: Bus>(&mut self, bus: &mut B, target: u32) -> Result<(), Fault> {
        if target >= 0xFFFF_FFF0 && !self.active.is_empty() {
            return self.leave(bus);
        }
        if target & 1 == 0 {
            return Err(Fault::Fetch(target));
        }
        self.r[PC] = target & !1;
        Ok(())
    }

    fn holds(&self, condition: u32) -> bool {
        let holds = match condition >> 1 {
            0 => self.z,
            1 => self.c,
            2 => self.n,
            3 => self.v,
            4 => self.c && !self.z,
            5 => self.n == self.v,
            _ => !self.z && self.n == self.v,
        };
        holds == (condition & 1 == 0)
    }

    fn result(&mut self, value: u32) -> u32 {
        (self.n, self.z) = (value >> 31 != 0, value == 0);
        value
    }

    fn add(&mut self, a: u32, b: u32, carry: bool) -> u32 {
        let wide = u64::from(a) + u64::from(b) + u64::from(carry);
        let sum = wide as u32;
        self.c = wide >> 32 != 0;
        self.v = (a ^ sum) & (b ^ sum) & 1 << 31 != 0;
        self.result(sum)
    }

    fn subtract(&mut self, a: u32, b: u32) -> u32 {
        self.add(a, !b, true)
    }

    /// A shift by 0 to 255 places. By 0, the carry stays.
    fn shift(&mut self, kind: Shift, value: u32, by: u32) -> u32 {
        // In two words, the bit that is shifted out last is next to the word that stays.
        let (word, wide) = (u64::from(value), (value as i32) as i64);
        let (result, out) = match kind {
            _ if by == 0 => (value, self.c),
            Shift::Left => {
                let wide = word.checked_shl(by).unwrap_or(0);
                (wide as u32, wide >> 32 & 1 != 0)
            }
            Shift::Right => {
                let wide = (word << 32).checked_shr(by).unwrap_or(0);
                ((wide >> 32) as u32, wide >> 31 & 1 != 0)
            }
            Shift::Arithmetic => ((wide >> by.min(32)) as u32, wide >> (by.min(33) - 1) & 1 != 0),
            Shift::Rotate => {
                let rotated = value.rotate_right(by & 31);
                (rotated, rotated >> 31 != 0)
            }
        };
        self.c = out;
        self.result(result)
    }

    /// A5.2.1: shift by an immediate, add, subtract, move and compare.
    fn shift_add_move(&mut self, op: u32) {
        let (rd, rn, r8, imm8) = (register(op, 0), register(op, 3), register(op, 8), op & 0xFF);
        let by = op >> 6 & 31;
        let by_or_32 = if by == 0 { 32 } else { by };
        match op >> 11 {
            0 => self.r[rd] = self.shift(Shift::Left, self.r[rn], by),
            1 => self.r[rd] = self.shift(Shift::Right, self.r[rn], by_or_32),
            2 => self.r[rd] = self.shift(Shift::Arithmetic, self.r[rn], by_or_32),
            3 => {
                let b = if op & 0x400 != 0 { op >> 6 & 7 } else { self.r[register(op, 6)] };
                let a = self.r[rn];
                self.r[rd] = if op & 0x200 != 0 { self.subtract(a, b) } else { self.add(a, b, false) };
            }
            4 => self.r[r8] = self.result(imm8),
            5 => _ = self.subtract(self.r[r8], imm8),
            6 => self.r[r8] = self.add(self.r[r8], imm8, false),
            _ => self.r[r8] = self.subtract(self.r[r8], imm8),
        }
    }

    /// A5.2.2: data processing of two registers.
    fn data_processing(&mut self, op: u32) {
        let rd = register(op, 0);
        let (a, b) = (self.r[rd], self.r[register(op, 3)]);
        self.r[rd] = match op >> 6 & 15 {
            0x0 => self.result(a & b),
            0x1 => self.result(a ^ b),
            0x2 => self.shift(Shift::Left, a, b & 0xFF),
            0x3 => self.shift(Shift::Right, a, b & 0xFF),
            0x4 => self.shift(Shift::Arithmetic, a, b & 0xFF),
            0x5 => self.add(a, b, self.c),
            0x6 => self.add(a, !b, self.c),
            0x7 => self.shift(Shift::Rotate, a, b & 0xFF),
            0x9 => self.subtract(0, b),
            0xC => self.result(a | b),
            0xD => self.result(a.wrapping_mul(b)),
            0xE => self.result(a & !b),
            0xF => self.result(!b),
            compare => {
                match compare {
                    0x8 => self.result(a & b),
                    0xA => self.subtract(a, b),
                    _ => self.add(a, b, false),
                };
                a
            }
        };
    }

    /// A5.2.3: add, compare and move of any registers, and branches to a register.
    fn special<B: Bus>(&mut self, bus: &mut B, op: u32) -> Result<(), Fault> {
        let (d, m) = ((op & 7 | op >> 4 & 8) as usize, (op >> 3 & 15) as usize);
        let b = self.operand(m);
        match op >> 8 & 3 {
            0 => self.write(d, self.operand(d).wrapping_add(b)),
            1 => _ = self.subtract(self.operand(d), b),
            2 => self.write(d, b),
            _ => {
                self.cycles += 1;
                if op & 0x80 != 0 {
                    self.r[LR] = self.r[PC] | 1;
                }
                self.exchange(bus, b)?;
            }
        }
        Ok(())
    }

    /// Writes any register, as ADD and MOV do.
    fn write(&mut self, register: usize, value: u32) {
        match register {
            PC => {
                self.r[PC] = value & !1;
                self.cycles += 1;
            }
            SP => self.r[SP] = value & !3,
            other => self.r[other] = value,
        }
    }

    /// A5.2.4: load and store of one register.
    fn load_store<B: Bus>(&mut self, bus: &mut B, op: u32) -> Result<(), Fault> {
        let (rt, base, imm5) = (register(op, 0), self.r[register(op, 3)], op >> 6 & 31);
        // Register, address, size, and what a load does with the sign.
        let (rt, address, size, load, signed) = match op >> 11 {
            0x0A | 0x0B => {
                let address = base.wrapping_add(self.r[register(op, 6)]);
                let size = [4, 2, 1, 1, 4, 2, 1, 2][(op >> 9 & 7) as usize];
                let (load, signed) = (op >> 9 & 7 >= 3, op & 0x600 == 0x600);
                (rt, address, size, load, signed)
            }
            0x0C | 0x0D => (rt, base.wrapping_add(4 * imm5), 4, op & 0x800 != 0, false),
            0x0E | 0x0F => (rt, base.wrapping_add(imm5), 1, op & 0x800 != 0, false),
            0x10 | 0x11 => (rt, base.wrapping_add(2 * imm5), 2, op & 0x800 != 0, false),
            _ => (register(op, 8), self.r[SP].wrapping_add(4 * (op & 0xFF)), 4, op & 0x800 != 0, false),
        };
        self.cycles += 1;
        if !load {
            return self.store(bus, address, size, self.r[rt]);
        }
        let value = self.load(bus, address, size)?;
        self.r[rt] = if signed { sign_extend(value, 8 * size) } else { value };
        Ok(())
    }

    /// A5.2.5: stack pointer, extension, byte order, push and pop, interrupt mask, hints.
    fn miscellaneous<B: Bus>(&mut self, bus: &mut B, op: u32) -> Result<(), Fault> {
        let (rd, value) = (register(op, 0), self.r[register(op, 3)]);
        match op >> 8 & 15 {
            0 => {
                let by = 4 * (op & 0x7F);
                self.r[SP] =
                    if op & 0x80 != 0 { self.r[SP].wrapping_sub(by) } else { self.r[SP].wrapping_add(by) };
            }
            2 => {
                self.r[rd] = match op >> 6 & 3 {
                    0 => sign_extend(value, 16),
                    1 => sign_extend(value, 8),
                    2 => value & 0xFFFF,
                    _ => value & 0xFF,
                }
            }
            4 | 5 => {
                let list = op & 0xFF | (op & 0x100) << 6;
                self.r[SP] = self.r[SP].wrapping_sub(4 * list.count_ones());
                let mut address = self.r[SP];
                for register in (0..15).filter(|bit| list >> bit & 1 != 0) {
                    self.store(bus, address, 4, self.r[register])?;
                    address += 4;
                    self.cycles += 1;
                }
            }
            6 if op & 0xFFEF == 0xB662 => self.primask = op & 0x10 != 0,
            10 => {
                self.r[rd] = match op >> 6 & 3 {
                    0 => value.swap_bytes(),
                    1 => value.swap_bytes().rotate_left(16),
                    3 => sign_extend(value.swap_bytes() >> 16, 16),
                    _ => return Err(UNDEFINED),
                }
            }
            12 | 13 => {
                let mut address = self.r[SP];
                for register in (0..8).filter(|bit| op >> bit & 1 != 0) {
                    self.r[register] = self.load(bus, address, 4)?;
                    address += 4;
                    self.cycles += 1;
                }
                self.r[SP] = address;
                if op & 0x100 != 0 {
                    let target = self.load(bus, address, 4)?;
                    self.r[SP] = address + 4;
                    self.cycles += 3;
                    self.exchange(bus, target)?;
                }
            }
            // NOP, YIELD, WFE, WFI, SEV. Waiting is a loop in every image, so it is as good as a NOP.
            15 => {}
            _ => return Err(UNDEFINED),
        }
        Ok(())
    }

    /// Store and load of several registers.
    fn multiple<B: Bus>(&mut self, bus: &mut B, op: u32) -> Result<(), Fault> {
        let (base, load) = (register(op, 8), op & 0x800 != 0);
        let mut address = self.r[base];
        for register in (0..8).filter(|bit| op >> bit & 1 != 0) {
            if load {
                self.r[register] = self.load(bus, address, 4)?;
            } else {
                self.store(bus, address, 4, self.r[register])?;
            }
            address += 4;
            self.cycles += 1;
        }
        if !load || op >> base & 1 == 0 {
            self.r[base] = address;
        }
        Ok(())
    }

    /// A5.3: the instructions of two halfwords.
    fn wide<B: Bus>(&mut self, bus: &mut B, op: u32) -> Result<(), Fault> {
        let at = self.r[PC];
        let low = u32::from(bus.fetch(at).ok_or(Fault::Fetch(at))?);
        self.r[PC] = at.wrapping_add(2);
        self.cycles += 2;
        let system_register = low & 0xFF;
        if low & 0xD000 == 0xD000 {
            // BL: the bits J1 and J2 are kept inverted, unless the sign is set.
            let sign = op >> 10 & 1;
            let (i1, i2) = (!(low >> 13 ^ sign) & 1, !(low >> 11 ^ sign) & 1);
            let offset = sign << 24 | i1 << 23 | i2 << 22 | (op & 0x3FF) << 12 | (low & 0x7FF) << 1;
            self.r[LR] = self.r[PC] | 1;
            self.r[PC] = self.r[PC].wrapping_add(sign_extend(offset, 25));
        } else if op & 0xFFE0 == 0xF380 {
            let value = self.r[(op & 15) as usize];
            match system_register {
                0..=3 => self.set_status(value),
                8 => self.r[SP] = value & !3,
                16 => self.primask = value & 1 != 0,
                9 | 20 => {} // PSP and CONTROL: there is one stack
                _ => return Err(UNDEFINED),
            }
        } else if op & 0xFFE0 == 0xF3E0 {
            self.r[(low >> 8 & 15) as usize] = match system_register {
                0 => self.status(),
                1 | 3 => self.status() | self.exception_number(),
                5 | 7 => self.exception_number(),
                8 => self.r[SP],
                16 => u32::from(self.primask),
                2 | 6 | 9 | 20 => 0,
                _ => return Err(UNDEFINED),
            };
        } else if op & 0xFFF0 != 0xF3B0 {
            return Err(UNDEFINED); // not a barrier either
        }
        Ok(())
    }
}
