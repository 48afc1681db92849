"""What AWS documents of its device gateway; each behaviour has a probe."""

import hashlib
import http.client
import json
import ssl
import time
from datetime import datetime, timedelta, timezone

from account import Identity, event, name_of, pem, statement
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from device import Device, check, context, properties

QUOTAS = "general/latest/gr/iot-core.html#message-broker-limits"

# Rows of the table: path of the document, behaviour, probe.
PROBES = []


def behaviour(document, text):
    """A row. `document` is a page of the developer guide of AWS IoT Core, or a path of AWS's documentation."""

    def add(probe):
        path = document if "/" in document else f"iot/latest/developerguide/{document}.html"
        PROBES.append((path, text, probe))
        return probe

    return add


def certificate(subject, key, issuer, issuer_key, ca=False):
    now = datetime.now(timezone.utc)
    builder = x509.CertificateBuilder().subject_name(name_of(subject)).issuer_name(name_of(issuer))
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=30))
    builder = builder.add_extension(x509.BasicConstraints(ca, None), critical=True)
    return builder.sign(issuer_key, hashes.SHA256())


@behaviour("auto-register-device-cert", "the first CONNECT under a registered CA registers the certificate, with an event; each CONNECT while it is pending has its event")
def registration(account):
    signer, name = ec.generate_private_key(ec.SECP256R1()), account.name()
    authority = certificate(name, signer, name, signer, ca=True)
    code, verifying = account.iot.get_registration_code()["registrationCode"], ec.generate_private_key(ec.SECP256R1())
    proof = certificate(code, verifying, name, signer)
    ca = account.iot.register_ca_certificate(
        caCertificate=pem(authority).decode(),
        verificationCertificate=pem(proof).decode(),
        setAsActive=True,
        allowAutoRegistration=True,
    )["certificateId"]
    key = ec.generate_private_key(ec.SECP256R1())
    new = certificate(account.name(), key, name, signer)
    identity = Identity(account.folder, account.name(), key, pem(new) + pem(authority))
    fingerprint = new.fingerprint(hashes.SHA256()).hex()
    with account.watcher(f"$aws/events/certificates/registered/{ca}") as watcher:
        for attempt in ("the first", "the second"):
            with Device(account.name()) as device:
                check(not account.connect(device, identity), f"{attempt} CONNECT is let in")
            seen = event(watcher, certificateId=fingerprint)
            check(seen["certificateStatus"] == "PENDING_ACTIVATION", f"the event says {seen['certificateStatus']}")
            check(seen["caCertificateId"] == ca, "the event names another CA")
    status = account.iot.describe_certificate(certificateId=fingerprint)["certificateDescription"]["status"]
    check(status == "PENDING_ACTIVATION", f"the certificate is {status}")


@behaviour("activate-or-deactivate-device-cert", "a certificate that is not ACTIVE is turned away")
def inactive(account):
    identity = account.identity()
    account.iot.update_certificate(certificateId=identity.id, newStatus="INACTIVE")
    with Device(account.name()) as device:
        check(not account.connect(device, identity), "it is let in")


@behaviour("iot/latest/apireference/API_UpdateCertificate.html", "a client whose certificate is revoked is disconnected")
def revoked(account):
    identity = account.identity()
    with account.device(identity) as device:
        account.iot.update_certificate(certificateId=identity.id, newStatus="REVOKED")
        device.ended()


@behaviour("life-cycle-events", "a CONNECT that the policies refuse has the event connect_failed")
def connect_failed(account):
    identity, name = account.identity([statement("Allow", "Connect", "client/other")]), account.name()
    with account.watcher(f"$aws/events/presence/connect_failed/{name}") as watcher, Device(name) as device:
        check(not account.connect(device, identity), "it is let in")
        seen = event(watcher, clientId=name, eventType="connect_failed", connectFailureReason="AUTHORIZATION_FAILED")
        check(seen["principalIdentifier"] == identity.id, "the event names another certificate")


