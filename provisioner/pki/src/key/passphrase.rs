//! Passphrases and PINs: where they come from, and how often one may be wrong.

use std::fmt;

use zeroize::Zeroizing;

use super::{Error, Uri};
use crate::Cause;

/// How often the user is asked for the passphrase of a key.
pub const TRIES: u32 = 3;

/// The shortest passphrase that a key is encrypted with, in characters (NIST SP 800-63B, section 5.1.1.2).
pub const SHORTEST: usize = 8;

/// A passphrase or PIN: wiped when it is dropped, and not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Its text.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Passphrase {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Where passphrases come from: unless an implementation says otherwise, from nowhere.
pub trait Passphrases: Send + Sync {
    /// The passphrase that the command line or the environment gives for every key, if one does.
    ///
    /// # Errors
    /// It cannot be read.
    fn given(&self) -> Result<Option<Passphrase>, Cause> {
        Ok(None)
    }

    /// The passphrase that the operating system keeps for `uri`, if it is to be asked and has one.
    ///
    /// # Errors
    /// The operating system has no place for passphrases.
    fn kept(&self, _uri: &Uri) -> Result<Option<Passphrase>, Cause> {
        Ok(None)
    }

    /// Has the operating system keep the passphrase of `uri`, if it is to.
    ///
    /// # Errors
    /// It does not.
    fn keep(&self, _uri: &Uri, _passphrase: &Passphrase) -> Result<(), Cause> {
        Ok(())
    }

    /// Asks the user; `None` without a terminal.
    ///
    /// # Errors
    /// The terminal cannot be read.
    fn ask(&self, _question: &str) -> Result<Option<Passphrase>, Cause> {
        Ok(None)
    }
}

/// No passphrase from anywhere.
impl Passphrases for () {}

/// Finds the passphrase that `unlock` (which answers `None` to a wrong one) accepts: `tried` ones first, then the given
/// one, then the one that is kept, then by asking, [`TRIES`] times. Gives what was unlocked, and with what.
///
/// # Errors
/// [`Error::WrongPassphrase`]; [`Error::NoPassphrase`] where no user can be asked; errors of `unlock`.
pub(super) fn unlock<T>(
    passphrases: &dyn Passphrases,
    uri: &Uri,
    tried: Option<Passphrase>,
    mut unlock: impl FnMut(&Passphrase) -> Result<Option<T>, crate::Error>,
) -> Result<(T, Passphrase), crate::Error> {
    let wrong = || Error::WrongPassphrase { uri: uri.clone() };
    if let Some(passphrase) = tried
        && let Some(unlocked) = unlock(&passphrase)?
    {
        return Ok((unlocked, passphrase));
    }
    if let Some(passphrase) = passphrases.given().map_err(Error::Passphrases)? {
        let unlocked = unlock(&passphrase)?.ok_or_else(wrong)?;
        passphrases.keep(uri, &passphrase).map_err(Error::Passphrases)?;
        return Ok((unlocked, passphrase));
    }
    if let Some(passphrase) = passphrases.kept(uri).map_err(Error::Passphrases)?
        && let Some(unlocked) = unlock(&passphrase)?
    {
        return Ok((unlocked, passphrase));
    }
    for _ in 0..TRIES {
        let Some(passphrase) =
            passphrases.ask(&format!("Passphrase of {uri}")).map_err(Error::Passphrases)?
        else {
            return Err(Error::NoPassphrase { uri: uri.clone() }.into());
        };
        if let Some(unlocked) = unlock(&passphrase)? {
            passphrases.keep(uri, &passphrase).map_err(Error::Passphrases)?;
            return Ok((unlocked, passphrase));
        }
    }
    Err(wrong().into())
}

/// The passphrase for a new key: the given one, or one that is typed twice.
///
/// # Errors
/// [`Error::ShortPassphrase`], [`Error::PassphrasesDiffer`], [`Error::NoPassphrase`].
pub(super) fn choose(passphrases: &dyn Passphrases, uri: &Uri) -> Result<Passphrase, Error> {
    let none = || Error::NoPassphrase { uri: uri.clone() };
    if let Some(passphrase) = passphrases.given().map_err(Error::Passphrases)? {
        return long_enough(passphrase);
    }
    let ask = |question: &str| passphrases.ask(question).map_err(Error::Passphrases)?.ok_or_else(none);
    let chosen = long_enough(ask("New passphrase of the keys")?)?;
    let again = ask("The same again")?;
    if chosen != again {
        return Err(Error::PassphrasesDiffer);
    }
    Ok(chosen)
}

/// The passphrase, if a key may be encrypted with it.
///
/// # Errors
/// [`Error::ShortPassphrase`].
pub(super) fn long_enough(passphrase: Passphrase) -> Result<Passphrase, Error> {
    if passphrase.reveal().chars().count() < SHORTEST {
        return Err(Error::ShortPassphrase);
    }
    Ok(passphrase)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Answers questions with these, the last one first.
    struct Answers(Mutex<Vec<&'static str>>);

    impl Passphrases for Answers {
        fn ask(&self, _: &str) -> Result<Option<Passphrase>, Cause> {
            Ok(self.0.lock().unwrap().pop().map(|answer| answer.to_owned().into()))
        }
    }

    fn answers(answers: &[&'static str]) -> Answers {
        Answers(Mutex::new(answers.iter().rev().copied().collect()))
    }

    fn uri() -> Uri {
        "/signer.key".parse().unwrap()
    }

    fn try_with(answers: &Answers) -> Result<((), Passphrase), crate::Error> {
        unlock(answers, &uri(), None, |tried| Ok((tried.reveal() == "right").then_some(())))
    }

    #[test]
    fn the_third_try_counts_and_there_is_no_fourth() {
        assert_eq!(try_with(&answers(&["wrong", "", "right"])).unwrap().1.reveal(), "right");
        let four = answers(&["wrong", "wronger", "wrongest", "right"]);
        let error = try_with(&four).unwrap_err();
        assert!(matches!(error, crate::Error::Key(Error::WrongPassphrase { .. })));
        assert_eq!(*four.0.lock().unwrap(), ["right"], "nobody was asked a fourth time");
        assert!(!format!("{error:?} {error}").contains("wrong\""));
    }

    #[test]
    fn where_nobody_can_be_asked_the_error_says_how_to_give_the_passphrase() {
        let error = try_with(&answers(&[])).unwrap_err();
        assert!(matches!(error, crate::Error::Key(Error::NoPassphrase { .. })));
    }

    #[test]
    fn a_new_passphrase_is_typed_twice_and_is_not_short() {
        assert_eq!(
            choose(&answers(&["long enough", "long enough"]), &uri()).unwrap().reveal(),
            "long enough"
        );
        for (typed, expected) in [(&["long enough", "long enougj"][..], "differ"), (&["short"], "at least 8")]
        {
            let error = choose(&answers(typed), &uri()).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn a_passphrase_is_not_printed() {
        assert_eq!(format!("{:?}", Passphrase::from("secret".to_owned())), "…");
    }
}
