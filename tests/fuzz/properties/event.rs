//! The registration event: any bytes are an event with ids as AWS writes them, or a refusal.

use jitr::event::{Event, is_certificate_id};

/// Panics where this does not hold.
pub(crate) fn check(text: &str) {
    if let Ok(event) = Event::from_json(text) {
        for id in [&event.certificate_id, &event.ca_certificate_id] {
            assert!(is_certificate_id(id) && *id == id.to_lowercase());
        }
        assert!(event.aws_account_id.is_none_or(|account| account.len() == 12));
    }
}
