// Sums of columns by a workgroup: neighbouring invocations have neighbouring columns, COLUMNS of them, and SLICES = WG / COLUMNS invocations
// share a column, whose rows they take in turn. All of a workgroup call column_sum or column_total, in uniform control flow, with what each has
// of its column's sum; the first COLUMNS get the sums, or all get theirs. The order is fixed.
// Stands before the text of the families that use it, which declare WG and E, what a column's values are.

const COLUMNS: u32 = 8; // a power of two, as SLICES is
const SLICES: u32 = WG / COLUMNS;

var<workgroup> slices: array<E, WG>;

fn column_sum(local: u32, v: E) -> E {
  slices[local] = v;
  for (var left = SLICES / 2u; left > 0u; left /= 2u) {
    workgroupBarrier();
    if (local < left * COLUMNS) { slices[local] += slices[local + left * COLUMNS]; }
  }
  return slices[local];
}

fn column_total(local: u32, v: E) -> E {
  _ = column_sum(local, v);
  workgroupBarrier();
  let total = slices[local % COLUMNS];
  workgroupBarrier();
  return total;
}
