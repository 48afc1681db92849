//! Keys in KMS: made there, and what is said when one is disabled, unknown, or may not be used.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use testbed::iot_core::control_plane::{Fault, Interceptor, Operation, ServiceError, When};
use testbed::{Options, Testbed};

use crate::laptop::{Laptop, Outcome};

/// Denies `kms:Sign` while it is told to.
#[derive(Clone, Default)]
struct Deny(Arc<AtomicBool>);

impl Interceptor for Deny {
    fn intercept(&self, operation: &Operation<'_>) -> Option<Fault> {
        let denied = operation.service == "kms" && operation.name == "Sign" && self.0.load(Ordering::SeqCst);
        let error = || {
            let message = "User: testbed is not authorized to perform: kms:Sign on this resource";
            ServiceError::new("AccessDeniedException", 400, message.to_owned())
        };
        denied.then(|| Fault { error: Some((When::Before, error())), ..Fault::default() })
    }
}

struct Stage {
    laptop: Laptop,
    testbed: Testbed,
    deny: Deny,
}

impl Stage {
    async fn new() -> Self {
        let deny = Deny::default();
        let options = Options { interceptor: Arc::new(deny.clone()), ..Options::default() };
        Self { laptop: Laptop::new(), testbed: Testbed::start(options).await.unwrap(), deny }
    }

    fn run(&self, arguments: &[&str]) -> Outcome {
        tokio::task::block_in_place(|| {
            self.laptop.run(
                arguments,
                &[
                    ("AWS_ENDPOINT_URL", self.testbed.endpoint_url()),
                    ("AWS_REGION", "us-east-1"),
                    ("AWS_ACCESS_KEY_ID", "testbed"),
                    ("AWS_SECRET_ACCESS_KEY", "testbed"),
                ],
            )
        })
    }

    fn create(&self) -> Outcome {
        self.run(&["ca", "create", "--root-key", "awskms:", "--signer-key", "awskms:"])
    }

    /// The ARN of the signer's key, as it is recorded.
    fn signer(&self) -> String {
        let text = std::fs::read_to_string(self.laptop.folder().join("signer-ca.uri")).unwrap();
        text.trim().strip_prefix("awskms:").unwrap().to_owned()
    }

    fn made(&self) -> usize {
        let entries = self.testbed.journal().entries();
        let is_made = |entry: &&testbed::journal::Entry| matches!(&entry.what, testbed::journal::Happening::Call(call) if call.operation == "CreateKey");
        entries.iter().filter(is_made).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_made_in_kms_and_nothing_of_them_is_in_the_home() {
    let stage = Stage::new().await;
    let made = stage.create();
    assert_eq!(made.code, 0, "{made}");
    assert!(stage.create().stdout.contains("unchanged"));
    assert_eq!(stage.made(), 2);
    assert!(stage.signer().starts_with("arn:aws:kms:us-east-1:123456789012:key/"));
    assert!(stage.laptop.files().iter().all(|(path, _)| path.extension().is_none_or(|kind| kind != "key")));
    let shown = stage.laptop.run(&["ca", "show"], &[]);
    assert_eq!(shown.code, 0, "shown without any account: {shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_may_not_sign_stops_the_creation_and_the_next_run_goes_on_with_it() {
    let stage = Stage::new().await;
    stage.deny.0.store(true, Ordering::SeqCst);
    let denied = stage.create();
    insta::assert_snapshot!("denied", denied);
    assert!(!stage.laptop.folder().join("root-ca.crt").exists());
    stage.deny.0.store(false, Ordering::SeqCst);
    let made = stage.create();
    assert_eq!(made.code, 0, "{made}");
    assert_eq!(stage.made(), 2, "the key of the first run is used");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_or_unknown_key_is_named_with_the_next_step() {
    let stage = Stage::new().await;
    assert_eq!(stage.create().code, 0);
    let signer = stage.signer();
    stage.testbed.account().key_mut(&signer).unwrap().enabled = false;
    let before = stage.laptop.files();
    let disabled = stage.run(&["provision", "--port", "/dev/null", "--endpoint", "localhost"]);
    insta::assert_snapshot!("disabled", disabled.naming(signer.clone(), "ARN"));
    assert_eq!(stage.laptop.files(), before);
    let other = Laptop::new();
    let unknown = tokio::task::block_in_place(|| {
        let environment = [("AWS_ENDPOINT_URL", stage.testbed.endpoint_url()), ("AWS_REGION", "us-east-1")];
        let credentials = [("AWS_ACCESS_KEY_ID", "testbed"), ("AWS_SECRET_ACCESS_KEY", "testbed")];
        let environment = [environment, credentials].concat();
        other.run(&["ca", "create", "--signer-key", "awskms:alias/unknown"], &environment)
    });
    insta::assert_snapshot!("unknown", unknown);
}
