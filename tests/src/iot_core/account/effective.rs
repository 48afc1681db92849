//! What the policies of a certificate are, with those of its things' groups, and what they can refer to.

use std::collections::BTreeSet;

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{ParsedExtension, X509Certificate};
use x509_parser::x509::X509Name;

use super::{Account, Error, Policy, x509};
use crate::iot_core::directory::AttachedThing;
use crate::iot_core::policy::{ALTERNATIVE_NAMES, ATTRIBUTE_PREFIX, Keys, NAME_ATTRIBUTES, thing};

impl Account {
    /// `GetEffectivePolicies`: the policies attached to the principal, to the thing groups of its things or of the thing given,
    /// and to the groups above (AWS IoT Core developer guide, "Attaching a policy to a thing group").
    pub fn effective_policies(
        &self,
        principal: Option<&str>,
        thing: Option<&str>,
    ) -> Result<Vec<&Policy>, Error> {
        let mut names: BTreeSet<&str> = BTreeSet::new();
        if let Some(principal) = principal {
            self.check_principal(principal)?;
            names.extend(self.policy_targets.to(principal).keys().map(String::as_str));
        }
        let things: Vec<&str> = match (thing, principal) {
            (Some(thing), _) => vec![self.thing(thing)?.name.as_str()],
            (None, Some(principal)) => {
                self.thing_principals.from(principal).keys().map(String::as_str).collect()
            }
            (None, None) => Vec::new(),
        };
        for group in self.thing_groups.values().filter(|g| things.iter().any(|t| g.things.contains_key(*t))) {
            names.extend(self.group_policies(&group.name));
        }
        Ok(names.into_iter().filter_map(|name| self.policies.get(name)).collect())
    }

    /// The policies attached to a thing group and to the groups above it.
    pub(super) fn group_policies(&self, group: &str) -> Vec<&str> {
        let mut names = Vec::new();
        let mut above = self.thing_groups.get(group);
        while let Some(group) = above {
            names.extend(
                self.policy_targets.to(&self.thing_group_arn(&group.name)).keys().map(String::as_str),
            );
            above = group.parent.as_deref().and_then(|parent| self.thing_groups.get(parent));
        }
        names
    }

    /// The things attached to a certificate.
    pub fn attached_things(&self, certificate_id: &str) -> Vec<AttachedThing> {
        let things = self.thing_principals.from(&self.certificate_arn(certificate_id));
        things.iter().map(|(name, &exclusive)| AttachedThing { name: name.clone(), exclusive }).collect()
    }

    /// The policy variables and condition keys of a connection that come out of the account: of the certificate, of the thing
    /// that the connection speaks for, and of the endpoint.
    pub fn policy_keys(&self, certificate_id: &str, client_id: &str) -> Keys {
        let mut keys = Keys::new();
        keys.insert("iot:domainname".to_owned(), vec![self.endpoint.clone()]);
        if let Some(certificate) = self.certificates.get(certificate_id)
            && let Ok(certificate) = x509::parse(&certificate.der)
        {
            certificate_keys(&certificate, &mut keys);
        }
        let things = self.attached_things(certificate_id);
        if let Some(thing) = thing(client_id, &things).and_then(|name| self.things.get(name)) {
            let type_name = thing.thing_type.iter().cloned().collect();
            keys.insert("iot:connection.thing.thingtypename".to_owned(), type_name);
            for (name, value) in &thing.attributes {
                let key = format!("{ATTRIBUTE_PREFIX}{}]", name.to_ascii_lowercase());
                keys.insert(key, vec![value.clone()]);
            }
        }
        keys
    }
}

/// AWS IoT Core developer guide, "X.509 Certificate AWS IoT Core policy variables".
fn certificate_keys(certificate: &X509Certificate<'_>, keys: &mut Keys) {
    keys.insert("iot:certificate.serialnumber".to_owned(), vec![hex::encode(certificate.raw_serial())]);
    for (whose, name) in [("subject", certificate.subject()), ("issuer", certificate.issuer())] {
        name_keys(whose, name, keys);
    }
    for extension in certificate.extensions() {
        let (whose, names) = match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => ("subject", &names.general_names),
            ParsedExtension::IssuerAlternativeName(names) => ("issuer", &names.general_names),
            _ => continue,
        };
        let [dns, directory, ip, mail, uri] = ALTERNATIVE_NAMES;
        for name in names {
            let (kind, value) = match name {
                GeneralName::DNSName(name) => (dns, (*name).to_owned()),
                GeneralName::DirectoryName(name) => (directory, name.to_string()),
                GeneralName::IPAddress([a, b, c, d]) => (ip, format!("{a}.{b}.{c}.{d}")),
                GeneralName::RFC822Name(name) => (mail, (*name).to_owned()),
                GeneralName::URI(name) => (uri, (*name).to_owned()),
                _ => continue,
            };
            keys.entry(format!("iot:certificate.{whose}.alternativename.{kind}")).or_default().push(value);
        }
    }
}

fn name_keys(whose: &str, name: &X509Name<'_>, keys: &mut Keys) {
    for attribute in name.iter_attributes() {
        let oid = attribute.attr_type().to_id_string();
        let named = NAME_ATTRIBUTES.iter().find(|(_, known)| *known == oid);
        if let (Some((attribute_name, _)), Ok(value)) = (named, attribute.as_str()) {
            keys.entry(format!("iot:certificate.{whose}.{attribute_name}"))
                .or_default()
                .push(value.to_owned());
        }
    }
}
