//! What was found about one link of the chain: whether it is right, and how to repair it.

use std::sync::Arc;

use serde::Serialize;

use crate::{Error as AccountError, Resource};

/// Whether a link does its part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It does.
    Right,
    /// It works, with something that the user should know.
    Notable,
    /// It works, also for those who should be kept out.
    Dangerous,
    /// It does not: no device gets through here.
    Wrong,
    /// It could not be read.
    Unknown,
}

/// What repairs a link.
#[derive(Clone, Debug)]
pub enum Remedy {
    /// Set the account up.
    SetUp,
    /// Deploy the function.
    Deploy,
    /// Make a certificate authority.
    MakeCa,
    /// Make another certificate authority, and provision the boards again.
    ReplaceCa,
    /// Enable the event source mapping between queue and function.
    EnableMapping,
    /// Give the function the revocation lists that it needs.
    AddLists,
    /// Publish an admission list.
    PublishAdmissionList,
    /// Correct a variable in the environment of the function.
    MendVariable,
    /// Wait until the function has been made or updated.
    Wait,
    /// Give the function a shorter policy document.
    ShortenPolicy,
    /// Compare the device policy with the document that it would be created with.
    ComparePolicy,
    /// Narrow the document that the function creates the device policy with.
    NarrowDocument,
    /// Repair the device policy.
    RepairPolicy,
    /// Detach policies from a certificate.
    DetachPolicies {
        /// Their names.
        policies: Vec<String>,
        /// ARN of the certificate.
        target: String,
    },
    /// Use another Region, or set the account up.
    ChooseRegion,
    /// Disable a rule by which checks can be bypassed, if nobody needs it.
    DisableRule {
        /// Its name.
        rule: String,
    },
    /// Remove statements from the permissions of the function.
    NarrowPermission {
        /// The function.
        function: String,
    },
    /// Create the thing group.
    CreateGroup {
        /// Its name.
        group: String,
    },
    /// Create the billing group.
    CreateBillingGroup {
        /// Its name.
        group: String,
    },
    /// Create the policy, which has no usual document.
    CreatePolicy {
        /// Its name.
        policy: String,
    },
    /// Give the function an on-failure destination.
    AddDestination {
        /// The function's name.
        function: String,
        /// The name of its role, if it is known.
        role: Option<String>,
        /// ARN of a queue with the usual name.
        queue: String,
        /// ARN of the destination of events that succeeded, if there is one. It stays.
        succeeded: Option<String>,
        /// Whether anything is set for asynchronous invocations. It stays.
        is_configured: bool,
    },
    /// Make the queue that the function sends failed events to.
    CreateQueue {
        /// Its name.
        queue: String,
    },
    /// Look at what the function has logged.
    ReadLog {
        /// The name of the function.
        function: String,
    },
    /// Send the events in the queue of failed events again.
    ReplayQueue,
    /// Send the events of the certificates that wait again.
    Replay,
    /// Let the board connect, or provision it.
    Connect,
    /// Watch the device while it connects.
    Watch {
        /// The name of its thing.
        thing: String,
    },
    /// Provision the board again.
    Provision,
    /// Put the roots into the board that AWS's endpoints lead to.
    InstallRoots,
    /// Update the firmware of the board's Wi-Fi module.
    UpdateWifiModule,
    /// Give the device a new certificate: this one is revoked.
    Replace {
        /// Whether its key gets none.
        is_final: bool,
    },
    /// Revoke the certificate in the account, too.
    Revoke {
        /// Its id.
        certificate_id: String,
    },
    /// Send the event of one certificate again.
    ReplayOne {
        /// Its id, if it is known.
        certificate_id: Option<String>,
    },
    /// End the transfer of the certificate to another account.
    CancelTransfer {
        /// Its id.
        certificate_id: String,
    },
    /// Activate the certificate.
    Activate {
        /// Its id.
        certificate_id: String,
    },
    /// What the error asks for.
    Cause(Arc<AccountError>),
}

