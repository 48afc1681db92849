//! Which lists are fetched when, and what holds while they cannot be.

use std::collections::VecDeque;
use std::sync::Mutex;

use futures::future::BoxFuture;
use rcgen::{CertifiedIssuer, KeyPair};
use tokio::time::Instant;

use super::super::tests::{SERIAL, board, ca, folder, list, list_due, list_numbered};
use super::*;
use crate::published::{FRESH, Fetched, PAUSE, Wanted};

/// Answers in turn what it was given, the last for ever, and writes down what it was asked.
#[derive(Debug, Clone, Default)]
struct Script(Arc<Mutex<Play>>);

#[derive(Debug, Default)]
struct Play {
    answers: VecDeque<Scripted>,
    requests: Vec<Option<String>>,
}

#[derive(Debug, Clone)]
enum Scripted {
    List(Vec<u8>),
    Unchanged,
    Status(u16),
    /// No answer.
    Silence,
}

impl Script {
    fn then(&self, answer: Scripted) {
        self.0.lock().unwrap().answers.push_back(answer);
    }

    /// The versions that were named, a request each.
    fn requests(&self) -> Vec<Option<String>> {
        self.0.lock().unwrap().requests.clone()
    }
}

impl Source for Script {
    fn fetch<'a>(&'a self, wanted: Wanted<'a>) -> BoxFuture<'a, Result<Fetched, ListError>> {
        let Wanted { name, version, .. } = wanted;
        assert_eq!(name, "ca.crl");
        let mut play = self.0.lock().unwrap();
        play.requests.push(version.map(str::to_owned));
        let answer =
            if play.answers.len() > 1 { play.answers.pop_front() } else { play.answers.front().cloned() };
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            match answer.unwrap() {
                Scripted::List(bytes) => Ok(Fetched::List { bytes, version: Some("\"1\"".into()) }),
                Scripted::Unchanged => Ok(Fetched::Unchanged),
                Scripted::Status(status) => Err(ListError::Status(status)),
                Scripted::Silence => std::future::pending().await,
            }
        })
    }
}

/// A CA, its lists as they are published, and one of its boards that is revoked.
struct World {
    ca: CertifiedIssuer<'static, KeyPair>,
    script: Script,
    lists: PublishedLists,
    current: Vec<u8>,
    overdue: Vec<u8>,
    clean: Vec<u8>,
    board: String,
}

fn world() -> World {
    let ca = ca("CA");
    let files = folder(&[("ca.crt", &ca.pem())]);
    let packaged = RevocationLists::read_cas(files.path()).unwrap();
    let script = Script::default();
    let url = "https://crl.example.com/lists/".parse().unwrap();
    World {
        lists: PublishedLists::new(Publication { url, packaged }, Box::new(script.clone())),
        script,
        current: list_due(&ca, &[&SERIAL], 2999).into_bytes(),
        overdue: list(&ca, &[&SERIAL]).into_bytes(),
        clean: list_due(&ca, &[], 2999).into_bytes(),
        board: board(&ca, &SERIAL),
        ca,
    }
}

impl World {
    /// The CA's list of this number.
    fn numbered(&self, number: u64, serials: &[&[u8]]) -> Vec<u8> {
        list_numbered(&self.ca, serials, 2999, number).into_bytes()
    }
}

/// What an event would be told, and no sooner than what was asked for at the same time has come.
async fn ask(world: &World) -> Result<bool, String> {
    world.lists.refresh();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let answer = world.lists.look_up(&world.board, None).await;
    answer.map(|answer| answer == Answer::Revoked).map_err(|error| error.to_string())
}

#[tokio::test(start_paused = true)]
async fn a_list_is_fetched_once_and_asked_for_again_with_its_version_when_it_is_no_longer_fresh() {
    let world = world();
    world.script.then(Scripted::List(world.current.clone()));
    world.script.then(Scripted::Unchanged);
    world.script.then(Scripted::List(world.clean.clone()));
    for _ in 0..3 {
        assert_eq!(ask(&world).await, Ok(true));
    }
    assert_eq!(world.script.requests(), [None]);
    tokio::time::advance(FRESH).await;
    assert_eq!(ask(&world).await, Ok(true));
    assert_eq!(world.script.requests(), [None, Some("\"1\"".to_owned())]);
    tokio::time::advance(FRESH).await;
    assert_eq!(ask(&world).await, Ok(false), "the CA has taken it off the list");
}

