//! Names, topics and topic filters of other boards that the patterns of policies could cover. No I/O.
//!
//! A policy is evaluated for one request at a time. A pattern such as `topic/a*` is about other boards only if one has a name
//! that begins with `a`. The samples are therefore made from the patterns themselves.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::policy_evaluation::allowed_resources;

/// The thing name of another board.
pub(super) const OTHER: &str = "board-b";
/// Where AWS IoT has the topics of a thing that it reserves (AWS IoT Developer Guide, "Reserved topics").
const RESERVED: &str = "$aws/things/";
/// Policy variables with the name of the board that asks.
const ITSELF: [&str; 2] = ["${iot:Connection.Thing.ThingName}", "${iot:ClientId}"];
/// What stands for a wildcard of a pattern: no pattern needs a longer name.
const ANY: &str = "x";

/// What belongs to other boards, as far as a policy's patterns could cover it.
pub(super) struct Samples {
    /// Thing names.
    pub(super) names: BTreeSet<String>,
    /// Topics of the boards with these names.
    pub(super) topics: BTreeSet<String>,
    /// Topic filters. Whether one reads the topic of another board is for [`Samples::topics_under`].
    pub(super) filters: BTreeSet<String>,
}

impl Samples {
    pub(super) fn of(documents: &[Value]) -> Self {
        let kinds = ["client", "topic", "topicfilter", "thing"];
        let all: BTreeSet<_> = kinds.iter().flat_map(|kind| patterns(documents, kind)).collect();
        let is_spelt = |name: &String| all.iter().any(|pattern| owner(pattern) == name);
        let names = all.iter().filter_map(|pattern| name_under(pattern)).filter(|name| !is_spelt(name));
        let mut samples = Self {
            names: names.chain([OTHER.to_owned()]).collect(),
            topics: BTreeSet::new(),
            filters: ["#", "+/#", "+/x"].map(str::to_owned).into(),
        };
        for name in &samples.names {
            samples.topics.extend([format!("{name}/x"), format!("{RESERVED}{name}/shadow/update")]);
            samples.filters.extend([format!("{name}/#"), format!("{RESERVED}{name}/shadow/#")]);
        }
        for pattern in patterns(documents, "topic") {
            let topics = samples.topics_of(&pattern);
            samples.topics.extend(topics);
        }
        for pattern in patterns(documents, "topicfilter") {
            samples.filters.extend(filters_of(&pattern));
        }
        samples
    }

    /// Topics of other boards that a pattern covers, or that have the form of this board's own.
    fn topics_of(&self, pattern: &str) -> Vec<String> {
        if let Some(of_other) = for_other(pattern) {
            return vec![fill(&of_other, ANY, ANY)];
        }
        let stars = [ANY, "x/x", OTHER, "board-b/x", "things/board-b/x", "$aws/things/board-b/x"];
        let topics = stars.iter().map(|star| fill(pattern, star, ANY));
        topics.filter(|topic| self.is_of_other(topic)).collect()
    }

    /// Whether a topic begins with the name of another board. A name that a pattern spells out is none: it may be a common topic.
    fn is_of_other(&self, topic: &str) -> bool {
        self.names.contains(owner(topic))
    }

    /// The topics of other boards whose messages a subscription with this filter gets.
    pub(super) fn topics_under(&self, filter: &str) -> impl Iterator<Item = String> {
        let made = self.names.iter().map(|name| under(filter, name)).filter(|topic| self.is_of_other(topic));
        let known = self.topics.iter().filter(|topic| is_matched(filter, topic)).cloned();
        made.chain(known)
    }
}

/// What the Allow statements name of a kind such as `topic`, without the ARN before it.
pub(super) fn patterns(documents: &[Value], kind: &str) -> BTreeSet<String> {
    let resources = documents.iter().flat_map(allowed_resources);
    let after = |resource: &str| match resource.splitn(6, ':').nth(5).unwrap_or(resource).split_once('/') {
        Some((name, rest)) if name == kind => Some(rest.to_owned()),
        // The wildcard may stand for the kind and for more.
        _ => resource.find(['*', '?']).map(|at| resource[at..].to_owned()),
    };
    resources.filter_map(after).collect()
}

