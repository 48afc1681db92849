//! Everything that can be read from a board: who it is, and what its Wi-Fi module holds.

use device_pki::{Certificate, point_of};
use iot_kit::command::{Command, Component, FLASH_PAGE, UNKNOWN_COMMAND};
use iot_kit::kits::{Model, Radio};
use iot_kit::root_store::Root;
use iot_kit::{Error, Kit, Session, flash, secure_element, store, wifi_module};
use serde::Serialize;
use time::OffsetDateTime;

use super::provision::{Identity, read_factory as read_slots};
use super::roots::{self, StoredRoot};

/// What is on a board.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// The serial port.
    pub port: String,
    /// Serial number of the secure element, upper-case hex.
    pub secure_element_serial: String,
    /// The device's public key, an uncompressed point in lower-case hex.
    pub public_key: String,
    /// The thing name that belongs to the key.
    pub thing_name: String,
    /// The kit, as its debugger names it; else as the firmware does, which cannot tell WG and WA apart.
    pub model: Option<Model>,
    /// What the firmware says of itself.
    pub about: Vec<String>,
    /// Version of the provisioning firmware.
    pub firmware: String,
    /// Version of its command handler.
    pub command_handler: String,
    /// Versions of the Wi-Fi module's firmware and driver.
    pub wifi_module: Vec<String>,
    /// The certificates that the secure element left the factory with.
    pub factory: Factory,
    /// The client certificate store.
    pub store: Store,
    /// The roots that the Wi-Fi module trusts.
    pub root_store: RootStore,
    /// The thing name in the Wi-Fi module.
    pub stored_thing_name: Option<String>,
    /// The endpoint in the Wi-Fi module.
    pub stored_endpoint: Option<String>,
}

/// The factory certificates, rebuilt from the secure element.
#[derive(Clone, Debug, Serialize)]
pub struct Factory {
    /// Why there are none, if there are none.
    pub error: Option<String>,
    /// The device's, its signature verified.
    pub device_certificate: Option<Certificate>,
    /// The signer's.
    pub signer_certificate: Option<Certificate>,
}

/// The client certificate store as found.
#[derive(Clone, Debug, Serialize)]
pub struct Store {
    /// Why it cannot be read, if it cannot.
    pub error: Option<String>,
    /// Its files.
    pub files: Vec<StoredFile>,
}

/// The root certificate store as found.
#[derive(Clone, Debug, Serialize)]
pub struct RootStore {
    /// Why it cannot be read, if it cannot.
    pub error: Option<String>,
    /// Its roots.
    pub roots: Vec<StoredRoot>,
    /// The same as the module has them.
    #[serde(skip)]
    pub(super) found: Vec<Root>,
}

/// A file of the store.
#[derive(Clone, Debug, Serialize)]
pub struct StoredFile {
    /// Name.
    pub name: String,
    /// Size in bytes.
    pub bytes: usize,
    /// The certificate in it, if there is one.
    pub certificate: Option<Certificate>,
}

/// Reads a board. Nothing on it is changed.
///
/// # Errors
/// Those of [`Session::run`].
pub fn inspect(session: &mut Session, kit: &Kit, now: OffsetDateTime) -> Result<Inspection, Error> {
    let serial = secure_element::serial(session)?;
    let board = Identity { serial, point: point_of(&secure_element::public_key(session)?) };
    let about = about(session)?;
    let model = kit.model.or_else(|| Model::in_about(&about));
    if let Some(model) = model.filter(|model| model.radio() != Radio::Wifi) {
        return Err(Error::NoWifiModule { port: session.port().to_owned(), model });
    }
    let firmware = version(session, Component::Firmware)?.join(" ");
    let command_handler = version(session, Component::CommandHandler)?.join(" ");
    let wifi_module = version(session, Component::WifiModule)?;
    let factory = read_factory(session, &board)?;
    let root_store = match roots::read(session)? {
        Ok(found) => {
            let roots = found.iter().map(|root| StoredRoot::of(root, now)).collect();
            RootStore { error: None, roots, found }
        }
        Err(error) => RootStore { error: Some(error.to_string()), roots: Vec::new(), found: Vec::new() },
    };
    let store = read_store(session)?;
    let stored_endpoint = text(&wifi_module::read(session, flash::ENDPOINT, FLASH_PAGE)?);
    let stored_thing_name = text(&wifi_module::read(session, flash::THING_NAME, flash::THING_NAME_SIZE)?);
    Ok(Inspection {
        port: session.port().to_owned(),
        public_key: hex::encode(board.point),
        thing_name: board.thing_name(),
        secure_element_serial: board.serial,
        model,
        about,
        firmware,
        command_handler,
        wifi_module,
        factory,
        store,
        root_store,
        stored_thing_name,
        stored_endpoint,
    })
}

/// What the firmware says of itself and of the kit, line by line.
fn about(session: &mut Session) -> Result<Vec<String>, Error> {
    session.query(Command::About, |lines| Some(lines.to_vec()))
}

/// A better explanation for a firmware that does not know a command: that of a kit without a Wi-Fi module has none for it.
pub fn explained(session: &mut Session, error: Error) -> Error {
    if !matches!(error, Error::Refused { code: UNKNOWN_COMMAND, .. }) {
        return error;
    }
    let model = about(session).ok().and_then(|about| Model::in_about(&about));
    match model.filter(|model| model.radio() != Radio::Wifi) {
        Some(model) => Error::NoWifiModule { port: session.port().to_owned(), model },
        None => error,
    }
}

pub(super) fn version(session: &mut Session, component: Component) -> Result<Vec<String>, Error> {
    session.query(Command::Version(component), |lines| (!lines.is_empty()).then(|| lines.to_vec()))
}

fn read_factory(session: &mut Session, board: &Identity) -> Result<Factory, Error> {
    let none =
        |error: String| Factory { error: Some(error), device_certificate: None, signer_certificate: None };
    match read_slots(session, board) {
        Ok(Ok(found)) => Ok(Factory {
            error: None,
            device_certificate: Some(found.device),
            signer_certificate: Some(found.signer),
        }),
        Ok(Err(error)) => Ok(none(error.to_string())),
        Err(error @ Error::Refused { .. }) => Ok(none(error.to_string())),
        Err(error) => Err(error),
    }
}

fn read_store(session: &mut Session) -> Result<Store, Error> {
    let broken = |error: store::Error| Store { error: Some(error.to_string()), files: Vec::new() };
    let mut bytes = wifi_module::read(session, flash::CLIENT_STORE, store::HEADER_SIZE)?;
    let size = match store::size(&bytes) {
        Ok(size) => size,
        Err(error) => return Ok(broken(error)),
    };
    let address = flash::CLIENT_STORE + store::HEADER_SIZE as u32;
    bytes.extend(wifi_module::read(session, address, size - store::HEADER_SIZE)?);
    Ok(match store::read(&bytes) {
        Ok(files) => Store {
            error: None,
            files: files
                .into_iter()
                .map(|file| StoredFile {
                    bytes: file.content.len(),
                    certificate: Certificate::from_der(&file.content).ok(),
                    name: file.name,
                })
                .collect(),
        },
        Err(error) => broken(error),
    })
}

/// A NUL-terminated ASCII text; `None` where the flash is erased or holds something else.
pub(super) fn text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|&b| b == 0)?;
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())).then(|| text.to_owned())
}
