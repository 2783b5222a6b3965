/** `sluice client` on Windows by a Wintun adapter and routes: each program by its own way. */
import assert from "node:assert/strict";
import type {
  ClientStatus,
  ExplainAnswer,
  FlowView,
} from "../../src/control/client_port.ts";
import { windowsPath } from "../../scripts/wine/place.ts";
import { Capture, type CapturedPacket } from "../support/capture.ts";
import {
  CLIENT_ENV,
  type ClientLab,
  makeClientLab,
  PLACES,
  SEEN,
  wireguardTunnel,
} from "../support/client_lab.ts";
import { Agent } from "../support/agent.ts";
import { e2eTest } from "../support/e2e.ts";
import { OUTSIDE } from "../support/gateway_net.ts";
import { hostState } from "../support/host_state.ts";
import type { Lab } from "../support/lab.ts";
import type { CommandResult, LoggedProcess } from "../support/process.ts";
import { spawnSluice } from "../support/sluice.ts";
import { waitFor } from "../support/wait.ts";
import { startDanteIn } from "../support/tun2socks.ts";
import {
  IN_VAIN,
  NOTHING,
  ProbeProgram,
  seenAs,
} from "./support/probe_program.ts";
import type { ProbeQuestion } from "./support/way_probe.ts";
import type { WineMachine } from "./support/machine.ts";
import { buildFwpuclnt } from "./support/fwpuclnt.ts";
import { startWindowsHost } from "./support/windows_host.ts";

const NEEDS = [
  "wine",
  "tun",
  "wireguard-go",
  { program: "wg" },
  { program: "danted" },
] as const;
const PROXY_PORT = 1080;
const MAIN = new URL("../../main.ts", import.meta.url).pathname;
/** As the system has it, but for its case. */
const USER = `${Deno.hostname().toLowerCase()}\\Root`;
const NAME_RULES =
  "HKLM\\SYSTEM\\CurrentControlSet\\Services\\Dnscache\\Parameters\\DnsPolicyConfig";

function configPath(lab: Lab): string {
  return `${lab.directory}/client.yaml`;
}

/** The lab's host as a Windows machine, and a proxy. */
async function makePlace(
  lab: Lab,
  { env, prepare }: {
    readonly env?: Readonly<Record<string, string>>;
    readonly prepare?: (place: ClientLab) => Promise<void>;
  } = {},
): Promise<{ place: ClientLab; machine: WineMachine }> {
  const place = await makeClientLab(lab);
  await startDanteIn(place.proxies, {
    address: PLACES.proxies,
    port: PROXY_PORT,
    external: ["eth0"],
  });
  await prepare?.(place);
  return { place, machine: await startWindowsHost(place.host, env) };
}

function config(place: ClientLab): Record<string, unknown> {
  const dns = [PLACES.tunnelDns, OUTSIDE.first6];
  return {
    tunnels: [
      { ...wireguardTunnel(place), dns },
      {
        name: "socks",
        type: "socks5",
        url: `socks5://${PLACES.proxies}:${PROXY_PORT}`,
        dns,
      },
    ],
    rules: [
      { process: "ALPHA.exe", tunnel: "wg" },
      { process: "beta.exe", tunnel: "socks" },
      { process: "delta.exe", tunnel: "drop" },
    ],
    default: "direct",
    capture: { mode: "wintun" },
    killSwitch: { enabled: false },
  };
}

async function startClient(
  { lab }: ClientLab,
  machine: WineMachine,
  value: Record<string, unknown>,
): Promise<LoggedProcess> {
  const path = configPath(lab);
  await Deno.writeTextFile(path, JSON.stringify(value));
  const client = machine.spawnSluice([
    ...["client", "-c", path, "--log-level", "debug"],
  ], { env: CLIENT_ENV });
  await client.waitForLine(/client up:/, { timeoutMs: 60_000 });
  return client;
}

async function tunnelsAreUp(
  client: LoggedProcess,
  names: readonly string[] = ["wg", "socks"],
): Promise<void> {
  for (const name of names) {
    await client.waitForLine(new RegExp(`${name}.* up\\b`), {
      timeoutMs: 30_000,
    });
  }
}

/** Runs `sluice ARGS` beside the client. */
function sluice(
  machine: WineMachine,
  ...args: readonly string[]
): Promise<CommandResult> {
  return machine.run(machine.denoRun(MAIN, ...args), {
    env: CLIENT_ENV,
    exit: "any",
    timeoutMs: 30_000,
  });
}

