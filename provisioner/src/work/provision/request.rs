//! A request alone, for a certificate that is signed elsewhere.

use std::path::PathBuf;

use device_pki::{Certificate, profile};
use durable_files::Access;
use iot_kit::{Kit, Session};
use serde::Serialize;

use super::{History, Identity, proof, source};
use crate::state::board::{Clash, Place, REQUEST};
use crate::state::home::Home;
use crate::work;
use crate::work::revoked_keys::{RevokedKeys, keys_of_old_revocations};

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
    /// Whether the secure element is genuine; `false` where that was not asked.
    pub attested: bool,
    /// The request's file, PEM.
    #[serde(serialize_with = "crate::contract::path")]
    pub file: PathBuf,
    /// Why the file's folder is named by the secure element, although the kit has a USB serial number.
    pub clash: Option<Clash>,
    #[serde(skip)]
    kit: Kit,
    #[serde(skip)]
    board: Identity,
    #[serde(skip)]
    pem: String,
}

impl Request {
    /// Has the secure element sign a request for a certificate. Where `roots` are given, its factory certificates have to lead to
    /// one of them. `force`: also for a key that was revoked, unless somebody else may have it. Nothing is written.
    ///
    /// # Errors
    /// [`iot_kit::Error`], [`device_pki::Error`], [`super::Error::NotGenuine`], [`super::Error::KeyRevoked`],
    /// [`state::Error::FolderTaken`](crate::state::Error::FolderTaken).
    pub fn sign(
        session: &mut Session,
        kit: &Kit,
        organisation: Option<&str>,
        home: &Home,
        roots: Option<&[Certificate]>,
        force: bool,
    ) -> Result<Self, work::Error> {
        let board = Identity::read(session, &mut |_| {})?;
        let Place { folder, clash } = board.claim(kit).place(home)?;
        let keys = RevokedKeys::read(home, &keys_of_old_revocations(home)?)?;
        History::read(home, &keys, &board, &folder)?.check(&board, force)?;
        if let Some(roots) = roots {
            proof::genuine(session, &board, roots, &mut |_| {})?;
        }
        let name = profile::device_name(organisation, &board.serial)?;
        let pem = source::sign_request(session, &name, &board)?.pem()?;
        Ok(Self {
            port: session.port().to_owned(),
            usb_serial: kit.usb_serial.clone(),
            thing_name: board.thing_name(),
            attested: roots.is_some(),
            file: folder.join(REQUEST),
            clash,
            secure_element_serial: board.serial.clone(),
            kit: kit.clone(),
            board,
            pem,
        })
    }

    /// What the board is called: its USB serial number, or its secure element's.
    pub fn board(&self) -> &str {
        self.usb_serial.as_deref().unwrap_or(&self.secure_element_serial)
    }

    /// Keeps the request in the board's folder, which may be another one by now.
    ///
    /// # Errors
    /// [`state::Error::FolderTaken`](crate::state::Error::FolderTaken); [`durable_files::Error`].
    pub fn keep(&mut self, home: &Home) -> Result<(), work::Error> {
        let place = self.board.claim(&self.kit).take(home, REQUEST, &self.pem)?;
        self.file = place.folder.join(REQUEST);
        self.clash = place.clash;
        Ok(durable_files::write(&self.file, self.pem.as_bytes(), Access::Public)?)
    }
}
