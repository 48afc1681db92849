//! Where the certificates are: files, folders, lists, and stdin.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::state::board::FACTORY_CERTIFICATE;
use crate::state::certificates;
use crate::state::home::{Home, SANDBOX_CERTIFICATE, SANDBOX_SIGNER};
use crate::state::store::VERIFICATION_CERTIFICATE;
use device_pki::Certificate;
use device_pki::certificate::Malformed;
use durable_files::Kind;
use durable_files::folder::{self, Entry};
use iot_account::Outcome;
use iot_account::register::{Candidate, Row};

/// File names in a folder that can be certificates.
const EXTENSIONS: [&str; 4] = ["crt", "pem", "cer", "der"];
/// A folder this deep below the one that was named holds no certificates.
const DEEPEST: usize = 8;
/// No file with a certificate is longer, in bytes.
const LARGEST: usize = 1 << 20;
/// Files of a home folder whose certificates are no devices of the account: the proof of the signer CA's key, which is no CA's
/// either, and the factory certificates of boards in the vendor's account, those of iotprovision included.
const NO_DEVICES: [&str; 4] =
    [VERIFICATION_CERTIFICATE, FACTORY_CERTIFICATE, SANDBOX_CERTIFICATE, SANDBOX_SIGNER];
const STDIN: &str = "-";
const PEM: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// The certificates, each once, and a row for each file that has none.
///
/// # Errors
/// A folder or a list that cannot be read.
pub(super) fn collect(
    files: &[PathBuf],
    folders: &[PathBuf],
    lists: &[PathBuf],
    home: &Home,
) -> Result<(Vec<Candidate>, Vec<Row>), durable_files::Error> {
    // The certificates that boards have are in their folders. Those that they had before are kept.
    let kept = home.file(certificates::FOLDER);
    let mut found = Found::default();
    for file in files {
        if file.as_os_str() == STDIN {
            let bytes = durable_files::read_stdin()?;
            if find(&bytes, PEM).is_some() {
                found.bundle("stdin", &bytes);
            } else {
                listed(&bytes, Path::new("")).for_each(|file| found.file(&file, true));
            }
        } else {
            found.file(file, true);
        }
    }
    for folder in folders {
        let inside = walk(folder, 0, &kept)?;
        inside.iter().for_each(|entry| found.entry(entry));
    }
    for list in lists {
        let bytes = durable_files::read(list)?.ok_or_else(|| durable_files::Error::missing(list))?;
        let folder = list.parent().unwrap_or(Path::new(""));
        listed(&bytes, folder).for_each(|file| found.file(&file, true));
    }
    Ok((found.candidates, found.unusable))
}

/// The names in a list, relative ones from the folder of the list; empty lines and those with # are left out.
fn listed(bytes: &[u8], folder: &Path) -> impl Iterator<Item = PathBuf> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let names: Vec<_> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| folder.join(line))
        .collect();
    names.into_iter()
}

/// What can be a certificate in a folder and the folders in it, and every link.
fn walk(folder: &Path, depth: usize, kept: &Path) -> Result<Vec<Entry>, durable_files::Error> {
    let mut inside = Vec::new();
    for entry in folder::entries(folder)?.ok_or_else(|| durable_files::Error::missing(folder))? {
        let extension = entry.path.extension().and_then(|extension| extension.to_str());
        let is_certificate = extension
            .is_some_and(|extension| EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension)))
            && !entry.path.file_name().is_some_and(|name| NO_DEVICES.iter().any(|other| name == *other));
        match entry.kind {
            Kind::Folder if depth < DEEPEST && !is_same(&entry.path, kept) => {
                inside.extend(walk(&entry.path, depth + 1, kept)?);
            }
            Kind::Folder => {}
            // It may be a folder's.
            Kind::Link => inside.push(entry),
            _ if is_certificate => inside.push(entry),
            _ => {}
        }
    }
    Ok(inside)
}

fn is_same(one: &Path, other: &Path) -> bool {
    one.file_name() == other.file_name()
        && std::fs::canonicalize(one)
            .is_ok_and(|one| std::fs::canonicalize(other).is_ok_and(|other| one == other))
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}

