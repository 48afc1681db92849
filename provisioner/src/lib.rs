//! Puts boards into the user's own AWS account.
//!
//! [`ca`] makes certificates, [`board`] talks to one board, [`cloud`] to the account; [`provision`] takes one board
//! from start to end, [`station`] does so and keeps the [`ledger`] and the [`label`]s, [`line`] does it with many boards
//! at once. [`cli`] is the command line over them. Codec, store format and certificate profile have no I/O.

pub mod audit;
pub mod board;
pub mod ca;
pub mod cli;
pub mod cloud;
mod error;
pub mod home;
pub mod inventory;
pub mod label;
pub mod ledger;
pub mod line;
mod lines;
pub mod provision;
pub mod station;

pub use error::Error;
