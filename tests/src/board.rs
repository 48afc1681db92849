//! The simulated board: the whole serial protocol on a pseudo terminal, at wire speed and with device times.
//!
//! [`firmware`] is a pure state machine over [`flash`] and [`secure_element`]; `run` gives it a [`wire`] and a port.

use std::io::{self, PipeWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::faults::{Fault, Injector};

mod application;
mod command;
mod disk;
#[cfg(feature = "hardware")]
pub mod emulated;
mod factory;
pub mod firmware;
pub mod flash;
mod kit;
mod port;
pub(crate) mod root_store;
mod run;
pub mod secure_element;
mod seed;
mod statistics;
pub mod wire;

pub use application::Network;
pub use disk::SimulatedDisk;
pub use factory::{Certificates, Profile, vendor_roots};
pub use kit::Kit;
pub use seed::Seed;
pub use statistics::Statistics;

pub use firmware::Part;

use application::Application;
use firmware::Firmware;
use port::Port;
use run::{Control, Runner, State};
use secure_element::{Refusal, SecureElement};
use wire::DeviceTimes;

/// What board it is, and how closely it keeps to a real one's times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The kit.
    pub kit: Kit,
    /// The certificates the factory put into the secure element.
    pub factory: Profile,
    /// What makes this board differ from others; a new one by default.
    pub seed: Option<Seed>,
    /// Bytes take the time they need at 115200 baud.
    pub wire_speed: bool,
    /// How long the device works on a command.
    pub device_times: DeviceTimes,
    /// It runs the demo application, as a kit from its shop does, and not the provisioning firmware.
    pub runs_demo: bool,
}

impl Default for Options {
    /// A new AVR-IoT WG, with the times of a real one.
    fn default() -> Self {
        Self {
            kit: Kit::default(),
            factory: Profile::default(),
            seed: None,
            wire_speed: true,
            device_times: DeviceTimes::OBSERVED,
            runs_demo: false,
        }
    }
}

impl Options {
    /// The board made from `seed`, answering at once: for tests of what is said, not when.
    pub fn instant(seed: u64) -> Self {
        Self { seed: Some(Seed(seed)), wire_speed: false, device_times: DeviceTimes::NONE, ..Self::default() }
    }
}

/// A running board. Dropping it unplugs it.
pub struct SimulatedBoard {
    path: PathBuf,
    kit: Kit,
    factory: Profile,
    state: Arc<Mutex<State>>,
    controls: Sender<Control>,
    wake: PipeWriter,
    thread: Option<JoinHandle<()>>,
}

impl SimulatedBoard {
    /// Makes a board and plugs it in.
    ///
    /// # Errors
    /// When there is no pseudo terminal to be had, or no thread, or no randomness for the seed.
    pub fn start(options: Options) -> io::Result<Self> {
        let seed = options.seed.map_or_else(Seed::random, Ok)?;
        let state = Arc::new(Mutex::new(State {
            firmware: Firmware::new(options.kit, seed, options.factory).map_err(io::Error::other)?,
            injector: Injector::default(),
            statistics: Statistics::default(),
            stopped: None,
            application: options.runs_demo.then(Application::default),
        }));
        let port = Port::open()?;
        let path = port.path().to_owned();
        let (controls, orders) = channel();
        let (awake, wake) = io::pipe()?;
        let runner =
            Runner::new(state.clone(), options.device_times, options.wire_speed, port, orders, awake);
        let thread =
            std::thread::Builder::new().name("simulated board".into()).spawn(move || runner.run())?;
        Ok(Self {
            path,
            kit: options.kit,
            factory: options.factory,
            state,
            controls,
            wake,
            thread: Some(thread),
        })
    }

    /// The port, such as `/dev/pts/3`. Plugging in again may change it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The kit it is.
    pub fn kit(&self) -> Kit {
        self.kit
    }

