//! The words of iotprovision that say what is to be done, such as `all` and `certs`.

use std::ffi::OsString;

use clap::{Command, ValueEnum};

use super::super::Error;

/// A word that says what is to be done. Several may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
pub(super) enum Action {
    /// Everything; so does no word.
    All,
    /// Function, role, rule and permission in the account.
    Account,
    /// The CAs, and the signer CA in the account.
    Certs,
    /// The board's certificate.
    Provision,
    /// The application and its Wi-Fi network.
    Application,
    /// The link on the kit's disk.
    Links,
    /// Nothing but what flags ask for.
    None,
    /// The firmware of the kit's debugger.
    DbgUpgrade,
    /// The same.
    DebuggerUpgrade,
    /// The firmware of the Wi-Fi module.
    WincUpgrade,
    /// The root certificates in the Wi-Fi module.
    RootCerts,
}

/// The word of iotprovision that is a subcommand here.
const PROVISION: &str = "provision";
/// Flags that only the form without a subcommand has.
const OWN_FLAGS: [&str; 4] = ["-c", "--cloud-provider", "-m", "--provision-method"];

/// What of the form without a subcommand is to be done, in this order. What flags ask for is done in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Steps {
    /// Function, role, rule and permission in the account; with `-m mar`, policy and thing type.
    pub(super) account: bool,
    /// The root certificates in the Wi-Fi module.
    pub(super) roots: bool,
    /// The CAs, and the signer CA in the account.
    pub(super) certs: bool,
    /// The board's certificate.
    pub(super) board: bool,
    /// The demo application, unless `-app` gives another.
    pub(super) application: bool,
}

impl Steps {
    /// What the words say.
    ///
    /// # Errors
    /// A word that asks for what this tool does not do.
    pub(super) fn of(actions: &[Action]) -> Result<Self, Error> {
        for action in actions {
            let what = match action {
                Action::DbgUpgrade | Action::DebuggerUpgrade => super::DEBUGGER,
                Action::WincUpgrade => super::WIFI_MODULE,
                _ => continue,
            };
            let word = action.to_possible_value();
            let word = word.as_ref().map_or("", |word| word.get_name()).to_owned();
            return Err(super::declined(&format!("`{word}`"), what));
        }
        let asks = |wanted: &[Action]| actions.iter().any(|action| wanted.contains(action));
        let everything = actions.is_empty() || asks(&[Action::All]);
        Ok(Self {
            account: everything || asks(&[Action::Account]),
            roots: asks(&[Action::RootCerts]),
            certs: everything || asks(&[Action::Certs]),
            board: everything || asks(&[Action::Provision]),
            application: asks(&[Action::Application]),
        })
    }

    /// Whether nothing is to be done but what flags ask for.
    pub(super) fn are_none(self) -> bool {
        self == Self::default()
    }
}

/// Turns the words of iotprovision into values of `--action`, if the command line is one of its: `definition` says which
/// arguments are values of flags.
pub(super) fn as_flags(args: Vec<OsString>, definition: &Command) -> Vec<OsString> {
    let positional = positional(&args, definition);
    let word = |index: &usize| args[*index].to_str().filter(|word| Action::from_str(word, false).is_ok());
    let Some(first) = positional.first() else { return args };
    let has_own_flag = args[..*first].iter().filter_map(|arg| arg.to_str()).any(|arg| {
        OWN_FLAGS.iter().any(|flag| {
            arg.strip_prefix(flag)
                .is_some_and(|rest| rest.is_empty() || !flag.starts_with("--") || rest.starts_with('='))
        })
    });
    // What is neither a word nor a subcommand is refused among the words, with those that there are.
    let is_subcommand = |index: &usize| {
        word(index).is_none()
            && args[*index].to_str().is_some_and(|name| definition.find_subcommand(name).is_some())
    };
    let is_of_iotprovision = has_own_flag || word(first).is_some_and(|word| word != PROVISION);
    let all_words = positional.iter().all(|index| word(index).is_some());
    if !(all_words || is_of_iotprovision) || positional.iter().any(is_subcommand) {
        return args;
    }
    if word(first) == Some(PROVISION) && positional.len() == 1 && !has_own_flag {
        return args;
    }
    let as_flag = |(index, arg): (usize, OsString)| match positional.contains(&index) {
        true => format!("--action={}", arg.to_string_lossy()).into(),
        false => arg,
    };
    args.into_iter().enumerate().map(as_flag).collect()
}

