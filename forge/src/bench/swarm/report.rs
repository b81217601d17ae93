//! What a swarm's run prints: how much went through, what it took, and what the watcher found.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::watch::Findings;
use super::{Options, Ran};
use crate::bench::machine::Machine;
use crate::ledger::verify;

/// How many findings and examples are printed of each kind.
const SHOWN: usize = 10;
/// Gated merges per second that the whole loop is to reach, and MiB that the server may take with everybody connected.
const MERGES: f64 = 20.0;
const MEMORY: f64 = 300.0;

/// One kind of operation.
#[derive(Debug, Serialize)]
struct Operation {
    name: String,
    count: usize,
    /// Milliseconds from the request to the whole answer: middle, and what one of a hundred exceeds.
    p50_ms: f64,
    p99_ms: f64,
    longest_ms: f64,
}

/// What the server took.
#[derive(Debug, Serialize)]
struct Server {
    /// MiB resident when everybody was connected and nobody at work; of its own alone.
    connected_mib: f64,
    connected_own_mib: f64,
    /// MiB after the work, and the most that was ever resident; mapped packs included.
    worked_own_mib: f64,
    peak_mib: f64,
    /// Seconds of processor time over the work.
    cpu_seconds: f64,
    /// Warnings and errors of its log.
    complaints: Vec<String>,
}

/// A whole run.
#[derive(Debug, Serialize)]
pub struct Report {
    agents: usize,
    waiting: usize,
    /// How often those who wait were told something.
    woken: u64,
    ssh_percent: usize,
    projects: usize,
    joining_seconds: f64,
    seconds: f64,
    merges: u64,
    operations_per_second: f64,
    merges_per_second: f64,
    operations: Vec<Operation>,
    server: Server,
    clients_cpu_seconds: f64,
    reconnects: u64,
    /// How many by kind, and some in full.
    errors: BTreeMap<String, u64>,
    examples: Vec<String>,
    lost: Vec<String>,
    duplicated: Vec<String>,
    reordered: Vec<String>,
    skipped: Vec<String>,
    unasked: Vec<String>,
    /// What `forge verify` says is wrong or unfinished.
    faults: Vec<String>,
    acknowledged: usize,
    events: u64,
    looks: usize,
    machine: Machine,
    /// Where the server's data and its log stay, if anything was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kept: Option<PathBuf>,
}

/// Puts a report together.
pub(super) fn made(
    options: &Options,
    machine: Machine,
    ran: Ran,
    peak: f64,
    findings: Findings,
    verified: &verify::Report,
    complaints: Vec<String>,
) -> Report {
    let Ran { diary, seconds, joining, connected, server_cpu, clients_cpu, reconnects, after } = ran;
    let count: usize = diary.took.values().map(Vec::len).sum();
    let operations = diary.took.into_iter().map(|(name, took)| operation(name, took)).collect();
    let Findings { lost, duplicated, reordered, skipped, unasked } = findings;
    Report {
        agents: options.agents,
        waiting: options.waiting,
        woken: diary.woken,
        ssh_percent: options.ssh,
        projects: options.projects,
        joining_seconds: joining,
        seconds,
        merges: diary.merges,
        operations_per_second: count as f64 / seconds,
        merges_per_second: diary.merges as f64 / seconds,
        operations,
        server: Server {
            connected_mib: connected.resident,
            connected_own_mib: connected.own,
            worked_own_mib: after.own,
            peak_mib: peak,
            cpu_seconds: server_cpu,
            complaints,
        },
        clients_cpu_seconds: clients_cpu,
        reconnects,
        errors: diary.errors,
        examples: diary.examples,
        lost,
        duplicated,
        reordered,
        skipped,
        unasked,
        faults: verified.faults.iter().chain(&verified.pending).cloned().collect(),
        acknowledged: diary.acts.len(),
        events: verified.events,
        looks: diary.looks.len(),
        machine,
        kept: None,
    }
}

