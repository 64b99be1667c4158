//! The table of what the parts of a file became.

use super::{
    failure::Failure,
    output::{self, note},
};
use serde::Serialize;
use unrolled::convert::Part;

/// The parts of a file, and notes.
pub struct PartsTable<'a> {
    /// The parts, in the order of the file.
    pub parts: &'a [Part],
    /// One sentence each.
    pub notes: &'a [String],
}

/// The object of `--json`.
#[derive(Serialize)]
struct PartsReport<'a> {
    checkpoint: String,
    step: u64,
    parts: Vec<PartRow<'a>>,
    notes: &'a [String],
}

/// A part in the object of `--json`.
#[derive(Serialize)]
pub struct PartRow<'a> {
    name: &'a str,
    kind: &'a str,
    shape: &'a [usize],
    became: &'a str,
}

impl PartsTable<'_> {
    /// Prints the table, or one JSON object with the name of the checkpoint; then the notes.
    pub fn print(&self, json: Option<String>) -> Result<(), Failure> {
        match json {
            Some(checkpoint) => {
                output::json(&PartsReport { checkpoint, step: 0, parts: self.rows(), notes: self.notes })?;
            }
            None => output::write(&self.text())?,
        }
        self.notes.iter().for_each(|text| note(text));
        Ok(())
    }

    /// Returns the parts for JSON.
    pub fn rows(&self) -> Vec<PartRow<'_>> {
        self.parts
            .iter()
            .map(|part| PartRow {
                name: &part.name,
                kind: &part.kind,
                shape: &part.shape,
                became: &part.became,
            })
            .collect()
    }

    /// Returns the table.
    pub fn text(&self) -> String {
        let head = ["part", "kind", "shape", "became"].map(str::to_owned);
        let row = |part: &Part| {
            let shape = if part.shape.is_empty() { String::new() } else { format!("{:?}", part.shape) };
            [part.name.clone(), part.kind.clone(), shape, part.became.clone()]
        };
        aligned([head].into_iter().chain(self.parts.iter().map(row)).collect())
    }
}

/// Returns rows of four columns, aligned.
pub fn aligned(rows: Vec<[String; 4]>) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let [name, kind, shape] = [0, 1, 2].map(width);
    rows.iter().map(|[a, b, c, d]| format!("{a:name$}  {b:kind$}  {c:shape$}  {d}\n")).collect()
}
