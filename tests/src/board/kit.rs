//! The kits that can be simulated, and what differs between them.

use std::fmt;

/// A kit of the family, as far as the provisioning firmware and the debugger show it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kit {
    /// AVR-IoT WG, ATmega4808.
    #[default]
    AvrIotWg,
    /// AVR-IoT WA, the same with another label: its firmware says WG.
    AvrIotWa,
    /// PIC-IoT WG, PIC24FJ128GA705.
    PicIotWg,
    /// PIC-IoT WA, the same with another label: its firmware says WG.
    PicIotWa,
    /// SAM-IoT WG, ATSAMD21G18A.
    SamIotWg,
    /// SAM-IoT Wx, ATSAMD21G18A.
    SamIotWx,
    /// AVR-IoT Cellular Mini, AVR128DB48: a modem in place of the Wi-Fi module.
    AvrIotCellularMini,
    /// AVR-IoT Cellular, AVR128DB64: a modem in place of the Wi-Fi module.
    AvrIotCellular,
    /// CryptoAuth Trust Platform, ATSAMD21E18A: no network at all.
    TrustPlatform,
}

impl Kit {
    /// Every kit.
    pub const ALL: [Self; 9] = [
        Self::AvrIotWg,
        Self::AvrIotWa,
        Self::PicIotWg,
        Self::PicIotWa,
        Self::SamIotWg,
        Self::SamIotWx,
        Self::AvrIotCellularMini,
        Self::AvrIotCellular,
        Self::TrustPlatform,
    ];

    /// The kit's name, as on the box.
    pub fn name(self) -> &'static str {
        match self {
            Self::AvrIotWg => "AVR-IoT WG",
            Self::AvrIotWa => "AVR-IoT WA",
            Self::PicIotWg => "PIC-IoT WG",
            Self::PicIotWa => "PIC-IoT WA",
            Self::SamIotWg => "SAM-IoT WG",
            Self::SamIotWx => "SAM-IoT Wx",
            Self::AvrIotCellularMini => "AVR-IoT Cellular Mini",
            Self::AvrIotCellular => "AVR-IoT Cellular",
            Self::TrustPlatform => "CryptoAuth Trust Platform",
        }
    }

    /// The kit's name in the configuration of its debugger.
    pub fn name_in_debugger(self) -> &'static str {
        match self {
            Self::SamIotWg => "SAMD21-IoT WG",
            Self::SamIotWx => "SAMD21-IoT Wx",
            kit => kit.name(),
        }
    }

    /// The microcontroller, as the kit's disk names it.
    pub fn target(self) -> &'static str {
        match self {
            Self::AvrIotWg | Self::AvrIotWa => "ATmega4808",
            Self::PicIotWg | Self::PicIotWa => "PIC24FJ128GA705",
            Self::SamIotWg | Self::SamIotWx => "ATSAMD21G18A",
            Self::AvrIotCellularMini => "AVR128DB48",
            Self::AvrIotCellular => "AVR128DB64",
            Self::TrustPlatform => "ATSAMD21E18A",
        }
    }

    /// Whether it has a Wi-Fi module, and its firmware the commands for it.
    pub fn has_wifi_module(self) -> bool {
        !self.has_modem() && self != Self::TrustPlatform
    }

    /// Whether it has a modem.
    pub(super) fn has_modem(self) -> bool {
        matches!(self, Self::AvrIotCellularMini | Self::AvrIotCellular)
    }

    /// Whether its microcontroller is an ATSAMD21.
    fn is_sam(self) -> bool {
        matches!(self, Self::SamIotWg | Self::SamIotWx | Self::TrustPlatform)
    }

    /// The secure element's I2C address, where the firmware has commands for it. That of the Trust Platform is assumed.
    pub(super) fn element_address(self) -> Option<u8> {
        match self {
            Self::SamIotWg | Self::TrustPlatform => Some(0x58),
            Self::SamIotWx => Some(0x36),
            _ => None,
        }
    }

    /// Whether the firmware starts without its secure element. All but those of AVR-IoT and SAM-IoT are assumed to.
    pub(super) fn starts_without_element(self) -> bool {
        !matches!(self, Self::AvrIotWg | Self::AvrIotWa)
    }

    /// What the banner welcomes to.
    pub(super) fn banner(self) -> &'static str {
        match self {
            Self::AvrIotWg | Self::AvrIotWa => "avr-iot",
            Self::PicIotWg | Self::PicIotWa => "PIC-IoT",
            Self::SamIotWg | Self::SamIotWx => "SAM-IoT provisioning",
            Self::AvrIotCellularMini => "AVR-IoT Cellular Mini provisioning",
            Self::AvrIotCellular => "AVR-IoT Cellular provisioning",
            Self::TrustPlatform => "CryptoAuth Trust Platform devkit provisioning",
        }
    }

    /// What `MC+ABOUT` begins with, before "provisioning FW".
    pub(super) fn firmware(self) -> &'static str {
        match self {
            Self::AvrIotWg | Self::AvrIotWa => "AVR-IoT",
            Self::PicIotWg | Self::PicIotWa => "PIC-IoT",
            Self::SamIotWg => "SAM-IoT",
            kit => kit.name(),
        }
    }

    /// The kit's name as `MC+ABOUT` ends with it.
    pub(super) fn name_in_about(self) -> &'static str {
        match self {
            Self::AvrIotWa => "AVR-IoT WG",
            Self::PicIotWa => "PIC-IoT WG",
            Self::SamIotWg => "SAM-IoT",
            kit => kit.name(),
        }
    }

    /// Version of the provisioning firmware.
    pub(super) fn firmware_version(self) -> &'static str {
        match self {
            Self::AvrIotWg | Self::AvrIotWa => "0.4.9",
            Self::PicIotWg | Self::PicIotWa => "0.4.7",
            Self::SamIotWg => "1.0.1",
            Self::SamIotWx => "1.0.0",
            Self::AvrIotCellularMini => "1.1.8",
            Self::AvrIotCellular => "0.3.1",
            Self::TrustPlatform => "1.1.0",
        }
    }

    /// The LEDs that `MC+SETLED` knows.
    pub fn leds(self) -> &'static [&'static str] {
        match self {
            Self::AvrIotCellularMini => &["CELL", "CONN", "DATA", "ERROR", "USER"],
            Self::AvrIotCellular => &["CELL", "CONN", "DATA", "ERR", "USER"],
            Self::TrustPlatform => &["STATUS"],
            _ => &["CONN", "DATA", "ERROR", "WIFI"],
        }
    }

    /// Whether `ALL` names all LEDs.
    pub(super) fn switches_all_leds(self) -> bool {
        !self.is_sam()
    }

    /// Bytes that the MCU keeps while it is busy; what comes beyond is lost. Those of the PIC and the cellular kits are
    /// assumed.
    pub(super) fn receive_buffer(self) -> usize {
        if self.is_sam() { 127 } else { 7 }
    }

    /// Bytes of a reply that the MCU need not wait for. Assumed for all but the AVR-IoT kit.
    pub(super) fn transmit_buffer(self) -> usize {
        7
    }
}

impl fmt::Display for Kit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
