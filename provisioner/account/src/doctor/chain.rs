//! What is right and wrong about each link between the signer CA and the function, without I/O.

use aws_sdk_iot::types::TopicRule;
use jitr::policy::MAX_DOCUMENT_SIZE;
use jitr::registration::Settings as Registration;
use jitr::scope::Scope;
use serde_json::Value;
use time::OffsetDateTime;

use super::finding::{Finding, Remedy};
use crate::Error as AccountError;
use crate::Resource;
use crate::counted;
use crate::policy_evaluation::allows;
use crate::setup::delivery::Feed;
use crate::setup::{Settings, function, permission, rule, signer_ca, wrong};
use device_pki::Certificate;
use device_pki::certificate::rfc3339;

/// Where a device's policy names the device itself.
const ITSELF: &str = "client/${iot:Connection.Thing.ThingName}";

/// Another CA of the account that has the signer's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Namesake {
    pub(super) id: String,
    /// Whether it has the signer's key, too.
    pub(super) same_key: bool,
}

/// The signer CA on this computer, and the same in the account.
pub(super) fn signer(
    signer: &Certificate,
    found: Option<signer_ca::Registered>,
    namesakes: &[Namesake],
    now: OffsetDateTime,
) -> Finding {
    let id = &signer.facts().certificate_id;
    let Some(registered) = found else {
        let mut problems = vec!["is not registered in this account and Region".to_owned()];
        problems.extend(namesakes.iter().map(|other| match other.same_key {
            true => format!("CA {} has its name and its key, but is another certificate", other.id),
            false => format!(
                "CA {} has its name, but another key: boards signed by that one belong to it",
                other.id
            ),
        }));
        return Finding::wrong(Resource::SignerCa, id, problems).remedy(Remedy::SetUp).repairable();
    };
    let problems = wrong(&[
        (!registered.active, "is inactive"),
        (!registered.auto_registration, "does not register devices by itself (auto-registration is off)"),
        (registered.template, "has a provisioning template, so AWS publishes no event"),
    ]);
    let end = signer.facts().not_after;
    if !signer.is_valid_at(now) {
        return Finding::wrong(Resource::SignerCa, id, vec![format!("expired on {}", rfc3339(end))])
            .remedy(Remedy::ReplaceCa);
    }
    if problems.is_empty() && signer.ends_soon(now) {
        return Finding::notable(Resource::SignerCa, id, vec![format!("expires on {}", rfc3339(end))]);
    }
    if problems.is_empty() && registered.sni_only {
        let found = vec!["other accounts may have it, too: boards have to send the server name".to_owned()];
        return Finding::right(Resource::SignerCa, id, found);
    }
    Finding::unless(Resource::SignerCa, id, problems)
}

/// The topic rule.
pub(super) fn topic_rule(
    name: &str,
    found: Option<&TopicRule>,
    function_arn: &str,
    feed: Option<&Feed>,
) -> Result<Finding, AccountError> {
    let problems = match rule::decide(found, function_arn, feed)? {
        rule::Step::Leave => {
            let found = feed.map(ToString::to_string).into_iter().collect();
            return Ok(match feed {
                Some(Feed { enabled: false, .. }) => {
                    Finding::wrong(Resource::TopicRule, name, found).remedy(Remedy::EnableMapping)
                }
                _ => Finding::right(Resource::TopicRule, name, found),
            });
        }
        rule::Step::Create(_) => vec!["does not exist".to_owned()],
        rule::Step::Replace(_, changes) => changes,
    };
    Ok(Finding::unless(Resource::TopicRule, name, problems))
}

/// The permission of the rule on the function.
pub(super) fn permission(
    policy: Option<&Value>,
    wanted: &permission::Wanted,
    feed: Option<&Feed>,
) -> Finding {
    if let Some(feed) = feed {
        return Finding::right(Resource::Permission, &wanted.statement, vec![format!("not needed: {feed}")]);
    }
    let problems = match permission::decide(policy, wanted) {
        permission::Step::Leave => Vec::new(),
        permission::Step::Add => {
            vec![format!(
                "the function does not let rule {} of account {} invoke it",
                wanted.statement, wanted.account
            )]
        }
        permission::Step::Replace(difference) => vec![format!("the permission {difference}")],
    };
    Finding::unless(Resource::Permission, &wanted.statement, problems)
}

