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
    /// What its debugger calls it: in the debugger's configuration (KITNAME), in KIT-INFO.TXT, or as USB product.
    debugger: &'static [&'static str],
    /// What its provisioning firmware calls it in `MC+ABOUT`: before "provisioning FW", and after "for the". Empty where
    /// another entry has the same firmware.
    about: &'static [&'static str],
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
    /// Not at all: it shows a secure element to a computer.
    None,
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
    /// The same in a smaller package.
    Atsamd21e18a,
    /// AVR of the Cellular Mini, 128 KiB of flash.
    Avr128db48,
    /// AVR of the full-size cellular kit, 128 KiB of flash.
    Avr128db64,
}

/// What the kits of a family have in common. The firmware of AVR-IoT and PIC-IoT is the same on WG and WA and says WG on both.
const AVR: Entry = Entry {
    name: "AVR-IoT WG or WA",
    debugger: &[],
    about: &["AVR-IoT", "AVR-IoT WG"],
    firmware: "avr-iot",
    target: Target::Atmega4808,
    radio: Radio::Wifi,
    leds: &["CONN", "DATA", "ERROR", "WIFI"],
};
const PIC: Entry = Entry {
    name: "PIC-IoT WG or WA",
    about: &["PIC-IoT", "PIC-IoT WG"],
    firmware: "PIC-IoT",
    target: Target::Pic24fj128ga705,
    ..AVR
};
const SAM: Entry = Entry {
    name: "SAM-IoT WG",
    debugger: &["SAMD21-IoT WG", "SAM-IoT WG"],
    about: &["SAM-IoT"],
    firmware: "SAM-IoT provisioning",
    target: Target::Atsamd21g18a,
    ..AVR
};
const CELLULAR: Entry = Entry {
    name: "AVR-IoT Cellular",
    // The prototype has the other name.
    debugger: &["AVR-IoT Cellular", "AVR-IoT LTE-M"],
    about: &["AVR-IoT Cellular"],
    firmware: "AVR-IoT Cellular provisioning",
    target: Target::Avr128db64,
    radio: Radio::Cellular,
    leds: &["CELL", "CONN", "DATA", "ERR", "USER"],
};

/// Longer names before the ones that they begin with, because texts are searched for them in this order.
const TABLE: [Entry; 11] = [
    Entry {
        name: "AVR-IoT Cellular Mini",
        debugger: &["AVR-IoT Cellular Mini"],
        about: &["AVR-IoT Cellular Mini"],
        firmware: "AVR-IoT Cellular Mini provisioning",
        target: Target::Avr128db48,
        leds: &["CELL", "CONN", "DATA", "ERROR", "USER"],
        ..CELLULAR
    },
    CELLULAR,
    Entry { name: "AVR-IoT WG", debugger: &["AVR-IoT WG"], about: &[], ..AVR },
    Entry { name: "AVR-IoT WA", debugger: &["AVR-IoT WA"], about: &[], ..AVR },
    Entry { name: "PIC-IoT WG", debugger: &["PIC-IoT WG"], about: &[], ..PIC },
    Entry { name: "PIC-IoT WA", debugger: &["PIC-IoT WA"], about: &[], ..PIC },
    Entry { name: "SAM-IoT Wx", debugger: &["SAMD21-IoT Wx", "SAM-IoT Wx"], about: &["SAM-IoT Wx"], ..SAM },
    SAM,
    Entry {
        name: "CryptoAuth Trust Platform",
        debugger: &["CryptoAuth Trust Platform"],
        about: &["CryptoAuth Trust Platform"],
        firmware: "CryptoAuth Trust Platform devkit provisioning",
        target: Target::Atsamd21e18a,
        radio: Radio::None,
        leds: &["STATUS"],
    },
    AVR,
    PIC,
];

