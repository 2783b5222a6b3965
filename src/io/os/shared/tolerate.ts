/** Changes of a system whose result may be there already. */

/** What a system's refusals are: NetlinkError, Win32Error. */
type Refusal = abstract new (
  ...args: never[]
) => Error & { readonly code: number };

/**
 * Runs a change.
 * @param codes of the refusals which say that its result is there already
 * @returns false where one of them came
 */
export type Tolerate = (
  codes: readonly number[],
  change: () => void,
) => boolean;

/** {@linkcode Tolerate} for refusals of one kind. */
export function tolerating(refusal: Refusal): Tolerate {
  return (codes, change) => {
    try {
      change();
      return true;
    } catch (error) {
      if (error instanceof refusal && codes.includes(error.code)) return false;
      throw error;
    }
  };
}
