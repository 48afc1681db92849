//! `permissions`: the IAM policy with which commands can be carried out.

use std::collections::BTreeSet;
use std::str::FromStr;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args};
use device_pki::key::Uri;
use iot_account::permissions::{self, CommandLine, KmsKey, LARGEST, Names, Permissions};
use jitr::description::NameTemplate;
use jitr::name::{BillingGroupName, NameError, PolicyName, ThingGroupName, ThingTypeName};
use jitr::published::ListUrl;
use jitr::scope::{Arn, Scope};
use serde::Serialize;
use serde_json::Value;

use super::{Context, Error, setup};
use crate::state::admission;
use crate::state::store::{self, Role};

/// Arguments of `permissions`.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Examples:
  provisioner permissions setup provision
      The policy for both commands, in one document.
  provisioner permissions 'doctor --repair' 'ca rotate' 'setup --function Line1 --delivery rule'
      A command with its flags, in quotes: they decide about the calls, and name what is worked on.
  provisioner permissions register --account 123456789012 --region eu-central-1
      Without asking AWS for the account.
  aws iam create-policy --policy-name boards --policy-document \"$(provisioner permissions setup)\"
      Make it a policy, which can be attached to a user or a role.

The names of function, rule, policy and so on are those that the commands have without flags, unless they are given. Keys in
AWS KMS are those of the home folder. Each call, and when it is made: provisioner/docs/permissions.md."
)]
pub struct Arguments {
    /// Commands, each with its flags in quotes
    #[arg(value_name = "COMMAND", required = true)]
    commands: Vec<String>,
    /// The account; AWS is not asked [default: that of the credentials]
    #[arg(long, value_name = "ID", value_parser = account_id)]
    account: Option<String>,
    /// The function that registers boards [default: JITR]
    #[arg(long, alias = "function-name", value_name = "NAME|ARN", value_parser = setup::function_name)]
    function: Option<String>,
    /// Topic rule that invokes it [default: ForwardSignedButUnknownDevices]
    #[arg(long, value_name = "NAME", value_parser = setup::rule_name)]
    rule_name: Option<String>,
    /// Role of the function that `setup` has not made
    #[arg(long, value_name = "ARN", value_parser = setup::role_arn)]
    role_arn: Option<String>,
    /// Role of an action of the rule that `setup` has not made; may be repeated
    #[arg(long, value_name = "ARN", value_parser = setup::role_arn)]
    rule_role_arn: Vec<String>,
    /// Policy that boards get [default: zt_policy]
    #[arg(long, value_name = "NAME")]
    policy_name: Option<PolicyName>,
    /// Type of the things [default: microchip-zero-touch-kit]
    #[arg(long, value_name = "NAME")]
    thing_type: Option<ThingTypeName>,
    /// Group that the things are put into; may be repeated, and have fields [default: none]
    #[arg(long = "thing-group", value_name = "NAME")]
    thing_groups: Vec<NameTemplate<ThingGroupName>>,
    /// Policy that boards get besides; may be repeated, and have fields [default: none]
    #[arg(long = "additional-policy", value_name = "NAME")]
    additional_policies: Vec<NameTemplate<PolicyName>>,
    /// Billing group that the things are made in; may have fields [default: none]
    #[arg(long, value_name = "NAME")]
    billing_group: Option<NameTemplate<BillingGroupName>>,
    /// Where the admission list is published, `s3://BUCKET/PREFIX` [default: not in Amazon S3]
    #[arg(long, value_name = "PLACE")]
    admission_list: Option<ListUrl>,
    /// Queue of failed events besides that of `setup`; may be repeated
    #[arg(long, value_name = "ARN|URL|NAME")]
    queue: Vec<String>,
}

/// Number of an account.
fn account_id(text: &str) -> Result<String, &'static str> {
    match text.len() == 12 && text.bytes().all(|digit| digit.is_ascii_digit()) {
        true => Ok(text.to_owned()),
        false => Err("an account has a number of 12 digits"),
    }
}

