//! Events that were recorded: in files, and in queues of failed events.

use serde_json::Value;

use super::Job;

/// The recorded events in a file: one JSON object a line, an array of them, or one.
///
/// # Errors
/// What is wrong with the JSON, and where.
pub fn recorded(file: &str, text: &str) -> Result<Vec<Job>, serde_json::Error> {
    let values: Vec<Value> = match serde_json::from_str(text) {
        Ok(Value::Array(values)) => values,
        Ok(one) => vec![one],
        Err(_) => serde_json::Deserializer::from_str(text).into_iter().collect::<Result<_, _>>()?,
    };
    let numbered = values.into_iter().zip(1..);
    Ok(numbered
        .map(|(value, number)| Job::Recorded { source: format!("{file}:{number}"), event: event(value) })
        .collect())
}

/// The event in the body of a message. What is no JSON is passed on as a string, and refused by the workflow.
pub(super) fn of_message(body: &str) -> Value {
    serde_json::from_str(body).map_or_else(|_| Value::String(body.to_owned()), event)
}

/// The event in what AWS wraps around it:
/// - Lambda's on-failure destination: in `requestPayload` (AWS Lambda Developer Guide, "Capturing records of Lambda
///   asynchronous invocations");
/// - the error action of a topic rule: in base64 in `base64OriginalPayload` (AWS IoT Core Developer Guide, "Error handling
///   (error action)");
/// - a dead-letter queue: the event itself.
fn event(mut value: Value) -> Value {
    if value["requestPayload"].is_object() {
        return value["requestPayload"].take();
    }
    let payload = value["base64OriginalPayload"].as_str();
    let payload = payload.and_then(|text| aws_smithy_types::base64::decode(text).ok());
    payload.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn recorded_events_come_as_lines_as_a_list_or_alone() {
        for (text, count) in
            [("{\"a\":1}\n{\"a\":2}\n\n", 2), ("[{\"a\":1},{\"a\":2},3]", 3), ("{\"a\":\n1}", 1)]
        {
            assert_eq!(recorded("f", text).unwrap().len(), count, "{text}");
        }
        assert!(recorded("f", "{\"a\":1}\nnonsense").unwrap_err().line() == 2);
    }

    #[test]
    fn the_event_is_found_in_whatever_aws_wraps_around_it() {
        let event = json!({"certificateId": "a1"});
        let destination = json!({
            "version": "1.0",
            "requestContext": {"condition": "RetriesExhausted", "approximateInvokeCount": 3},
            "requestPayload": event,
            "responsePayload": {"errorMessage": "…"},
        });
        let encoded = aws_smithy_types::base64::encode(event.to_string());
        let error_action = json!({"ruleName": "R", "base64OriginalPayload": encoded, "failures": []});
        for body in [destination, error_action, event.clone()] {
            assert_eq!(of_message(&body.to_string()), event, "{body}");
        }
    }

    #[test]
    fn what_is_no_event_is_handed_on_as_it_is() {
        assert_eq!(of_message("nonsense"), json!("nonsense"));
        let damaged = json!({"base64OriginalPayload": "…"});
        assert_eq!(of_message(&damaged.to_string()), damaged);
        assert_eq!(of_message("[1]"), json!([1]));
    }
}
