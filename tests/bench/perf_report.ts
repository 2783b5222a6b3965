/** What `perf report` says, by the part of the program that the time went to. */

/** Where time can go. */
export const PARTS = [
  "kernel",
  "libcrypto",
  "JavaScript, compiled",
  "WebAssembly",
  "V8 and Deno",
  "C library",
  "other",
] as const;
/** One of them. */
export type Part = typeof PARTS[number];

/** A function and its share of all samples. */
export interface HotSymbol {
  readonly part: Part;
  readonly name: string;
  /** 0 to 1. */
  readonly share: number;
}

/** Reads `perf report --stdio --sort dso,sym --field-separator=;`. */
export function parsePerfReport(text: string): HotSymbol[] {
  return text.split("\n").flatMap((line) => {
    const [percent, object, symbol] = line.split(";").map((cell) =>
      cell.trim()
    );
    const share = parseFloat(percent) / 100;
    if (line.startsWith("#") || symbol === undefined || Number.isNaN(share)) {
      return [];
    }
    return [{ part: partOf(object, symbol), name: nameOf(symbol), share }];
  });
}

/** The share of each part. */
export function sharesOf(symbols: readonly HotSymbol[]): Map<Part, number> {
  const shares = new Map<Part, number>(PARTS.map((part) => [part, 0]));
  for (const { part, share } of symbols) {
    shares.set(part, shares.get(part)! + share);
  }
  return shares;
}

function partOf(object: string, symbol: string): Part {
  if (symbol.startsWith("[k]")) return "kernel";
  if (object.startsWith("[JIT]") || object.startsWith("perf-")) {
    return /wasm-function|Wasm/.test(symbol)
      ? "WebAssembly"
      : "JavaScript, compiled";
  }
  if (object.startsWith("libcrypto")) return "libcrypto";
  if (object.startsWith("deno")) return "V8 and Deno";
  return object.startsWith("libc.") ? "C library" : "other";
}

/** «[.] JS:*'#seal file:///…/sealer.ts:117:11» is «#seal sealer.ts:117». */
function nameOf(symbol: string): string {
  const bare = symbol.replace(/^\[.\] /, "");
  const script = /^JS:\W*(\S+) \S*\/([^/]+\.ts:\d+):\d+$/.exec(bare);
  return script === null
    ? bare.replace(/^JS:\W*/, "").replace(/-turbofan$/, "")
    : `${script[1]} ${script[2]}`;
}
