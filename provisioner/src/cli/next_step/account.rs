//! The AWS account, and the connection to it.

use iot_account::register::Unmet;
use iot_account::{Answer, Source, admission, doctor, live, register, replay, revoke, setup, teardown};

use super::{Text, given};

/// What a function needs that has revocation lists.
pub(super) const ADD_LISTS: &str = "write the lists with `provisioner ca crl`, put the folder into the package and deploy it with --lambda-zip; name CAs that have no list in CRL_OPTIONAL_CA_IDS of the function";

/// What a function needs that has an admission list.
pub(super) const PUBLISH_LIST: &str = "publish a list with `provisioner admission publish`; for one in the package, write it there with --to DIR and deploy it with --lambda-zip; or do without a list: provisioner setup --admission-list off";

/// Where packages of the function come from.
const PACKAGES: &str = "--lambda-zip without a path takes the package beside this program, jitr-arm64.zip or jitr-x86-64.zip, as the release archives have it; `cargo lambda build --release --arm64 --output-format zip --bin jitr` builds one";

/// What follows from a revocation.
const REPLACE: &str = "each has a line with the reason; a revoked certificate stays so: `provisioner provision` says whether its board can get a new one";

pub(super) fn account(error: &iot_account::Error) -> Text {
    use iot_account::Error as E;
    match error {
        E::NoRegion => "name one with --region, AWS_REGION, or `aws configure set region REGION`".into(),
        E::MalformedRegion { .. } => "Regions have names like us-east-2 or eu-central-1".into(),
        E::Setting { setting, .. } => format!("correct {setting}, or take it away").into(),
        E::Endpoints { setting, endpoint } => format!("take one of the two away: {setting}, or {endpoint}").into(),
        E::ProfileNotFound { name, without_prefix: true, .. } => format!("write its section as [profile {name}]: in this file, only [default] has no `profile` before its name").into(),
        E::ProfileNotFound { name, known, .. } => match name.strip_prefix("profile ").map(str::trim) {
            Some(name) if known.iter().any(|known| known == name) => {
                format!("`profile` stands before the names in the file, and is no part of them: --profile '{name}'").into()
            }
            _ => profiles(known),
        },
        E::ProfileFile { .. } => "correct the file, or name another with AWS_CONFIG_FILE or AWS_SHARED_CREDENTIALS_FILE".into(),
        E::CaBundle { setting, .. } => format!("name a file with root certificates, PEM, or take {setting} away to trust those of this computer").into(),
        E::NoCredentials { .. } => "run `aws configure` or `aws sso login`, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; choose a profile with --profile NAME".into(),
        E::Credentials { .. } => "`aws sts get-caller-identity` shows whether other tools find some; choose a profile with --profile NAME".into(),
        E::ProfileCredentials { profile, from, source, .. } => of_profile(profile, *from, source.downcast_ref()),
        E::ConsoleSession { profile } => format!(
            "let the AWS CLI read it: eval \"$(aws configure export-credentials --profile '{profile}' --format env)\", or a profile with credential_process = aws configure export-credentials --profile '{profile}' --format process"
        )
        .into(),
        E::NoTokenCode { profile, .. } => format!(
            "run it on a terminal without --non-interactive, or take the keys from the AWS CLI: eval \"$(aws configure export-credentials --profile '{profile}' --format env)\""
        )
        .into(),
        E::Redirected { .. } | E::WebPage { .. } => "log in to the network in a browser, or let the proxy pass AWS through; check AWS_ENDPOINT_URL if it is set".into(),
        E::BadCredentials { of, .. } | E::Expired { of, .. } if of.contains("environment") => "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, for temporary keys, AWS_SESSION_TOKEN anew; or unset them all to use a profile".into(),
        E::Expired { .. } => "get new credentials, for example with `aws sso login`, and run the same command again".into(),
        E::BadCredentials { .. } => "check access key and secret, and that the profile is the right one (--profile NAME)".into(),
        E::WrongRegion { .. } => "set the Region of the endpoint with --region, or unset AWS_ENDPOINT_URL to reach the endpoint of your Region".into(),
        E::ClockSkew { .. } => "set the clock (time synchronisation on) and run the same command again".into(),
        E::Denied { action, resource, .. } => format!("{}, or choose another profile with --profile NAME", allow(action, resource.as_deref())).into(),
        E::Unreachable { source, .. } if is_of_trust(&source.to_string()) && let Some(setting) = iot_account::ca_bundle_variable() => {
            format!("{setting} is set, and its file alone says whom to trust: add the root certificate of the server or of the proxy to it, or unset {setting}").into()
        }
        E::Unreachable { source, .. } if is_of_trust(&source.to_string()) => "if a proxy opens the connections of this network, name its root certificate with AWS_CA_BUNDLE or ca_bundle of the profile; otherwise check AWS_ENDPOINT_URL".into(),
        E::Unreachable { source, .. } if ["scheme", "empty string", "invalid uri"].iter().any(|word| source.to_string().contains(word)) => {
            "AWS_ENDPOINT_URL, or endpoint_url of the profile, has to be a URL such as https://localhost:4566".into()
        }
        E::Unreachable { .. } => "check the network, the Region and AWS_ENDPOINT_URL, and whether a proxy is needed (HTTPS_PROXY)".into(),
        E::Throttled { .. } => "wait a minute and run the same command again; it continues where it stopped".into(),
        E::Call { source, .. } => call(source).into(),
        E::Nonsense { .. } => "check AWS_ENDPOINT_URL and whether a proxy answers in the place of AWS".into(),
        E::Endless { .. } | E::Incomplete { .. } => "check AWS_ENDPOINT_URL: the server there does not answer as AWS does".into(),
        E::Sandbox { .. } => "choose your own account with --profile NAME".into(),
        E::Setup(error) => setup(error),
        E::Doctor(error) => doctor(error),
        E::Teardown(error) => teardown(error),
        E::Register(error) => register(error),
        E::Replay(error) => replay(error),
        E::Revoke(error) => revoke(error),
        E::Admission(error) => admission(error),
        E::Live(error) => live(error),
    }
}

