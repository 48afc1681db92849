//! Just-in-time registration (JITR) of devices in AWS IoT Core.
//!
//! Data flows one way: the event of the topic rule → the workflow → the [registry] trait → AWS.
//! The provisioner takes the same workflow, thing name and policy document for multi-account registration.

pub mod config;
pub mod event;
#[cfg(test)]
mod fixture;
pub mod iam;
#[cfg(feature = "lambda")]
pub mod lambda;
pub mod name;
pub mod policy;
pub mod registration;
pub mod registry;
pub mod revocation;
pub mod scope;
pub mod thing_name;
