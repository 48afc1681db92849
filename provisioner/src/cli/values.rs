//! How the command line writes choices and names that belong to the layers below.

use std::path::Path;

use clap::ValueEnum;
use clap::builder::PossibleValue;
use jitr::scope::Arn;

use crate::state::ledger::Ending;
use crate::work::label::Format;
use crate::work::provision::Method;

/// A device as users write or paste it: without the spaces around it, the dots after a shortened id, and what stands before the
/// name in an ARN.
pub(super) fn device(text: &str) -> Result<String, &'static str> {
    let text = match Path::new(text).exists() {
        true => text,
        false => text.trim().trim_end_matches(['.', '…']),
    };
    let of_arn = Arn::parse(text).and_then(|arn| arn.named("cert").or_else(|| arn.named("thing")));
    match of_arn.unwrap_or(text) {
        "" => Err("name a device"),
        name => Ok(name.to_owned()),
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_named_as_it_was_copied() {
        let arn = |resource: &str| format!("arn:aws:iot:us-east-1:123456789012:{resource}");
        for text in
            ["0794edc0e075", " 0794edc0e075\n", "0794edc0e075...", "0794edc0e075…", &arn("cert/0794edc0e075")]
        {
            assert_eq!(device(text).as_deref(), Ok("0794edc0e075"), "{text:?}");
        }
        assert_eq!(device(&arn("thing/Board-1")).as_deref(), Ok("Board-1"));
        assert!(device("").is_err() && device(" ").is_err());
    }
}
