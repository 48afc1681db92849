//! What happens in the account while it happens: registrations, presence and messages, over MQTT as the AWS user.
//!
//! [`Live::open`] connects to the message broker of the account with the user's own credentials; no certificate is needed.
//! [`Timeline`] says how far a board has got. [`FunctionLog`] and [`certificate`] ask for what AWS IoT does not publish.

mod certificate;
mod connection;
mod error;
mod events;
mod function_log;
mod network;
mod signed_url;
mod timeline;

pub use certificate::{State, certificate};
pub use connection::{Live, Notice};
pub use error::Error;
pub use events::{Event, may_be_of_device};
pub use function_log::{FunctionLog, Logged};
pub use timeline::{Overdue, Stage, Timeline};

/// The topic filters of registrations and of presence, of every device.
pub fn of_devices() -> Vec<String> {
    let topics = [
        "certificates/registered/+",
        "presence/connected/+",
        "presence/disconnected/+",
        "presence/connect_failed/+",
    ];
    topics.iter().map(|topic| format!("$aws/events/{topic}")).collect()
}

/// The topic filters of the messages of one thing: its own topics and its shadow.
pub fn messages_of(thing: &str) -> Vec<String> {
    vec![format!("{thing}/#"), format!("$aws/things/{thing}/shadow/#")]
}

/// Those of every message that is not of AWS's own, and of every shadow.
pub fn all_messages() -> Vec<String> {
    vec!["#".to_owned(), "$aws/things/+/shadow/#".to_owned()]
}
