//! The role of the function: whether AWS Lambda may assume it, and whether it allows every call that the function makes.

use jitr::scope::Scope;
use serde_json::Value;

use super::finding::Finding;
use crate::Account;
use crate::Resource;
use crate::setup::role::granted::{self, Granted};
use crate::setup::role::{LAMBDA, trusts};
use crate::setup::{Settings, admission_policy, delivery, function, role_policy};

/// Without these the function works, but its log is missing.
const LOGS: &str = "logs:";

/// Looks at the role that the function has; `takes` if it takes events from the queue that this tool makes.
pub(super) async fn examine(
    account: &Account,
    scope: &Scope,
    settings: &Settings,
    deployed: &function::Deployed,
    takes: bool,
) -> Finding {
    // `arn:aws:iam::123456789012:role/path/NAME`
    let name = deployed.role.rsplit('/').next().unwrap_or(&deployed.role);
    let needed = match role_policy(scope, settings, Some(deployed)) {
        Ok(needed) => {
            let queues = delivery::function_policies(scope, &settings.function);
            let queues = queues.into_iter().filter(|_| takes).map(|(_, policy)| policy);
            let admission = admission_policy(scope, settings, Some(deployed)).map(|(_, policy)| policy);
            [needed].into_iter().chain(queues).chain(admission).collect::<Vec<_>>()
        }
        Err(error) => return Finding::unread(Resource::Role, name, error.into()),
    };
    match granted::find(account, name).await {
        Ok(role) => judge(name, role.as_ref(), &needed),
        Err(error) => Finding::unread(Resource::Role, name, error),
    }
}

fn judge(name: &str, role: Option<&Granted>, needed: &[Value]) -> Finding {
    let Some(role) = role else {
        return Finding::wrong(Resource::Role, name, vec!["does not exist".to_owned()]).repairable();
    };
    let missing = role
        .missing(needed)
        .map(|(action, resource)| (action, format!("does not allow {action} on {resource}")));
    let (logs, calls): (Vec<_>, Vec<_>) = missing.partition(|(action, _)| action.starts_with(LOGS));
    let text = |missing: Vec<(&str, String)>| missing.into_iter().map(|(_, text)| text).collect::<Vec<_>>();
    if !trusts(&role.trust, LAMBDA) {
        let found = [vec!["Lambda may not take it".to_owned()], text(calls)].concat();
        return Finding::wrong(Resource::Role, name, found).repairable();
    }
    if calls.is_empty() {
        return match logs.is_empty() {
            true => Finding::right(Resource::Role, name, Vec::new()),
            false => Finding::notable(Resource::Role, name, text(logs)),
        };
    }
    let mut found = text(calls);
    if !role.unread.is_empty() {
        found.push(format!("not looked at: {}", role.unread.join(", ")));
    }
    Finding::wrong(Resource::Role, name, found).repairable()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;
    use jitr::description::Description;
    use jitr::iam::{RoleSettings, lambda_role_policy, lambda_trust_policy};
    use jitr::name::{PolicyName, ThingTypeName};
    use serde_json::json;

    fn needed() -> Value {
        let scope =
            Scope { partition: "aws".into(), region: "us-east-2".into(), account: "123456789012".into() };
        let settings = RoleSettings {
            function: "JITR",
            policy: &PolicyName::zero_touch(),
            thing_type: &ThingTypeName::zero_touch_kit(),
            description: &Description::default(),
        };
        lambda_role_policy(&scope, &settings).unwrap()
    }

    fn role(documents: Vec<Value>) -> Granted {
        Granted {
            trust: lambda_trust_policy(),
            documents,
            account: "123456789012".to_owned(),
            ..Granted::default()
        }
    }

    #[test]
    fn a_role_with_the_functions_policy_or_a_wider_one_is_right() {
        let wide =
            json!({"Statement": [{"Effect": "Allow", "Action": ["iot:*", "logs:*"], "Resource": "*"}]});
        for documents in [vec![needed()], vec![wide]] {
            assert_eq!(judge("r", Some(&role(documents)), &[needed()]).verdict, Verdict::Right);
        }
    }

    #[test]
    fn a_call_that_is_not_allowed_is_named_with_its_resource() {
        let mut narrow = needed();
        narrow["Statement"].as_array_mut().unwrap().retain(|statement| statement["Sid"] != "DevicePolicy");
        let finding = judge("r", Some(&role(vec![narrow])), &[needed()]);
        assert_eq!(finding.verdict, Verdict::Wrong);
        let policy = "arn:aws:iot:us-east-2:123456789012:policy/zt_policy";
        assert_eq!(
            finding.found,
            ["iot:GetPolicy", "iot:CreatePolicy", "iot:TagResource"]
                .map(|action| format!("does not allow {action} on {policy}"))
        );
    }

    #[test]
    fn a_list_that_is_read_in_buckets_of_the_own_account_alone_is_read() {
        let scope =
            Scope { partition: "aws".into(), region: "us-east-2".into(), account: "123456789012".into() };
        let settings = Settings {
            admission: Some(crate::setup::Admission::By {
                key: device_pki::admission_list::AdmissionKey([4; 65]),
                list: "s3://lists/a".into(),
                mode: None,
            }),
            ..Settings::default()
        };
        let (_, list) = admission_policy(&scope, &settings, None).unwrap();
        let needed = [needed(), list.clone()];
        let of = |documents| judge("r", Some(&role(documents)), &needed).verdict;
        assert_eq!(of(needed.to_vec()), Verdict::Right);
        let mut elsewhere = list;
        elsewhere["Statement"][0]["Condition"]["StringEquals"]["aws:ResourceAccount"] = json!("210987654321");
        assert_eq!(of(vec![needed[0].clone(), elsewhere]), Verdict::Wrong);
    }

    #[test]
    fn without_trust_or_role_nothing_runs_and_without_logs_it_runs_unseen() {
        let untrusted = Granted { trust: json!({}), ..role(vec![needed()]) };
        assert_eq!(judge("r", Some(&untrusted), &[needed()]).found, ["Lambda may not take it"]);
        assert_eq!(judge("r", None, &[needed()]).found, ["does not exist"]);
        let mut silent = needed();
        silent["Statement"].as_array_mut().unwrap().retain(|statement| statement["Sid"] != "Logs");
        assert_eq!(judge("r", Some(&role(vec![silent])), &[needed()]).verdict, Verdict::Notable);
    }
}
