//! A connection per command, as agents without multiplexing make them.

use super::super::error::BenchError;
use super::super::report::Row;
use super::super::sshd::{Keys, Sshd};
use super::super::timing::{Pair, milliseconds};
use super::ground::Ground;

/// 0.3 times what sshd takes.
const MARK: f64 = 3.33;

/// Connect, `feed`, end; against connect, `true`, end.
pub fn rows(ground: &mut Ground) -> Result<Vec<Row>, BenchError> {
    let (name, against) = ("connect and `feed` over SSH", "sshd running `true`");
    let keys = Keys::make(&ground.dir.join("keys"))?;
    let sshd = match Sshd::start(&keys) {
        Ok(sshd) => sshd,
        Err(why) => return Ok(vec![Row::without(name, "ms", against, MARK, why)]),
    };
    let agent = ground.ours.register("by-key", Some(&keys.public()?))?;
    let mut pair = Pair::default();
    for _ in 0..ground.sizes.rounds * ground.sizes.repeat.min(5) {
        let (ours, said) = milliseconds(|| keys.run(&agent.name, ground.ours.ssh, "feed"))?;
        if said.is_empty() {
            return Err(BenchError::Answer { what: "ssh forge feed".to_owned(), answer: "nothing".to_owned() });
        }
        let (theirs, _) = milliseconds(|| keys.run(&sshd.user, sshd.address, "true"))?;
        pair.add(ours, theirs);
    }
    Ok(vec![Row::cost(name, "ms", pair.medians(), against, MARK)])
}
