//! The revocation lists of the function: whether each CA whose devices it registers has one. Without, the function lets no
//! device of that CA in, so a configuration like this is refused before a device meets it.

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use device_pki::revocation_list::{MAX_SIZE, NEARLY_FULL};
use jitr::config::{self, CRL_DIR, CRL_URL, Lists};
use jitr::revocation::{CaCertificate, RevocationError, RevocationLists};
use zip::ZipArchive;

use super::deployed_package::DeployedPackage;
use super::function::Variables;
use crate::page::list_cas;
use crate::{Account, Error as AccountError};

/// Where the package is while the function runs (AWS Lambda, "Runtime environment variables": `LAMBDA_TASK_ROOT`).
const TASK_ROOT: &str = "/var/task";

/// What was found about the lists of a function that has them on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The folder.
    pub(crate) folder: String,
    /// Why devices cannot be registered.
    pub(crate) problems: Vec<String>,
    /// What somebody should know.
    pub(crate) notes: Vec<String>,
}

/// Looks at the lists of the function that has these `variables` and this `package`; `None` where lists are off. `signer` is the CA that
/// boards here are signed by.
///
/// # Errors
/// Whatever the calls end in.
pub(crate) async fn look(
    account: &Account,
    variables: &Variables,
    package: &DeployedPackage<'_>,
    signer: Option<&CaCertificate>,
) -> Result<Option<Found>, AccountError> {
    let Some(folder) = folder(variables) else { return Ok(None) };
    let mut found = Found { folder: folder.clone(), ..Found::default() };
    let read = |name: &str| variables.get(name).cloned();
    let settings = match config::settings(read) {
        Ok(settings) => settings,
        Err(error) => {
            found.problems.push(error.to_string());
            return Ok(Some(found));
        }
    };
    let Some(inner) = in_package(&folder) else {
        found.notes.push(format!("{folder} is not in the package; whether each CA has a list is not known"));
        return Ok(Some(found));
    };
    let package = package.bytes().await?;
    let lists =
        match config::revocation_in(read, |_, published| unpacked(package, &inner, &folder, published)) {
            Ok(Some(lists)) => lists,
            Ok(None) => return Ok(None),
            Err(error) => {
                found.problems.push(error.to_string());
                return Ok(Some(found));
            }
        };
    let (lists, published) = match &lists {
        Lists::Packaged(lists) => (lists, false),
        Lists::Published(publication) => (&publication.packaged, true),
    };
    let mut needed = settings.allowed_ca_ids;
    if needed.is_empty() {
        needed.extend(signer.map(|signer| signer.id().to_owned()));
        let all = list_cas(account).await?;
        let active =
            all.into_iter().filter(|ca| ca.status().is_some_and(|status| status.as_str() == "ACTIVE"));
        needed.extend(active.filter_map(|ca| ca.certificate_id));
    }
    for id in needed.difference(&settings.crl_optional_ca_ids) {
        let known = match lists.cas().iter().find(|ca| ca.id() == id) {
            Some(known) => Some(known.clone()),
            None => certificate(account, id, signer).await?,
        };
        // Another certificate of the CA, of the same key, does as well.
        let has_certificate =
            known.as_ref().is_some_and(|ca| lists.cas().iter().any(|own| own.has_key_of(ca)));
        let has_list = published || known.as_ref().is_some_and(|ca| lists.list_of(ca).is_some());
        if !(has_certificate && has_list) {
            let missing = if has_certificate { "revocation list" } else { "certificate and revocation list" };
            found
                .problems
                .push(format!("CA {id} has no {missing} in {folder}: none of its devices can be registered"));
        }
    }
    for (ca, list) in lists.lists() {
        let path = ca.path().with_extension("crl");
        if list.fill() >= NEARLY_FULL {
            found.notes.push(format!("{} has {} % of what a list may have", path.display(), list.fill()));
        }
        if list.is_overdue() {
            found.notes.push(format!("the next update of {} is overdue", path.display()));
        }
    }
    Ok(Some(found))
}

/// The folder of the lists, empty where only published ones are named; `None` where lists are off.
pub(crate) fn folder(variables: &Variables) -> Option<String> {
    let variable =
        |name: &str| variables.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());
    match (variable(CRL_DIR), variable(CRL_URL)) {
        (None, None) => None,
        (folder, _) => Some(folder.unwrap_or_default().to_owned()),
    }
}

/// The certificate of a CA that the account knows.
async fn certificate(
    account: &Account,
    id: &str,
    signer: Option<&CaCertificate>,
) -> Result<Option<CaCertificate>, AccountError> {
    if let Some(signer) = signer.filter(|signer| signer.id() == id) {
        return Ok(Some(signer.clone()));
    }
    let answer = account.iot().describe_ca_certificate().certificate_id(id).send().await;
    let answer = account.found("iot:DescribeCACertificate", answer)?;
    let pem = answer.and_then(|answer| answer.certificate_description?.certificate_pem);
    Ok(pem.and_then(|pem| CaCertificate::parse(pem.as_bytes(), Path::new(id)).ok()))
}

/// The folder within the package; `None` where it is in a layer or elsewhere.
pub(crate) fn in_package(folder: &str) -> Option<PathBuf> {
    let folder = Path::new(folder);
    match folder.is_absolute() || folder.starts_with("/") {
        true => folder.strip_prefix(TASK_ROOT).ok().map(Path::to_owned),
        false => Some(folder.strip_prefix(".").unwrap_or(folder).to_owned()),
    }
}

/// The lists in a folder of a package, as the function reads them.
fn unpacked(
    package: &[u8],
    inner: &Path,
    folder: &str,
    published: bool,
) -> Result<RevocationLists, RevocationError> {
    let unreadable = |path: &Path, source| RevocationError::Read { path: path.to_owned(), source };
    let folder = Path::new(folder);
    let damaged = |error: zip::result::ZipError| unreadable(folder, error.into());
    let mut archive = ZipArchive::new(Cursor::new(package)).map_err(damaged)?;
    let (mut cas, mut lists) = (Vec::new(), Vec::new());
    for index in 0..archive.len() {
        let file = archive.by_index(index).map_err(damaged)?;
        let Some(path) = file.enclosed_name().filter(|path| path.parent() == Some(inner)) else { continue };
        let full = folder.join(path.file_name().unwrap_or_default());
        let mut bytes = Vec::new();
        file.take(MAX_SIZE as u64 + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&full, error))?;
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => cas.extend(CaCertificate::parse_all(&bytes, &full)?),
            Some("crl") => lists.push(Ok((full, bytes))),
            _ => {}
        }
    }
    let empty = |extension| Err(RevocationError::Empty { path: folder.to_owned(), extension });
    match (cas.is_empty(), lists.is_empty()) {
        (true, _) => empty("crt"),
        (_, true) if !published => empty("crl"),
        _ => RevocationLists::of(cas, lists),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_in_the_package_where_the_function_finds_it_there() {
        for (folder, inner) in [
            ("/var/task/crl", Some("crl")),
            ("/var/task", Some("")),
            ("crl/a", Some("crl/a")),
            ("./crl", Some("crl")),
            ("/opt/crl", None),
            ("/var/tasks", None),
        ] {
            assert_eq!(in_package(folder).as_deref(), inner.map(Path::new), "{folder}");
        }
    }
}
