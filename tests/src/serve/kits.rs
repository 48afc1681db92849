//! `testbed serve --demo`: kits as they come from their shop, each with a disk.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::board::{self, SimulatedBoard, SimulatedDisk};

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

    /// The board with its application.
    pub(super) fn board(&self) -> Arc<SimulatedBoard> {
        self.board.clone()
    }
}

/// What the provisioner needs in its environment to find the kits.
pub(super) fn environment(kits: &[Kit]) -> Value {
    let ports: Vec<String> =
        kits.iter().map(|kit| format!("{}={}", kit.path().display(), kit.serial)).collect();
    let disks: Vec<String> = kits.iter().map(|kit| kit.disk.folder().display().to_string()).collect();
    json!({ "MICROCHIP_IOT_PORTS": ports.join(","), "MICROCHIP_IOT_DISKS": disks.join(":") })
}
