//! What templates are, and that they give nothing that AWS IoT refuses.

use proptest::prelude::*;

use super::*;

fn group(text: &str) -> Result<NameTemplate<ThingGroupName>, DescriptionError> {
    text.parse()
}

fn fields(ou: &[&str]) -> Fields {
    Fields([(Field::named("subject.OU").unwrap(), ou.iter().map(|ou| (*ou).to_owned()).collect())].into())
}

fn filled(template: &str, fields: &Fields) -> Result<Option<String>, String> {
    let name = group(template).unwrap().fill("thing group", fields);
    name.map(|name| name.map(|name| name.to_string())).map_err(|error| error.to_string())
}

#[test]
fn a_field_is_filled_in_and_a_missing_one_is_refused_unless_a_text_stands_in() {
    let (none, one, two) = (fields(&[]), fields(&["a"]), fields(&["a", "b"]));
    let some = |text: &str| Ok(Some(text.to_owned()));
    assert_eq!(filled("kit-{subject.OU}", &one), some("kit-a"));
    assert_eq!(filled("kit-{subject.OU|x}", &one), some("kit-a"));
    assert_eq!(filled("kit-{subject.OU|x}", &none), some("kit-x"));
    assert_eq!(filled("{subject.OU|}", &none), Ok(None));
    assert_eq!(
        filled("{subject.OU}", &fields(&[""])).unwrap_err(),
        "the certificate gives no thing group: it has no {subject.OU}"
    );
    assert_eq!(
        filled("{subject.OU|x}", &two).unwrap_err(),
        "the certificate gives no thing group: it has 2 of {subject.OU}; exactly one is expected"
    );
    assert_eq!(
        filled("{subject.OU}", &fields(&["a b"])).unwrap_err(),
        "the certificate gives no thing group: \"a b\" is not a thing group: allowed are 1 to 128 characters of letters, digits and :_-"
    );
}

#[test]
fn what_aws_would_refuse_for_every_certificate_is_no_template() {
    for text in [
        "",
        "{",
        "}",
        "a}b{",
        "{subject.OU",
        "{{}}",
        "{nothing}",
        "{}",
        "{subject.ou}",
        "a b",
        "a/{subject.OU}",
        "{subject.OU|/}",
    ] {
        assert!(group(text).is_err(), "{text}");
    }
    for text in ["a", "{subject.OU}", "{subject.OU|}", "a-{subject.OU|b}-{thing_name}"] {
        assert_eq!(group(text).unwrap().to_string(), text);
    }
    let error = group("{nothing}").unwrap_err().to_string();
    assert!(
        error.starts_with("there is no field {nothing}; the fields are certificate_id, serial_number"),
        "{error}"
    );
    for text in ["a", "=a", "a b=c", "a=b c", "a={", &format!("a={}", "x".repeat(801))] {
        assert!(text.parse::<Attribute>().is_err(), "{text}");
    }
    assert_eq!("a=b=c".parse::<Attribute>().unwrap().to_string(), "a=b=c");
}

#[test]
fn a_pattern_covers_the_names() {
    assert_eq!(group("kit-{subject.OU|none}-{thing_name}").unwrap().pattern(), "kit-*-*");
    assert_eq!(group("line-1").unwrap().name().unwrap().as_str(), "line-1");
    assert_eq!(group("{thing_name}").unwrap().name(), None);
}

#[test]
fn the_fields_of_a_certificate_are_those_of_its_subject_and_key() {
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::OrganizationalUnitName, "line-1");
    params.distinguished_name.push(rcgen::DnType::CustomDnType(vec![2, 5, 4, 5]), "0123");
    params.serial_number = Some(rcgen::SerialNumber::from(vec![0x0a, 0xbc]));
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let thing =
        ThingName::from_certificate_der(certificate.der(), ThingNameSource::SubjectKeyIdentifier).unwrap();
    let fields = Fields::of_certificate(&certificate.pem(), "1f", &thing).unwrap().with(CA, "2e");
    let template: Attribute = "a={subject.OU}/{subject.serialNumber}/{serial_number}/{certificate_id}/{ca_certificate_id}/{subject_key_identifier}"
        .parse()
        .unwrap();
    let description = Description { attributes: vec![template], ..Description::default() };
    let described = description.fill(&fields).unwrap();
    assert_eq!(
        described.attributes.values().collect::<Vec<_>>(),
        [&format!("line-1/0123/ABC/1f/2e/{thing}")]
    );
}

proptest! {
    #[test]
    fn templates_give_what_aws_takes_or_nothing(
        text in "[a-c/ ä=-]{0,3}(\\{(subject\\.OU|thing_name|station|x)(\\|[a/]{0,2})?\\}){0,2}[a-c}{]{0,2}",
        ou in "[a-c é/]{0,4}",
    ) {
        let fields = fields(&[&ou]).with("thing_name", "t");
        if let Ok(template) = group(&text) {
            prop_assert_eq!(template.to_string(), text.as_str());
            if let Ok(Some(name)) = template.fill("thing group", &fields) {
                prop_assert!(name.as_str().parse::<ThingGroupName>().is_ok());
            }
        }
        if let Ok(attribute) = format!("n={text}").parse::<Attribute>() {
            let description = Description { attributes: vec![attribute], ..Description::default() };
            if let Ok(described) = description.fill(&fields) {
                prop_assert!(described.attributes.values().all(|text| !text.is_empty() && value(text).is_ok()));
            }
        }
    }
}
