//! The registry that is AWS IoT, through its SDK.

use aws_sdk_iot::Client;
use aws_sdk_iot::config::http::HttpResponse;
use aws_sdk_iot::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_iot::types::{AttributePayload, CertificateStatus as SdkStatus, Tag, ThingPrincipalType};

use super::pages::{Unread, items};
use super::{
    Attachment, CertificateDescription, CertificateStatus, ErrorKind, Operation, Registry, RegistryError,
    Result, StoredPolicy, ThingType,
};
use crate::description::Described;
use crate::name::{PolicyName, ThingGroupName, ThingTypeName};
use crate::policy::PolicyDocument;

/// Key of the tag on every policy and thing type that is created; its value names the tool. Neither belongs to one CA, so
/// that they name none.
pub const CREATED_BY: &str = "zero-touch:created-by";

/// Value of [`CREATED_BY`] on what the Lambda function creates.
pub const FUNCTION: &str = "jitr";

/// AWS IoT behind a client. Time-outs are the client's; its own retries should be off where
/// [`Retrying`](super::retry::Retrying) asks again.
#[derive(Debug, Clone)]
pub struct AwsRegistry {
    client: Client,
    tool: &'static str,
}

impl AwsRegistry {
    /// A registry that calls AWS through `client`. What it creates carries the name of the `tool` as a tag.
    pub fn new(client: Client, tool: &'static str) -> Self {
        Self { client, tool }
    }

    /// The tag is part of the creation and needs no call; it needs the permission `iot:TagResource`.
    fn tags(&self) -> Option<Vec<Tag>> {
        // Building fails only without a key.
        Tag::builder().key(CREATED_BY).value(self.tool).build().ok().map(|tag| vec![tag])
    }
}

impl Registry for AwsRegistry {
    async fn describe_certificate(&self, id: &str) -> Result<CertificateDescription> {
        let operation = Operation::DescribeCertificate;
        let answer = self.client.describe_certificate().certificate_id(id).send().await;
        let description = answer
            .map_err(|e| failure(operation, e))?
            .certificate_description
            .ok_or_else(|| incomplete(operation, "certificateDescription"))?;
        let status = description.status.ok_or_else(|| incomplete(operation, "status"))?;
        Ok(CertificateDescription {
            arn: description.certificate_arn.ok_or_else(|| incomplete(operation, "certificateArn"))?,
            status: CertificateStatus::from_name(status.as_str()).ok_or_else(|| {
                other(operation, format!("the certificate has the unknown status {:?}", status.as_str()))
            })?,
            changed: description.last_modified_date.and_then(|changed| changed.try_into().ok()),
            ca_certificate_id: description.ca_certificate_id,
            pem: description.certificate_pem.ok_or_else(|| incomplete(operation, "certificatePem"))?,
        })
    }

    async fn create_thing(
        &self,
        thing: &str,
        thing_type: &ThingTypeName,
        described: &Described,
    ) -> Result<()> {
        let Described { attributes, billing_group, .. } = described;
        let attributes = attributes.iter().map(|(name, value)| (name.to_string(), value.clone()));
        let payload = AttributePayload::builder().set_attributes(Some(attributes.collect())).build();
        let payload = (!described.attributes.is_empty()).then_some(payload);
        let call = self.client.create_thing().thing_name(thing).thing_type_name(thing_type.as_str());
        let call = call.set_attribute_payload(payload);
        let call = call.set_billing_group_name(billing_group.as_ref().map(ToString::to_string));
        call.send().await.map(drop).map_err(|e| failure(Operation::CreateThing, e))
    }

    async fn describe_thing_type(&self, thing_type: &ThingTypeName) -> Result<ThingType> {
        let call = self.client.describe_thing_type().thing_type_name(thing_type.as_str());
        let answer = call.send().await.map_err(|e| failure(Operation::DescribeThingType, e))?;
        Ok(ThingType { deprecated: answer.thing_type_metadata.is_some_and(|metadata| metadata.deprecated) })
    }

    async fn create_thing_type(&self, thing_type: &ThingTypeName) -> Result<()> {
        let call = self.client.create_thing_type().thing_type_name(thing_type.as_str());
        let call = call.set_tags(self.tags());
        match call.send().await.map_err(|e| failure(Operation::CreateThingType, e)) {
            // One with other tags, made by another program meanwhile, is used as it is.
            Err(error) if error.kind == ErrorKind::AlreadyExists => Ok(()),
            created => created.map(drop),
        }
    }

    async fn add_thing_to_thing_group(&self, thing: &str, group: &ThingGroupName) -> Result<()> {
        let call = self.client.add_thing_to_thing_group().thing_name(thing).thing_group_name(group.as_str());
        call.send().await.map(drop).map_err(|e| failure(Operation::AddThingToThingGroup, e))
    }

    async fn attach_thing_principal(
        &self,
        thing: &str,
        certificate_arn: &str,
        attachment: Attachment,
    ) -> Result<()> {
        let call = self.client.attach_thing_principal().thing_name(thing).principal(certificate_arn);
        let call = call.set_thing_principal_type(match attachment {
            Attachment::Shared => None,
            Attachment::Exclusive => Some(ThingPrincipalType::ExclusiveThing),
        });
        call.send().await.map(drop).map_err(|e| failure(Operation::AttachThingPrincipal, e))
    }

