//! How a failure is shown: message, causes and next step on stderr; with `--output json` one object on stdout, too.

use std::ffi::OsString;
use std::io::Write;

use anstyle::{AnsiColor, Style};
use clap::error::ErrorKind;
use serde::Serialize;

use super::Output;
use super::exit_code::{ExitCode, exit_code};
use super::next_step::next_step;
use crate::cli::Error;
use crate::contract::Line;
use crate::work::chain;

/// The object that a program reads.
#[derive(Serialize)]
struct Failure<'a> {
    error: &'a str,
    help: &'a str,
    exit_code: u8,
}

const ERROR: Style = AnsiColor::Red.on_default().bold();
const HELP: Style = AnsiColor::Cyan.on_default().bold();

/// Shows `error` and says what the process ends with.
pub(super) fn show(error: &Error, output: Output) -> ExitCode {
    let code = exit_code(error);
    let message = chain(error).join(": ");
    let help = next_step(error);
    // A closed stderr leaves nobody to tell.
    let _ = anstream::stderr().lock().write_all(text(error, &help).as_bytes());
    if output == Output::Json {
        json(&message, &help, code);
    }
    code
}

/// Shows what is wrong with the command line, or the help or version asked for.
pub(super) fn parsing(error: &clap::Error, args: &[OsString]) -> ExitCode {
    let _ = error.print();
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return ExitCode::Done;
    }
    if asks_for_json(args) {
        let rendered = error.render().to_string();
        let message = rendered.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ").trim();
        json(message, "see provisioner --help", ExitCode::Usage);
    }
    ExitCode::Usage
}

fn text(error: &Error, help: &str) -> String {
    let mut text = String::new();
    for (depth, message) in chain(error).iter().enumerate() {
        if depth == 0 {
            text.push_str(&format!("{ERROR}error:{ERROR:#} {message}\n"));
        } else {
            text.push_str(&format!("  caused by: {message}\n"));
        }
    }
    text.push_str(&format!("{HELP}help:{HELP:#} {help}\n"));
    text
}

fn json(error: &str, help: &str, code: ExitCode) {
    let failure = Failure { error, help, exit_code: code as u8 };
    if let Ok(line) = serde_json::to_string(&Line::new(failure)) {
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    }
}

/// A command line that could not be parsed still says in which form it wants its answer.
fn asks_for_json(args: &[OsString]) -> bool {
    args.iter().any(|arg| arg == "--output=json")
        || args.windows(2).any(|pair| pair[0] == "--output" && pair[1] == "json")
}
