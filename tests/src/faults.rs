//! Faults of the simulated board as data: when one strikes, and what it does to the exchange it strikes.

use std::time::Duration;

use crate::board::firmware::{Firmware, Line, Reply, Stage, Work};

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// When it strikes.
    pub on: Trigger,
    /// What happens then.
    pub effect: Effect,
}

/// When a fault strikes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// Name of the command, such as `MC+WINC+READ`; `None` is any.
    pub command: Option<String>,
    /// Which line of the command's exchange: the request, or the blob that follows.
    pub stage: Stage,
    /// Which of the matching lines since the fault was injected.
    pub occurrence: Occurrence,
}

/// Counting from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occurrence {
    /// This one alone.
    Nth(u32),
    /// This one and all that follow.
    From(u32),
}

/// What a fault does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The line from the host arrives damaged (its line end does arrive).
    Request(Damage),
    /// The reply leaves damaged.
    Reply(Damage),
    /// The reply stops at the offset, and goes on after the pause.
    Split {
        /// Bytes before the pause.
        offset: usize,
        /// How long.
        pause: Duration,
    },
    /// The reply comes byte by byte, so it is split at every position.
    Trickle {
        /// After each byte.
        pause: Duration,
    },
    /// The command is not carried out and the board answers with this error code.
    Error(u16),
    /// The command is not carried out and the board says nothing.
    Ignore,
    /// The command is carried out and the board says nothing.
    LoseReply,
    /// The board is unplugged before it replies.
    Unplug(Progress),
    /// The command is carried out; in the middle of the reply the board resets and prints its banner.
    Reset {
        /// Bytes of the reply that still get out.
        offset: usize,
    },
}

/// How far the board has come with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It has not begun.
    Before,
    /// In the middle: of the bytes that the command changes in the Wi-Fi module's flash, the first half is changed.
    Half,
    /// It is done.
    Done,
}

/// What can happen to bytes on a wire. Offsets past the end mean the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Bytes that nobody sent: at offset 0 before the text, past its end behind it.
    Insert {
        /// Where.
        offset: usize,
        /// What.
        bytes: Vec<u8>,
    },
    /// One byte is missing.
    Drop {
        /// Which.
        offset: usize,
    },
    /// One byte comes twice.
    Double {
        /// Which.
        offset: usize,
    },
    /// One character is another: a digit another digit, so that the text stays well-formed.
    Alter {
        /// Which.
        offset: usize,
    },
}

impl Damage {
    /// Does it to `text`. There is nothing to damage in an empty one, so it only takes insertions.
    pub fn apply(&self, text: &mut Vec<u8>) {
        let last = text.len().saturating_sub(1);
        match self {
            Self::Insert { offset, bytes } => {
                let at = (*offset).min(text.len());
                text.splice(at..at, bytes.iter().copied());
            }
            _ if text.is_empty() => {}
            Self::Drop { offset } => {
                text.remove((*offset).min(last));
            }
            Self::Double { offset } => {
                let at = (*offset).min(last);
                text.insert(at, text[at]);
            }
            Self::Alter { offset } => {
                let byte = &mut text[(*offset).min(last)];
                *byte = if *byte == b'0' { b'1' } else { b'0' };
            }
        }
    }
}

/// One thing the board does in an exchange, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It works.
    Work(Work),
    /// It pauses.
    Pause(Duration),
    /// It sends.
    Send(Vec<u8>),
    /// It is unplugged; nothing follows.
    Unplug,
}

/// The faults that are waiting for their moment.
#[derive(Clone, Debug, Default)]
pub struct Injector {
    faults: Vec<(Fault, u32)>,
}

impl Injector {
    /// Adds a fault; its occurrences are counted from now on.
    pub fn inject(&mut self, fault: Fault) {
        self.faults.push((fault, 0));
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.faults.clear();
    }

    /// Has `firmware` answer `line`, with the faults that strike now.
    pub fn exchange(&mut self, firmware: &mut Firmware, line: Line) -> Vec<Step> {
        let (name, stage) = firmware.stage(&line);
        let mut effects = Vec::new();
        for (fault, seen) in &mut self.faults {
            if fault.on.stage == stage && fault.on.command.as_ref().is_none_or(|command| *command == name) {
                *seen = seen.saturating_add(1);
                let strikes = match fault.on.occurrence {
                    Occurrence::Nth(n) => *seen == n,
                    Occurrence::From(n) => *seen >= n,
                };
                if strikes {
                    effects.push(fault.effect.clone());
                }
            }
        }
        exchange(firmware, line, &effects)
    }
}

