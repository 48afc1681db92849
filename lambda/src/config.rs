//! The function's configuration: environment variables, read once at start. A bad value fails there, by name.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use crate::event::is_certificate_id;
use crate::policy::PolicyTemplate;
use crate::published::ListUrl;
use crate::registration::Settings;
use crate::registry::Attachment;
use crate::revocation::{CaCertificate, Publication, RevocationLists};
use crate::thing_name::ThingNameSource;

mod admission;
mod description;

pub use admission::{
    ADMISSION_KEY, ADMISSION_LIST, ADMISSION_MODE, AdmissionPlace, AdmissionSettings, admission,
};
pub use description::{ADDITIONAL_POLICIES, BILLING_GROUP, THING_ATTRIBUTES, THING_GROUP, description};

/// An environment variable that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It is not set.
    #[error("{name} is not set: {allowed} is needed")]
    Missing {
        /// Name of the variable.
        name: &'static str,
        /// What it may hold.
        allowed: &'static str,
    },
    /// Its value is not allowed. The message does not repeat it: it may be long, or secret.
    #[error("{name} is not valid: {problem}")]
    Invalid {
        /// Name of the variable.
        name: &'static str,
        /// What is wrong and what is allowed.
        problem: String,
    },
}

/// How AWS is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct Connection {
    /// `AWS_REGION`.
    pub region: String,
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: String,
    /// `AWS_SESSION_TOKEN`, which the credentials of a role have.
    pub session_token: Option<String>,
    /// `AWS_ENDPOINT_URL_IOT`, or else `AWS_ENDPOINT_URL`, instead of the Region's endpoint of AWS IoT.
    pub endpoint_url: Option<String>,
    /// `AWS_ENDPOINT_URL_S3`, or else `AWS_ENDPOINT_URL`, instead of the Region's endpoint of Amazon S3.
    pub s3_endpoint_url: Option<String>,
    /// Whether `SSL_CERT_FILE` or `SSL_CERT_DIR` names the root certificates that servers are checked with.
    pub own_roots: bool,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("region", &self.region)
            .field("access_key_id", &self.access_key_id)
            .field("endpoint_url", &self.endpoint_url)
            .finish_non_exhaustive()
    }
}

/// The folder with revocation lists.
pub const CRL_DIR: &str = "CRL_DIR";
/// Where the lists are published.
pub const CRL_URL: &str = "CRL_URL";

/// Environment variables by name; unset and empty are the same, because a template leaves a parameter empty.
struct Variables<F>(F);

impl<F: Fn(&str) -> Option<String>> Variables<F> {
    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn required(&self, name: &'static str, allowed: &'static str) -> Result<String, ConfigError> {
        self.get(name).ok_or(ConfigError::Missing { name, allowed })
    }

