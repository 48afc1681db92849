//! What is told of a board: before, meanwhile, and at the end.

use std::path::PathBuf;

use iot_kit::session::Traffic;
use serde::Serialize;

use crate::state::board::Clash;
use crate::work::revoked_keys::KeyRevocation;

/// What is told of a board, before and at the end.
#[derive(Clone, Debug, Serialize)]
pub struct About {
    /// The serial port.
    pub port: String,
    /// USB serial number, where known.
    pub usb_serial: Option<String>,
    /// Serial number of the secure element.
    pub secure_element_serial: String,
    /// Thing name and MQTT client id.
    pub thing_name: String,
    /// The endpoint that the board connects to.
    pub endpoint: String,
    /// Whether the slots of the factory certificates are locked.
    pub slots_locked: bool,
    /// Whether the factory certificates of the secure element lead to the vendor's root, and certify the board's key; `false` where
    /// that was not asked.
    pub attested: bool,
    /// Folder with the board's files.
    #[serde(serialize_with = "crate::contract::path")]
    pub folder: PathBuf,
    /// Why the folder is named by the secure element, although the kit has a USB serial number.
    pub clash: Option<Clash>,
    /// Older certificates of the key that were not revoked here, by id.
    pub superseded: Vec<String>,
    /// Why the key was revoked, if it gets a new certificate nevertheless.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_revocation: Option<KeyRevocation>,
}

impl About {
    /// What the board is called: the serial number on its sticker, or its secure element's.
    pub fn name(&self) -> &str {
        self.usb_serial.as_deref().unwrap_or(&self.secure_element_serial)
    }
}

/// One board's part of a plan.
#[derive(Clone, Debug, Serialize)]
pub struct Preview {
    /// How it ends if nothing fails.
    #[serde(skip)]
    pub outcome: Outcome,
    /// The board.
    #[serde(flatten)]
    pub about: About,
    /// SHA-256 of the DER certificate; `None` for a certificate that is not issued yet.
    pub certificate_id: Option<String>,
}

/// Where a run is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Opening the port and waiting for the board's answer.
    Open,
    /// The board is known: the serial number of its secure element.
    Identified(String),
    /// The secure element signs the request.
    Sign,
    /// The secure element shows that it has the key.
    Prove,
    /// Reading the factory certificates and rebuilding them.
    ReadFactory,
    /// Comparing what the board holds with what it should hold.
    Compare,
    /// Erasing the flash.
    Erase,
    /// Writing certificates and names.
    Write,
    /// Reading back.
    ReadBack,
    /// Locking the slots of the factory certificates.
    LockSlots,
    /// Done; the label is being made.
    Label,
}

/// How it ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Written and read back.
    Provisioned,
    /// The board held the right bytes already.
    Unchanged,
}

impl Outcome {
    /// What is done about a board that ends so.
    pub fn action(self) -> &'static str {
        match self {
            Self::Provisioned => "provision",
            Self::Unchanged => "leave",
        }
    }
}

/// A board that is done, as programs read it.
#[derive(Debug, Serialize)]
pub struct Done<'a> {
    action: &'static str,
    #[serde(flatten)]
    report: &'a Report,
    /// Why it has no label.
    #[serde(skip_serializing_if = "Option::is_none")]
    label_error: Option<String>,
    done: bool,
}

impl<'a> Done<'a> {
    /// What is told of a board, and why it has no label, if it should have one.
    pub fn new(report: &'a Report, label_error: Option<String>) -> Self {
        Self { action: report.outcome.action(), report, label_error, done: true }
    }
}

/// What was done with one board.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// The board.
    #[serde(flatten)]
    pub about: About,
    /// SHA-256 of the DER certificate, which is its id in AWS IoT.
    pub certificate_id: String,
    /// Whether the certificate was there before.
    pub certificate_reused: bool,
    /// What went over the wire.
    pub traffic: Traffic,
    /// From opening the port to the end.
    pub seconds: f64,
}
