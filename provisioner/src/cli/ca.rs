//! `ca create`, `ca show`, `ca encrypt` and `ca export-root`, and in files of their own `ca rotate` and `ca crl`.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;
use time::OffsetDateTime;

pub(in crate::cli) mod crl;
pub(super) mod organisation;
mod place;
pub(super) mod retired;
mod rotate;

use super::Context;
use super::plan::{self, Line, Plan};
use crate::cli::Error;
use crate::state::store::Role;
use crate::state::{authorities, store};
use crate::work;
use crate::work::create::{self as creation, Action};
use crate::work::export::Export;
use device_pki::Certificate;
use device_pki::certificate::as_rfc3339;
use device_pki::chain::End;
use device_pki::key::{Passphrase, Uri};
use durable_files::folder::{self, Lock};
use iot_account::counted;

/// What to do with the certificate authorities.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make the root CA and the signer CA, unless they exist
    Create(Names),
    /// Check and show the root CA and the signer CA
    Show,
    /// Make a new signer CA under the same root; the old one stays valid for the boards that have it
    Rotate(rotate::Arguments),
    /// Write the revocation lists of the signer CAs
    Crl(crl::Arguments),
    /// Encrypt the key files of the home folder with a new passphrase
    Encrypt {
        /// File with the new passphrase in its first line [default: a prompt]
        #[arg(long, value_name = "FILE")]
        new_password_file: Option<PathBuf>,
    },
    /// Take the root key offline: copy it, verify the copy, remove the original
    ExportRoot {
        /// Folder for the copy, on another medium
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

/// How a new chain is named.
#[derive(Clone, Debug, Args)]
pub struct Names {
    /// Organisation in all certificates; a short name makes certificates smaller
    #[arg(long, default_value = work::DEFAULT_ORGANISATION, value_name = "NAME")]
    pub org: String,
    /// Common name of the root CA.
    #[arg(long, value_name = "NAME", help = "Common name of the root CA [default: `<org> Root CA`]")]
    pub root_cn: Option<String>,
    /// Common name of the signer CA.
    #[arg(long, value_name = "NAME", help = "Common name of the signer CA [default: `<org> Signer FFFF`]")]
    pub signer_cn: Option<String>,
    /// Place of the root key, a file or a key URI; made if it does not exist [default: root-ca.key]
    #[arg(long, value_name = "FILE|URI")]
    pub root_key: Option<Uri>,
    /// Place of the signer key, a file or a key URI; made if it does not exist [default: signer-ca.key]
    #[arg(long, value_name = "FILE|URI")]
    pub signer_key: Option<Uri>,
    /// Encrypt new key files with a passphrase
    #[arg(long)]
    pub encrypt: bool,
    /// Make new ones even if they exist, after a question; the old files are renamed once the new ones are whole
    #[arg(long)]
    pub force: bool,
}

/// Carries the command out.
///
/// # Errors
/// Those of [`store`].
pub async fn run(command: &Command, context: &Context) -> Result<(), Error> {
    store::check_closed(&context.home)?;
    match command {
        Command::Create(names) => create(names, context).await,
        Command::Show => show(context),
        Command::Rotate(arguments) => rotate::run(arguments, context).await,
        Command::Crl(arguments) => crl::run(arguments, context).await,
        Command::Encrypt { new_password_file } => encrypt(new_password_file.as_deref(), context).await,
        Command::ExportRoot { folder } => export_root(folder, context).await,
    }
}

async fn create(names: &Names, context: &Context) -> Result<(), Error> {
    let chain = creation::Names::new(&names.org, names.root_cn.as_deref(), names.signer_cn.as_deref())?;
    if [&names.root_key, &names.signer_key].into_iter().flatten().any(Uri::holds_a_pin) {
        context.note(
            "warning: other users can see a PIN on the command line in the list of processes; \
             use pin-source, MICROCHIP_IOT_PASSPHRASE or the prompt",
        );
    }
    let order = creation::Order {
        names: chain,
        root_key: names.root_key.clone(),
        signer_key: names.signer_key.clone(),
        encrypt: names.encrypt,
        force: names.force,
    };
    let plan = creation::Plan::make(&context.home, &context.keys, order, OffsetDateTime::now_utc())?;
    plan::run(context, plan).await
}

impl Plan for creation::Plan {
    async fn lines(&mut self, context: &Context) -> Result<Vec<Line>, Error> {
        let home = context.home.root().display();
        let steps = self.steps().iter().map(|(action, name)| match action {
            Action::SetAside => {
                Line::new("set_aside", format_args!("would rename {name} in {home}"), &Named { name })
            }
            Action::Create => Line::new("create", format_args!("would make {name}"), &Named { name }),
            Action::Leave => Line::new("leave", format_args!("is there: {name}"), &Named { name }),
        });
        Ok(steps.collect())
    }

    fn question(&self) -> Option<String> {
        let replaced = "A new root CA and a new signer CA will be made in place of those of the home folder, whose files are \
            renamed. No further certificate and no further revocation list of the old ones can be made then, and no new \
            board is registered until `provisioner setup` has registered the new signer CA. \
            `provisioner ca rotate` makes a new signer CA under the same root CA.";
        self.replaces_a_signer().then(|| replaced.to_owned())
    }

    async fn carry_out(self, context: &Context) -> Result<(), Error> {
        let created = self.carry_out(&context.home, &context.keys, OffsetDateTime::now_utc())?;
        for name in &created.set_aside {
            context.note(format_args!("kept the old file as {name}"));
        }
        let folder = context.home.root().display().to_string();
        let (action, text) = match created.made.as_slice() {
            [] => ("leave", format!("unchanged: the certificate authority in {folder} is valid")),
            made => ("create", format!("made {} in {folder}", made.join(", "))),
        };
        plan::tell(context, action, text, &Done { folder, created });
        Ok(())
    }
}

/// A key, a file or a signer CA, in the line of a plan.
#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct Done {
    folder: String,
    #[serde(flatten)]
    created: creation::Created,
}

