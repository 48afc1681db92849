//! The user's AWS account: how it is reached, its endpoint, and setting it up for just-in-time registration.

mod account;
mod calls;
mod endpoint;
mod error;
pub mod setup;

pub use account::Account;
pub use endpoint::{SANDBOX_ENDPOINT, endpoint};
pub use error::Error;
