//! The workflow: from the id of a certificate to a registered thing whose certificate is ACTIVE.
//!
//! `DescribeCertificate` → `CreateThing` → `AttachThingPrincipal` → `UpdateCertificate` is the longest chain of calls
//! that depend on one another; `AttachPolicy` runs beside it, and so do
//! the calls for further policies and for groups. Nothing is changed before AWS IoT has answered what the
//! certificate is, and activation is the last step: a device is never let in half registered. Every step can be
//! repeated, so after a crash between any two the next delivery of the event finishes the job.
//!
//! What AWS IoT cannot exclude: `UpdateCertificate` takes no condition, so a certificate that an operator revokes
//! between the first call and the last one is made ACTIVE all the same. The window is the time of one registration.
//! A second `DescribeCertificate` before it would halve the devices that an account can register in a given time, and only
//! narrow the window; so it is not made. Without exception, only what `DescribeCertificate` answered is
//! PENDING_ACTIVATION is activated (`docs/refusals.md`, "The remaining race").

mod policy;
mod refusal;

use std::collections::BTreeSet;
use std::time::SystemTime;

use futures::FutureExt;
use futures::future::{BoxFuture, join, join_all, join3};

use crate::admission::{self, Admission};
use crate::description::{CA, Described, Description, Fields};
use crate::event::Event;
use crate::name::{PolicyName, ThingTypeName};
use crate::policy::{PolicyError, PolicyTemplate};
use crate::registry::{
    Attachment, CertificateDescription, CertificateStatus, ErrorKind, Registry, RegistryError,
};
use crate::revocation::{Answer, Revocation, Unavailable};
use crate::scope::Scope;
use crate::thing_name::{ThingName, ThingNameSource};

use policy::Knowledge;
pub use policy::PolicyState;
pub use refusal::{Error, Refusal};

/// What a registration is to do; the same for every certificate.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The policy that certificates get.
    pub policy: PolicyName,
    /// The document the policy is created with when it does not exist. A policy that exists is never changed.
    pub policy_template: PolicyTemplate,
    /// The type of the things; created when it does not exist.
    pub thing_type: ThingTypeName,
    /// What things are described with, and certificates get, besides.
    pub description: Description,
    /// Where the name of the thing comes from.
    pub thing_name_source: ThingNameSource,
    /// The CAs whose certificates are registered, lower-case hex; any CA if empty.
    pub allowed_ca_ids: BTreeSet<String>,
    /// The CAs that need no revocation list where lists are on, lower-case hex.
    pub crl_optional_ca_ids: BTreeSet<String>,
    /// How the certificate is attached to its thing.
    pub attachment: Attachment,
}

impl Settings {
    /// `zt_policy`, things of the type `microchip-zero-touch-kit` named by the subject key identifier, any CA.
    ///
    /// # Errors
    /// Only if the document in `infra/` is not a policy.
    pub fn zero_touch() -> Result<Self, PolicyError> {
        Ok(Self {
            policy: PolicyName::zero_touch(),
            policy_template: PolicyTemplate::zero_touch()?,
            thing_type: ThingTypeName::zero_touch_kit(),
            description: Description::default(),
            thing_name_source: ThingNameSource::SubjectKeyIdentifier,
            allowed_ca_ids: BTreeSet::new(),
            crl_optional_ca_ids: BTreeSet::new(),
            attachment: Attachment::Shared,
        })
    }

    /// With these names, where they are given.
    #[must_use]
    pub fn with_names(mut self, policy: Option<&PolicyName>, thing_type: Option<&ThingTypeName>) -> Self {
        self.policy = policy.cloned().unwrap_or(self.policy);
        self.thing_type = thing_type.cloned().unwrap_or(self.thing_type);
        self
    }
}

/// How a registration ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The certificate was activated.
    Registered,
    /// The certificate was ACTIVE already. What was missing, such as thing or policy, is attached again.
    Repaired,
}

impl Outcome {
    /// The outcome in one word, as logs and answers have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Repaired => "repaired",
        }
    }
}

/// A certificate that is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// What was done.
    pub outcome: Outcome,
    /// The thing the certificate is attached to.
    pub thing_name: ThingName,
    /// ARN of the certificate.
    pub certificate_arn: String,
    /// When the certificate was last changed before, if AWS IoT tells.
    pub changed: Option<SystemTime>,
}

/// The workflow, with what it has learnt about the account.
#[derive(Debug)]
pub struct Registration<R> {
    registry: R,
    settings: Settings,
    knowledge: Knowledge,
    revocation: Revocation,
    admission: Admission,
}

