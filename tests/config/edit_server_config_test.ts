import assert from "node:assert/strict";
import { parse } from "yaml";
import { join } from "node:path";
import { editServerConfig } from "../../src/config/edit_server_config.ts";
import { withoutPeer, withPeer } from "../../src/config/peer_text.ts";
import { ConfigError } from "../../src/config/problems.ts";

const KEYS = [
  "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=",
  "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=",
  "gN65BkIKy1eCE9pP1wdc8ROUtkHLF2PfAqYdyYBz6EA=",
];

/** Odd but legal: comments everywhere, own order, own spacing, a flow map. */
const TEXT = `# first line

peers: # the clients
  # the phone of Anna
  - name: phone # blue
    publicKey: ${KEYS[0]}
    addresses: [10.66.0.2/32] # fixed

  # a box in the cellar
  - name: box
    addresses:
      # its only one
      - 10.66.0.3
    publicKey: ${KEYS[1]}

interface: # last on purpose
  privateKey: yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=
  mtu: 1_400x
# last line
`.replace(
  "1_400x",
  "1400 # for the DSL line, which is slow and has a rather long comment behind it",
);

async function withConfig(
  text: string,
  work: (path: string, folder: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const path = join(folder, "server.yaml");
    await Deno.writeTextFile(path, text, { mode: 0o600 });
    await work(path, folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function add(
  path: string,
  name: string,
  publicKey: string,
  address: string,
): Promise<string> {
  return editServerConfig(path, ({ text }) => ({
    text: withPeer(text, { name, publicKey, addresses: [address] }),
    result: name,
  }));
}

const TV = { name: "tv", publicKey: KEYS[2], addresses: ["10.66.0.4/32"] };
const TV_LINES = `  - name: tv
    publicKey: ${KEYS[2]}
    addresses:
      - 10.66.0.4/32
`;

Deno.test("an added peer changes nothing else", () => {
  const text = withPeer(TEXT, TV);
  assert.ok(
    text.includes(`    publicKey: ${KEYS[1]}\n${TV_LINES}\ninterface:`),
    text,
  );
  assert.equal(text.replace(TV_LINES, ""), TEXT);
});

Deno.test("added and removed again gives the text of before", () => {
  const texts = [
    TEXT,
    TEXT.replaceAll("\n", "\r\n"),
    TEXT.replaceAll(/^ {2}/gm, ""),
    TEXT.slice(0, TEXT.indexOf("\ninterface")),
    "interface: {}\npeers: []\n",
    "interface: {}\npeers: [] # none yet\n\nlog: {}\n",
  ];
  for (const text of texts) {
    const added = withPeer(text, TV);
    assert.notEqual(added, text);
    assert.equal(withoutPeer(added, "TV"), text, added);
    assert.equal(withoutPeer(text, "tv"), undefined);
  }
});

Deno.test("a removed peer takes its own comments along and leaves the others", () => {
  assert.equal(
    withoutPeer(TEXT, "box"),
    TEXT.slice(0, TEXT.indexOf("  # a box")) +
      TEXT.slice(TEXT.indexOf("interface:")),
  );
  assert.equal(
    withoutPeer(TEXT, "phone"),
    TEXT.slice(0, TEXT.indexOf("  # the phone")) +
      TEXT.slice(TEXT.indexOf("\n  # a box")),
  );
  assert.equal(
    withoutPeer(withoutPeer(TEXT, "phone")!, "box")!.split("\n")[2],
    "peers: [] # the clients",
  );
});

Deno.test("the first peer of an empty list and of a missing one", () => {
  const head = "interface:\n  mtu: 1400\n";
  for (
    const list of [
      "peers: []\n",
      "peers:\n",
      "peers:",
      "peers: [ ]",
      "peers: []",
      "",
    ]
  ) {
    assert.equal(withPeer(head + list, TV), `${head}peers:\n${TV_LINES}`, list);
  }
  assert.equal(
    withPeer(`peers: # none\n\n${head}`, TV),
    `peers: # none\n${TV_LINES}\n${head}`,
  );
  assert.equal(withPeer(head.trimEnd(), TV), `${head}peers:\n${TV_LINES}`);
});

Deno.test("peers on one line are written anew, with the same content", () => {
  const text = `peers: [{ name: a, publicKey: ${
    KEYS[0]
  }, addresses: [10.66.0.2] }] # all\n`;
  const added = parse(withPeer(text, TV));
  assert.deepEqual(added.peers.map(({ name }: { name: string }) => name), [
    "a",
    "tv",
  ]);
  assert.deepEqual(parse(withoutPeer(withPeer(text, TV), "a")!).peers, [TV]);
});

Deno.test("names that YAML would take for something else are quoted", () => {
  for (const name of ["123", "true", "null", "0x1f", "1e5", "no"]) {
    const text = withPeer("peers: []\n", { ...TV, name });
    assert.equal(parse(text).peers[0].name, name);
    assert.equal(withoutPeer(text, name), "peers: []\n");
  }
});

Deno.test("a change that makes the file bad is not written", async () => {
  await withConfig(TEXT, async (path, folder) => {
    await assert.rejects(
      add(path, "phone", KEYS[2], "10.66.0.4/32"),
      ConfigError,
    );
    await assert.rejects(add(path, "tv", KEYS[2], "10.77.0.4/32"), ConfigError);
    await assert.rejects(
      editServerConfig(path, () => {
        throw new TypeError("changed my mind");
      }),
      TypeError,
    );
    assert.equal(await Deno.readTextFile(path), TEXT);
    assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name), [
      "server.yaml",
    ]);
  });
});

Deno.test("the file stays private, and a link stays a link", async () => {
  await withConfig(TEXT, async (path, folder) => {
    await Deno.chmod(path, 0o644);
    const link = join(folder, "link.yaml");
    await Deno.symlink(path, link);
    await add(link, "tv", KEYS[2], "10.66.0.4/32");
    assert.equal((await Deno.lstat(path)).mode! & 0o777, 0o600);
    assert.ok((await Deno.lstat(link)).isSymlink);
    assert.ok((await Deno.readTextFile(path)).includes("tv"));
  });
});

Deno.test("writers at the same time all get their peer in", async () => {
  await withConfig(TEXT, async (path, folder) => {
    const count = 12;
    await Promise.all(Array.from({ length: count }, (_, i) => {
      const key = btoa(String.fromCharCode(...new Uint8Array(32).fill(i + 1)));
      return add(path, `peer${i}`, key, `10.66.0.${10 + i}/32`);
    }));
    const text = await Deno.readTextFile(path);
    for (let i = 0; i < count; i++) {
      assert.ok(text.includes(`name: peer${i}\n`), `peer${i}`);
    }
    assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name), [
      "server.yaml",
    ]);
  });
});
