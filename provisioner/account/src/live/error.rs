//! What ends the connection to the message broker, or keeps it from being made.

use crate::error::Answer;

/// Watching an account.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// AWS IoT answers the request for a WebSocket with 403, although it has just taken the same credentials for calls.
    #[error("AWS IoT refuses the connection of this user at {place}")]
    Forbidden {
        /// Host name and port.
        place: String,
        /// What AWS said.
        source: Answer,
    },
    /// Nothing that is asked for is delivered.
    #[error("AWS IoT delivers none of the topics that were asked for: permission iot:Subscribe is missing")]
    Subscribe {
        /// The topic filters.
        filters: Vec<String>,
    },
    /// The connection is closed as soon as it is used.
    #[error("AWS IoT closes the connection as soon as something is published to {topic}")]
    Publish {
        /// The topic.
        topic: String,
    },
    /// A topic to which nothing can be published.
    #[error("`{topic}` is no topic that something can be published to")]
    Topic {
        /// As given.
        topic: String,
    },
}
