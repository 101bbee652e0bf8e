// The cheapest matching of rows with columns: shortest augmenting paths, O(n³) (Jonker and Volgenant, 1987; as
// scipy.optimize.linear_sum_assignment solves it).

/**
 * The column of each row, in a matrix [rows, columns] with no more rows than columns. Every row gets one.
 */
export function assign(costs: Float64Array, rows: number, columns: number): Int32Array {
  const rowPrice = new Float64Array(rows);
  const columnPrice = new Float64Array(columns);
  const columnOf = new Int32Array(rows).fill(-1);
  const rowOf = new Int32Array(columns).fill(-1);
  const distance = new Float64Array(columns);
  const cameFrom = new Int32Array(columns);
  const isDone = new Uint8Array(columns);
  for (let start = 0; start < rows; start++) {
    distance.fill(Infinity);
    isDone.fill(0);
    let row = start;
    let reached = 0;
    let end = -1;
    while (end < 0) {
      let nearest = -1;
      for (let c = 0; c < columns; c++) {
        if (isDone[c]) continue;
        const through = reached + costs[row * columns + c]! - rowPrice[row]! - columnPrice[c]!;
        if (through < distance[c]!) {
          distance[c] = through;
          cameFrom[c] = row;
        }
        // Of columns as near a free one ends the path.
        if (nearest < 0 || distance[c]! < distance[nearest]! || (distance[c] === distance[nearest] && rowOf[c] === -1))
          nearest = c;
      }
      reached = distance[nearest]!;
      isDone[nearest] = 1;
      if (rowOf[nearest] === -1) end = nearest;
      else row = rowOf[nearest]!;
    }
    // Prices keep what is matched at no reduced cost.
    rowPrice[start]! += reached;
    for (let c = 0; c < columns; c++) {
      if (!isDone[c] || c === end) continue;
      rowPrice[rowOf[c]!]! += reached - distance[c]!;
      columnPrice[c]! -= reached - distance[c]!;
    }
    for (let c = end; ; ) {
      const from = cameFrom[c]!;
      const before = columnOf[from]!;
      rowOf[c] = from;
      columnOf[from] = c;
      if (from === start) break;
      c = before;
    }
  }
  return columnOf;
}