@behaviour("thing-policy-variables", "policies know the client id, the thing's name, and whether the thing is attached")
def variables(account):
    thing = account.name()
    own = "${iot:Connection.Thing.ThingName}"
    attached = {"Bool": {"iot:Connection.Thing.IsAttached": "true"}}
    policy = [
        statement("Allow", "Connect", f"client/{own}", **attached),
        statement("Allow", "Subscribe", f"topicfilter/{own}/*"),
        statement("Allow", "Publish", "topic/${iot:ClientId}/*"),
        statement("Allow", "Receive", "topic/*"),
    ]
    identity = account.identity(policy, thing)
    with account.device(identity, thing) as device:
        check(device.subscribe(f"{thing}/a") == [1], "the subscription to its own topic is refused")
        check(device.publish(f"{thing}/a") == 0, "the message to its own topic is refused")
        device.message()
        check(device.subscribe("other/a") != [1], "the subscription to another's topic is granted")
    with Device(account.name()) as device:
        check(not account.connect(device, identity), "another client id is let in")
    alone = account.identity([statement("Allow", "Connect", "client/*", **attached)])
    with Device(account.name()) as device:
        check(not account.connect(device, alone), "a certificate without a thing is let in")


@behaviour("IAM/latest/UserGuide/reference_policies_evaluation-logic.html", "a statement that denies wins over one that allows")
def deny(account):
    name = account.name()
    identity = account.identity([statement("Allow", "*"), statement("Deny", "Connect", f"client/{name}")])
    with Device(name) as device:
        check(not account.connect(device, identity), "it is let in")
    account.device(identity).leave()


@behaviour("life-cycle-events", "PUBLISH and SUBSCRIBE that the policies do not allow end the connection: AUTH_ERROR; MQTT 5 is told 135")
def not_allowed(account):
    identity, name = account.identity([statement("Allow", "Connect")]), account.name()
    for ask in (lambda device: device.publish("a"), lambda device: device.subscribe("a")):
        with account.watcher(f"$aws/events/presence/disconnected/{name}") as watcher, account.device(identity, name) as device:
            told = ask(device)
            check(told is None, f"MQTT 3.1.1 is told {told}")
            device.ended()
            event(watcher, disconnectReason="AUTH_ERROR", clientInitiatedDisconnect=False)
        with account.device(identity, version=5) as device:
            told = ask(device)
            told = device.ended() if told is None else told
            check(told in (135, [135]), f"MQTT 5 is told {told}")


@behaviour("iot-policy-actions", "iot:Receive decides on each message that is delivered")
def receive(account):
    prefix = account.name()
    policy = [statement("Allow", "Connect"), statement("Allow", "Subscribe"), statement("Allow", "Receive", f"topic/{prefix}/open")]
    with account.device(account.identity(policy)) as subscriber, account.device() as publisher:
        check(subscriber.subscribe(f"{prefix}/#") == [1], "the subscription is refused")
        publisher.publish(f"{prefix}/closed")
        publisher.publish(f"{prefix}/open")
        check(subscriber.message().topic == f"{prefix}/open", "what may not be received is delivered")


@behaviour("connect-policy", "iot:ConnectAttributes keeps persistent sessions and last wills out; iot:LastWillTopic names the topic")
def connect_attributes(account):
    default = {"ForAllValues:StringEquals": {"iot:ConnectAttributes": []}}
    identity = account.identity([statement("Allow", "Connect", **default), statement("Allow", "Publish")])
    account.device(identity).leave()
    with Device(account.name(), clean=False) as device:
        check(not account.connect(device, identity), "a persistent session is let in")
    with Device(account.name()) as device:
        device.client.will_set("gone")
        check(not account.connect(device, identity), "a last will is let in")
    topic = account.name()
    arn = f"arn:aws:iot:{account.region}:{account.number}:topic/{topic}"
    named = {"ArnEquals": {"iot:LastWillTopic": arn}}
    identity = account.identity([statement("Allow", "Connect", **named), statement("Allow", "Publish")])
    for will in (topic, "other"):
        with Device(account.name()) as device:
            device.client.will_set(will)
            check(account.connect(device, identity) == (will == topic), f"the last will to {'the' if will == topic else 'another'} topic")


@behaviour("protocols", "a client with a certificate is let in with the ALPN name x-amzn-mqtt-ca")
def alpn(account):
    with Device(account.name()) as device:
        check(account.connect(device, account.identity(), ["x-amzn-mqtt-ca"]), "it is not let in")
        agreed = device.client.socket().selected_alpn_protocol()
        check(agreed == "x-amzn-mqtt-ca", "the server does not answer to the ALPN name")


