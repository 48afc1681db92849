"""Compares every answer of the testbed with the service models of botocore: no unknown members, the required ones, the right types;
errors that the model of the operation names. Prints one line for each operation, and ends with 1 if there is a difference."""

import json
import sys

import botocore.exceptions
import botocore.session

differences, seen = [], set()
session = botocore.session.get_session()


def differs(where, what):
    differences.append(f"{where}: {what}")


TYPES = {
    "string": str, "boolean": bool, "integer": int, "long": int, "timestamp": (int, float), "double": (int, float), "blob": str,
}


def compare(where, shape, value):
    """Compares JSON with the shape that the model has for it."""
    kind = shape.type_name
    if kind == "structure":
        if not isinstance(value, dict):
            return differs(where, f"{value!r} is not an object")
        members = {m.serialization.get("name", name): m for name, m in shape.members.items() if "location" not in m.serialization}
        for name in value.keys() - members.keys():
            differs(where, f"the model has no member {name}")
        for name in shape.required_members:
            if name in members and name not in value:
                differs(where, f"{name} is required")
        for name in value.keys() & members.keys():
            compare(f"{where}.{name}", members[name], value[name])
    elif kind == "list":
        if not isinstance(value, list):
            return differs(where, f"{value!r} is not a list")
        for item in value:
            compare(f"{where}[]", shape.member, item)
    elif kind == "map":
        for key, item in value.items():
            compare(f"{where}[key]", shape.key, key)
            compare(f"{where}[{key}]", shape.value, item)
    else:
        if not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
            return differs(where, f"{value!r} is not a {kind}")
        choices = getattr(shape, "enum", None)
        if choices and value not in choices:
            differs(where, f"{value!r} is none of {choices}")
        longest = shape.metadata.get("max")
        if kind == "string" and longest and len(value) > longest:
            differs(where, f"{len(value)} characters, at most {longest}")


def answered(http_response, parsed, model, **_):
    where = f"{model.service_model.service_name} {model.name}"
    seen.add(where)
    if http_response.status_code >= 300:
        code = parsed["Error"]["Code"]
        known = {shape.error_code for shape in model.error_shapes} | {shape.name for shape in model.error_shapes}
        if code not in known:
            differs(where, f"error {code} is none of {sorted(known)}")
        return
    body = http_response.text
    if model.service_model.metadata["protocol"] not in ("rest-json", "json"):
        return
    shape = model.output_shape
    if shape is None or not (members := [m for m in shape.members.values() if "location" not in m.serialization]):
        if body not in ("", "{}"):
            differs(where, f"the model has no body, and there is {body[:60]!r}")
    elif not shape.serialization.get("payload"):
        compare(where, shape, json.loads(body or "{}"))


def client(name):
    made = session.create_client(name, config=botocore.config.Config(retries={"max_attempts": 0}))
    made.meta.events.register("after-call.*.*", answered)
    return made


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] != code:
            differs(call.__name__, f"{error.response['Error']['Code']}, not {code}")
        return error.response
    differs(call.__name__, f"is not refused with {code}")


import botocore.config  # noqa: E402

iot, data, logs = client("iot"), client("iot-data"), client("logs")
open_policy = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]})

for kind in ("iot:Data-ATS", "iot:CredentialProvider", "iot:Jobs"):
    iot.describe_endpoint(endpointType=kind)
iot.get_registration_code()
made = iot.create_keys_and_certificate(setAsActive=True)
arn, certificate = made["certificateArn"], made["certificateId"]
iot.describe_certificate(certificateId=certificate)
iot.list_certificates()
iot.list_certificates_by_ca(caCertificateId="0" * 64)
iot.list_ca_certificates()
refused("ResourceNotFoundException", iot.describe_certificate, certificateId="0" * 64)
refused("ResourceNotFoundException", iot.describe_ca_certificate, certificateId="0" * 64)
already = refused("ResourceAlreadyExistsException", iot.register_certificate_without_ca, certificatePem=made["certificatePem"])
if f"ID:{certificate}" not in already["Error"]["Message"] or already.get("resourceId") != certificate:
    differs("ResourceAlreadyExistsException", f"{already}")
