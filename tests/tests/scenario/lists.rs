//! Revocation lists in the function's package: what keeps devices out is told before one meets it.

use std::path::Path;

use super::breaks::configure;
use super::{FUNCTION, Stage};

const FOLDER: &str = "crl";

/// The variables of a function that has lists.
fn on<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&[("CRL_DIR", FOLDER)], more].concat()
}

/// `signer` is the id of the CA that the account knows.
pub(super) async fn lists_are_looked_at(stage: &Stage, package: &Path, signer: &str) {
    let lambda = stage.lambda();
    let with_lists = stage.file("with-lists.zip");
    let deploy = ["setup", "--lambda-zip", with_lists.to_str().unwrap()];

    // On, and none in the package.
    configure(&lambda, &on(&[])).await;
    stage.names("revocation_lists", "no lists in the package", &[]);
    let refused = stage.ends(4, &["setup"]);
    assert!(refused.said.contains("crl holds no file NAME.crt"), "{}", refused.said);

    // The signer's is there; of another CA that is allowed there is none.
    stage.ends(0, &["ca", "crl"]);
    std::fs::copy(package, &with_lists).unwrap();
    let file = std::fs::File::options().read(true).write(true).open(&with_lists).unwrap();
    let mut zip = zip::ZipWriter::new_append(file).unwrap();
    for list in std::fs::read_dir(stage.file(FOLDER)).unwrap().map(|entry| entry.unwrap().path()) {
        let name = format!("{FOLDER}/{}", list.file_name().unwrap().to_str().unwrap());
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        std::io::Write::write_all(&mut zip, &std::fs::read(list).unwrap()).unwrap();
    }
    let admission = tempfile::tempdir().unwrap();
    let to = admission.path().to_str().unwrap();
    let published = stage.ends(0, &["admission", "publish", "--to", to]);
    zip.start_file("admission/admission.der", zip::write::SimpleFileOptions::default()).unwrap();
    let list = std::fs::read(admission.path().join("admission.der")).unwrap();
    std::io::Write::write_all(&mut zip, &list).unwrap();
    zip.finish().unwrap();
    stage.ends(0, &deploy);
    stage.is_healthy(&[]);

    // The workflow in the provisioner's process asks the admission list in the package.
    let key = published.lines[0]["admission_key"].as_str().unwrap();
    configure(&lambda, &[("ADMISSION_KEY", key), ("ADMISSION_LIST", "admission")]).await;
    stage.ends(1, &["replay", "--local", &"0d".repeat(32)]);
    let elsewhere = stage.ends(2, &["admission", "publish"]);
    assert!(elsewhere.said.contains("its package"), "{}", elsewhere.said);
    let other = "0d".repeat(32);
    let allowed = format!("{signer},{other}");
    configure(&lambda, &on(&[("ALLOWED_CA_IDS", &allowed)])).await;
    let refused = stage.ends(4, &["setup"]);
    assert!(refused.said.contains(&format!("CA {other} has no certificate")), "{}", refused.said);
    configure(&lambda, &on(&[("ALLOWED_CA_IDS", &allowed), ("CRL_OPTIONAL_CA_IDS", &other)])).await;
    stage.ends(0, &["setup"]);
    assert_eq!(stage.finding("revocation_lists")["verdict"], "right");

    configure(&lambda, &[]).await;
    stage.ends(0, &["setup", "--lambda-zip", package.to_str().unwrap(), "--function", FUNCTION]);
}
