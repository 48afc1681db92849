//! `monitor`: what happens in the account while it happens, and how far each board has got.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{Args, ValueEnum};
use iot_account::live::{self, Live, Stage};
use serde::Serialize;

use super::plan::{self, Line, Plan};
use super::{Context, Error, setup, values};
use crate::work::inventory::{self, Sources};

mod lines;
mod watch;

use self::lines::Payload;
pub(super) use self::watch::{Goal, Watch};

/// Arguments of `monitor`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  provisioner monitor
      Show the registrations, the presence and the messages of all devices of the account, until Ctrl-C.
  provisioner monitor f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5 --until message --for 5m
      Wait until this board has sent its first message. After five minutes, say what is missing, and end with another code than 0.
  provisioner monitor THING --send THING/led '{\"on\":true}'
      Publish a message to the board, and show what it answers.

A new board is turned away at its first connection, the function registers it, its certificate becomes ACTIVE, and the next
connection is let in. What is missing after a while is explained by what `doctor` finds.
It connects as the AWS user, by MQTT over WebSocket at port 443. It needs iot:Connect, iot:Subscribe and iot:Receive;
iot:DescribeCertificate and logs:FilterLogEvents show more, and are not needed.")]
pub struct Arguments {
    /// Names of the things [default: all devices of the account]
    #[arg(value_name = "THING", value_parser = values::device)]
    things: Vec<values::Device>,
    /// End when each of the things has got as far as this
    #[arg(long, value_enum, value_name = "STAGE", requires = "things")]
    until: Option<Until>,
    /// End after this time, such as 90s, 5m or 1h [default: at Ctrl-C]
    #[arg(long = "for", value_parser = values::duration, value_name = "DURATION")]
    limit: Option<Duration>,
    /// Explain what is missing of a board that does not get on for so long
    #[arg(long, value_parser = values::duration, default_value = "20s", value_name = "DURATION")]
    explain_after: Duration,
    /// The function that registers boards [default: JITR]: its log is shown, and it is looked at where something is missing
    #[arg(long, alias = "function-name", value_name = "NAME|ARN", value_parser = setup::function_name)]
    function: Option<String>,
    /// Publish a message first. Devices that are not connected do not get it
    #[arg(long, num_args = 2, value_names = ["TOPIC", "PAYLOAD"])]
    send: Option<Vec<String>>,
}

/// How far a board has to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Until {
    /// Its certificate is ACTIVE
    Registered,
    /// It was let in
    Connected,
    /// It has sent a message
    Message,
}

impl Until {
    fn stage(self) -> Stage {
        match self {
            Self::Registered => Stage::Active,
            Self::Connected => Stage::Connected,
            Self::Message => Stage::Message,
        }
    }
}

pub(super) async fn run(arguments: &Arguments, context: &Context) -> Result<(), Error> {
    let account = context.account().await?;
    for thing in &arguments.things {
        thing.check(&account).await?;
    }
    let names: Vec<String> = arguments.things.iter().map(|thing| thing.name.clone()).collect();
    // A subscription to all is one; those to single things are as many as these.
    let mut filters = live::of_devices();
    match names.is_empty() {
        true => filters.extend(live::all_messages()),
        false => filters.extend(names.iter().flat_map(|name| live::messages_of(name))),
    }
    let live = {
        let _progress = context.progress("connecting to the message broker");
        Live::open(&account, filters).await?
    };
    let mut sending = None;
    if let Some([topic, payload]) = arguments.send.as_deref() {
        let message = Sending { live: &live, topic, payload };
        if !plan::is_carried_out(context, message).await? {
            live.close().await;
            return Ok(());
        }
        sending = Some((topic.clone(), payload.clone().into_bytes()));
    }
    let goal = Goal {
        stage: arguments.until.map(Until::stage),
        limit: arguments.limit,
        patience: arguments.explain_after,
    };
    let mut watch = Watch::new(context, account, live, known(context)?, arguments.function.clone());
    watch.follow(names.into_iter().map(|name| (name, None)));
    watch.sent(sending);
    watch.tell_begin(&goal);
    watch.run(&goal).await
}

/// The names of the things of the certificates that this computer knows.
pub(super) fn known(context: &Context) -> Result<BTreeMap<String, String>, Error> {
    let known = inventory::known(&Sources::of(&context.home)?).into_iter();
    let name = |known: inventory::Known| known.thing_names.first().cloned().or(known.subject_key_identifier);
    Ok(known.filter_map(|(id, known)| Some((id, name(known)?))).collect())
}

/// A message that is to be published.
struct Sending<'a> {
    live: &'a Live,
    topic: &'a str,
    payload: &'a str,
}

#[derive(Serialize)]
struct About<'a> {
    topic: &'a str,
    #[serde(flatten)]
    payload: Payload<'a>,
}

impl Plan for Sending<'_> {
    async fn lines(&mut self, _: &Context) -> Result<Vec<Line>, Error> {
        let payload = Payload::of(self.payload.as_bytes());
        let text = format!("would publish to {}: {payload}", self.topic);
        Ok(vec![Line::new("send", text, &About { topic: self.topic, payload })])
    }

    async fn carry_out(self, context: &Context) -> Result<(), Error> {
        self.live.publish(self.topic, self.payload.as_bytes().to_vec()).await?;
        let payload = Payload::of(self.payload.as_bytes());
        let text = format!("publishing to {}: {payload}", self.topic);
        plan::tell(context, "send", text, &About { topic: self.topic, payload });
        Ok(())
    }
}
