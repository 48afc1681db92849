//! What `testbed serve --ready` finds done: role, function, rule and permission, with the product's fixed names.

use std::collections::BTreeMap;

use jitr::iam::{RoleSettings, lambda_role_policy, lambda_trust_policy};
use jitr::name::{PolicyName, ThingTypeName};
use jitr::scope::Scope;
use serde_json::json;

use super::Error;
use crate::lambda_host::{Configuration, NewFunction, Permission};
use crate::testbed::Testbed;
use crate::wait;

const FUNCTION: &str = "JITR";
const ROLE_POLICY: &str = "jitr";
const RULE: &str = "ForwardSignedButUnknownDevices";
const RULE_SQL: &str = "SELECT * FROM '$aws/events/certificates/registered/#'";

/// Puts them in place and returns when the function can be invoked.
pub(super) async fn set_up(testbed: &Testbed, zip: &[u8]) -> Result<(), Error> {
    let (role, account_id, rule_arn) = {
        let mut account = testbed.account();
        let identity = account.identity().clone();
        let role_policy = lambda_role_policy(
            &Scope {
                partition: identity.partition().to_owned(),
                region: identity.region,
                account: identity.account_id.clone(),
            },
            &RoleSettings {
                function: FUNCTION,
                policy: &PolicyName::zero_touch(),
                thing_type: &ThingTypeName::zero_touch_kit(),
                thing_group: None,
            },
        )?;
        let trust = lambda_trust_policy().to_string();
        let role = account.create_role(FUNCTION, None, &trust, None, BTreeMap::new())?.clone();
        account.put_role_policy(FUNCTION, ROLE_POLICY, &role_policy.to_string())?;
        (account.role_arn(&role), identity.account_id, account.topic_rule_arn(RULE))
    };
    wait::found("a role that the function can assume", async || {
        testbed.account().lambda_can_assume(&role).then_some(())
    })
    .await?;
    let runtime = "provided.al2023".to_owned();
    let function = testbed.lambda().create(NewFunction {
        name: FUNCTION.to_owned(),
        zip: zip.to_owned(),
        configuration: Configuration { runtime, role, timeout: 30, ..Configuration::default() },
        architecture: if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" }.to_owned(),
        tags: BTreeMap::new(),
    })?;
    testbed.lambda().add_permission(
        FUNCTION,
        Permission {
            statement_id: RULE.to_owned(),
            qualifier: None,
            action: "lambda:InvokeFunction".to_owned(),
            principal: "iot.amazonaws.com".to_owned(),
            source_arn: Some(rule_arn),
            source_account: Some(account_id),
        },
    )?;
    let action = json!({ "lambda": { "functionArn": function.arn } });
    let rule = json!({ "sql": RULE_SQL, "awsIotSqlVersion": "2016-03-23", "actions": [action] });
    testbed.account().create_topic_rule(RULE, rule)?;
    let function = wait::found("an active function", async || match testbed.lambda().function(FUNCTION) {
        Ok(function) => (function.state() == "Active").then_some(Ok(())),
        Err(error) => Some(Err(error)),
    });
    Ok(function.await??)
}
