//! The fault matrix of the other methods. They differ in where the certificates come from and in what follows on the board's
//! work; the faults of the link itself strike code that all of them share. `custom` is an alias of `jitr`.

use tokio::runtime::Handle;

use super::rows::Spot;
use super::*;
use crate::account::Account;
use testbed::faults::{Effect, Progress};

/// A way to provision a board, or to prepare it.
struct Method<'a> {
    name: &'static str,
    /// Whether there is a certificate authority.
    ca: bool,
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
    /// Asserts that board and laptop are as a run that went well leaves them.
    check: &'a (dyn Fn(&SimulatedBoard, &Laptop) + Sync),
}

/// One fault of a method.
struct Row {
    fault: &'static str,
    spot: &'static str,
    cases: Vec<Trouble>,
}

/// What goes wrong.
enum Trouble {
    Board(Fault),
    KillAtChanges,
}

impl Method<'_> {
    fn laptop(&self) -> Laptop {
        if self.ca { Laptop::with_ca() } else { Laptop::new() }
    }

    /// Every step is done, for any state of board and laptop.
    fn forced<'a>(&'a self, board: &'a SimulatedBoard) -> Vec<&'a str> {
        let arguments = ["provision", "--port", board.path().to_str().unwrap(), "--force"];
        arguments.into_iter().chain(self.arguments.iter().map(String::as_str)).collect()
    }

    fn environment(&self) -> Vec<(&str, &str)> {
        self.environment.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }

    fn run(&self, laptop: &Laptop, arguments: &[&str], board: &SimulatedBoard) -> Outcome {
        named(laptop.run(arguments, &self.environment()), board)
    }

    fn assert_next_run_completes(&self, laptop: &Laptop, board: &SimulatedBoard, title: &str) {
        let arguments: Vec<_> = self.forced(board).into_iter().filter(|word| *word != "--force").collect();
        let next = self.run(laptop, &arguments, board);
        assert_eq!(next.code, 0, "{title}: {next}");
        (self.check)(board, laptop);
    }

    fn strike(&self, trouble: &Trouble) -> Vec<Seen> {
        let mut board = board();
        match trouble {
            Trouble::Board(fault) => {
                let (laptop, title) = (self.laptop(), format!("{}: {fault:?}", self.name));
                board.inject(fault.clone());
                let outcome = self.run(&laptop, &self.forced(&board), &board);
                assert_no_half_written_file(&laptop);
                board.clear_faults();
                board.plug().unwrap();
                self.assert_next_run_completes(&laptop, &board, &title);
                vec![Seen::new(&outcome)]
            }
            Trouble::KillAtChanges => {
                let new = || {
                    let laptop = self.laptop();
                    std::fs::create_dir_all(laptop.folder().join(board.ecc_serial())).unwrap();
                    laptop
                };
                let after = |laptop: &Laptop| self.assert_next_run_completes(laptop, &board, self.name);
                let killed = killed_at_changes(new, (&self.forced(&board), &self.environment()), after);
                assert!(killed.len() >= 2, "{}: only {} runs were killed", self.name, killed.len());
                killed.iter().map(Seen::new).collect()
            }
        }
    }

    fn rows(&self) -> Vec<Row> {
        let (laptop, board) = (self.laptop(), board());
        let outcome = self.run(&laptop, &self.forced(&board), &board);
        assert_eq!(outcome.code, 0, "{}: {outcome}", self.name);
        let commands = counted(&board);
        (self.check)(&board, &laptop);
        let row = |fault, spot: Spot, effect| {
            let cases = spot.faults(&commands, &effect).into_iter().map(Trouble::Board).collect();
            Row { fault, spot: spot.says(), cases }
        };
        vec![
            row("unplugged in the middle", Spot::Each, Effect::Unplug(Progress::Half)),
            row("ERROR", Spot::Lasting, Effect::Error(0x0201)),
            Row { fault: "the tool killed", spot: "every file write", cases: vec![Trouble::KillAtChanges] },
        ]
    }

    fn matrix(&self) -> String {
        let rows = self.rows();
        let cases = rows.iter().map(|row| row.cases.as_slice());
        let seen = fan_out(cases, || (), |(), _, case| self.strike(case));
        format!("{}\n{}", self.name, table(rows.iter().map(|row| (row.fault, row.spot)), &seen))
    }
}

