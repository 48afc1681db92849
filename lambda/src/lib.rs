//! Just-in-time registration (JITR) of devices in AWS IoT Core.
//!
//! Data flows one way: the event of the topic rule → the workflow → the [registry](crate::registry) trait → AWS.
//! The provisioner takes the same workflow, thing name and policy document for multi-account registration.

pub mod thing_name;
