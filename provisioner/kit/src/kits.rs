//! The kits: everything that differs between them, in one table.

use std::fmt;
use std::ops::Range;

use serde::{Serialize, Serializer};

/// USB vendor id of the kits' on-board debugger (nEDBG).
pub const USB_VENDOR_ID: u16 = 0x03EB;
/// USB product id of the kits' on-board debugger (nEDBG), the same for every kit.
pub const USB_PRODUCT_ID: u16 = 0x2175;
/// Label of the disk that the debugger serves.
pub const DISK_LABEL: &str = "CURIOSITY";
/// What the serial numbers of the debuggers begin with.
pub const SERIAL_PREFIXES: [&str; 2] = ["MCHP", "ATML"];

/// A kit of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model(&'static Entry);

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    /// The name, as on the box.
    name: &'static str,
    /// What its debugger and its `MC+ABOUT` call it, where that is another name.
    other_names: &'static [&'static str],
    /// What the banner of its firmware begins with after "Welcome to the".
    firmware: &'static str,
    /// The microcontroller.
    target: Target,
    /// How it connects to the network.
    radio: Radio,
    /// LEDs that `MC+SETLED` knows.
    leds: &'static [&'static str],
}

/// How a kit connects to the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Radio {
    /// By a WINC1510, whose flash holds the certificates.
    Wifi,
    /// By a modem that keeps the certificates itself.
    Cellular,
}

/// A microcontroller of the kits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// AVR, 48 KiB of flash.
    Atmega4808,
    /// PIC24, 45056 instruction words, each 4 bytes of an Intel HEX file.
    Pic24fj128ga705,
    /// Cortex-M0+, 256 KiB of flash.
    Atsamd21g18a,
    /// AVR of the cellular kit, 128 KiB of flash.
    Avr128db48,
}

/// What the kits of a family have in common.
const AVR: Entry = Entry {
    name: "AVR-IoT",
    other_names: &[],
    firmware: "avr-iot",
    target: Target::Atmega4808,
    radio: Radio::Wifi,
    leds: &["CONN", "DATA", "ERROR", "WIFI"],
};
const PIC: Entry = Entry { name: "PIC-IoT", firmware: "PIC-IoT", target: Target::Pic24fj128ga705, ..AVR };
const SAM: Entry =
    Entry { name: "SAM-IoT", firmware: "SAM-IoT provisioning", target: Target::Atsamd21g18a, ..AVR };

/// Longer names before the ones that they begin with, because texts are searched for them in this order.
const TABLE: [Entry; 7] = [
    Entry {
        name: "AVR-IoT Cellular Mini",
        other_names: &[],
        firmware: "AVR-IoT Cellular Mini provisioning",
        target: Target::Avr128db48,
        radio: Radio::Cellular,
        leds: &["CELL", "CONN", "DATA", "ERROR", "USER"],
    },
    Entry { name: "AVR-IoT WG", ..AVR },
    Entry { name: "AVR-IoT WA", ..AVR },
    Entry { name: "PIC-IoT WG", ..PIC },
    Entry { name: "PIC-IoT WA", ..PIC },
    Entry { name: "SAM-IoT Wx", other_names: &["SAMD21-IoT Wx"], ..SAM },
    Entry { name: "SAM-IoT WG", other_names: &["SAMD21-IoT WG", "SAM-IoT"], ..SAM },
];

