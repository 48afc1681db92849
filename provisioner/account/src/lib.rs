//! An AWS account for IoT boards that register themselves: connection, set-up, diagnosis, registration, and teardown.
//!
//! Start from [`Account::load`], which finds Region and credentials in the standard places. What changes the account comes
//! in two steps: a plan that only reads, then the execution of this plan: [`setup::Plan`], [`rotate::Plan`],
//! [`teardown::Plan`]. [`doctor::examine`] checks every link between a board's first connection and its registration.
//! [`register`] puts certificates into the account one by one, [`replay`] finishes incomplete registrations,
//! [`revoke`] revokes devices and signer CAs. [`live`] shows what happens while it happens. [`permissions`] is the IAM policy
//! that all this needs.
//!
//! Nothing here prints, asks, or knows the files of a home folder. Journals are written to paths that the caller names.
//!
//! ```no_run
//! use iot_account::{Account, AwsSettings, endpoint, setup};
//!
//! # async fn example() -> Result<(), iot_account::Error> {
//! let settings = AwsSettings::new(Some("factory".to_owned()), Some("eu-central-1".to_owned()), ());
//! let account = Account::load(&settings, None).await?;
//! println!("boards connect to {}", endpoint(&account).await?);
//! let plan = setup::Plan::make(&account, None, &setup::Settings::default(), &[]).await?;
//! plan.links().iter().for_each(|link| println!("{}", link.line(false)));
//! # Ok(())
//! # }
//! ```

mod account;
pub mod admission;
mod aws_settings;
mod bounded;
mod calls;
pub mod certificates;
mod counted;
mod description;
pub mod doctor;
mod endpoint;
mod error;
pub mod live;
mod page;
pub mod permissions;
pub mod policy;
mod policy_evaluation;
mod queue;
mod quota;
pub mod register;
mod registrar;
pub mod replay;
mod resource;
pub mod revoke;
pub mod rotate;
pub mod setup;
pub mod teardown;
mod turns;

pub use account::Account;
pub use aws_settings::{AwsSettings, Source, TokenCodes, ca_bundle_variable};
pub use counted::counted;
pub use endpoint::{SANDBOX_ENDPOINT, endpoint};
pub use error::{Answer, Cause, Error};
pub use queue::Queue;
pub use registrar::Outcome;
pub use resource::Resource;
