//! A file of lines that several processes append to: locked, synced, and never left with a part of a line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Take, Write};
use std::path::{Path, PathBuf};

use crate::file::Access;
use crate::place::{For, Place};
use crate::{Error, lock, share, source};

/// No line is longer, in bytes.
const LONGEST: u64 = 64 * 1024;
/// No log is longer, in bytes: some million lines.
const LIMIT: usize = 1 << 30;

/// What becomes of a part of a line that a crash left at the end of a file.
#[derive(Clone, Copy, Debug)]
pub enum Torn {
    /// The next line replaces it: no result was shown for it. A line that only lacks its end, as this function says, is kept: an
    /// editor may have taken the end away.
    Cut(fn(&[u8]) -> bool),
    /// It stays as a line of its own, which readers count as damaged.
    Keep,
}

/// A file of lines that only grows.
#[derive(Clone, Debug)]
pub struct Log {
    path: PathBuf,
    access: Access,
    torn: Torn,
}

/// A [`Log`] that this run alone appends to, until it is dropped.
#[derive(Debug)]
pub struct Held {
    log: Log,
    file: File,
}

/// The lines of a [`Log`], each without its end. Of a line that is longer than any is written, only the beginning is given.
#[derive(Debug)]
pub struct Lines {
    path: PathBuf,
    reader: Option<BufReader<Take<File>>>,
}

impl Iterator for Lines {
    type Item = Result<Vec<u8>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let reader = self.reader.as_mut()?;
        let mut line = Vec::new();
        let read = reader.by_ref().take(LONGEST).read_until(b'\n', &mut line).and_then(|_| {
            if line.len() as u64 == LONGEST && !line.ends_with(b"\n") {
                reader.skip_until(b'\n')?;
            }
            Ok(())
        });
        if let Err(error) = read {
            self.reader = None;
            return Some(Err(Error::io("read", &self.path, error)));
        }
        if line.is_empty() {
            return None;
        }
        line.pop_if(|byte| *byte == b'\n');
        Some(Ok(line))
    }
}

impl Log {
    /// The log at `path`; the file is made with the first line, readable as `access` says.
    pub fn new(path: impl Into<PathBuf>, access: Access, torn: Torn) -> Self {
        Self { path: path.into(), access, torn }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds the line that `make` builds, having seen the last whole one. It is on the disk before `then` is called; the file
    /// is locked until `then` has returned.
    ///
    /// # Errors
    /// [`Error::Io`] for every failure, `make` and `then` included: with [`Torn::Cut`] the file is then as it was.
    pub fn append(
        &self,
        make: impl FnOnce(Option<&[u8]>) -> io::Result<Vec<u8>>,
        then: impl FnOnce(&[u8]) -> io::Result<()>,
    ) -> Result<(), Error> {
        let append = || {
            let mut file = self.open()?;
            lock::wait(&file, &self.path, lock::PATIENCE, File::try_lock)?;
            let written = self.add(&mut file, make, then);
            // Closing the file releases the lock.
            drop(file);
            written
        };
        append().map_err(|e| Error::io("write", &self.path, e))
    }

    /// Takes the log for this run alone. Waits for a process that writes one line, and for no other.
    ///
    /// # Errors
    /// [`Error::Busy`] while another run has it; [`Error::Io`].
    pub fn hold(self) -> Result<Held, Error> {
        let fail = |e| Error::io("open", &self.path, e);
        let file = self.open().map_err(fail)?;
        match lock::wait(&file, &self.path, lock::MOMENT, File::try_lock) {
            Ok(()) => Ok(Held { file, log: self }),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Err(Error::Busy { path: self.path }),
            Err(e) => Err(fail(e)),
        }
    }

    /// The whole lines of the file, with [`Torn::Keep`] also what is left of the last one; nothing where there is no file.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn read(&self) -> Result<Vec<u8>, Error> {
        self.read_apart().map(|(lines, _)| lines)
    }

