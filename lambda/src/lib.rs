//! Just-in-time registration (JITR) of devices in AWS IoT Core.
//!
//! A device whose certificate was signed by a registered CA connects, AWS IoT publishes an event, and the certificate has
//! to be given a thing and a policy and made ACTIVE. Data flows one way: the event of the topic rule ([`event`]) → the
//! workflow ([`registration`]) → the [`registry`] trait → AWS.
//!
//! The feature `function` is the Lambda function around the workflow. Without it the crate is a library: start from
//! [`registration::Registration`] with a [`registry::aws::AwsRegistry`], or with a registry of your own. The feature
//! `test-util` has one in memory, which follows AWS IoT's rules; `examples/register.rs` registers a certificate in it.
//!
//! ```
//! use jitr::event::Event;
//! use jitr::thing_name::ThingName;
//!
//! let event = Event::from_json(
//!     r#"{
//!         "certificateId": "0101010101010101010101010101010101010101010101010101010101010101",
//!         "caCertificateId": "0202020202020202020202020202020202020202020202020202020202020202",
//!         "awsAccountId": "123456789012",
//!         "certificateStatus": "PENDING_ACTIVATION"
//!     }"#,
//! )?;
//! assert!(event.certificate_id.starts_with("0101"));
//! // A thing is named after its device's key.
//! assert_eq!(ThingName::from_public_key(&[4; 65]).as_str().len(), 40);
//! # Ok::<(), jitr::event::EventError>(())
//! ```

pub mod admission;
pub mod config;
pub mod description;
pub mod event;
#[cfg(test)]
mod fixture;
#[cfg(feature = "function")]
pub mod function;
pub mod iam;
pub mod name;
pub mod policy;
pub mod published;
pub mod registration;
pub mod registry;
pub mod revocation;
pub mod scope;
pub mod thing_name;
pub mod version;
