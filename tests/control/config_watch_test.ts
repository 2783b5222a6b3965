import assert from "node:assert/strict";
import { join } from "node:path";
import {
  type ConfigChange,
  ConfigWatch,
} from "../../src/control/config_watch.ts";
import { createServerConfig } from "../../src/config/create_server_config.ts";
import {
  type LoadedServerConfig,
  loadServerConfig,
} from "../../src/config/load_server_config.ts";
import { ConfigError } from "../../src/config/problems.ts";
import { addPeer } from "../../src/control/peers.ts";

type Change = ConfigChange<LoadedServerConfig>;

/** Runs with a watched file; `next` waits for the next change. */
async function withWatch(
  work: (
    path: string,
    watch: ConfigWatch<LoadedServerConfig>,
    next: () => Promise<Change>,
  ) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    const path = join(folder, "server.yaml");
    await createServerConfig(path);
    const changes: Change[] = [];
    let wake = () => {};
    await using watch = new ConfigWatch(path, {
      loaded: { text: await Deno.readTextFile(path) },
      load: loadServerConfig,
      quietMs: 5,
      onChange(change) {
        changes.push(change);
        wake();
      },
    });
    await work(path, watch, async () => {
      if (changes.length === 0) {
        await new Promise<void>((resolve) => (wake = resolve));
      }
      return changes.shift()!;
    });
    assert.deepEqual(changes, [], "nothing else was told");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function peerNames(change: Change): string[] {
  assert.equal(change.kind, "loaded");
  return change.kind === "loaded"
    ? change.loaded.config.peers.map(({ name }) => name)
    : [];
}

Deno.test("a peer added by another writer is told of once", async () => {
  await withWatch(async (path, watch, next) => {
    await addPeer(path, { name: "one", presharedKey: "none" });
    assert.deepEqual(peerNames(await next()), ["one"]);
    await watch.check();
  });
});

Deno.test("a change in place is told of, a touch is not", async () => {
  await withWatch(async (path, watch, next) => {
    await Deno.utime(path, new Date(), new Date());
    await watch.check();
    const text = await Deno.readTextFile(path);
    await Deno.writeTextFile(path, text.replace("level: info", "level: debug"));
    // A write that is not whole yet may be seen as a bad file first.
    let change = await next();
    while (change.kind === "failed") change = await next();
    assert.equal(change.loaded.config.log.level, "debug");
  });
});

Deno.test("a bad file is told of with its problems, and again when it is mended", async () => {
  await withWatch(async (path, watch, next) => {
    const good = await Deno.readTextFile(path);
    const replace = async (text: string) => {
      await Deno.writeTextFile(`${path}.new`, text);
      await Deno.rename(`${path}.new`, path);
    };
    await replace("nonsense: 1\n");
    const failed = await next();
    assert.ok(failed.kind === "failed" && failed.error instanceof ConfigError);
    assert.match(failed.error.message, /nonsense: unknown key/);
    await watch.check();
    await replace(good);
    assert.equal((await next()).kind, "loaded");
  });
});

Deno.test("a file that went is told of", async () => {
  await withWatch(async (path, watch, next) => {
    await Deno.remove(path);
    const change = await next();
    assert.ok(change.kind === "failed");
    assert.match(change.error.message, /does not exist/);
    await watch.check();
  });
});

Deno.test("a relative path is watched too", async () => {
  const folder = await Deno.makeTempDir({ dir: ".", prefix: ".watch-" });
  try {
    const path = `${folder}/server.yaml`;
    await createServerConfig(path);
    const text = await Deno.readTextFile(path);
    const changed = Promise.withResolvers<Change>();
    await using _watch = new ConfigWatch(path, {
      loaded: { text },
      load: loadServerConfig,
      quietMs: 5,
      onChange: changed.resolve,
    });
    await addPeer(path, { name: "one", presharedKey: "none" });
    assert.deepEqual(peerNames(await changed.promise), ["one"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a file that the config names counts as a part of it", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = join(folder, "client.yaml");
    const part = join(folder, "part.conf");
    await Deno.writeTextFile(path, "one");
    await Deno.writeTextFile(part, "1");
    const load = async () => ({
      text: await Deno.readTextFile(path),
      files: ["part.conf"],
    });
    const told: string[] = [];
    const next = Promise.withResolvers<void>();
    await using watch = new ConfigWatch(path, {
      loaded: await load(),
      load,
      quietMs: 5,
      onChange: (change) => {
        told.push(change.kind);
        next.resolve();
      },
    });
    await watch.check();
    assert.deepEqual(told, []);
    await Deno.writeTextFile(part, "2");
    await next.promise;
    await watch.check();
    assert.deepEqual(told, ["loaded"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
