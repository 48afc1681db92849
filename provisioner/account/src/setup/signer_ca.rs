//! The signer CA in the account: registered, active, registering boards by itself, without a provisioning template.

use aws_sdk_iot::operation::describe_ca_certificate::DescribeCaCertificateOutput;
use aws_sdk_iot::types::{AutoRegistrationStatus, CaCertificateStatus, CertificateMode};

use super::link::Link;
use super::{Error, SignerCa, iot_tags, wrong};
use crate::Resource;
use crate::{Account, Error as AccountError};

const UPDATE: &str = "iot:UpdateCACertificate";

/// The signer CA as the account has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Registered {
    pub(crate) active: bool,
    pub(crate) auto_registration: bool,
    /// A template makes AWS provision boards itself (JITP), so that no event is published.
    pub(crate) template: bool,
    /// Several accounts of the Region may have it, and boards have to send the server name (certificate mode
    /// `SNI_ONLY`). AWS never changes it.
    pub(crate) sni_only: bool,
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Leave(Registered),
    Register,
    Repair(Registered),
}

/// The signer CA in the account, if it is there; found by its certificate id.
pub(crate) async fn find(account: &Account, id: &str) -> Result<Option<Registered>, AccountError> {
    let answer = account.iot().describe_ca_certificate().certificate_id(id).send().await;
    Ok(account.found("iot:DescribeCACertificate", answer)?.map(|answer| registered(&answer)))
}

/// The same for a signer CA that may not be made yet.
pub(crate) async fn find_if_made(
    account: &Account,
    id: Option<&str>,
) -> Result<Option<Registered>, AccountError> {
    match id {
        Some(id) => find(account, id).await,
        None => Ok(None),
    }
}

fn registered(answer: &DescribeCaCertificateOutput) -> Registered {
    let ca = answer.certificate_description();
    Registered {
        active: ca.and_then(|ca| ca.status()) == Some(&CaCertificateStatus::Active),
        // Registering turns it on, so an answer without it needs no change.
        auto_registration: ca.and_then(|ca| ca.auto_registration_status())
            != Some(&AutoRegistrationStatus::Disable),
        template: answer.registration_config().is_some_and(|config| {
            let given = |text: Option<&str>| text.is_some_and(|text| !text.is_empty());
            given(config.template_body()) || given(config.template_name())
        }),
        sni_only: ca.and_then(|ca| ca.certificate_mode()) == Some(&CertificateMode::SniOnly),
    }
}

pub(crate) fn decide(found: Option<Registered>) -> Step {
    match found {
        None => Step::Register,
        Some(right @ Registered { active: true, auto_registration: true, template: false, .. }) => {
            Step::Leave(right)
        }
        Some(wrong) => Step::Repair(wrong),
    }
}

impl Step {
    /// `sni_only` is what was asked for.
    pub(crate) fn link(self, id: &str, sni_only: bool) -> Link {
        let changes = match self {
            Self::Leave(_) | Self::Register => Vec::new(),
            Self::Repair(found) => wrong(&[
                (!found.active, "is inactive"),
                (!found.auto_registration, "auto-registration is off"),
                (found.template, "has a provisioning template: with one, AWS IoT publishes no event"),
            ]),
        };
        let mut link = Link::new(Resource::SignerCa, id, self != Self::Register, changes);
        if let (
            Self::Leave(Registered { sni_only: false, .. })
            | Self::Repair(Registered { sni_only: false, .. }),
            true,
        ) = (self, sni_only)
        {
            link.details.push(
                "is registered for this account alone, which AWS does not change: delete it first".to_owned(),
            );
        }
        link
    }

    /// `verification` is the verification certificate, PEM. Without one the CA is registered in the mode `SNI_ONLY`.
    /// Unless it is `open`, boards do not register with it before [`Step::open`], if they did not before.
    pub(crate) async fn apply(
        self,
        account: &Account,
        signer: &SignerCa<'_>,
        verification: Option<&str>,
        open: bool,
    ) -> Result<(), AccountError> {
        match self {
            Self::Leave(_) => Ok(()),
            Self::Register => register(account, signer, verification, open).await,
            Self::Repair(found) => repair(account, signer.id, found, open).await,
        }
    }

