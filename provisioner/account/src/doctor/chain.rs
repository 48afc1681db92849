//! What is right and wrong about each link between the signer CA and the function, without I/O.

use aws_sdk_iot::types::TopicRule;
use jitr::registration::Settings as Registration;
use jitr::scope::{Arn, Scope};
use serde_json::Value;
use time::OffsetDateTime;

use super::finding::{Finding, Remedy};
use crate::Error as AccountError;
use crate::Resource;
use crate::counted;
use crate::setup::delivery::Feed;
use crate::setup::permission::Audience;
use crate::setup::{
    Action, Link, OtherRule, Settings, function, permission, rule, signer_ca, thing_type, wrong,
};
use device_pki::Certificate;
use device_pki::certificate::rfc3339;

/// What there is to say of a rule that invokes the function.
const DIRECT: &str = "it invokes the function; `setup --delivery queue` puts a queue between, which keeps events for many devices at once";

/// What comes before that, where `setup` does not change the role.
const ROLE_BY_HAND: &str = "the role of the function is not of this tool: it has to allow the queue first, and that command names what is missing";

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
        let finding = Finding::wrong(Resource::SignerCa, id, problems).remedy(Remedy::SetUp).repairable();
        return if namesakes.is_empty() { finding.missing() } else { finding };
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

/// The topic rule. The function `has_own_role` if its role is one that this tool did not make.
pub(super) fn topic_rule(
    name: &str,
    found: Option<&TopicRule>,
    target: &rule::Target,
    feed: Option<&Feed>,
    has_own_role: bool,
) -> Result<Finding, AccountError> {
    let problems = match rule::decide(found, target, feed)? {
        rule::Step::Leave => {
            let equivalents = found.map(rule::equivalents).unwrap_or_default();
            let way = feed.map_or_else(|| DIRECT.to_owned(), ToString::to_string);
            let by_hand = (feed.is_none() && has_own_role).then(|| ROLE_BY_HAND.to_owned());
            let found: Vec<_> = [way].into_iter().chain(by_hand).chain(equivalents.clone()).collect();
            return Ok(match feed {
                Some(Feed { enabled: false, .. }) => {
                    Finding::wrong(Resource::TopicRule, name, found).remedy(Remedy::EnableMapping)
                }
                _ if equivalents.is_empty() => Finding::right(Resource::TopicRule, name, found),
                _ => Finding::notable(Resource::TopicRule, name, found),
            });
        }
        rule::Step::Create(_) => {
            let missing = vec!["does not exist".to_owned()];
            return Ok(Finding::unless(Resource::TopicRule, name, missing).missing());
        }
        rule::Step::Replace(_, changes) => changes,
    };
    Ok(Finding::unless(Resource::TopicRule, name, problems))
}

/// What leads from the rule through the queue to the function.
pub(super) fn of_queue(link: Link) -> Finding {
    let Link { link: resource, name, action, mut details, .. } = link;
    match action {
        Action::Create => {
            let missing = vec!["does not exist".to_owned()];
            Finding::wrong(resource, name, missing).missing().repairable()
        }
        _ => {
            details.sort();
            Finding::unless(resource, name, details)
        }
    }
}

/// Another rule that gets the events of registrations.
pub(super) fn other_rule(rule: &OtherRule) -> Finding {
    let (link, name, found) = (Resource::OtherRule, &rule.name, rule.details());
    match () {
        () if rule.lets_all_in() => Finding::dangerous(link, name, found).repairable(),
        () if rule.only_keeps() => Finding::right(link, name, found),
        // What it is for is not known.
        () if rule.bypasses() => {
            let disable = Remedy::DisableRule { rule: name.clone() };
            Finding::notable(link, name, found).remedy(disable)
        }
        () => Finding::notable(link, name, found),
    }
}

