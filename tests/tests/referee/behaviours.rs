//! What AWS documents of its device gateway, tried on the testbed and on ministack with the same probes. The outcome is the table of
//! `docs/behaviours.md`; `BEHAVIOURS=write` writes it.

use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use serde_json::{Value, json};
use testbed::{HOST, Testbed};

use crate::server::{Server, program};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/behaviours.md");
const BEGIN: &str = "<!-- the table is written by a test -->\n";
const END: &str = "<!-- end of the table -->\n";
/// What is seen where it is as AWS documents it.
const SAME: &str = "yes";

/// What one probe has seen.
#[derive(Deserialize)]
struct Row {
    document: String,
    behaviour: String,
    seen: String,
}

/// All probes on one endpoint.
fn probe(python: &Path, endpoint: &Value) -> Vec<Row> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/referee/behaviours/behaviours.py");
    let output = Command::new(python).args(["-B", script]).arg(endpoint.to_string()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn of_testbed(python: &Path, testbed: &Testbed, folder: &Path) -> Vec<Row> {
    let (access, port, ca) = (testbed.access(), testbed.gateway().port(), folder.join("testbed.pem"));
    std::fs::write(&ca, testbed.gateway().server_ca_pem()).unwrap();
    let endpoint = json!({
        "endpoint_url": testbed.endpoint_url(),
        "access_key_id": access.access_key_id,
        "secret_access_key": access.secret_access_key,
        "host": HOST,
        "port": port,
        "ca": ca,
        "websocket": format!("wss://{HOST}:{port}/mqtt"),
    });
    probe(python, &endpoint)
}

fn of_ministack(python: &Path, ministack: &Server, port: u16, folder: &Path) -> Vec<Row> {
    let ca = folder.join("ministack.pem");
    std::fs::write(&ca, ministack.get("/_ministack/iot/ca.pem")).unwrap();
    let endpoint = json!({
        "endpoint_url": ministack.url(),
        "access_key_id": "test",
        "secret_access_key": "test",
        "host": HOST,
        "port": port,
        "ca": ca,
        // It tells services apart by the name of the host.
        "websocket": format!("ws://data-ats.iot.us-east-1.localhost:{}/mqtt", ministack.port),
    });
    probe(python, &endpoint)
}

fn version(python: &Path) -> String {
    let print = "import importlib.metadata; print(importlib.metadata.version('ministack'), end='')";
    String::from_utf8(Command::new(python).args(["-c", print]).output().unwrap().stdout).unwrap()
}

fn table(testbed: &[Row], ministack: &[Row], version: &str) -> String {
    let like_aws = |rows: &[Row]| rows.iter().filter(|row| row.seen == SAME).count();
    let mut table = format!(
        "| AWS documents | in | testbed | ministack {version} |\n|---|---|---|---|\n| {} behaviours | | **{}** | **{}** |\n",
        testbed.len(),
        like_aws(testbed),
        like_aws(ministack)
    );
    for (row, other) in testbed.iter().zip(ministack) {
        let Row { document, behaviour, seen } = row;
        let page = document.rsplit('/').next().unwrap().split('.').next().unwrap();
        let link = format!("[{page}](https://docs.aws.amazon.com/{document})");
        table.push_str(&format!("| {behaviour} | {link} | {seen} | {} |\n", other.seen));
    }
    table
}

#[tokio::test(flavor = "multi_thread")]
async fn what_aws_documents_is_seen_at_the_testbed_and_at_ministack_as_the_page_says() {
    let Some(python) = program("python") else { return };
    // Without the setting it looks at no policies and no signatures.
    let Some((ministack, port)) = Server::ministack_with(&[("AUTH", "true")]) else { return };
    let testbed = Testbed::start(testbed::Options::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let seen = tokio::task::block_in_place(|| {
        let here = of_testbed(&python, &testbed, folder.path());
        let there = of_ministack(&python, &ministack, port, folder.path());
        table(&here, &there, &version(&python))
    });
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page has a table");
    let (committed, after) = rest.split_once(END).expect("the table ends");
    if std::env::var_os("BEHAVIOURS").is_some_and(|wish| wish == "write") {
        std::fs::write(PAGE, [before, BEGIN, &seen, END, after].concat()).unwrap();
    } else {
        assert_eq!(committed, seen, "the page says otherwise; `BEHAVIOURS=write` writes it");
    }
}
