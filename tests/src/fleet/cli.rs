//! `testbed fleet`: runs the simulation, prints the report, draws the plot.

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use super::{Error, Options, Shape, run as simulate, svg};

/// What to simulate, and what to make of it.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Devices that are switched on within a minute; several numbers give several runs. With `@` and a number, that is the quota
    /// of the run.
    #[arg(long, default_value = "10000", value_name = "N[@QUOTA]", value_delimiter = ',')]
    devices: Vec<Size>,
    /// Devices a second that AWS IoT's quotas allow; all quotas are in proportion.
    #[arg(long, default_value_t = 10.0)]
    quota: f64,
    /// Seed of the random numbers.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How events get to the function; both if not given.
    #[arg(long)]
    shape: Option<Shape>,
    /// Write the plot to this file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print one JSON object a run.
    #[arg(long)]
    json: bool,
    /// Environments at the same time, without a queue.
    #[arg(long, default_value_t = 1000)]
    concurrency: usize,
    /// Messages in a batch of the queue.
    #[arg(long)]
    batch_size: Option<usize>,
    /// Environments that work on the queue at the same time.
    #[arg(long, value_parser = clap::value_parser!(u32).range(2..=1000))]
    maximum_concurrency: Option<u32>,
    /// Seconds for which a message is invisible after it was read.
    #[arg(long)]
    visibility_timeout: Option<u64>,
}

/// The size of a fleet.
#[derive(Debug, Clone, Copy)]
struct Size {
    devices: u32,
    quota: Option<f64>,
}

/// Why a size is none.
#[derive(Debug, thiserror::Error)]
#[error(
    "a number of devices, which is at least 1, and perhaps @ and devices a second are expected: 1000, 1000000@100"
)]
struct NoSize;

impl FromStr for Size {
    type Err = NoSize;

    fn from_str(text: &str) -> Result<Self, NoSize> {
        let (devices, quota) = match text.split_once('@') {
            None => (text, None),
            Some((devices, quota)) => (devices, Some(quota.parse::<f64>().map_err(|_| NoSize)?)),
        };
        let devices = devices.parse().map_err(|_| NoSize)?;
        let size = Self { devices, quota };
        (devices > 0 && quota.is_none_or(|quota| quota.is_finite() && quota > 0.0))
            .then_some(size)
            .ok_or(NoSize)
    }
}

/// Why the command failed.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error(transparent)]
    Simulation(#[from] Error),
    #[error("cannot write the plot to {path}: {source}")]
    Plot { path: PathBuf, source: std::io::Error },
}

/// Runs the command. It fails if a device was lost, if the simulation cannot run, and if the plot cannot be written.
pub fn run(arguments: &Arguments) -> ExitCode {
    match execute(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            anstream::eprintln!("testbed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn execute(arguments: &Arguments) -> Result<bool, CommandError> {
    let shapes = arguments.shape.map_or(vec![Shape::Queue, Shape::Rule], |shape| vec![shape]);
    let mut reports = Vec::new();
    for (shape, size) in
        shapes.iter().flat_map(|shape| arguments.devices.iter().map(move |size| (*shape, *size)))
    {
        let mut options = Options::new(shape);
        options.devices = size.devices as usize;
        options.quota = size.quota.unwrap_or(arguments.quota);
        options.seed = arguments.seed;
        options.concurrency = arguments.concurrency;
        let queue = &mut options.queue;
        queue.batch_size = arguments.batch_size.unwrap_or(queue.batch_size);
        queue.concurrency = arguments.maximum_concurrency.map_or(queue.concurrency, |n| n as usize);
        if let Some(seconds) = arguments.visibility_timeout {
            queue.visibility_timeout = std::time::Duration::from_secs(seconds);
        }
        let report = simulate(&options)?;
        if arguments.json {
            anstream::println!("{}", report.json());
        } else {
            anstream::println!("{report}");
        }
        reports.push(report);
    }
    if let Some(path) = &arguments.svg {
        std::fs::write(path, svg(&reports))
            .map_err(|source| CommandError::Plot { path: path.clone(), source })?;
    }
    Ok(reports.iter().all(|report| report.lost() == 0 && report.unfinished == 0))
}