/// The permission of the rule on the function.
pub(super) fn permission(
    policy: Option<&Value>,
    wanted: &permission::Wanted,
    feed: Option<&Feed>,
) -> Finding {
    let (link, name) = (Resource::Permission, &wanted.statement);
    let permission::Doors { audience, is_rule_let_in, wide } = permission::doors(policy, wanted);
    let step = permission::decide(policy, wanted);
    if !is_rule_let_in && feed.is_none() {
        let problem = match step {
            permission::Step::Replace(difference) => format!("the permission {difference}"),
            _ => {
                format!("the function does not let rule {name} of account {} invoke it", wanted.account)
            }
        };
        return Finding::wrong(link, name, vec![problem]).repairable();
    }
    let statements = || format!("statements of the function's policy: {}", wide.join(", "));
    let wide = match audience {
        Audience::Rule if feed.is_none() && matches!(step, permission::Step::Replace(_)) => {
            Finding::notable(link, name, vec!["is not as setup makes it".to_owned()])
        }
        Audience::Nobody | Audience::Rule => {
            let found = feed.map(|feed| format!("not needed: {feed}")).into_iter().collect();
            return Finding::right(link, name, found);
        }
        Audience::Account => {
            let found = "other rules or services of this account may invoke the function, too".to_owned();
            Finding::notable(link, name, vec![found, statements()])
        }
        Audience::Anybody => {
            let found = "other accounts, or anybody, may invoke the function".to_owned();
            Finding::dangerous(link, name, vec![found, statements()])
        }
    };
    match step {
        // Setting up replaces the statement of this tool and no other.
        permission::Step::Replace(_) if feed.is_none() => wide.repairable(),
        _ => wide.remedy(Remedy::NarrowPermission { function: wanted.function.clone() }),
    }
}

/// The function, and what it registers devices with.
pub(super) fn function(
    found: Option<&function::Deployed>,
    settings: &Settings,
    signer: Option<&str>,
) -> (Finding, Option<Registration>) {
    let (link, name) = (Resource::Function, settings.function.as_str());
    let Some(deployed) = found else {
        let missing = Finding::wrong(link, name, vec!["does not exist".to_owned()]).missing();
        return (missing.remedy(Remedy::Deploy), None);
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
    let without_package = Settings { packages: Vec::new(), ..settings.clone() };
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
    let version = deployed.version(None).map(|version| format!(", jitr {version}")).unwrap_or_default();
    let mut found = vec![format!("{runtime}, {}{version}", deployed.architecture)];
    if deployed.variables.is_none() {
        found.push("its variables cannot be read; the defaults are assumed".to_owned());
    }
    if !runtime.starts_with("provided") {
        found.push("is not the function of this tool; whether it registers devices is not known".to_owned());
    }
    if deployed.timeout < function::TIMEOUT {
        found.push(format!("stops after {} s; throttled registrations need more", deployed.timeout));
    }
    match found.len() {
        1 => Finding::right(Resource::Function, name, found),
        _ => Finding::notable(Resource::Function, name, found).remedy(Remedy::Deploy),
    }
}

/// The type of the things. `deprecated` is `None` where it does not exist.
pub(super) fn type_of_things(name: &str, deprecated: Option<bool>) -> Finding {
    let link = Resource::ThingType;
    match deprecated {
        None => Finding::right(link, name, vec!["is created when the first device is registered".to_owned()]),
        Some(false) => Finding::right(link, name, Vec::new()),
        Some(true) => Finding::wrong(link, name, vec![thing_type::DEPRECATED.to_owned()]).repairable(),
    }
}

/// Where events go that failed for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FailedEvents {
    /// Nowhere.
    Lost {
        /// ARN of the destination of events that succeeded.
        succeeded: Option<String>,
        /// Whether anything is set for asynchronous invocations.
        is_configured: bool,
    },
    Kept {
        /// ARN.
        destination: String,
        waiting: Waiting,
    },
}

/// What waits there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// So many events.
    Events(u64),
    /// It is no queue.
    Unknown,
    /// There is no such queue.
    NoQueue,
}

