//! The form without a subcommand: the flags of Microchip's iotprovision, and everything in one go.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use time::OffsetDateTime;

use super::plan;
use super::provision::{DoneBoards, Order};
use super::setup::{SetUp, SetUpMar, SetUpSigner};
use super::{Context, Error, batch, firmware, provision, roots, setup};
use crate::state::{self, store};
use crate::work::provision::{Method, Origin};
use crate::work::{self, create};
use device_pki::Chain;
use iot_kit::Kit;

mod actions;
#[cfg(test)]
mod table;

use self::actions::{Action, Steps};

/// Long options that iotprovision spells with one dash.
const SINGLE_DASH: [&str; 4] = ["app", "ssid", "psk", "auth"];

/// Flags of the form without a subcommand.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Without a subcommand (the flags of Microchip's iotprovision)")]
pub struct Flags {
    /// Cloud to provision for
    #[arg(short, long, value_enum, value_name = "CLOUD")]
    cloud_provider: Option<Cloud>,
    /// How boards are registered
    #[arg(short = 'm', long, value_enum, value_name = "METHOD")]
    provision_method: Option<Method>,
    /// Serial port of the board [default: the only kit]
    #[arg(short = 'P', long, value_name = "PORT")]
    port: Option<String>,
    /// USB serial number of the board
    #[arg(short, long, alias = "serialnumber", value_name = "SERIAL")]
    serial_number: Option<String>,
    /// Write a new certificate even if the board is provisioned
    #[arg(short, long, aliases = ["fdev", "force-device-certs"])]
    force: bool,
    /// No effect: every write is verified. Scripts for iotprovision may have it
    #[arg(long)]
    verify: bool,
    /// With `-m sandbox`: lock the slots of the factory certificates. This cannot be undone
    #[arg(long)]
    lock_slots: bool,
    /// Debugger firmware to flash before
    #[arg(short = 'A', long, value_name = "ARCHIVE", hide = true)]
    archive: Option<PathBuf>,
    /// Update the firmware of the Wi-Fi module
    #[arg(short = 'w', long = "wincupgrade", hide = true)]
    winc_upgrade: bool,
    /// Make new CAs even if they exist
    #[arg(long = "fca", alias = "force-ca-certs", hide = true)]
    force_cas: bool,
    /// Make the vendor's stack again
    #[arg(long = "faws", alias = "force-aws-cloudformation", hide = true)]
    force_stack: bool,
    /// Update the firmware of the Wi-Fi module even if it is current
    #[arg(long = "fwinc", alias = "force-wincupgrade", hide = true)]
    force_winc_upgrade: bool,
    /// No effect: whether the firmware answers shows by itself
    #[arg(long = "sprov", alias = "skip-program-provision-firmware", hide = true)]
    skip_firmware: bool,
    /// Root certificates for the Wi-Fi module
    #[arg(long = "irc", alias = "install-root-certs", value_name = "FOLDER", hide = true)]
    root_certificates: Option<PathBuf>,
    /// Which root certificates the Wi-Fi module gets back
    #[arg(
        long = "rrc",
        alias = "restore-root-certs",
        value_enum,
        value_name = "WHICH",
        conflicts_with = "root_certificates",
        hide = true
    )]
    restored_root_certificates: Option<Restored>,
    /// Organisation in the names of new CAs
    #[arg(long = "org", id = "legacy_org", alias = "organization-name", value_name = "NAME", hide = true)]
    organisation: Option<String>,
    /// Common name of a new root CA
    #[arg(long = "rcn", alias = "root-common-name", value_name = "NAME", hide = true)]
    root_common_name: Option<String>,
    /// Common name of a new signer CA
    #[arg(long = "scn", alias = "signer-common-name", value_name = "NAME", hide = true)]
    signer_common_name: Option<String>,
    /// Print the version
    #[arg(short = 'R', long, hide = true, action = clap::ArgAction::Version)]
    release_info: Option<bool>,
    /// Words of iotprovision
    #[arg(long = "action", value_enum, hide = true)]
    actions: Vec<Action>,
    /// Firmware and Wi-Fi.
    #[command(flatten)]
    extras: firmware::FirmwareAndWifi,
    /// What the account is to look like.
    #[command(flatten)]
    account: setup::Options,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Cloud {
    Aws,
    #[value(hide = true)]
    Google,
    #[value(hide = true)]
    Azure,
}