fn exchange(firmware: &mut Firmware, mut line: Line, effects: &[Effect]) -> Vec<Step> {
    let mut instead = None;
    let mut before = None;
    for effect in effects {
        match effect {
            Effect::Request(damage) => damage.apply(&mut line.bytes),
            Effect::Error(code) => instead = Some(Reply::error(*code)),
            Effect::Ignore => instead = Some(Reply::default()),
            Effect::Unplug(Progress::Before) => return vec![Step::Unplug],
            Effect::Unplug(Progress::Half) => before = Some(firmware.flash.clone()),
            Effect::Reply(_)
            | Effect::Split { .. }
            | Effect::Trickle { .. }
            | Effect::LoseReply
            | Effect::Unplug(Progress::Done)
            | Effect::Reset { .. } => {}
        }
    }
    let Reply { work, mut bytes } = match instead {
        Some(reply) => {
            firmware.abandon();
            reply
        }
        None => firmware.execute(&line),
    };
    if let Some(before) = before {
        undo_second_half(firmware.flash.image_mut(), before.image());
    }
    // Where the board pauses within the reply, and for how long.
    let mut pauses = Vec::new();
    let mut tail = Vec::new();
    for effect in effects {
        match effect {
            Effect::Reply(damage) => damage.apply(&mut bytes),
            Effect::Split { offset, pause } => pauses.push(((*offset).min(bytes.len()), *pause)),
            Effect::Trickle { pause } => pauses.extend((1..bytes.len()).map(|offset| (offset, *pause))),
            Effect::LoseReply => bytes.clear(),
            Effect::Unplug(_) => {
                bytes.clear();
                tail = vec![Step::Unplug];
            }
            Effect::Reset { offset } => {
                bytes.truncate(*offset);
                let banner = firmware.reset();
                tail = vec![Step::Work(banner.work), Step::Send(banner.bytes)];
            }
            Effect::Request(_) | Effect::Error(_) | Effect::Ignore => {}
        }
    }
    let mut steps = vec![Step::Work(work)];
    let mut sent = 0;
    for (offset, pause) in pauses {
        let piece = bytes.get(sent..offset).unwrap_or_default();
        steps.extend([Step::Send(piece.to_vec()), Step::Pause(pause)]);
        sent = offset;
    }
    steps.push(Step::Send(bytes.get(sent..).unwrap_or_default().to_vec()));
    steps.extend(tail);
    steps
}

