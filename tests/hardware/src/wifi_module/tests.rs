use super::*;

fn module() -> WifiModule {
    WifiModule::new(Versions { firmware: [19, 6, 1], driver: [19, 3, 0] }, Flash::new(Vec::new(), true))
}

impl WifiModule {
    /// Sends a command without check sums, and fetches so many bytes of the answer.
    fn ask(&mut self, now: Micros, command: &[u8], answer: usize) -> Vec<u8> {
        command.iter().for_each(|byte| assert_eq!(self.transfer(now, *byte), 0));
        (0..answer).map(|_| self.transfer(now, 0)).collect()
    }

    fn write(&mut self, now: Micros, address: u32, value: u32) {
        let ([_, a, b, c], [d, e, f, g]) = (address.to_be_bytes(), value.to_be_bytes());
        assert_eq!(self.ask(now, &[WRITE_REGISTER, a, b, c, d, e, f, g], 2), [WRITE_REGISTER, 0]);
    }

    fn command(&mut self, now: Micros, command: u8, address: u32, memory: u32, count: u32) {
        self.write(now, flash::COMMAND, u32::from(command) | address.swap_bytes() & 0xFFFF_FF00);
        self.write(now, flash::MEMORY_ADDRESS, memory);
        self.write(now, flash::COUNT, count);
        self.write(now, flash::START, count << 8 | 0x80);
    }

    fn without_check_sums(mut self) -> Self {
        self.check_sums = false;
        self
    }
}

#[test]
fn check_sums_are_on_until_the_host_switches_them_off() {
    let mut module = module();
    // A command with its check sum; the answer has one of two bytes.
    assert_eq!(
        module.ask(0, &[READ_REGISTER, 0, 0x10, 0, 0x55], 9),
        [READ_REGISTER, 0, 0xF3, 0xA0, 3, 0x10, 0, 0, 0]
    );
    assert_eq!(module.ask(0, &[WRITE_REGISTER, 0, 0xE8, 0x24, 0, 0, 0, 0x22, 0x55], 2), [WRITE_REGISTER, 0]);
    assert_eq!(module.ask(0, &[READ_REGISTER, 0, 0x10, 0], 7), [READ_REGISTER, 0, 0xF3, 0xA0, 3, 0x10, 0]);
}

#[test]
fn a_page_is_programmed_from_memory_and_wraps_within_itself() {
    let mut module = module().without_check_sums();
    // The block comes behind the answer to its command, and is confirmed.
    assert_eq!(module.ask(0, &[WRITE_BLOCK, 0x0D, 0, 0, 0, 0, 4], 2), [WRITE_BLOCK, 0]);
    assert_eq!(module.ask(0, &[0xF3, 1, 2, 3, 4], 3), [0x00, 0xC3, 0x00]);
    module.command(0, 0x06, 0, 0, 0);
    module.command(0, 0x02, 0x50FE, 0xD0000, 4);
    assert_eq!(
        (&module.flash.image()[0x50FE..0x5100], &module.flash.image()[0x5000..0x5002]),
        (&[1, 2][..], &[3, 4][..])
    );
}