/// Encrypts the key files of the home, those of retired signers too: they sign revocation lists. What is encrypted already
/// gets the new passphrase as well.
async fn encrypt(new_password_file: Option<&Path>, context: &Context) -> Result<(), Error> {
    let lock = context.home.lock_existing()?;
    let signers = authorities::all(&context.home)?;
    let retired = signers.iter().filter(|signer| !signer.current);
    let mut files: Vec<_> = retired.map(|signer| signer.folder.file(Role::Signer.key_file())).collect();
    files.extend([Role::Root, Role::Signer].map(|role| context.home.file(role.key_file())));
    files.retain(|file| file.exists());
    let root_file = context.home.file(Role::Root.key_file());
    let root = store::certificate(&context.home, Role::Root)?.filter(|root| root.point().is_none());
    if let Some(root) = root.filter(|_| files.contains(&root_file)) {
        files.retain(|file| *file != root_file);
        context.note(format_args!(
            "{} stays as it is: the key of {} is {}; encrypt it with: openssl pkcs8 -topk8 -scrypt -in OLD -out NEW",
            root_file.display(),
            Role::Root.certificate_file(),
            root.key_kind()
        ));
    }
    if files.is_empty() {
        return Err(Error::usage(
            "there is no key file in the home folder",
            "keys in a token or in AWS KMS are protected there",
        ));
    }
    for file in &files {
        folder::check_writable(file.parent().unwrap_or(context.home.root()))?;
    }
    // What a wrong passphrase stops, it stops before the first file.
    for file in &files {
        context.keys.open(&Uri::File(file.clone()))?;
    }
    let given = new_password_file.map(super::passphrase::first_line).transpose()?;
    let new = context.keys.new_passphrase(given, &Uri::File(files[0].clone()))?;
    plan::run(context, Encrypt { files, new, lock }).await
}

/// Key files that get a new passphrase.
struct Encrypt {
    files: Vec<PathBuf>,
    new: Passphrase,
    lock: Option<Lock>,
}

#[derive(Serialize)]
struct KeyFile<'a> {
    #[serde(serialize_with = "crate::contract::path")]
    file: &'a Path,
}

impl Plan for Encrypt {
    async fn lines(&mut self, _: &Context) -> Result<Vec<Line>, Error> {
        let line = |file: &PathBuf| {
            Line::new("encrypt", format_args!("would encrypt {}", file.display()), &KeyFile { file })
        };
        Ok(self.files.iter().map(line).collect())
    }

    async fn carry_out(self, context: &Context) -> Result<(), Error> {
        let _lock = context.home.locked(self.lock)?;
        context.keys.encrypt(&self.files, &self.new)?;
        for file in &self.files {
            plan::tell(context, "encrypt", format_args!("encrypted {}", file.display()), &KeyFile { file });
        }
        Ok(())
    }
}

/// The root's key, which is taken out of the home.
struct ExportRoot {
    export: Export,
    lock: Option<Lock>,
}

async fn export_root(folder: &Path, context: &Context) -> Result<(), Error> {
    let lock = context.home.lock_existing()?;
    let export = Export::plan(&context.home, folder)?;
    plan::run(context, ExportRoot { export, lock }).await
}

impl Plan for ExportRoot {
    async fn lines(&mut self, _: &Context) -> Result<Vec<Line>, Error> {
        let text = format!("would move the root's key to {}", self.export.key.display());
        Ok(vec![Line::new("export", text, &self.export)])
    }

