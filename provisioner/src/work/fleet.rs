//! Many boards at one station, side by side: a thread a board, and one place that knows what becomes of each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::FleetError;
use super::provision::{Outcome, Step};
use super::station::{Attempt, Patience, Station};
use iot_kit::{Kit, ports};

mod arrivals;

use arrivals::Arrivals;

/// How often the list of ports is read while waiting for boards. Plugging a board in takes a hand longer than a second,
/// and USB some tenths of one to enumerate it; reading the list takes a millisecond and opens no port. So a board is
/// noticed before the hand has let go of it, and the computer does nothing most of the time.
pub const POLL: Duration = Duration::from_millis(250);

/// Which boards.
#[derive(Clone, Debug)]
pub enum Boards {
    /// These, and then it is over.
    Given(Vec<Kit>),
    /// Whatever is plugged in, until interrupted.
    Arriving,
}

/// What happens with the boards.
#[derive(Debug)]
pub enum Event<'a> {
    /// Work on a board has begun.
    Started(&'a Kit),
    /// A board has got so far.
    Step(&'a Kit, &'a Step),
    /// Work on a board has ended, well or badly.
    Finished(&'a Attempt),
    /// A board has been unplugged; its port is free for the next.
    Left(&'a str),
    /// The list of ports cannot be read; it is tried again.
    NoList(&'a iot_kit::Error),
    /// No further board is begun; the boards at work are finished: their number.
    Stopping(usize),
}

/// What became of the boards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Written and read back.
    pub provisioned: usize,
    /// Right already.
    pub unchanged: usize,
    /// Failed.
    pub failed: usize,
    /// In hand when the run was aborted.
    pub aborted: usize,
    /// Done, but without the label they should have.
    pub without_label: usize,
}

/// What the threads tell the fleet.
enum Message {
    Step(String, Step),
    Finished(Box<Attempt>),
    Interrupted,
}

/// Many boards at one station.
pub struct Fleet {
    station: Arc<Station>,
    endpoint: String,
    messages: Receiver<Message>,
    sender: Sender<Message>,
}

/// The state of a run.
#[derive(Default)]
struct Run {
    /// The boards that are worked on, by port.
    in_hand: BTreeMap<String, Kit>,
    /// Boards that cannot be begun yet, because their port is in use, or no thread is free.
    held_back: Vec<Kit>,
    summary: Summary,
    interrupted: bool,
}

impl Fleet {
    /// Boards that connect to `endpoint`.
    pub fn new(station: Arc<Station>, endpoint: String) -> Self {
        let (sender, messages) = channel();
        Self { station, endpoint, messages, sender }
    }

    /// What ends it early.
    pub fn interrupter(&self) -> impl Fn() + Send + 'static {
        let sender = self.sender.clone();
        // When nobody listens any more, nothing is left to interrupt.
        move || drop(sender.send(Message::Interrupted))
    }

    /// Works through the boards and tells `observe` what happens. Says what became of them, and why
    /// it ended early if it did. Boards that failed are in the summary.
    pub fn run(
        self,
        boards: Boards,
        observe: &mut dyn FnMut(Event<'_>),
    ) -> (Summary, Result<(), FleetError>) {
        let mut run = Run::default();
        let result = self.work(&mut run, boards, observe);
        let summary = run.summary;
        let aborted =
            if summary.aborted > 0 { Err(FleetError::Aborted { boards: summary.aborted }) } else { Ok(()) };
        (summary, result.and(aborted))
    }

    fn work(
        &self,
        run: &mut Run,
        boards: Boards,
        observe: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), FleetError> {
        let (mut watch, patience) = match boards {
            Boards::Given(kits) => {
                run.held_back = kits;
                (None, Patience::None)
            }
            Boards::Arriving => (Some((Arrivals::default(), Instant::now())), Patience::JustPluggedIn),
        };
        loop {
            if let Some((arrivals, next)) = watch.as_mut().filter(|(_, next)| *next <= Instant::now()) {
                *next = Instant::now() + POLL;
                look(arrivals, run, observe);
            }
            self.begin(run, patience, observe)?;
            if run.in_hand.is_empty() && (run.interrupted || watch.is_none()) {
                return Ok(());
            }
            let message = match &watch {
                Some((_, next)) => self.messages.recv_timeout(next.saturating_duration_since(Instant::now())),
                None => self.messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match message {
                Ok(Message::Step(port, step)) => {
                    if let Some(kit) = run.in_hand.get(&port) {
                        observe(Event::Step(kit, &step));
                    }
                }
                Ok(Message::Finished(attempt)) => run.finish(&attempt, observe),
                Ok(Message::Interrupted) if run.interrupted => {
                    run.summary.aborted = run.in_hand.len();
                    return Ok(());
                }
                Ok(Message::Interrupted) => {
                    run.interrupted = true;
                    run.held_back.clear();
                    watch = None;
                    observe(Event::Stopping(run.in_hand.len()));
                }
                // The fleet holds a sender itself, so the channel stays open.
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
    }

    /// Begins every board that can be begun.
    fn begin(
        &self,
        run: &mut Run,
        patience: Patience,
        observe: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), FleetError> {
        for kit in std::mem::take(&mut run.held_back) {
            if run.in_hand.contains_key(&kit.port) {
                run.held_back.push(kit);
                continue;
            }
            match self.start(kit.clone(), patience) {
                Ok(()) => {
                    observe(Event::Started(&kit));
                    run.in_hand.insert(kit.port.clone(), kit);
                }
                // Its turn comes when a board at work has returned its thread.
                Err(_) if !run.in_hand.is_empty() => run.held_back.push(kit),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn start(&self, kit: Kit, patience: Patience) -> Result<(), FleetError> {
        let (station, sender, endpoint) = (self.station.clone(), self.sender.clone(), self.endpoint.clone());
        let port = kit.port.clone();
        let work = move || {
            // Where nobody listens any more, the run was aborted.
            let mut observe = |step| drop(sender.send(Message::Step(kit.port.clone(), step)));
            let attempt = station.attempt(&kit, patience, Box::new(|| Ok(endpoint)), &mut observe);
            let _ = sender.send(Message::Finished(Box::new(attempt)));
        };
        thread::Builder::new()
            .name(port.clone())
            .spawn(work)
            .map(drop)
            .map_err(|source| FleetError::Thread { port, source })
    }
}

/// Reads the list of ports.
fn look(arrivals: &mut Arrivals, run: &mut Run, observe: &mut dyn FnMut(Event<'_>)) {
    match ports::plugged_in() {
        Ok(kits) => {
            let change = arrivals.update(kits);
            for port in &change.left {
                run.held_back.retain(|kit| kit.port != *port);
                observe(Event::Left(port));
            }
            run.held_back.extend(change.arrived);
        }
        Err(error) => observe(Event::NoList(&error)),
    }
}

impl Run {
    fn finish(&mut self, attempt: &Attempt, observe: &mut dyn FnMut(Event<'_>)) {
        self.in_hand.remove(&attempt.kit.port);
        let count = match &attempt.result {
            Ok(report) => match report.outcome {
                Outcome::Provisioned => &mut self.summary.provisioned,
                Outcome::Unchanged => &mut self.summary.unchanged,
            },
            Err(_) => &mut self.summary.failed,
        };
        *count += 1;
        self.summary.without_label += usize::from(attempt.label.is_some());
        observe(Event::Finished(attempt));
    }
}