@behaviour("protocols", "MQTT over WebSocket with a URL that is signed; a wrong signature is answered with 403")
def websocket(account):
    url = account.endpoint["websocket"]
    server = url.split("/")[2]
    tls = context(account.endpoint["ca"]) if url.startswith("wss") else None
    for secret, right in ((account.credentials.secret_key, True), ("wrong", False)):
        request = AWSRequest("GET", f"http{url[2:]}")
        keys = Credentials(account.credentials.access_key, secret)
        SigV4QueryAuth(keys, "iotdevicegateway", account.region, 60).add_auth(request)
        with Device(account.name(), transport="websockets") as device:
            device.client.ws_set_options(request.url[request.url.index("/mqtt") :], {"Host": server})
            let_in = device.connect(account.endpoint["host"], int(server.split(":")[1]), tls)
            check(let_in == right, "a right signature is refused" if right else "a wrong signature is let in")


@behaviour("http", "POST /topics/TOPIC?qos=1 over HTTPS with a certificate publishes")
def https(account):
    topic, identity = account.name(), account.identity()
    with account.watcher(topic) as watcher:
        tls = context(account.endpoint["ca"], identity)
        connection = http.client.HTTPSConnection(account.endpoint["host"], account.endpoint["port"], context=tls, timeout=10)
        try:
            connection.request("POST", f"/topics/{topic}?qos=1", b"over https")
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException):
            status = "a closed connection"
        check(status == 200, f"it is answered with {status}")
        check(watcher.message().payload == b"over https", "another message comes")


@behaviour("http", "the operation Publish of the AWS IoT data plane publishes")
def data_plane(account):
    topic = account.name()
    with account.watcher(topic) as watcher:
        account.data.publish(topic=topic, qos=1, payload=b"signed")
        check(watcher.message().payload == b"signed", "another message comes")


@behaviour("mqtt", "a second connection with a client id ends the first one: DUPLICATE_CLIENTID, and 142 with MQTT 5")
def takeover(account):
    name = account.name()
    with account.watcher(f"$aws/events/presence/disconnected/{name}") as watcher, account.device(None, name, version=5) as first:
        with account.device(None, name, version=5):
            told = first.ended()
            check(told == 142, f"MQTT 5 is told {told}")
            event(watcher, disconnectReason="DUPLICATE_CLIENTID", clientInitiatedDisconnect=False)


@behaviour("life-cycle-events", "connections have the events connected and disconnected, with AWS's fields")
def presence(account):
    name, identity = account.name(), account.identity()
    topics = [f"$aws/events/presence/{kind}/{name}" for kind in ("connected", "disconnected")]
    with account.watcher(*topics) as watcher:
        account.device(identity, name).leave()
        begun, over = event(watcher, eventType="connected"), event(watcher, eventType="disconnected")
        common = {"clientId", "timestamp", "eventType", "sessionIdentifier", "principalIdentifier", "versionNumber"}
        missing = (common | {"ipAddress"}) - begun.keys() | (common | {"clientInitiatedDisconnect", "disconnectReason"}) - over.keys()
        check(not missing, f"without {', '.join(sorted(missing))}")
        check(begun["principalIdentifier"] == identity.id, "the event names another certificate")
        check(begun["sessionIdentifier"] == over["sessionIdentifier"], "the events name different sessions")
        check(over["disconnectReason"] == "CLIENT_INITIATED_DISCONNECT", f"the reason is {over['disconnectReason']}")


@behaviour("life-cycle-events", "subscriptions have the events subscribed and unsubscribed, with their topics")
def subscriptions(account):
    name = account.name()
    topics = [f"$aws/events/subscriptions/{kind}/{name}" for kind in ("subscribed", "unsubscribed")]
    with account.watcher(*topics) as watcher, account.device(None, name) as device:
        device.subscribe("one", "two")
        seen = event(watcher, eventType="subscribed")
        check(sorted(seen["topics"]) == ["one", "two"], f"the topics are {seen['topics']}")
        device.unsubscribe("one")
        check(event(watcher, eventType="unsubscribed")["topics"] == ["one"], "the topics are others")


@behaviour("mqtt", "the keep-alive interval is 30 to 1200 seconds, 1200 if none is asked for; MQTT 5 is told")
def keep_alive(account):
    for asked, held in ((5, 30), (60, 60), (2000, 1200), (0, 1200)):
        with account.device(version=5, keep_alive=asked) as device:
            told = getattr(device.told, "ServerKeepAlive", asked)
            check(told == held, f"{told} where {asked} is asked for")


