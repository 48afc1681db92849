//! Reading to the end: no more bytes than there may be, and no longer than a user would wait.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::{Error, Kind};

/// How long the end of a pipe may take. A passphrase may have to be typed on its other side.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Every byte of an open file or pipe. Bytes that come do not make the time longer.
///
/// # Errors
/// [`Error::TooLong`], [`Error::Endless`], [`Error::NotAFile`] for a folder; what the operating system says.
pub(crate) fn to_end(
    file: &mut File,
    path: &Path,
    limit: usize,
    patience: Duration,
) -> io::Result<Zeroizing<Vec<u8>>> {
    let found = file.metadata()?;
    let kind = Kind::from(found.file_type());
    if kind == Kind::Folder {
        return Err(crate::place::refused(path.to_owned(), kind));
    }
    let too_long = || io::Error::other(Error::TooLong { path: path.to_owned(), limit });
    if kind == Kind::File && found.len() > limit as u64 {
        return Err(too_long());
    }
    let deadline = Instant::now() + patience;
    // Room for the whole file, and one byte more so that its end is seen: a buffer that grows leaves copies of secrets.
    let room = if kind == Kind::File { (found.len() as usize + 1).max(4096) } else { 64 * 1024 };
    let mut bytes = Zeroizing::new(vec![0; room.min(limit + 1)]);
    let mut length = 0;
    loop {
        if length == bytes.len() {
            if length > limit {
                return Err(too_long());
            }
            let mut larger = Zeroizing::new(vec![0; (2 * length).min(limit + 1)]);
            larger[..length].copy_from_slice(&bytes);
            bytes = larger;
        }
        if kind != Kind::File && !is_ready(file, deadline)? {
            return Err(io::Error::other(Error::Endless { path: path.to_owned(), patience }));
        }
        match file.read(&mut bytes[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

/// Waits until there is something to read, or the end; `false` after the deadline.
#[cfg(unix)]
fn is_ready(file: &File, deadline: Instant) -> io::Result<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(file, PollFlags::IN)], Some(&left)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(not(unix))]
fn is_ready(_: &File, deadline: Instant) -> io::Result<bool> {
    Ok(Instant::now() < deadline)
}

/// Opens what a user has named: links are followed, and nothing is waited for.
pub(crate) fn open_named(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    {
        let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags.bits() as i32);
    }
    options.open(path)
}
