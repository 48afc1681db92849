//! Filter patterns of CloudWatch Logs: terms, and comparisons of properties of a JSON line with texts (CloudWatch Logs User Guide,
//! "Filter pattern syntax").

use serde_json::Value;

/// A filter pattern.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FilterPattern {
    /// Terms: all of the required ones, one of the optional ones, none of the excluded ones.
    Terms { required: Vec<String>, optional: Vec<String>, excluded: Vec<String> },
    /// `{ $.a = "x" && $.b != "y" }`: path, equal, text; `*` stands for any run of characters at its ends.
    Json(Vec<(String, bool, String)>),
}

impl FilterPattern {
    /// Reads a pattern; an empty one lets every line pass.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(inner) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            return inner.split("&&").map(comparison).collect::<Option<_>>().map(Self::Json).ok_or_else(|| {
                format!("Invalid filter pattern: the testbed understands {{ $.property = \"text\" && … }} alone, not {text:?}")
            });
        }
        if text.starts_with(['[', '%']) {
            return Err(format!(
                "Invalid filter pattern: the testbed understands terms and JSON alone, not {text:?}"
            ));
        }
        let (mut required, mut optional, mut excluded) = (Vec::new(), Vec::new(), Vec::new());
        let mut rest = text;
        while !rest.is_empty() {
            let (terms, after) = match rest.chars().next() {
                Some('?') => (&mut optional, &rest[1..]),
                Some('-') => (&mut excluded, &rest[1..]),
                _ => (&mut required, rest),
            };
            let (term, after) = match after.strip_prefix('"') {
                Some(quoted) => {
                    quoted.split_once('"').ok_or("Invalid filter pattern: a quote is not closed")?
                }
                None => after.split_at(after.find(char::is_whitespace).unwrap_or(after.len())),
            };
            if term.is_empty() {
                return Err("Invalid filter pattern: a term is empty".to_owned());
            }
            terms.push(term.to_owned());
            rest = after.trim_start();
        }
        Ok(Self::Terms { required, optional, excluded })
    }

    /// Whether a line passes.
    pub(super) fn matches(&self, line: &str) -> bool {
        match self {
            Self::Terms { required, optional, excluded } => {
                required.iter().all(|term| line.contains(term))
                    && (optional.is_empty() || optional.iter().any(|term| line.contains(term)))
                    && !excluded.iter().any(|term| line.contains(term))
            }
            Self::Json(comparisons) => {
                let Ok(line) = serde_json::from_str::<Value>(line) else { return false };
                comparisons.iter().all(|(path, equal, text)| match line.pointer(path) {
                    Some(Value::String(value)) => covers(text, value) == *equal,
                    Some(value @ (Value::Number(_) | Value::Bool(_))) => {
                        covers(text, &value.to_string()) == *equal
                    }
                    _ => false,
                })
            }
        }
    }
}

fn comparison(text: &str) -> Option<(String, bool, String)> {
    let (path, value) = text.split_once('=')?;
    let (path, equal) = path.strip_suffix('!').map_or((path, true), |path| (path, false));
    let path = path.trim().strip_prefix("$.")?;
    if !path.chars().all(|c| c.is_alphanumeric() || "._-".contains(c)) {
        return None;
    }
    let path = path.replace('.', "/");
    let value = value.trim();
    let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    Some((format!("/{path}"), equal, quoted.unwrap_or(value).to_owned()))
}

fn covers(text: &str, value: &str) -> bool {
    match (text.strip_prefix('*'), text.strip_suffix('*')) {
        _ if text == "*" => true,
        (Some(_), Some(_)) => value.contains(text.trim_matches('*')),
        (Some(end), None) => value.ends_with(end),
        (None, Some(start)) => value.starts_with(start),
        (None, None) => text == value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_choose_lines_as_cloudwatch_logs_does() {
        let json = r#"{"eventType":"Connection.AuthNError","reason":"SNI_MISUSED","detail":{"code":7}}"#;
        for (pattern, line, passes) in [
            ("", "anything", true),
            ("ERROR", "an ERROR", true),
            ("ERROR", "an error", false),
            ("ERROR device", "device: ERROR", true),
            ("ERROR device", "ERROR", false),
            ("?ERROR ?WARN", "a WARN", true),
            ("?ERROR ?WARN", "fine", false),
            ("ERROR -timeout", "ERROR: timeout", false),
            ("\"not known\"", "it is not known", true),
            ("{ $.eventType = \"Connection.AuthNError\" }", json, true),
            ("{ $.eventType = \"Connection.*\" && $.detail.code = 7 }", json, true),
            ("{ $.reason != \"SNI_MISUSED\" }", json, false),
            ("{ $.missing = \"x\" }", json, false),
            ("{ $.reason = \"x\" }", "no JSON", false),
        ] {
            assert_eq!(FilterPattern::parse(pattern).unwrap().matches(line), passes, "{pattern} on {line}");
        }
        for pattern in ["[a, b]", "{ $.a > 1 }", "{ $.a >= 1 }", "\"open", "%[0-9]%", "- x", "{ a = 1 }"] {
            assert!(FilterPattern::parse(pattern).is_err(), "{pattern}");
        }
    }
}
