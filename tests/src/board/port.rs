//! The pseudo terminal that stands in for the board's serial port.
//!
//! Programs open and close the port one after another, so the board keeps the far side open itself; otherwise a hang-up would
//! end it. That hides what a serial driver does at the last close, so it is done here: unread bytes are discarded, and an
//! exclusive mode left behind by a program that was killed is lifted.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, QueueSelector, ioctl_tiocnxcl, tcflush, tcgetattr, tcsetattr};

/// The board's end of the pseudo terminal. Dropping it is unplugging: programs that have it open get a hang-up.
pub(super) struct Port {
    board: File,
    host: OwnedFd,
    path: PathBuf,
    watch: watch::Watch,
}

impl Port {
    /// Opens a new pseudo terminal in raw mode.
    pub(super) fn open() -> io::Result<Self> {
        let board = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        // Not inherited by the programs a test starts: they would keep an unplugged port open.
        fcntl_setfd(&board, FdFlags::CLOEXEC)?;
        grantpt(&board)?;
        unlockpt(&board)?;
        fcntl_setfl(&board, OFlags::RDWR | OFlags::NONBLOCK)?;
        let path = PathBuf::from(
            ptsname(&board, Vec::new())?
                .into_string()
                .map_err(|e| io::Error::new(ErrorKind::InvalidData, e))?,
        );
        let host = rustix::fs::open(
            &path,
            OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
            rustix::fs::Mode::empty(),
        )?;
        // Without raw mode the terminal would echo what the board says, back to the board.
        let mut settings = tcgetattr(&host)?;
        settings.make_raw();
        // The speed of a kit's debugger until a program sets another one.
        settings.set_speed(9600)?;
        tcsetattr(&host, OptionalActions::Now, &settings)?;
        let watch = watch::Watch::new(&path)?;
        Ok(Self { board: board.into(), host, path, watch })
    }

    /// The path that programs open.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The speed that the last program has set, in baud.
    pub(super) fn speed(&self) -> io::Result<u32> {
        Ok(tcgetattr(&self.host)?.output_speed())
    }

    /// What to wait on: bytes from the host, and programs that open or close the port.
    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(self.board.as_fd()).chain(self.watch.fd())
    }

    /// Takes notice of programs that opened or closed the port.
    pub(super) fn notice(&mut self) -> io::Result<()> {
        if self.watch.notice()? {
            tcflush(&self.host, QueueSelector::IFlush)?;
            if self.watch.users == 0 {
                ioctl_tiocnxcl(&self.host)?;
            }
        }
        Ok(())
    }

    /// Reads what the host has written; 0 when there is nothing.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.board.read(buffer) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
            result => result,
        }
    }

    /// Gives bytes to the host. There is no flow control: what is not read is lost.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.watch.users == 0 {
            return Ok(());
        }
        match self.board.write_all(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            result => result,
        }
    }
}

/// Counting the programs that have the port open: inotify reports when a file is opened and closed.
#[cfg(target_os = "linux")]
mod watch {
    use std::io;
    use std::mem::MaybeUninit;
    use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
    use std::path::Path;

    use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
    use rustix::io::Errno;

    pub(super) struct Watch {
        inotify: OwnedFd,
        port: i32,
        /// Programs that have the port open now.
        pub(super) users: usize,
    }

    impl Watch {
        pub(super) fn new(path: &Path) -> io::Result<Self> {
            let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
            let events = WatchFlags::OPEN | WatchFlags::CLOSE_WRITE | WatchFlags::CLOSE_NOWRITE;
            let port = inotify::add_watch(&inotify, path, events)?;
            // The kernel merges an event with an equal one right before it, and two programs would count as one. With the
            // folder watched too, each event of the port comes after one of the folder, so no two are neighbours.
            if let Some(folder) = path.parent() {
                inotify::add_watch(&inotify, folder, events)?;
            }
            Ok(Self { inotify, port, users: 0 })
        }

        pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
            Some(self.inotify.as_fd())
        }

        /// Brings the count up to date; true if the last user has gone, even if another came since.
        pub(super) fn notice(&mut self) -> io::Result<bool> {
            let mut buffer = [MaybeUninit::uninit(); 1024];
            let mut events = inotify::Reader::new(&self.inotify, &mut buffer);
            let mut last_closed = false;
            loop {
                match events.next() {
                    Ok(event) if event.wd() != self.port => {}
                    Ok(event) if event.events().contains(ReadFlags::OPEN) => self.users += 1,
                    Ok(event)
                        if event.events().intersects(ReadFlags::CLOSE_WRITE | ReadFlags::CLOSE_NOWRITE) =>
                    {
                        self.users = self.users.saturating_sub(1);
                        last_closed |= self.users == 0;
                    }
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(Errno::WOULDBLOCK) => return Ok(last_closed),
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
}

/// Elsewhere the port counts as always open.
#[cfg(not(target_os = "linux"))]
mod watch {
    use std::io;
    use std::os::fd::BorrowedFd;
    use std::path::Path;

    pub(super) struct Watch {
        pub(super) users: usize,
    }

    impl Watch {
        pub(super) fn new(_: &Path) -> io::Result<Self> {
            Ok(Self { users: 1 })
        }

        pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
            None
        }

        pub(super) fn notice(&mut self) -> io::Result<bool> {
            Ok(false)
        }
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use serialport::SerialPort;

    use super::*;

    fn open(port: &Port) -> serialport::TTYPort {
        serialport::new(port.path().to_str().unwrap(), 115_200).open_native().unwrap()
    }

    #[test]
    fn what_one_program_leaves_unread_the_next_does_not_get() {
        let mut port = Port::open().unwrap();
        let first = open(&port);
        port.notice().unwrap();
        port.write(b"for the first").unwrap();
        // The kernel hands bytes over in its own time.
        while first.bytes_to_read().unwrap() < 13 {
            std::thread::yield_now();
        }
        drop(first);
        port.notice().unwrap();
        port.write(b"for nobody").unwrap();
        assert_eq!(open(&port).bytes_to_read().unwrap(), 0);
    }

    #[test]
    fn what_a_program_wrote_before_it_closed_arrives() {
        let mut port = Port::open().unwrap();
        open(&port).write_all(b"MC+RESET\r\n").unwrap();
        port.notice().unwrap();
        let mut buffer = [0; 16];
        let mut count = 0;
        while count < 10 {
            count += port.read(&mut buffer[count..]).unwrap();
        }
        assert_eq!(buffer[..count], *b"MC+RESET\r\n");
    }

    #[test]
    fn programs_are_counted_even_when_they_come_at_once() {
        let mut port = Port::open().unwrap();
        let first = open(&port);
        let second = serialport::new(port.path().to_str().unwrap(), 115_200).open_native();
        assert!(second.is_err());
        port.notice().unwrap();
        assert_eq!(port.watch.users, 1);
        drop(first);
        port.notice().unwrap();
        assert_eq!(port.watch.users, 0);
    }

    #[test]
    fn exclusive_mode_left_behind_is_lifted_with_the_last_program() {
        let mut port = Port::open().unwrap();
        let killed =
            rustix::fs::open(port.path(), OFlags::RDWR | OFlags::NOCTTY, rustix::fs::Mode::empty()).unwrap();
        rustix::termios::ioctl_tiocexcl(&killed).unwrap();
        drop(killed);
        port.notice().unwrap();
        if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
            println!("root opens a port in exclusive mode too, so this shows something to other users only");
        }
        open(&port);
    }
}
