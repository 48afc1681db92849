//! The page about refusals lists every reason there is, and no other.

use std::collections::BTreeSet;

use super::*;
use crate::event::EventError;
use crate::thing_name::ThingNameError;

const PAGE: &str = include_str!("../../../docs/refusals.md");

/// The refusal that comes after `refusal` in the list of all kinds. A new kind does not compile until it is here.
fn next(refusal: Option<&Refusal>) -> Option<Refusal> {
    let thing = ThingName::from_public_key(&[4; 65]);
    Some(match refusal {
        None => Refusal::UnknownCertificate,
        Some(Refusal::UnknownCertificate) => {
            Refusal::OtherAccount { event: String::new(), certificate: String::new() }
        }
        Some(Refusal::OtherAccount { .. }) => Refusal::OtherCa { event: String::new(), certificate: None },
        Some(Refusal::OtherCa { .. }) => Refusal::CaNotAllowed { ca: None },
        Some(Refusal::CaNotAllowed { .. }) => Refusal::Status(CertificateStatus::Revoked),
        Some(Refusal::Status(_)) => Refusal::Revoked,
        Some(Refusal::Revoked) => Refusal::NotAdmitted,
        Some(Refusal::NotAdmitted) => Refusal::Certificate(ThingNameError::KeyType { found: String::new() }),
        Some(Refusal::Certificate(ThingNameError::KeyType { .. })) => {
            Refusal::Certificate(ThingNameError::CommonNameCount { count: 0 })
        }
        Some(Refusal::Certificate(_)) => {
            let group = "{subject.OU}".parse().unwrap();
            let description = Description { groups: vec![group], ..Description::default() };
            Refusal::Undescribed(description.fill(&Fields::default()).unwrap_err())
        }
        Some(Refusal::Undescribed(_)) => Refusal::ThingTaken { thing, holder: String::new() },
        Some(Refusal::ThingTaken { .. }) => Refusal::NotExclusive { thing, message: String::new() },
        Some(Refusal::NotExclusive { .. }) => return None,
    })
}

#[test]
fn the_page_explains_every_reason_and_no_other() {
    let kinds = std::iter::successors(next(None), |refusal| next(Some(refusal)));
    let mut reasons: BTreeSet<_> = kinds.map(|refusal| refusal.reason()).collect();
    reasons.insert(EventError::Json(String::new()).reason());
    let explained: BTreeSet<_> = PAGE
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .map(|line| {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            assert!(cells[1].len() > 10 && cells[2].len() > 10, "{line}");
            cells[0].trim_end_matches('`')
        })
        .collect();
    assert_eq!(explained, reasons);
}
