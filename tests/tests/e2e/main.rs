//! The end-to-end tests of the testbed: one binary, a module a subject.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failure is the test's result")]

mod account;
mod account_life;
mod admission;
mod advice;
mod alarms;
mod aws_settings;
mod batch;
mod board;
mod brought;
mod connect;
mod connection;
mod control_plane;
mod corpus;
mod demo;
mod described;
#[cfg(target_os = "linux")]
mod files;
mod function;
mod gateway;
mod hostile;
mod identity;
mod json;
mod keys;
mod kits;
mod lambda_host;
mod laptop;
mod manifests;
mod monitor;
#[cfg(unix)]
mod named;
mod out_of_the_box;
#[cfg(target_os = "linux")]
mod output;
mod payloads;
mod permissions;
mod plans;
mod register;
mod release;
mod report;
mod revocation;
mod roots;
mod serve;
mod shop;
mod strangers;
mod switching;
mod terminal;
mod threat_model;
mod trust;
mod words;