/// What to do where a permission is missing, for what AWS says.
fn allow(action: &str, resource: Option<&str>) -> String {
    let resource = resource.map(|resource| format!(" on {resource}")).unwrap_or_default();
    format!(
        "ask the account's administrator to allow {action} for you{resource}: `provisioner permissions {}` prints the policy",
        given::commands()
    )
}

/// What to do about an answer that has no meaning of its own here.
fn call(answer: &Answer) -> &'static str {
    if answer.status >= 500 {
        "AWS has a fault of its own: wait a minute and run the same command again; what is done is kept"
    } else if answer.code.contains("LimitExceeded") {
        "remove what is not used any more, or have the quota raised (Service Quotas in the AWS console)"
    } else {
        "remove the reason that AWS names; what is done is kept"
    }
}

fn setup(error: &setup::Error) -> Text {
    use setup::Error as E;
    match error {
        E::Elsewhere { .. } => "name a function of this account and Region, or choose those of the function with --profile and --region".into(),
        E::NoRule { .. } | E::OtherEvents { .. } => "`provisioner setup --dry-run` lists the other rules that get the events of registrations; nothing was done".into(),
        E::NoFunction { .. } => format!("deploy its package with --lambda-zip, or name a function that is deployed with --function; {PACKAGES}").into(),
        E::FunctionBroken { .. } => "deploy it again with --lambda-zip".into(),
        E::FunctionSlow { .. } => "wait a little and run the same command again; it continues where it stopped".into(),
        E::Version { .. } => "change the function, publish a version and move the alias to it with the AWS CLI; or name the function without version and alias".into(),
        E::Glibc { available, .. } => format!("build it for the C library of the runtime: cargo lambda build --release --output-format zip --bin jitr, which needs no more than {available}; or for the target x86_64-unknown-linux-musl or aarch64-unknown-linux-musl").into(),
        E::HiddenVariables { .. } => "ask for kms:Decrypt on the function's key, or leave --policy-name and --thing-type out".into(),
        E::RevocationLists { .. } => ADD_LISTS.into(),
        E::AdmissionList { .. } => PUBLISH_LIST.into(),
        E::QueueDenied { source } => {
            let allow = match &**source {
                iot_account::Error::Denied { action, resource, .. } => allow(action, resource.as_deref()),
                _ => "let the function's role take events from the queue (sqs:ReceiveMessage, sqs:DeleteMessage, sqs:GetQueueAttributes) and send failed ones (sqs:SendMessage)".to_owned(),
            };
            format!("{allow}; or let the rule invoke the function, without a queue: provisioner setup --delivery rule").into()
        }
        E::AlarmsDenied { source } => {
            let allow = match &**source {
                iot_account::Error::Denied { action, resource, .. } => allow(action, resource.as_deref()),
                other => account(other).into_owned(),
            };
            format!("{allow}; or do without alarms: provisioner setup --no-alarms; boards need none").into()
        }
        E::RoleLacks { role, policies, .. } => {
            let put = |(name, policy): &(&str, serde_json::Value)| format!("aws iam put-role-policy --role-name {role} --policy-name {name} --policy-document '{policy}'");
            let put: Vec<_> = policies.iter().map(put).collect();
            format!("nothing was made; let the role do so, and run the same command again: {}; or let the rule invoke the function, without a queue: provisioner setup --delivery rule", put.join(" && ")).into()
        }
        E::RoleUnusable { .. } => "its trust policy must allow sts:AssumeRole for lambda.amazonaws.com; or give another with --role-arn".into(),
        E::CaElsewhere { .. } => "a CA belongs to one account in a Region, unless each account registers it with --sni-only: do so, delete it there, or make another CA with `provisioner ca create --home DIR`".into(),
        E::TooManyCas { .. } => "delete CAs that are not used any more, or give the signer another name: `provisioner ca create --signer-cn NAME`".into(),
        E::VerificationRefused { .. } => "run the same command again; it makes a new one".into(),
        E::RolePolicy { .. } => "report this: it is a fault of the program".into(),
        E::DevicePolicy { .. } => "give a document of at most 2048 characters without white space, or leave it out".into(),
        E::Description { .. } => "fix the variable in the function's configuration, or set it with --attribute, --thing-group, --additional-policy or --billing-group".into(),
        E::Name(..) => "fix the variable in the function's configuration, or set it with --policy-name or --thing-type".into(),
        E::Package(_) => PACKAGES.into(),
    }
}

