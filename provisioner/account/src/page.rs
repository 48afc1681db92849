//! What each page of a list names the next one by. The services call it by three names.

use aws_sdk_cloudwatchlogs::operation::filter_log_events::FilterLogEventsOutput;
use aws_sdk_iam::operation::list_attached_role_policies::ListAttachedRolePoliciesOutput;
use aws_sdk_iam::operation::list_role_policies::ListRolePoliciesOutput;
use aws_sdk_iam::operation::list_role_tags::ListRoleTagsOutput;
use aws_sdk_iam::operation::list_roles::ListRolesOutput;
use aws_sdk_iot::operation::list_attached_policies::ListAttachedPoliciesOutput;
use aws_sdk_iot::operation::list_ca_certificates::ListCaCertificatesOutput;
use aws_sdk_iot::operation::list_certificates::ListCertificatesOutput;
use aws_sdk_iot::operation::list_certificates_by_ca::ListCertificatesByCaOutput;
use aws_sdk_iot::operation::list_policies::ListPoliciesOutput;
use aws_sdk_iot::operation::list_principal_things::ListPrincipalThingsOutput;
use aws_sdk_iot::operation::list_tags_for_resource::ListTagsForResourceOutput;
use aws_sdk_iot::operation::list_targets_for_policy::ListTargetsForPolicyOutput;
use aws_sdk_iot::operation::list_thing_principals::ListThingPrincipalsOutput;
use aws_sdk_iot::operation::list_thing_types::ListThingTypesOutput;
use aws_sdk_iot::operation::list_things::ListThingsOutput;
use aws_sdk_iot::operation::list_topic_rules::ListTopicRulesOutput;
use aws_sdk_lambda::operation::list_event_source_mappings::ListEventSourceMappingsOutput;
use aws_sdk_lambda::operation::list_functions::ListFunctionsOutput;
use aws_sdk_sqs::operation::list_queues::ListQueuesOutput;

/// One page of a list.
pub(crate) trait Page {
    /// What it names the next page by; `None`, or nothing in it, on the last one.
    fn next_page(&self) -> Option<&str>;
}

macro_rules! pages {
    ($($marker:ident: $($output:ident),+;)+) => {
        $($(impl Page for $output {
            fn next_page(&self) -> Option<&str> {
                self.$marker()
            }
        })+)+
    };
}

pages! {
    next_marker: ListAttachedPoliciesOutput, ListCaCertificatesOutput, ListCertificatesByCaOutput, ListCertificatesOutput,
        ListEventSourceMappingsOutput, ListFunctionsOutput, ListPoliciesOutput, ListTargetsForPolicyOutput;
    next_token: FilterLogEventsOutput, ListPrincipalThingsOutput, ListQueuesOutput, ListTagsForResourceOutput, ListThingPrincipalsOutput,
        ListThingTypesOutput, ListThingsOutput, ListTopicRulesOutput;
    marker: ListAttachedRolePoliciesOutput, ListRolePoliciesOutput, ListRoleTagsOutput, ListRolesOutput;
}