@behaviour("mqtt", "the filter sensor/# covers sensor/ and what is below, but not sensor")
def parent(account):
    prefix = account.name()
    with account.watcher(f"{prefix}/#") as watcher, account.device() as publisher:
        for topic in (prefix, f"{prefix}/", f"{prefix}/a/b"):
            publisher.publish(topic)
        for topic in (f"{prefix}/", f"{prefix}/a/b"):
            seen = watcher.message().topic
            check(seen == topic, f"{seen.replace(prefix, 'sensor')} comes")


@behaviour("reserved-topics", "a device cannot publish to $aws/events/…, whatever its policies allow")
def reserved(account):
    name = account.name()
    topic = f"$aws/events/presence/connected/{name}"
    with account.watcher(topic, name) as watcher, account.device() as device, account.device() as other:
        check(device.publish(topic, b"forged") is None, "it is acknowledged")
        device.ended()
        other.publish(name)
        check(watcher.message().topic == name, "the forged event is delivered")


@behaviour(QUOTAS, "a payload has 128 KB at the most")
def payload(account):
    topic, size = account.name(), 128 * 1024
    with account.watcher(topic) as watcher, account.device(version=5) as device:
        check(device.publish(topic, bytes(size)) == 0, "128 KB are refused")
        check(len(watcher.message().payload) == size, "another message comes")
        check(device.publish(topic, bytes(size + 1)) != 0, "one byte more is accepted")


@behaviour(QUOTAS, "a topic has 7 slashes and 256 bytes at the most, a client id 128 bytes")
def names(account):
    for topic, good in (("a/b/c/d/e/f/g/h", True), ("a/b/c/d/e/f/g/h/i", False), ("x" * 256, True), ("x" * 257, False)):
        with account.device() as device:
            what = "8 slashes" if "i" in topic else f"{len(topic)} bytes"
            check((device.publish(topic) == 0) == good, f"a topic with {what} is {'refused' if good else 'accepted'}")
        with account.device() as device:
            check((device.subscribe(topic) == [1]) == good, f"a filter with {what} is {'refused' if good else 'granted'}")
    for length, good in ((128, True), (129, False)):
        with Device(account.name().ljust(length, "x")) as device:
            let_in = account.connect(device, account.identity())
            check(let_in == good, f"a client id with {length} bytes is {'let in' if let_in else 'turned away'}")


@behaviour(QUOTAS, "a SUBSCRIBE has 8 topic filters at the most")
def eight(account):
    with account.device() as device:
        check(device.subscribe(*map(str, range(8))) == [1] * 8, "8 are refused")
        granted = device.subscribe(*map(str, range(9)))
        check(granted is None or 1 not in granted, "9 are granted")


@behaviour("mqtt", "quality of service 2 is not there: PUBLISH and SUBSCRIBE have no answer")
def twice(account):
    with account.device() as device:
        check(device.publish("a", qos=2) is None, "the message is accepted")
    with account.device() as device:
        granted = device.subscribe("a", qos=2)
        check(granted is None or granted == [128], f"the subscription is granted with {granted}")


@behaviour("mqtt", "a retained message comes with its flag to subscriptions to its very topic, not to wildcards; an empty one deletes it")
def retained(account):
    prefix = account.name()
    topic = f"{prefix}/state"
    with account.device() as publisher:
        check(publisher.publish(topic, b"kept", retain=True) == 0, "it is refused")
        with account.watcher(topic) as exact, account.watcher(f"{prefix}/#") as wildcard:
            seen = exact.message()
            check((seen.payload, seen.retain) == (b"kept", True), "another message comes, or without the flag")
            publisher.publish(topic, b"live", retain=True)
            for watcher in (exact, wildcard):
                seen = watcher.message()
                check(seen.payload == b"live", "a filter with wildcards gets it")
                check(not seen.retain, "a live message has the flag")
        publisher.publish(topic, b"", retain=True)
        with account.watcher(topic) as later:
            publisher.publish(topic, b"after")
            check(later.message().payload == b"after", "the deleted message comes")
    without = account.identity([statement("Allow", "Connect"), statement("Allow", "Publish")])
    with account.device(without) as device:
        check(device.publish(topic, retain=True) is None, "without iot:RetainPublish it is accepted")


