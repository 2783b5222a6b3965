/**
 * Which libraries of drivers are loaded: files that are missing, for another
 * machine, unsigned, signed by somebody, and changed afterwards. What is signed
 * here is so by throwaway certificates.
 */
import type { Lab } from "../support/lab.ts";
import { runCommand } from "../support/process.ts";
import { insideTests } from "./support/inside.ts";
import { buildWintun } from "./support/wintun.ts";

const FILE = new URL("./inside/driver_library_windows.ts", import.meta.url);
/** Where IMAGE_FILE_HEADER.Machine is, behind what e_lfanew says. */
const MACHINE_AT = 4;
const ARM64 = 0xaa64;

await insideTests([FILE.pathname], {
  needs: [{ program: "osslsigncode" }, { program: "openssl" }],
  async prepare({ lab }) {
    const directory = `${lab.directory}/drivers`;
    await Deno.mkdir(directory);
    const library = await Deno.readFile(await buildWintun());
    const unsigned = `${directory}/unsigned.dll`;
    await Deno.writeFile(unsigned, library);
    await Deno.writeFile(`${directory}/arm64.dll`, forArm64(library));
    await Deno.writeFile(`${directory}/old.dll`, withoutFunction(library));
    await Deno.writeTextFile(`${directory}/text.dll`, "no library at all");
    for (const signer of ["WireGuard LLC", "Somebody Else"]) {
      await sign(lab, unsigned, signer);
    }
    const changed = await Deno.readFile(`${directory}/WireGuard LLC.dll`);
    changed[0x800] ^= 1;
    await Deno.writeFile(`${directory}/changed.dll`, changed);
    return { env: { SLUICE_TEST_DRIVERS: directory } };
  },
});

function forArm64(library: Uint8Array): Uint8Array {
  const copy = library.slice();
  const view = new DataView(copy.buffer);
  view.setUint16(view.getUint32(0x3c, true) + MACHINE_AT, ARM64, true);
  return copy;
}

/** With one exported function by another name. */
function withoutFunction(library: Uint8Array): Uint8Array {
  const copy = library.slice();
  const name = new TextEncoder().encode("WintunGetReadWaitEvent\0");
  const at = copy.findIndex((_, i) =>
    name.every((byte, n) => copy[i + n] === byte)
  );
  copy[at + name.length - 2]++;
  return copy;
}

/** Makes `SIGNER.dll`. */
async function sign(lab: Lab, file: string, signer: string): Promise<void> {
  const path = `${file.slice(0, file.lastIndexOf("/"))}/${signer}`;
  await runCommand([
    "openssl",
    "req",
    "-x509",
    "-newkey",
    "rsa:2048",
    "-nodes",
    "-days",
    "30",
    "-subj",
    `/CN=${signer}`,
    "-addext",
    "extendedKeyUsage=codeSigning",
    "-keyout",
    `${path}.key`,
    "-out",
    `${path}.pem`,
  ], { cwd: lab.directory });
  await runCommand([
    "osslsigncode",
    "sign",
    "-certs",
    `${path}.pem`,
    "-key",
    `${path}.key`,
    "-h",
    "sha256",
    "-in",
    file,
    "-out",
    `${path}.dll`,
  ]);
}
