/**
 * Executables by `deno compile`: what is embedded, what Windows shows of the
 * file, its signature. Where the compiler's own base can't be had another
 * executable stands in for it: such a file carries all, and runs nothing of it.
 */
import assert from "node:assert/strict";
import metadata from "../../deno.json" with { type: "json" };
import { build } from "../../scripts/compile/build.ts";
import { readEmbeddedFiles } from "../../scripts/compile/embedded_files.ts";
import { drawIcon } from "../../scripts/compile/icon.ts";
import { sign, SignError, verify } from "../../scripts/compile/sign.ts";
import { findTarget, TARGETS } from "../../scripts/compile/targets.ts";
import { readResources } from "../../scripts/compile/windows_resources.ts";
import { cachedWine } from "../../scripts/wine/recipe.ts";

const PROJECT = new URL("../..", import.meta.url).pathname;
const WINDOWS = findTarget("x86_64-pc-windows-msvc")!;
const HOST = findTarget(Deno.build.target)!;
const CI = Deno.env.get("CI") === "true";
const VERSION = metadata.version;

async function inFolder(fn: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await fn(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function run(
  program: string,
  args: readonly string[],
  cwd?: string,
): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, {
    args: [...args],
    cwd,
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  assert.ok(success, `${program} ${args.join(" ")}: ${decoder.decode(stderr)}`);
  return decoder.decode(stdout);
}

/** Registers a test that lacks something: ignored, and in CI a failure. */
function testWith(
  name: string,
  missing: string | undefined,
  fn: () => Promise<void>,
): void {
  const ignore = missing !== undefined && !CI;
  Deno.test({
    name: ignore ? `${name} (skipped: ${missing})` : name,
    ignore,
    fn,
  });
}

async function lacks(program: string): Promise<string | undefined> {
  const found = await new Deno.Command("sh", {
    args: ["-c", `command -v ${program}`],
    stdout: "null",
  }).output();
  return found.success
    ? undefined
    : `no ${program}: apt-get install ${program}`;
}

/** A certificate of our own for one test. */
async function makeCertificate(
  folder: string,
): Promise<{ certificate: string; key: string }> {
  const certificate = `${folder}/certificate.pem`, key = `${folder}/key.pem`;
  await run("openssl", [
    ...["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"],
    ...["-subj", "/CN=sluice test", "-addext", "extendedKeyUsage=codeSigning"],
    ...["-keyout", key, "-out", certificate],
  ]);
  return { certificate, key };
}

const windowsDeno = (await cachedWine())?.deno;

testWith(
  "the Windows executable: embedded files, version, icon, signature, a changed byte",
  windowsDeno === undefined
    ? "no Windows build of Deno: deno task wine"
    : await lacks("osslsigncode"),
  () =>
    inFolder(async (folder) => {
      const output = `${folder}/sluice.exe`;
      // Beside the copy lie things that must not get in.
      const { files } = await build({
        project: PROJECT,
        target: WINDOWS,
        version: VERSION,
        output,
        base: windowsDeno,
      });
      assert.ok(files.own.includes("main.ts"));
      for (
        const worker of ["pump_worker", "relay_worker", "tun_stack_worker"]
      ) {
        assert.ok(files.own.includes(`src/cli/${worker}.ts`), worker);
      }
      assert.ok(files.own.includes("src/datapath/kernels/kernels.wasm"));
      assert.ok(files.packages.includes("zod"));
      for (const surplus of ["assemblyscript", "fast-check", "resedit"]) {
        assert.ok(!files.packages.includes(surplus), surplus);
      }

      const executable = await Deno.readFile(output);
      assert.equal(peKind(executable), "PE32+");
      const resources = readResources(executable);
      assert.equal(resources.version, VERSION);
      assert.ok(resources.icons >= 3);
      assert.ok(resources.payloadLength > 1_000_000);

      const signer = await makeCertificate(folder);
      await assert.rejects(verify(output, signer.certificate), SignError);
      await sign(output, signer);
      await verify(output, signer.certificate);
      const signed = await Deno.readFile(output);
      assert.deepEqual(readEmbeddedFiles(signed), files);
      signed[signed.length >> 1] ^= 1;
      await Deno.writeFile(output, signed);
      await assert.rejects(verify(output, signer.certificate), SignError);
    }),
);

/** PE32 or PE32+ by the optional header's magic (PE format, "Optional Header"). */
function peKind(executable: Uint8Array): string {
  const view = new DataView(executable.buffer);
  assert.equal(view.getUint16(0, true), 0x5a4d, "MZ");
  const header = view.getUint32(0x3c, true);
  assert.equal(view.getUint32(header, true), 0x4550, "PE");
  return view.getUint16(header + 24, true) === 0x20b ? "PE32+" : "another";
}

Deno.test("an executable of this system carries what the program needs", () =>
  inFolder(async (folder) => {
    const { files } = await build({
      project: PROJECT,
      target: HOST,
      version: VERSION,
      output: `${folder}/sluice`,
      base: Deno.execPath(),
    });
    assert.ok(files.own.includes("src/cli/client_stack_worker.ts"));
  }));

Deno.test("what is no executable of the compiler's is refused", () => {
  for (const text of ["", "MZ", 'd3n0l4nd\0\0\0\0\0\0\0\0{"argv"']) {
    const bytes = new TextEncoder().encode(text);
    assert.throws(() => readEmbeddedFiles(bytes), SyntaxError);
  }
});

Deno.test("targets have names of their own; the icon is one of several sizes", () => {
  const files = TARGETS.map(({ file }) => file);
  assert.equal(new Set(files).size, files.length);
  const icon = drawIcon();
  const view = new DataView(icon.buffer);
  assert.deepEqual([view.getUint16(0, true), view.getUint16(2, true)], [0, 1]);
  const last = 6 + 16 * (view.getUint16(4, true) - 1);
  const end = view.getUint32(last + 8, true) + view.getUint32(last + 12, true);
  assert.equal(end, icon.length);
});

/** Whether the compiler gets its own base: then what it makes runs. */
async function compilerHasBase(): Promise<boolean> {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/a.ts`, "");
    const { success } = await new Deno.Command(Deno.execPath(), {
      args: ["compile", "--output", `${folder}/a`, `${folder}/a.ts`],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).output();
    return success;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const runs = await compilerHasBase();
Deno.test({
  name: runs
    ? "the compiled program runs: version, a config of its own, keys"
    : "the compiled program runs (skipped: not run: denort not reachable)",
  ignore: !runs,
  fn: () =>
    inFolder(async (folder) => {
      const program = `${folder}/sluice`;
      await build({
        project: PROJECT,
        target: HOST,
        version: VERSION,
        output: program,
      });
      assert.equal((await run(program, ["--version"])).trim(), VERSION);
      await run(program, ["peer", "add", "phone"], folder);
      assert.match(await run(program, ["peer", "list"], folder), /phone/);
      await run(program, ["config", "check", "server.yaml"], folder);
      await run(program, ["client", "--init", "-c", `${folder}/c.yaml`]);
      const key = (await run(program, ["genkey"])).trim();
      assert.equal(key.length, 44);
    }),
});