    fn parsed<T, E: fmt::Display>(
        &self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, ConfigError> {
        self.get(name)
            .map(|value| parse(&value))
            .transpose()
            .map_err(|error| ConfigError::Invalid { name, problem: error.to_string() })
    }
}

/// Checks the variables that the runtime needs; it does not start without them (AWS Lambda Developer Guide, "Defined runtime
/// environment variables").
///
/// # Errors
/// Names the variable and what is allowed.
pub fn runtime(variables: impl Fn(&str) -> Option<String>) -> Result<(), ConfigError> {
    const API: &str = "AWS_LAMBDA_RUNTIME_API";
    const SIZE: &str = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE";
    let (address, megabytes) = ("the address of the Lambda Runtime API", "a number of megabytes");
    let is_in_addresses = |c: char| c.is_ascii_alphanumeric() || "-._~:/[]%".contains(c);
    let variables = Variables(variables);
    if !variables.required(API, address)?.chars().all(is_in_addresses) {
        return Err(ConfigError::Invalid { name: API, problem: format!("{address} is expected") });
    }
    variables.required("AWS_LAMBDA_FUNCTION_NAME", "the name of the function")?;
    variables.required("AWS_LAMBDA_FUNCTION_VERSION", "the version of the function")?;
    match variables.required(SIZE, megabytes)?.parse::<i32>() {
        Ok(_) => Ok(()),
        Err(_) => Err(ConfigError::Invalid { name: SIZE, problem: format!("{megabytes} is expected") }),
    }
}

/// Reads what a registration is to do: `ZT_POLICY_NAME`, `ZT_POLICY_DOCUMENT`, `THING_TYPE`, `THING_ATTRIBUTES`,
/// `THING_GROUP`, `ADDITIONAL_POLICIES`, `BILLING_GROUP`, `THING_NAME_SOURCE`, `ALLOWED_CA_IDS`, `CRL_OPTIONAL_CA_IDS`, `EXCLUSIVE_THING`.
///
/// # Errors
/// Names the variable and what is allowed.
pub fn settings(variables: impl Fn(&str) -> Option<String>) -> Result<Settings, ConfigError> {
    let description = description(&variables)?;
    let variables = Variables(variables);
    let mut settings = Settings::zero_touch()
        .map_err(|error| ConfigError::Invalid { name: "ZT_POLICY_DOCUMENT", problem: error.to_string() })?;
    if let Some(policy) = variables.parsed("ZT_POLICY_NAME", str::parse)? {
        settings.policy = policy;
    }
    if let Some(template) = variables.parsed("ZT_POLICY_DOCUMENT", PolicyTemplate::parse)? {
        settings.policy_template = template;
    }
    if let Some(thing_type) = variables.parsed("THING_TYPE", str::parse)? {
        settings.thing_type = thing_type;
    }
    settings.description = description;
    let source = variables.parsed("THING_NAME_SOURCE", |value| match value {
        "ski" => Ok(ThingNameSource::SubjectKeyIdentifier),
        "cn" => Ok(ThingNameSource::CommonName),
        _ => {
            Err("allowed are \"ski\" (the subject key identifier) and \"cn\" (the certificate's common name)")
        }
    })?;
    settings.thing_name_source = source.unwrap_or_default();
    settings.allowed_ca_ids = variables.parsed("ALLOWED_CA_IDS", ca_ids)?.unwrap_or_default();
    settings.crl_optional_ca_ids = variables.parsed("CRL_OPTIONAL_CA_IDS", ca_ids)?.unwrap_or_default();
    let exclusive = variables.parsed("EXCLUSIVE_THING", |value| match value {
        "true" => Ok(Attachment::Exclusive),
        "false" => Ok(Attachment::Shared),
        _ => Err("allowed are \"true\" and \"false\""),
    })?;
    settings.attachment = exclusive.unwrap_or(Attachment::Shared);
    Ok(settings)
}

/// Certificate ids of CAs, in lower case.
fn ca_ids(value: &str) -> Result<BTreeSet<String>, &'static str> {
    let ids = value.split([',', ' ', '\n']).filter(|id| !id.is_empty());
    ids.map(|id| is_certificate_id(id).then(|| id.to_ascii_lowercase()))
        .collect::<Option<_>>()
        .ok_or("allowed are CA certificate ids, 64 hex digits each, separated by commas")
}

/// Where the CAs' revocation lists come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lists {
    /// From the function's package.
    Packaged(RevocationLists),
    /// From where the CAs publish them.
    Published(Publication),
}

/// Reads `CRL_DIR`, a folder in the function's package with the CAs' certificates and lists. With `CRL_URL` the lists are
/// published there, and those in the folder may be left out. None if neither is set.
///
/// # Errors
/// Names the variable and what is allowed.
pub fn revocation(variables: impl Fn(&str) -> Option<String>) -> Result<Option<Lists>, ConfigError> {
    revocation_in(variables, |folder, published| match published {
        true => RevocationLists::read_cas(folder),
        false => RevocationLists::read(folder),
    })
}

/// As [`revocation`], where the folder is read by `read`: its name, and whether it may be without lists.
///
/// # Errors
/// As [`revocation`].
pub fn revocation_in<E: fmt::Display>(
    variables: impl Fn(&str) -> Option<String>,
    read: impl FnOnce(&Path, bool) -> Result<RevocationLists, E>,
) -> Result<Option<Lists>, ConfigError> {
    let variables = Variables(variables);
    let url = variables.parsed(CRL_URL, str::parse::<ListUrl>)?;
    let packaged = variables.parsed(CRL_DIR, |folder| -> Result<_, String> {
        let lists = read(Path::new(folder), url.is_some()).map_err(|error| error.to_string())?;
        match lists.cas().iter().find(|ca| url.is_some() && !is_part_of_url(ca)) {
            Some(ca) => Err(format!(
                "the name of {} cannot be part of a URL; allowed are letters, digits and -._",
                ca.path().display()
            )),
            None => Ok(lists),
        }
    })?;
    let allowed = "with CRL_URL, a folder with the CAs' certificates (NAME.crt)";
    Ok(match (url, packaged) {
        (None, packaged) => packaged.map(Lists::Packaged),
        (Some(url), Some(packaged)) => Some(Lists::Published(Publication { url, packaged })),
        (Some(_), None) => return Err(ConfigError::Missing { name: CRL_DIR, allowed }),
    })
}

fn is_part_of_url(ca: &CaCertificate) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    ca.path().file_name().is_some_and(|name| name.to_string_lossy().chars().all(plain))
}