/// Which root certificates iotprovision puts back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Restored {
    Backup,
    Factory,
}

/// What this tool does not update.
const DEBUGGER: &str = "the firmware of the kit's debugger";
const WIFI_MODULE: &str = "the firmware of the Wi-Fi module";

/// What a flag or a word asks for that this tool does not do, and what does.
fn declined(asks: &str, what: &'static str) -> Error {
    let help = match what {
        WIFI_MODULE => {
            "see whether it matters with: provisioner doctor --board SERIAL; update it with: iotprovision wincupgrade, then \
             provision the board again; nothing was done"
        }
        _ => {
            "update it with Microchip's pydebuggerupgrade or MPLAB X; provisioner needs no certain version; nothing was done"
        }
    };
    Error::usage(format!("{asks} would update {what}, which this tool does not change"), help)
}

impl Flags {
    /// The first of these flags on the command line, as the user would write it.
    pub(super) fn first_given(&self) -> Option<&'static str> {
        [
            (self.cloud_provider.is_some(), "-c"),
            (self.provision_method.is_some(), "-m"),
            (self.port.is_some(), "-P"),
            (self.serial_number.is_some(), "-s"),
            (self.force, "-f"),
            (self.verify, "--verify"),
            (self.lock_slots, "--lock-slots"),
            (self.force_cas, "--fca"),
            (self.skip_firmware, "--sprov"),
            (self.organisation.is_some(), "--org"),
            (self.root_common_name.is_some(), "--rcn"),
            (self.signer_common_name.is_some(), "--scn"),
            (self.force_stack, "--faws"),
            (self.root_certificates.is_some(), "--irc"),
            (self.restored_root_certificates.is_some(), "--rrc"),
            (!self.actions.is_empty(), "a word of iotprovision"),
            (self.account.is_given(), "a flag of the account"),
        ]
        .into_iter()
        .chain(self.updates().map(|(given, flag, _)| (given, flag)))
        .find_map(|(given, flag)| given.then_some(flag))
        .or_else(|| self.extras.first_given())
    }

    /// Flags of iotprovision that update what this tool leaves as it is.
    fn updates(&self) -> [(bool, &'static str, &'static str); 3] {
        [
            (self.archive.is_some(), "-A", DEBUGGER),
            (self.winc_upgrade, "-w", WIFI_MODULE),
            (self.force_winc_upgrade, "--fwinc", WIFI_MODULE),
        ]
    }

    /// How boards are to be registered, if this can be done at all; says why not. Where a Wi-Fi network alone is set, or
    /// nothing, no method is needed.
    fn check(&self) -> Result<(Steps, Option<Method>), Error> {
        match self.cloud_provider {
            Some(Cloud::Google) => {
                return Err(Error::usage(
                    "Google Cloud cannot take boards any more: it shut its IoT Core service down in August 2023",
                    "provision for your own AWS account: provisioner -c aws -m jitr",
                ));
            }
            Some(Cloud::Azure) => {
                return Err(Error::usage(
                    "Azure is not supported: this tool registers boards in AWS IoT Core only",
                    "provision for your own AWS account: provisioner -c aws -m jitr",
                ));
            }
            Some(Cloud::Aws) | None => {}
        }
        if let Some((_, flag, what)) = self.updates().into_iter().find(|(given, ..)| *given) {
            return Err(declined(flag, what));
        }
        if self.force_stack {
            return Err(Error::usage(
                "--faws would delete the vendor's stack in the account and make it again; this tool has no stack",
                "what differs in the account is repaired in place: provisioner setup; or provisioner doctor --repair. Leave --faws out; nothing was done",
            ));
        }
        if self.force_cas {
            return Err(Error::usage(
                "--fca would make new CAs in the place of those that the boards' certificates are from",
                "`provisioner ca rotate` makes a new signer CA, and `provisioner ca create --force` both anew; nothing was done",
            ));
        }
        let mut steps = Steps::of(&self.actions)?;
        if self.provision_method.is_none() && self.actions.is_empty() && self.asks_for_extras_alone() {
            steps = Steps::default();
        }
        self.check_roots(steps)?;
        match self.provision_method {
            method if Steps { roots: false, application: false, ..steps }.are_none() => Ok((steps, method)),
            Some(method) if self.lock_slots && method != Method::Sandbox => {
                Err(Error::usage("--lock-slots belongs to -m sandbox", "leave it out; nothing was done"))
            }
            Some(method) => Ok((steps, Some(method))),
            None => Err(Error::usage(
                "no registration method is given; iotprovision would have taken the vendor's public account",
                "provisioner -c aws -m jitr for your own AWS account, -m sandbox for the vendor's, or provisioner --help",
            )),
        }
    }
}

