//! Files and folders that cannot be read or written.

use super::Text;

pub(super) fn files(error: &durable_files::Error) -> Text {
    use durable_files::Error as E;
    match error {
        E::Io { .. } => {
            "check that the folder exists, belongs to you and has free space (--home DIR chooses another home folder)"
                .into()
        }
        E::Exposed { path, .. } => format!("close it with: chmod 600 {}", path.display()).into(),
        E::Symlink { .. } => "replace the link with a folder, or choose another home with --home DIR".into(),
        E::Busy { .. } => "wait until it has finished, or choose another home with --home DIR".into(),
    }
}