    /// Has boards register with the CA by themselves.
    pub(crate) async fn open(self, account: &Account, id: &str) -> Result<(), AccountError> {
        match self {
            Self::Leave(_) => Ok(()),
            Self::Register | Self::Repair(_) => activate(account, id, true).await,
        }
    }
}

async fn register(
    account: &Account,
    signer: &SignerCa<'_>,
    verification: Option<&str>,
    open: bool,
) -> Result<(), AccountError> {
    const ACTION: &str = "iot:RegisterCACertificate";
    let tags = iot_tags(ACTION, Some(signer.id))?;
    let answer = account
        .iot()
        .register_ca_certificate()
        .ca_certificate(&signer.pem)
        .set_verification_certificate(verification.map(str::to_owned))
        .set_certificate_mode(verification.is_none().then_some(CertificateMode::SniOnly))
        .set_as_active(true)
        .allow_auto_registration(open)
        .set_tags(Some(tags))
        .send()
        .await
        .map_err(account.failed(ACTION));
    match answer {
        Ok(_) => Ok(()),
        // It was not in this account when it was looked for.
        Err(error) if error.has_code("ResourceAlreadyExistsException") => {
            Err(Error::CaElsewhere { id: signer.id.to_owned(), source: error.into() }.into())
        }
        Err(error) if error.has_code("LimitExceededException") => {
            Err(Error::TooManyCas { source: error.into() }.into())
        }
        Err(error)
            if error.has_code("RegistrationCodeValidationException")
                || error.has_code("CertificateValidationException") =>
        {
            Err(Error::VerificationRefused { source: error.into() }.into())
        }
        Err(error) => Err(error),
    }
}

async fn repair(account: &Account, id: &str, found: Registered, open: bool) -> Result<(), AccountError> {
    if found.template {
        // By itself and first: taking the template away may turn auto-registration off.
        let request = account.iot().update_ca_certificate().certificate_id(id).remove_auto_registration(true);
        request.send().await.map_err(account.failed(UPDATE))?;
    }
    activate(account, id, open).await
}

async fn activate(account: &Account, id: &str, open: bool) -> Result<(), AccountError> {
    let registration = if open { AutoRegistrationStatus::Enable } else { AutoRegistrationStatus::Disable };
    let request = account.iot().update_ca_certificate().certificate_id(id);
    let request = request.new_status(CaCertificateStatus::Active).new_auto_registration_status(registration);
    request.send().await.map(drop).map_err(account.failed(UPDATE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::link::Action;

    const RIGHT: Registered =
        Registered { active: true, auto_registration: true, template: false, sni_only: false };

    #[test]
    fn a_ca_that_is_right_is_left_and_a_missing_one_registered() {
        assert_eq!(decide(Some(RIGHT)).link("1f", false).action, Action::Leave);
        assert_eq!(decide(None).link("1f", true).action, Action::Create);
    }

    #[test]
    fn whatever_stops_boards_from_registering_is_mended_and_named() {
        let cases = [
            (Registered { active: false, ..RIGHT }, "inactive"),
            (Registered { auto_registration: false, ..RIGHT }, "auto-registration"),
            (Registered { template: true, ..RIGHT }, "template"),
        ];
        for (found, named) in cases {
            let link = decide(Some(found)).link("1f", false);
            assert_eq!(link.action, Action::Change);
            assert_eq!(link.details.len(), 1);
            assert!(link.details[0].contains(named), "{link:?}");
        }
    }

    #[test]
    fn a_ca_of_one_account_cannot_become_one_of_several_and_that_is_said() {
        let link = decide(Some(RIGHT)).link("1f", true);
        assert_eq!(link.action, Action::Leave);
        assert!(link.details[0].contains("delete it first"), "{link:?}");
        let shared = decide(Some(Registered { sni_only: true, ..RIGHT }));
        assert!(shared.link("1f", true).details.is_empty());
    }
}
