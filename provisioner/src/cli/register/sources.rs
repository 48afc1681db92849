//! Where the certificates are: files, folders, lists, and stdin.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::cli::certificate_file::is_of_chain;
use crate::cli::{list, next_step};
use crate::state::board::{CERTIFICATE, VENDOR_CERTIFICATES, is_companion};
use crate::state::home::{Home, is_own};
use crate::state::store::SIGNER_CERTIFICATE;
use device_pki::certificate::{Malformed, rfc3339};
use device_pki::reader::{self, Kind};
use device_pki::{Certificate, visible};
use durable_files::Kind as FileKind;
use durable_files::folder::{self, Entry};
use iot_account::counted;
use iot_account::register::{Candidate, Row};
use time::OffsetDateTime;

/// Folders this deep below the one that was named are not looked into.
const DEEPEST: usize = 8;
/// No file with certificates is longer, in bytes.
const LARGEST: usize = 1 << 20;
const STDIN: &str = "-";
/// So many certificates past their end are named one by one.
const NAMED: usize = 3;

const CA: &str = "is the certificate of a CA (CA:TRUE)";
const CA_CURE: &str = "a device's certificate says CA:FALSE or nothing. `openssl req -x509` makes CA:TRUE unless it is told \
    otherwise: -addext basicConstraints=critical,CA:FALSE. A signer CA is registered with `provisioner setup`";
const MISSING_CURE: &str = "give its path from the folder that you are in, or name a folder with --dir. Names in a list are \
    read from the folder of the list";

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    /// The certificates, each once.
    pub(super) candidates: Vec<Candidate>,
    /// A row for each file, or part of a file, that gave none.
    pub(super) unusable: Vec<Row>,
    /// A row for each file with a certificate that another one has.
    pub(super) duplicates: Vec<Row>,
    /// What helps, and for how many of them.
    cures: BTreeMap<String, usize>,
    /// Where each certificate was found first, by its id.
    pub(super) seen: BTreeMap<String, String>,
}

/// Certificates that are not valid now.
#[derive(Default)]
pub(super) struct Outside {
    certificates: usize,
    /// Some of them, and when they begin or have ended.
    named: Vec<String>,
}

impl Outside {
    /// Counts a certificate, if it is not valid at `now`.
    pub(super) fn look_at(&mut self, Candidate { source, certificate, .. }: &Candidate, now: OffsetDateTime) {
        if certificate.is_valid_at(now) {
            return;
        }
        self.certificates += 1;
        if self.named.len() < NAMED {
            let facts = certificate.facts();
            self.named.push(match facts.not_after < now {
                true => format!("{} ended on {}", visible::line(source), rfc3339(facts.not_after)),
                false => format!("{} begins on {}", visible::line(source), rfc3339(facts.not_before)),
            });
        }
    }

    /// What there is to say of them.
    pub(super) fn advice(&self) -> Option<String> {
        let more = match self.certificates - self.named.len() {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        let total = counted(self.certificates, "certificate");
        (self.certificates > 0)
            .then(|| format!("warning: {total} not valid now: {}{more}", self.named.join(", ")))
    }
}

/// Looks for certificates in files, folders and lists.
///
/// # Errors
/// A folder or a list that cannot be read.
pub(super) fn collect(
    files: &[PathBuf],
    folders: &[PathBuf],
    lists: &[PathBuf],
    home: &Home,
) -> Result<Found, durable_files::Error> {
    let mut found = Found::default();
    for file in files {
        if file.as_os_str() == STDIN {
            let bytes = durable_files::read_stdin()?;
            match reader::parts(&bytes).first().map(|part| part.kind) {
                Some(Kind::Text) => found.list("stdin", &bytes, Path::new("")),
                _ => found.content("stdin", &bytes),
            }
        } else {
            found.file(file, true);
        }
    }
    for folder in folders {
        found.folder(folder, 0, home)?;
    }
    for list in lists {
        let bytes = durable_files::read(list)?.ok_or_else(|| durable_files::Error::missing(list))?;
        found.list(&list.display().to_string(), &bytes, list.parent().unwrap_or(Path::new("")));
    }
    Ok(found)
}

/// The files in a list, relative ones from the folder of the list.
fn listed(text: &str, folder: &Path) -> Vec<PathBuf> {
    list::names(text).map(|(_, name)| folder.join(name)).collect()
}

/// What a folder is, as far as its files are known by name.
#[derive(Clone, Copy)]
struct Known {
    /// A home folder, or a copy of one, also of iotprovision's.
    home: bool,
    /// The folder of a board.
    board: bool,
}

impl Known {
    fn of(folder: &Path, home: &Home) -> Self {
        let has = |name: &str| folder.join(name).symlink_metadata().is_ok();
        let is_same = std::fs::canonicalize(folder)
            .is_ok_and(|folder| std::fs::canonicalize(home.root()).is_ok_and(|home| home == folder));
        let board = [CERTIFICATE].iter().chain(&VENDOR_CERTIFICATES).any(|name| has(name));
        Self { home: is_same || has(SIGNER_CERTIFICATE), board }
    }

