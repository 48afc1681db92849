//! The calls of each command: which permission, on which resources, and with which flags of the command line.
//!
//! `provisioner/docs/permissions.md` says the same for people. A test compares the two, and the end-to-end tests compare the page
//! with the calls that the commands made. They run with the policies that are made of these tables.

use super::resources::On;

/// With which flags something belongs to a command line. A flag is its long name, or `name=value`.
#[derive(Clone, Copy, Debug)]
pub(super) enum When {
    Always,
    /// With one of these.
    With(&'static [&'static str]),
    /// Without all of these.
    Unless(&'static [&'static str]),
}

/// A permission.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) action: &'static str,
    pub(super) on: On,
    pub(super) when: When,
}

/// The calls of one command.
#[derive(Debug)]
pub(super) struct Table {
    /// The words of the command.
    pub(super) command: &'static str,
    pub(super) when: When,
    pub(super) rows: &'static [Row],
    /// Commands whose calls it makes besides, with the flags of theirs.
    pub(super) besides: &'static [(When, &'static str, &'static [&'static str])],
}

const fn row(action: &'static str, on: On) -> Row {
    Row { action, on, when: When::Always }
}

const fn with(flags: &'static [&'static str], action: &'static str, on: On) -> Row {
    Row { action, on, when: When::With(flags) }
}

const fn unless(flags: &'static [&'static str], action: &'static str, on: On) -> Row {
    Row { action, on, when: When::Unless(flags) }
}

/// No flag: the calls of `register` that are made once a run, alone.
pub(super) const ONCE: &str = "once";
/// Registration by this program.
const MAR: &[&str] = &["method=mar"];
/// Events do not go through a queue.
const RULE: &[&str] = &["delivery=rule"];
/// Alarms are left as they are.
pub(super) const NO_ALARMS: &[&str] = &["no-alarms"];
/// One device is looked at.
const DEVICE: &[&str] = &["board", "thing", "port"];
const REPAIR: &[&str] = &["repair"];
const QUEUE: &[&str] = &["queue"];
const LOCAL: &[&str] = &["local"];
const SIGNER: &[&str] = &["signer"];
const LIST_ONLY: &[&str] = &["list-only"];
const OFFLINE: &[&str] = &["offline"];
const KEEP_DEVICES: &[&str] = &["keep-devices"];
const NO_REGISTER: &[&str] = &["no-register"];

