//! What `testbed serve --ready` finds done: role, function, rule and permission, with the product's fixed names.

use std::collections::BTreeMap;

use jitr::description::Description;
use jitr::iam::{RoleSettings, lambda_role_policy, lambda_trust_policy};
use jitr::name::{PolicyName, ThingTypeName};
use jitr::scope::Scope;
use serde_json::json;

use super::Error;
use crate::lambda_host::{Configuration, NewFunction, Permission};
use crate::testbed::Testbed;

const FUNCTION: &str = "JITR";
const ROLE_POLICY: &str = "jitr";
const RULE: &str = "ForwardSignedButUnknownDevices";
const RULE_SQL: &str = "SELECT * FROM '$aws/events/certificates/registered/#'";

/// Puts them in place. They are as if they had been there for some time: the function can be invoked at once.
pub(super) fn set_up(testbed: &Testbed, zip: &[u8]) -> Result<(), Error> {
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
                description: &Description::default(),
            },
        )?;
        let trust = lambda_trust_policy().to_string();
        let role = account.create_role(FUNCTION, None, &trust, None, BTreeMap::new())?.clone();
        account.put_role_policy(FUNCTION, ROLE_POLICY, &role_policy.to_string())?;
        account.spread_role(FUNCTION)?;
        (account.role_arn(&role), identity.account_id, account.topic_rule_arn(RULE))
    };
    let runtime = "provided.al2023".to_owned();
    let function = testbed.lambda().create_active(NewFunction {
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
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::iot_core::account::Delays;
    use crate::lambda_host::{Settings, package_of};
    use crate::testbed::Options;

    #[tokio::test]
    async fn the_function_can_be_invoked_at_once_however_long_roles_and_functions_take() {
        let day = Duration::from_secs(24 * 3600);
        let options = Options {
            delays: Delays { role_propagation: day, ..Delays::default() },
            lambda: Settings { settling: day, ..Settings::default() },
            ..Options::default()
        };
        let testbed = Testbed::start(options).await.unwrap();
        let program = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(program.path(), "#!/bin/sh\n").unwrap();
        set_up(&testbed, &package_of(program.path()).unwrap()).unwrap();
        let function = testbed.lambda().function(FUNCTION).unwrap();
        assert_eq!((function.state(), function.last_update_status()), ("Active", "Successful"));
        assert!(testbed.account().lambda_can_assume(&function.configuration.role));
    }
}
