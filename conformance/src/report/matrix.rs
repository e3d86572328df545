//! A table of what of the contract was seen on the wire. Whoever measures it hands it in by `Judged::coverage`.

/// One table, such as calls by status.
#[derive(Debug, Clone)]
pub struct Matrix {
    pub title: String,
    pub columns: Vec<String>,
    pub rows: Vec<(String, Vec<Cell>)>,
}

/// One cell of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// It was seen so many times.
    Seen(u64),
    /// The contract names it and nobody saw it.
    Missing,
    /// The contract does not name it.
    Empty,
}

impl Matrix {
    /// Cells that were seen, and all that the contract names.
    pub fn share(&self) -> (usize, usize) {
        let cells = || self.rows.iter().flat_map(|(_, cells)| cells);
        let seen = cells().filter(|cell| matches!(cell, Cell::Seen(_))).count();
        let missing = cells().filter(|cell| **cell == Cell::Missing).count();
        (seen, seen + missing)
    }
}
