//! What a first connection needs in the account, and what a registration creates in it: one name each.

use std::fmt;

use serde::Serialize;

/// A part of the account, or of a board, that is set up, checked or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// The credentials of the caller.
    Credentials,
    /// The host that devices connect to.
    Endpoint,
    /// The signer CA, known to the account.
    SignerCa,
    /// The topic rule that forwards the event.
    TopicRule,
    /// Another topic rule that gets the events of registrations.
    OtherRule,
    /// The queue between the rule and the function, or that of failed events.
    Queue,
    /// The event source mapping, by which the function gets the events in the queue.
    EventSourceMapping,
    /// The permission for the rule to invoke the function.
    Permission,
    /// The function that registers devices.
    Function,
    /// The role of the function.
    Role,
    /// The revocation lists of the function.
    RevocationLists,
    /// The admission list of the function.
    AdmissionList,
    /// The policy that devices get.
    DevicePolicy,
    /// The type of the things.
    ThingType,
    /// The group of the things.
    ThingGroup,
    /// A policy that devices get besides.
    AdditionalPolicy,
    /// The billing group of the things.
    BillingGroup,
    /// Where an event goes that failed for good.
    OnFailure,
    /// An alarm of Amazon CloudWatch on the function or on its queue of failed events.
    Alarm,
    /// The certificate of one device.
    Certificate,
    /// The policies of one device's certificate.
    AttachedPolicy,
    /// The thing of one device.
    Thing,
    /// The connection of one device.
    Connection,
    /// The root certificates by which one board knows its endpoint.
    RootStore,
    /// The firmware of one board's Wi-Fi module.
    WifiModule,
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Credentials => "credentials",
            Self::Endpoint => "endpoint",
            Self::SignerCa => "signer CA",
            Self::TopicRule => "topic rule",
            Self::OtherRule => "other rule",
            Self::Queue => "queue",
            Self::EventSourceMapping => "mapping",
            Self::Permission => "permission",
            Self::Function => "function",
            Self::Role => "role",
            Self::RevocationLists => "lists",
            Self::AdmissionList => "admission",
            Self::DevicePolicy => "device policy",
            Self::ThingType => "thing type",
            Self::ThingGroup => "thing group",
            Self::AdditionalPolicy => "more policies",
            Self::BillingGroup => "billing group",
            Self::OnFailure => "on failure",
            Self::Alarm => "alarm",
            Self::Certificate => "certificate",
            Self::AttachedPolicy => "its policies",
            Self::Thing => "its thing",
            Self::Connection => "connection",
            Self::RootStore => "its roots",
            Self::WifiModule => "Wi-Fi module",
        })
    }
}
