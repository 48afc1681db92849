//! The life of an account, on the testbed with the real programs.

use std::sync::Arc;
use std::time::Duration;

use testbed::device::Endpoint;
use testbed::iot_core::account::Delays;
use testbed::{HOST, Options, Testbed};

#[path = "../scenario/scenario.rs"]
pub(crate) mod scenario;
mod trouble;

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_set_up_broken_repaired_replayed_and_taken_down() {
    let delays = Delays { thing_type_deletion: Duration::from_secs(1), ..Delays::default() };
    let testbed = Arc::new(Testbed::start(Options { delays, ..Options::default() }).await.unwrap());
    let gateway = Endpoint::new(HOST, testbed.gateway().port(), testbed.gateway().server_ca_pem());
    let journal = Some(testbed.journal());
    let mut stage = scenario::Stage::new("the testbed", testbed.access(), &[], journal).await;
    stage.limits = Some(Arc::clone(&testbed));
    scenario::play(&stage, Some(gateway)).await;
}
