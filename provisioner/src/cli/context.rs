//! What every command needs: the home folder, the global flags, and the two output channels.
//!
//! Results go to stdout, as text or as one JSON object a line; everything else goes to stderr.

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use directories::BaseDirs;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::output::{Drawn, locked};
use super::passphrase::{Codes, Sources};
use super::{Global, Output, given, output};
use crate::state;
use crate::state::home::Home;
use crate::state::signatures::Signatures;
use crate::work::kms::KmsAccount;
use device_pki::key::Keys;
use device_pki::visible;
use iot_account::{Account, AwsSettings};

/// Work shorter than this shows no progress.
const QUIET: Duration = Duration::from_secs(1);

/// The surroundings of one run.
#[derive(Clone, Debug)]
pub struct Context {
    /// The global flags.
    pub global: Global,
    /// Keys, certificates and boards.
    pub home: Home,
    /// The keys that this run opens.
    pub keys: Keys,
    aws: AwsSettings,
}

impl Context {
    /// The surroundings that the global flags ask for.
    ///
    /// # Errors
    /// [`state::Error::NoHome`] when neither the flags nor the system say where the home folder is.
    pub fn new(global: Global) -> Result<Self, state::Error> {
        let root = match &global.home {
            Some(root) => root.clone(),
            None => BaseDirs::new().ok_or(state::Error::NoHome)?.home_dir().join(".microchip-iot"),
        };
        let home = Home::at(root);
        let codes = Codes::new(&global);
        let aws = AwsSettings::new(global.profile.clone(), global.region.clone(), codes);
        let keys = Keys::with_kms(Sources::new(&global), KmsAccount(aws.clone()), Signatures::of(&home));
        Ok(Self { global, home, keys, aws })
    }

    /// The account that the global flags and the standard settings name.
    ///
    /// # Errors
    /// As [`Account::load`].
    pub async fn account(&self) -> Result<Account, iot_account::Error> {
        let account = Account::load(&self.aws, None).await?;
        given::keep_region(account.region());
        Ok(account)
    }

    /// A result: `human` as one line of text, or `json` as one line, whichever was asked for.
    pub fn result(&self, human: impl std::fmt::Display, json: &impl Serialize) {
        output::result(self.global.output, &visible::line(&given::repeated(human.to_string())), json);
    }

    /// As [`Context::result`], with text of several lines. What is put into them is made [`visible`] there.
    pub fn result_block(&self, human: impl std::fmt::Display, json: &impl Serialize) {
        output::result(self.global.output, &visible::block(&given::repeated(human.to_string())), json);
    }

    /// A result that is shown to people as it says itself, in one line.
    pub fn show(&self, result: &(impl std::fmt::Display + Serialize)) {
        self.result(result, result);
    }

    /// A result that is shown to people as it says itself, in several lines.
    pub fn show_block(&self, result: &(impl std::fmt::Display + Serialize)) {
        self.result_block(result, result);
    }

    /// A table whose rows are printed as they come: `head` for people alone, then a line for each row; without rows, the note that
    /// says so.
    pub(super) fn table<'a>(&'a self, none: &'a str, head: &'a str) -> Table<'a> {
        Table { context: self, none, head, rows: 0 }
    }

    /// Something worth knowing while it runs, in one line; stderr.
    pub fn note(&self, text: impl std::fmt::Display) {
        output::note(&visible::line(&given::repeated(text.to_string())));
    }

    /// The same in several lines. What is put into them is made [`visible`] there.
    pub fn note_block(&self, text: impl std::fmt::Display) {
        output::note(&visible::block(&given::repeated(text.to_string())));
    }

    /// Shows `what` on stderr if it takes longer than a second, until the returned value is dropped.
    ///
    /// Without a terminal nothing is shown. Must be called within the async runtime.
    pub fn progress(&self, what: impl Into<String>) -> Progress {
        if !std::io::stderr().is_terminal() {
            return Progress { bar: ProgressBar::hidden(), drawn: Arc::default(), starter: None };
        }
        // Not even a new step is drawn before its time.
        let bar = ProgressBar::new_spinner().with_message(visible::line(&what.into()).into_owned());
        set_style(&bar, "{spinner} {msg} ({elapsed})");
        bar.set_draw_target(ProgressDrawTarget::hidden());
        let (later, drawn) = (bar.clone(), Arc::new(Mutex::new(Some(None))));
        let shown = Arc::clone(&drawn);
        let starter = tokio::spawn(async move {
            tokio::time::sleep(QUIET).await;
            // Unless it has ended meanwhile.
            if let Some(drawn) = locked(&shown).as_mut() {
                later.set_draw_target(ProgressDrawTarget::stderr());
                later.enable_steady_tick(Duration::from_millis(100));
                *drawn = Some(Drawn::new(later));
            }
        });
        Progress { bar, drawn, starter: Some(starter) }
    }
}

fn set_style(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}

/// What a task ended with. Its panic goes on here.
pub(super) fn joined<T>(ended: Result<T, tokio::task::JoinError>) -> T {
    ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// A table under way.
#[derive(Debug)]
pub(super) struct Table<'a> {
    context: &'a Context,
    none: &'a str,
    head: &'a str,
    rows: usize,
}

impl Table<'_> {
    /// Prints a row: `human` as text of one or several lines, or `json`. It breaks once nobody reads on.
    pub(super) fn row(&mut self, human: impl std::fmt::Display, json: &impl Serialize) -> ControlFlow<()> {
        let Self { context, head, rows, .. } = self;
        if *rows == 0 && context.global.output.unwrap_or_default() == Output::Human {
            context.result(head, &());
        }
        *rows += 1;
        context.result_block(human, json);
        output::heard()
    }

    /// The end of the table.
    pub(super) fn end(self) {
        if self.rows == 0 {
            self.context.note(self.none);
        }
    }
}

/// Work under way; dropping it wipes its line.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    /// Its line once it is drawn; nothing after the end.
    drawn: Arc<Mutex<Option<Option<Drawn>>>>,
    starter: Option<tokio::task::JoinHandle<()>>,
}

impl Progress {
    /// What is being done now.
    pub fn step(&self, what: impl Into<String>) {
        self.bar.set_message(visible::line(&what.into()).into_owned());
    }

    /// How many are done, and of how many: shown with their rate and the time that is left.
    pub fn count(&self, done: usize, of: usize) {
        if self.bar.length() != Some(of as u64) {
            self.bar.set_length(of as u64);
            set_style(&self.bar, "{spinner} {msg}  {bar:20}  {pos} of {len}, {per_sec}, {eta} left");
        }
        self.bar.set_position(done as u64);
    }

    /// How many are done, where nobody knows of how many: shown with their rate.
    pub fn count_up(&self, done: usize) {
        if self.bar.position() == 0 {
            set_style(&self.bar, "{spinner} {msg}  {pos}, {per_sec} ({elapsed})");
        }
        self.bar.set_position(done as u64);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(starter) = &self.starter {
            starter.abort();
        }
        locked(&self.drawn).take();
        self.bar.finish_and_clear();
    }
}
