//! The Wi-Fi network of the application on a board: its credentials, and the way that they take.

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::Serialize;
use serialport::SerialPort;
use tracing::debug;

use super::program::{DiskOption, blocking};
use crate::cli::plan::{self, Line};
use crate::cli::{Context, Error, named, prompt};
use iot_kit::disk::{self, Disk};
use iot_kit::wifi::{Authentication, CONSOLE_BAUD_RATE, Credentials};
use iot_kit::{Kit, ports};

/// Environment variable with the passphrase of the Wi-Fi network.
pub(super) const PASSPHRASE_VARIABLE: &str = "MICROCHIP_IOT_PSK";

/// The Wi-Fi network; its passphrase comes from a file, the environment or a prompt.
#[derive(Debug, Default, Args)]
pub(in crate::cli) struct Wifi {
    /// Name of the Wi-Fi network
    #[arg(long = "ssid", alias = "wifi-ssid", value_name = "NAME")]
    pub(in crate::cli) wifi_ssid: Option<String>,
    /// Authentication of the Wi-Fi network [default: wpa-psk]
    #[arg(long = "auth", alias = "wifi-auth", value_parser = authentication(), value_name = "KIND", requires = "wifi_ssid")]
    wifi_auth: Option<Authentication>,
    /// File with the passphrase [default: MICROCHIP_IOT_PSK, or a prompt]
    #[arg(long, value_name = "FILE", requires = "wifi_ssid")]
    psk_file: Option<PathBuf>,
}

const AUTHENTICATIONS: [(&str, Authentication); 4] = [
    ("open", Authentication::Open),
    ("wpa-psk", Authentication::WpaPsk),
    ("wep", Authentication::Wep),
    ("ieee802.1x", Authentication::Ieee8021x),
];

fn authentication() -> impl TypedValueParser<Value = Authentication> {
    PossibleValuesParser::new(AUTHENTICATIONS.map(|(name, _)| name)).try_map(|name| {
        let known = AUTHENTICATIONS.into_iter().find(|(known, _)| *known == name);
        known.map(|(_, kind)| kind).ok_or("no kind of authentication")
    })
}

impl Wifi {
    /// The credentials, if a network is named. `given` is a passphrase from the command line.
    ///
    /// # Errors
    /// They break a rule of IEEE 802.11, or there is no passphrase and nobody can be asked for it.
    pub(in crate::cli) fn credentials(
        &self,
        given: Option<String>,
        context: &Context,
    ) -> Result<Option<Credentials>, Error> {
        let Some(ssid) = &self.wifi_ssid else { return Ok(None) };
        let authentication = self.wifi_auth.unwrap_or(Authentication::WpaPsk);
        let secret = match (authentication, given, &self.psk_file) {
            (_, Some(secret), _) => {
                context.note(format_args!(
                    "warning: other users can see a passphrase on the command line in the list of processes; \
                     use --psk-file, {PASSPHRASE_VARIABLE} or the prompt"
                ));
                secret
            }
            (_, None, Some(file)) => secret_in(file)?,
            (Authentication::Open, None, None) => String::new(),
            (_, None, None) => match std::env::var(PASSPHRASE_VARIABLE) {
                Ok(secret) => secret,
                Err(_) if context.global.can_ask() => prompt::secret(&format!("Passphrase of {ssid}"))?,
                Err(_) => {
                    return Err(Error::usage(
                        format!("there is no passphrase for the network {ssid}"),
                        format!(
                            "give it with --psk-file FILE or {PASSPHRASE_VARIABLE}, or choose --auth open"
                        ),
                    ));
                }
            },
        };
        let credentials = Credentials::new(ssid, &secret, authentication).map_err(iot_kit::Error::from)?;
        Ok(Some(credentials))
    }
}

