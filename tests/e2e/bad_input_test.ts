/** What can't work says so: one message with what to do, an exit code, nothing left behind. */
import assert from "node:assert/strict";
import { Agent } from "../support/agent.ts";
import { e2eTest } from "../support/e2e.ts";
import { hostState } from "../support/host_state.ts";
import { generateKeyPair } from "../support/keys.ts";
import type { Lab, Namespace } from "../support/lab.ts";
import type { Need } from "../support/privileges.ts";
import {
  type ConfigPart,
  PORT,
  runSluice,
  serverConfig,
} from "../support/sluice.ts";
import { prepareUnprivileged } from "../support/unprivileged.ts";

/** Exit codes: it failed; the input can't be used. */
const FAILURE = 1, USAGE = 2;

interface StartCase {
  readonly name: string;
  readonly needs?: readonly Need[];
  /** Makes the trouble. */
  readonly prepare: (namespace: Namespace) => Promise<unknown>;
  readonly message: RegExp;
  /** What the user is told to do. */
  readonly advice: RegExp;
}

const START_CASES: readonly StartCase[] = [
  {
    name: "no /dev/net/tun",
    prepare: (namespace) =>
      namespace.run(["mount", "-t", "tmpfs", "lab", "/dev/net"]),
    message: /there is no \/dev\/net\/tun/,
    advice: /modprobe tun/,
  },
  {
    name: "port in use",
    prepare: async (namespace) => {
      const agent = await Agent.start(namespace);
      await agent.call("udpOpen", { port: PORT });
    },
    message: /51820.*in use|in use.*51820/,
    advice: /listenPort/,
  },
  {
    name: "interface name taken",
    prepare: (namespace) =>
      namespace.ip("link add sluice0 type veth peer name other"),
    message: /there is an interface sluice0 already/,
    advice: /interface\.name/,
  },
];

for (const { name, needs = [], prepare, message, advice } of START_CASES) {
  await e2eTest({
    name: `bad input: ${name}`,
    needs: ["tun", ...needs],
    run: async (lab) => {
      const namespace = await lab.namespace("gateway");
      const path = await writeConfig(lab, {});
      await prepare(namespace);
      const before = await hostState(namespace);
      const { code, stdout, stderr } = await runSluice(
        namespace,
        ["server", "-c", path],
        { timeoutMs: 8000 },
      );
      assert.equal(code, FAILURE, stderr);
      assert.equal(stdout, "");
      assert.match(stderr, message);
      assert.match(stderr, advice);
      assert.doesNotMatch(stderr, /\n\s+at .*\.ts:/, "no stack trace");
      assert.deepEqual(await hostState(namespace), before);
    },
  });
}

await e2eTest({
  name: "bad input: no root",
  needs: ["tun", "root"],
  run: async (lab) => {
    const namespace = await lab.namespace("gateway");
    const user = await prepareUnprivileged(namespace);
    const path = await writeConfig(lab, {}, 0o644);
    const { code, stderr } = await runSluice(
      namespace,
      ["server", "-c", path],
      { user, timeoutMs: 8000 },
    );
    assert.equal(code, FAILURE, stderr);
    assert.match(stderr, /CAP_NET_ADMIN/);
    assert.match(stderr, /as root/);
    assert.match(stderr, /tun: none/);
  },
});

