//! The home folder and what is in it.

use super::{Text, files, pki};

pub(super) fn state(error: &crate::state::Error) -> Text {
    use crate::state::Error as E;
    match error {
        E::File(error) => files::files(error),
        E::Pki(error) => pki::pki(error),
        E::NoHome => "name the folder with --home DIR or MICROCHIP_IOT_HOME".into(),
        E::Own { .. } => "name a file or folder outside of the home folder; nothing was written".into(),
        E::FolderTaken { .. } => "put the board aside: its secure element has the serial number of another one. If its key was replaced, move the old folder out of the home folder".into(),
        E::ExposedKeys { keys } => {
            let files: Vec<_> = keys.iter().map(|key| format!("'{}'", key.path.display())).collect();
            format!("run the same command with --yes, which closes them, or: chmod 600 {}", files.join(" ")).into()
        }
        E::Missing { .. } => "make one with: provisioner ca create".into(),
        E::Incomplete { .. } => {
            "put the files back, or make a new CA in another folder: provisioner --home DIR ca create".into()
        }
        E::KeyUri { .. } => "one line says where the key is, such as file:/media/usb/root-ca.key".into(),
        E::RootOffline { .. } => {
            "bring it back and say where it is: --root-key file:/media/usb/root-ca.key".into()
        }
        E::SignerRevoked { .. } => "make the next one with: provisioner ca rotate".into(),
        E::Rotating { .. } => {
            "wait for it; if it was interrupted, finish it with: provisioner ca rotate (or ca create)".into()
        }
        E::NoAuthority { known, .. } => format!(
            "these exist: {}; the first eight digits are enough, and `current` is the one in use",
            known.join(", ")
        )
        .into(),
        E::Admission { .. } => {
            "put the file back from a copy: without a line, a board could be left out, or one that was removed be let in again".into()
        }
        E::Revocations { .. } => {
            "put the file back from a copy: without a line, a revoked device could connect again".into()
        }
    }
}
