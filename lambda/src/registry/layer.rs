//! A layer around every call of another registry, such as retries or a quota. This is the one list of the calls.

use std::future::Future;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Attachment, CertificateDescription, Operation, Registry, Result, StoredPolicy, ThingType};
use crate::description::Described;
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

/// Passes each call on through the layer.
macro_rules! pass_on {
    ($($operation:ident: $call:ident($($name:ident: $type:ty),+) -> $answer:ty;)+) => {
        impl<L: Layer> Registry for L {
            $(async fn $call(&self, $($name: $type),+) -> Result<$answer> {
                self.around(Operation::$operation, || self.inner().$call($($name),+).boxed()).await
            })+
        }
    };
}

pass_on! {
    DescribeCertificate: describe_certificate(id: &str) -> CertificateDescription;
    CreateThing: create_thing(thing: &str, thing_type: &ThingTypeName, described: &Described) -> ();
    DescribeThingType: describe_thing_type(thing_type: &ThingTypeName) -> ThingType;
    CreateThingType: create_thing_type(thing_type: &ThingTypeName) -> ();
    AddThingToThingGroup: add_thing_to_thing_group(thing: &str, group: &ThingGroupName) -> ();
    AttachThingPrincipal:
        attach_thing_principal(thing: &str, certificate_arn: &str, attachment: Attachment) -> ();
    ListThingPrincipals: list_thing_principals(thing: &str) -> Vec<String>;
    ListPrincipalThings: list_principal_things(certificate_arn: &str) -> Vec<String>;
    GetPolicy: get_policy(policy: &PolicyName) -> StoredPolicy;
    CreatePolicy: create_policy(policy: &PolicyName, document: &PolicyDocument) -> ();
    AttachPolicy: attach_policy(policy: &PolicyName, certificate_arn: &str) -> ();
    ListAttachedPolicies: list_attached_policies(certificate_arn: &str) -> Vec<String>;
    UpdateCertificate: activate_certificate(id: &str) -> ();
}
