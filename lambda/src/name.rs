//! Names that users choose, checked against the patterns AWS documents for them.

use std::fmt;
use std::str::FromStr;

/// A name that AWS would not accept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a {what}: allowed are 1 to 128 characters of {allowed}")]
pub struct NameError {
    /// What was to be named, such as `policy name`.
    pub what: &'static str,
    /// The name as it was given.
    pub value: String,
    /// The characters that are allowed.
    pub allowed: &'static str,
}

/// The longest name AWS IoT accepts, in characters.
const MAX_LENGTH: usize = 128;

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $allowed:literal, $extra:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(String);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(value: &str) -> Result<Self, NameError> {
                let valid = (1..=MAX_LENGTH).contains(&value.len())
                    && value.bytes().all(|b| b.is_ascii_alphanumeric() || $extra.contains(&b));
                if !valid {
                    return Err(NameError { what: $what, value: value.to_owned(), allowed: $allowed });
                }
                Ok(Self(value.to_owned()))
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// Name of an AWS IoT policy (`CreatePolicy`: `[\w+=,.@-]{1,128}`).
    PolicyName, "policy name", "letters, digits and _+=,.@-", b"_+=,.@-"
}
name! {
    /// Name of a thing type (`CreateThingType`: `[a-zA-Z0-9:_-]{1,128}`).
    ThingTypeName, "thing type", "letters, digits and :_-", b":_-"
}
name! {
    /// Name of a thing group (`CreateThingGroup`: `[a-zA-Z0-9:_-]{1,128}`).
    ThingGroupName, "thing group", "letters, digits and :_-", b":_-"
}
name! {
    /// Name of a billing group (`CreateBillingGroup`: `[a-zA-Z0-9:_-]{1,128}`).
    BillingGroupName, "billing group", "letters, digits and :_-", b":_-"
}
name! {
    /// Name of an attribute of a thing (`AttributePayload`: `[a-zA-Z0-9_.,@/:#-]{1,128}`).
    AttributeName, "name of an attribute", "letters, digits and _.,@/:#-", b"_.,@/:#-"
}

impl PolicyName {
    /// `zt_policy`, the policy that registered devices get unless another is chosen.
    pub fn zero_touch() -> Self {
        Self("zt_policy".to_owned())
    }
}

impl ThingTypeName {
    /// `microchip-zero-touch-kit`, the type of the things that are created unless another is chosen.
    pub fn zero_touch_kit() -> Self {
        Self("microchip-zero-touch-kit".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documented_characters_are_accepted_and_others_refused() {
        assert!("Az09_+=,.@-".parse::<PolicyName>().is_ok());
        assert!("Az09:_-".parse::<ThingTypeName>().is_ok());
        assert!("Az09:_-".parse::<ThingGroupName>().is_ok());
        for bad in ["", "a b", "a/b", "ä", &"x".repeat(129)] {
            assert!(bad.parse::<PolicyName>().is_err(), "{bad:?}");
            assert!(bad.parse::<ThingTypeName>().is_err(), "{bad:?}");
        }
        assert_eq!(
            "a/b".parse::<PolicyName>().unwrap_err().to_string(),
            "\"a/b\" is not a policy name: allowed are 1 to 128 characters of letters, digits and _+=,.@-"
        );
    }

    #[test]
    fn defaults_are_valid_names() {
        assert!(PolicyName::zero_touch().as_str().parse::<PolicyName>().is_ok());
        assert!(ThingTypeName::zero_touch_kit().as_str().parse::<ThingTypeName>().is_ok());
    }
}
