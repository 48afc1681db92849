//! One device: its certificate, the policies of the certificate, and its thing.

use jitr::name::PolicyName;
use jitr::registration::Settings as Registration;
use jitr::registry::CertificateStatus;
use jitr::scope::{Arn, Scope};
use jitr::thing_name::ThingName;
use serde_json::Value;
use time::OffsetDateTime;

use super::finding::{Finding, Remedy};
use super::{Revoked, connection, device_policy};
use crate::account::existing;
use crate::{Account, Error as AccountError, Resource, certificates};
use device_pki::Certificate;
use device_pki::certificate::rfc3339;

/// A device whose registration is checked.
#[derive(Clone, Debug)]
pub enum Device {
    /// By the files that provisioning left.
    Board {
        /// Its certificate.
        certificate: Certificate,
        /// The thing name in the board's folder.
        stored_name: Option<String>,
    },
    /// By the name of its thing.
    Thing {
        /// The name.
        name: String,
        /// The certificates that this computer knows for it.
        known: Vec<Certificate>,
    },
}

/// A certificate as the account has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    arn: String,
    status: CertificateStatus,
    ca: Option<String>,
    policies: Vec<String>,
    /// What the policies let it do with the name of another device.
    dangers: Vec<String>,
    /// Those policies that do so by themselves.
    wide: Vec<String>,
    things: Vec<String>,
}

/// What a certificate is to look like.
pub(super) struct Expected<'a> {
    /// Id of the signer CA on this computer.
    pub(super) signer: Option<&'a Certificate>,
    pub(super) registration: &'a Registration,
    pub(super) scope: &'a Scope,
    pub(super) revoked: &'a (dyn Fn(&Certificate) -> Option<Revoked> + Sync),
    pub(super) now: OffsetDateTime,
    /// The host that devices connect to, if it is known.
    pub(super) endpoint: Option<&'a str>,
}

/// Looks at the device.
pub(super) async fn examine(account: &Account, device: &Device, expected: &Expected<'_>) -> Vec<Finding> {
    let (name, on_disk) = match device {
        Device::Board { certificate, stored_name } => {
            let mut findings = one(account, certificate, stored_name.as_deref(), expected).await;
            let source = expected.registration.thing_name_source;
            if let Ok(name) = ThingName::from_certificate_der(certificate.der(), source) {
                findings.extend(connected(account, name.as_str(), &[certificate], expected).await);
            }
            return findings;
        }
        Device::Thing { name, known } => (name, known),
    };
    match of_thing(account, name, on_disk).await {
        Ok(OfThing::None { exists: false }) => {
            let found = vec!["does not exist".to_owned()];
            vec![Finding::wrong(Resource::Thing, name, found).remedy(Remedy::Connect)]
        }
        Ok(OfThing::None { exists: true }) => {
            let found = vec![
                "has no certificate: a device whose certificate was detached from it cannot connect"
                    .to_owned(),
            ];
            let replay = Remedy::ReplayOne { certificate_id: None };
            vec![Finding::wrong(Resource::Thing, name, found).remedy(replay)]
        }
        Ok(OfThing::Certificates(certificates)) => {
            let mut findings = Vec::new();
            for certificate in &certificates {
                findings.extend(one(account, certificate, Some(name), expected).await);
            }
            let certificates: Vec<&Certificate> = certificates.iter().collect();
            findings.extend(connected(account, name, &certificates, expected).await);
            findings
        }
        Err(error) => vec![Finding::unread(Resource::Thing, name, error)],
    }
}

async fn one(
    account: &Account,
    certificate: &Certificate,
    stored_name: Option<&str>,
    expected: &Expected<'_>,
) -> Vec<Finding> {
    match known(account, &certificate.facts().certificate_id, expected.scope).await {
        Ok(known) => judge(certificate, stored_name, known.as_ref(), expected),
        Err(error) => {
            vec![Finding::unread(Resource::Certificate, &certificate.facts().certificate_id, error)]
        }
    }
}

