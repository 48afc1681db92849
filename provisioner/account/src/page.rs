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
use aws_sdk_iot::types::{CaCertificate, TopicRuleListItem};
use aws_sdk_lambda::operation::list_event_source_mappings::ListEventSourceMappingsOutput;
use aws_sdk_lambda::operation::list_functions::ListFunctionsOutput;
use aws_sdk_sqs::operation::list_queues::ListQueuesOutput;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use jitr::registry::pages::{self, Place, Unread};

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

/// The CAs of the account.
pub(crate) async fn list_cas(account: &Account) -> Result<Vec<CaCertificate>, Error> {
    let iot = account.iot();
    let ask = |marker| iot.list_ca_certificates().set_marker(marker).send();
    account.all("iot:ListCACertificates", ask, |page| page.certificates).await
}

/// The topic rules of the account.
pub(crate) async fn list_rules(account: &Account) -> Result<Vec<TopicRuleListItem>, Error> {
    let iot = account.iot();
    let ask = |token| iot.list_topic_rules().set_next_token(token).send();
    account.all("iot:ListTopicRules", ask, |page| page.rules).await
}

impl Account {
    /// Every item of every page that `action` (`service:Operation`, as in IAM policies) lists. `ask` asks for the page that a marker
    /// names, `of` takes the items out of it.
    ///
    /// # Errors
    /// Errors of the call; [`Error::Endless`].
    pub(crate) async fn all<P, T, E, F, L>(
        &self,
        action: &'static str,
        ask: impl Fn(Option<String>) -> F,
        of: impl Fn(P) -> L,
    ) -> Result<Vec<T>, Error>
    where
        F: Future<Output = Result<P, SdkError<E, HttpResponse>>>,
        P: Page,
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
        L: Into<Option<Vec<T>>>,
    {
        self.some(action, ask, of, usize::MAX).await
    }

    /// As [`Account::all`], of as many pages as have `enough` items.
    pub(crate) async fn some<P, T, E, F, L>(
        &self,
        action: &'static str,
        ask: impl Fn(Option<String>) -> F,
        of: impl Fn(P) -> L,
        enough: usize,
    ) -> Result<Vec<T>, Error>
    where
        F: Future<Output = Result<P, SdkError<E, HttpResponse>>>,
        P: Page,
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
        L: Into<Option<Vec<T>>>,
    {
        let ask = |marker| {
            let asked = ask(marker);
            async move { asked.await.map_err(self.failed(action)) }
        };
        pages::items(ask, P::next_page, of, enough).await.map_err(unread(action))
    }

    /// As [`Account::all`], for what is asked of many devices: each page waits for its turn, and `ask` is a call without retries.
    pub(crate) async fn all_in_turn<P, T, E, F, L>(
        &self,
        action: &'static str,
        ask: impl Fn(Option<String>) -> F,
        of: impl Fn(P) -> L,
    ) -> Result<Vec<T>, Error>
    where
        F: Future<Output = Result<P, SdkError<E, HttpResponse>>>,
        P: Page,
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
        L: Into<Option<Vec<T>>>,
    {
        let ask = &ask;
        let in_turn = |marker: Option<String>| self.call(action, move || ask(marker.clone()));
        pages::items(in_turn, P::next_page, of, usize::MAX).await.map_err(unread(action))
    }

    /// The items of the next page of such a list; `None` after the last one.
    pub(crate) async fn next_in_turn<P, T, E, F, L>(
        &self,
        place: &mut Place,
        action: &'static str,
        ask: impl Fn(Option<String>) -> F,
        of: impl FnOnce(P) -> L,
    ) -> Result<Option<Vec<T>>, Error>
    where
        F: Future<Output = Result<P, SdkError<E, HttpResponse>>>,
        P: Page,
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
        L: Into<Option<Vec<T>>>,
    {
        let ask = async |marker: Option<String>| self.call(action, || ask(marker.clone())).await;
        place.next(ask, P::next_page, of).await.map_err(unread(action))
    }
}

fn unread(action: &'static str) -> impl FnOnce(Unread<Error>) -> Error {
    move |unread| match unread {
        Unread::Call(error) => error,
        Unread::Endless(pages) => Error::Endless { action, pages },
    }
}
