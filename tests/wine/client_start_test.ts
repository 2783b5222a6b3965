/** How `sluice client` begins and ends on Windows: its kill switch, what a kill leaves, what it says where it can't. */
import assert from "node:assert/strict";
import type { ClientStatus } from "../../src/control/client_port.ts";
import { windowsPath } from "../../scripts/wine/place.ts";
import { SEEN } from "../support/client_lab.ts";
import { e2eTest } from "../support/e2e.ts";
import { hostState } from "../support/host_state.ts";
import { buildFwpuclnt } from "./support/fwpuclnt.ts";
import { ProbeProgram, seenAs } from "./support/probe_program.ts";
import {
  ask,
  CLIENT_NEEDS,
  config,
  configPath,
  makePlace,
  nameRules,
  sluice,
  startClient,
  tunnelsAreUp,
} from "./support/windows_client.ts";

await e2eTest({
  name:
    "windows client: killed, the next start and --reset undo what it left; a second one refuses to start",
  needs: CLIENT_NEEDS,
  run: async (lab) => {
    const { place, machine } = await makePlace(lab);
    const before = await hostState(place.host);
    const first = await startClient(place, machine, config(place));
    assert.equal((await nameRules(machine)).length, 1);
    const refused = await sluice(machine, "client", "-c", configPath(lab));
    assert.equal(refused.code, 1, refused.stderr);
    assert.match(refused.stderr, /a client runs already/);
    const early = await sluice(machine, "client", "--reset");
    assert.equal(early.code, 1, early.stderr);
    assert.match(early.stderr, /a client runs/);
    first.signal("SIGKILL");
    await first.waitForExit();
    assert.equal((await nameRules(machine)).length, 1, "it outlives a kill");

    const second = await startClient(place, machine, config(place));
    assert.match(second.text, /left by an earlier run: .*name resolution/);
    await tunnelsAreUp(second);
    const alpha = await ProbeProgram.start(machine, "alpha");
    assert.deepEqual(await alpha.ask(), seenAs(SEEN.wireguard));
    second.signal("SIGKILL");
    await second.waitForExit();
    const reset = await sluice(machine, "client", "--reset");
    assert.equal(reset.code, 0, reset.stderr);
    assert.match(reset.stderr, /name resolution/);
    assert.equal((await nameRules(machine)).length, 0);
    assert.deepEqual(await hostState(place.host), before);
    const again = await sluice(machine, "client", "--reset");
    assert.equal(again.stderr.trim(), "nothing was left");
    assert.deepEqual(await alpha.ask(), seenAs(SEEN.direct));
  },
});

await e2eTest({
  name:
    "windows client: a kill switch that can't be had is no start, and leaves nothing",
  needs: CLIENT_NEEDS,
  run: async (lab) => {
    const { place, machine } = await makePlace(lab);
    const before = await hostState(place.host);
    await Deno.writeTextFile(
      configPath(lab),
      JSON.stringify({ ...config(place), killSwitch: {} }),
    );
    const refused = await sluice(machine, "client", "-c", configPath(lab));
    assert.equal(refused.code, 1, refused.stderr);
    assert.match(
      refused.stderr,
      /^error: the kill switch: this system has no Windows Filtering Platform$/m,
    );
    assert.match(refused.stderr, /or set killSwitch\.enabled: false$/m);
    assert.deepEqual(await hostState(place.host), before);
    assert.equal((await nameRules(machine)).length, 0);
  },
});

const BEFORE_CAPTURE = [
  "DHCP",
  "kill switch",
  "loopback",
  "neighbour discovery",
  "open ports",
  "sluice",
];

