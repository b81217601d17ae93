//! Clones: by a real client to its end, and what they cost the server alone.

use std::path::Path;

use super::super::capture;
use super::super::error::{BenchError, io};
use super::super::report::Row;
use super::super::stock;
use super::super::timing::{Pair, milliseconds};
use super::ground::{Ground, PLAIN};

/// A first clone may cost a tenth more than stock's.
const MARK: f64 = 0.909;

/// First and repeated clone, by a client and by request.
pub fn rows(ground: &mut Ground) -> Result<Vec<Row>, BenchError> {
    let (mut first, mut again) = (Pair::default(), Pair::default());
    let (mut request, mut request_again) = (Pair::default(), Pair::default());
    for _ in 0..ground.sizes.rounds {
        ground.change_both()?;
        let url = format!("http://{}/{PLAIN}", ground.ours.http);
        let file = format!("file://{}", ground.stock.dir.display());
        first.add(clone(&ground.dir, &url)?, clone(&ground.dir, &file)?);
        again.add(clone(&ground.dir, &url)?, clone(&ground.dir, &file)?);

        ground.change_both()?;
        let wants = tips(&ground.stock.dir)?;
        let body = capture::fetch(&wants, &[]);
        for pair in [&mut request, &mut request_again] {
            let mut client = ground.ours.connect()?;
            let (ours, served) = milliseconds(|| ground.ours.upload_pack(&mut client, PLAIN, &body))?;
            let (theirs, stocks) = milliseconds(|| ground.stock.upload_pack(&body))?;
            same(capture::objects_of(&served)?, capture::objects_of(&stocks)?)?;
            pair.add(ours, theirs);
        }
    }
    let wall = "git clone --bare of file:// (git upload-pack through a pipe)";
    let alone = "git upload-pack --stateless-rpc";
    Ok(vec![
        Row::cost("clone of 20k objects, first after a push", "ms", first.medians(), wall, MARK),
        Row::cost("clone of 20k objects, repeated", "ms", again.medians(), wall, MARK),
        Row::cost("clone of 20k objects, first, server alone", "ms", request.medians(), alone, MARK),
        Row::cost("clone of 20k objects, repeated, server alone", "ms", request_again.medians(), alone, MARK),
    ])
}

fn clone(dir: &Path, url: &str) -> Result<f64, BenchError> {
    let to = dir.join("clone.git");
    let (took, _) = milliseconds(|| stock::git(dir, &["clone", "-q", "--bare", url, "clone.git"]))?;
    std::fs::remove_dir_all(&to).map_err(io(to.display()))?;
    Ok(took)
}

/// Every tip once.
fn tips(dir: &Path) -> Result<Vec<String>, BenchError> {
    let mut ids: Vec<String> =
        stock::git(dir, &["for-each-ref", "--format=%(objectname)"])?.lines().map(str::to_owned).collect();
    ids.sort();
    ids.dedup();
    Ok(ids)
}

/// Both sides must have sent the same, or their times say nothing.
fn same(ours: u32, stocks: u32) -> Result<(), BenchError> {
    if ours == stocks {
        return Ok(());
    }
    Err(BenchError::Answer {
        what: "a clone".to_owned(),
        answer: format!("{ours} objects, where stock sends {stocks}"),
    })
}
