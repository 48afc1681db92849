//! How the command line writes choices and names that belong to the layers below.

use std::path::Path;
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::PossibleValue;
use iot_account::Account;
use jitr::scope::{Arn, Scope};

use crate::cli::Error;
use crate::state::ledger::Ending;
use crate::work::label::Format;
use crate::work::provision::Method;

/// A device as users write or paste it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Device {
    /// Name of a thing, id of a certificate or its beginning, or a file.
    pub(super) name: String,
    /// The ARN that it was taken from, and the account and Region in it.
    arn: Option<(String, Scope)>,
}

impl Device {
    /// Whether the ARN, if it was one, is of this account and Region.
    ///
    /// # Errors
    /// [`Error::Usage`] with both; errors of `sts:GetCallerIdentity`, which is called for an ARN alone.
    pub(super) async fn check(&self, account: &Account) -> Result<(), Error> {
        let Some((arn, there)) = &self.arn else { return Ok(()) };
        let here = account.scope().await?;
        let place =
            |scope: &Scope| format!("account {} in {} ({})", scope.account, scope.region, scope.partition);
        match *there == here {
            true => Ok(()),
            false => Err(Error::usage(
                format!("{arn} is of {}, and this is {}", place(there), place(&here)),
                "choose the account and the Region that are meant with --profile and --region",
            )),
        }
    }
}

/// A device without the spaces around it, the dots after a shortened id, and what stands before the name in an ARN.
pub(super) fn device(text: &str) -> Result<Device, &'static str> {
    let is_file = Path::new(text).exists();
    let text = if is_file { text } else { text.trim().trim_end_matches(['.', '…']) };
    let Some(arn) = Arn::parse(text).filter(|_| !is_file) else {
        return match text {
            "" => Err("name a device"),
            name => Ok(Device { name: name.to_owned(), arn: None }),
        };
    };
    let scope =
        Scope::from_arn(text).map_err(|_| "this ARN names nothing of AWS IoT in an account and Region")?;
    if arn.named("cacert").is_some() {
        return Err("a CA is no device; a signer CA is revoked with: provisioner revoke --signer ID");
    }
    match arn.named("cert").or_else(|| arn.named("thing")) {
        None | Some("") => Err("the ARN of a device has cert/ID or thing/NAME at its end"),
        Some(name) => Ok(Device { name: name.to_owned(), arn: Some((text.to_owned(), scope)) }),
    }
}

/// A time such as `90s`, `5m`, `1h`, or seconds.
pub(super) fn duration(text: &str) -> Result<Duration, &'static str> {
    const FORM: &str = "a time is a whole number with s, m or h, such as 90s, 5m or 1h";
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(FORM),
    };
    let number: u32 = digits.parse().map_err(|_| FORM)?;
    match number {
        0 => Err("the time has to be longer than 0"),
        number => Ok(Duration::from_secs(u64::from(number) * unit)),
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
    fn a_time_has_a_unit_or_is_in_seconds() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("5m", 300), ("1h", 3600)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)));
        }
        for other in ["", "0", "0m", "5d", "-1s", "1.5h", "s", "5 m", "99999999999"] {
            assert!(duration(other).is_err(), "{other}");
        }
    }

    #[test]
    fn a_device_is_named_as_it_was_copied() {
        let arn = |resource: &str| format!("arn:aws:iot:us-east-1:123456789012:{resource}");
        for text in
            ["0794edc0e075", " 0794edc0e075\n", "0794edc0e075...", "0794edc0e075…", &arn("cert/0794edc0e075")]
        {
            assert_eq!(device(text).unwrap().name, "0794edc0e075", "{text:?}");
        }
        assert_eq!(device(&arn("thing/Board-1")).unwrap().name, "Board-1");
        assert!(device(&arn("cacert/0794edc0e075")).unwrap_err().contains("--signer"));
        for other in [arn("policy/p"), arn("thing/"), "arn:aws:s3:::thing/a".to_owned()] {
            assert!(device(&other).is_err(), "{other}");
        }
        assert!(device("").is_err() && device(" ").is_err());
    }
}