#[derive(Serialize)]
struct Printed<'a> {
    iam_policy: &'a Value,
}

/// Prints the policy.
///
/// # Errors
/// A command that there is not, or that makes no call; a policy that IAM does not take; those of the account.
pub(super) async fn run(
    arguments: &Arguments,
    definition: &clap::Command,
    context: &Context,
) -> Result<(), Error> {
    let names = arguments.names(context)?;
    let lines = arguments.commands.iter().map(|line| command_line(line, definition, &names));
    let lines: Vec<_> = lines.collect::<Result<_, _>>()?;
    let account = context.account().await?;
    let scope = match &arguments.account {
        Some(id) => permissions::scope_of(account.region(), id),
        None => account.scope().await?,
    };
    let document = document(&lines, &scope)?;
    context.result_block(format_args!("{document:#}"), &Printed { iam_policy: &document });
    Ok(())
}

fn document(lines: &[CommandLine], scope: &Scope) -> Result<Value, Error> {
    let permissions = Permissions::of(lines, scope);
    if permissions.is_empty() {
        let message = "no call is made to AWS that needs a permission";
        return Err(Error::usage(message, format!("these commands make some: {}", known())));
    }
    let document = permissions.document();
    let size = permissions::size(&document);
    if size > LARGEST {
        let message = format!(
            "the policy has {size} characters without white space, and IAM takes {LARGEST} in a managed policy"
        );
        return Err(Error::usage(message, "name fewer commands, and attach several policies: up to 10"));
    }
    Ok(document)
}

fn known() -> String {
    permissions::commands().into_iter().collect::<Vec<_>>().join(", ")
}

impl Arguments {
    /// The names without flags of a command.
    fn names(&self, context: &Context) -> Result<Names, Error> {
        let usual = Names::default();
        let key =
            |role| -> Result<Option<KmsKey>, Error> { Ok(kms_key(&store::key_uri(&context.home, role)?)) };
        Ok(Names {
            function: self.function.clone().unwrap_or(usual.function),
            rule: self.rule_name.clone().unwrap_or(usual.rule),
            policy: self.policy_name.as_ref().map_or(usual.policy, PolicyName::to_string),
            thing_type: self.thing_type.as_ref().map_or(usual.thing_type, ThingTypeName::to_string),
            thing_groups: self.thing_groups.iter().map(NameTemplate::pattern).collect(),
            billing_group: self.billing_group.as_ref().map(NameTemplate::pattern),
            additional_policies: self.additional_policies.iter().map(NameTemplate::pattern).collect(),
            role: self.role_arn.clone(),
            rule_roles: self.rule_role_arn.clone(),
            queues: self.queue.iter().map(|queue| queue_name(queue)).collect(),
            signer_key: key(Role::Signer)?,
            root_key: key(Role::Root)?,
            admission_key: kms_key(&admission::key_uri(&context.home)?),
            admission_list: self.admission_list.clone(),
            things: usual.things,
            topic: usual.topic,
        })
    }
}

fn kms_key(uri: &Uri) -> Option<KmsKey> {
    uri.to_string().strip_prefix("awskms:").map(KmsKey::named)
}

/// The name in a queue's ARN or URL.
fn queue_name(queue: &str) -> String {
    let name = match Arn::parse(queue) {
        Some(arn) => arn.resource,
        None => queue.rsplit('/').next().unwrap_or(queue),
    };
    name.to_owned()
}

