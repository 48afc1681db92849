//! `testbed serve --env`: the testbed goes on in the background, and what a shell needs to use it is printed.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use serde_json::Value;

use super::{Error, io};

/// What is exported, and the field of the first line that it comes from.
const VARIABLES: [(&str, &str); 14] = [
    ("AWS_ENDPOINT_URL", "endpoint_url"),
    // MQTT over WebSocket is served by the device gateway, which has a certificate of its own CA.
    ("AWS_ENDPOINT_URL_IOT_DATA_PLANE", "data_plane_url"),
    ("AWS_CA_BUNDLE", "server_ca"),
    ("AWS_REGION", "region"),
    // The older name, which version 1 of the AWS CLI and botocore read alone.
    ("AWS_DEFAULT_REGION", "region"),
    ("AWS_ACCESS_KEY_ID", "access_key_id"),
    ("AWS_SECRET_ACCESS_KEY", "secret_access_key"),
    ("TESTBED_PID", "pid"),
    ("TESTBED_MQTT_HOST", "mqtt_host"),
    ("TESTBED_MQTT_PORT", "mqtt_port"),
    ("TESTBED_SERVER_CA", "server_ca"),
    ("TESTBED_BOARDS", "boards"),
    ("TESTBED_VENDOR_ROOTS", "vendor_roots"),
    ("TESTBED_LAMBDA", "lambda"),
];
/// What would come before the keys, or before the testbed's address: the variables of single services are those of the AWS SDKs
/// and Tools Reference Guide, "Service-specific endpoints".
const IN_THE_WAY: &str = "unset AWS_PROFILE AWS_SESSION_TOKEN AWS_IGNORE_CONFIGURED_ENDPOINT_URLS AWS_USE_FIPS_ENDPOINT \
     AWS_USE_DUALSTACK_ENDPOINT AWS_ENDPOINT_URL_IOT AWS_ENDPOINT_URL_LAMBDA AWS_ENDPOINT_URL_IAM AWS_ENDPOINT_URL_STS \
     AWS_ENDPOINT_URL_SQS AWS_ENDPOINT_URL_KMS";
const FLAG: &str = "--env";

/// Starts this program once more, without `--env`, and returns when it serves.
pub(super) fn start() -> Result<ExitCode, Error> {
    let program = std::env::current_exe().map_err(io("find the testbed's own program"))?;
    let arguments: Vec<OsString> = std::env::args_os().skip(1).filter(|argument| argument != FLAG).collect();
    let log = tempfile::Builder::new().prefix("testbed-").suffix(".log").tempfile();
    let log = log.map_err(io("make a log file"))?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log.reopen().map_err(io("open the log file"))?)
        // A ctrl-C in the shell is not for it.
        .process_group(0)
        .spawn()
        .map_err(io("start the testbed"))?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line).map_err(io("read where the testbed is"))?;
    }
    let Ok(served) = serde_json::from_str::<Value>(&line) else {
        // It has ended, and said why.
        let _ = child.wait();
        let said = std::fs::read_to_string(log.path()).unwrap_or_default();
        return Err(Error::NotServing { said: said.trim().trim_start_matches("testbed: ").to_owned() });
    };
    let (_, log) = log.keep().map_err(|error| io("keep the log file")(error.error))?;
    let mut text = format!("{IN_THE_WAY}\n");
    for (variable, field) in VARIABLES {
        text += &format!("export {variable}={}\n", quoted(&shown(&served[field])));
    }
    for (variable, value) in served["environment"].as_object().into_iter().flatten() {
        text += &format!("export {variable}={}\n", quoted(&shown(value)));
    }
    text += &format!("export TESTBED_LOG={}\n", quoted(&log.to_string_lossy()));
    text += "# kill \"$TESTBED_PID\" stops it\n";
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(io("write to stdout"))?;
    Ok(ExitCode::SUCCESS)
}

/// A value as a shell has it: a list with spaces between.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(shown).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// One word to a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for text in ["", "plain", "a b", "it's", "$(touch /tmp/x)", "\"`\\"] {
            let output =
                Command::new("sh").args(["-c", &format!("printf %s {}", quoted(text))]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
        }
    }
}