/// The function, and what it registers devices with.
pub(super) fn function(
    found: Option<&function::Deployed>,
    settings: &Settings,
    signer: Option<&str>,
) -> (Finding, Option<Registration>) {
    let (link, name) = (Resource::Function, settings.function.as_str());
    let Some(deployed) = found else {
        return (Finding::wrong(link, name, vec!["does not exist".to_owned()]).remedy(Remedy::Deploy), None);
    };
    if let Some(reason) = deployed.broken() {
        return (
            Finding::wrong(link, name, vec![format!("cannot run: {reason}")]).remedy(Remedy::Deploy),
            None,
        );
    }
    let registration = match jitr::config::settings(|name| deployed.variable(name).map(str::to_owned)) {
        Ok(registration) => registration,
        Err(error) => {
            return (
                Finding::wrong(link, name, vec![format!("its environment: {error}")])
                    .remedy(Remedy::MendVariable),
                None,
            );
        }
    };
    let without_package = Settings { package: None, ..settings.clone() };
    let finding = match function::decide(found, &without_package, None, signer) {
        Ok(function::Step::Change { changes, .. }) => Finding::unless(link, name, changes),
        Err(error) => Finding::wrong(link, name, vec![error.to_string()]),
        Ok(_) if deployed.busy => {
            Finding::wrong(link, name, vec!["is still being made or updated".into()]).remedy(Remedy::Wait)
        }
        Ok(_) => running(deployed, name),
    };
    (finding, Some(registration))
}

/// A function that runs, with what there is to say about how.
fn running(deployed: &function::Deployed, name: &str) -> Finding {
    let runtime = deployed.runtime.as_ref().map_or("a container image", |runtime| runtime.as_str());
    let mut found = vec![format!("{runtime}, {}", deployed.architecture)];
    if deployed.variables.is_none() {
        found.push("its variables cannot be read; the defaults are assumed".to_owned());
    }
    if !runtime.starts_with("provided") {
        found.push("is not the function of this tool; whether it registers devices is not known".to_owned());
    }
    if deployed.timeout < function::SHORTEST_TIMEOUT {
        found.push(format!("stops after {} s; throttled registrations need more", deployed.timeout));
    }
    match found.len() {
        1 => Finding::right(Resource::Function, name, found),
        _ => Finding::notable(Resource::Function, name, found).remedy(Remedy::Deploy),
    }
}

/// The policy that devices get. `stored` is its document, if it exists.
pub(super) fn device_policy(settings: &Registration, scope: &Scope, stored: Option<&str>) -> Finding {
    let (link, name) = (Resource::DevicePolicy, settings.policy.as_str());
    let wanted = match settings.policy_template.fill(scope) {
        Ok(wanted) => wanted,
        Err(error) if stored.is_none() => {
            return Finding::wrong(link, name, vec![format!("cannot be created: {error}")])
                .remedy(Remedy::ShortenPolicy);
        }
        Err(error) => return Finding::notable(link, name, vec![error.to_string()]),
    };
    let Some(stored) = stored else {
        return Finding::right(link, name, vec!["is created when the first device is registered".to_owned()]);
    };
    if wanted.is_same_as(stored) {
        let size = format!("{} of {MAX_DOCUMENT_SIZE} characters", wanted.size());
        return Finding::right(link, name, vec![size]);
    }
    let document: Value =
        serde_json::from_str(&stored.replace("${iot:ClientId}", "${iot:Connection.Thing.ThingName}"))
            .unwrap_or_default();
    let found =
        vec!["its default version is another document than the expected one; it is used as it is".to_owned()];
    if allows(&[document], "iot:Connect", &scope.arn(ITSELF)) {
        return Finding::notable(link, name, found);
    }
    let found = [found, vec!["it does not let a device connect under its thing name".to_owned()]].concat();
    Finding::wrong(link, name, found).remedy(Remedy::ReplacePolicy)
}

/// The type of the things. `deprecated` is `None` where it does not exist.
pub(super) fn thing_type(name: &str, deprecated: Option<bool>) -> Finding {
    let link = Resource::ThingType;
    match deprecated {
        None => Finding::right(link, name, vec!["is created when the first device is registered".to_owned()]),
        Some(false) => Finding::right(link, name, Vec::new()),
        Some(true) => {
            let found = vec!["is deprecated: no new thing can have it".to_owned()];
            Finding::wrong(link, name, found).repairable()
        }
    }
}

/// Where events go that failed for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FailedEvents {
    /// ARN.
    pub(super) destination: String,
    /// How many wait, if it is a queue.
    pub(super) waiting: Option<u64>,
}

