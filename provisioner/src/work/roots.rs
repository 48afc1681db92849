//! The roots that a board's Wi-Fi module checks servers with: read, named, judged and, in `replace`, replaced.

use device_pki::certificate::SOON;
use device_pki::{AnchorKey, Certificate, amazon};
use iot_kit::command::FLASH_PAGE;
use iot_kit::root_store::{self, Key, Moment, Root};
use iot_kit::{Session, flash, wifi_module};
use serde::Serialize;
use time::{Date, Month, OffsetDateTime, Time};

mod names;
mod replace;

pub use replace::{Outcome, Replacement, Wanted};

/// Why roots are not replaced.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Bytes that are no root store, or roots that do not make one.
    #[error("{what} cannot be used: {source}")]
    Store {
        /// A file, or what it is that the roots come from.
        what: String,
        /// Why not.
        source: root_store::Error,
    },
    /// A root whose key the module does not know.
    #[error("the key of \"{subject}\" is {kind}, and the Wi-Fi module knows RSA and P-256")]
    Key {
        /// Whose.
        subject: String,
        /// What it is.
        kind: String,
    },
    /// A certificate that can be no root.
    #[error("\"{subject}\" is no CA")]
    NotCa {
        /// Whose certificate it is.
        subject: String,
    },
    /// Without the root the board cannot connect to AWS.
    #[error("with these roots the board could not connect to AWS: {why}")]
    NoAmazonRoot {
        /// What is wrong.
        why: String,
    },
    /// Nothing was kept of the board's root store.
    #[error("there is no copy{} of this board's root store", number.map(|number| format!(" {number}")).unwrap_or_default())]
    NoCopy {
        /// Which was asked for.
        number: Option<u32>,
        /// Those that there are.
        there: Vec<u32>,
    },
    /// What was read twice differs.
    #[error("the root store on {port} does not read the same twice; nothing was changed")]
    Unsteady {
        /// The port.
        port: String,
    },
    /// The module does not hold what was written, twice.
    #[error(
        "the root store on {port} reads back something else than was written, first at {address:#06x}; {}",
        if *restored { "it holds what it held before again" } else { "it does not take back what it held before either" }
    )]
    ReadBack {
        /// The port.
        port: String,
        /// Address of the first wrong byte.
        address: u32,
        /// Whether the old content is back.
        restored: bool,
    },
}

/// A root as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredRoot {
    /// Its subject, where it is known: the store keeps a hash of it.
    pub subject: Option<String>,
    /// SHA-1 of the values of the subject's attributes, lower-case hex.
    pub subject_hash: String,
    /// What its key is.
    pub key_kind: String,
    /// Start of the validity; `None` for what is no date.
    pub not_before: Option<String>,
    /// End of the validity; `None` for what is no date.
    pub not_after: Option<String>,
    /// Whether it can be used.
    pub validity: Validity,
    /// SHA-256 of its certificate, where this program has it and the keys are the same.
    pub certificate_id: Option<String>,
}

/// Whether a root can be used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Validity {
    /// It can.
    Valid,
    /// It can, and ends within [`SOON`].
    EndsSoon,
    /// It has ended.
    Expired,
    /// It has not begun.
    NotYet,
}

impl Validity {
    /// Whether the time is within its validity.
    pub fn is_valid(self) -> bool {
        matches!(self, Self::Valid | Self::EndsSoon)
    }

    fn of(root: &Root, now: OffsetDateTime) -> Self {
        let at = moment(now);
        match () {
            () if root.not_after < at => Self::Expired,
            () if root.not_before > at => Self::NotYet,
            () if root.not_after < moment(now.saturating_add(SOON)) => Self::EndsSoon,
            () => Self::Valid,
        }
    }
}

