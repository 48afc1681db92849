//! What the process ends with: the one place that knows a number for each error.

use device_pki::key;
use iot_account::{live, register, replay, revoke, setup, teardown};
use iot_kit::{disk, wifi};

use super::Error;
use crate::state;
use crate::work::{self, AuthorityError, FleetError, firmware, provision, roots};

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
        Error::Work(error) => self::work(error),
        Error::Named(error) => file(error),
        Error::Usage { .. } | Error::File { .. } | Error::Certificates { .. } => ExitCode::Usage,
        Error::Boards { exit_code, .. } => *exit_code,
        Error::Unseen { .. } => ExitCode::Aws,
        Error::Unconfirmed { .. } | Error::Declined | Error::Taken { .. } => ExitCode::Refused,
        Error::Start { .. }
        | Error::Output { .. }
        | Error::Terminal { .. }
        | Error::Keyring { .. }
        | Error::Rows { .. }
        | Error::Ledger(_)
        | Error::Audit(_) => ExitCode::Failed,
    }
}

/// What a failure of the work ends the process with.
pub(super) fn work(error: &work::Error) -> ExitCode {
    use work::Error as E;
    match error {
        E::File(error) => file(error),
        E::Pki(error) => pki(error),
        E::State(error) => state(error),
        E::Kit(error) => kit(error),
        E::Account(error) => account(error),
        E::Authority(
            AuthorityError::OtherKey { .. }
            | AuthorityError::NotEncrypted { .. }
            | AuthorityError::AdmissionKeyOfCa { .. }
            | AuthorityError::RevokedKey { .. },
        ) => ExitCode::Refused,
        E::Authority(
            AuthorityError::RootElsewhere { .. }
            | AuthorityError::OtherIssuer { .. }
            | AuthorityError::ListNumber { .. }
            | AuthorityError::NoAdmissionKey { .. }
            | AuthorityError::KeyStays { .. },
        ) => ExitCode::Failed,
        E::Authority(
            AuthorityError::ExportPlace { .. }
            | AuthorityError::NextKey { .. }
            | AuthorityError::NoAdmissionPlace
            | AuthorityError::AdmissionElsewhere { .. }
            | AuthorityError::SameKey { .. },
        ) => ExitCode::Usage,
        E::Provision(error) => provision(error),
        E::Firmware(error) => firmware(error),
        E::Fleet(FleetError::Aborted { .. } | FleetError::Thread { .. }) => ExitCode::Failed,
        E::Roots(error) => roots(error),
    }
}

fn file(error: &durable_files::Error) -> ExitCode {
    use durable_files::Error as E;
    match error {
        E::Io { .. } | E::NotAFile { .. } | E::TooLong { .. } | E::Endless { .. } => ExitCode::Failed,
        E::NotAFolder { .. } => ExitCode::Usage,
        E::Exposed { .. } | E::Unprotected { .. } | E::Symlink { .. } | E::Busy { .. } => ExitCode::Refused,
    }
}

fn state(error: &state::Error) -> ExitCode {
    use state::Error as E;
    match error {
        E::File(error) => file(error),
        E::Pki(error) => pki(error),
        E::NoHome | E::NoAuthority { .. } => ExitCode::Usage,
        E::Own { .. }
        | E::ExposedKeys { .. }
        | E::FolderTaken { .. }
        | E::SignerRevoked { .. }
        | E::Rotating { .. } => ExitCode::Refused,
        E::Missing { .. }
        | E::Incomplete { .. }
        | E::KeyUri { .. }
        | E::RootOffline { .. }
        | E::Admission { .. }
        | E::Revocations { .. } => ExitCode::Failed,
    }
}

