//! The command table of the provisioning firmware, and how a line is read as a command.

use std::ops::RangeInclusive;

use super::flash;
use super::secure_element::Refusal;

/// A command of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Ping,
    About,
    ListCommands,
    Version,
    SetLed,
    GetLed,
    Reset,
    EccSerial,
    EccGenPubKey,
    EccSignDigest,
    EccRead,
    EccWriteBlob,
    EccLock,
    EccOtpRead,
    EccPubKeyRead,
    EccPubKeyWrite,
    WincErase,
    WincRead,
    WincWriteBlob,
    BlobTest,
}

/// Name, meaning and number of arguments. `MC+BRIDGEMODE` is missing: only cellular kits have it.
pub(super) const TABLE: [(&str, Command, RangeInclusive<usize>); 20] = [
    ("MC+PING", Command::Ping, 1..=1),
    ("MC+ABOUT", Command::About, 0..=0),
    ("MC+LISTCOMMANDS", Command::ListCommands, 0..=0),
    ("MC+VERSION", Command::Version, 1..=1),
    ("MC+SETLED", Command::SetLed, 2..=2),
    ("MC+GETLED", Command::GetLed, 1..=1),
    ("MC+RESET", Command::Reset, 0..=0),
    ("MC+ECC+SERIAL", Command::EccSerial, 0..=0),
    ("MC+ECC+GENPUBKEY", Command::EccGenPubKey, 0..=0),
    ("MC+ECC+SIGNDIGEST", Command::EccSignDigest, 2..=2),
    ("MC+ECC+READ", Command::EccRead, 1..=2),
    ("MC+ECC+WRITEBLOB", Command::EccWriteBlob, 3..=3),
    ("MC+ECC+LOCK", Command::EccLock, 1..=1),
    ("MC+ECC+OTP+READ", Command::EccOtpRead, 0..=2),
    ("MC+ECC+PUBKEY+READ", Command::EccPubKeyRead, 1..=1),
    ("MC+ECC+PUBKEY+WRITE", Command::EccPubKeyWrite, 2..=2),
    ("MC+WINC+ERASE", Command::WincErase, 1..=1),
    ("MC+WINC+READ", Command::WincRead, 2..=2),
    ("MC+WINC+WRITEBLOB", Command::WincWriteBlob, 3..=3),
    ("MC+BLOBTEST", Command::BlobTest, 1..=1),
];

/// Why the board answers `ERROR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// No command of that name.
    UnknownCommand,
    /// The line is longer than the buffer for it.
    BufferOverrun,
    /// Too many arguments or too few.
    ArgumentCount,
    /// The blob is not hex, or not as long as announced.
    BadBlob,
    /// An argument that is not a number, or out of range.
    BadArgument,
    /// The secure element declined.
    SecureElement(Refusal),
    /// The Wi-Fi module's driver declined.
    Flash,
}

impl Failure {
    /// The error code: source in the high byte, reason in the low byte.
    pub(super) fn code(self) -> u16 {
        match self {
            Self::UnknownCommand => 0x0001,
            Self::BufferOverrun => 0x0002,
            Self::ArgumentCount => 0x0003,
            Self::BadBlob => 0x0004,
            Self::BadArgument => 0x0005,
            Self::SecureElement(refusal) => 0x0100 | refusal as u16,
            // The driver's one way to say no is -1.
            Self::Flash => 0x02FF,
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Parameter => Self::BadArgument,
            Refusal::Execution => Self::SecureElement(refusal),
        }
    }
}

impl From<flash::Error> for Failure {
    fn from(error: flash::Error) -> Self {
        match error {
            flash::Error::Unaligned(_) | flash::Error::Length(_) => Self::BadArgument,
            flash::Error::End(_) => Self::Flash,
        }
    }
}

/// What a line asks for.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) command: Command,
    arguments: Vec<&'a str>,
}

impl<'a> Request<'a> {
    /// Reads `CMD` or `CMD=arg[,arg…]`.
    pub(super) fn parse(line: &'a [u8]) -> Result<Self, Failure> {
        let line = std::str::from_utf8(line).map_err(|_| Failure::UnknownCommand)?;
        let (name, arguments) = line.split_once('=').map_or((line, None), |(name, rest)| (name, Some(rest)));
        let (_, command, counts) =
            TABLE.iter().find(|(known, ..)| *known == name).ok_or(Failure::UnknownCommand)?;
        let arguments: Vec<&str> = arguments.map_or_else(Vec::new, |rest| rest.split(',').collect());
        if !counts.contains(&arguments.len()) {
            return Err(Failure::ArgumentCount);
        }
        Ok(Self { command: *command, arguments })
    }

    /// The argument at `index`; empty if there is none.
    pub(super) fn text(&self, index: usize) -> &'a str {
        self.arguments.get(index).copied().unwrap_or_default()
    }

    /// The decimal argument at `index`.
    pub(super) fn number(&self, index: usize) -> Result<usize, Failure> {
        let text = self.text(index);
        if !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Failure::BadArgument);
        }
        text.parse().map_err(|_| Failure::BadArgument)
    }

    /// The decimal argument at `index`, if it is given.
    pub(super) fn optional_number(&self, index: usize) -> Result<Option<usize>, Failure> {
        (index < self.arguments.len()).then(|| self.number(index)).transpose()
    }

    /// How many arguments there are.
    pub(super) fn count(&self) -> usize {
        self.arguments.len()
    }
}