impl StoredRoot {
    /// What is shown of a root.
    pub fn of(root: &Root, now: OffsetDateTime) -> Self {
        let known = amazon::roots()
            .into_iter()
            .find(|known| as_root(known).as_ref().is_ok_and(|r| r.key == root.key));
        let hash = hex::encode(root.subject_hash);
        Self {
            subject: known
                .as_ref()
                .map(|known| known.facts().subject.clone())
                .or_else(|| names::of(&hash).map(str::to_owned)),
            key_kind: root.key.to_string(),
            not_before: date(root.not_before),
            not_after: date(root.not_after),
            validity: Validity::of(root, now),
            certificate_id: known.map(|known| known.facts().certificate_id.clone()),
            subject_hash: hash,
        }
    }
}

/// The time as the module has it, UTC. Years are those of four digits.
fn moment(at: OffsetDateTime) -> Moment {
    let at = at.to_offset(time::UtcOffset::UTC);
    Moment {
        year: u16::try_from(at.year()).unwrap_or(u16::MAX),
        month: at.month().into(),
        day: at.day(),
        hour: at.hour(),
        minute: at.minute(),
        second: at.second(),
    }
}

/// A date as RFC 3339 has it; `None` for what is none.
fn date(at: Moment) -> Option<String> {
    let month = Month::try_from(at.month).ok()?;
    Date::from_calendar_date(at.year.into(), month, at.day).ok()?;
    Time::from_hms(at.hour, at.minute, at.second).ok()?;
    (at.year <= 9999).then(|| at.to_string())
}

/// A certificate as the module keeps it.
///
/// # Errors
/// [`Error::Key`].
fn as_root(certificate: &Certificate) -> Result<Root, Error> {
    let facts = certificate.facts();
    let Some(anchor) = certificate.trust_anchor() else {
        return Err(Error::Key { subject: facts.subject.clone(), kind: certificate.key_kind() });
    };
    let key = match anchor.key {
        AnchorKey::Rsa { modulus, exponent } => Key::Rsa { modulus, exponent },
        AnchorKey::P256(point) => {
            let mut coordinates = [0; 64];
            coordinates.copy_from_slice(&point[1..]);
            Key::P256(Box::new(coordinates))
        }
    };
    Ok(Root {
        subject_hash: anchor.subject_hash,
        not_before: moment(facts.not_before),
        not_after: moment(facts.not_after),
        key,
    })
}

/// Roots of certificates, each once, in their order.
///
/// # Errors
/// [`Error::NotCa`], [`Error::Key`].
pub fn of_certificates(certificates: &[Certificate]) -> Result<Vec<Root>, Error> {
    let mut roots: Vec<Root> = Vec::new();
    for certificate in certificates {
        if !certificate.is_ca() {
            return Err(Error::NotCa { subject: certificate.facts().subject.clone() });
        }
        let root = as_root(certificate)?;
        if !roots.contains(&root) {
            roots.push(root);
        }
    }
    Ok(roots)
}

/// The roots that are installed unless others are named: those that AWS's endpoints lead to today. Amazon Root CA 2 and 4 are
/// reserved (AWS IoT Core developer guide, "Server authentication"), and the module does not know the curve of CA 4.
pub fn built_in() -> Vec<Certificate> {
    let is_in_use = |root: &Certificate| {
        !["Amazon Root CA 2", "Amazon Root CA 4"].iter().any(|name| root.facts().subject.ends_with(name))
    };
    amazon::roots().into_iter().filter(is_in_use).collect()
}

/// The root that the kits' applications need: they offer suites with ECDSA alone, and with those an endpoint of AWS shows a chain
/// to Amazon Root CA 3.
fn needed() -> Option<Certificate> {
    amazon::roots().into_iter().find(|root| root.facts().subject.ends_with("Amazon Root CA 3"))
}

/// Whether a board with these roots can check the certificate of an AWS endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It can, until then.
    Until {
        /// The end of the root, RFC 3339.
        not_after: String,
        /// Whether that is soon.
        is_soon: bool,
    },
    /// It cannot.
    No {
        /// Why, as a whole clause.
        why: String,
    },
}

