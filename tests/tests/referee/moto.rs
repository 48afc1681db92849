//! The account's set-up on moto: its control plane keeps what `setup` makes, and finds nothing to change in it afterwards.

use crate::programs::{User, lambda_package};
use crate::server::{Server, free_port};

#[test]
fn setup_makes_every_link_on_moto_and_the_next_run_leaves_them_all() {
    let port = free_port();
    let Some(moto) = Server::start("python", port, |command| {
        command.args(["-c", SERVER, "-H", "127.0.0.1", "-p", &port.to_string()]);
    }) else {
        return;
    };
    let user = User::of(moto.url());
    let package = lambda_package(&user.file("."));
    let setup = ["setup", "--method", "jitr", "--lambda-zip", package.to_str().unwrap()];

    user.provisioner(&["ca", "create"]);
    let first = actions(&user.provisioner(&setup));
    let second = actions(&user.provisioner(&setup));

    let links: Vec<_> = first.iter().map(|(link, _)| link.as_str()).collect();
    assert_eq!(links, ["role", "function", "permission", "topic_rule", "signer_ca"], "{first:?}");
    assert!(first.iter().all(|(_, action)| action == "create"), "{first:?}");
    assert!(second.iter().all(|(_, action)| action == "leave"), "{second:?}");
    assert_eq!(first.len(), second.len());
}

/// moto as AWS names certificates: by the hash of their DER form. Without the setting it hashes the PEM text.
pub(crate) const SERVER: &str = "\
from moto.core.config import default_user_config
default_user_config['iot'] = {'use_valid_cert': True}
from moto.server import main
main()";

/// Link and action of each line of a plan.
fn actions(lines: &[serde_json::Value]) -> Vec<(String, String)> {
    let text = |line: &serde_json::Value, key: &str| line[key].as_str().map(str::to_owned);
    lines.iter().filter_map(|line| Some((text(line, "link")?, text(line, "action")?))).collect()
}
