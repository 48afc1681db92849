//! What things are described with: whether the groups and policies that have to exist are there.

use futures::future::try_join_all;
use jitr::description::{Description, NameTemplate};
use jitr::registry::{ErrorKind, Registry};

use crate::{Account, Error, Resource};

/// The groups and policies with the same name for every certificate, each with whether it exists. Others show when a certificate
/// names them.
///
/// # Errors
/// Those of `iot:DescribeThingGroup`, `iot:DescribeBillingGroup` and `iot:GetPolicy`.
pub(crate) async fn look(
    account: &Account,
    description: &Description,
) -> Result<Vec<(Resource, String, bool)>, Error> {
    let Description { groups, policies, billing_group, .. } = description;
    let groups = groups.iter().filter_map(NameTemplate::name).map(|name| async move {
        let answer = account.iot().describe_thing_group().thing_group_name(name.as_str()).send().await;
        let found = account.found("iot:DescribeThingGroup", answer)?;
        Ok::<_, Error>((Resource::ThingGroup, name.to_string(), found.is_some()))
    });
    let policies = policies.iter().filter_map(NameTemplate::name).map(|name| async move {
        match account.registry().get_policy(&name).await {
            Err(error) if error.kind == ErrorKind::NotFound => {
                Ok((Resource::AdditionalPolicy, name.to_string(), false))
            }
            Err(error) => Err(account.of_registry(error)),
            Ok(_) => Ok((Resource::AdditionalPolicy, name.to_string(), true)),
        }
    });
    let billing_group = billing_group.iter().filter_map(NameTemplate::name).map(|name| async move {
        let answer = account.iot().describe_billing_group().billing_group_name(name.as_str()).send().await;
        let found = account.found("iot:DescribeBillingGroup", answer)?;
        Ok::<_, Error>((Resource::BillingGroup, name.to_string(), found.is_some()))
    });
    let (groups, policies, billing_group) =
        tokio::try_join!(try_join_all(groups), try_join_all(policies), try_join_all(billing_group))?;
    Ok([groups, policies, billing_group].concat())
}
