//! Names what pages are made of by a digest, so that an `ETag` of another build is never believed.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::{fs, io};

fn collect(dir: &Path, into: &mut BTreeMap<String, Vec<u8>>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, into)?;
        } else {
            into.insert(path.display().to_string(), fs::read(&path)?);
        }
    }
    Ok(())
}

#[allow(clippy::print_stdout, reason = "a build script answers on stdout")]
fn main() -> io::Result<()> {
    let mut files = BTreeMap::new();
    for dir in ["src", "templates"] {
        println!("cargo::rerun-if-changed={dir}");
        collect(Path::new(dir), &mut files)?;
    }
    let mut hasher = DefaultHasher::new();
    files.hash(&mut hasher);
    println!("cargo::rustc-env=FRONTEND_SOURCES={:016x}", hasher.finish());
    Ok(())
}
