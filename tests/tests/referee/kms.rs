//! Keys in KMS, on ministack and moto.

use aws_sdk_kms::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kms::types::{KeySpec, KeyUsageType};

use crate::scenario::account_life::Stage;
use crate::scenario::account_life::stage::REGION;
use crate::server::Server;

fn client(url: &str) -> aws_sdk_kms::Client {
    let config = aws_sdk_kms::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(url);
    aws_sdk_kms::Client::from_conf(config.build())
}

async fn key(client: &aws_sdk_kms::Client, spec: KeySpec, usage: KeyUsageType) -> String {
    let made = client.create_key().key_spec(spec).key_usage(usage).send().await.unwrap();
    made.key_metadata.unwrap().key_id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_whose_keys_are_in_ministack_is_whole_and_signs_for_the_account() {
    let Some((ministack, _)) = Server::ministack() else { return };
    let user = Stage::new("ministack", &ministack.access(), &[], None).await;
    user.ends(0, &["ca", "create", "--root-key", "awskms:", "--signer-key", "awskms:"]);
    let shown = user.ends(0, &["ca", "show"]);
    assert!(shown.lines[0]["signer"]["issuer"].as_str().unwrap().contains("Root CA"), "{}", shown.said);
    user.ends(0, &["setup", "--method", "jitr", "--lambda-zip", user.package().to_str().unwrap()]);
    assert!(
        user.file("signer-ca-verification.crt").is_file(),
        "the signer's key signed for the registration"
    );

    let client = client(&ministack.url());
    let recorded = std::fs::read_to_string(user.file("signer-ca.uri")).unwrap();
    client.disable_key().key_id(recorded.trim().strip_prefix("awskms:").unwrap()).send().await.unwrap();
    let disabled = user.ends(4, &["provision", "--port", "/dev/null", "--endpoint", "localhost"]);
    assert!(disabled.said.contains("its state is Disabled"), "{}", disabled.said);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_another_type_and_signatures_that_are_none_are_refused() {
    let Some(moto) = Server::moto() else { return };
    let client = client(&moto.url());
    for (spec, usage) in [
        (KeySpec::EccNistP384, KeyUsageType::SignVerify),
        (KeySpec::Rsa2048, KeyUsageType::SignVerify),
        (KeySpec::SymmetricDefault, KeyUsageType::EncryptDecrypt),
    ] {
        let user = Stage::new("moto", &moto.access(), &[], None).await;
        let uri = format!("awskms:{}", key(&client, spec.clone(), usage).await);
        let refused = user.ends(1, &["ca", "create", "--root-key", &uri]);
        assert!(refused.said.contains("is not a P-256 key"), "{spec}: {}", refused.said);
        assert!(!user.file("root-ca.uri").exists() && !user.file("root-ca.crt").exists());
    }
    // moto hashes the digest once more, so what it signs is not what it was asked to sign.
    let user = Stage::new("moto", &moto.access(), &[], None).await;
    let wrong = user.ends(1, &["ca", "create", "--root-key", "awskms:"]);
    assert!(wrong.said.contains("made a signature that is not valid"), "{}", wrong.said);
    assert!(!user.file("root-ca.crt").exists(), "nothing was issued");
}
