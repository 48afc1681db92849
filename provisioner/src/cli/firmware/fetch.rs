//! Images of the catalogue that are brought here: from a wheel, from an installed Python package, or by pip.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tokio::task;

use crate::cli::context::joined;
use crate::cli::plan::{self, Line};
use crate::cli::{Context, Error, named};
use crate::work;
use crate::work::firmware::{Images, Source};
use iot_kit::catalogue::{Image, PACKAGE, Program};
use iot_kit::kits::Model;

/// An image of the catalogue, and where it is kept.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Listed {
    pub(super) name: Image,
    kits: Vec<Model>,
    program: Program,
    version: &'static str,
    python_package: String,
    pub(super) sha256: String,
    /// `None` where it is not kept.
    #[serde(serialize_with = "optional_path")]
    pub(super) file: Option<PathBuf>,
}

fn optional_path<S: serde::Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    match path {
        Some(path) => crate::contract::path(path, serializer),
        None => serializer.serialize_none(),
    }
}

impl Listed {
    pub(super) fn new(images: &Images, image: Image, file: Option<PathBuf>) -> Self {
        Self {
            name: image,
            kits: image.kits().collect(),
            program: image.program(),
            version: image.version(),
            python_package: PACKAGE.to_string(),
            sha256: images.sha256(image).to_owned(),
            file,
        }
    }

    /// The kits that it is for.
    pub(super) fn kits(&self) -> String {
        self.kits.iter().map(|model| model.name()).collect::<Vec<_>>().join(", ")
    }
}

impl Listed {
    /// What it is.
    pub(super) fn what(&self) -> String {
        format!("{} {}", self.program, self.version)
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what(), self.name.name())
    }
}

/// Images that are to be kept.
#[derive(Debug)]
pub(in crate::cli) struct Fetch {
    images: Images,
    wanted: Vec<Image>,
    source: Source,
}

impl Fetch {
    /// Finds out where images come from; `None` where there are none. Changes nothing.
    ///
    /// # Errors
    /// There is no way to them.
    pub(in crate::cli) fn look(
        images: &Images,
        wanted: Vec<Image>,
        wheel: Option<&Path>,
    ) -> Result<Option<Self>, Error> {
        if wanted.is_empty() {
            return Ok(None);
        }
        let read = wheel.map(|path| match named::read(path)? {
            Some(bytes) => Ok((path, bytes)),
            None => Err(Error::File { path: path.to_owned(), reason: "there is no such file".to_owned() }),
        });
        let read = read.transpose()?;
        let source = images.source(&wanted, read.as_ref().map(|(path, bytes)| (*path, &bytes[..])))?;
        Ok(Some(Self { images: images.clone(), wanted, source }))
    }

    fn listed(&self) -> impl Iterator<Item = Listed> {
        let listed = |image: &Image| Listed::new(&self.images, *image, Some(self.images.path(*image)));
        self.wanted.iter().map(listed)
    }

    /// What would be fetched.
    pub(in crate::cli) fn lines(&self) -> Vec<Line> {
        let text = |image: &Listed| format!("would fetch {image}, {}", self.source);
        self.listed().map(|image| Line::new("fetch", text(&image), &image)).collect()
    }

    /// Fetches, checks and keeps them, and tells it.
    ///
    /// # Errors
    /// Those of the download; [`work::firmware::Error::NotPinned`].
    pub(in crate::cli) async fn carry_out(self, context: &Context) -> Result<(), Error> {
        let (from, listed): (_, Vec<Listed>) = (self.source.to_string(), self.listed().collect());
        let progress = context.progress(format!("Fetching {PACKAGE}"));
        let Self { images, wanted, source } = self;
        let kept = task::spawn_blocking(move || images.keep(&wanted, source));
        joined(kept.await).map_err(|error: work::Error| Error::from(error))?;
        drop(progress);
        for image in listed {
            plan::tell(context, "fetch", format_args!("fetched {image}, {from}"), &image);
        }
        Ok(())
    }
}