/// Reads how AWS is reached, from the variables that AWS Lambda sets for every function.
///
/// # Errors
/// Names the variable and what is allowed.
pub fn connection(variables: impl Fn(&str) -> Option<String>) -> Result<Connection, ConfigError> {
    let variables = Variables(variables);
    let endpoint_url = |name| {
        variables.parsed(name, |url: &str| {
            let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
            host.filter(|host| !host.is_empty())
                .map(|_| url.to_owned())
                .ok_or("allowed are http:// and https:// URLs")
        })
    };
    let endpoint_of = |name| match endpoint_url(name)? {
        Some(url) => Ok(Some(url)),
        None => endpoint_url("AWS_ENDPOINT_URL"),
    };
    Ok(Connection {
        region: variables.required("AWS_REGION", "a Region such as us-east-2")?,
        access_key_id: variables.required("AWS_ACCESS_KEY_ID", "an access key id")?,
        secret_access_key: variables.required("AWS_SECRET_ACCESS_KEY", "a secret access key")?,
        session_token: variables.get("AWS_SESSION_TOKEN"),
        endpoint_url: endpoint_of("AWS_ENDPOINT_URL_IOT")?,
        s3_endpoint_url: endpoint_of("AWS_ENDPOINT_URL_S3")?,
        own_roots: ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|name| variables.get(name).is_some()),
    })
}

#[cfg(test)]
mod tests {
    use device_pki::admission_list::AdmissionKey;

    use super::*;
    use crate::admission::Mode;

    fn from<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn nothing_set_and_everything_empty_are_the_defaults() {
        let defaults = Settings::zero_touch().unwrap();
        assert_eq!(settings(|_| None).unwrap(), defaults);
        assert_eq!(settings(|_| Some(" ".into())).unwrap(), defaults);
        assert_eq!(defaults.policy.as_str(), "zt_policy");
        assert_eq!(defaults.thing_type.as_str(), "microchip-zero-touch-kit");
    }

    #[test]
    fn every_variable_is_read() {
        let (a, b) = ("a".repeat(64), "B".repeat(64));
        let document =
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#;
        let read = settings(from(&[
            ("ZT_POLICY_NAME", "other.policy"),
            ("ZT_POLICY_DOCUMENT", document),
            ("THING_TYPE", "kit"),
            ("THING_ATTRIBUTES", "ca={ca_certificate_id}\n b=1"),
            ("THING_GROUP", "line-1  kit-{subject.OU|none}"),
            ("ADDITIONAL_POLICIES", "more,1"),
            ("BILLING_GROUP", "bills"),
            ("THING_NAME_SOURCE", "cn"),
            ("ALLOWED_CA_IDS", &format!("{a}, {b}")),
            ("CRL_OPTIONAL_CA_IDS", &b),
            ("EXCLUSIVE_THING", "true"),
        ]))
        .unwrap();
        assert_eq!(read.policy.as_str(), "other.policy");
        assert_eq!(read.policy_template, PolicyTemplate::parse(document).unwrap());
        assert_eq!(read.thing_type.as_str(), "kit");
        let description = read.description;
        assert_eq!(
            description.attributes,
            ["ca={ca_certificate_id}".parse().unwrap(), "b=1".parse().unwrap()]
        );
        assert_eq!(description.groups, ["line-1".parse().unwrap(), "kit-{subject.OU|none}".parse().unwrap()]);
        assert_eq!(description.policies, ["more,1".parse().unwrap()]);
        assert_eq!(description.billing_group, Some("bills".parse().unwrap()));
        assert_eq!(read.thing_name_source, ThingNameSource::CommonName);
        assert_eq!(read.crl_optional_ca_ids, [b.to_lowercase()].into());
        assert_eq!(read.allowed_ca_ids, [a, b.to_lowercase()].into());
        assert_eq!(read.attachment, Attachment::Exclusive);
    }

