//! Amazon CloudWatch Logs (JSON 1.1), to read: what functions print, and AWS IoT's log of refused connections.

use std::collections::BTreeSet;
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::reply::{Reply, ServiceError};
use super::request::Call;
use super::{OfServices, Services};

mod pattern;

use pattern::FilterPattern;

/// Every operation the testbed knows.
pub(super) const OPERATIONS: &[(&str, OfServices)] =
    &[("DescribeLogGroups", describe_groups), ("FilterLogEvents", filter)];

/// The most events in an answer, and the number without `limit` (CloudWatch Logs API, `FilterLogEvents`).
const MOST_EVENTS: usize = 10_000;
/// The most log groups in an answer, and the number without `limit`.
const MOST_GROUPS: usize = 50;

/// One line of a log.
struct Line {
    group: String,
    at: u64,
    message: String,
}

impl Line {
    /// All that is in a group is in one stream.
    fn stream(&self) -> &'static str {
        if self.group.starts_with("/aws/lambda/") { "[$LATEST]testbed" } else { "testbed" }
    }
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn lines(services: &Services) -> Vec<Line> {
    let functions = services.journal.log_lines().into_iter().map(|(at, function, message)| Line {
        group: format!("/aws/lambda/{function}"),
        at: milliseconds(at),
        message,
    });
    let mut lines: Vec<Line> = functions.collect();
    if let Some((group, entries)) = services.account().iot_log() {
        let line = |(at, message): &(SystemTime, String)| Line {
            group: group.to_owned(),
            at: milliseconds(*at),
            message: message.clone(),
        };
        lines.extend(entries.map(line));
    }
    lines
}

/// A function's group is there from its first line on, AWS IoT's from `SetV2LoggingOptions` on.
fn groups(services: &Services, lines: &[Line]) -> BTreeSet<String> {
    let mut groups: BTreeSet<String> = lines.iter().map(|line| line.group.clone()).collect();
    groups.extend(services.account().iot_log().map(|(group, _)| group.to_owned()));
    groups
}

fn describe_groups(services: &Services, call: &Call) -> Result<Reply, ServiceError> {
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Body {
        log_group_name_prefix: String,
        log_group_name_pattern: String,
        next_token: Option<String>,
        limit: Option<usize>,
    }
    let body: Body = parsed(call)?;
    let lines = lines(services);
    let groups = groups(services, &lines);
    let wanted = |name: &&String| {
        name.starts_with(&body.log_group_name_prefix) && name.contains(&body.log_group_name_pattern)
    };
    let names: Vec<&String> = groups.iter().filter(wanted).collect();
    let (page, next) = page(&names, body.next_token.as_deref(), body.limit, MOST_GROUPS)?;
    let described = |name: &&String| {
        let arn = services.account().identity().arn("logs", &format!("log-group:{name}"));
        let own = || lines.iter().filter(|line| line.group == **name);
        json!({
            "logGroupName": name,
            "creationTime": own().map(|line| line.at).min(),
            "arn": format!("{arn}:*"),
            "logGroupArn": arn,
            "logGroupClass": "STANDARD",
            "metricFilterCount": 0,
            "storedBytes": own().map(|line| line.message.len()).sum::<usize>(),
        })
    };
    let groups: Vec<Value> = page.iter().map(described).collect();
    Ok(Reply::json(json!({ "logGroups": groups, "nextToken": next })))
}

fn filter(services: &Services, call: &Call) -> Result<Reply, ServiceError> {
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Body {
        log_group_name: Option<String>,
        log_group_identifier: Option<String>,
        log_stream_names: Vec<String>,
        log_stream_name_prefix: String,
        start_time: Option<u64>,
        end_time: Option<u64>,
        filter_pattern: String,
        next_token: Option<String>,
        limit: Option<usize>,
    }
    let body: Body = parsed(call)?;
    // The identifier is the name or the ARN.
    let group = body.log_group_name.or(body.log_group_identifier).unwrap_or_default();
    let group = group.rsplit_once(":log-group:").map_or(group.as_str(), |(_, name)| name);
    let pattern = FilterPattern::parse(&body.filter_pattern).map_err(|reason| invalid(&reason))?;
    let mut lines = lines(services);
    if !groups(services, &lines).contains(group) {
        let message = "The specified log group does not exist.";
        return Err(ServiceError::new("ResourceNotFoundException", 400, message));
    }
    lines.retain(|line| {
        line.group == group
            && body.start_time.is_none_or(|start| line.at >= start)
            && body.end_time.is_none_or(|end| line.at <= end)
            && (body.log_stream_names.is_empty()
                || body.log_stream_names.iter().any(|name| name == line.stream()))
            && line.stream().starts_with(&body.log_stream_name_prefix)
            && pattern.matches(&line.message)
    });
    lines.sort_by_key(|line| line.at);
    let first = body.next_token.as_deref().map_or(Ok(0), offset)?;
    let (page, next) = page(&lines, body.next_token.as_deref(), body.limit, MOST_EVENTS)?;
    let event = |(index, line): (usize, &Line)| {
        json!({
            "logStreamName": line.stream(),
            "timestamp": line.at,
            "message": line.message,
            "ingestionTime": line.at,
            "eventId": event_id(first + index, line),
        })
    };
    let events: Vec<Value> = page.iter().enumerate().map(event).collect();
    Ok(Reply::json(json!({ "events": events, "searchedLogStreams": [], "nextToken": next })))
}

/// The same for the same line, so that a client that asks again tells lines that it has from new ones.
fn event_id(index: usize, line: &Line) -> String {
    let digest = Sha256::digest(format!("{index} {} {} {}", line.group, line.at, line.message));
    digest
        .iter()
        .take(28)
        .map(|byte| char::from(b'0' + byte % 10))
        .chain(format!("{:028}", line.at).chars())
        .collect()
}

fn page<'a, T>(
    items: &'a [T],
    token: Option<&str>,
    limit: Option<usize>,
    most: usize,
) -> Result<(&'a [T], Option<String>), ServiceError> {
    let limit = limit.unwrap_or(most);
    if !(1..=most).contains(&limit) {
        return Err(invalid(&format!("limit {limit} is not between 1 and {most}")));
    }
    let first = token.map_or(Ok(0), offset)?.min(items.len());
    let last = (first + limit).min(items.len());
    Ok((&items[first..last], (last < items.len()).then(|| last.to_string())))
}

fn offset(token: &str) -> Result<usize, ServiceError> {
    token.parse().map_err(|_| invalid("The specified nextToken is invalid."))
}

fn parsed<T: serde::de::DeserializeOwned>(call: &Call) -> Result<T, ServiceError> {
    call.json().map_err(|error| invalid(&error.message))
}

fn invalid(message: &str) -> ServiceError {
    ServiceError::new("InvalidParameterException", 400, message)
}
