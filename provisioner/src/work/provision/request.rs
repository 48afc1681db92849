//! A request alone, for a certificate that is signed elsewhere.

use std::path::PathBuf;

use device_pki::profile;
use durable_files::Access;
use iot_kit::{Kit, Session};
use serde::Serialize;

use super::{History, Identity, source};
use crate::state::board::REQUEST;
use crate::state::home::Home;
use crate::work;

/// A certificate signing request made on a board.
#[derive(Clone, Debug, Serialize)]
pub struct Request {
    /// The serial port.
    pub port: String,
    /// USB serial number, where known.
    pub usb_serial: Option<String>,
    /// Serial number of the secure element.
    pub secure_element_serial: String,
    /// Thing name and MQTT client id that the board will have.
    pub thing_name: String,
    /// The request's file, PEM.
    pub file: PathBuf,
    #[serde(skip)]
    pem: String,
}

impl Request {
    /// Has the secure element sign a request for a certificate. Nothing is written. `force`: also for a key that was revoked,
    /// unless somebody else may have it.
    ///
    /// # Errors
    /// [`iot_kit::Error`], [`device_pki::Error`], [`state::Error::FolderName`](crate::state::Error::FolderName),
    /// [`Error::KeyRevoked`](super::Error::KeyRevoked).
    pub fn sign(
        session: &mut Session,
        kit: &Kit,
        organisation: &str,
        home: &Home,
        force: bool,
    ) -> Result<Self, work::Error> {
        let board = Identity::read(session)?;
        let folder = home.board(kit.usb_serial.as_deref().unwrap_or(&board.serial))?;
        History::read(home, &board, &folder)?.check(&board, force)?;
        let name = profile::device_name(organisation, &board.serial)?;
        let pem = source::sign_request(session, &name, &board)?.pem()?;
        Ok(Self {
            port: session.port().to_owned(),
            usb_serial: kit.usb_serial.clone(),
            thing_name: board.thing_name(),
            file: folder.join(REQUEST),
            secure_element_serial: board.serial,
            pem,
        })
    }

    /// What the board is called: its USB serial number, or its secure element's.
    pub fn board(&self) -> &str {
        self.usb_serial.as_deref().unwrap_or(&self.secure_element_serial)
    }

    /// Keeps the request in the board's folder.
    ///
    /// # Errors
    /// [`durable_files::Error`].
    pub fn keep(&self, home: &Home) -> Result<(), durable_files::Error> {
        if let Some(folder) = self.file.parent() {
            home.create_inside(folder)?;
        }
        durable_files::write(&self.file, self.pem.as_bytes(), Access::Public)
    }
}
