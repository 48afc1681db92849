"""A device as the probes need it: an MQTT client whose every answer is waited for, on paho-mqtt."""

import queue
import socket
import ssl
import time

from paho.mqtt import client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

# Seconds that an answer may take.
PATIENCE = 10
QUEUED = mqtt.MQTT_ERR_SUCCESS


class Differs(Exception):
    """What is seen instead of what AWS documents."""


def check(holds, seen):
    """What AWS documents, or else `seen`."""
    if not holds:
        raise Differs(seen)


def properties(packet, **values):
    """Properties of MQTT 5 for a packet of this kind, such as `CONNECT`."""
    made = Properties(getattr(PacketTypes, packet))
    for name, value in values.items():
        setattr(made, name, value)
    return made


class Device:
    """A connection; `with` ends it."""

    def __init__(self, client_id, version=4, clean=True, expiry=0, manual_ack=False, transport="tcp", **of_connect):
        self.come, self.over, self.messages, self.acks = queue.Queue(), queue.Queue(), queue.Queue(), queue.Queue()
        self.client_id, self.version = client_id, version
        options = {} if version == 5 else {"clean_session": clean}
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=version,
            transport=transport,
            manual_ack=manual_ack,
            reconnect_on_failure=False,
            **options,
        )
        self.client.max_inflight_messages_set(200)
        self.of_connect = {}
        if version == 5:
            of_connect.setdefault("SessionExpiryInterval", expiry)
            self.of_connect = {"clean_start": clean, "properties": properties("CONNECT", **of_connect)}
        self.client.on_connect = lambda _c, _u, flags, reason, told: self.come.put((flags, reason, told))
        self.client.on_disconnect = lambda _c, _u, _f, reason, _p: self.over.put(reason)
        self.client.on_subscribe = lambda _c, _u, mid, reasons, _p: self.acks.put((mid, reasons))
        self.client.on_unsubscribe = self.client.on_subscribe
        self.client.on_publish = lambda _c, _u, mid, reason, _p: self.acks.put((mid, reason))
        self.client.on_message = lambda _c, _u, message: self.messages.put(message)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.disconnect()
        self.client.loop_stop()

    def connect(self, host, port, context, keep_alive=60):
        """Sends CONNECT; true if the client is let in. What CONNACK says is in `flags`, `reason` and `told`."""
        if context:
            self.client.tls_set_context(context)
        try:
            self.client.connect(host, port, keep_alive, **self.of_connect)
        except (OSError, mqtt.WebsocketConnectionError):
            return False
        self.client.loop_start()
        while True:
            try:
                self.flags, self.reason, self.told = self.come.get(timeout=0.02)
                return not self.reason.is_failure
            except queue.Empty:
                if not self.over.empty():
                    return False

    def ended(self):
        """Waits for the server to end the connection; the reason code, where MQTT 5 has one."""
        try:
            return self.over.get(timeout=PATIENCE).value
        except queue.Empty:
            raise Differs("the connection goes on") from None

    def lose(self):
        """Loses the connection without DISCONNECT."""
        self.client.socket().shutdown(socket.SHUT_RDWR)
        self.ended()

    def leave(self):
        """Says DISCONNECT."""
        self.client.disconnect()
        self.client.loop_stop()

    def acknowledged(self, sent):
        """What the server answers to a packet; none if it ends the connection instead, or is silent."""
        code, mid = sent[0], sent[1]
        deadline = time.monotonic() + PATIENCE
        while code == QUEUED and time.monotonic() < deadline:
            try:
                acked, reason = self.acks.get(timeout=0.02)
                if acked == mid:
                    return reason
            except queue.Empty:
                if not self.over.empty():
                    break
        return None

    def subscribe(self, *filters, qos=1):
        """The reason codes of SUBACK, or none if the connection ends."""
        reasons = self.acknowledged(self.client.subscribe([(one, qos) for one in filters]))
        return reasons and [reason.value for reason in reasons]

    def unsubscribe(self, topic):
        return self.acknowledged(self.client.unsubscribe(topic))

    def publish(self, topic, payload=b"hello", qos=1, retain=False, **of_publish):
        """The reason code of PUBACK (0 with MQTT 3.1.1), or none if the connection ends."""
        made = properties("PUBLISH", **of_publish) if of_publish else None
        reason = self.acknowledged(self.client.publish(topic, payload, qos, retain, made))
        return None if reason is None else reason.value

    def message(self):
        """The next message."""
        try:
            return self.messages.get(timeout=PATIENCE)
        except queue.Empty:
            raise Differs("no message comes") from None


def context(ca, identity=None, protocols=()):
    """TLS with the server's CA, a certificate and its key, and names for ALPN."""
    tls = ssl.create_default_context(cafile=ca)
    if identity:
        tls.load_cert_chain(identity.certificate, identity.key)
    if protocols:
        tls.set_alpn_protocols(list(protocols))
    return tls
