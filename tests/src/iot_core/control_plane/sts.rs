//! AWS STS (query protocol, 2011-06-15).

use super::Named;
use super::reply::{Content, Reply, ServiceError};
use super::request::Call;
use crate::iot_core::account::Account;

/// Every operation the testbed knows.
pub(super) const OPERATIONS: &[Named] = &[("GetCallerIdentity", get_caller_identity)];

fn get_caller_identity(account: &mut Account, _: &Call) -> Result<Reply, ServiceError> {
    let arn = account.identity().iam_arn("user/testbed");
    let content = format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Arn>{arn}</Arn><UserId>AIDATESTBED</UserId><Account>{}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>",
        account.identity().account_id
    );
    Ok(Reply { status: 200, headers: Vec::new(), content: Content::Xml(content) })
}
