//! Settings of AWS as people have them: profiles of every kind, blank variables, CA bundles, networks that answer in the place
//! of AWS, and partitions.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;

use testbed::iot_core::account::Proof;
use testbed::{Options, beside};

use crate::account::Account;
use crate::laptop::{Laptop, Outcome};
use crate::terminal::at_terminal;

const ROLE: &str = "arn:aws:iam::123456789012:role/Admin";
const DEVICE: &str = "arn:aws:iam::123456789012:mfa/ann";
/// Asks who the caller is and where boards connect, and no key of the home.
const LOOK: [&str; 3] = ["setup", "--method=mar", "--dry-run"];

/// A user with files of AWS, and an account.
struct User {
    laptop: Laptop,
    account: Account,
}

impl User {
    async fn new(options: Options) -> Self {
        Self { laptop: Laptop::new(), account: Account::with(options).await }
    }

    /// A user whose configuration file has the keys of the account as profile `static`, and this besides.
    async fn with(profiles: &str) -> Self {
        let user = Self::new(Options::default()).await;
        user.configured(profiles);
        user
    }

    fn configured(&self, profiles: &str) {
        let access = self.account.testbed.access();
        let text = format!(
            "[profile static]\naws_access_key_id = {}\naws_secret_access_key = {}\nregion = {}\n{profiles}",
            access.access_key_id, access.secret_access_key, access.region
        );
        self.file("config", text.as_bytes());
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.laptop.folder().with_file_name(".aws").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn role(&self, action: &str, condition: &str) {
        let trust = format!(
            r#"{{"Statement":[{{"Effect":"Allow","Principal":"*","Action":"{action}"{condition}}}]}}"#
        );
        let mut account = self.account.testbed.account();
        account.create_role("Admin", None, &trust, None, Default::default()).unwrap();
    }

    fn endpoint(&self) -> (&'static str, &str) {
        ("AWS_ENDPOINT_URL", self.account.testbed.endpoint_url())
    }

    fn keys(&self) -> [(&'static str, &str); 3] {
        let access = self.account.testbed.access();
        [
            ("AWS_REGION", access.region.as_str()),
            ("AWS_ACCESS_KEY_ID", access.access_key_id.as_str()),
            ("AWS_SECRET_ACCESS_KEY", access.secret_access_key.as_str()),
        ]
    }

    fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Outcome {
        self.laptop.run(&[&LOOK, arguments].concat(), &[&[self.endpoint()], environment].concat())
    }

    /// The same profile, named by the flag and by the environment: both end alike.
    fn both(&self, profile: &str) -> Outcome {
        let flag = self.run(&["--profile", profile], &[]);
        let variable = self.run(&[], &[("AWS_PROFILE", profile)]);
        assert_eq!((flag.code, &flag.stdout), (variable.code, &variable.stdout), "{flag}{variable}");
        // What is advised has the flag, and what is refused is told with the variable.
        let own = [
            format!("--profile {profile} "),
            format!("--profile '{profile}' "),
            ", which AWS_PROFILE names,".to_owned(),
        ];
        let without = |text: &str| own.iter().fold(text.to_owned(), |text, what| text.replace(what, ""));
        assert_eq!(without(&flag.stderr), without(&variable.stderr));
        flag
    }

    fn assumed(&self) -> usize {
        let calls = self.account.testbed.journal().calls();
        calls.iter().filter(|call| call.operation.starts_with("AssumeRole")).count()
    }
}

#[track_caller]
fn says(outcome: &Outcome, code: i32, words: &[&str]) {
    assert_eq!(outcome.code, code, "{outcome}");
    for word in words {
        assert!(outcome.stderr.contains(word), "{word}: {outcome}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_by_the_flag_is_that_of_the_environment() {
    let user = User::with(&format!(
        "[profile \"two words\"]\nsource_profile = static\nrole_arn = {ROLE}\nregion = us-east-1\n\
         [profile Büro]\nrole_arn = {ROLE}\nsource_profile = two words # twice\nregion = us-east-1\n\
         [profile own]\nrole_arn = {ROLE}\nsource_profile = own\nregion = us-east-1\n\
         [profile process]\ncredential_process = cat \"$HOME/.aws/printed\"\nregion = us-east-1\n\
         [profile token]\nrole_arn = {ROLE}\nweb_identity_token_file = TOKEN\nregion = us-east-1\n\
         [profile nothing]\nregion = us-east-1\n"
    ))
    .await;
    user.role("sts:AssumeRole", "");
    for profile in ["static", "two words", "Büro"] {
        assert_eq!(user.both(profile).code, 0, "{profile}");
    }
    assert_eq!(user.assumed(), 6, "one role, and two roles, by the flag and by the variable");
    let access = user.account.testbed.access();
    let printed = format!(
        r#"{{"Version":1,"AccessKeyId":"{}","SecretAccessKey":"{}"}}"#,
        access.access_key_id, access.secret_access_key
    );
    user.file("printed", printed.as_bytes());
    assert_eq!(user.both("process").code, 0);
    // The keys of the file go before a role where the profile is its own source.
    let own = format!(
        "[own]\naws_access_key_id = {}\naws_secret_access_key = {}\n[with spaces]\naws_access_key_id = {}\n\
         aws_secret_access_key = {}\n",
        access.access_key_id, access.secret_access_key, access.access_key_id, access.secret_access_key
    );
    user.file("credentials", own.as_bytes());
    assert_eq!(user.both("own").code, 0);
    says(&user.run(&["--profile", "with spaces", "--region", "us-east-1"], &[]), 0, &[]);

    says(&user.both("nothing"), 4, &["AWS profile `nothing` has no credentials"]);
    says(&user.both("Buero"), 2, &["no AWS profile `Buero` in ~/.aws/config", "Büro, ", "two words"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_with_a_token_or_with_the_environment_are_assumed() {
    let user = User::with("").await;
    let token = user.file("token", b"of an identity provider");
    user.configured(&format!(
        "[profile token]\nrole_arn = {ROLE}\nweb_identity_token_file = {}\nregion = us-east-1\n\
         [profile environment]\nrole_arn = {ROLE}\ncredential_source = Environment\nregion = us-east-1\n\
         [profile lost]\nrole_arn = {ROLE}\nweb_identity_token_file = /nowhere/token\nregion = us-east-1\n",
        token.display()
    ));
    user.role("sts:AssumeRoleWithWebIdentity", "");
    assert_eq!(user.both("token").code, 0);
    assert_eq!(user.assumed(), 2);
    says(&user.both("lost"), 4, &["AWS profile `lost`", "web_identity_token_file and role_arn"]);
    let denied = user.run(&["--profile", "environment"], &user.keys());
    says(&denied, 4, &["AWS profile `environment`", "sts:AssumeRole", "not authorized"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_of_an_mfa_device_is_asked_for_once() {
    let profile = |name: &str, source: &str| {
        format!(
            "[profile {name}]\nrole_arn = {ROLE}\nsource_profile = {source}\nmfa_serial = {DEVICE}\nregion = us-east-1\n"
        )
    };
    let over = format!("[profile over]\nrole_arn = {ROLE}\nsource_profile = mfa\nregion = us-east-1\n");
    let user = User::with(&(profile("mfa", "static") + &over)).await;
    user.role("sts:AssumeRole", r#","Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"}}"#);
    let refused = user.both("mfa");
    says(&refused, 2, &["`mfa` needs a code of the MFA device", DEVICE, "export-credentials"]);
    let typed = |profile: &str, code: &str| {
        let arguments = [&LOOK, &["--profile", profile][..]].concat();
        let command = user.laptop.command(&arguments, &[user.endpoint(), ("TERM", "dumb")]);
        at_terminal(command, &format!("Code of the MFA device {DEVICE}"), code)
    };
    let (code, screen) = typed("mfa", "314159");
    assert_eq!(code, Some(0), "{screen}");
    assert!(!screen.contains("314159"), "{screen}");
    for (wrong, says) in [("314159", "invalid MFA one time pass code"), ("12", "invalid MFA")] {
        let (code, screen) = typed("mfa", wrong);
        assert!(code == Some(4) && screen.contains(says), "{screen}");
    }
    // The role above it needs a code as well, and its profile has no device.
    let (code, screen) = typed("over", "654321");
    assert!(code == Some(4) && screen.contains("sts:AssumeRole"), "{screen}");
    // Keys of the environment go before a profile of the environment.
    says(&user.run(&[], &[&user.keys()[..], &[("AWS_PROFILE", "mfa")]].concat()), 0, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn single_sign_on_is_used_and_its_end_told() {
    let user = User::with(
        "[profile sso]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = Admin\nregion = us-east-1\n\
         [sso-session corp]\nsso_start_url = https://example.awsapps.com/start\nsso_region = us-east-1\n",
    )
    .await;
    says(&user.both("sso"), 4, &["AWS profile `sso` (~/.aws/config)", "aws sso login --profile 'sso'"]);
    user.role("sts:AssumeRole", "");
    let session = user.account.testbed.account().assume_role(ROLE, "sso", Proof::Keys(None), None).unwrap();
    let portal = answering(format!(
        r#"{{"roleCredentials":{{"accessKeyId":"{}","secretAccessKey":"{}","sessionToken":"{}","expiration":4102444800000}}}}"#,
        session.access_key_id, session.secret_access_key, session.token
    ));
    let token = r#"{"startUrl":"https://example.awsapps.com/start","region":"us-east-1","accessToken":"t0ken","expiresAt":"2099-01-01T00:00:00Z"}"#;
    // The SHA-1 of the session's name names the file.
    user.file("sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json", token.as_bytes());
    let portal = ("AWS_ENDPOINT_URL_SSO", portal.as_str());
    says(&user.run(&["--profile", "sso"], &[portal]), 0, &[]);
    says(&user.run(&[], &[portal, ("AWS_PROFILE", "sso")]), 0, &[]);
}

/// The URL of a server that answers every request with this JSON.
fn answering(json: String) -> String {
    serving(format!(
        "HTTP/1.1 200 OK\r\nx-amzn-RequestId: 1\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{json}",
        json.len()
    ))
}

/// The URL of a server that answers every request with this.
fn serving(answer: String) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let head = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            head.take_while(|line| !line.is_empty()).for_each(drop);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_told_with_file_profile_and_cause_and_without_secrets() {
    let user = User::with(&format!(
        "[profile failing]\ncredential_process = /bin/sh -c \"echo 'Session over, run corp-login\\nAKIAIOSFODNN7EXAMPLE hunter2' >&2; exit 255\" --password hunter2\nregion = us-east-1\n\
         [profile chatty]\ncredential_process = printf '\\033[2Jnot json'\nregion = us-east-1\n\
         [profile orphan]\nrole_arn = {ROLE}\nsource_profile = gone\nregion = us-east-1\n\
         [profile ring]\nrole_arn = {ROLE}\nsource_profile = ring2\nregion = us-east-1\n\
         [profile ring2]\nrole_arn = {ROLE}\nsource_profile = ring\n\
         [profile alone]\nrole_arn = {ROLE}\nregion = us-east-1\n\
         [profile console]\nlogin_session = arn:aws:iam::123456789012:user/ann\nregion = us-east-1\n\
         [profile wrong]\naws_access_key_id = AKIDWRONG\naws_secret_access_key = wrong\nregion = us-east-1\n\
         [profile role]\nrole_arn = {ROLE}\nsource_profile = wrong\nregion = us-east-1\n\
         [bare]\nregion = us-east-1\n"
    ))
    .await;
    let failing = user.both("failing");
    says(&failing, 4, &["AWS profile `failing` (~/.aws/config)", "Session over, run corp-login", "255"]);
    assert!(
        !failing.stderr.contains("AKIAIOSFODNN7EXAMPLE") && !failing.stderr.contains("hunter2"),
        "{failing}"
    );
    let chatty = user.both("chatty");
    says(&chatty, 4, &["AWS profile `chatty`"]);
    assert!(!chatty.stderr.contains('\u{1b}'), "{chatty}");
    says(&user.both("orphan"), 4, &["`orphan`", "there is no profile `gone`"]);
    says(&user.both("ring"), 4, &["leads back to profile `ring`"]);
    says(&user.both("alone"), 4, &["neither source_profile nor credential_source"]);
    says(&user.both("console"), 4, &["`console`", "login_session", "export-credentials"]);
    says(&user.both("role"), 4, &["AWS profile `role`", "AWS does not accept the credentials"]);
    says(&user.both("bare"), 2, &["[profile bare]"]);
    let whole = user.both("profile role");
    says(&whole, 2, &["--profile 'role'"]);
    assert!(!whole.stderr.contains("profile profile"), "{whole}");

    for (settings, word) in [
        ("sso_session = gone\nsso_account_id = 1\nsso_role_name = x", "no [sso-session gone]"),
        ("sso_account_id = 1\nsso_role_name = x\nsso_start_url = https://x", "no sso_region"),
        ("aws_access_key_id = AKID", "aws_secret_access_key"),
        ("credential_process = no-such-program", "no-such-program"),
        ("role_arn = arn:aws:iam::1:role/r\ncredential_source = Nowhere", "Nowhere"),
        (
            "role_arn = arn:aws:iam::1:role/r\nweb_identity_token_file = /no/token",
            "web_identity_token_file of profile `a` names /no/token, and there is no such file",
        ),
    ] {
        user.file("config", format!("[profile a]\nregion = us-east-1\n{settings}\n").as_bytes());
        says(&user.both("a"), 4, &["AWS profile `a` (~/.aws/config)", word]);
    }
    user.file("config", b"");
    let of_variable = [
        ("AWS_REGION", "us-east-1"),
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/r"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/no/token"),
    ];
    says(
        &user.run(&[], &of_variable),
        4,
        &["AWS_WEB_IDENTITY_TOKEN_FILE names /no/token, and there is no such"],
    );
    let no_url = user.laptop.run(&LOOK, &[&user.keys()[..], &[("AWS_ENDPOINT_URL", "localhost:1")]].concat());
    says(&no_url, 4, &["has to be a URL"]);

    user.file("config", b"[profile a]\nregion = us-east-1\nnonsense\n");
    says(&user.both("a"), 4, &[".aws/config cannot be used: line 3"]);
    user.file(
        "config",
        &[&b"\xff\xfe"[..], &"[default]".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()]
            .concat(),
    );
    says(&user.both("a"), 4, &[".aws/config cannot be used", "UTF-16"]);
    user.file("config", b"\xef\xbb\xbf[profile a]\r\nregion = us-east-1\r\n");
    says(&user.both("a"), 4, &["AWS profile `a` has no credentials"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blank_variable_is_unset() {
    let user = User::with("").await;
    let url = user.account.testbed.endpoint_url();
    let services = [("AWS_ENDPOINT_URL_IOT", url), ("AWS_ENDPOINT_URL_STS", url)];
    for blank in ["", "  "] {
        let by_service = [&services[..], &user.keys(), &[("AWS_ENDPOINT_URL", blank)]].concat();
        let outcome = user.laptop.run(&LOOK, &by_service);
        assert_eq!(outcome.code, 0, "{outcome}");
        for name in [
            "AWS_REGION",
            "AWS_DEFAULT_REGION",
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AWS_CONFIG_FILE",
            "AWS_SHARED_CREDENTIALS_FILE",
            "AWS_CA_BUNDLE",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_ENDPOINT_URL_IOT",
            "AWS_USE_FIPS_ENDPOINT",
            "AWS_MAX_ATTEMPTS",
            "AWS_RETRY_MODE",
            "HTTP_PROXY",
            "https_proxy",
            "SSL_CERT_FILE",
            "MICROCHIP_IOT_HOME",
            "MICROCHIP_IOT_STATION",
            "MICROCHIP_IOT_REQUIRE_GENUINE",
            "MICROCHIP_IOT_PASSPHRASE",
        ] {
            let outcome = user.run(&["--profile", "static"], &[(name, blank)]);
            assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{name}: {outcome}");
        }
        says(&user.run(&[], &[&user.keys()[..], &[("AWS_PROFILE", blank)]].concat()), 0, &[]);
    }
    let made =
        user.laptop.run(&["ca", "create"], &[("MICROCHIP_IOT_HOME", ""), ("MICROCHIP_IOT_PASSPHRASE", "")]);
    assert_eq!(made.code, 0, "{made}");
    assert!(user.laptop.folder().join("signer-ca.key").is_file());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_names_the_variable_that_it_comes_from() {
    let user = User::with("[profile lost]\nregion = Frankfurt\n").await;
    let refused = |variables: &[(&str, &str)]| user.run(&[], variables);
    let keys = user.keys();
    let of_keys = "AWS does not accept the credentials of the environment (AWS_ACCESS_KEY_ID)";
    let wrong = [keys[0], ("AWS_ACCESS_KEY_ID", "AKIAWRONG0000000WRONG"), keys[2]];
    says(&refused(&wrong), 4, &[of_keys, "unset them all to use a profile"]);
    says(&user.run(&["--profile", "static"], &wrong), 0, &[]);
    says(&refused(&[("AWS_PROFILE", "none")]), 2, &["no AWS profile `none`, which AWS_PROFILE names, in "]);
    says(
        &refused(&[("AWS_PROFILE", "static"), ("AWS_REGION", "Frankfurt")]),
        2,
        &["`Frankfurt`, which AWS_REGION names, is not an AWS Region"],
    );
    says(
        &refused(&[("AWS_PROFILE", "lost")]),
        2,
        &["`Frankfurt`, which profile `lost` names, is not an AWS Region"],
    );
    says(&user.run(&["--region", "Frankfurt"], &keys), 2, &["`Frankfurt` is not an AWS Region"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_bundle_is_trusted_and_named_where_it_is_missing() {
    let user = User::new(Options { https: true, ..Options::default() }).await;
    let bundle = user.file("ca.pem", user.account.testbed.authority().unwrap().as_bytes());
    let bundle = bundle.to_str().unwrap();
    user.configured(&format!("[profile proxied]\nsource_profile = static\nrole_arn = {ROLE}\nregion = us-east-1\nca_bundle = {bundle}\n"));
    user.role("sts:AssumeRole", "");
    says(&user.run(&["--profile", "static"], &[]), 4, &["certificate", "AWS_CA_BUNDLE"]);
    says(&user.run(&["--profile", "static"], &[("AWS_CA_BUNDLE", bundle)]), 0, &[]);
    says(&user.run(&[], &[&user.keys()[..], &[("AWS_CA_BUNDLE", bundle)]].concat()), 0, &[]);
    assert_eq!(user.both("proxied").code, 0);
    let other = user.file("other.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    for (path, word) in [
        ("/nowhere/ca.pem", "there is no such file"),
        (other.to_str().unwrap(), "none of its certificates can be a root"),
        (user.file("empty.pem", b"").to_str().unwrap(), "no PEM block"),
    ] {
        let outcome = user.run(&["--profile", "static"], &[("AWS_CA_BUNDLE", path)]);
        says(&outcome, 4, &[path, "AWS_CA_BUNDLE", word]);
    }
    // What cannot be a root does not spoil the rest.
    let both = [std::fs::read(bundle).unwrap(), std::fs::read(other).unwrap()].concat();
    let both = user.file("both.pem", &both);
    says(&user.run(&["--profile", "static"], &[("AWS_CA_BUNDLE", both.to_str().unwrap())]), 0, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_without_root_certificates_trusts_amazons_and_no_other() {
    // As on a system without the package ca-certificates.
    let bare = [("SSL_CERT_FILE", "/nowhere/ca.pem"), ("SSL_CERT_DIR", "/nowhere")];
    let user = User::with("").await;
    says(&user.run(&["--profile", "static"], &bare), 0, &[]);
    let user = User::new(Options { https: true, ..Options::default() }).await;
    user.configured("");
    says(&user.run(&["--profile", "static"], &bare), 4, &["certificate", "AWS_CA_BUNDLE"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_answers_in_the_place_of_aws_is_told_from_aws() {
    let user = User::with("").await;
    let page = |status: &str, kind: &str, body: &str| {
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let redirect = "HTTP/1.1 302 Found\r\nlocation: https://login.example/wifi?token=abc123\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let html = "<html><head><title>\n Guest  Wi-Fi</title></head><body>Log in</body></html>";
    for (answer, words) in [
        (redirect.to_owned(), &["redirect to https://login.example/wifi", "browser"][..]),
        (page("200 OK", "text/html; charset=utf-8", html), &["a web page came", "status 200"]),
        (
            page("503 Service Unavailable", "text/html", html),
            &["web page with the title \"Guest Wi-Fi\"", "status 503"],
        ),
        (page("511 Network Authentication Required", "text/plain", "log in"), &["web page", "status 511"]),
    ] {
        let portal = serving(answer);
        let outcome =
            user.laptop.run(&LOOK, &[&user.keys()[..], &[("AWS_ENDPOINT_URL", portal.as_str())]].concat());
        says(&outcome, 4, words);
        assert!(!outcome.stderr.contains("abc123"), "{outcome}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_arn_is_of_the_partition() {
    for (region, partition) in [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")] {
        let mut options = Options::default();
        options.identity.region = region.to_owned();
        let user = User::new(options).await;
        let package = user.file(
            "bootstrap.zip",
            &testbed::lambda_host::package_of(&beside::program("jitr").unwrap()).unwrap(),
        );
        let environment = user.account.testbed.access().environment();
        let run = |arguments: &[&str]| {
            let outcome = user.laptop.run(arguments, &environment);
            assert_eq!(outcome.code, 0, "{outcome}");
            assert!(!outcome.stdout.contains("arn:aws:"), "{outcome}");
            outcome
        };
        run(&["ca", "create"]);
        run(&["setup", "--lambda-zip", package.to_str().unwrap()]);
        assert!(run(&["doctor"]).stdout.contains(region));
        let (lambda, iot, iam) = (user.account.lambda(), user.account.iot(), user.account.iam());
        let rule = async || {
            let rule = iot.get_topic_rule().rule_name("ForwardSignedButUnknownDevices").send().await;
            format!("{:?}", rule.unwrap())
        };
        let function = lambda.get_function_configuration().function_name("JITR").send().await.unwrap();
        let mapping = lambda.list_event_source_mappings().function_name("JITR").send().await.unwrap();
        let mut texts = vec![
            function.function_arn.unwrap(),
            format!("{:?}", mapping.event_source_mappings()),
            rule().await,
        ];
        let policies = iam.list_role_policies().role_name("JITR-role").send().await.unwrap().policy_names;
        for name in &policies {
            let policy = iam.get_role_policy().role_name("JITR-role").policy_name(name).send().await.unwrap();
            texts.push(policy.policy_document.replace("%3A", ":").replace("%2D", "-"));
        }
        run(&["setup", "--delivery", "rule"]);
        texts.extend([
            rule().await,
            lambda.get_policy().function_name("JITR").send().await.unwrap().policy.unwrap(),
        ]);
        for text in texts {
            assert!(text.contains(&format!("arn:{partition}:")) && !text.contains("arn:aws:"), "{text}");
        }
    }
}