/// Reads a command with its flags as the program itself would.
///
/// # Errors
/// There is no such command, or it has no such flag.
fn command_line(text: &str, definition: &clap::Command, names: &Names) -> Result<CommandLine, Error> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let words = words.strip_prefix(&["provisioner"]).unwrap_or(&words);
    let mut command = definition;
    let mut path = Vec::new();
    while let Some(below) = words.get(path.len()).and_then(|word| command.find_subcommand(word)) {
        command = below;
        path.push(command.get_name());
    }
    let unknown = |what: &str| {
        let message = format!("`{text}`: {what}");
        Error::usage(
            message,
            format!("these commands make calls: {}; their flags follow them, in the same quotes", known()),
        )
    };
    if path.is_empty() || command.is_subcommand_required_set() {
        return Err(unknown("there is no such command"));
    }
    let flags = words.iter().filter_map(|word| word.strip_prefix("--")).filter(|flag| !flag.is_empty());
    for flag in flags {
        let name = flag.split('=').next().unwrap_or(flag);
        let has = |argument: &clap::Arg| {
            argument.get_long() == Some(name)
                || argument.get_all_aliases().is_some_and(|all| all.contains(&name))
        };
        if !command.get_arguments().chain(definition.get_arguments()).any(has) {
            return Err(unknown(&format!("it has no flag --{name}")));
        }
    }
    let lenient = without_requirements(definition.clone()).ignore_errors(true);
    let line = std::iter::once("provisioner").chain(words.iter().copied());
    let matches = lenient.try_get_matches_from(line).map_err(|error| unknown(error.to_string().trim()))?;
    let mut own = &matches;
    while let Some((_, below)) = own.subcommand() {
        own = below;
    }
    let given = Given { command, matches: own };
    Ok(CommandLine { command: path.join(" "), flags: given.flags(), names: given.names(names) })
}

/// What is missing does not matter: only what is given decides about the calls.
fn without_requirements(command: clap::Command) -> clap::Command {
    command.mut_args(|argument| argument.required(false)).mut_subcommands(without_requirements)
}

/// What is given to a command.
struct Given<'a> {
    command: &'a clap::Command,
    matches: &'a ArgMatches,
}

impl Given<'_> {
    fn flags(&self) -> BTreeSet<String> {
        let mut flags = BTreeSet::new();
        for argument in self.command.get_arguments() {
            let (id, Some(long)) = (argument.get_id().as_str(), argument.get_long()) else { continue };
            if self.matches.value_source(id) == Some(ValueSource::CommandLine) {
                flags.insert(long.to_owned());
                flags.extend(self.values(id).iter().map(|value| format!("{long}={value}")));
            }
        }
        flags
    }

    /// The values of an argument that the command may not have.
    fn values(&self, id: &str) -> Vec<String> {
        let values = self.matches.try_get_raw(id).ok().flatten();
        values.into_iter().flatten().map(|value| value.to_string_lossy().into_owned()).collect()
    }

    /// The names that are given; otherwise the `usual` ones.
    fn names(&self, usual: &Names) -> Names {
        let given = |ids: &[&str]| ids.iter().find_map(|id| self.values(id).into_iter().next());
        let key = |id: &str| {
            let uri = given(&[id])?.parse::<Uri>().ok()?;
            Some(kms_key(&uri))
        };
        // The things of a command that names boards in other ways can be any.
        let is_thing = |text: &String| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_:".contains(&b));
        let things = self.values("things");
        let queues: Vec<_> = self.values("queue").iter().map(|queue| queue_name(queue)).collect();
        Names {
            function: given(&["function"]).unwrap_or_else(|| usual.function.clone()),
            rule: given(&["rule_name"]).unwrap_or_else(|| usual.rule.clone()),
            policy: given(&["policy_name", "policy"]).unwrap_or_else(|| usual.policy.clone()),
            thing_type: given(&["thing_type"]).unwrap_or_else(|| usual.thing_type.clone()),
            thing_groups: or_usual(
                patterns::<ThingGroupName>(&self.values("thing_groups")),
                &usual.thing_groups,
            ),
            billing_group: patterns::<BillingGroupName>(&self.values("billing_group"))
                .pop()
                .or_else(|| usual.billing_group.clone()),
            additional_policies: or_usual(
                patterns::<PolicyName>(&self.values("additional_policies")),
                &usual.additional_policies,
            ),
            role: given(&["role_arn"]).or_else(|| usual.role.clone()),
            rule_roles: usual.rule_roles.clone(),
            queues: if queues.is_empty() { usual.queues.clone() } else { queues },
            things: if things.iter().all(is_thing) { things } else { Vec::new() },
            topic: given(&["send"]),
            signer_key: key("signer_key").unwrap_or_else(|| usual.signer_key.clone()),
            root_key: key("root_key").unwrap_or_else(|| usual.root_key.clone()),
            admission_key: key("admission_key").unwrap_or_else(|| usual.admission_key.clone()),
            admission_list: given(&["to", "admission_list"])
                .and_then(|place| place.parse().ok())
                .or_else(|| usual.admission_list.clone()),
        }
    }
}