/// The connection of the device of this thing.
async fn connected(
    account: &Account,
    thing: &str,
    certificates: &[&Certificate],
    expected: &Expected<'_>,
) -> Option<Finding> {
    let ids: Vec<String> =
        certificates.iter().map(|certificate| certificate.facts().certificate_id.clone()).collect();
    Some(connection::examine(account, expected.endpoint?, thing, &ids, expected.now).await)
}

/// What there is of a thing.
enum OfThing {
    Certificates(Vec<Certificate>),
    None { exists: bool },
}

/// The certificates of a thing: those that are attached to it, or else those that this computer and the account know.
async fn of_thing(account: &Account, thing: &str, on_disk: &[Certificate]) -> Result<OfThing, AccountError> {
    let iot = account.iot();
    let ask = |token| iot.list_thing_principals().thing_name(thing).set_next_token(token).send();
    let principals = existing(account.all("iot:ListThingPrincipals", ask, |page| page.principals).await)?;
    let mut certificates = Vec::new();
    for id in principals.iter().flatten().filter_map(|arn| Arn::parse(arn)?.named("cert")) {
        let answer = iot.describe_certificate().certificate_id(id).send().await;
        let answer = answer.map_err(account.failed("iot:DescribeCertificate"))?;
        let pem =
            answer.certificate_description().and_then(|found| found.certificate_pem()).unwrap_or_default();
        let certificate = Certificate::read(pem.as_bytes()).map_err(|_| AccountError::Incomplete {
            action: "iot:DescribeCertificate",
            what: "the certificate as PEM",
        })?;
        certificates.push(certificate);
    }
    let mut revoked = Vec::new();
    if certificates.is_empty() {
        for certificate in on_disk {
            let found = certificates::describe(account, &certificate.facts().certificate_id).await?;
            match found.as_ref().and_then(|found| found.status()) {
                Some(status) if status.as_str() == certificates::REVOKED => revoked.push(certificate.clone()),
                Some(_) => certificates.push(certificate.clone()),
                None => {}
            }
        }
    }
    if certificates.is_empty() {
        // Those that others have replaced are not the device's any more.
        certificates = revoked;
    }
    Ok(match certificates.is_empty() {
        true => OfThing::None { exists: principals.is_some() },
        false => OfThing::Certificates(certificates),
    })
}

/// What the account knows of a certificate, if it knows it.
async fn known(account: &Account, id: &str, scope: &Scope) -> Result<Option<Known>, AccountError> {
    let Some(found) = certificates::describe(account, id).await? else { return Ok(None) };
    let arn = found.certificate_arn().unwrap_or_default();
    let policies = certificates::policies(account, arn).await?;
    let things = certificates::things(account, arn).await?;
    let documents = documents(account, &policies).await?;
    let wide = documents
        .iter()
        .filter(|(_, document)| !device_policy::dangers(std::slice::from_ref(document), scope).is_empty());
    let wide = wide.map(|(name, _)| name.clone()).collect();
    let documents: Vec<Value> = documents.into_iter().map(|(_, document)| document).collect();
    let status = found.status().and_then(|status| CertificateStatus::from_name(status.as_str()));
    Ok(Some(Known {
        arn: arn.to_owned(),
        wide,
        status: status
            .ok_or(AccountError::Incomplete { action: "iot:DescribeCertificate", what: "the status" })?,
        ca: found.ca_certificate_id.filter(|id| !id.is_empty()),
        policies,
        dangers: device_policy::dangers(&documents, scope),
        things,
    }))
}

/// The documents of policies, with their names.
async fn documents(account: &Account, policies: &[String]) -> Result<Vec<(String, Value)>, AccountError> {
    let mut documents = Vec::new();
    for policy in policies {
        let answer = account.iot().get_policy().policy_name(policy).send().await;
        let document = account.found("iot:GetPolicy", answer)?.and_then(|answer| answer.policy_document);
        let document = document.and_then(|document| serde_json::from_str(&document).ok());
        documents.extend(document.map(|document| (policy.clone(), document)));
    }
    Ok(documents)
}

