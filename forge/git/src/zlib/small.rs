//! Deflating what is small. A general deflater clears a table of 128 KiB before each stream, which costs several times
//! what an object of some hundred bytes takes; here the table fits the object.
//!
//! One block with the fixed codes of RFC 1951, section 3.2.6, and one look back for each place; where that gains nothing,
//! the block is stored.
//!
//! Invariant: every inflater reads the same bytes back; at most eleven bytes are added.

/// What is longer is for the general deflater.
/// No limit: what is longer goes another way.
pub(super) const LARGEST: usize = 4096;

/// Shorter matches are not looked for.
const SHORTEST: usize = 4;
/// No limit: of the format.
const LONGEST: usize = 258;
/// Places remembered by the hash of the four bytes that stand there.
const PLACES: usize = 1024;
const NOWHERE: u16 = u16::MAX;

const END: usize = 256;

/// The fixed code of each literal and length, ready to be written, and how many bits it has.
const CODES: [(u16, u8); 288] = {
    let mut codes = [(0, 0); 288];
    let mut symbol = 0;
    while symbol < 288 {
        let (code, bits) = match symbol {
            0..=143 => (0x30 + symbol as u16, 8),
            144..=255 => (0x190 + symbol as u16 - 144, 9),
            256..=279 => (symbol as u16 - 256, 7),
            _ => (0xc0 + symbol as u16 - 280, 8),
        };
        // Codes are written from their highest bit on, everything else from the lowest.
        codes[symbol] = (code.reverse_bits() >> (16 - bits), bits as u8);
        symbol += 1;
    }
    codes
};

/// Appends `data`, at most [`LARGEST`] bytes, to `out` as a zlib stream.
pub(super) fn deflate(data: &[u8], out: &mut Vec<u8>) {
    debug_assert!(data.len() <= LARGEST);
    // A window of 32 KiB, the fastest level.
    out.extend_from_slice(&[0x78, 0x01]);
    let begin = out.len();
    let mut bits = Bits { out, waiting: 0, count: 0 };
    bits.put(0b011, 3);
    cover(data, &mut bits);
    bits.code(END);
    bits.flush();
    if out.len() - begin > data.len() + 5 {
        out.truncate(begin);
        let length = data.len() as u16;
        out.push(0b001);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(data);
    }
    out.extend_from_slice(&adler32(data).to_be_bytes());
}

/// Writes `data` as literals and as copies of what stands before them.
fn cover(data: &[u8], bits: &mut Bits<'_>) {
    let mut places = [NOWHERE; PLACES];
    let mut at = 0;
    while let Some(four) = data.get(at..at + SHORTEST) {
        let word = u32::from_le_bytes([four[0], four[1], four[2], four[3]]);
        let place = &mut places[(word.wrapping_mul(0x9e37_79b1) >> 22) as usize];
        let before = usize::from(std::mem::replace(place, at as u16));
        if before < at && data[before..before + SHORTEST] == *four {
            let most = LONGEST.min(data.len() - at);
            let same = data[before..].iter().zip(&data[at..at + most]).take_while(|(a, b)| a == b).count();
            bits.copy(same, at - before);
            at += same;
        } else {
            bits.code(usize::from(four[0]));
            at += 1;
        }
    }
    data[at..].iter().for_each(|&byte| bits.code(usize::from(byte)));
}

struct Bits<'o> {
    out: &'o mut Vec<u8>,
    waiting: u64,
    count: u32,
}

impl Bits<'_> {
    fn put(&mut self, value: u32, bits: u32) {
        self.waiting |= u64::from(value) << self.count;
        self.count += bits;
        if self.count >= 32 {
            self.out.extend_from_slice(&(self.waiting as u32).to_le_bytes());
            self.waiting >>= 32;
            self.count -= 32;
        }
    }

    fn code(&mut self, symbol: usize) {
        let (code, bits) = CODES[symbol];
        self.put(u32::from(code), u32::from(bits));
    }

    /// The last `length` bytes, as they stand `distance` before.
    fn copy(&mut self, length: usize, distance: usize) {
        let over = (length - 3) as u32;
        match over {
            255 => self.code(285),
            0..8 => self.code(257 + over as usize),
            _ => {
                let more = over.ilog2() - 2;
                self.code(257 + 4 * (more as usize + 1) + (over >> more & 3) as usize);
                self.put(over & ((1 << more) - 1), more);
            }
        }
        let over = (distance - 1) as u32;
        let (code, more) = match over {
            0..4 => (over, 0),
            _ => {
                let more = over.ilog2() - 1;
                (2 * (more + 1) + (over >> more & 1), more)
            }
        };
        self.put(code.reverse_bits() >> 27, 5);
        self.put(over & ((1 << more) - 1), more);
    }

    fn flush(self) {
        let bytes = self.waiting.to_le_bytes();
        self.out.extend_from_slice(&bytes[..self.count.div_ceil(8) as usize]);
    }
}

/// The checksum at the end of a zlib stream. So few bytes overflow nothing before the end.
fn adler32(data: &[u8]) -> u32 {
    let (a, b) = data.iter().fold((1u32, 0u32), |(a, b), &byte| {
        let a = a + u32::from(byte);
        (a, b + a)
    });
    (b % 65_521) << 16 | (a % 65_521)
}
