//! MQTT topic names and topic filters (MQTT 3.1.1, section 4.7), as AWS IoT has them.

/// AWS IoT's limit on a topic name or filter, in bytes of UTF-8 (AWS IoT Core endpoints and quotas).
const MAX_LENGTH: usize = 256;
/// AWS IoT's limit on the number of slashes in a topic name or filter.
const MAX_SLASHES: usize = 7;
const SHARED: &str = "$share/";

/// Whether `topic` may be published to: no wildcards, within AWS IoT's limits.
#[must_use]
pub fn is_name(topic: &str) -> bool {
    within_limits(topic) && !topic.contains(['+', '#'])
}

/// Whether `topic` is reserved for AWS IoT's own messages: registration events, presence and answers. A device publishes to none
/// of them (AWS IoT Core developer guide, reserved topics). It does publish to the others that begin with `$aws`: shadows and
/// jobs of things, and basic ingest.
#[must_use]
pub fn is_reserved(topic: &str) -> bool {
    topic.starts_with('$') && !["$aws/things/", "$aws/rules/"].iter().any(|own| topic.starts_with(own))
}

/// Whether `filter` may be subscribed to: wildcards fill whole levels, `#` only the last one; within AWS IoT's limits. The limits of
/// a shared subscription are those of the filter in it.
#[must_use]
pub fn is_filter(filter: &str) -> bool {
    if is_shared(filter) {
        return shared(filter).is_some_and(|(group, filter)| {
            !group.is_empty() && !group.contains(['+', '#']) && !is_shared(filter) && is_filter(filter)
        });
    }
    let (front, last) = filter.rsplit_once('/').map_or((None, filter), |(front, last)| (Some(front), last));
    let plain = |level: &str| level == "+" || !level.contains(['+', '#']);
    within_limits(filter)
        && (last == "#" || plain(last))
        && front.is_none_or(|front| front.split('/').all(plain))
}

/// Group and filter of a shared subscription, `$share/GROUP/FILTER` (MQTT 5, section 4.8.2).
#[must_use]
pub fn shared(filter: &str) -> Option<(&str, &str)> {
    filter.strip_prefix(SHARED)?.split_once('/')
}

fn is_shared(filter: &str) -> bool {
    filter.starts_with(SHARED)
}

fn within_limits(text: &str) -> bool {
    (1..=MAX_LENGTH).contains(&text.len()) && !text.contains('\0') && text.matches('/').count() <= MAX_SLASHES
}

/// Whether `filter`, which may hold the wildcards `+` and `#`, covers `topic`.
///
/// A filter that begins with a wildcard does not cover topics that begin with `$` (section 4.7.2). Unlike in the standard,
/// `sensor/#` does not cover `sensor` (AWS IoT Core developer guide, topic filters). Both are expected to be valid; `#`
/// anywhere but at the end of a filter covers the rest just the same.
#[must_use]
pub fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        match (wanted, levels.next()) {
            ("#", below) => return below.is_some(),
            ("+", Some(_)) => {}
            (wanted, Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_filters_are_told_from_malformed_ones() {
        for filter in ["#", "+", "+/+", "a/#", "a/+/b", "/", "a//b", "$aws/things/x/shadow/#", "$share/g/a/#"]
        {
            assert!(is_filter(filter), "{filter}");
        }
        for filter in ["", "a#", "#/a", "a/#/b", "a+", "a/b+/c", "a/+b", "a\0", "1/2/3/4/5/6/7/8/9"] {
            assert!(!is_filter(filter), "{filter}");
        }
        for filter in [
            "$share/",
            "$share/g",
            "$share/g/",
            "$share//a",
            "$share/+/a",
            "$share/g/$share/h/a",
            "$share/g/a#",
        ] {
            assert!(!is_filter(filter), "{filter}");
        }
        assert_eq!(shared("$share/g/a/b"), Some(("g", "a/b")));
        assert_eq!(shared("a/b"), None);
        assert!(is_name("$aws/things/x/shadow/name/y/update"));
        assert!(!is_name("a/+/b") && !is_name("a/#") && !is_name("") && !is_name(&"x".repeat(257)));
    }

    #[test]
    fn wildcards_cover_levels_as_aws_says() {
        for (filter, topic) in [
            ("sport/tennis/player1/#", "sport/tennis/player1/"),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"),
            ("sport/+", "sport/"),
            ("+/+", "/finance"),
            ("/+", "/finance"),
            ("#", "a/b"),
            ("$aws/events/certificates/registered/#", "$aws/events/certificates/registered/ab12"),
            ("é/+", "é/x"),
        ] {
            assert!(matches(filter, topic), "{filter} covers {topic}");
        }
        for (filter, topic) in [
            ("sport/+", "sport"),
            ("sport/tennis/player1/#", "sport/tennis/player1"),
            ("sport/tennis/+", "sport/tennis/player1/ranking"),
            ("+", "/finance"),
            ("#", "$aws/events/x"),
            ("+/events/x", "$aws/events/x"),
            ("a/b", "a/B"),
            ("a/b", "a/b/c"),
        ] {
            assert!(!matches(filter, topic), "{filter} does not cover {topic}");
        }
    }
}
