//! A board that is a kit's own firmware, on models of the kit's chips, at a pseudo terminal.

use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kit_hardware::Board;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::factory::Profile;
use super::port::Port;
use super::secure_element::SecureElement;
use super::seed::Seed;

/// Time on the kit between two looks at the port.
const STEP: Duration = Duration::from_millis(1);
/// Bytes of the host that are on their way at the most; the others stay in the pseudo terminal.
const ON_THE_WAY: usize = 4096;

/// How fast a board runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Never faster than a kit.
    Kit,
    /// As fast as this computer.
    Host,
}

/// Where bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the host to the board.
    ToBoard,
    /// From the board to the host.
    ToHost,
}

/// What becomes of bytes on their way.
pub type Link = Box<dyn FnMut(Direction, &[u8]) -> Vec<u8> + Send>;

/// Why there is no board.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The firmware does not run.
    #[error(transparent)]
    Firmware(#[from] kit_hardware::Error),
    /// The operating system refused, or the factory's certificates could not be made.
    #[error("cannot plug a board in")]
    Io(#[from] io::Error),
}

/// What a kit made from `seed` is, apart from its firmware: its secure element is the one of the simulated board of that seed.
///
/// # Errors
/// When the factory's certificates cannot be built, which only a fault in here can cause.
pub fn kit_options(seed: Seed) -> io::Result<kit_hardware::Options> {
    let element = SecureElement::new(seed, Profile::default()).map_err(io::Error::other)?;
    let filled = |slot| element.read(slot, None).ok().map(|data| (slot, data.to_vec()));
    Ok(kit_hardware::Options {
        serial: element.serial(),
        key: super::secure_element::key(seed, "slot 0").to_bytes().into(),
        otp: element
            .read_otp(super::secure_element::OTP)
            .map_err(io::Error::other)?
            .try_into()
            .unwrap_or([0; 64]),
        slots: (0..super::secure_element::SLOTS).filter_map(filled).collect(),
        ..kit_hardware::Options::default()
    })
}

/// A running board. Dropping it unplugs it.
pub struct EmulatedBoard {
    path: PathBuf,
    board: Arc<Mutex<Board>>,
    wake: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl EmulatedBoard {
    /// Switches on the kit made from `seed` with the firmware of a hex file's text, waits until it takes commands, and plugs it in.
    ///
    /// # Errors
    /// When the firmware does not start, or there is no pseudo terminal, thread or pipe to be had.
    pub fn start(hex: &str, seed: Seed, pace: Pace) -> Result<Self, StartError> {
        let mut board = Board::new(hex, &kit_options(seed)?)?;
        board.boot()?;
        Ok(Self::plug(board, pace)?)
    }

    /// Plugs a board in that has been driven directly until now.
    ///
    /// # Errors
    /// When there is no pseudo terminal, thread or pipe to be had.
    pub fn plug(board: Board, pace: Pace) -> io::Result<Self> {
        Self::plug_through(board, pace, Box::new(|_, bytes| bytes.to_vec()))
    }

    /// As [`EmulatedBoard::plug`], over a link that is not perfect.
    ///
    /// # Errors
    /// As [`EmulatedBoard::plug`].
    pub fn plug_through(board: Board, pace: Pace, link: Link) -> io::Result<Self> {
        let port = Port::open()?;
        let path = port.path().to_owned();
        let board = Arc::new(Mutex::new(board));
        let (awake, wake) = io::pipe()?;
        let runner = Runner { board: board.clone(), port, awake, pace, link };
        let thread = std::thread::Builder::new().name("emulated board".into()).spawn(move || runner.run())?;
        Ok(Self { path, board, wake: Some(wake), thread: Some(thread) })
    }

    /// The port, such as `/dev/pts/3`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks at the board between two steps.
    pub fn with<T>(&self, look: impl FnOnce(&mut Board) -> T) -> T {
        look(&mut self.board.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A copy of the whole flash of the Wi-Fi module, 1 MiB.
    pub fn flash(&self) -> Vec<u8> {
        self.with(|board| board.flash().to_vec())
    }
}

impl Drop for EmulatedBoard {
    fn drop(&mut self) {
        // The end of the pipe is the order to end.
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Runner {
    board: Arc<Mutex<Board>>,
    port: Port,
    awake: PipeReader,
    pace: Pace,
    link: Link,
}

/// What a step leaves.
struct Step {
    sent: Vec<u8>,
    now: Duration,
    arriving: usize,
    waits: bool,
}

impl Runner {
    fn run(mut self) {
        if let Err(error) = self.serve() {
            tracing::error!(%error, "the emulated board has failed");
        }
    }

    fn serve(&mut self) -> io::Result<()> {
        let mut buffer = [0; ON_THE_WAY];
        // When the kit's time was zero, if it had always run as fast as a kit does.
        let mut began: Option<Instant> = None;
        let mut waits = false;
        let mut room = ON_THE_WAY;
        // A board that waits for its host is not run, and costs nothing.
        while self.wait(waits)? {
            self.port.notice()?;
            let count = self.port.read(&mut buffer[..room])?;
            if waits && count == 0 {
                continue;
            }
            let arriving = (self.link)(Direction::ToBoard, &buffer[..count]);
            let step = self.step(&arriving)?;
            self.port.write(&(self.link)(Direction::ToHost, &step.sent))?;
            waits = step.waits;
            room = ON_THE_WAY - step.arriving;
            match self.pace {
                Pace::Kit if !waits => {
                    let now = Instant::now();
                    let due =
                        *began.get_or_insert_with(|| now.checked_sub(step.now).unwrap_or(now)) + step.now;
                    std::thread::sleep(due.saturating_duration_since(now));
                }
                _ => began = None,
            }
        }
        Ok(())
    }

    fn step(&self, bytes: &[u8]) -> io::Result<Step> {
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        if !bytes.is_empty() {
            board.feed(bytes);
        }
        board.run(STEP).map_err(io::Error::other)?;
        Ok(Step { sent: board.take(), now: board.now(), arriving: board.arriving(), waits: board.waits() })
    }

    /// Waits for bytes, for programs that open and close the port, and for the end if `forever`, otherwise looks; false is the end.
    fn wait(&self, forever: bool) -> io::Result<bool> {
        let mut fds = vec![PollFd::from_borrowed_fd(self.awake.as_fd(), PollFlags::IN)];
        fds.extend(self.port.fds().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        match poll(&mut fds, (!forever).then_some(&now)) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
        let woken = fds.first().is_some_and(|wake| !wake.revents().is_empty());
        Ok(!(woken && (&self.awake).read(&mut [0])? == 0))
    }
}
