//! What things are described with besides their type: attributes, groups, further policies and a billing group, as templates over the
//! fields of a certificate.
//!
//! What AWS IoT refuses in any case is refused here when the templates are read, and what depends on a certificate before the first
//! call that changes something. So a device is never let in half described.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use device_pki::certificate::Malformed;
use device_pki::{SerialNumber, name, reader};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::name::{AttributeName, BillingGroupName, NameError, PolicyName, ThingGroupName};
use crate::thing_name::{ThingName, ThingNameError, ThingNameSource};

mod template;

pub use template::{CA, Field, Template, TemplateError};
use template::{LEDGER, Part};

/// Attributes of a thing that has a type (AWS IoT Core endpoints and quotas, "Maximum number of thing attributes for a thing with a
/// thing type").
pub const MAX_ATTRIBUTES: usize = 50;
/// Groups that a thing can be in (AWS IoT Core developer guide, "Static thing groups").
pub const MAX_GROUPS: usize = 10;
/// Policies of a certificate (AWS IoT Core endpoints and quotas).
pub const MAX_POLICIES: usize = 10;
/// The longest value of an attribute, in characters (`AttributePayload`).
const MAX_VALUE: usize = 800;
const VALUE_CHARACTERS: &[u8] = b"_.,@/:#=[]-";

/// A description that AWS IoT would refuse for every certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DescriptionError {
    /// A text that is no template.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// A name that AWS would not accept.
    #[error(transparent)]
    Name(#[from] NameError),
    /// An attribute without a name and a value.
    #[error("{0:?} is no attribute: NAME=VALUE is expected")]
    Attribute(String),
    /// A value that AWS would not accept.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// The same attribute twice.
    #[error("attribute {0} is given twice")]
    Repeated(AttributeName),
    /// More than AWS IoT takes.
    #[error("{count} {what}; AWS IoT takes at most {most}")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        most: usize,
    },
}

/// A value of an attribute that AWS would not accept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{value:?} is no value of an attribute: allowed are up to {MAX_VALUE} characters of letters, digits and _.,@/:#=[]-"
)]
pub struct ValueError {
    /// The value.
    pub value: String,
}

/// A certificate whose fields give no description that AWS IoT takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the certificate gives no {what}: {problem}")]
pub struct Undescribed {
    /// What is to be filled in, such as `attribute line`.
    what: String,
    problem: Problem,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("it has no {0}")]
    Missing(Field),
    #[error("it has {1} of {0}; exactly one is expected")]
    Several(Field, usize),
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Value(#[from] ValueError),
}

/// The value of an attribute, if AWS IoT takes it.
fn value(text: &str) -> Result<(), ValueError> {
    let fits = text.len() <= MAX_VALUE
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || VALUE_CHARACTERS.contains(&b));
    if fits { Ok(()) } else { Err(ValueError { value: text.to_owned() }) }
}

/// An attribute of things: `NAME=TEMPLATE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    name: AttributeName,
    value: Template,
}

impl FromStr for Attribute {
    type Err = DescriptionError;