impl Model {
    /// Every kit that is known; at the end those that the firmware alone has named.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(Self)
    }

    /// The kit that the debugger names: in a USB product name, or a line of a file of the kit's disk. Case, and what
    /// stands between the words, does not matter.
    pub fn named_in(text: &str) -> Option<Self> {
        let text = plain(text);
        Self::all().find(|model| model.0.debugger.iter().any(|name| text.contains(&plain(name))))
    }

    /// The kit that the provisioning firmware names in its answer to `MC+ABOUT`, as far as it can tell it.
    pub fn in_about<'a>(lines: impl IntoIterator<Item = &'a String>) -> Option<Self> {
        lines.into_iter().find_map(|line| {
            let line = line.trim();
            let said = line.strip_suffix(" provisioning FW").or_else(|| line.strip_prefix("for the "))?;
            Self::all().find(|model| model.0.about.iter().any(|name| plain(name) == plain(said)))
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
    pub const ALL: [Self; 6] = [
        Self::Atmega4808,
        Self::Pic24fj128ga705,
        Self::Atsamd21g18a,
        Self::Atsamd21e18a,
        Self::Avr128db48,
        Self::Avr128db64,
    ];

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
            Self::Atsamd21e18a => "ATSAMD21E18A",
            Self::Avr128db48 => "AVR128DB48",
            Self::Avr128db64 => "AVR128DB64",
        }
    }

    /// Addresses of the flash as an Intel HEX file has them. For the PIC24 these are twice the program address.
    pub fn flash(self) -> Range<u32> {
        0..match self {
            Self::Atmega4808 => 0xC000,
            Self::Pic24fj128ga705 => 0x2_C000,
            Self::Atsamd21g18a | Self::Atsamd21e18a => 0x4_0000,
            Self::Avr128db48 | Self::Avr128db64 => 0x2_0000,
        }
    }

    /// Addresses beside the flash that an image may have content for: EEPROM, fuses and user row of the AVR, as the
    /// AVR tools place them; the user row of the SAM.
    pub fn beside_flash(self) -> &'static [Range<u32>] {
        const AVR: &[Range<u32>] =
            &[0x81_0000..0x81_0200, 0x82_0000..0x82_0010, 0x83_0000..0x83_0004, 0x85_0000..0x85_0040];
        const SAM: Range<u32> = 0x80_4000..0x80_4100;
        match self {
            Self::Atmega4808 | Self::Avr128db48 | Self::Avr128db64 => AVR,
            Self::Pic24fj128ga705 => &[],
            Self::Atsamd21g18a | Self::Atsamd21e18a => std::slice::from_ref(&SAM),
        }
    }

    /// Whether `code`, the bytes from address 0 on, is how a program for this microcontroller begins.
    pub fn suits(self, code: [u8; 8]) -> bool {
        let word = |at: usize| u32::from_le_bytes([code[at], code[at + 1], code[at + 2], code[at + 3]]);
        match self {
            // The reset vector jumps: JMP or RJMP (AVR Instruction Set Manual).
            Self::Atmega4808 | Self::Avr128db48 | Self::Avr128db64 => {
                let instruction = word(0) as u16;
                instruction & 0xFE0E == 0x940C || instruction & 0xF000 == 0xC000
            }
            // GOTO in two instruction words, whose fourth, phantom byte is 0 (dsPIC33/PIC24 Program Memory).
            Self::Pic24fj128ga705 => word(0) >> 16 == 0x0004 && word(4) >> 8 == 0,
            // Stack pointer in the 32 KiB of RAM, then a Thumb address in the flash (ARMv6-M, vector table).
            Self::Atsamd21g18a | Self::Atsamd21e18a => {
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
    fn kits_are_found_in_whatever_their_debuggers_say() {
        let name = |text: &str| Model::named_in(text).map(Model::name);
        for (text, expected) in [
            ("Board name: AVR-IoT WG", Some("AVR-IoT WG")),
            ("AVR-IoT WA nEDBG CMSIS-DAP", Some("AVR-IoT WA")),
            ("Kit name: PIC_IOT_WG", Some("PIC-IoT WG")),
            ("SAMD21-IoT WG", Some("SAM-IoT WG")),
            ("sam-iot wg", Some("SAM-IoT WG")),
            ("SAMD21-IoT Wx", Some("SAM-IoT Wx")),
            ("AVR-IoT Cellular Mini", Some("AVR-IoT Cellular Mini")),
            ("AVR-IoT Cellular", Some("AVR-IoT Cellular")),
            ("AVR-IoT LTE-M", Some("AVR-IoT Cellular")),
            ("CryptoAuth Trust Platform", Some("CryptoAuth Trust Platform")),
            ("nEDBG CMSIS-DAP", None),
        ] {
            assert_eq!(name(text), expected, "{text}");
        }
    }

    #[test]
    fn the_firmware_names_its_kit_as_far_as_it_can() {
        let name = |lines: &[&str]| {
            let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
            Model::in_about(&lines).map(Model::name)
        };
        for (lines, expected) in [
            (&["AVR-IoT provisioning FW", "FW 0.4.9"][..], Some("AVR-IoT WG or WA")),
            (&["for the AVR-IoT WG"], Some("AVR-IoT WG or WA")),
            (&["PIC-IoT provisioning FW"], Some("PIC-IoT WG or WA")),
            (&["FW 1.0.1", "for the SAM-IoT"], Some("SAM-IoT WG")),
            (&["SAM-IoT Wx provisioning FW"], Some("SAM-IoT Wx")),
            (&["AVR-IoT Cellular provisioning FW"], Some("AVR-IoT Cellular")),
            (&["for the AVR-IoT Cellular Mini"], Some("AVR-IoT Cellular Mini")),
            (&["CryptoAuth Trust Platform provisioning FW"], Some("CryptoAuth Trust Platform")),
            (&["AVR-IoT WG", "Command handler 1.3.0"], None),
        ] {
            assert_eq!(name(lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn every_kit_is_named_by_its_debugger_or_its_firmware_and_has_a_target() {
        for model in Model::all() {
            let about: Vec<String> = model.0.about.iter().map(|name| format!("for the {name}")).collect();
            assert!(!(model.0.debugger.is_empty() && about.is_empty()), "{model}");
            assert!(model.0.debugger.iter().all(|name| Model::named_in(name) == Some(model)), "{model}");
            assert!(about.iter().all(|line| Model::in_about([line]) == Some(model)), "{model}");
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
