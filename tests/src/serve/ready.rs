//! What `testbed serve --ready` finds done: role, function, rule and permission, with the product's fixed names.

use std::collections::BTreeMap;

use serde_json::json;

use super::Error;
use crate::lambda_host::{Configuration, NewFunction, Permission};
use crate::testbed::Testbed;

const FUNCTION: &str = "JITR";
const RULE: &str = "ForwardSignedButUnknownDevices";
const RULE_SQL: &str = "SELECT * FROM '$aws/events/certificates/registered/#'";

/// Puts them in place and returns when the function can be invoked.
pub(super) async fn set_up(testbed: &Testbed, zip: &[u8]) -> Result<(), Error> {
    let trust = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow",
        "Principal": { "Service": "lambda.amazonaws.com" },
        "Action": "sts:AssumeRole",
    }]});
    let (role, account_id, rule_arn) = {
        let mut account = testbed.account();
        let role = account.create_role(FUNCTION, None, &trust.to_string(), None, BTreeMap::new())?.clone();
        (account.role_arn(&role), account.identity().account_id.clone(), account.topic_rule_arn(RULE))
    };
    while !testbed.account().lambda_can_assume(&role) {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
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
            action: "lambda:InvokeFunction".to_owned(),
            principal: "iot.amazonaws.com".to_owned(),
            source_arn: Some(rule_arn),
            source_account: Some(account_id),
        },
    )?;
    let action = json!({ "lambda": { "functionArn": function.arn } });
    testbed.account().create_topic_rule(RULE, json!({ "sql": RULE_SQL, "actions": [action] }))?;
    while testbed.lambda().function(FUNCTION)?.state() != "Active" {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    Ok(())
}