impl Model {
    /// Every kit that is known.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(Self)
    }

    /// The kit that a text names: a USB product name, a line of `MC+ABOUT`, a file of the kit's disk. Case, and what
    /// stands between the words, does not matter.
    pub fn named_in(text: &str) -> Option<Self> {
        let text = plain(text);
        Self::all().find(|model| {
            let names = [model.name()].into_iter().chain(model.0.other_names.iter().copied());
            names.map(plain).any(|name| text.contains(&name))
        })
    }

    /// The name.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// What the banner of the provisioning firmware calls the family.
    pub fn firmware(self) -> &'static str {
        self.0.firmware
    }

    /// The microcontroller.
    pub fn target(self) -> Target {
        self.0.target
    }

    /// How it connects to the network.
    pub fn radio(self) -> Radio {
        self.0.radio
    }

    /// LEDs that the firmware can switch.
    pub fn leds(self) -> &'static [&'static str] {
        self.0.leds
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Model {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Target {
    /// Every microcontroller that is known.
    pub const ALL: [Self; 4] =
        [Self::Atmega4808, Self::Pic24fj128ga705, Self::Atsamd21g18a, Self::Avr128db48];

    /// The microcontroller that a text names.
    pub fn named_in(text: &str) -> Option<Self> {
        let text = plain(text);
        Self::ALL.into_iter().find(|target| text.contains(&plain(target.name())))
    }

    /// The name, as its maker writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Atmega4808 => "ATmega4808",
            Self::Pic24fj128ga705 => "PIC24FJ128GA705",
            Self::Atsamd21g18a => "ATSAMD21G18A",
            Self::Avr128db48 => "AVR128DB48",
        }
    }

    /// Addresses of the flash as an Intel HEX file has them. For the PIC24 these are twice the program address.
    pub fn flash(self) -> Range<u32> {
        0..match self {
            Self::Atmega4808 => 0xC000,
            Self::Pic24fj128ga705 => 0x2_C000,
            Self::Atsamd21g18a => 0x4_0000,
            Self::Avr128db48 => 0x2_0000,
        }
    }

    /// Addresses beside the flash that an image may have content for: EEPROM, fuses and user row of the AVR, as the
    /// AVR tools place them; the user row of the SAM.
    pub fn beside_flash(self) -> &'static [Range<u32>] {
        const AVR: &[Range<u32>] =
            &[0x81_0000..0x81_0200, 0x82_0000..0x82_0010, 0x83_0000..0x83_0004, 0x85_0000..0x85_0040];
        const SAM: Range<u32> = 0x80_4000..0x80_4100;
        match self {
            Self::Atmega4808 | Self::Avr128db48 => AVR,
            Self::Pic24fj128ga705 => &[],
            Self::Atsamd21g18a => std::slice::from_ref(&SAM),
        }
    }

    /// Whether `code`, the bytes from address 0 on, is how a program for this microcontroller begins.
    pub fn suits(self, code: [u8; 8]) -> bool {
        let word = |at: usize| u32::from_le_bytes([code[at], code[at + 1], code[at + 2], code[at + 3]]);
        match self {
            // The reset vector jumps: JMP or RJMP (AVR Instruction Set Manual).
            Self::Atmega4808 | Self::Avr128db48 => {
                let instruction = word(0) as u16;
                instruction & 0xFE0E == 0x940C || instruction & 0xF000 == 0xC000
            }
            // GOTO in two instruction words, whose fourth, phantom byte is 0 (dsPIC33/PIC24 Program Memory).
            Self::Pic24fj128ga705 => word(0) >> 16 == 0x0004 && word(4) >> 8 == 0,
            // Stack pointer in the 32 KiB of RAM, then a Thumb address in the flash (ARMv6-M, vector table).
            Self::Atsamd21g18a => {
                (0x2000_0000..=0x2000_8000).contains(&word(0))
                    && word(4) % 2 == 1
                    && self.flash().contains(&word(4))
            }
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Letters and digits alone, lower case.
fn plain(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kits_are_found_in_whatever_names_them() {
        let name = |text: &str| Model::named_in(text).map(Model::name);
        assert_eq!(name("for the AVR-IoT WG"), Some("AVR-IoT WG"));
        assert_eq!(name("AVR-IoT WA nEDBG CMSIS-DAP"), Some("AVR-IoT WA"));
        assert_eq!(name("Kit name: PIC_IOT_WG"), Some("PIC-IoT WG"));
        for text in ["sam-iot wg", "SAMD21-IoT WG", "for the SAM-IoT"] {
            assert_eq!(name(text), Some("SAM-IoT WG"), "{text}");
        }
        assert_eq!(name("for the SAM-IoT Wx"), Some("SAM-IoT Wx"));
        assert_eq!(name("AVR-IoT Cellular Mini"), Some("AVR-IoT Cellular Mini"));
        assert_eq!(name("nEDBG CMSIS-DAP"), None);
    }

    #[test]
    fn every_kit_finds_itself_and_its_target() {
        for model in Model::all() {
            assert_eq!(Model::named_in(&model.to_string()), Some(model));
            assert_eq!(Target::named_in(model.target().name()), Some(model.target()));
            assert!(!model.leds().is_empty() && !model.firmware().is_empty());
        }
        assert_eq!(Target::named_in("Device: atmega4808-mfr"), Some(Target::Atmega4808));
    }

    #[test]
    fn programs_are_told_apart_by_how_they_begin() {
        let avr = [0x0C, 0x94, 0x5C, 0x00, 0x0C, 0x94, 0x77, 0x00];
        let pic = [0x00, 0x02, 0x04, 0x00, 0x00, 0x00, 0x00, 0x00];
        let sam = [0x00, 0x80, 0x00, 0x20, 0xB5, 0x12, 0x00, 0x00];
        for (code, fits) in
            [(avr, Target::Atmega4808), (pic, Target::Pic24fj128ga705), (sam, Target::Atsamd21g18a)]
        {
            for target in [Target::Atmega4808, Target::Pic24fj128ga705, Target::Atsamd21g18a] {
                assert_eq!(target.suits(code), target == fits, "{target} {code:x?}");
            }
        }
        assert!(Target::ALL.iter().all(|target| !target.suits([0xFF; 8])));
    }
}
