//! Settings whose values AWS's SDKs pass over, or refuse only in a call, without their name.

use crate::Error;

/// How often a call is made: the variable of the environment, and the key of a profile (AWS SDKs and Tools Reference Guide,
/// "Retry behavior").
const ATTEMPTS: (&str, &str) = ("AWS_MAX_ATTEMPTS", "max_attempts");
/// What asks for another kind of endpoint (the same guide, "Dual-stack and FIPS endpoints").
const KINDS: [(&str, &str); 2] = [
    ("AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint"),
    ("AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint"),
];
/// What names an endpoint, and what has it passed over (the same guide, "Service-specific endpoints").
const ENDPOINT: (&str, &str) = ("AWS_ENDPOINT_URL", "endpoint_url");
const IGNORED: (&str, &str) = ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "ignore_configured_endpoint_urls");

/// Whether the settings of the environment, and of the profile in use, can be what they are. The environment goes before the
/// profile, and what is blank is not set.
///
/// # Errors
/// [`Error::Setting`], [`Error::Endpoints`].
pub(super) fn check<'a>(
    variable: impl Fn(&str) -> Option<String>,
    of_profile: impl Fn(&str) -> Option<&'a str>,
) -> Result<(), Error> {
    let set = |(name, key): (&str, &str)| {
        let of_environment = variable(name).filter(|value| !value.trim().is_empty());
        let of_environment = of_environment.map(|value| (name.to_owned(), value.trim().to_owned()));
        of_environment.or_else(|| Some((format!("{key} of the profile"), of_profile(key)?.trim().to_owned())))
    };
    if let Some((setting, value)) = set(ATTEMPTS)
        && !value.parse::<u32>().is_ok_and(|attempts| attempts > 0)
    {
        return Err(Error::Setting { setting, value, expected: "a number from 1 on" });
    }
    let asks = |names| {
        let Some((setting, value)) = set(names) else { return Ok(None) };
        match value.to_ascii_lowercase().as_str() {
            "true" => Ok(Some(setting)),
            "false" => Ok(None),
            _ => Err(Error::Setting { setting, value, expected: "true or false" }),
        }
    };
    let endpoint = set(ENDPOINT).filter(|_| !matches!(asks(IGNORED), Ok(Some(_))));
    for kind in KINDS {
        if let (Some(setting), Some((endpoint, _))) = (asks(kind)?, &endpoint) {
            return Err(Error::Endpoints { setting, endpoint: endpoint.clone() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(environment: &[(&str, &str)], profile: &[(&str, &'static str)]) -> String {
        let of = |pairs: &[(&str, &str)], wanted: &str| {
            pairs.iter().find(|(name, _)| *name == wanted).map(|(_, value)| (*value).to_owned())
        };
        let of_profile = |key: &str| profile.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
        check(|name| of(environment, name), of_profile)
            .map_or_else(|error| error.to_string(), |()| "good".into())
    }

    #[test]
    fn a_value_that_cannot_be_is_told_with_its_setting() {
        assert_eq!(told(&[("AWS_MAX_ATTEMPTS", "3")], &[]), "good");
        assert_eq!(told(&[("AWS_MAX_ATTEMPTS", " ")], &[("max_attempts", "3")]), "good");
        for value in ["abc", "-1", "0", "1.5"] {
            let said = told(&[("AWS_MAX_ATTEMPTS", value)], &[]);
            assert_eq!(said, format!("AWS_MAX_ATTEMPTS is `{value}`, which is not a number from 1 on"));
        }
        let said = told(&[], &[("max_attempts", "many")]);
        assert_eq!(said, "max_attempts of the profile is `many`, which is not a number from 1 on");
        assert!(told(&[("AWS_USE_FIPS_ENDPOINT", "maybe")], &[]).ends_with("which is not true or false"));
    }

    #[test]
    fn another_kind_of_endpoint_beside_a_named_one_is_told_as_the_cause() {
        let endpoint = ("AWS_ENDPOINT_URL", "http://127.0.0.1:4566");
        for (variable, key) in KINDS {
            assert_eq!(told(&[(variable, "true")], &[]), "good");
            assert_eq!(told(&[(variable, "false"), endpoint], &[]), "good");
            let said = told(&[(variable, "True"), endpoint], &[]);
            assert!(said.starts_with(variable) && said.contains("AWS_ENDPOINT_URL names one"), "{said}");
            let said = told(&[], &[(key, "true"), ("endpoint_url", "http://127.0.0.1:4566")]);
            assert!(said.starts_with(key) && said.contains("endpoint_url of the profile"), "{said}");
            let ignored = ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
            assert_eq!(told(&[(variable, "true"), endpoint, ignored], &[]), "good");
        }
    }
}
