//! AWS IoT (REST-JSON, 2015-05-28): which request is which operation.

use axum::http::Method;
use serde_json::json;

use super::reply::{Reply, ServiceError};
use super::request::{Call, Route};
use crate::iot_core::account::{Account, Page};

mod authorities;
mod authorization;
mod billing_groups;
mod certificates;
mod policies;
mod settings;
mod tags;
mod things;
mod topic_rules;

type Handler = fn(&mut Account, &Call) -> Result<Reply, ServiceError>;

const fn route(
    operation: &'static str,
    method: Method,
    pattern: &'static str,
    handler: Handler,
) -> Route<Handler> {
    Route { operation, method, pattern, handler }
}

/// Every operation the testbed knows.
#[rustfmt::skip]
pub(super) const ROUTES: &[Route<Handler>] = &[
    route("DescribeEndpoint", Method::GET, "/endpoint", describe_endpoint),
    route("GetRegistrationCode", Method::GET, "/registrationcode", authorities::registration_code),
    route("RegisterCACertificate", Method::POST, "/cacertificate", authorities::register),
    route("DescribeCACertificate", Method::GET, "/cacertificate/{caCertificateId}", authorities::describe),
    route("UpdateCACertificate", Method::PUT, "/cacertificate/{caCertificateId}", authorities::update),
    route("DeleteCACertificate", Method::DELETE, "/cacertificate/{caCertificateId}", authorities::delete),
    route("ListCACertificates", Method::GET, "/cacertificates", authorities::list),
    route("DescribeCertificate", Method::GET, "/certificates/{certificateId}", certificates::describe),
    route("UpdateCertificate", Method::PUT, "/certificates/{certificateId}", certificates::update),
    route("DeleteCertificate", Method::DELETE, "/certificates/{certificateId}", certificates::delete),
    route("ListCertificates", Method::GET, "/certificates", certificates::list),
    route("ListCertificatesByCA", Method::GET, "/certificates-by-ca/{caCertificateId}", certificates::list_by_ca),
    route("RegisterCertificate", Method::POST, "/certificate/register", certificates::register),
    route("RegisterCertificateWithoutCA", Method::POST, "/certificate/register-no-ca", certificates::register_without_ca),
    route("CreateKeysAndCertificate", Method::POST, "/keys-and-certificate", certificates::create_keys),
    route("CreateCertificateFromCsr", Method::POST, "/certificates", certificates::create_from_csr),
    route("CreatePolicy", Method::POST, "/policies/{policyName}", policies::create),
    route("GetPolicy", Method::GET, "/policies/{policyName}", policies::get),
    route("ListPolicies", Method::GET, "/policies", policies::list),
    route("DeletePolicy", Method::DELETE, "/policies/{policyName}", policies::delete),
    route("CreatePolicyVersion", Method::POST, "/policies/{policyName}/version", policies::create_version),
    route("ListPolicyVersions", Method::GET, "/policies/{policyName}/version", policies::list_versions),
    route("GetPolicyVersion", Method::GET, "/policies/{policyName}/version/{policyVersionId}", policies::get_version),
    route("DeletePolicyVersion", Method::DELETE, "/policies/{policyName}/version/{policyVersionId}", policies::delete_version),
    route("SetDefaultPolicyVersion", Method::PATCH, "/policies/{policyName}/version/{policyVersionId}", policies::set_default_version),
    route("AttachPolicy", Method::PUT, "/target-policies/{policyName}", policies::attach),
    route("DetachPolicy", Method::POST, "/target-policies/{policyName}", policies::detach),
    route("ListAttachedPolicies", Method::POST, "/attached-policies/{target}", policies::list_attached),
    route("ListTargetsForPolicy", Method::POST, "/policy-targets/{policyName}", policies::list_targets),
    route("AttachPrincipalPolicy", Method::PUT, "/principal-policies/{policyName}", policies::attach_to_principal),
    route("DetachPrincipalPolicy", Method::DELETE, "/principal-policies/{policyName}", policies::detach_from_principal),
    route("ListPrincipalPolicies", Method::GET, "/principal-policies", policies::list_of_principal),
    route("ListPolicyPrincipals", Method::GET, "/policy-principals", policies::list_principals),
    route("GetEffectivePolicies", Method::POST, "/effective-policies", authorization::effective_policies),
    route("TestAuthorization", Method::POST, "/test-authorization", authorization::test),
    route("DescribeEventConfigurations", Method::GET, "/event-configurations", settings::describe_events),
    route("UpdateEventConfigurations", Method::PATCH, "/event-configurations", settings::update_events),
    route("GetIndexingConfiguration", Method::GET, "/indexing/config", settings::get_indexing),
    route("UpdateIndexingConfiguration", Method::POST, "/indexing/config", settings::update_indexing),
    route("DescribeIndex", Method::GET, "/indices/{indexName}", settings::describe_index),
    route("SetV2LoggingOptions", Method::POST, "/v2LoggingOptions", settings::set_logging),
    route("GetV2LoggingOptions", Method::GET, "/v2LoggingOptions", settings::get_logging),
    route("CreateThing", Method::POST, "/things/{thingName}", things::create),
    route("DescribeThing", Method::GET, "/things/{thingName}", things::describe),
    route("UpdateThing", Method::PATCH, "/things/{thingName}", things::update),
    route("DeleteThing", Method::DELETE, "/things/{thingName}", things::delete),
    route("ListThings", Method::GET, "/things", things::list),
    route("CreateThingType", Method::POST, "/thing-types/{thingTypeName}", things::create_type),
    route("DescribeThingType", Method::GET, "/thing-types/{thingTypeName}", things::describe_type),
    route("DeprecateThingType", Method::POST, "/thing-types/{thingTypeName}/deprecate", things::deprecate_type),
    route("DeleteThingType", Method::DELETE, "/thing-types/{thingTypeName}", things::delete_type),
    route("ListThingTypes", Method::GET, "/thing-types", things::list_types),
    route("AttachThingPrincipal", Method::PUT, "/things/{thingName}/principals", things::attach_principal),
    route("DetachThingPrincipal", Method::DELETE, "/things/{thingName}/principals", things::detach_principal),
    route("ListThingPrincipals", Method::GET, "/things/{thingName}/principals", things::list_principals),
    route("ListThingPrincipalsV2", Method::GET, "/things/{thingName}/principals-v2", things::list_principals_v2),
    route("ListPrincipalThings", Method::GET, "/principals/things", things::list_principal_things),
    route("ListPrincipalThingsV2", Method::GET, "/principals/things-v2", things::list_principal_things_v2),
    route("AddThingToThingGroup", Method::PUT, "/thing-groups/addThingToThingGroup", things::add_to_group),
    route("RemoveThingFromThingGroup", Method::PUT, "/thing-groups/removeThingFromThingGroup", things::remove_from_group),
    route("CreateThingGroup", Method::POST, "/thing-groups/{thingGroupName}", things::create_group),
    route("DescribeThingGroup", Method::GET, "/thing-groups/{thingGroupName}", things::describe_group),
    route("DeleteThingGroup", Method::DELETE, "/thing-groups/{thingGroupName}", things::delete_group),
    route("ListThingGroups", Method::GET, "/thing-groups", things::list_groups),
    route("ListThingsInThingGroup", Method::GET, "/thing-groups/{thingGroupName}/things", things::list_group_things),
    route("ListThingGroupsForThing", Method::GET, "/things/{thingName}/thing-groups", things::list_groups_of_thing),
    route("CreateBillingGroup", Method::POST, "/billing-groups/{billingGroupName}", billing_groups::create),
    route("DescribeBillingGroup", Method::GET, "/billing-groups/{billingGroupName}", billing_groups::describe),
    route("DeleteBillingGroup", Method::DELETE, "/billing-groups/{billingGroupName}", billing_groups::delete),
    route("CreateTopicRule", Method::POST, "/rules/{ruleName}", topic_rules::create),
    route("GetTopicRule", Method::GET, "/rules/{ruleName}", topic_rules::get),
    route("ReplaceTopicRule", Method::PATCH, "/rules/{ruleName}", topic_rules::replace),
    route("EnableTopicRule", Method::POST, "/rules/{ruleName}/enable", topic_rules::enable),
    route("DisableTopicRule", Method::POST, "/rules/{ruleName}/disable", topic_rules::disable),
    route("DeleteTopicRule", Method::DELETE, "/rules/{ruleName}", topic_rules::delete),
    route("ListTopicRules", Method::GET, "/rules", topic_rules::list),
    route("TagResource", Method::POST, "/tags", tags::tag),
    route("UntagResource", Method::POST, "/untag", tags::untag),
    route("ListTagsForResource", Method::GET, "/tags", tags::list),
];

fn describe_endpoint(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let address = account.endpoint(call.query("endpointType").unwrap_or_default())?;
    Ok(Reply::json(json!({ "endpointAddress": address })))
}

/// A page under `list`, with the token of the next one under `token`.
fn page<T>(list: &str, token: &str, page: Page<T>, item: impl FnMut(T) -> serde_json::Value) -> Reply {
    let items: Vec<_> = page.items.into_iter().map(item).collect();
    Reply::json(json!({ list: items, token: page.next }))
}
