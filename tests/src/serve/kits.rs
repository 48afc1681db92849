//! `testbed serve --demo`: kits as they come from their shop. Each has a disk, and its demo application connects once it is
//! provisioned and knows a Wi-Fi network.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::board::{self, SimulatedBoard, SimulatedDisk};
use crate::device::{Credentials, Device, DeviceError, Endpoint};
use crate::iot_core::gateway::Gateway;

/// How often a kit is looked at whose application does not connect.
const POLL: Duration = Duration::from_millis(100);
/// How long the application tries to get in until it begins anew.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it publishes.
const PERIOD: Duration = Duration::from_secs(5);
/// What it publishes.
const MESSAGE: &[u8] = br#"{"Light":412,"Temp":2315}"#;

/// A kit that is plugged in.
pub(super) struct Kit {
    board: Arc<SimulatedBoard>,
    disk: SimulatedDisk,
    serial: String,
}

impl Kit {
    /// Plugs a kit in that trusts this server as well.
    ///
    /// # Errors
    /// As [`SimulatedBoard::start`] and [`SimulatedDisk::of`].
    pub(super) fn start(kit: board::Kit, number: usize, server_ca_pem: &str) -> std::io::Result<Self> {
        let options = board::Options { kit, runs_demo: true, ..board::Options::default() };
        let board = Arc::new(SimulatedBoard::start(options)?);
        board.trust(server_ca_pem);
        let serial = format!("MCHP32610218000012{number:02}");
        let disk = SimulatedDisk::of(&board, &serial)?;
        Ok(Self { board, disk, serial })
    }

    /// Its serial port.
    pub(super) fn path(&self) -> &Path {
        self.board.path()
    }
}

/// What the provisioner needs in its environment to find the kits.
pub(super) fn environment(kits: &[Kit]) -> Value {
    let ports: Vec<String> =
        kits.iter().map(|kit| format!("{}={}", kit.path().display(), kit.serial)).collect();
    let disks: Vec<String> = kits.iter().map(|kit| kit.disk.folder().display().to_string()).collect();
    json!({ "MICROCHIP_IOT_PORTS": ports.join(","), "MICROCHIP_IOT_DISKS": disks.join(":") })
}

/// Lets the applications of the kits connect, until the result is dropped.
pub(super) fn applications(kits: &[Kit], gateway: &Gateway) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for kit in kits {
        let (port, server_ca) = (gateway.port(), gateway.server_ca_pem().to_owned());
        tasks.spawn(application(kit.board.clone(), port, server_ca));
    }
    tasks
}

/// The application of a kit.
async fn application(board: Arc<SimulatedBoard>, port: u16, server_ca: String) {
    loop {
        if let Some((endpoint, credentials, thing_name)) = connection(&board, port, &server_ca) {
            // What the gateway refuses is in the testbed's log; the application tries again.
            let _ = publish(&board, &endpoint, &credentials, &thing_name).await;
        }
        sleep(POLL).await;
    }
}

/// Where and how it connects, if it runs, knows a network and is provisioned.
fn connection(board: &SimulatedBoard, port: u16, server_ca: &str) -> Option<(Endpoint, Credentials, String)> {
    board.network()?;
    let (thing_name, host) = board.names()?;
    let (credentials, _) = Credentials::of(board).ok()?;
    Some((Endpoint::new(host, port, server_ca), credentials, thing_name))
}

/// Connects and publishes as long as the application runs.
async fn publish(
    board: &SimulatedBoard,
    endpoint: &Endpoint,
    credentials: &Credentials,
    thing_name: &str,
) -> Result<(), DeviceError> {
    let (mut device, _) = Device::connect_until_let_in(endpoint, credentials, thing_name, PATIENCE).await?;
    while board.runs_demo() {
        device.publish(&format!("{thing_name}/sensors"), MESSAGE).await?;
        sleep(PERIOD).await;
    }
    device.disconnect().await
}
