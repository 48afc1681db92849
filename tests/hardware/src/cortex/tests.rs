use proptest::prelude::*;

use super::*;

/// Code from 0x100 on, RAM at 0x2000_0000, a vector table that sends interrupt 3 to 0x300.
struct Memory {
    code: Vec<u8>,
    ram: Vec<u8>,
}

const CODE: usize = 0x100;
const RAM: u32 = 0x2000_0000;

impl Memory {
    fn new(program: &[u16], handler: &[u16]) -> Self {
        let mut code = vec![0; 0x400];
        code[..4].copy_from_slice(&(RAM + 0x400).to_le_bytes());
        code[4..8].copy_from_slice(&(CODE as u32 | 1).to_le_bytes());
        code[4 * 19..][..4].copy_from_slice(&0x301u32.to_le_bytes());
        for (begin, halfwords) in [(CODE, program), (0x300, handler)] {
            for (at, halfword) in (begin..).step_by(2).zip(halfwords) {
                code[at..at + 2].copy_from_slice(&halfword.to_le_bytes());
            }
        }
        Self { code, ram: vec![0; 0x400] }
    }
}

impl Bus for Memory {
    fn fetch(&self, address: u32) -> Option<u16> {
        let at = address as usize;
        Some(u16::from_le_bytes(self.code.get(at..at + 2)?.try_into().ok()?))
    }

    fn load(&mut self, address: u32, size: u32) -> Option<u32> {
        let (memory, at) = if address < RAM { (&self.code, address) } else { (&self.ram, address - RAM) };
        let bytes = memory.get(at as usize..(at + size) as usize)?;
        Some(bytes.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte)))
    }

    fn store(&mut self, address: u32, size: u32, value: u32) -> Option<()> {
        let at = address.checked_sub(RAM)? as usize;
        self.ram.get_mut(at..at + size as usize)?.copy_from_slice(&value.to_le_bytes()[..size as usize]);
        Some(())
    }
}

/// The core after one instruction with these two registers, the carry being `carry`.
fn after(op: u16, r0: u32, r1: u32, carry: bool) -> Core {
    let mut memory = Memory::new(&[op], &[]);
    let mut core = Core::new(&memory);
    (core.r[0], core.r[1], core.c) = (r0, r1, carry);
    core.step(&mut memory).unwrap();
    core
}

fn numbers() -> impl Strategy<Value = u32> {
    prop_oneof![
        any::<u32>(),
        Just(0),
        Just(1),
        Just(u32::MAX),
        Just(1 << 31),
        Just(i32::MAX as u32),
        0u32..260
    ]
}