    /// Whether a file or folder of this name has no device's certificate that is to be registered: those of the home are its CAs'
    /// and earlier ones, and those of the vendor's public account are that account's.
    fn leaves_out(self, name: &str) -> bool {
        self.home && is_own(name)
            || self.board && is_companion(name)
            // Such as `.DS_Store`.
            || name.starts_with('.')
    }
}

impl Found {
    /// What is in a folder and the folders in it. Links are not followed, and nothing but files is opened.
    fn folder(&mut self, folder: &Path, depth: usize, home: &Home) -> Result<(), durable_files::Error> {
        let entries = folder::entries(folder)?.ok_or_else(|| durable_files::Error::missing(folder))?;
        let known = Known::of(folder, home);
        for Entry { path, kind, .. } in entries {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let source = path.display().to_string();
            match kind {
                _ if known.leaves_out(&name) => {}
                FileKind::Folder if depth < DEEPEST => self.folder(&path, depth + 1, home)?,
                FileKind::Folder => {
                    self.refuse(
                        source,
                        format!("is more than {DEEPEST} folders deep and is not looked into"),
                    );
                }
                FileKind::File => self.file(&path, false),
                kind => self.refuse(source, format!("is {kind} and is not opened")),
            }
        }
        Ok(())
    }

    fn list(&mut self, source: &str, bytes: &[u8], folder: &Path) {
        let kind = reader::parts(bytes).first().map(|part| part.kind);
        match kind {
            Some(found @ (Kind::Utf16(_) | Kind::Certificate)) => {
                let error = format!("is {found}, not a list of file names");
                self.refuse(source.to_owned(), error);
                if matches!(found, Kind::Utf16(_)) {
                    self.cure(next_step::no_certificate(found).into_owned());
                }
            }
            _ => {
                let names = listed(&String::from_utf8_lossy(bytes), folder);
                names.iter().for_each(|file| self.file(file, true));
            }
        }
    }

    /// Every certificate in a file; `named`, if it was not found in a folder.
    fn file(&mut self, path: &Path, named: bool) {
        let source = path.display().to_string();
        let read = match named {
            true => durable_files::read_up_to(path, LARGEST),
            false => durable_files::read_found(path, LARGEST),
        };
        match read.and_then(|bytes| bytes.ok_or_else(|| durable_files::Error::missing(path))) {
            Ok(bytes) => self.content(&source, &bytes),
            Err(durable_files::Error::Io { source: error, .. }) => {
                if error.kind() == std::io::ErrorKind::NotFound {
                    self.cure(MISSING_CURE.to_owned());
                }
                self.refuse(source, format!("cannot be read: {error}"));
            }
            Err(error) => self.refuse(source, error.to_string()),
        }
    }

