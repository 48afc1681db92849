//! `firmware`: the images of the catalogue; and the flags by which programs and Wi-Fi credentials get into a kit.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::plan::{self, Line, Plan};
use super::{Context, Error};
use crate::work;
use crate::work::firmware::{Error as FirmwareError, Images};
use iot_account::counted;
use iot_kit::catalogue::{Image, PACKAGE};
use iot_kit::disk::Firmware;
use iot_kit::kits::Model;

mod fetch;
mod network;
mod options;
mod program;

pub(super) use fetch::Fetch;
use fetch::Listed;
pub(super) use network::{Network, Route, Wifi};
pub(super) use options::{Extras, FirmwareAndWifi, Prepared};
pub(super) use program::{DiskOption, Program};

/// The images that Microchip publishes for the kits.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  provisioner firmware list
      The images that are known, and which of them are on this computer.
  provisioner firmware fetch
      Have pip download the Python package that has them, and keep them in the home folder.
  provisioner firmware fetch --wheel pykitcommander-2.8.3.18-py3-none-any.whl
      The same without a network, from a file.

Each image is known by its SHA-256. Other bytes are refused.")]
pub enum Command {
    /// List the images: what they are for, and whether they are here
    List,
    /// Bring images here and keep them in the home folder; no network is needed afterwards
    Fetch(FetchArguments),
    /// Show the images for a kit, or one image: where it is from, its SHA-256, and which memories it writes
    Show(ShowArguments),
}

/// Arguments of `firmware fetch`.
#[derive(Debug, Args)]
pub struct FetchArguments {
    /// Kits or images [default: all]
    #[arg(value_name = "KIT|IMAGE")]
    names: Vec<String>,
    /// Take them from this wheel [default: the installed Python package, else pip download]
    #[arg(long, value_name = "FILE")]
    wheel: Option<PathBuf>,
}

/// Arguments of `firmware show`.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// A kit, such as "AVR-IoT WG", or an image of `firmware list`
    #[arg(value_name = "KIT|IMAGE")]
    name: String,
}

/// Lists, fetches or shows images.
///
/// # Errors
/// A name that is none; there is no way to the images, or they are not the pinned ones.
pub(super) async fn run(command: &Command, context: &Context) -> Result<(), Error> {
    let images = Images::of(&context.home)?;
    match command {
        Command::List => list(&images, context),
        Command::Show(ShowArguments { name }) => show(&images, name, context),
        Command::Fetch(FetchArguments { names, wheel }) => {
            let wanted: Vec<Image> = match names.is_empty() {
                true => Image::all().collect(),
                false => names.iter().map(|name| named(name)).collect::<Result<Vec<_>, _>>()?.concat(),
            };
            // What is kept and wrong is fetched anew.
            let missing = wanted.iter().copied().filter(|image| !matches!(images.kept(*image), Ok(Some(_))));
            let fetch = Fetch::look(&images, missing.collect(), wheel.as_deref())?;
            if fetch.is_none() {
                context.note(format_args!("{} here, and right", counted(wanted.len(), "image")));
            }
            plan::run(context, Fetched(fetch)).await
        }
    }
}

struct Fetched(Option<Fetch>);

impl Plan for Fetched {
    async fn lines(&mut self, _: &Context) -> Result<Vec<Line>, Error> {
        Ok(self.0.iter().flat_map(Fetch::lines).collect())
    }

    async fn carry_out(self, context: &Context) -> Result<(), Error> {
        match self.0 {
            Some(fetch) => fetch.carry_out(context).await,
            None => Ok(()),
        }
    }
}

/// The images that a word means: those for a kit, or the one of this name.
fn named(name: &str) -> Result<Vec<Image>, work::Error> {
    let model = Model::named_in(name);
    let meant = |image: &Image| image.name() == name || image.kits().any(|kit| Some(kit) == model);
    let found: Vec<Image> = Image::all().filter(meant).collect();
    match found.is_empty() {
        true => Err(FirmwareError::Unknown { name: name.to_owned() }.into()),
        false => Ok(found),
    }
}

fn list(images: &Images, context: &Context) -> Result<(), Error> {
    let mut rows = Vec::new();
    for image in Image::all() {
        let kept = match images.kept(image) {
            Err(work::Error::Firmware(error @ FirmwareError::NotPinned { .. })) => {
                context.note(format_args!("warning: {error}"));
                None
            }
            kept => kept?,
        };
        rows.push(Listed::new(images, image, kept.map(|_| images.path(image))));
    }
    let line = |row: &Listed| {
        let place = if row.file.is_some() { "here" } else { "not yet" };
        format!("{place:<8} {:<26} {:<29} {}", row.kits(), row.what(), row.name.name())
    };
    rows.iter().for_each(|row| context.result(line(row), row));
    if rows.iter().any(|row| row.file.is_none()) {
        context.note("bring them here with: provisioner firmware fetch");
    }
    Ok(())
}

/// An image with what is in it.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    listed: Listed,
    licence: &'static str,
    /// `None` where the image is not kept.
    bytes: Option<usize>,
    memories: Vec<Memory>,
}

/// A piece of an image's content.
#[derive(Serialize)]
struct Memory {
    memory: Kind,
    first_address: u32,
    last_address: u32,
}

/// What the microcontroller has at the addresses.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Flash,
    /// Fuses, user row.
    Settings,
}

fn show(images: &Images, name: &str, context: &Context) -> Result<(), Error> {
    for image in named(name)? {
        let firmware = images.kept(image)?.map(|_| images.firmware(image)).transpose()?;
        let flash = image.target().map_or(0..0, |target| target.flash());
        let memory = |range: Range<u32>| Memory {
            memory: if flash.contains(&range.start) { Kind::Flash } else { Kind::Settings },
            first_address: range.start,
            last_address: range.end - 1,
        };
        let shown = Shown {
            listed: Listed::new(images, image, firmware.as_ref().map(|_| images.path(image))),
            licence: PACKAGE.licence,
            bytes: firmware.as_ref().map(|firmware| firmware.size()),
            memories: firmware.iter().flat_map(pieces).map(memory).collect(),
        };
        context.show_block(&shown);
    }
    Ok(())
}

/// The pieces of an image. What a linker leaves out for alignment is no gap.
fn pieces(firmware: &Firmware) -> Vec<Range<u32>> {
    const ALIGNMENT: u32 = 16;
    let mut pieces: Vec<Range<u32>> = Vec::new();
    for range in firmware.ranges() {
        match pieces.last_mut() {
            Some(last) if range.start - last.end < ALIGNMENT => last.end = range.end,
            _ => pieces.push(range),
        }
    }
    pieces
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { listed, licence, bytes, memories } = self;
        writeln!(f, "{} ({})", listed, listed.kits())?;
        writeln!(f, "  from     {PACKAGE} ({licence})")?;
        writeln!(f, "  sha256   {}", listed.sha256)?;
        match (&listed.file, bytes) {
            (Some(file), Some(bytes)) => {
                let file = device_pki::visible::line(&file.display().to_string()).into_owned();
                write!(f, "  here     {file}, {}", counted(*bytes, "byte"))?;
            }
            _ => write!(f, "  here     no; provisioner firmware fetch brings it")?,
        }
        for Memory { memory, first_address, last_address } in memories {
            let memory = match memory {
                Kind::Flash => "flash",
                Kind::Settings => "fuses or user row of the microcontroller",
            };
            write!(f, "\n  writes   {first_address:#08x} to {last_address:#08x}: {memory}")?;
        }
        Ok(())
    }
}
