//! `wifi`: gives the application on a board the name and the passphrase of a Wi-Fi network.

use clap::Args;
use serde::Serialize;

use super::firmware::{DiskOption, Way, Wifi};
use super::{Context, provision::Choice};
use crate::cli::Error;

/// Arguments of `wifi`. The passphrase comes from a file, from the environment or from a prompt.
#[derive(Debug, Args)]
#[command(mut_arg("wifi_ssid", |argument| argument.required(true)))]
pub struct Arguments {
    #[command(flatten)]
    network: Wifi,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    disk: DiskOption,
}

/// Checks the credentials and sends them through the kit's disk, or through the application's console.
///
/// # Errors
/// Those of the credentials, the kit's disk and the console.
pub(super) async fn run(arguments: Arguments, context: &Context) -> Result<(), Error> {
    let Some(credentials) = arguments.network.credentials(None, context)? else {
        return Err(Error::usage("no network is named", "name it with --ssid NAME"));
    };
    let kit = arguments.choice.kit(context)?;
    let ssid = credentials.ssid().to_owned();
    if context.global.dry_run {
        context.note(format_args!("would set the network {ssid} on {kit}"));
        return Ok(());
    }
    let port = kit.port.clone();
    let way = arguments.disk.send_wifi(context, credentials, kit).await?;
    let how = match way {
        Way::Disk => "handed to the kit's disk",
        Way::Console => "confirmed by the application",
    };
    let said = format!("Wi-Fi network {ssid} on {port}: {how}");
    context.result(said, &Done { port, ssid, way });
    Ok(())
}

#[derive(Serialize)]
struct Done {
    port: String,
    ssid: String,
    way: Way,
}
