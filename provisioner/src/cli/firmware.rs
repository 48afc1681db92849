//! Firmware and Wi-Fi credentials: provisioning firmware before the certificates, application and credentials after them.

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use device_pki::key::Passphrase;
use tokio::task;

use super::context::joined;
use super::{Context, Error, prompt};
use iot_kit::disk::{self, Disk, Firmware};
use iot_kit::wifi::{Authentication, CONSOLE_BAUD_RATE, Credentials};
use iot_kit::{Kit, ports};

/// Environment variable with the passphrase of the Wi-Fi network.
pub(super) const PASSPHRASE_VARIABLE: &str = "MICROCHIP_IOT_PSK";

/// Flags for firmware and Wi-Fi credentials.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Firmware and Wi-Fi")]
pub(super) struct FirmwareAndWifi {
    /// Provisioning firmware, Intel HEX, to program first
    #[arg(short, long, value_name = "HEX")]
    provision_firmware: Option<PathBuf>,
    /// Application, Intel HEX, to program last
    #[arg(long = "app", alias = "application-firmware", value_name = "HEX")]
    application_firmware: Option<PathBuf>,
    #[command(flatten)]
    wifi: Wifi,
    /// Passphrase on the command line: other users can see it in the list of processes
    #[arg(long = "psk", alias = "wifi-psk", value_name = "PASSPHRASE", hide = true, requires = "wifi_ssid")]
    wifi_psk: Option<Passphrase>,
    #[command(flatten)]
    disk: DiskOption,
}

/// The Wi-Fi network; its passphrase comes from a file, the environment or a prompt.
#[derive(Debug, Default, Args)]
pub(super) struct Wifi {
    /// Name of the Wi-Fi network
    #[arg(long = "ssid", alias = "wifi-ssid", value_name = "NAME")]
    pub(super) wifi_ssid: Option<String>,
    /// Authentication of the Wi-Fi network [default: wpa-psk]
    #[arg(long = "auth", alias = "wifi-auth", value_parser = authentication(), value_name = "KIND", requires = "wifi_ssid")]
    wifi_auth: Option<Authentication>,
    /// File with the passphrase [default: MICROCHIP_IOT_PSK, or a prompt]
    #[arg(long, value_name = "FILE", requires = "wifi_ssid")]
    psk_file: Option<PathBuf>,
}

/// The kit's disk.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct DiskOption {
    /// Mount point of the kit's disk CURIOSITY [default: found by itself]
    #[arg(long, value_name = "DIR")]
    pub(super) disk: Option<PathBuf>,
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
    pub(super) fn credentials(
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
    let bytes = durable_files::read(file)?.ok_or_else(|| refuse("there is no such file"))?;
    let text = String::from_utf8(bytes).map_err(|_| refuse("it is not text"))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// Firmware and credentials to put into a board: read and checked.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    before: Option<Firmware>,
    after: Option<Firmware>,
    wifi: Option<Credentials>,
    disk: DiskOption,
}

impl FirmwareAndWifi {
    /// The first of these flags on the command line.
    pub(super) fn first_given(&self) -> Option<&'static str> {
        [
            (self.provision_firmware.is_some(), "-p"),
            (self.application_firmware.is_some(), "--app"),
            (self.wifi.wifi_ssid.is_some(), "--ssid"),
            (self.disk.disk.is_some(), "--disk"),
        ]
        .into_iter()
        .find_map(|(given, flag)| given.then_some(flag))
    }

    /// Reads and checks everything, before anything is done.
    ///
    /// # Errors
    /// A file cannot be read or is no image; see [`Wifi::credentials`].
    pub(super) fn prepare(&self, context: &Context) -> Result<Prepared, Error> {
        let read = |path: &Option<PathBuf>| {
            path.as_deref().map(Firmware::read).transpose().map_err(iot_kit::Error::from)
        };
        Ok(Prepared {
            before: read(&self.provision_firmware)?,
            after: read(&self.application_firmware)?,
            wifi: self
                .wifi
                .credentials(self.wifi_psk.as_ref().map(|psk| psk.reveal().to_owned()), context)?,
            disk: self.disk.clone(),
        })
    }
}

