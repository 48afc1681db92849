//! The account's whole life, judged by ministack and moto as far as they implement it.

use crate::server::{Server, free_port};

#[path = "../scenario/mod.rs"]
pub(crate) mod account_life;

/// What moto does not implement. There is no MQTT in it, so no board takes part.
const MOTO: &[(&str, &str)] = &[
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
/// moto as AWS names certificates: by the hash of their DER form. Without the setting it hashes the PEM text.
pub(crate) const SERVER: &str = "\
from moto.core.config import default_user_config
default_user_config['iot'] = {'use_valid_cert': True}
from moto.server import main
main()";
/// What ministack does not implement.
const MINISTACK: &[(&str, &str)] =
    &[("provisioning template", "UpdateCACertificate with removeAutoRegistration leaves it")];

#[tokio::test(flavor = "multi_thread")]
async fn moto_sees_an_account_set_up_broken_mended_and_taken_down() {
    let port = free_port();
    let Some(moto) = Server::start("python", port, |command| {
        command.args(["-c", SERVER, "-H", "127.0.0.1", "-p", &port.to_string()]);
    }) else {
        return;
    };
    let stage = account_life::Stage::new("moto", &moto.url(), MOTO, None).await;
    account_life::play(&stage, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ministack_sees_an_account_set_up_broken_mended_and_taken_down() {
    let (http, mqtt) = (free_port(), free_port());
    let Some(ministack) = Server::start("ministack", http, |command| {
        command
            .env("GATEWAY_PORT", http.to_string())
            .env("IOT_MTLS_PORT", mqtt.to_string())
            .env("MINISTACK_REGION", account_life::stage::REGION)
            .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{http}"));
    }) else {
        return;
    };
    let stage = account_life::Stage::new("ministack", &ministack.url(), MINISTACK, None).await;
    let gateway = testbed::device::Endpoint::new("localhost", mqtt, ministack.get("/_ministack/iot/ca.pem"));
    account_life::play(&stage, Some(gateway)).await;
}
