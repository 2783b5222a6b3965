import assert from "node:assert/strict";
import { parseServerConfig } from "../../src/config/load_server_config.ts";
import {
  isPrivate,
  publicEndpoint,
} from "../../src/control/public_endpoint.ts";

const KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
const nowhere = () => Promise.resolve(undefined);

function config(...lines: string[]) {
  const text = ["interface:", `privateKey: ${KEY}`, ...lines].join("\n  ");
  return parseServerConfig(text, { file: "a", readKeyFile: () => "" }).config;
}

Deno.test("what the user says comes first, then the config, then a guess", async () => {
  const known = config("publicEndpoint: vpn.example.org:4500");
  assert.deepEqual(await publicEndpoint(known, "203.0.113.7:99"), {
    endpoint: { host: "203.0.113.7", port: 99 },
    note: undefined,
  });
  assert.deepEqual(await publicEndpoint(known, "[2001:db8::7]"), {
    endpoint: { host: "2001:db8::7", port: 51820 },
    note: undefined,
  });
  assert.deepEqual(await publicEndpoint(known, undefined, nowhere), {
    endpoint: { host: "vpn.example.org", port: 4500 },
    note: undefined,
  });
  const guess = await publicEndpoint(
    config(),
    undefined,
    () => Promise.resolve("192.168.1.5"),
  );
  assert.deepEqual(guess.endpoint, { host: "192.168.1.5", port: 51820 });
  assert.equal(
    guess.note,
    "the endpoint 192.168.1.5:51820 is a guess, which only this local network can reach; " +
      "say it with --endpoint HOST[:PORT], or set interface.publicEndpoint in the config",
  );
});

Deno.test("what can't be known is an error that says how", async () => {
  await assert.rejects(publicEndpoint(config(), undefined, nowhere), {
    name: "PeerError",
    message: "where clients reach this gateway is not known",
    hint:
      "say it with --endpoint HOST[:PORT], or set interface.publicEndpoint in the config",
  });
  await assert.rejects(publicEndpoint(config(), "not an endpoint"), {
    name: "PeerError",
  });
  await assert.rejects(publicEndpoint(config("listenPort: 0"), "example.org"), {
    hint: "interface.listenPort is 0, so write HOST:PORT",
  });
});

Deno.test("which addresses the internet can't reach", () => {
  for (
    const text of [
      "10.1.2.3",
      "172.16.0.1",
      "172.31.255.255",
      "192.168.0.1",
      "100.64.0.1",
      "169.254.1.1",
      "127.0.0.1",
      "fd00::1",
      "fc00::1",
      "fe80::1",
    ]
  ) {
    assert.ok(isPrivate(text), text);
  }
  for (
    const text of [
      "8.8.8.8",
      "172.32.0.1",
      "172.15.0.1",
      "192.169.0.1",
      "100.128.0.1",
      "2001:db8::1",
      "fec0::1",
      "vpn.example.org",
    ]
  ) {
    assert.ok(!isPrivate(text), text);
  }
});