/// Which certificate, and what is claimed about it.
struct Request<'a> {
    certificate_id: &'a str,
    /// The event that asks for it; none if an operator does.
    event: Option<&'a Event>,
    /// What is known of the board besides its certificate.
    known: Option<&'a Fields>,
}

impl Request<'_> {
    /// Whether a certificate of this status may be activated. An event may activate certificates that wait for it. An
    /// operator may also activate one registered inactive (`RegisterCertificate` has no PENDING_ACTIVATION).
    fn may_activate(&self, status: CertificateStatus) -> bool {
        match status {
            CertificateStatus::PendingActivation => true,
            CertificateStatus::Inactive => self.event.is_none(),
            _ => false,
        }
    }
}

impl<R: Registry> Registration<R> {
    /// A workflow that knows nothing about the account yet.
    pub fn new(registry: R, settings: Settings) -> Self {
        Self {
            registry,
            settings,
            knowledge: Knowledge::default(),
            revocation: Revocation::Unchecked,
            admission: Admission::default(),
        }
    }

    /// The same, with a check whether the CA has revoked a certificate.
    #[must_use]
    pub fn with_revocation(mut self, revocation: Revocation) -> Self {
        self.revocation = revocation;
        self
    }

    /// The same, with a check whether the board is let in.
    #[must_use]
    pub fn with_admission(mut self, admission: Admission) -> Self {
        self.admission = admission;
        self
    }

    /// The check whether a board is let in.
    pub fn admission(&self) -> &Admission {
        &self.admission
    }

    /// The registry that is called.
    pub fn registry(&self) -> &R {
        &self.registry
    }

    /// Learns whether the policy and the thing type exist, and so opens as many connections as an event uses side by
    /// side; fetches the revocation lists and the admission list. It changes nothing. An event works without it, too.
    ///
    /// # Errors
    /// If the policy cannot be asked for.
    pub async fn warm_up(&self) -> Result<PolicyState, RegistryError> {
        // More calls side by side, beside those for the thing and the policy: a slow policy is still being attached while the thing
        // joins its groups. The answer is known; the connections count.
        let Settings { description, thing_name_source, thing_type, .. } = &self.settings;
        let by_common_name = usize::from(*thing_name_source == ThingNameSource::CommonName);
        let more = by_common_name + description.policies.len() + description.groups.len();
        let more = join_all((0..more).map(|_| self.registry.describe_thing_type(thing_type)));
        let learnt = join3(self.learn_policy(), self.learn_thing_type(), more);
        let lists = join(self.revocation.warm_up(), self.admission.warm_up());
        let ((policy, (), _), ((), ())) = join(learnt, lists).boxed().await;
        policy
    }

    /// Registers the certificate an event is about.
    ///
    /// # Errors
    /// [`Error::Refused`] if it must not be registered; anything else can be repeated.
    pub async fn register_event(&self, event: &Event) -> Result<Registered, Error> {
        self.register(Request { certificate_id: &event.certificate_id, event: Some(event), known: None })
            .await
    }

    /// Whether the certificate has the policy, so that a registration of it is begun, or done. `false` if that is not known.
    ///
    /// `ListAttachedPolicies` has a quota of its own: a question costs nothing of what `DescribeCertificate` may use.
    pub fn is_begun<'a>(&'a self, event: &'a Event) -> BoxFuture<'a, bool> {
        async move {
            let Some(scope) = self.knowledge.scope() else { return false };
            let arn = scope.arn(format_args!("cert/{}", event.certificate_id));
            match self.registry.list_attached_policies(&arn).await {
                Ok(attached) => attached.iter().any(|policy| policy == self.settings.policy.as_str()),
                Err(error) => {
                    // The role of an earlier version does not allow it.
                    if error.kind == ErrorKind::Denied {
                        self.knowledge.ask_no_more();
                    }
                    false
                }
            }
        }
        .boxed()
    }

    /// Registers a certificate that an operator has put into the account: PENDING_ACTIVATION, INACTIVE or ACTIVE.
    ///
    /// # Errors
    /// As [`register_event`](Self::register_event).
    pub async fn register_certificate(&self, certificate_id: &str) -> Result<Registered, Error> {
        self.register(Request { certificate_id, event: None, known: None }).await
    }

    /// As [`register_certificate`](Self::register_certificate), where more is known of the board than its certificate says.
    ///
    /// # Errors
    /// As [`register_event`](Self::register_event).
    pub async fn register_board(&self, certificate_id: &str, known: &Fields) -> Result<Registered, Error> {
        self.register(Request { certificate_id, event: None, known: Some(known) }).await
    }

