/**
 * The reverse path filter of an interface (net.ipv4.conf.NAME.rp_filter): set to
 * strict, it drops what comes in by another interface than the one that answers
 * would leave by. Of it and the one of all interfaces the greater value holds.
 * Source: Documentation/networking/ip-sysctl.rst of the kernel.
 */

/** Values of rp_filter. */
const Filter = { Strict: 1, Loose: 2 } as const;

/** The value before, where an interface filters strictly; else undefined. */
export function strictFilter(name: string): number | undefined {
  const own = readFilter(name);
  const all = readFilter("all");
  if (own === undefined || all === undefined) return undefined;
  return Math.max(own, all) === Filter.Strict ? own : undefined;
}

/**
 * Makes an interface's filter loose.
 * @throws {Error} where the system does not let us.
 */
export function loosenFilter(name: string): void {
  writeFilter(name, Filter.Loose);
}

/**
 * Gives an interface its filter back, unless somebody has changed it meanwhile.
 * @returns whether there was something to give back.
 */
export function restoreFilter(name: string, value: number): boolean {
  if (readFilter(name) !== Filter.Loose) return false;
  writeFilter(name, value);
  return true;
}

/** Whether a number is a value that rp_filter may have. */
export function isFilter(value: unknown): value is number {
  return value === 0 || value === Filter.Strict || value === Filter.Loose;
}

function readFilter(name: string): number | undefined {
  try {
    const value = Number(Deno.readTextFileSync(pathOf(name)));
    return isFilter(value) ? value : undefined;
  } catch (error) {
    // Gone with its interface, or hidden from us.
    if (
      error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.PermissionDenied
    ) return undefined;
    throw error;
  }
}

function writeFilter(name: string, value: number): void {
  Deno.writeTextFileSync(pathOf(name), `${value}\n`, { create: false });
}

function pathOf(name: string): string {
  return `/proc/sys/net/ipv4/conf/${name}/rp_filter`;
}
