//! What the process ends with: the one place that knows a number for each error.

use super::Error as CliError;
use crate::board::{self, disk, wifi};
use crate::ca::{self, key};
use crate::cloud::{self, register, replay, revoke, setup, teardown};
use crate::{Error, home, line, provision};

/// What the process ends with. Scripts rely on these numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Everything asked for is done.
    Done = 0,
    /// It failed for a reason that none of the others names.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// The board, or the port to it.
    Board = 3,
    /// AWS, or the way to it.
    Aws = 4,
    /// It could be done, but would do harm.
    Refused = 5,
}

/// What an error ends the process with.
pub(super) fn exit_code(error: &Error) -> ExitCode {
    match error {
        Error::Home(error) => files(error),
        Error::Ca(error) => pki(error),
        Error::Audit(_) => ExitCode::Failed,
        Error::Board(error) => kit(error),
        Error::Cloud(error) => account(error),
        Error::Provision(error) => provision(error),
        Error::Line(line::Error::Aborted { .. } | line::Error::Thread { .. }) => ExitCode::Failed,
        Error::Cli(error) => cli(error),
    }
}

fn files(error: &home::Error) -> ExitCode {
    use home::Error as E;
    match error {
        E::NoHome => ExitCode::Usage,
        E::Io { .. } => ExitCode::Failed,
        E::Exposed { .. } | E::Symlink { .. } | E::Busy { .. } => ExitCode::Refused,
        E::FolderName { .. } => ExitCode::Board,
    }
}

fn pki(error: &ca::Error) -> ExitCode {
    use ca::Error as E;
    match error {
        E::Name { .. }
        | E::NoAuthority { .. }
        | E::ExportPlace { .. }
        | E::NextKey { .. }
        | E::SameKey { .. } => ExitCode::Usage,
        E::Withdrawn { .. } | E::Rotating { .. } | E::OtherKey { .. } => ExitCode::Refused,
        E::Request | E::NotP256 => ExitCode::Board,
        E::Key(error) => key(error),
        E::Missing { .. }
        | E::Incomplete { .. }
        | E::Malformed { .. }
        | E::KeyUri { .. }
        | E::RootElsewhere { .. }
        | E::NoKey { .. }
        | E::RootOffline { .. }
        | E::Revocations { .. }
        | E::KeyMismatch { .. }
        | E::NotSelfSigned
        | E::ForeignSigner
        | E::NotCa { .. }
        | E::NoKeyIdentifier { .. }
        | E::NotValidNow { .. }
        | E::Random
        | E::Sign(_) => ExitCode::Failed,
    }
}

fn key(error: &key::Error) -> ExitCode {
    use key::Error as E;
    match error {
        E::NoPassphrase { .. } | E::ShortPassphrase | E::PassphrasesDiffer => ExitCode::Usage,
        E::NoKmsKey { .. } | E::KmsState { .. } => ExitCode::Aws,
        E::Aws(error) => account(error),
        E::NotEncrypted { .. } => ExitCode::Refused,
        E::Malformed { .. }
        | E::Cipher { .. }
        | E::WrongPassphrase { .. }
        | E::Keyring { .. }
        | E::Module { .. }
        | E::NoToken { .. }
        | E::SeveralTokens { .. }
        | E::SeveralKeys { .. }
        | E::NoPublicKey { .. }
        | E::NotP256 { .. }
        | E::PinLocked { .. }
        | E::NoPinSource { .. }
        | E::Token { .. }
        | E::NoRuntime { .. }
        | E::WrongSignature { .. }
        | E::Cryptography { .. } => ExitCode::Failed,
    }
}