    /// Every certificate in the content of a file. CAs that have signed another one in it are passed over: they are its chain.
    fn content(&mut self, source: &str, bytes: &[u8]) {
        let certificates = match Certificate::read_all(bytes) {
            Ok(certificates) => certificates,
            Err(malformed) => return self.malformed(source.to_owned(), malformed),
        };
        let is_damaged = |kind| matches!(kind, Kind::DamagedCertificate | Kind::CutOff);
        let damaged = reader::parts(bytes).into_iter().filter(|part| is_damaged(part.kind)).count();
        let several = certificates.len() + damaged > 1;
        let numbered = |number: usize| match several {
            true => format!("{source}:{number}"),
            false => source.to_owned(),
        };
        for (index, certificate) in certificates.iter().enumerate() {
            if !is_of_chain(certificate, &certificates) {
                self.add(numbered(index + 1), certificate.clone());
            }
        }
        for number in 0..damaged {
            let found = Kind::DamagedCertificate;
            self.malformed(numbered(certificates.len() + number + 1), Malformed { found });
        }
    }

    fn add(&mut self, source: String, certificate: Certificate) {
        if certificate.is_ca() {
            self.cure(CA_CURE.to_owned());
            return self.refuse(source, CA.to_owned());
        }
        let id = certificate.facts().certificate_id.clone();
        match self.seen.get(&id) {
            // A file may be named twice, and be in a folder that is named.
            Some(first) if *first == source => {}
            Some(first) => self.duplicates.push(Row::duplicate(source, id, first.clone())),
            None => {
                self.seen.insert(id, source.clone());
                self.candidates.push(Candidate { source, certificate, unique_id: None });
            }
        }
    }

    fn malformed(&mut self, source: String, malformed: Malformed) {
        self.cure(next_step::no_certificate(malformed.found).into_owned());
        self.refuse(source, malformed.to_string());
    }

    fn cure(&mut self, cure: String) {
        *self.cures.entry(cure).or_default() += 1;
    }

    fn refuse(&mut self, source: String, error: String) {
        self.unusable.push(Row::refused(source, None, error));
    }

    /// What there is to say of all of them together: each cure once, and which certificates are not valid now.
    pub(super) fn advice(&self, now: OffsetDateTime) -> Vec<String> {
        let mut outside = Outside::default();
        self.candidates.iter().for_each(|candidate| outside.look_at(candidate, now));
        let mut advice: Vec<_> = outside.advice().into_iter().collect();
        advice.extend(
            self.cures.iter().map(|(cure, files)| format!("help for {}: {cure}", counted(*files, "file"))),
        );
        advice
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::state::home::{SANDBOX_CERTIFICATE, SANDBOX_SIGNER};
    use crate::state::store::VERIFICATION_CERTIFICATE;

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
        let Found { candidates, unusable, .. } =
            collect(&[], &[folder.path().to_owned()], &[], &Home::at(folder.path())).unwrap();
        assert_eq!(candidates.len(), 1);
        assert!(candidates[0].source.ends_with("MCHP1/device.crt"));
        let told: Vec<_> = unusable.iter().map(told).collect();
        assert_eq!(
            told,
            [
                "damaged.crt: the certificate in it is damaged",
                "key.pem: it is a private key that is damaged, not a certificate"
            ]
        );
    }

    fn told(row: &Row) -> String {
        let name = Path::new(&row.source).file_name().unwrap().to_string_lossy();
        format!("{name}: {}", row.error.as_deref().unwrap())
    }

    #[test]
    fn a_folder_that_is_no_home_accounts_for_every_file() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().join("elsewhere"));
        for (name, content) in [
            ("a.crt", pem("a").as_bytes()),
            ("no-extension", pem("b").as_bytes()),
            ("ca.crt", ca().as_bytes()),
            ("store.p12", b"\x30\x10\x02\x01\x03\x30\x0B\x06\x09\x2A\x86\x48\x86\xF7\x0D\x01\x07\x01"),
            ("utf16.crt", b"\xFF\xFE-\0"),
            ("manifest.json", br#"[{"payload":"e30","protected":"e30","signature":"AA"}]"#),
            ("readme.txt", b"certificates of the shift"),
            ("empty.pem", b""),
            (".hidden", b""),
        ] {
            fs::write(folder.path().join(name), content).unwrap();
        }
        let found = collect(&[], &[folder.path().to_owned()], &[], &home).unwrap();
        assert_eq!(found.candidates.len(), 2);
        let told: Vec<_> = found.unusable.iter().map(told).collect();
        assert_eq!(
            told,
            [
                "ca.crt: is the certificate of a CA (CA:TRUE)",
                "empty.pem: it is empty",
                "manifest.json: it is a secure-element manifest, not a certificate",
                "readme.txt: it is text without a PEM block, not a certificate",
                "store.p12: it is a PKCS#12 container (.p12, .pfx), not a certificate",
                "utf16.crt: it is text in UTF-16, not a certificate",
            ]
        );
    }

