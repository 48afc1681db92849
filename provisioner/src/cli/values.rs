//! How the command line writes choices that belong to the layers below.

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::state::ledger::Ending;
use crate::work::label::Format;
use crate::work::provision::Method;

impl ValueEnum for Method {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Jitr, Self::Custom, Self::Mar, Self::Sandbox]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Self::Jitr => ("jitr", "By itself, when it first connects (just-in-time registration)"),
            Self::Custom => ("custom", "The same as `jitr`"),
            Self::Mar => ("mar", "By this tool, as soon as it is provisioned (multi-account registration)"),
            Self::Sandbox => (
                "sandbox",
                "By the vendor, in the vendor's public account, with the factory certificates of the secure element",
            ),
        };
        Some(PossibleValue::new(name).help(help))
    }
}

impl ValueEnum for Ending {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Provisioned, Self::Unchanged, Self::Failed]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Self::Provisioned => "Written and read back",
            Self::Unchanged => "The board was already provisioned",
            Self::Failed => "The board is not provisioned, or its state is unknown",
        };
        Some(PossibleValue::new(self.word()).help(help))
    }
}

impl ValueEnum for Format {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Svg, Self::Png]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Self::Svg => ("svg", "Vector graphics"),
            Self::Png => ("png", "Black and white, 300 dots per inch, for label printers"),
        };
        Some(PossibleValue::new(name).help(help))
    }
}
