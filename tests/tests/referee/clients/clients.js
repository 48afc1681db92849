// One connection of an MQTT client that others wrote: clients.js CLIENT HOST PORT CA CERTIFICATE KEY CLIENT_ID.
//
// As clients.py: 0 when its own message has come, 3 when the server did not let the client in, 4 when the library is missing.
'use strict';

const fs = require('node:fs');

const [name, host, portText, ca, certificate, key, clientId] = process.argv.slice(2);
const port = Number(portText);
const topic = `${clientId}/echo`;
const IN = 0;
const OUT = 3;

function end(code, reason) {
  if (reason) console.log(String(reason));
  process.exit(code);
}

function mqttJs(protocolVersion) {
  const client = require('mqtt').connect({
    protocol: 'mqtts', host, port, clientId, protocolVersion, reconnectPeriod: 0,
    ca: fs.readFileSync(ca), cert: fs.readFileSync(certificate), key: fs.readFileSync(key),
  });
  client.on('connect', () => client.subscribe(topic, { qos: 1 }, () => client.publish(topic, 'hello', { qos: 1 })));
  client.on('message', (_topic, payload) => end(String(payload) === 'hello' ? IN : 1));
  client.on('error', (error) => end(OUT, error));
  client.on('close', () => end(OUT, 'closed'));
}

function deviceSdkV1() {
  const { device } = require('aws-iot-device-sdk');
  const client = device({ host, port, clientId, caPath: ca, certPath: certificate, keyPath: key });
  client.on('connect', () => client.subscribe(topic, { qos: 1 }, () => client.publish(topic, 'hello', { qos: 1 })));
  client.on('message', (_topic, payload) => end(String(payload) === 'hello' ? IN : 1));
  client.on('error', (error) => end(OUT, error));
  client.on('close', () => end(OUT, 'closed'));
}

async function deviceSdkV2() {
  const { iot, mqtt5 } = require('aws-iot-device-sdk-v2');
  const builder = iot.AwsIotMqtt5ClientConfigBuilder.newDirectMqttBuilderWithMtlsFromPath(host, certificate, key);
  builder.withPort(port);
  builder.withCertificateAuthorityFromPath(undefined, ca);
  builder.withConnectProperties({ clientId, keepAliveIntervalSeconds: 60 });
  const client = new mqtt5.Mqtt5Client(builder.build());
  client.on('connectionFailure', (event) => end(OUT, event.error));
  client.on('messageReceived', (event) => {
    end(Buffer.from(event.message.payload).toString() === 'hello' ? IN : 1);
  });
  client.on('connectionSuccess', async () => {
    await client.subscribe({ subscriptions: [{ topicFilter: topic, qos: mqtt5.QoS.AtLeastOnce }] });
    await client.publish({ topicName: topic, payload: 'hello', qos: mqtt5.QoS.AtLeastOnce });
  });
  client.start();
}

const clients = {
  'mqtt.js 3.1.1': () => mqttJs(4),
  'mqtt.js 5': () => mqttJs(5),
  'aws-iot-device-sdk': deviceSdkV1,
  'aws-iot-device-sdk-v2': deviceSdkV2,
};

setTimeout(() => end(1, 'nothing came'), 40000).unref();
Promise.resolve().then(clients[name]).catch((error) => {
  end(error.code === 'MODULE_NOT_FOUND' ? 4 : 1, error);
});
