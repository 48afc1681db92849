//! Firmware for tests in the place of Microchip's: a wheel with images that tests have made, its checksums, and a Python that
//! downloads it.

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use iot_kit::catalogue::{Image, PACKAGE, Program};
use iot_kit::kits::Target;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;
use zip::write::SimpleFileOptions;

/// What is published, and the computer's Python.
pub(crate) struct Shop {
    folder: TempDir,
    environment: Vec<(&'static str, String)>,
}

/// How a program for this microcontroller begins, and a text that tells what it is.
fn hex_of(target: Target, text: &str) -> String {
    let mut bytes: Vec<u8> = match target {
        Target::Pic24fj128ga705 => vec![0x00, 0x02, 0x04, 0x00, 0x00, 0x00, 0x00, 0x00],
        Target::Atsamd21g18a | Target::Atsamd21e18a => vec![0x00, 0x80, 0x00, 0x20, 0xB5, 0x12, 0x00, 0x00],
        _ => vec![0x0C, 0x94, 0x5C, 0x00, 0x0C, 0x94, 0x77, 0x00],
    };
    bytes.extend(text.as_bytes());
    let record = |offset: usize, data: &[u8]| {
        let mut record = vec![data.len() as u8, (offset >> 8) as u8, offset as u8, 0];
        record.extend(data);
        record.push(record.iter().fold(0u8, |sum, byte| sum.wrapping_sub(*byte)));
        format!(":{}\r\n", hex::encode_upper(record))
    };
    let records = bytes.chunks(16).enumerate().map(|(i, data)| record(16 * i, data));
    records.chain([":00000001FF\r\n".to_owned()]).collect()
}

/// An image of the wheel.
pub(crate) fn image(image: Image) -> String {
    let text = match image.program() {
        Program::Provisioning => format!("MC+PING {}", image.version()),
        Program::Application => format!("sensors {}", image.version()),
    };
    hex_of(image.target().unwrap(), &text)
}

impl Shop {
    /// A wheel, and a Python with pip that has it.
    pub(crate) fn new() -> Self {
        let shop = Self { folder: tempfile::tempdir().unwrap(), environment: Vec::new() };
        let mut wheel = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let mut sums = String::new();
        let mut sum = |bytes: &[u8], path: &str| {
            sums += &format!("{}  {path}\n", hex::encode(digest(&SHA256, bytes)));
        };
        for image in Image::all() {
            let content = self::image(image);
            wheel.start_file(image.path(), SimpleFileOptions::default()).unwrap();
            wheel.write_all(content.as_bytes()).unwrap();
            sum(content.as_bytes(), image.path());
            let installed = shop.path("site-packages").join(image.path());
            std::fs::create_dir_all(installed.parent().unwrap()).unwrap();
            std::fs::write(installed, content).unwrap();
        }
        let wheel = wheel.finish().unwrap().into_inner();
        sum(&wheel, PACKAGE.wheel);
        std::fs::write(shop.path(PACKAGE.wheel), wheel).unwrap();
        std::fs::write(shop.path("sums"), sums).unwrap();
        std::fs::create_dir(shop.path("bin")).unwrap();
        let downloads = format!("cp '{}' .", shop.path(PACKAGE.wheel).display());
        shop.python("pip\\t24.0\\n", &downloads);
        let environment = vec![
            ("PATH", shop.path("bin").display().to_string()),
            ("MICROCHIP_IOT_TEST_SHA256SUMS", shop.path("sums").display().to_string()),
        ];
        Self { environment, ..shop }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The wheel.
    pub(crate) fn wheel(&self) -> PathBuf {
        self.path(PACKAGE.wheel)
    }

    /// The folder that Python has packages in.
    pub(crate) fn installed(&self) -> PathBuf {
        self.path("site-packages")
    }

    /// Replaces the Python of the computer: what it says of the package and of pip, and what it does to download.
    pub(crate) fn python(&self, says: &str, downloads: &str) {
        let script = format!(
            "#!/bin/sh\nPATH=/usr/bin:/bin\necho \"$2 $3\" >> '{}'\ncase \"$1\" in\n-c) printf '{says}' ;;\n-m) {downloads} ;;\nesac\n",
            self.path("calls").display()
        );
        let path = self.path("bin").join("python3");
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    /// How often Python has downloaded.
    pub(crate) fn downloads(&self) -> usize {
        let calls = std::fs::read_to_string(self.path("calls")).unwrap_or_default();
        calls.lines().filter(|call| *call == "pip download").count()
    }

    /// What a run needs to meet this shop, and more.
    pub(crate) fn environment<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let own = self.environment.iter().map(|(name, value)| (*name, value.as_str()));
        own.chain(more.iter().copied()).collect()
    }

    /// Writes a file that the user has.
    pub(crate) fn file(&self, name: &str, content: &str) -> String {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name).display().to_string()
    }

    /// A folder of this computer.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}
