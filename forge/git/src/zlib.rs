//! Whole zlib streams: what they take is kept between two uses, since setting a deflater up costs several times what
//! deflating a small object does, and small objects do without one.
//!
//! Invariant: at most a few states are kept, whatever was done at once; none of them remembers a stream. A deflater whose
//! stream was left unfinished is never kept: setting it back does not close the block that it had open, and what it wrote
//! next could not be read.

mod small;

use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::Mutex;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// Room that is made for what comes out.
const PIECE: usize = 64 << 10;
/// Most states of a kind that are kept; a deflater takes some 300 KB.
const KEPT: usize = 4;

static DEFLATERS: Mutex<Vec<Compress>> = Mutex::new(Vec::new());
static INFLATERS: Mutex<Vec<Decompress>> = Mutex::new(Vec::new());

/// Something that goes back to where it is kept.
pub(crate) struct Lent<T: 'static> {
    state: Option<T>,
    home: &'static Mutex<Vec<T>>,
    /// Whether it may go back as it is.
    whole: bool,
}

impl<T> Lent<T> {
    fn new(home: &'static Mutex<Vec<T>>, whole: bool, anew: impl FnOnce() -> T) -> Self {
        let kept = home.lock().expect("invariant: no panic under this lock").pop();
        Lent { state: Some(kept.unwrap_or_else(anew)), home, whole }
    }
}

impl<T> Deref for Lent<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.state.as_ref().expect("invariant: only drop takes it")
    }
}

impl<T> DerefMut for Lent<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.state.as_mut().expect("invariant: only drop takes it")
    }
}

impl<T> Drop for Lent<T> {
    fn drop(&mut self) {
        if !self.whole {
            return;
        }
        let mut home = self.home.lock().expect("invariant: no panic under this lock");
        if home.len() < KEPT {
            home.extend(self.state.take());
        }
    }
}

/// An inflater, ready for a stream.
pub(crate) fn inflater() -> Lent<Decompress> {
    let mut inflater = Lent::new(&INFLATERS, true, || Decompress::new(true));
    inflater.reset(true);
    inflater
}

/// Appends `data` to `out` as a zlib stream.
pub(crate) fn deflate(data: &[u8], out: &mut Vec<u8>) {
    deflate_in_pieces(data, out, |_| Ok(())).expect("invariant: nothing here fails")
}

/// The same, calling `full` now and then, which may empty `out`.
pub(crate) fn deflate_in_pieces(
    data: &[u8],
    out: &mut Vec<u8>,
    mut full: impl FnMut(&mut Vec<u8>) -> io::Result<()>,
) -> io::Result<()> {
    if data.len() <= small::LARGEST {
        small::deflate(data, out);
        return full(out);
    }
    let mut deflater = Lent::new(&DEFLATERS, false, || Compress::new(Compression::fast(), true));
    deflater.reset();
    loop {
        let rest = &data[deflater.total_in() as usize..];
        out.reserve((rest.len() / 2 + 64).min(PIECE));
        let status = deflater.compress_vec(rest, out, FlushCompress::Finish);
        full(out)?;
        if status.expect("invariant: deflating has no way to fail") == Status::StreamEnd {
            deflater.whole = true;
            return Ok(());
        }
    }
}