/// Every command that makes calls.
pub(super) const TABLES: &[Table] = &[
    Table {
        command: "setup",
        when: When::Unless(MAR),
        rows: &[
            row("iot:DescribeEndpoint", On::All),
            row("iot:DescribeCACertificate", On::CaCertificates),
            row("iot:GetTopicRule", On::Rules),
            row("iot:ListTopicRules", On::All),
            row("iot:DisableTopicRule", On::Rules),
            row("lambda:GetFunctionConfiguration", On::Function),
            row("lambda:GetFunction", On::Function),
            row("s3:GetObject", On::AdmissionList),
            row("s3:ListBucket", On::AdmissionBucket),
            row("iot:ListCACertificates", On::All),
            row("lambda:GetPolicy", On::Function),
            row("iot:DescribeThingType", On::ThingType),
            row("iot:DeprecateThingType", On::ThingType),
            row("lambda:ListEventSourceMappings", On::All),
            unless(RULE, "sqs:GetQueueUrl", On::Queues),
            unless(RULE, "sqs:GetQueueAttributes", On::Queues),
            unless(RULE, "sqs:CreateQueue", On::Queues),
            unless(RULE, "sqs:TagQueue", On::Queues),
            unless(RULE, "sqs:SetQueueAttributes", On::Queues),
            unless(RULE, "lambda:GetFunctionEventInvokeConfig", On::Function),
            unless(RULE, "lambda:PutFunctionEventInvokeConfig", On::Function),
            unless(RULE, "lambda:UpdateFunctionEventInvokeConfig", On::Function),
            unless(RULE, "lambda:CreateEventSourceMapping", On::NewMapping),
            unless(RULE, "lambda:UpdateEventSourceMapping", On::MappingsOfFunction),
            row("iam:GetRole", On::Roles),
            row("iam:GetRolePolicy", On::Roles),
            unless(RULE, "iam:ListRolePolicies", On::Roles),
            unless(RULE, "iam:ListAttachedRolePolicies", On::Roles),
            unless(RULE, "iam:GetPolicy", On::ManagedPolicies),
            unless(RULE, "iam:GetPolicyVersion", On::ManagedPolicies),
            row("iam:CreateRole", On::Roles),
            row("iam:PutRolePolicy", On::Roles),
            row("iam:UpdateAssumeRolePolicy", On::Roles),
            row("iam:PassRole", On::RoleForFunction),
            // A rule that is switched from a queue keeps the role of its error action.
            row("iam:PassRole", On::RoleForRule),
            row("iam:TagRole", On::Roles),
            row("lambda:CreateFunction", On::Function),
            row("lambda:TagResource", On::Function),
            row("lambda:PublishVersion", On::Function),
            row("lambda:UpdateFunctionCode", On::Function),
            row("lambda:UpdateFunctionConfiguration", On::Function),
            row("lambda:AddPermission", On::Function),
            row("lambda:RemovePermission", On::Function),
            row("iot:CreateTopicRule", On::Rule),
            row("iot:ReplaceTopicRule", On::Rule),
            row("iot:TagResource", On::Rule),
            row("iot:TagResource", On::CaCertificates),
            row("iot:GetRegistrationCode", On::All),
            row("iot:RegisterCACertificate", On::All),
            row("iot:UpdateCACertificate", On::CaCertificates),
            row("iot:DescribeCertificate", On::Certificates),
            row("iot:ListCertificatesByCA", On::All),
            row("iot:RegisterCertificate", On::All),
            unless(NO_ALARMS, "cloudwatch:DescribeAlarms", On::Alarms),
            unless(NO_ALARMS, "cloudwatch:PutMetricAlarm", On::FunctionAlarms),
            unless(NO_ALARMS, "cloudwatch:TagResource", On::FunctionAlarms),
        ],
        besides: &[],
    },
    Table {
        command: "setup",
        when: When::With(MAR),
        rows: &[row("iot:DescribeEndpoint", On::All), row("iot:DeprecateThingType", On::ThingType)],
        besides: &[(When::Always, "register", &[ONCE])],
    },
    Table {
        command: "provision",
        when: When::Always,
        rows: &[unless(&["endpoint"], "iot:DescribeEndpoint", On::All)],
        besides: &[
            (When::With(MAR), "register", &[]),
            (When::With(&["revoke-superseded"]), "revoke", &[]),
            (When::With(&["follow"]), "monitor", &[]),
        ],
    },
    Table {
        command: "register",
        when: When::Always,
        rows: &[
            row("iot:GetPolicy", On::Policy),
            row("iot:CreatePolicy", On::Policy),
            row("iot:DescribeThingType", On::ThingType),
            row("iot:CreateThingType", On::ThingType),
            row("iot:TagResource", On::Policy),
            row("iot:TagResource", On::ThingType),
            unless(&[ONCE], "iot:RegisterCertificateWithoutCA", On::All),
            unless(&[ONCE], "iot:DescribeCertificate", On::Certificates),
            unless(&[ONCE], "iot:ListCertificates", On::All),
            unless(&[ONCE], "iot:CreateThing", On::Things),
            unless(&[ONCE], "iot:AttachThingPrincipal", On::All),
            unless(&[ONCE], "iot:AttachPolicy", On::Certificates),
            unless(&[ONCE], "iot:UpdateCertificate", On::Certificates),
            with(&["thing-name-source=cn"], "iot:ListThingPrincipals", On::All),
            unless(&[ONCE], "iot:AddThingToThingGroup", On::ThingsAndGroup),
            unless(&[ONCE], "iot:DescribeThingGroup", On::ThingGroup),
            unless(&[ONCE], "iot:DescribeBillingGroup", On::BillingGroup),
            unless(&[ONCE], "iot:CreateThing", On::BillingGroup),
            unless(&[ONCE], "iot:GetPolicy", On::AdditionalPolicies),
        ],
        besides: &[],
    },
    Table {
        command: "replay",
        when: When::Always,
        rows: &[
            unless(&["ca", "events", "queue"], "iot:ListCertificates", On::All),
            with(&["ca"], "iot:ListCertificatesByCA", On::All),
            row("iot:DescribeCertificate", On::Certificates),
            unless(LOCAL, "lambda:InvokeFunction", On::Function),
            row("lambda:GetFunctionConfiguration", On::Function),
            with(QUEUE, "lambda:GetFunctionEventInvokeConfig", On::Function),
            with(QUEUE, "sqs:GetQueueUrl", On::FailedEvents),
            with(QUEUE, "sqs:GetQueueAttributes", On::FailedEvents),
            with(QUEUE, "sqs:ReceiveMessage", On::FailedEvents),
            with(QUEUE, "sqs:DeleteMessage", On::FailedEvents),
            with(QUEUE, "sqs:ChangeMessageVisibility", On::FailedEvents),
            with(LOCAL, "lambda:GetFunction", On::Function),
            with(LOCAL, "s3:GetObject", On::AdmissionList),
            with(LOCAL, "s3:ListBucket", On::AdmissionBucket),
            with(LOCAL, "iot:GetPolicy", On::Policy),
            with(LOCAL, "iot:CreatePolicy", On::Policy),
            with(LOCAL, "iot:CreateThingType", On::ThingType),
            with(LOCAL, "iot:CreateThing", On::Things),
            with(LOCAL, "iot:AttachThingPrincipal", On::All),
            with(LOCAL, "iot:AttachPolicy", On::Certificates),
            with(LOCAL, "iot:UpdateCertificate", On::Certificates),
            with(LOCAL, "iot:ListThingPrincipals", On::All),
            with(LOCAL, "iot:ListPrincipalThings", On::All),
            with(LOCAL, "iot:AddThingToThingGroup", On::ThingsAndGroup),
            with(LOCAL, "iot:CreateThing", On::BillingGroup),
            with(LOCAL, "iot:TagResource", On::Policy),
            with(LOCAL, "iot:TagResource", On::ThingType),
        ],
        besides: &[],
    },
    Table {
        command: "doctor",
        when: When::Always,
        rows: &[
            row("iot:DescribeEndpoint", On::All),
            unless(MAR, "iot:DescribeCACertificate", On::CaCertificates),
            unless(MAR, "iot:ListCACertificates", On::All),
            unless(MAR, "iot:GetTopicRule", On::Rules),
            unless(MAR, "iot:ListTopicRules", On::All),
            with(REPAIR, "iot:DisableTopicRule", On::Rules),
            unless(MAR, "lambda:GetFunctionConfiguration", On::Function),
            unless(MAR, "lambda:GetFunction", On::Function),
            unless(MAR, "s3:GetObject", On::AdmissionList),
            unless(MAR, "s3:ListBucket", On::AdmissionBucket),
            unless(MAR, "lambda:GetPolicy", On::Function),
            unless(MAR, "lambda:ListEventSourceMappings", On::All),
            unless(MAR, "lambda:GetFunctionEventInvokeConfig", On::Function),
            unless(MAR, "sqs:GetQueueUrl", On::Queues),
            unless(MAR, "sqs:GetQueueAttributes", On::Queues),
            unless(MAR, "iam:GetRole", On::Roles),
            unless(MAR, "iam:ListRolePolicies", On::Roles),
            unless(MAR, "iam:GetRolePolicy", On::Roles),
            unless(MAR, "iam:ListAttachedRolePolicies", On::Roles),
            unless(MAR, "iam:GetPolicy", On::ManagedPolicies),
            unless(MAR, "iam:GetPolicyVersion", On::ManagedPolicies),
            unless(&["method=mar", "no-alarms"], "cloudwatch:DescribeAlarms", On::Alarms),
            row("iot:GetPolicy", On::Policy),
            with(DEVICE, "iot:GetPolicy", On::Policies),
            row("iot:DescribeThingType", On::ThingType),
            row("iot:DescribeThingGroup", On::ThingGroup),
            row("iot:DescribeBillingGroup", On::BillingGroup),
            row("iot:GetPolicy", On::AdditionalPolicies),
            with(DEVICE, "iot:DescribeCertificate", On::Certificates),
            with(DEVICE, "iot:ListAttachedPolicies", On::All),
            with(DEVICE, "iot:ListPrincipalThings", On::All),
            with(DEVICE, "iot:ListThingPrincipals", On::All),
            with(DEVICE, "iot:GetConnection", On::Clients),
            with(DEVICE, "iot:GetThingConnectivityData", On::Things),
            with(DEVICE, "iot:GetV2LoggingOptions", On::All),
            with(DEVICE, "logs:FilterLogEvents", On::IotLog),
            with(REPAIR, "iot:DeprecateThingType", On::ThingType),
            with(REPAIR, "iot:ListPolicyVersions", On::Policy),
            with(REPAIR, "iot:CreatePolicyVersion", On::Policy),
            with(REPAIR, "iot:DeletePolicyVersion", On::Policy),
        ],
        besides: &[(When::With(REPAIR), "setup", &[]), (When::With(REPAIR), "replay", LOCAL)],
    },
    Table {
        command: "report",
        when: When::Unless(OFFLINE),
        rows: &[],
        besides: &[(When::Unless(&["board"]), "doctor", &[]), (When::With(&["board"]), "doctor", &["board"])],
    },
    Table {
        command: "monitor",
        when: When::Always,
        rows: &[
            row("iot:Connect", On::OwnClients),
            row("iot:Subscribe", On::Filters),
            row("iot:Receive", On::Topics),
            with(&["send"], "iot:Publish", On::SentTopic),
            row("iot:DescribeEndpoint", On::All),
            row("iot:DescribeCertificate", On::Certificates),
            row("logs:FilterLogEvents", On::FunctionLog),
        ],
        besides: &[(When::Always, "doctor", &["thing"])],
    },
    Table {
        command: "ca rotate",
        when: When::Unless(NO_REGISTER),
        rows: &[
            row("iot:DescribeCACertificate", On::CaCertificates),
            row("lambda:GetFunctionConfiguration", On::Function),
            row("lambda:UpdateFunctionConfiguration", On::Function),
            row("iot:GetRegistrationCode", On::All),
            row("iot:RegisterCACertificate", On::All),
            row("iot:TagResource", On::CaCertificates),
            // After an interruption.
            row("iot:UpdateCACertificate", On::CaCertificates),
            row("iot:ListCertificatesByCA", On::All),
        ],
        besides: &[],
    },
    Table {
        command: "revoke",
        when: When::Unless(SIGNER),
        rows: &[
            row("iot:ListThingPrincipals", On::All),
            row("iot:ListCertificates", On::All),
            unless(LIST_ONLY, "iot:DescribeCertificate", On::Certificates),
            row("iot:ListPrincipalThings", On::All),
            row("iot:UpdateCertificate", On::Certificates),
            unless(&["keep-thing"], "iot:DetachThingPrincipal", On::All),
            row("iot:DescribeCACertificate", On::CaCertificates),
            row("iot:ListCertificatesByCA", On::All),
            row("lambda:GetFunctionConfiguration", On::Function),
            row("iot:RegisterCertificate", On::All),
        ],
        besides: &[],
    },
    Table {
        command: "revoke",
        when: When::With(SIGNER),
        rows: &[
            row("iot:DescribeCACertificate", On::CaCertificates),
            row("iot:ListCertificatesByCA", On::All),
            row("iot:UpdateCACertificate", On::CaCertificates),
        ],
        besides: &[],
    },
    Table {
        command: "admission publish",
        when: When::Always,
        rows: &[
            unless(&["to"], "lambda:GetFunctionConfiguration", On::Function),
            row("s3:GetObject", On::AdmissionList),
            row("s3:PutObject", On::AdmissionList),
            row("s3:ListBucket", On::AdmissionBucket),
        ],
        besides: &[],
    },
    Table {
        command: "admission check",
        when: When::Unless(LOCAL),
        rows: &[
            row("lambda:GetFunctionConfiguration", On::Function),
            row("s3:GetObject", On::AdmissionList),
            row("s3:ListBucket", On::AdmissionBucket),
        ],
        besides: &[],
    },
    Table {
        command: "admission remove",
        when: When::Always,
        rows: &[row("iot:DescribeEndpoint", On::All), row("iot:GetConnection", On::Clients)],
        besides: &[(When::Always, "revoke", &[]), (When::With(&["publish"]), "admission publish", &[])],
    },
    Table {
        command: "forget",
        when: When::Always,
        rows: &[row("iot:DeleteThing", On::Things)],
        besides: &[(When::Always, "revoke", &[])],
    },
    Table {
        command: "certificates",
        when: When::Unless(OFFLINE),
        rows: &[
            row("iot:ListCertificatesByCA", On::All),
            row("iot:ListThingPrincipals", On::All),
            row("iot:DescribeCertificate", On::Certificates),
            row("iot:ListCertificates", On::All),
        ],
        besides: &[],
    },
    Table {
        command: "policy print",
        when: When::Always,
        rows: &[row("lambda:GetFunctionConfiguration", On::Function)],
        besides: &[],
    },
    Table {
        command: "teardown",
        when: When::Always,
        rows: &[
            row("iot:DescribeEndpoint", On::All),
            row("iot:ListTopicRules", On::All),
            row("iot:ListCACertificates", On::All),
            row("iot:ListPolicies", On::All),
            row("iot:ListThingTypes", On::All),
            row("iot:ListTagsForResource", On::Tagged),
            row("lambda:ListFunctions", On::All),
            row("lambda:ListTags", On::Functions),
            row("lambda:GetFunctionConfiguration", On::Functions),
            row("iam:ListRoles", On::All),
            row("iam:ListRoleTags", On::MadeRoles),
            row("iot:GetTopicRule", On::Rules),
            row("lambda:GetPolicy", On::Functions),
            row("lambda:RemovePermission", On::Functions),
            unless(KEEP_DEVICES, "iot:ListCertificatesByCA", On::All),
            row("cloudwatch:DescribeAlarms", On::Alarms),
            row("cloudwatch:ListTagsForResource", On::MadeAlarms),
            row("cloudwatch:DeleteAlarms", On::MadeAlarms),
            row("iot:DeleteTopicRule", On::Rules),
            unless(&["keep-ca"], "iot:UpdateCACertificate", On::CaCertificates),
            unless(&["keep-ca"], "iot:DeleteCACertificate", On::CaCertificates),
            unless(KEEP_DEVICES, "iot:DescribeCertificate", On::Certificates),
            unless(KEEP_DEVICES, "iot:ListPrincipalThings", On::All),
            unless(KEEP_DEVICES, "iot:DetachThingPrincipal", On::All),
            unless(KEEP_DEVICES, "iot:ListThingPrincipals", On::All),
            unless(KEEP_DEVICES, "iot:DeleteThing", On::Things),
            unless(KEEP_DEVICES, "iot:ListAttachedPolicies", On::All),
            unless(KEEP_DEVICES, "iot:DetachPolicy", On::Certificates),
            unless(KEEP_DEVICES, "iot:UpdateCertificate", On::Certificates),
            unless(KEEP_DEVICES, "iot:DeleteCertificate", On::Certificates),
            row("iot:ListTargetsForPolicy", On::Policies),
            row("iot:GetPolicy", On::Policies),
            row("iot:ListPolicyVersions", On::Policies),
            row("iot:DeletePolicyVersion", On::Policies),
            row("iot:DeletePolicy", On::Policies),
            row("iot:DescribeThingType", On::ThingTypes),
            row("iot:ListThings", On::All),
            row("iot:TagResource", On::ThingTypes),
            row("iot:DeprecateThingType", On::ThingTypes),
            row("iot:DeleteThingType", On::ThingTypes),
            row("lambda:DeleteFunction", On::Functions),
            row("sqs:ListQueues", On::All),
            row("sqs:ListQueueTags", On::MadeQueues),
            row("sqs:GetQueueAttributes", On::MadeQueues),
            row("lambda:ListEventSourceMappings", On::All),
            row("lambda:DeleteEventSourceMapping", On::Mappings),
            row("sqs:DeleteQueue", On::MadeQueues),
            row("iam:ListAttachedRolePolicies", On::MadeRoles),
            row("iam:DetachRolePolicy", On::MadeRoles),
            row("iam:ListRolePolicies", On::MadeRoles),
            row("iam:DeleteRolePolicy", On::MadeRoles),
            row("iam:DeleteRole", On::MadeRoles),
        ],
        besides: &[],
    },
];

/// What a command that signs with a key in AWS KMS needs on the key.
pub(super) const SIGNING: &[&str] = &["kms:DescribeKey", "kms:GetPublicKey", "kms:Sign"];
/// What it needs to make one.
pub(super) const MAKING: &[&str] = &["kms:CreateKey", "kms:ListKeys"];

/// A key that a command signs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Root,
    Signer,
    Admission,
}

/// Commands that sign, and with which keys.
pub(super) const SIGNS: &[(&str, When, &[Key])] = &[
    ("ca create", When::Always, &[Key::Signer, Key::Root]),
    ("ca rotate", When::Always, &[Key::Signer, Key::Root]),
    ("ca crl", When::Always, &[Key::Signer, Key::Root]),
    ("setup", When::Unless(MAR), &[Key::Signer]),
    ("provision", When::Always, &[Key::Signer]),
    ("revoke", When::Always, &[Key::Signer]),
    ("admission remove", When::Always, &[Key::Signer]),
    ("admission publish", When::Always, &[Key::Admission]),
    ("forget", When::Always, &[Key::Signer]),
    ("doctor", When::With(REPAIR), &[Key::Signer]),
];
