//! Which version of the function there is: the account runs one, the package brings one, and what ran before is kept.
//!
//! AWS Lambda knows of the code its SHA-256 alone. So the end of the function's description says which version this is.

use serde::Serialize;

use super::package::Package;

/// Description of a function that has none.
pub(super) const DESCRIPTION: &str =
    "Registers boards that a registered CA has signed, when they first connect";
/// Begins what the description says about the code: ` (jitr VERSION, SHA-256 BASE64)`.
const MARK: &str = " (jitr ";
/// Between version and SHA-256.
const SHA256: &str = ", SHA-256 ";
/// Longest description, in characters (AWS Lambda API, `CreateFunction`).
const LONGEST: usize = 256;

/// Versions of the function.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Versions {
    /// The version that the account runs, as it was found; `None` where there is none, or where it is not known.
    #[serde(rename = "function_version")]
    pub runs: Option<String>,
    /// The version in the package; `None` without a package, or where it is not known.
    #[serde(rename = "package_version")]
    pub brings: Option<String>,
    /// The code and the configuration that ran before, as a published version of the function: `NAME:NUMBER`.
    pub kept_as: Option<String>,
}

impl Versions {
    /// How code that differs from the package differs.
    pub(super) fn difference(&self) -> String {
        match (&self.runs, &self.brings) {
            (Some(runs), Some(brings)) if runs == brings => format!("code is another build of jitr {runs}"),
            (Some(runs), Some(brings)) => format!("code is jitr {runs}, should be jitr {brings}"),
            (Some(runs), None) => format!("code is jitr {runs}, and differs from the package"),
            (None, Some(brings)) => format!("code differs from the package, which is jitr {brings}"),
            (None, None) => "code differs from the package".to_owned(),
        }
    }

    /// What is to be said about a function whose code stays.
    pub(super) fn remark(&self) -> Option<String> {
        let runs = self.runs.as_ref()?;
        Some(match self.brings.is_none() && runs != jitr::version::VERSION {
            true => format!("jitr {runs}, and this program is {}", jitr::version::VERSION),
            false => format!("jitr {runs}"),
        })
    }
}

/// The version of code with this SHA-256 (base64), as a description says it. What it says of other code is not believed: the code was
/// changed without it.
pub(super) fn read(description: &str, sha256: &str) -> Option<String> {
    let (version, of) = description.rsplit_once(MARK)?.1.strip_suffix(')')?.split_once(SHA256)?;
    (of == sha256).then(|| version.to_owned())
}

/// A description that says the version of the package, and otherwise what it has said. `None` where the version is not known.
pub(super) fn write(description: &str, package: &Package) -> Option<String> {
    let mark = format!("{MARK}{}{SHA256}{})", package.version.as_ref()?, package.sha256);
    let text = description.rsplit_once(MARK).map_or(description, |(text, _)| text);
    let fits = !text.is_empty() && text.chars().count() + mark.len() <= LONGEST;
    Some(format!("{}{mark}", if fits { text } else { DESCRIPTION }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::package::tests::{package, package_of};

    #[test]
    fn a_description_tells_the_version_of_its_code_alone() {
        let new = package_of("1.2.3");
        for before in
            ["", "Ours (since May)", &write("Ours", &package_of("1.0.0")).unwrap(), &"x".repeat(256)]
        {
            let description = write(before, &new).unwrap();
            assert!(description.len() <= LONGEST && description.matches(MARK).count() == 1, "{description}");
            assert_eq!(read(&description, &new.sha256).as_deref(), Some("1.2.3"), "{description}");
            assert_eq!(read(&description, "other code"), None);
        }
        assert!(
            write("Ours (since May)", &new).unwrap().starts_with("Ours (since May) (jitr 1.2.3, SHA-256 ")
        );
        assert_eq!(write("Ours", &package()), None);
        for without in ["", "Ours", "Ours (jitr 1.2.3)", "Ours (jitr 1.2.3, SHA-256 "] {
            assert_eq!(read(without, &new.sha256), None, "{without}");
        }
    }
}
