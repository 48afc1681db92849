use super::*;

/// Sends a command, and fetches so many bytes of the answer.
fn ask(module: &mut WifiModule, command: &[u8], answer: usize) -> Vec<u8> {
    command.iter().for_each(|byte| assert_eq!(module.transfer(0, *byte), 0));
    (0..answer).map(|_| module.transfer(0, 0)).collect()
}

#[test]
fn check_sums_are_on_until_the_host_switches_them_off() {
    let mut module = WifiModule::new([[19, 6, 1], [19, 3, 0]], Flash::new(Vec::new(), true));
    let read = [READ_REGISTER, 0, 0x10, 0];
    // A command with its check sum; the data in the answer has one of two bytes.
    let answer = ask(&mut module, &[&read[..], &[0x55]].concat(), 9);
    assert_eq!(answer, [READ_REGISTER, 0, 0xF3, 0xA0, 3, 0x10, 0, 0, 0]);
    let switch = [WRITE_REGISTER, 0, 0xE8, 0x24, 0, 0, 0, 0x22, 0x55];
    assert_eq!(ask(&mut module, &switch, 2), [WRITE_REGISTER, 0]);
    assert_eq!(ask(&mut module, &read, 7), [READ_REGISTER, 0, 0xF3, 0xA0, 3, 0x10, 0]);
}

#[test]
fn programming_clears_bits_of_one_page_and_needs_permission_each_time() {
    let mut flash = Flash::new(Vec::new(), true);
    let [enable, program] = [[6, 0, 0, 0], [2, 0, 0x50, 0xFE]];
    for (command, stored) in
        [(program, [0xFF; 4]), (enable, [0xFF; 4]), (program, [1, 2, 3, 4]), (program, [1, 2, 3, 4])]
    {
        flash.execute(0, command, 0, &[1, 2, 3, 4]);
        let image = flash.image();
        assert_eq!([image[0x50FE], image[0x50FF], image[0x5000], image[0x5001]], stored);
    }
    // It is at work until its time has passed.
    assert_eq!([0, 1_999, 2_000].map(|now| flash.execute(now, [5, 0, 0, 0], 0, &[]).unwrap()[0]), [1, 1, 0]);
}
