//! `testbed serve`: an account and boards for use by hand, until it is stopped.

use std::any::Any;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::broadcast;

use crate::beside::{self, NotBeside};
use crate::board::{self, SimulatedBoard};
use crate::iot_core::account::Identity;
use crate::iot_core::gateway::StartError;
use crate::journal::{Entry, Journal};
use crate::lambda_host::{self, package_of};
use crate::testbed::{HOST, Options, Testbed};

mod application;
mod background;
pub mod disturbance;
mod kits;
mod ready;

/// What happened is on stderr; calls ask for the latest log lines and for how a connection ended.
const JOURNAL_ENTRIES: usize = 1 << 13;

/// The options of `testbed serve`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  eval \"$(testbed serve --env)\"
      Start the testbed in the background; the AWS tools of this shell use it from then on.
  kill \"$TESTBED_PID\"
      Stop it.

Each run has an access key of its own, which every request has to be signed with. Without --env it is in the first line.")]
pub struct Arguments {
    /// Keep serving in the background, and print the lines that a shell has to evaluate
    #[arg(long)]
    pub env: bool,
    /// Create function, rule and permission; otherwise the account is empty
    #[arg(long)]
    pub ready: bool,
    /// Port of the AWS APIs over HTTP; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub http_port: u16,
    /// Port of the device gateway: MQTT, MQTT over WebSocket, and HTTPS, all over TLS; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub mqtt_port: u16,
    /// Number of simulated boards
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub boards: usize,
    /// Boards with this provisioning firmware (Intel HEX) on models of the kit's chips, instead of simulated boards
    ///
    /// For AVR-IoT (ATmega4808) and SAM-IoT (ATSAMD21G18A). The Python package pykitcommander has the files, in its folder fw.
    /// The testbed has to be built with the feature `hardware`.
    #[arg(long, value_name = "HEX")]
    pub firmware: Option<PathBuf>,
    /// Let no board connect by itself
    ///
    /// Otherwise the application of a provisioned board connects, tries again when it is turned away, publishes, and switches an LED by
    /// messages. It runs when no command has come over the board's port for a second. Boards with --firmware do not connect.
    #[arg(long)]
    pub no_autoconnect: bool,
    /// Kits as from their shop: each runs its demo application, and has a disk that programs it
    ///
    /// A kit does not answer until the provisioning firmware is copied onto its disk. Once it is provisioned and has its application
    /// and a Wi-Fi network, it connects and publishes. `environment` in the first line has what the provisioner needs to find the
    /// kits; --env exports it.
    #[arg(long, conflicts_with = "firmware")]
    pub demo: bool,
    /// The kit that the simulated boards are
    #[arg(long, value_name = "KIT", default_value = "AVR-IoT WG", value_parser = kit, conflicts_with = "firmware")]
    pub kit: board::Kit,
    /// Let boards with a firmware run as fast as this computer can, not as fast as a kit
    #[arg(long, requires = "firmware")]
    pub fast: bool,
    /// The Region that the account is in
    #[arg(long, value_name = "REGION", default_value = "us-east-1")]
    pub region: String,
    /// The account's id
    #[arg(long, value_name = "ID", default_value = "123456789012", value_parser = account_id)]
    pub account: String,
    /// Let the account's user do what this IAM policy (JSON) allows, and nothing else
    ///
    /// Each refused action is on stderr with its resource. The policy has no NotAction, NotResource and Principal. Without the
    /// option the user may do everything. Example: provisioner permissions setup > policy.json; testbed serve --user-policy policy.json
    #[arg(long, value_name = "FILE")]
    pub user_policy: Option<PathBuf>,
    /// What comes between calls and their answers
    #[command(flatten)]
    pub disturbance: disturbance::Disturbances,
}

fn kit(text: &str) -> Result<board::Kit, String> {
    let names = board::Kit::ALL.map(board::Kit::name).join(", ");
    board::Kit::ALL.into_iter().find(|kit| kit.name() == text).ok_or(format!("the kits are: {names}"))
}