    fn from_str(text: &str) -> Result<Self, DescriptionError> {
        let (name, template) =
            text.split_once('=').ok_or_else(|| DescriptionError::Attribute(text.to_owned()))?;
        let (name, template) = (name.parse()?, template.parse::<Template>()?);
        template.texts().try_for_each(value)?;
        Ok(Self { name, value: template })
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

/// A name that may have fields.
#[derive(Debug)]
pub struct NameTemplate<N>(Template, PhantomData<fn() -> N>);

impl<N> Clone for NameTemplate<N> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<N> PartialEq for NameTemplate<N> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<N> Eq for NameTemplate<N> {}

impl<N> fmt::Display for NameTemplate<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<N: FromStr<Err = NameError>> FromStr for NameTemplate<N> {
    type Err = DescriptionError;

    fn from_str(text: &str) -> Result<Self, DescriptionError> {
        let template: Template = text.parse()?;
        match template.text() {
            Some(text) => drop(text.parse::<N>()?),
            None => {
                // Any part of a name is a name, but for an empty one.
                let mut texts = template.texts().filter(|text| !text.is_empty());
                texts.try_for_each(|text| text.parse::<N>().map(drop))?;
            }
        }
        Ok(Self(template, PhantomData))
    }
}

impl<N: FromStr<Err = NameError>> NameTemplate<N> {
    /// The name, if it is the same for every certificate.
    pub fn name(&self) -> Option<N> {
        self.0.text().and_then(|text| text.parse().ok())
    }

    /// The pattern of IAM for all names that it gives.
    pub fn pattern(&self) -> String {
        self.0.pattern()
    }

    /// The name for these fields; none if it is empty.
    fn fill(&self, what: &str, fields: &Fields) -> Result<Option<N>, Undescribed> {
        let unfit = |problem| Undescribed { what: what.to_owned(), problem };
        match fields.fill(&self.0).map_err(unfit)? {
            text if text.is_empty() => Ok(None),
            text => text.parse().map(Some).map_err(|error| unfit(Problem::Name(error))),
        }
    }
}

/// What things are described with; the same templates for every certificate.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Description {
    /// The attributes.
    pub attributes: Vec<Attribute>,
    /// The groups that things are put into. They have to exist.
    pub groups: Vec<NameTemplate<ThingGroupName>>,
    /// Policies that certificates get besides the one of all devices. They have to exist.
    pub policies: Vec<NameTemplate<PolicyName>>,
    /// The billing group that things are made in. It has to exist.
    pub billing_group: Option<NameTemplate<BillingGroupName>>,
}

/// What one thing is described with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Described {
    /// The attributes.
    pub attributes: BTreeMap<AttributeName, String>,
    /// The groups, each once.
    pub groups: Vec<ThingGroupName>,
    /// The further policies, each once.
    pub policies: Vec<PolicyName>,
    /// The billing group.
    pub billing_group: Option<BillingGroupName>,
}

impl Description {
    /// The same, if AWS IoT takes as much.
    ///
    /// # Errors
    /// [`DescriptionError::TooMany`], [`DescriptionError::Repeated`].
    pub fn checked(self) -> Result<Self, DescriptionError> {
        let too_many = |what, count, most| match count > most {
            true => Err(DescriptionError::TooMany { what, count, most }),
            false => Ok(()),
        };
        too_many("attributes", self.attributes.len(), MAX_ATTRIBUTES)?;
        too_many("thing groups", self.groups.len(), MAX_GROUPS)?;
        too_many("additional policies", self.policies.len(), MAX_POLICIES - 1)?;
        let mut names = std::collections::BTreeSet::new();
        match self.attributes.iter().find(|attribute| !names.insert(&attribute.name)) {
            Some(twice) => Err(DescriptionError::Repeated(twice.name.clone())),
            None => Ok(self),
        }
    }

    /// Its groups in a text; `-` where there is none.
    pub fn listed_groups(&self) -> String {
        match self.groups.as_slice() {
            [] => "-".to_owned(),
            groups => groups.iter().map(ToString::to_string).collect::<Vec<_>>().join("+"),
        }
    }

    /// The fields that its templates have.
    pub fn fields(&self) -> impl Iterator<Item = Field> {
        let attributes = self.attributes.iter().map(|attribute| &attribute.value);
        let groups = self.groups.iter().map(|group| &group.0);
        let policies = self.policies.iter().map(|policy| &policy.0);
        let billing_group = self.billing_group.iter().map(|group| &group.0);
        attributes.chain(groups).chain(policies).chain(billing_group).flat_map(Template::fields)
    }

    /// A field that only the ledger of a station has, if a template has one.
    pub fn field_of_the_ledger(&self) -> Option<Field> {
        self.fields().find(|field| LEDGER.contains(&field.name()))
    }

