//! Flags for firmware and Wi-Fi credentials: provisioning firmware before the certificates, application and credentials after them.

use std::path::PathBuf;

use clap::Args;
use device_pki::key::Passphrase;

use super::fetch::Fetch;
use super::network::{Network, Wifi};
use super::program::{DiskOption, Program};
use crate::cli::plan::{Line, Plan};
use crate::cli::{Context, Error};
use crate::work::firmware::{self, Images};
use iot_kit::catalogue::{self, Image};
use iot_kit::kits::{Model, Radio};
use iot_kit::wifi::Credentials;
use iot_kit::{Kit, disk};

/// Flags for firmware and Wi-Fi credentials.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Firmware and Wi-Fi")]
pub(in crate::cli) struct FirmwareAndWifi {
    /// Provisioning firmware, Intel HEX, to program first
    #[arg(short, long, value_name = "HEX")]
    provision_firmware: Option<PathBuf>,
    /// Application, Intel HEX, to program last
    #[arg(long = "app", alias = "application-firmware", value_name = "HEX")]
    application_firmware: Option<PathBuf>,
    /// Replace the program of a kit that does not answer, without asking
    ///
    /// A kit from its shop runs a demo, which does not answer. It gets the provisioning firmware of the catalogue, the certificates,
    /// and the demo application of the catalogue (provisioner firmware list).
    #[arg(long, conflicts_with = "keep_firmware")]
    program: bool,
    /// Leave the program of a kit that does not answer as it is, and fail
    #[arg(long)]
    keep_firmware: bool,
    /// Put no application back into a kit whose program was replaced
    #[arg(long, conflicts_with = "application_firmware")]
    no_application: bool,
    #[command(flatten)]
    wifi: Wifi,
    /// Passphrase on the command line: other users can see it in the list of processes
    #[arg(long = "psk", alias = "wifi-psk", value_name = "PASSPHRASE", hide = true, requires = "wifi_ssid")]
    wifi_psk: Option<Passphrase>,
    #[command(flatten)]
    disk: DiskOption,
}

/// Firmware and credentials to put into a board: read and checked.
#[derive(Debug, Default)]
pub(in crate::cli) struct Prepared {
    fetch: Option<Fetch>,
    before: Option<Program>,
    after: Option<Program>,
    wifi: Option<Credentials>,
    disk: DiskOption,
    replacing: Replacing,
    application: bool,
}

/// What becomes of the program of a kit that does not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Replacing {
    /// It stays.
    Not,
    /// It is replaced after a yes.
    #[default]
    Asked,
    /// It is replaced.
    Unasked,
    /// It is being replaced, after a yes.
    Planned,
}

impl FirmwareAndWifi {
    /// The first of these flags on the command line.
    pub(in crate::cli) fn first_given(&self) -> Option<&'static str> {
        [
            (self.provision_firmware.is_some(), "-p"),
            (self.application_firmware.is_some(), "--app"),
            (self.program, "--program"),
            (self.keep_firmware, "--keep-firmware"),
            (self.no_application, "--no-application"),
            (self.wifi.wifi_ssid.is_some(), "--ssid"),
            (self.disk.disk.is_some(), "--disk"),
        ]
        .into_iter()
        .find_map(|(given, flag)| given.then_some(flag))
    }

    /// As iotprovision does: a passphrase that nothing gives, and that nobody can be asked for, is empty.
    pub(in crate::cli) fn take_no_passphrase_for_an_empty_one(&mut self, context: &Context) {
        let is_given = self.wifi_psk.is_some() || self.wifi.gives_a_passphrase() || context.global.can_ask();
        if let (Some(ssid), false) = (&self.wifi.wifi_ssid, is_given) {
            context
                .note(format_args!("no passphrase is given, so the network {ssid} is taken for an open one"));
            self.wifi_psk = Some(Passphrase::from(String::new()));
        }
    }

    /// Reads and checks everything, before anything is done.
    ///
    /// # Errors
    /// A file cannot be read or is no image; see [`Wifi::credentials`].
    pub(in crate::cli) fn prepare(&self, context: &Context) -> Result<Prepared, Error> {
        let read = |path: &Option<PathBuf>| -> Result<Option<Program>, iot_kit::Error> {
            path.as_deref().map(|path| Program::read(path, &self.disk)).transpose()
        };
        let replacing = match (self.keep_firmware, self.program) {
            (true, _) => Replacing::Not,
            (false, true) => Replacing::Unasked,
            (false, false) => Replacing::Asked,
        };
        Ok(Prepared {
            fetch: None,
            before: read(&self.provision_firmware)?,
            after: read(&self.application_firmware)?,
            wifi: self
                .wifi
                .credentials(self.wifi_psk.as_ref().map(|psk| psk.reveal().to_owned()), context)?,
            disk: self.disk.clone(),
            replacing,
            application: !self.no_application,
        })
    }
}

