//! Every link of the chain, broken as an operator could break it.

use aws_sdk_iot::types::{AutoRegistrationStatus, CaCertificateStatus, RegistrationConfig};
use aws_sdk_lambda::types::Environment;
use testbed::wait;

use super::{FUNCTION, POLICY, REFUSING, ROLE, RULE, Stage, THING_TYPE};

/// Something to break.
pub(super) struct Break {
    pub(super) what: &'static str,
    pub(super) link: &'static str,
    pub(super) repairable: bool,
}

const fn repaired(what: &'static str, link: &'static str) -> Break {
    Break { what, link, repairable: true }
}

const fn by_hand(what: &'static str, link: &'static str) -> Break {
    Break { what, link, repairable: false }
}

pub(super) const BREAKS: &[Break] = &[
    repaired("rule disabled", "topic_rule"),
    repaired("rule deleted", "topic_rule"),
    repaired("permission removed", "permission"),
    repaired("role policy removed", "role"),
    repaired("role not for Lambda", "role"),
    repaired("CA inactive", "signer_ca"),
    repaired("auto-registration off", "signer_ca"),
    repaired("provisioning template", "signer_ca"),
    repaired("CA deleted", "signer_ca"),
    repaired("thing type deprecated", "thing_type"),
    by_hand("environment wrong", "function"),
    by_hand("device policy refuses to connect", "device_policy"),
];

pub(super) async fn break_link(stage: &Stage, what: &str, signer: &str) {
    let (iot, lambda, iam) = (stage.iot(), stage.lambda(), stage.iam());
    match what {
        "rule disabled" => drop(iot.disable_topic_rule().rule_name(RULE).send().await.unwrap()),
        "rule deleted" => drop(iot.delete_topic_rule().rule_name(RULE).send().await.unwrap()),
        "permission removed" => {
            lambda.remove_permission().function_name(FUNCTION).statement_id(RULE).send().await.unwrap();
        }
        "role policy removed" => {
            iam.delete_role_policy().role_name(ROLE).policy_name("jitr").send().await.unwrap();
        }
        "role not for Lambda" => {
            let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
            iam.update_assume_role_policy().role_name(ROLE).policy_document(trust).send().await.unwrap();
        }
        "provisioning template" => {
            let template = RegistrationConfig::builder()
                .template_body(r#"{"Resources":{}}"#)
                .role_arn("arn:aws:iam::123456789012:role/others");
            let update = iot.update_ca_certificate().certificate_id(signer);
            update.registration_config(template.build()).send().await.unwrap();
        }
        "CA inactive" => {
            let update = iot.update_ca_certificate().certificate_id(signer);
            update.new_status(CaCertificateStatus::Inactive).send().await.unwrap();
        }
        "auto-registration off" => {
            let update = iot.update_ca_certificate().certificate_id(signer);
            update.new_auto_registration_status(AutoRegistrationStatus::Disable).send().await.unwrap();
        }
        "CA deleted" => {
            let update = iot.update_ca_certificate().certificate_id(signer);
            update.new_status(CaCertificateStatus::Inactive).send().await.unwrap();
            iot.delete_ca_certificate().certificate_id(signer).send().await.unwrap();
        }
        "thing type deprecated" => {
            iot.create_thing_type().thing_type_name(THING_TYPE).send().await.unwrap();
            iot.deprecate_thing_type().thing_type_name(THING_TYPE).send().await.unwrap();
        }
        "environment wrong" => configure(&lambda, &[("THING_NAME_SOURCE", "SKI")]).await,
        "device policy refuses to connect" => {
            iot.create_policy().policy_name(POLICY).policy_document(REFUSING).send().await.unwrap();
        }
        other => panic!("unknown: {other}"),
    }
}

/// What `doctor` leaves to the user.
pub(super) async fn restore(stage: &Stage, what: &str) {
    match what {
        "environment wrong" => configure(&stage.lambda(), &[]).await,
        "device policy refuses to connect" => {
            stage.iot().delete_policy().policy_name(POLICY).send().await.unwrap();
        }
        other => panic!("unknown: {other}"),
    }
}

pub(crate) async fn configure(lambda: &aws_sdk_lambda::Client, variables: &[(&str, &str)]) {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let environment = Environment::builder().set_variables(Some(variables)).build();
    lambda
        .update_function_configuration()
        .function_name(FUNCTION)
        .environment(environment)
        .send()
        .await
        .unwrap();
    wait::found("the end of the function's update", async || {
        let found = lambda.get_function_configuration().function_name(FUNCTION).send().await.unwrap();
        found.last_update_status().is_none_or(|status| status.as_str() != "InProgress").then_some(())
    })
    .await
    .unwrap();
}
