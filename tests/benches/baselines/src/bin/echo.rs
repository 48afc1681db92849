//! The least a function can do on this runtime: it answers with what it was sent. With `FIRST_CALL` set, it makes one call to
//! AWS before: the least that a function can do that opens its connection early.

use baselines::{Connection, Keys};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    if std::env::var_os("FIRST_CALL").is_some() {
        let authority = std::env::var_os("SSL_CERT_FILE").map(std::fs::read).transpose()?;
        let keys = Keys {
            endpoint_url: std::env::var("AWS_ENDPOINT_URL")?,
            access_key_id: std::env::var("AWS_ACCESS_KEY_ID")?,
            secret_access_key: std::env::var("AWS_SECRET_ACCESS_KEY")?,
        };
        Connection::open(&keys, authority.as_deref()).call();
    }
    lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| async move { Ok::<_, Error>(event.payload) }))
        .await
}
