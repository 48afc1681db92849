//! Wiring only: the command line is in `cli`.

fn main() -> std::process::ExitCode {
    std::process::ExitCode::from(provisioner::cli::run(std::env::args_os()) as u8)
}
