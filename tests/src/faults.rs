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
    /// Additional bytes: at offset 0 before the text, past its end behind it.
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
    let mut damaged = false;
    let mut instead = None;
    let mut before = None;
    for effect in effects {
        match effect {
            Effect::Request(damage) => {
                damage.apply(&mut line.bytes);
                damaged = true;
            }
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
        None if damaged => receive(firmware, &line.bytes),
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
                tail = banner.work.into_iter().map(Step::Work).chain([Step::Send(banner.bytes)]).collect();
            }
            Effect::Request(_) | Effect::Error(_) | Effect::Ignore => {}
        }
    }
    let mut steps: Vec<Step> = work.into_iter().map(Step::Work).collect();
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

/// Has the firmware take `bytes` and a line end in place of what it was about to execute. They may be several lines for it,
/// or not yet one.
fn receive(firmware: &mut Firmware, bytes: &[u8]) -> Reply {
    let mut all = Reply::default();
    for byte in bytes.iter().chain(b"\r") {
        if let Some(line) = firmware.receive(*byte) {
            let Reply { work, bytes } = firmware.execute(&line);
            all.work.extend(work);
            all.bytes.extend(bytes);
        }
    }
    all
}

fn undo_second_half(flash: &mut [u8], before: &[u8]) {
    let changed: Vec<usize> = (0..flash.len()).filter(|i| flash[*i] != before[*i]).collect();
    for i in &changed[changed.len().div_ceil(2)..] {
        flash[*i] = before[*i];
    }
}

#[cfg(test)]
mod tests;
