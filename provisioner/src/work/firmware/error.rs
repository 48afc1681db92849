//! What can go wrong with images of the catalogue.

use std::path::PathBuf;

use iot_kit::catalogue::{ENDPOINT_MAX, Image, PACKAGE, Program};
use iot_kit::kits::Model;

/// What can go wrong with images of the catalogue.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Other bytes than the pinned ones.
    #[error(
        "{what} is not what this program knows by its name: its SHA-256 is {found}, and {pinned} is expected"
    )]
    NotPinned {
        /// The file.
        what: String,
        /// Its SHA-256.
        found: String,
        /// What it must be.
        pinned: String,
    },
    /// An image that is not kept.
    #[error("the image {image} is not here")]
    Missing {
        /// Its name.
        image: &'static str,
    },
    /// A file that is no wheel.
    #[error("{} is no wheel: {source}", path.display())]
    NotAWheel {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: zip::result::ZipError,
    },
    /// A wheel without an image.
    #[error("{} does not have {image}", path.display())]
    Lacks {
        /// The wheel.
        path: PathBuf,
        /// Name of the image.
        image: &'static str,
    },
    /// No way to the images.
    #[error("{PACKAGE} is not installed, and there is no Python with pip that can download it")]
    NoPython,
    /// The download failed.
    #[error("pip cannot download {PACKAGE}: {said}")]
    Pip {
        /// What pip said last.
        said: String,
    },
    /// The download succeeded, and there is no wheel.
    #[error("pip has not downloaded {}", PACKAGE.wheel)]
    NoWheel,
    /// A word that names neither a kit nor an image.
    #[error("there is no kit and no image with the name \"{}\"", name.escape_debug())]
    Unknown {
        /// The word.
        name: String,
    },
    /// The catalogue has none.
    #[error("the catalogue has no {program} for the {model}")]
    NoImage {
        /// The kit.
        model: Model,
        /// What it would be for.
        program: Program,
    },
    /// A network for a kit that is to have no application.
    #[error("the kit gets no application that would take the Wi-Fi network {}", ssid.escape_debug())]
    NoApplication {
        /// Name of the network.
        ssid: String,
    },
    /// The demo application reads less of the endpoint than it has.
    #[error(
        "the demo application {} reads endpoints of at most {} characters, and {endpoint} has {}",
        image.name(), ENDPOINT_MAX, endpoint.len()
    )]
    LongEndpoint {
        /// The application.
        image: Image,
        /// The endpoint.
        endpoint: String,
    },
}