impl Flags {
    /// Whether an application or a Wi-Fi network is given, and nothing that has to do with certificates.
    fn asks_for_extras_alone(&self) -> bool {
        matches!(self.extras.first_given(), Some("--app" | "--ssid"))
    }

    /// Flags for the roots and the word for them belong together.
    fn check_roots(&self, steps: Steps) -> Result<(), Error> {
        let install = "provisioner roots install --from FOLDER";
        let restore = "provisioner roots restore";
        match (steps.roots, &self.root_certificates, self.restored_root_certificates) {
            (_, _, Some(Restored::Factory)) => Err(Error::usage(
                "the roots that the factory puts in are in Microchip's package iotprovision, not in this program",
                format!(
                    "put the board's own back: {restore}; or those of a file: {restore} --file tls_root_cert.bin; or Amazon's: \
                     provisioner roots install; nothing was done"
                ),
            )),
            (true, None, None) => Err(Error::usage(
                "rootcerts needs --irc FOLDER or --rrc backup",
                format!("or put Amazon's roots in with: provisioner roots install; others with: {install}"),
            )),
            (false, Some(_), _) => {
                Err(Error::usage("--irc belongs to the word rootcerts", format!("add it; or use: {install}")))
            }
            (false, _, Some(_)) => {
                Err(Error::usage("--rrc belongs to the word rootcerts", format!("add it; or use: {restore}")))
            }
            _ => Ok(()),
        }
    }

    /// Tells of the flags that name new CAs, where no CA is made.
    fn tell_names_unused(&self, context: &Context, why: &str) {
        let flags = [
            ("--org", self.organisation.is_some()),
            ("--rcn", self.root_common_name.is_some()),
            ("--scn", self.signer_common_name.is_some()),
        ];
        for (flag, _) in flags.iter().filter(|(_, is_given)| *is_given) {
            context.note(format_args!("{flag} has no effect: {why}"));
        }
    }

    /// Replaces the roots in the Wi-Fi module, as far as it is asked for.
    async fn replace_roots(&self, choice: &provision::Choice, context: &Context) -> Result<(), Error> {
        match &self.root_certificates {
            Some(folder) => roots::install_from(folder, choice, self.force, context).await,
            None => roots::restore_first(choice, context).await,
        }
    }
}

/// Turns iotprovision's single-dash long options (`-app x`, `-ssid=x`) into `--app` and so on, and its words into flags.
pub(super) fn normalise(
    args: impl IntoIterator<Item = OsString>,
    definition: &clap::Command,
) -> Vec<OsString> {
    actions::as_flags(long_options(args), definition)
}

fn long_options(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut options = true;
    args.into_iter()
        .map(|arg| {
            options &= arg != "--";
            match arg.to_str().and_then(|text| text.strip_prefix('-')) {
                Some(text) if options && is_single_dash(text) => format!("--{text}").into(),
                _ => arg,
            }
        })
        .collect()
}

fn is_single_dash(text: &str) -> bool {
    let name = text.split_once('=').map_or(text, |(name, _)| name);
    SINGLE_DASH.contains(&name)
}

