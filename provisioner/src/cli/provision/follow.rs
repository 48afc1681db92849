//! `provision --follow`: the boards are watched afterwards, until each has sent its first message.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use iot_account::Account;
use iot_account::live::{self, Live, Stage};

use crate::cli::monitor::{self, Goal, Watch};
use crate::cli::output::locked;
use crate::cli::{Context, Error};
use crate::work::provision::Report;

/// How long a board may take for each step before what is missing is explained: it starts, joins its network, and waits
/// between its attempts.
const PATIENCE: Duration = Duration::from_secs(45);

/// The boards that are done: the names of their things, and their certificates.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct DoneBoards(Arc<Mutex<Vec<(String, String)>>>);

impl DoneBoards {
    /// This board is done.
    pub(in crate::cli) fn add(&self, report: &Report) {
        locked(&self.0).push((report.about.thing_name.clone(), report.certificate_id.clone()));
    }

    pub(super) fn take(&self) -> Vec<(String, String)> {
        std::mem::take(&mut locked(&self.0))
    }
}

/// A connection that was made before the first board can connect.
pub(super) struct Following {
    account: Account,
    live: Live,
}

impl Following {
    /// Connects, before anything is done with a board.
    ///
    /// # Errors
    /// As [`Live::open`].
    pub(super) async fn begin(context: &Context) -> Result<Self, Error> {
        let account = context.account().await?;
        let _progress = context.progress("connecting to the message broker");
        let live = Live::open(&account, live::of_devices()).await?;
        Ok(Self { account, live })
    }

    /// Watches until each of `boards` has sent a message, or the time is over.
    ///
    /// # Errors
    /// As [`Watch::run`].
    pub(super) async fn go_on(
        self,
        context: &Context,
        boards: Vec<(String, String)>,
        limit: Duration,
    ) -> Result<(), Error> {
        let Self { account, live } = self;
        if boards.is_empty() {
            live.close().await;
            return Ok(());
        }
        let mut watch = Watch::new(context, account, live, monitor::known(context)?, None);
        watch.follow(boards.into_iter().map(|(thing, id)| (thing, Some(id))));
        watch.subscribe().await;
        let goal = Goal { stage: Some(Stage::Message), limit: Some(limit), patience: PATIENCE.min(limit) };
        context.note(format_args!(
            "waiting for the first message, {} s at most: the board runs its application, and has a Wi-Fi network",
            limit.as_secs()
        ));
        watch.run(&goal).await
    }
}
