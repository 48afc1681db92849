//! The thread that is the board: bytes from the port, through the firmware, and back, each at its time.

use std::collections::VecDeque;
use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::application::{Application, CONSOLE_SPEED};
use super::firmware::{Firmware, Line, Stage};
use super::port::Port;
use super::statistics::Statistics;
use super::wire::{DeviceTimes, Wire};
use crate::faults::{Injector, Step};

/// What the handle and the thread share.
pub(super) struct State {
    pub(super) firmware: Firmware,
    pub(super) injector: Injector,
    pub(super) statistics: Statistics,
    /// The demo application, while it is what runs.
    pub(super) application: Option<Application>,
    /// The demo application, while the provisioning firmware runs in its place.
    pub(super) stopped: Option<Application>,
}

/// What the handle sends to the thread.
pub(super) enum Control {
    /// End.
    Stop,
    /// The reset button.
    Reset,
    /// The debugger types into the serial port.
    Type(Vec<u8>),
    /// Pull the plug; answered when the port is gone.
    Unplug(Sender<()>),
    /// Plug in again; answered with the new port's path.
    Plug(Sender<io::Result<std::path::PathBuf>>),
}

/// The board's thread.
pub(super) struct Runner {
    pub(super) state: Arc<Mutex<State>>,
    pub(super) times: DeviceTimes,
    pub(super) wire: Wire,
    pub(super) port: Option<Port>,
    pub(super) controls: Receiver<Control>,
    pub(super) wake: PipeReader,
    queues: Queues,
}

struct Queues {
    /// Bytes from the host and when each has arrived.
    received: VecDeque<(Instant, u8)>,
    /// What is to happen on the board's side, and when.
    due: VecDeque<(Instant, Event)>,
    /// The MCU takes no line before this.
    busy_until: Instant,
    /// Bytes that arrived while it was busy.
    backlog: usize,
}

enum Event {
    Send(Vec<u8>),
    Unplug,
}

impl Queues {
    fn new(now: Instant) -> Self {
        Self { received: VecDeque::new(), due: VecDeque::new(), busy_until: now, backlog: 0 }
    }

    /// When there is something to do next.
    fn next(&self) -> Option<Instant> {
        let due = self.due.front().map(|(at, _)| *at);
        // Bytes within a line need no attention of their own.
        let line_end = self.received.iter().find(|(_, byte)| matches!(byte, b'\r' | b'\n'));
        let line = line_end.or(self.received.back()).map(|(at, _)| (*at).max(self.busy_until));
        due.into_iter().chain(line).min()
    }
}

impl Runner {
    pub(super) fn new(
        state: Arc<Mutex<State>>,
        times: DeviceTimes,
        paced: bool,
        port: Port,
        controls: Receiver<Control>,
        wake: PipeReader,
    ) -> Self {
        let now = Instant::now();
        let (wire, queues) = (Wire::new(paced, now), Queues::new(now));
        Self { state, times, wire, port: Some(port), controls, wake, queues }
    }

    /// Runs until it is stopped.
    pub(super) fn run(mut self) {
        if let Err(error) = self.serve() {
            tracing::error!(%error, "the simulated board has failed");
        }
    }

    fn serve(&mut self) -> io::Result<()> {
        loop {
            self.advance()?;
            let wait = self.queues.next().map(|at| at.saturating_duration_since(Instant::now()));
            if self.wait(wait)? && !self.control()? {
                return Ok(());
            }
            self.read()?;
        }
    }

    /// Does everything that is due.
    fn advance(&mut self) -> io::Result<()> {
        loop {
            if let Some(port) = &mut self.port {
                port.notice()?;
            }
            let now = Instant::now();
            if self.queues.due.front().is_some_and(|(at, _)| *at <= now) {
                match self.queues.due.pop_front() {
                    Some((_, Event::Send(bytes))) => self.send(&bytes)?,
                    Some((_, Event::Unplug)) => self.unplug(),
                    None => {}
                }
            } else if !self.take_byte(now) {
                return Ok(());
            }
        }
    }

    /// Feeds the firmware the next byte, if it has arrived and the firmware takes it by `now`.
    fn take_byte(&mut self, now: Instant) -> bool {
        let Some((arrived, byte)) = self.queues.received.front().copied() else { return false };
        let taken = arrived.max(self.queues.busy_until);
        if taken > now {
            return false;
        }
        self.queues.received.pop_front();
        self.queues.backlog = if arrived < self.queues.busy_until { self.queues.backlog + 1 } else { 0 };
        let state = self.state.clone();
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { application, firmware, .. } = &mut *state;
        if let Some(application) = application {
            if let Some(answer) = application.receive(byte, firmware) {
                self.schedule(taken, vec![Step::Send(answer)], &mut state);
            }
            return true;
        }
        if self.queues.backlog > state.firmware.kit().receive_buffer() {
            state.statistics.bytes_lost += 1;
            return true;
        }
        if let Some(line) = state.firmware.receive(byte) {
            let steps = state.answer(line);
            self.schedule(taken, steps, &mut state);
        }
        true
    }

