use proptest::prelude::*;

use super::*;

/// A program from address 0 on, and RAM in all of data space.
struct Memory(Vec<u16>, Vec<u8>);

impl Bus for Memory {
    fn word(&self, address: u16) -> u16 {
        self.0.get(usize::from(address)).copied().unwrap_or(0)
    }

    fn program_byte(&self, address: u16) -> u8 {
        self.word(address / 2).to_le_bytes()[usize::from(address % 2)]
    }

    fn load(&mut self, address: u16) -> u8 {
        self.1[usize::from(address)]
    }

    fn store(&mut self, address: u16, value: u8) {
        self.1[usize::from(address)] = value;
    }
}

fn memory(program: &[u16]) -> Memory {
    Memory(program.to_vec(), vec![0; 0x1_0000])
}

const STACK: u16 = 0x3FFF;

/// Runs a program of so many instructions, with these numbers in r25:r24 and r23:r22.
fn after(program: &[u16], steps: usize, a: u16, b: u16) -> Core {
    let (mut memory, mut core) = (memory(program), Core::new(STACK));
    core.set_pair(24, a);
    core.set_pair(22, b);
    (0..steps).for_each(|_| _ = core.step(&mut memory).unwrap());
    core
}

/// Z, C, N and V: what branches are made of.
fn flags(core: &Core) -> [bool; 4] {
    [Flag::Z, Flag::C, Flag::N, Flag::V].map(|flag| core.get(flag))
}

/// What these flags are for a result of 16 bits with its carry, and its overflow.
fn expected((result, carry): (u16, bool), (_, overflow): (i16, bool)) -> [bool; 4] {
    [result == 0, carry, result >> 15 != 0, overflow]
}

fn numbers() -> impl Strategy<Value = u16> {
    prop_oneof![any::<u16>(), Just(0), Just(0xFF), Just(0x100), Just(0x7FFF), Just(0x8000), Just(u16::MAX)]
}

proptest! {
    #[test]
    fn two_bytes_are_added_and_subtracted_as_one_number(a in numbers(), b in numbers()) {
        let (signed_a, signed_b) = (a as i16, b as i16);
        // ADD r24,r22; ADC r25,r23. Z is the upper byte's.
        let core = after(&[0x0F86, 0x1F97], 2, a, b);
        prop_assert_eq!(core.pair(24), a.wrapping_add(b));
        let sum = expected(a.overflowing_add(b), signed_a.overflowing_add(signed_b));
        prop_assert_eq!(&flags(&core)[1..], &sum[1..]);
        // CP r24,r22; CPC r25,r23 leave the number; SUB, SBC do not. Z holds for both bytes.
        for (program, left) in [([0x1786, 0x0797], a), ([0x1B86, 0x0B97], a.wrapping_sub(b))] {
            let core = after(&program, 2, a, b);
            prop_assert_eq!((core.pair(24), core.get(Flag::S)), (left, signed_a < signed_b));
            prop_assert_eq!(flags(&core), expected(a.overflowing_sub(b), signed_a.overflowing_sub(signed_b)));
        }
    }

    #[test]
    fn pairs_move_by_small_numbers_with_the_same_flags(a in numbers(), by in 0u16..64) {
        let operand = by & 15 | (by & 0x30) << 2;
        let added = (a.overflowing_add(by), (a as i16).overflowing_add(by as i16));
        let subtracted = (a.overflowing_sub(by), (a as i16).overflowing_sub(by as i16));
        // ADIW r24, SBIW r24
        for (op, (result, signed)) in [(0x9600, added), (0x9700, subtracted)] {
            let core = after(&[op | operand], 1, a, 0);
            prop_assert_eq!((core.pair(24), flags(&core)), (result.0, expected(result, signed)));
        }
    }

    #[test]
    fn products_have_sixteen_bits_and_the_sign_of_their_kind(a: u8, b: u8) {
        let (unsigned_a, unsigned_b) = (i32::from(a), i32::from(b));
        let (signed_a, signed_b) = (i32::from(a as i8), i32::from(b as i8));
        // MUL, MULS, MULSU, FMUL, FMULS, FMULSU of r23 and r22.
        for (op, product, shift) in [
            (0x9F76, unsigned_a * unsigned_b, 0),
            (0x0276, signed_a * signed_b, 0),
            (0x0376, signed_a * unsigned_b, 0),
            (0x037E, unsigned_a * unsigned_b, 1),
            (0x03F6, signed_a * signed_b, 1),
            (0x03FE, signed_a * unsigned_b, 1),
        ] {
            let core = after(&[op], 1, 0, u16::from_le_bytes([b, a]));
            let expected = ((product << shift) as u16, product >> 15 & 1 != 0);
            prop_assert_eq!((core.pair(0), core.get(Flag::C)), expected, "{:#06x}", op);
        }
    }
}

#[test]
fn a_skip_passes_over_both_words_of_a_long_instruction() {
    // CPSE r24,r24 before LDS r2 and before NOP.
    assert_eq!(after(&[0x1388, 0x9020, 0x1234], 1, 0, 0).pc, 3);
    assert_eq!(after(&[0x1388, 0x0000], 1, 0, 0).pc, 2);
}

#[test]
fn calls_return_behind_themselves_and_leave_the_stack_as_it_was() {
    // 0: CALL 4. 2: RET. 4: RCALL 2. 5: RET.
    let program = [0x940E, 0x0004, 0x9508, 0x0000, 0xDFFD, 0x9508];
    let visited = [1, 2, 3, 4].map(|steps| after(&program, steps, 0, 0).pc);
    assert_eq!((visited, after(&program, 4, 0, 0).sp), ([4, 2, 5, 2], STACK));
}

#[test]
fn an_interrupt_waits_for_one_instruction_after_it_was_allowed() {
    // SEI; NOP; and RETI at the vector of number 2.
    let (mut memory, mut core) = (memory(&[0x9478, 0x0000, 0x0000, 0x0000, 0x9518]), Core::new(STACK));
    core.requests = 1 << 2 | 1 << 5;
    let visited = [(); 4].map(|()| core.step(&mut memory).map(|_| core.pc).unwrap());
    // The handler begins and returns in one step; the instruction after it comes before the next interrupt.
    assert_eq!((visited, core.sp), ([1, 2, 2, 3], STACK));
}

#[test]
fn instructions_of_other_kinds_are_a_fault() {
    // XCH, DES, ELPM.
    for op in [0x9204, 0x940B, 0x95D8] {
        let fault = Core::new(STACK).step(&mut memory(&[op])).unwrap_err();
        assert_eq!(fault, Fault::Undefined { at: 0, op });
    }
}