refused("CertificateStateException", iot.delete_certificate, certificateId=certificate)
refused("CertificateValidationException", iot.register_certificate_without_ca, certificatePem="nonsense")

iot.create_policy(policyName="open", policyDocument=open_policy)
refused("ResourceAlreadyExistsException", iot.create_policy, policyName="open", policyDocument=open_policy)
refused("MalformedPolicyException", iot.create_policy, policyName="bad", policyDocument="{}")
iot.get_policy(policyName="open")
iot.list_policies()
iot.create_policy_version(policyName="open", policyDocument=open_policy)
iot.list_policy_versions(policyName="open")
iot.get_policy_version(policyName="open", policyVersionId="2")
iot.set_default_policy_version(policyName="open", policyVersionId="2")
iot.delete_policy_version(policyName="open", policyVersionId="1")
iot.attach_policy(policyName="open", target=arn)
iot.attach_principal_policy(policyName="open", principal=arn)
iot.list_attached_policies(target=arn)
iot.list_targets_for_policy(policyName="open")
iot.list_principal_policies(principal=arn)
iot.list_policy_principals(policyName="open")
refused("DeleteConflictException", iot.delete_policy, policyName="open")

iot.create_thing_type(thingTypeName="kit", thingTypeProperties={"thingTypeDescription": "a kit", "searchableAttributes": ["a"]})
iot.describe_thing_type(thingTypeName="kit")
iot.list_thing_types()
iot.create_thing(thingName="board", thingTypeName="kit", attributePayload={"attributes": {"a": "1"}})
refused("ResourceAlreadyExistsException", iot.create_thing, thingName="board")
refused("InvalidRequestException", iot.create_thing, thingName="other", attributePayload={"attributes": {"a": "two words"}})
iot.describe_thing(thingName="board")
iot.update_thing(thingName="board", attributePayload={"attributes": {"b": "2"}, "merge": True})
refused("VersionConflictException", iot.update_thing, thingName="board", expectedVersion=9)
iot.list_things()
iot.attach_thing_principal(thingName="board", principal=arn, thingPrincipalType="EXCLUSIVE_THING")
iot.list_thing_principals(thingName="board")
iot.list_thing_principals_v2(thingName="board")
iot.list_principal_things(principal=arn)
iot.list_principal_things_v2(principal=arn)
iot.create_thing_group(thingGroupName="lab", thingGroupProperties={"thingGroupDescription": "x"})
iot.create_thing_group(thingGroupName="corner", parentGroupName="lab")
iot.add_thing_to_thing_group(thingGroupName="corner", thingName="board")
iot.describe_thing_group(thingGroupName="corner")
iot.list_thing_groups()
iot.list_things_in_thing_group(thingGroupName="corner")
iot.list_thing_groups_for_thing(thingName="board")
iot.create_billing_group(billingGroupName="bills", billingGroupProperties={"billingGroupDescription": "x"})
iot.describe_billing_group(billingGroupName="bills")
iot.create_thing(thingName="billed", billingGroupName="bills")
iot.describe_thing(thingName="billed")
iot.delete_thing(thingName="billed")
iot.delete_billing_group(billingGroupName="bills")

iot.get_effective_policies(principal=arn)
iot.test_authorization(
    principal=arn,
    clientId="board",
    authInfos=[{"actionType": "CONNECT", "resources": ["arn:aws:iot:us-east-1:123456789012:client/board"]}],
)
refused("ResourceNotFoundException", iot.get_effective_policies, thingName="nothing")

