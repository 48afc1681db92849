//! What shadows answer.

use proptest::prelude::*;

use super::*;

fn ask(shadows: &mut Shadows, operation: &str, payload: &Value) -> Vec<(String, Value)> {
    let replies =
        shadows.answer(&format!("$aws/things/lamp/shadow/{operation}"), payload.to_string().as_bytes(), 7);
    let short = |topic: String| topic.trim_start_matches("$aws/things/lamp/shadow/").to_owned();
    replies.into_iter().map(|(topic, payload)| (short(topic), payload)).collect()
}

#[test]
fn a_change_that_is_desired_is_accepted_documented_and_told_as_a_delta() {
    let mut shadows = Shadows::default();
    let reported = json!({"state": {"reported": {"color": "red", "rgb": [1, 2], "at": {"x": 1, "y": 2}}}});
    let replies = ask(&mut shadows, "update", &reported);
    assert_eq!(
        replies.iter().map(|(topic, _)| topic.as_str()).collect::<Vec<_>>(),
        ["update/accepted", "update/documents"]
    );
    let desired = json!({"state": {"desired": {"color": "green", "rgb": [1, 2], "at": {"x": 1, "y": 3}}}, "clientToken": "t", "version": 1});
    let replies = ask(&mut shadows, "update", &desired);
    let time = json!({"timestamp": 7});
    assert_eq!(
        replies[0],
        (
            "update/accepted".to_owned(),
            json!({
                "state": desired["state"],
                "metadata": {"desired": {"color": time, "rgb": [time, time], "at": {"x": time, "y": time}}},
                "version": 2, "timestamp": 7, "clientToken": "t"
            })
        )
    );
    assert_eq!(replies[1].1["previous"]["version"], 1);
    assert_eq!(replies[1].1["current"]["state"]["desired"]["color"], "green");
    assert_eq!(
        replies[2],
        (
            "update/delta".to_owned(),
            json!({
                "state": {"color": "green", "at": {"y": 3}}, "metadata": {"color": time, "at": {"y": time}},
                "version": 2, "timestamp": 7, "clientToken": "t"
            })
        )
    );
    let got = ask(&mut shadows, "get", &json!({}));
    assert_eq!(got[0].1["state"]["delta"], json!({"color": "green", "at": {"y": 3}}));
    let done =
        json!({"state": {"reported": {"color": "green", "at": {"y": 3}, "rgb": null}, "desired": null}});
    assert_eq!(ask(&mut shadows, "update", &done).len(), 2);
    let got = ask(&mut shadows, "get", &json!({}));
    assert_eq!(got[0].1["state"], json!({"reported": {"color": "green", "at": {"x": 1, "y": 3}}}));
}

#[test]
fn what_cannot_be_is_rejected_and_changes_nothing() {
    let mut shadows = Shadows::default();
    let long = "x".repeat(65);
    let deep = json!({"state": {"desired": {"1": {"2": {"3": {"4": {"5": {"6": {"7": 8}}}}}}}}});
    for (operation, payload, code, message) in [
        ("get", json!({}), 404, "No shadow exists with name: 'lamp'"),
        ("delete", json!({}), 404, "No shadow exists with name: 'lamp'"),
        ("update", json!([]), 400, "Payload contains invalid json"),
        ("update", json!({}), 400, "Missing required node: state"),
        ("update", json!({"state": 1}), 400, "State node must be an object"),
        ("update", json!({"state": {"desired": 1}}), 400, "Desired node must be an object"),
        ("update", json!({"state": {"reported": []}}), 400, "Reported node must be an object"),
        (
            "update",
            json!({"state": {"desired": {"a": [null]}}}),
            400,
            "State contains an invalid node: 'null'",
        ),
        ("update", json!({"state": {}, "version": "1"}), 400, "Invalid version"),
        ("update", json!({"state": {}, "version": 4}), 409, "Version conflict"),
        ("update", json!({"state": {}, "clientToken": long}), 400, "Invalid clientToken"),
        ("update", deep, 400, "JSON contains too many levels of nesting; maximum is 6"),
        (
            "update",
            json!({"state": {"desired": {"a": "x".repeat(9000)}}}),
            413,
            "The payload exceeds the maximum size allowed",
        ),
    ] {
        let replies = ask(&mut shadows, operation, &payload);
        let rejected = json!({"code": code, "message": message, "timestamp": 7});
        assert_eq!(replies, [(format!("{operation}/rejected"), rejected)], "{payload}");
    }
    assert!(shadows.0.is_empty());
}

