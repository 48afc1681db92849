//! What a person meets who starts the function by hand: AWS Lambda gives no arguments, and always the variables of its runtime.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::config;
use crate::version::{TITLE, VERSION};

/// The end of the program where it is not AWS Lambda that started it, after a text that says what is missing.
pub(super) fn ended(arguments: &[OsString], variables: impl Fn(&str) -> Option<String>) -> Option<ExitCode> {
    let asked = match arguments.first().map(|argument| argument.to_string_lossy()) {
        None => {
            let error = config::runtime(variables).err()?;
            tell(&format!(
                "error: {error}; AWS Lambda starts this program: jitr --help says how it gets there"
            ));
            return Some(ExitCode::FAILURE);
        }
        Some(argument) => argument.into_owned(),
    };
    let text = match asked.as_str() {
        "--version" | "-V" => format!("jitr {VERSION}\n"),
        "--help" | "-h" | "help" => help(),
        other => {
            let other = device_pki::visible::line(other);
            tell(&format!("error: there is no argument {other}; jitr --help says what there is"));
            return Some(ExitCode::from(2));
        }
    };
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        // A closed pipe (`| head`) is the reader's choice, not a failure.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            tell(&format!("error: cannot write to stdout: {error}"));
            Some(ExitCode::FAILURE)
        }
        _ => Some(ExitCode::SUCCESS),
    }
}

/// A line on stderr. A closed stderr leaves nobody to tell.
fn tell(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

fn help() -> String {
    format!(
        "\
{TITLE}

This is the program of an AWS Lambda function (runtime provided.al2023, file name bootstrap).
AWS Lambda starts it; it does nothing in a terminal.

  provisioner setup --lambda-zip    puts it into your account
  provisioner doctor                checks it there
  provisioner replay --local        runs a registration on this computer

Its settings are environment variables of the function: ZT_POLICY_NAME, ZT_POLICY_DOCUMENT, THING_TYPE,
THING_ATTRIBUTES, THING_GROUP, ADDITIONAL_POLICIES, BILLING_GROUP, THING_NAME_SOURCE, EXCLUSIVE_THING,
ALLOWED_CA_IDS, CRL_DIR, CRL_URL, CRL_OPTIONAL_CA_IDS, LOG_LEVEL. A variable with a bad value is named in the log.

Options:
  -h, --help     Print this
  -V, --version  Print the version
"
    )
}
