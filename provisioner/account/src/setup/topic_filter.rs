//! What the SQL of a topic rule reads. No I/O.

use jitr::event::{TOPIC_RULE_SQL, TOPIC_RULE_SQL_VERSION};

/// The topic of a registration, up to the id of the CA (AWS IoT Core Developer Guide, "Just-in-time registration").
const REGISTERED: [&str; 4] = ["$aws", "events", "certificates", "registered"];

/// For `SELECT *`, the first version of AWS IoT SQL gives what the present one gives.
const FIRST_VERSION: &str = "2015-10-08";

/// The topic filter of the FROM clause; `None` for a rule without one, which only Basic Ingest reaches.
pub(crate) fn of_sql(sql: &str) -> Option<&str> {
    let mut rest = sql;
    let mut is_word_before = false;
    loop {
        let c = rest.chars().next()?;
        if let '\'' | '"' = c {
            rest = &rest[1 + rest[1..].find(c)? + 1..];
            is_word_before = false;
            continue;
        }
        if !is_word_before && let Some(tail) = without_word(rest, "FROM") {
            let tail = tail.trim_start();
            let quote = tail.chars().next().filter(|c| "'\"".contains(*c));
            if let Some(quote) = quote {
                return tail[1..].split_once(quote).map(|(filter, _)| filter);
            }
        }
        is_word_before = c.is_alphanumeric() || c == '_';
        rest = &rest[c.len_utf8()..];
    }
}

/// What follows a word at the beginning, in any case.
fn without_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let (head, tail) = text.split_at_checked(word.len())?;
    let ends = !tail.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    (head.eq_ignore_ascii_case(word) && ends).then_some(tail)
}

/// Whether a rule with this filter gets the events of registrations, of some CAs at least.
///
/// A filter that begins with a wildcard gets no topic that begins with `$` (MQTT 3.1.1, section 4.7.2).
pub(crate) fn reads_registrations(filter: &str) -> bool {
    let mut levels = filter.split('/');
    if levels.next() != Some(REGISTERED[0]) {
        return false;
    }
    for wanted in &REGISTERED[1..] {
        match levels.next() {
            Some("#") => return true,
            Some(level) if level == "+" || level == *wanted => {}
            _ => return false,
        }
    }
    // The id of the CA is the last level; nothing is published above it or below it.
    levels.next().is_some_and(|id| !id.is_empty()) && levels.next().is_none_or(|level| level == "#")
}

/// Whether SQL gives the same as that of this tool; in what way it differs, if it does.
pub(crate) enum Likeness {
    /// It is that of this tool.
    Same,
    /// It is written in another way.
    Equivalent,
    /// It reads something else.
    Different,
}

/// Compares the SQL of a rule with that of this tool.
pub(crate) fn likeness(sql: &str) -> Likeness {
    if sql.split_whitespace().collect::<Vec<_>>().join(" ") == TOPIC_RULE_SQL {
        return Likeness::Same;
    }
    let select = without_word(sql.trim_start(), "SELECT").map(str::trim_start);
    let from = select.and_then(|rest| without_word(rest.strip_prefix('*')?.trim_start(), "FROM"));
    let from = from.map(str::trim).map(|from| from.strip_suffix(';').unwrap_or(from).trim_end());
    let filter = from.and_then(|from| {
        let quote = from.chars().next().filter(|c| "'\"".contains(*c))?;
        from.strip_prefix(quote)?.strip_suffix(quote)
    });
    match filter.and_then(|filter| filter.strip_prefix(&format!("{}/", REGISTERED.join("/")))) {
        Some("#" | "+" | "+/#") => Likeness::Equivalent,
        _ => Likeness::Different,
    }
}

/// As [`likeness`], of the version of the SQL.
pub(crate) fn likeness_of_version(version: Option<&str>) -> Likeness {
    match version {
        None | Some(TOPIC_RULE_SQL_VERSION) => Likeness::Same,
        Some(FIRST_VERSION) => Likeness::Equivalent,
        Some(_) => Likeness::Different,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_is_found_whatever_is_selected() {
        let filter = Some("$aws/events/certificates/registered/#");
        for sql in [
            TOPIC_RULE_SQL,
            "select certificateId, 'a from ''b''' AS x from \"$aws/events/certificates/registered/#\" where y = 'z'",
            "SELECT *, topic(5) AS fromage\nFROM\t'$aws/events/certificates/registered/#'",
            "SELECT VALUE * FROM '$aws/events/certificates/registered/#'",
        ] {
            assert_eq!(of_sql(sql), filter, "{sql}");
        }
        for sql in
            ["", "SELECT *", "SELECT * FROM", "SELECT * FROM x", "SELECT 'FROM ' AS a", "SELECT * FROM 'open"]
        {
            assert_eq!(of_sql(sql), None, "{sql}");
        }
    }

    #[test]
    fn filters_that_get_registrations_are_told_from_others() {
        let ca = "ab".repeat(32);
        for filter in [
            "$aws/events/certificates/registered/#",
            "$aws/events/certificates/registered/+",
            "$aws/events/certificates/registered/+/#",
            &format!("$aws/events/certificates/registered/{ca}"),
            "$aws/#",
            "$aws/events/#",
            "$aws/+/+/+/+",
            "$aws/events/+/registered/#",
            "$aws/events/certificates/#",
            "$aws/events/certificates/+/+",
        ] {
            assert!(reads_registrations(filter), "{filter}");
        }
        for filter in [
            "#",
            "+/events/certificates/registered/#",
            "$aws",
            "$aws/+",
            "$aws/events/certificates/registered",
            "$aws/events/certificates/registered/",
            "$aws/events/certificates/registered/+/+",
            "$aws/events/certificates/+",
            "$aws/events/presence/#",
            "$aws/events/thing/+/created",
            "$AWS/events/certificates/registered/#",
            "$aws/things/+/shadow/#",
            "factory/#",
        ] {
            assert!(!reads_registrations(filter), "{filter}");
        }
    }

    #[test]
    fn sql_that_gives_the_same_is_equivalent() {
        let filter = "$aws/events/certificates/registered";
        for sql in [
            format!("select * from '{filter}/+'"),
            format!("SELECT * FROM \"{filter}/#\""),
            format!(" Select\n*From '{filter}/#' ; "),
        ] {
            assert!(matches!(likeness(&sql), Likeness::Equivalent), "{sql}");
        }
        assert!(matches!(likeness(&format!("SELECT  * FROM\n'{filter}/#'")), Likeness::Same));
        for sql in [
            format!("SELECT * FROM '{filter}/#' WHERE caCertificateId = '1'"),
            format!("SELECT certificateId FROM '{filter}/#'"),
            "SELECT * FROM '$aws/#'".to_owned(),
            format!("SELECT * FROM '{filter}/0a'"),
            String::new(),
        ] {
            assert!(matches!(likeness(&sql), Likeness::Different), "{sql}");
        }
    }
}
