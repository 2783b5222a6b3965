/** The examples in config/ load, and do what their first lines say. */
import assert from "node:assert/strict";
import type { FlowFacts } from "../../src/core/route/rules/facts.ts";
import { RuleEngine } from "../../src/core/route/rules/rule_engine.ts";
import { clientSchema } from "../../src/config/client_schema.ts";
import { parseClientConfig } from "../../src/config/load_client_config.ts";
import { schemaText } from "../../scripts/schema.ts";
import { flow, owner, tunnel } from "../core/route/rules/samples.ts";
import { parse } from "./client_text.ts";

const EXAMPLES = new URL("../../config/", import.meta.url);

function read(name: string): string {
  return Deno.readTextFileSync(new URL(name, EXAMPLES));
}

function load(name: string) {
  const loaded = parseClientConfig(read(name), {
    file: name,
    readFile: () => assert.fail("an example names a file"),
  });
  assert.deepEqual(loaded.warnings, []);
  assert.match(
    loaded.text,
    /^# yaml-language-server: \$schema=\.\/client\.schema\.json\n/,
  );
  return loaded.config;
}

/** Where a flow goes by an example, its tunnel up. */
function way(name: string, facts: FlowFacts): string {
  const engine = new RuleEngine(load(name).rules, { style: "posix" });
  const up = new Map(["vpn", "proxy"].map((key) => [key, tunnel("up")]));
  const verdict = engine.decide(facts, up);
  return verdict.way === "tunnel" ? verdict.tunnel : verdict.way;
}

function from(path: string, parents: string[] = []): FlowFacts {
  return flow("203.0.113.5", { owner: owner(path, { parents }) });
}

Deno.test("client.yaml shows the defaults", () => {
  const { tunnels, rules, ...shown } = load("client.yaml");
  const { config } = parse("default: direct\n");
  const { tunnels: none, rules: plain, ...defaults } = config;
  assert.deepEqual(shown, defaults);
  assert.deepEqual(rules.policies, plain.policies);
  assert.equal(none.length, 0);
  const [proxy] = parse(`default: direct
tunnels: [{ name: proxy, type: socks5, url: "socks5://127.0.0.1:1080" }]
`).config.tunnels;
  const [{ health, dns }] = tunnels;
  const probe = { kind: "dns", server: dns[0], name: "example.com" };
  assert.deepEqual(health, { ...proxy.health, probe });
});

Deno.test("what client.yaml has in comments loads as well", () => {
  const key = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
  const text = read("client.yaml").replaceAll("<base64>", key)
    .replace(
      /^( *)# ((?:- name| {2}\w+:| {4,}(?:- )?\w+:|control:).*)$/gm,
      "$1$2",
    );
  assert.match(text, /^ {2}- name: office$/m);
  const { config } = parse(text, {
    "home.conf": `[Interface]
PrivateKey = ${key}
Address = 10.8.0.2/24
[Peer]
PublicKey = ${key}
Endpoint = vpn.example.org:1
`,
  });
  assert.deepEqual(config.tunnels.map(({ name }) => name), [
    "home",
    "office",
    "proxy",
  ]);
  assert.equal(config.controlSocket, "/run/sluice/client.sock");
});

Deno.test("there is no example that is not loaded here", () => {
  const names = [...Deno.readDirSync(EXAMPLES)].map(({ name }) => name)
    .filter((name) => /^client.*\.yaml$/.test(name)).sort();
  assert.deepEqual(names, [
    "client.yaml",
    "client_exclude.yaml",
    "client_include.yaml",
  ]);
});

Deno.test("include mode: only the named programs and what they start", () => {
  const file = "client_include.yaml";
  assert.equal(way(file, from("/usr/bin/firefox")), "vpn");
  assert.equal(way(file, from("/usr/bin/curl", ["/usr/bin/firefox"])), "vpn");
  assert.equal(way(file, from("/usr/bin/curl")), "direct");
});

Deno.test("exclude mode: all but the named programs and what they start", () => {
  const file = "client_exclude.yaml";
  assert.equal(way(file, from("/usr/bin/steam")), "direct");
  assert.equal(way(file, from("/opt/game", ["/usr/bin/steam"])), "direct");
  assert.equal(way(file, from("/usr/bin/curl")), "vpn");
});

Deno.test("both take three lines", () => {
  for (const name of ["client_include.yaml", "client_exclude.yaml"]) {
    const lines = read(name).trimEnd().split("\n");
    assert.equal(lines.filter((line) => !line.startsWith("#")).length, 3);
  }
});

Deno.test("the JSON schema matches the schema in code", () => {
  const kept = read("client.schema.json");
  assert.equal(kept, schemaText(clientSchema), "run: deno task schema");
  const { required, properties } = JSON.parse(kept);
  assert.deepEqual(required, ["default"]);
  assert.equal(properties.rules.items.properties.children.type, "boolean");
});
