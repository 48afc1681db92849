//! The firmware images that Microchip publishes for the kits, each pinned by its SHA-256. The images themselves are in a
//! Python package of Microchip's, under the MIT licence.

use std::fmt;

use serde::{Serialize, Serializer};

use super::kits::{Model, Radio, Target};

/// The Python package that has every image.
pub const PACKAGE: Package = Package {
    name: "pykitcommander",
    version: "2.8.3.18",
    wheel: "pykitcommander-2.8.3.18-py3-none-any.whl",
    sha256: "e887ee01e7eabf50a42c176708c1ff26097dd4263da5dc6a70cf5e7f282bc773",
    licence: "MIT, (c) 2023 Microchip Technology Inc.",
};

/// A Python package in the form of a wheel (PyPA, "Binary distribution format").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name on the index of Python packages.
    pub name: &'static str,
    /// The version.
    pub version: &'static str,
    /// Name of the wheel's file.
    pub wheel: &'static str,
    /// SHA-256 of the wheel, lower-case hex.
    pub sha256: &'static str,
    /// The licence of what is in it.
    pub licence: &'static str,
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// What an image is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Program {
    /// The provisioning firmware, which certificates are written through.
    Provisioning,
    /// The demo application, which connects to AWS IoT.
    Application,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Provisioning => "provisioning firmware",
            Self::Application => "demo application",
        })
    }
}

/// An image of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image(&'static Entry);

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    /// Names of the kits, as in their table.
    kits: &'static [&'static str],
    program: Program,
    version: &'static str,
    /// Path in the package.
    path: &'static str,
    sha256: &'static str,
}

use Program::{Application, Provisioning};

const AVR: &[&str] = &["AVR-IoT WG", "AVR-IoT WA"];
const PIC: &[&str] = &["PIC-IoT WG", "PIC-IoT WA"];
const MINI: &[&str] = &["AVR-IoT Cellular Mini"];

/// Of each kit the newest image that the package has. Applications for other clouds and images that upgrade the Wi-Fi module
/// are left out.
const TABLE: [Entry; 10] = [
    Entry {
        kits: AVR,
        program: Provisioning,
        version: "0.4.9",
        path: "pykitcommander/fw/avr/atmega4808-iot-provision-v2.hex",
        sha256: "6b22ed79c922f1e9018adb6952ed59abd73c6a9b5c3cfd97afce846ee1e13de6",
    },
    Entry {
        kits: AVR,
        program: Application,
        version: "4.1.2",
        path: "pykitcommander/fw/avr/atmega4808-aws-iot-demo.hex",
        sha256: "89495e8e29e92e10a55a1999a8ba86adf413846ae9f57599167f44f5bcf4a4df",
    },
    Entry {
        kits: PIC,
        program: Provisioning,
        version: "0.4.7",
        path: "pykitcommander/fw/pic/pic24fj128ga705-iot-provision-v2.hex",
        sha256: "013c3637a290ad550d9d4ee6b06615cb84ac3b1cc24efb46b3d6779d50d24c20",
    },
    Entry {
        kits: PIC,
        program: Application,
        version: "4.1.3",
        path: "pykitcommander/fw/pic/pic24fj128ga705-aws-iot-demo.hex",
        sha256: "154e8c5b969a25316face81445b198000d089f0eeb86d1369106c8e16e386db1",
    },
    Entry {
        kits: &["SAM-IoT WG"],
        program: Provisioning,
        version: "1.0.1",
        path: "pykitcommander/fw/sam/samd21g18a-iot-provision.hex",
        sha256: "1a0dd03244282b67af2ba5ca0ac2372f0a6562fb8185ef0de371aba80f57b5f3",
    },
    Entry {
        kits: &["SAM-IoT Wx"],
        program: Provisioning,
        version: "1.0.0",
        path: "pykitcommander/fw/sam/samd21g18a-iot-wx-provision.hex",
        sha256: "92259472f691db8253aecf698332b60a33187912e5b4885ba38c3637c7027086",
    },
    Entry {
        kits: MINI,
        program: Provisioning,
        version: "1.1.8",
        path: "pykitcommander/fw/avr/avr128db48-iot-cellular-mini-provisioning.hex",
        sha256: "ef5f39cf561826b4fb8797384bbc1efe9eae12a8ce5d13cdd33c0625b0e31f8d",
    },
    Entry {
        kits: MINI,
        program: Application,
        version: "1.3.9",
        path: "pykitcommander/fw/avr/avr128db48-iot-cellular-mini-arduino-demo.hex",
        sha256: "1d368130d20ce5336b42b242d07101b9573dac61cedbdfde06435498062e4d39",
    },
    Entry {
        kits: &["AVR-IoT Cellular"],
        program: Provisioning,
        version: "0.3.1",
        path: "pykitcommander/fw/avr/avr128db64-iot-cellular-provision.hex",
        sha256: "6b464930c09182076ed00772d24efda65f355202e08449346f6b06c5f75fa72f",
    },
    Entry {
        kits: &["CryptoAuth Trust Platform"],
        program: Provisioning,
        version: "1.1.0",
        path: "pykitcommander/fw/sam/samd21e18a-trustplatform-provision.hex",
        sha256: "de68e244d3e9b727bb5bb32d34188aa759398dd1425ebf72aea9d2cc02d9bd36",
    },
];

