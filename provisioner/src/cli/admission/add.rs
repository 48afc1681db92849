//! `admission add`: boards are put on the list of this station. They get in once it is published.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use device_pki::admission_list::{AdmissionList, KeyIdentifier, MAX_SIZE};
use device_pki::manifest::{Element, Refusal};
use iot_account::counted;
use serde::Serialize;

use super::names;
use crate::cli::manifest::{self, Manifest, SIGNER_CURE};
use crate::cli::plan::{self, Line, Plan};
use crate::cli::{Context, Error};
use crate::state::admission::{self, Added, Admitted};
use crate::state::ledger::{Ending, FILE as LEDGER, Ledger};
use crate::work::AuthorityError;
use crate::work::revoked_keys::{RevokedKeys, keys_of_old_revocations};

/// Arguments of `admission add`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  provisioner admission add --ledger
      Admit every board that was provisioned at this station.
  provisioner admission add --csv boards.csv --column ski
      Admit the boards of a table.
  provisioner admission add --manifest ECC608C-TNGTLSU-B.json
      Admit the secure elements of an order.
  provisioner admission add --merge station-2/keys.csv
      Take over what another station admits and has removed (admission/keys.csv in its home folder).
  provisioner admission add 3a2d78ae0f5b1c... board.crt
      Admit these boards.

The boards get in once the list is published: provisioner admission publish")]
pub struct Arguments {
    /// Boards: key identifiers (the names of their things), or files with their certificates
    #[arg(value_name = "KEY|FILE", required_unless_present_any = ["ledger", "csv", "manifest", "merge"])]
    boards: Vec<String>,
    /// Every board that was provisioned at this station, as the ledger has it
    #[arg(long)]
    ledger: bool,
    /// The boards of this table (CSV with a line of names)
    #[arg(long, value_name = "FILE")]
    csv: Vec<PathBuf>,
    /// Column of the tables: key identifiers, certificates (PEM), or names of certificate files beside the table [default:
    /// subject_key_identifier, thing_name or certificate]
    #[arg(long, value_name = "NAME", requires = "csv")]
    column: Option<String>,
    /// A secure-element manifest: each element whose entry its signer has signed
    #[arg(long, value_name = "FILE")]
    manifest: Vec<PathBuf>,
    /// Certificate of a manifest signer that is trusted beside Microchip's
    #[arg(long, value_name = "CERT", requires = "manifest")]
    manifest_signer: Vec<PathBuf>,
    /// What another station admits: its admission/keys.csv, which also has what it removed; or a published list
    #[arg(long, value_name = "FILE")]
    merge: Vec<PathBuf>,
    /// Also boards that were removed from the list
    #[arg(long)]
    again: bool,
}

/// Boards from one source.
struct From {
    source: String,
    what: What,
}

enum What {
    Keys(Vec<KeyIdentifier>),
    Table(Admitted),
}

/// A row that is no board's, or one of a board that is kept out.
#[derive(Serialize)]
struct Refused {
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    error: String,
}

/// What becomes of the boards of one source.
#[derive(Default, Serialize)]
struct Counts<'a> {
    source: &'a str,
    /// Admitted now.
    added_keys: usize,
    /// Admitted before.
    present_keys: usize,
    /// Removed, and left so.
    removed_keys: usize,
}

struct Add {
    from: Vec<From>,
    refused: Vec<Refused>,
    again: bool,
}

pub(super) async fn run(arguments: &Arguments, context: &Context) -> Result<(), Error> {
    let (mut from, mut refused) = (Vec::new(), Vec::new());
    let old = keys_of_old_revocations(&context.home)?;
    let revoked = RevokedKeys::read(&context.home, &old)?;
    let kept_out = |key: &KeyIdentifier| {
        let found = revoked.of(&key.to_string(), &BTreeSet::new()).standing?;
        Some(format!("the key {key} was revoked on {} ({})", found.when.date(), found.reason.name()))
    };
    let mut take = |source: String, line: Option<usize>, keys: Vec<KeyIdentifier>| {
        let mut good = Vec::new();
        for key in keys {
            match kept_out(&key) {
                Some(error) => refused.push(Refused { source: source.clone(), line, error }),
                None => good.push(key),
            }
        }
        good
    };
    for name in &arguments.boards {
        let keys = take(name.clone(), None, names::keys(name)?);
        from.push(From { source: name.clone(), what: What::Keys(keys) });
    }
    if arguments.ledger {
        let keys = take(LEDGER.to_owned(), None, provisioned(context)?);
        from.push(From { source: LEDGER.to_owned(), what: What::Keys(keys) });
    }
    let mut wrong = Vec::new();
    for path in &arguments.csv {
        let source = path.display().to_string();
        let mut all = Vec::new();
        for names::Row { number, keys } in names::table(path, arguments.column.as_deref())? {
            match keys {
                Ok(keys) => all.extend(take(source.clone(), Some(number), keys)),
                Err(error) => wrong.push(Refused { source: source.clone(), line: Some(number), error }),
            }
        }
        from.push(From { source, what: What::Keys(all) });
    }
    let signers = manifest::signers(&arguments.manifest_signer)?;
    let mut is_signed = true;
    for path in &arguments.manifest {
        let manifest = Manifest::open(path)?;
        let mut all = Vec::new();
        for read in manifest.elements(&signers) {
            let (source, error) = match read {
                Ok(Element { number, content: Ok(verified), .. }) => {
                    let key = KeyIdentifier::of(&verified.point);
                    all.extend(take(manifest.place(number), None, vec![key]));
                    continue;
                }
                Ok(Element { number, content: Err(refusal), .. }) => {
                    is_signed &= !matches!(refusal, Refusal::UnknownSigner { .. });
                    (manifest.place(number), refusal.to_string())
                }
                Err(why) => (manifest.source.clone(), why.to_string()),
            };
            wrong.push(Refused { source, line: None, error });
        }
        from.push(From { source: manifest.source, what: What::Keys(all) });
    }
    if !is_signed {
        context.note(SIGNER_CURE);
    }
    for path in &arguments.merge {
        let table = merged(path, context)?;
        from.push(From { source: path.display().to_string(), what: What::Table(table) });
    }
    refused.extend(wrong);
    plan::run(context, Add { from, refused, again: arguments.again }).await
}

