"""Lints every IAM policy in infra/: that of the function, and those in the roles of the template.

zt_policy.json is left out: it is a policy of AWS IoT, which has other rules than IAM.
"""

import json
import re
import sys

import cfnlint.decode.cfn_yaml
from parliament import analyze_policy_string

VALUES = {
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "123456789012",
    "PolicyName": "zt_policy",
    "ThingType": "microchip-zero-touch-kit",
    "ThingGroup": "line-1",
    "FunctionName": "JITR",
    "RevocationListUrl": "s3://lists/crl",
    "AdmissionList": "s3://lists/admission",
}


def fill(text, more=None):
    values = VALUES | (more or {})
    return re.sub(r"\$\{([A-Za-z:]+)\}", lambda name: values[name.group(1)], text)


def resolve(value, resources):
    """The value as CloudFormation would have it, with every condition true."""
    if isinstance(value, list):
        items = [resolve(item, resources) for item in value]
        return [item for item in items if item is not None]
    if not isinstance(value, dict):
        return value
    if "Fn::Sub" in value:
        text = value["Fn::Sub"]
        return fill(text) if isinstance(text, str) else fill(text[0], resolve(text[1], resources))
    if "Fn::Select" in value:
        index, items = value["Fn::Select"]
        return resolve(items, resources)[int(index)]
    if "Fn::Split" in value:
        separator, text = value["Fn::Split"]
        return resolve(text, resources).split(separator)
    if "Ref" in value and value["Ref"] in VALUES:
        return VALUES[value["Ref"]]
    if "Fn::If" in value:
        return resolve(value["Fn::If"][1], resources)
    if "Fn::GetAtt" in value:
        name, attribute = value["Fn::GetAtt"]
        assert (resources[name]["Type"], attribute) == ("AWS::SQS::Queue", "Arn"), value
        return f"arn:aws:sqs:us-east-1:123456789012:{name}"
    return {key: resolve(item, resources) for key, item in value.items()}


def documents():
    """Each policy with the words that tell where it is."""
    with open("infra/lambda-policy.json", encoding="utf-8") as file:
        yield "infra/lambda-policy.json", json.loads(fill(file.read()))
    resources = cfnlint.decode.cfn_yaml.load("infra/template.yaml")["Resources"]
    for name, resource in resources.items():
        if resource["Type"] == "AWS::IAM::Role":
            for policy in resolve(resource["Properties"]["Policies"], resources):
                yield f"infra/template.yaml: {name}, {policy['PolicyName']}", policy["PolicyDocument"]


count = findings = 0
for place, document in documents():
    count += 1
    for finding in analyze_policy_string(json.dumps(document)).findings:
        findings += 1
        print(f"{place}: {finding.issue}: {finding.detail}", file=sys.stderr)
print(f"{count} policies, {findings} findings")
sys.exit(count == 0 or findings > 0)
