//! What `revoke` and `ca rotate` did, as AWS's own command line shows it.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use testbed::board::{Options, SimulatedBoard};
use testbed::certificate_store::CertificateStore;

use crate::scenario::account_life::Stage;
use crate::scenario::account_life::stage::REGION;
use crate::server::{Server, program};

/// `aws iot …` against the account at `endpoint_url`.
fn aws_iot(program: &Path, endpoint_url: &str, arguments: &[&str]) -> Value {
    let output = Command::new(program)
        .args(["--endpoint-url", endpoint_url, "--region", REGION, "--output", "json", "iot"])
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "aws iot {arguments:?}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_aws_cli_shows_what_revoke_and_rotate_did() {
    let Some((ministack, _)) = Server::ministack() else { return };
    let Some(program) = program("aws") else { return };
    let url = ministack.url();
    let aws_iot = |arguments: &[&str]| aws_iot(&program, &url, arguments);
    let user = Stage::new("ministack", &ministack.access(), &[], None).await;
    user.ends(0, &["ca", "create"]);
    user.ends(0, &["setup", "--lambda-zip", user.package().to_str().unwrap()]);
    let board = SimulatedBoard::start(Options { seed: None, ..Options::instant(0) }).unwrap();
    let provisioned = user.ends(0, &["provision", "--port", board.path().to_str().unwrap()]);
    let row = provisioned.lines.iter().find(|line| line["certificate_id"].is_string()).unwrap();
    let certificate = row["certificate_id"].as_str().unwrap();
    user.ends(0, &["register", &format!("{}/device.crt", row["folder"].as_str().unwrap())]);
    let thing = CertificateStore::read(&board.flash()).unwrap().thing_name;

    let described = |id: &str| aws_iot(&["describe-certificate", "--certificate-id", id]);
    let described_ca = |id: &str| aws_iot(&["describe-ca-certificate", "--certificate-id", id]);
    let principals = || aws_iot(&["list-thing-principals", "--thing-name", &thing]);
    assert_eq!(described(certificate)["certificateDescription"]["status"], "ACTIVE");
    assert_eq!(principals()["principals"].as_array().unwrap().len(), 1);

    user.ends(0, &["revoke", &thing, "--yes"]);
    assert_eq!(described(certificate)["certificateDescription"]["status"], "REVOKED");
    assert_eq!(principals()["principals"].as_array().unwrap().len(), 0);

    let listed = || aws_iot(&["list-ca-certificates"])["certificates"].as_array().unwrap().clone();
    let before = listed();
    let rotated = user.ends(0, &["ca", "rotate"]);
    let new = rotated.lines[0]["certificate_id"].as_str().unwrap();
    let ids: Vec<_> =
        listed().iter().filter_map(|ca| Some(ca["certificateId"].as_str()?.to_owned())).collect();
    assert_eq!((before.len(), ids.len()), (1, 2));
    for id in &ids {
        let ca = &described_ca(id)["certificateDescription"];
        assert_eq!(
            (&ca["status"], &ca["autoRegistrationStatus"]),
            (&"ACTIVE".into(), &"ENABLE".into()),
            "{id}"
        );
    }
    let old = ids.iter().find(|id| *id != new).unwrap();
    user.ends(0, &["revoke", "--signer", old, "--yes"]);
    let ca = &described_ca(old)["certificateDescription"];
    assert_eq!((&ca["status"], &ca["autoRegistrationStatus"]), (&"INACTIVE".into(), &"DISABLE".into()));
    assert_eq!(described_ca(new)["certificateDescription"]["status"], "ACTIVE");
}
