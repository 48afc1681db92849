"""Deploys infra/template.yaml to a referee's CloudFormation and says what became of each resource, one JSON object a line.

stack.py ENDPOINT_URL PACKAGE STACK [NAME=VALUE...] [-TYPE...]
The package takes the place of what `sam build` would upload; resources of a TYPE, and what refers to them, are left out.
"""

import json
import os
import pathlib
import sys
import time

import boto3
from botocore.config import Config
from cfnlint.decode import cfn_yaml
from samtranslator.translator.transform import transform

BUCKET, KEY = "packages", "jitr.zip"

os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
endpoint_url, package, name, *rest = sys.argv[1:]
settings = [argument.split("=", 1) for argument in rest if "=" in argument]
missing = {argument[1:] for argument in rest if argument.startswith("-")}
session = boto3.Session("test", "test")


def client(service):
    return session.client(service, endpoint_url=endpoint_url, config=Config(s3={"addressing_style": "path"}))


def plain(value):
    """The template without the positions that the parser leaves in it."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, str) else value


class Policies:
    """Policies that AWS manages; the template names none."""

    @staticmethod
    def load():
        return {}


template = plain(cfn_yaml.load(str(pathlib.Path(__file__).parents[3] / "infra" / "template.yaml")))
# What `sam package` does: the code is where CloudFormation can fetch it. The package is for this machine.
function = template["Resources"]["Function"]["Properties"]
function.update(CodeUri={"Bucket": BUCKET, "Key": KEY}, Architectures=["x86_64"])
template = transform(template, {}, Policies)
expected = dict(template["Resources"])

def numbered(value):
    """The template with its numeric parameters in place: ministack hands them on as strings, where AWS makes numbers."""
    if isinstance(value, dict):
        parameter = template["Parameters"].get(value.get("Ref"), {})
        if parameter.get("Type") == "Number":
            return int(parameter["Default"])
        return {key: numbered(item) for key, item in value.items()}
    return [numbered(item) for item in value] if isinstance(value, list) else value


# ministack cannot take an item of what Fn::Split gives, in a condition.
IN_S3 = ("HasListsInS3", "HasAdmissionListInS3")


def without_published_lists(value):
    """The template without what only lists in Amazon S3 need: ministack and moto work out both sides of Fn::If, and there is
    nothing to split in an empty URL."""
    if isinstance(value, dict):
        return {key: without_published_lists(item) for key, item in value.items()}
    if isinstance(value, list):
        kept = (item for item in value if not (isinstance(item, dict) and item.get("Fn::If", [""])[0] in IN_S3))
        return [without_published_lists(item) for item in kept]
    return value


template["Resources"] = without_published_lists(numbered(template["Resources"]))
for condition in IN_S3:
    del template["Conditions"][condition]


def refers(value, names):
    """Whether a part of the template needs one of the resources."""
    if isinstance(value, dict):
        return any(
            item in names if key == "Ref" else item[0] in names if key == "Fn::GetAtt" else refers(item, names)
            for key, item in value.items()
        )
    return isinstance(value, list) and any(refers(item, names) for item in value)


left_out = {name for name, resource in expected.items() if resource["Type"] in missing}
for section in ("Resources", "Outputs"):
    for part in list(template[section]):
        if part in left_out or refers(template[section][part], left_out):
            del template[section][part]

client("s3").create_bucket(Bucket=BUCKET)
client("s3").put_object(Bucket=BUCKET, Key=KEY, Body=pathlib.Path(package).read_bytes())
cloudformation = client("cloudformation")
cloudformation.create_stack(
    StackName=name,
    TemplateBody=json.dumps(template),
    Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in settings],
    Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
)
while True:
    stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    if not stack["StackStatus"].endswith("IN_PROGRESS"):
        break
    time.sleep(0.2)
print(json.dumps({"stack": stack["StackStatus"], "reason": stack.get("StackStatusReason")}))
made = cloudformation.describe_stack_resources(StackName=name)["StackResources"]
made = {resource.get("LogicalResourceId"): resource for resource in made}
for logical, resource in expected.items():
    status = made.get(logical, {}).get("ResourceStatus")
    row = {"resource": logical, "type": resource["Type"], "status": status, "condition": resource.get("Condition")}
    print(json.dumps(row))
