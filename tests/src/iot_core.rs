//! A local AWS IoT Core: control plane over HTTP, device gateway over MQTT with mutual TLS, rule engine.

pub mod account;
pub mod control_plane;
pub mod directory;
pub mod gateway;
pub mod policy;
pub mod quota;
pub mod registration;
pub mod rules;
pub mod topic;