    #[test]
    fn a_bad_value_is_told_by_name_with_what_is_allowed() {
        let settings_errors = [
            ("ZT_POLICY_NAME", "a/b"),
            ("ZT_POLICY_DOCUMENT", "{"),
            ("ZT_POLICY_DOCUMENT", "{\"Version\":\"2012-10-17\"}"),
            ("THING_TYPE", "a b"),
            ("THING_GROUP", "a/b"),
            ("THING_GROUP", "a,b"),
            ("THING_GROUP", "kit-{subject.OU"),
            ("THING_GROUP", "kit-{subject.Ou}"),
            ("THING_GROUP", "kit-{usb_serial}"),
            ("THING_GROUP", "1 2 3 4 5 6 7 8 9 10 11"),
            ("THING_ATTRIBUTES", "line"),
            ("THING_ATTRIBUTES", "line=1 line=2"),
            ("THING_ATTRIBUTES", "line=ä"),
            ("THING_ATTRIBUTES", "li;ne=1"),
            ("ADDITIONAL_POLICIES", "a b/c"),
            ("ADDITIONAL_POLICIES", "1 2 3 4 5 6 7 8 9 10"),
            ("BILLING_GROUP", "a b"),
            ("THING_NAME_SOURCE", "SKI"),
            ("ALLOWED_CA_IDS", "abc"),
            ("CRL_OPTIONAL_CA_IDS", "abc"),
            ("EXCLUSIVE_THING", "yes"),
        ]
        .map(|pair| settings(from(&[pair])).unwrap_err().to_string());
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().to_str().unwrap();
        let url = ("CRL_URL", "https://crl.example.com/lists");
        let revocation_errors = [
            revocation(from(&[("CRL_DIR", "/nowhere")])),
            revocation(from(&[("CRL_DIR", empty)])),
            revocation(from(&[url])),
            revocation(from(&[url, ("CRL_DIR", empty)])),
            revocation(from(&[("CRL_DIR", empty), ("CRL_URL", "http://crl.example.com")])),
            revocation(from(&[("CRL_DIR", empty), ("CRL_URL", "https://crl.example.com/?list=1")])),
            revocation(from(&[("CRL_DIR", empty), ("CRL_URL", "s3://Bucket/lists")])),
        ]
        .map(|result| result.unwrap_err().to_string().replace(empty, "[folder]"));
        let key = AdmissionKey([4; 65]).to_string();
        let (key, list) = (("ADMISSION_KEY", key.as_str()), ("ADMISSION_LIST", "s3://lists/a"));
        let admission_errors = [
            admission(from(&[("ADMISSION_KEY", "AAAA"), list])),
            admission(from(&[key])),
            admission(from(&[list])),
            admission(from(&[("ADMISSION_MODE", "report")])),
            admission(from(&[key, list, ("ADMISSION_MODE", "on")])),
            admission(from(&[key, ("ADMISSION_LIST", "http://lists.example.com")])),
            admission(from(&[key, ("ADMISSION_LIST", "/nowhere")])),
        ]
        .map(|result| {
            let read = |settings: AdmissionSettings| match &settings.list {
                AdmissionPlace::Packaged(file) => settings.read(file).map(drop),
                AdmissionPlace::Published(_) => Ok(()),
            };
            result.and_then(|settings| read(settings.unwrap())).unwrap_err().to_string()
        });
        let aws =
            [("AWS_REGION", "us-east-2"), ("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "s3cret")];
        let connection_errors = [
            connection(from(&aws[1..])),
            connection(from(&[aws[0], aws[2]])),
            connection(from(&aws[..2])),
            connection(from(&[&aws[..], &[("AWS_ENDPOINT_URL", "localhost:4566")]].concat())),
        ]
        .map(|result| result.unwrap_err().to_string());
        let errors =
            [&settings_errors[..], &revocation_errors[..], &admission_errors[..], &connection_errors[..]];
        insta::assert_snapshot!(errors.concat().join("\n"));
    }

    #[test]
    fn the_admission_list_is_off_unless_it_is_asked_for() {
        assert_eq!(admission(|_| None), Ok(None));
        let key = AdmissionKey([4; 65]);
        let text = key.to_string();
        let pairs = [("ADMISSION_KEY", text.as_str()), ("ADMISSION_LIST", "s3://lists/a")];
        let read = admission(from(&pairs)).unwrap().unwrap();
        let url = ListUrl::S3 { bucket: "lists".into(), prefix: "a".into() };
        let list = AdmissionPlace::Published(url);
        assert_eq!(read, AdmissionSettings { key, list, mode: Mode::Enforce });
        let reports = [pairs[0], pairs[1], ("ADMISSION_MODE", "report")];
        assert_eq!(admission(from(&reports)).unwrap().unwrap().mode, Mode::Report);
    }

    #[test]
    fn the_endpoint_of_the_service_wins_and_no_secret_is_shown() {
        let read = connection(from(&[
            ("AWS_REGION", "us-east-2"),
            ("AWS_ACCESS_KEY_ID", "AKID"),
            ("AWS_SECRET_ACCESS_KEY", "s3cret"),
            ("AWS_SESSION_TOKEN", "t0ken"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
            ("AWS_ENDPOINT_URL_IOT", "https://127.0.0.1:2"),
        ]))
        .unwrap();
        assert_eq!(read.endpoint_url.as_deref(), Some("https://127.0.0.1:2"));
        assert_eq!(read.session_token.as_deref(), Some("t0ken"));
        let shown = format!("{read:?}");
        assert!(!shown.contains("s3cret") && !shown.contains("t0ken"), "{shown}");
    }
}
