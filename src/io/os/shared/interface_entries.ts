/**
 * The addresses and routes that one interface got from us: made to be as a
 * configuration says, and taken back.
 *
 * What is there is read first, so that only what is missing is added and only
 * what we added is ever removed. Each addition is in the journal before it is
 * made.
 */
import type { InterfaceConfig, Journal } from "../../ports.ts";
import {
  fulfils,
  journalEntries,
  networkWords,
  planChange,
  sameAddress,
  sameRoute,
} from "../interface_change.ts";
import type {
  Link,
  LinkAddress,
  Route,
  RouteRequest,
} from "../network_entities.ts";

/** A system's addresses and routes. */
export interface EntryTables {
  /** The interface of a name. */
  link(name: string): Pick<Link, "index"> | undefined;
  addresses(): readonly LinkAddress[];
  routes(): readonly Route[];
  /** The routes that may be ours, by what is to be seen of them. */
  ownRoutes(): readonly Route[];
  /** Adds an address, if only the interface doesn't have it already. */
  addAddress(address: LinkAddress): void;
  addRoute(route: RouteRequest): void;
  /** @returns false where it was gone already; so does `removeRoute`. */
  removeAddress(address: LinkAddress): boolean;
  removeRoute(route: RouteRequest): boolean;
}

/** What to change, and how. */
interface Change<T> {
  readonly plan: ReturnType<typeof planChange<T>>;
  /** Takes for ours what these are. */
  readonly own: (entries: readonly T[]) => void;
  readonly add: (entry: T) => void;
  readonly remove: (entry: T) => void;
}

/** See the file header. */
export class InterfaceEntries {
  readonly #link: { readonly name: string; readonly index: number };
  readonly #tables: EntryTables;
  readonly #journal: Journal;
  #addresses: readonly LinkAddress[] = [];
  #routes: readonly RouteRequest[] = [];

  constructor(
    { name, index }: { readonly name: string; readonly index: number },
    tables: EntryTables,
    journal: Journal,
  ) {
    this.#link = { name, index };
    this.#tables = tables;
    this.#journal = journal;
  }

  /** Gives the interface the addresses of a configuration, and no other of ours. */
  applyAddresses(config: InterfaceConfig): void {
    const { index } = this.#link;
    const tables = this.#tables;
    const present = tables.addresses();
    const wanted = config.addresses.map((address) => ({ ...address, index }));
    this.#make({
      plan: planChange(this.#addresses, wanted, {
        same: sameAddress,
        isPresent: (address) =>
          present.some((other) => sameAddress(other, address)),
      }),
      own: (addresses) => this.#addresses = addresses,
      add: (address) => tables.addAddress(address),
      remove: (address) => tables.removeAddress(address),
    });
  }

  /** The same for its routes, of which it has none while it is down. */
  applyRoutes(config: InterfaceConfig): void {
    const { index } = this.#link;
    const tables = this.#tables;
    // Read now: with an interface's last address the system takes its routes.
    const present = tables.routes();
    const wanted = (config.up ? config.routes : [])
      .map((route) => ({ ...route, words: networkWords(route), index }));
    this.#make({
      plan: planChange(this.#routes, wanted, {
        same: sameRoute,
        isPresent: (route) => present.some((other) => fulfils(other, route)),
      }),
      own: (routes) => this.#routes = routes,
      add: (route) => tables.addRoute(route),
      remove: (route) => tables.removeRoute(route),
    });
  }

  /** Takes all of it back; the journal keeps it until {@linkcode forget}. */
  remove(): void {
    for (const route of this.#routes) this.#tables.removeRoute(route);
    for (const address of this.#addresses) this.#tables.removeAddress(address);
  }

  /** Ends what the journal says of the interface. */
  forget(): void {
    this.#journal.record(this.#scope, []);
  }

  #make<T>({ plan, own, add, remove }: Change<T>): void {
    own([...plan.unwanted, ...plan.ours]);
    this.#record();
    // Removal first: within one subnet, a later address goes with the first one.
    plan.unwanted.forEach(remove);
    plan.missing.forEach(add);
    own(plan.ours);
    this.#record();
  }

  #record(): void {
    this.#journal.record(
      this.#scope,
      journalEntries(this.#link, this.#addresses, this.#routes),
    );
  }

  get #scope(): string {
    return `network:${this.#link.name}`;
  }
}
