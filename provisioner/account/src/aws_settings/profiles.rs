//! The profiles of `~/.aws/config` and `~/.aws/credentials`.
//!
//! The SDK knows profiles whose names have letters, digits and `_-/.%@:+`. The AWS CLI knows any name, with quotes around one
//! that has spaces. So the SDK gets the files with the other characters written as `%` and two hex digits.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use aws_config::profile::{Profile, ProfileSet};
use aws_runtime::env_config::file::{EnvConfigFileKind as Kind, EnvConfigFiles};
use aws_types::os_shim_internal::{Env, Fs};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::Error;

/// What the name of a profile for the SDK has not.
const FOREIGN: AsciiSet = NON_ALPHANUMERIC
    .remove(b'_')
    .remove(b'-')
    .remove(b'/')
    .remove(b'.')
    .remove(b'%')
    .remove(b'@')
    .remove(b':')
    .remove(b'+');

const DEFAULT: &str = "default";

/// One of the two files.
#[derive(Clone, Debug)]
struct File {
    kind: Kind,
    path: PathBuf,
    /// As the SDK gets it; empty if there is no such file.
    text: String,
}

/// The profiles, and which of them is meant.
#[derive(Clone, Debug)]
pub(super) struct Profiles {
    files: [File; 2],
    set: ProfileSet,
    /// The profile that a flag or the environment names.
    chosen: Option<String>,
    /// The variable of the environment that names it.
    setting: Option<&'static str>,
}

impl Profiles {
    /// Reads both files. The profile is `flag`, or that of the environment.
    ///
    /// # Errors
    /// [`Error::ProfileFile`], [`Error::ProfileNotFound`].
    pub(super) async fn read(flag: Option<&str>) -> Result<Self, Error> {
        let of_environment = || {
            let names = ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"].into_iter();
            { names }.find_map(|setting| Some((std::env::var(setting).ok()?, Some(setting))))
        };
        let chosen = flag.map(|name| (name.to_owned(), None)).or_else(of_environment);
        let chosen = chosen.filter(|(name, _)| !name.trim().is_empty());
        let (chosen, setting) = chosen.map_or((None, None), |(name, setting)| (Some(name), setting));
        let files = [
            File::read(Kind::Config, "AWS_CONFIG_FILE", "config")?,
            File::read(Kind::Credentials, "AWS_SHARED_CREDENTIALS_FILE", "credentials")?,
        ];
        for file in &files {
            file.check().await?;
        }
        let name = encoded(chosen.as_deref().unwrap_or(DEFAULT)).into_owned();
        let set = parsed(&sdk_files(&files), &name).await;
        let set = set.map_err(|reason| Error::ProfileFile { path: files[0].path.clone(), reason })?;
        let profiles = Self { files, set, chosen, setting };
        match &profiles.chosen {
            Some(name) if profiles.get(name).is_none() => Err(profiles.not_found(name)),
            _ => Ok(profiles),
        }
    }

    fn not_found(&self, name: &str) -> Error {
        let known: BTreeSet<_> = self.set.profiles().map(decoded).collect();
        Error::ProfileNotFound {
            name: name.to_owned(),
            setting: self.setting,
            files: self.paths_of(name).into(),
            known: known.into_iter().collect(),
            // The SDK and the AWS CLI leave such a section out.
            without_prefix: self.files[0].has_section(name) && !name.starts_with("profile "),
        }
    }

    /// The files, for the SDK.
    pub(super) fn files(&self) -> EnvConfigFiles {
        sdk_files(&self.files)
    }

    /// The files that the profile is in, or both if it is in none, as a user would write them.
    pub(super) fn paths_of(&self, name: &str) -> String {
        let has_it: Vec<_> = self.files.iter().filter(|file| file.has_profile(name)).collect();
        let files = if has_it.is_empty() { self.files.iter().collect() } else { has_it };
        files.iter().map(|file| shown(&file.path)).collect::<Vec<_>>().join(" and ")
    }

