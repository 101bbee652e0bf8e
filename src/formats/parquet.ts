// Parquet columns as streams of values, page by page, so that memory stays small however large the row groups are
// (pandas writes one of a million rows). Pages are decoded by hyparquet; its page functions are pinned by version.
import { type FileHandle, open } from 'node:fs/promises';
import {
  type AsyncBuffer,
  type ColumnMetaData,
  type DecodedArray,
  type FileMetaData,
  parquetMetadataAsync,
  parquetSchema,
  type SchemaTree,
} from 'hyparquet';
import { parquetHeader, readPage } from 'hyparquet/src/column.js';
import { convert, DEFAULT_PARSERS } from 'hyparquet/src/convert.js';
import { getMaxRepetitionLevel, getTreePath } from 'hyparquet/src/schema.js';
import { compressors } from 'hyparquet-compressors';
import { InputError, messageOf } from '../shared/errors.ts';

/** Bytes read at once; a page that is larger is read whole. */
const READ_BYTES = 4 << 20;
/** A page above this is refused: writers aim at 1 MiB, and image columns stay far below it. */
const MAX_PAGE_BYTES = 1 << 30;

export class ParquetFile {
  private constructor(
    readonly path: string,
    private readonly metadata: FileMetaData,
    private readonly schema: SchemaTree,
  ) {}

  static async open(path: string): Promise<ParquetFile> {
    const handle = await openFile(path);
    try {
      const { size } = await handle.stat();
      const file: AsyncBuffer = {
        byteLength: size,
        slice: async (start, end = size) => {
          const bytes = await readExactly(handle, start, end - start);
          return bytes.buffer as ArrayBuffer;
        },
      };
      const metadata = await parquetMetadataAsync(file);
      return new ParquetFile(path, metadata, parquetSchema(metadata));
    } catch (error) {
      throw new InputError(
        `${path}: not a readable Parquet file (${messageOf(error)}); fetch it again, or check that it is Parquet.`,
      );
    } finally {
      await handle.close();
    }
  }

  get rows(): number {
    return Number(this.metadata.num_rows);
  }

  /** The top-level columns, with the names of their parts when they are structs. */
  get columns(): { readonly name: string; readonly parts: readonly string[]; readonly text: boolean }[] {
    return this.schema.children.map(({ element, children }) => ({
      name: element.name,
      parts: children.map((child) => child.element.name),
      text: element.converted_type === 'UTF8' || element.logical_type?.type === 'STRING',
    }));
  }

  /** The `features` of a Hugging Face data set by column, when the footer has them. */
  get features(): Readonly<Record<string, { readonly _type?: string }>> {
    const text = this.metadata.key_value_metadata?.find(({ key }) => key === 'huggingface')?.value;
    try {
      const json = JSON.parse(text ?? '{}') as { info?: { features?: Record<string, { _type?: string }> } };
      return json.info?.features ?? {};
    } catch {
      return {};
    }
  }

  /** True when a part of the path is a list, so that its values are not one a row. */
  isList(path: readonly string[]): boolean {
    return getMaxRepetitionLevel(getTreePath(this.schema, [...path])) > 0;
  }

  /** The values of one leaf column from row `from` on, in batches; null where there is none. Bytes are views. */
  async *values(path: readonly string[], from = 0): AsyncGenerator<readonly unknown[]> {
    const handle = await openFile(this.path);
    try {
      let start = 0;
      for (const group of this.metadata.row_groups) {
        const rows = Number(group.num_rows);
        if (start + rows > from) {
          const chunk = group.columns.find(({ meta_data }) => meta_data?.path_in_schema.join('\0') === path.join('\0'));
          if (!chunk?.meta_data) throw new InputError(`${this.path}: the column ${path.join('.')} has no data.`);
          yield* this.chunkValues(handle, chunk.meta_data, Math.max(0, from - start));
        }
        start += rows;
      }
    } catch (error) {
      if (error instanceof InputError) throw error;
      throw new InputError(
        `${this.path}: the column ${path.join('.')} cannot be read (${messageOf(error)}); fetch the file again.`,
      );
    } finally {
      await handle.close();
    }
  }

  private async *chunkValues(handle: FileHandle, meta: ColumnMetaData, from: number): AsyncGenerator<unknown[]> {
    const schemaPath = getTreePath(this.schema, meta.path_in_schema);
    const { element } = schemaPath.at(-1)!;
    const decoder = {
      ...{ pathInSchema: meta.path_in_schema, type: meta.type, codec: meta.codec, element, schemaPath, compressors },
      ...{ parsers: DEFAULT_PARSERS, utf8: false },
    };
    // A dictionary, where there is one, lies before the data, whatever an old writer says of it.
    const first = Math.min(Number(meta.dictionary_page_offset || meta.data_page_offset), Number(meta.data_page_offset));
    const end = first + Number(meta.total_compressed_size);
    let dictionary: DecodedArray | undefined;
    let row = 0;
    for await (const { header, view } of pages(handle, first, end)) {
      const rows = header.data_page_header_v2?.num_rows ?? header.data_page_header?.num_values;
      if (rows !== undefined && row + rows <= from) {
        row += rows;
        continue;
      }
      const { data } = readPage({ view, offset: 0 }, header, decoder, dictionary, undefined, 0);
      if (!data) continue;
      if (rows === undefined) dictionary = convert(data, decoder);
      else {
        const values = Array.from(data as ArrayLike<unknown>, unwrapped);
        yield values.slice(Math.max(0, from - row));
        row += rows;
      }
    }
  }
}

/** hyparquet wraps the values of an optional struct in an array a level. */
function unwrapped(value: unknown): unknown {
  let inner = value;
  while (Array.isArray(inner)) inner = inner[0] as unknown;
  return inner ?? null;
}

/** The pages from `start` to `end`: their headers, and views of their bytes. */
async function* pages(
  handle: FileHandle,
  start: number,
  end: number,
): AsyncGenerator<{ header: ReturnType<typeof parquetHeader>; view: DataView }> {
  let wanted = READ_BYTES;
  for (let at = start; at < end; ) {
    const bytes = await readExactly(handle, at, Math.min(wanted, end - at));
    const whole = at + bytes.byteLength === end;
    const reader = { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), offset: 0 };
    let used = 0;
    wanted = READ_BYTES;
    while (used < bytes.byteLength) {
      let header: ReturnType<typeof parquetHeader>;
      try {
        header = parquetHeader(reader);
      } catch (error) {
        // The header itself may be cut off at the end of what was read.
        if (whole || used === 0) throw error;
        break;
      }
      const size = header.compressed_page_size;
      if (!(size >= 0 && size <= MAX_PAGE_BYTES && header.uncompressed_page_size <= MAX_PAGE_BYTES))
        throw new Error(`a page of ${header.uncompressed_page_size} bytes`);
      if (reader.offset + size > bytes.byteLength) {
        if (whole) throw new Error('a page ends after its column');
        if (used === 0) wanted = reader.offset + size;
        break;
      }
      yield { header, view: new DataView(bytes.buffer, bytes.byteOffset + reader.offset, size) };
      reader.offset += size;
      used = reader.offset;
    }
    at += used;
  }
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    return await open(path);
  } catch (error) {
    throw new InputError(`${path}: cannot be read (${messageOf(error)}); expected a Parquet file.`);
  }
}

async function readExactly(handle: FileHandle, start: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await handle.read(bytes, filled, length - filled, start + filled);
    if (bytesRead === 0) throw new Error(`the file ends at byte ${start + filled}`);
    filled += bytesRead;
  }
  return bytes;
}
