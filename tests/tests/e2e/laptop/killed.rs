//! Runs of the provisioner that are killed at every change of a file, one after the other. inotify reports the changes.

use std::process::Child;

use super::{KILLED, Laptop, Outcome};

/// Kills runs at the first, the second, … change of a file, until one runs to its end; gives how they ended.
pub(crate) fn killed_at_changes(
    mut laptop: impl FnMut() -> Laptop,
    (arguments, environment): (&[&str], &[(&str, &str)]),
    mut after: impl FnMut(&Laptop),
) -> Vec<Outcome> {
    let mut killed = Vec::new();
    for nth in 1.. {
        let laptop = laptop();
        let changes = Changes::of(&laptop);
        let mut run = laptop.start(arguments, environment);
        let all = changes.wait_for(nth, &mut run);
        run.kill().unwrap();
        let outcome = laptop.outcome(arguments, run.wait_with_output().unwrap());
        after(&laptop);
        if !all {
            assert_eq!(outcome.code, 0, "{outcome}");
            break;
        }
        // The last changes may be seen only when the run is at its end.
        if outcome.code == KILLED {
            killed.push(outcome);
        }
    }
    killed
}

/// Changes of files in a laptop's folder and the folders below it, as inotify reports them.
struct Changes(std::os::fd::OwnedFd);

impl Changes {
    fn of(laptop: &Laptop) -> Self {
        use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
        let inotify = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
        let flags = WatchFlags::CREATE | WatchFlags::MODIFY | WatchFlags::ATTRIB | WatchFlags::MOVE;
        let mut folders = vec![laptop.folder()];
        while let Some(folder) = folders.pop() {
            let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
            folders.extend(entries.filter(|path| path.is_dir()));
            add_watch(&inotify, folder, flags).unwrap();
        }
        Self(inotify)
    }

    /// Returns at the `nth` change, or with `false` when the run has ended before.
    fn wait_for(&self, nth: usize, run: &mut Child) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        use rustix::io::retry_on_intr;
        let mut buffer = [std::mem::MaybeUninit::uninit(); 1024];
        let mut events = rustix::fs::inotify::Reader::new(&self.0, &mut buffer);
        let mut seen = 0;
        loop {
            let ended = run.try_wait().unwrap().is_some();
            while events.next().is_ok() {
                seen += 1;
                if seen >= nth {
                    return true;
                }
            }
            if ended {
                return false;
            }
            let wait = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
            // Other tests' processes end meanwhile, and their signals interrupt the waiting.
            retry_on_intr(|| poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&wait))).unwrap();
        }
    }
}