    /// On the heap, as a type without depth: callers around it put layers of their own on top.
    fn register<'a>(&'a self, request: Request<'a>) -> BoxFuture<'a, Result<Registered, Error>> {
        async move { self.registered(&request).await }.boxed()
    }

    async fn registered(&self, request: &Request<'_>) -> Result<Registered, Error> {
        self.revocation.refresh();
        self.admission.refresh();
        let (description, policy) = join(
            self.registry.describe_certificate(request.certificate_id),
            // Known in a warm environment. Otherwise read beside the other call. If that fails, attaching the policy shows
            // whether it exists.
            async {
                match self.knowledge.policy() {
                    Some(state) => Some(state),
                    None => self.learn_policy().await.ok(),
                }
            },
        )
        .await;
        let description = match description {
            Err(error) if error.kind == ErrorKind::NotFound => return Err(Refusal::UnknownCertificate.into()),
            described => described?,
        };
        let scope = Scope::from_arn(&description.arn)?;
        self.knowledge.learn_scope(&scope);
        self.check(request, &description, &scope)?;
        self.check_lists(&description).await?;
        let thing = ThingName::from_certificate_pem(&description.pem, self.settings.thing_name_source)
            .map_err(Refusal::from)?;
        self.check_admission(&thing, &description).await?;
        let described = self.describe(request, &thing, &description)?;

        // Both are awaited to their end, so that no call is cut off and its connection lost.
        let (attached, permitted) = join(
            self.attach_thing(&thing, &described, &description.arn),
            self.attach_policies(policy, &described.policies, &scope, &description.arn),
        )
        .await;
        attached?;
        permitted?;

        let outcome = match description.status {
            CertificateStatus::Active => Outcome::Repaired,
            _ => {
                self.registry.activate_certificate(request.certificate_id).await?;
                Outcome::Registered
            }
        };
        Ok(Registered {
            outcome,
            thing_name: thing,
            certificate_arn: description.arn,
            changed: description.changed,
        })
    }

    /// Refuses what must not be registered. Decides by what AWS IoT reports; the event only has to agree.
    fn check(
        &self,
        request: &Request<'_>,
        description: &CertificateDescription,
        scope: &Scope,
    ) -> Result<(), Refusal> {
        let ca = &description.ca_certificate_id;
        if let Some(event) = request.event {
            if let Some(other) = event.aws_account_id.as_ref().filter(|account| **account != scope.account) {
                return Err(Refusal::OtherAccount {
                    event: other.clone(),
                    certificate: scope.account.clone(),
                });
            }
            if ca.as_deref() != Some(event.ca_certificate_id.as_str()) {
                return Err(Refusal::OtherCa {
                    event: event.ca_certificate_id.clone(),
                    certificate: ca.clone(),
                });
            }
        }
        let allowed = &self.settings.allowed_ca_ids;
        if !allowed.is_empty() && !ca.as_ref().is_some_and(|ca| allowed.contains(ca)) {
            return Err(Refusal::CaNotAllowed { ca: ca.clone() });
        }
        let status = description.status;
        if status != CertificateStatus::Active && !request.may_activate(status) {
            return Err(Refusal::Status(status));
        }
        Ok(())
    }

    /// Refuses what its CA has revoked. Where that is not known, the event fails and is repeated.
    async fn check_lists(&self, description: &CertificateDescription) -> Result<(), Error> {
        let ca = &description.ca_certificate_id;
        match self.revocation.look_up(&description.pem, ca.as_deref()).await? {
            Answer::Good => Ok(()),
            Answer::Revoked => Err(Refusal::Revoked.into()),
            Answer::NoList => match ca {
                Some(ca) if self.settings.crl_optional_ca_ids.contains(ca) => Ok(()),
                ca => Err(Unavailable::NoList { ca: ca.clone() }.into()),
            },
        }
    }

    /// Refuses a board that is not on the admission list. Where that is not known, the event fails and is repeated.
    async fn check_admission(
        &self,
        thing: &ThingName,
        description: &CertificateDescription,
    ) -> Result<(), Error> {
        match self.admission.look_up(&description.pem).await? {
            admission::Answer::Admitted => Ok(()),
            admission::Answer::Refused => Err(Refusal::NotAdmitted.into()),
            admission::Answer::Reported => {
                let refusal = Refusal::NotAdmitted;
                let (thing, reason) = (thing.as_str(), refusal.reason());
                tracing::warn!(
                    thingName = thing,
                    reason,
                    "{refusal}; it is registered: ADMISSION_MODE is report"
                );
                Ok(())
            }
        }
    }