    /// The secure element's 9-byte serial number, 18 upper-case hex digits.
    pub fn ecc_serial(&self) -> String {
        self.with(|state| hex::encode_upper(state.firmware.element.serial()))
    }

    /// X‖Y of the device's public key.
    pub fn public_key(&self) -> [u8; 64] {
        self.with(|state| state.firmware.element.public_key())
    }

    /// What the demo application on the board uses to sign its TLS handshakes with the key in the secure element.
    pub fn signer(&self) -> Signer {
        Signer(self.state.clone())
    }

    /// A copy of the whole flash of the Wi-Fi module, 1 MiB.
    pub fn flash(&self) -> Vec<u8> {
        self.with(|state| state.firmware.flash.image().to_vec())
    }

    /// Puts the root certificate of a server into the Wi-Fi module, as if it had come from the factory with it.
    pub fn trust(&self, server_ca_pem: &str) {
        self.with(|state| state.firmware.flash.trust(server_ca_pem));
    }

    /// Changes the flash behind the firmware's back, as no host could.
    pub fn change_flash<T>(&self, change: impl FnOnce(&mut [u8]) -> T) -> T {
        self.with(|state| change(state.firmware.flash.image_mut()))
    }

    /// Puts another secure element on the board: another serial number, another key.
    ///
    /// # Errors
    /// When its factory certificates cannot be built, which only a fault in here can cause.
    pub fn replace_secure_element(&self, seed: Seed) -> io::Result<()> {
        let element = SecureElement::new(seed, self.factory).map_err(io::Error::other)?;
        self.with(|state| state.firmware.element = element);
        Ok(())
    }

    /// Breaks the connection to a part and presses the reset button.
    pub fn disconnect(&self, part: Part) {
        self.with(|state| state.firmware.disconnect(part));
        self.press_reset();
    }

    /// Shows the serial number of another board's secure element in place of its own.
    pub fn claim_serial(&self, other: &Self) {
        let serial = other.with(|state| state.firmware.element.serial());
        self.with(|state| state.firmware.element.claim_serial(serial));
    }

    /// Shows what another board's secure element shows, as [`SecureElement::impersonate`].
    pub fn impersonate(&self, other: &Self, recorded: Option<[u8; 64]>) {
        let other = other.with(|state| state.firmware.element.clone());
        self.with(|state| state.firmware.element.impersonate(&other, recorded));
    }

    /// Wipes the slots of the factory certificates.
    pub fn wipe_factory_certificates(&self) {
        self.with(|state| state.firmware.element.wipe_factory_certificates());
    }

    /// The certificates that the secure element left the factory with, whole.
    pub fn factory_certificates(&self) -> Certificates {
        self.with(|state| state.firmware.element.factory_certificates().clone())
    }

    /// Whether a slot of the secure element is locked.
    pub fn is_locked(&self, slot: usize) -> bool {
        self.with(|state| state.firmware.element.is_locked(slot))
    }

    /// Whether the LED of that name (`CONN`, `DATA`, `ERROR`, `WIFI`) is on; `None` if there is no such LED.
    pub fn led(&self, name: &str) -> Option<bool> {
        self.with(|state| state.firmware.led(name))
    }

    /// Switches the LED of that name, as the application on the board does.
    pub fn set_led(&self, name: &str, on: bool) {
        self.with(|state| state.firmware.set_led(name, on));
    }

    /// How long nothing has gone over the wire; `None` if nothing has since the counts were taken last.
    pub fn silent_for(&self) -> Option<Duration> {
        self.with(|state| state.statistics.last.map(|last| last.elapsed()))
    }

    /// Adds a fault; its occurrences are counted from now on.
    pub fn inject(&self, fault: Fault) {
        self.with(|state| state.injector.inject(fault));
    }

    /// Forgets all faults.
    pub fn clear_faults(&self) {
        self.with(|state| state.injector.clear());
    }

    /// What went over the wire since the counts were taken last.
    pub fn take_statistics(&self) -> Statistics {
        self.with(|state| std::mem::take(&mut state.statistics))
    }