/// The first line of a file.
fn secret_in(file: &Path) -> Result<String, Error> {
    let refuse = |reason: &str| Error::File { path: file.to_owned(), reason: reason.to_owned() };
    let bytes = named::read(file)?.ok_or_else(|| refuse("there is no such file"))?;
    let text = String::from_utf8(bytes).map_err(|_| refuse("it is not text"))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

impl DiskOption {
    /// The way that Wi-Fi credentials take: through the kit's disk where there is one and its debugger can type all of them, else
    /// by the application's console, whose port is opened.
    ///
    /// # Errors
    /// Those of the disk and of the port.
    pub(in crate::cli) fn route(
        &self,
        kit: &Kit,
        credentials: &Credentials,
    ) -> Result<Route, iot_kit::Error> {
        match self.of(kit) {
            Ok(disk) if credentials.can_be_typed() => Ok(Route::Disk(disk)),
            Ok(_) | Err(iot_kit::Error::Disk(disk::Error::NoDisk { .. })) => {
                Ok(Route::Console(ports::open_at(&kit.port, CONSOLE_BAUD_RATE)?))
            }
            Err(error) => Err(error),
        }
    }
}

/// Where credentials are written to.
pub(in crate::cli) enum Route {
    Disk(Disk),
    Console(Box<dyn SerialPort>),
}

impl Route {
    pub(in crate::cli) fn way(&self) -> Way {
        match self {
            Self::Disk(_) => Way::Disk,
            Self::Console(_) => Way::Console,
        }
    }

    /// Gives the application Wi-Fi credentials.
    ///
    /// # Errors
    /// Those of the kit's disk and of the application's console.
    pub(in crate::cli) async fn send(
        self,
        context: &Context,
        credentials: Credentials,
        port: String,
    ) -> Result<(), Error> {
        blocking(context, "Setting the Wi-Fi credentials", move || match self {
            Self::Disk(disk) => {
                // The debugger types at the speed at which the port was open last.
                if let Err(error) = ports::open_at(&port, CONSOLE_BAUD_RATE) {
                    debug!(%error, "the speed of the console is not set");
                }
                Ok(disk.send_wifi(&credentials)?)
            }
            Self::Console(mut console) => Ok(credentials.send(&mut console, &port)?),
        })
        .await
    }
}

/// By which way credentials go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::cli) enum Way {
    /// The kit's disk; the debugger types them into the console, and no answer comes back.
    Disk,
    /// The application's console, which confirms them.
    Console,
}

/// The Wi-Fi network of a board, and by which way it is set. The passphrase is not in it.
#[derive(Clone, Debug, Serialize)]
pub(in crate::cli) struct Network {
    pub(in crate::cli) port: String,
    pub(in crate::cli) ssid: String,
    /// `None` where it is found out on the way.
    pub(in crate::cli) way: Option<Way>,
}

impl Network {
    /// Gives the application the credentials, and tells it.
    ///
    /// # Errors
    /// As [`Route::send`].
    pub(in crate::cli) async fn set(
        &self,
        context: &Context,
        credentials: Credentials,
        route: Route,
    ) -> Result<(), Error> {
        let how = match route.way() {
            Way::Disk => "handed to the kit's disk",
            Way::Console => "confirmed by the application",
        };
        route.send(context, credentials, self.port.clone()).await?;
        let text = format!("Wi-Fi network {} on {}: {how}", self.ssid, self.port);
        plan::tell(context, "set_wifi", text, self);
        Ok(())
    }

    /// Gives the application on a kit the credentials by the way that they take, and tells it.
    ///
    /// # Errors
    /// As [`DiskOption::route`] and [`Route::send`].
    pub(super) async fn set_on(
        context: &Context,
        kit: &Kit,
        credentials: Credentials,
        disk: &DiskOption,
    ) -> Result<(), Error> {
        let route = disk.route(kit, &credentials)?;
        let (port, ssid) = (kit.port.clone(), credentials.ssid().to_owned());
        let network = Self { port, ssid, way: Some(route.way()) };
        network.set(context, credentials, route).await
    }

    pub(in crate::cli) fn line(&self) -> Line {
        let Self { port, ssid, way } = self;
        let way = match way {
            Some(Way::Disk) => " through the kit's disk",
            Some(Way::Console) => " by the application's console",
            None => "",
        };
        Line::new("set_wifi", format_args!("would set the Wi-Fi network {ssid} on {port}{way}"), self)
    }
}
