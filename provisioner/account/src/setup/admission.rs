//! The admission list of the function: whether it is there, is signed by the key that the function knows, and counts. Otherwise the
//! function lets no device in.

use std::io::{Cursor, Read};
use std::path::Path;

use device_pki::admission_list::{AdmissionError, AdmissionKey, AdmissionList, MAX_SIZE, Unfit};
use jitr::admission::{FILE, Mode};
use jitr::config::{self, ADMISSION_KEY, ADMISSION_LIST, ADMISSION_MODE, AdmissionPlace};
use jitr::published::ListUrl;
use jitr::scope::Scope;
use serde_json::{Value, json};
use time::OffsetDateTime;
use zip::ZipArchive;

use super::deployed_package::DeployedPackage;
use super::function::Variables;
use super::lists;
use crate::{Account, Error as AccountError, admission, counted};

/// Name of the role's inline policy that lets the function read the list.
pub(crate) const POLICY: &str = "admission-list";
/// Per cent of the validity that are left when it is told.
const LOW: i64 = 33;

/// What the function is to be told of the admission list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Boards that are on a list are let in.
    By {
        /// The key that signs it.
        key: AdmissionKey,
        /// Its folder: in the package, `https://…` or `s3://…`.
        list: String,
        /// What becomes of others; `None` leaves it to the function.
        mode: Option<Mode>,
    },
    /// It is not asked any more.
    Off,
}

impl Admission {
    /// The variables of the function that say so.
    pub(super) fn variables(&self) -> Vec<(&'static str, String)> {
        match self {
            // An empty variable is none.
            Self::Off => {
                [ADMISSION_KEY, ADMISSION_LIST, ADMISSION_MODE].map(|name| (name, String::new())).to_vec()
            }
            Self::By { key, list, mode } => {
                let mode = mode.map(|mode| (ADMISSION_MODE, mode.name().to_owned()));
                let key = (ADMISSION_KEY, key.to_string());
                [key, (ADMISSION_LIST, list.clone())].into_iter().chain(mode).collect()
            }
        }
    }
}

/// What this computer knows of the list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    /// The key that it signs lists with, where that can be told without a question.
    pub key: Option<AdmissionKey>,
    /// The number of the last list that it has published or seen.
    pub number: Option<u64>,
}

/// What was found about the list of a function that has it on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The list's file or URL.
    pub(crate) list: String,
    /// Why devices cannot be registered.
    pub(crate) problems: Vec<String>,
    /// What somebody should know.
    pub(crate) notes: Vec<String>,
    /// What the list says of itself.
    pub(crate) facts: Vec<String>,
}

/// Looks at the list of the function that has these `variables` and this `package`; `None` where it is off.
///
/// # Errors
/// Whatever the calls end in.
pub(crate) async fn look(
    account: &Account,
    variables: &Variables,
    package: &DeployedPackage<'_>,
    known: &Known,
) -> Result<Option<Found>, AccountError> {
    let settings = match config::admission(|name| variables.get(name).cloned()) {
        Ok(None) => return Ok(None),
        Ok(Some(settings)) => settings,
        Err(error) => {
            let list = variables.get(ADMISSION_LIST).cloned().unwrap_or_default();
            return Ok(Some(Found { list, problems: vec![error.to_string()], ..Found::default() }));
        }
    };
    let mut found = Found::default();
    if settings.mode == Mode::Report {
        found
            .notes
            .push("devices that are not on it are registered all the same (ADMISSION_MODE)".to_owned());
    }
    if known.key.is_some_and(|key| key != settings.key) {
        found.notes.push("the admission key here is another one: a list that it signs is refused".to_owned());
    }
    let bytes = match &settings.list {
        AdmissionPlace::Packaged(file) => {
            found.list = file.display().to_string();
            let Some(inner) = lists::in_package(&found.list) else {
                found.notes.push("it is not in the package; whether it counts is not known".to_owned());
                return Ok(Some(found));
            };
            unpacked(package.bytes().await?, &inner)
        }
        AdmissionPlace::Published(url) => {
            found.list = format!("{url}/{FILE}");
            match admission::fetch(account, url).await {
                Ok(published) => published.map(|published| published.bytes),
                Err(AccountError::Admission(error)) => {
                    found.problems.push(error.to_string());
                    return Ok(Some(found));
                }
                Err(error) => return Err(error),
            }
        }
    };
    match bytes.map(|bytes| AdmissionList::verified(bytes, "the list", &settings.key)) {
        None => found.problems.push("there is no list: no device can be registered".to_owned()),
        Some(Err(AdmissionError::Unfit { reason: Unfit::Ahead(seconds), .. })) => {
            found.problems.push(format!("the list is dated {seconds} s in the future"));
        }
        Some(Err(error)) => found.problems.push(format!("{error}: no device can be registered")),
        Some(Ok(list)) => judge(&mut found, &list, known),
    }
    Ok(Some(found))
}