/// Events that failed for good.
pub(super) fn on_failure(
    scope: &Scope,
    function: &str,
    role: Option<&str>,
    failed: &FailedEvents,
) -> Finding {
    let (destination, waiting) = match failed {
        FailedEvents::Kept { destination, waiting } => (destination, waiting),
        FailedEvents::Lost { succeeded, is_configured } => {
            let queue = format!("{function}-failed-events");
            let queue = Arn { service: "sqs", resource: &queue, ..scope.as_arn() }.to_string();
            let (function, role) = (function.to_owned(), role.map(str::to_owned));
            let (succeeded, is_configured) = (succeeded.clone(), *is_configured);
            let add =
                Remedy::AddDestination { function: function.clone(), role, queue, succeeded, is_configured };
            let found = "the function has no on-failure destination: an event that still fails after the last repetition is lost";
            return Finding::notable(Resource::OnFailure, function, vec![found.to_owned()]).remedy(add);
        }
    };
    let name = destination.rsplit(':').next().unwrap_or(destination);
    let (found, remedy) = match waiting {
        Waiting::Events(0) => return Finding::right(Resource::OnFailure, name, vec!["empty".to_owned()]),
        Waiting::NoQueue => {
            let found = "there is no such queue: an event that still fails after the last repetition is lost"
                .to_owned();
            (found, Remedy::CreateQueue { queue: name.to_owned() })
        }
        Waiting::Events(1) => ("1 event waits: its device is not registered".to_owned(), Remedy::ReplayQueue),
        Waiting::Events(waiting) => {
            (format!("{} in the queue of failed events", counted(*waiting, "event")), Remedy::ReplayQueue)
        }
        Waiting::Unknown => {
            ("is no queue: what has arrived there is not looked at".to_owned(), Remedy::Replay)
        }
    };
    Finding::notable(Resource::OnFailure, name, vec![found]).remedy(remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    const RIGHT: signer_ca::Registered =
        signer_ca::Registered { active: true, auto_registration: true, template: false, sni_only: false };

    /// Valid in the years 2000 to 2030.
    fn certificate() -> Certificate {
        let mut params = rcgen::CertificateParams::default();
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        Certificate::read(params.self_signed(&key).unwrap().pem().as_bytes()).unwrap()
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

    fn scope() -> Scope {
        Scope { partition: "aws".into(), region: "us-east-2".into(), account: "123456789012".into() }
    }

    #[test]
    fn failed_events_are_counted_where_they_can_be() {
        let judged = |waiting| {
            let destination = "arn:aws:sqs:us-east-2:123456789012:JITR-failed-events".to_owned();
            on_failure(&scope(), "JITR", Some("JITR-role"), &FailedEvents::Kept { destination, waiting })
        };
        assert_eq!(judged(Waiting::Events(0)).verdict, Verdict::Right);
        let waiting = judged(Waiting::Events(3));
        assert_eq!((waiting.name.as_str(), waiting.verdict), ("JITR-failed-events", Verdict::Notable));
        assert!(waiting.found[0].starts_with("3 events in the queue"), "{waiting:?}");
        assert!(matches!(waiting.remedy, Some(Remedy::ReplayQueue)));
        assert_eq!(judged(Waiting::Unknown).verdict, Verdict::Notable);
        let missing = judged(Waiting::NoQueue).remedy;
        assert!(matches!(&missing, Some(Remedy::CreateQueue { queue }) if queue == "JITR-failed-events"));
        let nowhere = FailedEvents::Lost { succeeded: None, is_configured: false };
        let none = on_failure(&scope(), "JITR", Some("JITR-role"), &nowhere);
        assert!(none.found[0].contains("lost"));
        let queue = "arn:aws:sqs:us-east-2:123456789012:JITR-failed-events";
        assert!(matches!(&none.remedy, Some(Remedy::AddDestination { queue: found, .. }) if found == queue));
    }

    fn to(function: &str) -> rule::Target {
        rule::Target::Function(function.to_owned())
    }

    #[test]
    fn a_missing_function_is_deployed_and_a_missing_rule_made() {
        let (finding, registration) = function(None, &Settings::default(), None);
        assert!(!finding.repairable && matches!(finding.remedy, Some(Remedy::Deploy)));
        assert!(registration.is_none());
        let rule = topic_rule("R", None, &to("arn:f"), None, false).unwrap();
        assert_eq!((rule.verdict, rule.repairable), (Verdict::Wrong, true));
        let foreign =
            topic_rule("R", Some(&TopicRule::builder().sql("SELECT 1").build()), &to("arn:f"), None, false)
                .unwrap();
        assert!(foreign.found[0].contains("SELECT 1"), "{foreign:?}");
    }
}
