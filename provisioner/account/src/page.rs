//! Lists that come in pages. What each page names the next one by is called by three names.

use std::future::Future;

use aws_sdk_cloudwatch::operation::describe_alarms::DescribeAlarmsOutput;
use aws_sdk_cloudwatchlogs::operation::filter_log_events::FilterLogEventsOutput;
use aws_sdk_iam::operation::list_attached_role_policies::ListAttachedRolePoliciesOutput;
use aws_sdk_iam::operation::list_role_policies::ListRolePoliciesOutput;
use aws_sdk_iam::operation::list_role_tags::ListRoleTagsOutput;
use aws_sdk_iam::operation::list_roles::ListRolesOutput;
use aws_sdk_iot::error::{ProvideErrorMetadata, SdkError};
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
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use jitr::registry::pages::{MOST_EMPTY_PAGES, MOST_PAGES};

use crate::{Account, Error};

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
    next_token: DescribeAlarmsOutput, FilterLogEventsOutput, ListPrincipalThingsOutput, ListQueuesOutput, ListTagsForResourceOutput, ListThingPrincipalsOutput,
        ListThingTypesOutput, ListThingsOutput, ListTopicRulesOutput;
    marker: ListAttachedRolePoliciesOutput, ListRolePoliciesOutput, ListRoleTagsOutput, ListRolesOutput;
}

/// The most items of AWS IoT's pages (AWS IoT API reference: `pageSize` and `maxResults` are 1 to 250).
pub(crate) const LARGEST: i32 = 250;

/// How far a list is read.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// What names the next page; nothing before the first one.
    marker: Option<String>,
    is_at_end: bool,
    read: usize,
    /// Pages without items, one after the other.
    empty: usize,
}

impl Place {
    /// The items of the next page of the list that `action` (`service:Operation`, as in IAM policies) gives; `None` after the last
    /// one. `ask` asks for the page that a marker names, `of` takes the items out of it. The call waits for its turn.
    ///
    /// # Errors
    /// Errors of the call; [`Error::Endless`].
    pub(crate) async fn next<P, T, F, E>(
        &mut self,
        account: &Account,
        action: &'static str,
        ask: impl Fn(Option<String>) -> F,
        of: impl FnOnce(P) -> Option<Vec<T>>,
    ) -> Result<Option<Vec<T>>, Error>
    where
        F: Future<Output = Result<P, SdkError<E, HttpResponse>>>,
        P: Page,
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        if self.is_at_end {
            return Ok(None);
        }
        let page = account.call(action, || ask(self.marker.clone())).await?;
        let next = page.next_page().filter(|next| !next.is_empty()).map(str::to_owned);
        let items = of(page).unwrap_or_default();
        self.read += 1;
        self.empty = if items.is_empty() { self.empty + 1 } else { 0 };
        let is_endless = self.read >= MOST_PAGES || self.empty >= MOST_EMPTY_PAGES || next == self.marker;
        if next.is_some() && is_endless {
            return Err(Error::Endless { action, pages: self.read });
        }
        self.is_at_end = next.is_none();
        self.marker = next;
        Ok(Some(items))
    }
}

/// The items of every page of a list; `of` takes them out of a page.
///
/// # Errors
/// As [`Place::next`].
pub(crate) async fn items<P, T, F, E>(
    account: &Account,
    action: &'static str,
    ask: impl Fn(Option<String>) -> F,
    of: impl Fn(P) -> Option<Vec<T>>,
) -> Result<Vec<T>, Error>
where
    F: Future<Output = Result<P, SdkError<E, HttpResponse>>>,
    P: Page,
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let (mut place, mut all) = (Place::default(), Vec::new());
    while let Some(page) = place.next(account, action, &ask, &of).await? {
        all.extend(page);
    }
    Ok(all)
}