/// What the stream in front of `bytes` inflates to, when that is exactly `size` bytes, and where the stream ends.
pub(crate) fn inflate(bytes: &[u8], size: usize) -> Option<(Vec<u8>, usize)> {
    // A deflated byte yields at most about 1,032 bytes, so a size beyond that lies.
    if size > bytes.len().saturating_mul(1100) {
        return None;
    }
    // One byte more, so that a stream that is too long shows itself.
    let mut data = Vec::with_capacity(size + 1);
    let mut inflater = inflater();
    let status = inflater.decompress_vec(bytes, &mut data, FlushDecompress::Finish).ok()?;
    (status == Status::StreamEnd && data.len() == size).then(|| (data, inflater.total_in() as usize))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes that repeat themselves more or less, of every size around the border.
    fn data() -> impl Strategy<Value = Vec<u8>> {
        let letters = prop_oneof![Just(2u8), Just(20), Just(255)];
        (letters, 0..2 * small::LARGEST, any::<u64>()).prop_map(|(letters, length, seed)| {
            use rand::{RngCore as _, SeedableRng as _};
            let mut random = rand::rngs::StdRng::seed_from_u64(seed);
            (0..length).map(|_| (random.next_u32() % (u32::from(letters) + 1)) as u8).collect()
        })
    }

    fn back(data: &[u8]) -> usize {
        let mut out = b"before".to_vec();
        deflate(data, &mut out);
        let stream = &out[6..];
        assert_eq!(inflate(&[stream, b"behind"].concat(), data.len()), Some((data.to_vec(), stream.len())));
        assert_eq!(inflate(stream, data.len() + 1), None);
        assert!(data.is_empty() || inflate(stream, data.len() - 1).is_none());
        stream.len()
    }

    proptest! {
        #[test]
        fn what_was_deflated_inflates(data in data()) {
            let length = back(&data);
            prop_assert!(data.len() > small::LARGEST || length <= data.len() + 11);
        }

        #[test]
        fn runs_and_repetitions_of_every_length_inflate(unit in 1..300usize, times in 1..400usize) {
            let unit: Vec<u8> = (0..unit).map(|n| (n * 7 + n / 256) as u8).collect();
            let mut data = unit.repeat(times);
            data.truncate(small::LARGEST);
            back(&data);
        }
    }

    #[test]
    fn small_objects_deflate_about_as_well_as_large_ones() {
        let commit = "tree 9d1dcfdaf1a6857c5f83dc27019c7600e1ffaff8\nauthor alpha <alpha@forge> 1700000000 +0000\n\
                      committer alpha <alpha@forge> 1700000000 +0000\n\nWhat was wrong is right now.\n";
        let mut general = Compress::new(Compression::fast(), true);
        let mut out = Vec::with_capacity(1 << 10);
        general.compress_vec(commit.as_bytes(), &mut out, FlushCompress::Finish).expect("deflated");
        let ours = back(commit.as_bytes());
        assert!(ours <= out.len() + out.len() / 16, "{ours} bytes, the general deflater takes {}", out.len());
        assert_eq!(back(&[]), 8);
        assert_eq!(back(&[0xee; 4096]), back(&[0xee; 4095]));
    }

    #[test]
    #[ignore = "a measurement: cargo test --release -p git zlib::tests::what_a_small -- --ignored --nocapture"]
    fn what_a_small_object_costs() {
        let commit = "tree 9d1dcfdaf1a6857c5f83dc27019c7600e1ffaff8\nparent 41b2c1f0aa7e0c1d2e4b5a6978877665544332211\n\
                      author alpha <alpha@forge> 1700000000 +0000\ncommitter forge <forge@forge> 1700000000 +0000\n\n\
                      closed: fixed by parser#57\n\nForge-Entity: parser issues/42\nForge-Seq: 8812\n";
        let mut general = Compress::new(Compression::fast(), true);
        for data in [commit.as_bytes(), &commit.repeat(4).as_bytes()[..1024], &commit.repeat(20).as_bytes()[..4096]] {
            let mut out = Vec::with_capacity(8 << 10);
            let mut timed = |what: &mut dyn FnMut(&mut Vec<u8>)| {
                let began = std::time::Instant::now();
                for _ in 0..10_000 {
                    out.clear();
                    what(&mut out);
                }
                (began.elapsed() / 10_000, out.len())
            };
            let ours = timed(&mut |out| small::deflate(data, out));
            let kept = timed(&mut |out| {
                general.reset();
                general.compress_vec(data, out, FlushCompress::Finish).expect("deflated");
            });
            println!("{} bytes: {ours:?} here, {kept:?} by a general deflater that was set up before", data.len());
        }
    }

    #[test]
    fn a_stream_that_was_left_unfinished_spoils_none_after_it() {
        use rand::{RngCore as _, SeedableRng as _};
        let mut noise = vec![0; 50 * small::LARGEST];
        rand::rngs::StdRng::seed_from_u64(1).fill_bytes(&mut noise);
        for _ in 0..3 * KEPT {
            let failed = deflate_in_pieces(&noise, &mut Vec::new(), |_| Err(io::ErrorKind::BrokenPipe.into()));
            assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
            back(&vec![7; 3 * small::LARGEST]);
            back(&noise);
        }
    }

    #[test]
    fn few_states_are_kept() {
        let data = vec![7; 3 * small::LARGEST];
        std::thread::scope(|scope| {
            for _ in 0..3 * KEPT {
                scope.spawn(|| back(&data));
            }
        });
        assert!(DEFLATERS.lock().expect("no panic").len() <= KEPT);
        assert!(INFLATERS.lock().expect("no panic").len() <= KEPT);
    }
}