fn operation(name: &str, mut took: Vec<f64>) -> Operation {
    took.sort_by(f64::total_cmp);
    let at = |share: f64| took.get(((took.len() as f64 * share) as usize).min(took.len().saturating_sub(1)));
    let of = |share: f64| at(share).copied().unwrap_or(0.0);
    Operation { name: name.to_owned(), count: took.len(), p50_ms: of(0.5), p99_ms: of(0.99), longest_ms: of(1.0) }
}

impl Report {
    /// Whether nothing failed and the watcher found nothing.
    pub fn is_clean(&self) -> bool {
        let found = [&self.lost, &self.duplicated, &self.reordered, &self.skipped, &self.unasked, &self.faults];
        self.errors.is_empty() && found.iter().all(|found| found.is_empty())
    }

    /// The report, for people.
    pub fn table(&self) -> String {
        let reached = |is: bool| if is { "reached" } else { "not reached" };
        let server = &self.server;
        let mut text = format!(
            "{} agents ({} of 100 over SSH) on {} projects, joined in {:.1} s, at work for {:.1} s\n",
            self.agents, self.ssh_percent, self.projects, self.joining_seconds, self.seconds
        );
        if self.waiting > 0 {
            text.push_str(&format!("{} more wait for news and were told some {} times\n", self.waiting, self.woken));
        }
        text.push('\n');
        text.push_str(&format!(
            "operations/s {:.1}\nmerges/s     {:.2}  (mark {MERGES}, {})\n\n",
            self.operations_per_second,
            self.merges_per_second,
            reached(self.merges_per_second >= MERGES)
        ));
        text.push_str("operation      count    p50 ms    p99 ms   longest ms\n");
        for Operation { name, count, p50_ms, p99_ms, longest_ms } in &self.operations {
            text.push_str(&format!("{name:<12} {count:>7} {p50_ms:>9.1} {p99_ms:>9.1} {longest_ms:>12.1}\n"));
        }
        text.push_str(&format!(
            "\nserver memory  {:.0} MiB with all connected ({:.0} of its own; mark {MEMORY}, {}), {:.0} of its own after \
             the work, {:.0} at the most\nserver CPU     {:.1} s\nclients' CPU   {:.1} s\n",
            server.connected_mib,
            server.connected_own_mib,
            reached(server.connected_mib < MEMORY),
            server.worked_own_mib,
            server.peak_mib,
            server.cpu_seconds,
            self.clients_cpu_seconds
        ));
        text.push_str(&format!(
            "\nwatcher: {} acts against {} events, {} looks at cursors; {} connections made again\n",
            self.acknowledged, self.events, self.looks, self.reconnects
        ));
        text.push_str(&format!("errors       {}\n", self.errors.values().sum::<u64>()));
        let errors: Vec<String> = self.errors.iter().map(|(kind, n)| format!("{n} × {kind}")).collect();
        list(&mut text, &errors);
        list(&mut text, &self.examples);
        let found = [
            ("lost", &self.lost),
            ("duplicated", &self.duplicated),
            ("reordered", &self.reordered),
            ("skipped", &self.skipped),
            ("unasked", &self.unasked),
            ("faults", &self.faults),
            ("complaints", &server.complaints),
        ];
        for (name, found) in found {
            text.push_str(&format!("{name:<12} {}\n", found.len()));
            list(&mut text, found);
        }
        if let Some(kept) = &self.kept {
            text.push_str(&format!("the server's data and log stay in {}\n", kept.display()));
        }
        text + "\n" + &self.machine.line()
    }
}

fn list(text: &mut String, lines: &[String]) {
    lines.iter().take(SHOWN).for_each(|line| text.push_str(&format!("  {line}\n")));
    if lines.len() > SHOWN {
        text.push_str(&format!("  … and {} more\n", lines.len() - SHOWN));
    }
}
