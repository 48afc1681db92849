//! An account on a stand-in, a user with a home of their own, and what each of the user's commands called.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials as Keys;
use schemas::checked;
use serde_json::Value;
use tempfile::TempDir;
use testbed::device::Endpoint;
use testbed::iot_core::gateway::Event;
use testbed::journal::{Caller, Entry, Happening, Journal};
use testbed::{Access, Testbed, beside, wait};

/// The Region that the stand-ins play.
pub(crate) const REGION: &str = "us-east-1";

/// One run of the provisioner.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) lines: Vec<Value>,
    pub(crate) said: String,
}

impl Run {
    /// The value of `key` on every line that has it.
    pub(crate) fn values(&self, key: &str) -> Vec<&str> {
        self.lines.iter().filter_map(|line| line[key].as_str()).collect()
    }
}

/// An account on a stand-in, and a user of it.
pub(crate) struct Stage {
    name: &'static str,
    access: Access,
    home: TempDir,
    config: SdkConfig,
    /// What the stand-in does not implement: a step's name and why.
    lacks: &'static [(&'static str, &'static str)],
    /// Who writes the calls down, and those that each command made.
    journal: Option<Journal>,
    calls: Mutex<BTreeMap<String, BTreeSet<String>>>,
    /// What lets the programs reach the device gateway, and other places, as the user.
    gateway: Mutex<Vec<(&'static str, String)>>,
    /// What they did there: permissions, with their resources.
    uses: Mutex<BTreeSet<(&'static str, String)>>,
    /// Where each run of the provisioner may do what `provisioner permissions` prints for it, and nothing else.
    pub(crate) limits: Option<Arc<Testbed>>,
    /// The names that `permissions` is told besides the command line.
    names: Mutex<&'static [&'static str]>,
    /// The actions in the printed policies.
    printed: Mutex<BTreeSet<String>>,
}

/// The policy of a command that makes no call.
const NOTHING: &str = r#"{"Version":"2012-10-17","Statement":[]}"#;

impl Stage {
    pub(crate) async fn new(
        name: &'static str,
        access: &Access,
        lacks: &'static [(&'static str, &'static str)],
        journal: Option<&Journal>,
    ) -> Self {
        let keys = Keys::new(&access.access_key_id, &access.secret_access_key, None, None, "test");
        let config = aws_config::defaults(BehaviorVersion::latest())
            .endpoint_url(&access.endpoint_url)
            .region(Region::new(REGION))
            .credentials_provider(keys)
            .load()
            .await;
        for (step, reason) in lacks {
            println!("not judged on {name}: {step} ({reason})");
        }
        Self {
            name,
            access: access.clone(),
            home: TempDir::new().unwrap(),
            config,
            lacks,
            journal: journal.cloned(),
            calls: Mutex::default(),
            gateway: Mutex::default(),
            uses: Mutex::default(),
            limits: None,
            names: Mutex::new(&[]),
            printed: Mutex::default(),
        }
    }

    /// The names that the function's settings have, and the command lines do not.
    pub(super) fn works_with(&self, names: &'static [&'static str]) {
        *self.names.lock().unwrap() = names;
    }

    /// Every action in the policies that were printed was used.
    pub(super) fn has_used_what_was_printed(&self) {
        let Some(testbed) = &self.limits else { return };
        let (printed, account) = (self.printed.lock().unwrap(), testbed.account());
        let idle: Vec<_> = printed.difference(account.used_actions()).collect();
        assert!(
            printed.len() > 100 && idle.is_empty(),
            "`provisioner permissions` prints too much: {idle:?}"
        );
    }

    /// The policy that is printed for a command line.
    fn policy(&self, home: &Path, arguments: &[&str]) -> String {
        let line = arguments.join(" ");
        let names = *self.names.lock().unwrap();
        let asked = ["permissions", &line, "--account", "123456789012", "--region", REGION];
        let mut command = Command::new(beside::program("provisioner").unwrap());
        command.args(asked).args(names).env_clear().env("MICROCHIP_IOT_HOME", home).env("HOME", home);
        let output = command.output().unwrap();
        if output.status.code() == Some(2) {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(said.contains("no call is made to AWS that needs a permission"), "{line}: {said}");
            return NOTHING.to_owned();
        }
        assert!(output.status.success(), "{line}: {output:?}");
        let policy: Value = serde_json::from_slice(&output.stdout).unwrap();
        let mut printed = self.printed.lock().unwrap();
        for statement in policy["Statement"].as_array().unwrap() {
            let actions = &statement["Action"];
            let actions = actions.as_array().cloned().unwrap_or_else(|| vec![actions.clone()]);
            printed.extend(actions.iter().map(|action| action.as_str().unwrap().to_owned()));
        }
        policy.to_string()
    }

