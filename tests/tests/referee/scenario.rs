//! The life of an account, on ministack and moto as far as they implement it.

use crate::server::Server;

#[path = "../scenario/scenario.rs"]
pub(crate) mod account_life;

/// What moto does not implement. There is no MQTT in it, so no board takes part.
const MOTO: &[(&str, &str)] = &[
    ("alarms", "CloudWatch does not speak Smithy RPC v2 CBOR"),
    ("auto-registration off", "UpdateCACertificate leaves the auto-registration status as it was"),
    ("provisioning template", "UpdateCACertificate with removeAutoRegistration leaves it"),
    ("replay", "there is no device gateway, so no certificate gets stuck"),
    (
        "function invoked",
        "functions run in containers, which are not to be had here; the workflow runs in process",
    ),
    ("failed events registered", "DescribeCertificate does not tell the CA, so that every event is refused"),
    ("teardown", "neither ListCACertificates nor ListTagsForResource is there"),
];
/// What ministack does not implement.
const MINISTACK: &[(&str, &str)] =
    &[("provisioning template", "UpdateCACertificate with removeAutoRegistration leaves it")];

#[tokio::test(flavor = "multi_thread")]
async fn moto_sees_an_account_set_up_broken_mended_and_taken_down() {
    let Some(moto) = Server::moto() else { return };
    let stage = account_life::Stage::new("moto", &moto.access(), MOTO, None).await;
    account_life::play(&stage, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ministack_sees_an_account_set_up_broken_mended_and_taken_down() {
    let Some((ministack, mqtt)) = Server::ministack() else { return };
    let stage = account_life::Stage::new("ministack", &ministack.access(), MINISTACK, None).await;
    let gateway = testbed::device::Endpoint::new("localhost", mqtt, ministack.get("/_ministack/iot/ca.pem"));
    account_life::play(&stage, Some(gateway)).await;
}
