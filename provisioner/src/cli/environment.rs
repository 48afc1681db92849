//! Variables of the environment that are blank, as `AWS_REGION= provisioner …` sets them: unset, for this program, the
//! libraries that it uses, and the programs that it starts.
//!
//! The libraries read the variables themselves, and each has its own opinion of a blank one. Only at its start a program can
//! have an environment without them.

use std::ffi::OsString;
use std::io;
use std::process::Command;

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

/// Begins the program again without the blank variables, if there are any.
///
/// # Errors
/// What keeps the program from beginning again.
pub(super) fn unset_blank(args: &[OsString]) -> io::Result<()> {
    let blank: Vec<_> = std::env::vars_os().filter(is_blank).map(|(name, _)| name).collect();
    if blank.is_empty() {
        return Ok(());
    }
    let mut program = Command::new(std::env::current_exe()?);
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
fn begin(mut program: Command) -> io::Result<()> {
    Err(std::os::unix::process::CommandExt::exec(&mut program))
}

#[cfg(not(unix))]
fn begin(mut program: Command) -> io::Result<()> {
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
