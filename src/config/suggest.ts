/** Finds the word that somebody most likely meant. */

/** The number of single-character edits (swap of neighbours included) between two words. */
export function editDistance(left: string, right: string): number {
  let previous: number[] = [];
  let current = Array.from({ length: right.length + 1 }, (_, column) => column);
  for (let row = 1; row <= left.length; row++) {
    const next = [row];
    for (let column = 1; column <= right.length; column++) {
      const same = left[row - 1] === right[column - 1] ? 0 : 1;
      let cost = Math.min(
        current[column] + 1,
        next[column - 1] + 1,
        current[column - 1] + same,
      );
      const swapped = row > 1 && column > 1 &&
        left[row - 1] === right[column - 2] &&
        left[row - 2] === right[column - 1];
      if (swapped) cost = Math.min(cost, previous[column - 2] + 1);
      next.push(cost);
    }
    previous = current;
    current = next;
  }
  return current[right.length];
}

/**
 * The candidate nearest to a misspelt word, letter case and `_` `-` ignored;
 * undefined where none is near enough to be worth naming.
 */
export function suggest(
  word: string,
  candidates: readonly string[],
): string | undefined {
  const plain = (text: string) => text.toLowerCase().replaceAll(/[_-]/g, "");
  const wanted = plain(word);
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(wanted.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(wanted, plain(candidate));
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}
