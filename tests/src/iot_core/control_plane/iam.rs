//! AWS IAM (query protocol, 2010-05-08), as far as a function's role needs it.

use std::collections::BTreeMap;
use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Named;
use super::reply::{Content, Reply, ServiceError, xml_escape};
use super::request::Call;
use crate::iot_core::account::{Account, Role};

/// Every operation the testbed knows.
pub(super) const OPERATIONS: &[Named] = &[
    ("CreateRole", create_role),
    ("GetRole", get_role),
    ("ListRoles", list_roles),
    ("DeleteRole", delete_role),
    ("UpdateAssumeRolePolicy", update_trust),
    ("PutRolePolicy", put_role_policy),
    ("GetRolePolicy", get_role_policy),
    ("ListRolePolicies", list_role_policies),
    ("DeleteRolePolicy", delete_role_policy),
    ("AttachRolePolicy", attach_role_policy),
    ("DetachRolePolicy", detach_role_policy),
    ("ListAttachedRolePolicies", list_attached_role_policies),
    ("GetPolicy", get_policy),
    ("GetPolicyVersion", get_policy_version),
    ("TagRole", tag_role),
    ("UntagRole", untag_role),
    ("ListRoleTags", list_role_tags),
];

/// The form of a request; a parameter that is missing counts as invalid.
struct Form(BTreeMap<String, String>);

impl Form {
    fn of(call: &Call) -> Self {
        Self(call.form())
    }

    fn get(&self, name: &str) -> Result<&str, ServiceError> {
        self.optional(name)
            .ok_or_else(|| ServiceError::new("ValidationError", 400, format!("{name} is missing")))
    }

    fn optional(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// `<list>.member.1…`, each with an optional field name after the number.
    fn members<'a>(&'a self, list: &'a str, field: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        (1..).map_while(move |index| self.optional(&format!("{list}.member.{index}{field}")))
    }

    fn tags(&self) -> BTreeMap<String, String> {
        let keys = self.members("Tags", ".Key").map(str::to_owned);
        keys.zip(self.members("Tags", ".Value").map(str::to_owned)).collect()
    }
}

/// `<Operation>Response` around `<Operation>Result` around `result`.
fn xml(call: &Call, result: &str) -> Reply {
    let operation = call.operation;
    let content = format!(
        "<{operation}Response xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><{operation}Result>{result}</{operation}Result>\
         <ResponseMetadata><RequestId>testbed</RequestId></ResponseMetadata></{operation}Response>"
    );
    Reply { status: 200, headers: Vec::new(), content: Content::Xml(content) }
}

fn element(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", xml_escape(text))
}

fn list(name: &str, members: impl Iterator<Item = String>) -> String {
    let members: String = members.map(|member| format!("<member>{member}</member>")).collect();
    format!("<{name}>{members}</{name}>")
}

/// Documents are percent-encoded in answers.
fn document(name: &str, text: &str) -> String {
    element(
        name,
        &percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string(),
    )
}

fn timestamp(time: SystemTime) -> String {
    OffsetDateTime::from(time).format(&Rfc3339).unwrap_or_default()
}

fn role_fields(account: &Account, role: &Role) -> String {
    let tags =
        role.tags.iter().map(|(key, value)| format!("{}{}", element("Key", key), element("Value", value)));
    [
        element("Path", &role.path),
        element("RoleName", &role.name),
        element("RoleId", &role.id),
        element("Arn", &account.role_arn(role)),
        element("CreateDate", &timestamp(role.created)),
        document("AssumeRolePolicyDocument", &role.trust),
        role.description.as_deref().map(|text| element("Description", text)).unwrap_or_default(),
        list("Tags", tags),
    ]
    .concat()
}

fn create_role(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let form = Form::of(call);
    account
        .create_role(
            form.get("RoleName")?,
            form.optional("Path"),
            form.get("AssumeRolePolicyDocument")?,
            form.optional("Description"),
            form.tags(),
        )
        .map_err(iam_error)?;
    get_role(account, call)
}

/// IAM words a bad document and a bad name differently from AWS IoT.
fn iam_error(error: crate::iot_core::account::Error) -> ServiceError {
    use crate::iot_core::account::Error as E;
    match error {
        E::MalformedPolicy { .. } => ServiceError::new("MalformedPolicyDocument", 400, error.to_string()),
        E::InvalidRequest { .. } => ServiceError::new("ValidationError", 400, error.to_string()),
        other => other.into(),
    }
}

fn get_role(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let form = Form::of(call);
    let role = account.role(form.get("RoleName")?)?;
    Ok(xml(call, &format!("<Role>{}</Role>", role_fields(account, role))))
}

fn list_roles(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let roles = account.roles().map(|role| role_fields(account, role));
    Ok(xml(call, &format!("{}<IsTruncated>false</IsTruncated>", list("Roles", roles))))
}

