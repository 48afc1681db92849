"""The account as the probes need it: devices with certificates, policies and things, and what is said about them."""

import json
import pathlib
import threading
import time

import boto3
from botocore.config import Config
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from device import PATIENCE, Device, Differs, check, context

EVERYTHING = [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]


def statement(effect, action, *resources, **conditions):
    """A statement of a policy; `resources` are what follows the account in an ARN."""
    arns = [f"arn:aws:iot:{Account.region}:{Account.number}:{resource}" for resource in resources]
    made = {"Effect": effect, "Action": f"iot:{action}", "Resource": arns or "*"}
    return made | ({"Condition": conditions} if conditions else {})


def name_of(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def pem(thing):
    return thing.public_bytes(serialization.Encoding.PEM)


class Identity:
    """A key with a certificate, in files."""

    def __init__(self, folder, name, key, certificate, certificate_id=None, arn=None):
        self.certificate, self.key = folder / f"{name}.crt", folder / f"{name}.key"
        self.certificate.write_bytes(certificate)
        form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        self.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
        self.id, self.arn = certificate_id, arn


class Account:
    """An endpoint with its account; each probe takes names that no other has."""

    region = "us-east-1"
    number = "000000000000"

    def __init__(self, endpoint, folder):
        self.endpoint, self.folder = endpoint, pathlib.Path(folder)
        session = boto3.Session(endpoint["access_key_id"], endpoint["secret_access_key"], region_name=self.region)
        self.credentials = session.get_credentials()
        options = {"endpoint_url": endpoint["endpoint_url"], "config": Config(retries={"max_attempts": 0})}
        self.iot, self.data = session.client("iot", **options), session.client("iot-data", **options)
        Account.number = session.client("sts", **options).get_caller_identity()["Account"]
        self.names, self.lock = 0, threading.Lock()

    def name(self):
        with self.lock:
            self.names += 1
            return f"probe-{self.names}"

    def identity(self, policy=EVERYTHING, thing=None):
        """An ACTIVE certificate with a policy, of a thing."""
        key, name = ec.generate_private_key(ec.SECP256R1()), self.name()
        request = x509.CertificateSigningRequestBuilder().subject_name(name_of(name)).sign(key, hashes.SHA256())
        made = self.iot.create_certificate_from_csr(certificateSigningRequest=pem(request).decode(), setAsActive=True)
        identity = Identity(
            self.folder, name, key, made["certificatePem"].encode(), made["certificateId"], made["certificateArn"]
        )
        if policy:
            document = json.dumps({"Version": "2012-10-17", "Statement": policy})
            self.iot.create_policy(policyName=name, policyDocument=document)
            self.iot.attach_policy(policyName=name, target=identity.arn)
        if thing:
            self.iot.create_thing(thingName=thing)
            self.iot.attach_thing_principal(thingName=thing, principal=identity.arn)
        return identity

    def connect(self, device, identity, protocols=(), keep_alive=60):
        tls = context(self.endpoint["ca"], identity, protocols)
        return device.connect(self.endpoint["host"], self.endpoint["port"], tls, keep_alive)

    def device(self, identity=None, client_id=None, keep_alive=60, **options):
        """A device that is let in."""
        device = Device(self.name() if client_id is None else client_id, **options)
        check(self.connect(device, identity or self.identity(), keep_alive=keep_alive), "a device is not let in")
        return device

    def watcher(self, *filters):
        """A device that has subscribed."""
        device = self.device()
        check(device.subscribe(*filters) == [1] * len(filters), "a subscription is refused")
        return device


def event(watcher, **fields):
    """The next event with these values."""
    deadline, others = time.monotonic() + PATIENCE, []
    while time.monotonic() < deadline:
        try:
            seen = json.loads(watcher.message().payload)
        except Differs:
            break
        others = [f"{name} is {seen.get(name)}" for name, value in fields.items() if seen.get(name) != value]
        if not others:
            return seen
    raise Differs(", ".join(others) or "no event comes")