    /// A file in the user's home.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The package of the function, made of the binary that is built already, unless `JITR_PACKAGE` names one.
    pub(crate) fn package(&self) -> PathBuf {
        if let Some(package) = std::env::var_os("JITR_PACKAGE") {
            return package.into();
        }
        let path = self.file("bootstrap.zip");
        let package = testbed::lambda_host::package_of(&beside::program("jitr").unwrap()).unwrap();
        std::fs::write(&path, package).unwrap();
        path
    }

    pub(crate) fn plays(&self, step: &str) -> bool {
        !self.lacks.iter().any(|(lacking, _)| *lacking == step)
    }

    pub(crate) fn iot(&self) -> aws_sdk_iot::Client {
        aws_sdk_iot::Client::new(&self.config)
    }

    pub(crate) fn lambda(&self) -> aws_sdk_lambda::Client {
        aws_sdk_lambda::Client::new(&self.config)
    }

    pub(crate) fn iam(&self) -> aws_sdk_iam::Client {
        aws_sdk_iam::Client::new(&self.config)
    }

    pub(crate) fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.config)
    }

    /// From now on the programs reach this device gateway as the user.
    pub(crate) fn reaches(&self, gateway: &Endpoint) {
        let file = self.file("server-ca.pem");
        std::fs::write(&file, &gateway.server_ca_pem).unwrap();
        let url = format!("https://{}:{}", gateway.host, gateway.port);
        self.sets("AWS_ENDPOINT_URL_IOT_DATA_PLANE", url);
        self.sets("AWS_CA_BUNDLE", file.display().to_string());
    }

    /// From now on the programs have this variable in their environment.
    pub(crate) fn sets(&self, name: &'static str, value: String) {
        let mut variables = self.gateway.lock().unwrap();
        variables.retain(|(known, _)| *known != name);
        variables.push((name, value));
    }

    /// Returns when a run of the provisioner that has not ended has subscribed at the gateway.
    pub(super) fn is_watching(journal: &Journal, before: usize) {
        let subscribes = |entry: Entry| used(entry.what).is_some_and(|(used, _)| used == "iot:Subscribe");
        let is_there = || journal.entries().into_iter().skip(before).any(subscribes);
        wait::until("a subscription of the provisioner", is_there).unwrap();
    }

    /// Who writes everything down, if it is written down.
    pub(super) fn journal(&self) -> Option<&Journal> {
        self.journal.as_ref()
    }

    /// What the programs did at the gateway as the user.
    pub(super) fn uses(&self) -> BTreeSet<(&'static str, String)> {
        self.uses.lock().unwrap().clone()
    }

    /// Runs the provisioner as the user would.
    pub(crate) fn provisioner(&self, arguments: &[&str]) -> Run {
        self.run_at(self.home.path(), arguments)
    }

    /// The same for a user with another home.
    pub(crate) fn run_at(&self, home: &Path, arguments: &[&str]) -> Run {
        let takes_them = ["setup", "doctor"].contains(&arguments[0]);
        let without_alarms = (takes_them && !self.plays("alarms")).then_some("--no-alarms");
        let mut command = Command::new(beside::program("provisioner").unwrap());
        command
            .args(arguments)
            .args(["--output", "json", "--non-interactive"])
            .args(without_alarms)
            .env_clear()
            .env("MICROCHIP_IOT_HOME", home)
            .env("HOME", home)
            .envs(self.access.environment())
            .envs(self.gateway.lock().unwrap().iter().map(|(name, value)| (*name, value)));
        let before = self.journal.as_ref().map_or(0, |journal| journal.calls().len());
        let entries = self.journal.as_ref().map_or(0, |journal| journal.entries().len());
        // The stand-in may run on the same runtime.
        let output = tokio::task::block_in_place(|| {
            if let Some(testbed) = &self.limits {
                let policy = self.policy(home, arguments);
                testbed.account().set_user_policy(Some(&policy)).unwrap();
            }
            command.output()
        })
        .unwrap();
        if let Some(testbed) = &self.limits {
            testbed.account().set_user_policy(None).unwrap();
        }
        if let Some(journal) = &self.journal {
            let ours = journal.calls().into_iter().skip(before).filter(|call| call.caller == Caller::User);
            let permissions =
                ours.filter(|call| call.service != "sts").map(|call| match call.operation.as_str() {
                    "Invoke" => "lambda:InvokeFunction".to_owned(),
                    // The permissions of the data plane have the prefix of AWS IoT.
                    operation if call.service == "iotdata" => format!("iot:{operation}"),
                    operation => format!("{}:{operation}", call.service),
                });
            let command = match arguments {
                [group @ ("admission" | "ca"), subcommand, ..] => format!("{group} {subcommand}"),
                _ => arguments[0].to_owned(),
            };
            self.calls.lock().unwrap().entry(command).or_default().extend(permissions);
            let events = journal.entries().into_iter().skip(entries);
            let events: Vec<Entry> = events.collect();
            let refusals = events.iter().filter_map(|entry| match &entry.what {
                Happening::Note(note) if note.starts_with("the user's policy") => Some(note.as_str()),
                _ => None,
            });
            let refusals: Vec<&str> = refusals.collect();
            assert!(
                self.limits.is_none() || refusals.is_empty(),
                "`provisioner permissions` prints too little for {arguments:?}: {refusals:#?}\n{}",
                String::from_utf8_lossy(&output.stderr)
            );
            self.uses.lock().unwrap().extend(events.into_iter().filter_map(|entry| used(entry.what)));
        }
        let stdout = String::from_utf8(output.stdout).unwrap();
        let said = format!(
            "{}: provisioner {arguments:?}\n{stdout}{}",
            self.name,
            String::from_utf8_lossy(&output.stderr)
        );
        let lines = checked(&[&["--output", "json"], arguments].concat(), &stdout);
        Run { code: output.status.code().unwrap(), lines, said }
    }

    /// Runs it, and it has to end with `code`.
    pub(crate) fn ends(&self, code: i32, arguments: &[&str]) -> Run {
        let run = self.provisioner(arguments);
        assert_eq!(run.code, code, "{}", run.said);
        run
    }

    /// `doctor` finds nothing in the way of a device.
    pub(crate) fn is_healthy(&self, arguments: &[&str]) {
        let run = self.ends(0, &[&["doctor"], arguments].concat());
        assert!(
            run.values("verdict").iter().all(|verdict| ["right", "notable"].contains(verdict)),
            "{}",
            run.said
        );
    }

    /// `doctor` names this link and no other.
    pub(crate) fn names(&self, link: &str, broken: &str, arguments: &[&str]) {
        let run = self.ends(4, &[&["doctor"], arguments].concat());
        let wrong =
            run.lines.iter().filter(|line| line["verdict"] == "wrong" || line["verdict"] == "unknown");
        let wrong: Vec<_> = wrong.filter_map(|line| line["resource"].as_str()).collect();
        assert_eq!(wrong, [link], "{broken}: {}", run.said);
    }

    /// What `doctor` found about a link.
    pub(crate) fn finding(&self, link: &str) -> Value {
        let run = self.provisioner(&["doctor"]);
        run.lines.into_iter().find(|line| line["resource"] == link).expect(&run.said)
    }

    /// The calls that each command made, if they were recorded.
    pub(crate) fn calls(&self) -> Option<BTreeMap<String, BTreeSet<String>>> {
        self.journal.as_ref()?;
        Some(self.calls.lock().unwrap().clone())
    }
}

/// The permission, with its resource, by which a connection of the provisioner did this.
fn used(what: Happening) -> Option<(&'static str, String)> {
    let Happening::Gateway(event) = what else { return None };
    let (client_id, permission, resource) = match event {
        Event::Connected { client_id, .. } => (client_id, "iot:Connect", String::new()),
        Event::Subscribed { client_id, filter } => {
            (client_id, "iot:Subscribe", format!("topicfilter/{filter}"))
        }
        Event::Delivered { client_id, topic, .. } => (client_id, "iot:Receive", format!("topic/{topic}")),
        Event::Published { client_id, topic, .. } => (client_id?, "iot:Publish", format!("topic/{topic}")),
        _ => return None,
    };
    if !client_id.starts_with("provisioner-") {
        return None;
    }
    Some((permission, if resource.is_empty() { format!("client/{client_id}") } else { resource }))
}
