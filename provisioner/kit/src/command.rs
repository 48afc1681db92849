//! The commands of the provisioning firmware ("version 2" protocol), each with its line, its blob and its timeout.

use std::fmt;
use std::time::Duration;

/// The largest read or write of the Wi-Fi module's flash, in bytes.
pub const FLASH_PAGE: usize = 256;

/// The command handler's error code for a command that it does not have.
pub const UNKNOWN_COMMAND: u16 = 0x0001;

/// A request to the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Echoes a six-digit token.
    Ping(u32),
    /// Lines about the firmware and the kit: six of a Wi-Fi kit, four of others.
    About,
    /// The version of a part of the firmware.
    Version(Component),
    /// Switches an LED.
    SetLed(Led, bool),
    /// The 9-byte serial number of the secure element.
    SecureElementSerial,
    /// X‖Y of the device key in slot 0.
    PublicKey,
    /// R‖S over a SHA-256 digest, with the device key in slot 0.
    SignDigest(&'a [u8; 32]),
    /// Reads so many bytes of a slot of the secure element.
    ReadSlot(u8, usize),
    /// Reads the one-time programmable area of the secure element.
    ReadOtp,
    /// Locks a slot of the secure element. Irreversible.
    LockSlot(u8),
    /// Erases the 4 KiB sector at this address.
    EraseSector(u32),
    /// Reads at most [`FLASH_PAGE`] bytes at this address.
    ReadFlash(u32, usize),
    /// Writes at most [`FLASH_PAGE`] bytes at this address; only clears bits.
    WriteFlash(u32, &'a [u8]),
}

/// A part of the firmware that has a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// The provisioning firmware.
    Firmware,
    /// Its command handler.
    CommandHandler,
    /// The Wi-Fi module's firmware and driver.
    WifiModule,
}

/// A status LED of the Wi-Fi kits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Led {
    /// Green: connection; here, provisioned.
    Connection,
    /// Yellow: data; here, at work.
    Data,
    /// Red: error; here, failed.
    Error,
}

impl Command<'_> {
    /// The request line, its end included.
    pub fn line(&self) -> String {
        let request = match self {
            Self::Ping(token) => format!("PING={token:06}"),
            Self::About => "ABOUT".to_owned(),
            Self::Version(component) => format!("VERSION={component}"),
            Self::SetLed(led, on) => format!("SETLED={led},{}", if *on { "ON" } else { "OFF" }),
            Self::SecureElementSerial => "ECC+SERIAL".to_owned(),
            Self::PublicKey => "ECC+GENPUBKEY".to_owned(),
            Self::SignDigest(_) => "ECC+SIGNDIGEST=64,64".to_owned(),
            Self::ReadSlot(slot, count) => format!("ECC+READ={slot},{count}"),
            Self::ReadOtp => "ECC+OTP+READ".to_owned(),
            Self::LockSlot(slot) => format!("ECC+LOCK={slot}"),
            Self::EraseSector(address) => format!("WINC+ERASE={address}"),
            Self::ReadFlash(address, count) => format!("WINC+READ={address},{count}"),
            Self::WriteFlash(address, data) => {
                format!("WINC+WRITEBLOB={address},{},{}", data.len(), data.len() * 2)
            }
        };
        format!("MC+{request}\r\n")
    }

    /// What follows the board's `>`, in hex with its line end; `None` for commands without a blob.
    pub fn blob(&self) -> Option<String> {
        let bytes: &[u8] = match self {
            Self::SignDigest(digest) => *digest,
            Self::WriteFlash(_, data) => data,
            _ => return None,
        };
        Some(format!("{}\r\n", hex::encode_upper(bytes)))
    }

    /// How long the whole reply may take. Several times what has been observed: sector erase 60–100 ms, page write
    /// 3 ms, sign and public key 115 ms, and 45 ms on the wire for a page. Commands for the Wi-Fi module may first change
    /// its mode, which takes 0.33 s on an AVR-IoT kit, and 0.78 s and the module's own start on a SAM-IoT kit.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(match self {
            Self::Ping(_) => 250,
            Self::About
            | Self::Version(Component::WifiModule)
            | Self::EraseSector(_)
            | Self::ReadFlash(..)
            | Self::WriteFlash(..) => 3000,
            Self::PublicKey | Self::SignDigest(_) => 1500,
            Self::Version(_)
            | Self::SetLed(..)
            | Self::SecureElementSerial
            | Self::ReadSlot(..)
            | Self::ReadOtp
            | Self::LockSlot(_) => 1000,
        })
    }
}