    /// The profile that a flag or the environment names.
    pub(super) fn chosen(&self) -> Option<&str> {
        self.chosen.as_deref()
    }

    /// The name of the profile in use, for the SDK.
    pub(super) fn selected(&self) -> String {
        self.encoded(self.chosen.as_deref().unwrap_or(DEFAULT))
    }

    /// The name of a profile, for the SDK.
    pub(super) fn encoded(&self, name: &str) -> String {
        encoded(name).into_owned()
    }

    /// A profile by its name.
    pub(super) fn get(&self, name: &str) -> Option<&Profile> {
        self.set.get_profile(&encoded(name))
    }

    /// Whether there is a section `[sso-session …]` of this name.
    pub(super) fn has_session(&self, name: &str) -> bool {
        self.set.sso_session(name).is_some()
    }

    /// A setting of the profile in use.
    pub(super) fn value(&self, key: &str) -> Option<&str> {
        self.get(self.chosen.as_deref().unwrap_or(DEFAULT))?.get(key).filter(|value| !value.trim().is_empty())
    }
}

impl File {
    fn read(kind: Kind, variable: &str, name: &str) -> Result<Self, Error> {
        let home = std::env::home_dir().unwrap_or_default();
        let path = match std::env::var_os(variable).map(PathBuf::from) {
            Some(path) => match path.strip_prefix("~") {
                Ok(rest) => home.join(rest),
                Err(_) => path,
            },
            None => home.join(".aws").join(name),
        };
        let refuse = |reason: String| Error::ProfileFile { path: path.clone(), reason };
        let bytes = durable_files::read(&path).map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            refuse(cause.unwrap_or_else(|| error.to_string()))
        })?;
        let bytes = bytes.unwrap_or_default();
        if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
            return Err(refuse("it is UTF-16 text, and UTF-8 is expected".to_owned()));
        }
        let text = String::from_utf8(bytes).map_err(|_| refuse("it is not UTF-8 text".to_owned()))?;
        let text = for_sdk(text.trim_start_matches('\u{feff}'), kind);
        Ok(Self { kind, path, text })
    }

    /// Whether the SDK understands it.
    async fn check(&self) -> Result<(), Error> {
        let alone = EnvConfigFiles::builder().with_contents(self.kind, self.text.as_str()).build();
        let read = parsed(&alone, DEFAULT).await.map(drop);
        read.map_err(|reason| Error::ProfileFile { path: self.path.clone(), reason })
    }

    /// Whether the SDK finds the profile in it.
    fn has_profile(&self, name: &str) -> bool {
        let (name, prefixed) = (encoded(name), format!("profile {}", encoded(name)));
        let mut sections = self.text.lines().filter_map(section).map(|(_, inside, _)| inside.trim());
        match self.kind {
            Kind::Credentials => sections.any(|inside| inside == name),
            _ => sections.any(|inside| inside == prefixed || inside == name && name == DEFAULT),
        }
    }

    /// Whether it has a section of this name and nothing before the name.
    fn has_section(&self, name: &str) -> bool {
        self.text.lines().filter_map(section).any(|(_, inside, _)| inside.trim() == name)
    }
}

fn sdk_files(files: &[File; 2]) -> EnvConfigFiles {
    let add = |builder: aws_runtime::env_config::file::Builder, file: &File| {
        builder.with_contents(file.kind, file.text.as_str())
    };
    files.iter().fold(EnvConfigFiles::builder(), add).build()
}

async fn parsed(files: &EnvConfigFiles, name: &str) -> Result<ProfileSet, String> {
    let profile = Some(Cow::Owned(name.to_owned()));
    aws_config::profile::load(&Fs::real(), &Env::real(), files, profile).await.map_err(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        let said = cause.unwrap_or_else(|| error.to_string());
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        // It names no file, because the SDK did not open one.
        said.strip_prefix("error parsing on ").map(str::to_owned).unwrap_or(said)
    })
}

