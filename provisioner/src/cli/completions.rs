//! `completions`: the completion script for a shell. `man`: the man pages.

use std::path::{Path, PathBuf};

use clap::Args;
use clap_complete::Shell;

use super::plan::{self, Line, Plan};
use super::{Context, Error, output};

/// Arguments of `completions`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: provisioner completions bash > ~/.local/share/bash-completion/completions/provisioner"
)]
pub struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script to stdout.
pub(super) fn run(arguments: &Arguments, command: &mut clap::Command) {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, command, name, &mut script);
    output::print(&String::from_utf8_lossy(&script));
}

/// Arguments of `man`.
#[derive(Debug, Args)]
pub struct ManArguments {
    /// Folder for the pages; it has to exist
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Writes `provisioner.1` and a page for each command.
///
/// # Errors
/// A folder of the home; [`Error::File`] if the folder cannot be written.
pub(super) async fn write_man_pages(
    arguments: &ManArguments,
    command: clap::Command,
    context: &Context,
) -> Result<(), Error> {
    let folder = &arguments.folder;
    context.home.check_output(folder)?;
    plan::run(context, ManPages { folder, command }).await
}

/// The man pages of a command and of those below it.
struct ManPages<'a> {
    folder: &'a Path,
    command: clap::Command,
}

impl Plan for ManPages<'_> {
    const IS_ASIDE: bool = true;

    async fn lines(&mut self, _: &Context) -> Result<Vec<Line>, Error> {
        Ok(vec![Line::plain(format_args!("would write the man pages to {}", self.folder.display()), &())])
    }

    async fn carry_out(self, _: &Context) -> Result<(), Error> {
        clap_mangen::generate_to(self.command, self.folder)
            .map_err(|source| Error::File { path: self.folder.to_owned(), reason: source.to_string() })
    }
}
