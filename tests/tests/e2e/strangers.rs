//! Who is not let into the testbed: other users of the machine, and web pages. Both reach its port, and neither has its key.

use std::io::{Read, Write};
use std::net::TcpStream;

use aws_config::Region;
use aws_credential_types::Credentials;
use aws_sdk_lambda::error::ProvideErrorMetadata;
use testbed::{Access, Options, Testbed};

use crate::account::{Account, sdk_config};

/// Sends a request as it is; the status of the answer.
fn status(testbed: &Testbed, request: &str) -> u16 {
    let mut stream = TcpStream::connect(testbed.endpoint_url().trim_start_matches("http://")).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

fn get(testbed: &Testbed, headers: &str) -> u16 {
    status(testbed, &format!("GET /2015-03-31/functions HTTP/1.1\r\nconnection: close\r\n{headers}\r\n"))
}

async fn refused(access: &Access, token: Option<&str>, region: &str) -> Option<String> {
    let keys = Credentials::new(
        &access.access_key_id,
        &access.secret_access_key,
        token.map(str::to_owned),
        None,
        "test",
    );
    let config = sdk_config(access).await.into_builder();
    let config = config
        .region(Region::new(region.to_owned()))
        .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(keys))
        .build();
    let listed = aws_sdk_lambda::Client::new(&config).list_functions().send().await;
    listed.err().map(|error| error.code().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_key_of_this_run_is_let_in() {
    let account = Account::empty().await;
    let access = account.testbed.access();
    let changed = |text: &str| format!("{}x", &text[..text.len() - 1]);
    let other = |id: &str, secret: &str| Access {
        access_key_id: id.to_owned(),
        secret_access_key: secret.to_owned(),
        ..access.clone()
    };
    let (id, secret) = (&access.access_key_id, &access.secret_access_key);
    assert_eq!(refused(access, None, "us-east-1").await, None);
    let unknown = Some("UnrecognizedClientException".to_owned());
    let wrong = Some("InvalidSignatureException".to_owned());
    assert_eq!(refused(&other("test", "test"), None, "us-east-1").await, unknown);
    assert_eq!(refused(&other(&changed(id), secret), None, "us-east-1").await, unknown);
    assert_eq!(refused(&other(id, &changed(secret)), None, "us-east-1").await, wrong);
    assert_eq!(refused(access, Some("a token"), "us-east-1").await, unknown);
    assert_eq!(refused(access, None, "eu-west-1").await, wrong);
    let next = Testbed::start(Options::default()).await.unwrap();
    assert_ne!(next.access().access_key_id, *id);
    assert_ne!(next.access().secret_access_key, *secret);
    let with_the_old_key = Access { endpoint_url: next.endpoint_url().to_owned(), ..access.clone() };
    assert_eq!(refused(&with_the_old_key, None, "us-east-1").await, unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_a_signature_or_from_a_page_of_another_is_refused() {
    let testbed = Testbed::start(Options::default()).await.unwrap();
    let host = testbed.endpoint_url().trim_start_matches("http://").to_owned();
    let scope =
        "Credential=AKIA/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host;x-amz-date, Signature=0";
    for headers in [
        format!("host: {host}\r\n"),
        format!("host: {host}\r\nauthorization: AWS4-HMAC-SHA256 {scope}\r\n"),
        "host: evil.example\r\n".to_owned(),
        format!("host: {host}\r\norigin: http://evil.example\r\n"),
        format!("host: {host}\r\norigin: null\r\n"),
        String::new(),
    ] {
        let status = get(&testbed, &headers);
        assert!([400, 403].contains(&status), "{headers:?}: {status}");
    }
    let create = format!(
        "POST /2015-03-31/functions HTTP/1.1\r\nconnection: close\r\nhost: {host}\r\ncontent-length: 2\r\n\r\n{{}}"
    );
    assert_eq!(status(&testbed, &create), 403);
    let package =
        format!("GET /{}/JITR HTTP/1.1\r\nconnection: close\r\nhost: {host}\r\n\r\n", "0".repeat(40));
    assert_eq!(status(&testbed, &package), 403);
    assert!(testbed.lambda().list().is_empty());
}