/// The most characters of an endpoint that the demo applications of the Wi-Fi kits read: 52 bytes at 0x6E00, of which one ends
/// the text (avr-iot-aws-sensor-node-mplab 4.1.2). One that is longer is cut off.
pub const ENDPOINT_MAX: usize = 51;
/// The characters of a thing name that they read: 41 bytes at 0x6F00, taken for absent if byte 40 is erased flash.
pub const THING_NAME_SIZE: usize = 40;

impl Image {
    /// Every image.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(Self)
    }

    /// The image for a kit, if there is one.
    pub fn of(model: Model, program: Program) -> Option<Self> {
        Self::all().find(|image| image.program() == program && image.0.kits.contains(&model.name()))
    }

    /// The kits that it is for.
    pub fn kits(self) -> impl Iterator<Item = Model> {
        Model::all().filter(move |model| self.0.kits.contains(&model.name()))
    }

    /// What it is for.
    pub fn program(self) -> Program {
        self.0.program
    }

    /// Its version, as the image itself says.
    pub fn version(self) -> &'static str {
        self.0.version
    }

    /// Its path in the package, with `/` between the parts.
    pub fn path(self) -> &'static str {
        self.0.path
    }

    /// The name of its file.
    pub fn name(self) -> &'static str {
        self.0.path.rsplit('/').next().unwrap_or(self.0.path)
    }

    /// SHA-256 of its file, lower-case hex.
    pub fn sha256(self) -> &'static str {
        self.0.sha256
    }

    /// The microcontroller that it is for.
    pub fn target(self) -> Option<Target> {
        self.kits().next().map(Model::target)
    }

    /// Whether it reads the endpoint and the thing name from a Wi-Fi module, see [`ENDPOINT_MAX`].
    pub fn reads_wifi_module(self) -> bool {
        self.program() == Application && self.kits().all(|model| model.radio() == Radio::Wifi)
    }
}

impl Serialize for Image {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn images_are_pinned_and_each_is_for_kits_of_the_table() {
        let pinned =
            |sum: &str| sum.len() == 64 && sum.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        assert!(pinned(PACKAGE.sha256) && PACKAGE.wheel.starts_with(PACKAGE.name));
        let sums: BTreeSet<&str> = Image::all().map(Image::sha256).collect();
        let names: BTreeSet<&str> = Image::all().map(Image::name).collect();
        assert_eq!((sums.len(), names.len()), (TABLE.len(), TABLE.len()));
        for image in Image::all() {
            assert!(pinned(image.sha256()), "{}", image.name());
            assert_eq!(image.kits().count(), image.0.kits.len(), "{}", image.name());
            let targets: BTreeSet<_> = image.kits().map(|model| model.target().name()).collect();
            assert_eq!(targets.into_iter().collect::<Vec<_>>(), [image.target().unwrap().name()]);
            assert!(image.kits().all(|model| Image::of(model, image.program()) == Some(image)));
        }
    }

    #[test]
    fn every_kit_that_its_debugger_can_name_has_provisioning_firmware_and_three_families_a_demo() {
        let with_demo = |model: &Model| Image::of(*model, Application).is_some();
        let named: Vec<Model> =
            Model::all().filter(|model| Model::named_in(model.name()) == Some(*model)).collect();
        assert!(named.iter().all(|model| Image::of(*model, Provisioning).is_some()));
        let demos: Vec<&str> =
            named.iter().filter(|model| with_demo(model)).map(|model| model.name()).collect();
        assert_eq!(demos, ["AVR-IoT Cellular Mini", "AVR-IoT WG", "AVR-IoT WA", "PIC-IoT WG", "PIC-IoT WA"]);
    }
}
