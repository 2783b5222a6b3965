/**
 * Who may import whom, as data. A zone is a folder with rules of its own; the
 * longest matching prefix names a file's zone.
 */

/** An import found in the module graph; paths are relative to the project. */
export interface Import {
  readonly from: string;
  /** A project file, or a package such as "npm:zod" or "node:path". */
  readonly to: string;
  readonly kind: "code" | "type";
}

/** A broken rule. */
export interface Violation {
  readonly file: string;
  readonly message: string;
}

interface Zone {
  readonly prefix: string;
  /** Prefixes of project files that it may import, besides its own. */
  readonly imports: readonly string[];
  /** Prefixes that it may import types of. */
  readonly types?: readonly string[];
  /** Packages by the start of their name. */
  readonly packages?: readonly string[];
}

const PROJECT_FILE =
  /^(?:(?:main\.ts|deno\.json)$|(?:src|ffi|config|scripts|tests)\/)/;
const WIRE = "src/core/wire/";
const COLUMNS = "src/core/columns/";
const CORE = "src/core/";
/** ports.ts, and the files under ports/ that it stands for. */
const PORTS = "src/io/ports";

const ZONES: readonly Zone[] = [
  { prefix: "main.ts", imports: ["src/cli/"] },
  { prefix: "ffi/", imports: [] },
  { prefix: COLUMNS, imports: [] },
  { prefix: WIRE, imports: [COLUMNS] },
  {
    prefix: "src/core/flow/",
    imports: [WIRE, COLUMNS],
    packages: ["dns-packet"],
  },
  { prefix: "src/core/route/", imports: [WIRE, COLUMNS] },
  {
    prefix: "src/core/wireguard/",
    imports: [WIRE, COLUMNS],
    packages: ["@noble/"],
  },
  { prefix: "src/core/proxy/", imports: [WIRE, COLUMNS] },
  { prefix: "src/core/engine/", imports: [CORE] },
  {
    prefix: "src/datapath/",
    imports: [CORE, "ffi/", PORTS],
    packages: ["@noble/", "node:buffer", "node:crypto"],
  },
  { prefix: "src/io/", imports: [CORE, "ffi/"], packages: ["node:"] },
  {
    prefix: "src/config/",
    imports: [CORE, "config/"],
    types: [PORTS],
    packages: ["zod", "yaml", "node:path"],
  },
  {
    prefix: "src/control/",
    imports: [CORE, "src/config/"],
    types: [PORTS],
    packages: ["dns-packet", "qrcode", "node:"],
  },
  {
    prefix: "src/cli/",
    imports: ["src/", "ffi/", "config/", "deno.json"],
    packages: ["commander", "@commander-js/", "@logtape/", "node:"],
  },
];

/** Every import that the table does not allow, with the rule that forbids it. */
export function checkImports(imports: readonly Import[]): Violation[] {
  return imports.flatMap((found) => checkImport(found) ?? []);
}

function checkImport({ from, to, kind }: Import): Violation | undefined {
  const zone = zoneOf(from);
  if (!zone) {
    return {
      file: from,
      message: "lies in no known folder: give it a place in the table",
    };
  }
  const isPackage = !PROJECT_FILE.test(to);
  const allowed = isPackage ? zone.packages ?? [] : [
    zone.prefix,
    ...zone.imports,
    ...(kind === "type" ? zone.types ?? [] : []),
  ];
  if (allowed.some((prefix) => to.startsWith(prefix))) return undefined;
  return { file: from, message: `imports ${to}: ${describeZone(zone)}` };
}

function zoneOf(file: string): Zone | undefined {
  return ZONES.find((zone) => file.startsWith(zone.prefix));
}

function describeZone(zone: Zone): string {
  const parts = ["itself", ...zone.imports];
  if (zone.types) parts.push(...zone.types.map((type) => `types of ${type}`));
  if (zone.packages) {
    parts.push(...zone.packages.map((name) => `package ${name}`));
  }
  return `${zone.prefix} may import ${parts.join(", ")}`;
}
