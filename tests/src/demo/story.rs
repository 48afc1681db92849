//! The demo: its environment, its steps in their order, and what they share.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::broadcast;
use tokio::time::timeout;

use super::calls::{CallCount, Latency, Span};
use super::programs::{Laptop, ProgramError, Programs};
use super::timeline::{Actor, Heading};
use super::{Arguments, Baud, Signer, account, board, laptop, stranger};
use crate::board::{self as simulated, SimulatedBoard};
use crate::certificate_store::{CertificateStore, StoreError};
use crate::device::{Credentials, Device, DeviceError, Endpoint};
use crate::iot_core::account::Error as AccountError;
use crate::iot_core::gateway::Event;
use crate::journal::{self, Caller, Happening};
use crate::testbed::{self, Testbed};

/// How long an event may take that a step waits for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why a step did not happen; the texts are what was seen in place of the expected.
#[derive(Debug, thiserror::Error)]
pub enum StoryError {
    /// A program under demonstration.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The local AWS IoT Core.
    #[error("the testbed does not start")]
    Testbed(#[from] testbed::Error),
    /// The folder of the demo.
    #[error("cannot use {path}")]
    Folder {
        /// Where.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The folder of the demo has something in it.
    #[error("{0} is not empty: name another folder, or empty this one")]
    FolderInUse(PathBuf),
    /// The token that was to hold the keys.
    #[error("no token")]
    Token(#[from] crate::softhsm::Error),
    /// The simulated board.
    #[error("no board")]
    Board(#[source] std::io::Error),
    /// The board's flash.
    #[error("the board's flash is not as it should be")]
    Store(#[from] StoreError),
    /// The board as a device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The state of the account.
    #[error("the account")]
    Account(#[from] AccountError),
    /// A certificate file that cannot be read, or made.
    #[error("{what}: {reason}")]
    Certificate {
        /// Which.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Something else than expected.
    #[error("{0}")]
    Differs(String),
    /// Nothing.
    #[error("no {0} within {PATIENCE:?}")]
    Late(&'static str),
}

/// A board and what it has become.
pub(super) struct Participant {
    pub(super) board: SimulatedBoard,
    /// What was read back from its flash after it was provisioned.
    pub(super) store: Option<CertificateStore>,
    /// Its connection, once it is let in.
    pub(super) device: Option<Device>,
}

/// What the steps share.
pub(super) struct Story {
    pub(super) laptop: Laptop,
    pub(super) signer: Signer,
    pub(super) programs: Programs,
    pub(super) testbed: Testbed,
    pub(super) boards: [Participant; 2],
    /// Everything at the device gateway that no step has looked at yet.
    gateway_events: broadcast::Receiver<Event>,
    /// Everything in the journal that no step has waited for yet.
    happenings: broadcast::Receiver<journal::Entry>,
    /// Journal entries whose calls have been counted.
    counted: usize,
    /// Removes the home folder at the end, unless it is kept.
    _temporary: Option<TempDir>,
}

impl Story {
    /// Prepares programs, home folder, testbed and boards.
    pub(super) async fn begin(arguments: &Arguments) -> Result<Self, StoryError> {
        let programs = Programs::beside_the_testbed()?;
        let (home, temporary) = home_folder(arguments.keep.as_ref())?;
        let options = testbed::Options { interceptor: Arc::new(Latency), ..testbed::Options::default() };
        let testbed = Testbed::start(options).await?;
        let environment = testbed.access().environment().map(|(name, value)| (name, value.to_owned())).into();
        let laptop = Laptop { home, provisioner: programs.provisioner.clone(), environment };
        let gateway_events = testbed.gateway().events();
        let happenings = testbed.journal().follow();
        let boards = [plug_in(arguments.baud)?, plug_in(arguments.baud)?];
        for participant in &boards {
            participant.board.trust(testbed.gateway().server_ca_pem());
        }
        Ok(Self {
            laptop,
            signer: arguments.signer,
            programs,
            testbed,
            boards,
            gateway_events,
            happenings,
            counted: 0,
            _temporary: temporary,
        })
    }

    /// What a board's flash held after it was provisioned.
    pub(super) fn store(&self, board: usize) -> Result<&CertificateStore, StoryError> {
        let store = self.boards[board].store.as_ref();
        store.ok_or_else(|| StoryError::Differs("the board has not been provisioned".to_owned()))
    }

    /// The board's connection.
    pub(super) fn device(&mut self, board: usize) -> Result<&mut Device, StoryError> {
        let device = self.boards[board].device.as_mut();
        device.ok_or_else(|| StoryError::Differs("the board is not connected".to_owned()))
    }

    /// What the board shows at its TLS handshake, and what it trusts.
    pub(super) fn credentials(&self, board: usize) -> Result<Credentials, StoryError> {
        self.store(board)?;
        Ok(Credentials::of(&self.boards[board].board)?.0)
    }

    /// Where the board connects to: the host name in its flash, and the port of the testbed.
    pub(super) fn endpoint(&self, board: usize) -> Result<Endpoint, StoryError> {
        let gateway = self.testbed.gateway();
        Ok(Endpoint::new(self.store(board)?.endpoint.clone(), gateway.port(), gateway.server_ca_pem()))
    }

    /// Waits for the first event at the gateway that `wanted` picks; those before it are passed over.
    pub(super) async fn gateway_event<T>(
        &mut self,
        what: &'static str,
        wanted: impl Fn(Event) -> Option<T>,
    ) -> Result<T, StoryError> {
        first(&mut self.gateway_events, what, wanted).await
    }

    /// Waits for the next end of an invocation of a function; what it answered, or how it failed.
    pub(super) async fn invocation(&mut self, function: &str) -> Result<Result<String, String>, StoryError> {
        let ended = |entry: journal::Entry| match entry.what {
            Happening::Invocation { function: name, outcome, .. } if name == function => Some(outcome),
            _ => None,
        };
        first(&mut self.happenings, "end of the Lambda function", ended).await
    }

    /// The calls a function has made since they were counted last.
    pub(super) fn count_calls_of(&mut self, function: &str) -> CallCount {
        let entries = self.testbed.journal().entries();
        let new = entries.get(self.counted..).unwrap_or_default();
        self.counted = entries.len();
        let spans = new.iter().filter_map(|entry| match &entry.what {
            Happening::Call(call) if call.caller == Caller::Function(function.to_owned()) => {
                Some(Span { from: entry.at.saturating_sub(call.took), to: entry.at })
            }
            _ => None,
        });
        CallCount::of(spans.collect())
    }
}

/// Waits for the first of what happens that `wanted` picks.
async fn first<T: Clone, U>(
    happening: &mut broadcast::Receiver<T>,
    what: &'static str,
    wanted: impl Fn(T) -> Option<U>,
) -> Result<U, StoryError> {
    let waiting = async {
        loop {
            match happening.recv().await {
                Ok(happened) => {
                    if let Some(found) = wanted(happened) {
                        return Ok(found);
                    }
                }
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return Err(StoryError::Late(what)),
            }
        }
    };
    timeout(PATIENCE, waiting).await.map_err(|_| StoryError::Late(what))?
}

fn home_folder(keep: Option<&PathBuf>) -> Result<(PathBuf, Option<TempDir>), StoryError> {
    let Some(path) = keep else {
        let temporary = tempfile::Builder::new().prefix("testbed-home-").tempdir();
        let temporary =
            temporary.map_err(|source| StoryError::Folder { path: std::env::temp_dir(), source })?;
        return Ok((temporary.path().to_owned(), Some(temporary)));
    };
    let unusable = |source| StoryError::Folder { path: path.clone(), source };
    std::fs::create_dir_all(path).map_err(unusable)?;
    if path.read_dir().map_err(unusable)?.next().is_some() {
        return Err(StoryError::FolderInUse(path.clone()));
    }
    // The provisioner runs with it as its home, wherever it is started.
    Ok((path.canonicalize().map_err(unusable)?, None))
}

fn plug_in(baud: Baud) -> Result<Participant, StoryError> {
    let mut options = simulated::Options::default();
    if baud == Baud::Fast {
        options.wire_speed = false;
        options.device_times = simulated::wire::DeviceTimes::NONE;
    }
    let board = SimulatedBoard::start(options).map_err(StoryError::Board)?;
    Ok(Participant { board, store: None, device: None })
}

/// What a step does; what was seen, or what went wrong.
type Act<'a> = Pin<Box<dyn Future<Output = Result<String, StoryError>> + 'a>>;

/// A step of the demo.
pub(super) struct Step {
    pub(super) heading: Heading,
    /// What should be seen, in case it is not.
    pub(super) expected: &'static str,
    pub(super) run: for<'a> fn(&'a mut Story) -> Act<'a>,
}

/// The first board, and the second one, for which account and function are ready.
const FIRST: usize = 0;
const SECOND: usize = 1;

/// The steps, in their order.
pub(super) const STEPS: &[Step] = &[
    Step {
        heading: Heading { name: "ca", actor: Actor::Laptop, title: "makes its certificate authority" },
        expected: "a root CA and a signer CA signed by it, with keys that only their owner can read",
        run: |story| Box::pin(laptop::create_ca(story)),
    },
    Step {
        heading: Heading { name: "setup", actor: Actor::Laptop, title: "sets the account up" },
        expected: "the signer CA registered, active and auto-registering; a topic rule whose events the Lambda function gets through a queue",
        run: |story| Box::pin(laptop::set_up(story)),
    },
    Step {
        heading: Heading { name: "provision", actor: Actor::Laptop, title: "provisions a board" },
        expected: "a certificate for the board's own key, its thing name and the endpoint in the board's flash",
        run: |story| Box::pin(laptop::provision(story, FIRST)),
    },
    Step {
        heading: Heading { name: "first_connect", actor: Actor::Board, title: "connects with its own key" },
        expected: "the connection closed, the certificate registered and waiting for its activation",
        run: |story| Box::pin(board::is_turned_away(story, FIRST)),
    },
    Step {
        heading: Heading {
            name: "registration",
            actor: Actor::Cloud,
            title: "event → rule → queue → Lambda",
        },
        expected: "the certificate ACTIVE, with the thing and the policy attached",
        run: |story| Box::pin(account::registers(story, FIRST)),
    },
    Step {
        heading: Heading { name: "let_in", actor: Actor::Board, title: "tries again" },
        expected: "to be connected",
        run: |story| Box::pin(board::is_let_in(story, FIRST)),
    },
    Step {
        heading: Heading { name: "publish", actor: Actor::Board, title: "publishes to its own topic" },
        expected: "the message accepted",
        run: |story| Box::pin(board::publishes(story, FIRST)),
    },
    Step {
        heading: Heading { name: "message", actor: Actor::Board, title: "gets a message back" },
        expected: "the message that the account sent to the board's topic",
        run: |story| Box::pin(board::gets_a_message(story, FIRST)),
    },
    Step {
        heading: Heading {
            name: "second_provision",
            actor: Actor::Laptop,
            title: "provisions the next board",
        },
        expected: "another certificate and thing name in the flash of the other board",
        run: |story| Box::pin(laptop::provision(story, SECOND)),
    },
    Step {
        heading: Heading {
            name: "second_registration",
            actor: Actor::Cloud,
            title: "meets it, with the Lambda warm",
        },
        expected: "the next board registered with five calls",
        run: |story| Box::pin(account::registers_warm(story, SECOND)),
    },
    Step {
        heading: Heading {
            name: "wrong_client_id",
            actor: Actor::Board,
            title: "claims the other board's name",
        },
        expected: "the connection closed: its policy allows its own client id only",
        run: |story| Box::pin(board::claims_the_name_of(story, FIRST, SECOND)),
    },
    Step {
        heading: Heading {
            name: "foreign_topic",
            actor: Actor::Board,
            title: "publishes to the other board's topic",
        },
        expected: "the connection closed: its policy allows its own topics only",
        run: |story| Box::pin(board::publishes_to_the_topic_of(story, FIRST, SECOND)),
    },
    Step {
        heading: Heading {
            name: "stranger",
            actor: Actor::Stranger,
            title: "comes with a CA of the same name",
        },
        expected: "the connection closed, and nothing registered",
        run: |story| Box::pin(stranger::is_refused(story, FIRST)),
    },
];