fn kit(error: &board::Error) -> ExitCode {
    use board::Error as E;
    match error {
        E::PortsFile { .. } => ExitCode::Usage,
        E::Disk(disk::Error::NotADisk { .. } | disk::Error::Read { .. } | disk::Error::Image { .. }) => {
            ExitCode::Usage
        }
        E::Disk(disk::Error::OtherKit { .. }) => ExitCode::Refused,
        E::Disk(
            disk::Error::NoDisk { .. }
            | disk::Error::UnknownTarget
            | disk::Error::Write { .. }
            | disk::Error::Failed { .. }
            | disk::Error::NoOutcome { .. },
        ) => ExitCode::Board,
        E::Wifi(wifi::Error::NoAnswer { .. } | wifi::Error::Lost { .. }) => ExitCode::Board,
        E::Wifi(
            wifi::Error::SsidLength(_)
            | wifi::Error::OpenWithSecret
            | wifi::Error::WpaPassphrase
            | wifi::Error::WepKey
            | wifi::Error::Secret
            | wifi::Error::Console { .. },
        ) => ExitCode::Usage,
        E::NoBoard
        | E::SeveralBoards { .. }
        | E::NoSuchBoard { .. }
        | E::Cellular { .. }
        | E::List { .. }
        | E::NoPort { .. }
        | E::PortInUse { .. }
        | E::PortDenied { .. }
        | E::Open { .. }
        | E::Silent { .. }
        | E::Hangs { .. }
        | E::Astray { .. }
        | E::BootSector { .. }
        | E::Foreign { .. }
        | E::Lost { .. }
        | E::Refused { .. }
        | E::Link { .. } => ExitCode::Board,
    }
}

fn account(error: &cloud::Error) -> ExitCode {
    use cloud::Error as E;
    match error {
        E::Sandbox { .. } => ExitCode::Refused,
        E::NoRegion | E::MalformedRegion { .. } | E::ProfileNotFound { .. } => ExitCode::Usage,
        E::Setup(setup::Error::Package(_)) => ExitCode::Usage,
        E::Register(register::Error::Policy { .. })
        | E::Replay(replay::Error::NotAQueue { .. })
        | E::Revoke(revoke::Error::Unknown { .. }) => ExitCode::Usage,
        E::Register(register::Error::Incomplete { .. })
        | E::Replay(replay::Error::Incomplete { .. })
        | E::Teardown(teardown::Error::Unfinished { .. } | teardown::Error::Home(_)) => ExitCode::Failed,
        E::Register(register::Error::Busy { .. }) => ExitCode::Refused,
        E::Register(register::Error::Home(error)) => files(error),
        E::Setup(_)
        | E::Doctor(_)
        | E::Register(register::Error::Prepare(_))
        | E::Replay(replay::Error::Settings(_) | replay::Error::NoQueue { .. })
        | E::Revoke(revoke::Error::InTransfer { .. })
        | E::ProfileFiles { .. }
        | E::NoCredentials
        | E::Credentials { .. }
        | E::Expired { .. }
        | E::BadCredentials { .. }
        | E::WrongRegion { .. }
        | E::ClockSkew { .. }
        | E::Denied { .. }
        | E::Unreachable { .. }
        | E::Throttled { .. }
        | E::Call { .. }
        | E::Nonsense { .. }
        | E::Incomplete { .. } => ExitCode::Aws,
    }
}

fn provision(error: &provision::Error) -> ExitCode {
    use provision::Error as E;
    match error {
        E::Endpoint { .. } => ExitCode::Usage,
        E::Store(_) | E::Inconsistent | E::NoSigner { .. } | E::NotValidNow { .. } => ExitCode::Failed,
        E::ReadBack { .. } | E::Factory(_) => ExitCode::Board,
        E::ForeignKey { .. } => ExitCode::Refused,
    }
}

fn cli(error: &CliError) -> ExitCode {
    match error {
        CliError::Usage { .. } | CliError::File { .. } => ExitCode::Usage,
        CliError::Boards { exit_code, .. } => *exit_code,
        CliError::Unconfirmed { .. } | CliError::Declined => ExitCode::Refused,
        CliError::Start { .. } | CliError::Terminal { .. } | CliError::Ledger(_) | CliError::Audit(_) => {
            ExitCode::Failed
        }
    }
}