await e2eTest({
  name: "bad input: a key file that may not be read",
  needs: ["root"],
  run: async (lab) => {
    const namespace = await lab.namespace("gateway");
    const user = await prepareUnprivileged(namespace);
    await lab.write("server.key", "secret", 0o600);
    const path = await writeConfig(lab, {
      interface: { privateKey: undefined, privateKeyFile: "server.key" },
    }, 0o644);
    const { code, stderr } = await runSluice(
      namespace,
      ["server", "-c", path],
      { user },
    );
    assert.equal(code, USAGE, stderr);
    assert.match(stderr, /server\.key/);
    assert.match(stderr, /denied|may not be read|can't be read/i);
  },
});

interface ConfigCase {
  readonly name: string;
  /** A part over a good config, or the whole text. */
  readonly config: ConfigPart | string;
  /** Each must match a line of its own. */
  readonly lines: readonly RegExp[];
}

const POSITION = String.raw`server\.yaml:[0-9]+:[0-9]+`;
const KEY = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

function peer(name: string, address: string, fill: number): ConfigPart {
  return {
    name,
    publicKey: btoa(String.fromCharCode(...new Uint8Array(32).fill(fill))),
    addresses: [address],
  };
}

const CONFIG_CASES: readonly ConfigCase[] = [
  {
    name: "bad YAML",
    config: "interface:\n  name: sluice0\n   mtu: 1420\n",
    lines: [new RegExp(POSITION)],
  },
  {
    name: "bad key",
    config: { interface: { privateKey: "not a key" } },
    lines: [
      new RegExp(`${POSITION}.*privateKey.*(not a WireGuard key|32 bytes)`),
    ],
  },
  {
    name: "a misspelt key is suggested",
    config: { interface: { listenprot: 51820 } },
    lines: [new RegExp(`${POSITION}.*listenprot.*listenPort`)],
  },
  {
    name: "overlapping peer addresses",
    config: {
      peers: [
        peer("one", "10.66.0.2/32", 1),
        peer("two", "10.66.0.2/32", 2),
      ],
    },
    lines: [new RegExp(`${POSITION}.*10\\.66\\.0\\.2.*overlaps.*"one"`)],
  },
  {
    name: "a prefix too small",
    config: { interface: { addresses: ["10.66.0.1/32"] } },
    lines: [new RegExp(`${POSITION}.*too small`)],
  },
  {
    name: "a TCP policy that there is not",
    config: { forward: { tcp: "accept" } },
    lines: [new RegExp(`${POSITION}.*tcp.*proxy`)],
  },
  {
    name: "AmneziaWG's limits",
    config: {
      interface: {
        amnezia: { jc: 200, jmin: 90, jmax: 40, s1: 27, s2: 83 },
      },
    },
    lines: [/\bjc\b/i, /\bjm(in|ax)\b/i, /\bs[12]\b/i],
  },
  {
    name: "several problems are all named",
    config: { interface: { mtu: 20, listenPort: 70000 }, forward: { tcp: 1 } },
    lines: [
      new RegExp(`${POSITION}.*mtu`),
      new RegExp(`${POSITION}.*listenPort`),
      new RegExp(`${POSITION}.*tcp`),
      /3 problems/,
    ],
  },
];

for (const { name, config, lines } of CONFIG_CASES) {
  await e2eTest({
    name: `bad input: ${name}`,
    needs: [],
    run: async (lab) => {
      const namespace = await lab.namespace("gateway");
      const path = typeof config === "string"
        ? await lab.write("server.yaml", config)
        : await writeConfig(lab, config);
      const { code, stderr } = await runSluice(
        namespace,
        ["server", "-c", path],
        { timeoutMs: 8000 },
      );
      assert.equal(code, USAGE, stderr);
      const printed = stderr.split("\n");
      for (const expected of lines) {
        assert.ok(
          printed.some((line) => expected.test(line)),
          `${expected} in\n${stderr}`,
        );
      }
    },
  });
}

await e2eTest({
  name: "bad input: a full address pool",
  needs: [],
  run: async (lab) => {
    const namespace = await lab.namespace("gateway");
    const path = await writeConfig(lab, {
      interface: { addresses: ["10.66.0.1/30"] },
    });
    const add = (name: string) =>
      runSluice(namespace, [
        "peer",
        ...["add", name, "-c", path, "--endpoint", "192.0.2.1"],
      ]);
    assert.equal((await add("one")).code, 0);
    const { code, stderr } = await add("two");
    assert.equal(code, FAILURE, stderr);
    assert.match(stderr, /10\.66\.0\.0\/30|full|no (free )?address/);
    const text = await Deno.readTextFile(path);
    assert.ok(!text.includes("two"), "the config is as it was");
  },
});

await e2eTest({
  name: "bad input: key files, unreadable or open to everybody",
  needs: [],
  run: async (lab) => {
    const namespace = await lab.namespace("gateway");
    const { privateKey } = await generateKeyPair();
    await lab.write("server.key", `${privateKey}\n`, 0o644);
    const withFile = (privateKeyFile: string) =>
      writeConfig(lab, {
        interface: { privateKey: undefined, privateKeyFile },
      });
    const open = await runSluice(namespace, [
      "peer",
      ...["list", "-c", await withFile("server.key")],
    ]);
    assert.equal(open.code, 0, open.stderr);
    assert.match(open.stderr, /warning: .*server\.key/);
    assert.match(open.stderr, /0?600/);

    const absent = await runSluice(namespace, [
      "server",
      ...["-c", await withFile("absent.key")],
    ]);
    assert.equal(absent.code, USAGE, absent.stderr);
    assert.match(absent.stderr, /absent\.key/);
    assert.ok(!(absent.stderr + open.stderr).includes(privateKey));
  },
});

await e2eTest({
  name: "bad input: connect with no file, no .conf, or a broken one",
  needs: [],
  run: async (lab) => {
    const namespace = await lab.namespace("client");
    const broken = await lab.write(
      "broken.conf",
      `[Interface]\nPrivateKey = ${KEY}x\nAdress = 10.0.0.2/24\n[Peer]\n`,
    );
    const cases = [
      { args: ["connect"], code: USAGE, message: /missing|argument/ },
      {
        args: ["connect", `${lab.directory}/none.conf`],
        code: USAGE,
        message: /none\.conf/,
      },
      {
        args: ["connect", broken],
        code: USAGE,
        message:
          /broken\.conf:2:[0-9]+.*PrivateKey[\s\S]*broken\.conf:3:[0-9]+.*Adress.*Address/,
      },
      { args: ["conect"], code: USAGE, message: /conect/ },
    ];
    for (const { args, code, message } of cases) {
      const result = await runSluice(namespace, args);
      assert.equal(result.code, code, `${args}: ${result.stderr}`);
      assert.match(result.stderr, message);
    }
  },
});

async function writeConfig(
  lab: Lab,
  config: ConfigPart,
  mode?: number,
): Promise<string> {
  const whole = serverConfig(await generateKeyPair(), { clients: [], config });
  return await lab.write(
    "server.yaml",
    JSON.stringify(whole, undefined, 2),
    mode,
  );
}