/// The keys of every board that was provisioned, as the ledger has them.
fn provisioned(context: &Context) -> Result<Vec<KeyIdentifier>, Error> {
    let mut keys = BTreeSet::new();
    for line in Ledger::of(&context.home).lines()? {
        // A line that is none has no board: `ledger` tells of it.
        let crate::state::ledger::Line::Entry(entry) = line? else { continue };
        let is_green = matches!(entry.outcome, Ending::Provisioned | Ending::Unchanged);
        let key = entry.thing_name.filter(|_| is_green).and_then(|thing| thing.parse::<KeyIdentifier>().ok());
        keys.extend(key);
    }
    Ok(keys.into_iter().collect())
}

/// What another station admits.
fn merged(path: &Path, context: &Context) -> Result<Admitted, Error> {
    let missing = || Error::File { path: path.to_owned(), reason: "there is no such file".to_owned() };
    let bytes = durable_files::read_up_to(path, MAX_SIZE * 8).map_err(Error::Named)?.ok_or_else(missing)?;
    if Admitted::is_table(&bytes) {
        return Ok(Admitted::parse(&bytes, path)?);
    }
    let uri = admission::key_uri(&context.home)?;
    let key = admission::key(&context.home, &context.keys, None)?;
    let key = key.ok_or(AuthorityError::NoAdmissionKey { uri })?.admission_key()?;
    let list = AdmissionList::verified(bytes, &path.display().to_string(), &key);
    let mut table = Admitted::default();
    table.follow(&list.map_err(device_pki::Error::from)?, None);
    Ok(table)
}

impl Add {
    /// Adds the boards to `admitted`, and counts.
    fn counts<'a>(&'a self, admitted: &mut Admitted) -> Vec<Counts<'a>> {
        let each = self.from.iter().map(|From { source, what }| {
            let mut counts = Counts { source, ..Counts::default() };
            match what {
                What::Keys(keys) => {
                    for key in keys {
                        match admitted.add(*key, self.again) {
                            Added::Now => counts.added_keys += 1,
                            Added::Before => counts.present_keys += 1,
                            Added::Removed => counts.removed_keys += 1,
                        }
                    }
                }
                What::Table(table) => {
                    let before = admitted.clone();
                    admitted.join(table);
                    counts.added_keys = admitted.keys().filter(|key| !before.has(key)).count();
                    counts.present_keys = table.keys().filter(|key| before.has(key)).count();
                    counts.removed_keys = before.keys().filter(|key| !admitted.has(key)).count();
                }
            }
            counts
        });
        each.collect()
    }

    fn verdict(&self) -> Result<(), Error> {
        match self.refused.len() {
            0 => Ok(()),
            refused => Err(Error::Rows { refused }),
        }
    }
}

impl Counts<'_> {
    fn text(&self, done: bool) -> String {
        let Self { source, added_keys, present_keys, removed_keys } = self;
        let verb = if done { "" } else { "would be " };
        format!(
            "{source}: {} {verb}added, {present_keys} present, {removed_keys} removed",
            counted(*added_keys, "key")
        )
    }
}

impl Refused {
    fn text(&self) -> String {
        let Self { source, line, error } = self;
        let line = line.map(|line| format!(", line {line}")).unwrap_or_default();
        format!("refused  {source}{line}: {error}")
    }
}

impl Plan for Add {
    async fn lines(&mut self, context: &Context) -> Result<Vec<Line>, Error> {
        let mut admitted = Admitted::read(&context.home)?;
        let counts = self.counts(&mut admitted);
        let counts = counts.iter().map(|counts| Line::new("add", counts.text(false), counts));
        let refused = self.refused.iter().map(|refused| Line::new("refuse", refused.text(), refused));
        Ok(counts.chain(refused).collect())
    }

    fn refused(self) -> Result<(), Error> {
        self.verdict()
    }

    async fn carry_out(self, context: &Context) -> Result<(), Error> {
        context.home.create()?;
        let _lock = admission::lock(&context.home)?;
        let mut admitted = Admitted::read(&context.home)?;
        let before = admitted.clone();
        let counts = self.counts(&mut admitted);
        if admitted != before {
            admitted.write(&context.home)?;
        }
        counts.iter().for_each(|counts| plan::tell(context, "add", counts.text(true), counts));
        for refused in &self.refused {
            plan::tell_undone(context, "refuse", refused.text(), refused);
        }
        if counts.iter().any(|counts| counts.removed_keys > 0) && !self.again {
            context.note("keys that were removed stay so; --again admits those that are named");
        }
        if admitted != before {
            context.note("they get in once the list is published: provisioner admission publish");
        }
        self.verdict()
    }
}