    fn question(&self) -> Option<String> {
        Some(format!(
            "The root's key will be copied to {}, read back, and removed from the home folder. \
             Without the copy, no signer can be made for this root any more.",
            self.export.key.display(),
        ))
    }

    async fn carry_out(self, context: &Context) -> Result<(), Error> {
        let _lock = context.home.locked(self.lock)?;
        self.export.carry_out(&context.home)?;
        let place = self.export.key.display();
        let text = format!("the root's key is at {place} alone; keep a second copy of it elsewhere");
        plan::tell(context, "export", text, &self.export);
        Ok(())
    }
}

fn show(context: &Context) -> Result<(), Error> {
    let now = OffsetDateTime::now_utc();
    let chain = store::load(&context.home, &context.keys, now)?;
    let authority = |role, certificate: &Certificate| {
        let key = place::Place::of(&context.home, &context.keys, role)?;
        Ok::<_, Error>(Authority { certificate: certificate.clone(), key })
    };
    let shown = Shown {
        root: authority(Role::Root, chain.root())?,
        signer: authority(Role::Signer, chain.signer())?,
        chain: chain.end().into(),
        now,
    };
    context.show_block(&shown);
    retired::show(context, &shown.root, now)
}

/// A certificate authority, and where its key is.
#[derive(Serialize)]
struct Authority {
    #[serde(flatten)]
    certificate: Certificate,
    key: place::Place,
}

#[derive(Serialize)]
struct Shown {
    root: Authority,
    signer: Authority,
    chain: ChainEnd,
    #[serde(skip)]
    now: OffsetDateTime,
}

/// When the chain ends.
#[derive(Serialize)]
struct ChainEnd {
    #[serde(serialize_with = "as_rfc3339")]
    not_after: OffsetDateTime,
    limited_by: &'static str,
    #[serde(skip)]
    certificate: &'static str,
}

impl From<End> for ChainEnd {
    fn from(End { not_after, certificate }: End) -> Self {
        let limited_by = match certificate {
            store::ROOT_CERTIFICATE => "root",
            store::SIGNER_CERTIFICATE => "signer",
            _ => "intermediate",
        };
        Self { not_after, limited_by, certificate }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chain = [
            ("root", store::ROOT_CERTIFICATE, &self.root),
            ("signer", store::SIGNER_CERTIFICATE, &self.signer),
        ];
        for (role, file, Authority { certificate, key }) in chain {
            writeln!(f, "{role} CA ({file})\n{certificate}\n  key          {key}")?;
        }
        let ChainEnd { not_after: end, certificate, .. } = &self.chain;
        let left = *end - self.now;
        write!(f, "The signer can issue certificates until {} ({})", end.date(), period(left))?;
        match *certificate {
            store::SIGNER_CERTIFICATE => write!(f, "."),
            first => write!(f, ": {first} ends then, before {}.", store::SIGNER_CERTIFICATE),
        }
    }
}

/// A time for people: from two years on in years, rounded, else in days.
fn period(time: time::Duration) -> String {
    match time.whole_days() {
        days @ 730.. => counted((days + 182) / 365, "year"),
        days => counted(days, "day"),
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use device_pki::key::Protection;

    fn end(not_after: OffsetDateTime, certificate: &'static str) -> ChainEnd {
        End { not_after, certificate }.into()
    }

    /// The chain of a fixed pair of keys; made once with `provisioner ca create`.
    #[test]
    fn a_chain_is_shown_with_what_identifies_it() {
        let read = |pem: &str, key: &str, protection| Authority {
            certificate: Certificate::read(pem.as_bytes()).unwrap(),
            key: place::tests::place(key, protection),
        };
        let shown = Shown {
            root: read(include_str!("snapshots/root-ca.crt"), "/media/usb/root-ca.key", Protection::Absent),
            signer: read(include_str!("snapshots/signer-ca.crt"), "awskms:alias/signer", Protection::Kms),
            chain: end(datetime!(2036-11-24 21:00 UTC), store::SIGNER_CERTIFICATE),
            now: datetime!(2027-01-01 0:00 UTC),
        };
        insta::assert_snapshot!(shown);
        insta::assert_snapshot!("json", serde_json::to_string_pretty(&shown).unwrap());
        let limited = Shown { chain: end(datetime!(2028-02-01 0:00 UTC), store::ROOT_CERTIFICATE), ..shown };
        assert_eq!(
            limited.to_string().lines().last(),
            Some(
                "The signer can issue certificates until 2028-02-01 (396 days): root-ca.crt ends then, before signer-ca.crt."
            )
        );
        assert_eq!(serde_json::to_value(&limited).unwrap()["chain"]["limited_by"], "root");
    }
}
