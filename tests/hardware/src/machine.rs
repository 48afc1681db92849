//! What all microcontrollers have in common, and what is around them on the kit.

use crate::Fault;
use crate::Micros;
use crate::secure_element::SecureElement;
use crate::uart::Uart;
use crate::wifi_module::WifiModule;

/// Time, and what a microcontroller is connected to.
pub(crate) struct World {
    /// Cycles of the processor a second.
    pub(crate) frequency: u64,
    /// Cycles since power-on.
    pub(crate) now: u64,
    pub(crate) uart: Uart,
    pub(crate) element: SecureElement,
    pub(crate) module: WifiModule,
}

impl World {
    pub(crate) fn new(frequency: u64, element: SecureElement, module: WifiModule) -> Self {
        Self { frequency, now: 0, uart: Uart::new(frequency), element, module }
    }

    /// The time as the chips on the buses see it.
    pub(crate) fn micros(&self) -> Micros {
        self.now * 1_000_000 / self.frequency
    }

    /// A reset of the microcontroller, which ends what it was doing on the buses.
    pub(crate) fn reset(&mut self) {
        self.uart.reset();
        self.element.stop(self.micros());
    }

    /// When a microcontroller looks at its peripherals next, if they ask for `next`: now and then, to notice what the host sends.
    pub(crate) fn look(&self, next: Option<u64>) -> u64 {
        next.unwrap_or(u64::MAX).min(self.now + self.frequency / 10_000)
    }
}

/// A flash with a program. Fuses and the like, which programs come with, have addresses far above it.
pub(crate) fn flash(program: &[(u32, Vec<u8>)], size: usize) -> Vec<u8> {
    let mut flash = vec![0xFF; size];
    for (address, data) in program {
        flash.iter_mut().skip(*address as usize).zip(data).for_each(|(byte, new)| *byte = *new);
    }
    flash
}

/// A microcontroller with a program.
pub(crate) trait Machine: Send {
    /// Does what is due in the peripherals, and executes one instruction.
    fn step(&mut self) -> Result<(), Fault>;
    /// The stack pointer of the main program; `None` while an interrupt is handled.
    fn main_stack(&self) -> Option<u32>;
    /// A reset.
    fn reset(&mut self);
    /// Time, and what is around.
    fn world(&self) -> &World;
    /// The same, for bytes to and from the serial port.
    fn world_mut(&mut self) -> &mut World;

    /// Runs for a number of cycles; gives the lowest stack pointer that the main program had.
    fn run(&mut self, cycles: u64) -> Result<u32, Fault> {
        let end = self.world().now + cycles;
        let mut deepest = u32::MAX;
        while self.world().now < end {
            self.step()?;
            deepest = deepest.min(self.main_stack().unwrap_or(u32::MAX));
        }
        Ok(deepest)
    }
}
