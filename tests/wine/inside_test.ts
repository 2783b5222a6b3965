/**
 * Runs the `*_windows.ts` below `inside` under Wine: tests of the Windows parts, by the
 * Windows build of Deno. A file that another test here names needs more than a
 * bare machine, and is run by that one.
 */
import { insideTests } from "./support/inside.ts";

const HERE = new URL(".", import.meta.url).pathname;

await insideTests(await unclaimedFiles(), { network: "card" });

async function unclaimedFiles(): Promise<string[]> {
  const outer = await Promise.all(
    (await filesBelow(HERE))
      .filter((file) => file.endsWith("_test.ts"))
      .map((file) => Deno.readTextFile(file)),
  );
  const files = await filesBelow(`${HERE}inside`);
  return files.filter((file) =>
    file.endsWith("_windows.ts") &&
    !outer.some((text) => text.includes(file.slice(HERE.length)))
  );
}

async function filesBelow(directory: string): Promise<string[]> {
  const files: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(directory)) {
    const path = `${directory.replace(/\/$/, "")}/${name}`;
    files.push(...isDirectory ? await filesBelow(path) : [path]);
  }
  return files.sort();
}
