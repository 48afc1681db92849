//! `completions`: the completion script for a shell.

use clap::Args;
use clap_complete::Shell;

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
    clap_complete::generate(arguments.shell, command, name, &mut std::io::stdout());
}