/// Events that failed for good.
pub(super) fn on_failure(function: &str, failed: Option<&FailedEvents>) -> Finding {
    let Some(FailedEvents { destination, waiting }) = failed else {
        let found = "the function has no on-failure destination: an event that still fails after the last repetition is lost";
        return Finding::notable(Resource::OnFailure, function, vec![found.to_owned()])
            .remedy(Remedy::AddDestination);
    };
    let name = destination.rsplit(':').next().unwrap_or(destination);
    let (found, remedy) = match waiting {
        Some(0) => return Finding::right(Resource::OnFailure, name, vec!["empty".to_owned()]),
        Some(1) => ("1 event waits: its device is not registered".to_owned(), Remedy::ReplayQueue),
        Some(waiting) => {
            (format!("{} in the queue of failed events", counted(*waiting, "event")), Remedy::ReplayQueue)
        }
        None => ("is no queue: what has arrived there is not looked at".to_owned(), Remedy::Replay),
    };
    Finding::notable(Resource::OnFailure, name, vec![found]).remedy(remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    const RIGHT: signer_ca::Registered =
        signer_ca::Registered { active: true, auto_registration: true, template: false, sni_only: false };

    fn scope() -> Scope {
        Scope { partition: "aws".into(), region: "us-east-2".into(), account: "123456789012".into() }
    }

    /// Valid in the years 2000 to 2030.
    fn certificate() -> Certificate {
        let mut params = rcgen::CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        Certificate::from_pem(params.self_signed(&key).unwrap().pem().as_bytes()).unwrap()
    }

    fn in_year(year: i32) -> OffsetDateTime {
        rcgen::date_time_ymd(year, 6, 1)
    }

    #[test]
    fn a_signer_is_wrong_for_each_reason_that_keeps_devices_out() {
        let found = |registered| signer(&certificate(), Some(registered), &[], in_year(2026));
        assert_eq!(found(RIGHT).verdict, Verdict::Right);
        for (registered, says) in [
            (signer_ca::Registered { active: false, ..RIGHT }, "inactive"),
            (signer_ca::Registered { auto_registration: false, ..RIGHT }, "auto-registration"),
            (signer_ca::Registered { template: true, ..RIGHT }, "no event"),
        ] {
            let finding = found(registered);
            assert_eq!((finding.verdict, finding.repairable), (Verdict::Wrong, true));
            assert!(finding.found[0].contains(says), "{finding:?}");
        }
    }

    #[test]
    fn a_signer_that_expired_cannot_be_repaired_and_one_that_soon_will_is_worth_a_note() {
        let at = |now| signer(&certificate(), Some(RIGHT), &[], now);
        let expired = at(in_year(2031));
        assert_eq!((expired.verdict, expired.repairable), (Verdict::Wrong, false));
        assert_eq!(at(rcgen::date_time_ymd(2029, 12, 1)).verdict, Verdict::Notable);
    }

    #[test]
    fn a_signer_that_is_not_registered_is_told_from_its_namesakes() {
        let other = |same_key| Namesake { id: "2e".into(), same_key };
        let finding = signer(&certificate(), None, &[other(true), other(false)], in_year(2026));
        assert!(finding.repairable);
        assert!(
            finding.found[1].contains("its key") && finding.found[2].contains("another key"),
            "{finding:?}"
        );
    }

    #[test]
    fn a_device_policy_may_be_another_as_long_as_a_device_can_connect() {
        let settings = Registration::zero_touch().unwrap();
        let expected = settings.policy_template.fill(&scope()).unwrap().to_string();
        let judged = |stored: Option<&str>| device_policy(&settings, &scope(), stored).verdict;
        assert_eq!(judged(None), Verdict::Right);
        assert_eq!(judged(Some(expected.as_str())), Verdict::Right);
        let allow = |action: &str, resource: &str| {
            format!(
                r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"{action}","Resource":"{resource}"}}]}}"#
            )
        };
        let by_client_id = "arn:aws:iot:us-east-2:123456789012:client/${iot:ClientId}";
        assert_eq!(judged(Some(&allow("iot:*", "*"))), Verdict::Notable);
        assert_eq!(judged(Some(&allow("iot:Connect", by_client_id))), Verdict::Notable);
        assert_eq!(judged(Some(&allow("iot:Publish", "*"))), Verdict::Wrong);
        assert_eq!(judged(Some("nonsense")), Verdict::Wrong);
    }

    #[test]
    fn failed_events_are_counted_where_they_can_be() {
        let judged = |waiting| {
            let destination = "arn:aws:sqs:us-east-2:123456789012:JITR-failed-events".to_owned();
            on_failure("JITR", Some(&FailedEvents { destination, waiting }))
        };
        assert_eq!(judged(Some(0)).verdict, Verdict::Right);
        let waiting = judged(Some(3));
        assert_eq!((waiting.name.as_str(), waiting.verdict), ("JITR-failed-events", Verdict::Notable));
        assert!(waiting.found[0].starts_with("3 events in the queue"), "{waiting:?}");
        assert!(matches!(waiting.remedy, Some(Remedy::ReplayQueue)));
        assert_eq!(judged(None).verdict, Verdict::Notable);
        assert!(on_failure("JITR", None).found[0].contains("lost"));
    }

    #[test]
    fn a_missing_function_is_deployed_and_a_missing_rule_made() {
        let (finding, registration) = function(None, &Settings::default(), None);
        assert!(!finding.repairable && matches!(finding.remedy, Some(Remedy::Deploy)));
        assert!(registration.is_none());
        let rule = topic_rule("R", None, "arn:f", None).unwrap();
        assert_eq!((rule.verdict, rule.repairable), (Verdict::Wrong, true));
        let foreign =
            topic_rule("R", Some(&TopicRule::builder().sql("SELECT 1").build()), "arn:f", None).unwrap();
        assert!(foreign.found[0].contains("SELECT 1"), "{foreign:?}");
    }
}