#[test]
fn the_version_goes_on_over_a_deletion() {
    let mut shadows = Shadows::default();
    let update = json!({"state": {"reported": {"on": true}}});
    ask(&mut shadows, "update", &update);
    assert_eq!(ask(&mut shadows, "delete", &json!({}))[0].1, json!({"version": 1, "timestamp": 7}));
    assert_eq!(ask(&mut shadows, "get", &json!({}))[0].1["code"], 404);
    assert_eq!(ask(&mut shadows, "update", &update)[0].1["version"], 3);
}

#[test]
fn other_topics_have_no_answer() {
    let mut shadows = Shadows::default();
    for topic in [
        "a",
        "$aws/things/lamp/shadow/name/get",
        "$aws/things/lamp/shadow/get/accepted",
        "$aws/things/lamp/jobs/get",
    ] {
        assert_eq!(shadows.answer(topic, b"{}", 7), [], "{topic}");
    }
}

#[test]
fn a_thing_has_named_shadows_beside_the_classic_one() {
    let mut shadows = Shadows::default();
    let update = json!({"state": {"reported": {"on": true}}});
    for topic in ["$aws/things/lamp/shadow/name/b/update", "$aws/things/lamp/shadow/name/a/update"] {
        let replies = shadows.answer(topic, update.to_string().as_bytes(), 7);
        assert_eq!(replies[0].0, format!("{topic}/accepted"));
        assert_eq!(replies[0].1["version"], 1);
    }
    assert_eq!(shadows.named("lamp"), ["a", "b"]);
    assert_eq!(ask(&mut shadows, "get", &json!({}))[0].1["code"], 404);
    let long = "x".repeat(65);
    for (name, message) in [
        ("c", "No shadow exists with name: 'lamp~c'"),
        ("ü", "Invalid shadow name"),
        (&long, "Invalid shadow name"),
    ] {
        let replies = shadows.answer(&format!("$aws/things/lamp/shadow/name/{name}/get"), b"", 7);
        assert_eq!(replies[0].1["message"], message);
    }
}

#[test]
fn over_http_the_answer_is_what_is_accepted_and_changes_are_told() {
    let mut shadows = Shadows::default();
    let name = Name::new("lamp", Some("led"));
    let missing = Rejection(404, "No shadow exists with name: 'lamp~led'".to_owned());
    assert_eq!(shadows.request(&name, "get", b"", 7), Err(missing));
    let update = json!({"state": {"desired": {"on": true}}, "clientToken": "t"}).to_string();
    let (accepted, told) = shadows.request(&name, "update", update.as_bytes(), 7).unwrap();
    assert_eq!((&accepted["version"], &accepted["clientToken"]), (&json!(1), &json!("t")));
    let topics: Vec<_> = told.iter().map(|(topic, _)| topic.rsplit_once('/').unwrap().1).collect();
    assert_eq!(topics, ["accepted", "documents", "delta"]);
    assert_eq!(told[0].0, "$aws/things/lamp/shadow/name/led/update/accepted");
    let (document, told) = shadows.request(&name, "get", b"", 7).unwrap();
    assert_eq!((&document["state"]["delta"], told.len()), (&json!({"on": true}), 0));
}

proptest! {
    #[test]
    fn no_payload_panics(payload in prop::collection::vec(any::<u8>(), 0..200)) {
        Shadows::default().answer("$aws/things/lamp/shadow/update", &payload, 7);
    }
}
