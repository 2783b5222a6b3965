import assert from "node:assert/strict";
import { join } from "node:path";
import fc from "fast-check";
import { parse as parseYaml } from "yaml";
import {
  editClientConfig,
  withoutRule,
  withRule,
  withTunnel,
} from "../../src/config/edit_client_config.ts";
import { ConfigError } from "../../src/config/problems.ts";
import { inlineTunnel, parse, PROXY } from "./client_text.ts";

/** Odd but legal: comments everywhere, own spacing, flow maps in a block list. */
const TEXT = `# first line
default: direct # include mode

tunnels:
  - ${PROXY} # the only one

rules: # in order
  # the browser
  - process: [firefox, "*chrome*"] # both
    tunnel: proxy

  # nothing else of the lab
  - { destination: 10.0.0.0/8, tunnel: drop }

  - user: anna
    # she may
    tunnel: direct
# the rest
log:
  level: debug # for now
`;
const RULE = { process: ["curl", "wget"], ports: "443", tunnel: "proxy" };
const LINES = `  - process:
      - curl
      - wget
    ports: "443"
    tunnel: proxy
`;

Deno.test("an added rule changes nothing else", () => {
  const text = withRule(TEXT, RULE);
  assert.ok(text.includes(`    tunnel: direct\n${LINES}# the rest\n`), text);
  assert.equal(text.replace(LINES, ""), TEXT);
});

Deno.test("a rule before others stands above their comments", () => {
  const first = withRule(TEXT, RULE, 0);
  assert.ok(
    first.includes(`rules: # in order\n${LINES}  # the browser\n`),
    first,
  );
  const second = withRule(TEXT, RULE, 1);
  assert.ok(
    second.includes(`\n\n${LINES}  # nothing else of the lab\n`),
    second,
  );
  assert.deepEqual(
    parseYaml(second).rules.map((rule: { tunnel: string }) => rule.tunnel),
    ["proxy", "proxy", "drop", "direct"],
  );
  const last = withRule(TEXT, RULE, 99);
  assert.equal(last, withRule(TEXT, RULE));
});

Deno.test("a removed rule takes its own comments along", () => {
  const text = withoutRule(TEXT, 1)!;
  assert.ok(!text.includes("nothing else of the lab"));
  assert.ok(text.includes("# the browser") && text.includes("# she may"));
  assert.deepEqual(parseYaml(text).rules.length, 2);
  assert.equal(withoutRule(TEXT, 3), undefined);
  assert.equal(withoutRule("default: direct\n", 0), undefined);
});

Deno.test("the last rule leaves an empty list, the first makes one", () => {
  const one =
    "default: drop\nrules:\n  - { user: a, tunnel: drop } # x\n# end\n";
  const none = withoutRule(one, 0)!;
  assert.deepEqual(parseYaml(none), { default: "drop", rules: [] });
  assert.ok(none.includes("# end"));
  for (const text of [none, "default: drop\n", "default: drop\nrules:\n"]) {
    assert.deepEqual(parseYaml(withRule(text, RULE)).rules, [RULE]);
  }
});

Deno.test("added and removed again gives the text of before, at any place", () => {
  const texts = [
    TEXT,
    TEXT.replaceAll("\n", "\r\n"),
    TEXT.replaceAll(/^ {2}/gm, ""),
  ];
  for (const text of texts) {
    for (let index = 0; index <= 3; index++) {
      const added = withRule(text, RULE, index);
      assert.notEqual(added, text);
      // Comments above a rule are its own, so none may stand right above it.
      if (index === 1 || index === 2 || index === 3) {
        assert.equal(withoutRule(added, index), text, `${index}: ${added}`);
      }
    }
  }
});

Deno.test("any rule, at any place, reads back as the list with it", () => {
  const value = fc.oneof(
    fc.string({ minLength: 1, maxLength: 12 }),
    fc.constantFrom("- a", "# x", "a: b", "*", "'", '"', "yes", "1.5", "\\"),
  );
  const entry = fc.record({
    process: fc.oneof(value, fc.array(value, { minLength: 1, maxLength: 3 })),
    user: fc.option(value, { nil: undefined }),
    children: fc.option(fc.boolean(), { nil: undefined }),
    tunnel: fc.constantFrom("proxy", "direct"),
  });
  const before = parseYaml(TEXT);
  fc.assert(fc.property(entry, fc.nat({ max: 4 }), (rule, index) => {
    const plain = JSON.parse(JSON.stringify(rule));
    const wanted = [...before.rules];
    wanted.splice(index, 0, plain);
    const text = withRule(TEXT, rule, index);
    assert.deepEqual(parseYaml(text), { ...before, rules: wanted });
    assert.ok(text.includes("# for now") && text.includes("# both"), text);
    const removed = parseYaml(withoutRule(text, Math.min(index, 3))!);
    assert.deepEqual(removed, before);
  }));
});

Deno.test("a tunnel is added", () => {
  const entry = parseYaml(inlineTunnel("office"));
  const text = withTunnel(TEXT, entry);
  const names = parse(text).config.tunnels.map(({ name }) => name);
  assert.deepEqual(names, ["proxy", "office"]);
  assert.ok(text.includes("# the only one"));
});

Deno.test("a file is changed in place, and not where the result is broken", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = join(folder, "client.yaml");
    await Deno.writeTextFile(path, TEXT, { mode: 0o600 });
    const count = await editClientConfig(path, ({ text, config }) => ({
      text: withRule(text, RULE),
      result: config.rules.rules.length,
    }));
    assert.equal(count, 3);
    const changed = await Deno.readTextFile(path);
    assert.equal(changed, withRule(TEXT, RULE));
    await assert.rejects(
      editClientConfig(path, ({ text }) => ({
        text: withRule(text, { process: "x", tunnel: "porxy" }, 0),
        result: undefined,
      })),
      (error: unknown) => {
        assert.ok(error instanceof ConfigError);
        assert.match(error.message, /client\.yaml:9:13: rules\[0\]\.tunnel/);
        return true;
      },
    );
    assert.equal(await Deno.readTextFile(path), changed);
    assert.equal((await Deno.stat(path)).mode! & 0o777, 0o600);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
