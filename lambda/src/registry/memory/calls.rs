//! What each call does to the account: the state and conflict rules of the AWS IoT API reference.

use std::collections::BTreeSet;

use super::{Activation, MemoryRegistry, Progress, Thing};
use crate::description::{Described, MAX_GROUPS, MAX_POLICIES};
use crate::name::{PolicyName, ThingGroupName, ThingTypeName};
use crate::policy::PolicyDocument;
use crate::registry::{
    Attachment, CertificateDescription, CertificateStatus, ErrorKind, Operation, Registry, Result,
    StoredPolicy, ThingType,
};

fn missing(what: &str, name: &str) -> (ErrorKind, String) {
    (ErrorKind::NotFound, format!("{what} {name} does not exist"))
}

/// The id at the end of a certificate's ARN.
fn certificate_id(arn: &str) -> &str {
    arn.rsplit_once("cert/").map_or("", |(_, id)| id)
}

impl Registry for MemoryRegistry {
    async fn describe_certificate(&self, id: &str) -> Result<CertificateDescription> {
        self.call(Operation::DescribeCertificate, |inner| match inner.account.certificates.get(id) {
            Some(certificate) => {
                let seen = Some(certificate.description.status);
                self.environment
                    .progress(id, |progress| *progress = Progress { seen, ..Progress::default() });
                Ok(certificate.description.clone())
            }
            None => Err(missing("certificate", id)),
        })
        .await
    }

    async fn create_thing(
        &self,
        thing: &str,
        thing_type: &ThingTypeName,
        described: &Described,
    ) -> Result<()> {
        self.call(Operation::CreateThing, |inner| {
            let account = &mut inner.account;
            let wanted = thing_type.as_str();
            match account.thing_types.get(wanted) {
                None => return Err(missing("thing type", wanted)),
                Some(ThingType { deprecated: true }) => {
                    return Err((ErrorKind::Invalid, format!("thing type {wanted} is deprecated")));
                }
                Some(ThingType { deprecated: false }) => {}
            }
            let billing_group = described.billing_group.as_ref().map(ToString::to_string);
            if let Some(missed) =
                billing_group.as_ref().filter(|name| !account.billing_groups.contains(*name))
            {
                return Err(missing("billing group", missed));
            }
            let attributes =
                described.attributes.iter().map(|(name, value)| (name.to_string(), value.clone()));
            let created = Thing {
                thing_type: Some(wanted.to_owned()),
                attributes: attributes.collect(),
                billing_group,
                groups: BTreeSet::new(),
            };
            match account.things.get(thing) {
                Some(existing) if (Thing { groups: BTreeSet::new(), ..existing.clone() }) == created => {
                    Ok(())
                }
                Some(_) => {
                    Err((ErrorKind::AlreadyExists, format!("thing {thing} exists with other attributes")))
                }
                None => {
                    account.things.insert(thing.to_owned(), created);
                    Ok(())
                }
            }
        })
        .await
    }

    async fn describe_thing_type(&self, thing_type: &ThingTypeName) -> Result<ThingType> {
        self.call(Operation::DescribeThingType, |inner| {
            let found = inner.account.thing_types.get(thing_type.as_str()).copied();
            found.ok_or_else(|| missing("thing type", thing_type.as_str()))
        })
        .await
    }

    async fn create_thing_type(&self, thing_type: &ThingTypeName) -> Result<()> {
        self.call(Operation::CreateThingType, |inner| {
            inner
                .account
                .thing_types
                .entry(thing_type.to_string())
                .or_insert(ThingType { deprecated: false });
            Ok(())
        })
        .await
    }

    async fn add_thing_to_thing_group(&self, thing: &str, group: &ThingGroupName) -> Result<()> {
        self.call(Operation::AddThingToThingGroup, |inner| {
            if !inner.account.thing_groups.contains(group.as_str()) {
                return Err(missing("thing group", group.as_str()));
            }
            let found = inner.account.things.get_mut(thing);
            let groups = &mut found.ok_or_else(|| missing("thing", thing))?.groups;
            if groups.len() >= MAX_GROUPS && !groups.contains(group.as_str()) {
                return Err((ErrorKind::Invalid, format!("thing {thing} is in {MAX_GROUPS} groups")));
            }
            groups.insert(group.to_string());
            Ok(())
        })
        .await
    }

