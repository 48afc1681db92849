//! One board: firmware, certificates, application and Wi-Fi, as one plan.

use std::sync::Arc;

use jitr::registration::Settings as Registration;
use tokio::task::{self, JoinHandle};

use super::{DoneBoards, Order, fetch_endpoint, says};
use crate::cli::batch::{self, StationOptions};
use crate::cli::context::{Progress, joined};
use crate::cli::firmware::Prepared;
use crate::cli::plan::{Line, Plan};
use crate::cli::{Context, Error, register, revoke};
use crate::work;
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
    done: DoneBoards,
    station: Arc<Station>,
    /// Asked for beside what the board does.
    endpoint: JoinHandle<Result<String, iot_account::Error>>,
    /// While work on the board is under way.
    progress: Option<Progress>,
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
        let Order { endpoint, register, revoke_superseded, done, .. } = order;
        let endpoint = task::spawn(fetch_endpoint(context.clone(), endpoint));
        let (look, progress) = (None, None);
        let mut board =
            Self { kit, prepared, register, revoke_superseded, done, station, endpoint, progress, look };
        if board.prepared.is_programmed_before() {
            board.prepared.plan_application(context, &board.kit)?;
            board.check_endpoint().await?;
            return Ok(board);
        }
        board = board.at_the_board(context, Patience::None).await?;
        let found = board.look.as_ref().map(Look::preview);
        let is_silent = matches!(found, Some(Err(error)) if runs_something_else(error));
        let endpoint = found.and_then(Result::ok).map(|preview| preview.about.endpoint);
        if is_silent {
            board.replace_program(context).await?;
        }
        if let Some(endpoint) = endpoint {
            board.prepared.plan_application(context, &board.kit)?;
            board.prepared.check_endpoint(&endpoint)?;
        }
        Ok(board)
    }

    /// Plans to put the provisioning firmware into a kit that does not answer, if that can be done. What would end the run later is
    /// looked at first.
    async fn replace_program(&mut self, context: &Context) -> Result<(), Error> {
        if self.prepared.replace_program(context, &self.kit)? {
            (self.look, self.progress) = (None, None);
            self.check_endpoint().await?;
        }
        Ok(())
    }

    /// Whether the demo application, if it is planned, reads the endpoint.
    async fn check_endpoint(&mut self) -> Result<(), Error> {
        if self.prepared.restores_application() {
            let endpoint = joined((&mut self.endpoint).await)?;
            self.prepared.check_endpoint(&endpoint)?;
            self.endpoint = task::spawn(async { Ok(endpoint) });
        }
        Ok(())
    }

    /// Makes the plan for the board that is on the kit's port now.
    async fn at_the_board(self, context: &Context, patience: Patience) -> Result<Self, Error> {
        self.seen(context, patience).await.checked_in_account(context).await
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

    async fn seen(self, context: &Context, patience: Patience) -> Self {
        let progress = context.progress("Provisioning");
        let (runtime, context) = (tokio::runtime::Handle::current(), context.clone());
        let look = task::spawn_blocking(move || {
            let Self { mut endpoint, .. } = self;
            let source = Box::new(|| Ok(joined(runtime.block_on(&mut endpoint))?));
            let look = self.station.look(&self.kit, patience, source, &mut |step| {
                if let Step::Identified(serial) = &step {
                    let text = format!("board {}, secure element {serial}", self.kit);
                    context.note(text);
                }
                progress.step(says(&step));
            });
            Self { look: Some(look), endpoint, progress: Some(progress), ..self }
        });
        joined(look.await)
    }
}

/// Whether what is on the kit's port may be another program than the provisioning firmware.
fn runs_something_else(error: &work::Error) -> bool {
    matches!(error, work::Error::Kit(iot_kit::Error::Silent { .. } | iot_kit::Error::Foreign { .. }))
}

impl Plan for OneBoard {
    async fn lines(&mut self, context: &Context) -> Result<Vec<Line>, Error> {
        let (before, after) = self.prepared.lines(&self.kit);
        let mut lines = before;
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
        let locking = (self.station.locks_slots() && !refused).then(|| batch::LOCKING.to_owned());
        let questions = [self.prepared.question(&self.kit), locking];
        let questions: Vec<String> = questions.into_iter().flatten().collect();
        (!questions.is_empty()).then(|| questions.join(" "))
    }

    fn confirmation(&self) -> &'static str {
        if self.station.locks_slots() { "--yes" } else { "--program" }
    }

    fn refused(self) -> Result<(), Error> {
        Ok(self.look.map_or(Ok(()), Look::refused)?)
    }

    async fn carry_out(mut self, context: &Context) -> Result<(), Error> {
        self.kit = self.prepared.before(context, self.kit).await?;
        let is_replaced = self.prepared.restores_application();
        let ended = self.certificates_and_after(context).await;
        if ended.is_err() && is_replaced {
            context.note(
                "the kit has the provisioning firmware now: run again to go on; the demo application is put back at the end",
            );
        }
        ended
    }
}

impl OneBoard {
    async fn certificates_and_after(mut self, context: &Context) -> Result<(), Error> {
        if self.look.is_none() {
            self = self.at_the_board(context, Patience::JustPluggedIn).await?;
        }
        let Self { kit, prepared, register, revoke_superseded, done, progress, look, .. } = self;
        let work = task::spawn_blocking(move || {
            let told = |step: Step| progress.iter().for_each(|progress| progress.step(says(&step)));
            look.map(|look| look.carry_out(&mut |step| told(step)))
        });
        if let Some(Attempt { result, label, .. }) = joined(work.await) {
            let report = result?;
            done.add(&report);
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
