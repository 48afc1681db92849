//! Whatever environments remember, no certificate that was made pending again stays so.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const CERTIFICATES: usize = 3;
const ENVIRONMENTS: usize = 2;

/// What happens.
#[derive(Debug, Clone)]
enum Step {
    /// The device connects; while it waits, this publishes an event, up to twice.
    Connect {
        certificate: usize,
        twice: bool,
    },
    /// The certificate is deleted, and the device connects and registers it again.
    Again {
        certificate: usize,
    },
    /// An environment gets some of the messages, and has some time.
    Deliver {
        environment: usize,
        messages: u32,
        milliseconds: u64,
    },
    /// An environment ends, and another takes its place.
    Crash {
        environment: usize,
    },
    /// AWS IoT throttles activations from now on, or no longer.
    Throttle(bool),
    Wait {
        milliseconds: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let certificate = 0..CERTIFICATES;
    let environment = 0..ENVIRONMENTS;
    let step = prop_oneof![
        4 => (certificate.clone(), any::<bool>())
            .prop_map(|(certificate, twice)| Step::Connect { certificate, twice }),
        3 => certificate.prop_map(|certificate| Step::Again { certificate }),
        5 => (environment.clone(), any::<u32>(), 500..3_000_u64).prop_map(
            |(environment, messages, milliseconds)| Step::Deliver { environment, messages, milliseconds }
        ),
        1 => environment.prop_map(|environment| Step::Crash { environment }),
        1 => any::<bool>().prop_map(Step::Throttle),
        2 => (0..40_000_u64).prop_map(|milliseconds| Step::Wait { milliseconds }),
    ];
    vec(step, 1..40)
}

/// The account, the queue, and the environments.
struct World {
    fixture: Fixture,
    start: Instant,
    certificates: Vec<String>,
    environments: Vec<Handler<MemoryRegistry>>,
    /// Messages by id.
    queue: Vec<(String, Value)>,
    sent: usize,
}

impl World {
    fn new() -> Self {
        let fixture = Fixture::onboarded();
        let certificates =
            (0..CERTIFICATES).map(|n| fixture.another_certificate(&format!("board-{n}"))).collect();
        let environments = (0..ENVIRONMENTS).map(|_| handler(&fixture)).collect();
        Self { fixture, start: Instant::now(), certificates, environments, queue: Vec::new(), sent: 0 }
    }

    fn now(&self) -> SystemTime {
        arrival() + self.start.elapsed()
    }

    fn status(&self, certificate: usize) -> CertificateStatus {
        let account = self.fixture.account();
        account.certificates[&self.certificates[certificate]].description.status
    }

    fn publish(&mut self, certificate: usize) {
        let mut event = payload(&self.fixture, &self.certificates[certificate]);
        event["timestamp"] = json!(milliseconds(self.now()));
        self.sent += 1;
        self.queue.push((format!("m{}", self.sent), event));
    }

    async fn deliver(&mut self, environment: usize, messages: u32, remaining: Duration) {
        let is_taken = |n: usize| messages >> (n % 32) & 1 == 1;
        let taken: Vec<_> =
            self.queue.iter().enumerate().filter(|(n, _)| is_taken(*n)).map(|(_, m)| m.clone()).collect();
        let records: Vec<_> = taken.iter().map(|(id, event)| record(id, event)).collect();
        if records.is_empty() {
            return;
        }
        let invocation =
            Invocation { request_id: "request-1", arrived: self.now(), remaining, sampled: false };
        let handled = self.environments[environment].handle(json!({"Records": records}), invocation).await;
        let again = failed(&serde_json::to_value(handled.answer.unwrap()).unwrap());
        self.queue.retain(|(id, _)| !taken.iter().any(|(other, _)| other == id) || again.contains(id));
    }

    async fn take(&mut self, step: &Step) {
        match *step {
            Step::Connect { certificate, twice } => {
                if self.status(certificate) == CertificateStatus::PendingActivation {
                    self.publish(certificate);
                    if twice {
                        self.publish(certificate);
                    }
                }
            }
            Step::Again { certificate } => {
                let id = self.certificates[certificate].clone();
                self.fixture.registry.account(|account| {
                    let certificate = account.certificates.get_mut(&id).unwrap();
                    certificate.description.status = CertificateStatus::PendingActivation;
                });
                self.publish(certificate);
            }
            Step::Deliver { environment, messages, milliseconds } => {
                self.deliver(environment, messages, Duration::from_millis(milliseconds)).await;
            }
            Step::Crash { environment } => self.environments[environment] = handler(&self.fixture),
            Step::Throttle(on) => self.fixture.registry.set_faults(move |_, operation| match operation {
                Operation::UpdateCertificate if on => Fault::Error(ErrorKind::Throttled),
                _ => Fault::None,
            }),
            Step::Wait { milliseconds } => tokio::time::sleep(Duration::from_millis(milliseconds)).await,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_is_remembered_drops_no_certificate_that_was_made_pending_again(steps in steps()) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut world = World::new();
            // What has published an event has to be registered in the end.
            let mut published = BTreeSet::new();
            for step in &steps {
                let before = world.sent;
                world.take(step).await;
                if let Step::Connect { certificate, .. } | Step::Again { certificate } = step
                    && world.sent > before
                {
                    published.insert(*certificate);
                }
            }
            world.take(&Step::Throttle(false)).await;
            let mut rounds = 0;
            while !world.queue.is_empty() {
                world.deliver(rounds % ENVIRONMENTS, u32::MAX, PLENTY).await;
                tokio::time::sleep(PLENTY).await;
                rounds += 1;
                assert!(rounds < 20, "{:?}", world.queue);
            }
            for certificate in published {
                assert_eq!(world.status(certificate), CertificateStatus::Active, "{certificate}");
            }
        });
    }
}
