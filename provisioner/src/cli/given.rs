//! The commands that a text advises, with the flags that this run was given: copied as they stand, they act on the same home
//! folder, account and Region.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::sync::{Mutex, OnceLock};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use super::output::locked;

/// Global flags that say what a command acts on.
const GLOBAL: [&str; 3] = ["home", "profile", "region"];
/// Services whose commands are for a Region. A key of AWS KMS says its Region itself.
const REGIONAL: [&str; 6] = ["iam", "iot", "lambda", "logs", "sqs", "sts"];
/// Commands of the AWS CLI that have no Region, or another one.
const PROFILE_ALONE: [&str; 3] = ["configure", "kms", "sso"];
/// What stands before a command in a text, besides its beginning.
const BEFORE: [char; 8] = [':', ';', ',', '→', '`', '(', '|', '&'];
/// What ends a command in a text.
const AFTER: [char; 5] = ['`', ';', ',', ')', '\n'];

static GIVEN: OnceLock<Given> = OnceLock::new();
/// The Region that the settings led to.
static REGION: Mutex<Option<String>> = Mutex::new(None);

/// A flag and its values, as a shell reads them.
#[derive(Debug)]
struct Flag {
    long: String,
    text: String,
}

impl Flag {
    fn of(argument: &Arg, matches: &ArgMatches) -> Option<Self> {
        let (id, long) = (argument.get_id().as_str(), argument.get_long()?);
        if matches.value_source(id) != Some(ValueSource::CommandLine) {
            return None;
        }
        let values: Vec<&OsStr> = match argument.get_action().takes_values() {
            true => matches.get_raw(id).into_iter().flatten().collect(),
            false => Vec::new(),
        };
        let long = format!("--{long}");
        let text = match values.as_slice() {
            [] => long.clone(),
            values => values
                .iter()
                .map(|value| format!("{long} {}", quoted(&value.to_string_lossy())))
                .collect::<Vec<_>>()
                .join(" "),
        };
        Some(Self { long, text })
    }
}

/// What the command line was.
#[derive(Debug, Default)]
struct Given {
    /// Every command's name.
    commands: Vec<String>,
    global: Vec<Flag>,
    /// This run, in the words that `permissions` takes: the commands with the flags that decide about their calls.
    lines: Vec<String>,
    /// What `doctor` was asked to look at, and whether `setup` has the flag, too.
    looked_at: Vec<(Flag, bool)>,
}

/// Keeps what `matches` has of the command line.
pub(super) fn keep(definition: &Command, matches: &ArgMatches) {
    // A process has one command line.
    let _ = GIVEN.set(Given::of(definition, matches));
}

/// This run as `permissions` takes it.
pub(super) fn commands() -> String {
    let lines = GIVEN.get().map(|given| given.lines.iter().map(|line| quoted(line))).into_iter().flatten();
    lines.collect::<Vec<_>>().join(" ")
}

/// The account's Region, from now on.
pub(super) fn keep_region(region: &str) {
    *locked(&REGION) = Some(region.to_owned());
}

/// The text with the flags in each of its commands. A command that has them stays as it is.
pub(super) fn repeated<'a>(text: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
    let text = text.into();
    match GIVEN.get() {
        Some(given) if ["provisioner ", "aws "].iter().any(|program| text.contains(program)) => {
            given.repeated(&text, locked(&REGION).as_deref()).into()
        }
        _ => text,
    }
}

impl Given {
    fn of(definition: &Command, matches: &ArgMatches) -> Self {
        let global =
            definition.get_arguments().filter(|argument| GLOBAL.contains(&argument.get_id().as_str()));
        let mut given = Self {
            commands: definition.get_subcommands().map(|command| command.get_name().to_owned()).collect(),
            global: global.filter_map(|argument| Flag::of(argument, matches)).collect(),
            lines: lines(definition, matches),
            looked_at: Vec::new(),
        };
        let commands = (definition.find_subcommand("doctor"), definition.find_subcommand("setup"));
        if let (Some(matches), (Some(doctor), Some(setup))) = (matches.subcommand_matches("doctor"), commands)
        {
            let own = doctor.get_arguments().filter(|own| !own.is_global_set() && own.get_id() != "repair");
            given.looked_at = own
                .filter_map(|own| {
                    let is_of_setup =
                        setup.get_arguments().any(|argument| argument.get_long() == own.get_long());
                    Some((Flag::of(own, matches)?, is_of_setup))
                })
                .collect();
        }
        given
    }