/// A certificate for the key that all boards here have, and its signer's.
fn signed_elsewhere() -> (Laptop, [String; 4]) {
    let (elsewhere, board) = (Laptop::with_ca(), board());
    assert_eq!(provision(&elsewhere, &board, &[]).code, 0);
    let file = |name: &str| elsewhere.folder().join(name).to_str().unwrap().to_owned();
    let device = file(&format!("{}/device.crt", board.ecc_serial()));
    let arguments = ["--certificate".to_owned(), device, "--signer".to_owned(), file("signer-ca.crt")];
    (elsewhere, arguments)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_methods_survive_a_lost_board_and_a_kill_at_every_file_write_too() {
    let account = Account::empty().await;
    let (iot, runtime) = (account.iot(), Handle::current());
    let (_elsewhere, certificate) = signed_elsewhere();
    let stored = |board: &SimulatedBoard| CertificateStore::read(&board.flash()).unwrap();
    let is_registered = |board: &SimulatedBoard, laptop: &Laptop| {
        assert_provisioned(board, laptop, &board.ecc_serial());
        let id = certificate_id(&stored(board).certificates[0].content);
        let described = runtime.block_on(iot.describe_certificate().certificate_id(id).send()).unwrap();
        let described = described.certificate_description.unwrap();
        assert_eq!(described.status.unwrap().as_str(), "ACTIVE");
        let things = iot.list_principal_things().principal(described.certificate_arn.unwrap()).send();
        assert_eq!(runtime.block_on(things).unwrap().things.unwrap(), [thing_name(board)]);
        let ledger = std::fs::read_to_string(laptop.folder().join("ledger.jsonl")).unwrap();
        assert!(ledger.lines().all(|line| line.contains(r#""method":"mar""#)), "{ledger}");
    };
    let holds_the_factorys = |board: &SimulatedBoard, _: &Laptop| {
        let (store, factory) = (stored(board), board.factory_certificates());
        assert_eq!(store.certificates[0].content, factory.device);
        assert_eq!(
            (store.certificates[1].content.clone(), store.thing_name),
            (factory.signer, thing_name(board))
        );
    };
    let holds_the_other_signers = |board: &SimulatedBoard, _: &Laptop| {
        let (store, file) = (stored(board), std::fs::read(&certificate[1]).unwrap());
        assert_eq!((store.certificates[0].content.clone(), store.endpoint.as_str()), (der(&file), ENDPOINT));
    };
    let has_signed_a_request = |board: &SimulatedBoard, laptop: &Laptop| {
        let request = laptop.folder().join(board.ecc_serial()).join("device.csr");
        rcgen::CertificateSigningRequestParams::from_pem(&std::fs::read_to_string(request).unwrap()).unwrap();
        assert_eq!(CHANGES.map(|change| board.take_statistics().count(change)), [0, 0]);
    };
    let access = account.testbed.access();
    let aws = access.environment().map(|(name, value)| (name, value.to_owned())).into();
    let endpoint = ["--endpoint", ENDPOINT];
    let methods = [
        Method {
            name: "mar",
            ca: true,
            arguments: words(&[&["--method", "mar"][..], &endpoint].concat()),
            environment: aws,
            check: &is_registered,
        },
        Method {
            name: "sandbox",
            ca: false,
            arguments: words(&["--method", "sandbox"]),
            environment: vec![],
            check: &holds_the_factorys,
        },
        Method {
            name: "a certificate signed elsewhere",
            ca: false,
            arguments: [words(&endpoint), certificate.to_vec()].concat(),
            environment: vec![],
            check: &holds_the_other_signers,
        },
        Method {
            name: "a request only",
            ca: false,
            arguments: words(&["--csr-only"]),
            environment: vec![],
            check: &has_signed_a_request,
        },
    ];
    let tables = tokio::task::block_in_place(|| methods.each_ref().map(Method::matrix));
    insta::assert_snapshot!(tables.join("\n\n"));
}