@behaviour("mqtt", "a persistent session keeps subscriptions and messages, and says that it is there; a clean one forgets them")
def persistent(account):
    name, topic, identity = account.name(), account.name(), account.identity()
    with account.device(identity, name, clean=False) as device:
        check(not device.flags.session_present, "a first session is there before")
        device.subscribe(topic)
        device.lose()
    with account.device() as publisher:
        for number in range(3):
            publisher.publish(topic, b"%d" % number)
    with account.device(identity, name, clean=False) as device:
        check(device.flags.session_present, "the session is not there")
        come = sorted(device.message().payload for _ in range(3))
        check(come == [b"0", b"1", b"2"], "other messages come")
    account.device(identity, name).leave()
    with account.device(identity, name, clean=False) as device:
        check(not device.flags.session_present, "a clean session leaves the older one")


@behaviour("mqtt", "a last will is published when the connection is lost or taken over, not after DISCONNECT")
def last_will(account):
    name, topic = account.name(), account.name()

    def device():
        device = Device(name)
        device.client.will_set(topic, b"gone", 1)
        check(account.connect(device, account.identity()), "a last will is refused")
        return device

    with account.watcher(topic) as watcher, account.device() as publisher:
        with device() as lost:
            lost.lose()
        check(watcher.message().payload == b"gone", "another message comes")
        with device() as first, device() as second:
            first.ended()
            check(watcher.message().payload == b"gone", "another message comes")
            second.leave()
        publisher.publish(topic, b"after")
        check(watcher.message().payload == b"after", "it is published after DISCONNECT")


@behaviour("mqtt", "MQTT 5: properties go on to the subscriber; a topic has an alias of 1 to 8")
def forwarded(account):
    topic = account.name()
    sent = {"ResponseTopic": "answers", "CorrelationData": b"\x01\x02", "ContentType": "text/plain", "PayloadFormatIndicator": 1, "UserProperty": [("a", "b")]}
    with account.device(version=5) as subscriber, account.device(version=5) as publisher:
        subscriber.subscribe(topic)
        most = getattr(publisher.told, "TopicAliasMaximum", 0)
        check(most == 8, f"{most} aliases are allowed")
        publisher.publish(topic, TopicAlias=8, **sent)
        seen = subscriber.message().properties
        lost = [name for name, value in sent.items() if getattr(seen, name, None) != value]
        check(not lost, f"without {', '.join(lost)}")
        publisher.publish("", b"by its alias", TopicAlias=8)
        seen = subscriber.message()
        check((seen.topic, seen.payload) == (topic, b"by its alias"), "the alias stands for something else")
        told = publisher.publish(topic, TopicAlias=9)
        told = publisher.ended() if told is None else told
        check(told == 148, f"the alias 9 is answered with {told}")


@behaviour("mqtt", "MQTT 5: messages and sessions expire; a session lasts an hour at the most")
def expiry(account):
    identity, name, short, topic = account.identity(), account.name(), account.name(), account.name()
    hour = {"version": 5, "clean": False}
    with account.device(identity, short, expiry=1, **hour), account.device(identity, name, expiry=7200, **hour) as device:
        told = getattr(device.told, "SessionExpiryInterval", 7200)
        check(told == 3600, f"a session of 7200 s is held to {told} s")
        device.subscribe(topic)
        device.lose()
    with account.device(version=5) as publisher:
        publisher.publish(topic, b"old", MessageExpiryInterval=1)
        publisher.publish(topic, b"new", MessageExpiryInterval=60)
    time.sleep(2.5)
    with account.device(identity, name, expiry=3600, **hour) as device:
        seen = device.message()
        check(seen.payload == b"new", "an expired message comes")
        left = getattr(seen.properties, "MessageExpiryInterval", 60)
        check(0 < left < 60, f"{left} s are left of 60")
    with account.device(identity, short, expiry=1, **hour) as device:
        check(not device.flags.session_present, "an expired session is there")


@behaviour("mqtt", "MQTT 5: a client without a client id is told the one that it has")
def assigned(account):
    with account.device(None, "", version=5) as device:
        check(getattr(device.told, "AssignedClientIdentifier", ""), "it is told none")