    fn repeated(&self, text: &str, region: Option<&str>) -> String {
        let mut completed = String::new();
        let mut rest = text;
        while let Some((at, program)) = ["provisioner ", "aws "]
            .into_iter()
            .filter_map(|program| Some((rest.find(program)?, program)))
            .min()
        {
            let (before, after) = rest.split_at(at + program.len());
            completed.push_str(before);
            rest = after;
            let ahead = completed[..completed.len() - program.len()].trim_end_matches(' ');
            if !ahead.is_empty() && !ahead.ends_with(BEFORE) {
                continue;
            }
            let command = after.split(AFTER).next().unwrap_or_default();
            let word = command.split(' ').next().unwrap_or_default();
            match program {
                "aws " => self.aws(word, command, region).iter().for_each(|flag| {
                    completed.push_str(flag);
                    completed.push(' ');
                }),
                _ if word == "-c" || self.commands.iter().any(|name| name == word) => {
                    for flag in self.global.iter().filter(|flag| !has(command, &flag.long)) {
                        completed.push_str(&flag.text);
                        completed.push(' ');
                    }
                    let whole =
                        ["doctor --repair", word].into_iter().find(|begin| command.starts_with(begin));
                    let whole = whole.unwrap_or_default();
                    completed.push_str(whole);
                    rest = &after[whole.len()..];
                    let own = self.looked_at.iter().filter(|(flag, is_of_setup)| {
                        (word == "doctor" || word == "setup" && *is_of_setup) && !has(command, &flag.long)
                    });
                    own.for_each(|(flag, _)| completed.push_str(&format!(" {}", flag.text)));
                }
                _ => {}
            }
        }
        completed + rest
    }

    /// What the AWS CLI needs to know.
    fn aws(&self, service: &str, command: &str, region: Option<&str>) -> Vec<String> {
        let given =
            |name: &str| self.global.iter().find(|flag| flag.long == name).map(|flag| flag.text.clone());
        let (is_regional, is_known) = (REGIONAL.contains(&service), PROFILE_ALONE.contains(&service));
        let region =
            region.map(|region| format!("--region {}", quoted(region))).or_else(|| given("--region"));
        let region = region.filter(|_| is_regional && !has(command, "--region"));
        let profile = given("--profile").filter(|_| (is_regional || is_known) && !has(command, "--profile"));
        [region, profile].into_iter().flatten().collect()
    }
}

/// Flags that name what a command works on.
const NAMING: [&str; 11] = [
    "function",
    "rule-name",
    "role-arn",
    "policy",
    "policy-name",
    "thing-type",
    "thing-group",
    "queue",
    "send",
    "to",
    "admission-list",
];

/// The commands of this run with those of their flags that decide about the calls. The form without a subcommand does the work of
/// two.
fn lines(definition: &Command, matches: &ArgMatches) -> Vec<String> {
    let deciding = iot_account::permissions::flags();
    let line = |command: &Command, words: &str, matches: &ArgMatches| {
        // Of a key in a token, the URI may have the PIN.
        let is_in_kms = |argument: &Arg| {
            let mut values = matches.try_get_raw(argument.get_id().as_str()).ok().flatten();
            let value = values.as_mut().and_then(Iterator::next);
            value.is_some_and(|uri| uri.to_string_lossy().starts_with("awskms:"))
        };
        let own = command.get_arguments().filter(|argument| {
            let long = argument.get_long().unwrap_or_default();
            let is_key = ["root-key", "signer-key", "admission-key"].contains(&long) && is_in_kms(argument);
            !argument.is_global_set() && (is_key || deciding.contains(long) || NAMING.contains(&long))
        });
        let flags = own.filter_map(|argument| Flag::of(argument, matches));
        flags.fold(words.to_owned(), |line, flag| format!("{line} {}", flag.text))
    };
    let Some((mut word, mut own)) = matches.subcommand() else {
        let commands = ["setup", "provision"].into_iter().filter_map(|word| definition.find_subcommand(word));
        return commands
            .map(|command| {
                // The flags of the form that the command has, too.
                let shared = definition.get_arguments().filter(|argument| {
                    let has = |own: &Arg| own.get_long() == argument.get_long();
                    !argument.is_global_set()
                        && argument.get_long().is_some()
                        && command.get_arguments().any(has)
                });
                let shared = Command::new("shared").args(shared.cloned());
                let method =
                    matches.try_get_raw("provision_method").ok().flatten().and_then(|mut given| given.next());
                let is_mar = method.is_some_and(|method| method == "mar");
                let words = format!("{}{}", command.get_name(), if is_mar { " --method mar" } else { "" });
                line(&shared, &words, matches)
            })
            .collect();
    };
    let mut command = definition;
    let mut words = Vec::new();
    loop {
        words.push(word);
        let Some(below) = command.find_subcommand(word) else { return Vec::new() };
        command = below;
        match own.subcommand() {
            Some((next, matches)) => (word, own) = (next, matches),
            None => return vec![line(command, &words.join(" "), own)],
        }
    }
}