    /// Whether the demo application runs.
    pub fn runs_demo(&self) -> bool {
        self.with(|state| state.application.is_some())
    }

    /// The Wi-Fi network that the demo application knows, while it runs.
    pub fn network(&self) -> Option<Network> {
        self.with(|state| state.application.as_ref()?.network().cloned())
    }

    /// Thing name and endpoint as the demo application reads them; `None` where one of them is absent.
    pub fn names(&self) -> Option<(String, String)> {
        self.with(|state| {
            Some((application::thing_name(&state.firmware)?, application::endpoint(&state.firmware)?))
        })
    }

    /// What the kit's debugger uses to program the board.
    ///
    /// # Errors
    /// When the handle cannot be copied.
    fn debugged(&self) -> io::Result<Debugged> {
        let (state, controls) = (self.state.clone(), self.controls.clone());
        Ok(Debugged { state, controls, wake: self.wake.try_clone()? })
    }

    /// Presses the reset button.
    pub fn press_reset(&self) {
        self.order(Control::Reset);
    }

    /// Pulls the plug: programs that have the port open get a hang-up, and the MCU starts anew when it is plugged in.
    pub fn unplug(&self) {
        let (done, gone) = channel();
        self.order(Control::Unplug(done));
        // An error is a board whose thread has ended, and its port with it.
        let _ = gone.recv();
    }

    /// Plugs it in (again), as a fault may have unplugged it: the same board, perhaps on another port.
    ///
    /// # Errors
    /// When there is no pseudo terminal to be had.
    pub fn plug(&mut self) -> io::Result<&Path> {
        let (done, opened) = channel();
        self.order(Control::Plug(done));
        self.path = opened.recv().map_err(io::Error::other)??;
        Ok(&self.path)
    }

    fn with<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        with(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn order(&self, control: Control) {
        order(&self.controls, &self.wake, control);
    }
}

/// Either fails only when the thread has ended: then there is no board to do it.
fn order(controls: &Sender<Control>, mut wake: &PipeWriter, control: Control) {
    if controls.send(control).is_ok() {
        let _ = wake.write(&[0]);
    }
}

/// The board as its debugger reaches it.
struct Debugged {
    state: Arc<Mutex<State>>,
    controls: Sender<Control>,
    wake: PipeWriter,
}

impl Debugged {
    /// Puts a program into the microcontroller, which starts anew.
    fn program(&self, hex_file: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // What the Wi-Fi module knows of a network it keeps.
        let application = state.application.take().or(state.stopped.take()).unwrap_or_default();
        match application::is_provisioning_firmware(hex_file) {
            true => state.stopped = Some(application),
            false => state.application = Some(application),
        }
        drop(state);
        order(&self.controls, &self.wake, Control::Reset);
    }

    /// Types a text into the serial port, at the speed that it has.
    fn type_in(&self, text: &str) {
        order(&self.controls, &self.wake, Control::Type(text.as_bytes().to_vec()));
    }
}

impl Drop for SimulatedBoard {
    fn drop(&mut self) {
        self.order(Control::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Uses the key of a board's secure element and the flash of its Wi-Fi module, as code on the board would.
#[derive(Clone)]
pub struct Signer(Arc<Mutex<State>>);

impl Signer {
    /// ECDSA with SHA-256 over `message`: a DER ECDSA-Sig-Value, as TLS wants it.
    ///
    /// # Errors
    /// What the secure element declines.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Refusal> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).firmware.element.sign(message)
    }

    /// The sector of the root certificates that the Wi-Fi module checks servers with.
    pub fn root_store(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).firmware.flash.root_store().to_vec()
    }

    /// X‖Y of the public key.
    pub fn public_key(&self) -> [u8; 64] {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).firmware.element.public_key()
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer(slot 0 of a secure element)")
    }
}

#[cfg(test)]
mod tests;
