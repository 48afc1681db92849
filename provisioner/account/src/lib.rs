//! The user's AWS account: how it is reached, its endpoint, and how it is set up, examined, used and taken down.

mod account;
mod allowance;
mod calls;
pub mod certificates;
pub mod doctor;
mod endpoint;
mod error;
mod pace;
mod queue;
pub mod register;
pub mod replay;
pub mod revoke;
pub mod rotate;
pub mod setup;
pub mod teardown;

pub use account::Account;
pub use endpoint::{SANDBOX_ENDPOINT, endpoint};
pub use error::Error;
pub use queue::Queue;
