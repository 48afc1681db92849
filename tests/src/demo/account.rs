//! What the account does: the event, the rule, the Lambda function, and the state they leave behind.

use super::board::is_turned_away;
use super::calls::CallCount;
use super::laptop::FUNCTION;
use super::story::{Story, StoryError};
use crate::iot_core::account::{PageRequest, Status, x509};

/// The fixed name of the product's policy.
const POLICY: &str = "zt_policy";
/// What one more board costs when the function is warm: see the design of the registration workflow.
const WARM_CALLS: usize = 5;

/// Waits for the end of the board's registration and looks at the account; also returns the calls that it took.
async fn registered(story: &mut Story, index: usize) -> Result<CallCount, StoryError> {
    let outcome = story.invocation(FUNCTION).await?;
    if let Err(error) = outcome {
        return Err(StoryError::Differs(format!("the function failed: {error}")));
    }
    let store = story.store(index)?;
    let certificate_id = x509::certificate_id(&store.certificates[0].content);
    let account = story.testbed.account();
    let arn = account.certificate_arn(&certificate_id);
    let status = account.certificate(&certificate_id)?.status;
    let page = PageRequest::default();
    let things: Vec<_> =
        account.principal_things(&arn, None, &page)?.items.into_iter().map(|(name, _)| name).collect();
    let policies: Vec<_> =
        account.attached_policies(&arn, &page)?.items.iter().map(|policy| policy.name.clone()).collect();
    if status != Status::Active || things != [store.thing_name.clone()] || policies != [POLICY] {
        let seen = format!("{}, things {things:?}, policies {policies:?}", status.as_str());
        return Err(StoryError::Differs(seen));
    }
    drop(account);
    Ok(story.count_calls_of(FUNCTION))
}

pub(super) async fn registers(story: &mut Story, index: usize) -> Result<String, StoryError> {
    let count = registered(story, index).await?;
    Ok(format!("ACTIVE, with thing and {POLICY}; cold start: {count}"))
}

pub(super) async fn registers_warm(story: &mut Story, index: usize) -> Result<String, StoryError> {
    is_turned_away(story, index).await?;
    let count = registered(story, index).await?;
    if count.calls != WARM_CALLS {
        return Err(StoryError::Differs(count.to_string()));
    }
    Ok(format!("ACTIVE, with thing and {POLICY}; {count}"))
}
