//! The registration as it is written without a thought of time: the SDK set up the ordinary way, one call after another.

use aws_sdk_iot::Client;
use aws_sdk_iot::error::ProvideErrorMetadata;
use aws_sdk_iot::types::CertificateStatus;
use jitr::name::{PolicyName, ThingTypeName};
use jitr::policy::PolicyTemplate;
use jitr::scope::Scope;
use jitr::thing_name::{ThingName, ThingNameSource};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
    let client = &Client::new(&config);
    lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| register(client, event.payload))).await
}

async fn register(client: &Client, event: Value) -> Result<Value, Error> {
    let id = event["certificateId"].as_str().ok_or("the event has no certificateId")?;
    let described = client.describe_certificate().certificate_id(id).send().await?;
    let certificate = described.certificate_description.ok_or("no description")?;
    if certificate.status != Some(CertificateStatus::PendingActivation) {
        return Ok(json!({"outcome": "refused", "certificateId": id}));
    }
    let arn = certificate.certificate_arn.ok_or("no ARN")?;
    let pem = certificate.certificate_pem.ok_or("no certificate")?;
    let thing = ThingName::from_certificate_pem(&pem, ThingNameSource::SubjectKeyIdentifier)?;

    let policy = PolicyName::zero_touch();
    match client.get_policy().policy_name(policy.as_str()).send().await {
        Ok(_) => {}
        Err(error) if error.code() == Some("ResourceNotFoundException") => {
            let document = PolicyTemplate::zero_touch()?.fill(&Scope::from_arn(&arn)?)?.to_string();
            client.create_policy().policy_name(policy.as_str()).policy_document(document).send().await?;
        }
        Err(error) => return Err(error.into()),
    }
    client.attach_policy().policy_name(policy.as_str()).target(&arn).send().await?;
    let thing_type = ThingTypeName::zero_touch_kit();
    client.create_thing_type().thing_type_name(thing_type.as_str()).send().await?;
    client.create_thing().thing_name(thing.as_str()).thing_type_name(thing_type.as_str()).send().await?;
    client.attach_thing_principal().thing_name(thing.as_str()).principal(&arn).send().await?;
    client.update_certificate().certificate_id(id).new_status(CertificateStatus::Active).send().await?;
    Ok(json!({"outcome": "registered", "certificateId": id, "thingName": thing.as_str()}))
}
