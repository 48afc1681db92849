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
    /// AVR-IoT Cellular Mini, AVR128DB48: a modem in place of the Wi-Fi module.
    AvrIotCellular,
}

impl Kit {
    /// The kit's name as the last line of `MC+ABOUT` gives it.
    pub fn name(self) -> &'static str {
        match self {
            Self::AvrIotWg => "AVR-IoT WG",
            Self::PicIotWg => "PIC-IoT WG",
            Self::SamIotWg => "SAM-IoT WG",
            Self::AvrIotCellular => "AVR-IoT Cellular Mini",
        }
    }

    /// The microcontroller, as the kit's disk names it.
    pub fn target(self) -> &'static str {
        match self {
            Self::AvrIotWg => "ATmega4808",
            Self::PicIotWg => "PIC24FJ128GA705",
            Self::SamIotWg => "ATSAMD21G18A",
            Self::AvrIotCellular => "AVR128DB48",
        }
    }

    /// Whether its firmware has the commands for a Wi-Fi module.
    pub(super) fn has_wifi_module(self) -> bool {
        self != Self::AvrIotCellular
    }

    /// The family as the banner names it.
    pub(super) fn family(self) -> &'static str {
        match self {
            Self::AvrIotWg => "avr-iot",
            Self::PicIotWg => "pic-iot",
            Self::SamIotWg => "sam-iot",
            Self::AvrIotCellular => "avr-iot-cellular",
        }
    }

    /// What stands before the lines of `MC+VERSION=WINC`: an extra `=` has been seen on some boards, so one kit has it.
    pub(super) fn winc_version_prefix(self) -> &'static str {
        match self {
            Self::PicIotWg => "=",
            Self::AvrIotWg | Self::SamIotWg | Self::AvrIotCellular => "",
        }
    }
}

impl fmt::Display for Kit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
