/** The program as users run it: real processes in empty folders. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import metadata from "../../deno.json" with { type: "json" };
import { parseKey } from "../../src/config/keys.ts";
import { loadServerConfig } from "../../src/config/load_server_config.ts";
import { parseWireguardConf } from "../../src/config/wg_conf.ts";
import { formatPrefix } from "../../src/core/wire/address.ts";

const MAIN = fileURLToPath(new URL("../../main.ts", import.meta.url));

interface Result {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

interface RunOptions {
  readonly cwd?: string;
  readonly input?: string;
}

/** Runs the program to its end. */
async function sluice(
  args: readonly string[],
  options: RunOptions = {},
): Promise<Result> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", MAIN, ...args],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(options.input ?? ""));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  return {
    code,
    out: new TextDecoder().decode(stdout),
    err: new TextDecoder().decode(stderr),
  };
}

async function withFolder(
  work: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function names(folder: string): string[] {
  return [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
}

Deno.test("help, version, and what is not there", async () => {
  const [help, bare, version, unknown, option, choice, sub] = await Promise.all(
    [
      sluice(["--help"]),
      sluice([]),
      sluice(["--version"]),
      sluice(["peers"]),
      sluice(["peer", "list", "--jsn"]),
      sluice(["genkey", "--log-level", "loud"]),
      sluice(["peer", "add"]),
    ],
  );
  assert.equal(help.code, 0);
  for (
    const word of [
      "server",
      "connect",
      "peer",
      "Split tunnel:",
      "client",
      "import",
      "rule",
      "status",
      "flows",
      "explain",
      "tunnel",
      "reload",
      "leaktest",
      "genkey",
      "pubkey",
      "genpsk",
      "Examples:",
    ]
  ) {
    assert.ok(help.out.includes(word), word);
  }
  assert.equal(bare.code, 0);
  assert.equal(bare.out, help.out);
  assert.deepEqual(version, { code: 0, out: `${metadata.version}\n`, err: "" });
  assert.equal(unknown.code, 2);
  assert.match(unknown.err, /unknown command 'peers'[^]*Did you mean peer\?/);
  assert.equal(option.code, 2);
  assert.match(option.err, /unknown option '--jsn'[^]*--json/);
  assert.equal(choice.code, 2);
  assert.match(choice.err, /'loud' is invalid/);
  assert.equal(sub.code, 2);
  assert.match(sub.err, /missing required argument 'name'/);
  assert.ok(!help.out.includes("\x1b"), "no colours into a pipe");
});

Deno.test("keys as wg makes them", async () => {
  const [key, psk] = await Promise.all([
    sluice(["genkey"]),
    sluice(["genpsk"]),
  ]);
  assert.deepEqual([key.code, key.err, psk.code, psk.err], [0, "", 0, ""]);
  const bytes = parseKey(key.out)!;
  assert.equal(key.out.length, 45);
  assert.equal(bytes[0] & 7, 0);
  assert.equal(bytes[31] & 0xc0, 0x40);
  assert.notEqual(parseKey(psk.out), undefined);
  const [known, bad, empty] = await Promise.all([
    sluice(["pubkey"], {
      input: "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\n",
    }),
    sluice(["pubkey"], { input: "nonsense\n" }),
    sluice(["pubkey"]),
  ]);
  assert.deepEqual(known, {
    code: 0,
    out: "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=\n",
    err: "",
  });
  for (const result of [bad, empty]) {
    assert.equal(result.code, 1);
    assert.equal(result.out, "");
    assert.equal(
      result.err,
      "error: standard input holds no private key\n" +
        "  it must be one line of base64 (44 characters that end in =), as sluice genkey prints it\n",
    );
  }
});

Deno.test("from an empty folder to two peers and back", async () => {
  await withFolder(async (cwd) => {
    const first = await sluice(
      [
        "peer",
        "add",
        "phone",
        "--conf",
        "phone.conf",
        "--endpoint",
        "vpn.example.org",
      ],
      { cwd },
    );
    assert.equal(first.code, 0, first.err);
    assert.equal(first.out, "");
    assert.match(first.err, /made server\.yaml with a fresh key/);
    assert.match(
      first.err,
      /added peer "phone" to server\.yaml\nwrote phone\.conf/,
    );
    assert.deepEqual(names(cwd), ["phone.conf", "server.yaml"]);
    for (const name of names(cwd)) {
      assert.equal(Deno.statSync(join(cwd, name)).mode! & 0o777, 0o600, name);
    }
    const conf = parseWireguardConf(
      await Deno.readTextFile(join(cwd, "phone.conf")),
      "phone.conf",
    );
    assert.deepEqual(conf.peers[0].endpoint, {
      host: "vpn.example.org",
      port: 51820,
    });

    const second = await sluice([
      "peer",
      "add",
      "laptop",
      "--no-psk",
      "--endpoint",
      "192.0.2.1:7",
    ], { cwd });
    assert.equal(second.code, 0, second.err);
    const printed = parseWireguardConf(second.out, "out");
    assert.equal(printed.peers[0].presharedKey, undefined);
    assert.deepEqual(
      printed.interface.addresses.map(formatPrefix)[0],
      "10.66.0.3/32",
    );

    const { config } = await loadServerConfig(join(cwd, "server.yaml"));
    assert.deepEqual(config.peers.map(({ name }) => name), ["phone", "laptop"]);
    assert.deepEqual(printed.peers[0].publicKey, config.interface.publicKey);

    const [list, json, show, missing] = await Promise.all([
      sluice(["peer", "list"], { cwd }),
      sluice(["peer", "list", "--json"], { cwd }),
      sluice(["peer", "show", "PHONE"], { cwd }),
      sluice(["peer", "show", "phon"], { cwd }),
    ]);
    assert.match(
      list.out,
      /^NAME +ADDRESSES +.*\nphone +10\.66\.0\.2\/32 .*\nlaptop +10\.66\.0\.3\/32 /,
    );
    const parsed = JSON.parse(json.out);
    assert.deepEqual(parsed.map((peer: { name: string }) => peer.name), [
      "phone",
      "laptop",
    ]);
    assert.equal(parsed[0].presharedKey, true);
    assert.match(show.out, /^name +phone \(phone\.sluice\)\n/);
    assert.match(show.out, /\npreshared key +set\n/);
    assert.deepEqual(missing, {
      code: 1,
      out: "",
      err: 'error: there is no peer "phon"\n  did you mean phone?\n',
    });

    const removed = await sluice(["peer", "remove", "phone"], { cwd });
    assert.deepEqual(removed, {
      code: 0,
      out: "",
      err: 'removed peer "phone" from server.yaml\n',
    });
    assert.deepEqual(
      (await loadServerConfig(join(cwd, "server.yaml"))).config.peers.map((
        { name },
      ) => name),
      ["laptop"],
    );
    assert.deepEqual(
      names(cwd),
      ["phone.conf", "server.yaml"],
      "nothing is left behind",
    );
  });
});

Deno.test("a QR code, plain into a pipe", async () => {
  await withFolder(async (cwd) => {
    const { code, out, err } = await sluice([
      "peer",
      "add",
      "phone",
      "--qr",
      "--endpoint",
      "192.0.2.1",
    ], { cwd });
    assert.equal(code, 0, err);
    assert.match(out, /^█{40,}\n/);
    assert.ok(!out.includes("PrivateKey") && !out.includes("\x1b"));
  });
});

Deno.test("what peer add refuses leaves everything as it was", async () => {
  await withFolder(async (cwd) => {
    const endpoint = ["--endpoint", "192.0.2.1"];
    await sluice(["peer", "add", "phone", ...endpoint], { cwd });
    const before = await Deno.readTextFile(join(cwd, "server.yaml"));
    await Deno.writeTextFile(join(cwd, "taken.conf"), "mine");
    const cases: [string[], number, RegExp][] = [
      [
        ["peer", "add", "phone", ...endpoint],
        1,
        /^error: there is a peer "phone" already\n {2}take another name/,
      ],
      [
        ["peer", "add", "a b", ...endpoint],
        1,
        /^error: "a b" is not a peer name\n/,
      ],
      [
        ["peer", "add", "x", "--endpoint", "a b"],
        2,
        /^error: --endpoint "a b" is not an endpoint\n/,
      ],
      [
        ["peer", "add", "x", "--public-key", "abc", ...endpoint],
        2,
        /^error: --public-key is not a WireGuard key\n/,
      ],
      [
        [
          "peer",
          "add",
          "x",
          "--qr",
          "--public-key",
          "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=",
          ...endpoint,
        ],
        2,
        /^error: --qr needs the client's private key/,
      ],
      [
        ["peer", "add", "x", "--conf", "taken.conf", ...endpoint],
        1,
        /^error: can't write taken\.conf: it exists already\n/,
      ],
      [
        ["peer", "add", "x", "--conf", "no/such/folder.conf", ...endpoint],
        1,
        /^error: can't write no\/such\/folder\.conf: no such directory\n/,
      ],
      [
        ["peer", "list", "-c", "other.yaml"],
        2,
        /^error: there is no config other\.yaml\n {2}sluice server makes one/,
      ],
      [
        ["peer", "remove", "nobody"],
        1,
        /^error: there is no peer "nobody"\n {2}sluice peer list/,
      ],
    ];
    const results = await Promise.all(
      cases.map(([args]) => sluice(args, { cwd })),
    );
    for (const [i, [args, code, message]] of cases.entries()) {
      assert.match(results[i].err, message, args.join(" "));
      assert.equal(results[i].code, code, args.join(" "));
      assert.ok(!/\n\s+at /.test(results[i].err), "no stack trace");
    }
    assert.equal(await Deno.readTextFile(join(cwd, "server.yaml")), before);
    assert.equal(await Deno.readTextFile(join(cwd, "taken.conf")), "mine");
    assert.deepEqual(names(cwd), ["server.yaml", "taken.conf"]);
  });
});

Deno.test("a bad config: every problem with its place, exit code 2", async () => {
  await withFolder(async (cwd) => {
    await Deno.writeTextFile(
      join(cwd, "server.yaml"),
      "interface:\n  privatekey: x\n  mtu: big\nforward:\n  tcp: nat\n",
      { mode: 0o600 },
    );
    const [list, add] = await Promise.all([
      sluice(["peer", "list"], { cwd }),
      sluice(["peer", "add", "x", "--endpoint", "192.0.2.1"], { cwd }),
    ]);
    const expected =
      `error: server.yaml:1:1: interface: needs privateKey or privateKeyFile; sluice genkey makes a key
error: server.yaml:2:3: interface.privatekey: unknown key; did you mean privateKey?
error: server.yaml:3:8: interface.mtu: must be a whole number, not "big"
error: server.yaml:5:8: forward.tcp: must be proxy or reject or drop, not "nat"
4 problems; nothing was done
`;
    for (const result of [list, add]) {
      assert.deepEqual(result, { code: 2, out: "", err: expected });
    }
  });
});

Deno.test("a full address pool says so; a stack trace only where it is asked for", async () => {
  await withFolder(async (cwd) => {
    const path = join(cwd, "server.yaml");
    await sluice(["peer", "add", "a", "--endpoint", "192.0.2.1"], { cwd });
    const text = await Deno.readTextFile(path);
    await Deno.writeTextFile(
      path,
      text.replace("10.66.0.1/24", "10.66.0.1/30"),
    );
    const add = ["peer", "add", "b", "--endpoint", "192.0.2.1"];
    const [plain, verbose] = await Promise.all([
      sluice(add, { cwd }),
      sluice(["--log-level", "debug", ...add], { cwd }),
    ]);
    assert.equal(plain.code, 1);
    assert.match(
      plain.err,
      /^error: the address pool 10\.66\.0\.0\/30 is full\n {2}remove a peer/,
    );
    assert.ok(!plain.err.includes("    at "));
    assert.equal(verbose.code, 1);
    assert.ok(verbose.err.includes("    at "));
  });
});

Deno.test("a config that others may read is a warning", async () => {
  await withFolder(async (cwd) => {
    await sluice(["peer", "add", "a", "--endpoint", "192.0.2.1"], { cwd });
    await Deno.chmod(join(cwd, "server.yaml"), 0o644);
    const { code, err } = await sluice(["peer", "list"], { cwd });
    assert.equal(code, 0);
    assert.match(
      err,
      /^warning: server\.yaml: every user of this machine may read this config .*chmod 600 server\.yaml\n$/,
    );
  });
});

Deno.test("the split tunnel begins with a message, an example or a .conf", async () => {
  await withFolder(async (folder) => {
    const cwd = { cwd: folder };
    const first = await sluice(["client"], cwd);
    assert.equal(first.code, 2);
    assert.match(first.err, /no config client\.yaml[^]*import[^]*--init/);
    const made = await sluice(["client", "--init"], cwd);
    assert.equal(made.code, 0, made.err);
    assert.match(made.err, /made client\.yaml, an example/);
    assert.equal(
      (await Deno.stat(join(folder, "client.yaml"))).mode! & 0o777,
      0o600,
    );
    const listed = await sluice(["rule", "list"], cwd);
    assert.equal(listed.code, 0, listed.err);
    assert.match(listed.out, /^RULE +GOES +WHAT\n1 +/);
    const again = await sluice(["client", "--init"], cwd);
    assert.equal(again.code, 1);
    assert.match(again.err, /it exists already/);
    const socket = join(folder, "none.sock");
    const nobody = await sluice(["status", "--socket", socket], cwd);
    assert.equal(nobody.code, 1);
    assert.match(nobody.err, /no client runs here[^]*none\.sock/);
  });
});
