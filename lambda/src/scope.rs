//! The place that documents are written for: partition, Region and account.

use std::fmt;

use serde_json::Value;

/// Partition, Region and account of an AWS resource, read from its ARN.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    /// `aws`, `aws-cn`, `aws-us-gov`, …
    pub partition: String,
    /// Such as `us-east-2`.
    pub region: String,
    /// Account number: 12 digits.
    pub account: String,
}

/// An ARN that does not name an AWS IoT resource.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the ARN of an AWS IoT resource (arn:<partition>:iot:<region>:<account>:<resource>)")]
pub struct ArnError(pub String);

/// An Amazon Resource Name: `arn:<partition>:<service>:<region>:<account>:<resource>` (AWS General Reference, "Amazon
/// Resource Names"). Its parts are as they were written; Region and account are empty where a service has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arn<'a> {
    /// `aws`, `aws-cn`, `aws-us-gov`, …
    pub partition: &'a str,
    /// Such as `iot`.
    pub service: &'a str,
    /// Such as `us-east-2`.
    pub region: &'a str,
    /// Account number: 12 digits.
    pub account: &'a str,
    /// Such as `cert/<id>` or `function:JITR`.
    pub resource: &'a str,
}

impl<'a> Arn<'a> {
    /// Takes an ARN apart; `None` for a text of another form.
    pub fn parse(arn: &'a str) -> Option<Self> {
        match arn.splitn(6, ':').collect::<Vec<_>>().as_slice() {
            ["arn", partition, service, region, account, resource] => {
                Some(Self { partition, service, region, account, resource })
            }
            _ => None,
        }
    }

    /// The part of the resource that follows `kind` and a slash or a colon: the id of `cert/<id>`.
    pub fn named(&self, kind: &str) -> Option<&'a str> {
        self.resource.strip_prefix(kind)?.strip_prefix(['/', ':'])
    }
}

impl fmt::Display for Arn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, service, region, account, resource } = self;
        write!(f, "arn:{partition}:{service}:{region}:{account}:{resource}")
    }
}

impl Scope {
    /// The scope that the ARN of an AWS IoT resource names.
    pub fn from_arn(arn: &str) -> Result<Self, ArnError> {
        match Arn::parse(arn) {
            Some(Arn { partition, service: "iot", region, account, resource })
                if [partition, region, account, resource].iter().all(|part| !part.is_empty()) =>
            {
                Ok(Self { partition: partition.into(), region: region.into(), account: account.into() })
            }
            _ => Err(ArnError(arn.to_owned())),
        }
    }

    /// The ARN of an AWS IoT resource in this scope; `resource` is such as `cert/<id>`.
    pub fn arn(&self, resource: impl fmt::Display) -> String {
        Arn { resource: &resource.to_string(), ..self.as_arn() }.to_string()
    }

    /// The parts of the scope in an ARN of AWS IoT that names no resource yet.
    pub fn as_arn(&self) -> Arn<'_> {
        let Self { partition, region, account } = self;
        Arn { partition, service: "iot", region, account, resource: "" }
    }

    /// Writes the scope in the place of CloudFormation's pseudo parameters (`${AWS::Partition}`,
    /// `${AWS::Region}`, `${AWS::AccountId}`) in every string of a document.
    ///
    /// Other `${…}` stay as they are: policy variables are AWS IoT's to resolve.
    pub fn fill(&self, document: &mut Value) {
        substitute(
            document,
            &[
                ("${AWS::Partition}", &self.partition),
                ("${AWS::Region}", &self.region),
                ("${AWS::AccountId}", &self.account),
            ],
        );
    }
}

/// Replaces placeholders in every string of a document; keys stay.
pub(crate) fn substitute(document: &mut Value, values: &[(&str, &str)]) {
    match document {
        Value::String(text) => {
            for (placeholder, value) in values {
                if text.contains(placeholder) {
                    *text = text.replace(placeholder, value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| substitute(item, values)),
        Value::Object(members) => members.values_mut().for_each(|member| substitute(member, values)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_tells_partition_region_and_account() {
        let scope = Scope::from_arn("arn:aws-us-gov:iot:us-gov-west-1:123456789012:cert/ab:cd").unwrap();
        assert_eq!(scope.partition, "aws-us-gov");
        assert_eq!(scope.arn("cert/ab:cd"), "arn:aws-us-gov:iot:us-gov-west-1:123456789012:cert/ab:cd");
    }

    #[test]
    fn other_arns_are_refused() {
        for bad in
            ["", "arn:aws:iot:us-east-1:123456789012", "arn:aws:s3:::bucket", "arn:aws:iot::1:cert/a", "x"]
        {
            assert_eq!(Scope::from_arn(bad), Err(ArnError(bad.into())));
        }
    }
}