proptest! {
    #[test]
    fn sums_and_differences_have_the_flags_of_wide_arithmetic(a in numbers(), b in numbers(), carry: bool) {
        let signed = |value: u32| i64::from(value as i32);
        // ADCS, then SBCS, then CMP, which leaves the register.
        for (op, wide, exact) in [
            (0x4148, u64::from(a) + u64::from(b) + u64::from(carry), signed(a) + signed(b) + i64::from(carry)),
            (0x4188, u64::from(a) + u64::from(!b) + u64::from(carry), signed(a) - signed(b) - i64::from(!carry)),
            (0x4288, u64::from(a) + u64::from(!b) + 1, signed(a) - signed(b)),
        ] {
            let core = after(op, a, b, carry);
            let result = wide as u32;
            prop_assert_eq!(core.r[0], if op == 0x4288 { a } else { result });
            let flags = (result >> 31 != 0, result == 0, wide >> 32 != 0, i64::from(result as i32) != exact);
            prop_assert_eq!((core.n, core.z, core.c, core.v), flags);
        }
    }

    #[test]
    fn a_shift_by_many_places_is_as_many_shifts_by_one(value in numbers(), by in 0u32..70, carry: bool) {
        // LSLS, LSRS, ASRS, RORS.
        for op in [0x4088, 0x40C8, 0x4108, 0x41C8] {
            let core = after(op, value, by, carry);
            let (mut expected, mut out) = (value, carry);
            for _ in 0..by {
                let top = u32::from(op == 0x4108 && expected >> 31 != 0 || op == 0x41C8 && expected & 1 != 0) << 31;
                (expected, out) =
                    if op == 0x4088 { (expected << 1, expected >> 31 != 0) } else { (expected >> 1 | top, expected & 1 != 0) };
            }
            prop_assert_eq!((core.r[0], core.c, core.v), (expected, out, false), "{:#x}", op);
        }
    }

    #[test]
    fn an_interrupt_gives_back_everything_that_it_found(registers: [u32; 8], flags in 0u32..16, odd: bool) {
        // NOP; the handler uses what a compiler may use without saving it: MOVS r0-r3, CMP, BX LR.
        let mut memory = Memory::new(&[0xBF00], &[0x2001, 0x2102, 0x2203, 0x2304, 0x2800, 0x4770]);
        let mut core = Core::new(&memory);
        core.r[..8].copy_from_slice(&registers);
        core.r[SP] -= 4 * u32::from(odd);
        core.set_status(flags << 28);
        let before = (core.r, core.status());
        core.store(&mut memory, 0xE000_E100, 4, 1 << 3).unwrap();
        core.lines = 1 << 3;
        core.step(&mut memory).unwrap();
        prop_assert_eq!((core.exception_number(), core.r[LR], core.main_stack()), (19, 0xFFFF_FFF9, None));
        core.lines = 0;
        for _ in 0..5 {
            core.step(&mut memory).unwrap();
        }
        prop_assert_eq!((core.r, core.status()), before);
        prop_assert_eq!(core.exception_number(), 0);
    }
}

#[test]
fn a_call_goes_backwards_and_returns() {
    // At 0x100: B +4 (to 0x108). At 0x104: BX LR. At 0x108: BL 0x104.
    let mut memory = Memory::new(&[0xE002, 0xBF00, 0x4770, 0xBF00, 0xF7FF, 0xFFFC], &[]);
    let mut core = Core::new(&memory);
    let addresses = [0x108, 0x104, 0x10C].map(|_| {
        core.step(&mut memory).unwrap();
        core.r[PC]
    });
    assert_eq!((addresses, core.r[LR]), ([0x108, 0x104, 0x10C], 0x10D));
}

#[test]
fn a_handler_is_interrupted_by_a_more_urgent_line_only() {
    let mut memory = Memory::new(&[0xBF00], &[0xBF00, 0xBF00]);
    let mut core = Core::new(&memory);
    core.store(&mut memory, 0xE000_E100, 4, u32::MAX).unwrap();
    core.store(&mut memory, 0xE000_E400, 4, 0x4080_8080).unwrap();
    core.lines = 1 << 2 | 1 << 1;
    core.step(&mut memory).unwrap();
    assert_eq!(core.active, [1]);
    core.step(&mut memory).unwrap();
    assert_eq!(core.active, [1]);
    core.lines |= 1 << 3;
    core.step(&mut memory).unwrap();
    assert_eq!(core.active, [1, 3]);
}

#[test]
fn what_a_processor_cannot_do_is_a_fault() {
    let step = |op: u16, r1: u32| {
        let mut memory = Memory::new(&[op], &[]);
        let mut core = Core::new(&memory);
        core.r[1] = r1;
        core.step(&mut memory).unwrap_err()
    };
    assert_eq!(step(0xDE00, 0), Fault::Undefined { at: 0x100, op: 0xDE00 });
    assert_eq!(step(0x6808, RAM + 2), Fault::Unaligned { address: RAM + 2 });
    assert_eq!(step(0x6008, 0x100), Fault::Nothing { address: 0x100 });
    assert_eq!(step(0x4708, 0x200), Fault::Fetch { at: 0x200 });
}
