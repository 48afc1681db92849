//! Multi-account registration: certificates come into the account without their CA, and `teardown` finds them again.

use std::path::Path;

use rcgen::{CertificateParams, DnType, KeyPair};

use super::{OTHERS, Stage};

const GROUP: &str = "line-1";
/// More than are asked for one by one.
const BOARDS: usize = 11;
/// Thing name of the board that is named by its certificate's common name.
const NAMED: &str = "named-board";

pub(super) async fn certificates_are_registered_without_their_ca(stage: &Stage) {
    let iot = stage.iot();
    let folder = stage.file("to register");
    std::fs::create_dir(&folder).unwrap();
    for board in 0..BOARDS {
        certificate(&folder.join(format!("{board}.crt")), &format!("board {board}"));
    }
    let folder = folder.to_str().unwrap();
    stage.ends(0, &["setup", "--method", "mar"]);
    let first = stage.ends(0, &["register", "--dir", folder]);
    assert_eq!(first.values("outcome"), ["registered"; BOARDS], "{}", first.said);
    let again = stage.ends(0, &["register", "--dir", folder]);
    assert_eq!(again.values("outcome"), ["done_before"; BOARDS], "{}", again.said);

    iot.create_thing_group().thing_group_name(GROUP).send().await.unwrap();
    let named = stage.file("named.crt");
    certificate(&named, NAMED);
    let named = [
        "register",
        named.to_str().unwrap(),
        "--thing-name-source",
        "cn",
        "--thing-group",
        GROUP,
        "--policy",
        NAMED,
        "--thing-type",
        NAMED,
    ];
    let named = stage.ends(0, &named);
    assert_eq!(named.values("thing_name"), [NAMED], "{}", named.said);
    iot.delete_thing_group().thing_group_name(GROUP).send().await.unwrap();
    stage.ends(0, &["doctor", "--method", "mar", "--thing", first.values("thing_name")[0]]);

    let pem = certificate(&stage.file("others.crt"), OTHERS);
    let theirs = iot.register_certificate_without_ca().certificate_pem(pem).send().await.unwrap();
    let theirs = theirs.certificate_arn.unwrap();
    iot.attach_policy().policy_name(OTHERS).target(&theirs).send().await.unwrap();
    iot.attach_thing_principal().thing_name(OTHERS).principal(&theirs).send().await.unwrap();
}

/// A certificate that no CA of the account signed, as a file.
fn certificate(path: &Path, name: &str) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    let pem = params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
    std::fs::write(path, &pem).unwrap();
    pem
}