fn pki(error: &device_pki::Error) -> ExitCode {
    use device_pki::Error as E;
    match error {
        E::File(error) => file(error),
        E::Key(error) => key(error),
        E::Name { .. } | E::SerialNumber { .. } => ExitCode::Usage,
        E::Request | E::NotP256 => ExitCode::Board,
        E::Malformed { .. }
        | E::NoKey { .. }
        | E::KeyMismatch { .. }
        | E::NotSelfSigned { .. }
        | E::Swapped { .. }
        | E::ForeignSigner { .. }
        | E::IssuerKey { .. }
        | E::IssuerName { .. }
        | E::IssuerKeyIdentifier { .. }
        | E::NoCertSign { .. }
        | E::NotCa { .. }
        | E::NoKeyIdentifier { .. }
        | E::SignerKey { .. }
        | E::RootKey { .. }
        | E::Algorithm { .. }
        | E::NoCrlSign { .. }
        | E::CriticalExtension { .. }
        | E::PathLength { .. }
        | E::NameConstraints { .. }
        | E::Encoding(_)
        | E::AdmissionList(_)
        | E::NotValidNow { .. }
        | E::Clock { .. }
        | E::Random
        | E::Sign(_)
        // The audit log is what observes signatures.
        | E::Withheld(_) => ExitCode::Failed,
    }
}

