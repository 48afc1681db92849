//! Wiring only: the function is [`jitr::function`], the workflow is [`jitr::registration`].

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    jitr::function::run(std::env::args_os().skip(1), |name| std::env::var(name).ok()).await
}
