import assert from "node:assert/strict";
import { changeClientConfig } from "../../src/cli/client_config_change.ts";
import { parse, PROXY } from "../config/client_text.ts";

const TUNNELS = `tunnels: [${PROXY}]\ndefault: direct\n`;
const config = (more = "") => parse(TUNNELS + more).config;

Deno.test("the same configuration changes nothing", () => {
  const change = changeClientConfig(config(), config());
  assert.deepEqual(change, {
    config: config(),
    killSwitch: "same",
    lines: [],
  });
});

Deno.test("what is made at the start stays in force, and says that it needs a restart", () => {
  const wanted = config(
    "capture: { maxFlows: 700 }\ncontrol: { socket: /run/other.sock }\nlog: { level: debug }\n",
  );
  const before = config();
  const { config: inForce, lines } = changeClientConfig(before, wanted);
  assert.deepEqual(inForce.capture, before.capture);
  assert.equal(inForce.controlSocket, before.controlSocket);
  assert.deepEqual(
    lines,
    ["capture", "controlSocket", "log"].map((section) =>
      `a change of ${section} needs a restart`
    ),
  );
  // It is compared with what is in force, not with what was wanted last.
  const again = changeClientConfig(inForce, wanted);
  assert.deepEqual(again.lines, lines.slice(0, 2));
});

Deno.test("the kill switch changes at once, but for routes of its own", () => {
  const other = config("killSwitch: { enabled: false }\n");
  const change = changeClientConfig(config(), other);
  assert.deepEqual([change.killSwitch, change.lines], ["changed", []]);
  assert.equal(change.config.killSwitch.enabled, false);
  const { killSwitch: { allowLan } } = config();
  const near = config(`killSwitch: { allowLan: ${!allowLan} }\n`);
  const lan = changeClientConfig(config(), near);
  assert.deepEqual([lan.killSwitch, lan.lines], ["changed", [
    "killSwitch.allowLan: its routes need a restart",
  ]]);
});

Deno.test("how fragments are taken is settled at the start", () => {
  const { lines, config: inForce } = changeClientConfig(
    config("fragments: follow\n"),
    config("fragments: drop\n"),
  );
  assert.deepEqual(lines, ["a change of fragments needs a restart"]);
  assert.equal(inForce.rules.policies.fragments, "drop");
});
