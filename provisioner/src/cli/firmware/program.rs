//! A program for a kit, and the kit's disk that takes it.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use tokio::task;

use crate::cli::context::joined;
use crate::cli::plan::{self, Line};
use crate::cli::{Context, Error};
use crate::work::firmware::Images;
use iot_account::counted;
use iot_kit::catalogue::Image;
use iot_kit::disk::{Disk, Firmware};
use iot_kit::kits::Model;
use iot_kit::{Kit, ports};

/// The kit's disk.
#[derive(Clone, Debug, Default, Args)]
pub(in crate::cli) struct DiskOption {
    /// Mount point of the kit's disk CURIOSITY [default: found automatically]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) disk: Option<PathBuf>,
}

impl DiskOption {
    pub(super) fn of(&self, kit: &Kit) -> Result<Disk, iot_kit::Error> {
        Ok(Disk::of(kit.usb_serial.as_deref(), self.disk.as_deref())?)
    }

    /// The kit as its debugger names it, over USB or on its disk.
    pub(in crate::cli) fn model(&self, kit: &Kit) -> Option<Model> {
        kit.model.or_else(|| self.of(kit).ok().and_then(|disk| disk.info().model))
    }
}

/// A program for a kit, and the disk that takes it.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Program {
    /// The image of the catalogue that it is, if it is one.
    image: Option<Image>,
    content: Content,
    disk: DiskOption,
}

#[derive(Clone, Debug)]
enum Content {
    /// It was read.
    Read(Firmware),
    /// It is fetched before it is needed, and will be here.
    Fetched(PathBuf),
}

/// What is programmed into which kit.
#[derive(Clone, Debug, Serialize)]
pub(in crate::cli) struct About {
    pub(in crate::cli) port: String,
    usb_serial: Option<String>,
    #[serde(serialize_with = "crate::contract::path")]
    file: PathBuf,
    /// Whether the file is one of the catalogue's, whose name says enough.
    #[serde(skip)]
    is_image: bool,
    /// `None` for an image that is fetched first.
    bytes: Option<usize>,
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { port, usb_serial, file, is_image, bytes } = self;
        let kit = usb_serial.as_ref().unwrap_or(port);
        let name = file.file_name().map(Path::new).filter(|_| *is_image).unwrap_or(file);
        write!(f, "{kit} with {}", name.display())?;
        bytes.map_or(Ok(()), |bytes| write!(f, " ({})", counted(bytes, "byte")))
    }
}

impl Program {
    /// The program in a file.
    ///
    /// # Errors
    /// The file cannot be read or is no image.
    pub(in crate::cli) fn read(path: &Path, disk: &DiskOption) -> Result<Self, iot_kit::Error> {
        Ok(Self { image: None, content: Content::Read(Firmware::read(path)?), disk: disk.clone() })
    }

    /// An image of the catalogue. One that is not kept has to be fetched before it is programmed.
    ///
    /// # Errors
    /// Something else is kept in its place.
    pub(in crate::cli) fn of_image(images: &Images, image: Image, disk: &DiskOption) -> Result<Self, Error> {
        let content = match images.kept(image)? {
            Some(_) => Content::Read(images.firmware(image)?),
            None => Content::Fetched(images.path(image)),
        };
        Ok(Self { image: Some(image), content, disk: disk.clone() })
    }

    /// The image of the catalogue that it is, if it is one.
    pub(in crate::cli) fn image(&self) -> Option<Image> {
        self.image
    }

    /// Whether the kit's disk is there and takes it.
    ///
    /// # Errors
    /// There is no disk, or the program does not suit the kit.
    pub(in crate::cli) fn check(&self, kit: &Kit) -> Result<(), iot_kit::Error> {
        let disk = self.disk.of(kit)?;
        if let Some(target) = self.image.and_then(Image::target) {
            disk.check_target(target)?;
        }
        match &self.content {
            Content::Read(firmware) => Ok(disk.check(firmware)?),
            Content::Fetched(_) => Ok(()),
        }
    }

    pub(in crate::cli) fn about(&self, kit: &Kit) -> About {
        let (file, bytes) = match &self.content {
            Content::Read(firmware) => (firmware.path().to_owned(), Some(firmware.size())),
            Content::Fetched(path) => (path.clone(), None),
        };
        let (port, usb_serial) = (kit.port.clone(), kit.usb_serial.clone());
        About { port, usb_serial, file, is_image: self.image.is_some(), bytes }
    }

    pub(in crate::cli) fn line(&self, kit: &Kit) -> Line {
        let about = self.about(kit);
        Line::new("program", format_args!("would program {about}"), &about)
    }

    /// Programs the kit through its disk, waits until both disk and port are back, tells it, and says where the kit is then.
    ///
    /// # Errors
    /// Those of the kit's disk; an image that was not fetched.
    pub(in crate::cli) async fn carry_out(mut self, context: &Context, kit: Kit) -> Result<Kit, Error> {
        if let (Content::Fetched(_), Some(image)) = (&self.content, self.image) {
            self.content = Content::Read(Images::of(&context.home)?.firmware(image)?);
            self.check(&kit)?;
        }
        let mut about = self.about(&kit);
        let kit = blocking(context, "Programming", move || {
            if let Content::Read(firmware) = &self.content {
                self.disk.of(&kit)?.program(firmware)?;
            }
            ports::wait_for(&kit)
        })
        .await?;
        about.port.clone_from(&kit.port);
        plan::tell(context, "program", format_args!("programmed {about}"), &about);
        Ok(kit)
    }
}

/// Work with a kit, which blocks; `what` is shown if it takes long.
pub(super) async fn blocking<T: Send + 'static>(
    context: &Context,
    what: &str,
    work: impl FnOnce() -> Result<T, iot_kit::Error> + Send + 'static,
) -> Result<T, Error> {
    let _progress = context.progress(what);
    Ok(joined(task::spawn_blocking(work).await)?)
}
