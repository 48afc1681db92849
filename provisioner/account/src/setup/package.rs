//! The function's package: a zip with one executable, `bootstrap`. Its ELF file says for which processor it is, which program
//! loads it, which version of the C library it needs, and which version of the function it is.

use std::fmt;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use aws_sdk_lambda::types::{Architecture, Runtime};
use aws_smithy_types::base64;
use object::LittleEndian;
use object::elf::{EM_AARCH64, EM_X86_64, FileHeader64};
use object::read::StringTable;
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader, SectionTable};
use zip::ZipArchive;

use super::Error as SetupError;

/// What Lambda runs in the `provided` runtimes.
const BOOTSTRAP: &str = "bootstrap";
/// Largest package that can be sent directly, in bytes (Lambda quotas: 50 MB zipped).
const LARGEST: u64 = 50 * 1024 * 1024;
/// Largest `bootstrap`, in bytes (Lambda quotas: 250 MB unzipped).
const LARGEST_UNZIPPED: u64 = 250 * 1024 * 1024;
/// Where the GNU loader is: on x86-64, and on arm64.
const LOADERS: [&str; 2] = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"];

/// A file that is not a package Lambda can run.
#[derive(Debug, thiserror::Error)]
#[error("{} is not a Lambda package: {reason}", path.display())]
pub struct Error {
    path: PathBuf,
    reason: Reason,
}

#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error("it cannot be read ({0})")]
    Unreadable(std::io::Error),
    #[error("it is larger than 50 MB")]
    TooLarge,
    #[error("it is not a zip file ({0})")]
    Zip(zip::result::ZipError),
    #[error("there is no file `bootstrap` at its top")]
    NoBootstrap,
    #[error("`bootstrap` is not marked as executable")]
    NotExecutable,
    #[error("`bootstrap` is not a 64-bit Linux program")]
    NotElf,
    #[error("`bootstrap` is built for a processor that Lambda does not have (ELF machine {0})")]
    Machine(u16),
    #[error("`bootstrap` is damaged ({0})")]
    Damaged(object::read::Error),
    #[error("`bootstrap` is loaded by {0}, which the runtimes of Lambda do not have")]
    Loader(String),
}

/// A version of the GNU C library, such as 2.34.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Glibc(u16, u16);

impl fmt::Display for Glibc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl Glibc {
    /// Reads the name of a symbol version: `GLIBC_2.34`, `GLIBC_2.2.5`.
    fn parse(version: &str) -> Option<Self> {
        let mut numbers = version.strip_prefix("GLIBC_")?.split('.').map(str::parse);
        Some(Self(numbers.next()?.ok()?, numbers.next()?.ok()?))
    }

    /// What a runtime has: that of its Amazon Linux (Amazon Linux 2023 User Guide, "Comparing AL2 and AL2023").
    fn of_runtime(runtime: &Runtime) -> Option<Self> {
        match runtime {
            Runtime::Providedal2 => Some(Self(2, 26)),
            Runtime::Providedal2023 => Some(Self(2, 34)),
            _ => None,
        }
    }
}

/// A package that has been checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Package {
    path: PathBuf,
    pub(crate) bytes: Vec<u8>,
    pub(crate) architecture: Architecture,
    /// The newest version of the C library that it needs; `None` for a static program.
    glibc: Option<Glibc>,
    /// SHA-256 in base64, as Lambda's `CodeSha256`.
    pub(crate) sha256: String,
    /// Version of the function; `None` if its program does not say it.
    pub(crate) version: Option<String>,
}

impl fmt::Debug for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Package({} bytes, {}, {})", self.bytes.len(), self.architecture, self.sha256)
    }
}

impl Package {
    /// Reads and checks the package at `path`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = match durable_files::read_up_to(path, LARGEST as usize + 1) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(Reason::Unreadable(durable_files::Error::missing(path).into())),
            Err(durable_files::Error::TooLong { .. }) => Err(Reason::TooLarge),
            Err(error) => Err(Reason::Unreadable(error.into())),
        };
        bytes
            .and_then(|bytes| Self::check(path, bytes))
            .map_err(|reason| Error { path: path.to_owned(), reason })
    }

    /// Where it is from.
    pub(super) fn origin(&self) -> String {
        format!("from {}", self.path.display())
    }

    fn check(path: &Path, bytes: Vec<u8>) -> Result<Self, Reason> {
        if bytes.len() as u64 > LARGEST {
            return Err(Reason::TooLarge);
        }
        let mut archive = ZipArchive::new(Cursor::new(&bytes)).map_err(Reason::Zip)?;
        let mut bootstrap = archive.by_name(BOOTSTRAP).map_err(|_| Reason::NoBootstrap)?;
        // Packages made on Windows carry no mode; Lambda takes those.
        if bootstrap.unix_mode().is_some_and(|mode| mode & 0o111 == 0) {
            return Err(Reason::NotExecutable);
        }
        let mut program = Vec::new();
        let read = bootstrap.by_ref().take(LARGEST_UNZIPPED).read_to_end(&mut program);
        read.map_err(|error| Reason::Zip(error.into()))?;
        drop(bootstrap);
        let Examined { architecture, glibc, version } = examine(&program)?;
        let sha256 = base64::encode(digest::digest(&digest::SHA256, &bytes).as_ref());
        Ok(Self { path: path.to_owned(), bytes, architecture, glibc, sha256, version })
    }

    /// Refuses a program that the runtime's C library is too old for.
    pub(super) fn check_runs_on(&self, runtime: &Runtime) -> Result<(), SetupError> {
        match (self.glibc, Glibc::of_runtime(runtime)) {
            (Some(needed), Some(available)) if needed > available => {
                Err(SetupError::Glibc { needed, runtime: runtime.to_string(), available })
            }
            _ => Ok(()),
        }
    }
}

