//! Boards that are followed: what happens is shown, and what does not happen is explained.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime};

use iot_account::live::{self, Event, FunctionLog, Live, Logged, Notice, Overdue, Stage, State, Timeline};
use iot_account::setup::FUNCTION;
use iot_account::{Account, Error as AccountError};
use tokio::sync::watch;
use tokio::task::{self, JoinHandle};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};

use super::lines::{Happened, Payload, Seen};
use crate::cli::context::joined;
use crate::cli::{Context, Error, doctor, setup, signals};

/// How often what AWS IoT does not publish is asked for: one certificate a time. The function needs the same quota, ten a second.
const ASKING: Duration = Duration::from_secs(1);

/// How long boards are followed at the longest: a clock of the runtime does not reach much further.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// How long boards are followed, and how far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goal {
    /// How far each board has to get; `None` for ever.
    pub(crate) stage: Option<Stage>,
    /// After how long it ends.
    pub(crate) limit: Option<Duration>,
    /// After how long without progress of a board is explained what is missing.
    pub(crate) patience: Duration,
}

/// What was asked for beside the events.
struct Asked {
    certificate: Option<(String, Result<Option<State>, AccountError>)>,
    log: Option<(FunctionLog, Result<Vec<Logged>, AccountError>)>,
}

/// Everything that is watched.
pub(crate) struct Watch {
    context: Context,
    account: Account,
    live: Live,
    began: Instant,
    /// Names of things by the ids of their certificates.
    names: BTreeMap<String, String>,
    /// Those that are followed; empty for all.
    followed: BTreeSet<String>,
    /// Timelines, by the name of the thing, or by the id of the certificate while that is not known.
    boards: BTreeMap<String, Timeline>,
    /// Ids of certificates by the name of the thing.
    certificates: BTreeMap<String, String>,
    /// Messages of our own that have not come back.
    own: Vec<(String, Vec<u8>)>,
    /// Certificates that are asked for in turn.
    turn: usize,
    may_describe: bool,
    log: Option<FunctionLog>,
    /// What is looked at where something is missing.
    options: setup::Options,
    asking: Option<JoinHandle<Asked>>,
}

