//! Time: how long a byte is on the wire, how long the device works, and when each piece of a reply is through.

use std::time::{Duration, Instant};

use super::firmware::Work;

/// Line rate of the provisioning firmware, bits a second.
const BAUD: u64 = 115_200;
/// 8 data bits, start and stop bit.
const BITS_A_BYTE: u64 = 10;
/// Bytes that are passed on at once, 1.4 ms of wire: short enough to behave like single bytes, long enough to wake up seldom.
const CHUNK: usize = 16;

/// How long the device works on what takes time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceTimes {
    /// Looking a command with a blob up and reading its arguments.
    pub prepare: Duration,
    /// Changing the mode of the Wi-Fi module.
    pub mode_change: Duration,
    /// Erasing a sector of the Wi-Fi module's flash.
    pub erase: Duration,
    /// Programming a page of the Wi-Fi module's flash.
    pub program: Duration,
    /// A signature by the secure element.
    pub sign: Duration,
    /// Deriving the public key in the secure element.
    pub public_key: Duration,
    /// From reset to the banner.
    pub boot: Duration,
}

impl DeviceTimes {
    /// As observed on AVR-IoT kits (erase: the middle of 60 to 100 ms); the time to boot is not known, and short.
    pub const OBSERVED: Self = Self {
        prepare: Duration::from_micros(720),
        mode_change: Duration::from_millis(330),
        erase: Duration::from_millis(80),
        program: Duration::from_millis(3),
        sign: Duration::from_millis(115),
        public_key: Duration::from_millis(115),
        boot: Duration::from_millis(50),
    };
    /// As observed on SAM-IoT kits; all but the change of mode is that of the AVR-IoT kits.
    pub const OBSERVED_ON_SAM: Self = Self { mode_change: Duration::from_millis(780), ..Self::OBSERVED };
    /// Everything is done at once.
    pub const NONE: Self = Self {
        prepare: Duration::ZERO,
        mode_change: Duration::ZERO,
        erase: Duration::ZERO,
        program: Duration::ZERO,
        sign: Duration::ZERO,
        public_key: Duration::ZERO,
        boot: Duration::ZERO,
    };

    /// The time that `work` takes.
    pub fn of(&self, work: Work) -> Duration {
        match work {
            Work::Prepare => self.prepare,
            Work::ModeChange => self.mode_change,
            Work::Erase => self.erase,
            Work::Program => self.program,
            Work::Sign => self.sign,
            Work::PublicKey => self.public_key,
            Work::Boot => self.boot,
        }
    }
}

/// The time `bytes` need on the wire at 115200 baud.
pub fn wire_time(bytes: u64) -> Duration {
    Duration::from_nanos(bytes * BITS_A_BYTE * 1_000_000_000 / BAUD)
}

/// The two directions of the wire. Times are computed from what came before, never from when a thread woke up, so late
/// wake-ups do not add up.
#[derive(Debug)]
pub(super) struct Wire {
    paced: bool,
    received: Instant,
    sent: Instant,
}

impl Wire {
    /// An idle wire; without `paced`, every byte is through at once.
    pub(super) fn new(paced: bool, now: Instant) -> Self {
        Self { paced, received: now, sent: now }
    }

    /// The time that so many bytes take.
    pub(super) fn time(&self, bytes: usize) -> Duration {
        if self.paced { wire_time(bytes as u64) } else { Duration::ZERO }
    }

    /// When each of `count` bytes that the host wrote at `written` has arrived.
    pub(super) fn receive(
        &mut self,
        written: Instant,
        count: usize,
    ) -> impl Iterator<Item = Instant> + use<> {
        let begin = written.max(self.received);
        self.received = begin + self.time(count);
        let paced = self.paced;
        (1..=count as u64).map(move |n| if paced { begin + wire_time(n) } else { begin })
    }

    /// Cuts what the board sends at `ready` or later into chunks, each with the time its last byte is through.
    pub(super) fn send(&mut self, ready: Instant, bytes: &[u8]) -> Vec<(Instant, Vec<u8>)> {
        let begin = ready.max(self.sent);
        self.sent = begin + self.time(bytes.len());
        if !self.paced {
            return vec![(begin, bytes.to_vec())];
        }
        let mut through = 0;
        bytes
            .chunks(CHUNK)
            .map(|chunk| {
                through += chunk.len();
                (begin + self.time(through), chunk.to_vec())
            })
            .collect()
    }

    /// When the last byte the board sends is through.
    pub(super) fn sent(&self) -> Instant {
        self.sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_is_ten_bits() {
        assert_eq!(wire_time(11_520), Duration::from_secs(1));
        assert_eq!(wire_time(1), Duration::from_nanos(86_805));
    }

    #[test]
    fn bytes_arrive_one_after_the_other_even_when_written_at_once() {
        let start = Instant::now();
        let mut wire = Wire::new(true, start);
        let first: Vec<_> = wire.receive(start, 3).collect();
        let second: Vec<_> = wire.receive(start, 1).collect();
        assert_eq!(first, [1, 2, 3].map(|n| start + wire_time(n)));
        assert_eq!(second, [start + wire_time(3) + wire_time(1)]);
    }

    #[test]
    fn a_reply_is_through_when_all_its_bytes_are_and_the_next_waits_for_it() {
        let start = Instant::now();
        let mut wire = Wire::new(true, start);
        let chunks = wire.send(start, &[0; 40]);
        assert_eq!(chunks.iter().map(|(_, bytes)| bytes.len()).collect::<Vec<_>>(), [16, 16, 8]);
        assert_eq!(chunks[2].0, start + wire_time(40));
        assert_eq!(wire.send(start, &[0])[0].0, start + wire_time(40) + wire_time(1));
    }

    #[test]
    fn an_unpaced_wire_takes_no_time() {
        let start = Instant::now();
        let mut wire = Wire::new(false, start);
        assert!(wire.receive(start, 100).all(|arrived| arrived == start));
        assert_eq!(wire.send(start, &[7; 40]), [(start, vec![7; 40])]);
        assert_eq!(wire.sent(), start);
    }
}
