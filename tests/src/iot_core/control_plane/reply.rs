//! Answers in AWS's wire formats: REST-JSON, the query protocol's XML, and errors in both.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use serde_json::{Value, json};

use super::cbor;
use crate::iot_core::account;
use crate::lambda_host;

/// An error as AWS words it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceError {
    /// The error type, for example `ThrottlingException`.
    pub code: String,
    /// HTTP status.
    pub status: u16,
    /// The message.
    pub message: String,
    /// Further fields of the body.
    pub fields: Vec<(&'static str, String)>,
}

impl ServiceError {
    /// An error with nothing but type, status and message.
    pub fn new(code: impl Into<String>, status: u16, message: impl Into<String>) -> Self {
        Self { code: code.into(), status, message: message.into(), fields: Vec::new() }
    }

    pub(super) fn invalid_request(message: impl Into<String>) -> Self {
        Self::new("InvalidRequestException", 400, message)
    }
}

impl From<account::Error> for ServiceError {
    fn from(error: account::Error) -> Self {
        use account::Error as E;
        let (code, status) = match &error {
            E::NotFound { .. } => ("ResourceNotFoundException", 404),
            E::AlreadyExists { .. } => ("ResourceAlreadyExistsException", 409),
            E::InvalidRequest { .. } => ("InvalidRequestException", 400),
            E::CertificateState { .. } => ("CertificateStateException", 406),
            E::CertificateValidation { .. } => ("CertificateValidationException", 400),
            E::RegistrationCode { .. } => ("RegistrationCodeValidationException", 400),
            E::CertificateConflict => ("CertificateConflictException", 409),
            E::DeleteConflict { what: "role", .. } => ("DeleteConflict", 409),
            E::DeleteConflict { .. } => ("DeleteConflictException", 409),
            E::Internal { .. } => ("InternalFailureException", 500),
            E::IndexNotReady => ("IndexNotReadyException", 400),
            E::MalformedPolicy { .. } => ("MalformedPolicyException", 400),
            E::LimitExceeded { .. } => ("LimitExceededException", 410),
            E::VersionsLimitExceeded { .. } => ("VersionsLimitExceededException", 409),
            E::VersionConflict { .. } => ("VersionConflictException", 409),
            E::SqlParse { .. } => ("SqlParseException", 400),
            E::RuleAccessDenied { .. } => ("UnauthorizedException", 401),
            E::NoSuchEntity { .. } => ("NoSuchEntity", 404),
            E::EntityAlreadyExists { .. } => ("EntityAlreadyExists", 409),
            E::Validation { .. } => ("ValidationError", 400),
            E::AlarmNotFound { .. } => ("ResourceNotFound", 404),
            E::QueueNameExists { .. } => ("com.amazonaws.sqs#QueueNameExists", 400),
            E::QueueDoesNotExist { .. } => ("com.amazonaws.sqs#QueueDoesNotExist", 400),
        };
        let mut fields = Vec::new();
        if let E::AlreadyExists { id, arn, .. } = &error {
            fields.extend([("resourceId", id.clone()), ("resourceArn", arn.clone())]);
        }
        Self { code: code.into(), status, message: error.to_string(), fields }
    }
}

impl From<lambda_host::Error> for ServiceError {
    fn from(error: lambda_host::Error) -> Self {
        use lambda_host::Error as E;
        let (code, status) = match &error {
            E::NotFound { .. } => ("ResourceNotFoundException", 404),
            E::Conflict { .. } => ("ResourceConflictException", 409),
            E::InvalidParameter { .. } => ("InvalidParameterValueException", 400),
            E::Io { .. } | E::Stopped => ("ServiceException", 500),
        };
        Self::new(code, status, error.to_string())
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(super) enum Content {
    Json(Value),
    Xml(String),
    Bytes(Vec<u8>),
    Empty,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) content: Content,
}

impl Reply {
    /// 200 with a JSON body. Fields that are null are left out, as AWS does.
    pub(super) fn json(value: Value) -> Self {
        Self { status: 200, headers: Vec::new(), content: Content::Json(without_nulls(value)) }
    }

    /// 200 without a body.
    pub(super) fn empty() -> Self {
        Self { status: 200, headers: Vec::new(), content: Content::Empty }
    }

    /// The same with another status.
    pub(super) fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            fields.into_iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k, without_nulls(v))).collect()
        }
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

/// The protocol of a service, which decides the form of its errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// REST-JSON or JSON 1.0.
    Json,
    /// Smithy RPC v2 CBOR, by which AWS also says what the error is called in the query protocol.
    Cbor,
    /// Query, with XML answers.
    Query,
    /// Query as Amazon EC2 has it: other errors.
    Ec2,
    /// REST-XML.
    RestXml,
}

/// Turns an outcome into the HTTP response.
pub(super) fn respond(
    protocol: Protocol,
    request_id: &str,
    outcome: Result<Reply, ServiceError>,
) -> Response<Body> {
    let reply = outcome.unwrap_or_else(|error| error_reply(protocol, request_id, &error));
    let mut response = Response::builder().header("x-amzn-requestid", request_id);
    response =
        response.status(StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    let (content_type, body) = match reply.content {
        Content::Json(value) if protocol == Protocol::Cbor => {
            response = response.header("smithy-protocol", "rpc-v2-cbor");
            (cbor::CONTENT_TYPE, Body::from(cbor::encode(&value)))
        }
        Content::Json(value) => ("application/json", Body::from(value.to_string())),
        Content::Xml(text) => ("text/xml", Body::from(text)),
        Content::Bytes(bytes) => ("application/json", Body::from(bytes)),
        Content::Empty => ("application/json", Body::empty()),
    };
    response.header("content-type", content_type).body(body).unwrap_or_default()
}

fn error_reply(protocol: Protocol, request_id: &str, error: &ServiceError) -> Reply {
    let content = match protocol {
        Protocol::Json | Protocol::Cbor => {
            // Both spellings of the message are in use among AWS's services; `__type` is what JSON 1.0 reads.
            let mut body =
                json!({ "__type": error.code, "message": error.message, "Message": error.message });
            for (name, value) in &error.fields {
                body[*name] = value.as_str().into();
            }
            Content::Json(body)
        }
        Protocol::Query | Protocol::Ec2 | Protocol::RestXml => {
            let (code, message) = (xml_escape(&error.code), xml_escape(&error.message));
            let what = format!("<Code>{code}</Code><Message>{message}</Message>");
            Content::Xml(match protocol {
                Protocol::Ec2 => {
                    format!(
                        "<Response><Errors><Error>{what}</Error></Errors><RequestID>{request_id}</RequestID></Response>"
                    )
                }
                Protocol::RestXml => format!("<Error>{what}<RequestId>{request_id}</RequestId></Error>"),
                Protocol::Query | Protocol::Json | Protocol::Cbor => format!(
                    "<ErrorResponse><Error><Type>Sender</Type>{what}</Error><RequestId>{request_id}</RequestId></ErrorResponse>"
                ),
            })
        }
    };
    let mut headers = vec![("x-amzn-errortype", error.code.clone())];
    if protocol == Protocol::Cbor {
        let fault = if error.status >= 500 { "Receiver" } else { "Sender" };
        headers.push(("x-amzn-query-error", format!("{};{fault}", error.code)));
    }
    Reply { status: error.status, headers, content }
}

/// Text, made safe between XML tags.
pub(super) fn xml_escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}
