/**
 * Who started whom, also after the starter has ended: a bounded memory of
 * processes, fed by events of the system and by what look-ups see.
 *
 * A node is one process, not one id: an id that is used again gets a new node,
 * told by its start time. A node that has ended is kept while a descendant of
 * it lives.
 */
import type { ProcessOrigin } from "../ports.ts";

/** How many nodes there may be: those that live, and those that have ended. */
const LIVING = 65_536;
const ENDED = 16_384;
/** How far up ancestors are told. */
const GENERATIONS = 64;

/** What was seen of a process. */
export interface Sighting {
  readonly processId: number;
  readonly startTime: number;
  readonly parentId: number;
  /** The executable; undefined where it can't be read. */
  readonly path: string | undefined;
  readonly name: string;
}

interface Node {
  readonly processId: number;
  startTime: number | undefined;
  path: string | undefined;
  name: string;
  parent: Node | undefined;
  children: number;
  ended: boolean;
}

/** A memory of processes and their parents. */
export class ProcessTree {
  readonly #nodes = new Map<number, Node>();
  /** In the order of their ends. */
  readonly #ended = new Set<Node>();

  /** How many processes are known, those that have ended included. */
  get size(): number {
    return this.#nodes.size + this.#ended.size;
  }

  /**
   * A process was started by another one: for now it runs the same program.
   * @param startTime where it is known
   */
  start(processId: number, parentId: number): void {
    this.end(processId);
    const parent = this.#nodes.get(parentId);
    this.#add({
      processId,
      startTime: undefined,
      path: parent?.path,
      name: parent?.name ?? "",
      parent,
      children: 0,
      ended: false,
    });
  }

  /** A process runs another program now. */
  change(processId: number, path: string | undefined, name: string): void {
    const node = this.#nodes.get(processId);
    if (node === undefined) return;
    node.path = path;
    node.name = name;
  }

  /** A process has ended. */
  end(processId: number): void {
    const node = this.#nodes.get(processId);
    if (node === undefined) return;
    this.#nodes.delete(processId);
    node.ended = true;
    if (node.children === 0) this.#release(node);
    else this.#keep(node);
  }

  /** Whether a process is known, by its start time. */
  has(processId: number, startTime: number): boolean {
    return this.#nodes.get(processId)?.startTime === startTime;
  }

  /**
   * Takes in what was seen of a process. Its parent of before stays: processes
   * get another one only by its end.
   */
  observe(sighting: Sighting): void {
    const { processId, startTime, path, name } = sighting;
    let node = this.#nodes.get(processId);
    if (node?.startTime !== undefined && node.startTime !== startTime) {
      this.end(processId);
      node = undefined;
    }
    if (node === undefined) {
      this.#add({
        processId,
        startTime,
        path,
        name,
        parent: this.#parentOf(sighting),
        children: 0,
        ended: false,
      });
      return;
    }
    node.startTime = startTime;
    node.path = path;
    node.name = name;
    if (node.parent === undefined) {
      this.#adopt(node, this.#parentOf(sighting));
    }
  }

  /** All known processes that have not ended. */
  living(): readonly number[] {
    return [...this.#nodes.keys()];
  }

  /** Who started a process, who started that one, and so on. */
  ancestors(processId: number): ProcessOrigin[] {
    const origins: ProcessOrigin[] = [];
    let node = this.#nodes.get(processId)?.parent;
    for (; node !== undefined; node = node.parent) {
      if (origins.length === GENERATIONS) break;
      const { startTime, path, name, ended } = node;
      origins.push({ processId: node.processId, startTime, path, name, ended });
    }
    return origins;
  }

  /** The parent that was seen; one that started later is another process. */
  #parentOf(sighting: Sighting): Node | undefined {
    const parent = this.#nodes.get(sighting.parentId);
    if (parent === undefined || parent.processId === sighting.processId) {
      return undefined;
    }
    const later = parent.startTime !== undefined &&
      parent.startTime > sighting.startTime;
    return later ? undefined : parent;
  }

  #add(node: Node): void {
    // Where there are too many, one is not known: its children have no ancestors.
    if (this.#nodes.size >= LIVING) return;
    this.#nodes.set(node.processId, node);
    if (node.parent !== undefined) node.parent.children++;
  }

  #adopt(node: Node, parent: Node | undefined): void {
    for (let above = parent; above !== undefined; above = above.parent) {
      if (above === node) return;
    }
    node.parent = parent;
    if (parent !== undefined) parent.children++;
  }

  /** Lets a node without descendants go, and those above it that wait for that. */
  #release(node: Node): void {
    for (let below: Node | undefined = node; below !== undefined;) {
      this.#ended.delete(below);
      const parent: Node | undefined = below.parent;
      below.parent = undefined;
      if (parent === undefined) return;
      parent.children--;
      below = parent.ended && parent.children === 0 ? parent : undefined;
    }
  }

  #keep(node: Node): void {
    this.#ended.add(node);
    if (this.#ended.size <= ENDED) return;
    // Its children's line ends at it from now on.
    const [oldest] = this.#ended;
    this.#release(oldest);
  }
}