/// One line of the diagnosis.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Which link.
    pub link: Resource,
    /// Its name in the account.
    pub name: String,
    /// Whether it does its part.
    pub verdict: Verdict,
    /// What was found, one item each.
    pub found: Vec<String>,
    /// The next step, where there is one.
    pub remedy: Option<Remedy>,
    /// Whether [`repairs`](super::repairs()) or setting up repairs it.
    pub repairable: bool,
    /// Whether there is nothing of that name.
    pub(super) is_missing: bool,
}

impl Finding {
    /// What was found about a link.
    pub fn new(link: Resource, name: impl Into<String>, verdict: Verdict, found: Vec<String>) -> Self {
        Self { link, name: name.into(), verdict, found, remedy: None, repairable: false, is_missing: false }
    }

    /// A link that does its part; `found` may say how.
    pub(super) fn right(link: Resource, name: impl Into<String>, found: Vec<String>) -> Self {
        Self::new(link, name, Verdict::Right, found)
    }

    /// A link that works, with something that the user should know.
    pub(super) fn notable(link: Resource, name: impl Into<String>, found: Vec<String>) -> Self {
        Self::new(link, name, Verdict::Notable, found)
    }

    /// A link that works, also for those who should be kept out.
    pub(super) fn dangerous(link: Resource, name: impl Into<String>, found: Vec<String>) -> Self {
        Self::new(link, name, Verdict::Dangerous, found)
    }

    /// A link that no device gets through.
    pub(super) fn wrong(link: Resource, name: impl Into<String>, found: Vec<String>) -> Self {
        Self::new(link, name, Verdict::Wrong, found)
    }

    /// A link that does its part unless there are `problems`, which `--repair` repairs.
    pub(super) fn unless(link: Resource, name: impl Into<String>, problems: Vec<String>) -> Self {
        match problems.is_empty() {
            true => Self::right(link, name, problems),
            false => Self::wrong(link, name, problems).repairable(),
        }
    }

    /// A link that could not be read, and why.
    pub(super) fn unread(link: Resource, name: impl Into<String>, error: AccountError) -> Self {
        let mut found = vec![error.to_string()];
        found.extend(error.answer().map(ToString::to_string));
        Self::new(link, name, Verdict::Unknown, found).remedy(Remedy::Cause(Arc::new(error)))
    }

    /// A link that is not checked, because an earlier one is missing.
    pub(super) fn skipped(link: Resource, name: impl Into<String>, why: &str) -> Self {
        Self::new(link, name, Verdict::Unknown, vec![why.to_owned()])
    }

    /// With the next step.
    #[must_use]
    pub fn remedy(self, remedy: Remedy) -> Self {
        Self { remedy: Some(remedy), ..self }
    }

    /// There is nothing of that name.
    #[must_use]
    pub(super) fn missing(self) -> Self {
        Self { is_missing: true, ..self }
    }

    /// Repaired by `--repair`.
    #[must_use]
    pub(super) fn repairable(self) -> Self {
        Self { repairable: true, ..self }
    }

    /// Whether it is about the device that was looked at, and no link of all devices.
    pub(super) fn is_of_device(&self) -> bool {
        matches!(
            self.link,
            Resource::Certificate
                | Resource::AttachedPolicy
                | Resource::Thing
                | Resource::Connection
                | Resource::RootStore
                | Resource::WifiModule
        )
    }

    /// Whether a registration passes this link, as far as the account shows.
    pub fn lets_through(&self) -> bool {
        matches!(self.verdict, Verdict::Right | Verdict::Notable | Verdict::Dangerous)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Answer;

    #[test]
    fn a_denied_call_makes_its_link_unknown_and_names_the_permission() {
        let message =
            "User: arn:aws:iam::123456789012:user/ann is not authorized to perform: iot:GetTopicRule";
        let answer = Answer { code: "AccessDeniedException".into(), message: message.into(), status: 403 };
        let finding =
            Finding::unread(Resource::TopicRule, "R", AccountError::from_answer("iot:GetTopicRule", answer));
        assert_eq!(finding.verdict, Verdict::Unknown);
        assert!(!finding.lets_through());
        assert_eq!(finding.found[0], "permission iot:GetTopicRule is missing");
        assert!(finding.found[1].contains("user/ann"));
        assert!(matches!(finding.remedy, Some(Remedy::Cause(_))));
    }
}