#[derive(Default)]
struct Found {
    candidates: Vec<Candidate>,
    unusable: Vec<Row>,
    seen: HashSet<String>,
}

impl Found {
    /// What was found in a folder: files are read, links are not followed, and nothing else is opened.
    fn entry(&mut self, entry: &Entry) {
        match entry.kind {
            Kind::File => self.file(&entry.path, false),
            kind => self.refuse(entry.path.display().to_string(), format!("is {kind} and is not opened")),
        }
    }

    /// The first certificate in a file. One that was found in a folder and not named is left out if it is a CA's or none.
    fn file(&mut self, path: &Path, named: bool) {
        let source = path.display().to_string();
        let read = match named {
            true => durable_files::read_up_to(path, LARGEST),
            false => durable_files::read_found(path, LARGEST),
        };
        let bytes = match read.and_then(|bytes| bytes.ok_or_else(|| durable_files::Error::missing(path))) {
            Ok(bytes) => bytes,
            Err(durable_files::Error::Io { source: error, .. }) => {
                return self.refuse(source, format!("cannot be read: {error}"));
            }
            // No certificate, and nobody has called it one.
            Err(durable_files::Error::TooLong { .. }) if !named => return,
            Err(error) => return self.refuse(source, error.to_string()),
        };
        let certificate = match Certificate::from_pem(&bytes) {
            Err(Malformed::Pem) => Certificate::from_der(&bytes),
            read => read,
        };
        match certificate {
            Ok(certificate) if certificate.is_ca() && !named => {}
            Ok(certificate) => self.add(source, certificate),
            Err(_) if !named && find(&bytes, PEM).is_none() => {}
            Err(error) => self.refuse(source, error.to_string()),
        }
    }

    /// Every certificate of a PEM bundle.
    fn bundle(&mut self, source: &str, bytes: &[u8]) {
        let mut rest = bytes;
        for number in 1.. {
            let Some(start) = find(rest, PEM) else { return };
            let next =
                find(&rest[start + PEM.len()..], PEM).map_or(rest.len(), |end| start + PEM.len() + end);
            let source = format!("{source}:{number}");
            match Certificate::from_pem(&rest[start..next]) {
                Ok(certificate) => self.add(source, certificate),
                Err(error) => self.refuse(source, error.to_string()),
            }
            rest = &rest[next..];
        }
    }

    fn add(&mut self, source: String, certificate: Certificate) {
        if certificate.is_ca() {
            return self.refuse(source, "is the certificate of a CA".to_owned());
        }
        if self.seen.insert(certificate.facts().certificate_id.clone()) {
            self.candidates.push(Candidate { source, certificate });
        }
    }

    fn refuse(&mut self, source: String, error: String) {
        let (outcome, error) = (Outcome::Refused, Some(error));
        self.unusable.push(Row { source, certificate_id: None, thing_name: None, outcome, error });
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn pem(name: &str) -> String {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()
    }

    fn ca() -> String {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()
    }

    #[test]
    fn a_folder_gives_its_device_certificates_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let board = folder.path().join("MCHP1");
        fs::create_dir(&board).unwrap();
        fs::write(board.join("device.crt"), pem("a")).unwrap();
        fs::write(board.join("device.csr"), "not looked at").unwrap();
        let kept = folder.path().join("certificates/aa");
        fs::create_dir_all(&kept).unwrap();
        fs::write(kept.join("older.crt"), pem("older")).unwrap();
        fs::write(folder.path().join("signer-ca.crt"), ca()).unwrap();
        fs::write(folder.path().join(VERIFICATION_CERTIFICATE), pem("registration code")).unwrap();
        fs::write(board.join(SANDBOX_CERTIFICATE), pem("sn0123")).unwrap();
        fs::write(board.join(SANDBOX_SIGNER), ca()).unwrap();
        fs::write(folder.path().join("key.pem"), "-----BEGIN PRIVATE KEY-----").unwrap();
        fs::write(
            folder.path().join("damaged.crt"),
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        )
        .unwrap();
        let (candidates, unusable) =
            collect(&[], &[folder.path().to_owned()], &[], &Home::at(folder.path())).unwrap();
        assert_eq!(candidates.len(), 1);
        assert!(candidates[0].source.ends_with("MCHP1/device.crt"));
        assert_eq!(unusable.len(), 1, "{unusable:?}");
        assert!(unusable[0].source.ends_with("damaged.crt"));
    }

