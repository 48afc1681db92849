//! Labels for finished boards: a command that gets the board as JSON, and a picture with thing name and QR code.

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use durable_files::Access;

use super::provision::{Done, Report};
use crate::contract::Line;

mod drawing;
mod png;
mod svg;

use drawing::Drawing;

/// How long a label command has. The board waits for it, and whoever plugs in the next one.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked whether it has ended.
const POLL: Duration = Duration::from_millis(10);
/// How long what an ended command has written is waited for where a process in the background keeps its output open.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How much of what it writes to its standard error is kept, in bytes: its end.
const STDERR: usize = 4096;

/// In which form a label's picture is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Lines and text, sharp at any size.
    #[default]
    Svg,
    /// Black and white dots, 300 to the inch, as label printers have them.
    Png,
}

impl Format {
    fn extension(self) -> &'static str {
        match self {
            Self::Svg => "svg",
            Self::Png => "png",
        }
    }
}

/// What is to be made for each finished board.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    /// A command line for the shell. It gets the board as one JSON object on its standard input.
    pub command: Option<String>,
    /// Folder for pictures, each named by its thing.
    pub folder: Option<PathBuf>,
    /// Their form.
    pub format: Format,
}

/// Why there is no label. The board is done all the same.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command could not be started, or given its input.
    #[error("cannot run the label command")]
    Start {
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The command ended badly.
    #[error("the label command ended with {status}{}", said(stderr))]
    Command {
        /// How it ended.
        status: ExitStatus,
        /// The last line it wrote to its standard error; empty if it wrote none.
        stderr: String,
    },
    /// The command did not end.
    #[error("the label command has not ended within {} s, and was ended", patience.as_secs())]
    Late {
        /// How long it had.
        patience: Duration,
    },
    /// The picture cannot be written.
    #[error("cannot write the label {}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The text is too long for a QR code, which a thing name is not.
    #[error("the thing name does not fit into a QR code")]
    Code,
}

impl Labels {
    /// Makes the label of a finished board. A file that cannot be written does not keep the command from running.
    ///
    /// # Errors
    /// [`Error`]; of the file's where both fail.
    pub fn make(&self, board: &Report) -> Result<(), Error> {
        let file = self.folder.as_ref().map_or(Ok(()), |folder| file(folder, self.format, board));
        let command = self.command.as_ref().map_or(Ok(()), |command| run(command, board, PATIENCE));
        file.and(command)
    }
}

fn file(folder: &Path, format: Format, board: &Report) -> Result<(), Error> {
    let fail = |path: &Path, source| Error::File { path: path.to_owned(), source };
    let drawing = Drawing::of(board).ok_or(Error::Code)?;
    let path = folder.join(format!("{}.{}", board.about.thing_name, format.extension()));
    let bytes = match format {
        Format::Svg => svg::draw(&drawing).into_bytes(),
        Format::Png => png::draw(&drawing).map_err(|error| fail(&path, io::Error::other(error)))?,
    };
    let made = durable_files::folder::create_for_all(folder);
    made.and_then(|()| durable_files::write(&path, &bytes, Access::Public)).map_err(|error| match error {
        durable_files::Error::Io { path, source, .. } => Error::File { path, source },
        refused => fail(&path, refused.into()),
    })
}

fn run(command: &str, board: &Report, patience: Duration) -> Result<(), Error> {
    let start = |source| Error::Start { source };
    let mut json =
        serde_json::to_vec(&Line::new(Done::new(board, None))).map_err(|error| start(error.into()))?;
    json.push(b'\n');
    let mut shell = shell(command);
    for (name, _) in std::env::vars_os().filter(|(name, _)| names_a_secret(&name.to_string_lossy())) {
        shell.env_remove(name);
    }
    // Its standard output must not get into this program's, which others parse.
    let mut child =
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(start)?;
    if let Some(mut input) = child.stdin.take() {
        match input.write_all(&json) {
            // A command that does not read its input may know what to do without.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(start(error)),
            _ => {}
        }
    }
    let (status, stderr) = ended(&mut child, patience).map_err(start)?;
    let Some(status) = status else {
        return Err(Error::Late { patience });
    };
    if status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&stderr);
    let stderr = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
    Err(Error::Command { status, stderr: stderr.escape_debug().to_string() })
}

/// Whether an environment variable may be a secret, by its name: a label needs none.
fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let within = ["SECRET", "TOKEN", "PASS", "CREDENTIAL", "PRIVATE", "AUTH"];
    let words = ["KEY", "PSK", "PIN", "PWD"];
    // The working directory is none.
    !matches!(&*name, "PWD" | "OLDPWD")
        && (within.iter().any(|part| name.contains(part))
            || name.split('_').any(|word| words.contains(&word)))
}

/// Waits for a command, and ends it with its process group once its time is over: `None` then. Gives the end of what it has
/// written to its standard error. What it leaves in the background may keep that open and is not waited for.
fn ended(child: &mut Child, patience: Duration) -> io::Result<(Option<ExitStatus>, Vec<u8>)> {
    let deadline = Instant::now() + patience;
    let (sender, written) = mpsc::channel();
    if let Some(mut stderr) = child.stderr.take() {
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stderr.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
    }
    let (mut said, mut open) = (Vec::new(), true);
    let mut take = |wait: Duration, open: &mut bool| match written.recv_timeout(wait) {
        Ok(bytes) => {
            said.extend(bytes);
            said.drain(..said.len().saturating_sub(STDERR));
        }
        Err(RecvTimeoutError::Timeout) => {}
        Err(RecvTimeoutError::Disconnected) => {
            *open = false;
            thread::sleep(wait);
        }
    };
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if Instant::now() >= deadline {
            end(child)?;
            break None;
        }
        take(POLL, &mut open);
    };
    // What it has written itself is on its way.
    let last = Instant::now() + LAST_WORDS;
    while open && Instant::now() < last {
        take(POLL, &mut open);
    }
    Ok((status, said))
}

