//! The tables say what the page on permissions says, and policies are as narrow and as small as can be.

use super::*;

const PAGE: &str = include_str!("../../../docs/permissions.md");
const KMS: &str = "Keys in AWS KMS";

fn scope() -> Scope {
    scope_of("us-east-1", "123456789012")
}

fn line(command: &str, flags: &[&str]) -> CommandLine {
    let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    CommandLine { command: command.to_owned(), flags, names: Names::default() }
}

fn policy(lines: &[CommandLine]) -> Value {
    Permissions::of(lines, &scope()).document()
}

/// Each action with its resources.
fn allowed(document: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let texts = |value: &Value| -> Vec<String> {
        let many = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        many.iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let mut allowed = BTreeMap::<String, BTreeSet<String>>::new();
    for statement in document["Statement"].as_array().unwrap() {
        assert_eq!(statement["Effect"], "Allow");
        for action in texts(&statement["Action"]) {
            allowed.entry(action).or_default().extend(texts(&statement["Resource"]));
        }
    }
    allowed
}

/// The sections of the page: the permissions of each table, and the commands whose calls are made besides.
fn page() -> BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> {
    let mut sections = BTreeMap::new();
    for section in PAGE.split("\n## ").skip(1) {
        let (name, text) = section.split_once('\n').unwrap();
        let code =
            |line: &str| -> Vec<String> { line.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
        let rows = text.lines().filter(|line| line.starts_with("| `"));
        let rows = rows.filter_map(|row| code(row).into_iter().next());
        let sentences = text
            .lines()
            .filter(|line| line.contains("the calls of") || line.contains("what `monitor` needs"));
        // A command is named with its flags, or as one of a group: `doctor --repair`, `admission publish`.
        let besides = sentences.flat_map(code).flat_map(|code| {
            let first = code.split(' ').next().map(str::to_owned);
            first.into_iter().chain([code])
        });
        sections.insert(name.to_owned(), (rows.collect(), besides.collect()));
    }
    sections
}

#[test]
fn the_tables_have_what_the_page_has_and_nothing_else() {
    let mut page = page();
    let (keys, _) = page.remove(KMS).unwrap();
    assert_eq!(keys, SIGNING.iter().chain(MAKING).map(|action| (*action).to_owned()).collect());
    let commands: BTreeSet<&str> = TABLES.iter().map(|table| table.command).collect();
    for command in &commands {
        let section = if *command == "policy print" { "policy" } else { command };
        let tables = || TABLES.iter().filter(|table| table.command == *command);
        let own: BTreeSet<String> =
            tables().flat_map(|table| table.rows).map(|row| row.action.to_owned()).collect();
        let other: BTreeSet<&str> =
            tables().flat_map(|table| table.besides).map(|(_, other, _)| *other).collect();
        let Some((rows, besides)) = page.get(section) else {
            // `report` makes the calls of `doctor`.
            assert!(own.is_empty() && PAGE.contains(&format!("`{command}` makes the calls of")), "{command}");
            continue;
        };
        let lacking: Vec<_> = rows.difference(&own).collect();
        assert!(lacking.is_empty(), "the table of {command} lacks {lacking:?}");
        let of_others = besides.iter().filter_map(|other| page.get(other)).flat_map(|(rows, _)| rows);
        let known: BTreeSet<&String> = rows.iter().chain(of_others).collect();
        let unknown: Vec<_> = own.iter().filter(|action| !known.contains(action)).collect();
        assert!(unknown.is_empty(), "the page lacks for {command}: {unknown:?}");
        for other in other {
            assert!(
                besides.contains(other),
                "the page does not say that {command} makes the calls of {other}"
            );
        }
    }
    let sections: BTreeSet<&str> = page.keys().map(String::as_str).collect();
    let unknown: Vec<_> =
        sections.iter().filter(|name| !commands.contains(*name) && **name != "policy").collect();
    assert!(unknown.is_empty(), "there are no tables of {unknown:?}");
}

#[test]
fn actions_on_the_same_resources_are_one_statement_and_no_resource_is_there_twice() {
    let everything: Vec<_> =
        commands().into_iter().map(|command| line(command, &["repair", "board", "send"])).collect();
    for lines in
        [&everything[..], &[line("setup", &[])], &[line("doctor", &["repair"]), line("teardown", &[])]]
    {
        let document = policy(lines);
        let mut places = BTreeSet::new();
        for statement in document["Statement"].as_array().unwrap() {
            let place = format!("{} {}", statement["Resource"], statement["Condition"]);
            assert!(places.insert(place), "two statements for one place: {document:#}");
        }
        for (action, resources) in allowed(&document) {
            for resource in &resources {
                let wider = resources.iter().find(|wider| {
                    *wider != resource
                        && wider.strip_suffix('*').is_some_and(|begin| resource.starts_with(begin))
                });
                // A condition of one of them would make both needed.
                assert!(
                    wider.is_none() || action == "lambda:UpdateEventSourceMapping",
                    "{action}: {resource} is in {wider:?}"
                );
            }
        }
    }
}

#[test]
fn names_limit_what_is_allowed() {
    let names = Names {
        function: "Line1:live".into(),
        rule: "Line1Rule".into(),
        thing_groups: vec!["line-1".into()],
        ..Names::default()
    };
    let allowed = allowed(&policy(&[CommandLine { names, ..line("setup", &[]) }, line("register", &[])]));
    let has = |action: &str, resources: &[&str]| {
        let resources: BTreeSet<String> =
            resources.iter().map(|resource| format!("arn:aws:{resource}")).collect();
        assert_eq!(allowed[action], resources, "{action}");
    };
    has("iot:CreateTopicRule", &["iot:us-east-1:123456789012:rule/Line1Rule"]);
    let function = "lambda:us-east-1:123456789012:function:Line1";
    has("lambda:UpdateFunctionCode", &[function, &format!("{function}:*")]);
    has("iam:CreateRole", &["iam::123456789012:role/Line1-role", "iam::123456789012:role/Line1-rule-role"]);
    has(
        "sqs:CreateQueue",
        &[
            "sqs:us-east-1:123456789012:Line1-failed-events",
            "sqs:us-east-1:123456789012:Line1-waiting-events",
        ],
    );
    has("iot:CreatePolicy", &["iot:us-east-1:123456789012:policy/zt_policy"]);
    // The registration has no group.
    assert!(!allowed.contains_key("iot:AddThingToThingGroup"));
    assert_eq!(allowed["iot:RegisterCACertificate"], BTreeSet::from(["*".to_owned()]));
}

#[test]
fn a_role_is_passed_to_its_service_alone() {
    let document = policy(&[line("setup", &[])]);
    let passing = |statement: &&Value| statement["Action"] == "iam:PassRole";
    let passed: Vec<_> = document["Statement"].as_array().unwrap().iter().filter(passing).collect();
    let passed: BTreeMap<_, _> = passed
        .iter()
        .map(|statement| (statement["Resource"].as_str().unwrap(), statement["Condition"].to_string()))
        .collect();
    let to =
        |service: &str| format!(r#"{{"StringEquals":{{"iam:PassedToService":"{service}.amazonaws.com"}}}}"#);
    let right = [
        ("arn:aws:iam::123456789012:role/JITR-role", to("lambda")),
        ("arn:aws:iam::123456789012:role/JITR-rule-role", to("iot")),
    ];
    assert_eq!(passed, BTreeMap::from(right));
}

#[test]
fn flags_widen_and_narrow_what_is_needed() {
    let actions = |command: &str, flags: &[&str]| allowed(&policy(&[line(command, flags)]));
    assert!(!actions("doctor", &[]).contains_key("iot:CreatePolicyVersion"));
    let repair = actions("doctor", &["repair"]);
    assert!(repair.contains_key("iot:CreatePolicyVersion") && repair.contains_key("lambda:CreateFunction"));
    assert!(!actions("setup", &["delivery=rule"]).contains_key("sqs:CreateQueue"));
    assert!(!actions("doctor", &["repair", "delivery=rule"]).contains_key("sqs:CreateQueue"));
    assert!(!actions("replay", &[]).contains_key("iot:CreateThing"));
    assert!(actions("replay", &["local"]).contains_key("iot:CreateThing"));
    assert!(!actions("provision", &[]).contains_key("iot:Connect"));
    assert!(actions("provision", &["follow"]).contains_key("iot:Connect"));
    assert!(!actions("setup", &["method=mar"]).contains_key("lambda:CreateFunction"));
    assert!(Permissions::of(&[line("report", &["offline"])], &scope()).is_empty());
}

#[test]
fn a_key_in_kms_is_named_as_iam_knows_it() {
    let with = |uri: &str| {
        let names = Names { signer_key: Some(KmsKey::named(uri)), ..Names::default() };
        policy(&[CommandLine { names, ..line("ca crl", &[]) }])
    };
    let arn = "arn:aws:kms:us-east-1:123456789012:key/1234abcd";
    assert_eq!(allowed(&with(arn))["kms:Sign"], BTreeSet::from([arn.to_owned()]));
    assert_eq!(with("1234abcd"), with(arn));
    let alias = with("alias/signer");
    assert_eq!(
        alias["Statement"][0]["Condition"]["StringEquals"]["kms:RequestAlias"], "alias/signer",
        "{alias}"
    );
    assert!(allowed(&with(""))["kms:CreateKey"].contains("*"));
    assert!(!allowed(&with(arn)).contains_key("kms:CreateKey"));
}

#[test]
fn the_partition_is_that_of_the_region() {
    for (region, partition) in
        [("eu-central-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")]
    {
        assert_eq!(scope_of(region, "123456789012").partition, partition);
    }
}
