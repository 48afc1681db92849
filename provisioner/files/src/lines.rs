//! A file of lines that several processes append to: locked, synced, and never left with a part of a line.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::home;

/// No line is longer, in bytes: names in certificates are limited.
const LONGEST: u64 = 64 * 1024;

/// Adds the line that `make` builds, having seen the last one. It is on the disk before `then` is called; the file is
/// locked until `then` has returned. The file is made for its owner alone, and no link is followed.
///
/// # Errors
/// Whatever fails, `make` and `then` included: the file is then as it was.
pub(crate) fn append(
    path: &Path,
    make: impl FnOnce(Option<&[u8]>) -> io::Result<Vec<u8>>,
    then: impl FnOnce(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let new = !path.exists();
    let mut file = open(path)?;
    home::wait_for(&file, path)?;
    let tail = tail(&mut file)?;
    // Nobody was told of what a crash left of a line.
    let torn = tail.len() - whole(&tail).len();
    let end = file.metadata()?.len() - torn as u64;
    if torn > 0 {
        file.set_len(end)?;
    }
    let line = make(whole(&tail).strip_suffix(b"\n").map(last))?;
    let written = file.write_all(&[&line[..], b"\n"].concat()).and_then(|()| file.sync_all());
    let written = written.and_then(|()| if new { home::sync_folder(home::folder_of(path)) } else { Ok(()) });
    let written = written.and_then(|()| then(&line));
    if written.is_err() {
        // If this fails as well, what is there is cut off by the next run, or counts as one line too many.
        let _ = file.set_len(end).and_then(|()| file.sync_all());
    }
    written
}

/// The whole lines of a file; nothing where there is no file.
///
/// # Errors
/// Whatever the operating system says.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    file.lock_shared()?;
    file.read_to_end(&mut text)?;
    text.truncate(whole(&text).len());
    Ok(text)
}

/// The lines of what [`read`] gave, without their ends.
pub(crate) fn split(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\n").unwrap_or(line))
}

fn open(path: &Path) -> io::Result<File> {
    if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_symlink()) {
        return Err(io::Error::other("it is a symbolic link"));
    }
    let mut options = File::options();
    options.create(true).read(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Enough of the end to hold the last whole line and what a crash may have left behind it.
fn tail(file: &mut File) -> io::Result<Vec<u8>> {
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(2 * LONGEST)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn whole(text: &[u8]) -> &[u8] {
    &text[..after_line_end(text)]
}

fn last(text: &[u8]) -> &[u8] {
    &text[after_line_end(text)..]
}

fn after_line_end(text: &[u8]) -> usize {
    text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)
}