/// What a program says of itself.
struct Examined {
    architecture: Architecture,
    glibc: Option<Glibc>,
    version: Option<String>,
}

/// The processor that a program is for, the newest version of the C library that it needs, and the function's version among its
/// constants (System V ABI, "ELF Header", "Special Sections"; Linux Standard Base, "Symbol Versioning": `SHT_GNU_verneed`).
fn examine(program: &[u8]) -> Result<Examined, Reason> {
    let file = FileHeader64::<LittleEndian>::parse(program).map_err(|_| Reason::NotElf)?;
    let endian = file.endian().map_err(|_| Reason::NotElf)?;
    let architecture = match file.e_machine(endian) {
        EM_X86_64 => Architecture::X8664,
        EM_AARCH64 => Architecture::Arm64,
        other => return Err(Reason::Machine(other.0)),
    };
    for segment in file.program_headers(endian, program).map_err(Reason::Damaged)? {
        if let Some(loader) = segment.interpreter(endian, program).map_err(Reason::Damaged)? {
            let loader = String::from_utf8_lossy(loader).into_owned();
            if !LOADERS.contains(&loader.as_str()) {
                return Err(Reason::Loader(loader));
            }
        }
    }
    let sections = file.sections(endian, program).map_err(Reason::Damaged)?;
    let glibc = newest_glibc(&sections, endian, program).map_err(Reason::Damaged)?;
    let constants = match sections.section_by_name(endian, b".rodata") {
        Some((_, constants)) => constants.data(endian, program).map_err(Reason::Damaged)?,
        None => &[],
    };
    let version = jitr::version::find(constants).map(str::to_owned);
    Ok(Examined { architecture, glibc, version })
}

fn newest_glibc(
    sections: &SectionTable<'_, FileHeader64<LittleEndian>>,
    endian: LittleEndian,
    program: &[u8],
) -> Result<Option<Glibc>, object::read::Error> {
    let Some((libraries, names)) = sections.gnu_verneed(endian, program)? else { return Ok(None) };
    let names: StringTable<'_> = sections.strings(endian, program, names)?;
    let mut newest = None;
    for library in libraries {
        for version in library?.1 {
            let name = version?.name(endian, names)?;
            newest = newest.max(std::str::from_utf8(name).ok().and_then(Glibc::parse));
        }
    }
    Ok(newest)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::io::Write;
    use zip::write::SimpleFileOptions;

    fn elf(machine: u16) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(18, 0);
        bytes.extend(machine.to_le_bytes());
        bytes.resize(64, 0);
        bytes
    }

    fn zipped(name: &str, mode: u32, content: &[u8]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        writer.start_file(name, SimpleFileOptions::default().unix_permissions(mode)).unwrap();
        writer.write_all(content).unwrap();
        writer.finish().unwrap().into_inner()
    }

    fn check(bytes: Vec<u8>) -> Result<Package, Reason> {
        Package::check(Path::new("new.zip"), bytes)
    }

    /// A package for x86-64 that passes every check.
    pub(crate) fn package() -> Package {
        check(zipped(BOOTSTRAP, 0o755, &elf(62))).unwrap()
    }

    /// Such a package of a version of the function, which the beginning of its SHA-256 names, too.
    pub(crate) fn package_of(version: &str) -> Package {
        Package { version: Some(version.to_owned()), sha256: format!("{version}="), ..package() }
    }

    #[test]
    fn the_architecture_is_read_from_the_executable() {
        assert_eq!(package().architecture, Architecture::X8664);
        let arm = check(zipped(BOOTSTRAP, 0o755, &elf(183))).unwrap();
        assert_eq!(arm.architecture, Architecture::Arm64);
    }

    #[test]
    fn the_digest_is_the_one_lambda_reports() {
        // SHA-256 of nothing, in base64.
        let empty = digest::digest(&digest::SHA256, b"");
        assert_eq!(base64::encode(empty.as_ref()), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }

    #[test]
    fn files_that_lambda_could_not_run_are_refused_with_the_reason() {
        let cases = [
            (b"not a zip".to_vec(), "not a zip file"),
            (zipped("bin/bootstrap", 0o755, &elf(62)), "no file `bootstrap`"),
            (zipped(BOOTSTRAP, 0o644, &elf(62)), "executable"),
            (zipped(BOOTSTRAP, 0o755, b"#!/bin/sh"), "not a 64-bit Linux program"),
            (zipped(BOOTSTRAP, 0o755, b"#!/bin/sh\nexec python3 handler.py\n"), "not a 64-bit Linux program"),
            (zipped(BOOTSTRAP, 0o755, &elf(243)), "ELF machine 243"),
        ];
        for (bytes, reason) in cases {
            let error = check(bytes).unwrap_err().to_string();
            assert!(error.contains(reason), "{reason}: {error}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Package::read(Path::new("/nowhere/bootstrap.zip")).unwrap_err().to_string();
        assert!(
            error.starts_with("/nowhere/bootstrap.zip is not a Lambda package: it cannot be read"),
            "{error}"
        );
    }
}
