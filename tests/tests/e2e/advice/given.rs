//! Commands that are advised act on what the run was about.

use serde_json::Value;

use super::{Desk, POLICY};
use crate::laptop::Laptop;

#[test]
fn the_home_that_was_given_is_in_the_next_command() {
    let laptop = Laptop::new();
    let home = laptop.folder().with_file_name("line 1");
    let given = ["--home", home.to_str().unwrap(), "--profile", "factory"];
    let missing = laptop.run(&[&given[..], &["ca", "show"]].concat(), &[]);
    let next = format!("provisioner --home '{}' --profile factory ca create", home.display());
    assert!(missing.code == 1 && missing.stderr.contains(&format!("with: {next}\n")), "{missing}");
    // A home that the environment names is there for the next command, too.
    let missing = laptop.run(&["ca", "show"], &[("MICROCHIP_IOT_HOME", home.to_str().unwrap())]);
    assert!(missing.stderr.contains("with: provisioner ca create\n"), "{missing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thing_or_board_is_repaired_by_the_command_that_doctor_prints() {
    let desk = Desk::new().await;
    let (iot, field) = (desk.account.iot(), desk.provision());
    desk.gets_in(&field).await;
    for about in [["--thing", &field.thing], ["--board", &field.folder]] {
        let arn = desk.arn(&field.certificate).await;
        iot.detach_policy().policy_name(POLICY).target(&arn).send().await.unwrap();
        iot.detach_thing_principal().thing_name(&field.thing).principal(&arn).send().await.unwrap();
        let broken = desk.stage.ends(4, &[&["doctor"], &about[..]].concat());
        let help = broken.lines.last().and_then(|line: &Value| line["help"].as_str()).unwrap();
        let command = help.split('`').nth(1).unwrap();
        assert_eq!(command, format!("provisioner doctor --repair {}", about.join(" ")), "{}", broken.said);
        desk.follows(command, &["--yes"]);
        desk.stage.is_healthy(&about);
    }
}
