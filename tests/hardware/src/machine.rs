//! What all microcontrollers have in common, and what is around them on the kit.

use crate::fault::Fault;
use crate::secure_element::SecureElement;
use crate::uart::Uart;
use crate::wifi_module::WifiModule;

/// What is on the buses of the microcontroller.
pub(crate) struct World {
    pub(crate) element: SecureElement,
    pub(crate) module: WifiModule,
}

/// Why the program begins anew. The microcontroller tells the program.
#[derive(Clone, Copy)]
pub(crate) enum Reset {
    /// The power came on.
    Power,
    /// The reset pin, which button and debugger pull.
    Pin,
    /// The program itself.
    Program,
}

/// A microcontroller with a program.
pub(crate) trait Machine: Send {
    /// Cycles a second.
    fn frequency(&self) -> u64;
    /// Cycles since power-on.
    fn now(&self) -> u64;
    /// Does what is due in the peripherals, and executes one instruction.
    fn step(&mut self) -> Result<(), Fault>;
    /// The stack pointer of the main program; `None` while an interrupt is handled.
    fn main_stack(&self) -> Option<u32>;
    /// A reset.
    fn reset(&mut self, cause: Reset);
    /// The serial port.
    fn uart(&self) -> &Uart;
    /// The serial port, for bytes to and from it.
    fn uart_mut(&mut self) -> &mut Uart;
    /// What is on the buses.
    fn world(&self) -> &World;

    /// Runs for a number of cycles; gives the lowest stack pointer that the main program had.
    fn run(&mut self, cycles: u64) -> Result<u32, Fault> {
        let end = self.now() + cycles;
        let mut deepest = u32::MAX;
        while self.now() < end {
            self.step()?;
            deepest = deepest.min(self.main_stack().unwrap_or(u32::MAX));
        }
        Ok(deepest)
    }
}
