//! What every command needs: the home folder, the global flags, and the two output channels.
//!
//! Results go to stdout, as text or as one JSON object a line; everything else goes to stderr.

use std::io::Write;

use serde::Serialize;

use super::{Global, Output};
use crate::home::Home;

/// The surroundings of one run.
#[derive(Clone, Debug)]
pub struct Context {
    /// The global flags.
    pub global: Global,
    /// Keys, certificates and boards.
    pub home: Home,
}

impl Context {
    /// A result: `human` as text, or `json` as one line, whichever was asked for.
    pub fn result(&self, human: impl std::fmt::Display, json: &impl Serialize) {
        let mut out = anstream::stdout().lock();
        // A closed pipe (`| head`) is the reader's choice, not a failure.
        let _ = match self.global.output {
            Output::Human => writeln!(out, "{human}"),
            Output::Json => {
                serde_json::to_writer(&mut out, json).map_err(Into::into).and_then(|()| writeln!(out))
            }
        };
    }

    /// Something worth knowing while it runs; stderr.
    pub fn note(&self, text: impl std::fmt::Display) {
        let _ = writeln!(anstream::stderr().lock(), "{text}");
    }
}
