//! Registers one certificate from another program, in a registry in memory.
//!
//! `cargo run -p jitr --example register --no-default-features --features test-util`
//!
//! With [`jitr::registry::aws::AwsRegistry`] in the place of the registry in memory, the same lines register it in AWS.

use std::error::Error;

use jitr::registration::{Registration, Settings};
use jitr::registry::CertificateStatus;
use jitr::registry::memory::MemoryRegistry;
use jitr::scope::Scope;
use rcgen::{CertificateParams, KeyPair};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let scope = Scope { partition: "aws".into(), region: "us-east-2".into(), account: "123456789012".into() };
    let registry = MemoryRegistry::new(scope);

    // What AWS IoT does when a device connects whose CA is registered.
    let pem = CertificateParams::default().self_signed(&KeyPair::generate()?)?.pem();
    let id = device_pki::Certificate::read(pem.as_bytes())?.facts().certificate_id.clone();
    registry.register_certificate(&id, Some(&"ca".repeat(32)), &pem, CertificateStatus::PendingActivation);

    let workflow = Registration::new(registry.clone(), Settings::zero_touch()?);
    let registered = workflow.register_certificate(&id).await?;
    println!("{:?}: thing {}", registered.outcome, registered.thing_name);

    registry.account(|account| {
        let certificate = &account.certificates[&id];
        assert_eq!(certificate.description.status, CertificateStatus::Active);
        assert!(certificate.things.contains_key(registered.thing_name.as_str()));
    });
    Ok(())
}