    /// The lines that [`Log::read`] gives, one after the other, without their ends. They are those of now; the file is not locked while
    /// they are read, for what was written does not change. Nothing where there is no file.
    ///
    /// # Errors
    /// [`Error::Io`], also of each line.
    pub fn lines(&self) -> Result<Lines, Error> {
        let open = || {
            let opened =
                Place::of(&self.path).and_then(|(folder, name)| folder.open_file(&name, For::Reading));
            let mut file = match opened {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            };
            lock::wait(&file, &self.path, lock::PATIENCE, File::try_lock_shared)?;
            let mut length = file.metadata()?.len();
            if let Torn::Cut(is_whole) = self.torn {
                let tail = tail(&mut file)?;
                let rest = &tail[after_line_end(&tail)..];
                length -= if is_whole(rest) { 0 } else { rest.len() as u64 };
            }
            file.unlock()?;
            file.rewind()?;
            Ok(Some(BufReader::new(file.take(length))))
        };
        let reader = open().map_err(|e| Error::io("read", &self.path, e))?;
        Ok(Lines { path: self.path.clone(), reader })
    }

    /// As [`Log::read`], and the size of what the next line replaces, in bytes.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn read_apart(&self) -> Result<(Vec<u8>, usize), Error> {
        let read = || {
            let opened =
                Place::of(&self.path).and_then(|(folder, name)| folder.open_file(&name, For::Reading));
            let mut file = match opened {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
                Err(error) => return Err(error),
            };
            lock::wait(&file, &self.path, lock::PATIENCE, File::try_lock_shared)?;
            let mut text = self.to_end(&mut file)?;
            let end = after_line_end(&text);
            let torn = match self.torn {
                Torn::Cut(is_whole) if !is_whole(&text[end..]) => text.len() - end,
                _ => 0,
            };
            text.truncate(text.len() - torn);
            Ok((text, torn))
        };
        read().map_err(|e| Error::io("read", &self.path, e))
    }

    /// Opens the file, or makes it: its name is on the disk before its first line is.
    fn open(&self) -> io::Result<File> {
        let (folder, name) = Place::of(&self.path)?;
        let (file, is_new) = folder.open_or_create(&name, self.access)?;
        if is_new {
            folder.sync()?;
        }
        Ok(file)
    }

    fn to_end(&self, file: &mut File) -> io::Result<Vec<u8>> {
        let mut text = source::to_end(file, &self.path, LIMIT, source::PATIENCE)?;
        Ok(std::mem::take(&mut *text))
    }

    /// Adds a line to the open file, which the caller has locked.
    fn add(
        &self,
        file: &mut File,
        make: impl FnOnce(Option<&[u8]>) -> io::Result<Vec<u8>>,
        then: impl FnOnce(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let tail = tail(file)?;
        let (lines, rest) = tail.split_at(after_line_end(&tail));
        let mut last = lines.strip_suffix(b"\n").map(|lines| &lines[after_line_end(lines)..]);
        let (mut end, mut before) = (file.metadata()?.len(), &b""[..]);
        match self.torn {
            _ if rest.is_empty() => {}
            Torn::Keep => before = b"\n",
            Torn::Cut(is_whole) if is_whole(rest) => (before, last) = (b"\n", Some(rest)),
            Torn::Cut(_) => {
                end -= rest.len() as u64;
                file.set_len(end)?;
            }
        }
        let line = make(last)?;
        // One write for the whole line, so that a kill leaves a line or a beginning of one.
        let written = file.write_all(&[before, &line, b"\n"].concat());
        let written = written.and_then(|()| share::sync(file, &self.path));
        let written = written.and_then(|()| then(&line));
        if written.is_err() && matches!(self.torn, Torn::Cut(_)) {
            // If this fails as well, what is there is cut off by the next run, or counts as one line too many.
            let _ = file.set_len(end).and_then(|()| share::sync(file, &self.path));
        }
        written
    }
}

impl Held {
    /// Every byte of the file.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn read(&mut self) -> Result<Vec<u8>, Error> {
        let read = self.file.rewind().and_then(|()| self.log.to_end(&mut self.file));
        read.map_err(|e| Error::io("read", &self.log.path, e))
    }

    /// Adds a line. When this returns, it is on the disk.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn append(&mut self, line: Vec<u8>) -> Result<(), Error> {
        let added = self.log.add(&mut self.file, |_| Ok(line), |_| Ok(()));
        added.map_err(|e| Error::io("write", &self.log.path, e))
    }
}

/// The lines of what was read, without their ends.
pub fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\n").unwrap_or(line))
}

/// Enough of the end to hold the last whole line and what a crash may have left behind it.
fn tail(file: &mut File) -> io::Result<Vec<u8>> {
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(2 * LONGEST)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn after_line_end(text: &[u8]) -> usize {
    text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)
}
