/**
 * What all threads of a process share of a capture: a block of memory whose
 * address is the capture's descriptor. Pollers read its first cell.
 *
 *      0  event, u32          set when frames wait, reset by who finds none
 *      4  kind, u32           tells it from other devices' descriptors
 *      8  open driver, u64
 *     16  sections, u32
 *     20  bytes of each, u32
 *     24  addresses of sections, u64 each, up to 8
 *     96  counters, f64 each
 *    160  links
 */
import type { CaptureCounters } from "../../ports/capture.ts";
import { FrameLinks, LINKS_LENGTH } from "./ndis_links.ts";

const EVENT = 0;
const KIND = 1;
const SECTIONS = 4;
const SECTION_LENGTH = 5;
const DRIVER_AT = 8;
const ADDRESSES_AT = 24;
const MAX_SECTIONS = 8;
const COUNTERS_AT = 96;
const COUNTERS = 8;
const LINKS_AT = COUNTERS_AT + COUNTERS * 8;
/** «NDIS» */
const CAPTURE_KIND = 0x5349444e;

/** Bytes of each section; a worker's read area holds one. */
export const SECTION_BYTES = 1 << 20;
/** Bytes of the block. */
export const BLOCK_LENGTH = LINKS_AT + LINKS_LENGTH;

/** Cells of the counters. */
export const CaptureCounter = {
  Oversize: 0,
  Wrapped: 1,
  UnknownLink: 2,
  FastFrames: 3,
  QueuedFrames: 4,
} as const;

/** Bytes from which {@linkcode isCaptureBlock} tells. */
export const KIND_END = 8;

/** Whether a device's block is such a one. */
export function isCaptureBlock(memory: ArrayBuffer): boolean {
  return new Uint32Array(memory, 0, 2)[KIND] === CAPTURE_KIND;
}

/** What a block says. */
export interface CaptureBlockContents {
  /** The event's handle. */
  readonly event: number;
  readonly driver: bigint;
  /** Addresses. */
  readonly sections: readonly number[];
  readonly sectionLength: number;
}

/** Fills a block of zeros. */
export function writeBlock(
  memory: ArrayBuffer,
  contents: CaptureBlockContents,
): void {
  const { event, driver, sections, sectionLength } = contents;
  if (sections.length > MAX_SECTIONS) throw new RangeError("too many sections");
  const cells = new Uint32Array(memory, 0, ADDRESSES_AT / 4);
  cells[SECTIONS] = sections.length;
  cells[SECTION_LENGTH] = sectionLength;
  const view = new DataView(memory);
  view.setBigUint64(DRIVER_AT, driver, true);
  sections.forEach((address, n) =>
    view.setBigUint64(ADDRESSES_AT + n * 8, BigInt(address), true)
  );
  cells[EVENT] = event;
  cells[KIND] = CAPTURE_KIND;
}

/** Reads a block. */
export function readBlock(memory: ArrayBuffer): CaptureBlockContents {
  const cells = new Uint32Array(memory, 0, ADDRESSES_AT / 4);
  const view = new DataView(memory);
  return {
    event: cells[EVENT],
    driver: view.getBigUint64(DRIVER_AT, true),
    sections: Array.from(
      { length: cells[SECTIONS] },
      (_, n) => Number(view.getBigUint64(ADDRESSES_AT + n * 8, true)),
    ),
    sectionLength: cells[SECTION_LENGTH],
  };
}

/** The links in a block. */
export function linksOf(memory: ArrayBuffer): FrameLinks {
  return new FrameLinks(memory, LINKS_AT);
}

/** The counters in a block; whoever reads frames writes them. */
export function countersOf(memory: ArrayBuffer): Float64Array {
  return new Float64Array(memory, COUNTERS_AT, COUNTERS);
}

/** The counts as they are now. */
export function snapshotOf(cells: Float64Array): CaptureCounters {
  return {
    oversize: cells[CaptureCounter.Oversize],
    wrapped: cells[CaptureCounter.Wrapped],
    unknownLink: cells[CaptureCounter.UnknownLink],
    fastFrames: cells[CaptureCounter.FastFrames],
    queuedFrames: cells[CaptureCounter.QueuedFrames],
  };
}
