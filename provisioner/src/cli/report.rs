//! `report`: a file for a bug report or a first trial. What cannot be looked at is told in it, and no secret is.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use durable_files::{Kind, folder};
use iot_account::counted;
use iot_kit::transcript::Transcript;
use iot_kit::{Kit, Session, ports};
use serde::Serialize;
use time::OffsetDateTime;
use tokio::task;

use self::redaction::Redaction;
use super::context::joined;
use super::exit_code::exit_code;
use super::inspect::Shown;
use super::next_step::next_step;
use super::plan::{self, Line, Plan};
use super::{Context, doctor, named, provision::Choice};
use crate::cli::Error;
use crate::state;
use crate::work::{self, diagnosis, inspection};

mod redaction;

/// Arguments of `report`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  provisioner report --board
      Read the board and look at the account; write what is found to a file in the current folder.
  provisioner report --offline
      Make no call to AWS.

Nothing is changed, neither on the board nor in the account. Passphrases, keys, tokens and numbers of accounts are left out.
Read the file before you send it: it has the names of the home folder's files, and serial numbers.")]
pub struct Arguments {
    /// Read the board too, with everything that goes over its port
    #[arg(long)]
    board: bool,
    #[command(flatten)]
    choice: Choice,
    /// Make no call to AWS
    #[arg(long)]
    offline: bool,
    /// File to write; an earlier report is replaced, and no other file [default: provisioner-report-TIME.md in the current folder]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Looks at everything and writes the report.
///
/// # Errors
/// The file cannot be written. What cannot be looked at is in the report.
pub(super) async fn run(arguments: &Arguments, context: &Context) -> Result<(), Error> {
    let now = state::now();
    let kit = match arguments.board {
        true => Some(arguments.choice.kit(context)),
        false => None,
    };
    let stamp: String =
        device_pki::certificate::rfc3339(now).chars().filter(|c| !"-:".contains(*c)).collect();
    let file = arguments.file.clone().unwrap_or_else(|| format!("provisioner-report-{stamp}.md").into());
    named::check_output(&file, HEAD.as_bytes())?;
    plan::run(context, Report { file, kit, offline: arguments.offline, now }).await
}

/// The first line of a report.
const HEAD: &str = "# Report of provisioner\n";

struct Report {
    file: PathBuf,
    /// The board, or why there is none; `None` where none is to be read.
    kit: Option<Result<Kit, Error>>,
    offline: bool,
    now: OffsetDateTime,
}

/// Where the report is.
#[derive(Serialize)]
struct Written<'a> {
    #[serde(serialize_with = "crate::contract::path")]
    file: &'a Path,
}

impl Plan for Report {
    async fn lines(&mut self, _: &Context) -> Result<Vec<Line>, Error> {
        let text = format!("would write a report to {}", self.file.display());
        Ok(vec![Line::new("write_report", text, &Written { file: &self.file })])
    }

    async fn carry_out(self, context: &Context) -> Result<(), Error> {
        let _progress = context.progress("writing the report");
        let Self { file, kit, offline, now } = self;
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
        });
        let mut redaction = Redaction::of(environment);
        let mut text = head(now);
        section(&mut text, "Home folder", &files(context));
        section(&mut text, "Kits", &kits());
        match kit {
            Some(Ok(kit)) => {
                let (board, endpoint) = joined(task::spawn_blocking(move || board(&kit, now)).await);
                // What is before the first dot is the account's.
                if let Some(label) = endpoint.as_deref().and_then(|host| host.split('.').next()) {
                    redaction.replace(label, "[endpoint]");
                }
                text.push_str(&board);
            }
            Some(Err(error)) => section(&mut text, "Board", &told(&error)),
            None => section(&mut text, "Board", "not read (--board)"),
        }
        let account = match offline {
            true => "not looked at (--offline)".to_owned(),
            false => match doctor::lines(context).await {
                Ok((lines, endpoint)) => {
                    if let Some(label) = endpoint.as_deref().and_then(|host| host.split('.').next()) {
                        redaction.replace(label, "[endpoint]");
                    }
                    lines.join("\n")
                }
                Err(error) => told(&error),
            },
        };
        section(&mut text, "Account", &account);
        durable_files::write_named(&file, redaction.apply(&text).as_bytes()).map_err(Error::Named)?;
        let text = format!("report in {}: read it before you send it", file.display());
        plan::tell(context, "write_report", text, &Written { file: &file });
        Ok(())
    }
}

fn head(now: OffsetDateTime) -> String {
    let mut text = String::from(HEAD);
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let system = system().map(|name| format!(", {name}")).unwrap_or_default();
    let mut set: Vec<_> = std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| {
            name.starts_with("AWS_") || name.starts_with("MICROCHIP_IOT_") || name.ends_with("_PROXY")
        })
        .collect();
    set.sort();
    let lines = [
        format!("made         {}", device_pki::certificate::rfc3339(now)),
        format!("provisioner  {}", env!("CARGO_PKG_VERSION")),
        format!("system       {os} {arch}{system}"),
        format!("variables    {}", if set.is_empty() { "(none)".to_owned() } else { set.join(", ") }),
    ];
    section(&mut text, "Program", &lines.join("\n"));
    text
}

