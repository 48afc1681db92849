//! `ca crl`: the revocation lists of the signer CAs.

use std::fmt;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use time::OffsetDateTime;

use crate::cli::Context;
use crate::cli::Error;
use crate::cli::plan::{self, Line, Plan};
use crate::state::authorities::{Authority, SignerRevocation};
use crate::state::home::destination;
use crate::state::{authorities, revocations as crl, store};
use crate::work::AuthorityError;
use crate::work::revocation::Publication;
use crate::{state, work};
use device_pki::certificate::rfc3339;
use device_pki::key::Uri;
use device_pki::{Certificate, Chain, Issuer, Signer, revocation_list};
use durable_files::folder::{self, Lock};

/// Arguments of `ca crl`.
#[derive(Debug, Args)]
#[command(after_help = "\
Writes KEYID.crl (the list, DER) and KEYID.crt (the certificate, PEM) of every signer CA, also of signers with nothing \
revoked yet.

Put the folder into the function's package and name it in CRL_DIR (RevocationLists in infra/). The function then refuses \
every certificate on a list.

Run this command again before the lists are due, for example from a timer.")]
pub struct Arguments {
    /// Folder for the lists [default: crl in the home folder]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Days until the next update of the list is due
    #[arg(long, default_value_t = crl::DAYS, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..=3650))]
    days: u16,
    /// Place of the root key, if it is offline, such as file:/media/usb/root-ca.key
    #[arg(long, value_name = "URI")]
    root_key: Option<Uri>,
}

/// A list that was written.
#[derive(Serialize)]
struct Written {
    #[serde(flatten)]
    list: crl::List,
    /// `signer` or `root`.
    role: &'static str,
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let crl::List {
            authority_key_identifier: id,
            crl_number,
            next_update,
            revoked_certificates,
            file,
            ..
        } = &self.list;
        let (role, id) = (self.role, id.get(..8).unwrap_or(id));
        write!(
            f,
            "{role} {id}: revocation list {crl_number}, {revoked_certificates} revoked, next update due {}: {}",
            rfc3339(*next_update),
            file.display()
        )
    }
}

/// The lists of every signer CA, and of the root.
struct Crl {
    folder: PathBuf,
    days: u16,
    now: OffsetDateTime,
    /// Signers that can still sign, with their keys.
    signers: Vec<(Authority, Chain)>,
    /// Key identifiers of signers that have ended.
    ended: Vec<String>,
    root: Root,
    _lock: Option<Lock>,
}

/// The root's list of revoked signers.
enum Root {
    /// There is nothing for it to say, or it cannot be signed here.
    NotNeeded,
    /// The root's key is not here, but there.
    Offline { uri: String },
    /// It is written.
    Write { certificate: Box<Certificate>, key: Box<Signer>, revoked: Vec<(Authority, SignerRevocation)> },
}

/// A list in a plan.
#[derive(Serialize)]
struct Planned<'a> {
    role: &'static str,
    authority_key_identifier: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_certificates: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(serialize_with = "crate::contract::optional_path")]
    file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
}

pub(super) async fn run(arguments: &Arguments, context: &Context) -> Result<(), Error> {
    let now = OffsetDateTime::now_utc();
    let lock = context.home.lock_shared_existing()?;
    let own = crl::folder(&context.home);
    let lists = arguments.dir.clone().unwrap_or_else(|| own.clone());
    if destination(&lists) != destination(&own) {
        context.home.check_output(&lists)?;
    }
    let authorities = authorities::all(&context.home)?;
    if authorities.is_empty() {
        // Says what is missing.
        store::load(&context.home, &context.keys, now)?;
    }
    let (root, unlisted) = root(arguments, context, &authorities)?;
    let (mut signers, mut ended) = (Vec::new(), Vec::new());
    for authority in authorities {
        let opened = authority
            .chain(&context.keys, now)
            .map_err(work::Error::from)
            .and_then(|chain| Ok(chain.key().open().map(|_| chain)?));
        match opened {
            Ok(chain) => signers.push((authority, chain)),
            // Its certificates are past their signer's end: nobody accepts them, on a list or not.
            Err(work::Error::Pki(device_pki::Error::NotValidNow { .. }))
                if authority.left(now).is_negative() =>
            {
                ended.push(authority.subject_key_identifier().to_owned());
            }
            Err(error) => return Err(error.into()),
        }
    }
    // Every signature is entered in the audit log.
    folder::check_writable(context.home.root())?;
    folder::check_writable(&lists)?;
    let plan = Crl { folder: lists, days: arguments.days, now, signers, ended, root, _lock: lock };
    plan::run(context, plan).await?;
    unlisted.map_or(Ok(()), Err)
}