impl Prepared {
    /// How many steps there are, the certificates included.
    fn steps(&self) -> usize {
        1 + usize::from(self.before.is_some())
            + usize::from(self.after.is_some())
            + usize::from(self.wifi.is_some())
    }

    /// Says which step begins; the only step of all is not worth a word.
    fn announce(&self, context: &Context, step: usize, what: &str) {
        if self.steps() > 1 {
            context.note(format_args!("[{step}/{}] {what}", self.steps()));
        }
    }

    /// Whether both images fit the kit; known only with its disk.
    ///
    /// # Errors
    /// There is no disk, or an image does not suit the kit.
    pub(super) fn check_for(&self, kit: &Kit) -> Result<(), Error> {
        for firmware in self.before.iter().chain(&self.after) {
            let disk = self.disk.of(kit)?;
            if let Some(target) = disk.info().target {
                firmware.check_for(target).map_err(iot_kit::Error::from)?;
            }
        }
        Ok(())
    }

    /// Puts the provisioning firmware in, if one is given, and says where the kit is then.
    ///
    /// # Errors
    /// Those of the kit's disk.
    pub(super) async fn before(&self, context: &Context, kit: Kit) -> Result<Kit, Error> {
        let kit = match &self.before {
            Some(firmware) => {
                self.announce(context, 1, "Provisioning firmware");
                self.disk.clone().program(context, firmware.clone(), kit).await?
            }
            None => kit,
        };
        self.announce(context, 1 + usize::from(self.before.is_some()), "Certificates");
        Ok(kit)
    }

    /// Puts the application in and gives it the Wi-Fi credentials, as far as they are given.
    ///
    /// # Errors
    /// Those of the kit's disk and of the application's console.
    pub(super) async fn after(&self, context: &Context, mut kit: Kit) -> Result<(), Error> {
        let mut step = 1 + usize::from(self.before.is_some());
        if let Some(firmware) = &self.after {
            step += 1;
            self.announce(context, step, "Application");
            kit = self.disk.clone().program(context, firmware.clone(), kit).await?;
        }
        if let Some(credentials) = &self.wifi {
            step += 1;
            self.announce(context, step, "Wi-Fi");
            self.disk.clone().send_wifi(context, credentials.clone(), kit).await?;
        }
        Ok(())
    }
}

impl DiskOption {
    fn of(&self, kit: &Kit) -> Result<Disk, iot_kit::Error> {
        Ok(Disk::of(kit.serial.as_deref(), self.disk.as_deref())?)
    }

    /// Programs the kit through its disk, waits until both disk and port are back, and says where the kit is then.
    ///
    /// # Errors
    /// Those of the kit's disk.
    pub(super) async fn program(self, context: &Context, firmware: Firmware, kit: Kit) -> Result<Kit, Error> {
        blocking(context, "Programming", move || {
            self.of(&kit)?.program(&firmware)?;
            ports::wait_for(&kit)
        })
        .await
    }

    /// Gives the application Wi-Fi credentials: through the kit's disk where there is one, else by its console.
    ///
    /// # Errors
    /// Those of the kit's disk and of the application's console.
    pub(super) async fn send_wifi(
        self,
        context: &Context,
        credentials: Credentials,
        kit: Kit,
    ) -> Result<Way, Error> {
        blocking(context, "Setting the Wi-Fi credentials", move || match self.of(&kit) {
            Ok(disk) => {
                disk.send_wifi(&credentials)?;
                Ok(Way::Disk)
            }
            Err(iot_kit::Error::Disk(disk::Error::NoDisk { .. })) => {
                let mut console = ports::open_at(&kit.port, CONSOLE_BAUD_RATE)?;
                credentials.send(&mut console, &kit.port)?;
                Ok(Way::Console)
            }
            Err(error) => Err(error),
        })
        .await
    }
}

/// By which way credentials went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Way {
    /// The kit's disk; the debugger types them into the console, and no answer comes back.
    Disk,
    /// The application's console, which confirmed them.
    Console,
}

/// Work with a kit, which blocks; `what` is shown if it takes long.
async fn blocking<T: Send + 'static>(
    context: &Context,
    what: &str,
    work: impl FnOnce() -> Result<T, iot_kit::Error> + Send + 'static,
) -> Result<T, Error> {
    let _progress = context.progress(what);
    Ok(joined(task::spawn_blocking(work).await)?)
}