/// Certificate authority, account and board in one go; what is done already is left as it is.
pub(super) async fn run(mut flags: Flags, context: &Context) -> Result<(), Error> {
    let (steps, method) = flags.check()?;
    flags.extras.take_no_passphrase_for_an_empty_one(context);
    if !steps.certs || method == Some(Method::Sandbox) {
        flags.tell_names_unused(context, "no CA is made");
    }
    let choice = provision::Choice { port: flags.port.clone(), serial: flags.serial_number.clone() };
    let options = batch::StationOptions::from_environment()
        .map_err(|error| Error::usage(error.to_string(), "correct the variable, or unset it"))?;
    if flags.actions.contains(&Action::Links) {
        context.note("the link on the kit's disk is not touched");
    }
    let Some(method) = method.filter(|_| steps.account || steps.certs || steps.board) else {
        let prepared = flags.extras.prepare(context)?.unasked();
        if steps.roots {
            flags.replace_roots(&choice, context).await?;
        }
        if prepared.is_empty() && !steps.application {
            if !steps.roots {
                context.note("nothing to do: give an application with --app, or a Wi-Fi network with --ssid");
            }
            return Ok(());
        }
        return put_in(choice.kit(context)?, prepared, steps, context).await;
    };
    if method == Method::Sandbox {
        if steps.roots {
            flags.replace_roots(&choice, context).await?;
        }
        if !steps.board {
            context.note("the vendor's account needs no CA and no set-up");
            return Ok(());
        }
        let mut prepared = flags.extras.prepare(context)?.unasked();
        let order = provision::sandbox(None, flags.force, flags.lock_slots);
        let kit = choice.kit(context)?;
        if steps.application {
            prepared.take_demo(context, &kit)?;
        }
        return provision::all_steps(context, kit, order, options, prepared).await;
    }
    // Whatever can be wrong with flags, settings and the choice of the board shows before the first file is written.
    let settings = flags.account.settings()?;
    let mut prepared = flags.extras.prepare(context)?.unasked();
    let account = context.account().await?;
    let kit = if steps.board { Some(choice.kit(context)?) } else { None };
    if let Some(kit) = &kit {
        if steps.application {
            prepared.take_demo(context, kit)?;
        }
        prepared.check_for(kit)?;
    }
    let chain = match (steps.certs, steps.board) {
        (true, _) => chain(context, &flags).await?,
        // As iotprovision: the board alone, with the CAs that are there.
        (false, true) => {
            let chain = store::load(&context.home, &context.keys, OffsetDateTime::now_utc())?;
            chain.key().open()?;
            Some(chain)
        }
        (false, false) => None,
    };
    if let Some(chain) = &chain {
        super::ca::retired::notice(context, chain.signer(), chain.root(), OffsetDateTime::now_utc());
    }
    let has_chain = chain.is_some();
    let endpoint = match (method, steps.account, steps.certs) {
        (Method::Mar, true, _) => {
            let plan = SetUpMar::look(account, &flags.account).await?;
            let endpoint = plan.endpoint.clone();
            plan::run(context, plan).await?;
            Some(endpoint)
        }
        // There, the account knows no CA.
        (Method::Mar, false, _) | (_, false, false) => None,
        (_, true, true) => {
            let plan = SetUp::look(context, account, chain.as_ref(), &settings).await?;
            let endpoint = plan.endpoint();
            setup::set_up(context, plan).await?;
            Some(endpoint)
        }
        (_, true, false) => {
            let plan = SetUp::look(context, account, None, &settings).await?.without_signer();
            let endpoint = plan.endpoint();
            setup::set_up(context, plan).await?;
            Some(endpoint)
        }
        (_, false, true) => {
            let plan = SetUpSigner::look(context, account, chain.as_ref(), &settings).await?;
            let endpoint = plan.endpoint();
            plan::run(context, plan).await?;
            Some(endpoint)
        }
    };
    if steps.roots {
        flags.replace_roots(&choice, context).await?;
    }
    let Some(kit) = kit else {
        return match prepared.is_empty() && !steps.application {
            true => Ok(()),
            false => put_in(choice.kit(context)?, prepared, steps, context).await,
        };
    };
    let register = match method {
        Method::Mar => Some(Box::new(flags.account.registration()?)),
        _ => None,
    };
    let origin = if has_chain { Origin::Chain(()) } else { Origin::NoChain };
    let order = Order {
        method,
        origin,
        endpoint,
        force: flags.force,
        register,
        revoke_superseded: false,
        done: DoneBoards::default(),
    };
    provision::all_steps(context, kit, order, options, prepared).await
}

/// Puts the application in and sets the Wi-Fi network, without certificates.
async fn put_in(
    kit: Kit,
    mut prepared: firmware::Prepared,
    steps: Steps,
    context: &Context,
) -> Result<(), Error> {
    if steps.application {
        prepared.take_demo(context, &kit)?;
    }
    prepared.check_for(&kit)?;
    plan::run(context, firmware::Extras { kit, prepared }).await
}