    #[test]
    fn a_list_names_files_beside_it_and_each_certificate_counts_once() {
        let folder = tempfile::tempdir().unwrap();
        let certificate = pem("a");
        fs::write(folder.path().join("a.crt"), &certificate).unwrap();
        fs::write(folder.path().join("copy.crt"), &certificate).unwrap();
        let list = folder.path().join("list.txt");
        fs::write(&list, "# boards\n\na.crt\n copy.crt \nmissing.crt\n").unwrap();
        let (candidates, unusable) = collect(&[], &[], &[list], &Home::at(folder.path())).unwrap();
        assert_eq!(candidates.len(), 1);
        assert!(unusable[0].error.as_ref().unwrap().starts_with("cannot be read"), "{unusable:?}");
    }

    #[test]
    fn a_bundle_gives_every_certificate_and_names_what_cannot_be_one() {
        let mut found = Found::default();
        let text = format!(
            "{}{}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n{}",
            pem("a"),
            ca(),
            pem("b")
        );
        found.bundle("stdin", text.as_bytes());
        let sources: Vec<_> = found.candidates.iter().map(|candidate| candidate.source.as_str()).collect();
        assert_eq!(sources, ["stdin:1", "stdin:4"]);
        let reasons: Vec<_> = found.unusable.iter().map(|row| row.source.as_str()).collect();
        assert_eq!(reasons, ["stdin:2", "stdin:3"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_and_special_files_in_a_folder_get_a_line_each_and_are_not_followed_or_opened() {
        use std::os::unix::fs::symlink;
        let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = |name: &str| folder.path().join(name);
        let home = Home::at(outside.path().join("home"));
        fs::write(path("a.crt"), pem("a")).unwrap();
        fs::write(outside.path().join("b.crt"), pem("b")).unwrap();
        symlink(outside.path().join("b.crt"), path("b.crt")).unwrap();
        symlink(outside.path(), path("elsewhere")).unwrap();
        // Followed, they would lead to thousands of folders.
        for name in ["loop1", "loop2", "loop3", "loop4"] {
            symlink(folder.path(), path(name)).unwrap();
        }
        symlink("/dev/zero", path("zero.pem")).unwrap();
        // Opened, it would wait for somebody who writes.
        let made = std::process::Command::new("mkfifo").arg(path("pipe.crt")).status();
        assert!(made.unwrap().success());
        fs::File::create(path("huge.der")).unwrap().set_len(1 << 40).unwrap();
        let (candidates, unusable) = collect(&[], &[folder.path().to_owned()], &[], &home).unwrap();
        assert_eq!(candidates.len(), 1);
        let told: Vec<_> = unusable
            .iter()
            .map(|row| {
                let source = row.source.strip_prefix(&format!("{}/", folder.path().display())).unwrap();
                format!("{source} {}", row.error.as_deref().unwrap())
            })
            .collect();
        let link = |name: &str| format!("{name} is a symbolic link and is not opened");
        let mut expected: Vec<_> =
            ["b.crt", "elsewhere", "loop1", "loop2", "loop3", "loop4", "zero.pem"].map(link).into();
        expected.push("pipe.crt is a pipe and is not opened".to_owned());
        expected.sort();
        assert_eq!(told, expected);
        // One that is named is followed.
        assert_eq!(collect(&[path("b.crt")], &[], &[], &home).unwrap().0.len(), 1);
        let (_, named) = collect(&[path("zero.pem")], &[], &[], &home).unwrap();
        assert!(named[0].error.as_ref().unwrap().contains("has more than"), "{named:?}");
    }
}
