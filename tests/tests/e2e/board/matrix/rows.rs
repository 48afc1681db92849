//! The rows of the fault matrix, as data.

use std::collections::BTreeMap;
use std::time::Duration;

use testbed::board::Kit;
use testbed::board::firmware::Stage;
use testbed::faults::{Damage, Effect, Fault, Occurrence, Progress, Trigger};

use super::super::CHANGES;

/// One fault.
pub(super) struct Row {
    /// What happens.
    pub(super) fault: &'static str,
    /// Where and how often.
    pub(super) spot: &'static str,
    /// Each is a run of its own.
    pub(super) cases: Vec<Case>,
}

/// One way to bring the fault about.
#[derive(Clone, Debug)]
pub(super) enum Case {
    /// The board and the wire to it have these faults.
    Board(Vec<Fault>),
    /// A program that was closed or killed has sent this to a kit and not finished it.
    State(Kit, Vec<u8>),
    /// A program that does not lock the port has it open.
    OtherProgram,
    /// No file can grow.
    FullDisk,
    /// The tool is killed while it waits for the answer that this fault keeps back.
    Kill(Fault),
    /// The tool is killed at each change of a file, while it provisions a board.
    KillAtChanges,
    /// The tool is killed at each change of a file, while it makes the certificate authorities.
    KillAtChangesOfAuthorities,
}

