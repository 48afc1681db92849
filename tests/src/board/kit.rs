//! The kits that can be simulated, and what differs between them.

use std::fmt;

/// A kit of the family, as far as the provisioning firmware shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kit {
    /// AVR-IoT WG, ATmega4808.
    #[default]
    AvrIotWg,
    /// PIC-IoT WG, PIC24FJ128GA705.
    PicIotWg,
    /// SAM-IoT WG, ATSAMD21G18A.
    SamIotWg,
    /// SAM-IoT Wx, ATSAMD21G18A.
    SamIotWx,
    /// AVR-IoT Cellular Mini, AVR128DB48: a modem in place of the Wi-Fi module.
    AvrIotCellular,
}

impl Kit {
    /// The kit's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::AvrIotWg => "AVR-IoT WG",
            Self::PicIotWg => "PIC-IoT WG",
            Self::SamIotWg => "SAM-IoT WG",
            Self::SamIotWx => "SAM-IoT Wx",
            Self::AvrIotCellular => "AVR-IoT Cellular Mini",
        }
    }

    /// The microcontroller, as the kit's disk names it.
    pub fn target(self) -> &'static str {
        match self {
            Self::AvrIotWg => "ATmega4808",
            Self::PicIotWg => "PIC24FJ128GA705",
            Self::SamIotWg | Self::SamIotWx => "ATSAMD21G18A",
            Self::AvrIotCellular => "AVR128DB48",
        }
    }

    /// Whether its firmware has the commands for a Wi-Fi module.
    pub(super) fn has_wifi_module(self) -> bool {
        self != Self::AvrIotCellular
    }

    /// Whether its microcontroller is an ATSAMD21.
    fn is_sam(self) -> bool {
        matches!(self, Self::SamIotWg | Self::SamIotWx)
    }

    /// The secure element's I2C address, where the firmware has commands for it.
    pub(super) fn element_address(self) -> Option<u8> {
        match self {
            Self::SamIotWg => Some(0x58),
            Self::SamIotWx => Some(0x36),
            Self::AvrIotWg | Self::PicIotWg | Self::AvrIotCellular => None,
        }
    }

    /// Whether the firmware starts without its secure element. Those of the PIC and the cellular kits are assumed to.
    pub(super) fn starts_without_element(self) -> bool {
        self != Self::AvrIotWg
    }

    /// What the banner welcomes to.
    pub(super) fn banner(self) -> &'static str {
        match self {
            Self::AvrIotWg => "avr-iot",
            Self::PicIotWg => "PIC-IoT",
            Self::SamIotWg | Self::SamIotWx => "SAM-IoT provisioning",
            Self::AvrIotCellular => "AVR-IoT Cellular Mini provisioning",
        }
    }

    /// What `MC+ABOUT` begins with, before "provisioning FW".
    pub(super) fn firmware(self) -> &'static str {
        match self {
            Self::AvrIotWg => "AVR-IoT",
            Self::PicIotWg => "PIC-IoT",
            Self::SamIotWg => "SAM-IoT",
            Self::SamIotWx => "SAM-IoT Wx",
            Self::AvrIotCellular => "AVR-IoT Cellular Mini",
        }
    }

    /// The kit's name as `MC+ABOUT` ends with it.
    pub(super) fn name_in_about(self) -> &'static str {
        if self == Self::SamIotWg { "SAM-IoT" } else { self.name() }
    }

    /// Version of the provisioning firmware.
    pub(super) fn firmware_version(self) -> &'static str {
        match self {
            Self::AvrIotWg => "0.4.9",
            Self::PicIotWg => "0.4.7",
            Self::SamIotWg => "1.0.1",
            Self::SamIotWx => "1.0.0",
            Self::AvrIotCellular => "1.1.8",
        }
    }

    /// The LEDs that `MC+SETLED` knows.
    pub(super) fn leds(self) -> &'static [&'static str] {
        match self {
            Self::AvrIotWg | Self::PicIotWg | Self::SamIotWg | Self::SamIotWx => {
                &["CONN", "DATA", "ERROR", "WIFI"]
            }
            Self::AvrIotCellular => &["CELL", "CONN", "DATA", "ERROR", "USER"],
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