fn judge(
    certificate: &Certificate,
    stored_name: Option<&str>,
    known: Option<&Known>,
    expected: &Expected<'_>,
) -> Vec<Finding> {
    let id = &certificate.facts().certificate_id;
    let source = expected.registration.thing_name_source;
    let name = match ThingName::from_certificate_der(certificate.der(), source) {
        Ok(name) => name.to_string(),
        Err(error) => return vec![Finding::wrong(Resource::Certificate, id, vec![error.to_string()])],
    };
    let status = status(certificate, known, expected);
    // A certificate that waits or was revoked has neither policy nor thing, and that is not what is wrong.
    let in_use = known.filter(|_| status.lets_through());
    let mut findings = vec![status];
    findings.extend(in_use.map(|known| policies(known, &expected.registration.policy, id)));
    findings.push(thing(&name, stored_name, in_use.map(|known| (known, id.as_str()))));
    findings
}

fn status(certificate: &Certificate, known: Option<&Known>, expected: &Expected<'_>) -> Finding {
    let facts = certificate.facts();
    let id = &facts.certificate_id;
    let right = |found: String| Finding::right(Resource::Certificate, id, vec![found]);
    let wrong =
        |found: String, remedy: Remedy| Finding::wrong(Resource::Certificate, id, vec![found]).remedy(remedy);
    let revoked = (expected.revoked)(certificate);
    let is_final = revoked.as_ref().is_some_and(|revoked| revoked.is_final);
    let in_account = known.map(|known| known.status);
    if in_account == Some(CertificateStatus::Revoked) {
        let found = "is REVOKED, and stays so: to connect again, the device needs a new certificate";
        return wrong(found.to_owned(), Remedy::Replace { is_final });
    }
    if let Some(Revoked { why, .. }) = &revoked {
        let certificate_id = id.clone();
        let status = in_account
            .map_or_else(|| "is not known to the account".to_owned(), |status| format!("is {status}"));
        let found = vec![format!("{why}, and {status}")];
        // A function without revocation lists would let it in.
        return Finding::dangerous(Resource::Certificate, id, found)
            .remedy(Remedy::Revoke { certificate_id });
    }
    if !certificate.is_valid_at(expected.now) {
        let period = format!("is valid from {} to {}", rfc3339(facts.not_before), rfc3339(facts.not_after));
        return wrong(period, Remedy::Provision);
    }
    let Some(known) = known else {
        return match expected.signer {
            Some(signer) if !certificate.is_signed_by(signer) => wrong(
                "is not known to the account, and the signer CA here did not sign it".to_owned(),
                Remedy::Provision,
            ),
            _ => right("is not known yet: it is registered when the device first connects".to_owned()),
        };
    };
    let by = known.ca.as_deref().map_or_else(|| "without a CA".to_owned(), |ca| format!("by CA {ca}"));
    match known.status {
        CertificateStatus::Active => right(format!("ACTIVE, registered {by}")),
        CertificateStatus::PendingActivation => wrong(
            format!("is PENDING_ACTIVATION, registered {by}: its registration did not finish"),
            Remedy::Replay,
        )
        .repairable(),
        CertificateStatus::PendingTransfer => {
            let certificate_id = id.clone();
            let found = "is being transferred to another account".to_owned();
            wrong(found, Remedy::CancelTransfer { certificate_id })
        }
        other => {
            let certificate_id = id.clone();
            wrong(
                format!("is {other}: an operator took it out of service"),
                Remedy::Activate { certificate_id },
            )
        }
    }
}

fn policies(known: &Known, wanted: &PolicyName, id: &str) -> Finding {
    if !known.dangers.is_empty() {
        let found = known.dangers.clone();
        let others: Vec<String> = match known.wide.is_empty() {
            // Together they are too wide.
            true => known.policies.clone(),
            false => known.wide.clone(),
        };
        let others: Vec<String> = others.into_iter().filter(|policy| policy != wanted.as_str()).collect();
        let remedy = match others.is_empty() {
            true => Remedy::RepairPolicy,
            false => Remedy::DetachPolicies { policies: others, target: known.arn.clone() },
        };
        return Finding::dangerous(Resource::AttachedPolicy, known.policies.join(", "), found).remedy(remedy);
    }
    if known.policies.iter().any(|policy| policy == wanted.as_str()) {
        return Finding::right(Resource::AttachedPolicy, known.policies.join(", "), Vec::new());
    }
    if known.policies.is_empty() {
        let found = vec!["none is attached: AWS closes every connection".to_owned()];
        return Finding::wrong(Resource::AttachedPolicy, id, found).repairable();
    }
    let found = vec![format!("{wanted} is not attached; whether the others let it connect is not looked at")];
    Finding::notable(Resource::AttachedPolicy, known.policies.join(", "), found)
}

