//! Labels for finished boards: a command that gets the board as JSON, and an SVG file with thing name and QR code.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use miette::Diagnostic;
use qrcode::{Color, EcLevel, QrCode};

use crate::home::{self, Access};
use crate::provision::Report;

/// What is to be made for each finished board.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    /// A command line for the shell. It gets the board as one JSON object on its standard input.
    pub command: Option<String>,
    /// Folder for SVG files, each named by its thing.
    pub folder: Option<PathBuf>,
}

/// Why there is no label. The board is done all the same.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// The command could not be started, or given its input.
    #[error("cannot run the label command")]
    #[diagnostic(help("try the command by itself: echo '{{}}' | COMMAND"))]
    Start {
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The command ended badly.
    #[error("the label command ended with {status}{}", said(stderr))]
    #[diagnostic(help("try the command by itself: echo '{{}}' | COMMAND"))]
    Command {
        /// How it ended.
        status: ExitStatus,
        /// The last line it wrote to its standard error; empty if it wrote none.
        stderr: String,
    },
    /// The SVG file cannot be written.
    #[error("cannot write the label {}", path.display())]
    #[diagnostic(help("check that the folder of --label-dir can be written and has room"))]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The text is too long for a QR code, which a thing name is not.
    #[error("the thing name does not fit into a QR code")]
    #[diagnostic(help("please report it"))]
    Code,
}

impl Labels {
    /// Whether there is anything to make.
    pub fn are_wanted(&self) -> bool {
        self.command.is_some() || self.folder.is_some()
    }

    /// Makes the label of a finished board. A file that cannot be written does not keep the command from running.
    ///
    /// # Errors
    /// [`Error`]; of the file's where both fail.
    pub fn make(&self, board: &Report) -> Result<(), Error> {
        let file = self.folder.as_ref().map_or(Ok(()), |folder| file(folder, board));
        let command = self.command.as_ref().map_or(Ok(()), |command| run(command, board));
        file.and(command)
    }
}

fn file(folder: &Path, board: &Report) -> Result<(), Error> {
    let svg = svg(board)?;
    std::fs::create_dir_all(folder).map_err(|source| Error::File { path: folder.to_owned(), source })?;
    let path = folder.join(format!("{}.svg", board.thing_name));
    home::write(&path, svg.as_bytes(), Access::Public).map_err(|error| match error {
        home::Error::Io { path, source, .. } => Error::File { path, source },
        other => Error::File { path, source: io::Error::other(other) },
    })
}

fn run(command: &str, board: &Report) -> Result<(), Error> {
    let start = |source| Error::Start { source };
    let mut json = serde_json::to_vec(board).map_err(|error| start(error.into()))?;
    json.push(b'\n');
    // Its standard output must not get into this program's, which others parse.
    let mut child = shell(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(start)?;
    if let Some(mut input) = child.stdin.take() {
        match input.write_all(&json) {
            // A command that does not read its input may know what to do without.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(start(error)),
            _ => {}
        }
    }
    let output = child.wait_with_output().map_err(start)?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let stderr = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
    Err(Error::Command { status: output.status, stderr: stderr.escape_debug().to_string() })
}

/// On Unix in a process group of its own: Ctrl-C lets the boards in hand, and so their labels, finish.
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

/// Width and height of the label, in millimetres: fits the usual rolls, 62 mm wide.
const SIZE: (usize, usize) = (54, 22);
/// Light modules around a QR code (ISO/IEC 18004, section 5.3.8).
const QUIET_ZONE: usize = 4;

/// The label of a board: QR code and text of the thing name, and the serial numbers.
fn svg(board: &Report) -> Result<String, Error> {
    let code = QrCode::with_error_correction_level(&board.thing_name, EcLevel::M).map_err(|_| Error::Code)?;
    let side = code.width() + 2 * QUIET_ZONE;
    let mut modules = String::new();
    for (at, _) in code.to_colors().iter().enumerate().filter(|(_, color)| **color == Color::Dark) {
        let (x, y) = (at % code.width() + QUIET_ZONE, at / code.width() + QUIET_ZONE);
        // Writing to a String cannot fail.
        let _ = write!(modules, "M{x} {y}h1v1h-1z");
    }
    let (width, height) = SIZE;
    let (first, second) = board.thing_name.split_at(board.thing_name.len() / 2);
    let kit = escaped(board.usb_serial.as_deref().unwrap_or_default());
    let element = escaped(&board.secure_element_serial);
    Ok(format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}mm" height="{height}mm" viewBox="0 0 {width} {height}">
<rect width="{width}" height="{height}" fill="white"/>
<svg width="{height}" height="{height}" viewBox="0 0 {side} {side}" shape-rendering="crispEdges">
<path d="{modules}"/>
</svg>
<g font-family="monospace" font-size="2.4">
<text x="{height}" y="5">{first}</text>
<text x="{height}" y="8">{second}</text>
<text x="{height}" y="13">{kit}</text>
<text x="{height}" y="17">{element}</text>
</g>
</svg>
"#
    ))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provision::Outcome;

    fn board() -> Report {
        Report {
            outcome: Outcome::Provisioned,
            port: "/dev/ttyACM0".into(),
            usb_serial: Some("MCHP<&>1".into()),
            secure_element_serial: "0123AABBCCDDEEFFEE".into(),
            thing_name: "8f3b0c4d5e6f708192a3b4c5d6e7f80910213243".into(),
            certificate_id: "ab".repeat(32),
            certificate_reused: false,
            endpoint: "example.com".into(),
            slots_locked: false,
            folder: "/home/ann/.microchip-iot/MCHP1".into(),
            traffic: Default::default(),
            seconds: 1.5,
        }
    }

    #[test]
    fn a_label_shows_thing_name_serial_numbers_and_a_code() {
        insta::assert_snapshot!(svg(&board()).unwrap());
    }

    #[test]
    fn a_label_file_is_named_by_its_thing() {
        let folder = tempfile::tempdir().unwrap();
        let labels = Labels { command: None, folder: Some(folder.path().join("labels")) };
        labels.make(&board()).unwrap();
        let path = folder.path().join("labels").join(format!("{}.svg", board().thing_name));
        assert_eq!(std::fs::read_to_string(path).unwrap(), svg(&board()).unwrap());
        let labels = Labels { command: None, folder: Some("/proc/nowhere".into()) };
        assert!(matches!(labels.make(&board()), Err(Error::File { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn a_command_gets_the_board_as_json() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("board.json");
        let command = Some(format!("cat > '{}'; echo printed", path.display()));
        Labels { command, folder: None }.make(&board()).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!(json["thing_name"], board().thing_name);
        assert_eq!(json["outcome"], "provisioned");
    }

    #[cfg(unix)]
    #[test]
    fn a_command_that_fails_says_how() {
        let run = |command: &str| Labels { command: Some(command.into()), folder: None }.make(&board());
        let error = run("echo first >&2; echo out of labels >&2; exit 3").unwrap_err();
        assert_eq!(error.to_string(), "the label command ended with exit status: 3: out of labels");
        // One that does not read its input is fine.
        run("exec true").unwrap();
    }
}
