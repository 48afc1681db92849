//! A board in memory, and a laptop that provisions it.

use std::sync::{Arc, Mutex};

use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::ecdsa::{Signature, SigningKey};

use super::*;
use iot_kit::ports;
use iot_kit::scripted::{Act, Scripted, pong, say};

use crate::work::create;

/// A board with a key and NOR flash.
pub(super) struct Board {
    /// The key whose public half it shows.
    shows: SigningKey,
    /// The key that it signs with.
    pub(super) key: SigningKey,
    /// Signs whatever it is asked with the signature that it gave first.
    pub(super) replays: bool,
    pub(super) recorded: Option<Signature>,
    pub(super) serial: &'static str,
    pub(super) flash: Vec<u8>,
    awaits: Option<String>,
    pub(super) log: Vec<String>,
    /// Answers these commands with an error, as long as the closure says so.
    pub(super) fails: Box<dyn FnMut(&str) -> bool + Send>,
    /// Bits that do not take, at 0x5200, for so many writes.
    pub(super) bad_writes: usize,
    /// The next erase is carried out in this sector, as with a digit lost on the wire.
    pub(super) astray: Option<usize>,
    /// The next write is carried out at this address.
    pub(super) write_astray: Option<usize>,
}

impl Board {
    pub(super) fn new(seed: u8) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            shows: key(seed),
            key: key(seed),
            replays: false,
            recorded: None,
            serial: SERIAL,
            flash: vec![0xA5; 0x8000],
            awaits: None,
            log: Vec::new(),
            fails: Box::new(|_| false),
            bad_writes: 0,
            astray: None,
            write_astray: None,
        }))
    }

    fn answer(&mut self, line: &str) -> Act {
        if let Some(act) = pong(line) {
            self.awaits = None;
            return act;
        }
        if let Some(command) = self.awaits.take() {
            return self.blob(&command, &hex::decode(line).unwrap());
        }
        self.log.push(line.to_owned());
        if (self.fails)(line) {
            return say("ERROR: 0x0101\r\n");
        }
        let (command, arguments) = line.split_once('=').unwrap_or((line, ""));
        let numbers: Vec<usize> = arguments.split(',').filter_map(|n| n.parse().ok()).collect();
        match command {
            "MC+SETLED" => say("OK\r\n"),
            "MC+ABOUT" => {
                say("Firmware\r\nFW 0.4.9\r\nCommand handler 1.3.0\r\nfor the AVR-IoT WG\r\nOK\r\n")
            }
            "MC+VERSION" if arguments == "WINC" => {
                say("=WINC firmware 19.7.6\r\nWINC driver 19.3.0\r\nOK\r\n")
            }
            "MC+VERSION" => say("1.3.0\r\nOK\r\n"),
            "MC+ECC+SERIAL" => say(&format!("{}\r\nOK\r\n", self.serial)),
            "MC+ECC+GENPUBKEY" => {
                let point = self.shows.verifying_key().to_sec1_point(false);
                say(&format!("{}\r\nOK\r\n", hex::encode(&point.as_bytes()[1..])))
            }
            "MC+ECC+SIGNDIGEST" | "MC+WINC+WRITEBLOB" => {
                self.awaits = Some(line.to_owned());
                say(">")
            }
            "MC+WINC+ERASE" => {
                let sector = self.astray.take().unwrap_or(numbers[0]);
                self.flash[sector..sector + 0x1000].fill(0xFF);
                say("OK\r\n")
            }
            "MC+WINC+READ" => {
                say(&format!("{}\r\nOK\r\n", hex::encode(&self.flash[numbers[0]..numbers[0] + numbers[1]])))
            }
            _ => say("ERROR: 0x0001\r\n"),
        }
    }

    fn blob(&mut self, command: &str, blob: &[u8]) -> Act {
        let Some(arguments) = command.strip_prefix("MC+WINC+WRITEBLOB=") else {
            let signed: Signature = self.key.sign_prehash(blob).unwrap();
            let first = *self.recorded.get_or_insert(signed);
            let signature = if self.replays { first } else { signed };
            return say(&format!("{}\r\nOK\r\n", hex::encode(signature.to_bytes())));
        };
        let meant: usize = arguments.split(',').next().unwrap().parse().unwrap();
        let address = self.write_astray.take().unwrap_or(meant);
        assert!(address % 256 + blob.len() <= 256, "a write crosses a page");
        for (to, from) in self.flash[address..].iter_mut().zip(blob) {
            *to &= from;
        }
        if self.bad_writes > 0 && address == 0x5200 {
            self.bad_writes -= 1;
            self.flash[0x5207] ^= 1;
        }
        say("OK\r\n")
    }

    pub(super) fn count(&self, what: &str) -> usize {
        self.log.iter().filter(|line| line.starts_with(what)).count()
    }
}

pub(super) fn key(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).unwrap()
}

pub(super) struct Laptop {
    _folder: tempfile::TempDir,
    pub(super) home: Home,
    pub(super) kit: Kit,
}

impl Laptop {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        let kit = ports::choose(&[], Some("test"), Some("MCHP1")).unwrap();
        let laptop = Self { _folder: folder, home, kit };
        laptop.make_chain(false);
        laptop
    }

    pub(super) fn make_chain(&self, force: bool) {
        let names = create::Names::new(work::DEFAULT_ORGANISATION, None, None).unwrap();
        let order = create::Order { force, ..create::Order::new(names) };
        let (keys, now) = (Keys::new(()), OffsetDateTime::now_utc());
        let plan = create::Plan::make(&self.home, &keys, order, now).unwrap();
        plan.carry_out(&self.home, &keys, now).unwrap();
    }

    pub(super) fn connect(board: &Arc<Mutex<Board>>) -> Session {
        let answering = Arc::clone(board);
        let (transport, _) = Scripted::new(move |line: &str| answering.lock().unwrap().answer(line));
        Session::start(transport, &Kit::on("test", None)).unwrap()
    }

    pub(super) fn provision_with(
        &self,
        board: &Arc<Mutex<Board>>,
        force: bool,
        endpoint: &str,
    ) -> Result<Report, work::Error> {
        self.provision_from(board, &Origin::Chain(self.chain()), force, endpoint)
    }

    pub(super) fn provision_from(
        &self,
        board: &Arc<Mutex<Board>>,
        origin: &Origin<Chain>,
        force: bool,
        endpoint: &str,
    ) -> Result<Report, work::Error> {
        board.lock().unwrap().log.clear();
        let mut session = Self::connect(board);
        let endpoint = endpoint.to_owned();
        let known = BTreeSet::new();
        let old_revocations = &BTreeMap::new();
        let (kit, home) = (&self.kit, &self.home);
        let job = Job { kit, origin, home, force, roots: None, known: &known, old_revocations };
        let mut result = look(&mut session, job, Box::new(|| Ok(endpoint)), &mut |_| {})
            .and_then(|plan| carry_out(&mut session, job, plan, &mut |_| {}));
        show(&mut session, &result);
        if let Ok(report) = &mut result {
            report.traffic = session.traffic();
        }
        result
    }

    pub(super) fn chain(&self) -> Chain {
        ca_store::load(&self.home, &Keys::new(()), OffsetDateTime::now_utc()).unwrap()
    }

    pub(super) fn provision(&self, board: &Arc<Mutex<Board>>) -> Result<Report, work::Error> {
        self.provision_with(board, false, ENDPOINT)
    }

    pub(super) fn file(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.home.board("MCHP1").unwrap().join(name)).ok()
    }
}