fn judge(found: &mut Found, list: &AdmissionList, known: &Known) {
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let left = list.left(now);
    let days = (list.next_update() - now).max(0) / 86_400;
    found.facts.push(format!(
        "list {}, {}, counts for {} more",
        list.number(),
        counted(list.count(), "key"),
        counted(usize::try_from(days).unwrap_or_default(), "day")
    ));
    if list.is_overdue() {
        found.problems.push("the list counts no more: no device can be registered".to_owned());
    } else if left <= LOW {
        found.notes.push(format!("{left} % of its validity are left"));
    }
    if let Some(number) = known.number.filter(|number| *number > list.number()) {
        found.notes.push(format!(
            "list {} is there, and list {number} was published from here: an older one took its place",
            list.number()
        ));
    }
}

/// A file of a package.
pub(crate) fn unpacked(package: &[u8], file: &Path) -> Option<Vec<u8>> {
    let mut archive = ZipArchive::new(Cursor::new(package)).ok()?;
    for index in 0..archive.len() {
        let found = archive.by_index(index).ok()?;
        if found.enclosed_name().as_deref() == Some(file) {
            let mut bytes = Vec::new();
            found.take(MAX_SIZE as u64 + 1).read_to_end(&mut bytes).ok()?;
            return Some(bytes);
        }
    }
    None
}

/// The ARN of a list in Amazon S3; `None` for one on a web server. Buckets are of no account and of no Region.
pub(crate) fn object_arn(scope: &Scope, url: &ListUrl) -> Option<String> {
    let ListUrl::S3 { bucket, prefix } = url else { return None };
    let folder = if prefix.is_empty() { bucket.to_owned() } else { format!("{bucket}/{prefix}") };
    Some(format!("arn:{}:s3:::{folder}/{FILE}", scope.partition))
}

/// What the function's role needs to read a list in Amazon S3, where `list` is there: in a bucket of this account alone, because the name
/// of a bucket is free for everybody once it is deleted.
pub(crate) fn role_policy(scope: &Scope, list: &str) -> Option<(&'static str, Value)> {
    let object = object_arn(scope, &list.parse().ok()?)?;
    let statement = json!({
        "Effect": "Allow",
        "Action": ["s3:GetObject"],
        "Resource": [object],
        "Condition": {"StringEquals": {"aws:ResourceAccount": scope.account}},
    });
    Some((POLICY, json!({"Version": "2012-10-17", "Statement": [statement]})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_reads_one_object_of_the_own_account() {
        let scope =
            Scope { partition: "aws".into(), region: "eu-west-1".into(), account: "123456789012".into() };
        let (_, policy) = role_policy(&scope, "s3://lists/a/b/").unwrap();
        let statement = &policy["Statement"][0];
        assert_eq!(statement["Resource"], json!(["arn:aws:s3:::lists/a/b/admission.der"]));
        assert_eq!(statement["Condition"]["StringEquals"]["aws:ResourceAccount"], "123456789012");
        assert_eq!(role_policy(&scope, "https://lists.example.com"), None);
        assert_eq!(role_policy(&scope, "admission"), None);
    }

    #[test]
    fn what_is_off_is_told_so() {
        let variables = Admission::Off.variables();
        assert!(variables.iter().all(|(_, value)| value.is_empty()));
        let map: Variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        assert_eq!(config::admission(|name| map.get(name).cloned()), Ok(None));
    }
}
