//! Asking for refs: what a mirror that has everything asks again and again, and a prefix among very many refs.

use super::super::capture;
use super::super::error::BenchError;
use super::super::http::Client;
use super::super::ours::Ours;
use super::super::report::Row;
use super::super::timing::{Pair, milliseconds};
use super::ground::{FEW, Ground, MANY};

/// The poll that mirrors are told to make: heads, tags, the ledger, and the pull requests that are open.
pub fn poll(ground: &mut Ground) -> Result<Vec<Row>, BenchError> {
    ground.seed()?;
    let open = open_pulls(ground)?;
    let (mut times, mut bytes) = (Pair::default(), Pair::default());
    for _ in 0..ground.sizes.rounds {
        let measure = |project: &str, open: &[String]| -> Result<(f64, f64), BenchError> {
            let mut prefixes = vec!["refs/heads/", "refs/tags/", "refs/forge/ledger"];
            prefixes.extend(open.iter().map(String::as_str));
            let body = capture::ls_refs(&prefixes);
            let mut client = ground.ours.connect()?;
            asked(&ground.ours, &mut client, project, &body, ground.sizes.repeat)
        };
        let (many, few) = (measure(MANY, &open[1])?, measure(FEW, &open[0])?);
        times.add(many.0, few.0);
        bytes.add(many.1, few.1);
    }
    let name = format!("itself with {} closed issues", ground.sizes.few);
    let count = ground.sizes.many;
    let row = |what: &str| format!("no-op mirror poll, {count} closed issues{what}");
    Ok(vec![
        Row::cost(&row(""), "ms", times.medians(), &name, 0.8),
        Row::cost(&row(", bytes"), "bytes", bytes.medians(), &name, 0.8),
    ])
}

/// Three open pull requests in each of the two projects; their refs.
fn open_pulls(ground: &mut Ground) -> Result<[Vec<String>; 2], BenchError> {
    let pushes = ground.pushes(3)?;
    let mut open = [Vec::new(), Vec::new()];
    for (project, open) in [FEW, MANY].iter().zip(&mut open) {
        for (push, agent) in pushes.iter().zip(&ground.agents) {
            ground.ours.push(&mut ground.ours.connect()?, agent, project, push)?;
            open.push(ground.ours.open_pull(project, agent, &push.name)?);
        }
    }
    Ok(open)
}

/// Milliseconds per request, and bytes of its answer.
fn asked(ours: &Ours, client: &mut Client, project: &str, body: &[u8], times: usize) -> Result<(f64, f64), BenchError> {
    let mut bytes = 0;
    let (took, ()) = milliseconds(|| {
        for _ in 0..times {
            bytes = ours.upload_pack(client, project, body)?.len();
        }
        Ok(())
    })?;
    Ok((took / times as f64, bytes as f64))
}

/// `ls-refs` with a prefix that few of very many refs have.
pub fn prefix(ground: &mut Ground) -> Result<Vec<Row>, BenchError> {
    ground.seed()?;
    let stock = ground.stock_many()?;
    let body = capture::ls_refs(&["refs/heads/main"]);
    let mut pair = Pair::default();
    for _ in 0..ground.sizes.rounds {
        let mut client = ground.ours.connect()?;
        let (ours, _) = asked(&ground.ours, &mut client, MANY, &body, ground.sizes.repeat)?;
        let (theirs, ()) = milliseconds(|| {
            for _ in 0..ground.sizes.repeat {
                stock.upload_pack(&body)?;
            }
            Ok(())
        })?;
        pair.add(ours, theirs / ground.sizes.repeat as f64);
    }
    let name = format!("ls-refs with a prefix, {} refs", ground.sizes.many);
    Ok(vec![Row::cost(&name, "ms", pair.medians(), "git upload-pack --stateless-rpc, as many refs", 3.0)])
}
