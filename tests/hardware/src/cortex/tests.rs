use proptest::prelude::*;

use super::*;

/// Memory from 0 to 0x800, where the stack begins: code from 0x100 on, and at 0x300 the handler of interrupt 3.
struct Memory(Vec<u8>);

const CODE: u32 = 0x100;
const HANDLER: u32 = 0x300;
const END: u32 = 0x800;

impl Memory {
    fn new(program: &[u16], handler: &[u16]) -> Self {
        let mut memory = Self(vec![0; END as usize]);
        for (address, word) in [(0, END), (4, CODE | 1), (4 * 19, HANDLER | 1)] {
            memory.store(address, 4, word).unwrap();
        }
        for (begin, halfwords) in [(CODE, program), (HANDLER, handler)] {
            for (at, halfword) in (begin..).step_by(2).zip(halfwords) {
                memory.store(at, 2, u32::from(*halfword)).unwrap();
            }
        }
        memory
    }
}

impl Bus for Memory {
    fn fetch(&self, address: u32) -> Option<u16> {
        let at = address as usize;
        Some(u16::from_le_bytes(self.0.get(at..at + 2)?.try_into().ok()?))
    }

    fn load(&mut self, address: u32, size: u32) -> Option<u32> {
        let bytes = self.0.get(address as usize..(address + size) as usize)?;
        Some(bytes.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte)))
    }

    fn store(&mut self, address: u32, size: u32, value: u32) -> Option<()> {
        let bytes = self.0.get_mut(address as usize..(address + size) as usize)?;
        bytes.copy_from_slice(&value.to_le_bytes()[..size as usize]);
        Some(())
    }
}

/// One instruction with these two registers and this carry.
fn step(op: u16, r0: u32, r1: u32, carry: bool) -> Result<Core, Fault> {
    let mut memory = Memory::new(&[op], &[]);
    let mut core = Core::new(&memory);
    (core.r[0], core.r[1], core.c) = (r0, r1, carry);
    core.step(&mut memory).map(|_| core)
}

fn numbers() -> impl Strategy<Value = u32> {
    prop_oneof![any::<u32>(), Just(u32::MAX), Just(1 << 31), Just(i32::MAX as u32), 0u32..260]
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
            let (core, result) = (step(op, a, b, carry).unwrap(), wide as u32);
            prop_assert_eq!(core.r[0], if op == 0x4288 { a } else { result });
            let flags = (result >> 31 != 0, result == 0, wide >> 32 != 0, signed(result) != exact);
            prop_assert_eq!((core.n, core.z, core.c, core.v), flags);
        }
    }

    #[test]
    fn a_shift_by_many_places_is_as_many_shifts_by_one(value in numbers(), by in 0u32..70, carry: bool) {
        // LSLS, LSRS, ASRS, RORS.
        for op in [0x4088, 0x40C8, 0x4108, 0x41C8] {
            let core = step(op, value, by, carry).unwrap();
            let (mut expected, mut out) = (value, carry);
            for _ in 0..by {
                let (top, low) = (expected >> 31, expected & 1);
                (expected, out) = match op {
                    0x4088 => (expected << 1, top != 0),
                    0x40C8 => (expected >> 1, low != 0),
                    0x4108 => (expected >> 1 | top << 31, low != 0),
                    _ => (expected >> 1 | low << 31, low != 0),
                };
            }
            prop_assert_eq!((core.r[0], core.c), (expected, out), "{:#x}", op);
        }
    }

    #[test]
    fn an_interrupt_gives_back_everything_that_it_found(registers: [u32; 8], flags in 0u32..16, odd: bool) {
        // NOP; the handler changes what it need not save: MOVS r0 to r3, CMP, BX LR.
        let mut memory = Memory::new(&[0xBF00], &[0x2001, 0x2102, 0x2203, 0x2304, 0x2800, 0x4770]);
        let mut core = Core::new(&memory);
        core.r[..8].copy_from_slice(&registers);
        core.r[SP] -= 4 * u32::from(odd);
        core.set_status(flags << 28);
        let before = (core.r, core.status());
        (core.enabled, core.lines) = (1 << 3, 1 << 3);
        core.step(&mut memory).unwrap();
        prop_assert_eq!((core.exception_number(), core.r[LR], core.main_stack()), (19, 0xFFFF_FFF9, None));
        core.lines = 0;
        for _ in 0..5 {
            core.step(&mut memory).unwrap();
        }
        prop_assert_eq!((core.r, core.status(), core.exception_number()), (before.0, before.1, 0));
    }
}

#[test]
fn a_call_goes_backwards_and_returns() {
    // At 0x100: B to 0x108. At 0x104: BX LR. At 0x108: BL 0x104.
    let mut memory = Memory::new(&[0xE002, 0xBF00, 0x4770, 0xBF00, 0xF7FF, 0xFFFC], &[]);
    let mut core = Core::new(&memory);
    let addresses = [(); 3].map(|()| core.step(&mut memory).map(|_| core.r[PC]).unwrap());
    assert_eq!((addresses, core.r[LR]), ([0x108, 0x104, 0x10C], 0x10D));
}

#[test]
fn a_handler_is_interrupted_by_a_more_urgent_line_only() {
    let mut memory = Memory::new(&[0xBF00], &[0xBF00]);
    let mut core = Core::new(&memory);
    // Of the lines 1 to 3, the last is the most urgent.
    core.store(&mut memory, 0xE000_E400, 4, 0x4080_8080).unwrap();
    core.enabled = u32::MAX;
    for (lines, active) in [(1 << 2 | 1 << 1, &[1][..]), (1 << 2 | 1 << 1, &[1]), (1 << 3, &[1, 3])] {
        core.lines = lines;
        core.step(&mut memory).unwrap();
        assert_eq!(core.active, active);
    }
}

#[test]
fn what_a_processor_cannot_do_is_a_fault() {
    let fault = |op, r1| step(op, 0, r1, false).err();
    assert_eq!(fault(0xDE00, 0), Some(Fault::Undefined { at: CODE, op: 0xDE00 }));
    assert_eq!(fault(0x6808, 2), Some(Fault::Unaligned(2)));
    assert_eq!(fault(0x6008, END), Some(Fault::Nothing(END)));
    assert_eq!(fault(0x4708, 0x200), Some(Fault::Fetch(0x200)));
}