/** What the filter engine was given: kinds of filters after each step, and what is there now. */
async function filtersOf(
  log: string,
): Promise<{ kinds: string[][]; left: string[] }> {
  const filters = new Map<string, string>();
  const kinds: string[][] = [];
  for (const line of (await Deno.readTextFile(log)).trim().split(/\r?\n/)) {
    const made = line.match(/^filter (\d+) dynamic «sluice: ([^»]*)»/);
    const deleted = line.match(/^delete filter (\d+)$/);
    if (made !== null) filters.set(made[1], made[2]);
    if (deleted !== null) filters.delete(deleted[1]);
    // What belongs to a session goes with it.
    if (line === "close dynamic") filters.clear();
    if (line !== "commit") continue;
    const now = [...new Set(filters.values())].sort();
    if (now.length > 0) kinds.push(now);
  }
  return { kinds, left: [...filters.values()] };
}

await e2eTest({
  name:
    "windows client: the kill switch comes first, knows the capture once it is there, and goes last",
  needs: CLIENT_NEEDS,
  run: async (lab) => {
    const log = `${lab.directory}/wfp.log`;
    const { place, machine } = await makePlace(lab, {
      env: {
        SLUICE_TEST_FWPUCLNT: windowsPath(await buildFwpuclnt()),
        SLUICE_TEST_WFP_LOG: windowsPath(log),
      },
    });
    const client = await startClient(place, machine, {
      ...config(place),
      killSwitch: {},
      capture: {},
    });
    // The driver that captures packets on their way is not there.
    await client.waitForLine(/packets come by an interface: .*ndis/i);
    await tunnelsAreUp(client);
    const status = await ask<ClientStatus>(machine, "status", "--json");
    assert.equal(status.killSwitch, "on");
    const alpha = await ProbeProgram.start(machine, "alpha");
    assert.deepEqual(await alpha.ask(), seenAs(SEEN.wireguard));
    const engaged = await filtersOf(log);
    // At first there is no capture: nothing leaves but what sluice sends.
    assert.deepEqual(engaged.kinds[0], BEFORE_CAPTURE);
    assert.deepEqual(engaged.kinds.at(-1), [...BEFORE_CAPTURE, "to sluice1"]);
    assert.equal(await client.stop(), 0, client.tail());
    assert.deepEqual((await filtersOf(log)).left, []);
  },
});

await e2eTest({
  name:
    "windows client: what is wrong in a config, and which driver is not there, is said with its place",
  needs: CLIENT_NEEDS,
  run: async (lab) => {
    const { place, machine } = await makePlace(lab);
    const before = await hostState(place.host);
    const missing = await sluice(machine, "client", "-c", "none.yaml");
    assert.equal(missing.code, 2, missing.stderr);
    assert.match(missing.stderr, /^error: there is no config none\.yaml$/m);
    await Deno.writeTextFile(configPath(lab), "default: nowhere\n");
    const wrong = await sluice(machine, "client", "-c", configPath(lab));
    assert.equal(wrong.code, 2, wrong.stderr);
    assert.match(wrong.stderr, /client\.yaml:1:\d+: default: /);
    const status = await sluice(machine, "status");
    assert.equal(status.code, 1, status.stderr);
    assert.match(
      status.stderr,
      /^error: no client runs here: nobody listens at /m,
    );
    await Deno.remove(machine.deno.replace(/deno\.exe$/, "wintun.dll"));
    await Deno.writeTextFile(
      configPath(lab),
      JSON.stringify({ ...config(place), capture: {} }),
    );
    const bare = await sluice(machine, "client", "-c", configPath(lab));
    assert.equal(bare.code, 1, bare.stderr);
    assert.match(bare.stderr, /^error: .*wintun\.dll/m);
    assert.match(bare.stderr, /https:\/\/www\.wintun\.net/);
    const ndis = { ...config(place), capture: { mode: "ndis" } };
    await Deno.writeTextFile(configPath(lab), JSON.stringify(ndis));
    const refused = await sluice(machine, "client", "-c", configPath(lab));
    assert.equal(refused.code, 1, refused.stderr);
    assert.match(refused.stderr, /^error: .*ndisapi/im);
    assert.deepEqual(await hostState(place.host), before);
    assert.equal((await nameRules(machine)).length, 0);
  },
});
