//! The SHA-256 of each image: those of the catalogue, or, in a build for tests alone, those of a file.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Once;

use iot_kit::catalogue::{Image, PACKAGE};

/// Names a file as `sha256sum` writes it, with the paths of the catalogue. Only a build with debug assertions reads it: tests have
/// images of their own.
const VARIABLE: &str = "MICROCHIP_IOT_TEST_SHA256SUMS";

/// The SHA-256 that the images and the wheel must have.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums(BTreeMap<String, String>);

impl Sums {
    pub(super) fn load() -> Result<Self, durable_files::Error> {
        match std::env::var_os(VARIABLE).filter(|_| cfg!(debug_assertions)) {
            None => Ok(Self::default()),
            Some(path) => {
                let path = Path::new(&path);
                static TOLD: Once = Once::new();
                TOLD.call_once(|| {
                    tracing::warn!(
                        "{} has the checksums of firmware in place of the pinned ones",
                        path.display()
                    )
                });
                let bytes = durable_files::read(path)?.ok_or_else(|| durable_files::Error::missing(path))?;
                let text = String::from_utf8_lossy(&bytes);
                let pairs = text.lines().filter_map(|line| line.split_once("  "));
                Ok(Self(pairs.map(|(sum, path)| (path.to_owned(), sum.to_owned())).collect()))
            }
        }
    }

    pub(super) fn of(&self, image: Image) -> &str {
        self.0.get(image.path()).map_or(image.sha256(), String::as_str)
    }

    pub(super) fn of_wheel(&self) -> &str {
        self.0.get(PACKAGE.wheel).map_or(PACKAGE.sha256, String::as_str)
    }
}
