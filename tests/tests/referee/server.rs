//! A referee's process: found on the PATH, started on a free port of the loopback interface, ended with the test.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use testbed::Access;

use crate::scenario::account_life::stage::REGION;

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

/// moto as AWS names certificates: by the hash of their DER form. Without the setting it hashes the PEM text.
const MOTO: &str = "\
from moto.core.config import default_user_config
default_user_config['iot'] = {'use_valid_cert': True}
from moto.server import main
main()";

/// ministack, on the loopback interface alone: `BIND_HOST` is for its HTTP port, and its device gateway has no such setting.
const MINISTACK: &str = "\
import asyncio
from ministack.app import main
create_server = asyncio.base_events.BaseEventLoop.create_server
def on_loopback(loop, protocol, host=None, *rest, **options):
    host = '127.0.0.1' if host == '0.0.0.0' else host
    return create_server(loop, protocol, host, *rest, **options)
asyncio.base_events.BaseEventLoop.create_server = on_loopback
main()";

impl Server {
    /// Starts ministack; the port of its device gateway comes with it.
    pub(crate) fn ministack() -> Option<(Self, u16)> {
        Self::ministack_with(&[])
    }

    /// The same with these settings in its environment.
    pub(crate) fn ministack_with(settings: &[(&str, &str)]) -> Option<(Self, u16)> {
        let settings = settings.to_owned();
        let (http, mqtt) = (free_port(), free_port());
        let server = Self::start("python", http, |command| {
            command
                .args(["-c", MINISTACK])
                .env("BIND_HOST", "127.0.0.1")
                .env("GATEWAY_PORT", http.to_string())
                .env("IOT_MTLS_PORT", mqtt.to_string())
                .env("MINISTACK_REGION", REGION)
                .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{http}"))
                .envs(settings.iter().copied());
        });
        server.map(|server| (server, mqtt))
    }

    /// Starts moto.
    pub(crate) fn moto() -> Option<Self> {
        let port = free_port();
        Self::start("python", port, |command| {
            command.args(["-c", MOTO, "-H", "127.0.0.1", "-p", &port.to_string()]);
        })
    }

    /// Starts `program`, as [`program`] finds it.
    ///
    /// # Panics
    /// As [`program`], or when it does not come up.
    fn start(program: &str, port: u16, configure: impl FnOnce(&mut Command)) -> Option<Self> {
        let path = self::program(program)?;
        let folder = TempDir::new().unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(path);
        command.current_dir(folder.path()).stdin(Stdio::null()).stderr(log.try_clone().unwrap()).stdout(log);
        // What it leaves there goes with the folder.
        command.env("TMPDIR", folder.path());
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

    /// What its clients sign with; it does not look.
    pub(crate) fn access(&self) -> Access {
        Access::unchecked(&self.url(), REGION)
    }

    /// The body of a GET request.
    pub(crate) fn get(&self, path: &str) -> String {
        let answer = self.try_get(path).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// Addresses that something listens on at `port` (proc_net_tcp(5)), as the kernel writes them.
    #[cfg(target_os = "linux")]
    pub(crate) fn listening(port: u16) -> Vec<String> {
        let tables =
            ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| std::fs::read_to_string(path).unwrap_or_default());
        let sockets = tables.iter().flat_map(|table| table.lines().skip(1));
        let suffix = format!(":{port:04X}");
        let listening = sockets.filter_map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
            [_, local, _, "0A", ..] => local.strip_suffix(suffix.as_str()).map(str::to_owned),
            _ => None,
        });
        listening.collect()
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
fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// What was found of a referee, or `None` after saying that it is missing.
///
/// # Panics
/// When it is missing and `REFEREES=required`.
pub(crate) fn present<T>(referee: &str, found: Option<T>) -> Option<T> {
    if found.is_none() {
        let missing = "not all referees are there; pip install -r .ci/requirements.txt, put the folder on the PATH, and test with \
                       --features testbed/hardware";
        assert!(std::env::var("REFEREES").as_deref() != Ok("required"), "{referee}: {missing}");
        // Past the harness, which keeps what a passing test prints to itself.
        std::io::stderr().write_all(format!("skipped, {referee}: {missing}\n").as_bytes()).unwrap();
    }
    found
}

/// A program of the folder on the PATH that has all of the referees: other Python environments may have some. Without one, it
/// says so and gives `None`.
///
/// # Panics
/// As [`present`].
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let complete = |folder: &PathBuf| {
        ["ministack", "moto_server", "iotprovision"].iter().all(|referee| folder.join(referee).is_file())
    };
    let program = std::env::split_paths(&path).find(complete).map(|folder| folder.join(name));
    present(name, program.filter(|program| program.is_file()))
}
