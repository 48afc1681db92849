//! `inspect`: what is on a board.

use std::fmt;

use serde::Serialize;

use time::OffsetDateTime;

use super::{Context, provision::Choice, roots};
use crate::cli::Error;
use crate::work::inspection::{self, Inspection};
use device_pki::visible;
use iot_account::counted;
use iot_kit::{Session, ports};

/// Reads a board and prints what is on it; nothing on it is changed.
///
/// # Errors
/// Those of the board.
pub(super) fn run(choice: &Choice, context: &Context) -> Result<(), Error> {
    let kit = choice.kit(context)?;
    let mut session = Session::start(ports::open(&kit.port)?, &kit)?;
    let inspection = inspection::inspect(&mut session, &kit, OffsetDateTime::now_utc())?;
    context.show_block(&Shown { usb_serial: kit.usb_serial, inspection });
    Ok(())
}

/// A board as it is shown.
#[derive(Serialize)]
pub(super) struct Shown {
    pub(super) usb_serial: Option<String>,
    #[serde(flatten)]
    pub(super) inspection: Inspection,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inspection { store, .. } = &self.inspection;
        let board = &self.inspection;
        let visible = |text: &str| visible::line(text).into_owned();
        let or_none = |text: &Option<String>| visible(text.as_deref().unwrap_or("(none)"));
        writeln!(f, "port            {}", visible(&board.port))?;
        writeln!(f, "USB serial      {}", or_none(&self.usb_serial))?;
        if let Some(model) = board.model {
            writeln!(f, "kit             {model}, {}", model.target())?;
        }
        writeln!(f, "secure element  {}", board.secure_element_serial)?;
        writeln!(f, "public key      {}", board.public_key)?;
        writeln!(f, "thing name      {} (from the key)", board.thing_name)?;
        writeln!(f, "firmware        {}", visible(&board.about.join(", ")))?;
        writeln!(
            f,
            "versions        firmware {}, command handler {}",
            visible(&board.firmware),
            visible(&board.command_handler)
        )?;
        writeln!(f, "Wi-Fi module    {}", visible(&board.wifi_module.join(", ")))?;
        let agrees = match &board.stored_thing_name {
            Some(name) if *name != board.thing_name => "  (does not belong to the key!)",
            _ => "",
        };
        writeln!(f, "stored name     {}{agrees}", or_none(&board.stored_thing_name))?;
        writeln!(f, "endpoint        {}", or_none(&board.stored_endpoint))?;
        match &board.factory.error {
            Some(error) => writeln!(f, "factory         {}", visible(&error.to_string()))?,
            None => writeln!(f, "factory         2 certificates, rebuilt from the secure element")?,
        }
        for certificate in board.factory.device_certificate.iter().chain(&board.factory.signer_certificate) {
            writeln!(f, "{certificate}")?;
        }
        match &board.root_store.error {
            Some(error) => writeln!(f, "roots           {}", visible(error))?,
            None => writeln!(f, "roots           {}", board.root_store.roots.len())?,
        }
        for root in &board.root_store.roots {
            writeln!(f, "{}", roots::line(root))?;
        }
        match &store.error {
            Some(error) => write!(f, "certificates    {}", visible(&error.to_string()))?,
            None => write!(f, "certificates    {}", counted(store.files.len(), "file"))?,
        }
        for file in &store.files {
            write!(f, "\n{} ({})", visible(&file.name), counted(file.bytes, "byte"))?;
            if let Some(certificate) = &file.certificate {
                write!(f, "\n{certificate}")?;
            }
        }
        Ok(())
    }
}
