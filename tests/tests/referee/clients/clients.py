"""One connection of an MQTT client that others wrote: clients.py CLIENT HOST PORT CA CERTIFICATE KEY CLIENT_ID.

Connects once, subscribes to CLIENT_ID/echo, publishes there and waits for the message. Ends with 0 when it has come, with 3 when the
server did not let the client in, with 4 when the library is missing.
"""

import asyncio
import queue
import ssl
import sys

NAME, HOST, PORT, CA, CERTIFICATE, KEY, CLIENT_ID = sys.argv[1:8]
PORT = int(PORT)
TOPIC = CLIENT_ID + "/echo"
PATIENCE = 20
OUT = 3


class Refused(Exception):
    """The server did not let the client in."""


def context():
    tls = ssl.create_default_context(cafile=CA)
    tls.load_cert_chain(CERTIFICATE, KEY)
    return tls


def paho(version):
    from paho.mqtt import client as mqtt

    events = queue.Queue()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=CLIENT_ID, protocol=version, reconnect_on_failure=False)
    client.tls_set_context(context())
    client.on_connect = lambda _c, _u, _f, reason, _p: events.put(("refused" if reason.is_failure else "connected", reason))
    client.on_disconnect = lambda _c, _u, _f, reason, _p: events.put(("refused", reason))
    client.on_subscribe = lambda *_: client.publish(TOPIC, b"hello", qos=1)
    client.on_message = lambda _c, _u, message: events.put(("message", message.payload))
    client.connect(HOST, PORT)
    client.loop_start()
    if events.get(timeout=PATIENCE)[0] != "connected":
        raise Refused
    client.subscribe(TOPIC, qos=1)
    assert events.get(timeout=PATIENCE) == ("message", b"hello")
    client.disconnect()


async def aiomqtt():
    import aiomqtt

    try:
        async with aiomqtt.Client(HOST, PORT, identifier=CLIENT_ID, tls_context=context()) as client:
            await client.subscribe(TOPIC, qos=1)
            await client.publish(TOPIC, b"hello", qos=1)
            async for message in client.messages:
                assert message.payload == b"hello"
                return
    except aiomqtt.MqttError as error:
        raise Refused from error


async def gmqtt():
    import gmqtt

    events = asyncio.Queue()
    client = gmqtt.Client(CLIENT_ID)
    client.set_config({"reconnect_retries": 0})
    client.on_connect = lambda *_: events.put_nowait("connected")
    client.on_disconnect = lambda *_: events.put_nowait("refused")
    client.on_subscribe = lambda *_: client.publish(TOPIC, b"hello", qos=1)

    async def message(_client, _topic, payload, _qos, _properties):
        events.put_nowait(payload)
        return 0

    client.on_message = message
    connecting = asyncio.ensure_future(client.connect(HOST, PORT, ssl=context()))
    if await asyncio.wait_for(events.get(), PATIENCE) != "connected":
        raise Refused
    await connecting
    client.subscribe(TOPIC, qos=1)
    assert await asyncio.wait_for(events.get(), PATIENCE) == b"hello"
    await client.disconnect()


def awscrt_3(websocket=False):
    from awscrt import auth, exceptions, mqtt
    from awsiot import mqtt_connection_builder

    common = {"endpoint": HOST, "port": PORT, "ca_filepath": CA, "client_id": CLIENT_ID, "clean_session": True}
    if websocket:
        # The keys come from the environment.
        connection = mqtt_connection_builder.websockets_with_default_aws_signing(
            region="us-east-1", credentials_provider=auth.AwsCredentialsProvider.new_environment(), **common
        )
    else:
        connection = mqtt_connection_builder.mtls_from_path(cert_filepath=CERTIFICATE, pri_key_filepath=KEY, **common)
    try:
        connection.connect().result(PATIENCE)
    except exceptions.AwsCrtError as error:
        raise Refused from error
    come = queue.Queue()
    connection.subscribe(TOPIC, mqtt.QoS.AT_LEAST_ONCE, lambda topic, payload, **_: come.put(payload))[0].result(PATIENCE)
    connection.publish(TOPIC, b"hello", mqtt.QoS.AT_LEAST_ONCE)[0].result(PATIENCE)
    assert come.get(timeout=PATIENCE) == b"hello"
    connection.disconnect().result(PATIENCE)


def awscrt_5():
    from awscrt import mqtt5
    from awsiot import mqtt5_client_builder

    events, come = queue.Queue(), queue.Queue()
    client = mqtt5_client_builder.mtls_from_path(
        endpoint=HOST,
        port=PORT,
        ca_filepath=CA,
        cert_filepath=CERTIFICATE,
        pri_key_filepath=KEY,
        client_id=CLIENT_ID,
        on_lifecycle_connection_success=lambda _: events.put("connected"),
        on_lifecycle_connection_failure=lambda _: events.put("refused"),
        on_publish_received=lambda data: come.put(data.publish_packet.payload),
    )
    client.start()
    outcome = events.get(timeout=PATIENCE)
    if outcome != "connected":
        client.stop()
        raise Refused
    subscription = mqtt5.Subscription(topic_filter=TOPIC, qos=mqtt5.QoS.AT_LEAST_ONCE)
    client.subscribe(mqtt5.SubscribePacket(subscriptions=[subscription])).result(PATIENCE)
    client.publish(mqtt5.PublishPacket(topic=TOPIC, payload=b"hello", qos=mqtt5.QoS.AT_LEAST_ONCE)).result(PATIENCE)
    assert come.get(timeout=PATIENCE) == b"hello"
    client.stop()


def aws_iot_python_sdk():
    from AWSIoTPythonSDK import MQTTLib

    client = MQTTLib.AWSIoTMQTTClient(CLIENT_ID)
    client.configureEndpoint(HOST, PORT)
    client.configureCredentials(CA, KEY, CERTIFICATE)
    client.configureMQTTOperationTimeout(PATIENCE)
    # It waits for its CONNACK when the connection is gone already.
    client.configureConnectDisconnectTimeout(5)
    come = queue.Queue()
    try:
        client.connect()
    except Exception as error:
        raise Refused from error
    client.subscribe(TOPIC, 1, lambda _client, _data, message: come.put(message.payload))
    client.publish(TOPIC, "hello", 1)
    assert come.get(timeout=PATIENCE) == b"hello"
    client.disconnect()


CLIENTS = {
    "paho-mqtt 3.1.1": lambda: paho(4),
    "paho-mqtt 5": lambda: paho(5),
    "aiomqtt": lambda: asyncio.run(aiomqtt()),
    "gmqtt": lambda: asyncio.run(gmqtt()),
    "awsiotsdk 3.1.1": awscrt_3,
    "awsiotsdk 5": awscrt_5,
    "awsiotsdk WebSocket": lambda: awscrt_3(websocket=True),
    "AWSIoTPythonSDK": aws_iot_python_sdk,
}

try:
    CLIENTS[NAME]()
except Refused as refused:
    print("refused:", refused.__cause__ or "by the server")
    sys.exit(OUT)
except ModuleNotFoundError as missing:
    print(missing)
    sys.exit(4)
