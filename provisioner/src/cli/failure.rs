//! How a failure is shown: message, causes and next step on stderr; with `--output json` one object on stdout, too.

use std::borrow::Cow;
use std::ffi::OsString;

use anstyle::{AnsiColor, Style};
use clap::error::ErrorKind;
use serde::Serialize;

use super::Output;
use super::exit_code::{ExitCode, exit_code};
use super::next_step::next_step;
use super::output::{self, Part};
use crate::cli::Error;
use crate::work::chain;
use device_pki::visible;

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
    output::note(&text(error, &help));
    if output == Output::Json {
        json(&message, &help, code);
    }
    code
}

/// Shows what is wrong with the command line, or with values from `variables` of the environment, or the help or version asked for.
pub(super) fn parsing(error: &clap::Error, variables: &[String], args: &[OsString]) -> ExitCode {
    let rendered = error.render();
    let text = match visible::block(&rendered.to_string()) {
        // Its colours are the parser's own.
        Cow::Borrowed(_) => rendered.ansi().to_string(),
        Cow::Owned(text) => text,
    };
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        output::print(&text);
        return match output::complete() {
            Ok(()) => ExitCode::Done,
            Err(error) => show(&error, Output::Human),
        };
    }
    output::note(text.trim_end());
    let source = match variables {
        [] => String::new(),
        names => format!("the value is from the environment: {}", names.join(", ")),
    };
    if !source.is_empty() {
        output::note(&source);
    }
    if asks_for_json(args) {
        let rendered = error.render().to_string();
        let message = rendered.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ").trim();
        let message = [message, &source].iter().filter(|text| !text.is_empty()).copied().collect::<Vec<_>>();
        json(&message.join("; "), "see provisioner --help", ExitCode::Usage);
    }
    ExitCode::Usage
}

fn text(error: &Error, help: &str) -> String {
    let plain = Style::new();
    let mut parts = Vec::<Part<'_>>::new();
    for (depth, message) in chain(error).iter().enumerate() {
        let message = visible::line(message);
        match depth {
            0 => parts.extend([(ERROR, "error:".into()), (plain, format!(" {message}\n").into())]),
            _ => parts.push((plain, format!("  caused by: {message}\n").into())),
        }
    }
    parts.extend([(HELP, "help:".into()), (plain, format!(" {}", visible::line(help)).into())]);
    output::painted(&parts)
}

fn json(error: &str, help: &str, code: ExitCode) {
    output::result(Some(Output::Json), "", &Failure { error, help, exit_code: code as u8 });
}

/// A command line that could not be parsed still says in which form it wants its answer.
fn asks_for_json(args: &[OsString]) -> bool {
    args.iter().any(|arg| arg == "--output=json")
        || args.windows(2).any(|pair| pair[0] == "--output" && pair[1] == "json")
}
