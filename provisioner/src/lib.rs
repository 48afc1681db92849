//! Puts boards into the user's own AWS account: the program around the libraries.
//!
//! Three layers, each of which uses those before it: [`state`] is what is on this computer, [`work`] what is done with
//! boards, certificates and account, [`cli`] the command line, the only place that prints and that knows flags, exit codes
//! and help. [`contract`] is what programs that read the JSON rely on. The libraries below are `durable-files`,
//! `device-pki`, `iot-kit`, `jitr` and `iot-account`.

#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

pub mod cli;
pub mod contract;
pub mod state;
pub mod work;
