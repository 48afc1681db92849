//! The account of the testbed with many certificates: the time to register one, and the time to list all, for growing numbers.
//!
//! `cargo bench -p testbed --bench account [-- NUMBER]` goes up to 100,000 certificates unless another number is given.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failure is the bench's result")]

use std::time::Instant;

use rcgen::{CertificateParams, KeyPair, SerialNumber};
use testbed::iot_core::account::{Account, Delays, Identity, PageRequest, Status};

const CERTIFICATES: u64 = 100_000;

fn main() {
    let most = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(CERTIFICATES);
    let identity = Identity { account_id: "123456789012".into(), region: "us-east-1".into() };
    let mut account = Account::new(identity, "localhost", Delays::default());
    let key = KeyPair::generate().unwrap();
    let mut number = 0;
    println!("{:>12} {:>14} {:>14}", "certificates", "register, µs", "list one, µs");
    for until in [most / 100, most / 10, most] {
        let batch: Vec<String> = (number..until)
            .map(|serial| {
                let mut params = CertificateParams::default();
                params.serial_number = Some(SerialNumber::from(serial + 1));
                params.self_signed(&key).unwrap().pem()
            })
            .collect();
        let begun = Instant::now();
        for pem in &batch {
            let id = account.register_certificate_without_ca(pem, Status::Active).unwrap();
            let thing = format!("thing-{id}");
            account.create_thing(&thing, None, Default::default(), None).unwrap();
            account.attach_thing_principal(&thing, &account.certificate_arn(&id), false).unwrap();
        }
        let registering = begun.elapsed().as_secs_f64() / batch.len().max(1) as f64;
        number = until;
        let begun = Instant::now();
        let mut listed = 0;
        let mut request = PageRequest { size: Some(250), ..PageRequest::default() };
        loop {
            let page = account.list_certificates(None, &request).unwrap();
            listed += page.items.len() as u64;
            request.marker = page.next;
            if request.marker.is_none() {
                break;
            }
        }
        assert_eq!(listed, number, "each certificate is listed once");
        let listing = begun.elapsed().as_secs_f64() / listed.max(1) as f64;
        println!("{number:>12} {:>14.1} {:>14.3}", registering * 1e6, listing * 1e6);
    }
}
