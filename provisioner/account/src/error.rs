//! Errors of calls to AWS, by what the user has to do.

use std::error::Error as StdError;
use std::path::PathBuf;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_iot::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use crate::aws_settings::{Origin, Source};
use crate::{admission, doctor, live, register, replay, revoke, setup, teardown};

/// A boxed cause.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// AWS, or the way to it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No Region in the flags, the environment or the profile.
    #[error("no AWS Region is set")]
    NoRegion,
    /// Not the name of a Region, whichever exist.
    #[error("`{region}`{} is not an AWS Region", setting.as_ref().map(|name| format!(", which {name} names,")).unwrap_or_default())]
    MalformedRegion {
        /// As given.
        region: String,
        /// The variable of the environment or the profile that has it.
        setting: Option<String>,
    },
    /// A setting with a value that it cannot have.
    #[error("{setting} is `{value}`, which is not {expected}")]
    Setting {
        /// The variable of the environment, or the key of the profile.
        setting: String,
        /// Its value.
        value: String,
        /// What it can be.
        expected: &'static str,
    },
    /// Another kind of endpoint is asked for than the one that is named: AWS's SDKs refuse both together.
    #[error(
        "{setting} asks for another endpoint of AWS, and {endpoint} names one: the two do not go together"
    )]
    Endpoints {
        /// The variable of the environment, or the key of the profile, that asks for the kind.
        setting: String,
        /// That which names the endpoint.
        endpoint: String,
    },
    /// The profile is in neither `~/.aws/config` nor `~/.aws/credentials`.
    #[error("there is no AWS profile `{name}`{} in {files}", setting.map(|name| format!(", which {name} names,")).unwrap_or_default())]
    ProfileNotFound {
        /// As given.
        name: String,
        /// The variable of the environment that has it.
        setting: Option<&'static str>,
        /// Where it was looked for.
        files: Box<str>,
        /// Those that exist.
        known: Box<[String]>,
        /// Whether the configuration file has a section of this name, without the word `profile` before it.
        without_prefix: bool,
    },
    /// A file with profiles cannot be read.
    #[error("{} cannot be used: {reason}", path.display())]
    ProfileFile {
        /// The file.
        path: PathBuf,
        /// Why, with the line.
        reason: String,
    },
    /// The file with root certificates that the settings name.
    #[error("{}, which {setting} names, cannot be used: {reason}", path.display())]
    CaBundle {
        /// The variable, or the key of the profile.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// None of the standard places has credentials.
    #[error("{}", match profile {
        Some(profile) => format!("AWS profile `{profile}` has no credentials"),
        None => "no AWS credentials were found".to_owned(),
    })]
    NoCredentials {
        /// The profile that was named.
        profile: Option<String>,
    },
    /// There are settings for credentials, but they lead to none.
    #[error("the AWS credentials cannot be loaded")]
    Credentials {
        /// What the provider said.
        source: Cause,
    },
    /// A profile says where its credentials come from, but they do not.
    #[error("the credentials of AWS profile `{profile}` ({files}) cannot be loaded")]
    ProfileCredentials {
        /// The profile.
        profile: String,
        /// The files that it is in.
        files: String,
        /// Where its first credentials come from.
        from: Source,
        /// What the process, AWS or the SDK said, without keys.
        source: Cause,
    },
    /// The profile has `login_session`.
    #[error(
        "the credentials of AWS profile `{profile}` are a session of the console (login_session), which this program does not read"
    )]
    ConsoleSession {
        /// The profile.
        profile: String,
    },
    /// A role needs the code of an MFA device, and nobody can be asked for it.
    #[error(
        "the role of AWS profile `{profile}` needs a code of the MFA device {device}, and nobody can be asked for it"
    )]
    NoTokenCode {
        /// The profile.
        profile: String,
        /// Serial number or ARN of the device.
        device: String,
    },
    /// The answer of something between here and AWS, such as the log-in page of a network.
    #[error("{place} was not reached ({action}): a redirect to {to} came in the place of an answer of AWS")]
    Redirected {
        /// The endpoint or the Region.
        place: String,
        /// The call.
        action: &'static str,
        /// Where it leads.
        to: String,
    },
    /// The same, with a page.
    #[error("{place} was not reached ({action}): a web page{} came in the place of an answer of AWS (HTTP status {status})",
        title.as_ref().map(|title| format!(" with the title \"{title}\"")).unwrap_or_default())]
    WebPage {
        /// The endpoint or the Region.
        place: String,
        /// The call.
        action: &'static str,
        /// The title of the page.
        title: Option<String>,
        /// HTTP status.
        status: u16,
    },
    /// The session is over.
    #[error("the AWS session{of} has expired")]
    Expired {
        /// Whose it is, as far as it is known, in words that begin with a space.
        of: String,
        /// What AWS said.
        source: Answer,
    },
    /// AWS does not know the key, or the secret does not belong to it.
    #[error("AWS does not accept the credentials{of}")]
    BadCredentials {
        /// Where they come from, as far as it is known, in words that begin with a space.
        of: String,
        /// What AWS said.
        source: Answer,
    },
    /// The endpoint of a Region takes signatures for that Region alone.
    #[error("{action} went to the endpoint of another Region than the one that is set")]
    WrongRegion {
        /// The call.
        action: &'static str,
        /// What AWS said; it names the Region of the signature.
        source: Answer,
    },
    /// Signatures are only good for minutes.
    #[error("the clock of this computer is wrong, so AWS refuses its signatures")]
    ClockSkew {
        /// What AWS said.
        source: Answer,
    },
    /// The caller lacks a permission.
    #[error("permission {action} is missing{}", resource.as_ref().map(|resource| format!(" for {resource}")).unwrap_or_default())]
    Denied {
        /// As in IAM policies.
        action: &'static str,
        /// What it is missing for, mostly an ARN, where AWS says so. Actions without a resource have none.
        resource: Option<Box<str>>,
        /// What AWS said; it names who lacks it.
        source: Answer,
    },
    /// No answer.
    #[error("{place} cannot be reached ({action})")]
    Unreachable {
        /// The endpoint or the Region.
        place: String,
        /// The call.
        action: &'static str,
        /// What the network said.
        source: Cause,
    },
    /// Too many calls, also after waiting.
    #[error("AWS is limiting the rate of {action}")]
    Throttled {
        /// The call.
        action: &'static str,
        /// What AWS said.
        source: Answer,
    },
    /// AWS refused for another reason.
    #[error("{action} failed")]
    Call {
        /// The call.
        action: &'static str,
        /// What AWS said.
        source: Answer,
    },
    /// The call could not be sent, or its answer not be read.
    #[error("{action} got an answer that cannot be read, from {place}")]
    Nonsense {
        /// The call.
        action: &'static str,
        /// The endpoint or the Region.
        place: String,
        /// What was wrong.
        source: Cause,
    },
    /// A list whose pages do not come to an end.
    #[error("the answer to {action} does not end: after {pages} pages there is still another")]
    Endless {
        /// The call.
        action: &'static str,
        /// How many were read.
        pages: usize,
    },
    /// An answer without the field it must have.
    #[error("the answer to {action} does not say {what}")]
    Incomplete {
        /// The call.
        action: &'static str,
        /// What is missing.
        what: &'static str,
    },
    /// The vendor's public account.
    #[error("this is the vendor's public account ({endpoint}); it is not yours to set up")]
    Sandbox {
        /// The device endpoint it was recognised by.
        endpoint: String,
    },
    /// Setting the account up.
    #[error(transparent)]
    Setup(#[from] setup::Error),
    /// A chain that lets no device in.
    #[error(transparent)]
    Doctor(#[from] doctor::Error),
    /// Taking the account's part down.
    #[error(transparent)]
    Teardown(#[from] teardown::Error),
    /// Registering certificates.
    #[error(transparent)]
    Register(#[from] register::Error),
    /// Sending events again.
    #[error(transparent)]
    Replay(#[from] replay::Error),
    /// Revoking devices and signers.
    #[error(transparent)]
    Revoke(#[from] revoke::Error),
    /// The admission list.
    #[error(transparent)]
    Admission(#[from] admission::Error),
    /// Watching what happens.
    #[error(transparent)]
    Live(#[from] live::Error),
}

/// What AWS said: the error code and the message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub struct Answer {
    /// Such as `ThrottlingException`; empty if there is none.
    pub code: String,
    /// AWS's message; empty if there is none.
    pub message: String,
    /// HTTP status.
    pub status: u16,
}

impl Answer {
    fn text(&self) -> String {
        match (self.code.as_str(), self.message.as_str()) {
            ("", "") => format!("HTTP status {}", self.status),
            (code, "") => code.to_owned(),
            ("", message) => message.to_owned(),
            (code, message) => format!("{code}: {message}"),
        }
    }
}

impl Error {
    /// Whether AWS answered with this error code.
    pub(super) fn has_code(&self, wanted: &str) -> bool {
        self.answer().is_some_and(|answer| answer.code == wanted)
    }

    /// Whether the call may have had its effect all the same: AWS has neither carried it out nor refused it.
    pub fn is_undecided(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Nonsense { .. } | Self::Incomplete { .. } => true,
            Self::Call { source, .. } => source.status >= 500,
            _ => false,
        }
    }

    /// Whether the same call may succeed a little later.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Throttled { .. } | Self::Unreachable { .. } => true,
            error => error.answer().is_some_and(|answer| answer.status >= 500),
        }
    }

    /// Whether a failure says nothing about the certificate that the call was about, and so meets every other one, too. A call was
    /// made again before it counts as failed.
    pub fn concerns_all(&self) -> bool {
        matches!(
            self,
            Self::NoCredentials { .. }
                | Self::Credentials { .. }
                | Self::Expired { .. }
                | Self::BadCredentials { .. }
                | Self::WrongRegion { .. }
                | Self::ClockSkew { .. }
                | Self::Denied { .. }
                | Self::Unreachable { .. }
                | Self::Nonsense { .. }
        )
    }

    /// What AWS said, where it said something.
    pub(super) fn answer(&self) -> Option<&Answer> {
        match self {
            Self::Expired { source, .. }
            | Self::BadCredentials { source, .. }
            | Self::ClockSkew { source }
            | Self::WrongRegion { source, .. }
            | Self::Denied { source, .. }
            | Self::Throttled { source, .. }
            | Self::Call { source, .. } => Some(source),
            _ => None,
        }
    }

    /// The failure of the call `action` at `place`, with credentials from `origin`.
    pub(super) fn from_call<E>(
        action: &'static str,
        place: String,
        origin: &Origin,
        error: SdkError<E, HttpResponse>,
    ) -> Self
    where
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        if let Some(raw) = error.raw_response()
            && let Some(foreign) = foreign(action, &place, raw)
        {
            return foreign;
        }
        // What is no error and still cannot be read is no answer of AWS.
        if let SdkError::ServiceError(context) = &error
            && !context.raw().status().is_success()
        {
            let meta = context.err().meta();
            let answer = Answer {
                code: meta.code().unwrap_or_default().to_owned(),
                message: meta.message().unwrap_or_default().to_owned(),
                status: context.raw().status().as_u16(),
            };
            return Self::from_answer(action, answer).of(origin);
        }
        if let Some(cause) = find_cause::<CredentialsError>(&error) {
            return origin.failure(cause, &error);
        }
        let source = deepest(&error).into();
        match error {
            SdkError::DispatchFailure(_) | SdkError::TimeoutError(_) => {
                Self::Unreachable { place, action, source }
            }
            _ => Self::Nonsense { action, place, source },
        }
    }

    /// The same, with where the credentials are from.
    fn of(self, origin: &Origin) -> Self {
        let of = origin.credentials();
        match self {
            Self::BadCredentials { source, .. } => Self::BadCredentials { of, source },
            Self::Expired { source, .. } => Self::Expired { of, source },
            other => other,
        }
    }

    /// What an error answer of AWS means for the user.
    pub(super) fn from_answer(action: &'static str, source: Answer) -> Self {
        let says = |what: &str| source.message.contains(what);
        match source.code.as_str() {
            "ExpiredTokenException" | "ExpiredToken" | "TokenRefreshRequired" => {
                Self::Expired { of: String::new(), source }
            }
            "RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture" => Self::ClockSkew { source },
            "InvalidSignatureException" | "SignatureDoesNotMatch"
                if says("expired") || says("not yet current") =>
            {
                Self::ClockSkew { source }
            }
            "InvalidSignatureException" | "SignatureDoesNotMatch" if says("scoped to a valid") => {
                Self::WrongRegion { action, source }
            }
            "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidAccessKeyId"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException" => Self::BadCredentials { of: String::new(), source },
            // The last is that of AWS IoT's data plane.
            "AccessDeniedException"
            | "AccessDenied"
            | "UnauthorizedException"
            | "NotAuthorized"
            | "ForbiddenException" => {
                let resource = resource(&source.message);
                Self::Denied { action: denied(action, &source.message), resource, source }
            }
            "ThrottlingException" | "Throttling" | "TooManyRequestsException" => {
                Self::Throttled { action, source }
            }
            "" if source.status == 403 => Self::Denied { action, resource: None, source },
            _ => Self::Call { action, source },
        }
    }
}

/// Permissions that calls need besides those of their own name.
const BESIDES: [&str; 6] = [
    "cloudwatch:TagResource",
    "iam:PassRole",
    "iam:TagRole",
    "iot:TagResource",
    "lambda:TagResource",
    "sqs:TagQueue",
];

/// The permission that is missing for the call `action`: its own, or another that AWS names ("User: arn:… is not authorized to
/// perform: iam:PassRole on resource: arn:…").
fn denied(action: &'static str, message: &str) -> &'static str {
    let named = message.split("perform: ").nth(1).and_then(|rest| rest.split_whitespace().next());
    let besides = named.and_then(|named| BESIDES.into_iter().find(|besides| *besides == named));
    besides.unwrap_or(action)
}

/// What AWS says that a permission is missing for (IAM User Guide, "Troubleshoot access denied error messages"). AWS IoT does not
/// always give an ARN.
fn resource(message: &str) -> Option<Box<str>> {
    let (_, rest) = message.split_once("on resource: ")?;
    let named = rest.split_whitespace().next()?.trim_end_matches(['.', ',', ';']);
    (!named.is_empty() && named != "*").then(|| named.into())
}

/// What something else than AWS answered: a redirect, or a page.
fn foreign(action: &'static str, place: &str, raw: &HttpResponse) -> Option<Error> {
    let (place, status) = (place.to_owned(), raw.status().as_u16());
    let header = |name| raw.headers().get(name);
    if let (300..400, Some(to)) = (status, header("location")) {
        // What follows the path may be a token.
        let to = to.split(['?', '#']).next().unwrap_or_default().to_owned();
        return Some(Error::Redirected { place, action, to });
    }
    let is_page =
        header("content-type").is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/html"));
    // "Network Authentication Required" (RFC 6585, section 6).
    if !is_page && status != 511 {
        return None;
    }
    let text = raw.body().bytes().map(String::from_utf8_lossy).unwrap_or_default().into_owned();
    let lower = text.to_ascii_lowercase();
    let title = lower.find("<title").and_then(|tag| Some(tag + lower[tag..].find('>')? + 1));
    let title = title.and_then(|start| Some(&text[start..start + lower[start..].find("</title")?]));
    let title = title.map(|title| title.split_whitespace().collect::<Vec<_>>().join(" "));
    let title = title.map(|title| title.chars().take(80).collect());
    Some(Error::WebPage { place, action, title, status })
}

/// The first cause of this type in the chain, if there is one.
pub(crate) fn find_cause<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// The last cause alone: those before it say only that something was dispatched or provided.
pub(crate) fn deepest(error: &(dyn StdError + 'static)) -> String {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(code: &str, message: &str, status: u16) -> String {
        let answer = Answer { code: code.into(), message: message.into(), status };
        let error = Error::from_answer("iot:GetTopicRule", answer);
        let shown = format!("{error:?}");
        shown.split([' ', '(']).next().unwrap_or_default().to_owned()
    }

    #[test]
    fn answers_are_told_apart_by_what_the_user_has_to_do() {
        assert_eq!(
            kind("ExpiredTokenException", "The security token included in the request is expired", 403),
            "Expired"
        );
        assert_eq!(kind("ExpiredToken", "", 403), "Expired");
        assert_eq!(
            kind(
                "InvalidSignatureException",
                "Signature expired: 20260101T000000Z is now earlier than …",
                403
            ),
            "ClockSkew"
        );
        assert_eq!(kind("SignatureDoesNotMatch", "Signature not yet current: …", 403), "ClockSkew");
        assert_eq!(kind("RequestTimeTooSkewed", "", 403), "ClockSkew");
        assert_eq!(
            kind(
                "InvalidSignatureException",
                "Credential should be scoped to a valid Region, not 'eu-west-1'.",
                403
            ),
            "WrongRegion"
        );
        assert_eq!(
            kind("SignatureDoesNotMatch", "The request signature we calculated does not match", 403),
            "BadCredentials"
        );
        assert_eq!(
            kind(
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
                403
            ),
            "BadCredentials"
        );
        assert_eq!(
            kind("AccessDeniedException", "User: arn:… is not authorized to perform: iot:GetTopicRule", 403),
            "Denied"
        );
        assert_eq!(kind("ForbiddenException", "", 403), "Denied");
        assert_eq!(kind("", "", 403), "Denied");
        assert_eq!(kind("ThrottlingException", "Rate exceeded", 400), "Throttled");
        assert_eq!(kind("TooManyRequestsException", "Rate exceeded", 429), "Throttled");
        assert_eq!(kind("InvalidRequestException", "…", 400), "Call");
        assert_eq!(kind("", "", 500), "Call");
    }

    #[test]
    fn a_denied_call_names_the_action_and_keeps_what_aws_said() {
        let message =
            "User: arn:aws:iam::123456789012:user/ann is not authorized to perform: iot:GetTopicRule";
        let answer = Answer { code: "AccessDeniedException".into(), message: message.into(), status: 403 };
        let error = Error::from_answer("iot:GetTopicRule", answer);
        assert_eq!(error.to_string(), "permission iot:GetTopicRule is missing");
        assert!(error.source().unwrap().to_string().contains("user/ann"));
    }

    #[test]
    fn a_permission_that_a_call_needs_besides_its_own_is_named() {
        let message = "User: arn:aws:iam::123456789012:user/ann is not authorized to perform: iam:PassRole on resource: \
            arn:aws:iam::123456789012:role/r because no identity-based policy allows the iam:PassRole action";
        let answer = Answer { code: "AccessDeniedException".into(), message: message.into(), status: 403 };
        let error = Error::from_answer("iot:CreateTopicRule", answer);
        assert_eq!(
            error.to_string(),
            "permission iam:PassRole is missing for arn:aws:iam::123456789012:role/r"
        );
    }

    #[test]
    fn what_a_permission_is_missing_for_is_what_aws_says() {
        let says =
            |text: &str| resource(&format!("User: ann is not authorized to perform: iot:AttachPolicy{text}"));
        let because = " because no identity-based policy allows the iot:AttachPolicy action";
        for (text, named) in [
            (
                format!(" on resource: arn:aws:iot:us-east-1:123456789012:cert/ab{because}"),
                Some("arn:aws:iot:us-east-1:123456789012:cert/ab"),
            ),
            // As AWS IoT says it of an identity of Amazon Cognito.
            (" on resource: us-east-1:84a40f16".to_owned(), Some("us-east-1:84a40f16")),
            (format!(" on resource: *{because}"), None),
            (String::new(), None),
            (" on resource: ".to_owned(), None),
        ] {
            assert_eq!(says(&text).as_deref(), named, "{text}");
        }
    }
}