fn admission(error: &admission::Error) -> Text {
    use admission::Error as E;
    match error {
        E::Variables { .. } => "set it up again: provisioner setup --admission-list PLACE".into(),
        E::NoBucket { .. } => {
            "make the bucket, name another with --to, or choose its Region with --region".into()
        }
        E::StillConnected { .. } => "AWS IoT ends the connection of a revoked certificate within minutes: run the same command again, or watch it with `provisioner doctor --thing NAME`".into(),
        E::Overtaken { .. } => {
            "run the same command again: it takes over what another station has published".into()
        }
        E::NotPackaged { .. } | E::Packaged(_) => {
            "deploy the function with a list that counts; it is written for the package with: provisioner admission publish --to DIR"
                .into()
        }
        E::Unfetched { .. } => {
            "check the web server; the list is written for it with: provisioner admission publish --to DIR"
                .into()
        }
    }
}

fn doctor(error: &doctor::Error) -> Text {
    use doctor::Error as E;
    match error {
        E::Dangerous { .. } => "each such link says who is let in, and what to do".into(),
        E::Broken { .. } | E::Device { .. } => {
            "each such link says what to do; `provisioner doctor --repair` repairs what is safe to repair"
                .into()
        }
        E::PolicyChanged { .. } => "look at it again with: provisioner doctor".into(),
        E::Registration(..) => "fix the cause and run the same command again".into(),
    }
}

fn teardown(error: &teardown::Error) -> Text {
    use teardown::Error as E;
    match error {
        E::File(error) => super::files::files(error),
    }
}

