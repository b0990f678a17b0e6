//! `import [FILE]`: history that was exported, here or elsewhere.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use anyhow::Context as _;
use proto::archive::{FORMAT, Head, Record, VERSION};
use proto::display;
use proto::ipc::{Call, Reply};
use proto::limits::{MAX_FRAME_LEN, PAGE_BYTES, PAGE_RECORDS};
use serde::{Serialize, de::DeserializeOwned};

use crate::cli::Global;
use crate::client::{Client, unexpected};
use crate::failure::Failure;
use crate::locate;
use crate::output::Output;

/// What came of it.
#[derive(Debug, Default, Serialize)]
struct Imported {
    added: u64,
    known: u64,
}

pub(super) async fn run(global: &Global, file: Option<&Path>) -> Result<(), Failure> {
    let mut lines = Lines::open(file)?;
    let mut client = locate::connect(global).await?;
    lines.head()?;
    let mut imported = Imported::default();
    let mut batch = Batch::default();
    while let Some(record) = lines.record()? {
        if !batch.has_room(&record) {
            batch.send(&mut client, &lines.name, &mut imported).await?;
        }
        batch.push(lines.number, record);
    }
    batch.send(&mut client, &lines.name, &mut imported).await?;
    let output = Output::new(global);
    if output.json {
        return output.object(&imported);
    }
    let Imported { added, known } = imported;
    output.line(&format!(">>> {added} entries imported, {known} were here already"))
}

/// Records that go to the daemon together.
#[derive(Debug, Default)]
struct Batch {
    records: Vec<(u64, Record)>,
    bytes: usize,
}

impl Batch {
    fn has_room(&self, record: &Record) -> bool {
        let bytes = self.bytes + record.text.len();
        self.records.is_empty() || (self.records.len() < PAGE_RECORDS && bytes <= PAGE_BYTES)
    }

    fn push(&mut self, line: u64, record: Record) {
        self.bytes += record.text.len();
        self.records.push((line, record));
    }

    async fn send(&mut self, client: &mut Client, file: &str, sum: &mut Imported) -> Result<(), Failure> {
        let batch = std::mem::take(self).records;
        let records = batch.iter().map(|(_, record)| record.clone()).collect();
        if import(client, records, sum).await.is_ok() {
            return Ok(());
        }
        // One of them cannot be taken: alone each tells which it is, and the good ones before it are in.
        for (line, record) in batch {
            let taken = import(client, vec![record], sum).await;
            taken.map_err(|why| Failure::Failed(refused(file, line, 1, &why.to_string())))?;
        }
        Ok(())
    }
}

async fn import(client: &mut Client, records: Vec<Record>, sum: &mut Imported) -> Result<(), Failure> {
    if records.is_empty() {
        return Ok(());
    }
    match client.call(Call::Import { records }).await? {
        Reply::Imported { added, known } => {
            sum.added += added;
            sum.known += known;
            Ok(())
        }
        reply => Err(unexpected(&reply)),
    }
}

fn refused(file: &str, line: u64, column: usize, why: &str) -> String {
    format!(
        "{file}:{line}:{column}: {why}. What stands before it is imported; mended and imported again, nothing comes twice"
    )
}

/// The lines of a file.
struct Lines {
    /// As the person named it.
    name: String,
    input: Box<dyn BufRead>,
    /// The line that was read last, from 1.
    number: u64,
}

impl Lines {
    fn open(file: Option<&Path>) -> Result<Self, Failure> {
        let file = file.filter(|file| *file != Path::new("-"));
        let Some(path) = file else {
            return Ok(Self { name: "-".into(), input: Box::new(io::stdin().lock()), number: 0 });
        };
        let name = display::line(&path.display().to_string()).into_owned();
        let file = File::open(path).with_context(|| format!("unable to read {name}"))?;
        Ok(Self { name, input: Box::new(BufReader::new(file)), number: 0 })
    }

    fn head(&mut self) -> Result<(), Failure> {
        let head: Option<Head> = self.next()?;
        match head {
            Some(head) if head.format != FORMAT => Err(self.bad(1, "this is no history of the chat")),
            Some(head) if head.version > VERSION => {
                let why =
                    format!("it has version {}, this program knows up to {VERSION}: update it", head.version);
                Err(self.bad(1, &why))
            }
            Some(_) => Ok(()),
            None => Err(Failure::Failed(format!("{}:1:1: it is empty", self.name))),
        }
    }

    fn record(&mut self) -> Result<Option<Record>, Failure> {
        self.next()
    }

    /// The next line that is not blank. No line is read beyond the length that any of them can have.
    fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Failure> {
        loop {
            let mut line = Vec::new();
            let bound = MAX_FRAME_LEN as u64;
            let read = self.input.by_ref().take(bound).read_until(b'\n', &mut line);
            if read.with_context(|| format!("unable to read {}", self.name))? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if line.len() as u64 == bound && line.last() != Some(&b'\n') {
                return Err(self.bad(1, "the line is longer than any entry"));
            }
            if line.trim_ascii().is_empty() {
                continue;
            }
            return serde_json::from_slice(&line).map(Some).map_err(|error| {
                let text = error.to_string();
                let why = text.rsplit_once(" at line ").map_or(text.as_str(), |(why, _)| why);
                self.bad(error.column().max(1), &display::line(why))
            });
        }
    }

    fn bad(&self, column: usize, why: &str) -> Failure {
        Failure::Failed(refused(&self.name, self.number, column, why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(text: &'static str) -> String {
        let mut lines = Lines { name: "f".into(), input: Box::new(text.as_bytes()), number: 0 };
        let outcome = lines.head().and_then(|()| lines.record().map(drop));
        outcome.expect_err("refused").to_string()
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_column() {
        let head = r#"{"format":"chat-history","version":1,"name":"anna","key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#;
        assert!(failure("").starts_with("f:1:1: it is empty"));
        assert!(failure("{\"format\":1}").starts_with("f:1:11: invalid type: integer `1`"));
        let newer: &str = Box::leak(head.replace(":1,", ":2,").into_boxed_str());
        assert!(failure(newer).starts_with("f:1:1: it has version 2"));
        let broken: &str = Box::leak(format!("{head}\n\n{{\"peer\":null,").into_boxed_str());
        assert!(failure(broken).starts_with("f:3:13: EOF while parsing"), "{}", failure(broken));
    }
}
