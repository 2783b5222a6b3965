import assert from "node:assert/strict";
import { join } from "node:path";
import { createServerConfig } from "../../src/config/create_server_config.ts";
import { formatKey, publicKeyOf } from "../../src/config/keys.ts";
import { loadServerConfig } from "../../src/config/load_server_config.ts";
import { parseWireguardConf } from "../../src/config/wg_conf.ts";
import { clientConf } from "../../src/control/client_conf.ts";
import { PeerError } from "../../src/control/peer_error.ts";
import { addPeer, findPeer, removePeer } from "../../src/control/peers.ts";
import { formatPrefix } from "../../src/core/wire/address.ts";

const ENDPOINT = { host: "vpn.example.org", port: 51820 };

async function withConfig(
  work: (path: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const path = join(folder, "server.yaml");
    await createServerConfig(path, { random: (bytes) => bytes.fill(0x5a) });
    await work(path);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("an added peer is in the file, its private key is not", async () => {
  await withConfig(async (path) => {
    const { peer, config } = await addPeer(path, {
      name: "phone",
      presharedKey: "make",
    });
    const text = await Deno.readTextFile(path);
    assert.ok(!text.includes(formatKey(peer.privateKey!)));
    assert.ok(text.includes(formatKey(peer.publicKey)));
    assert.deepEqual(publicKeyOf(peer.privateKey!), peer.publicKey);
    assert.equal(peer.privateKey![31] & 0xc0, 0x40, "clamped");

    const loaded = (await loadServerConfig(path)).config;
    const kept = findPeer(loaded, "PHONE");
    assert.deepEqual(kept.publicKey, peer.publicKey);
    assert.deepEqual(kept.presharedKey, peer.presharedKey);
    assert.deepEqual(kept.addresses.map(formatPrefix), [
      "10.66.0.2/32",
      "fd5a:5a5a:5a5a::2/128",
    ]);

    const conf = parseWireguardConf(
      clientConf(config, peer, ENDPOINT),
      "phone.conf",
    );
    assert.deepEqual(conf.interface.privateKey, peer.privateKey);
    assert.deepEqual(conf.interface.addresses, peer.addresses);
    assert.deepEqual(conf.interface.dns, ["10.66.0.1", "fd5a:5a5a:5a5a::1"]);
    assert.equal(conf.interface.mtu, 1420);
    const [gateway] = conf.peers;
    assert.deepEqual(gateway.publicKey, config.interface.publicKey);
    assert.deepEqual(gateway.presharedKey, peer.presharedKey);
    assert.deepEqual(gateway.allowedIps.map(formatPrefix), [
      "0.0.0.0/0",
      "::/0",
    ]);
    assert.deepEqual(gateway.endpoint, ENDPOINT);
    assert.equal(gateway.persistentKeepalive, 25);
  });
});

Deno.test("AmneziaWG's parameters go into the client's file", async () => {
  await withConfig(async (path) => {
    const text = await Deno.readTextFile(path);
    await Deno.writeTextFile(
      path,
      text.replace(
        "  mtu: 1420",
        "  mtu: 1420\n  amnezia: { jc: 4, jmin: 8, jmax: 80, s1: 20, h1: 100-200, i1: <r 9> }",
      ),
    );
    const { peer, config } = await addPeer(path, {
      name: "phone",
      presharedKey: "none",
    });
    const conf = clientConf(config, peer, ENDPOINT);
    for (
      const line of [
        "Jc = 4",
        "Jmin = 8",
        "Jmax = 80",
        "S1 = 20",
        "H1 = 100-200",
        "I1 = <r 9>",
      ]
    ) {
      assert.ok(conf.includes(`\n${line}\n`), line);
    }
    assert.ok(!/^(S2|H2|I2|PresharedKey)/m.test(conf), conf);
    assert.deepEqual(
      parseWireguardConf(conf, "a").interface.amnezia,
      (await loadServerConfig(path)).config.interface.amnezia,
    );
  });
});

Deno.test("a peer with a key of its own", async () => {
  await withConfig(async (path) => {
    const publicKey = publicKeyOf(new Uint8Array(32).fill(9));
    const { peer, config } = await addPeer(path, {
      name: "box",
      presharedKey: "none",
      publicKey,
    });
    assert.equal(peer.privateKey, undefined);
    assert.ok(!/^PrivateKey/m.test(clientConf(config, peer, ENDPOINT)));
    await assert.rejects(
      addPeer(path, { name: "box2", presharedKey: "none", publicKey }),
      { name: "PeerError", message: 'that public key is peer "box" already' },
    );
    await assert.rejects(
      addPeer(path, {
        name: "box2",
        presharedKey: "none",
        publicKey: config.interface.publicKey,
      }),
      { name: "PeerError", message: "that is the gateway's own public key" },
    );
  });
});

Deno.test("names: taken, impossible, unknown", async () => {
  await withConfig(async (path) => {
    await addPeer(path, { name: "phone", presharedKey: "none" });
    const request = (name: string) => ({ name, presharedKey: "none" as const });
    await assert.rejects(addPeer(path, request("Phone")), {
      message: 'there is a peer "Phone" already',
    });
    for (const bad of ["", "a b", "-a", "a-", "a.b", "ä", "x".repeat(64)]) {
      await assert.rejects(addPeer(path, request(bad)), PeerError);
    }
    const { config } = await loadServerConfig(path);
    assert.throws(() => findPeer(config, "phne"), {
      message: 'there is no peer "phne"',
      hint: "did you mean phone?",
    });
    await assert.rejects(removePeer(path, "nobody"), PeerError);
  });
});

Deno.test("a removed peer's address is handed out again", async () => {
  await withConfig(async (path) => {
    const before = await Deno.readTextFile(path);
    await addPeer(path, { name: "one", presharedKey: "none" });
    assert.equal((await removePeer(path, "ONE")).name, "one");
    assert.equal(await Deno.readTextFile(path), before);
    const { peer } = await addPeer(path, { name: "two", presharedKey: "none" });
    assert.deepEqual(peer.addresses.map(formatPrefix)[0], "10.66.0.2/32");
  });
});

Deno.test("nothing is written where the preparation fails", async () => {
  await withConfig(async (path) => {
    const before = await Deno.readTextFile(path);
    const failing = () => Promise.reject(new RangeError("disk full"));
    await assert.rejects(
      addPeer(path, { name: "one", presharedKey: "none" }, {
        prepare: failing,
      }),
      RangeError,
    );
    assert.equal(await Deno.readTextFile(path), before);
  });
});