/// The patterns of IAM for names that may have fields.
fn patterns<N: FromStr<Err = NameError>>(names: &[String]) -> Vec<String> {
    let templates = names.iter().filter_map(|name| name.parse::<NameTemplate<N>>().ok());
    templates.map(|template| template.pattern()).collect()
}

fn or_usual(given: Vec<String>, usual: &[String]) -> Vec<String> {
    if given.is_empty() { usual.to_vec() } else { given }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<CommandLine, String> {
        let mut definition = crate::cli::definition();
        definition.build();
        command_line(text, &definition, &Names::default()).map_err(|error| error.to_string())
    }

    fn flags(line: &CommandLine) -> Vec<&str> {
        line.flags.iter().map(String::as_str).collect()
    }

    #[test]
    fn a_command_line_is_read_as_the_program_reads_it() {
        let setup = read("setup --function-name Line1 --delivery=rule --lambda-zip").unwrap();
        assert_eq!((setup.command.as_str(), setup.names.function.as_str()), ("setup", "Line1"));
        assert!(
            flags(&setup).contains(&"delivery=rule") && !flags(&setup).contains(&"method=jitr"),
            "{setup:?}"
        );
        let provision = read("provisioner provision -m mar --follow").unwrap();
        assert!(
            flags(&provision).contains(&"method=mar") && flags(&provision).contains(&"follow"),
            "{provision:?}"
        );
        let rotate = read("ca rotate").unwrap();
        assert_eq!(rotate.command, "ca rotate");
        let monitor = read("monitor led-1 --send led-1/led on").unwrap();
        assert_eq!(
            (monitor.names.things, monitor.names.topic),
            (vec!["led-1".to_owned()], Some("led-1/led".to_owned()))
        );
        let queue = read("replay --queue arn:aws:sqs:us-east-1:123456789012:own").unwrap();
        assert_eq!((queue.names.queues, queue.command.as_str()), (vec!["own".to_owned()], "replay"));
        let registered =
            read("register --policy own --thing-group line-1 --thing-group kit-{station}").unwrap();
        assert_eq!(
            (registered.names.policy.as_str(), registered.names.thing_groups.as_slice()),
            ("own", ["line-1", "kit-*"].map(str::to_owned).as_slice())
        );
        let published =
            read("admission publish --to s3://lists/line --admission-key awskms:alias/list").unwrap();
        assert_eq!(published.command, "admission publish");
        assert_eq!(published.names.admission_key, Some(KmsKey::Alias("alias/list".to_owned())));
        assert_eq!(published.names.admission_list, "s3://lists/line".parse().ok());
        let checked = read("admission check --local").unwrap();
        assert!(flags(&checked).contains(&"local"), "{checked:?}");
        let made = read("ca create --signer-key awskms:").unwrap();
        assert_eq!((made.names.signer_key, made.names.root_key), (Some(KmsKey::New), None));
    }

    #[test]
    fn what_a_command_does_not_know_is_refused() {
        for (text, said) in [
            ("sett", "there is no such command"),
            ("ca", "there is no such command"),
            ("", "there is no such command"),
            ("setup --functoin X", "it has no flag --functoin"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    /// A required argument does not matter: `revoke` and `register` are given without devices and files.
    #[test]
    fn every_command_that_makes_calls_is_a_command() {
        for command in permissions::commands() {
            assert_eq!(read(command).unwrap().command, command);
        }
    }
}
