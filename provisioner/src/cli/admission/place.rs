//! Where the list is: where the function reads it, or where the user says.

use std::path::Path;

use iot_account::admission::{self as account_admission, Published};
use iot_account::{Account, setup};
use jitr::admission::FILE;
use jitr::config::AdmissionPlace;
use jitr::published::ListUrl;

use super::Destination;
use crate::cli::{Context, Error};
use crate::work::AuthorityError;
use device_pki::admission_list::{AdmissionKey, MAX_SIZE};

/// Where the list is.
pub(super) enum Place {
    /// In a folder of this computer.
    Folder(std::path::PathBuf),
    /// Published there.
    Url(Box<Account>, ListUrl),
}

/// What the function has been told.
pub(super) struct Told {
    pub(super) place: AdmissionPlace,
    pub(super) key: AdmissionKey,
    account: Account,
}

/// What the function has been told of the list; `None` without a function, or if it was told nothing.
pub(super) async fn told(context: &Context, function: Option<&str>) -> Result<Option<Told>, Error> {
    let account = context.account().await?;
    let function = function.unwrap_or(setup::FUNCTION);
    let settings = account_admission::of_function(&account, function).await?;
    Ok(settings.map(|settings| Told { place: settings.list, key: settings.key, account }))
}

impl Place {
    /// The place that the user names, or else the one that the function reads from.
    pub(super) async fn find(
        to: Option<&Destination>,
        function: Option<&str>,
        context: &Context,
    ) -> Result<Self, Error> {
        match to {
            Some(Destination::Folder(folder)) => Ok(Self::Folder(folder.clone())),
            Some(Destination::Url(url)) => Ok(Self::Url(Box::new(context.account().await?), url.clone())),
            None => match told(context, function).await? {
                None => Err(AuthorityError::NoAdmissionPlace.into()),
                Some(Told { place: AdmissionPlace::Packaged(file), .. }) => {
                    let place = format!("its package ({})", file.display());
                    Err(AuthorityError::AdmissionElsewhere { place }.into())
                }
                Some(Told { place: AdmissionPlace::Published(url @ ListUrl::Https(_)), .. }) => {
                    Err(AuthorityError::AdmissionElsewhere { place: url.to_string() }.into())
                }
                Some(Told { place: AdmissionPlace::Published(url), account, .. }) => {
                    Ok(Self::Url(Box::new(account), url))
                }
            },
        }
    }

    /// The list's file or URL.
    pub(super) fn location(&self) -> String {
        match self {
            Self::Folder(folder) => folder.join(FILE).display().to_string(),
            Self::Url(_, url) => format!("{url}/{FILE}"),
        }
    }

    /// The list that is there.
    pub(super) async fn published(&self) -> Result<Option<Published>, Error> {
        match self {
            Self::Folder(folder) => {
                let bytes = durable_files::read_up_to(&folder.join(FILE), MAX_SIZE).map_err(Error::Named)?;
                Ok(bytes.map(|bytes| Published { bytes, version: None }))
            }
            Self::Url(account, url) => Ok(account_admission::fetch(account, url).await?),
        }
    }
}

impl Told {
    /// The list that the function reads; `None` where it is in the package, or there is none.
    pub(super) async fn published(&self) -> Result<Option<Published>, Error> {
        match &self.place {
            AdmissionPlace::Packaged(_) => Ok(None),
            AdmissionPlace::Published(url) => Ok(account_admission::fetch(&self.account, url).await?),
        }
    }

    /// The list's file or URL.
    pub(super) fn location(&self) -> String {
        match &self.place {
            AdmissionPlace::Packaged(file) => file.display().to_string(),
            AdmissionPlace::Published(url) => format!("{url}/{FILE}"),
        }
    }
}

/// Refuses a folder of the home.
pub(super) fn check(folder: &Path, context: &Context) -> Result<(), Error> {
    Ok(context.home.check_output(&folder.join(FILE))?)
}