fn register(error: &register::Error) -> Text {
    use register::Error as E;
    match error {
        E::Entry { .. } => "run the same command again; if it happens again, please report it".into(),
        E::Incomplete { .. } => {
            "each has a line with the reason; run the same command again, it continues with those that failed".into()
        }
        E::Refused { .. } => "each has a line with the reason, which stays until it is removed".into(),
        E::Unmet(Unmet::ThingType { name }) => {
            format!("take it into use again with `provisioner setup --method mar --thing-type {name}`, or name another with --thing-type").into()
        }
        E::Unmet(Unmet::ThingGroup { name }) => {
            format!("make it with `aws iot create-thing-group --thing-group-name {name}`, or name another with --thing-group").into()
        }
        E::Unmet(Unmet::BillingGroup { name }) => {
            format!("make it with `aws iot create-billing-group --billing-group-name {name}`, or name another with --billing-group").into()
        }
        E::Unmet(Unmet::Policy { name }) => {
            format!("make it with `aws iot create-policy --policy-name {name} --policy-document`, or name another with --additional-policy").into()
        }
        E::Stopped { source, .. } => account(source),
        E::Revoked { .. } => format!("{REPLACE}; a key that was taken off the admission list comes back with: provisioner admission add --again").into(),
        E::Busy { .. } => "wait until it has finished, or choose another home with --home DIR".into(),
        E::File(error) => super::files::files(error),
        E::Policy { .. } => {
            "it is JSON with a Version and a Statement, at most 2048 characters without white space".into()
        }
    }
}

fn replay(error: &replay::Error) -> Text {
    use replay::Error as E;
    match error {
        E::Incomplete { .. } => "each has a line with the reason; `provisioner doctor` checks every link".into(),
        E::Stays { .. } => "each has a line with the reason: remove it and run the same command again; what is no event of a registration stays until it is deleted (Amazon SQS in the AWS console, or `aws sqs delete-message`)".into(),
        E::Revoked { .. } => REPLACE.into(),
        E::Settings(..) => "fix the variable in the function's configuration, or send the events to the function".into(),
        E::NoQueue { .. } => "name one with --queue ARN; without a queue, `provisioner replay` finds the certificates that wait".into(),
        E::NotAQueue { .. } => "name the SQS queue that they end up in with --queue ARN".into(),
    }
}

fn live(error: &live::Error) -> Text {
    use live::Error as E;
    match error {
        E::Forbidden { .. } => "run the same command again, for temporary credentials may have just ended; otherwise check the Region (--region), and whether a proxy or AWS_ENDPOINT_URL changes the host name".into(),
        E::Subscribe { filters } => {
            let resources = format!("topicfilter/… and iot:Receive on topic/… of {}", filters.join(", "));
            allow("iot:Subscribe", Some(&resources)).into()
        }
        E::Publish { topic } => allow("iot:Publish", Some(&format!("topic/{topic}"))).into(),
        E::Topic { .. } => "a topic has no wildcards (+, #); a board's begin with the name of its thing: THING/led".into(),
    }
}

fn revoke(error: &revoke::Error) -> Text {
    use revoke::Error as E;
    match error {
        E::Unknown { .. } => "name a thing, a certificate id (8 of its digits or more) or a certificate file; provisioner certificates lists them".into(),
        E::Ambiguous { .. } => "give more digits".into(),
        E::Incomplete { .. } => "the account does not know them and their signer CA, and no list can have them: run it with the home folder that has the signer CA".into(),
        E::ThingStays { .. } => "detach that certificate with `aws iot detach-thing-principal`, then run the same command again".into(),
        E::InTransfer { .. } => "cancel the transfer with `aws iot cancel-certificate-transfer`, then run the same command again".into(),
    }
}

/// What to do about a profile whose credentials do not come.
fn of_profile(profile: &str, from: Source, cause: Option<&iot_account::Error>) -> Text {
    if let Some(cause) = cause {
        return account(cause);
    }
    match from {
        Source::SingleSignOn => format!("run: aws sso login --profile '{profile}'").into(),
        Source::Process => "do what the process asks for; it is the credential_process of the profile, and can be run by hand".into(),
        Source::WebIdentity => "check web_identity_token_file and role_arn of the profile".into(),
        Source::Named => "credential_source names Environment, EcsContainer or Ec2InstanceMetadata, and there has to be one here".into(),
        Source::Keys | Source::ConsoleSession | Source::Standard => {
            "correct the profile, or choose another with --profile NAME".into()
        }
    }
}

/// Whether a connection failed because of the server's certificate.
fn is_of_trust(said: &str) -> bool {
    said.contains("certificate") || said.contains("UnknownIssuer")
}

fn profiles(known: &[String]) -> Text {
    match known {
        [] => "there are no profiles on this computer: `aws configure` makes one".into(),
        known => format!("these exist: {}", known.join(", ")).into(),
    }
}