/// `known` is the certificate in the account, with its id.
fn thing(name: &str, stored_name: Option<&str>, known: Option<(&Known, &str)>) -> Finding {
    if let Some(stored) = stored_name.filter(|stored| *stored != name) {
        let found = vec![format!("the device calls itself {stored}, but its key says {name}")];
        return Finding::wrong(Resource::Thing, stored, found).remedy(Remedy::Provision);
    }
    match known {
        Some((known, id)) if !known.things.iter().any(|thing| thing == name) => {
            let others = match known.things.as_slice() {
                [] => String::new(),
                others => format!("; it is attached to {}", others.join(", ")),
            };
            let found = vec![format!("the certificate is not attached to it{others}")];
            let replay = Remedy::ReplayOne { certificate_id: Some(id.to_owned()) };
            let finding = Finding::wrong(Resource::Thing, name, found).repairable();
            // Without a CA there is no event that could be sent again.
            if known.ca.is_some() { finding.remedy(replay) } else { finding }
        }
        Some(_) | None => Finding::right(Resource::Thing, name, Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    fn known(status: CertificateStatus) -> Known {
        Known {
            arn: "arn:aws:iot:us-east-2:123456789012:cert/1f".into(),
            status,
            ca: Some("1f".into()),
            policies: vec!["zt_policy".into()],
            dangers: vec![],
            wide: vec![],
            things: vec!["t".into()],
        }
    }

    #[test]
    fn a_certificate_without_policy_or_with_another_is_told_apart() {
        let wanted = PolicyName::zero_touch();
        let with = |policies: &[&str]| Known {
            policies: policies.iter().map(|&policy| policy.to_owned()).collect(),
            ..known(CertificateStatus::Active)
        };
        assert_eq!(policies(&with(&["zt_policy", "x"]), &wanted, "1f").verdict, Verdict::Right);
        assert_eq!(policies(&with(&["x"]), &wanted, "1f").verdict, Verdict::Notable);
        let wide = Known { dangers: vec!["a board can …".into()], ..with(&["zt_policy", "x"]) };
        assert_eq!(policies(&wide, &wanted, "1f").verdict, Verdict::Dangerous);
        let remedy = |wide: &[&str]| {
            let wide = wide.iter().map(|&policy| policy.to_owned()).collect();
            let known = Known { dangers: vec!["a board can …".into()], wide, ..with(&["zt_policy", "x"]) };
            policies(&known, &wanted, "1f").remedy.unwrap()
        };
        assert!(matches!(remedy(&["zt_policy"]), Remedy::RepairPolicy));
        for wide in [&["x"][..], &["zt_policy", "x"], &[]] {
            assert!(
                matches!(remedy(wide), Remedy::DetachPolicies { policies, .. } if policies == ["x"]),
                "{wide:?}"
            );
        }
        let bare = policies(&with(&[]), &wanted, "1f");
        assert_eq!((bare.verdict, bare.repairable), (Verdict::Wrong, true));
    }

    #[test]
    fn a_thing_is_compared_with_the_key_and_with_the_attachment() {
        let active = known(CertificateStatus::Active);
        assert_eq!(thing("t", Some("t"), Some((&active, "1f"))).verdict, Verdict::Right);
        assert_eq!(thing("t", None, None).verdict, Verdict::Right);
        let renamed = thing("t", Some("u"), Some((&active, "1f")));
        assert!(!renamed.repairable && renamed.found[0].contains("calls itself u"), "{renamed:?}");
        let loose = thing("u", None, Some((&active, "1f")));
        assert!(loose.repairable && loose.found[0].contains("attached to t"), "{loose:?}");
    }
}