    async fn attach_thing_principal(
        &self,
        thing: &str,
        certificate_arn: &str,
        attachment: Attachment,
    ) -> Result<()> {
        self.call(Operation::AttachThingPrincipal, |inner| {
            if !inner.account.things.contains_key(thing) {
                return Err(missing("thing", thing));
            }
            let certificate = inner.account.certificates.get_mut(certificate_id(certificate_arn));
            let certificate = certificate.ok_or_else(|| missing("certificate", certificate_arn))?;
            let elsewhere = certificate.things.iter().find(|(name, held)| {
                name.as_str() != thing
                    && (attachment == Attachment::Exclusive || **held == Attachment::Exclusive)
            });
            if let Some((name, _)) = elsewhere {
                return Err((ErrorKind::Invalid, format!("the principal is attached to thing {name}")));
            }
            if (certificate.things.get(thing), attachment)
                == (Some(&Attachment::Shared), Attachment::Exclusive)
            {
                return Err((
                    ErrorKind::Invalid,
                    "the principal is attached, and not exclusively".to_owned(),
                ));
            }
            certificate.things.insert(thing.to_owned(), attachment);
            self.environment.progress(certificate_id(certificate_arn), |progress| progress.thing = true);
            Ok(())
        })
        .await
    }

    async fn list_thing_principals(&self, thing: &str) -> Result<Vec<String>> {
        self.call(Operation::ListThingPrincipals, |inner| {
            if !inner.account.things.contains_key(thing) {
                return Err(missing("thing", thing));
            }
            let attached = inner.account.certificates.values().filter(|c| c.things.contains_key(thing));
            Ok(attached.map(|certificate| certificate.description.arn.clone()).collect())
        })
        .await
    }

    async fn list_principal_things(&self, certificate_arn: &str) -> Result<Vec<String>> {
        self.call(Operation::ListPrincipalThings, |inner| {
            let certificate = inner.account.certificates.get(certificate_id(certificate_arn));
            let certificate = certificate.ok_or_else(|| missing("certificate", certificate_arn))?;
            Ok(certificate.things.keys().cloned().collect())
        })
        .await
    }

    async fn get_policy(&self, policy: &PolicyName) -> Result<StoredPolicy> {
        let arn = self.scope.arn(format_args!("policy/{policy}"));
        self.call(Operation::GetPolicy, |inner| match inner.account.policies.get(policy.as_str()) {
            Some(document) => Ok(StoredPolicy { arn, document: document.clone() }),
            None => Err(missing("policy", policy.as_str())),
        })
        .await
    }

    async fn create_policy(&self, policy: &PolicyName, document: &PolicyDocument) -> Result<()> {
        self.call(Operation::CreatePolicy, |inner| {
            if inner.account.policies.contains_key(policy.as_str()) {
                return Err((ErrorKind::AlreadyExists, format!("policy {policy} exists")));
            }
            inner.account.policies.insert(policy.to_string(), document.to_string());
            Ok(())
        })
        .await
    }

    async fn attach_policy(&self, policy: &PolicyName, certificate_arn: &str) -> Result<()> {
        self.call(Operation::AttachPolicy, |inner| {
            if !inner.account.policies.contains_key(policy.as_str()) {
                return Err(missing("policy", policy.as_str()));
            }
            let certificate = inner.account.certificates.get_mut(certificate_id(certificate_arn));
            let certificate = certificate.ok_or_else(|| missing("certificate", certificate_arn))?;
            let full = certificate.policies.len() >= MAX_POLICIES;
            if full && !certificate.policies.contains(policy.as_str()) {
                return Err((ErrorKind::LimitExceeded, "the certificate has 10 policies".to_owned()));
            }
            certificate.policies.insert(policy.to_string());
            self.environment.progress(certificate_id(certificate_arn), |progress| progress.policy = true);
            Ok(())
        })
        .await
    }

    async fn list_attached_policies(&self, certificate_arn: &str) -> Result<Vec<String>> {
        self.call(Operation::ListAttachedPolicies, |inner| {
            let certificate = inner.account.certificates.get(certificate_id(certificate_arn));
            let certificate = certificate.ok_or_else(|| missing("certificate", certificate_arn))?;
            Ok(certificate.policies.iter().cloned().collect())
        })
        .await
    }

    async fn activate_certificate(&self, id: &str) -> Result<()> {
        self.call(Operation::UpdateCertificate, |inner| {
            let attached = inner.account.is_attached(id);
            let certificate = inner.account.certificates.get_mut(id);
            let certificate = certificate.ok_or_else(|| missing("certificate", id))?;
            let status_before = certificate.description.status;
            if status_before == CertificateStatus::PendingTransfer {
                return Err((ErrorKind::CertificateState, "the certificate is being transferred".to_owned()));
            }
            certificate.description.status = CertificateStatus::Active;
            let Progress { seen, policy, thing } = self.environment.progress(id, |progress| *progress);
            let attached_here = policy && thing;
            let certificate_id = id.to_owned();
            inner.activations.push(Activation {
                certificate_id,
                status_before,
                attached,
                seen,
                attached_here,
            });
            Ok(())
        })
        .await
    }
}
