"""Lints every IAM policy in infra/: that of the function, and those in the roles of the template; and the policies that
`provisioner permissions` prints, for each command and for its flags.

zt_policy.json is left out: it is a policy of AWS IoT, which has other rules than IAM.
"""

import json
import os
import re
import subprocess
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
    "ThingGroupPattern": "line-*",
    "BillingGroup": "bills",
    "BillingGroupPattern": "bills-*",
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


# Every command that makes calls, with the flags that change them.
COMMANDS = [
    "setup",
    "setup --delivery rule",
    "setup --no-alarms",
    "setup --method mar",
    "setup --function Line1:live --role-arn arn:aws:iam::123456789012:role/own",
    "provision",
    "provision --method mar --revoke-superseded",
    "provision --follow",
    "register --thing-group line-{station} --billing-group bills --thing-name-source cn",
    "replay",
    "replay --local",
    "replay --queue own",
    "doctor",
    "doctor --repair --thing led-1",
    "doctor --method mar",
    "report",
    "monitor",
    "monitor led-1 --send led-1/led on",
    "ca create --signer-key awskms:alias/signer",
    "ca create --signer-key awskms:",
    "ca rotate",
    "revoke",
    "revoke --signer ID",
    "forget",
    "certificates",
    "policy print",
    "teardown",
]
# What the linter does not know: the action came after its list of actions was made.
NEWER = ["Unknown action iot:GetConnection"]


def printed():
    """The policies that the program prints. It makes no call."""
    target = os.environ.get("CARGO_TARGET_DIR", "target")
    where = ["--account", "123456789012", "--region", "us-east-1"]
    for command in COMMANDS:
        line = [f"{target}/debug/provisioner", "permissions", command, *where]
        done = subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True)
        yield f"provisioner permissions '{command}'", json.loads(done.stdout)


count = findings = 0
for place, document in [*documents(), *printed()]:
    count += 1
    for finding in analyze_policy_string(json.dumps(document)).findings:
        if finding.detail in NEWER:
            continue
        findings += 1
        print(f"{place}: {finding.issue}: {finding.detail}", file=sys.stderr)
print(f"{count} policies, {findings} findings")
sys.exit(count == 0 or findings > 0)
