//! gix as a client of the matrix: see tests/clients/README.md. It only reads, which takes no token.

use std::error::Error;
use std::sync::atomic::AtomicBool;

use gix::remote::{Direction, fetch::Shallow};

static NEVER: AtomicBool = AtomicBool::new(false);

fn cannot(why: &str) -> ! {
    println!("cannot: {why}");
    std::process::exit(77)
}

fn clone(url: &str, dir: &str, shallow: Shallow) -> Result<(), Box<dyn Error>> {
    let mut clone = gix::prepare_clone_bare(url, dir)?.with_shallow(shallow);
    clone.fetch_only(gix::progress::Discard, &NEVER)?;
    Ok(())
}

fn fetch(url: &str, dir: &str, spec: &str) -> Result<(), Box<dyn Error>> {
    let repository = gix::open(dir)?;
    let remote = repository.remote_at(url)?.with_refspecs([spec], Direction::Fetch)?;
    let connection = remote.connect(Direction::Fetch)?;
    let fetch = connection.prepare_fetch(gix::progress::Discard, Default::default())?;
    fetch.receive(gix::progress::Discard, &NEVER)?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [what, url, dir, ..] = words.as_slice() else { return Err("what, url, directory".into()) };
    match what.as_str() {
        "clone" => clone(url, dir, Shallow::NoChange),
        "shallow" => clone(url, dir, Shallow::DepthAtRemote(std::num::NonZeroU32::MIN)),
        "fetch" => fetch(url, dir, "+refs/heads/*:refs/remotes/origin/*"),
        "tags" => fetch(url, dir, "+refs/tags/*:refs/tags/*"),
        "partial" => cannot("gix 0.90 knows no filters"),
        _ => cannot("gix 0.90 cannot push"),
    }
}
