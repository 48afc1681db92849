//! The way out: everything that is printed goes through here, and nothing that a terminal would act on is in it but colours
//! of this program.

use std::borrow::Cow;
use std::io::{self, ErrorKind, Write};
use std::ops::ControlFlow;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use anstream::{AutoStream, ColorChoice};
use anstyle::Style;
use device_pki::visible;
use indicatif::ProgressBar;
use serde::Serialize;

use super::{Error, Output};
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
    match form.unwrap_or_default() {
        Output::Human => print(&format!("{human}\n")),
        Output::Json => match json(object) {
            Ok(line) => print(&line),
            Err(error) => lose(error.into()),
        },
    }
}

/// Whether stdout takes colours. Finding it out takes a look at the environment and at the terminal, too long for every line.
static COLOURS: LazyLock<ColorChoice> = LazyLock::new(|| AutoStream::choice(&io::stdout()));

/// Prints a text that is visible to stdout. After a text that could not be printed nothing is, so that no line is missing
/// between others; [`complete`] tells it at the end.
pub(super) fn print(text: &str) {
    if locked(&LOST).is_some() {
        return;
    }
    let printed = aside(|| {
        let mut out = AutoStream::new(io::stdout(), *COLOURS).lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush())
    });
    if let Err(error) = printed {
        lose(error);
    }
}

/// Prints a text that is visible to stderr.
pub(super) fn note(text: &str) {
    // A closed stderr leaves nobody to tell.
    let _ = aside(|| writeln!(anstream::stderr().lock(), "{text}"));
}

/// Why the first text could not be printed that was not.
static LOST: Mutex<Option<io::Error>> = Mutex::new(None);

fn lose(error: io::Error) {
    locked(&LOST).get_or_insert(error);
}

/// Whether what is printed is still read. A program that only prints ends once it is not.
pub(super) fn heard() -> ControlFlow<()> {
    if locked(&LOST).is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// Whether all was printed, or the reader had enough: a closed pipe (`| head`) is the reader's choice.
///
/// # Errors
/// [`Error::Output`].
pub(super) fn complete() -> Result<(), Error> {
    match locked(&LOST).take() {
        Some(source) if source.kind() != ErrorKind::BrokenPipe => Err(Error::Output { source }),
        _ => Ok(()),
    }
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is drawn on the terminal now, and makes room for every line that is printed.
static DRAWN: Mutex<Vec<(u64, ProgressBar)>> = Mutex::new(Vec::new());

/// Keeps something drawn until it is dropped; then it is wiped off.
#[derive(Debug)]
pub(super) struct Drawn(u64);

impl Drawn {
    /// `bar` is on the terminal from now on.
    pub(super) fn new(bar: ProgressBar) -> Self {
        let mut drawn = locked(&DRAWN);
        let number = drawn.last().map_or(0, |(number, _)| number + 1);
        drawn.push((number, bar));
        Self(number)
    }
}

impl Drop for Drawn {
    fn drop(&mut self) {
        let mut drawn = locked(&DRAWN);
        if let Some(at) = drawn.iter().position(|(number, _)| *number == self.0) {
            drawn.remove(at).1.finish_and_clear();
        }
    }
}

/// Has `print` write to the terminal, or read from it, without running into what is drawn there.
pub(super) fn aside<T>(print: impl FnOnce() -> T) -> T {
    fn below<T>(drawn: &[(u64, ProgressBar)], print: impl FnOnce() -> T) -> T {
        match drawn.split_last() {
            Some(((_, bar), rest)) => bar.suspend(|| below_boxed(rest, Box::new(print))),
            None => print(),
        }
    }
    fn below_boxed<'a, T>(drawn: &[(u64, ProgressBar)], print: Box<dyn FnOnce() -> T + 'a>) -> T {
        below(drawn, print)
    }
    below(&locked(&DRAWN), print)
}

/// stderr for whole records, such as the lines of a log.
#[derive(Debug)]
pub(super) struct Log;

impl Write for Log {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        // A closed stderr leaves nobody to tell.
        let _ = aside(|| io::stderr().lock().write_all(record));
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