/// What the command does, for messages: fits after "cannot".
impl fmt::Display for Command<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ping(_) => f.write_str("ping the board"),
            Self::About => f.write_str("read what the firmware is"),
            Self::Version(_) => f.write_str("read a firmware version"),
            Self::SetLed(led, _) => write!(f, "switch the LED {led}"),
            Self::SecureElementSerial => f.write_str("read the secure element's serial number"),
            Self::PublicKey => f.write_str("read the device's public key"),
            Self::SignDigest(_) => f.write_str("sign with the device's key"),
            Self::ReadSlot(slot, _) => write!(f, "read slot {slot} of the secure element"),
            Self::ReadOtp => f.write_str("read the secure element's OTP area"),
            Self::LockSlot(slot) => write!(f, "lock slot {slot} of the secure element"),
            Self::EraseSector(address) => write!(f, "erase the Wi-Fi module's flash at {address:#06x}"),
            Self::ReadFlash(address, _) => write!(f, "read the Wi-Fi module's flash at {address:#06x}"),
            Self::WriteFlash(address, _) => write!(f, "write the Wi-Fi module's flash at {address:#06x}"),
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Firmware => "FIRMWARE",
            Self::CommandHandler => "COMMANDHANDLER",
            Self::WifiModule => "WINC",
        })
    }
}

impl fmt::Display for Led {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connection => "CONN",
            Self::Data => "DATA",
            Self::Error => "ERROR",
        })
    }
}

/// An error code of the board as a sentence: the high byte is the source, the low byte the reason.
pub fn reason(code: u16) -> String {
    let [source, reason] = code.to_be_bytes();
    match (source, reason) {
        (0, 1) => "it does not know the command; is the provisioning firmware in it?".to_owned(),
        (0, 2) => "its command buffer overran".to_owned(),
        (0, 3) => "the number of arguments was wrong".to_owned(),
        (0, 4) => "the data after the command was garbled".to_owned(),
        (0, 5) => "an argument was out of range".to_owned(),
        (0, _) => format!("its command handler gave the reason {reason}"),
        (1, 0xE2) => "its secure element has no such slot, or none that large".to_owned(),
        (1, 0xF0) => "its secure element does not answer".to_owned(),
        (1, 0xF4) => "its secure element does not permit it: the slot holds a key, or is locked".to_owned(),
        (1, _) => format!("its secure element or crypto library gave the reason {reason:#04x}"),
        (2, 0xF4) => "its Wi-Fi module does not answer".to_owned(),
        (2, _) => format!("its Wi-Fi module gave the reason {reason:#04x}"),
        _ => format!("unknown source {source}, reason {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_what_the_firmware_expects() {
        let lines = [
            Command::Ping(1),
            Command::Version(Component::WifiModule),
            Command::SetLed(Led::Connection, true),
            Command::SecureElementSerial,
            Command::PublicKey,
            Command::SignDigest(&[0xAB; 32]),
            Command::ReadSlot(10, 72),
            Command::LockSlot(12),
            Command::EraseSector(0x5000),
            Command::ReadFlash(0x5000, 256),
            Command::WriteFlash(0x5100, &[1; 200]),
        ]
        .map(|c| c.line());
        assert_eq!(
            lines,
            [
                "MC+PING=000001\r\n",
                "MC+VERSION=WINC\r\n",
                "MC+SETLED=CONN,ON\r\n",
                "MC+ECC+SERIAL\r\n",
                "MC+ECC+GENPUBKEY\r\n",
                "MC+ECC+SIGNDIGEST=64,64\r\n",
                "MC+ECC+READ=10,72\r\n",
                "MC+ECC+LOCK=12\r\n",
                "MC+WINC+ERASE=20480\r\n",
                "MC+WINC+READ=20480,256\r\n",
                "MC+WINC+WRITEBLOB=20736,200,400\r\n",
            ]
        );
        assert_eq!(Command::SignDigest(&[0xAB; 32]).blob(), Some("AB".repeat(32) + "\r\n"));
        assert_eq!(Command::PublicKey.blob(), None);
    }

    #[test]
    fn every_error_code_has_a_sentence() {
        assert_eq!(reason(0x0004), "the data after the command was garbled");
        assert_eq!(reason(0x01FF), "its secure element or crypto library gave the reason 0xff");
        assert!((0..=u16::MAX).all(|code| !reason(code).is_empty()));
    }
}