fn undo_second_half(flash: &mut [u8], before: &[u8]) {
    let changed: Vec<usize> = (0..flash.len()).filter(|i| flash[*i] != before[*i]).collect();
    for i in &changed[changed.len().div_ceil(2)..] {
        flash[*i] = before[*i];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::{Kit, Profile, Seed};

    const PONG: &str = "MC+PONG=000001\r\nOK\r\n";

    fn on(command: &str, occurrence: Occurrence, effect: Effect) -> Fault {
        Fault { on: Trigger { command: Some(command.into()), stage: Stage::Request, occurrence }, effect }
    }

    /// What a board with these faults does for the lines, one entry a line.
    fn play(faults: &[Fault], lines: &[&str]) -> Vec<Vec<Step>> {
        let mut injector = Injector::default();
        for fault in faults {
            injector.inject(fault.clone());
        }
        let mut firmware = Firmware::new(Kit::AvrIotWg, Seed(7), Profile::Mah1h).unwrap();
        let mut played = Vec::new();
        for byte in lines.join("\n").bytes().chain(*b"\n") {
            if let Some(line) = firmware.receive(byte) {
                played.push(injector.exchange(&mut firmware, line));
            }
        }
        played
    }

    fn sent(steps: &[Step]) -> String {
        let bytes = steps.iter().filter_map(|step| match step {
            Step::Send(bytes) => Some(bytes.clone()),
            _ => None,
        });
        String::from_utf8(bytes.flatten().collect()).unwrap()
    }

    #[test]
    fn a_fault_strikes_at_its_occurrence_of_its_command_only() {
        let error = |occurrence| on("MC+PING", occurrence, Effect::Error(0x0201));
        let lines = ["MC+PING=000001", "MC+SETLED=CONN,ON", "MC+PING=000001", "MC+PING=000001"];
        let once: Vec<_> = play(&[error(Occurrence::Nth(2))], &lines).iter().map(|s| sent(s)).collect();
        assert_eq!(once, [PONG, "OK\r\n", "ERROR: 0x0201\r\n", PONG]);
        let on_and_on: Vec<_> = play(&[error(Occurrence::From(2))], &lines).iter().map(|s| sent(s)).collect();
        assert_eq!(on_and_on, [PONG, "OK\r\n", "ERROR: 0x0201\r\n", "ERROR: 0x0201\r\n"]);
    }

    #[test]
    fn replies_are_damaged_as_told() {
        let insert = |offset| Damage::Insert { offset, bytes: b"##".to_vec() };
        for (damage, reply) in [
            (insert(0), "##MC+PONG=000001\r\nOK\r\n"),
            (insert(3), "MC+##PONG=000001\r\nOK\r\n"),
            (insert(usize::MAX), "MC+PONG=000001\r\nOK\r\n##"),
            (Damage::Drop { offset: 4 }, "MC+PNG=000001\r\nOK\r\n"),
            (Damage::Double { offset: usize::MAX }, "MC+PONG=000001\r\nOK\r\n\n"),
            (Damage::Alter { offset: 8 }, "MC+PONG=100001\r\nOK\r\n"),
        ] {
            let fault = on("MC+PING", Occurrence::Nth(1), Effect::Reply(damage));
            assert_eq!(sent(&play(&[fault], &["MC+PING=000001"])[0]), reply);
        }
    }

    #[test]
    fn damage_of_nothing_is_nothing() {
        for damage in [Damage::Drop { offset: 0 }, Damage::Double { offset: 0 }, Damage::Alter { offset: 0 }]
        {
            let mut text = vec![];
            damage.apply(&mut text);
            assert!(text.is_empty());
        }
    }

    #[test]
    fn a_damaged_request_is_what_the_firmware_sees() {
        let fault = on("MC+PING", Occurrence::Nth(1), Effect::Request(Damage::Drop { offset: 3 }));
        assert_eq!(sent(&play(&[fault], &["MC+PING=000001"])[0]), "ERROR: 0x0001\r\n");
    }

    #[test]
    fn a_fault_in_the_blob_stage_leaves_the_prompt_alone() {
        let fault = Fault {
            on: Trigger {
                command: Some("MC+BLOBTEST".into()),
                stage: Stage::Blob,
                occurrence: Occurrence::Nth(1),
            },
            effect: Effect::Error(0x0004),
        };
        let played = play(&[fault], &["MC+BLOBTEST=2", "00", "MC+PING=000001"]);
        assert_eq!(played.iter().map(|s| sent(s)).collect::<Vec<_>>(), [">", "ERROR: 0x0004\r\n", PONG]);
    }

    #[test]
    fn an_ignored_command_is_not_carried_out_and_a_lost_reply_is() {
        let lines = ["MC+SETLED=CONN,ON", "MC+GETLED=CONN"];
        for (effect, state) in [(Effect::Ignore, "OFF"), (Effect::LoseReply, "ON")] {
            let played = play(&[on("MC+SETLED", Occurrence::Nth(1), effect)], &lines);
            assert_eq!(sent(&played[0]), "");
            assert_eq!(sent(&played[1]), format!("LED:CONN is {state}\n\rOK\r\n"));
        }
    }

    #[test]
    fn a_split_reply_pauses_in_the_middle() {
        let pause = Duration::from_millis(20);
        let fault = on("MC+PING", Occurrence::Nth(1), Effect::Split { offset: 5, pause });
        let steps = &play(&[fault], &["MC+PING=000001"])[0];
        assert_eq!(
            steps[1..],
            [Step::Send(b"MC+PO".into()), Step::Pause(pause), Step::Send(PONG[5..].into())]
        );
    }

    #[test]
    fn a_trickling_reply_pauses_after_each_byte() {
        let pause = Duration::from_millis(1);
        let fault = on("MC+PING", Occurrence::Nth(1), Effect::Trickle { pause });
        let steps = &play(&[fault], &["MC+PING=000001"])[0];
        let pieces =
            steps.iter().filter(|step| matches!(step, Step::Send(bytes) if bytes.len() == 1)).count();
        assert_eq!((pieces, sent(steps)), (PONG.len(), PONG.to_owned()));
        assert_eq!(steps.iter().filter(|step| **step == Step::Pause(pause)).count(), PONG.len() - 1);
    }

    #[test]
    fn unplugging_ends_the_exchange() {
        for progress in [Progress::Before, Progress::Half, Progress::Done] {
            let fault = on("MC+PING", Occurrence::Nth(1), Effect::Unplug(progress));
            let played = play(&[fault], &["MC+PING=000001"]);
            assert_eq!((played[0].last(), sent(&played[0])), (Some(&Step::Unplug), String::new()));
        }
    }

    #[test]
    fn power_lost_in_the_middle_leaves_half_of_it() {
        let mut injector = Injector::default();
        let on = Trigger { command: None, stage: Stage::Blob, occurrence: Occurrence::Nth(1) };
        injector.inject(Fault { on, effect: Effect::Unplug(Progress::Half) });
        let mut firmware = Firmware::new(Kit::AvrIotWg, Seed(7), Profile::Mah1h).unwrap();
        for byte in *b"MC+WINC+WRITEBLOB=20480,4,8\r01020304\r" {
            if let Some(line) = firmware.receive(byte) {
                injector.exchange(&mut firmware, line);
            }
        }
        assert_eq!(firmware.flash.image()[0x5000..0x5004], [1, 2, 0xFF, 0xFF]);
    }

    #[test]
    fn a_reset_cuts_the_reply_and_prints_the_banner() {
        let fault = on("MC+PING", Occurrence::Nth(1), Effect::Reset { offset: 4 });
        let steps = &play(&[fault], &["MC+PING=000001"])[0];
        assert_eq!(sent(steps), "MC+PWelcome to the avr-iot command handler!\r\nREADY\r\n");
        assert!(steps.contains(&Step::Work(Work::Boot)));
    }
}