fn account_id(text: &str) -> Result<String, String> {
    if text.len() == 12 && text.bytes().all(|digit| digit.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    Err("an account id has 12 digits".to_owned())
}

/// Why there is nothing to serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The function has not been built.
    #[error(transparent)]
    NoFunction(#[from] NotBeside),
    /// The testbed in the background has ended.
    #[error("the testbed did not start: {said}")]
    NotServing {
        /// What it said.
        said: String,
    },
    /// The operating system refused.
    #[error("cannot {action}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// There is no such hex file.
    #[error("cannot read the firmware {}", path.display())]
    NoFirmware {
        /// Where it was looked for.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// There is no such policy.
    #[error("cannot read the policy {}", path.display())]
    NoUserPolicy {
        /// Where it was looked for.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The firmware does not run.
    #[error(transparent)]
    Firmware(Box<dyn std::error::Error + Send + Sync>),
    /// This build has no models of the kits' chips.
    #[error(
        "this testbed was built without the models of the kits' chips: build it with \
         `cargo build --bins --features testbed/hardware`"
    )]
    NoHardware,
    /// A port that is taken, or not allowed.
    #[error(
        "cannot listen on port {port} ({option}): choose another one with {option}, or leave the option out for a free one"
    )]
    Port {
        /// The port.
        port: u16,
        /// The option that sets it.
        option: &'static str,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The testbed itself.
    #[error(transparent)]
    Testbed(crate::testbed::Error),
    /// The account refused what `--ready` puts in place.
    #[error(transparent)]
    Account(#[from] crate::iot_core::account::Error),
    /// The policy of the function's role is not JSON.
    #[error("cannot read the policy of the function's role")]
    RolePolicy(#[from] serde_json::Error),
    /// The Lambda host refused the function.
    #[error(transparent)]
    Function(#[from] lambda_host::Error),
}

impl From<crate::testbed::Error> for Error {
    fn from(error: crate::testbed::Error) -> Self {
        use crate::testbed::Error as Testbed;
        match error {
            Testbed::Listen { address, source } => {
                Self::Port { port: address.port(), option: "--http-port", source }
            }
            Testbed::Gateway(StartError::Listen { address, source }) => {
                Self::Port { port: address.port(), option: "--mqtt-port", source }
            }
            other => Self::Testbed(other),
        }
    }
}

fn io(action: &'static str) -> impl Fn(io::Error) -> Error {
    move |source| Error::Io { action, source }
}

/// Starts everything, says on stdout where it is (one line of JSON), tells on stderr what happens, and returns at SIGTERM or
/// ctrl-C.
///
/// # Errors
/// [`Error`] if it cannot start.
pub async fn run(arguments: &Arguments) -> Result<ExitCode, Error> {
    if arguments.env {
        return background::start();
    }
    let mut terminated = signal(SignalKind::terminate()).map_err(io("listen for SIGTERM"))?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(io("listen for ctrl-C"))?;

    let zip = Arc::new(package_of(&beside::program("jitr")?)?);
    let identity = Identity { account_id: arguments.account.clone(), region: arguments.region.clone() };
    let user_policy = arguments.user_policy.as_ref().map(|path| {
        std::fs::read_to_string(path).map_err(|source| Error::NoUserPolicy { path: path.clone(), source })
    });
    let options = Options {
        identity,
        user_policy: user_policy.transpose()?,
        http_port: arguments.http_port,
        mqtt_port: arguments.mqtt_port,
        interceptor: Arc::new(disturbance::Disturbance::new(&arguments.disturbance)),
        journal_entries: JOURNAL_ENTRIES,
        ..Options::default()
    };
    let testbed = Testbed::start(options).await?;
    let boards = Boards::start(arguments, testbed.gateway().server_ca_pem())?;
    if arguments.ready {
        ready::set_up(&testbed, &zip)?;
    }

    let folder = tempfile::Builder::new().prefix("testbed-").tempdir().map_err(io("make a folder"))?;
    let (server_ca, lambda) = (folder.path().join("server-ca.pem"), folder.path().join("jitr.zip"));
    std::fs::write(&server_ca, testbed.gateway().server_ca_pem()).map_err(io("write the server's CA"))?;
    std::fs::write(&lambda, &*zip).map_err(io("write the function's package"))?;
    drop(zip);
    let vendor_roots = folder.path().join("vendor-roots.pem");
    let roots =
        board::vendor_roots().map_err(|error| io("make the vendor's roots")(io::Error::other(error)))?;
    std::fs::write(&vendor_roots, roots).map_err(io("write the vendor's roots"))?;
    let environment = match arguments.demo {
        true => kits::environment(&boards.kits),
        false => json!({}),
    };
    let line = json!({
        "endpoint_url": testbed.endpoint_url(),
        "access_key_id": testbed.access().access_key_id,
        "secret_access_key": testbed.access().secret_access_key,
        "mqtt_host": HOST,
        "mqtt_port": testbed.gateway().port(),
        "data_plane_url": format!("https://{HOST}:{}", testbed.gateway().port()),
        "server_ca": server_ca,
        "boards": boards.paths,
        "environment": environment,
        "vendor_roots": vendor_roots,
        "lambda": lambda,
        "region": arguments.region,
        "account": arguments.account,
        "pid": std::process::id(),
    });
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).map_err(io("write to stdout"))?;
    drop(stdout);

    let runs = if arguments.demo { application::Runs::Programmed } else { application::Runs::InBetween };
    let connecting: &[_] = if arguments.no_autoconnect { &[] } else { &boards.simulated };
    let _applications = application::start(connecting, runs, &testbed);
    let narrator = tokio::spawn(narrate(testbed.journal().follow(), testbed.journal().clone()));
    tokio::select! {
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    narrator.abort();
    Ok(ExitCode::SUCCESS)
}

/// Boards that are plugged in until this is dropped.
struct Boards {
    paths: Vec<PathBuf>,
    /// Those that have an application.
    simulated: Vec<Arc<SimulatedBoard>>,
    /// Those that are kits with a disk.
    kits: Vec<kits::Kit>,
    _emulated: Box<dyn Any>,
}

impl Boards {
    /// Boards that trust the server as well.
    fn start(arguments: &Arguments, server_ca_pem: &str) -> Result<Self, Error> {
        if let Some(hex) = &arguments.firmware {
            return Self::emulated(arguments, hex);
        }
        let plugged = io("plug a simulated board in");
        let kit = arguments.kit;
        let mut boards =
            Self { paths: Vec::new(), simulated: Vec::new(), kits: Vec::new(), _emulated: Box::new(()) };
        for number in 1..=arguments.boards {
            let board = if arguments.demo {
                let kit = kits::Kit::start(kit, number, server_ca_pem).map_err(&plugged)?;
                let board = kit.board();
                boards.kits.push(kit);
                board
            } else {
                let options = board::Options { kit, ..board::Options::default() };
                let board = SimulatedBoard::start(options).map_err(&plugged)?;
                board.trust(server_ca_pem);
                Arc::new(board)
            };
            boards.paths.push(board.path().to_owned());
            boards.simulated.push(board);
        }
        Ok(boards)
    }

    #[cfg(feature = "hardware")]
    fn emulated(arguments: &Arguments, path: &Path) -> Result<Self, Error> {
        use crate::board::Seed;
        use crate::board::emulated::{EmulatedBoard, Pace, StartError};
        let hex = std::fs::read_to_string(path)
            .map_err(|source| Error::NoFirmware { path: path.to_owned(), source })?;
        let pace = if arguments.fast { Pace::Host } else { Pace::Kit };
        let seed = || Seed::random().map_err(StartError::Io);
        let start = |_| seed().and_then(|seed| EmulatedBoard::start(&hex, seed, pace));
        let boards = (0..arguments.boards).map(start).collect::<Result<Vec<_>, _>>();
        let boards = boards.map_err(|error| Error::Firmware(Box::new(error)))?;
        let paths = boards.iter().map(|board| board.path().to_owned()).collect();
        Ok(Self { paths, simulated: Vec::new(), kits: Vec::new(), _emulated: Box::new(boards) })
    }

    #[cfg(not(feature = "hardware"))]
    fn emulated(_: &Arguments, _: &Path) -> Result<Self, Error> {
        Err(Error::NoHardware)
    }
}

/// One line on stderr for each thing that happens.
async fn narrate(mut happenings: broadcast::Receiver<Entry>, journal: Journal) {
    loop {
        match happenings.recv().await {
            Ok(entry) => {
                // Standard error may be closed; the journal has the entry, too.
                let _ = writeln!(anstream::stderr().lock(), "{:>9.3} {}", entry.at.as_secs_f64(), entry.what);
            }
            Err(broadcast::error::RecvError::Lagged(_)) => happenings = journal.follow(),
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}