/** Asks the running client by its pipe. */
async function ask<Answer>(
  machine: WineMachine,
  ...args: readonly string[]
): Promise<Answer> {
  const { stdout, stderr, code } = await sluice(machine, ...args);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

/** Rules of the system's name resolution policy. */
async function nameRules(machine: WineMachine): Promise<string[]> {
  const { stdout } = await machine.run(["reg.exe", "query", NAME_RULES], {
    exit: "any",
  });
  return stdout.split("\n").map((line) => line.trim())
    .filter((line) => line.endsWith("}"));
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
    "windows client: three programs at once by WireGuard, SOCKS5 and direct, TCP, UDP and DNS, both families",
  needs: NEEDS,
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

await e2eTest({
  name:
    "windows client: a program whose tunnel is down sends nothing; with allowDirect it goes direct, and back",
  needs: [...NEEDS, { program: "tcpdump" }],
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

await e2eTest({
  name:
    "windows client: killed, the next start and --reset undo what it left; a second one refuses to start",
  needs: NEEDS,
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
    "windows client: a kill switch that can't be had is no start; without it there is one",
  needs: NEEDS,
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
  needs: NEEDS,
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
  needs: NEEDS,
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

await e2eTest({
  name:
    "windows client: the name of a tunnel's other end is found outside of the tunnel that all is led into; pings tell that it carries",
  needs: NEEDS,
  run: async (lab) => {
    const { place, machine } = await makePlace(lab);
    const resolver = await Agent.start(place.vpn);
    const name = "vpn.example";
    await resolver.call("dnsServe", {
      address: PLACES.vpn,
      addresses: { [name]: PLACES.vpn },
    });
    const { killSwitch, capture } = config(place);
    const wireguard = wireguardTunnel(place);
    const client = await startClient(place, machine, {
      tunnels: [{
        ...wireguard,
        dns: [PLACES.tunnelDns],
        health: { probe: "ping", target: "10.66.0.1", interval: "1s" },
        peers: (wireguard.peers as Record<string, unknown>[]).map((peer) => ({
          ...peer,
          endpoint: `${name}:${PLACES.vpnPort}`,
        })),
      }],
      default: "wg",
      dns: { direct: [PLACES.vpn] },
      ...{ killSwitch, capture },
    });
    await tunnelsAreUp(client, ["wg"]);
    const alpha = await ProbeProgram.start(machine, "alpha");
    assert.deepEqual(await alpha.ask(), seenAs(SEEN.wireguard));
    await place.vpn.ip("link set wg0 down");
    await client.waitForLine(/wg is down: .*does not answer pings/, {
      timeoutMs: 30_000,
    });
    assert.equal(await client.stop(), 0, client.tail());
  },
});

await e2eTest({
  name: "windows leaktest: no leak with a client that works",
  needs: NEEDS,
  run: async (lab) => {
    const { place, machine } = await makePlace(lab);
    const peer = spawnSluice(place.net.internet, "leaktest", {
      args: [
        ...["leaktest", "--serve", "--port", "7737", "--dns-port", "5353"],
        ...["--listen", OUTSIDE.first, "--listen", OUTSIDE.first6],
      ],
    });
    await peer.waitForLine(/leak test peer at/);
    const client = await startClient(place, machine, config(place));
    await tunnelsAreUp(client);
    const test = await sluice(
      machine,
      ...["leaktest", OUTSIDE.first, OUTSIDE.first6, "--json"],
      ...["--as", "alpha", "--as", "delta.exe", "--dns-port", "5353"],
    );
    assert.equal(test.code, 0, test.stdout + test.stderr);
    const { direct, results } = JSON.parse(test.stdout);
    assert.deepEqual(direct, { 4: SEEN.direct, 6: SEEN.direct6 });
    const seen: Record<string, string[]> = {};
    for (const { probe, sources } of results) {
      const { program, kind, family } = probe;
      seen[`${program} ${kind} ${family}`] = sources;
    }
    for (const kind of ["TCP", "UDP", "UDP fragments", "DNS"]) {
      assert.deepEqual(seen[`alpha.exe ${kind} 4`], [SEEN.wireguard], kind);
      assert.deepEqual(seen[`alpha.exe ${kind} 6`], [SEEN.wireguard6], kind);
      assert.deepEqual(seen[`delta.exe ${kind} 4`], [], kind);
      assert.deepEqual(
        seen[`sluice-leaktest-unmatched.exe ${kind} 4`],
        [SEEN.direct],
        kind,
      );
    }
    assert.equal(await client.stop(), 0, client.tail());
  },
});

await e2eTest({
  name:
    "windows client: the network becomes another one, tunnel, proxy and direct traffic go on there",
  needs: NEEDS,
  run: async (lab) => {
    const other = "10.5.0.1";
    const { place, machine } = await makePlace(lab, {
      prepare: async ({ net, host }) => {
        await lab.link(
          { namespace: host, name: "out2", addresses: [`${other}/24`] },
          { namespace: net.router, name: "in2", addresses: ["10.5.0.2/24"] },
        );
        await host.ip("route add default via 10.5.0.2 dev out2 metric 5");
      },
    });
    const client = await startClient(place, machine, config(place));
    await tunnelsAreUp(client);
    const [alpha, beta, gamma] = await Promise.all(
      ["alpha", "beta", "gamma"].map((name) =>
        ProbeProgram.start(machine, name)
      ),
    );
    assert.deepEqual(await alpha.ask(), seenAs(SEEN.wireguard));
    assert.deepEqual(await gamma.ask(), seenAs(SEEN.direct));
    await place.host.ip("link set out down");
    await client.waitForLine(/the network is another one: IPv4 by out2/, {
      timeoutMs: 30_000,
    });
    await waitFor("all to go on", async () => {
      const [a, b, c] = await Promise.all([
        alpha.ask(),
        beta.ask(),
        gamma.ask(),
      ]);
      return a.tcp === SEEN.wireguard && a.udp === SEEN.wireguard &&
        b.tcp === SEEN.proxy && b.udp === SEEN.proxy && c.tcp === other &&
        c.udp === other;
    }, { timeoutMs: 60_000 });
    const status = await ask<ClientStatus>(machine, "status", "--json");
    assert.equal(status.egress4, "out2");
    assert.equal(await client.stop(), 0, client.tail());
  },
});
