/** A DLL, or a function of one, that this system does not have. */

/** What is missing, and what to do about it. */
export class MissingLibraryError extends Error {
  override readonly name = "MissingLibraryError";
  constructor(
    /** The DLL's file name. */
    readonly library: string,
    /** The function that it lacks; undefined where there is no such DLL. */
    readonly symbol: string | undefined,
    /** Where to get it and where to put it. */
    readonly remedy: string,
    options?: ErrorOptions,
  ) {
    const what = symbol === undefined
      ? `${library} cannot be loaded`
      : `${library} has no ${symbol}`;
    super(`${what}: ${remedy}`, options);
  }
}

const SYSTEM_REMEDY =
  "it is part of Windows 10 (version 1809) and later; repair or update Windows";

/**
 * Opens a DLL with what is wanted of it.
 * @param remedy where to get it, for one that is not part of Windows.
 * @throws {MissingLibraryError}
 */
export function openLibrary<const S extends Deno.ForeignLibraryInterface>(
  library: string,
  symbols: S,
  remedy: string = SYSTEM_REMEDY,
): Deno.DynamicLibrary<S> {
  try {
    return Deno.dlopen(library, symbols);
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause);
    const symbol = Object.entries(symbols)
      .map(([key, { name = key }]) => name)
      .find((name) => new RegExp(`symbol ${name}\\b`).test(text));
    throw new MissingLibraryError(library, symbol, remedy, { cause });
  }
}

/**
 * A function that some systems lack.
 * @throws {MissingLibraryError} where it is missing.
 */
export function present<F>(
  call: F | null | undefined,
  library: string,
  symbol: string,
): F {
  if (call !== null && call !== undefined) return call;
  throw new MissingLibraryError(library, symbol, SYSTEM_REMEDY);
}
