//! Events that were recorded: in files, and in queues of failed events.

use serde_json::Value;

use super::Job;

/// The recorded events in a file: one JSON object a line, an array of them, or one; each as it was published, or as another
/// service has handed it on ([`jitr::event::opened`]). A batch has several.
///
/// # Errors
/// What is wrong with the JSON, and where.
pub fn recorded(file: &str, text: &str) -> Result<Vec<Job>, serde_json::Error> {
    let text = text.trim_start_matches('\u{feff}');
    let values: Vec<Value> = match serde_json::from_str(text) {
        Ok(Value::Array(values)) => values,
        Ok(one) => vec![one],
        Err(_) => serde_json::Deserializer::from_str(text).into_iter().collect::<Result<_, _>>()?,
    };
    let numbered = values.into_iter().flat_map(of_batch).zip(1..);
    Ok(numbered.map(|(event, number)| Job::Recorded { source: format!("{file}:{number}"), event }).collect())
}

/// The records of a batch, each by itself.
fn of_batch(value: Value) -> Vec<Value> {
    match jitr::event::records(&value) {
        Some(Ok(records)) => records.to_vec(),
        _ => vec![value],
    }
}

/// What the body of a message has. What is no JSON is a text, and refused.
pub(super) fn of_message(body: &str) -> Value {
    serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn recorded_events_come_as_lines_as_a_list_alone_or_in_a_batch() {
        for (text, count) in [
            ("{\"a\":1}\n{\"a\":2}\n\n", 2),
            ("[{\"a\":1},{\"a\":2},3]", 3),
            ("{\"a\":\n1}", 1),
            ("\u{feff}{\"a\":1}", 1),
            ("{\"Records\":[{\"body\":\"1\"},{\"body\":\"2\"}]}\n{\"a\":1}", 3),
        ] {
            assert_eq!(recorded("f", text).unwrap().len(), count, "{text}");
        }
        assert!(recorded("f", "{\"a\":1}\nnonsense").unwrap_err().line() == 2);
    }

    #[test]
    fn what_is_no_json_is_handed_on_as_a_text() {
        assert_eq!(of_message("nonsense"), json!("nonsense"));
        assert_eq!(of_message("[1]"), json!([1]));
    }
}