    /// Gives each step its time, from `begin` on.
    fn schedule(&mut self, begin: Instant, steps: Vec<Step>, state: &mut State) {
        let mut at = begin;
        let mut busy = begin;
        // A pause is one of the link, not of the MCU.
        let mut paused = Duration::ZERO;
        for step in steps {
            match step {
                Step::Work(work) => {
                    at += self.times.of(work);
                    state.statistics.device_time += self.times.of(work);
                    busy = at;
                }
                Step::Pause(pause) => {
                    at += pause;
                    paused += pause;
                }
                Step::Send(bytes) if bytes.is_empty() => {}
                Step::Send(bytes) => {
                    for (through, chunk) in self.wire.send(at, &bytes) {
                        self.queues.due.push_back((through, Event::Send(chunk)));
                    }
                    at = self.wire.sent();
                    // The MCU waits until what is left fits into its buffer.
                    let left = bytes.len().min(state.firmware.kit().transmit_buffer());
                    busy = at.checked_sub(paused + self.wire.time(left)).unwrap_or(at);
                }
                Step::Unplug => self.queues.due.push_back((at, Event::Unplug)),
            }
        }
        self.queues.busy_until = busy;
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.lock(|state| {
            state.statistics.bytes_out += bytes.len() as u64;
            state.statistics.last = Some(Instant::now());
        });
        self.port.as_mut().map_or(Ok(()), |port| port.write(bytes))
    }

    fn unplug(&mut self) {
        self.port = None;
        self.queues = Queues::new(Instant::now());
        // The MCU loses its power: what it was about to say or to wait for is gone.
        self.lock(|state| _ = state.firmware.reset());
    }

    /// Waits for bytes, programs opening the port, orders, or the time to pass; true if there are orders.
    fn wait(&self, time: Option<Duration>) -> io::Result<bool> {
        let time = time.and_then(|time| Timespec::try_from(time).ok());
        let mut fds = vec![PollFd::from_borrowed_fd(self.wake.as_fd(), PollFlags::IN)];
        if let Some(port) = &self.port {
            fds.extend(port.fds().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        }
        match poll(&mut fds, time.as_ref()) {
            Ok(_) => Ok(fds.first().is_some_and(|wake| !wake.revents().is_empty())),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Follows orders; false is the end.
    fn control(&mut self) -> io::Result<bool> {
        // One byte in the pipe an order; at the end of the pipe the handle is gone.
        if self.wake.read(&mut [0])? == 0 {
            return Ok(false);
        }
        match self.controls.try_recv() {
            Ok(Control::Stop) | Err(_) => return Ok(false),
            Ok(Control::Reset) => {
                let now = Instant::now();
                self.queues = Queues::new(now);
                let state = self.state.clone();
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(application) = &mut state.application {
                    application.reset();
                    return Ok(true);
                }
                let banner = state.firmware.reset();
                let steps = banner.work.into_iter().map(Step::Work).chain([Step::Send(banner.bytes)]);
                self.schedule(now, steps.collect(), &mut state);
            }
            Ok(Control::Type(text)) => self.take(&text)?,
            Ok(Control::Unplug(done)) => {
                self.unplug();
                let _ = done.send(());
            }
            Ok(Control::Plug(done)) => {
                let opened = match &self.port {
                    Some(port) => Ok(port.path().to_owned()),
                    None => Port::open().map(|port| self.port.insert(port).path().to_owned()),
                };
                let _ = done.send(opened);
            }
        }
        Ok(true)
    }

    fn read(&mut self) -> io::Result<()> {
        let Some(port) = &mut self.port else { return Ok(()) };
        let mut buffer = [0; 4096];
        let count = port.read(&mut buffer)?;
        self.take(&buffer[..count])
    }

    /// Takes bytes that come over the line. What comes at another speed than that of the application's console is noise to it.
    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (now, count) = (Instant::now(), bytes.len());
        let speed = self.port.as_ref().map_or(Ok(CONSOLE_SPEED), Port::speed)?;
        if speed != CONSOLE_SPEED && self.lock(|state| state.application.is_some()) {
            return Ok(());
        }
        let arrivals = self.wire.receive(now, count);
        self.queues.received.extend(arrivals.zip(bytes.iter().copied()));
        if count > 0 {
            self.lock(|state| {
                state.statistics.bytes_in += count as u64;
                state.statistics.first.get_or_insert(now);
            });
        }
        Ok(())
    }

    fn lock<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        with(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn answer(&mut self, line: Line) -> Vec<Step> {
        match self.firmware.stage(&line) {
            (name, Stage::Request) if !line.overrun => self.statistics.commands.push(name),
            _ => {}
        }
        self.injector.exchange(&mut self.firmware, line)
    }
}
