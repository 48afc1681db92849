//! Something that comes around every call of another registry: retries, a quota. Here is the one list of the calls.

use std::future::Future;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Attachment, CertificateDescription, Operation, Registry, Result, StoredPolicy, ThingType};
use crate::name::{PolicyName, ThingGroupName, ThingTypeName};
use crate::policy::PolicyDocument;

/// A layer around a registry; it is a registry itself.
pub trait Layer: Send + Sync {
    /// What it is around.
    type Inner: Registry + Send;

    /// The registry that is called in the end.
    fn inner(&self) -> &Self::Inner;

    /// Makes a call, never, once or several times.
    fn around<'a, T: Send>(
        &'a self,
        operation: Operation,
        call: impl Fn() -> BoxFuture<'a, Result<T>> + Send + Sync,
    ) -> impl Future<Output = Result<T>> + Send;
}

impl<L: Layer> Registry for L {
    async fn describe_certificate(&self, id: &str) -> Result<CertificateDescription> {
        self.around(Operation::DescribeCertificate, || self.inner().describe_certificate(id).boxed()).await
    }

    async fn create_thing(&self, thing: &str, thing_type: &ThingTypeName) -> Result<()> {
        self.around(Operation::CreateThing, || self.inner().create_thing(thing, thing_type).boxed()).await
    }

    async fn describe_thing_type(&self, thing_type: &ThingTypeName) -> Result<ThingType> {
        self.around(Operation::DescribeThingType, || self.inner().describe_thing_type(thing_type).boxed())
            .await
    }

    async fn create_thing_type(&self, thing_type: &ThingTypeName) -> Result<()> {
        self.around(Operation::CreateThingType, || self.inner().create_thing_type(thing_type).boxed()).await
    }

    async fn add_thing_to_thing_group(&self, thing: &str, group: &ThingGroupName) -> Result<()> {
        self.around(Operation::AddThingToThingGroup, || {
            self.inner().add_thing_to_thing_group(thing, group).boxed()
        })
        .await
    }

    async fn attach_thing_principal(
        &self,
        thing: &str,
        certificate_arn: &str,
        attachment: Attachment,
    ) -> Result<()> {
        self.around(Operation::AttachThingPrincipal, || {
            self.inner().attach_thing_principal(thing, certificate_arn, attachment).boxed()
        })
        .await
    }

    async fn list_thing_principals(&self, thing: &str) -> Result<Vec<String>> {
        self.around(Operation::ListThingPrincipals, || self.inner().list_thing_principals(thing).boxed())
            .await
    }

    async fn get_policy(&self, policy: &PolicyName) -> Result<StoredPolicy> {
        self.around(Operation::GetPolicy, || self.inner().get_policy(policy).boxed()).await
    }

    async fn create_policy(&self, policy: &PolicyName, document: &PolicyDocument) -> Result<()> {
        self.around(Operation::CreatePolicy, || self.inner().create_policy(policy, document).boxed()).await
    }

    async fn attach_policy(&self, policy: &PolicyName, certificate_arn: &str) -> Result<()> {
        self.around(Operation::AttachPolicy, || self.inner().attach_policy(policy, certificate_arn).boxed())
            .await
    }

    async fn activate_certificate(&self, id: &str) -> Result<()> {
        self.around(Operation::UpdateCertificate, || self.inner().activate_certificate(id).boxed()).await
    }
}