fn key(error: &key::Error) -> ExitCode {
    use key::Error as E;
    match error {
        E::NoPassphrase { .. } | E::ShortPassphrase | E::PassphrasesDiffer => ExitCode::Usage,
        E::NoKmsKey { .. } | E::KmsState { .. } => ExitCode::Aws,
        // The way to KMS is the account, and passphrases come from the command line.
        E::Aws(cause) => cause.downcast_ref().map_or(ExitCode::Aws, account),
        E::Passphrases(cause) => cause.downcast_ref().map_or(ExitCode::Failed, exit_code),
        E::Malformed { .. }
        | E::Several { .. }
        | E::Cipher { .. }
        | E::Costly { .. }
        | E::WrongPassphrase { .. }
        | E::Unsupported { .. }
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

fn kit(error: &iot_kit::Error) -> ExitCode {
    use disk::Error as Disk;
    use iot_kit::Error as E;
    use wifi::Error as Wifi;
    match error {
        E::Disk(Disk::OtherKit { .. }) => ExitCode::Refused,
        E::Disk(Disk::File(
            durable_files::Error::Io { .. }
            | durable_files::Error::NotAFile { .. }
            | durable_files::Error::TooLong { .. },
        )) => ExitCode::Usage,
        E::Disk(Disk::File(error)) => file(error),
        E::PortsFile { .. }
        | E::Disk(Disk::NotADisk { .. } | Disk::Image { .. })
        | E::Wifi(Wifi::SsidLength(_) | Wifi::OpenWithSecret | Wifi::WpaPassphrase)
        | E::Wifi(Wifi::WepKey | Wifi::Secret | Wifi::Console { .. }) => ExitCode::Usage,
        E::Disk(Disk::NoDisk { .. } | Disk::UnknownTarget | Disk::Target { .. } | Disk::Write { .. })
        | E::Disk(Disk::Failed { .. } | Disk::NoOutcome { .. })
        | E::Wifi(Wifi::NoAnswer { .. } | Wifi::Lost { .. })
        | E::NoBoard
        | E::SeveralBoards { .. }
        | E::NoSuchBoard { .. }
        | E::NoWifiModule { .. }
        | E::List { .. }
        | E::NoPort { .. }
        | E::PortInUse { .. }
        | E::PortDenied { .. }
        | E::Open { .. }
        | E::Silent { .. }
        | E::Slow { .. }
        | E::Hangs { .. }
        | E::Astray { .. }
        | E::BootSector { .. }
        | E::Foreign { .. }
        | E::Lost { .. }
        | E::Refused { .. }
        | E::Link { .. } => ExitCode::Board,
    }
}

fn roots(error: &roots::Error) -> ExitCode {
    use roots::Error as E;
    match error {
        E::Store { .. } | E::Key { .. } | E::NotCa { .. } | E::NoCopy { .. } => ExitCode::Usage,
        E::NoAmazonRoot { .. } => ExitCode::Refused,
        E::ReadBack { .. } | E::Unsteady { .. } => ExitCode::Board,
    }
}

fn account(error: &iot_account::Error) -> ExitCode {
    use iot_account::Error as E;
    match error {
        E::Sandbox { .. } => ExitCode::Refused,
        E::NoRegion
        | E::MalformedRegion { .. }
        | E::Setting { .. }
        | E::Endpoints { .. }
        | E::ProfileNotFound { .. }
        | E::NoTokenCode { .. }
        | E::Setup(
            setup::Error::Package(_)
            | setup::Error::Glibc { .. }
            | setup::Error::Version { .. }
            | setup::Error::Elsewhere { .. }
            | setup::Error::NoRule { .. }
            | setup::Error::OtherEvents { .. },
        )
        | E::Register(register::Error::Policy { .. })
        | E::Replay(replay::Error::NotAQueue { .. })
        | E::Revoke(revoke::Error::Unknown { .. } | revoke::Error::Ambiguous { .. }) => ExitCode::Usage,
        E::Register(
            register::Error::Incomplete { .. }
            | register::Error::Refused { .. }
            | register::Error::Entry { .. },
        )
        | E::Replay(replay::Error::Incomplete { .. } | replay::Error::Stays { .. })
        | E::Revoke(revoke::Error::Incomplete { .. } | revoke::Error::ThingStays { .. })
        | E::Teardown(teardown::Error::File(_)) => ExitCode::Failed,
        E::Register(register::Error::Busy { .. } | register::Error::Revoked { .. })
        | E::Replay(replay::Error::Revoked { .. }) => ExitCode::Refused,
        E::Register(register::Error::File(error)) => file(error),
        E::Register(register::Error::Stopped { source, .. }) => account(source),
        E::Live(live::Error::Topic { .. }) => ExitCode::Usage,
        E::Live(
            live::Error::Forbidden { .. } | live::Error::Subscribe { .. } | live::Error::Publish { .. },
        )
        | E::Setup(_)
        | E::Doctor(_)
        | E::Register(register::Error::Unmet(_))
        | E::Replay(replay::Error::Settings(_) | replay::Error::NoQueue { .. })
        | E::Admission(_)
        | E::Revoke(revoke::Error::InTransfer { .. })
        | E::ProfileFile { .. }
        | E::CaBundle { .. }
        | E::NoCredentials { .. }
        | E::Credentials { .. }
        | E::ProfileCredentials { .. }
        | E::ConsoleSession { .. }
        | E::Redirected { .. }
        | E::WebPage { .. }
        | E::Expired { .. }
        | E::BadCredentials { .. }
        | E::WrongRegion { .. }
        | E::ClockSkew { .. }
        | E::Denied { .. }
        | E::Unreachable { .. }
        | E::Throttled { .. }
        | E::Call { .. }
        | E::Nonsense { .. }
        | E::Endless { .. }
        | E::Incomplete { .. } => ExitCode::Aws,
    }
}

fn firmware(error: &firmware::Error) -> ExitCode {
    use firmware::Error as E;
    match error {
        E::NotPinned { .. } => ExitCode::Refused,
        E::NotAWheel { .. } | E::Lacks { .. } | E::Unknown { .. } => ExitCode::Usage,
        E::NoApplication { .. } | E::LongEndpoint { .. } => ExitCode::Usage,
        E::Missing { .. } | E::NoPython | E::Pip { .. } | E::NoWheel | E::NoImage { .. } => ExitCode::Failed,
    }
}

fn provision(error: &provision::Error) -> ExitCode {
    use provision::Error as E;
    match error {
        E::Endpoint { .. } | E::NoChain => ExitCode::Usage,
        E::Store(_) | E::Inconsistent | E::NoSigner { .. } | E::NotValidNow { .. } => ExitCode::Failed,
        E::ReadBack { .. } | E::Factory(_) | E::Possession { .. } => ExitCode::Board,
        E::ForeignKey { .. }
        | E::NotGenuine { .. }
        | E::KeyRevoked { .. }
        | E::CertificateRevoked { .. }
        | E::RevokedInAccount { .. } => ExitCode::Refused,
    }
}