/// A path as a user would write it.
fn shown(path: &Path) -> String {
    let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    match home.and_then(|home| path.strip_prefix(home).ok().map(Path::to_owned)) {
        Some(rest) => format!("~/{}", rest.display()),
        None => path.display().to_string(),
    }
}

fn encoded(name: &str) -> Cow<'_, str> {
    utf8_percent_encode(name, &FOREIGN).into()
}

fn decoded(name: &str) -> String {
    percent_decode_str(name).decode_utf8_lossy().into_owned()
}

/// What is before the name of a section, the name, and what is after it.
fn section(line: &str) -> Option<(&str, &str, &str)> {
    let (inside, after) = line.strip_prefix('[')?.split_once(']')?;
    Some(("[", inside, after))
}

/// The text of a file with names of profiles that the SDK takes. Lines stay lines.
///
/// The AWS CLI takes sections and settings with white space before them; a line that is further in than the setting before it
/// belongs to that one.
fn for_sdk(text: &str, kind: Kind) -> String {
    let mut setting_at = None;
    let lines = text.lines().map(|line| {
        let flush = line.trim_start_matches([' ', '\t']);
        let indent = line.len() - flush.len();
        if flush.is_empty() || flush.starts_with(['#', ';']) {
            return line.to_owned();
        }
        if let Some((_, inside, after)) = section(flush) {
            setting_at = None;
            return header(flush, inside, after, kind);
        }
        if setting_at.is_some_and(|setting| indent > setting) {
            return line.to_owned();
        }
        setting_at = Some(indent);
        setting(flush)
    });
    lines.fold(String::new(), |text, line| text + &line + "\n")
}

fn header(line: &str, inside: &str, after: &str, kind: Kind) -> String {
    match (kind, inside.trim().split_once([' ', '\t'])) {
        (Kind::Credentials, _) => format!("[{}]{after}", encoded(inside.trim())),
        (_, Some(("profile", name))) => format!("[profile {}]{after}", encoded(unquoted(name.trim()))),
        _ => line.to_owned(),
    }
}

fn setting(line: &str) -> String {
    match line.split_once('=') {
        Some((key, value)) if key.trim_end() == "source_profile" => {
            let value = [" #", " ;", "\t#", "\t;"]
                .iter()
                .fold(value, |value, comment| value.split_once(comment).map_or(value, |(value, _)| value));
            format!("{key}= {}", encoded(value.trim()))
        }
        _ => line.to_owned(),
    }
}

/// The text between quotes, if it is in quotes.
fn unquoted(text: &str) -> &str {
    let between = |quote| text.strip_prefix(quote).and_then(|text: &str| text.strip_suffix(quote));
    between('"').or_else(|| between('\'')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sdk_gets_names_that_it_takes_and_every_other_line_as_it_is() {
        let config = "[default]\r\nregion = us-east-1\n[profile plain]\n[profile \"two words\"] # the line\n\
             role_arn = arn:aws:iam::1:role/a b\nsource_profile = Büro # note\n[profile 'x y']\n[sso-session my corp]\n\
             [services a]\nkms =\n  endpoint_url = http://[::1]:1\n";
        assert_eq!(
            for_sdk(config, Kind::Config),
            "[default]\nregion = us-east-1\n[profile plain]\n[profile two%20words] # the line\n\
             role_arn = arn:aws:iam::1:role/a b\nsource_profile = B%C3%BCro\n[profile x%20y]\n[sso-session my corp]\n\
             [services a]\nkms =\n  endpoint_url = http://[::1]:1\n"
        );
        assert_eq!(
            for_sdk("  [default]\n\tregion = a\n\toutput = json\n\ts3 =\n\t  max = 1\nx = y\n", Kind::Config),
            "[default]\nregion = a\noutput = json\ns3 =\n\t  max = 1\nx = y\n"
        );
        assert_eq!(
            for_sdk("[two words]\naws_access_key_id=a=b", Kind::Credentials),
            "[two%20words]\naws_access_key_id=a=b\n"
        );
        assert_eq!(decoded(&encoded("Büro \"1\"")), "Büro \"1\"");
    }
}
