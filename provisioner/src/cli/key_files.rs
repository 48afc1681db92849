//! Key files of the home folder that other users can read, as the vendor's tool leaves them: named all at once, and closed
//! after a yes.

use super::plan::{self, Line, Plan};
use super::{Context, Error, Global};
use durable_files::ExposedKey;

/// The surroundings of a command that may use the keys of the home folder.
///
/// # Errors
/// As [`Context::new`] and [`close`].
pub(super) async fn context(global: Global) -> Result<Context, Error> {
    let context = Context::new(global)?;
    close(&context).await?;
    Ok(context)
}

/// Closes the key files that others can read, after a yes. Where nobody can be asked they stay, and reading them is refused.
///
/// # Errors
/// [`Error::Declined`]; what keeps a file from being closed.
async fn close(context: &Context) -> Result<(), Error> {
    let exposed = context.home.exposed_keys()?;
    let global = &context.global;
    if exposed.is_empty() || !(global.yes || global.dry_run || global.can_ask()) {
        return Ok(());
    }
    if !plan::is_carried_out(context, Close { exposed: exposed.clone() }).await? {
        // The rest of the plan is that of closed files.
        exposed.iter().for_each(|key| durable_files::expect_closed(&key.path));
    }
    Ok(())
}

struct Close {
    exposed: Vec<ExposedKey>,
}

impl Plan for Close {
    const IS_ASIDE: bool = true;

    async fn lines(&mut self, _: &Context) -> Result<Vec<Line>, Error> {
        let line = |key: &ExposedKey| Line::plain(format_args!("would be closed to other users: {key}"), &());
        Ok(self.exposed.iter().map(line).collect())
    }

    fn question(&self) -> Option<String> {
        Some("Other users of this computer can read these keys. Their files get the mode 0600; who has copied a key still has it.".to_owned())
    }

    async fn carry_out(self, context: &Context) -> Result<(), Error> {
        for key in &self.exposed {
            durable_files::close_to_others(&key.path)?;
            context.note(format_args!("closed to other users: {key}"));
        }
        Ok(())
    }
}
