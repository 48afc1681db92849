//! Which boards are let in, by which list, and what holds while there is none.

use std::collections::VecDeque;
use std::sync::Mutex;

use futures::future::BoxFuture;
use rcgen::{KeyPair, PublicKeyData, SigningKey};
use tokio::time::Instant;

use super::*;
use crate::fixture::{Fixture, LATENCY};
use crate::published::{FRESH, Fetched, ListError, PAUSE, Wanted};
use crate::registration::{Error, Outcome, Refusal};
use crate::registry::{CertificateStatus, Operation};

const LATE: &[u8; 15] = b"29990101000000Z";
const EARLY: &[u8; 15] = b"20260101000000Z";

fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[tag, 0x82, length[0], length[1]][..], &content].concat()
}

/// As DER has it: in one octet where it fits into one.
fn short(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    match content.len() {
        0..128 => [&[tag, content.len() as u8][..], &content].concat(),
        128..256 => [&[tag, 0x81, content.len() as u8][..], &content].concat(),
        _ => tlv(tag, parts),
    }
}

/// Signs admission lists.
struct Publisher(KeyPair);

impl Publisher {
    fn new() -> Self {
        Self(KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap())
    }

    fn key(&self) -> AdmissionKey {
        AdmissionKey(self.0.der_bytes().try_into().unwrap())
    }

    fn list_until(&self, number: u8, until: &[u8; 15], things: &[&str]) -> Vec<u8> {
        let mut keys: Vec<Vec<u8>> = things.iter().map(|thing| hex::decode(thing).unwrap()).collect();
        keys.sort_unstable();
        let content = short(
            0x30,
            &[
                &[2, 1, 0, 2, 1, number],
                &short(0x18, &[b"20250101000000Z"]),
                &short(0x18, &[until]),
                &short(4, &[&keys.concat()]),
            ],
        );
        let algorithm = [0x30, 10, 6, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 4, 3, 2];
        let signature = short(3, &[&[0], &self.0.sign(&content).unwrap()]);
        short(0x30, &[&content, &algorithm, &signature])
    }

    fn list(&self, number: u8, things: &[&str]) -> Vec<u8> {
        self.list_until(number, LATE, things)
    }

    /// The list in the package.
    fn packaged(&self, list: Vec<u8>, mode: Mode) -> Admission {
        let list = AdmissionList::verified(list, "the list", &self.key()).unwrap();
        Admission::packaged("admission/admission.der".into(), list, mode)
    }
}

/// Answers in turn what it was given, the last for ever.
#[derive(Debug, Clone, Default)]
struct Script(Arc<Mutex<VecDeque<Vec<u8>>>>);

impl Source for Script {
    fn fetch<'a>(&'a self, wanted: Wanted<'a>) -> BoxFuture<'a, Result<Fetched, ListError>> {
        assert_eq!((wanted.name, wanted.longest), (FILE, MAX_SIZE));
        let mut answers = self.0.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        Box::pin(async move {
            match answer {
                None => Err(ListError::Status(404)),
                Some(bytes) => Ok(Fetched::List { bytes, version: None }),
            }
        })
    }
}

/// A place where lists are published.
struct Place {
    script: Script,
    admission: Admission,
    publisher: Publisher,
    board: Fixture,
}

fn place() -> Place {
    let (script, publisher) = (Script::default(), Publisher::new());
    let url = "https://lists.example.com/a/".parse().unwrap();
    let source = Box::new(script.clone());
    let admission = Admission::published(&url, source, publisher.key(), Mode::Enforce);
    Place { script, admission, publisher, board: Fixture::onboarded() }
}

impl Place {
    fn publishes(&self, list: Vec<u8>) {
        *self.script.0.lock().unwrap() = [list].into();
    }

    fn pem(&self) -> String {
        self.board.account().certificates[&self.board.certificate_id].description.pem.clone()
    }