    async fn list_thing_principals(&self, thing: &str) -> Result<Vec<String>> {
        let list = || self.client.list_thing_principals().thing_name(thing);
        let ask = |token| list().set_next_token(token).send();
        let principals = items(ask, |page| page.next_token(), |page| page.principals, usize::MAX).await;
        principals.map_err(|error| unread(Operation::ListThingPrincipals, error))
    }

    async fn list_principal_things(&self, certificate_arn: &str) -> Result<Vec<String>> {
        let list = || self.client.list_principal_things().principal(certificate_arn);
        let ask = |token| list().set_next_token(token).send();
        let things = items(ask, |page| page.next_token(), |page| page.things, usize::MAX).await;
        things.map_err(|error| unread(Operation::ListPrincipalThings, error))
    }

    async fn get_policy(&self, policy: &PolicyName) -> Result<StoredPolicy> {
        let operation = Operation::GetPolicy;
        let answer = self.client.get_policy().policy_name(policy.as_str()).send().await;
        let stored = answer.map_err(|e| failure(operation, e))?;
        Ok(StoredPolicy {
            arn: stored.policy_arn.ok_or_else(|| incomplete(operation, "policyArn"))?,
            document: stored.policy_document.ok_or_else(|| incomplete(operation, "policyDocument"))?,
        })
    }

    async fn create_policy(&self, policy: &PolicyName, document: &PolicyDocument) -> Result<()> {
        let call =
            self.client.create_policy().policy_name(policy.as_str()).policy_document(document.to_string());
        let call = call.set_tags(self.tags());
        call.send().await.map(drop).map_err(|e| failure(Operation::CreatePolicy, e))
    }

    async fn attach_policy(&self, policy: &PolicyName, certificate_arn: &str) -> Result<()> {
        let call = self.client.attach_policy().policy_name(policy.as_str()).target(certificate_arn);
        call.send().await.map(drop).map_err(|e| failure(Operation::AttachPolicy, e))
    }

    async fn list_attached_policies(&self, certificate_arn: &str) -> Result<Vec<String>> {
        let answer = self.client.list_attached_policies().target(certificate_arn).send().await;
        let attached = answer.map_err(|e| failure(Operation::ListAttachedPolicies, e))?;
        Ok(attached
            .policies
            .unwrap_or_default()
            .into_iter()
            .filter_map(|policy| policy.policy_name)
            .collect())
    }

    async fn activate_certificate(&self, id: &str) -> Result<()> {
        let call = self.client.update_certificate().certificate_id(id).new_status(SdkStatus::Active);
        call.send().await.map(drop).map_err(|e| failure(Operation::UpdateCertificate, e))
    }
}

/// An answer that lacks what AWS documents as always there.
fn incomplete(operation: Operation, member: &str) -> RegistryError {
    other(operation, format!("the answer has no {member:?}"))
}

fn other(operation: Operation, message: String) -> RegistryError {
    RegistryError { operation, kind: ErrorKind::Other, code: None, message }
}

/// A list that was not read to its end.
fn unread<E>(operation: Operation, error: Unread<SdkError<E, HttpResponse>>) -> RegistryError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match error {
        Unread::Call(error) => failure(operation, error),
        Unread::Endless(pages) => other(operation, format!("the list does not end after {pages} pages")),
    }
}

/// Puts the SDK's error into the terms of the registry.
fn failure<E>(operation: Operation, error: SdkError<E, HttpResponse>) -> RegistryError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let code = error.code().map(str::to_owned);
    let kind = match (code.as_deref(), &error) {
        (Some(code), _) if kind_of(code) != ErrorKind::Other => kind_of(code),
        (_, SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_)) => {
            ErrorKind::Unavailable
        }
        (_, SdkError::ServiceError(answer)) => match answer.raw().status().as_u16() {
            429 => ErrorKind::Throttled,
            500.. => ErrorKind::Unavailable,
            _ => ErrorKind::Other,
        },
        _ => ErrorKind::Other,
    };
    let message = match error.message() {
        Some(message) => message.to_owned(),
        None => DisplayErrorContext(&error).to_string(),
    };
    RegistryError { operation, kind, code, message }
}

/// The kind of error that an AWS error code stands for (AWS IoT API reference, "Errors" of each operation, and
/// "Common errors").
fn kind_of(code: &str) -> ErrorKind {
    match code {
        "ResourceNotFoundException" => ErrorKind::NotFound,
        "ResourceAlreadyExistsException" => ErrorKind::AlreadyExists,
        "LimitExceededException" => ErrorKind::LimitExceeded,
        "CertificateStateException" => ErrorKind::CertificateState,
        "InvalidRequestException" | "MalformedPolicyException" | "ValidationException" => ErrorKind::Invalid,
        "UnauthorizedException"
        | "AccessDeniedException"
        | "ForbiddenException"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "MissingAuthenticationTokenException"
        | "ExpiredTokenException" => ErrorKind::Denied,
        "ThrottlingException" | "Throttling" | "TooManyRequestsException" | "RequestLimitExceeded" => {
            ErrorKind::Throttled
        }
        "ServiceUnavailableException"
        | "ServiceUnavailable"
        | "InternalFailureException"
        | "InternalFailure"
        | "InternalServerError"
        | "InternalException" => ErrorKind::Unavailable,
        _ => ErrorKind::Other,
    }
}