@behaviour("mqtt", "MQTT 5: Receive Maximum holds messages back until others are acknowledged")
def receive_maximum(account):
    topic = account.name()
    with account.device(version=5, manual_ack=True, ReceiveMaximum=2) as subscriber, account.device() as publisher:
        subscriber.subscribe(topic)
        for number in range(4):
            publisher.publish(topic, b"%d" % number)
        first = [subscriber.message() for _ in range(2)]
        for other in ("one", "two"):
            subscriber.subscribe(f"{topic}/{other}")
        check(subscriber.messages.empty(), "a third message comes")
        for message in first:
            subscriber.client.ack(message.mid, message.qos)
        rest = sorted(subscriber.message().payload for _ in range(2))
        check(rest == [b"2", b"3"], "other messages come")


@behaviour("mqtt", "a message to a shared subscription, $share/GROUP/FILTER, goes to one client of the group")
def shared(account):
    topic = account.name()
    with account.device(version=5) as one, account.device() as two, account.device() as publisher:
        for member in (one, two):
            granted = member.subscribe(f"$share/group/{topic}", f"{topic}/end")
            check(granted == [1, 1], f"SUBACK says {granted and granted[0]}")
        for number in range(10):
            publisher.publish(topic, b"%d" % number)
        publisher.publish(f"{topic}/end")
        come = []
        for member in (one, two):
            while (message := member.message()).topic != f"{topic}/end":
                come.append(message.payload)
        check(len(come) == len(set(come)) == 10, f"{len(come)} messages come instead of 10")


@behaviour("device-shadow-mqtt", "shadows, classic and named: update, get and delete, accepted or rejected; the delta")
def shadow(account):
    for kind in ("shadow", "shadow/name/led"):
        thing = account.name()
        topic = f"$aws/things/{thing}/{kind}"
        identity = account.identity(thing=thing)
        with account.device(identity, thing) as device:
            device.subscribe(*(f"{topic}/{one}" for one in ("get/accepted", "get/rejected", "update/accepted", "update/rejected", "update/delta", "delete/accepted")))

            def ask(operation, **request):
                device.publish(f"{topic}/{operation}", json.dumps(request) if request else b"")
                seen = device.message()
                return seen.topic.removeprefix(f"{topic}/"), json.loads(seen.payload)

            answer, told = ask("get")
            check((answer, told.get("code")) == ("get/rejected", 404), f"{kind}: {answer} for no shadow")
            answer, told = ask("update", state={"desired": {"on": True}}, clientToken="token")
            if answer == "update/delta":
                answer, told = "update/accepted", json.loads(device.message().payload) | {"delta": told}
            else:
                told |= {"delta": json.loads(device.message().payload)}
            check(answer == "update/accepted" and told["clientToken"] == "token", f"{kind}: {answer} for an update")
            check(told["delta"]["state"] == {"on": True}, f"{kind}: the delta is another")
            answer, told = ask("update", state={"reported": {"on": True}}, version=9)
            check((answer, told.get("code")) == ("update/rejected", 409), f"{kind}: {answer} for a wrong version")
            answer, told = ask("get")
            check(told["state"] == {"desired": {"on": True}, "delta": {"on": True}}, f"{kind}: the document is another")
            answer, told = ask("delete")
            check(answer == "delete/accepted", f"{kind}: {answer} for a deletion")


@behaviour("iot/latest/apireference/API_iotdata_DeleteConnection.html", "DeleteConnection disconnects a client: API_INITIATED_DISCONNECT")
def delete_connection(account):
    name = account.name()
    with account.watcher(f"$aws/events/presence/disconnected/{name}") as watcher, account.device(None, name) as device:
        account.data.delete_connection(clientId=name)
        device.ended()
        event(watcher, disconnectReason="API_INITIATED_DISCONNECT")


@behaviour("server-authentication", "the server has an RSA and an ECDSA certificate, for what the client takes")
def server_certificates(account):
    for suite, kind in (("ECDHE-RSA-AES128-GCM-SHA256", rsa.RSAPublicKey), ("ECDHE-ECDSA-AES128-GCM-SHA256", ec.EllipticCurvePublicKey)):
        tls = context(account.endpoint["ca"], account.identity())
        tls.maximum_version = ssl.TLSVersion.TLSv1_2
        tls.set_ciphers(suite)
        with Device(account.name()) as device:
            check(device.connect(account.endpoint["host"], account.endpoint["port"], tls), f"no {suite.split('-')[1]}")
            shown = x509.load_der_x509_certificate(device.client.socket().getpeercert(True))
            check(isinstance(shown.public_key(), kind), f"another certificate for {suite.split('-')[1]}")
