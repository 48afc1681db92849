//! Questions to the person at the terminal. Nothing is asked with `--non-interactive` or where there is no terminal.

use std::io::{self, IsTerminal};

use console::Term;

use super::{Context, Error, Global, output};
use device_pki::visible;

impl Global {
    /// Whether somebody is there to be asked.
    pub fn can_ask(&self) -> bool {
        !self.non_interactive && Term::stderr().is_term() && io::stdin().is_terminal()
    }
}

impl Context {
    /// Asks for a yes to `what`, a whole sentence. `--yes` is one; `flag` would have been another.
    ///
    /// # Errors
    /// [`Error::Declined`] for any other answer; [`Error::Unconfirmed`] if nobody can be asked.
    pub fn confirm(&self, what: &str, flag: &'static str) -> Result<(), Error> {
        if self.global.yes {
            return Ok(());
        }
        if !self.global.can_ask() {
            return Err(Error::Unconfirmed { what: what.to_owned(), flag });
        }
        match is_yes(&ask(&format!("{}\nGo on? Type yes: ", visible::line(what)))?) {
            true => Ok(()),
            false => Err(Error::Declined),
        }
    }

    /// Asks whether to do something more, which can also be done later. With `--yes`, and where nobody can be asked, it is not done.
    ///
    /// # Errors
    /// [`Error::Terminal`].
    pub fn agrees(&self, question: &str) -> Result<bool, Error> {
        if self.global.yes || !self.global.can_ask() {
            return Ok(false);
        }
        ask(&format!("{} Type yes: ", visible::line(question))).map(|answer| is_yes(&answer))
    }

    /// Shows a numbered list and asks for one of its entries: its index.
    ///
    /// # Errors
    /// [`Error::Declined`] for an answer that is no number of the list.
    pub fn choose(&self, what: &str, entries: &[String]) -> Result<usize, Error> {
        let list: Vec<String> = entries
            .iter()
            .enumerate()
            .map(|(i, entry)| format!("  {}  {}\n", i + 1, visible::line(entry)))
            .collect();
        let answer = ask(&format!("{what}\n{}Number: ", list.concat()))?;
        match answer.trim().parse::<usize>() {
            Ok(number) if (1..=entries.len()).contains(&number) => Ok(number - 1),
            _ => Err(Error::Declined),
        }
    }
}

/// Asks for a secret, which is not shown while it is typed.
///
/// # Errors
/// [`Error::Terminal`].
pub(super) fn secret(what: &str) -> Result<String, Error> {
    typed(&format!("{}: ", visible::line(what)), Term::read_secure_line)
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim(), "y" | "yes" | "Y" | "YES" | "Yes")
}

fn ask(question: &str) -> Result<String, Error> {
    typed(question, Term::read_line)
}

fn typed(question: &str, read: fn(&Term) -> io::Result<String>) -> Result<String, Error> {
    let terminal = Term::stderr();
    let answer = output::aside(|| terminal.write_str(question).and_then(|()| read(&terminal)));
    answer.map_err(|source| Error::Terminal { source })
}
