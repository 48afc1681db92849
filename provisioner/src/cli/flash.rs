//! `flash`: puts a program into a kit's microcontroller through the kit's disk.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::firmware::{DiskOption, Fetch, Program};
use super::plan::{self, Line, Plan};
use super::{Context, provision::Choice};
use crate::cli::Error;
use crate::work::firmware::{self, Images};
use iot_kit::Kit;
use iot_kit::catalogue::{self, Image};

/// Arguments of `flash`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  provisioner flash application.hex
      Program the only kit that is plugged in with a file.
  provisioner flash --image application
      Put the demo application of the catalogue back into the kit.")]
pub struct Arguments {
    /// Firmware, Intel HEX
    #[arg(value_name = "HEX", required_unless_present = "image")]
    file: Option<PathBuf>,
    /// The image of the catalogue for this kit, in place of a file
    #[arg(long, value_name = "WHICH", conflicts_with = "file", value_parser = which())]
    image: Option<catalogue::Program>,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    disk: DiskOption,
}

const WHICH: [(&str, catalogue::Program); 2] =
    [("provisioning", catalogue::Program::Provisioning), ("application", catalogue::Program::Application)];

fn which() -> impl TypedValueParser<Value = catalogue::Program> {
    PossibleValuesParser::new(WHICH.map(|(name, _)| name)).try_map(|name| {
        let known = WHICH.into_iter().find(|(known, _)| *known == name);
        known.map(|(_, which)| which).ok_or("no image")
    })
}

/// Checks the file, programs the kit that is meant, and waits until its disk and its port are back.
///
/// # Errors
/// Those of the file, the catalogue, the kit and its disk.
pub(super) async fn run(arguments: Arguments, context: &Context) -> Result<(), Error> {
    let Arguments { file, image, choice, disk } = arguments;
    let read = file.map(|file| Program::read(&file, &disk)).transpose()?;
    let kit = choice.kit(context)?;
    let flash = match (read, image) {
        (Some(program), _) => Flash { kit, fetch: None, program },
        (None, Some(which)) => of_catalogue(context, kit, which, &disk)?,
        (None, None) => {
            return Err(Error::usage("nothing to program", "name a file, or an image with --image"));
        }
    };
    flash.program.check(&flash.kit)?;
    plan::run(context, flash).await
}

/// The image for a kit, which is fetched first where it is not kept.
fn of_catalogue(
    context: &Context,
    kit: Kit,
    which: catalogue::Program,
    disk: &DiskOption,
) -> Result<Flash, Error> {
    let Some(model) = disk.model(&kit) else {
        return Err(Error::usage(
            "the debugger does not say which kit this is",
            "mount the kit's disk, or name its folder with --disk DIR",
        ));
    };
    let image = Image::of(model, which).ok_or(firmware::Error::NoImage { model, program: which });
    let image = image.map_err(crate::work::Error::from)?;
    let images = Images::of(&context.home)?;
    let missing: Vec<Image> = if images.kept(image)?.is_some() { Vec::new() } else { vec![image] };
    let fetch = Fetch::look(&images, missing, None)?;
    Ok(Flash { kit, fetch, program: Program::of_image(&images, image, disk)? })
}

struct Flash {
    kit: Kit,
    fetch: Option<Fetch>,
    program: Program,
}

impl Plan for Flash {
    async fn lines(&mut self, _: &Context) -> Result<Vec<Line>, Error> {
        let fetched = self.fetch.iter().flat_map(Fetch::lines);
        Ok(fetched.chain([self.program.line(&self.kit)]).collect())
    }

    async fn carry_out(self, context: &Context) -> Result<(), Error> {
        let Self { kit, fetch, program } = self;
        if let Some(fetch) = fetch {
            fetch.carry_out(context).await?;
        }
        let is_application =
            program.image().is_some_and(|image| image.program() == catalogue::Program::Application);
        let kit = program.carry_out(context, kit).await?;
        if let (Some(serial), true) = (&kit.usb_serial, is_application) {
            Images::of(&context.home)?.note_restored(serial)?;
        }
        Ok(())
    }
}