/// Whether a board with these roots can check the certificate of an endpoint of AWS.
pub fn trust_in_aws(roots: &[Root], now: OffsetDateTime) -> Trust {
    let no = |why: String| Trust::No { why };
    let Some(needed) = needed().and_then(|needed| as_root(&needed).ok()) else {
        return no("this program does not know the root".to_owned());
    };
    let named = |root: &&Root| root.subject_hash == needed.subject_hash;
    let Some(found) = roots.iter().find(|root| named(root) && root.key == needed.key) else {
        return match roots.iter().any(|root| named(&root)) {
            true => no("the root that is called Amazon Root CA 3 has another key".to_owned()),
            false => no("Amazon Root CA 3 is missing".to_owned()),
        };
    };
    let not_after = found.not_after.to_string();
    match Validity::of(found, now) {
        Validity::Valid => Trust::Until { not_after, is_soon: false },
        Validity::EndsSoon => Trust::Until { not_after, is_soon: true },
        Validity::Expired => no(format!("Amazon Root CA 3 has expired on {not_after}")),
        Validity::NotYet => no(format!("Amazon Root CA 3 is not valid before {}", found.not_before)),
    }
}

/// Reads the root store of a board, and no more of its sector than it has.
///
/// # Errors
/// Those of [`Session::run`]; inside, what is wrong with the store.
pub fn read(session: &mut Session) -> Result<Result<Vec<Root>, root_store::Error>, iot_kit::Error> {
    let mut bytes = Vec::new();
    loop {
        let address = flash::ROOT_STORE + bytes.len() as u32;
        bytes.extend(wifi_module::read(session, address, FLASH_PAGE)?);
        match root_store::read(&bytes) {
            Err(root_store::Error::Short) if bytes.len() < root_store::SIZE_MAX => {}
            read => return Ok(read.map(|(roots, _)| roots)),
        }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-26 12:00 UTC);

    #[test]
    fn the_built_in_roots_make_a_small_store_that_aws_can_be_checked_with() {
        let roots = of_certificates(&built_in()).unwrap();
        assert_eq!(root_store::build(&roots).unwrap().len(), 736);
        assert_eq!(
            trust_in_aws(&roots, NOW),
            Trust::Until { not_after: "2040-05-26T00:00:00Z".into(), is_soon: false }
        );
        let shown: Vec<_> = roots.iter().map(|root| StoredRoot::of(root, NOW)).collect();
        assert_eq!(shown[1].subject.as_deref(), Some("C=US, O=Amazon, CN=Amazon Root CA 3"));
        assert_eq!((shown[1].key_kind.as_str(), shown[0].key_kind.as_str()), ("P-256", "RSA 2048"));
        assert!(shown.iter().all(|root| root.validity == Validity::Valid && root.certificate_id.is_some()));
    }

    #[test]
    fn what_keeps_a_board_from_aws_is_named() {
        let roots = of_certificates(&built_in()).unwrap();
        let why = |roots: &[Root], now| match trust_in_aws(roots, now) {
            Trust::No { why } => why,
            Trust::Until { .. } => String::new(),
        };
        assert_eq!(why(&roots[..1], NOW), "Amazon Root CA 3 is missing");
        assert!(why(&roots, datetime!(2041-01-01 0:00 UTC)).contains("expired on 2040-05-26"));
        assert!(why(&roots, datetime!(2015-01-01 0:00 UTC)).contains("not valid before"));
        assert!(matches!(
            trust_in_aws(&roots, datetime!(2040-05-01 0:00 UTC)),
            Trust::Until { is_soon: true, .. }
        ));
        // Of a name and a foreign key, the name says nothing.
        let mut forged = roots[1].clone();
        forged.key = Key::P256(Box::new([1; 64]));
        assert!(why(&[forged.clone()], NOW).contains("another key"));
        assert_eq!(StoredRoot::of(&forged, NOW).certificate_id, None);
        assert!(matches!(trust_in_aws(&[forged, roots[1].clone()], NOW), Trust::Until { .. }));
    }

    #[test]
    fn a_root_with_a_key_that_the_module_does_not_know_is_refused() {
        let roots = amazon::roots();
        assert!(matches!(of_certificates(&roots), Err(Error::Key { kind, .. }) if kind == "P-384"));
        let twice = [&built_in()[..], &built_in()].concat();
        assert_eq!(of_certificates(&twice).unwrap().len(), built_in().len());
    }
}
