//! The kit's USB disk as a folder: programs what is copied onto it, does what `CMD:` files say, reports in STATUS.TXT.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tempfile::TempDir;

use super::kit::Kit;
use super::{Debugged, SimulatedBoard};

const KIT_INFO: &str = "KIT-INFO.TXT";
const STATUS: &str = "STATUS.TXT";
/// Characters that are typed of a `CMD:SEND_UART` file, its line end included; the rest is dropped.
const TYPED_MAX: usize = 50;
/// How often the folder is read.
const POLL: Duration = Duration::from_millis(5);

/// A disk that is plugged in. Dropping it unplugs it.
pub struct SimulatedDisk {
    folder: TempDir,
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    programmed: Vec<String>,
    typed: Vec<String>,
    failure: Option<String>,
}

impl SimulatedDisk {
    /// The disk of a kit with this serial number.
    ///
    /// # Errors
    /// When the folder cannot be made, or there is no thread.
    pub fn start(kit: Kit, serial: &str) -> io::Result<Self> {
        Self::new(kit, serial, None)
    }

    /// The disk of a board: what is programmed becomes its program, and what is typed reaches its console.
    ///
    /// # Errors
    /// As [`SimulatedDisk::start`].
    pub fn of(board: &SimulatedBoard, serial: &str) -> io::Result<Self> {
        Self::new(board.kit(), serial, Some(board.debugged()?))
    }

    fn new(kit: Kit, serial: &str, board: Option<Debugged>) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let info = format!(
            "Kit name: {}\r\nSerial number: {serial}\r\nTarget device: {}\r\n",
            kit.name_in_debugger(),
            kit.target()
        );
        fs::write(folder.path().join(STATUS), "Ready\r\n")?;
        fs::write(folder.path().join(KIT_INFO), &info)?;
        let (state, stop) = (Arc::new(Mutex::new(State::default())), Arc::new(AtomicBool::new(false)));
        let place = folder.path().to_owned();
        let debugger = Debugger { folder: place, info, board, state: state.clone(), stop: stop.clone() };
        let thread = thread::Builder::new().name("simulated disk".into()).spawn(move || debugger.run())?;
        Ok(Self { folder, state, stop, thread: Some(thread) })
    }

    /// Where it is mounted.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Every Intel HEX file that has been programmed, in order.
    pub fn programmed(&self) -> Vec<String> {
        self.with(|state| state.programmed.clone())
    }

    /// Every text that has been typed into the console of the application, in order.
    pub fn typed(&self) -> Vec<String> {
        self.with(|state| state.typed.clone())
    }

    /// The next programming fails with this status.
    pub fn fail_next(&self, status: &str) {
        self.with(|state| state.failure = Some(status.to_owned()));
    }

    fn with<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        with(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for SimulatedDisk {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The far side of the disk.
struct Debugger {
    folder: PathBuf,
    info: String,
    board: Option<Debugged>,
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
}

impl Debugger {
    fn run(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            // A removed folder is a removed disk; there is nothing to do until it is back.
            let _ = self.look();
            thread::sleep(POLL);
        }
    }

    fn look(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if [KIT_INFO, STATUS].iter().any(|own| path.ends_with(own)) {
                continue;
            }
            let text = fs::read_to_string(&path)?;
            // Until its last line has come, a file is still being copied.
            if text.trim_end().ends_with(":00000001FF") {
                self.program(&path, text)?;
            } else if let Some(command) = text.strip_prefix("CMD:").and_then(|text| text.strip_suffix('\n')) {
                if let Some(typed) = command.strip_prefix("SEND_UART=") {
                    let typed: String = format!("{typed}\n").chars().take(TYPED_MAX).collect();
                    if let Some(board) = &self.board {
                        board.type_in(&typed);
                    }
                    self.lock(|state| state.typed.push(typed.trim_end_matches('\n').to_owned()));
                }
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    /// The disk goes away, and comes back without the file and with another status.
    fn program(&self, path: &Path, text: String) -> io::Result<()> {
        fs::remove_file(self.folder.join(KIT_INFO))?;
        let status = match self.lock(|state| state.failure.take()) {
            Some(failure) => failure,
            None if text.lines().all(is_record) => {
                if let Some(board) = &self.board {
                    board.program(&text);
                }
                self.lock(|state| state.programmed.push(text));
                "Programming completed successfully".to_owned()
            }
            None => "Error: invalid Intel HEX file".to_owned(),
        };
        fs::remove_file(path)?;
        fs::write(self.folder.join(STATUS), status + "\r\n")?;
        fs::write(self.folder.join(KIT_INFO), &self.info)
    }

    fn lock<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        with(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whether the bytes of a record, its checksum included, add up to 0.
fn is_record(line: &str) -> bool {
    line.trim_end()
        .strip_prefix(':')
        .and_then(|digits| hex::decode(digits).ok())
        .is_some_and(|bytes| bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)) == 0)
}