/// The certificate authority, made if there is none yet. `None` where it is not made because only plans are shown.
async fn chain(context: &Context, flags: &Flags) -> Result<Option<Chain>, Error> {
    let now = OffsetDateTime::now_utc();
    match store::load(&context.home, &context.keys, now) {
        Err(state::Error::Missing { .. } | state::Error::Incomplete { .. }) => {
            let names = create::Names::new(
                flags.organisation.as_deref().unwrap_or(work::DEFAULT_ORGANISATION),
                flags.root_common_name.as_deref(),
                flags.signer_common_name.as_deref(),
            )?;
            let plan = create::Plan::make(&context.home, &context.keys, create::Order::new(names), now)?;
            match plan::is_carried_out(context, plan).await? {
                true => Ok(Some(store::load(&context.home, &context.keys, now)?)),
                false => Ok(None),
            }
        }
        found => {
            flags.tell_names_unused(
                context,
                "the CAs are there already and keep their names; `provisioner ca create --force` makes others",
            );
            Ok(Some(found?))
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    fn normalised(line: &str) -> String {
        let args = long_options(line.split(' ').map(OsString::from));
        args.iter().map(|arg| arg.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    fn parsed(line: &str) -> Cli {
        Cli::try_parse_from(long_options(line.split(' ').map(OsString::from))).unwrap()
    }

    #[test]
    fn single_dash_long_options_become_double_dash_ones_and_nothing_else_changes() {
        let lines = [
            "provisioner -c aws -m jitr -app my.hex",
            "provisioner -ssid net -psk word -auth wpa-psk",
            "provisioner -app=my.hex -ssid=net",
            "provisioner -a ssid -P COM3 -s MCHP1 -p fw.hex",
            "provisioner -application",
            "provisioner --app my.hex -- -app",
        ];
        let table: Vec<String> = lines.iter().map(|line| format!("{line}\n  {}", normalised(line))).collect();
        insta::assert_snapshot!(table.join("\n"), @r"
        provisioner -c aws -m jitr -app my.hex
          provisioner -c aws -m jitr --app my.hex
        provisioner -ssid net -psk word -auth wpa-psk
          provisioner --ssid net --psk word --auth wpa-psk
        provisioner -app=my.hex -ssid=net
          provisioner --app=my.hex --ssid=net
        provisioner -a ssid -P COM3 -s MCHP1 -p fw.hex
          provisioner -a ssid -P COM3 -s MCHP1 -p fw.hex
        provisioner -application
          provisioner -application
        provisioner --app my.hex -- -app
          provisioner --app my.hex -- -app
        ");
    }

    #[test]
    fn short_and_long_names_of_iotprovision_mean_the_same() {
        let short = parsed("provisioner -c aws -m custom -a line -P COM3 -s MCHP1 -f -l debug -app a.hex");
        let long = parsed(
            "provisioner --cloud-provider aws --provision-method custom --aws-profile line --port COM3 \
             --serial-number MCHP1 --force --logging debug --application-firmware a.hex",
        );
        assert_eq!(format!("{short:?}"), format!("{long:?}"));
        assert_eq!(short.global.profile.as_deref(), Some("line"));
        assert_eq!(short.legacy.port.as_deref(), Some("COM3"));
    }

    #[test]
    fn a_passphrase_is_never_printed() {
        let shown = format!("{:?}", parsed("provisioner -m jitr -ssid net -psk sesame"));
        assert!(!shown.contains("sesame"), "{shown}");
    }

    #[test]
    fn custom_is_jitr_and_no_method_is_an_error() {
        for line in [
            "provisioner -m custom",
            "provisioner -m sandbox --lock-slots",
            "provisioner -c aws -m jitr",
            "provisioner -m jitr --verify",
        ] {
            assert!(parsed(line).legacy.check().is_ok(), "{line}");
        }
        for line in ["provisioner -c aws", "provisioner -m jitr --lock-slots", "provisioner -c azure -m jitr"]
        {
            assert!(parsed(line).legacy.check().is_err(), "{line}");
        }
    }
}
