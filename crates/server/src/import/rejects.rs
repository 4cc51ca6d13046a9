//! The file of rejected lines: line number, code, and the line as it was.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use anyhow::Context;
use csv::StringRecord;

/// One line that was not imported.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// Its number in the file, from 1, the header included.
    pub line: u64,
    /// Why, stable.
    pub code: String,
    /// The line.
    pub fields: StringRecord,
}

/// Writes rejected lines and counts them by code.
pub struct Rejects {
    file: csv::Writer<File>,
    by_code: BTreeMap<String, u64>,
}

impl Rejects {
    /// Starts the file anew: a second run writes the same lines again.
    pub fn create(path: &Path, header: &StringRecord) -> anyhow::Result<Self> {
        let mut file = csv::WriterBuilder::new()
            .flexible(true)
            .from_path(path)
            .with_context(|| path.display().to_string())?;
        file.write_record(["line", "code"].into_iter().chain(header))?;
        Ok(Self {
            file,
            by_code: BTreeMap::new(),
        })
    }

    /// Writes one line.
    pub fn write(&mut self, rejected: &Rejected) -> anyhow::Result<()> {
        let line = rejected.line.to_string();
        self.file.write_record(
            [line.as_str(), &rejected.code]
                .into_iter()
                .chain(&rejected.fields),
        )?;
        *self.by_code.entry(rejected.code.clone()).or_default() += 1;
        Ok(())
    }

    /// Finishes the file; how many lines were rejected, by code.
    pub fn finish(mut self) -> anyhow::Result<BTreeMap<String, u64>> {
        self.file.flush()?;
        Ok(self.by_code)
    }
}
