//! One board: firmware, certificates, application and Wi-Fi, as one plan.

use std::sync::Arc;

use jitr::registration::Settings as Registration;
use tokio::task::{self, JoinHandle};

use super::{Order, fetch_endpoint, says};
use crate::cli::batch::{self, StationOptions};
use crate::cli::context::{Progress, joined};
use crate::cli::firmware::Prepared;
use crate::cli::plan::{Line, Plan};
use crate::cli::{Context, Error, register, revoke};
use crate::work::provision::{self, Done, Step};
use crate::work::station::{Attempt, Look, Patience, Station};
use iot_account::certificates;
use iot_kit::Kit;

/// What is done with one board.
pub(super) struct OneBoard {
    kit: Kit,
    prepared: Prepared,
    register: Option<Box<Registration>>,
    revoke_superseded: bool,
    station: Arc<Station>,
    /// Asked for beside what the board does.
    endpoint: JoinHandle<Result<String, iot_account::Error>>,
    progress: Progress,
    /// `None` where the board's firmware is put in first.
    look: Option<Look>,
}

impl OneBoard {
    /// Looks at the board, unless another firmware is put in first.
    pub(super) async fn look(
        context: &Context,
        kit: Kit,
        order: Order,
        options: StationOptions,
        prepared: Prepared,
    ) -> Result<Self, Error> {
        prepared.check_for(&kit)?;
        let station = Station::open(&context.home, &context.keys, options.settings(&order, &context.home)?)?;
        let Order { endpoint, register, revoke_superseded, .. } = order;
        let endpoint = task::spawn(fetch_endpoint(context.clone(), endpoint));
        let progress = context.progress("Provisioning");
        let look = None;
        let mut board =
            Self { kit, prepared, register, revoke_superseded, station, endpoint, progress, look };
        if !board.prepared.is_programmed_before() {
            board = board.at_the_board(context).await?;
        }
        Ok(board)
    }

    /// Makes the plan for the board that is on the kit's port now.
    async fn at_the_board(self, context: &Context) -> Result<Self, Error> {
        self.seen(context).await.checked_in_account(context).await
    }

    /// Refuses a certificate that is kept and that the account has revoked, where this tool registers it there.
    async fn checked_in_account(mut self, context: &Context) -> Result<Self, Error> {
        let preview = self.look.as_ref().and_then(|look| look.preview().ok());
        if let (Some(id), true) =
            (preview.and_then(|preview| preview.certificate_id), self.register.is_some())
            && certificates::is_revoked(&context.account().await?, &id).await?
        {
            let why = provision::Error::RevokedInAccount { certificate_id: id };
            self.look = self.look.map(|look| look.refuse(why.into()));
        }
        Ok(self)
    }

    async fn seen(self, context: &Context) -> Self {
        let (runtime, context) = (tokio::runtime::Handle::current(), context.clone());
        let look = task::spawn_blocking(move || {
            let Self { mut endpoint, .. } = self;
            let source = Box::new(|| Ok(joined(runtime.block_on(&mut endpoint))?));
            let look = self.station.look(&self.kit, Patience::None, source, &mut |step| {
                if let Step::Identified(serial) = &step {
                    let text = format!("board {}, secure element {serial}", self.kit);
                    context.note(text);
                }
                self.progress.step(says(&step));
            });
            Self { look: Some(look), endpoint, ..self }
        });
        joined(look.await)
    }
}

impl Plan for OneBoard {
    async fn lines(&mut self, context: &Context) -> Result<Vec<Line>, Error> {
        let (before, after) = self.prepared.lines(&self.kit);
        let mut lines: Vec<Line> = before.into_iter().collect();
        match self.look.as_ref().map(Look::preview) {
            Some(Ok(board)) => {
                lines.push(batch::line(&board));
                if let Some(settings) = self.register.as_deref() {
                    let (id, thing) = (board.certificate_id.as_deref(), board.about.thing_name.as_str());
                    lines.extend(
                        register::board_lines(context, &board.about.folder, id, thing, settings).await?,
                    );
                }
            }
            // The refusal is what it ends with.
            Some(Err(_)) => {}
            None => lines.push(batch::unseen(&self.kit)),
        }
        lines.extend(after);
        Ok(lines)
    }

    fn question(&self) -> Option<String> {
        let refused = self.look.as_ref().is_some_and(|look| look.preview().is_err());
        (self.station.locks_slots() && !refused).then(|| batch::LOCKING.to_owned())
    }

    fn refused(self) -> Result<(), Error> {
        Ok(self.look.map_or(Ok(()), Look::refused)?)
    }

    async fn carry_out(mut self, context: &Context) -> Result<(), Error> {
        self.kit = self.prepared.before(context, self.kit).await?;
        if self.look.is_none() {
            self = self.at_the_board(context).await?;
        }
        let Self { kit, prepared, register, revoke_superseded, progress, look, .. } = self;
        let work = task::spawn_blocking(move || {
            look.map(|look| look.carry_out(&mut |step| progress.step(says(&step))))
        });
        if let Some(Attempt { result, label, .. }) = joined(work.await) {
            let report = result?;
            if let Some(error) = &label {
                context.note(format_args!("the board is done, but {}", batch::cause(error)));
            }
            context.result_block(&report, &Done::new(&report, label.as_ref().map(batch::cause)));
            if let Some(registration) = register {
                register::board(context, &report.about.folder, *registration).await?;
            }
            if revoke_superseded {
                revoke::superseded(&report.about.superseded, context).await?;
            }
        }
        prepared.after(context, kit).await
    }
}
