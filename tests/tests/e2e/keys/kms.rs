//! Keys in KMS: made there, and messages when one is disabled, unknown, or not allowed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use testbed::iot_core::control_plane::{Fault, Interceptor, Operation, ServiceError, When};
use testbed::journal::Happening;
use testbed::{Options, Testbed};

use crate::laptop::{Laptop, Outcome};

/// Denies `kms:Sign` while the first flag is set. While the second is, a key is made and its maker does not learn of it.
#[derive(Clone, Default)]
struct Deny(Arc<AtomicBool>, Arc<AtomicBool>);

impl Interceptor for Deny {
    fn intercept(&self, operation: &Operation<'_>) -> Option<Fault> {
        let error = match (operation.service, operation.name) {
            ("kms", "Sign") if self.0.load(Ordering::SeqCst) => {
                let message = "User: testbed is not authorized to perform: kms:Sign on this resource";
                (When::Before, ServiceError::new("AccessDeniedException", 400, message.to_owned()))
            }
            ("kms", "CreateKey") if self.1.load(Ordering::SeqCst) => {
                (When::After, ServiceError::new("KMSInternalException", 500, "lost".to_owned()))
            }
            _ => return None,
        };
        Some(Fault { error: Some(error), ..Fault::default() })
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
        tokio::task::block_in_place(|| self.laptop.run(arguments, &self.testbed.access().environment()))
    }

    fn create(&self) -> Outcome {
        self.run(&["ca", "create", "--root-key", "awskms:", "--signer-key", "awskms:"])
    }

    /// The ARN of the signer's key, as it is recorded.
    fn signer(&self) -> String {
        let text = std::fs::read_to_string(self.laptop.folder().join("signer-ca.uri")).unwrap();
        text.trim().strip_prefix("awskms:").unwrap().to_owned()
    }

    /// The calls of KMS, in their order.
    fn journal(&self) -> Vec<String> {
        let entries = self.testbed.journal().entries();
        let calls = entries.iter().filter_map(|entry| match &entry.what {
            Happening::Call(call) if call.service == "kms" => Some(call.operation.to_string()),
            _ => None,
        });
        calls.collect()
    }

    fn calls(&self) -> BTreeSet<String> {
        self.journal().into_iter().collect()
    }

    fn made(&self) -> usize {
        self.journal().iter().filter(|call| *call == "CreateKey").count()
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
async fn a_signer_in_kms_is_followed_by_one_with_a_key_of_its_own_and_a_killed_run_leaves_no_second() {
    let stage = Stage::new().await;
    assert_eq!(stage.create().code, 0);
    let old = stage.signer();
    let unsaid = stage.run(&["ca", "rotate", "--no-register"]);
    assert_eq!(unsaid.code, 2, "{unsaid}");
    assert!(unsaid.stderr.contains("--signer-key"), "{unsaid}");
    // The key is made, and then may not sign: the next run uses it.
    let rotate = ["ca", "rotate", "--no-register", "--signer-key", "awskms:"];
    stage.deny.0.store(true, Ordering::SeqCst);
    assert_eq!(stage.run(&rotate).code, 4);
    assert_eq!(stage.signer(), old);
    stage.deny.0.store(false, Ordering::SeqCst);
    let rotated = stage.run(&["ca", "rotate", "--no-register"]);
    assert_eq!(rotated.code, 0, "{rotated}");
    assert_eq!(stage.made(), 3, "root, signer, and the next signer once");
    assert_ne!(stage.signer(), old);
    let lists = stage.run(&["ca", "crl"]);
    assert_eq!((lists.code, lists.stdout.lines().count()), (0, 2), "both keys sign: {lists}");
    stage.deny.1.store(true, Ordering::SeqCst);
    let rotate = ["ca", "rotate", "--no-register", "--signer-key", "awskms:"];
    assert_eq!(stage.run(&rotate).code, 4);
    stage.deny.1.store(false, Ordering::SeqCst);
    assert_eq!(stage.run(&["ca", "rotate", "--no-register"]).code, 0);
    assert_eq!(stage.made(), 4, "the key whose maker did not learn of it is used");
    assert_eq!(stage.calls(), documented());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_making_was_not_answered_is_found_by_the_next_run() {
    let stage = Stage::new().await;
    stage.deny.1.store(true, Ordering::SeqCst);
    let lost = stage.create();
    assert_eq!(lost.code, 4, "{lost}");
    assert_eq!(stage.made(), 1, "the call is not repeated");
    let begun = std::fs::read_to_string(stage.laptop.folder().join("root-ca.uri")).unwrap();
    assert!(begun.starts_with("awskms:new/"), "{begun}");
    stage.deny.1.store(false, Ordering::SeqCst);
    let made = stage.create();
    assert_eq!(made.code, 0, "{made}");
    assert_eq!(stage.made(), 2, "the root's key of the first run is used");
}

/// The calls in the document on permissions.
fn documented() -> BTreeSet<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../provisioner/docs/permissions.md");
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `kms:")?.split_once('`'));
    rows.map(|(call, _)| call.to_owned()).collect()
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
        let environment = stage.testbed.access().environment();
        other.run(&["ca", "create", "--signer-key", "awskms:alias/unknown"], &environment)
    });
    insta::assert_snapshot!("unknown", unknown);
}
