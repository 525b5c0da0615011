// What a list's check found, as the page shows it: a line for each thing.
import type { FieldErrors } from './api/failure';

/** A finding: the spreadsheet's row and column; neither where it is about the whole file. */
export interface Finding {
  row: string;
  column: string;
  detail: string;
}

interface Said {
  pointer: string;
  detail: string;
}

/** Reads `/row/column`. */
export function finding({ pointer, detail }: Said): Finding {
  const [row = '', ...column] = pointer.replace(/^\//, '').split('/');
  return { row, column: column.join('/'), detail };
}

/** The findings of a file that was refused as a whole. */
export function refusals(fields: FieldErrors): Finding[] {
  return Object.entries(fields).map(([pointer, detail]) => finding({ pointer, detail }));
}

interface RowLike {
  errors: readonly Said[];
  warnings: readonly Said[];
}

/** What is wrong, and what may be, in the order of the rows. */
export function findings(rows: readonly RowLike[]): { errors: Finding[]; warnings: Finding[] } {
  return {
    errors: rows.flatMap((row) => row.errors.map(finding)),
    warnings: rows.flatMap((row) => row.warnings.map(finding)),
  };
}
