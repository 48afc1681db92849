//! One connection to the message broker, which is made again when it ends.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rumqttc_v4::{
    AsyncClient, Broker, ConnectReturnCode, ConnectionError, Event as MqttEvent, EventLoop, MqttOptions,
    NetworkOptions, Outgoing, Packet, PublishOptions, QoS, SubAck, SubscribeFilter, SubscribeReasonCode,
    TlsConfiguration,
};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tungstenite::http::{HeaderMap, Response};

use super::signed_url::{Place, signed_url};
use super::{Error as LiveError, Event, network};
use crate::error::{Answer, deepest};
use crate::{Account, Error, endpoint};

const CONNECT: &str = "iot:Connect";

/// AWS IoT takes 30 to 1200 seconds (AWS IoT Core endpoints and quotas).
const KEEP_ALIVE: u16 = 30;
/// The largest payload is 128 KB (the same page); a topic and the header come with it.
const LARGEST_PACKET: usize = 192 * 1024;
/// Topic filters in one SUBSCRIBE (the same page).
const FILTERS: usize = 8;
/// How long connecting may take, with proxy and TLS, in seconds.
const CONNECT_TIMEOUT: u64 = 15;
/// How long taking leave may take.
const LEAVE: Duration = Duration::from_secs(1);
/// Notices that wait to be taken. While they do, nothing is read.
const WAITING: usize = 1024;
/// The shortest and the longest time until the next attempt to connect again.
const RETRIES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];
/// From this difference of clocks on AWS refuses signatures.
const CLOCKS: time::Duration = time::Duration::minutes(5);

/// What the connection tells.
#[derive(Debug)]
pub enum Notice {
    /// Something was published.
    Event(Event),
    /// AWS IoT does not deliver what this filter asks for: the user may not subscribe to it.
    Refused {
        /// The topic filter.
        filter: String,
    },
    /// AWS IoT has taken a message.
    Sent {
        /// Its topic.
        topic: String,
    },
    /// The connection has ended; it is made again. Told once, however many attempts that takes.
    Lost {
        /// Why.
        why: String,
    },
    /// There is a connection again. What was published meanwhile is lost.
    Again,
}

enum Order {
    Subscribe(Vec<String>),
    Publish { topic: String, payload: Vec<u8> },
}

/// A connection that stays until it is closed or dropped.
#[derive(Debug)]
pub struct Live {
    client_id: String,
    notices: mpsc::Receiver<Result<Notice, Error>>,
    orders: mpsc::Sender<Order>,
    task: JoinHandle<()>,
}

impl Live {
    /// Connects and subscribes to `filters`.
    ///
    /// # Errors
    /// Those of the credentials and of `iot:DescribeEndpoint`; [`Error::Unreachable`], [`Error::ClockSkew`], [`Error::Denied`] of
    /// `iot:Connect`; [`LiveError::Forbidden`], [`LiveError::Subscribe`].
    pub async fn open(account: &Account, filters: Vec<String>) -> Result<Self, Error> {
        let place = match account.data_plane_url().as_deref().map(Place::of_url) {
            Some(Some(place)) => place,
            _ => Place::of_host(&endpoint(account).await?),
        };
        let tls = account.trust().tls().map_err(|error| Error::Unreachable {
            place: place.authority.clone(),
            action: CONNECT,
            source: error.into(),
        })?;
        let mut random = [0; 4];
        // Without randomness two monitors of one second might push each other out; nothing else depends on it.
        let _ = aws_lc_rs::rand::fill(&mut random);
        let client_id = format!("provisioner-{:08x}", u32::from_be_bytes(random));
        let line = Line { account: account.clone(), place, tls: Arc::new(tls), client_id: client_id.clone() };
        let (mut session, refused) = line.session(&filters).await?;
        let ((notify, notices), (orders, ordered)) = (mpsc::channel(WAITING), mpsc::channel(WAITING));
        for filter in refused {
            // There is room for more than one connection has filters.
            let _ = notify.try_send(Ok(Notice::Refused { filter }));
        }
        session.filters = filters;
        let task = tokio::spawn(line.stay(session, notify, ordered));
        Ok(Self { client_id, notices, orders, task })
    }

    /// The MQTT client id of this connection: its own presence is published, too.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// What happens next; can be cancelled.
    ///
    /// # Errors
    /// As [`Live::open`], when the connection has ended and another attempt would not help; [`LiveError::Publish`].
    pub async fn next(&mut self) -> Result<Notice, Error> {
        match self.notices.recv().await {
            Some(notice) => notice,
            // After its error the task has ended: who asks again waits.
            None => std::future::pending().await,
        }
    }

