//! The demo on ministack: the programs run on its registry, rule engine, device gateway and Lambda.

use std::time::Duration;

use testbed::board::{Options, SimulatedBoard};
use testbed::device::{Credentials, Device, DeviceError, Endpoint};

use crate::scenario::account_life::Stage;
use crate::server::Server;

/// How long the board may try to get in: the first invocation of the function unpacks it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whoever reaches it can run programs.
#[cfg(target_os = "linux")]
#[test]
fn the_referees_listen_on_the_loopback_interface_alone() {
    /// 127.0.0.1, in the kernel's byte order.
    const LOOPBACK: &str = "0100007F";
    let Some((ministack, mqtt)) = Server::ministack() else { return };
    let Some(moto) = Server::moto() else { return };
    for port in [ministack.port, mqtt, moto.port] {
        assert_eq!(Server::listening(port), [LOOPBACK], "port {port}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_that_ministack_has_never_seen_becomes_a_registered_thing() {
    let Some((ministack, mqtt)) = Server::ministack() else { return };
    let user = Stage::new("ministack", &ministack.access(), &[], None).await;

    user.ends(0, &["ca", "create"]);
    user.ends(0, &["setup", "--method", "jitr", "--lambda-zip", user.package().to_str().unwrap()]);

    let board = SimulatedBoard::start(Options { seed: None, ..Options::instant(0) }).unwrap();
    user.ends(0, &["provision", "--method", "jitr", "--port", board.path().to_str().unwrap()]);

    let endpoint = Endpoint::new("localhost", mqtt, ministack.get("/_ministack/iot/ca.pem"));
    board.trust(&endpoint.server_ca_pem);
    let (device, store) = Credentials::of(&board).unwrap();

    match Device::connect(&endpoint, &device, &store.thing_name).await {
        Err(DeviceError::Connection(_)) => {}
        other => panic!("the first connection has to be turned away, but: {other:?}\n{}", ministack.log()),
    }
    let (mut connected, _) = Device::connect_until_let_in(&endpoint, &device, &store.thing_name, PATIENCE)
        .await
        .unwrap_or_else(|error| panic!("the board is not let in: {error}\n{}", ministack.log()));

    let topic = format!("{}/sensors", store.thing_name);
    connected.subscribe(&topic).await.unwrap();
    connected.publish(&topic, b"{\"temperature\":21}").await.unwrap();
    let message = connected.receive().await.unwrap();
    assert_eq!((message.topic, &message.payload[..]), (topic, &b"{\"temperature\":21}"[..]));
    connected.disconnect().await.unwrap();
}
