//! Keys in a token, SoftHSM 2: made there, found there, and messages when the token is missing, locked or wrong.

use std::io::Write;

use tempfile::TempDir;
use testbed::softhsm::{CONFIGURATION, Error, PIN, SoftHsm};

use super::{VARIABLE, close};
use crate::laptop::{Laptop, Outcome};

struct Stage {
    laptop: Laptop,
    token: SoftHsm,
    _folder: TempDir,
}

impl Stage {
    /// A laptop and a token; says so and gives `None` where SoftHSM is not installed.
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        match SoftHsm::start(folder.path()) {
            Ok(token) => Some(Self { laptop: Laptop::new(), token, _folder: folder }),
            Err(error @ Error::Missing) => {
                assert!(std::env::var("REFEREES").as_deref() != Ok("required"), "{error}");
                // Past the harness, which keeps what a passing test prints to itself.
                std::io::stderr().write_all(format!("skipped, token: {error}\n").as_bytes()).unwrap();
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn run(&self, arguments: &[&str], pin: Option<&str>) -> Outcome {
        let configuration = self.token.configuration().display().to_string();
        let mut environment = vec![(CONFIGURATION, configuration.as_str())];
        environment.extend(pin.map(|pin| (VARIABLE, pin)));
        self.laptop.run(arguments, &environment).naming(self.token.tokens().display().to_string(), "TOKENS")
    }

    /// What needs the signer's key before anything else: without a board it gets no further than the key.
    fn sign(&self, pin: Option<&str>) -> Outcome {
        self.run(&["provision", "--port", "/dev/null", "--endpoint", "localhost"], pin)
    }

    fn import(&self, curve: &str, label: &str, id: &str) {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key.pem");
        let key = key.to_str().unwrap();
        let curve = format!("ec_paramgen_curve:{curve}");
        let made = std::process::Command::new("openssl")
            .args(["genpkey", "-algorithm", "EC", "-pkeyopt", &curve, "-out", key])
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let token = ["--import", key, "--token", "testbed", "--label", label, "--id", id, "--pin", PIN];
        self.token.tool(token).unwrap();
    }
}

#[test]
fn keys_are_made_in_the_token_and_found_there_again() {
    let Some(stage) = Stage::new() else { return };
    let (root, signer) = (stage.token.uri_with_pin("root"), stage.token.uri("signer"));
    let create = ["ca", "create", "--root-key", &root, "--signer-key", &signer];
    let made = stage.run(&create, Some(PIN));
    assert_eq!(made.code, 0, "{made}");
    let files = stage.laptop.files();
    let mut names: Vec<_> = files.iter().filter_map(|(path, _)| path.to_str()).collect();
    names.retain(|name| name.contains("-ca."));
    assert_eq!(names, ["root-ca.crt", "root-ca.uri", "signer-ca.crt", "signer-ca.csr", "signer-ca.uri"]);
    let recorded = std::fs::read_to_string(stage.laptop.folder().join("signer-ca.uri")).unwrap();
    assert!(recorded.contains("object=signer;id=%") && !recorded.contains(PIN), "{recorded}");
    let again = stage.run(&create, Some(PIN));
    assert!(again.stdout.contains("unchanged"), "{again}");
    // Shown without the token's PIN, used with it alone.
    assert_eq!(stage.run(&["ca", "show"], None).code, 0);
    let signs = stage.sign(Some(PIN));
    assert_eq!(signs.code, 3, "the key opens, and there is no board: {signs}");
}

#[test]
fn a_signer_in_a_token_is_followed_by_one_with_a_key_of_its_own_there() {
    let Some(stage) = Stage::new() else { return };
    let uri = stage.token.uri_with_pin("signer");
    assert_eq!(stage.run(&["ca", "create", "--signer-key", &uri], None).code, 0);
    let recorded = || std::fs::read_to_string(stage.laptop.folder().join("signer-ca.uri")).unwrap();
    let (old, before) = (recorded(), stage.laptop.files());
    let rotate = |key: &[&str]| stage.run(&[&["ca", "rotate", "--no-register"], key].concat(), None);
    // Neither a plain file unasked nor the same key again.
    for key in [&[][..], &["--signer-key", &uri]] {
        let refused = rotate(key);
        assert_eq!(refused.code, 2, "{refused}");
        assert!(refused.stderr.contains("--signer-key"), "{refused}");
        assert_eq!(stage.laptop.files(), before);
    }
    let next = stage.token.uri_with_pin("next");
    // The token goes away after the place is recorded: the next run makes the key there.
    let away = stage.token.tokens().with_extension("away");
    std::fs::rename(stage.token.tokens(), &away).unwrap();
    std::fs::create_dir(stage.token.tokens()).unwrap();
    assert_eq!(rotate(&["--signer-key", &next]).code, 1);
    std::fs::remove_dir(stage.token.tokens()).unwrap();
    std::fs::rename(&away, stage.token.tokens()).unwrap();
    assert_eq!(recorded(), old);
    let rotated = rotate(&["--signer-key", &next]);
    assert_eq!(rotated.code, 0, "{rotated}");
    assert!(recorded().contains("object=next"), "{}", recorded());
    assert_eq!(stage.sign(None).code, 3, "the new key opens, and there is no board");
    let lists = stage.run(&["ca", "crl"], None);
    assert_eq!((lists.code, lists.stdout.lines().count()), (0, 2), "both keys sign: {lists}");
    let shown = stage.run(&["ca", "show"], None);
    assert!(shown.stdout.contains("object=next") && shown.stdout.contains("object=signer"), "{shown}");
}

#[test]
fn a_wrong_pin_a_missing_token_and_a_key_of_another_curve_are_named_and_leave_nothing() {
    let Some(stage) = Stage::new() else { return };
    let uri = stage.token.uri("signer");
    assert_eq!(stage.run(&["ca", "create", "--signer-key", &uri], Some(PIN)).code, 0);
    let before = stage.laptop.files();
    let id = |outcome: Outcome| {
        let recorded = std::fs::read_to_string(stage.laptop.folder().join("signer-ca.uri")).unwrap();
        outcome.naming(recorded.trim(), "URI").to_string()
    };
    insta::assert_snapshot!("wrong_pin", id(stage.sign(Some("000000"))));
    insta::assert_snapshot!("no_pin", id(stage.sign(None)));
    let away = stage.token.tokens().with_extension("away");
    std::fs::rename(stage.token.tokens(), &away).unwrap();
    std::fs::create_dir(stage.token.tokens()).unwrap();
    insta::assert_snapshot!("token_away", id(stage.sign(Some(PIN))));
    std::fs::remove_dir(stage.token.tokens()).unwrap();
    std::fs::rename(&away, stage.token.tokens()).unwrap();
    assert_eq!(stage.laptop.files(), before);

    stage.import("P-384", "other", "0a");
    let fresh = Laptop::new();
    let configuration = stage.token.configuration().display().to_string();
    let other = stage.token.uri_with_pin("other");
    let create =
        |uri: &str| fresh.run(&["ca", "create", "--root-key", uri], &[(CONFIGURATION, &configuration)]);
    let refused = create(&other);
    assert_eq!(refused.code, 1, "{refused}");
    assert!(refused.stderr.contains("is not a P-256 key"), "{refused}");
    assert!(fresh.files().is_empty(), "{:?}", fresh.files());
    let missing = create("pkcs11:object=a?module-path=/nowhere/module.so");
    assert!(missing.stderr.contains("/nowhere/module.so cannot be used"), "{missing}");
}

#[test]
fn a_key_that_was_there_before_is_used() {
    let Some(stage) = Stage::new() else { return };
    stage.import("P-256", "mine", "0b");
    let uri = stage.token.uri_with_pin("mine");
    let made = stage.run(&["ca", "create", "--signer-key", &uri], None);
    assert_eq!(made.code, 0, "{made}");
    let recorded = std::fs::read_to_string(stage.laptop.folder().join("signer-ca.uri")).unwrap();
    assert_eq!(recorded.trim(), uri);
    stage.import("P-256", "mine", "0c");
    let several = stage.sign(None);
    assert!(several.stderr.contains("matches several keys"), "{several}");
}

#[test]
fn a_pin_on_the_command_line_is_warned_of_and_never_written() {
    let Some(stage) = Stage::new() else { return };
    let uri = format!("{}&pin-value={PIN}", stage.token.uri("signer"));
    let made = stage.run(&["ca", "create", "--signer-key", &uri, "--logging", "debug"], None);
    assert_eq!(made.code, 0, "{made}");
    assert!(made.stderr.contains("other users can see"), "{made}");
    assert!(!made.to_string().contains(PIN), "{made}");
    for (path, content) in stage.laptop.files() {
        assert!(!content.windows(PIN.len()).any(|window| window == PIN.as_bytes()), "{}", path.display());
    }
    close(&stage.token.pin_file());
}