/// Where the arguments are that are neither flags nor their values.
fn positional(args: &[OsString], definition: &Command) -> Vec<usize> {
    let mut positional = Vec::new();
    let mut expected = Expected::Nothing;
    for (index, arg) in args.iter().enumerate().skip(1) {
        let text = arg.to_str();
        let is_flag = text.is_some_and(|text| text.len() > 1 && text.starts_with('-'));
        let is_word = text.is_some_and(|word| Action::from_str(word, false).is_ok());
        match std::mem::replace(&mut expected, Expected::Nothing) {
            Expected::Value => continue,
            Expected::PerhapsValue if !is_flag && !is_word => continue,
            _ => {}
        }
        match text {
            Some("--") => break,
            Some(flag) if is_flag => expected = expected_after(flag, definition),
            _ => positional.push(index),
        }
    }
    positional
}

/// What the argument after a flag is.
enum Expected {
    Nothing,
    /// Its value.
    Value,
    /// Its value, unless it is a flag or a word.
    PerhapsValue,
}

/// What the argument after this flag is, or after this group of short flags.
fn expected_after(flag: &str, definition: &Command) -> Expected {
    let takes = |argument: &clap::Arg| {
        let is_optional = argument.get_num_args().is_some_and(|values| values.min_values() == 0);
        match (argument.get_action().takes_values(), is_optional) {
            (false, _) => Expected::Nothing,
            (true, true) => Expected::PerhapsValue,
            (true, false) => Expected::Value,
        }
    };
    if let Some(long) = flag.strip_prefix("--") {
        let mut arguments = definition.get_arguments();
        let named = |argument: &&clap::Arg| {
            argument.get_long() == Some(long)
                || argument.get_all_aliases().is_some_and(|aliases| aliases.contains(&long))
        };
        return arguments.find(named).map_or(Expected::Nothing, takes);
    }
    let mut shorts = flag.chars().skip(1);
    while let Some(short) = shorts.next() {
        let named = |argument: &&clap::Arg| {
            argument.get_short() == Some(short)
                || argument.get_all_short_aliases().is_some_and(|aliases| aliases.contains(&short))
        };
        match definition.get_arguments().find(named).map_or(Expected::Nothing, takes) {
            Expected::Nothing => {}
            // The rest of the group is the value, if there is a rest.
            _ if shorts.next().is_some() => return Expected::Nothing,
            expected => return expected,
        }
    }
    Expected::Nothing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::definition;

    fn turned(line: &str) -> String {
        let mut definition = definition();
        definition.build();
        let args = as_flags(line.split(' ').map(OsString::from).collect(), &definition);
        args.iter().map(|arg| arg.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn words_of_iotprovision_become_flags_and_subcommands_stay() {
        for (line, expected) in [
            ("p -c aws -m jitr all", "p -c aws -m jitr --action=all"),
            ("p all -c aws -m jitr", "p --action=all -c aws -m jitr"),
            (
                "p -m mar account certs provision application",
                "p -m mar --action=account --action=certs --action=provision --action=application",
            ),
            ("p -m jitr provision", "p -m jitr --action=provision"),
            ("p certs", "p --action=certs"),
            ("p -m jitr -fP COM3 none", "p -m jitr -fP COM3 --action=none"),
            ("p -m jitr foo", "p -m jitr --action=foo"),
            ("p -m jitr provision foo", "p -m jitr --action=provision --action=foo"),
            ("p certs foo", "p --action=certs --action=foo"),
            ("p account --lambda-zip a.zip", "p --action=account --lambda-zip a.zip"),
            ("p --lambda-zip account certs", "p --lambda-zip --action=account --action=certs"),
        ] {
            assert_eq!(turned(line), expected);
        }
        for line in [
            "p provision",
            "p provision -m jitr",
            "p provision foo",
            "p foo",
            "p -m jitr setup",
            "p -m jitr certs setup",
            "p -a all setup",
            "p --profile all ledger",
            "p register all",
            "p -m jitr",
            "p --output json provision",
            "p -- all",
            "p -fP all",
        ] {
            assert_eq!(turned(line), line);
        }
    }

    #[test]
    fn words_are_their_steps_and_what_this_tool_does_not_change_is_declined() {
        for action in [Action::DbgUpgrade, Action::DebuggerUpgrade, Action::WincUpgrade] {
            assert!(Steps::of(&[action, Action::All]).is_err());
        }
        let steps = |actions: &[Action]| Steps::of(actions).unwrap();
        let none = Steps::default();
        let everything = Steps { account: true, certs: true, board: true, ..none };
        assert_eq!(steps(&[]), everything);
        assert_eq!(steps(&[Action::All]), everything);
        assert_eq!(steps(&[Action::Account, Action::Certs, Action::Provision]), everything);
        assert_eq!(steps(&[Action::Account]), Steps { account: true, ..none });
        assert_eq!(steps(&[Action::Certs]), Steps { certs: true, ..none });
        let with_application = Steps { board: true, application: true, ..none };
        assert_eq!(steps(&[Action::Provision, Action::Application]), with_application);
        assert_eq!(steps(&[Action::RootCerts, Action::Certs]), Steps { roots: true, certs: true, ..none });
        assert!(steps(&[Action::None, Action::Links]).are_none());
    }
}
