//! `forget`: a board leaves service.

use clap::Args;
use device_pki::revocation::Reason;

use super::{Context, Error, revoke, values};

/// Arguments of `forget`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  provisioner forget 3a2d78ae0f5b1c...
      Revoke every certificate of the device with this thing name, detach them, and delete the thing.

The revoked certificates stay in the account: without them the board could register again. An interrupted run continues when
it is run again.")]
pub struct Arguments {
    /// Thing name of the device
    #[arg(value_name = "THING", value_parser = values::device)]
    thing: values::Device,
    /// Reason for the revocation
    #[arg(long, default_value = "cessation-of-operation", value_name = "REASON", value_parser = revoke::reasons())]
    reason: Reason,
}

pub(super) async fn run(arguments: &Arguments, context: &Context) -> Result<(), Error> {
    revoke::forget(&arguments.thing, arguments.reason, context).await
}