    /// What an event is told once everything that was asked for has come.
    async fn asks(&self) -> Result<Answer, String> {
        self.admission.refresh();
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.admission.look_up(&self.pem()).await.map_err(|error| error.to_string())
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_costs_no_call_and_no_time() {
    let fixture = Fixture::onboarded();
    let publisher = Publisher::new();
    let list = publisher.list(1, &[fixture.thing_name().as_str()]);
    let registration = fixture.registration().with_admission(publisher.packaged(list, Mode::Enforce));
    registration.warm_up().await.unwrap();
    fixture.registry.reset();
    let start = Instant::now();
    registration.register_event(&fixture.event()).await.unwrap();
    assert_eq!(start.elapsed(), LATENCY * 4, "four calls in sequence");
    assert_eq!(fixture.registry.calls().len(), 5);
    fixture.assert_registered();
}

#[tokio::test(start_paused = true)]
async fn a_board_that_is_not_on_the_list_stays_pending_and_gets_in_once_it_is() {
    let fixture = Fixture::onboarded();
    let publisher = Publisher::new();
    let other = "00".repeat(20);
    let enforced = |list| publisher.packaged(list, Mode::Enforce);
    let registration = fixture.registration().with_admission(enforced(publisher.list(1, &[other.as_str()])));
    registration.warm_up().await.unwrap();
    fixture.registry.reset();
    match registration.register_event(&fixture.event()).await {
        Err(Error::Refused(Refusal::NotAdmitted)) => {}
        other => panic!("{other:?}"),
    }
    let calls: Vec<_> = fixture.registry.calls().iter().map(|call| call.operation).collect();
    assert_eq!(calls, [Operation::DescribeCertificate], "nothing is changed");
    let account = fixture.account();
    let found = &account.certificates[&fixture.certificate_id];
    assert_eq!(found.description.status, CertificateStatus::PendingActivation);
    assert!(account.things.is_empty());

    let list = publisher.list(2, &[fixture.thing_name().as_str()]);
    let registration = fixture.registration().with_admission(enforced(list));
    registration.register_event(&fixture.event()).await.unwrap();
    fixture.assert_registered();
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_only_reported_on_lets_everybody_in_and_counts() {
    let fixture = Fixture::onboarded();
    let publisher = Publisher::new();
    let admission = publisher.packaged(publisher.list(1, &[]), Mode::Report);
    let registration = fixture.registration().with_admission(admission);
    let registered = registration.register_event(&fixture.event()).await.unwrap();
    assert_eq!(registered.outcome, Outcome::Registered);
    assert_eq!(registration.admission().reported(), 1);
    fixture.assert_registered();
}

#[tokio::test(start_paused = true)]
async fn a_list_that_counts_no_more_fails_the_event_in_either_mode() {
    let fixture = Fixture::onboarded();
    let publisher = Publisher::new();
    for mode in [Mode::Enforce, Mode::Report] {
        let list = publisher.list_until(1, EARLY, &[fixture.thing_name().as_str()]);
        let registration = fixture.registration().with_admission(publisher.packaged(list, mode));
        let failed = registration.register_event(&fixture.event()).await.unwrap_err();
        assert!(matches!(failed, Error::Admission(_)), "{failed}");
        assert_eq!(registration.admission().left(SystemTime::now()), Some(0));
        assert!(fixture.account().things.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_list_nobody_gets_in_until_there_is_one() {
    let place = place();
    let thing = place.board.thing_name().to_string();
    let missing = "the admission list https://lists.example.com/a/admission.der cannot be fetched: \
                   the server answers with status 404";
    assert_eq!(place.asks().await, Err(missing.to_owned()));
    assert_eq!(place.admission.left(SystemTime::now()), None);
    place.publishes(Publisher::new().list(1, &[&thing]));
    tokio::time::advance(PAUSE).await;
    let refused = place.asks().await.unwrap_err();
    assert!(refused.ends_with("was not signed by the admission key"), "{refused}");
    place.publishes(place.publisher.list(1, &[&thing]));
    tokio::time::advance(PAUSE).await;
    assert_eq!(place.asks().await, Ok(Answer::Admitted));
}

#[tokio::test(start_paused = true)]
async fn a_list_never_goes_back_and_counts_until_its_end() {
    let place = place();
    let thing = place.board.thing_name().to_string();
    place.publishes(place.publisher.list(5, &[]));
    assert_eq!(place.asks().await, Ok(Answer::Refused));
    // The board was on an earlier list.
    place.publishes(place.publisher.list(4, &[&thing]));
    tokio::time::advance(FRESH).await;
    assert_eq!(place.asks().await, Ok(Answer::Refused));
    // A list is asked for once in a while by those that are not on it, however fresh it is.
    place.publishes(place.publisher.list(6, &[&thing]));
    assert_eq!(place.asks().await, Ok(Answer::Refused));
    tokio::time::advance(PAUSE).await;
    assert_eq!(place.asks().await, Ok(Answer::Admitted));
    // Nothing comes any more: the present list counts.
    place.script.0.lock().unwrap().clear();
    tokio::time::advance(FRESH).await;
    assert_eq!(place.asks().await, Ok(Answer::Admitted));

    let place = self::place();
    place.publishes(place.publisher.list_until(1, EARLY, &[&thing]));
    let overdue = place.asks().await.unwrap_err();
    assert!(overdue.contains("is out of date"), "{overdue}");
}

/// Whoever has the signer CA's key says in a certificate of any key what they like.
#[tokio::test(start_paused = true)]
async fn a_key_that_claims_the_identifier_of_another_is_not_let_in() {
    let place = place();
    let thing = place.board.thing_name().to_string();
    place.publishes(place.publisher.list(1, &[&thing]));
    let thief = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::ExplicitNoCa;
    params.key_identifier_method = rcgen::KeyIdMethod::PreSpecified(hex::decode(&thing).unwrap());
    let pem = params.self_signed(&thief).unwrap().pem();
    assert_eq!(place.admission.look_up(&pem).await, Ok(Answer::Refused));
    assert_eq!(place.admission.look_up(&place.pem()).await, Ok(Answer::Admitted));
    assert_eq!(place.admission.look_up("no certificate").await, Ok(Answer::Refused));
}