/// What is told of a kit that does not answer, as a whole sentence.
fn silence(kit: &Kit) -> String {
    format!("The kit on {} does not answer, as one that runs a demo does.", kit.port)
}

/// Application and Wi-Fi network without certificates.
pub(in crate::cli) struct Extras {
    pub(in crate::cli) kit: Kit,
    pub(in crate::cli) prepared: Prepared,
}

impl Plan for Extras {
    async fn lines(&mut self, _: &Context) -> Result<Vec<Line>, Error> {
        let (fetched, lines) = self.prepared.lines(&self.kit);
        Ok([fetched, lines].concat())
    }

    async fn carry_out(self, context: &Context) -> Result<(), Error> {
        let Self { mut kit, prepared } = self;
        if let Some(fetch) = prepared.fetch {
            fetch.carry_out(context).await?;
        }
        if let Some(program) = prepared.after {
            kit = program.carry_out(context, kit).await?;
        }
        if let Some(credentials) = prepared.wifi {
            Network::set_on(context, &kit, credentials, &prepared.disk).await?;
        }
        Ok(())
    }
}

impl Prepared {
    /// Whether nothing comes after the certificates.
    pub(in crate::cli) fn is_empty(&self) -> bool {
        self.after.is_none() && self.wifi.is_none()
    }

