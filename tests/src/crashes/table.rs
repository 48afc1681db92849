//! The crashes as a table: position, before or after, what was left, and the end state alone and twice at once.

use std::fmt;

use super::{Crash, End, Moment, Situation, State};

/// Prints crashes, a table a situation.
pub(super) struct Table<'a>(pub(super) &'a [Crash]);

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attached = match (self.thing, self.policy) {
            (false, false) => "nothing",
            (true, false) => "thing",
            (false, true) => "policy",
            (true, true) => "thing, policy",
        };
        write!(f, "{}, {attached}", self.status)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsWithout => f.write_str("as without a crash"),
            Self::ActiveTooEarly => f.write_str("ACTIVE TOO EARLY"),
            Self::Differs(state) => write!(f, "DIFFERS: {state}"),
            Self::Failed(why) => write!(f, "FAILED: {why}"),
        }
    }
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for situation in Situation::ALL {
            writeln!(f, "{}", situation.title())?;
            writeln!(
                f,
                "  {:<27} {:<8} {:<34} {:<20} came again twice at once",
                "call", "dies", "left behind", "came again alone"
            )?;
            for crash in self.0.iter().filter(|crash| crash.situation == situation) {
                let Crash { position, operation, moment, left, alone, twice, .. } = crash;
                let moment = match moment {
                    Moment::Before => "before",
                    Moment::After => "after",
                };
                let call = format!("{position} {operation}");
                let (left, alone) = (left.to_string(), alone.to_string());
                writeln!(f, "  {call:<27} {moment:<8} {left:<34} {alone:<20} {twice}")?;
            }
            writeln!(f)?;
        }
        let ends = self.0.iter().flat_map(|crash| [&crash.alone, &crash.twice]);
        let right = ends.clone().filter(|end| **end == End::AsWithout).count();
        write!(
            f,
            "{right} of {} ended as without a crash, and the certificate never was ACTIVE before thing and policy were attached",
            ends.count()
        )
    }
}
