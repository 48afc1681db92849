//! What `doctor` tells of the connection of a device: since when, why not, and why it was refused.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_iot::types::{
    CertificateStatus, LogEventConfiguration, LogLevel, ThingConnectivityIndexingMode,
    ThingIndexingConfiguration, ThingIndexingMode,
};
use serde_json::Value;
use testbed::Options;
use testbed::device::{Credentials, Device};
use testbed::iot_core::control_plane::{Fault, Interceptor, Operation, ServiceError, When};

use crate::monitor::Desk;

/// Denies these operations.
#[derive(Clone, Default)]
struct Denying(Arc<Mutex<Vec<&'static str>>>);

impl Interceptor for Denying {
    fn intercept(&self, operation: &Operation<'_>) -> Option<Fault> {
        let is_denied = self.0.lock().unwrap().contains(&operation.name);
        let message = format!("User: ann is not authorized to perform: iot:{}", operation.name);
        let error = ServiceError::new("AccessDeniedException", 403, message);
        is_denied.then(|| Fault { error: Some((When::Before, error)), ..Fault::default() })
    }
}

/// The finding about the connection, its details as one text, and the exit code.
fn found(desk: &Desk, environment: &[(&str, &str)], thing: &str) -> (Value, String, i32) {
    let run = tokio::task::block_in_place(|| {
        desk.laptop.run(&["doctor", "--thing", thing, "--output", "json"], environment)
    });
    let lines = run.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let line = lines.into_iter().find(|line| line["resource"] == "connection");
    let line = line.unwrap_or_else(|| panic!("no connection: {run}"));
    let details = line["details"].as_array().unwrap().iter().filter_map(Value::as_str);
    let details = details.collect::<Vec<_>>().join("; ");
    (line, details, run.code)
}

async fn let_in(desk: &Desk, credentials: &Credentials, thing: &str) -> Device {
    let patience = Duration::from_secs(60);
    Device::connect_until_let_in(&desk.gateway(), credentials, thing, patience).await.unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_tells_since_when_a_device_is_connected_and_why_not() {
    let denying = Denying::default();
    let options = Options { interceptor: Arc::new(denying.clone()), ..Options::default() };
    let desk = Desk::with(options).await;
    let environment = desk.environment();
    let (credentials, thing) = desk.device();
    let device = let_in(&desk, &credentials, &thing).await;

    let (line, details, code) = found(&desk, &environment, &thing);
    assert_eq!((code, line["verdict"].as_str()), (0, Some("right")), "{line}");
    assert!(details.starts_with("connected since 20"), "{details}");
    // Where the settings name no place of the data plane, the one endpoint for all is asked.
    let alone: Vec<_> =
        environment.iter().copied().filter(|(name, _)| !name.ends_with("IOT_DATA_PLANE")).collect();
    assert_eq!(found(&desk, &alone, &thing).1, details);

    device.disconnect().await.unwrap();
    let (line, details, code) = found(&desk, &environment, &thing);
    assert_eq!((code, line["verdict"].as_str()), (0, Some("notable")), "{line}");
    assert!(
        details.contains("CLIENT_INITIATED_DISCONNECT, the device closed the connection itself"),
        "{details}"
    );
    assert!(details.contains("refused connections are not logged"), "{details}");
    assert!(line["help"].as_str().unwrap().ends_with(&format!("provisioner monitor {thing}")), "{line}");

    // Without the call, fleet indexing tells the same, once it is on.
    denying.0.lock().unwrap().push("GetConnection");
    let (line, details, code) = found(&desk, &environment, &thing);
    assert_eq!((code, line["verdict"].as_str()), (0, Some("notable")), "{line}");
    assert!(
        details.contains("permission iot:GetConnection is missing; fleet indexing does not index"),
        "{details}"
    );
    let indexing = ThingIndexingConfiguration::builder()
        .thing_indexing_mode(ThingIndexingMode::Registry)
        .thing_connectivity_indexing_mode(ThingConnectivityIndexingMode::Status);
    let iot = desk.account.iot();
    let indexing =
        iot.update_indexing_configuration().thing_indexing_configuration(indexing.build().unwrap());
    indexing.send().await.unwrap();
    let (_, details, _) = found(&desk, &environment, &thing);
    assert!(details.contains("CLIENT_INITIATED_DISCONNECT"), "{details}");

    denying.0.lock().unwrap().extend(["GetThingConnectivityData", "GetV2LoggingOptions"]);
    let (_, details, code) = found(&desk, &environment, &thing);
    assert_eq!(code, 0, "{details}");
    for action in ["iot:GetConnection", "iot:GetThingConnectivityData", "iot:GetV2LoggingOptions"] {
        assert!(details.contains(&format!("permission {action} is missing")), "{details}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_tells_why_aws_iot_refused_a_device() {
    let desk = Desk::new().await;
    let iot = desk.account.iot();
    let event = LogEventConfiguration::builder().event_type("Connection.AuthNError");
    let logging = iot.set_v2_logging_options().role_arn("arn:aws:iam::123456789012:role/logs");
    let logging = logging.event_configurations(event.log_level(LogLevel::Error).build().unwrap());
    logging.send().await.unwrap();
    let (credentials, thing) = desk.device();
    drop(let_in(&desk, &credentials, &thing).await);
    let listed = iot.list_certificates().send().await.unwrap();
    let id = listed.certificates()[0].certificate_id().unwrap();
    let inactive = iot.update_certificate().certificate_id(id).new_status(CertificateStatus::Inactive);
    inactive.send().await.unwrap();
    Device::connect(&desk.gateway(), &credentials, &thing).await.unwrap_err();
    let (line, details, code) = found(&desk, &desk.environment(), &thing);
    assert_eq!((code, line["verdict"].as_str()), (4, Some("notable")), "{line}");
    assert!(details.contains("AWS IoT refused it at 20"), "{details}");
    assert!(details.contains("DEVICE_CERTIFICATE_INACTIVE, its certificate was not ACTIVE"), "{details}");
}