    /// What the thing is described with. A certificate that gives no description which AWS IoT takes is refused.
    fn describe(
        &self,
        request: &Request<'_>,
        thing: &ThingName,
        certificate: &CertificateDescription,
    ) -> Result<Described, Refusal> {
        let templates = &self.settings.description;
        // Without fields nothing is read from the certificate.
        let mut fields = match templates.fields().next() {
            Some(_) => Fields::of_certificate(&certificate.pem, request.certificate_id, thing)?,
            None => Fields::default(),
        };
        if let Some(ca) = &certificate.ca_certificate_id {
            fields = fields.with(CA, ca);
        }
        if let Some(known) = request.known {
            fields = fields.and(known);
        }
        Ok(templates.fill(&fields)?)
    }

    /// Creates the thing, puts it into its groups and attaches the certificate to it.
    async fn attach_thing(
        &self,
        thing: &ThingName,
        described: &Described,
        certificate_arn: &str,
    ) -> Result<(), Error> {
        let (created, free) =
            join(self.create_thing(thing, described), self.refuse_taken_name(thing, certificate_arn)).await;
        created?;
        free?;
        let grouped = join_all(
            described
                .groups
                .iter()
                .map(|group| self.registry.add_thing_to_thing_group(thing.as_str(), group)),
        );
        let attachment = self.settings.attachment;
        let (attached, grouped) =
            join(self.registry.attach_thing_principal(thing.as_str(), certificate_arn, attachment), grouped)
                .await;
        match attached {
            Err(error) if error.kind == ErrorKind::Invalid && attachment == Attachment::Exclusive => {
                self.refuse_other_things(thing, certificate_arn, error.message).await?;
            }
            attached => attached?,
        }
        grouped.into_iter().collect::<Result<(), _>>()?;
        // Once more: of two certificates that claimed the name at the same time, at least one sees the other now.
        self.refuse_taken_name(thing, certificate_arn).await
    }

    /// AWS makes no attachment exclusive that exists. One to this thing and no other counts as it is.
    async fn refuse_other_things(
        &self,
        thing: &ThingName,
        certificate_arn: &str,
        message: String,
    ) -> Result<(), Error> {
        let things = self.registry.list_principal_things(certificate_arn).await?;
        match things.as_slice() {
            [only] if only == thing.as_str() => Ok(()),
            _ => Err(Refusal::NotExclusive { thing: thing.clone(), message }.into()),
        }
    }

    /// Creates the thing, and its type if that is missing.
    ///
    /// A thing of that name with another type, other attributes or another billing group is kept as it is: its owner had a
    /// reason, and the policy is about the name.
    async fn create_thing(&self, thing: &ThingName, described: &Described) -> Result<(), Error> {
        let thing_type = &self.settings.thing_type;
        if self.knowledge.thing_type_is_missing() {
            self.registry.create_thing_type(thing_type).await?;
            self.knowledge.thing_type_exists();
        }
        let mut created = self.registry.create_thing(thing.as_str(), thing_type, described).await;
        if created.as_ref().is_err_and(|error| error.kind == ErrorKind::NotFound) {
            self.registry.create_thing_type(thing_type).await?;
            created = self.registry.create_thing(thing.as_str(), thing_type, described).await;
        }
        match created {
            Err(error) if error.kind == ErrorKind::AlreadyExists => {
                tracing::warn!(thingName = %thing, "the thing exists with another configuration; it is kept");
                Ok(())
            }
            created => Ok(created?),
        }
    }

    /// Refuses a thing that another principal is attached to, if the name proves nothing.
    ///
    /// A subject key identifier names a key: another certificate with the same name is of the same board,
    /// and may have the thing. A common name is what the CA wrote: two boards with one name would be let into each
    /// other's topics.
    async fn refuse_taken_name(&self, thing: &ThingName, certificate_arn: &str) -> Result<(), Error> {
        if self.settings.thing_name_source == ThingNameSource::SubjectKeyIdentifier {
            return Ok(());
        }
        let principals = match self.registry.list_thing_principals(thing.as_str()).await {
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(()),
            principals => principals?,
        };
        match principals.into_iter().find(|principal| principal != certificate_arn) {
            Some(holder) => Err(Refusal::ThingTaken { thing: thing.clone(), holder }.into()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
