//! Firmware and Wi-Fi credentials: provisioning firmware before the certificates, application and credentials after them.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use device_pki::key::Passphrase;
use serde::Serialize;
use serialport::SerialPort;
use tokio::task;

use super::context::joined;
use super::plan::{self, Line, Plan};
use super::{Context, Error, named, prompt};
use iot_account::counted;
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
    /// Mount point of the kit's disk CURIOSITY [default: found automatically]
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
    let bytes = named::read(file)?.ok_or_else(|| refuse("there is no such file"))?;
    let text = String::from_utf8(bytes).map_err(|_| refuse("it is not text"))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// A program for a kit, and the disk that takes it.
#[derive(Clone, Debug)]
pub(super) struct Program {
    firmware: Firmware,
    disk: DiskOption,
}

/// What is programmed into which kit.
#[derive(Clone, Debug, Serialize)]
pub(super) struct About {
    pub(super) port: String,
    usb_serial: Option<String>,
    #[serde(serialize_with = "crate::contract::path")]
    file: PathBuf,
    bytes: usize,
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { port, usb_serial, file, bytes } = self;
        let kit = usb_serial.as_ref().unwrap_or(port);
        write!(f, "{kit} with {} ({})", file.display(), counted(*bytes, "byte"))
    }
}

impl Program {
    /// Whether the kit's disk is there and takes it.
    fn check(&self, kit: &Kit) -> Result<(), iot_kit::Error> {
        Ok(self.disk.of(kit)?.check(&self.firmware)?)
    }

    pub(super) fn about(&self, kit: &Kit) -> About {
        let (file, bytes) = (self.firmware.path().to_owned(), self.firmware.size());
        About { port: kit.port.clone(), usb_serial: kit.usb_serial.clone(), file, bytes }
    }

    pub(super) fn line(&self, kit: &Kit) -> Line {
        let about = self.about(kit);
        Line::new("program", format_args!("would program {about}"), &about)
    }

    /// Programs the kit through its disk, waits until both disk and port are back, and says where the kit is then.
    ///
    /// # Errors
    /// Those of the kit's disk.
    pub(super) async fn carry_out(self, context: &Context, kit: Kit) -> Result<Kit, Error> {
        blocking(context, "Programming", move || {
            self.disk.of(&kit)?.program(&self.firmware)?;
            ports::wait_for(&kit)
        })
        .await
    }
}

impl DiskOption {
    fn of(&self, kit: &Kit) -> Result<Disk, iot_kit::Error> {
        Ok(Disk::of(kit.usb_serial.as_deref(), self.disk.as_deref())?)
    }

    /// A program for the kit through this disk.
    ///
    /// # Errors
    /// There is no disk, or the firmware does not suit the kit.
    pub(super) fn program(&self, firmware: Firmware, kit: &Kit) -> Result<Program, iot_kit::Error> {
        let program = Program { firmware, disk: self.clone() };
        program.check(kit)?;
        Ok(program)
    }

    /// The way that Wi-Fi credentials take: through the kit's disk where there is one, else by the application's console,
    /// whose port is opened.
    ///
    /// # Errors
    /// Those of the disk and of the port.
    pub(super) fn route(&self, kit: &Kit) -> Result<Route, iot_kit::Error> {
        match self.of(kit) {
            Ok(disk) => Ok(Route::Disk(disk)),
            Err(iot_kit::Error::Disk(disk::Error::NoDisk { .. })) => {
                Ok(Route::Console(ports::open_at(&kit.port, CONSOLE_BAUD_RATE)?))
            }
            Err(error) => Err(error),
        }
    }
}

/// Where credentials are written to.
pub(super) enum Route {
    Disk(Disk),
    Console(Box<dyn SerialPort>),
}

impl Route {
    pub(super) fn way(&self) -> Way {
        match self {
            Self::Disk(_) => Way::Disk,
            Self::Console(_) => Way::Console,
        }
    }

    /// Gives the application Wi-Fi credentials.
    ///
    /// # Errors
    /// Those of the kit's disk and of the application's console.
    pub(super) async fn send(
        self,
        context: &Context,
        credentials: Credentials,
        port: String,
    ) -> Result<(), Error> {
        blocking(context, "Setting the Wi-Fi credentials", move || match self {
            Self::Disk(disk) => Ok(disk.send_wifi(&credentials)?),
            Self::Console(mut console) => Ok(credentials.send(&mut console, &port)?),
        })
        .await
    }
}

/// By which way credentials go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Way {
    /// The kit's disk; the debugger types them into the console, and no answer comes back.
    Disk,
    /// The application's console, which confirms them.
    Console,
}