    #[test]
    fn many_files_of_one_kind_have_a_line_each_and_the_cure_once() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..30 {
            fs::write(folder.path().join(format!("{number}.crt")), ca()).unwrap();
        }
        let found = collect(&[], &[folder.path().to_owned()], &[], &Home::at("home")).unwrap();
        assert_eq!((found.candidates.len(), found.unusable.len()), (0, 30));
        let advice = found.advice(OffsetDateTime::now_utc());
        assert_eq!(advice.len(), 1);
        assert!(advice[0].starts_with("help for 30 files: ") && advice[0].contains("CA:FALSE"), "{advice:?}");
    }

    #[test]
    fn certificates_that_are_not_valid_now_are_told_together() {
        let mut found = Found::default();
        for number in 0..5 {
            found.content(&format!("{number}.crt"), pem("a").as_bytes());
        }
        assert!(found.advice(OffsetDateTime::now_utc()).is_empty());
        let early = found.advice(OffsetDateTime::UNIX_EPOCH);
        let late = found.advice(time::macros::datetime!(9999-01-01 0:00 UTC));
        assert!(
            early[0].contains("5 certificates not valid now: 0.crt begins on ")
                && early[0].ends_with("and 2 more"),
            "{early:?}"
        );
        assert!(late[0].contains("0.crt ended on "), "{late:?}");
    }

    #[test]
    fn names_in_a_list_may_have_a_byte_order_mark_and_quotes() {
        let text = "\u{FEFF}\"a b.crt\"\r\n'c.crt'\r\n# comment\n\nd\"e.crt\n";
        assert_eq!(listed(text, Path::new("x")), ["x/a b.crt", "x/c.crt", "x/d\"e.crt"].map(PathBuf::from));
    }

    #[test]
    fn a_list_names_files_beside_it_and_each_certificate_counts_once() {
        let folder = tempfile::tempdir().unwrap();
        let certificate = pem("a");
        fs::write(folder.path().join("a.crt"), &certificate).unwrap();
        fs::write(folder.path().join("copy.crt"), &certificate).unwrap();
        let list = folder.path().join("list.txt");
        fs::write(&list, "# boards\n\na.crt\n copy.crt \nmissing.crt\n").unwrap();
        let Found { candidates, unusable, duplicates, .. } =
            collect(&[folder.path().join("a.crt")], &[], &[list], &Home::at(folder.path())).unwrap();
        assert_eq!(candidates.len(), 1);
        assert_eq!(duplicates.len(), 1);
        assert!(duplicates[0].source.ends_with("copy.crt"));
        assert_eq!(duplicates[0].same_as.as_ref(), Some(&candidates[0].source));
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
        found.content("stdin", text.as_bytes());
        let sources: Vec<_> = found.candidates.iter().map(|candidate| candidate.source.as_str()).collect();
        assert_eq!(sources, ["stdin:1", "stdin:3"]);
        let reasons: Vec<_> = found.unusable.iter().map(|row| row.source.as_str()).collect();
        assert_eq!(reasons, ["stdin:2", "stdin:4"]);
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
        let Found { candidates, unusable, .. } =
            collect(&[], &[folder.path().to_owned()], &[], &home).unwrap();
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
        let huge = path("huge.der").display().to_string();
        expected.push(format!("huge.der {huge} has more than 1048576 bytes"));
        expected.sort();
        assert_eq!(told, expected);
        // One that is named is followed.
        assert_eq!(collect(&[path("b.crt")], &[], &[], &home).unwrap().candidates.len(), 1);
        let named = collect(&[path("zero.pem")], &[], &[], &home).unwrap().unusable;
        assert!(named[0].error.as_ref().unwrap().contains("has more than"), "{named:?}");
    }
}
