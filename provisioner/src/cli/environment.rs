//! Variables of the environment. One that is blank, as `AWS_REGION= provisioner …` sets it, is unset: for this program, the
//! libraries that it uses, and the programs that it starts. One that has to be text and is none is refused. One with a value that
//! the command line refuses is named.
//!
//! The libraries read the variables themselves, and each has its own opinion of a blank one. Only at its start a program can
//! have an environment without them.

use std::ffi::OsString;
use std::{io, process};

use clap::Command;
use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::Error;

/// How the names begin of variables that AWS and this program read.
const PREFIXES: [&str; 2] = ["AWS_", "MICROCHIP_IOT_"];
/// Further variables that lead to files and proxies, in any case.
const NAMES: [&str; 7] = [
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CARGO_TARGET_DIR",
];

/// How the names end of variables that name files, whose names may be anything.
const OF_PATHS: [&str; 5] = ["_HOME", "_FILE", "_BUNDLE", "_ROOT", "_DIR"];

/// Refuses a variable that is no text: the libraries take such a one for unset.
///
/// # Errors
/// [`Error::Usage`].
pub(super) fn check_text() -> Result<(), Error> {
    let has_to_be_text = |name: &str| {
        let is_of = |prefix: &&str| name.starts_with(*prefix);
        PREFIXES.iter().any(is_of) && !OF_PATHS.iter().any(|end| name.ends_with(end))
    };
    for (name, value) in std::env::vars_os() {
        if let (Some(name), None) = (name.to_str().filter(|name| has_to_be_text(name)), value.to_str()) {
            return Err(Error::usage(
                format!("the value of the environment variable {name} is not UTF-8"),
                format!("set {name} anew, or unset it"),
            ));
        }
    }
    Ok(())
}

/// The definition of a command line without what the environment says.
fn without_variables(command: Command) -> Command {
    command.mut_args(|argument| argument.env(Resettable::Reset)).mut_subcommands(without_variables)
}

/// What is wrong with a command line, and the variables with a value that is refused, if the command line is right without them.
/// What a message says of the usage is that of the command line alone.
pub(super) fn blamed(
    error: clap::Error,
    args: &[OsString],
    definition: Command,
) -> (clap::Error, Vec<String>) {
    let is_help = !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if is_help {
        return (error, Vec::new());
    }
    let Err(own) = without_variables(definition.clone()).try_get_matches_from_mut(args) else {
        let refused = refused(&definition, &error);
        return (error, refused);
    };
    (own, Vec::new())
}

/// The variables of the arguments that an error is about.
fn refused(definition: &Command, error: &clap::Error) -> Vec<String> {
    let about = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(about)) => vec![about.clone()],
        Some(ContextValue::Strings(about)) => about.clone(),
        _ => Vec::new(),
    };
    let mut variables: Vec<String> = definition.get_subcommands().flat_map(|of| refused(of, error)).collect();
    let own = definition.get_arguments().filter_map(|argument| {
        let long = format!("--{}", argument.get_long()?);
        let is_meant = |about: &String| about.split(' ').next() == Some(&long);
        let variable = argument.get_env().filter(|name| std::env::var_os(name).is_some())?;
        about.iter().any(is_meant).then(|| variable.to_string_lossy().into_owned())
    });
    variables.extend(own);
    variables.sort();
    variables.dedup();
    variables
}

/// Begins the program again without the blank variables, if there are any.
///
/// # Errors
/// What keeps the program from beginning again.
pub(super) fn unset_blank(args: &[OsString]) -> io::Result<()> {
    let blank: Vec<_> = std::env::vars_os().filter(is_blank).map(|(name, _)| name).collect();
    if blank.is_empty() {
        return Ok(());
    }
    let mut program = process::Command::new(std::env::current_exe()?);
    program.args(args.iter().skip(1));
    for name in blank {
        program.env_remove(name);
    }
    begin(program)
}

fn is_blank((name, value): &(OsString, OsString)) -> bool {
    let is_space = value.to_str().is_some_and(|value| value.trim().is_empty());
    is_space && name.to_str().is_some_and(is_read)
}

fn is_read(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    PREFIXES.iter().any(|prefix| upper.starts_with(prefix)) || NAMES.contains(&upper.as_str())
}

/// In the place of this process: its number, its files and its terminal stay.
#[cfg(unix)]
fn begin(mut program: process::Command) -> io::Result<()> {
    Err(std::os::unix::process::CommandExt::exec(&mut program))
}

#[cfg(not(unix))]
fn begin(mut program: process::Command) -> io::Result<()> {
    std::process::exit(program.status()?.code().unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_variables_that_are_read_are_told_from_others() {
        let pair = |name: &str, value: &str| (OsString::from(name), OsString::from(value));
        for (name, value) in [
            ("AWS_REGION", ""),
            ("AWS_ENDPOINT_URL_IOT", " "),
            ("MICROCHIP_IOT_HOME", "\t"),
            ("https_proxy", ""),
        ] {
            assert!(is_blank(&pair(name, value)), "{name}");
        }
        for (name, value) in [("AWS_REGION", "us-east-1"), ("EDITOR", ""), ("PATH", " ")] {
            assert!(!is_blank(&pair(name, value)), "{name}");
        }
    }
}
