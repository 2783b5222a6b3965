/**
 * Damaged client.yaml and .conf files: they load, or are refused with places
 * within the file; nothing else is thrown. Seeds are fixed, so runs repeat.
 */
import assert from "node:assert/strict";
import { importConf } from "../../src/config/import_conf.ts";
import { parseClientConfig } from "../../src/config/load_client_config.ts";
import { ConfigError, type ConfigProblem } from "../../src/config/problems.ts";
import {
  confText,
  inlineTunnel,
  PRIVATE_KEY,
  PROXY,
} from "../config/client_text.ts";
import { SeededRandom } from "../core/columns/seeded_random.ts";

const YAML = `default: proxy
tunnels:
  - ${PROXY}
  - ${inlineTunnel("office")}
  - { name: home, type: wireguard, file: home.conf }
rules:
  - process: [firefox, "*chrome*"]
    directory: /opt
    path: "/opt/**"
    user: [anna, 1000]
    children: true
    destination: [10.0.0.0/8, "2001:db8::/32", "*.example.org"]
    ports: [443, 8000-8080]
    protocol: [tcp, udp]
    tunnel: office
    fallback: nextRule
unknownOwner: nextRule
ipv6: fallback
killSwitch: { persist: true }
dns: { direct: [1.1.1.1], learned: { minTtl: 5m } }
reconnect: { minDelay: 1s }
`;
const CONF = confText({ more: "Jc = 4\n#@ws:BypassLanTraffic = true\n" }) +
  "#@ws:AllowedApps = chrome, C:\\x\\, /usr/bin/a\n" +
  "#@ws:DisallowedIPs = 10.0.0.0/8, ::1\n";
const PIECES = [
  "{",
  "]",
  "- ",
  ": ",
  "\n",
  "#",
  "&a ",
  "*a",
  "<<: ",
  "null",
  "[]",
  "{}",
  "-1",
  "1e999",
  "=",
  ",",
  "/",
  "*",
  '"',
  "\t",
  "\u0000",
  "é",
  "__proto__: x",
  "tunnel",
  "default",
];

/** The text with a few pieces put in, taken out or moved. */
function damage(text: string, random: SeededRandom): string {
  let damaged = text;
  for (let n = random.below(2); n >= 0; n--) {
    const at = random.below(damaged.length + 1);
    const length = random.below(3) * random.below(6);
    const piece = random.below(3) === 0
      ? text.substr(random.below(text.length), random.below(40))
      : PIECES[random.below(PIECES.length)];
    damaged = damaged.slice(0, at) + piece + damaged.slice(at + length);
  }
  return damaged;
}

function checkPlaces(
  problems: readonly ConfigProblem[],
  texts: Readonly<Record<string, string>>,
): void {
  assert.ok(problems.length > 0);
  for (const { file, line, message } of problems) {
    assert.ok(line <= texts[file].split("\n").length + 1, `${file}:${line}`);
    // What the YAML parser stumbles over may be the key.
    const shown = message.startsWith("YAML:") && message.includes(PRIVATE_KEY);
    assert.ok(!shown, message);
  }
}

Deno.test("damaged client.yaml", () => {
  const random = new SeededRandom(41);
  const readFile = () => confText();
  parseClientConfig(YAML, { file: "client.yaml", readFile });
  const outcomes = { loaded: 0, refused: 0 };
  for (let round = 0; round < 2500; round++) {
    const text = damage(YAML, random);
    const conf = random.below(4) === 0 ? damage(CONF, random) : confText();
    try {
      const { config } = parseClientConfig(text, {
        file: "client.yaml",
        readFile: () => conf,
      });
      assert.ok(config.rules.rules.length >= 0);
      outcomes.loaded++;
    } catch (error) {
      if (!(error instanceof ConfigError)) {
        throw new Error(`thrown for\n${text}`, { cause: error });
      }
      outcomes.refused++;
      const named = error.problems.map(({ file }) => file);
      const texts = Object.fromEntries(
        named.map((file) => [file, file === "client.yaml" ? text : conf]),
      );
      checkPlaces(error.problems, texts);
    }
  }
  assert.ok(
    outcomes.loaded > 50 && outcomes.refused > 50,
    JSON.stringify(outcomes),
  );
});

Deno.test("damaged .conf files: what is imported loads", () => {
  const random = new SeededRandom(42);
  let imported = 0;
  for (let round = 0; round < 2500; round++) {
    const text = damage(CONF, random);
    try {
      const made = importConf(text, { file: "a.conf", name: "vpn" });
      imported++;
      parseClientConfig(made.text, {
        file: "client.yaml",
        readFile: () => assert.fail("names a file"),
      });
    } catch (error) {
      if (!(error instanceof ConfigError)) {
        throw new Error(`thrown for\n${text}`, { cause: error });
      }
      const [{ file, message }] = error.problems;
      assert.equal(file, "a.conf", `${message}, for\n${text}`);
      checkPlaces(error.problems, { "a.conf": text });
    }
  }
  assert.ok(imported > 100);
});