impl Watch {
    /// Watches by this connection. `names` are those of things, by the ids of certificates; `function` registers them, or the one with
    /// the usual name.
    pub(crate) fn new(
        context: &Context,
        account: Account,
        live: Live,
        names: BTreeMap<String, String>,
        function: Option<String>,
    ) -> Self {
        let certificates = names.iter().map(|(id, name)| (name.clone(), id.clone())).collect();
        let log = FunctionLog::new(function.as_deref().unwrap_or(FUNCTION), SystemTime::now());
        Self {
            context: context.clone(),
            account,
            live,
            began: Instant::now(),
            names,
            followed: BTreeSet::new(),
            boards: BTreeMap::new(),
            certificates,
            own: Vec::new(),
            turn: 0,
            may_describe: true,
            log: Some(log),
            options: setup::Options::of_function(function),
            asking: None,
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Follows these things, with their certificates as far as they are known.
    pub(crate) fn follow(&mut self, things: impl IntoIterator<Item = (String, Option<String>)>) {
        let now = self.now();
        for (name, certificate) in things {
            if let Some(id) = certificate {
                self.names.insert(id.clone(), name.clone());
                self.certificates.insert(name.clone(), id);
            }
            self.boards.insert(name.clone(), Timeline::new(now));
            self.followed.insert(name);
        }
    }

    /// Subscribes to the messages of what is followed.
    pub(crate) async fn subscribe(&self) {
        let filters = self.followed.iter().flat_map(|name| live::messages_of(name)).collect();
        self.live.subscribe(filters).await;
    }

    /// A message of our own is no message of the board.
    pub(super) fn sent(&mut self, message: Option<(String, Vec<u8>)>) {
        self.own.extend(message);
    }

    pub(super) fn tell_begin(&self, goal: &Goal) {
        let whose = match self.followed.len() {
            0 => "all devices".to_owned(),
            1 => self.followed.iter().next().cloned().unwrap_or_default(),
            count => iot_account::counted(count, "thing"),
        };
        let end = match goal.limit {
            Some(limit) => format!("for {} s, or until Ctrl-C", limit.as_secs()),
            None => "until Ctrl-C".to_owned(),
        };
        let region = self.account.region();
        self.context.note(format_args!("watching {whose} in {region} {end}; times are UTC"));
    }

    /// Shows what happens until the goal is reached, the time is over, or somebody ends it.
    ///
    /// # Errors
    /// [`Error::Unseen`], where there is a goal and not all have reached it; [`AccountError`] of the connection.
    pub(crate) async fn run(mut self, goal: &Goal) -> Result<(), Error> {
        let (interrupt, mut interrupted) = watch::channel(false);
        let signals = task::spawn(signals::pass_on(move || {
            interrupt.send_replace(true);
        }));
        let ended = tokio::select! {
            ended = self.watch(goal) => ended,
            Ok(()) = interrupted.changed() => self.verdict(goal),
        };
        signals.abort();
        if let Some(asking) = self.asking.take() {
            asking.abort();
        }
        self.live.close().await;
        ended
    }

    async fn watch(&mut self, goal: &Goal) -> Result<(), Error> {
        let over = sleep(goal.limit.map_or(LONGEST, |limit| limit.min(LONGEST)));
        tokio::pin!(over);
        let mut ticks = ticks();
        loop {
            tokio::select! {
                notice = self.live.next() => self.take(notice?),
                asked = answer(&mut self.asking) => self.learn(asked),
                _ = ticks.tick() => {
                    self.ask();
                    self.explain_overdue(goal).await?;
                }
                () = &mut over => {
                    self.explain_missing(goal).await?;
                    return self.verdict(goal);
                }
            }
            if goal.stage.is_some_and(|stage| self.have_reached(stage)) {
                return Ok(());
            }
        }
    }

    fn have_reached(&self, stage: Stage) -> bool {
        let has = |name: &String| self.boards.get(name).is_some_and(|board| board.has_reached(stage));
        self.followed.iter().all(has)
    }

    fn verdict(&self, goal: &Goal) -> Result<(), Error> {
        let Some(stage) = goal.stage else { return Ok(()) };
        let has = |name: &&String| self.boards.get(*name).is_some_and(|board| board.has_reached(stage));
        match self.followed.iter().filter(|name| !has(name)).count() {
            0 => Ok(()),
            missing => Err(Error::Unseen { missing, all: self.followed.len(), goal: not_done(stage) }),
        }
    }

    /// Whether something about this thing is shown.
    fn is_followed(&self, thing: &str) -> bool {
        self.followed.is_empty() || self.followed.contains(thing)
    }

    /// The board with this name, from now on.
    fn board(&mut self, name: &str) -> &mut Timeline {
        let now = self.now();
        self.boards.entry(name.to_owned()).or_insert_with(|| Timeline::new(now))
    }

    fn take(&mut self, notice: Notice) {
        match notice {
            Notice::Event(event) => self.see(&event),
            Notice::Refused { filter } => {
                let text = format!("this user may not subscribe to {filter} (iot:Subscribe)");
                self.show(&Seen { topic: Some(&filter), ..Seen::now(Happened::Refused, text) });
            }
            Notice::Sent { topic } => {
                let text = format!("to {topic}");
                self.show(&Seen { topic: Some(&topic), ..Seen::now(Happened::Sent, text) });
            }
            Notice::Lost { why } => {
                let text = format!("the connection has ended ({why}); connecting again");
                self.show(&Seen { detail: Some(&why), ..Seen::now(Happened::Lost, text) });
            }
            Notice::Again => {
                let text = "connected again; what happened meanwhile is not shown";
                self.show(&Seen::now(Happened::Again, text));
            }
        }
    }

    fn show(&self, seen: &Seen<'_>) {
        seen.show(&self.context);
    }

    fn see(&mut self, event: &Event) {
        let now = self.now();
        match event {
            Event::Registered { certificate_id } => self.registered(certificate_id, now),
            Event::Connected { client_id, certificate_id, source_ip } => {
                if client_id == self.live.client_id() {
                    return;
                }
                if let Some(id) = certificate_id {
                    self.name(id, client_id);
                }
                if !self.is_followed(client_id) {
                    return;
                }
                let board = self.board(client_id);
                let (is_first, after) = (board.see(Stage::Connected, now), board.since_turned_away(now));
                let after = after.filter(|_| is_first);
                let from = source_ip.as_ref().map(|ip| format!("from {ip}")).unwrap_or_default();
                let later =
                    after.map(|after| format!(", {:.1} s after it was turned away", after.as_secs_f64()));
                let text = format!("let in {from}{}", later.unwrap_or_default());
                self.show(
                    &Seen {
                        certificate_id: certificate_id.as_deref(),
                        source_ip: source_ip.as_deref(),
                        seconds: after,
                        ..Seen::now(Happened::Connected, text)
                    }
                    .of_client(client_id),
                );
            }
            Event::Disconnected { client_id, reason } => {
                if self.is_followed(client_id) && client_id != self.live.client_id() {
                    let text = reason.clone().unwrap_or_default();
                    let seen = Seen { detail: reason.as_deref(), ..Seen::now(Happened::Disconnected, text) };
                    self.show(&seen.of_client(client_id));
                }
            }
            Event::ConnectFailed { client_id, certificate_id, reason } => {
                if let Some(id) = certificate_id {
                    self.name(id, client_id);
                }
                if !self.is_followed(client_id) {
                    return;
                }
                self.board(client_id).fail();
                let reason = reason.as_deref();
                let text =
                    format!("its policies do not let it connect ({})", reason.unwrap_or("no reason given"));
                let certificate_id = certificate_id.as_deref();
                let seen =
                    Seen { detail: reason, certificate_id, ..Seen::now(Happened::ConnectFailed, text) };
                self.show(&seen.of_client(client_id));
            }
            Event::Message { topic, payload } => self.message(event, topic, payload, now),
            Event::Malformed { topic } => {
                let text = format!("what was published to {topic} is not an event of AWS IoT");
                self.show(&Seen { topic: Some(topic), ..Seen::now(Happened::Malformed, text) });
            }
        }
    }

    fn message(&mut self, event: &Event, topic: &str, payload: &[u8], now: Duration) {
        let thing = event.thing();
        if !thing.map_or(self.followed.is_empty(), |thing| self.is_followed(thing)) {
            return;
        }
        let own = self.own.iter().position(|(sent, content)| sent == topic && content == payload);
        if let Some(own) = own {
            self.own.swap_remove(own);
            return;
        }
        if let Some(thing) = thing.filter(|_| live::may_be_of_device(topic)) {
            // Of others than boards, whose presence was seen, nothing is expected.
            if self.boards.contains_key(thing) {
                self.board(thing).see(Stage::Message, now);
            }
        }
        let payload = Payload::of(payload);
        let text = format!("{topic}  {payload}");
        let seen = Seen { topic: Some(topic), payload, ..Seen::now(Happened::Message, text) };
        self.show(&seen.of_thing(thing));
    }

    fn registered(&mut self, id: &str, now: Duration) {
        let name = self.names.get(id).cloned();
        let key = name.clone().unwrap_or_else(|| id.to_owned());
        let is_first = self.board(&key).see(Stage::Registered, now);
        if let Some(name) = &name {
            self.certificates.insert(name.clone(), id.to_owned());
        }
        if !self.followed.is_empty() && !name.as_ref().is_some_and(|name| self.followed.contains(name)) {
            return;
        }
        let text = match is_first {
            true => {
                format!("first connection: AWS IoT registers the certificate {id:.12}… as PENDING_ACTIVATION")
            }
            false => "once more: the registration is not finished".to_owned(),
        };
        self.show_pending(id, name.as_deref(), text);
    }

    fn show_pending(&self, id: &str, thing: Option<&str>, text: String) {
        let (status, certificate_id) = (Some("PENDING_ACTIVATION"), Some(id));
        let seen = Seen { status, certificate_id, ..Seen::now(Happened::Registered, text) };
        self.show(&seen.of_thing(thing));
    }

    /// The certificate is that of this thing.
    fn name(&mut self, id: &str, thing: &str) {
        self.certificates.insert(thing.to_owned(), id.to_owned());
        if self.names.insert(id.to_owned(), thing.to_owned()).is_some() {
            return;
        }
        if let Some(before) = self.boards.remove(id) {
            let now = self.now();
            let is_waiting = before.is_being_registered();
            match self.followed.contains(thing) {
                // It was followed from the beginning: what was seen of its certificate is seen of it.
                true => {
                    let at = before.since_turned_away(now).map(|since| now.saturating_sub(since));
                    self.board(thing).see(Stage::Registered, at.unwrap_or(now));
                }
                false if self.followed.is_empty() => drop(self.boards.insert(thing.to_owned(), before)),
                false => return,
            }
            if is_waiting && !self.followed.is_empty() {
                let text = format!(
                    "first connection: AWS IoT registered the certificate {id:.12}… as PENDING_ACTIVATION"
                );
                self.show_pending(id, Some(thing), text);
            }
        }
    }

    /// Asks for what AWS IoT does not publish, while a registration is under way.
    fn ask(&mut self) {
        if self.asking.is_some() {
            return;
        }
        let waiting: Vec<&String> =
            self.boards.iter().filter(|(_, board)| board.is_being_registered()).map(|(key, _)| key).collect();
        self.turn = self.turn.wrapping_add(1);
        let key = waiting.get(self.turn.checked_rem(waiting.len()).unwrap_or_default());
        let id = key.filter(|_| self.may_describe);
        let id = id.map(|key| self.certificates.get(*key).unwrap_or(key).clone());
        let now = self.now();
        let log =
            if self.boards.values().any(|board| board.awaits_log(now)) { self.log.take() } else { None };
        if id.is_none() && log.is_none() {
            return;
        }
        let account = self.account.clone();
        self.asking = Some(task::spawn(async move {
            let certificate = match id {
                Some(id) => {
                    let state = live::certificate(&account, &id).await;
                    Some((id, state))
                }
                None => None,
            };
            let log = match log {
                Some(mut log) => {
                    let lines = log.read(&account).await;
                    Some((log, lines))
                }
                None => None,
            };
            Asked { certificate, log }
        }));
    }

    fn learn(&mut self, asked: Asked) {
        let Asked { certificate, log } = asked;
        if let Some((log, lines)) = log {
            match lines {
                Ok(lines) => {
                    self.log = Some(log);
                    lines.iter().for_each(|line| self.logged(line));
                }
                Err(AccountError::Throttled { .. }) => self.log = Some(log),
                Err(error) => {
                    self.context.note(format_args!("the function's log is not shown: {error}"));
                }
            }
        }
        match certificate {
            Some((id, Ok(Some(state)))) => self.state(&id, &state),
            Some((_, Err(error))) if !matches!(error, AccountError::Throttled { .. }) => {
                self.may_describe = false;
                self.context.note(format_args!("the status of certificates is not shown: {error}"));
            }
            _ => {}
        }
    }

    fn logged(&mut self, line: &Logged) {
        let id = &line.certificate_id;
        if let Some(name) = &line.thing_name {
            self.name(id, name);
        }
        let Some(name) = self.names.get(id).cloned().filter(|name| self.is_followed(name)) else { return };
        let now = self.now();
        let board = self.board(&name);
        board.see(Stage::Function, now);
        if !line.is_done() {
            board.fail();
        }
        let text = match line.is_done() {
            true => line.outcome.clone(),
            false => format!("{}: {}", line.outcome, line.message),
        };
        let (outcome, detail) = (Some(line.outcome.as_str()), line.reason.as_deref());
        let certificate_id = Some(id.as_str());
        let seen = Seen { outcome, detail, certificate_id, ..Seen::now(Happened::Function, text) };
        self.show(&seen.of_thing(Some(&name)));
    }

    fn state(&mut self, id: &str, state: &State) {
        if let Some(name) = &state.thing_name {
            self.name(id, name);
        }
        let Some(name) = self.names.get(id).cloned().filter(|name| self.is_followed(name)) else {
            // Not one that is followed: nothing more is asked of it.
            self.boards.remove(id);
            return;
        };
        let now = self.now();
        let board = self.board(&name);
        if state.status == "ACTIVE" && board.see(Stage::Active, now) {
            let after = board.since_turned_away(now);
            let (status, certificate_id) = (Some(state.status.as_str()), Some(id));
            let seen =
                Seen { status, certificate_id, seconds: after, ..Seen::now(Happened::Status, "is ACTIVE") };
            self.show(&seen.of_thing(Some(&name)));
        }
    }

    /// Tells of each board that does not get on what is missing, and why.
    async fn explain_overdue(&mut self, goal: &Goal) -> Result<(), Error> {
        let now = self.now();
        let overdue = |(name, board): (&String, &mut Timeline)| {
            Some((name.clone(), board.overdue(now, goal.patience)?))
        };
        let overdue: Vec<(String, Overdue)> = self.boards.iter_mut().filter_map(overdue).collect();
        for (name, overdue) in overdue {
            self.explain(&name, overdue).await?;
        }
        Ok(())
    }

    /// The same at the end, of what was not told.
    async fn explain_missing(&mut self, goal: &Goal) -> Result<(), Error> {
        let Some(stage) = goal.stage else { return Ok(()) };
        let now = self.now();
        let untold =
            self.boards.iter().filter(|(name, board)| self.followed.contains(*name) && !board.was_told());
        let missing: Vec<_> =
            untold.filter_map(|(name, board)| Some((name.clone(), board.missing(stage, now)?))).collect();
        for (name, missing) in missing {
            self.explain(&name, missing).await?;
        }
        Ok(())
    }

    async fn explain(&mut self, name: &str, overdue: Overdue) -> Result<(), Error> {
        let Overdue { missing, after } = overdue;
        // Of a device that is not followed the presence alone is known: it may never publish.
        if self.followed.is_empty() && missing == Stage::Message {
            return Ok(());
        }
        let text = format!("{} for {:.0} s; these links are looked at:", lacks(missing), after.as_secs_f64());
        let id = self.certificates.get(name).map(String::as_str);
        let seen = Seen {
            certificate_id: id.or(Some(name)).filter(|id| id.len() == 64),
            missing: Some(missing),
            seconds: Some(after),
            ..Seen::now(Happened::Overdue, text)
        };
        self.show(&seen.of_thing(Some(name).filter(|name| name.len() != 64)));
        doctor::explain(&self.context, &self.account, &self.options, name, id).await?;
        if missing >= Stage::Connected {
            self.context.note("where every link is right, look at the board: its application, its Wi-Fi network, its endpoint and its roots (provisioner inspect, provisioner doctor --board)");
        }
        Ok(())
    }
}

/// Nothing while nothing was asked.
async fn answer(asking: &mut Option<JoinHandle<Asked>>) -> Asked {
    match asking {
        Some(task) => {
            let asked = joined(task.await);
            *asking = None;
            asked
        }
        None => std::future::pending().await,
    }
}

fn ticks() -> Interval {
    let mut ticks = interval(ASKING);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

fn lacks(stage: Stage) -> &'static str {
    match stage {
        Stage::Registered | Stage::Connected => "no connection that is let in",
        Stage::Function | Stage::Active => "not registered",
        Stage::Message => "no message",
    }
}

fn not_done(stage: Stage) -> &'static str {
    match stage {
        Stage::Registered | Stage::Function | Stage::Active => "been registered",
        Stage::Connected => "been let in",
        Stage::Message => "sent a message",
    }
}