    /// Subscribes to further topics.
    pub async fn subscribe(&self, filters: Vec<String>) {
        // The task has ended with an error, which is told by `next`.
        let _ = self.orders.send(Order::Subscribe(filters)).await;
    }

    /// Publishes a message. [`Notice::Sent`] tells that AWS IoT has it.
    ///
    /// # Errors
    /// [`LiveError::Topic`].
    pub async fn publish(&self, topic: &str, payload: Vec<u8>) -> Result<(), Error> {
        if !rumqttc_v4::valid_topic(topic) || topic.is_empty() {
            return Err(LiveError::Topic { topic: topic.to_owned() }.into());
        }
        let _ = self.orders.send(Order::Publish { topic: topic.to_owned(), payload }).await;
        Ok(())
    }

    /// Takes leave.
    pub async fn close(self) {
        drop((self.orders, self.notices));
        let _ = timeout(LEAVE, self.task).await;
    }
}

/// How a connection is made.
struct Line {
    account: Account,
    place: Place,
    tls: Arc<rustls::ClientConfig>,
    client_id: String,
}

/// A connection, with what it is subscribed to.
struct Session {
    client: AsyncClient,
    eventloop: EventLoop,
    filters: Vec<String>,
    /// Filters in the order in which they were asked for, until the packet has its number.
    asked: VecDeque<Vec<String>>,
    /// Filters of the packets that are not acknowledged.
    subscribing: HashMap<u16, Vec<String>>,
    /// Topics of the messages that have no packet yet, and of those that are not acknowledged.
    publishing: (VecDeque<String>, HashMap<u16, String>),
}

/// Why a connection has ended.
enum Ended {
    /// By the user of it.
    Closed,
    /// By the network or the other side.
    Lost(String),
    /// For good.
    Failed(Error),
}

impl Line {
    /// Makes a connection, and subscribes. Gives the filters that are refused.
    async fn session(&self, filters: &[String]) -> Result<(Session, Vec<String>), Error> {
        let (client, mut eventloop) = self.connect().await?;
        loop {
            match eventloop.poll().await {
                Ok(MqttEvent::Incoming(Packet::ConnAck(_))) => break,
                Ok(_) => {}
                Err(error) => return Err(self.failed(error)),
            }
        }
        let mut session = Session {
            client,
            eventloop,
            filters: Vec::new(),
            asked: VecDeque::new(),
            subscribing: HashMap::new(),
            publishing: (VecDeque::new(), HashMap::new()),
        };
        session.subscribe(filters.to_vec()).await;
        let (mut refused, denied) = (Vec::new(), || LiveError::Subscribe { filters: filters.to_vec() });
        while !(session.asked.is_empty() && session.subscribing.is_empty()) {
            let event = session.eventloop.poll().await.map_err(|_| denied())?;
            refused.extend(session.acknowledged(&event));
        }
        if !filters.is_empty() && refused.len() == filters.len() {
            return Err(denied().into());
        }
        Ok((session, refused))
    }

    async fn connect(&self) -> Result<(AsyncClient, EventLoop), Error> {
        let Self { account, place, tls, client_id } = self;
        let credentials = account.credentials().await?;
        let unusable = |source: crate::error::Cause| Error::Unreachable {
            place: place.authority.clone(),
            action: CONNECT,
            source,
        };
        let url = signed_url(place, account.region(), &credentials, SystemTime::now());
        let url = url.map_err(unusable)?;
        let options = match place.is_secure {
            true => {
                let tls = TlsConfiguration::Rustls(Arc::clone(tls));
                MqttOptions::websocket_with_tls_config(client_id, url, tls)
            }
            false => Broker::websocket(url).map(|broker| MqttOptions::new(client_id, broker)),
        };
        let mut options = options.map_err(|error| unusable(error.to_string().into()))?;
        let is_secure = place.is_secure;
        options
            .set_keep_alive(KEEP_ALIVE)
            .set_clean_session(true)
            .set_max_packet_size(LARGEST_PACKET, LARGEST_PACKET)
            .set_socket_connector(move |address, options| network::connect(address, is_secure, options));
        let client = AsyncClient::builder(options).try_build();
        let (client, mut eventloop) = client.map_err(|error| unusable(error.to_string().into()))?;
        let mut network = NetworkOptions::new();
        network.set_connection_timeout(CONNECT_TIMEOUT);
        eventloop.set_network_options(network);
        Ok((client, eventloop))
    }

