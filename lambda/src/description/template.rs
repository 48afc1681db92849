//! Templates: text with fields of a certificate in braces, such as `kit-{subject.OU}`.

use std::fmt;
use std::str::FromStr;

/// The attributes of a subject that templates have, with their object identifiers (RFC 4519, section 2; RFC 5280, appendix A.1).
const SUBJECT: [(&str, &str); 8] = [
    ("subject.C", "2.5.4.6"),
    ("subject.CN", "2.5.4.3"),
    ("subject.L", "2.5.4.7"),
    ("subject.O", "2.5.4.10"),
    ("subject.OU", "2.5.4.11"),
    ("subject.ST", "2.5.4.8"),
    ("subject.dnQualifier", "2.5.4.46"),
    ("subject.serialNumber", "2.5.4.5"),
];

/// The other fields of every certificate.
const CERTIFICATE: [&str; 4] = ["certificate_id", "serial_number", "subject_key_identifier", "thing_name"];

/// The certificate id of the CA that AWS IoT reports.
pub const CA: &str = "ca_certificate_id";

/// What the ledger of a station has of a board.
pub(super) const LEDGER: [&str; 3] = ["secure_element_serial", "station", "usb_serial"];

/// A field of a template.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Field(&'static str);

impl Field {
    /// Every field.
    pub fn all() -> impl Iterator<Item = Self> {
        let subject = SUBJECT.iter().map(|(name, _)| *name);
        CERTIFICATE.into_iter().chain([CA]).chain(subject).chain(LEDGER).map(Self)
    }

    /// The field of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|field| field.0 == name)
    }

    /// Its name, such as `subject.OU`.
    pub fn name(self) -> &'static str {
        self.0
    }

    /// The object identifier of the attribute of the subject that it is, if it is one.
    pub(super) fn oid(self) -> Option<&'static str> {
        SUBJECT.iter().find(|(name, _)| *name == self.0).map(|(_, oid)| *oid)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}", self.0)
    }
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    /// The field's value, or the text where the certificate does not have it.
    Field(Field, Option<String>),
}

/// Text with fields in braces. A field is followed by `|` and a text that stands in for it, if it may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

/// A text that is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A brace without its counterpart.
    #[error("{0:?} has a brace without its counterpart")]
    Brace(String),
    /// A field that there is not.
    #[error("there is no field {{{name}}}; the fields are {}", all())]
    Unknown {
        /// Its name.
        name: String,
    },
}

fn all() -> String {
    Field::all().map(Field::name).collect::<Vec<_>>().join(", ")
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(whole: &str) -> Result<Self, TemplateError> {
        let unpaired = || TemplateError::Brace(whole.to_owned());
        let (mut parts, mut rest) = (Vec::new(), whole);
        while let Some((text, after)) = rest.split_once('{') {
            let (inner, after) = after.split_once('}').ok_or_else(unpaired)?;
            if text.contains('}') || inner.contains('{') {
                return Err(unpaired());
            }
            let (name, default) = match inner.split_once('|') {
                Some((name, default)) => (name, Some(default.to_owned())),
                None => (inner, None),
            };
            let field = Field::named(name).ok_or_else(|| TemplateError::Unknown { name: name.to_owned() })?;
            if !text.is_empty() {
                parts.push(Part::Text(text.to_owned()));
            }
            parts.push(Part::Field(field, default));
            rest = after;
        }
        if rest.contains('}') {
            return Err(unpaired());
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Field(field, None) => write!(f, "{field}"),
            Part::Field(field, Some(default)) => write!(f, "{{{}|{default}}}", field.name()),
        })
    }
}

impl Template {
    pub(super) fn parts(&self) -> &[Part] {
        &self.0
    }

    /// The fields in it.
    pub fn fields(&self) -> impl Iterator<Item = Field> {
        self.0.iter().filter_map(|part| match part {
            Part::Field(field, _) => Some(*field),
            Part::Text(_) => None,
        })
    }

    /// The texts in it that are the same for every certificate: those between the fields, and those that stand in for them.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Field(_, default) => default.as_deref(),
        })
    }

    /// Its text, if it has no field and is the same for every certificate.
    pub fn text(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Its texts with `*` in place of the fields: a pattern of IAM for all names that it gives.
    pub fn pattern(&self) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Field(..) => "*".to_owned(),
        };
        self.0.iter().map(part).collect()
    }
}
