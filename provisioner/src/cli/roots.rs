//! `roots`: the root certificates in a board's Wi-Fi module, by which the board knows the server that it connects to.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use device_pki::{Certificate, visible};
use durable_files::{Kind, folder};
use iot_account::counted;
use iot_kit::{Session, ports};
use time::OffsetDateTime;
use tokio::task;

use super::context::joined;
use super::plan::{self, Line, Plan};
use super::{Context, certificate_file, named, provision::Choice};
use crate::cli::Error;
use crate::work;
use crate::work::roots::{self, Outcome, Replacement, StoredRoot, Validity, Wanted};

/// What is done with the roots.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the roots that a board trusts, with their expiry
    Show(ShowArguments),
    /// Put the roots into a board that AWS's endpoints lead to, or others
    #[command(after_help = INSTALL_EXAMPLES)]
    Install(InstallArguments),
    /// Put back the roots that a board had before
    Restore(RestoreArguments),
}

const INSTALL_EXAMPLES: &str = "\
Examples:
  provisioner roots install --dry-run
      Show which roots the board would get, and which it would lose.
  provisioner roots install --keep
      Add Amazon's roots; keep those that are there and have not expired.
  provisioner roots install --from my-roots --keep
      Add the roots in a folder.

The old content is kept in the board's folder before anything is erased: provisioner roots restore";

/// Arguments of `roots show`.
#[derive(Debug, Args)]
pub struct ShowArguments {
    #[command(flatten)]
    choice: Choice,
    /// List the roots that this program installs; no board is needed
    #[arg(long, conflicts_with_all = ["from", "port", "serial"])]
    built_in: bool,
    /// List the roots in the files of a folder; no board is needed
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["port", "serial"])]
    from: Option<PathBuf>,
}

/// Arguments of `roots install`.
#[derive(Debug, Default, Args)]
pub struct InstallArguments {
    #[command(flatten)]
    choice: Choice,
    /// Folder with certificates, PEM or DER, one or several a file [default: Amazon Root CA 1 and 3, and Starfield's]
    #[arg(long, value_name = "FOLDER")]
    from: Option<PathBuf>,
    /// Keep the roots that are there and have not expired
    #[arg(long)]
    keep: bool,
    /// Also if the board cannot connect to AWS with these roots
    #[arg(short, long)]
    force: bool,
}

/// Arguments of `roots restore`.
#[derive(Debug, Default, Args)]
pub struct RestoreArguments {
    #[command(flatten)]
    choice: Choice,
    /// Number N of the copy root-store-N.bin in the board's folder [default: the first that was made]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    copy: Option<u32>,
    /// File with a root store, such as tls_root_cert.bin of iotprovision
    #[arg(long, value_name = "FILE", conflicts_with = "copy")]
    file: Option<PathBuf>,
}

/// Carries a command out.
///
/// # Errors
/// Those of the board, of the files and of the roots.
pub(super) async fn run(command: &Command, context: &Context) -> Result<(), Error> {
    match command {
        Command::Show(arguments) => show(arguments, context),
        Command::Install(arguments) => install(arguments, context).await,
        Command::Restore(arguments) => restore(arguments, context).await,
    }
}

fn show(arguments: &ShowArguments, context: &Context) -> Result<(), Error> {
    let roots = match &arguments.from {
        Some(folder) => roots::of_certificates(&in_folder(folder)?)?,
        None if arguments.built_in => roots::of_certificates(&roots::built_in())?,
        None => {
            let kit = arguments.choice.kit(context)?;
            let mut session = Session::start(ports::open(&kit.port)?, &kit)?;
            let what =
                || format!("what is in the Wi-Fi module of {}", kit.usb_serial.as_ref().unwrap_or(&kit.port));
            roots::read(&mut session)?.map_err(|source| roots::Error::Store { what: what(), source })?
        }
    };
    let now = OffsetDateTime::now_utc();
    let shown: Vec<_> = roots.iter().map(|root| StoredRoot::of(root, now)).collect();
    let mut table = context.table("there are no roots", HEAD);
    _ = shown.iter().try_for_each(|root| table.row(line(root), root));
    table.end();
    match roots::trust_in_aws(&roots, now) {
        roots::Trust::No { why } => {
            context.note(format_args!("warning: with these roots a board cannot connect to AWS: {why}"))
        }
        roots::Trust::Until { not_after, .. } => {
            context.note(format_args!("with these roots a board can connect to AWS, until {not_after}"));
        }
    }
    Ok(())
}

async fn install(arguments: &InstallArguments, context: &Context) -> Result<(), Error> {
    let InstallArguments { choice, from, keep, force } = arguments;
    let certificates = match from {
        Some(folder) => in_folder(folder)?,
        None => roots::built_in(),
    };
    replace(choice, Wanted::Roots { certificates, keep: *keep, force: *force }, context).await
}

async fn restore(arguments: &RestoreArguments, context: &Context) -> Result<(), Error> {
    let wanted = match &arguments.file {
        None => Wanted::Copy(arguments.copy),
        Some(path) => {
            let missing = || Error::File { path: path.clone(), reason: "there is no such file".to_owned() };
            let bytes = named::read(path)?.ok_or_else(missing)?;
            Wanted::Store { bytes, what: path.display().to_string() }
        }
    };
    replace(&arguments.choice, wanted, context).await
}