/// At which exchanges a fault strikes.
#[derive(Clone, Copy)]
pub(super) enum Spot {
    /// The last time each command comes.
    Once,
    /// The first and the last time each command comes.
    Ends,
    /// Every time each command comes.
    Each,
    /// Each command, from its first time on.
    Lasting,
    /// The last time the data of each command comes.
    Data,
    /// The last time this command comes.
    OnceAt(&'static str),
    /// This command, from its first time on.
    LastingAt(&'static str),
    /// The last time the data of this command comes.
    DataOnceAt(&'static str),
    /// The data of this command, from its first time on.
    DataLastingAt(&'static str),
    /// Whatever comes.
    Everything,
}

use Spot::{Data, DataLastingAt, DataOnceAt, Each, Ends, Everything, Lasting, LastingAt, Once, OnceAt};

const PING: &str = "MC+PING";
const READ: &str = "MC+WINC+READ";
const ERASE: &str = CHANGES[0];
const WRITE: &str = CHANGES[1];
/// The commands whose data follow the board's `>`.
const WITH_DATA: [&str; 2] = ["MC+ECC+SIGNDIGEST", WRITE];

/// What was sent last to a firmware that is in an awkward state.
fn states() -> impl Iterator<Item = Vec<u8>> {
    let lines = [0, 127, 128, 150].map(|size| "Z".repeat(size));
    let half = ["MC+PI", "MC+WINC+ERASE=2048", "MC+WINC+ERASE=", "MC+WINC+ERASE=8192", "MC+ECC+LOCK=1"];
    let page = |missing: usize| format!("MC+WINC+WRITEBLOB=16384,256,512\r\n{}", "0".repeat(512 - missing));
    let blobs = [
        "MC+BLOBTEST=1024\r\n".to_owned(),
        "MC+WINC+WRITEBLOB=16384,4,8\r\n".to_owned(),
        "MC+WINC+WRITEBLOB=16384,7,14\r\n".to_owned(),
        page(500),
        page(14),
        page(0),
        "MC+BLOBTEST=8\r\n123456789".to_owned(),
    ];
    lines.into_iter().chain(half.map(str::to_owned)).chain(blobs).map(String::into_bytes)
}

/// All rows. `commands` says how often each command comes in a run that goes well.
pub(super) fn rows(commands: &BTreeMap<String, u32>) -> Vec<Row> {
    let noise = |offset| Effect::Reply(Damage::Insert { offset, bytes: b"\xFF~#\r\n".to_vec() });
    let reply = |damage: fn(usize) -> Damage| [0, 2, usize::MAX].map(|offset| Effect::Reply(damage(offset)));
    let request = |damage: fn(usize) -> Damage| [Effect::Request(damage(3))];
    let (drop, double, alter) = (
        |offset| Damage::Drop { offset },
        |offset| Damage::Double { offset },
        |offset| Damage::Alter { offset },
    );
    let pause = Duration::from_millis(20);
    let split = [1, 3, 120].map(|offset| Effect::Split { offset, pause });
    let trickle = Effect::Trickle { pause: Duration::from_micros(250) };
    let reset = [0, 1, usize::MAX].map(|offset| Effect::Reset { offset });
    let unplug = |progress| [Effect::Unplug(progress)];

    let one = |fault, spot: Spot, effects: &[Effect]| {
        let each = effects.iter().flat_map(|effect| spot.faults(commands, effect));
        Row { fault, spot: spot.says(), cases: each.map(|fault| Case::Board(vec![fault])).collect() }
    };
    let babble =
        Damage::Insert { offset: 0, bytes: b"\xFE\x00\x80wifi> unknown command\r\n\x1B[0m".to_vec() };
    let babbling = [Effect::LoseReply, Effect::Reply(babble)];
    let silent = [Effect::Ignore, Effect::LoseReply];
    let killed = silent.iter().flat_map(|effect| Ends.faults(commands, effect)).map(Case::Kill).collect();
    // Every character of the arguments, `=` included. A command whose name is damaged is unknown, wherever it is damaged.
    let arguments = |command: &str, damage: fn(usize) -> Damage| -> Vec<Effect> {
        let begin = command.len();
        let end = begin + if command == WRITE { "=20736,256,512".len() } else { "=20736,256".len() };
        [3].into_iter().chain(begin..end).map(|offset| Effect::Request(damage(offset))).collect()
    };
    let digit = |offset| Damage::Insert { offset, bytes: b"7".to_vec() };
    let kits = [Kit::AvrIotWg, Kit::SamIotWg];
    let awkward = kits.iter().flat_map(|kit| states().map(|sent| Case::State(*kit, sent))).collect();
    vec![
        Row { fault: "an awkward state", spot: "before the run", cases: awkward },
        one("any character of an erase lost", OnceAt(ERASE), &arguments(ERASE, drop)),
        one("any character of an erase doubled", OnceAt(ERASE), &arguments(ERASE, double)),
        one("a digit added to an erase", OnceAt(ERASE), &arguments(ERASE, digit)),
        one("any character of a write lost", OnceAt(WRITE), &arguments(WRITE, drop)),
        one("any character of a write doubled", OnceAt(WRITE), &arguments(WRITE, double)),
        one("a digit added to a write", OnceAt(WRITE), &arguments(WRITE, digit)),
        one("any character of a read lost", OnceAt(READ), &arguments(READ, drop)),
        one("garbage before a reply", Once, &[noise(0)]),
        one("garbage inside a reply", Once, &[noise(1), noise(5)]),
        one("garbage between replies", Once, &[noise(usize::MAX)]),
        Row {
            fault: "garbage instead of replies",
            spot: Everything.says(),
            cases: vec![Case::Board(
                babbling.iter().flat_map(|effect| Everything.faults(commands, effect)).collect(),
            )],
        },
        one("a byte of a reply dropped", Once, &reply(drop)),
        one("a byte of a reply doubled", Once, &reply(double)),
        one("a byte of a request dropped", Once, &request(drop)),
        one("a byte of a request doubled", Once, &request(double)),
        one("a byte of data dropped", Data, &request(drop)),
        one("a byte of data doubled", Data, &request(double)),
        one("replies split at every position", Everything, &[trickle]),
        one("a reply split for long", Once, &split),
        one("ERROR", Each, &[Effect::Error(0x0201)]),
        one("ERROR", Lasting, &[Effect::Error(0x0201)]),
        one("silence, the command not carried out", Each, &[Effect::Ignore]),
        one("silence, the command not carried out", Lasting, &[Effect::Ignore]),
        one("silence, the command carried out", Each, &[Effect::LoseReply]),
        one("silence, the command carried out", Lasting, &[Effect::LoseReply]),
        one("silence", Everything, &[Effect::Ignore]),
        one("unplugged before it begins", Each, &unplug(Progress::Before)),
        one("unplugged in the middle", Each, &unplug(Progress::Half)),
        one("unplugged before the reply", Each, &unplug(Progress::Done)),
        one("unplugged before a page is written", DataOnceAt(WRITE), &unplug(Progress::Before)),
        one("unplugged with half a page written", DataOnceAt(WRITE), &unplug(Progress::Half)),
        one("unplugged with a page written", DataOnceAt(WRITE), &unplug(Progress::Done)),
        one("unplugged with half a sector erased", OnceAt(ERASE), &unplug(Progress::Half)),
        one("a page reads back wrong", OnceAt(READ), &[Effect::Reply(alter(3))]),
        one("a page reads back wrong", LastingAt(READ), &[Effect::Reply(alter(3))]),
        one("a page is written wrong", DataOnceAt(WRITE), &request(alter)),
        one("a page is written wrong", DataLastingAt(WRITE), &request(alter)),
        one("a wrong pong", OnceAt(PING), &[Effect::Reply(alter(13))]),
        one("a wrong pong", LastingAt(PING), &[Effect::Reply(alter(13))]),
        one("reset in the middle", Once, &reset),
        one("reset in the middle", Lasting, &reset[1..2]),
        Row { fault: "a second program on the port", spot: "the whole run", cases: vec![Case::OtherProgram] },
        Row { fault: "a full disk", spot: "the whole run", cases: vec![Case::FullDisk] },
        Row { fault: "the tool killed", spot: Ends.says(), cases: killed },
        Row { fault: "the tool killed", spot: "every file write", cases: vec![Case::KillAtChanges] },
        Row {
            fault: "the tool killed, making the CA",
            spot: "every file write",
            cases: vec![Case::KillAtChangesOfAuthorities],
        },
    ]
}

impl Spot {
    pub(super) fn says(self) -> &'static str {
        match self {
            Once => "every command, once",
            Ends => "every command, first and last",
            Each => "every command, each time",
            Lasting => "every command, lasting",
            Data => "all data, once",
            OnceAt(_) | DataOnceAt(_) => "once",
            LastingAt(_) | DataLastingAt(_) => "lasting",
            Everything => "the whole run",
        }
    }

    pub(super) fn faults(self, commands: &BTreeMap<String, u32>, effect: &Effect) -> Vec<Fault> {
        let on = |command: Option<&str>, stage, occurrence| Fault {
            on: Trigger { command: command.map(Into::into), stage, occurrence },
            effect: effect.clone(),
        };
        let nth = |command: &str, stage, n| on(Some(command), stage, Occurrence::Nth(n));
        let from_first = |command: &str, stage| on(Some(command), stage, Occurrence::From(1));
        let each = commands.iter().map(|(command, count)| (command.as_str(), *count));
        match self {
            Once => each.map(|(command, count)| nth(command, Stage::Request, count)).collect(),
            Ends => each
                .flat_map(|(command, count)| {
                    let ends = if count > 1 { vec![1, count] } else { vec![1] };
                    ends.into_iter().map(move |n| nth(command, Stage::Request, n))
                })
                .collect(),
            Each => each
                .flat_map(|(command, count)| (1..=count).map(move |n| nth(command, Stage::Request, n)))
                .collect(),
            Lasting => each.map(|(command, _)| from_first(command, Stage::Request)).collect(),
            Data => WITH_DATA.map(|command| nth(command, Stage::Blob, commands[command])).into(),
            OnceAt(command) => vec![nth(command, Stage::Request, commands[command])],
            LastingAt(command) => vec![from_first(command, Stage::Request)],
            DataOnceAt(command) => vec![nth(command, Stage::Blob, commands[command])],
            DataLastingAt(command) => vec![from_first(command, Stage::Blob)],
            Everything => vec![on(None, Stage::Request, Occurrence::From(1))],
        }
    }
}
