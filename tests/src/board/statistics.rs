//! What went over the wire, to calculate the least time that it takes.

use std::time::{Duration, Instant};

use super::wire::wire_time;

/// Counted since the board was made, or since the counts were taken last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Names of the commands, in order; as received, so noise shows up too.
    pub commands: Vec<String>,
    /// Bytes from the host.
    pub bytes_in: u64,
    /// Bytes to the host.
    pub bytes_out: u64,
    /// Bytes from the host that were lost because the board was busy and its buffer full.
    pub bytes_lost: u64,
    /// Time the device worked, as far as device times are simulated.
    pub device_time: Duration,
    pub(super) first: Option<Instant>,
    pub(super) last: Option<Instant>,
}

impl Statistics {
    /// The time all these bytes need at 115200 baud, one direction after the other, as request and reply go.
    pub fn wire_time(&self) -> Duration {
        wire_time(self.bytes_in + self.bytes_out)
    }

    /// The least time this could have taken: wire and device time.
    pub fn floor(&self) -> Duration {
        self.wire_time() + self.device_time
    }

    /// From the first byte of the host to the last byte to it: what it did take.
    pub fn elapsed(&self) -> Duration {
        self.first
            .zip(self.last)
            .map_or(Duration::ZERO, |(first, last)| last.saturating_duration_since(first))
    }

    /// How many commands of that name there were.
    pub fn count(&self, command: &str) -> usize {
        self.commands.iter().filter(|name| *name == command).count()
    }
}