#[tokio::test(start_paused = true)]
async fn records_of_a_batch_fetch_a_list_once() {
    let world = world();
    world.script.then(Scripted::List(world.current.clone()));
    let asked = join_all((0..10).map(|_| ask(&world))).await;
    assert!(asked.iter().all(|asked| *asked == Ok(true)));
    assert_eq!(world.script.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_list_nobody_is_let_in_and_it_is_asked_for_again_after_a_pause() {
    let world = world();
    world.script.then(Scripted::Status(503));
    world.script.then(Scripted::List(world.clean.clone()));
    let error = "the revocation list https://crl.example.com/lists/ca.crl cannot be fetched: the server answers \
                 with status 503";
    assert_eq!(ask(&world).await, Err(error.to_owned()));
    assert_eq!(ask(&world).await, Err(error.to_owned()));
    assert_eq!(world.script.requests().len(), 1);
    tokio::time::advance(PAUSE).await;
    assert_eq!(ask(&world).await, Ok(false));
}

#[tokio::test(start_paused = true)]
async fn a_list_at_hand_counts_while_the_server_is_down_until_the_next_one_is_due() {
    let world = world();
    world.script.then(Scripted::List(world.current.clone()));
    world.script.then(Scripted::Status(500));
    assert_eq!(ask(&world).await, Ok(true));
    tokio::time::advance(FRESH * 100).await;
    assert_eq!(ask(&world).await, Ok(true));
    assert_eq!(world.script.requests().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_out_of_date_lets_nobody_in_and_a_newer_one_is_asked_for() {
    let world = world();
    world.script.then(Scripted::List(world.overdue.clone()));
    world.script.then(Scripted::Unchanged);
    world.script.then(Scripted::List(world.current.clone()));
    for _ in 0..2 {
        let error = ask(&world).await.unwrap_err();
        assert!(error.ends_with("ca.crl is out of date, and there is no newer one"), "{error}");
        tokio::time::advance(PAUSE).await;
    }
    assert_eq!(ask(&world).await, Ok(true));
}

#[tokio::test(start_paused = true)]
async fn a_list_of_another_ca_or_no_list_at_all_counts_as_none() {
    let world = world();
    let impostor = list_due(&ca("CA"), &[], 2999);
    for (bytes, problem) in
        [(impostor.into_bytes(), "was not signed by the CA"), (b"<html>".to_vec(), "is not a")]
    {
        world.script.0.lock().unwrap().answers.clear();
        world.script.then(Scripted::List(bytes));
        let error = ask(&world).await.unwrap_err();
        assert!(error.contains(problem), "{error}");
        tokio::time::advance(PAUSE).await;
    }
}

#[tokio::test(start_paused = true)]
async fn boards_of_cas_that_publish_no_list_do_not_wait_for_one() {
    let world = world();
    world.script.then(Scripted::Status(503));
    let begun = Instant::now();
    world.lists.refresh();
    assert_eq!(world.lists.look_up(&board(&ca("another"), &SERIAL), None).await, Ok(Answer::NoList));
    assert_eq!(world.lists.look_up("no certificate", None).await, Ok(Answer::Good));
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn no_event_waits_for_a_server_that_does_not_answer_while_a_valid_list_is_at_hand() {
    let world = world();
    world.script.then(Scripted::List(world.current.clone()));
    world.script.then(Scripted::Silence);
    assert_eq!(ask(&world).await, Ok(true));
    tokio::time::advance(FRESH).await;
    let begun = Instant::now();
    for _ in 0..10 {
        world.lists.refresh();
        assert_eq!(world.lists.look_up(&world.board, None).await, Ok(Answer::Revoked));
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(world.script.requests().len(), 2, "one asks for all");
}

#[tokio::test(start_paused = true)]
async fn a_list_never_goes_back() {
    let world = world();
    for answer in [
        Scripted::List(world.numbered(5, &[&SERIAL])),
        Scripted::List(world.numbered(4, &[])),
        Scripted::List(world.numbered(5, &[&SERIAL])),
        Scripted::List(world.numbered(6, &[])),
    ] {
        world.script.then(answer);
    }
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(ask(&world).await);
        tokio::time::advance(FRESH).await;
    }
    assert_eq!(answers, [Ok(true), Ok(true), Ok(true), Ok(false)]);
    assert_eq!(world.script.requests().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn no_list_below_the_packaged_one_counts_in_a_cold_environment_and_the_packaged_one_does() {
    let mut world = world();
    let packaged = world.numbered(5, &[&SERIAL]);
    let files = folder(&[("ca.crt", &world.ca.pem())]);
    std::fs::write(files.path().join("ca.crl"), packaged).unwrap();
    let packaged = RevocationLists::read_cas(files.path()).unwrap();
    let url = "https://crl.example.com/lists/".parse().unwrap();
    world.lists = PublishedLists::new(Publication { url, packaged }, Box::new(world.script.clone()));
    world.script.then(Scripted::List(world.numbered(4, &[])));
    world.script.then(Scripted::Status(503));
    world.script.then(Scripted::List(world.numbered(6, &[])));
    for expected in [true, true, false] {
        assert_eq!(ask(&world).await, Ok(expected));
        tokio::time::advance(FRESH).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_board_waits_for_its_own_cas_list_alone() {
    let (one, two) = (ca("one"), ca("two"));
    let files = folder(&[("ca.crt", &one.pem()), ("other.crt", &two.pem())]);
    let script = Script::default();
    let both = [list_due(&one, &[&SERIAL], 2999), list_due(&two, &[], 2999)].concat();
    script.then(Scripted::List(both.into_bytes()));
    let packaged = RevocationLists::read_cas(files.path()).unwrap();
    let url = "https://crl.example.com/lists/".parse().unwrap();
    let lists = PublishedLists::new(Publication { url, packaged }, Box::new(script.clone()));
    assert_eq!(lists.look_up(&board(&one, &SERIAL), None).await, Ok(Answer::Revoked));
    // Nothing more is asked: the file had both.
    assert_eq!(lists.look_up(&board(&two, &SERIAL), None).await, Ok(Answer::Good));
    assert_eq!(script.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_event_whose_list_is_not_to_be_had_fails_to_come_again_and_changes_nothing() {
    use crate::fixture::Fixture;
    use crate::registration::{Error, Registration, Settings};
    use crate::revocation::Revocation;

    let fixture = Fixture::onboarded();
    let world = world();
    fixture.registry.account(|account| {
        account.certificates.get_mut(&fixture.certificate_id).unwrap().description.pem = world.board.clone();
    });
    world.script.then(Scripted::Status(503));
    world.script.then(Scripted::List(world.clean.clone()));
    let before = fixture.account();
    let registration = Registration::new(fixture.registry.clone(), Settings::zero_touch().unwrap())
        .with_revocation(Revocation::Published(world.lists));
    let failed = registration.register_event(&fixture.event()).await;
    assert!(matches!(failed, Err(Error::Revocation(_))), "{failed:?}");
    assert_eq!(fixture.account(), before);
    tokio::time::advance(PAUSE).await;
    registration.register_event(&fixture.event()).await.unwrap();
}

#[test]
fn urls_are_read_and_shown_without_a_slash_at_their_end() {
    for (text, shown) in [
        ("https://crl.example.com/", "https://crl.example.com"),
        ("https://crl.example.com:8443/a/b", "https://crl.example.com:8443/a/b"),
        ("s3://lists", "s3://lists"),
        ("s3://my.lists/a/b/", "s3://my.lists/a/b"),
    ] {
        assert_eq!(text.parse::<ListUrl>().unwrap().to_string(), shown);
    }
    for bad in
        ["", "https://", "https:///a", "http://a", "ftp://a", "https://a?b", "s3://", "s3://A/b", "s3://a b"]
    {
        assert!(bad.parse::<ListUrl>().is_err(), "{bad}");
    }
}