    /// The program of a kit that does not answer is replaced without asking, unless it is to stay.
    pub(in crate::cli) fn unasked(mut self) -> Self {
        if self.replacing == Replacing::Asked {
            self.replacing = Replacing::Unasked;
        }
        self
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
    pub(in crate::cli) fn check_for(&self, kit: &Kit) -> Result<(), Error> {
        Ok(self.before.iter().chain(&self.after).try_for_each(|program| program.check(kit))?)
    }

    /// Whether the firmware that answers is put in first.
    pub(in crate::cli) fn is_programmed_before(&self) -> bool {
        self.before.is_some()
    }

    /// Plans to replace the program of a kit that does not answer: with the provisioning firmware of the catalogue first, and with
    /// its demo application at the end. Says whether it does: an unknown kit gets nothing.
    ///
    /// # Errors
    /// The kit is one that cannot be provisioned; there is no way to an image; what is kept in the place of an image is
    /// something else.
    pub(in crate::cli) fn replace_program(&mut self, context: &Context, kit: &Kit) -> Result<bool, Error> {
        if self.replacing == Replacing::Not {
            return Ok(false);
        }
        let Some(model) = self.disk.model(kit) else { return Ok(false) };
        if model.radio() != Radio::Wifi {
            return Err(iot_kit::Error::NoWifiModule { port: kit.port.clone(), model }.into());
        }
        if let Err(iot_kit::Error::Disk(error @ disk::Error::NoDisk { .. })) = self.disk.of(kit) {
            context.note(format_args!("{error}, so the program of the {model} cannot be replaced"));
            return Ok(false);
        }
        let Some(firmware) = Image::of(model, catalogue::Program::Provisioning) else { return Ok(false) };
        match self.replacing {
            Replacing::Asked => self.replacing = Replacing::Planned,
            _ if context.global.dry_run => {}
            _ => context.note(format_args!("{} Its program is replaced.", silence(kit))),
        }
        let images = Images::of(&context.home)?;
        let mut wanted = vec![firmware];
        wanted.extend(self.demo(context, model));
        self.before = Some(Program::of_image(&images, firmware, &self.disk)?);
        self.plan_images(&images, wanted)?;
        self.check_for(kit)?;
        self.check_network()?;
        Ok(true)
    }

    /// Plans to put the demo application into a kit that answers: one whose application an earlier run has replaced, and one that
    /// gets a Wi-Fi network, which the provisioning firmware does not take.
    ///
    /// # Errors
    /// As [`Prepared::replace_program`]; [`firmware::Error::NoApplication`].
    pub(in crate::cli) fn plan_application(&mut self, context: &Context, kit: &Kit) -> Result<(), Error> {
        let images = Images::of(&context.home)?;
        let is_replaced = kit.usb_serial.as_ref().is_some_and(|serial| images.is_replaced(serial));
        let is_wanted = (is_replaced || self.wifi.is_some()) && self.replacing != Replacing::Not;
        if let Some(model) = self.disk.model(kit).filter(|_| is_wanted) {
            let wanted = self.demo(context, model).into_iter().collect();
            self.plan_images(&images, wanted)?;
            self.check_for(kit)?;
        }
        self.check_network()
    }

    /// Whether there is an application for the Wi-Fi network that is given.
    fn check_network(&self) -> Result<(), Error> {
        match (&self.wifi, &self.after) {
            (Some(network), None) => {
                let ssid = network.ssid().to_owned();
                Err(crate::work::Error::from(firmware::Error::NoApplication { ssid }).into())
            }
            _ => Ok(()),
        }
    }

    /// Plans to put the demo application of the catalogue into the kit, unless another is given: the word `application` of
    /// iotprovision.
    ///
    /// # Errors
    /// As [`Prepared::replace_program`].
    pub(in crate::cli) fn take_demo(&mut self, context: &Context, kit: &Kit) -> Result<(), Error> {
        let Some(model) = self.disk.model(kit) else {
            if self.after.is_none() {
                context.note("which kit it is does not show: name its application with --app HEX");
            }
            return Ok(());
        };
        let images = Images::of(&context.home)?;
        let wanted = self.demo(context, model).into_iter().collect();
        self.plan_images(&images, wanted)
    }

    /// The demo application, if the kit is to get one.
    fn demo(&self, context: &Context, model: Model) -> Option<Image> {
        if self.after.is_some() || !self.application {
            return None;
        }
        let demo = Image::of(model, catalogue::Program::Application);
        if demo.is_none() {
            context.note(format_args!(
                "the catalogue has no demo application for the {model}: the kit keeps the provisioning firmware and connects \
                 once it has an application (--app HEX)"
            ));
        }
        demo
    }

    /// Plans the application among the images, and to fetch those that are not kept.
    fn plan_images(&mut self, images: &Images, wanted: Vec<Image>) -> Result<(), Error> {
        let mut missing = Vec::new();
        for image in wanted {
            if image.program() == catalogue::Program::Application {
                self.after = Some(Program::of_image(images, image, &self.disk)?);
            }
            if images.kept(image)?.is_none() {
                missing.push(image);
            }
        }
        self.fetch = Fetch::look(images, missing, None)?;
        Ok(())
    }

    /// Whether the demo application that is planned reads this endpoint.
    ///
    /// # Errors
    /// [`firmware::Error::LongEndpoint`].
    pub(in crate::cli) fn check_endpoint(&self, endpoint: &str) -> Result<(), Error> {
        let reads = |image: &Image| image.reads_wifi_module() && endpoint.len() > catalogue::ENDPOINT_MAX;
        match self.after.as_ref().and_then(Program::image).filter(reads) {
            Some(image) => {
                let endpoint = endpoint.to_owned();
                Err(crate::work::Error::from(firmware::Error::LongEndpoint { image, endpoint }).into())
            }
            None => Ok(()),
        }
    }

    /// Whether the demo application is put into the kit at the end, whose application was replaced.
    pub(in crate::cli) fn restores_application(&self) -> bool {
        self.after.as_ref().is_some_and(|program| program.image().is_some())
    }

    /// What is asked before the program of a kit is replaced.
    pub(in crate::cli) fn question(&self, kit: &Kit) -> Option<String> {
        (self.replacing == Replacing::Planned)
            .then(|| format!("{} Its program will be replaced.", silence(kit)))
    }

    /// The lines before and after the certificates'.
    pub(in crate::cli) fn lines(&self, kit: &Kit) -> (Vec<Line>, Vec<Line>) {
        let line = |program: &Program| program.line(kit);
        let wifi = self.wifi.as_ref().map(|credentials| {
            let (port, ssid) = (kit.port.clone(), credentials.ssid().to_owned());
            Network { port, ssid, way: None }.line()
        });
        let fetched = self.fetch.iter().flat_map(Fetch::lines);
        (
            fetched.chain(self.before.as_ref().map(line)).collect(),
            self.after.as_ref().map(line).into_iter().chain(wifi).collect(),
        )
    }

    /// Fetches images and puts the provisioning firmware in, as far as that is planned, and says where the kit is then.
    ///
    /// # Errors
    /// Those of the download and of the kit's disk.
    pub(in crate::cli) async fn before(&mut self, context: &Context, kit: Kit) -> Result<Kit, Error> {
        if let Some(fetch) = self.fetch.take() {
            fetch.carry_out(context).await?;
        }
        let kit = match &self.before {
            Some(program) => {
                self.announce(context, 1, "Provisioning firmware");
                if let (Some(serial), true) =
                    (&kit.usb_serial, program.image().is_some() && self.restores_application())
                {
                    Images::of(&context.home)?.note_replaced(serial)?;
                }
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
    pub(in crate::cli) async fn after(&self, context: &Context, mut kit: Kit) -> Result<(), Error> {
        let mut step = 1 + usize::from(self.before.is_some());
        if let Some(program) = &self.after {
            step += 1;
            self.announce(context, step, "Application");
            kit = program.clone().carry_out(context, kit).await?;
            if let Some(serial) = &kit.usb_serial {
                Images::of(&context.home)?.note_restored(serial)?;
            }
        }
        if let Some(credentials) = &self.wifi {
            step += 1;
            self.announce(context, step, "Wi-Fi");
            Network::set_on(context, &kit, credentials.clone(), &self.disk).await?;
        } else if self.restores_application() {
            context.note(
                "the application connects by the Wi-Fi network that it knows; name another one with: provisioner wifi --ssid NAME",
            );
        }
        Ok(())
    }
}
