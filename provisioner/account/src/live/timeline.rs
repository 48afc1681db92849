//! How far a board has got, from its first connection to its first message. Pure: times are durations since any one moment.

use std::time::Duration;

/// For how long the function's log is read for a board that was turned away. A registration takes less than a second, and its
/// line is in Amazon CloudWatch Logs a few seconds later.
const LOG_DELAY: Duration = Duration::from_secs(15);

/// What a board goes through, in this order. A board that is registered begins with [`Stage::Connected`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Its certificate was registered as PENDING_ACTIVATION, and it was turned away.
    Registered,
    /// The function has worked on the event.
    Function,
    /// Its certificate is ACTIVE.
    Active,
    /// It was let in.
    Connected,
    /// It has published.
    Message,
}

/// What a board does next, and has not done for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overdue {
    /// What is missing.
    pub missing: Stage,
    /// For how long.
    pub after: Duration,
}

/// One board's stages with their times.
#[derive(Clone, Debug)]
pub struct Timeline {
    began: Duration,
    /// The first time of each stage, in the order in which they were seen.
    seen: Vec<(Stage, Duration)>,
    /// When it got on for the last time.
    moved: Duration,
    /// Whether it was told that the next stage is overdue.
    told: bool,
}

impl Timeline {
    /// Nothing has been seen of the board at `now`.
    pub fn new(now: Duration) -> Self {
        Self { began: now, seen: Vec::new(), moved: now, told: false }
    }

    /// The board is at `stage`; says whether it has not been there before.
    pub fn see(&mut self, stage: Stage, now: Duration) -> bool {
        let is_new = self.at(stage).is_none();
        if is_new {
            self.seen.push((stage, now));
            (self.moved, self.told) = (now, false);
        }
        is_new
    }

    /// The function has refused the board or failed: what comes next is overdue at once.
    pub fn fail(&mut self) {
        self.moved = Duration::ZERO;
    }

    fn at(&self, stage: Stage) -> Option<Duration> {
        self.seen.iter().find(|(seen, _)| *seen == stage).map(|(_, at)| *at)
    }

    /// Whether the board has got as far as `goal`, or beyond.
    pub fn has_reached(&self, goal: Stage) -> bool {
        self.seen.iter().any(|(seen, _)| *seen >= goal)
    }

    /// Whether its registration is under way: what the function and AWS IoT say of its certificate is of interest.
    pub fn is_being_registered(&self) -> bool {
        self.at(Stage::Registered).is_some() && !self.has_reached(Stage::Active)
    }

    /// Whether the function's log is expected to have a line about it: also for a while after it was let in.
    pub fn awaits_log(&self, now: Duration) -> bool {
        let is_new = self.since_turned_away(now).is_some_and(|since| since < LOG_DELAY);
        self.at(Stage::Function).is_none() && (is_new || self.is_being_registered())
    }

    /// How long after it was turned away, if it was.
    pub fn since_turned_away(&self, now: Duration) -> Option<Duration> {
        self.at(Stage::Registered).map(|at| now.saturating_sub(at))
    }

    /// What comes next; nothing after the first message.
    fn next(&self) -> Option<Stage> {
        match self.seen.iter().map(|(stage, _)| *stage).max() {
            // A board without a registration of its own was registered before.
            None => Some(Stage::Connected),
            Some(Stage::Registered) => Some(Stage::Active),
            Some(Stage::Function | Stage::Active) => Some(Stage::Connected),
            Some(Stage::Connected) => Some(Stage::Message),
            Some(Stage::Message) => None,
        }
    }

    /// What is overdue at `now`: missing for `patience` since the board got on. Each is told once.
    pub fn overdue(&mut self, now: Duration, patience: Duration) -> Option<Overdue> {
        let (missing, after) = (self.next()?, now.saturating_sub(self.moved));
        if after < patience || std::mem::replace(&mut self.told, true) {
            return None;
        }
        let since = self.seen.last().map_or(self.began, |(_, at)| *at);
        Some(Overdue { missing, after: now.saturating_sub(since) })
    }

