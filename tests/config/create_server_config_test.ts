import assert from "node:assert/strict";
import { join } from "node:path";
import { createServerConfig } from "../../src/config/create_server_config.ts";
import {
  loadServerConfig,
  parseServerConfig,
} from "../../src/config/load_server_config.ts";
import { schemaText } from "../../scripts/schema.ts";
import { serverSchema } from "../../src/config/server_schema.ts";
import { formatPrefix } from "../../src/core/wire/address.ts";

const EXAMPLES = new URL("../../config/", import.meta.url);
const KEY = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";

Deno.test("a made config is private, loads, and says what it made", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = join(folder, "server.yaml");
    const created = await createServerConfig(path);
    assert.equal((await Deno.stat(path)).mode! & 0o777, 0o600);
    const { config, warnings } = await loadServerConfig(path);
    assert.deepEqual(warnings, []);
    assert.deepEqual(config.interface.publicKey, created.publicKey);
    assert.deepEqual(
      config.interface.addresses.map(formatPrefix),
      created.addresses,
    );
    assert.match(created.addresses[1], /^fd[0-9a-f]{2}:/);
    assert.equal(config.interface.listenPort, created.listenPort);
    const text = await Deno.readTextFile(path);
    assert.ok(!text.includes("privateKeyFile: server.key"));
    assert.ok(
      text.split("\n").filter((line) => line.trim().startsWith("#")).length >
        20,
    );

    const other = await createServerConfig(join(folder, "other.yaml"));
    assert.notDeepEqual(other.publicKey, created.publicKey);
    assert.notEqual(other.addresses[1], created.addresses[1]);

    // A file that is there is never touched.
    await assert.rejects(createServerConfig(path), Deno.errors.AlreadyExists);
    assert.equal(await Deno.readTextFile(path), text);
    assert.deepEqual(
      [...Deno.readDirSync(folder)].map(({ name }) => name).sort(),
      ["other.yaml", "server.yaml"],
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("every example loads without a warning", () => {
  let count = 0;
  for (const { name } of Deno.readDirSync(EXAMPLES)) {
    if (!/^server.*\.yaml$/.test(name)) continue;
    count++;
    const text = Deno.readTextFileSync(new URL(name, EXAMPLES));
    const { warnings } = parseServerConfig(text, {
      file: name,
      readKeyFile: () => KEY,
    });
    assert.deepEqual(warnings, [], name);
    assert.match(
      text,
      /^# yaml-language-server: \$schema=\.\/server\.schema\.json\n/,
      name,
    );
  }
  assert.ok(count > 0);
});

Deno.test("the example shows the true defaults", () => {
  const read = (text: string) =>
    parseServerConfig(text, { file: "a", readKeyFile: () => KEY }).config;
  const example = read(Deno.readTextFileSync(new URL("server.yaml", EXAMPLES)));
  const bare = read(
    "interface:\n  privateKeyFile: a\n  addresses: [10.66.0.1/24, 'fd66:5c1e::1/64']\n",
  );
  assert.deepEqual(example, bare);
});

Deno.test("what the example has in comments loads as well", () => {
  const text = Deno.readTextFileSync(new URL("server.yaml", EXAMPLES))
    .replace(/^ {2}# (amnezia:|publicEndpoint:)/gm, "  $1")
    .replace(/^ {2}# {3}(\S+: .*)$/gm, "    $1");
  const { config } = parseServerConfig(text, {
    file: "server.yaml",
    readKeyFile: () => KEY,
  });
  assert.equal(config.interface.amnezia?.Jc, 5);
  assert.deepEqual(config.interface.amnezia?.H4, {
    first: 400_000,
    last: 499_999,
  });
  assert.equal(config.interface.amnezia?.I1, "<b 0xc0ff><r 24><t>");
  assert.deepEqual(config.interface.publicEndpoint, {
    host: "vpn.example.org",
    port: 51820,
  });
});

Deno.test("the JSON schema matches the schema in code", () => {
  const kept = Deno.readTextFileSync(new URL("server.schema.json", EXAMPLES));
  assert.equal(
    kept,
    schemaText(serverSchema),
    "run: deno run -A scripts/schema.ts",
  );
  const { properties } = JSON.parse(kept);
  assert.equal(properties.interface.properties.listenPort.maximum, 65535);
  assert.equal(properties.interface.additionalProperties, false);
});
