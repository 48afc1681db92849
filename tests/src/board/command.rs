//! The command table of the provisioning firmware, and how a line is read as a command.

use super::kit::Kit;
use super::secure_element::Refusal;

/// A command of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    About,
    BlobTest,
    Ping,
    BridgeMode,
    EccAddressRead,
    EccAddressWrite,
    EccGenPubKey,
    EccLock,
    EccOtpRead,
    EccRead,
    EccPubKeyRead,
    EccSerial,
    EccSignDigest,
    EccWriteBlob,
    EccPubKeyWrite,
    GetLed,
    ListCommands,
    Reset,
    SetLed,
    Version,
    WincErase,
    WincRead,
    WincWriteBlob,
}

/// Name and meaning, in the order of `MC+LISTCOMMANDS`.
const TABLE: [(&str, Command); 23] = [
    ("MC+ABOUT", Command::About),
    ("MC+BLOBTEST", Command::BlobTest),
    ("MC+PING", Command::Ping),
    ("MC+BRIDGEMODE", Command::BridgeMode),
    ("MC+ECC+ADDR+READ", Command::EccAddressRead),
    ("MC+ECC+ADDR+WRITE", Command::EccAddressWrite),
    ("MC+ECC+GENPUBKEY", Command::EccGenPubKey),
    ("MC+ECC+LOCK", Command::EccLock),
    ("MC+ECC+OTP+READ", Command::EccOtpRead),
    ("MC+ECC+READ", Command::EccRead),
    ("MC+ECC+PUBKEY+READ", Command::EccPubKeyRead),
    ("MC+ECC+SERIAL", Command::EccSerial),
    ("MC+ECC+SIGNDIGEST", Command::EccSignDigest),
    ("MC+ECC+WRITEBLOB", Command::EccWriteBlob),
    ("MC+ECC+PUBKEY+WRITE", Command::EccPubKeyWrite),
    ("MC+GETLED", Command::GetLed),
    ("MC+LISTCOMMANDS", Command::ListCommands),
    ("MC+RESET", Command::Reset),
    ("MC+SETLED", Command::SetLed),
    ("MC+VERSION", Command::Version),
    ("MC+WINC+ERASE", Command::WincErase),
    ("MC+WINC+READ", Command::WincRead),
    ("MC+WINC+WRITEBLOB", Command::WincWriteBlob),
];

/// The names and commands that a kit's firmware has.
pub(super) fn table(kit: Kit) -> impl Iterator<Item = (&'static str, Command)> {
    TABLE.into_iter().filter(move |(_, command)| match command {
        Command::WincErase | Command::WincRead | Command::WincWriteBlob => kit.has_wifi_module(),
        Command::EccAddressRead | Command::EccAddressWrite => kit.element_address().is_some(),
        Command::BridgeMode => kit.has_modem(),
        _ => true,
    })
}

/// The most arguments that a line may have.
const ARGUMENTS_MAX: usize = 15;
/// The longest blob, in characters.
const BLOB_MAX: usize = 1024;

/// Why the board answers `ERROR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// No command of that name, or a line that is none.
    UnknownCommand,
    /// The line is longer than the buffer for it.
    BufferOverrun,
    /// Too many arguments or too few.
    ArgumentCount,
    /// The blob's length is no number up to [`BLOB_MAX`], or the blob is longer than announced.
    BadBlob,
    /// An argument that is not a number, or out of range.
    BadArgument,
    /// The secure element declined.
    SecureElement(Refusal),
    /// The Wi-Fi module does not answer.
    WifiModule,
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
            Self::WifiModule => 0x02F4,
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::SecureElement(refusal)
    }
}

/// What a line asks for.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) command: Command,
    arguments: Vec<String>,
}

impl Request {
    /// Reads `CMD` or `CMD=arg[,arg…]`.
    pub(super) fn parse(line: &[u8], kit: Kit) -> Result<Self, Failure> {
        let line = String::from_utf8_lossy(line);
        let (name, arguments) = line.split_once('=').unwrap_or((&line, ""));
        let (_, command) = table(kit).find(|(known, _)| *known == name).ok_or(Failure::UnknownCommand)?;
        let arguments: Vec<String> = match arguments {
            "" => Vec::new(),
            arguments => arguments.split(',').map(str::to_owned).collect(),
        };
        if arguments.len() > ARGUMENTS_MAX || arguments.len() > 1 && arguments[0].is_empty() {
            return Err(Failure::UnknownCommand);
        }
        Ok(Self { command, arguments })
    }

    /// How many characters of blob the last argument announces, for a command that takes one.
    pub(super) fn blob(&self) -> Option<Result<usize, Failure>> {
        matches!(
            self.command,
            Command::BlobTest
                | Command::EccSignDigest
                | Command::EccWriteBlob
                | Command::EccPubKeyWrite
                | Command::WincWriteBlob
        )
        .then(|| {
            let last = self.arguments.last().ok_or(Failure::UnknownCommand)?;
            let length = match last.as_str() {
                "" => Some(0),
                last => parse_number(last).filter(|(_, rest)| rest.is_empty()).map(|(number, _)| number),
            };
            length
                .and_then(|length| usize::try_from(length).ok())
                .filter(|length| *length <= BLOB_MAX)
                .ok_or(Failure::BadBlob)
        })
    }

    /// Checks how many arguments there are.
    pub(super) fn expect(&self, count: std::ops::RangeInclusive<usize>) -> Result<(), Failure> {
        if count.contains(&self.arguments.len()) { Ok(()) } else { Err(Failure::ArgumentCount) }
    }

    /// How many arguments there are.
    pub(super) fn count(&self) -> usize {
        self.arguments.len()
    }

    /// The argument at `index`; empty if there is none.
    pub(super) fn text(&self, index: usize) -> &str {
        self.arguments.get(index).map_or("", String::as_str)
    }

    /// The number at `index`, as C's `strtol` with base 0 reads it: what follows it does not matter.
    pub(super) fn number(&self, index: usize) -> Result<i32, Failure> {
        parse_number(self.text(index)).map(|(number, _)| number).ok_or(Failure::BadArgument)
    }

    /// The count of bytes at `index`: at least one.
    pub(super) fn size(&self, index: usize) -> Result<usize, Failure> {
        usize::try_from(self.number(index)?).ok().filter(|size| *size > 0).ok_or(Failure::BadArgument)
    }
}

/// A number and what follows it. It is cut to 32 bits.
fn parse_number(text: &str) -> Option<(i32, &str)> {
    let trimmed = text.trim_start();
    let (negative, digits) = match trimmed.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, trimmed.strip_prefix('+').unwrap_or(trimmed)),
    };
    let (base, digits) = match digits.strip_prefix("0X") {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_hexdigit()) => (16, rest),
        _ if digits.starts_with('0') => (8, digits),
        _ => (10, digits),
    };
    let end = digits.find(|c: char| !c.is_digit(base)).unwrap_or(digits.len());
    if end == 0 {
        return None;
    }
    let limit = i64::from(i32::MAX);
    let value = i64::from_str_radix(&digits[..end], base).unwrap_or(limit).min(limit);
    let value = if negative { -value } else { value };
    Some((value as i32, &digits[end..]))
}
