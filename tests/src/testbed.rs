//! The testbed, started and stopped as a whole.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::serve::Listener;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinHandle;

use crate::access::Access;
use crate::iot_core::account::{Account, Delays, Identity};
use crate::iot_core::control_plane::{self, Counted, HttpsListener, Interceptor, Services};
use crate::iot_core::gateway::{self, Gateway};
use crate::iot_core::policy::PolicyError;
use crate::iot_core::registration::{Published, Registration};
use crate::iot_core::rules::RuleEngine;
use crate::journal::{self, Happening, Journal};
use crate::lambda_host::{self, LambdaHost};

/// How the testbed is started.
#[derive(Clone)]
pub struct Options {
    /// Account id and Region.
    pub identity: Identity,
    /// Port of the control plane; 0 takes a free one.
    pub http_port: u16,
    /// Whether the control plane speaks TLS, as AWS does.
    pub https: bool,
    /// Port of the device gateway; 0 takes a free one.
    pub mqtt_port: u16,
    /// What AWS does in its own time.
    pub delays: Delays,
    /// How the Lambda host behaves.
    pub lambda: lambda_host::Settings,
    /// What comes between each call and its answer.
    pub interceptor: Arc<dyn Interceptor>,
    /// Entries that the journal keeps.
    pub journal_entries: usize,
    /// The identity-based policy of the account's user, JSON; without one the user may do everything.
    pub user_policy: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            identity: Identity { account_id: "123456789012".into(), region: "us-east-1".into() },
            http_port: 0,
            https: false,
            mqtt_port: 0,
            delays: Delays::default(),
            lambda: lambda_host::Settings::default(),
            interceptor: Arc::new(()),
            journal_entries: journal::CAPACITY,
            user_policy: None,
        }
    }
}

/// Why the testbed cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The port is taken, or is not allowed.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The policy of the account's user.
    #[error("the testbed cannot enforce the user's policy")]
    UserPolicy(#[from] PolicyError),
    /// The device gateway.
    #[error("cannot start the device gateway")]
    Gateway(#[from] gateway::StartError),
}

/// The host name that everything listens on and that the device gateway's certificate is for.
pub const HOST: &str = "localhost";

/// A running testbed; dropping it stops everything.
pub struct Testbed {
    account: Arc<Mutex<Account>>,
    lambda: LambdaHost,
    journal: Journal,
    directory: Registration,
    gateway: Gateway,
    access: Access,
    authority: Option<String>,
    connections: Arc<AtomicUsize>,
    tasks: [JoinHandle<()>; 3],
}

impl Testbed {
    /// Starts it, within a Tokio runtime.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let journal = Journal::new(options.journal_entries);
        let region = options.identity.region.clone();
        let arn_prefix = options.identity.arn("iot", "").trim_end_matches(':').to_owned();
        let mut account = Account::new(options.identity, HOST, options.delays);
        account.set_user_policy(options.user_policy.as_deref())?;
        let account = Arc::new(Mutex::new(account));
        let runtime = tokio::runtime::Handle::current();
        let lambda = LambdaHost::new(Arc::clone(&account), options.lambda, journal.clone(), runtime);
        let rules = RuleEngine::new(Arc::clone(&account), lambda.clone(), journal.clone());

        let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, options.http_port));
        let refused = |source| Error::Listen { address: wanted, source };
        let listener = TcpListener::bind(wanted).await.map_err(refused)?;
        let port = listener.local_addr().map_err(refused)?.port();
        let (scheme, host) = if options.https { ("https", HOST) } else { ("http", "127.0.0.1") };
        let endpoint_url = format!("{scheme}://{host}:{port}");
        lambda.set_endpoint_url(&endpoint_url);
        let access = Access::random(&endpoint_url, &region);
        let services = Services {
            access: access.clone(),
            account: Arc::clone(&account),
            lambda: lambda.clone(),
            journal: journal.clone(),
            interceptor: options.interceptor,
            gateway: Arc::default(),
        };
        let for_control_plane = Arc::clone(&services.gateway);
        let (events, mut published) = mpsc::unbounded_channel::<Published>();
        let directory = Registration::new(services.clone(), rules, events);
        let connections = Arc::new(AtomicUsize::new(0));
        let data_plane = Some(control_plane::data_plane(services.clone()));
        let (control_plane, authority) = if options.https {
            let (listener, authority) = HttpsListener::over(listener).map_err(gateway::StartError::from)?;
            (serve(listener, &connections, services), Some(authority))
        } else {
            (serve(listener, &connections, services), None)
        };

        let listen = (Ipv4Addr::LOCALHOST, options.mqtt_port).into();
        let gateway_options = gateway::Options { listen, data_plane, ..gateway::Options::new(arn_prefix) };
        let gateway = Gateway::start(Arc::new(directory.clone()), gateway_options).await?;
        let publisher = gateway.publisher();
        // It is set once, here.
        let _ = for_control_plane.set(publisher.downgrade());
        let publish = tokio::spawn(async move {
            while let Some(Published { topic, payload }) = published.recv().await {
                publisher.publish(&topic, &payload);
            }
        });
        let watch = tokio::spawn(copy(gateway.events(), journal.clone()));
        Ok(Self {
            account,
            lambda,
            journal,
            directory,
            gateway,
            access,
            authority,
            connections,
            tasks: [control_plane, publish, watch],
        })
    }

    /// What `AWS_ENDPOINT_URL` must be set to.
    pub fn endpoint_url(&self) -> &str {
        &self.access.endpoint_url
    }

    /// The endpoint and the one access key of the account's user.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// The CA that signed the control plane's certificate, PEM, if it speaks TLS.
    pub fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    /// Connections that the control plane has accepted so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Everything that happens.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The account, to look into or to change as an operator would.
    pub fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The functions.
    pub fn lambda(&self) -> &LambdaHost {
        &self.lambda
    }

    /// The account as the device gateway sees it.
    pub fn directory(&self) -> &Registration {
        &self.directory
    }

    /// The device gateway.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }
}

fn serve<L>(listener: L, connections: &Arc<AtomicUsize>, services: Services) -> JoinHandle<()>
where
    L: Listener,
    L::Addr: std::fmt::Debug,
{
    let listener = Counted { listener, connections: Arc::clone(connections) };
    tokio::spawn(async move {
        if let Err(e) = control_plane::serve(listener, services).await {
            tracing::error!(error = %e, "control plane stopped");
        }
    })
}

/// Writes what happens at the gateway into the journal, between all the rest.
async fn copy(mut events: broadcast::Receiver<gateway::Event>, journal: Journal) {
    loop {
        match events.recv().await {
            Ok(event) => journal.record(Happening::Gateway(event)),
            Err(broadcast::error::RecvError::Lagged(lost)) => tracing::warn!(lost, "gateway events lost"),
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

impl Drop for Testbed {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dropped_testbed_had_is_gone() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let testbed = runtime.block_on(Testbed::start(Options::default())).unwrap();
        let account = Arc::downgrade(&testbed.account);
        drop(testbed);
        drop(runtime);
        assert!(account.upgrade().is_none(), "the packages of its functions are files");
    }
}
