//! Figures in rows, each with its target.

use std::time::Duration;

/// The table under way.
pub(crate) struct Table {
    flush: Duration,
    rows: Vec<[String; 4]>,
}

/// The middle one.
pub(crate) fn median(times: &mut [Duration]) -> Duration {
    percentile(times, 50)
}

/// The one that so many of a hundred do not exceed.
pub(crate) fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

impl Table {
    pub(crate) fn new(flush: Duration) -> Self {
        let mut table = Self { flush, rows: Vec::new() };
        table.row("one flush of the disk, p50", format!("{:.2} ms", ms(flush)), String::new());
        table
    }

    /// The cost of one flush.
    pub(crate) fn flush(&self) -> Duration {
        self.flush
    }

    /// A time, and how many flushes it is worth.
    pub(crate) fn time(&mut self, what: impl Into<String>, time: Duration, target: impl Into<String>) {
        let flushes = time.as_secs_f64() / self.flush.as_secs_f64();
        self.push(what.into(), format!("{:.2} ms", ms(time)), format!("{flushes:.1}"), target.into());
    }

    /// Any other figure.
    pub(crate) fn row(&mut self, what: impl Into<String>, figure: String, target: impl Into<String>) {
        self.push(what.into(), figure, String::new(), target.into());
    }

    fn push(&mut self, what: String, figure: String, flushes: String, target: String) {
        // A run takes minutes: what is known already is shown.
        eprintln!("{what}: {figure}");
        self.rows.push([what, figure, flushes, target]);
    }

    pub(crate) fn print(&self) {
        println!("| {:<52} | {:>14} | {:>8} | {:<24} |", "what", "figure", "flushes", "target");
        println!("| {:-<52} | {:->13}: | {:->7}: | {:-<24} |", "", "", "", "");
        for [what, figure, flushes, target] in &self.rows {
            println!("| {what:<52} | {figure:>14} | {flushes:>8} | {target:<24} |");
        }
    }
}
