//! `revoke --signer`: the account lets in no new device of a signer CA, and nothing is signed with it here by mistake.

use std::fmt;

use serde::Serialize;

use crate::cli::Context;
use crate::cli::Error;
use crate::state;
use crate::state::authorities::{self, SignerRevocation};
use device_pki::revocation::Reason;
use iot_account::revoke::SignerState;

/// What is done about a signer CA.
#[derive(Serialize)]
struct SignerRow<'a> {
    signer: &'a str,
    certificate_id: &'a str,
    registered: bool,
    /// `switch_off` or `leave`.
    account: &'static str,
    /// Certificates that were registered with it: they stay as they are.
    certificates: &'a iot_account::certificates::Tally,
    done: bool,
}

impl fmt::Display for SignerRow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let would = if self.done { "" } else { "would be " };
        write!(f, "signer {}", self.signer)?;
        match (self.registered, self.account) {
            (false, _) => write!(f, "\n  account  does not know it")?,
            (true, "leave") => write!(f, "\n  account  INACTIVE already, and registers no board")?,
            (true, _) => write!(f, "\n  account  {would}INACTIVE, auto-registration {would}off")?,
        }
        write!(f, "\n  here     {would}noted: the key no longer signs certificates")?;
        write!(f, "\n  devices  stay as they are: {}", self.certificates)
    }
}

/// Switches the signer off in the account, then notes here that its key no longer signs certificates.
pub(super) async fn revoke(name: &str, reason: Reason, context: &Context) -> Result<(), Error> {
    let authority = authorities::find(authorities::all(&context.home)?, name)?;
    let account = context.account().await?;
    let state = SignerState::look(&account, authority.certificate_id()).await?;
    let is_noted = authority.revocation()?.is_some();
    let row = |done| SignerRow {
        signer: authority.key_id(),
        certificate_id: authority.certificate_id(),
        registered: state.is_registered(),
        account: if state.is_off() { "leave" } else { "switch_off" },
        certificates: &state.certificates,
        done,
    };
    if state.is_off() && is_noted {
        context.show(&row(true));
        context.note("nothing to do: it is revoked already");
        return Ok(());
    }
    if context.global.dry_run {
        context.show(&row(false));
        return Ok(());
    }
    if !context.global.yes {
        context.note(row(false));
        context.confirm("No new board of this signer will be let in.")?;
    }
    state.switch_off(&account, authority.certificate_id()).await?;
    if !is_noted {
        authority.revoke(&SignerRevocation { when: state::now(), reason })?;
    }
    context.show(&row(true));
    context.note("put it on the root's revocation list with: provisioner ca crl");
    if authority.current {
        context.note("make the next signer CA with: provisioner ca rotate");
    }
    if state.certificates.with("ACTIVE") > 0 {
        context.note(format_args!(
            "its devices are still let in; list them with: provisioner certificates --signer {}",
            &authority.key_id()[..8]
        ));
    }
    Ok(())
}
