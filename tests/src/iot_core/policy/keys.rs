//! What a policy can refer to: policy variables and condition keys, and their values for one request.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::iot_core::directory::AttachedThing;

/// Values by key, for the keys that depend on the account or on the request; keys are in lower case. Most have one value.
pub type Keys = BTreeMap<String, Vec<String>>;

/// What is known of a connection when a policy is evaluated.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// MQTT client id; empty if there is none.
    pub client_id: &'a str,
    /// SHA-256 of the DER certificate, 64 hex digits; empty if there is none.
    pub certificate_id: &'a str,
    /// The things the certificate is attached to.
    pub things: &'a [AttachedThing],
    /// The client's address; the unspecified address if it is not known.
    pub source_ip: IpAddr,
    /// The other keys with a value.
    pub keys: &'a Keys,
}

/// What a policy variable or condition key stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Its values for this request, at least one.
    Known(Vec<String>),
    /// It has no value for this request.
    Absent,
    /// The testbed does not know the key.
    Unsupported,
}

/// Keys with a value of their own (AWS IoT Core developer guide, "AWS IoT Core policy variables"; AWS service authorization
/// reference, "Condition keys for AWS IoT").
///
/// The last two are of policies of IAM identities (Service Authorization Reference, "Condition keys for AWS IAM" and "… for AWS
/// Lambda").
const SINGLE: [&str; 12] = [
    "aws:sourceip",
    "iot:certificate.serialnumber",
    "iot:certificateid",
    "iot:clientid",
    "iot:connectattributes",
    "iot:connection.thing.isattached",
    "iot:connection.thing.thingname",
    "iot:connection.thing.thingtypename",
    "iot:domainname",
    "iot:lastwilltopic",
    "iam:passedtoservice",
    "lambda:functionarn",
];

/// The attributes of `iot:Certificate.Subject` and `iot:Certificate.Issuer`, with their object identifiers (X.520).
pub const NAME_ATTRIBUTES: [(&str, &str); 13] = [
    ("commonname", "2.5.4.3"),
    ("country", "2.5.4.6"),
    ("distinguishednamequalifier", "2.5.4.46"),
    ("generationqualifier", "2.5.4.44"),
    ("givenname", "2.5.4.42"),
    ("initials", "2.5.4.43"),
    ("organization", "2.5.4.10"),
    ("organizationalunit", "2.5.4.11"),
    ("pseudonym", "2.5.4.65"),
    ("serialnumber", "2.5.4.5"),
    ("state", "2.5.4.8"),
    ("surname", "2.5.4.4"),
    ("title", "2.5.4.12"),
];

/// The kinds of alternative names.
pub const ALTERNATIVE_NAMES: [&str; 5] =
    ["dnsname", "directoryname", "ipaddress", "rfc822name", "uniformresourceidentifier"];

/// The prefix of the attributes of a thing.
pub const ATTRIBUTE_PREFIX: &str = "iot:connection.thing.attributes[";

/// Whether the testbed evaluates the key, which may have any case.
pub(super) fn is_known(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let (key, _) = indexed(&key);
    if SINGLE.contains(&key) || key.starts_with(ATTRIBUTE_PREFIX) && key.ends_with(']') {
        return true;
    }
    let named = ["iot:certificate.subject.", "iot:certificate.issuer."];
    named.iter().filter_map(|prefix| key.strip_prefix(prefix)).any(|attribute| {
        NAME_ATTRIBUTES.iter().any(|(name, _)| *name == attribute)
            || attribute
                .strip_prefix("alternativename.")
                .is_some_and(|kind| ALTERNATIVE_NAMES.contains(&kind))
    })
}

/// A key with several values can have an index: `iot:Certificate.Subject.Country.1` is the second country.
fn indexed(key: &str) -> (&str, usize) {
    match key.rsplit_once('.') {
        Some((front, last)) if key.starts_with("iot:certificate.") => {
            last.parse().map_or((key, 0), |index| (front, index))
        }
        _ => (key, 0),
    }
}

impl Context<'_> {
    /// The thing the connection speaks for: the attached one whose name equals the client id, or the one the
    /// certificate is attached to exclusively (AWS IoT developer guide, "Thing policy variables").
    #[must_use]
    pub fn thing(&self) -> Option<&str> {
        thing(self.client_id, self.things)
    }

    /// The value of a policy variable or condition key; keys are compared without regard to case, as in IAM.
    #[must_use]
    pub fn value(&self, key: &str) -> Value {
        let one = |value: &str| match value {
            "" => Value::Absent,
            value => Value::Known(vec![value.to_owned()]),
        };
        let lower = key.to_ascii_lowercase();
        match lower.as_str() {
            "iot:clientid" => one(self.client_id),
            "iot:certificateid" => one(self.certificate_id),
            "aws:sourceip" if self.source_ip.is_unspecified() => Value::Absent,
            "aws:sourceip" => one(&self.source_ip.to_string()),
            "iot:connection.thing.isattached" => one(&self.thing().is_some().to_string()),
            "iot:connection.thing.thingname" => one(self.thing().unwrap_or_default()),
            key if !is_known(key) => Value::Unsupported,
            key => {
                let (key, index) = indexed(key);
                let values = self.keys.get(key).and_then(|values| values.get(index..));
                values
                    .filter(|values| !values.is_empty())
                    .map_or(Value::Absent, |values| Value::Known(values.to_vec()))
            }
        }
    }
}

/// The thing that a connection with this client id speaks for.
#[must_use]
pub fn thing<'a>(client_id: &str, things: &'a [AttachedThing]) -> Option<&'a str> {
    let named = things.iter().find(|thing| thing.name == client_id);
    named.or_else(|| things.iter().find(|thing| thing.exclusive)).map(|thing| thing.name.as_str())
}
