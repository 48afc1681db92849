//! What to do about an error: the one place that names flags, commands and environment variables for it.
//!
//! A file for each crate matches its errors, without an arm for the rest: a new error does not compile until somebody has
//! said what its next step is.

use std::borrow::Cow;

use iot_account::doctor::Remedy;

use super::{Error, ExitCode, given};

mod account;
mod files;
mod kit;
mod pki;
mod remedy;
mod state;
mod work;

pub(super) use pki::no_certificate;

/// A next step, for people.
type Text = Cow<'static, str>;

/// What to do about an error.
pub(super) fn next_step(error: &Error) -> Text {
    given::repeated(of(error))
}

/// What to do about a failure of the work.
pub(super) fn of_work(error: &crate::work::Error) -> Text {
    given::repeated(work::work(error))
}

/// What to do about what `doctor` found.
pub(super) fn remedy(remedy: &Remedy) -> Text {
    given::repeated(remedy::remedy(remedy))
}

fn of(error: &Error) -> Text {
    match error {
        Error::Work(error) => work::work(error),
        Error::Keyring { .. } => "leave --keyring out, or unlock the keyring first".into(),
        Error::Usage { help, .. } => help.clone().into(),
        Error::Unconfirmed { flag, .. } => {
            format!("check what is shown above, then give the confirmation with {flag}").into()
        }
        Error::Declined => "run the same command again to be asked again".into(),
        Error::Terminal { .. } => {
            "give the answer on the command line, and --non-interactive so that nothing is asked".into()
        }
        Error::Certificates { source, .. } => pki::no_certificate(source.found),
        Error::Named(error) => files::named(error),
        Error::Taken { .. } => "name another file, or move this one away; nothing was written".into(),
        Error::File { .. } => "check the name and the content of the file".into(),
        Error::Boards { exit_code: ExitCode::Usage | ExitCode::Aws | ExitCode::Refused, .. } => {
            "each has a line with the cause, and so has the ledger: provisioner ledger --result failed".into()
        }
        Error::Boards { .. } => {
            "unplug them, plug them in again and run again: what is done is kept; the ledger has the causes: provisioner ledger --result failed"
                .into()
        }
        Error::Unseen { .. } => {
            "what was found is shown above; `provisioner doctor` checks every link again, and `provisioner monitor` goes on watching".into()
        }
        Error::Rows { .. } => "each has a line with the reason; correct it and run the same command again: what is done is kept".into(),
        Error::Ledger(_) => {
            "if the secure element of a kit was replaced, nothing is wrong; otherwise put the boards aside: a key or a serial number was copied"
                .into()
        }
        Error::Audit(_) => {
            "compare it with a copy; find out who could write to the folder, and rotate the signer if a signature may be missing: provisioner ca rotate"
                .into()
        }
        Error::Output { .. } => {
            "make room there, or print to another place; what the command has done stays done, and these show it: \
             `provisioner ca show`, `provisioner ledger`, `provisioner certificates`"
                .into()
        }
        Error::Start { .. } => {
            "the system is short of threads, file descriptors or memory; free some and try again".into()
        }
    }
}
