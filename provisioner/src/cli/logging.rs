//! What is logged to stderr.

use clap::ValueEnum;
use device_pki::visible::{self, Records};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::output;

/// How much to tell; the names are those of Microchip's iotprovision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// Nothing but the error that ends the program.
    #[value(alias = "critical")]
    Fatal,
    /// Errors after which the program continues.
    Error,
    /// What may need attention.
    #[default]
    Warning,
    /// What is being done.
    Info,
    /// Every exchange with the board and with AWS.
    Debug,
}

impl Level {
    fn filter(self) -> LevelFilter {
        match self {
            Self::Fatal => LevelFilter::OFF,
            Self::Error => LevelFilter::ERROR,
            Self::Warning => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
        }
    }
}

/// The crates of this program, as log lines name them.
const OWN: [&str; 5] = ["provisioner", "durable_files", "iot_account", "iot_kit", "jitr"];

/// Sends log lines to stderr.
///
/// Of other crates only errors are told: what the AWS SDK warns of comes back as the error of the call, and below that
/// it prints headers, session tokens among them.
pub(super) fn start(level: Level) {
    let own = level.filter();
    let targets =
        Targets::new().with_default(own.min(LevelFilter::ERROR)).with_targets(OWN.map(|name| (name, own)));
    let visible = || Records::new(output::Log, visible::line);
    let lines = tracing_subscriber::fmt::layer().with_writer(visible).with_ansi(false).with_target(false);
    // Fails only where the caller of the library has set logging up already; theirs stays.
    let _ = tracing_subscriber::registry().with(targets).with(lines).try_init();
}