    /// What a connection that was not made means.
    fn failed(&self, error: ConnectionError) -> Error {
        let place = self.place.authority.clone();
        let unreachable = |source: String| Error::Unreachable {
            place: place.clone(),
            action: CONNECT,
            source: source.into(),
        };
        let denied = |message: &str| Error::Denied {
            action: CONNECT,
            resource: Some(format!("client/{}", self.client_id).into()),
            source: Answer { code: String::new(), message: message.to_owned(), status: 0 },
        };
        match error {
            ConnectionError::Websocket(tungstenite::Error::Http(response)) => {
                answered(place, &response, OffsetDateTime::now_utc())
            }
            ConnectionError::ConnectionRefused(ConnectReturnCode::ServiceUnavailable) => {
                unreachable("the message broker says that it is unavailable".to_owned())
            }
            ConnectionError::ConnectionRefused(_) => denied("AWS IoT refuses the MQTT connection"),
            // The WebSocket is there: what follows is the answer to CONNECT.
            ConnectionError::MqttState(_) => {
                denied("AWS IoT closes the MQTT connection in answer to CONNECT")
            }
            ConnectionError::NetworkTimeout => unreachable(format!("no answer in {CONNECT_TIMEOUT} seconds")),
            error => unreachable(deepest(&error)),
        }
    }

    /// Keeps a connection until nobody takes notices any more.
    async fn stay(
        self,
        mut session: Session,
        notices: mpsc::Sender<Result<Notice, Error>>,
        mut orders: mpsc::Receiver<Order>,
    ) {
        loop {
            let why = match session.serve(&notices, &mut orders).await {
                Ended::Closed => return,
                Ended::Failed(error) => {
                    let _ = notices.send(Err(error)).await;
                    return;
                }
                Ended::Lost(why) => why,
            };
            tracing::debug!(why, "the connection is lost");
            let filters = std::mem::take(&mut session.filters);
            if notices.send(Ok(Notice::Lost { why })).await.is_err() {
                return;
            }
            let mut pause = RETRIES[0];
            session = loop {
                tokio::select! {
                    () = sleep(pause) => {}
                    () = notices.closed() => return,
                }
                match self.session(&filters).await {
                    Ok((session, _)) => break session,
                    Err(error) if is_passing(&error) => {
                        tracing::debug!(%error, "not connected again yet");
                        pause = (pause * 2).min(RETRIES[1]);
                    }
                    Err(error) => {
                        let _ = notices.send(Err(error)).await;
                        return;
                    }
                }
            };
            session.filters = filters;
            if notices.send(Ok(Notice::Again)).await.is_err() {
                return;
            }
        }
    }
}

/// Whether another attempt may help.
fn is_passing(error: &Error) -> bool {
    error.is_undecided() || matches!(error, Error::Throttled { .. })
}

impl Session {
    async fn serve(
        &mut self,
        notices: &mpsc::Sender<Result<Notice, Error>>,
        orders: &mut mpsc::Receiver<Order>,
    ) -> Ended {
        loop {
            let event = tokio::select! {
                event = self.eventloop.poll() => event,
                order = orders.recv() => {
                    match order {
                        Some(Order::Subscribe(filters)) => {
                            self.filters.extend(filters.clone());
                            self.subscribe(filters).await;
                        }
                        Some(Order::Publish { topic, payload }) => self.publish(topic, payload).await,
                        None => {
                            let _ = self.client.disconnect().await;
                            while self.eventloop.poll().await.is_ok() {}
                            return Ended::Closed;
                        }
                    }
                    continue;
                }
            };
            let event = match event {
                Ok(event) => event,
                Err(error) => {
                    let (waiting, sent) = &mut self.publishing;
                    // AWS IoT closes the connection when the user may not publish (developer guide, "AWS IoT Core policy actions").
                    return match sent.drain().map(|(_, topic)| topic).chain(waiting.drain(..)).next() {
                        Some(topic) => Ended::Failed(LiveError::Publish { topic }.into()),
                        None => Ended::Lost(deepest(&error)),
                    };
                }
            };
            let mut told: Vec<Notice> =
                self.acknowledged(&event).into_iter().map(|filter| Notice::Refused { filter }).collect();
            if let MqttEvent::Incoming(Packet::Publish(published)) = &event {
                let topic = String::from_utf8_lossy(&published.topic);
                told.push(Notice::Event(Event::read(&topic, &published.payload)));
            }
            told.extend(self.taken(&event).map(|topic| Notice::Sent { topic }));
            for notice in told {
                if notices.send(Ok(notice)).await.is_err() {
                    return Ended::Closed;
                }
            }
        }
    }

    async fn subscribe(&mut self, filters: Vec<String>) {
        for some in filters.chunks(FILTERS) {
            let asked = some.iter().map(|filter| SubscribeFilter::new(filter.clone(), QoS::AtLeastOnce));
            // It fails where the other end, which is in this struct, is gone, or for a filter that is none.
            if self.client.subscribe_many(asked).await.is_ok() {
                self.asked.push_back(some.to_vec());
            }
        }
    }