fn has(command: &str, flag: &str) -> bool {
    command.split(' ').any(|word| word == flag)
}

/// The word as a shell takes it for one.
fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-:=@%+,".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.into(),
        false => format!("'{}'", word.replace('\'', r"'\''")).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(line: &[&str]) -> Given {
        let mut definition = crate::cli::definition();
        definition.build();
        let matches = definition.try_get_matches_from_mut(line).unwrap();
        Given::of(&definition, &matches)
    }

    #[test]
    fn a_run_is_named_with_the_flags_that_decide_about_its_calls() {
        for (line, right) in [
            (&["provisioner", "setup"][..], &["setup"][..]),
            (&["provisioner", "ca", "rotate", "--yes"], &["ca rotate"]),
            (
                &[
                    "provisioner",
                    "ca",
                    "create",
                    "--root-key",
                    "pkcs11:token=t;object=r?module-path=/m.so&pin-value=1",
                    "--signer-key",
                    "awskms:",
                ],
                &["ca create --signer-key awskms:"],
            ),
            (
                &["provisioner", "doctor", "--repair", "--function-name", "Line1", "--profile", "p"],
                &["doctor --repair --function Line1"],
            ),
            (&["provisioner", "provision", "-m", "mar", "--org", "me"], &["provision --method mar"]),
            (
                &["provisioner", "-c", "aws", "-m", "jitr", "--function", "F"],
                &["setup --function F", "provision"],
            ),
            (&["provisioner", "-c", "aws", "-m", "mar"], &["setup --method mar", "provision --method mar"]),
        ] {
            assert_eq!(given(line).lines, right);
        }
    }

    #[test]
    fn commands_get_the_flags_once_and_other_words_do_not() {
        let given =
            given(&["provisioner", "--home", "my h", "ledger", "--profile", "line", "--region", "eu-west-1"]);
        for (text, right) in [
            (
                "make one with: provisioner ca create",
                "make one with: provisioner --home 'my h' --profile line --region eu-west-1 ca create",
            ),
            (
                "run `provisioner setup` again",
                "run `provisioner --home 'my h' --profile line --region eu-west-1 setup` again",
            ),
            (
                "provisioner -c aws -m jitr",
                "provisioner --home 'my h' --profile line --region eu-west-1 -c aws -m jitr",
            ),
            ("another: provisioner --home DIR ca create", "another: provisioner --home DIR ca create"),
            ("another run of the provisioner is using x", "another run of the provisioner is using x"),
            ("cannot read /my provisioner setup", "cannot read /my provisioner setup"),
            (
                "aws sqs x && aws iam y",
                "aws --region us-east-2 --profile line sqs x && aws --region us-east-2 --profile line iam y",
            ),
            ("run `aws configure`", "run `aws --profile line configure`"),
            ("look at ~/.aws and aws things", "look at ~/.aws and aws things"),
            ("run: aws sso login --profile 'p'", "run: aws sso login --profile 'p'"),
        ] {
            let once = given.repeated(text, Some("us-east-2"));
            assert_eq!(once, right);
            assert_eq!(given.repeated(&once, Some("us-east-2")), right);
        }
    }
}
