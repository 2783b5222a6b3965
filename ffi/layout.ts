/**
 * Struct layouts of a C boundary as data.
 *
 * A field is [name, type, offset in bytes]; names are those of the C headers,
 * so that a test can compare each size and offset with what a C compiler says.
 * `be` types lie in network order, `le` types in the host's; a `pointer` is 8
 * bytes, `bytes` is an array or a nested struct.
 */

/** How a field is stored. */
export type FieldType =
  | "u8"
  | "i8"
  | "u16le"
  | "u32le"
  | "i32le"
  | "u64le"
  | "i64le"
  | "u16be"
  | "u32be"
  | "pointer"
  | "bytes";

/** One field of a struct. */
export type Field = readonly [name: string, type: FieldType, offset: number];

/** A struct: its size, its fields, and each field's offset by name. */
export interface Layout<F extends readonly Field[] = readonly Field[]> {
  /** The C name, with `struct` where C wants it. */
  readonly cName: string;
  /** The header that declares it. */
  readonly header: string;
  /** sizeof, in bytes. */
  readonly size: number;
  readonly fields: F;
  /** Offsets by field name. */
  readonly at: { readonly [K in F[number] as K[0]]: K[2] };
}

/**
 * Makes a layout of plain data.
 *
 * @param size sizeof, in bytes, as a C compiler says.
 * @param fields In the order of the header; padding is left out.
 */
export function struct<const F extends readonly Field[]>(
  cName: string,
  header: string,
  size: number,
  fields: F,
): Layout<F> {
  const at = Object.fromEntries(
    fields.map(([name, , offset]) => [name, offset]),
  );
  return { cName, header, size, fields, at: at as Layout<F>["at"] };
}
