//! A referee's process: found on the PATH, started on a free port of the loopback interface, ended with the test.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a referee may take to answer its first request.
const START: Duration = Duration::from_secs(60);

/// A running referee.
pub(crate) struct Server {
    process: Child,
    /// Port of its HTTP interface.
    pub(crate) port: u16,
    /// Its working folder; its log is `log` in there.
    folder: TempDir,
}

impl Server {
    /// Starts `program` from the referees' Python environment, or says why not and gives `None`.
    ///
    /// # Panics
    /// When the program is missing and `REFEREES=required`, or when it does not come up.
    pub(crate) fn start(program: &str, port: u16, configure: impl FnOnce(&mut Command)) -> Option<Self> {
        let Some(environment) = environment() else {
            let missing = "the referees are not on the PATH; pip install -r .ci/requirements.txt";
            assert!(std::env::var("REFEREES").as_deref() != Ok("required"), "{missing}");
            // Past the harness, which keeps what a passing test prints to itself.
            std::io::stderr().write_all(format!("skipped, {program}: {missing}\n").as_bytes()).unwrap();
            return None;
        };
        let path = environment.join(program);
        let folder = TempDir::new().unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(path);
        command.current_dir(folder.path()).stdin(Stdio::null()).stderr(log.try_clone().unwrap()).stdout(log);
        configure(&mut command);
        let mut server = Self { process: command.spawn().unwrap(), port, folder };
        let deadline = Instant::now() + START;
        while server.try_get("/").is_err() {
            assert!(server.process.try_wait().unwrap().is_none(), "{program} ended:\n{}", server.log());
            assert!(Instant::now() < deadline, "{program} does not answer:\n{}", server.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(server)
    }

    /// Where AWS clients reach it.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The body of a GET request.
    pub(crate) fn get(&self, path: &str) -> String {
        let answer = self.try_get(path).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// All it has printed so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn try_get(&self, path: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port that nothing listens on now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// The folder on the PATH that has all of the referees: other Python environments may have some.
pub(crate) fn environment() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let complete =
        |folder: &PathBuf| ["ministack", "moto_server"].iter().all(|referee| folder.join(referee).is_file());
    std::env::split_paths(&path).find(complete)
}