    async fn publish(&mut self, topic: String, payload: Vec<u8>) {
        if self.client.publish(topic.as_str(), payload, PublishOptions::at_least_once()).await.is_ok() {
            self.publishing.0.push_back(topic);
        }
    }

    /// The filters that AWS IoT refuses with this event.
    fn acknowledged(&mut self, event: &MqttEvent) -> Vec<String> {
        match event {
            MqttEvent::Outgoing(Outgoing::Subscribe(number)) => {
                self.subscribing.extend(self.asked.pop_front().map(|filters| (*number, filters)));
                Vec::new()
            }
            MqttEvent::Incoming(Packet::SubAck(SubAck { pkid, return_codes })) => {
                let filters = self.subscribing.remove(pkid).unwrap_or_default();
                let refused = filters.into_iter().zip(return_codes);
                refused
                    .filter(|(_, code)| **code == SubscribeReasonCode::Failure)
                    .map(|(filter, _)| filter)
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    /// The topic of the message that AWS IoT has taken with this event.
    fn taken(&mut self, event: &MqttEvent) -> Option<String> {
        let (waiting, sent) = &mut self.publishing;
        match event {
            MqttEvent::Outgoing(Outgoing::Publish(number)) => {
                sent.extend(waiting.pop_front().map(|topic| (*number, topic)));
                None
            }
            MqttEvent::Incoming(Packet::PubAck(acknowledged)) => sent.remove(&acknowledged.pkid),
            _ => None,
        }
    }
}

/// What an answer means that is no WebSocket.
fn answered(place: String, response: &Response<Option<Vec<u8>>>, now: OffsetDateTime) -> Error {
    let status = response.status().as_u16();
    let body = String::from_utf8_lossy(response.body().as_deref().unwrap_or_default()).into_owned();
    let header = |name| text(response.headers(), name);
    if let (300..400, Some(to)) = (status, header("location")) {
        let to = to.split(['?', '#']).next().unwrap_or_default().to_owned();
        return Error::Redirected { place, action: CONNECT, to };
    }
    if header("content-type").is_some_and(|kind| kind.starts_with("text/html")) {
        return Error::WebPage { place, action: CONNECT, title: None, status };
    }
    let message = serde_json::from_str::<serde_json::Value>(&body).ok();
    let message = message.and_then(|body| Some(body.get("message")?.as_str()?.chars().take(200).collect()));
    let code = header("x-amzn-errortype").map(|code| code.split(':').next().unwrap_or_default().to_owned());
    let source = Answer { code: code.unwrap_or_default(), message: message.unwrap_or_default(), status };
    match status {
        401 | 403 => {
            let theirs = header("date").and_then(|date| OffsetDateTime::parse(date, &Rfc2822).ok());
            match theirs {
                Some(theirs) if (theirs - now).abs() > CLOCKS => Error::ClockSkew { source },
                _ => LiveError::Forbidden { place, source }.into(),
            }
        }
        429 => Error::Throttled { action: CONNECT, source },
        _ => Error::Call { action: CONNECT, source },
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-27 12:00 UTC);

    fn error(status: u16, headers: &[(&str, &str)], body: &str) -> Error {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        answered("host".to_owned(), &response.body(Some(body.as_bytes().to_owned())).unwrap(), NOW)
    }

    #[test]
    fn a_refusal_is_blamed_on_the_clock_where_the_clocks_differ() {
        let refused = |date| {
            error(
                403,
                &[("date", date), ("x-amzn-errortype", "ForbiddenException")],
                r#"{"message":"Forbidden"}"#,
            )
        };
        let same = refused("Fri, 27 Nov 2026 12:04:00 GMT");
        let Error::Live(LiveError::Forbidden { source, .. }) = same else { panic!("{same:?}") };
        assert_eq!(source.to_string(), "ForbiddenException: Forbidden");
        for other in ["Fri, 27 Nov 2026 12:06:00 GMT", "Fri, 27 Nov 2026 11:50:00 GMT"] {
            assert!(matches!(refused(other), Error::ClockSkew { .. }), "{other}");
        }
    }

    #[test]
    fn what_answers_in_the_place_of_aws_is_told() {
        let moved = error(302, &[("location", "https://login.example/?token=secret")], "");
        assert!(matches!(moved, Error::Redirected { to, .. } if to == "https://login.example/"));
        assert!(matches!(
            error(200, &[("content-type", "text/html; charset=utf-8")], "<html>"),
            Error::WebPage { .. }
        ));
        assert!(matches!(error(503, &[], ""), Error::Call { source, .. } if source.status == 503));
        assert!(is_passing(&error(503, &[], "")) && !is_passing(&error(404, &[], "no")));
    }
}