/// The name of the system's release, where it has one.
fn system() -> Option<String> {
    let text = durable_files::read(Path::new("/etc/os-release")).ok()??;
    let text = String::from_utf8_lossy(&text);
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches('"').to_owned())
}

/// Appends a section whose content is shown as it is.
fn section(text: &mut String, title: &str, content: &str) {
    // A fence that is in the content would end it.
    let content = device_pki::visible::block(content).replace("```", "'''");
    // Writing to a string does not fail.
    let _ = write!(text, "\n## {title}\n```\n{}\n```\n", content.trim_end());
}

/// An error with its causes, its exit code and its next step.
fn told(error: &Error) -> String {
    format!(
        "{}\nexit code {}\nhelp: {}",
        work::chain(error).join(": "),
        exit_code(error) as u8,
        next_step(error)
    )
}

/// Names and sizes of the files, two levels deep.
fn files(context: &Context) -> String {
    let mut lines = Vec::new();
    let mut list = |folder: &Path, indent: &str| -> Vec<PathBuf> {
        let entries = match folder::entries(folder) {
            Ok(Some(entries)) => entries,
            Ok(None) => {
                lines.push(format!("{indent}(there is no such folder)"));
                return Vec::new();
            }
            Err(error) => {
                lines.push(format!("{indent}{error}"));
                return Vec::new();
            }
        };
        let mut folders = Vec::new();
        for folder::Entry { path, kind } in entries {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let facts = path.symlink_metadata().map(|found| facts(&found)).unwrap_or_default();
            lines.push(format!("{indent}{name}  {kind}{facts}"));
            if kind == Kind::Folder {
                folders.push(path);
            }
        }
        folders
    };
    for folder in list(context.home.root(), "") {
        list(&folder, &format!("  {}/", folder.file_name().unwrap_or_default().to_string_lossy()));
    }
    lines.join("\n")
}

#[cfg(unix)]
fn facts(found: &std::fs::Metadata) -> String {
    use std::os::unix::fs::PermissionsExt;
    format!(", {}, {:04o}", counted(found.len() as usize, "byte"), found.permissions().mode() & 0o7777)
}

#[cfg(not(unix))]
fn facts(found: &std::fs::Metadata) -> String {
    format!(", {}", counted(found.len() as usize, "byte"))
}

fn kits() -> String {
    match ports::kits() {
        Ok(kits) if kits.is_empty() => "none".to_owned(),
        Ok(kits) => kits.iter().map(Kit::to_string).collect::<Vec<_>>().join("\n"),
        Err(error) => told(&error.into()),
    }
}

/// What is on the board, what was said, and when; and the endpoint that it has.
fn board(kit: &Kit, now: OffsetDateTime) -> (String, Option<String>) {
    let transcript = Transcript::default();
    let mut times = Vec::new();
    let mut text = String::new();
    let mut endpoint = None;
    let mut read = || -> Result<String, iot_kit::Error> {
        let mut begin = Instant::now();
        let mut took = |what: &str| {
            times.push(format!("{what:<20} {:>6} ms", begin.elapsed().as_millis()));
            begin = Instant::now();
        };
        let port = ports::open(&kit.port)?;
        took("port opened");
        let mut session = Session::start(transcript.of(port), kit)?;
        took("firmware answered");
        let inspection = inspection::inspect(&mut session, kit, now)?;
        took("board read");
        let traffic = session.traffic();
        times.push(format!(
            "{}, {} to the board, {} from it",
            counted(traffic.commands, "command"),
            counted(traffic.sent, "byte"),
            counted(traffic.received, "byte")
        ));
        endpoint = inspection.stored_endpoint.clone();
        let findings = diagnosis::of(kit, &inspection, now);
        let shown = Shown { usb_serial: kit.usb_serial.clone(), inspection };
        let findings: Vec<_> = findings
            .iter()
            .map(|finding| format!("{}: {}", finding.link, finding.found.join("; ")))
            .collect();
        Ok(format!("{shown}\n\n{}", findings.join("\n")))
    };
    let read = read();
    section(&mut text, "Board", &read.unwrap_or_else(|error| told(&error.into())));
    section(&mut text, "Times", &times.join("\n"));
    let exchange: Vec<_> = transcript
        .pieces()
        .iter()
        .map(|piece| {
            let (direction, millis) = (if piece.sent { '>' } else { '<' }, piece.at.as_secs_f64() * 1000.0);
            let lasting = (piece.until - piece.at).as_millis();
            let lasting = if lasting > 0 { format!(" ({lasting} ms)") } else { String::new() };
            format!("{millis:>10.1} {direction} {}{lasting}", piece.text())
        })
        .collect();
    section(&mut text, "Exchange, in ms", &exchange.join("\n"));
    (text, endpoint)
}
