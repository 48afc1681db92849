//! The way out: everything that is printed goes through here, and nothing that a terminal would act on is in it but colours
//! of this program.

use std::borrow::Cow;
use std::io::Write;

use anstyle::Style;
use device_pki::visible;
use serde::Serialize;

use super::Output;
use crate::contract::Line;

/// A part of a line, and its colour.
pub(super) type Part<'a> = (Style, Cow<'a, str>);

/// Parts of lines as one text, each made visible. Line feeds stay.
pub(super) fn painted(parts: &[Part<'_>]) -> String {
    parts.iter().map(|(style, text)| format!("{style}{}{style:#}", visible::block(text))).collect()
}

/// One line of JSON, as every program reads it.
///
/// # Errors
/// Those of the serializer.
pub(super) fn json(line: &impl Serialize) -> serde_json::Result<String> {
    Ok(format!("{}\n", visible::json(&serde_json::to_string(&Line::new(line))?)))
}

/// Prints a result: text that is visible, or an object.
pub(super) fn result(form: Option<Output>, human: &str, object: &impl Serialize) {
    let mut out = anstream::stdout().lock();
    // A closed pipe (`| head`) is the reader's choice, not a failure.
    let _ = match form.unwrap_or_default() {
        Output::Human => writeln!(out, "{human}"),
        Output::Json => json(object).map_err(Into::into).and_then(|line| out.write_all(line.as_bytes())),
    };
}

/// Prints a text that is visible to stderr.
pub(super) fn note(text: &str) {
    // A closed stderr leaves nobody to tell.
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}