    /// The same when the time is over, whether it was told or not.
    pub fn missing(&self, goal: Stage, now: Duration) -> Option<Overdue> {
        let missing = self.next().filter(|_| !self.has_reached(goal))?;
        let since = self.seen.last().map_or(self.began, |(_, at)| *at);
        Some(Overdue { missing, after: now.saturating_sub(since) })
    }

    /// Whether it was told already that the next stage is overdue.
    pub fn was_told(&self) -> bool {
        self.told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_new_board_goes_through_all_stages_and_nothing_is_overdue() {
        let mut board = Timeline::new(at(0));
        assert!(board.see(Stage::Registered, at(3)) && board.is_being_registered());
        assert!(!board.see(Stage::Registered, at(4)), "the event comes again with each connection");
        assert!(board.see(Stage::Function, at(4)) && board.see(Stage::Active, at(5)));
        assert!(!board.is_being_registered());
        assert!(board.see(Stage::Connected, at(7)));
        assert_eq!(board.since_turned_away(at(7)), Some(at(4)));
        assert!(!board.has_reached(Stage::Message));
        assert_eq!(
            board.missing(Stage::Message, at(9)),
            Some(Overdue { missing: Stage::Message, after: at(2) })
        );
        assert!(board.see(Stage::Message, at(9)) && board.has_reached(Stage::Message));
        assert_eq!(board.overdue(at(900), PATIENCE), None);
        assert_eq!(board.missing(Stage::Message, at(900)), None);
    }

    #[test]
    fn stages_that_nobody_has_seen_are_passed_with_the_later_ones() {
        let mut board = Timeline::new(at(0));
        board.see(Stage::Registered, at(1));
        board.see(Stage::Connected, at(5));
        assert!(board.has_reached(Stage::Active) && !board.is_being_registered());
    }

    #[test]
    fn the_line_of_the_functions_log_is_awaited_also_after_the_board_was_let_in() {
        let mut board = Timeline::new(at(0));
        assert!(!board.awaits_log(at(1)));
        board.see(Stage::Registered, at(1));
        board.see(Stage::Connected, at(2));
        assert!(board.awaits_log(at(15)) && !board.awaits_log(at(16)));
        board.see(Stage::Function, at(4));
        assert!(!board.awaits_log(at(5)));
        let mut stuck = Timeline::new(at(0));
        stuck.see(Stage::Registered, at(1));
        assert!(stuck.awaits_log(at(900)));
    }

    #[test]
    fn what_is_missing_is_told_once_for_each_stage() {
        let mut board = Timeline::new(at(0));
        assert_eq!(board.overdue(at(19), PATIENCE), None);
        assert_eq!(
            board.overdue(at(20), PATIENCE),
            Some(Overdue { missing: Stage::Connected, after: at(20) })
        );
        assert_eq!(board.overdue(at(21), PATIENCE), None);
        board.see(Stage::Registered, at(30));
        // It connects again, and is turned away again: its registration does not get on.
        board.see(Stage::Registered, at(49));
        assert_eq!(board.overdue(at(49), PATIENCE), None);
        let stuck = Some(Overdue { missing: Stage::Active, after: at(20) });
        assert_eq!(board.overdue(at(50), PATIENCE), stuck);
        assert!(board.was_told());
        board.see(Stage::Active, at(70));
        assert!(!board.was_told());
        assert_eq!(
            board.overdue(at(90), PATIENCE),
            Some(Overdue { missing: Stage::Connected, after: at(20) })
        );
    }

    #[test]
    fn a_refusal_is_overdue_at_once() {
        let mut board = Timeline::new(at(100));
        board.see(Stage::Registered, at(101));
        board.fail();
        let overdue = Some(Overdue { missing: Stage::Active, after: at(1) });
        assert_eq!(board.overdue(at(102), PATIENCE), overdue);
    }
}