/// The root's list is written if a signer that it issued was revoked, or somebody says where the root's key is. Says also why a
/// signer that was revoked can be on no list.
fn root(
    arguments: &Arguments,
    context: &Context,
    authorities: &[Authority],
) -> Result<(Root, Option<Error>), Error> {
    let certificate = store::certificate(&context.home, store::Role::Root)?;
    let (mut revoked, mut signers) = (Vec::new(), Vec::new());
    for authority in authorities {
        let Some(revocation) = authority.revocation()? else { continue };
        match certificate.as_ref().is_none_or(|root| authority.certificate.is_signed_by(root)) {
            true => revoked.push((authority.clone(), revocation)),
            false => signers.push((
                authority.subject_key_identifier().to_owned(),
                authority.certificate.facts().issuer.clone(),
            )),
        }
    }
    let foreign =
        (!signers.is_empty()).then(|| work::Error::from(AuthorityError::OtherIssuer { signers }).into());
    if revoked.is_empty() && arguments.root_key.is_none() {
        return Ok((Root::NotNeeded, foreign));
    }
    if let Some(root) = &certificate
        && !root.may_sign_lists()
    {
        let error = device_pki::Error::NoCrlSign { certificate: store::ROOT_CERTIFICATE };
        return Ok((Root::NotNeeded, Some(work::Error::from(error).into())));
    }
    match store::root(&context.home, &context.keys, arguments.root_key.as_ref()) {
        Err(state::Error::RootOffline { uri }) if arguments.root_key.is_none() => {
            Ok((Root::Offline { uri: uri.to_string() }, foreign))
        }
        Err(state::Error::Pki(error @ device_pki::Error::RootKey { .. })) => {
            Ok((Root::NotNeeded, Some(work::Error::from(error).into())))
        }
        found => {
            let (certificate, key) = found?;
            Ok((Root::Write { certificate: Box::new(certificate), key: Box::new(key), revoked }, foreign))
        }
    }
}

impl Crl {
    fn line(&self, role: &'static str, authority_key_identifier: &str, revoked: usize) -> Line {
        let file = crl::file(&self.folder, authority_key_identifier, "crl");
        let text = format!(
            "would write the revocation list of the {role} {authority_key_identifier}, {revoked} revoked: {}",
            file.display()
        );
        let (revoked_certificates, file) = (Some(revoked), Some(file));
        let planned = Planned { role, authority_key_identifier, revoked_certificates, file, note: None };
        Line::new("write", text, &planned)
    }

    /// The lists that are not written.
    fn left(&self, context: &Context) -> Result<Vec<Line>, Error> {
        let ended = self.ended.iter().map(|key_id| left("signer", key_id, "the signer CA has expired"));
        let mut lines: Vec<Line> = ended.collect();
        if let Root::Offline { uri } = &self.root {
            let root = store::certificate(&context.home, store::Role::Root)?;
            let key_id = root.and_then(|root| root.facts().subject_key_identifier.clone());
            let note =
                format!("the root's key is not here ({uri}); bring it back and give it with --root-key");
            lines.push(left("root", &key_id.unwrap_or_default(), &note));
        }
        Ok(lines)
    }
}

/// A list that is not written, and why.
fn left(role: &'static str, authority_key_identifier: &str, note: &str) -> Line {
    let text =
        format!("the revocation list of the {role} {authority_key_identifier} stays unchanged: {note}");
    let note = Some(note);
    let planned = Planned { role, authority_key_identifier, revoked_certificates: None, file: None, note };
    Line::new("leave", text, &planned)
}

impl Plan for Crl {
    async fn lines(&mut self, context: &Context) -> Result<Vec<Line>, Error> {
        let mut lines = Vec::new();
        let Self { folder, days, now, .. } = &*self;
        let publication = Publication { home: &context.home, folder, days: *days, now: *now };
        for (authority, _) in &self.signers {
            publication.next_number(authority.subject_key_identifier())?;
            let revoked = crl::Records::of(&context.home, authority.subject_key_identifier()).read()?.len();
            lines.push(self.line("signer", authority.subject_key_identifier(), revoked));
        }
        if let Root::Write { certificate, revoked, .. } = &self.root {
            let key_id = certificate.facts().subject_key_identifier.as_deref().unwrap_or_default();
            publication.next_number(key_id)?;
            lines.push(self.line("root", key_id, revoked.len()));
        }
        lines.extend(self.left(context)?);
        Ok(lines)
    }

    async fn carry_out(self, context: &Context) -> Result<(), Error> {
        let _lock = crl::lock(&context.home)?;
        let Self { folder, days, now, .. } = &self;
        let publication = Publication { home: &context.home, folder, days: *days, now: *now };
        let tell = |list, role| {
            warn_if_full(&list, context);
            let written = Written { list, role };
            plan::tell(context, "write", &written, &written);
        };
        for (authority, chain) in &self.signers {
            tell(publication.of_signer(authority, chain)?, "signer");
        }
        if let Root::Write { certificate, key, revoked } = &self.root {
            tell(publication.of_root(Issuer { certificate, key }, revoked)?, "root");
        }
        self.left(context)?.iter().for_each(|line| line.show(context));
        Ok(())
    }
}

/// Warns of a list that will soon be longer than what the function takes: then no device of that CA gets in.
pub(in crate::cli) fn warn_if_full(list: &crl::List, context: &Context) {
    if list.fill >= revocation_list::NEARLY_FULL {
        context.note(format_args!(
            "warning: {} has {} % of what the function takes ({} certificates, {} MiB); with a longer list, no \
             device of this CA is registered: change the signer CA in time with `provisioner ca rotate`, which begins a new list",
            list.file.display(),
            list.fill,
            revocation_list::MAX_ENTRIES,
            revocation_list::MAX_SIZE / (1024 * 1024),
        ));
    }
}
