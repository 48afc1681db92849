//! The registration event: any bytes are an event with ids as AWS writes them, or a refusal.

use jitr::event::{Event, is_certificate_id, opened};

/// Panics where this does not hold.
pub(crate) fn check(text: &str) {
    if let Ok(event) = Event::from_json(text) {
        for id in [&event.certificate_id, &event.ca_certificate_id] {
            assert!(is_certificate_id(id) && *id == id.to_lowercase());
        }
        assert!(event.aws_account_id.as_ref().is_none_or(|account| account.len() == 12));
        // What is found in the envelopes is the event by itself.
        if let Ok(value) = serde_json::from_str(text) {
            let found = opened(&value).unwrap().into_owned();
            assert_eq!(Event::from_value(&found), Ok(event));
        }
    }
}
