//! `wifi`: gives the application on a board the name and the passphrase of a Wi-Fi network.

use clap::Args;

use super::firmware::{DiskOption, Network, Route, Wifi};
use super::plan::{self, Line, Plan};
use super::{Context, provision::Choice};
use crate::cli::Error;
use iot_kit::wifi::Credentials;

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
    let route = arguments.disk.route(&kit, &credentials)?;
    let (port, ssid) = (kit.port, credentials.ssid().to_owned());
    let network = Network { port, ssid, way: Some(route.way()) };
    plan::run(context, SetWifi { network, credentials, route }).await
}

struct SetWifi {
    network: Network,
    credentials: Credentials,
    route: Route,
}

impl Plan for SetWifi {
    async fn lines(&mut self, _: &Context) -> Result<Vec<Line>, Error> {
        Ok(vec![self.network.line()])
    }

    async fn carry_out(self, context: &Context) -> Result<(), Error> {
        let Self { network, credentials, route } = self;
        network.set(context, credentials, route).await
    }
}