/// The Wi-Fi network of a board, and by which way it is set. The passphrase is not in it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Network {
    pub(super) port: String,
    pub(super) ssid: String,
    /// `None` where it is found out on the way.
    pub(super) way: Option<Way>,
}

impl Network {
    /// Gives the application the credentials, and tells it.
    ///
    /// # Errors
    /// As [`Route::send`].
    pub(super) async fn set(
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

    pub(super) fn line(&self) -> Line {
        let Self { port, ssid, way } = self;
        let way = match way {
            Some(Way::Disk) => " through the kit's disk",
            Some(Way::Console) => " by the application's console",
            None => "",
        };
        Line::new("set_wifi", format_args!("would set the Wi-Fi network {ssid} on {port}{way}"), self)
    }
}

/// Firmware and credentials to put into a board: read and checked.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    before: Option<Program>,
    after: Option<Program>,
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

    /// Whether a Wi-Fi network is named, and no program.
    pub(super) fn sets_wifi_alone(&self) -> bool {
        self.wifi.wifi_ssid.is_some()
            && self.provision_firmware.is_none()
            && self.application_firmware.is_none()
    }

    /// Reads and checks everything, before anything is done.
    ///
    /// # Errors
    /// A file cannot be read or is no image; see [`Wifi::credentials`].
    pub(super) fn prepare(&self, context: &Context) -> Result<Prepared, Error> {
        let read = |path: &Option<PathBuf>| -> Result<Option<Program>, iot_kit::Error> {
            let firmware = path.as_deref().map(Firmware::read).transpose()?;
            Ok(firmware.map(|firmware| Program { firmware, disk: self.disk.clone() }))
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

/// Application and Wi-Fi network without certificates.
pub(super) struct Extras {
    pub(super) kit: Kit,
    pub(super) prepared: Prepared,
}

impl Plan for Extras {
    async fn lines(&mut self, _: &Context) -> Result<Vec<Line>, Error> {
        Ok(self.prepared.lines(&self.kit).1)
    }

    async fn carry_out(self, context: &Context) -> Result<(), Error> {
        let Self { mut kit, prepared } = self;
        if let Some(program) = prepared.after {
            let about = program.about(&kit);
            kit = program.carry_out(context, kit).await?;
            plan::tell(context, "program", format_args!("programmed {about}"), &about);
        }
        if let Some(credentials) = prepared.wifi {
            let route = prepared.disk.route(&kit)?;
            let (port, ssid) = (kit.port.clone(), credentials.ssid().to_owned());
            let network = Network { port, ssid, way: Some(route.way()) };
            network.set(context, credentials, route).await?;
        }
        Ok(())
    }
}

impl Prepared {
    /// Whether nothing comes after the certificates.
    pub(super) fn is_empty(&self) -> bool {
        self.after.is_none() && self.wifi.is_none()
    }

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

    /// Whether the kit's disk takes both programs.
    ///
    /// # Errors
    /// There is no disk, or a program does not suit the kit.
    pub(super) fn check_for(&self, kit: &Kit) -> Result<(), Error> {
        Ok(self.before.iter().chain(&self.after).try_for_each(|program| program.check(kit))?)
    }

    /// Whether the firmware that answers is put in first.
    pub(super) fn is_programmed_before(&self) -> bool {
        self.before.is_some()
    }

    /// The lines before and after the certificates'.
    pub(super) fn lines(&self, kit: &Kit) -> (Option<Line>, Vec<Line>) {
        let line = |program: &Program| program.line(kit);
        let wifi = self.wifi.as_ref().map(|credentials| {
            let (port, ssid) = (kit.port.clone(), credentials.ssid().to_owned());
            Network { port, ssid, way: None }.line()
        });
        (self.before.as_ref().map(line), self.after.as_ref().map(line).into_iter().chain(wifi).collect())
    }

    /// Puts the provisioning firmware in, if one is given, and says where the kit is then.
    ///
    /// # Errors
    /// Those of the kit's disk.
    pub(super) async fn before(&self, context: &Context, kit: Kit) -> Result<Kit, Error> {
        let kit = match &self.before {
            Some(program) => {
                self.announce(context, 1, "Provisioning firmware");
                program.clone().carry_out(context, kit).await?
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
        if let Some(program) = &self.after {
            step += 1;
            self.announce(context, step, "Application");
            kit = program.clone().carry_out(context, kit).await?;
        }
        if let Some(credentials) = &self.wifi {
            step += 1;
            self.announce(context, step, "Wi-Fi");
            let route = self.disk.route(&kit)?;
            route.send(context, credentials.clone(), kit.port).await?;
        }
        Ok(())
    }
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