/// Puts the roots of a folder into the board that is meant, in the place of those that are there.
///
/// # Errors
/// As [`run`].
pub(super) async fn install_from(
    folder: &Path,
    choice: &Choice,
    force: bool,
    context: &Context,
) -> Result<(), Error> {
    replace(choice, Wanted::Roots { certificates: in_folder(folder)?, keep: false, force }, context).await
}

/// Puts the first copy back into the board that is meant.
///
/// # Errors
/// As [`run`].
pub(super) async fn restore_first(choice: &Choice, context: &Context) -> Result<(), Error> {
    replace(choice, Wanted::Copy(None), context).await
}

async fn replace(choice: &Choice, wanted: Wanted, context: &Context) -> Result<(), Error> {
    let kit = choice.kit(context)?;
    let progress = context.progress("Reading the root certificates of the board");
    let home = context.home.clone();
    let look = task::spawn_blocking(move || -> Result<Replacing, work::Error> {
        let mut session = Session::start(ports::open(&kit.port)?, &kit)?;
        let replacement = Replacement::look(&mut session, &kit, &home, wanted, OffsetDateTime::now_utc())?;
        Ok(Replacing { session, replacement })
    });
    let replacing = joined(look.await)?;
    drop(progress);
    plan::run(context, replacing).await
}

/// A board, and what becomes of its roots.
struct Replacing {
    session: Session,
    replacement: Replacement,
}

impl Plan for Replacing {
    async fn lines(&mut self, _: &Context) -> Result<Vec<Line>, Error> {
        let text = Told { replacement: &self.replacement, done: false }.to_string();
        Ok(vec![Line::new("replace_roots", text, &self.replacement).block()])
    }

    async fn carry_out(self, context: &Context) -> Result<(), Error> {
        let _progress = context.progress("Replacing the root certificates");
        let Self { mut session, mut replacement } = self;
        let home = context.home.clone();
        let work =
            task::spawn_blocking(move || replacement.carry_out(&mut session, &home).map(|()| replacement));
        let replacement = joined(work.await)?;
        let text = Told { replacement: &replacement, done: true }.to_string();
        plan::tell_block(context, "replace_roots", text, &replacement, true);
        Ok(())
    }
}

/// A replacement for people, before or after it.
struct Told<'a> {
    replacement: &'a Replacement,
    done: bool,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Replacement { outcome, roots, removed_roots, bytes, obstacle, copy, port, .. } = self.replacement;
        let board = visible::line(self.replacement.board());
        let port = visible::line(port);
        match (outcome, self.done) {
            (Outcome::Unchanged, _) => writeln!(f, "{board} on {port} has these roots already")?,
            (Outcome::Replaced, true) => writeln!(f, "replaced the roots of {board} on {port}")?,
            (Outcome::Replaced, false) => writeln!(f, "would replace the roots of {board} on {port}")?,
        }
        write!(f, "  roots        {} in {}", roots.len(), counted(*bytes, "byte"))?;
        for root in roots {
            write!(f, "\n{}", line(root))?;
        }
        if !removed_roots.is_empty() {
            write!(f, "\n  removed      {}", removed_roots.len())?;
        }
        for root in removed_roots {
            write!(f, "\n{}", line(root))?;
        }
        if let Some(copy) = copy {
            let copy = copy.display().to_string();
            write!(f, "\n  before       {}", visible::line(&copy))?;
        }
        match obstacle {
            Some(why) => write!(f, "\n  warning      with these roots it cannot connect to AWS: {why}"),
            None => Ok(()),
        }
    }
}

const HEAD: &str = "    UNTIL       KEY       ROOT";

/// A root in one line.
pub(super) fn line(root: &StoredRoot) -> String {
    let StoredRoot { subject, subject_hash, key_kind, not_after, validity, certificate_id, .. } = root;
    let day = not_after.as_deref().and_then(|end| end.split('T').next()).unwrap_or("(no date)");
    let state = match validity {
        Validity::Valid => "",
        Validity::EndsSoon => "  (ends soon)",
        Validity::Expired => "  (expired)",
        Validity::NotYet => "  (not valid yet)",
    };
    let name = match subject {
        Some(subject) => visible::line(subject).into_owned(),
        None => format!("(subject not known, SHA-1 {subject_hash})"),
    };
    let fingerprint = certificate_id.as_deref().map(|id| format!("  SHA-256 {id}")).unwrap_or_default();
    format!("    {day}  {key_kind:<8}  {name}{state}{fingerprint}")
}

/// Every certificate in the files of a folder, in the order of the files' names.
fn in_folder(path: &Path) -> Result<Vec<Certificate>, Error> {
    let refuse = |reason: &str| Error::File { path: path.to_owned(), reason: reason.to_owned() };
    let entries = folder::entries(path)?.ok_or_else(|| refuse("there is no such folder"))?;
    let is_hidden = |path: &Path| path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
    let mut certificates = Vec::new();
    for folder::Entry { path, kind } in entries {
        if kind != Kind::Folder && !is_hidden(&path) {
            certificates.extend(certificate_file::read_whole(&path)?);
        }
    }
    match certificates.is_empty() {
        true => Err(refuse("there is no file with a certificate in it")),
        false => Ok(certificates),
    }
}
