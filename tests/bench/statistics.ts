/** Medians, quantiles and ratios of repeated measurements. */

/** The value below which the share `q` lies; NaN of nothing. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const at = Math.min(sorted.length - 1, Math.floor(sorted.length * q));
  return sorted[at] ?? NaN;
}

/** The median; the mean of the middle two of an even number. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  if (sorted.length % 2 === 1) return sorted[half];
  return (sorted[half - 1] + sorted[half]) / 2;
}

/** Median, least and greatest as text. */
export function describe(values: readonly number[], digits: number): string {
  const text = (value: number) => value.toFixed(digits);
  return `${text(median(values))} (${text(Math.min(...values))} to ${
    text(Math.max(...values))
  })`;
}

/** The median of the rounds' own ratios: what drifts between rounds cancels out. */
export function medianRatio(
  ours: readonly number[],
  theirs: readonly number[],
): number {
  return median(ours.map((value, round) => value / theirs[round]));
}
