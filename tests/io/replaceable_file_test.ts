import assert from "node:assert/strict";
import { replaceableFile } from "../../src/io/replaceable_file.ts";
import { missingForLab } from "../support/privileges.ts";
import { runCommand } from "../support/process.ts";

const BYTES = Uint8Array.from({ length: 256 }, (_, i) => i);

function inFolder(run: (directory: string) => void): void {
  const directory = Deno.makeTempDirSync();
  try {
    run(directory);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

Deno.test("replaceable file: what is looked at can be put back, whatever it was", () => {
  inFolder((directory) => {
    const path = `${directory}/file`;
    const file = replaceableFile(path);
    assert.deepEqual(file.look(), { kind: "missing" });
    assert.equal(file.read(), undefined);
    file.put({ kind: "file", bytes: BYTES, mode: 0o604 });
    const plain = file.look();
    assert.ok(plain.kind === "file");
    assert.deepEqual(plain.bytes, BYTES);
    assert.equal(plain.mode, 0o604);
    file.put({ kind: "link", target: "../some/where" });
    assert.deepEqual(file.look(), { kind: "link", target: "../some/where" });
    assert.equal(file.read(), undefined, "it leads nowhere");
    file.put(plain);
    assert.deepEqual(file.look(), plain);
    file.put({ kind: "missing" });
    file.put({ kind: "missing" });
    assert.deepEqual([...Deno.readDirSync(directory)], []);
    Deno.mkdirSync(path);
    assert.deepEqual(file.look(), { kind: "other" });
  });
});

Deno.test("replaceable file: a link's target is read, and never written", () => {
  inFolder((directory) => {
    Deno.writeFileSync(`${directory}/target`, BYTES);
    Deno.symlinkSync("target", `${directory}/file`);
    const file = replaceableFile(`${directory}/file`);
    assert.deepEqual(file.read(), BYTES);
    file.put({ kind: "file", bytes: new Uint8Array(3), mode: 0o644 });
    assert.deepEqual(Deno.readFileSync(`${directory}/target`), BYTES);
    assert.equal(file.read()?.length, 3);
  });
});

Deno.test("replaceable file: what a killed process left half written is in nobody's way", () => {
  inFolder((directory) => {
    const own = `${directory}/file.sluice-new-${Deno.pid}`;
    const another = `${directory}/file.sluice-new-1`;
    Deno.writeTextFileSync(own, "half");
    Deno.writeTextFileSync(another, "half");
    const file = replaceableFile(`${directory}/file`);
    file.put({ kind: "file", bytes: BYTES, mode: 0o600 });
    const names = () =>
      [...Deno.readDirSync(directory)].map(({ name }) => name).sort();
    assert.deepEqual(names(), ["file", "file.sluice-new-1"], "it may be alive");
    const old = new Date(Date.now() - 120_000);
    Deno.utimeSync(another, old, old);
    file.put({ kind: "file", bytes: BYTES, mode: 0o600 });
    assert.deepEqual(names(), ["file"]);
  });
});

const missing = await missingForLab([]);

Deno.test({
  name: `replaceable file: one that is a mount of its own is written over${
    missing === undefined ? "" : ` (${missing})`
  }`,
  ignore: missing !== undefined && Deno.env.get("CI") !== "true",
  fn: async () => {
    const directory = Deno.makeTempDirSync();
    try {
      Deno.writeTextFileSync(`${directory}/outside`, "longer than the other\n");
      Deno.writeTextFileSync(`${directory}/file`, "");
      const module = import.meta.resolve("../../src/io/replaceable_file.ts");
      const code = `
        import { replaceableFile } from ${JSON.stringify(module)};
        const file = replaceableFile("file");
        const before = file.look();
        file.put({ kind: "file", bytes: new TextEncoder().encode("ours\\n"), mode: 0o644 });
        console.log(Deno.readTextFileSync("outside").trim());
        file.put(before);
      `;
      Deno.writeTextFileSync(`${directory}/run.ts`, code);
      const unshare = Deno.uid() === 0
        ? ["unshare", "--mount"]
        : ["unshare", "--user", "--map-root-user", "--mount"];
      const { stdout } = await runCommand([
        ...unshare,
        "sh",
        "-c",
        `mount --bind outside file && exec "$0" run -A --no-lock run.ts`,
        Deno.execPath(),
      ], { cwd: directory });
      assert.equal(stdout.trim(), "ours");
      const names = [...Deno.readDirSync(directory)].map(({ name }) => name);
      assert.deepEqual(names.sort(), ["file", "outside", "run.ts"]);
      assert.equal(
        Deno.readTextFileSync(`${directory}/outside`),
        "longer than the other\n",
      );
    } finally {
      Deno.removeSync(directory, { recursive: true });
    }
  },
});
