import assert from "node:assert/strict";
import { join } from "node:path";
import { importCommand } from "../../src/cli/client_import.ts";
import { ruleCommand } from "../../src/cli/client_rule.ts";
import { ruleTable, ruleText } from "../../src/cli/client_rule_text.ts";
import { UserError } from "../../src/cli/errors.ts";
import { ConfigError } from "../../src/config/problems.ts";

const CONFIG = `# mine
tunnels:
  - name: work   # the office
    type: socks5
    url: socks5://192.0.2.7:1080
rules:
  # browsers
  - process: firefox
    tunnel: work
default: direct
`;
const CONF = `[Interface]
PrivateKey = 6GbJkoH0bLyLEgWlDfSuvvPRHmQfGwRTwEZKQCa+mmE=
Address = 10.9.0.2/32, fd00:9::2/128
#@ws:AllowedApps = curl
[Peer]
PublicKey = zFj2DFyqcU5Z0RmrLxYDpqPNhzXwOvzRy6m3gbRFFkI=
Endpoint = 192.0.2.1:51820
AllowedIPs = 0.0.0.0/0, ::/0
`;

async function withConfig(
  work: (
    path: string,
    rule: (...args: string[]) => Promise<unknown>,
  ) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const path = join(folder, "client.yaml");
    await Deno.writeTextFile(path, CONFIG, { mode: 0o600 });
    await work(
      path,
      (...args) =>
        ruleCommand().parseAsync([...args, "-c", path], { from: "user" }),
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("rules as lines for people", () => {
  assert.equal(
    ruleTable([
      { process: ["firefox", "curl"], children: true, tunnel: "work" },
      {
        destination: ["a", "b", "c", "d", "e", "f"],
        ports: 443,
        tunnel: "work",
        fallback: "allowDirect",
      },
      { tunnel: "drop" },
    ], "direct"),
    `RULE  GOES                    WHAT
1     work                    process firefox, curl; and what these start
2     work, else allowDirect  destination a, b, c, d and 2 more; ports 443
3     drop                    everything
else  direct                  everything
`,
  );
  assert.equal(
    ruleText({ process: "x", children: false, tunnel: "work" }),
    "process x; not what these start",
  );
});

Deno.test("a rule is added and removed again: the file as before, byte for byte", async () => {
  await withConfig(async (path, rule) => {
    await rule("add", "--process", "curl", "--children", "--tunnel", "direct");
    assert.equal(
      await Deno.readTextFile(path),
      CONFIG.replace(
        "default:",
        `  - process: curl
    children: true
    tunnel: direct
default:`,
      ),
    );
    await rule("remove", "2");
    assert.equal(await Deno.readTextFile(path), CONFIG);
  });
});

Deno.test("every option of a rule, put first", async () => {
  await withConfig(async (path, rule) => {
    await rule(
      "add",
      ...["--at", "1", "--tunnel", "work", "--fallback", "nextRule"],
      ...["--process", "a", "--process", "b", "--path", "/opt/**"],
      ...["--directory", "/srv", "--user", "1000", "--user", "anna"],
      ...["--destination", "*.example.org", "--destination", "192.0.2.0/24"],
      ...["--port", "443", "--port", "8000-8080"],
      ...["--protocol", "tcp"],
    );
    const text = await Deno.readTextFile(path);
    assert.ok(text.indexOf("process:") < text.indexOf("# browsers"));
    for (
      const line of [
        "- process:\n      - a\n      - b",
        "path: /opt/**",
        "user:\n      - 1000\n      - anna",
        'destination:\n      - "*.example.org"\n      - 192.0.2.0/24',
        "ports:\n      - 443\n      - 8000-8080",
        "protocol: tcp",
        "fallback: nextRule",
      ]
    ) assert.ok(text.includes(line), `${line}\nin\n${text}`);
  });
});

Deno.test("what is no good rule is not written", async () => {
  await withConfig(async (path, rule) => {
    await assert.rejects(
      rule("add", "--process", "curl", "--tunnel", "wrok"),
      (error) =>
        error instanceof ConfigError &&
        /:11:13: rules\[1\]\.tunnel: .*did you mean work/.test(error.message),
    );
    await assert.rejects(rule("remove", "2"), UserError);
    await assert.rejects(rule("remove", "0"), UserError);
    await assert.rejects(rule("remove", "first"), UserError);
    await assert.rejects(rule("add", "--tunnel", "work", "--at", "9"));
    assert.equal(await Deno.readTextFile(path), CONFIG);
    await Deno.remove(path);
    await assert.rejects(
      rule("list"),
      (error) => error instanceof UserError && /--init/.test(error.hint ?? ""),
    );
  });
});

Deno.test("a .conf becomes a tunnel and rules of a config, or a config", async () => {
  await withConfig(async (path) => {
    const conf = path.replace("client.yaml", "office vpn.conf");
    await Deno.writeTextFile(conf, CONF);
    const run = (...args: string[]) =>
      importCommand().parseAsync([conf, "-c", path, ...args], { from: "user" });
    await run();
    const text = await Deno.readTextFile(path);
    assert.ok(
      text.startsWith("# mine\ntunnels:\n  - name: work   # the office"),
    );
    assert.match(text, /\n {2}- name: office-vpn\n {4}type: wireguard\n/);
    assert.match(text, /- curl\n/);
    await assert.rejects(run(), /already/);
    assert.equal(await Deno.readTextFile(path), text);
    const other = CONF.replace("10.9.0.2", "10.9.0.3").replace("::2/", "::3/");
    await Deno.writeTextFile(conf, other);
    await run("--name", "home");
    assert.match(await Deno.readTextFile(path), /- name: home\n/);

    await Deno.remove(path);
    await run();
    assert.equal((await Deno.stat(path)).mode! & 0o777, 0o600);
    await Deno.writeTextFile(conf, CONF.replace("PublicKey", "PublikKey"));
    await assert.rejects(run("--name", "bad"), ConfigError);
  });
});
