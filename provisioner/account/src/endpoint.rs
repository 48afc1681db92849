//! Where boards connect: the account's device endpoint.

use super::{Account, Error};

/// The device endpoint of the vendor's public account. Its settings are shared by all users; this tool does not change them.
pub const SANDBOX_ENDPOINT: &str = "a1gqt8sttiign3.iot.us-east-2.amazonaws.com";

/// The host name that boards of this account connect to (`DescribeEndpoint`, `iot:Data-ATS`).
///
/// # Errors
/// [`Error::Sandbox`] for the vendor's public account; otherwise what the call ends in.
pub async fn endpoint(account: &Account) -> Result<String, Error> {
    const ACTION: &str = "iot:DescribeEndpoint";
    let answer = account
        .iot()
        .describe_endpoint()
        .endpoint_type("iot:Data-ATS")
        .send()
        .await
        .map_err(account.failed(ACTION))?;
    let host = answer.endpoint_address.ok_or(Error::Incomplete { action: ACTION, what: "the endpoint" })?;
    check(without_port(host))
}

/// AWS gives a host name alone. Stand-ins on this computer add the port of their HTTP side; boards use 8883 in any case.
fn without_port(host: String) -> String {
    match host.split_once(':') {
        Some((name, _)) => name.to_owned(),
        None => host,
    }
}

/// The vendor's account has the same name before `-ats` in both forms of its endpoint.
fn check(host: String) -> Result<String, Error> {
    let name = |host: &str| host.split('.').next().unwrap_or_default().trim_end_matches("-ats").to_owned();
    if name(&host) == name(SANDBOX_ENDPOINT) { Err(Error::Sandbox { endpoint: host }) } else { Ok(host) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_is_a_host_name_alone() {
        assert_eq!(
            without_port("a1-ats.iot.us-east-1.localhost:4566".to_owned()),
            "a1-ats.iot.us-east-1.localhost"
        );
        assert_eq!(
            without_port("a1-ats.iot.us-east-1.amazonaws.com".to_owned()),
            "a1-ats.iot.us-east-1.amazonaws.com"
        );
    }

    #[test]
    fn the_vendors_account_is_refused_in_both_forms_of_its_endpoint() {
        for host in [SANDBOX_ENDPOINT, "a1gqt8sttiign3-ats.iot.us-east-2.amazonaws.com"] {
            assert!(matches!(check(host.to_owned()), Err(Error::Sandbox { .. })), "{host}");
        }
        let own = "a2b3c4d5e6f7g8-ats.iot.us-east-2.amazonaws.com";
        assert_eq!(check(own.to_owned()).unwrap(), own);
    }
}