fn delete_role(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    account.delete_role(Form::of(call).get("RoleName")?)?;
    Ok(xml(call, ""))
}

fn update_trust(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let form = Form::of(call);
    account.role_mut(form.get("RoleName")?)?.trust = form.get("PolicyDocument")?.to_owned();
    Ok(xml(call, ""))
}

fn put_role_policy(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let form = Form::of(call);
    account
        .put_role_policy(form.get("RoleName")?, form.get("PolicyName")?, form.get("PolicyDocument")?)
        .map_err(iam_error)?;
    Ok(xml(call, ""))
}

fn no_such_policy(name: &str) -> ServiceError {
    ServiceError::new("NoSuchEntity", 404, format!("the role policy {name} cannot be found"))
}

fn get_role_policy(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let form = Form::of(call);
    let (role, name) = (account.role(form.get("RoleName")?)?, form.get("PolicyName")?);
    let text = role.inline.get(name).ok_or_else(|| no_such_policy(name))?;
    let fields =
        [element("RoleName", &role.name), element("PolicyName", name), document("PolicyDocument", text)];
    Ok(xml(call, &fields.concat()))
}

fn list_role_policies(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let form = Form::of(call);
    let names = account.role(form.get("RoleName")?)?.inline.keys().map(|name| xml_escape(name));
    Ok(xml(call, &format!("{}<IsTruncated>false</IsTruncated>", list("PolicyNames", names))))
}

fn delete_role_policy(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let form = Form::of(call);
    let name = form.get("PolicyName")?;
    let removed = account.role_mut(form.get("RoleName")?)?.inline.remove(name);
    removed.map(|_| xml(call, "")).ok_or_else(|| no_such_policy(name))
}

fn attach_role_policy(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let form = Form::of(call);
    account.role_mut(form.get("RoleName")?)?.attached.insert(form.get("PolicyArn")?.to_owned());
    Ok(xml(call, ""))
}

fn detach_role_policy(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let form = Form::of(call);
    let arn = form.get("PolicyArn")?;
    if account.role_mut(form.get("RoleName")?)?.attached.remove(arn) {
        return Ok(xml(call, ""));
    }
    Err(no_such_policy(arn))
}

fn list_attached_role_policies(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let form = Form::of(call);
    let attached = account.role(form.get("RoleName")?)?.attached.iter().map(|arn| {
        let name = arn.rsplit('/').next().unwrap_or(arn);
        format!("{}{}", element("PolicyName", name), element("PolicyArn", arn))
    });
    Ok(xml(call, &format!("{}<IsTruncated>false</IsTruncated>", list("AttachedPolicies", attached))))
}

/// A managed policy of AWS's own: the end of its ARN and its document (AWS Managed Policy Reference).
const BASIC_EXECUTION: (&str, &str) = (
    "policy/service-role/AWSLambdaBasicExecutionRole",
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}]}"#,
);

/// The document of the managed policy that the form names.
fn managed(form: &Form) -> Result<&'static str, ServiceError> {
    let arn = form.get("PolicyArn")?;
    let (name, document) = BASIC_EXECUTION;
    if arn.ends_with(name) { Ok(document) } else { Err(no_such_policy(arn)) }
}

fn get_policy(_: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let form = Form::of(call);
    managed(&form)?;
    let arn = form.get("PolicyArn")?;
    let name = arn.rsplit('/').next().unwrap_or(arn);
    let fields =
        [element("PolicyName", name), element("Arn", arn), element("DefaultVersionId", "v1")].concat();
    Ok(xml(call, &format!("<Policy>{fields}</Policy>")))
}

fn get_policy_version(_: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let form = Form::of(call);
    let version = form.get("VersionId")?;
    let fields = [element("VersionId", version), document("Document", managed(&form)?)].concat();
    Ok(xml(call, &format!("<PolicyVersion>{fields}</PolicyVersion>")))
}

fn tag_role(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let form = Form::of(call);
    account.role_mut(form.get("RoleName")?)?.tags.extend(form.tags());
    Ok(xml(call, ""))
}

fn untag_role(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let form = Form::of(call);
    let role = account.role_mut(form.get("RoleName")?)?;
    for key in form.members("TagKeys", "") {
        role.tags.remove(key);
    }
    Ok(xml(call, ""))
}

fn list_role_tags(account: &mut Account, call: &Call) -> Result<Reply, ServiceError> {
    let form = Form::of(call);
    let tags = account.role(form.get("RoleName")?)?.tags.iter();
    let tags = tags.map(|(key, value)| format!("{}{}", element("Key", key), element("Value", value)));
    Ok(xml(call, &format!("{}<IsTruncated>false</IsTruncated>", list("Tags", tags))))
}
