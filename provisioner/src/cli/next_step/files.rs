//! Files and folders that cannot be read or written.

use std::io::ErrorKind;

use super::Text;

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
        E::TooLong { .. } => "name the file that is meant: none of this use is that long".into(),
        E::Endless { .. } => "check that the program at the other end of the pipe writes, and ends".into(),
        E::Busy { .. } => "wait until it has finished, or choose another home with --home DIR".into(),
    }
}

fn is_full(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}
