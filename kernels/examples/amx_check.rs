//! Compares the products of AMX tiles with the reference implementation, bit for bit, on several
//! threads at the same time. The exit code is 0 if all sums are equal, 1 if some differ, and 2 if
//! this process cannot use AMX.
//!
//! ```text
//! cargo run --release -p unrolled-kernels --example amx_check [products per thread]
//! ```

use std::process::ExitCode;

#[cfg(not(target_arch = "x86_64"))]
fn main() -> ExitCode {
    println!("nothing was compared: the processor is not x86-64");
    ExitCode::from(2)
}

#[cfg(target_arch = "x86_64")]
fn main() -> ExitCode {
    use unrolled_kernels::amx::Amx;
    let products = std::env::args().nth(1).map_or(300, |text| text.parse().expect("a number of products"));
    let amx = match Amx::detect() {
        Ok(amx) => amx,
        Err(refusal) => {
            println!("nothing was compared: {refusal}");
            return ExitCode::from(2);
        }
    };
    let threads: Vec<_> =
        (0..3).map(|seed| std::thread::spawn(move || check::compare(amx, seed, products))).collect();
    let counts = threads.into_iter().map(|thread| thread.join().expect("a thread panicked"));
    let total = counts.fold(check::Counts::default(), check::Counts::add);
    println!("{total}");
    if total.different == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(target_arch = "x86_64")]
mod check {
    use std::fmt;
    use unrolled_kernels::amx::{Amx, TileProduct};
    use unrolled_kernels::reference;

    /// Numbers of products and sums that were compared.
    #[derive(Default)]
    pub struct Counts {
        products: usize,
        sums: usize,
        zeros: usize,
        infinite: usize,
        not_numbers: usize,
        pub different: usize,
    }

    impl Counts {
        pub fn add(self, other: Self) -> Self {
            Self {
                products: self.products + other.products,
                sums: self.sums + other.sums,
                zeros: self.zeros + other.zeros,
                infinite: self.infinite + other.infinite,
                not_numbers: self.not_numbers + other.not_numbers,
                different: self.different + other.different,
            }
        }

        fn count(&mut self, found: f32, expected: f32) {
            self.sums += 1;
            self.zeros += usize::from(expected == 0.0);
            self.infinite += usize::from(expected.is_infinite());
            self.not_numbers += usize::from(expected.is_nan());
            let equal = found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan());
            self.different += usize::from(!equal);
        }
    }

    impl fmt::Display for Counts {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let Self { products, sums, zeros, infinite, not_numbers, different } = self;
            write!(f, "compared {sums} sums of {products} products ({zeros} zeros, {infinite} infinite, ")?;
            write!(f, "{not_numbers} not a number): {different} differ")
        }
    }

    /// Kinds of operands.
    #[derive(Clone, Copy, Debug)]
    enum Kind {
        /// Between 1/16 and 16.
        Ordinary,
        /// Every finite bf16 value.
        Finite,
        /// Products near the smallest normal number.
        Tiny,
        /// Zeros and denormal numbers of both signs.
        Denormal,
        /// Powers of two, far apart: large numbers cancel.
        Cancelling,
        /// Sums that overflow, and infinite and undefined operands.
        Overflowing,
    }

    const KINDS: [Kind; 6] =
        [Kind::Ordinary, Kind::Finite, Kind::Tiny, Kind::Denormal, Kind::Cancelling, Kind::Overflowing];

    /// Random numbers (xorshift64*).
    struct Numbers(u64);

    impl Numbers {
        fn next(&mut self) -> u32 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
        }

        fn up_to(&mut self, low: usize, high: usize) -> usize {
            low + self.next() as usize % (high - low + 1)
        }

        fn half(&mut self, kind: Kind) -> u32 {
            let random = self.next();
            let (sign, fraction, draw) = (random & 0x8000, random & 0x7f, random >> 16);
            let (exponent, fraction) = match kind {
                Kind::Ordinary => (123 + draw % 8, fraction),
                Kind::Finite => (draw % 255, fraction),
                Kind::Tiny => (58 + draw % 8, fraction),
                Kind::Denormal if draw % 4 == 0 => (0, 0),
                Kind::Denormal => (draw % 3, fraction),
                Kind::Cancelling => (127 + 13 * (draw % 3), 0),
                Kind::Overflowing if draw % 64 == 0 => (255, fraction * (draw & 1)),
                Kind::Overflowing => (185 + draw % 10, fraction),
            };
            sign | exponent << 7 | fraction
        }

        fn words(&mut self, kind: Kind, count: usize) -> Vec<u32> {
            (0..count).map(|_| self.half(kind) << 16 | self.half(kind)).collect()
        }

        fn sums(&mut self, kind: Kind, count: usize) -> Vec<f32> {
            (0..count).map(|_| f32::from_bits(self.half(kind) << 16 | self.next() & 0xffff)).collect()
        }
    }

    /// Compares products of random shapes, a kind of operands after another.
    pub fn compare(amx: Amx, seed: u64, products: usize) -> Counts {
        let mut numbers = Numbers(seed + 1);
        let mut counts = Counts::default();
        for kind in KINDS.iter().cycle().take(products) {
            compare_one(amx, &mut numbers, *kind, &mut counts);
        }
        counts
    }

    fn compare_one(amx: Amx, numbers: &mut Numbers, kind: Kind, counts: &mut Counts) {
        let (rows, width, groups) = (numbers.up_to(1, 32), numbers.up_to(1, 4), numbers.up_to(1, 6));
        let (depth, outputs) = (16 * groups, 16 * width);
        let (x_stride, sum_stride) = (depth + numbers.up_to(0, 20), numbers.up_to(outputs, 68.max(outputs)));
        let x = numbers.words(kind, (rows - 1) * x_stride + depth);
        let weights = numbers.words(kind, depth * outputs);
        let start = numbers.sums(kind, rows * sum_stride);
        let mut sums = start.clone();
        let product = TileProduct {
            rows,
            width,
            groups,
            x: &x,
            x_stride,
            weights: &weights,
            sums: &mut sums,
            sum_stride,
        };
        product.run(amx);
        counts.products += 1;
        let before = counts.different;
        for (m, row) in sums.chunks(sum_stride).enumerate() {
            let start = &start[m * sum_stride..][..sum_stride];
            let expected =
                reference::tile_product(depth, &x[m * x_stride..][..depth], &weights, &start[..outputs]);
            // The floats behind a row stay unchanged.
            let expected = expected.iter().chain(&start[outputs..]);
            row.iter().zip(expected).for_each(|(found, expected)| counts.count(*found, *expected));
        }
        if counts.different > before {
            println!("{kind:?}: {rows} rows, {width} vectors, {groups} groups differ");
        }
    }
}