    /// What the thing of a certificate is described with. A template whose text is empty is left out.
    ///
    /// # Errors
    /// A field that the certificate lacks or has more than once, or whose value AWS IoT would refuse.
    pub fn fill(&self, fields: &Fields) -> Result<Described, Undescribed> {
        let mut described = Described::default();
        for Attribute { name, value: template } in &self.attributes {
            let unfit = |problem| Undescribed { what: format!("attribute {name}"), problem };
            let text = fields.fill(template).map_err(unfit)?;
            value(&text).map_err(|error| unfit(error.into()))?;
            if !text.is_empty() {
                described.attributes.insert(name.clone(), text);
            }
        }
        described.groups = each_once(&self.groups, "thing group", fields)?;
        described.policies = each_once(&self.policies, "policy", fields)?;
        if let Some(group) = &self.billing_group {
            described.billing_group = group.fill("billing group", fields)?;
        }
        Ok(described)
    }
}

/// All of it but the groups, each item after a space; nothing where there is none.
impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.attributes.iter().try_for_each(|attribute| write!(f, " {attribute}"))?;
        self.policies.iter().try_for_each(|policy| write!(f, " policy {policy}"))?;
        self.billing_group.iter().try_for_each(|group| write!(f, " billing group {group}"))
    }
}

fn each_once<N: FromStr<Err = NameError> + PartialEq>(
    templates: &[NameTemplate<N>],
    what: &str,
    fields: &Fields,
) -> Result<Vec<N>, Undescribed> {
    let mut names = Vec::new();
    for template in templates {
        if let Some(name) = template.fill(what, fields)?
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    Ok(names)
}

/// The values of fields.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fields(BTreeMap<Field, Vec<String>>);

impl Fields {
    /// The fields of a certificate, PEM, with its id.
    ///
    /// # Errors
    /// If the certificate cannot be read.
    pub fn of_certificate(pem: &str, id: &str, thing: &ThingName) -> Result<Self, ThingNameError> {
        let der = reader::first_certificate(pem.as_bytes())
            .map_err(|found| ThingNameError::Certificate(Malformed { found }.to_string()))?;
        let (_, certificate) =
            X509Certificate::from_der(&der).map_err(|e| ThingNameError::Certificate(e.to_string()))?;
        let key_identifier =
            ThingName::from_certificate_der(&der, ThingNameSource::SubjectKeyIdentifier)?.to_string();
        let mut fields = Self::default()
            .with("certificate_id", id)
            .with("serial_number", SerialNumber::text_of(certificate.raw_serial()))
            .with("subject_key_identifier", key_identifier)
            .with("thing_name", thing.as_str());
        for attribute in certificate.subject().iter_attributes() {
            let oid = attribute.attr_type().to_id_string();
            // What is no text counts, so that it is not taken for missing.
            let text = name::text(attribute).unwrap_or_else(|| "\u{fffd}".to_owned());
            if let Some(field) = Field::all().find(|field| field.oid() == Some(oid.as_str())) {
                fields.0.entry(field).or_default().push(text);
            }
        }
        Ok(fields)
    }

    /// With a value of the field of this name, if there is such a field. An empty one counts as missing.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        let value = value.into();
        if let Some(field) = Field::named(name).filter(|_| !value.is_empty()) {
            self.0.insert(field, vec![value]);
        }
        self
    }

    /// With the values of others, too.
    #[must_use]
    pub fn and(mut self, others: &Self) -> Self {
        self.0.extend(others.0.clone());
        self
    }

    fn fill(&self, template: &Template) -> Result<String, Problem> {
        let mut text = String::new();
        for part in template.parts() {
            match part {
                Part::Text(fixed) => text.push_str(fixed),
                Part::Field(field, default) => {
                    let values = self.0.get(field).map_or(&[][..], Vec::as_slice);
                    match (values, default) {
                        ([one], _) if !one.is_empty() => text.push_str(one),
                        ([] | [_], Some(default)) => text.push_str(default),
                        ([] | [_], None) => return Err(Problem::Missing(*field)),
                        (several, _) => return Err(Problem::Several(*field, several.len())),
                    }
                }
            }
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests;
