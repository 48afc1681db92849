//! `revoke --signer`: the account lets in no new device of a signer CA, and nothing is signed with it here by mistake.

use serde::Serialize;

use crate::cli::Context;
use crate::cli::Error;
use crate::cli::plan::{self, Line, Plan};
use crate::state::authorities::{self, Authority, SignerRevocation};
use crate::state::store::Role;
use crate::state::{self, revocations, store};
use device_pki::revocation::Reason;
use device_pki::visible;
use durable_files::folder;
use iot_account::Account;
use iot_account::certificates::Tally;
use iot_account::revoke::SignerState;

/// A signer CA to be revoked.
struct RevokeSigner {
    authority: Authority,
    account: Account,
    state: SignerState,
    is_noted: bool,
    reason: Reason,
}

/// What is done about a signer CA.
#[derive(Serialize)]
struct Row<'a> {
    subject_key_identifier: &'a str,
    certificate_id: &'a str,
    registered: bool,
    account_action: InAccount,
    /// Certificates that were registered with it: they stay as they are.
    certificates: &'a Tally,
    reason: Reason,
}

/// What is done in the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum InAccount {
    /// It registers no board.
    Leave,
    /// It becomes INACTIVE, and auto-registration goes off.
    SwitchOff,
}

impl Row<'_> {
    fn text(&self, done: bool) -> String {
        let would = if done { "" } else { "would be " };
        let account = match (self.registered, self.account_action) {
            (false, _) => "not registered".to_owned(),
            (true, InAccount::Leave) => "INACTIVE already, and registers no board".to_owned(),
            (true, InAccount::SwitchOff) => format!("{would}INACTIVE, auto-registration {would}off"),
        };
        format!(
            "signer {}\n  account  {account}\n  here     {would}recorded: the key no longer signs certificates\n  \
             devices  not changed: {}",
            self.subject_key_identifier, self.certificates
        )
    }
}

/// Switches the signer off in the account, then notes here that its key no longer signs certificates.
pub(super) async fn revoke(name: &str, reason: Reason, context: &Context) -> Result<(), Error> {
    let authority = authorities::find(authorities::all(&context.home)?, name)?;
    let account = context.account().await?;
    let state = SignerState::look(&account, authority.certificate_id()).await?;
    let is_noted = authority.revocation()?.is_some();
    // It is recorded after the account is changed.
    folder::check_writable(authority.folder.root())?;
    plan::run(context, RevokeSigner { authority, account, state, is_noted, reason }).await
}

/// Notes it where the signer's files are now: a rotation may have retired it since the look. Stations go on meanwhile, and
/// read the note before they sign for their next board.
fn note(context: &Context, signer: &Authority, revoked: &SignerRevocation) -> Result<(), Error> {
    let _files = context.home.lock_shared()?;
    let _notes = revocations::lock(&context.home)?;
    let signer = authorities::find(authorities::all(&context.home)?, signer.subject_key_identifier())?;
    if signer.revocation()?.is_none() {
        signer.revoke(revoked)?;
    }
    Ok(())
}

impl RevokeSigner {
    fn row(&self) -> Row<'_> {
        Row {
            subject_key_identifier: self.authority.subject_key_identifier(),
            certificate_id: self.authority.certificate_id(),
            registered: self.state.is_registered(),
            account_action: if self.state.is_off() { InAccount::Leave } else { InAccount::SwitchOff },
            certificates: &self.state.certificates,
            reason: self.reason,
        }
    }

    fn is_done(&self) -> bool {
        self.state.is_off() && self.is_noted
    }

    fn action(&self) -> &'static str {
        if self.is_done() { "leave" } else { "revoke" }
    }
}

impl Plan for RevokeSigner {
    async fn lines(&mut self, _: &Context) -> Result<Vec<Line>, Error> {
        let row = self.row();
        Ok(vec![Line::new(self.action(), row.text(false), &row).block()])
    }

    fn question(&self) -> Option<String> {
        (!self.is_done()).then(|| "No new board of this signer CA will be registered.".to_owned())
    }

    async fn carry_out(self, context: &Context) -> Result<(), Error> {
        let (id, reason) = (self.authority.certificate_id(), self.reason);
        self.state.switch_off(&self.account, id).await?;
        if !self.is_noted {
            note(context, &self.authority, &SignerRevocation { when: state::now(), reason })?;
        }
        let row = self.row();
        plan::tell_block(context, self.action(), row.text(true), &row, true);
        if self.is_done() {
            context.note("nothing to do: it is revoked already");
            return Ok(());
        }
        let root = store::certificate(&context.home, Role::Root)?;
        let certificate = &self.authority.certificate;
        match root.is_none_or(|root| certificate.is_signed_by(&root)) {
            true => context.note("put it on the root's revocation list with: provisioner ca crl"),
            false => context.note(format_args!(
                "only {issuer}, which issued it, can put it on a revocation list: have its owner revoke it there",
                issuer = visible::line(&certificate.facts().issuer)
            )),
        }
        if self.authority.current {
            context.note("make the next signer CA with: provisioner ca rotate");
        }
        if self.state.certificates.with("ACTIVE") > 0 {
            context.note(format_args!(
                "its registered devices can still connect; list them with: provisioner certificates --signer {}",
                &self.authority.subject_key_identifier()[..8]
            ));
        }
        Ok(())
    }
}
