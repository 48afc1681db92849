"""The registration as it is written in Python: boto3, one call after another, behind a small client of the Runtime API."""

import hashlib
import http.client
import json
import os
import ssl

import boto3

POLICY = "zt_policy"
THING_TYPE = "microchip-zero-touch-kit"
# SubjectPublicKeyInfo of an uncompressed P-256 key, up to the key itself (RFC 5480).
P256 = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
DOCUMENT = os.environ["ZT_POLICY_DOCUMENT"]

iot = boto3.client("iot")


def thing_name(pem):
    der = ssl.PEM_cert_to_DER_cert(pem.strip())
    start = der.index(P256) + len(P256)
    return hashlib.sha1(der[start : start + 65]).hexdigest()


def register(event):
    certificate_id = event["certificateId"]
    certificate = iot.describe_certificate(certificateId=certificate_id)["certificateDescription"]
    if certificate["status"] != "PENDING_ACTIVATION":
        return {"outcome": "refused", "certificateId": certificate_id}
    arn, thing = certificate["certificateArn"], thing_name(certificate["certificatePem"])
    try:
        iot.get_policy(policyName=POLICY)
    except iot.exceptions.ResourceNotFoundException:
        iot.create_policy(policyName=POLICY, policyDocument=DOCUMENT)
    iot.attach_policy(policyName=POLICY, target=arn)
    iot.create_thing_type(thingTypeName=THING_TYPE)
    iot.create_thing(thingName=thing, thingTypeName=THING_TYPE)
    iot.attach_thing_principal(thingName=thing, principal=arn)
    iot.update_certificate(certificateId=certificate_id, newStatus="ACTIVE")
    return {"outcome": "registered", "certificateId": certificate_id, "thingName": thing}


def main():
    location = os.environ["AWS_LAMBDA_RUNTIME_API"].removeprefix("http://")
    address, _, prefix = location.partition("/")
    runtime = http.client.HTTPConnection(address)
    base = f"/{prefix}/2018-06-01/runtime/invocation".replace("//", "/")
    while True:
        runtime.request("GET", f"{base}/next")
        invocation = runtime.getresponse()
        request_id = invocation.headers["Lambda-Runtime-Aws-Request-Id"]
        event = json.loads(invocation.read())
        try:
            result, answer = "response", register(event)
        except Exception as error:
            result, answer = "error", {"errorType": type(error).__name__, "errorMessage": str(error)}
        runtime.request("POST", f"{base}/{request_id}/{result}", json.dumps(answer))
        runtime.getresponse().read()


main()
