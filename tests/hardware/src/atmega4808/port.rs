//! The pins: ports A to F, and the virtual ports that show them to the instructions for single bits.

const PORTS: u16 = 0x400;
const PORT: u16 = 0x20;
const VIRTUAL_PORTS: u16 = 0x18;

const OUT: u16 = 0x04;
const IN: u16 = 0x08;
const FLAGS: u16 = 0x09;
/// PA1 is the Wi-Fi module's reset.
const MODULE_RESET: u8 = 1 << 1;

/// The address of a port's register that is at an address of data space.
pub(super) fn register(address: u16) -> Option<u16> {
    match address {
        0..VIRTUAL_PORTS => Some(PORTS + address / 4 * PORT + [0, OUT, IN, FLAGS][usize::from(address % 4)]),
        PORTS.. if address < PORTS + 6 * PORT => Some(address),
        _ => None,
    }
}

pub(super) fn load(io: &[u8], register: u16) -> u8 {
    let at = |register| io[usize::from(register)];
    let port = register / PORT * PORT;
    match register % PORT {
        // The registers for setting, clearing and toggling read as the register that they act on.
        direction_or_out @ 0..IN => at(port + (direction_or_out & OUT)),
        // Inputs are pulled up.
        IN => at(port + OUT) & at(port) | !at(port),
        _ => at(register),
    }
}

/// True if the Wi-Fi module's reset was pulled.
pub(super) fn store(io: &mut [u8], register: u16, value: u8) -> bool {
    let offset = register % PORT;
    if offset >= IN {
        // Writing ones to flags clears them, and none is ever up.
        io[usize::from(register)] = if offset == FLAGS { 0 } else { value };
        return false;
    }
    let target = register / PORT * PORT + (offset & OUT);
    let before = io[usize::from(target)];
    let after = [value, before | value, before & !value, before ^ value][usize::from(offset & 3)];
    io[usize::from(target)] = after;
    target == PORTS + OUT && before & !after & MODULE_RESET != 0
}