iot.describe_event_configurations()
iot.update_event_configurations(eventConfigurations={"THING": {"Enabled": True}})
iot.describe_event_configurations()
refused("IndexNotReadyException", iot.get_thing_connectivity_data, thingName="board")
iot.get_indexing_configuration()
indexing = {"thingIndexingMode": "REGISTRY", "thingConnectivityIndexingMode": "STATUS"}
iot.update_indexing_configuration(thingIndexingConfiguration=indexing)
iot.get_indexing_configuration()
iot.describe_index(indexName="AWS_Things")
iot.get_thing_connectivity_data(thingName="board", includeSocketInformation=True)
refused("ResourceNotFoundException", iot.get_thing_connectivity_data, thingName="nothing")
refused("ResourceNotFoundException", data.get_connection, clientId="board")
refused("ResourceNotFoundException", data.delete_connection, clientId="board")
data.publish(topic="a/b", qos=1, payload=b"hello")
refused("InvalidRequestException", data.publish, topic="a/#")
refused("ResourceNotFoundException", data.get_thing_shadow, thingName="board", shadowName="led")
data.update_thing_shadow(thingName="board", shadowName="led", payload=b'{"state": {"desired": {"on": true}}}')
refused("ConflictException", data.update_thing_shadow, thingName="board", shadowName="led", payload=b'{"state": {}, "version": 9}')
data.get_thing_shadow(thingName="board", shadowName="led")
data.list_named_shadows_for_thing(thingName="board")
data.delete_thing_shadow(thingName="board", shadowName="led")

refused("NotConfiguredException", iot.get_v2_logging_options)
iot.set_v2_logging_options(
    roleArn="arn:aws:iam::123456789012:role/logs",
    defaultLogLevel="ERROR",
    eventConfigurations=[{"eventType": "Connection.AuthNError", "logLevel": "ERROR"}],
)
iot.get_v2_logging_options()
logs.describe_log_groups()
logs.filter_log_events(logGroupName="AWSIotLogsV2")
refused("ResourceNotFoundException", logs.filter_log_events, logGroupName="nothing")
refused("InvalidParameterException", logs.filter_log_events, logGroupName="AWSIotLogsV2", filterPattern="[a]")

action = {"lambda": {"functionArn": "arn:aws:lambda:us-east-1:123456789012:function:f"}}
rule = {"sql": "SELECT * FROM 'a/#'", "actions": [action]}
iot.create_topic_rule(ruleName="rule", topicRulePayload=rule)
iot.get_topic_rule(ruleName="rule")
iot.list_topic_rules()
iot.disable_topic_rule(ruleName="rule")
iot.enable_topic_rule(ruleName="rule")
iot.replace_topic_rule(ruleName="rule", topicRulePayload=rule)
policy_arn = "arn:aws:iot:us-east-1:123456789012:policy/open"
iot.tag_resource(resourceArn=policy_arn, tags=[{"Key": "a", "Value": "b"}])
iot.list_tags_for_resource(resourceArn=policy_arn)
iot.untag_resource(resourceArn=policy_arn, tagKeys=["a"])

iot.delete_topic_rule(ruleName="rule")
iot.remove_thing_from_thing_group(thingGroupName="corner", thingName="board")
iot.delete_thing_group(thingGroupName="corner")
iot.detach_thing_principal(thingName="board", principal=arn)
iot.detach_principal_policy(policyName="open", principal=arn)
iot.update_certificate(certificateId=certificate, newStatus="INACTIVE")
iot.delete_certificate(certificateId=certificate)
iot.delete_policy(policyName="open")
iot.delete_thing(thingName="board")
iot.deprecate_thing_type(thingTypeName="kit")
refused("InvalidRequestException", iot.delete_thing_type, thingTypeName="kit")

# A service that is not there answers in its own form, so that its client understands the refusal.
for name, call in [
    ("s3", lambda c: c.list_buckets()),
    ("dynamodb", lambda c: c.list_tables()),
    ("cloudformation", lambda c: c.list_stacks()),
    ("ec2", lambda c: c.describe_vpcs()),
    ("sns", lambda c: c.list_topics()),
    ("apigateway", lambda c: c.get_rest_apis()),
]:
    other = session.create_client(name, config=botocore.config.Config(retries={"max_attempts": 0}))
    try:
        call(other)
        differs(name, "is not refused")
    except botocore.exceptions.ClientError as error:
        told = error.response["Error"]
        if told["Code"] != "NotImplemented" or "ministack and moto" not in told["Message"]:
            differs(name, f"{told}")

for operation in sorted(seen):
    print(operation)
for difference in differences:
    print(difference, file=sys.stderr)
sys.exit(1 if differences else 0)
