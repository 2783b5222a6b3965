/** `sluice client` on Windows by a Wintun adapter and routes: each program by its own way. */
import assert from "node:assert/strict";
import type {
  ClientStatus,
  ExplainAnswer,
  FlowView,
} from "../../src/control/client_port.ts";
import { windowsPath } from "../../scripts/wine/place.ts";
import { Capture, type CapturedPacket } from "../support/capture.ts";
import { SEEN } from "../support/client_lab.ts";
import { e2eTest } from "../support/e2e.ts";
import { OUTSIDE } from "../support/gateway_net.ts";
import { hostState } from "../support/host_state.ts";
import { waitFor } from "../support/wait.ts";
import type { WineMachine } from "./support/machine.ts";
import {
  IN_VAIN,
  NOTHING,
  ProbeProgram,
  seenAs,
} from "./support/probe_program.ts";
import type { ProbeQuestion } from "./support/way_probe.ts";
import {
  ask,
  CLIENT_NEEDS,
  config,
  makePlace,
  sluice,
  startClient,
  tunnelsAreUp,
} from "./support/windows_client.ts";

/** As the system has it, but for its case. */
const USER = `${Deno.hostname().toLowerCase()}\\Root`;

await e2eTest({
  name:
    "windows client: three programs at once by WireGuard, SOCKS5 and direct, TCP, UDP and DNS, both families",
  needs: CLIENT_NEEDS,
  run: async (lab) => {
    const { place, machine } = await makePlace(lab);
    const before = await hostState(place.host);
    const client = await startClient(place, machine, config(place));
    await tunnelsAreUp(client);
    const names = ["alpha", "beta", "gamma", "delta"] as const;
    const probes = await Promise.all(
      names.map((name) => ProbeProgram.start(machine, name)),
    );
    const askAll = (question: Partial<ProbeQuestion>) =>
      Promise.all(
        probes.map((probe, n) =>
          probe.ask({ ...question, ...(names[n] === "delta" ? IN_VAIN : {}) })
        ),
      );
    const [a4, b4, c4, d4] = await askAll({});
    assert.deepEqual(a4, seenAs(SEEN.wireguard));
    assert.deepEqual(b4, seenAs(SEEN.proxy));
    assert.deepEqual(c4, seenAs(SEEN.direct));
    assert.deepEqual(d4, NOTHING);

    const six = { address: OUTSIDE.first6, resolver: OUTSIDE.first6 };
    const [a6, b6, c6, d6] = await askAll(six);
    assert.deepEqual(a6, seenAs(SEEN.wireguard6));
    assert.deepEqual(b6, seenAs(SEEN.proxy6));
    assert.deepEqual(c6, seenAs(SEEN.direct6));
    assert.deepEqual(d6, NOTHING);

    const status = await ask<ClientStatus>(machine, "status", "--json");
    assert.equal(status.killSwitch, "off");
    assert.equal(status.egress4, "out");
    assert.deepEqual(
      status.tunnels.map(({ name, state }) => [name, state]),
      [["wg", "up"], ["socks", "up"]],
    );
    const flows = await ask<FlowView[]>(machine, "flows", "--json");
    assert.deepEqual(waysOf(flows), {
      "alpha.exe": "tunnel by rule 1",
      "beta.exe": "tunnel by rule 2",
      "gamma.exe": "direct by default",
      "delta.exe": "drop by rule 3",
    });
    const { program } = flows.find(({ program }) =>
      program?.name === "gamma.exe"
    )!;
    assert.match(program!.path!, /^Z:\\.*\\program\\gamma\.exe$/);
    const explained = await ask<ExplainAnswer>(
      machine,
      ...["explain", "--json", program!.path!.toUpperCase(), "192.0.2.1:443"],
    );
    assert.match(JSON.stringify(explained.explanation), /"direct"/);
    assert.equal(await client.stop(), 0, client.tail());
    assert.deepEqual(await hostState(place.host), before);
  },
});

/** The full path of a probing program. */
function programPath(machine: WineMachine, name: string): string {
  return windowsPath(machine.deno.replace(/deno\.exe$/, `${name}.exe`));
}

/** How the flows of each probing program go. */
function waysOf(flows: readonly FlowView[]): Record<string, string> {
  const ways = flows.flatMap(({ program, way, by }) =>
    program === undefined || program.name === "deno.exe"
      ? []
      : [[program.name, `${way} by ${by}`] as const]
  );
  return Object.fromEntries(ways);
}

/** Where an IPv4 packet goes; undefined for others. */
function ipv4Destination({ bytes }: CapturedPacket): string | undefined {
  return bytes[0] >>> 4 === 4 ? bytes.subarray(16, 20).join(".") : undefined;
}

/** Whether programs of the scenarios ask there. */
function isOutside(address: string | undefined): boolean {
  return address?.startsWith("198.51.100.") === true;
}

await e2eTest({
  name:
    "windows client: a program whose tunnel is down sends nothing; with allowDirect it goes direct, and back",
  needs: [...CLIENT_NEEDS, { program: "tcpdump" }],
  run: async (lab) => {
    const { place, machine } = await makePlace(lab);
    const client = await startClient(place, machine, {
      ...config(place),
      rules: [
        { path: programPath(machine, "ALPHA"), tunnel: "wg" },
        { process: "beta.exe", tunnel: "socks", fallback: "allowDirect" },
        { user: USER, process: "gamma.exe", tunnel: "wg" },
      ],
    });
    await tunnelsAreUp(client);
    const [alpha, beta, gamma] = await Promise.all(
      ["alpha", "beta", "gamma"].map((name) =>
        ProbeProgram.start(machine, name)
      ),
    );
    assert.deepEqual(await alpha.ask(), seenAs(SEEN.wireguard));
    assert.deepEqual(await beta.ask(), seenAs(SEEN.proxy));
    assert.deepEqual(await gamma.ask(), seenAs(SEEN.wireguard));
    for (const name of ["wg", "socks"]) {
      const { code, stderr } = await sluice(machine, "tunnel", "down", name);
      assert.equal(code, 0, stderr);
    }
    const wire = await Capture.start(place.net.router, "in");
    assert.deepEqual(await alpha.ask(IN_VAIN), NOTHING);
    assert.deepEqual(await gamma.ask(IN_VAIN), NOTHING);
    const packets = await wire.stop();
    assert.deepEqual(packets.map(ipv4Destination).filter(isOutside), []);
    assert.deepEqual(await beta.ask(), seenAs(SEEN.direct));
    for (const name of ["wg", "socks"]) {
      await sluice(machine, "tunnel", "up", name);
      await waitFor(
        `tunnel ${name}`,
        () => client.text.split(`${name} is up`).length > 2,
        { timeoutMs: 30_000 },
      );
    }
    assert.deepEqual(await alpha.ask(), seenAs(SEEN.wireguard));
    assert.deepEqual(await beta.ask(), seenAs(SEEN.proxy));
    assert.equal(await client.stop(), 0, client.tail());
  },
});
