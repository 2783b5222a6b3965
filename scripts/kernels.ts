/**
 * Builds src/datapath/kernels/kernels.wasm from the AssemblyScript beside it.
 *
 *     deno task kernels            writes the file
 *     deno task kernels --check    fails where the file differs from its source
 */
// deno-lint-ignore no-import-prefix -- kept out of the import map: whoever only runs sluice need not fetch a compiler
import asc from "npm:assemblyscript@0.28.20/asc";

const FOLDER = new URL("../src/datapath/kernels/", import.meta.url);
const ENTRY = "assembly/index.ts";
const OUTPUT = "kernels.wasm";
const OPTIONS = [
  ...["--outFile", OUTPUT, "--runtime", "stub", "--use", "abort="],
  ...["--importMemory", "--zeroFilledMemory", "--enable", "simd"],
  ...["-O3", "--converge", "--noAssert"],
];

/**
 * Compiles the kernels in memory.
 * @throws Error with the compiler's messages.
 */
export async function buildKernels(): Promise<Uint8Array> {
  let output: Uint8Array | undefined;
  const { error, stderr } = await asc.main([ENTRY, ...OPTIONS], {
    readFile: (name: string) =>
      Deno.readTextFile(new URL(name, FOLDER)).catch(() => null),
    listFiles: () => [],
    writeFile: (name: string, contents: string | Uint8Array) => {
      if (name === OUTPUT && typeof contents !== "string") output = contents;
    },
  });
  if (error || output === undefined) {
    throw new Error(`${error ?? "no output"}\n${stderr}`);
  }
  return output;
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

if (import.meta.main) {
  const built = await buildKernels();
  const path = new URL(OUTPUT, FOLDER);
  if (Deno.args.includes("--check")) {
    const same = equal(built, await Deno.readFile(path));
    console.log(
      same
        ? "kernels.wasm matches its source"
        : "kernels.wasm differs: deno task kernels",
    );
    if (!same) Deno.exit(1);
  } else {
    await Deno.writeFile(path, built);
    console.log(`kernels.wasm: ${built.length} bytes`);
  }
}
