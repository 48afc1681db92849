//! Files and folders that cannot be read or written.

use super::Text;
use crate::home;

pub(super) fn files(error: &home::Error) -> Text {
    use home::Error as E;
    match error {
        E::NoHome => "name the folder with --home DIR or MICROCHIP_IOT_HOME".into(),
        E::Io { .. } => {
            "check that the folder exists, is yours and has room; or choose another with --home DIR".into()
        }
        E::Exposed { path, .. } => format!("close it with: chmod 600 {}", path.display()).into(),
        E::Symlink { .. } => "replace the link with a folder, or choose another home with --home DIR".into(),
        E::Busy { .. } => "wait until it has finished, or choose another home with --home DIR".into(),
        E::FolderName { .. } => "serial numbers consist of letters, digits, \"-\", \"_\" and \".\"".into(),
    }
}
