//! A plan: what a command found and what it will do. It is shown, confirmed and carried out here, and nowhere else.

use std::fmt::Display;

use serde::Serialize;
use serde_json::Value;

use super::{Context, Error};

/// One line of a plan: text for people, an object for programs.
#[derive(Clone, Debug)]
pub(super) struct Line {
    text: String,
    is_block: bool,
    object: Value,
}

/// What a line is about, with what will be or was done about it.
#[derive(Serialize)]
struct Act<'a, T: Serialize> {
    action: &'static str,
    #[serde(flatten)]
    about: &'a T,
    done: bool,
}

/// Tells what was done about `about`, in the form of the plan's line.
pub(super) fn tell(context: &Context, action: &'static str, text: impl Display, about: &impl Serialize) {
    context.result(text, &Act { action, about, done: true });
}

/// As [`tell`], in several lines; `done` says whether it was done.
pub(super) fn tell_block(
    context: &Context,
    action: &'static str,
    text: impl Display,
    about: &impl Serialize,
    done: bool,
) {
    context.result_block(text, &Act { action, about, done });
}

/// Tells that something was not done about `about`, which says why.
pub(super) fn tell_undone(
    context: &Context,
    action: &'static str,
    text: impl Display,
    about: &impl Serialize,
) {
    context.result(text, &Act { action, about, done: false });
}

impl Line {
    /// A line on `about`, which is an object. `action` is what will be done: a verb of the command's schema.
    pub(super) fn new(action: &'static str, text: impl Display, about: &impl Serialize) -> Self {
        Self::plain(text, &Act { action, about, done: false })
    }

    /// A line whose object says itself what will be done, or that nothing is done about it.
    pub(super) fn plain(text: impl Display, object: &impl Serialize) -> Self {
        let object = serde_json::to_value(object).unwrap_or_default();
        Self { text: text.to_string(), is_block: false, object }
    }

    /// The same line, whose text has several. What is put into them is made visible there.
    pub(super) fn block(self) -> Self {
        Self { is_block: true, ..self }
    }

    /// Shows it, in a dry run, or of something that a run leaves as the plan says.
    pub(super) fn show(&self, context: &Context) {
        match self.is_block {
            true => context.result_block(&self.text, &self.object),
            false => context.result(&self.text, &self.object),
        }
    }

    /// Its text alone, before a question or aside.
    fn note(&self, context: &Context) {
        match self.is_block {
            true => context.note_block(&self.text),
            false => context.note(&self.text),
        }
    }
}

/// What a command is going to do. Making it changes nothing, and fails as carrying it out would.
pub(super) trait Plan: Sized {
    /// Whether the lines are no result of the command, and go to stderr.
    const IS_ASIDE: bool = false;

    /// What there is and what becomes of it, in the order in which it is carried out. A plan that learns of something
    /// only on the way looks at it here.
    ///
    /// # Errors
    /// What the look ends in; carrying it out would end in the same.
    async fn lines(&mut self, context: &Context) -> Result<Vec<Line>, Error>;

    /// Shows the lines in a dry run. A plan of many lines shows each as it comes.
    ///
    /// # Errors
    /// As [`Plan::lines`].
    async fn show(&mut self, context: &Context) -> Result<(), Error> {
        for line in self.lines(context).await? {
            if Self::IS_ASIDE { line.note(context) } else { line.show(context) }
        }
        Ok(())
    }

    /// What cannot be undone and needs a yes, as a whole sentence. The lines are shown before it is asked.
    fn question(&self) -> Option<String> {
        None
    }

    /// The flag that gives the yes beforehand. `--yes` always does.
    fn confirmation(&self) -> &'static str {
        "--yes"
    }

    /// How carrying it out would end because of what the plan refuses.
    ///
    /// # Errors
    /// With the number of refusals, where the plan has several lines.
    fn refused(self) -> Result<(), Error> {
        Ok(())
    }

    /// Does what the lines say.
    ///
    /// # Errors
    /// What went wrong. What is done stays done, and the next plan goes on from there.
    async fn carry_out(self, context: &Context) -> Result<(), Error>;
}

/// Carries a plan out, after a yes where it needs one. In a dry run it is shown instead, and nothing is done.
///
/// # Errors
/// [`Error::Unconfirmed`], [`Error::Declined`]; as [`Plan::carry_out`]; in a dry run as [`Plan::refused`].
pub(super) async fn run(context: &Context, plan: impl Plan) -> Result<(), Error> {
    is_carried_out(context, plan).await.map(drop)
}

/// As [`run`]; says whether the plan was carried out, and not shown.
///
/// # Errors
/// As [`run`].
pub(super) async fn is_carried_out(context: &Context, mut plan: impl Plan) -> Result<bool, Error> {
    if context.global.dry_run {
        plan.show(context).await?;
        return plan.refused().map(|()| false);
    }
    if let (Some(question), false) = (plan.question(), context.global.yes) {
        for line in plan.lines(context).await? {
            line.note(context);
        }
        context.confirm(&question, plan.confirmation())?;
    }
    plan.carry_out(context).await.map(|()| true)
}
