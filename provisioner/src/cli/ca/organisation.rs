//! The organisation of a CA that certificates below it cannot carry.

use device_pki::Certificate;
use device_pki::profile::NAME_MAX;

use crate::cli::Context;

/// Tells that the organisation of a signer CA is left out of what it issues, if it is.
pub(in crate::cli) fn tell(context: &Context, signer: &Certificate) {
    let Some(organisation) = signer.unusable_organisation() else { return };
    let why = match organisation.chars().count() {
        0 => "is empty".to_owned(),
        length if length > NAME_MAX => format!("has {length} characters, and {NAME_MAX} are allowed"),
        _ => "has control characters".to_owned(),
    };
    context.note(format_args!(
        "the organisation (O) of the signer CA {why}: it is left out of the certificates that are issued under it"
    ));
}