/// A name that a pattern covers by a wildcard, if it does.
fn name_under(pattern: &str) -> Option<String> {
    let name = owner(pattern);
    let is_name = name.bytes().all(|c| c.is_ascii_alphanumeric() || b":_-*?".contains(&c));
    (is_name && name.contains(['*', '?'])).then(|| fill(name, ANY, ANY))
}

/// The level of a topic that has the name of a board.
fn owner(topic: &str) -> &str {
    topic.strip_prefix(RESERVED).unwrap_or(topic).split('/').next().unwrap_or_default()
}

/// The pattern as the other board has it, if it is about the name of the board that asks.
fn for_other(pattern: &str) -> Option<String> {
    let of_other = ITSELF.iter().fold(pattern.to_owned(), |text, variable| text.replace(variable, OTHER));
    (of_other != pattern).then_some(of_other)
}

/// Filters that a pattern covers. `+` and `#` are no wildcards of a policy: a pattern has them as they are.
fn filters_of(pattern: &str) -> Vec<String> {
    let of_other = for_other(pattern);
    let pattern = of_other.as_deref().unwrap_or(pattern);
    let stars = [ANY, "#", "+", "x/#", "+/#", "+/x", OTHER, "board-b/#", "things/+/#", "$aws/things/+/#"];
    let filters = stars.iter().flat_map(|star| [ANY, "+", "#"].map(|one| fill(pattern, star, one)));
    filters.filter(|filter| is_filter(filter)).collect()
}

/// A pattern with `star` for its first `*`, [`ANY`] for each further one, and `one` for each `?`.
fn fill(pattern: &str, star: &str, one: &str) -> String {
    pattern.replacen('*', star, 1).replace('*', ANY).replace('?', one)
}

/// Whether each wildcard has a level of its own, and `#` the last (MQTT 3.1.1, 4.7.1).
fn is_filter(filter: &str) -> bool {
    let levels: Vec<_> = filter.split('/').collect();
    let is_level = |(at, level): (usize, &&str)| match *level {
        "+" => true,
        "#" => at + 1 == levels.len(),
        level => !level.contains(['+', '#']),
    };
    levels.iter().enumerate().all(is_level)
}

/// A topic that the filter matches, with a name for its first wildcard.
fn under(filter: &str, name: &str) -> String {
    let mut names = [name].into_iter();
    let levels = filter.split('/').map(|level| match level {
        "+" => names.next().unwrap_or(ANY).to_owned(),
        "#" => names.next().map_or(ANY.to_owned(), |name| format!("{name}/{ANY}")),
        level => level.to_owned(),
    });
    levels.collect::<Vec<_>>().join("/")
}

/// Whether a filter matches a topic. Wildcards at the first level leave out what begins with `$` (MQTT 3.1.1, 4.7.2).
fn is_matched(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(wanted), Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn filters_match_topics_as_in_mqtt() {
        for (filter, topic, expected) in [
            ("#", "a/b", true),
            ("a/#", "a", true),
            ("+/b", "a/b", true),
            ("+", "a/b", false),
            ("a/b", "a", false),
            ("+/things/x", "$aws/things/x", false),
            ("$aws/things/+/shadow/#", "$aws/things/b/shadow/update", true),
        ] {
            assert_eq!(is_matched(filter, topic), expected, "{filter} {topic}");
        }
    }

    proptest! {
        #[test]
        fn a_topic_made_from_a_filter_is_matched_by_it(filter in "([a-c+]{1}/){0,4}[a-c+#]") {
            prop_assert!(is_filter(&filter));
            prop_assert!(is_matched(&filter, &under(&filter, OTHER)), "{}", filter);
        }
    }
}
