//! Files and folders that cannot be read or written.

use std::io::ErrorKind;

use super::Text;

/// Of one that is named on the command line.
pub(super) fn named(error: &durable_files::Error) -> Text {
    use durable_files::Error as E;
    match error {
        E::Io { path, action: "write", source } if source.kind() == ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(path);
            format!("make the folder {} first, or name another one", folder.display()).into()
        }
        E::Io { source, .. } if source.kind() == ErrorKind::NotFound => {
            "check the name; it counts from the folder that you are in".into()
        }
        E::Io { source, .. } if source.kind() == ErrorKind::IsADirectory => {
            "name a file, and not a folder".into()
        }
        E::Io { source, .. } if source.kind() == ErrorKind::PermissionDenied => {
            "name a file or folder that you have the permission for, or have its owner give it to you".into()
        }
        E::Io { source, .. } if is_full(source.kind()) => files(error),
        E::Io { .. } => "check the file, or name another one".into(),
        E::NotAFolder { .. } => "name a folder where one is meant: a part of the path is a file".into(),
        E::Symlink { .. } => "name what the link leads to".into(),
        E::Busy { .. } => "wait until the other run has finished".into(),
        E::Unprotected { .. } => "name a folder on a disk of this computer".into(),
        E::Exposed { .. } | E::NotAFile { .. } | E::TooLong { .. } | E::Endless { .. } => files(error),
    }
}

/// Of one of the home folder, or of another place that the program has chosen.
pub(super) fn files(error: &durable_files::Error) -> Text {
    use durable_files::Error as E;
    match error {
        E::Io { source, .. } if is_full(source.kind()) => {
            "free space on the disk, then run it again: what is done is kept".into()
        }
        E::Io { source, .. } if source.kind() == ErrorKind::ReadOnlyFilesystem => {
            "make the file system writable, or choose another home folder with --home DIR".into()
        }
        E::Io { .. } => {
            "check that the folder exists, belongs to you and has free space (--home DIR chooses another home folder)"
                .into()
        }
        E::Exposed { path, .. } => format!("close it with: chmod 600 {}", path.display()).into(),
        E::Unprotected { .. } => {
            "encrypt key files with --encrypt, keep keys in a token or in AWS KMS, or choose a folder on a disk of this \
             computer with --home DIR"
                .into()
        }
        E::Symlink { .. } => {
            "replace the link with what it leads to: in this folder no link is followed (--home DIR chooses another home)"
                .into()
        }
        E::NotAFile { .. } => "name a regular file, or put one in its place".into(),
        E::NotAFolder { .. } => {
            "choose a folder as the home with --home DIR (or MICROCHIP_IOT_HOME), or move away what is in its place".into()
        }
        E::TooLong { .. } => "name the file that is meant: none of this use is that long".into(),
        E::Endless { .. } => "check that the program at the other end of the pipe writes, and ends".into(),
        E::Busy { .. } => "wait until it has finished, or choose another home with --home DIR".into(),
    }
}

fn is_full(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}