/// Ends a command and, on Unix, what it has started.
fn end(child: &mut Child) -> io::Result<()> {
    #[cfg(unix)]
    let _ = rustix::process::kill_process_group(
        rustix::process::Pid::from_child(child),
        rustix::process::Signal::KILL,
    );
    let _ = child.kill();
    child.wait().map(drop)
}

/// On Unix in a process group of its own: Ctrl-C lets the boards at work, and their labels, finish.
#[cfg(unix)]
fn shell(command: &str) -> Command {
    use std::os::unix::process::CommandExt;
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command).process_group(0);
    shell
}

#[cfg(windows)]
fn shell(command: &str) -> Command {
    use std::os::windows::process::CommandExt;
    let mut shell = Command::new("cmd");
    shell.arg("/C").raw_arg(command);
    shell
}

fn said(stderr: &str) -> String {
    if stderr.is_empty() { String::new() } else { format!(": {stderr}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::provision::{About, Outcome};

    fn board() -> Report {
        Report {
            outcome: Outcome::Provisioned,
            certificate_id: "ab".repeat(32),
            certificate_reused: false,
            about: About {
                port: "/dev/ttyACM0".into(),
                usb_serial: Some("MCHP<&>1".into()),
                secure_element_serial: "0123AABBCCDDEEFFEE".into(),
                thing_name: "8f3b0c4d5e6f708192a3b4c5d6e7f80910213243".into(),
                endpoint: "example.com".into(),
                slots_locked: false,
                attested: false,
                clash: None,
                superseded: Vec::new(),
                key_revocation: None,
                folder: "/home/ann/.microchip-iot/MCHP1".into(),
            },
            traffic: Default::default(),
            seconds: 1.5,
        }
    }

    #[test]
    fn a_label_shows_thing_name_serial_numbers_and_a_code() {
        insta::assert_snapshot!(svg::draw(&Drawing::of(&board()).unwrap()));
    }

    #[test]
    fn a_label_file_is_named_by_its_thing() {
        let folder = tempfile::tempdir().unwrap();
        let labels = |folder: PathBuf, format| Labels { command: None, folder: Some(folder), format };
        let file = |extension| {
            let path = folder.path().join("labels").join(format!("{}.{extension}", board().about.thing_name));
            std::fs::read(path).unwrap()
        };
        let drawing = Drawing::of(&board()).unwrap();
        labels(folder.path().join("labels"), Format::Svg).make(&board()).unwrap();
        assert_eq!(file("svg"), svg::draw(&drawing).as_bytes());
        labels(folder.path().join("labels"), Format::Png).make(&board()).unwrap();
        assert_eq!(file("png"), png::draw(&drawing).unwrap());
        let nowhere = labels("/proc/nowhere".into(), Format::Svg);
        assert!(matches!(nowhere.make(&board()), Err(Error::File { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn a_command_gets_the_board_as_json() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("board.json");
        let command = Some(format!("cat > '{}'; echo printed", path.display()));
        Labels { command, ..Labels::default() }.make(&board()).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!(json["thing_name"], board().about.thing_name);
        assert_eq!((&json["schema_version"], &json["outcome"]), (&1.into(), &"provisioned".into()));
    }

    #[cfg(unix)]
    #[test]
    fn a_command_that_fails_says_how() {
        let run =
            |command: &str| Labels { command: Some(command.into()), ..Labels::default() }.make(&board());
        let error = run("echo first >&2; echo out of labels >&2; exit 3").unwrap_err();
        assert_eq!(error.to_string(), "the label command ended with exit status: 3: out of labels");
        // One that does not read its input is fine.
        run("exec true").unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_command_that_does_not_end_is_ended_and_one_in_the_background_is_not_waited_for() {
        let error = super::run("sleep 1000 & wait", &board(), Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error, Error::Late { .. }), "{error}");
        // What is in the background keeps the standard error open until the end of this test.
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let behind = |rest: &str| format!("(read line < '{}') & {rest}", pipe.display());
        super::run(&behind("exit 0"), &board(), PATIENCE).unwrap();
        let error = super::run(&behind("echo jam >&2; exit 3"), &board(), PATIENCE).unwrap_err();
        assert!(matches!(&error, Error::Command { stderr, .. } if stderr == "jam"), "{error}");
        // Both are still there, and end now.
        std::fs::write(&pipe, "\n\n").unwrap();
    }

    #[test]
    fn a_variable_that_may_be_a_secret_is_known_by_its_name() {
        for secret in [
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AWS_ACCESS_KEY_ID",
            "MICROCHIP_IOT_PASSPHRASE",
            "MICROCHIP_IOT_PSK",
            "Db_Password",
            "SSH_AUTH_SOCK",
            "TOKEN_PIN",
        ] {
            assert!(names_a_secret(secret), "{secret}");
        }
        for other in
            ["PATH", "HOME", "LANG", "PRINTER", "KEYBOARD", "SPINNER", "AWS_REGION", "AWS_PROFILE", "PWD"]
        {
            assert!(!names_a_secret(other), "{other}");
        }
    }
}
